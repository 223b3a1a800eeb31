//! The measurements as Markdown.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::Args;
use crate::common::child::Measured;
use crate::common::machine;
use crate::common::parts::Parts;

/// One way to the rows, with all its measurements.
pub struct Way {
    name: &'static str,
    measured: Vec<Measured>,
    parts: Vec<Parts>,
    failure: Option<String>,
}

impl Way {
    pub fn new(name: &'static str) -> Self {
        Way { name, measured: Vec::new(), parts: Vec::new(), failure: None }
    }

    pub fn add(&mut self, measured: Measured, parts: Option<Parts>) {
        self.measured.push(measured);
        self.parts.extend(parts);
    }

    /// Notes that it did not come to its end, which is a result too.
    pub fn fail(&mut self, reason: impl Display) {
        self.failure = Some(reason.to_string());
    }

    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(self.measured.iter().map(of).collect())
    }

    fn seconds(&self) -> f64 {
        self.median(|measured| measured.elapsed.as_secs_f64())
    }

    /// Of a part of the run.
    fn part(&self, of: impl Fn(&Parts) -> Duration) -> f64 {
        median(self.parts.iter().map(|parts| of(parts).as_secs_f64()).collect())
    }
}

pub fn markdown(args: &Args, input_rows: u64, ways: &[Way]) -> String {
    let mut text = format!(
        "`user_daily` from {} accounts, {input_rows} input rows, on {}. Page cache warm; rounds: {}, medians.\n\n",
        args.accounts,
        machine(),
        args.rounds
    );
    text += "| | time | CPU time | peak memory | input rows/s | to the floor |\n|---|--:|--:|--:|--:|--:|\n";
    let floor = ways.first().map_or(f64::NAN, Way::seconds);
    for way in ways {
        if let Some(reason) = &way.failure {
            let _ = writeln!(text, "| {} | {reason} | | | | |", way.name);
            continue;
        }
        let seconds = way.seconds();
        let cpu = way.median(|measured| measured.cpu.as_secs_f64());
        let peak = way.median(|measured| measured.peak_bytes as f64) / f64::from(1 << 20);
        let (speed, ratio) = (input_rows as f64 / seconds / 1e6, seconds / floor);
        let name = way.name;
        let _ =
            writeln!(text, "| {name} | {seconds:.2} s | {cpu:.2} s | {peak:.0} MiB | {speed:.2} M | {ratio:.1} × |");
    }
    text += "\n| where the time goes | verify | transform and stage | audit | publish |\n|---|--:|--:|--:|--:|\n";
    for way in ways.iter().filter(|way| way.failure.is_none() && !way.parts.is_empty()) {
        let (verify, stage) = (way.part(|parts| parts.verify), way.part(|parts| parts.stage));
        let (audit, publish) = (way.part(|parts| parts.audit), way.part(|parts| parts.publish));
        let name = way.name;
        let _ = writeln!(text, "| {name} | {verify:.2} s | {stage:.2} s | {audit:.2} s | {publish:.2} s |");
    }
    text
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
