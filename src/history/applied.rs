//! The days that a history has taken in, as the table's own log tells them.
//!
//! A day without changes writes no file, and still must be known as taken in. So every commit of a history carries, in the
//! properties of the Delta table, one entry a day: which run took it in, from which inputs, and how many rows it forgot.
//! They change with the rows in one commit, or neither does.

use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, ErrorKind, Result};
use crate::names::{JobName, RunId, SnapshotDate, TableName};

const PREFIX: &str = "gatefold.applied.";

/// One day of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedDay {
    pub run: RunId,
    /// Of all that decided the day's state.
    pub fingerprint: String,
    /// Rows, of whatever day, that the day has removed for good.
    pub forgotten: u64,
}

/// Every day that a history has taken in and not rewound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied(BTreeMap<SnapshotDate, AppliedDay>);

/// How a day that was taken in before is taken in again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Again {
    /// Although its inputs are the same.
    pub force: bool,
    /// Rewinding the history to it; the days up to this one will follow.
    pub rebuild_to: Option<SnapshotDate>,
}

/// What a run of a day has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Take the day in, on top of the days before it; those from it on are rewound.
    Apply,
    Nothing {
        published_by: RunId,
    },
}

impl Applied {
    /// From the properties of the table. Errors (exit 13): an entry that cannot be read.
    pub fn read(table: &TableName, properties: &HashMap<String, String>) -> Result<Applied> {
        let entries = properties.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
        let days = entries.map(|(day, value)| {
            let read = || Some((day.parse().ok()?, AppliedDay::read(value)?));
            read().ok_or_else(|| {
                Error::new(ErrorKind::Publish, "the history's log tells of a day what cannot be read")
                    .with("table", table)
                    .with("property", format!("{PREFIX}{day} = {value}"))
                    .hint("a newer version of gatefold wrote it; use that one")
            })
        });
        Ok(Applied(days.collect::<Result<_>>()?))
    }

    /// The properties of the table with these days in place of those before.
    pub fn write(&self, properties: &HashMap<String, String>) -> BTreeMap<String, String> {
        let others = properties.iter().filter(|(key, _)| !key.starts_with(PREFIX));
        let others = others.map(|(key, value)| (key.clone(), value.clone()));
        let days = self.0.iter().map(|(date, day)| (format!("{PREFIX}{date}"), day.write()));
        others.chain(days).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, date: SnapshotDate) -> Option<&AppliedDay> {
        self.0.get(&date)
    }

    /// The earliest first.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = (SnapshotDate, &AppliedDay)> {
        self.0.iter().map(|(date, day)| (*date, day))
    }

    pub fn latest(&self) -> Option<SnapshotDate> {
        self.0.keys().next_back().copied()
    }

    /// Days that build on this one.
    pub fn days_after(&self, date: SnapshotDate) -> impl Iterator<Item = SnapshotDate> {
        self.0.range(date..).map(|(day, _)| *day).filter(move |day| *day > date)
    }

    /// The days, in order.
    pub fn dates(&self) -> impl Iterator<Item = SnapshotDate> {
        self.0.keys().copied()
    }

    pub fn has_before(&self, date: SnapshotDate) -> bool {
        self.0.range(..date).next().is_some()
    }

    /// The days once `date` was taken in: those after it are no longer known. What rewound days have forgotten stays
    /// forgotten, and is told by the day that takes their place.
    #[must_use]
    pub fn with(&self, date: SnapshotDate, mut day: AppliedDay) -> Applied {
        day.forgotten += self.0.range(date..).map(|(_, rewound)| rewound.forgotten).sum::<u64>();
        let before = self.0.range(..date).map(|(date, day)| (*date, day.clone()));
        Applied(before.chain([(date, day)]).collect())
    }

    /// Names what the history shows as of a day: the inputs of all days up to it, and the later days that have removed rows
    /// of it for good. A later day that did not leaves it as it is.
    pub fn fingerprint_as_of(&self, date: SnapshotDate) -> String {
        let made = self.0.range(..=date).map(|(date, day)| format!("{date} {}", day.fingerprint));
        let removed = self.0.range(date..).skip_while(|(other, _)| **other == date);
        let removed =
            removed.filter(|(_, day)| day.forgotten > 0).map(|(date, day)| format!("{date} {}", day.forgotten));
        let parts: Vec<String> = made.chain(removed).collect();
        crate::digest::digest(parts.iter().map(String::as_str))
    }

    /// Whether a day is to be taken in. The latest may be taken in again; an earlier one would need all after it too.
    ///
    /// Errors (exit 2): a day before the latest that was skipped or whose inputs have changed.
    pub fn due(&self, job: &JobName, date: SnapshotDate, fingerprint: &str, again: Again) -> Result<Due> {
        let Some(latest) = self.latest() else { return Ok(Due::Apply) };
        if let Some(end) = again.rebuild_to {
            return match end < latest {
                true => Err(cut_short(job, date, end, latest)),
                false => Ok(Due::Apply),
            };
        }
        let before = self.get(date);
        let same = before.filter(|day| day.fingerprint == fingerprint && !again.force);
        match same {
            Some(day) => Ok(Due::Nothing { published_by: day.run.clone() }),
            None if date >= latest => Ok(Due::Apply),
            None => Err(out_of_order(job, date, latest, before.is_some(), again.force)),
        }
    }
}

