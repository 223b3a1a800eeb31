//! The measurements as Markdown.

use std::fmt::Write;

use crate::common::machine;
use crate::{Day, JobCost};

pub fn markdown(days: &[Day]) -> String {
    let mut text = format!("A day of all tables on {}, page cache warm.\n", machine());
    days.iter().filter(|day| !day.jobs.is_empty()).for_each(|day| jobs(&mut text, day));
    growth(&mut text, days);
    text
}

fn jobs(text: &mut String, day: &Day) {
    let all: f64 = day.jobs.iter().map(|job| job.own_time().as_secs_f64()).sum();
    let _ = write!(text, "\n{} accounts, {} input rows; each job by itself:\n\n", day.accounts, day.input_rows);
    *text += "| job | rows | verify | transform and stage | audit | rows/s | share | peak memory |\n";
    *text += "|---|--:|--:|--:|--:|--:|--:|--:|\n";
    for job in &day.jobs {
        let JobCost { name, rows, parts, .. } = job;
        let (verify, stage) = (parts.verify.as_secs_f64(), parts.stage.as_secs_f64());
        let (audit, own) = (parts.audit.as_secs_f64(), job.own_time().as_secs_f64());
        let (speed, share) = (*rows as f64 / own, own / all * 100.0);
        let peak = mebibytes(job.peak_bytes);
        let _ = writeln!(
            text,
            "| {name} | {rows} | {verify:.2} s | {stage:.2} s | {audit:.2} s | {speed:.0} | {share:.0} % | {peak:.0} MiB |"
        );
    }
}

fn growth(text: &mut String, days: &[Day]) {
    *text += "\nAll jobs in one run, on the first day and on the next:\n\n";
    *text += "| accounts | first | next | CPU time | peak memory | input rows/s | next, a million accounts | CPU time, a million accounts |\n";
    *text += "|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for day in days {
        let (first, next) = (day.first.elapsed.as_secs_f64(), day.next.elapsed.as_secs_f64());
        let peak = mebibytes(day.first.peak_bytes.max(day.next.peak_bytes));
        let (cpu, speed) = (day.next.cpu.as_secs_f64(), day.input_rows as f64 / next);
        let [each, cpu_each] = [next, cpu].map(|seconds| seconds / day.accounts as f64 * 1e6);
        let _ = writeln!(
            text,
            "| {} | {first:.1} s | {next:.1} s | {cpu:.1} s | {peak:.0} MiB | {speed:.0} | {each:.1} s | {cpu_each:.1} s |",
            day.accounts
        );
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
