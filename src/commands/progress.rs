//! Progress on stderr: bars and spinners on a terminal, nothing in a pipe.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};

use super::report::{count, dumb};
use crate::names::JobName;
use crate::record::What;

const TICK: Duration = Duration::from_millis(120);

/// Bars go to a terminal only, and to one whose lines can be written over.
pub fn wanted() -> bool {
    std::io::stderr().is_terminal() && !dumb()
}

/// A bar over a known number of rows.
pub fn rows_bar(total: u64) -> ProgressBar {
    if !wanted() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len} rows {eta}")
        .expect("the template is sound");
    ProgressBar::new(total).with_style(style).with_finish(ProgressFinish::AndClear)
}

/// Something whose end is not known, with the time that it takes.
pub fn spinner(what: &'static str) -> ProgressBar {
    if !wanted() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is sound");
    let bar = ProgressBar::new_spinner().with_style(style).with_finish(ProgressFinish::AndClear);
    bar.set_message(what);
    bar.enable_steady_tick(TICK);
    bar
}

/// One spinner a job, fed by the events of the run.
#[derive(Default)]
pub struct RunProgress {
    /// Whether a job is done only when BigQuery shows its rows.
    loads: bool,
    bars: MultiProgress,
    jobs: Mutex<BTreeMap<JobName, ProgressBar>>,
}

impl RunProgress {
    pub fn new(loads: bool) -> Self {
        RunProgress { loads, ..RunProgress::default() }
    }

    pub fn hear(&self, what: &What) {
        if !wanted() {
            return;
        }
        match what {
            What::SnapshotVerified { snapshot, rows, .. } => {
                let _ = self.bars.println(format!("  verified {snapshot}: {} rows", count(*rows)));
            }
            What::JobStarted { job, .. } => self.say(job, "reading"),
            What::InputsResolved { job, .. } => self.say(job, "transforming"),
            What::Staged { job, rows, .. } => self.say(job, &format!("auditing {} rows", count(*rows))),
            What::Audited { job, .. } => self.say(job, "publishing"),
            What::Published { job, .. } | What::UpToDate { job, .. } if self.loads => {
                self.say(job, "loading into BigQuery");
            }
            What::Published { job, .. }
            | What::UpToDate { job, .. }
            | What::Loaded { job, .. }
            | What::JobFailed { job, .. } => self.close(job),
            What::RunStarted { .. }
            | What::JobSkipped { .. }
            | What::PromiseMissed { .. }
            | What::RunFinished { .. } => {}
        }
    }

    fn say(&self, job: &JobName, step: &str) {
        let mut jobs = self.jobs.lock().expect("no bar panics");
        let bar = jobs.entry(job.clone()).or_insert_with(|| {
            let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed}").expect("the template is sound");
            let bar = self.bars.add(ProgressBar::new_spinner().with_style(style));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(format!("{job}: {step}"));
    }

    fn close(&self, job: &JobName) {
        if let Some(bar) = self.jobs.lock().expect("no bar panics").remove(job) {
            bar.finish_and_clear();
        }
    }
}
