//! What a backfill prints for people.

use std::collections::{BTreeMap, BTreeSet};

use crate::backfill::{BackfillEnd, Entry, Outcome, Row, State, rows};
use crate::commands::report;
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::{Done, JobEnd};

/// Rows of a table that are shown; what is beyond is counted.
const MOST_ROWS: usize = 12;
/// Failures that are told in full.
const MOST_FAILURES: usize = 10;

/// What is to be made and why, and what is not and why not.
pub(super) fn print_agenda(entries: &[Entry<'_>], (from, to): (SnapshotDate, SnapshotDate)) {
    let count = |state: &str| entries.iter().filter(|entry| entry.state.as_str() == state).count();
    let told: Vec<String> = ["fresh", "stale", "missing", "failed", "waiting", "refused"]
        .into_iter()
        .filter(|state| count(state) > 0)
        .map(|state| format!("{} {state}", report::count(count(state) as u64)))
        .collect();
    let tables: BTreeSet<&JobName> = entries.iter().map(|entry| &entry.planned.job.name).collect();
    println!(
        "{from} to {to}: {} partitions of {} tables: {}",
        report::count(entries.len() as u64),
        tables.len(),
        told.join(", ")
    );
    let rows = rows(entries);
    if rows.is_empty() {
        return println!("nothing to do");
    }
    println!("{}", report::table(&["table", "state", "days", "#", "why"], cells(entries, &rows)));
    if entries.iter().any(|entry| entry.state == State::Refused) {
        println!("refused days need --rebuild, which makes the history again from the first of them to its latest day");
    }
    let runs = entries.iter().filter(|entry| entry.runs()).count();
    let days: BTreeSet<SnapshotDate> = entries.iter().filter(|entry| entry.runs()).map(|entry| entry.date).collect();
    println!("to make: {} partitions on {} days", report::count(runs as u64), days.len());
}

fn cells(entries: &[Entry<'_>], rows: &[Row<'_>]) -> Vec<Vec<String>> {
    let table_of = |job: &JobName| {
        let entry = entries.iter().find(|entry| entry.planned.job.name == *job);
        entry.map(|entry| entry.planned.job.table.name.to_string()).unwrap_or_default()
    };
    let mut cells = Vec::new();
    for of_table in rows.chunk_by(|a, b| a.job == b.job) {
        let mut table = of_table.first().map(|row| table_of(row.job)).unwrap_or_default();
        for row in of_table.iter().take(MOST_ROWS) {
            let days = match row.from == row.to {
                true => row.from.to_string(),
                false => format!("{} to {}", row.from, row.to),
            };
            cells.push(vec![
                std::mem::take(&mut table),
                row.state.to_owned(),
                days,
                row.days.to_string(),
                row.why.clone(),
            ]);
        }
        let hidden = of_table.iter().skip(MOST_ROWS);
        let days: usize = hidden.clone().map(|row| row.days).sum();
        if days > 0 {
            let more = format!("in {} more ranges; --format json tells all", hidden.count());
            cells.push(vec![String::new(), "…".into(), String::new(), days.to_string(), more]);
        }
    }
    cells
}

/// What became of it.
pub(super) fn print_end(entries: &[Entry<'_>], end: &BackfillEnd) {
    let mut tables: BTreeMap<String, [u64; 6]> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.runs()) {
        let figures = tables.entry(entry.planned.job.table.name.to_string()).or_default();
        let (place, rows) = figure(end, entry);
        figures[place] += 1;
        figures[5] += rows;
    }
    let rows = tables
        .into_iter()
        .map(|(table, figures)| std::iter::once(table).chain(figures.into_iter().map(report::count)).collect());
    let header = ["table", "published#", "up to date#", "failed#", "skipped#", "not begun#", "rows#"];
    println!("{}", report::table(&header, rows.collect()));
    for (date, error) in end.failures().take(MOST_FAILURES) {
        eprintln!("{date}:");
        report::error(error);
    }
    let more = end.failures().count().saturating_sub(MOST_FAILURES);
    if more > 0 {
        eprintln!("and {more} more failures; gatefold runs lists them");
    }
    let not_begun = entries.iter().filter(|entry| entry.runs() && figure(end, entry).0 == 4).count();
    if not_begun > 0 && end.stopped.is_none() {
        eprintln!(
            "{} partitions did not begin after that; the same command goes on, --max-failures lets more fail",
            report::count(not_begun as u64)
        );
    }
}

/// Partitions that are there now.
pub(super) fn done(entries: &[Entry<'_>], end: &BackfillEnd) -> usize {
    entries.iter().filter(|entry| entry.runs() && figure(end, entry).0 < 2).count()
}

/// The column in which a partition counts, and its rows.
fn figure(end: &BackfillEnd, entry: &Entry<'_>) -> (usize, u64) {
    match end.outcome(&entry.node(), entry.date) {
        Outcome::Ended(_, JobEnd::Done(done)) => match done.as_ref() {
            Done::Published { published, .. } => (0, published.rows),
            Done::UpToDate { .. } => (1, 0),
        },
        Outcome::Ended(_, JobEnd::Failed(_)) | Outcome::Broken(_) => (2, 0),
        Outcome::Ended(_, JobEnd::Skipped { .. }) => (3, 0),
        Outcome::CutOff => (0, 0),
        Outcome::NotBegun => (4, 0),
    }
}
