//! A range for people: per table, days that stand alike are one row, so that a year of many tables stays readable.

use super::agenda::{Entry, State};
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::Reason;

/// Days of a table that follow each other and stand alike for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    pub job: &'a JobName,
    pub state: &'static str,
    pub from: SnapshotDate,
    pub to: SnapshotDate,
    pub days: usize,
    /// Of the first of them, in the words of all.
    pub why: String,
}

/// Those that are not fresh, by table in the order of `entries`, which are by day.
pub fn rows<'a>(entries: &'a [Entry<'_>]) -> Vec<Row<'a>> {
    let mut tables: Vec<(&JobName, Vec<&Entry<'_>>)> = Vec::new();
    for entry in entries {
        let name = &entry.planned.job.name;
        match tables.iter_mut().find(|(table, _)| *table == name) {
            Some((_, days)) => days.push(entry),
            None => tables.push((name, vec![entry])),
        }
    }
    tables.into_iter().flat_map(|(job, days)| collapsed(job, &days)).collect()
}

fn collapsed<'a>(job: &'a JobName, days: &[&Entry<'_>]) -> Vec<Row<'a>> {
    let mut rows: Vec<(String, Row<'a>)> = Vec::new();
    let mut before: Option<SnapshotDate> = None;
    for entry in days {
        let (state, kind) = (entry.state.as_str(), kind(entry));
        let follows = before.and_then(SnapshotDate::next) == Some(entry.date);
        before = Some(entry.date);
        match rows.last_mut() {
            Some((last, row)) if follows && row.state == state && *last == kind => {
                row.to = entry.date;
                row.days += 1;
            }
            _ => {
                let row = Row { job, state, from: entry.date, to: entry.date, days: 1, why: why(entry) };
                rows.push((kind, row));
            }
        }
    }
    rows.into_iter().map(|(_, row)| row).filter(|row| row.state != State::Fresh.as_str()).collect()
}

/// What makes two days alike: neither the day nor the run that made it.
fn kind(entry: &Entry<'_>) -> String {
    if let State::Failed(failure) = &entry.state {
        return format!("{} {}", failure.exit_code, first_line(&failure.message).replace(&entry.date.to_string(), ""));
    }
    match &entry.reason {
        Reason::UpToDate(_) => String::new(),
        Reason::Changed { what, .. } => what.join(", "),
        Reason::NotLoaded(_) => "not loaded".to_owned(),
        Reason::Behind { job, .. } => format!("behind {job}"),
        Reason::Upstream { job, .. } => format!("upstream {job}"),
        other => other.to_string().replace(&entry.date.to_string(), ""),
    }
}

fn why(entry: &Entry<'_>) -> String {
    if let State::Failed(failure) = &entry.state {
        return format!("exit {} in {}: {}", failure.exit_code, failure.run, first_line(&failure.message));
    }
    match &entry.reason {
        Reason::Changed { what, .. } => format!("{} changed", what.join(", ")),
        Reason::NotLoaded(_) => "published, and BigQuery does not show it yet".to_owned(),
        Reason::Missing { what, .. } | Reason::Refused { what } => what.clone(),
        other => other.to_string(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
