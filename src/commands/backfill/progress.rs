//! How far a backfill is: one bar for all of it on a terminal, a line a finished day in a pipe.

use std::collections::BTreeSet;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

use crate::backfill::Told;
use crate::commands::progress::wanted;
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::{Done, JobEnd, RunEnd};
use crate::record::What;

/// What runs now is named as far as it fits on a line.
const NAMED: usize = 3;

pub(super) struct BackfillProgress {
    bar: ProgressBar,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    running: BTreeSet<(SnapshotDate, JobName)>,
    failed: usize,
}

impl BackfillProgress {
    pub fn new(total: usize) -> Self {
        let bar = match wanted() {
            true => ProgressBar::new(total as u64).with_style(style()),
            false => ProgressBar::hidden(),
        };
        BackfillProgress { bar, now: Mutex::default() }
    }

    pub fn hear(&self, told: &Told<'_>) {
        match told {
            Told::Event { date, what: What::JobStarted { job, .. } } => {
                self.change(|now| now.running.extend([(*date, job.clone())]));
            }
            Told::Event { .. } => {}
            Told::PartitionEnded { job, date, end } => {
                self.change(|now| {
                    now.running.remove(&(*date, (*job).clone()));
                    now.failed += usize::from(matches!(end, JobEnd::Failed(_)));
                });
                self.bar.inc(1);
            }
            Told::RunEnded { date, run } if !wanted() => eprintln!("{date}: {}", line(run)),
            Told::RunEnded { .. } => {}
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now.lock().expect("no bar panics");
        change(&mut now);
        let names: Vec<String> = now.running.iter().take(NAMED).map(|(date, job)| format!("{job} {date}")).collect();
        let more = if now.running.len() > NAMED { ", …" } else { "" };
        let failed = if now.failed > 0 { format!("{} failed  ", now.failed) } else { String::new() };
        self.bar.set_message(format!("{failed}{}{more}", names.join(", ")));
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("[{bar:30}] {human_pos}/{human_len} partitions, {eta} left  {wide_msg}")
        .expect("the template is sound")
}

/// A finished day in a few words.
fn line(run: &crate::error::Result<RunEnd>) -> String {
    let run = match run {
        Ok(run) => run,
        Err(error) => return format!("failed: {error}"),
    };
    let mut counts = [0; 4];
    for (_, end) in &run.jobs {
        let place = match end {
            JobEnd::Done(done) if matches!(done.as_ref(), Done::Published { .. }) => 0,
            JobEnd::Done(_) => 1,
            JobEnd::Failed(_) => 2,
            JobEnd::Skipped { .. } => 3,
        };
        counts[place] += 1;
    }
    let words = ["published", "up to date", "failed", "skipped"];
    let told = counts.iter().zip(words).filter(|(count, _)| **count > 0);
    told.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}