impl AppliedDay {
    fn read(text: &str) -> Option<AppliedDay> {
        let mut words = text.split(' ');
        let (run, fingerprint, forgotten) = (words.next()?, words.next()?, words.next()?);
        let (run, forgotten) = (run.parse().ok()?, forgotten.parse().ok()?);
        words.next().is_none().then(|| AppliedDay { run, fingerprint: fingerprint.to_owned(), forgotten })
    }

    fn write(&self) -> String {
        format!("{} {} {}", self.run, self.fingerprint, self.forgotten)
    }
}

fn rebuild(job: &JobName, from: SnapshotDate, to: SnapshotDate) -> String {
    format!("gatefold run {job} --from {from} --to {to} --rebuild")
}

fn out_of_order(job: &JobName, date: SnapshotDate, latest: SnapshotDate, known: bool, force: bool) -> Error {
    let what = match (known, force) {
        (true, true) => "the days after it build on it",
        (true, false) => "its inputs or the job have changed since",
        (false, _) => "that day was skipped",
    };
    Error::project(format!("the history '{job}' is already at {latest}, and {date} cannot be run alone: {what}"))
        .hint(format!("rebuild it from that day on: {}", rebuild(job, date, latest)))
}

fn cut_short(job: &JobName, from: SnapshotDate, end: SnapshotDate, latest: SnapshotDate) -> Error {
    Error::project(format!("the history '{job}' is at {latest}, and a rebuild that ends at {end} would cut it short"))
        .hint(format!("rebuild it to its end: {}", rebuild(job, from, latest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> SnapshotDate {
        format!("2026-03-{text}").parse().unwrap()
    }

    fn run(random: u32) -> RunId {
        RunId::new(chrono::DateTime::UNIX_EPOCH, random)
    }

    fn made(fingerprint: &str, forgotten: u64) -> AppliedDay {
        AppliedDay { run: run(1), fingerprint: fingerprint.to_owned(), forgotten }
    }

    fn job() -> JobName {
        JobName::new("prices").unwrap()
    }

    fn two_days() -> Applied {
        Applied::default().with(day("01"), made("a", 0)).with(day("03"), made("b", 0))
    }

    fn due(date: &str, fingerprint: &str, again: Again) -> Result<Due> {
        two_days().due(&job(), day(date), fingerprint, again)
    }

    #[test]
    fn days_read_back_beside_other_properties() {
        let others = HashMap::from([("delta.appendOnly".to_owned(), "false".to_owned())]);
        let written: HashMap<String, String> = two_days().write(&others).into_iter().collect();
        let table = TableName::new("shop", "prices").unwrap();
        assert_eq!(Applied::read(&table, &written).unwrap(), two_days());
        assert_eq!(written["delta.appendOnly"], "false");
        assert_eq!(written.len(), 3);
        assert!(Applied::read(&table, &HashMap::from([(format!("{PREFIX}2026-03-01"), "x".to_owned())])).is_err());
    }

    #[test]
    fn the_latest_day_may_change_and_an_earlier_one_may_not() {
        let plain = Again::default();
        let nothing = Due::Nothing { published_by: run(1) };
        assert_eq!(due("04", "c", plain).unwrap(), Due::Apply);
        assert_eq!(due("03", "b", plain).unwrap(), nothing);
        assert_eq!(due("03", "c", plain).unwrap(), Due::Apply);
        assert_eq!(due("03", "b", Again { force: true, ..plain }).unwrap(), Due::Apply);
        assert_eq!(due("01", "a", plain).unwrap(), nothing);
        for (date, fingerprint, force) in [("01", "x", false), ("01", "a", true), ("02", "a", false)] {
            let error = due(date, fingerprint, Again { force, ..plain }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Project);
            let command = format!("gatefold run prices --from 2026-03-{date} --to 2026-03-03 --rebuild");
            assert!(error.hint_text().unwrap().ends_with(&command), "{error}");
        }
        let rebuild = |end| Again { rebuild_to: Some(day(end)), ..plain };
        assert_eq!(due("01", "a", rebuild("03")).unwrap(), Due::Apply);
        assert!(due("01", "a", rebuild("02")).unwrap_err().message().contains("cut it short"));
        assert_eq!(Applied::default().due(&job(), day("01"), "a", plain).unwrap(), Due::Apply);
    }

    #[test]
    fn the_past_changes_only_with_its_own_days_and_with_what_is_forgotten() {
        let before = two_days().fingerprint_as_of(day("02"));
        assert_eq!(two_days().with(day("04"), made("c", 0)).fingerprint_as_of(day("02")), before);
        assert_ne!(two_days().with(day("04"), made("c", 1)).fingerprint_as_of(day("02")), before);
        assert_ne!(two_days().with(day("01"), made("x", 0)).fingerprint_as_of(day("02")), before);
        let again = two_days().with(day("04"), made("c", 2)).with(day("04"), made("d", 0));
        assert_eq!(again.get(day("04")).unwrap().forgotten, 2);
        assert_eq!(again.with(day("02"), made("e", 0)).latest(), Some(day("02")));
    }
}
