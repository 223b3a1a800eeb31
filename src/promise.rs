//! When a table must be there: what its job, or the schedule that runs it, promises to those who read it.

use std::fmt;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::Result;
use crate::names::SnapshotDate;
use crate::toml_file::{At, TomlFile};

/// At least one of both is stated.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise {
    /// On the day after the snapshot date, UTC.
    pub ready_by: Option<NaiveTime>,
    /// Hours since the end of the newest day that is there, more than 0.
    pub max_age_hours: Option<f64>,
}

/// When the table must be there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Promise")]
pub(crate) struct RawPromise {
    /// HH:MM, UTC, on the day after the snapshot date.
    pub ready_by: Option<At<String>>,
    /// Hours since the end of the newest day that is there.
    pub max_age_hours: Option<At<f64>>,
}

/// How a promise is broken at an instant.
#[derive(Debug, Clone, PartialEq)]
pub enum Breach {
    /// The table lacks a day whose deadline has passed.
    Late { date: SnapshotDate, deadline: DateTime<Utc> },
    /// The newest day is older than it may be.
    Stale { latest: SnapshotDate, age_hours: f64, max_age_hours: f64 },
}

impl RawPromise {
    /// Errors: a time or an age that is none, or nothing is promised.
    pub fn read(&self, file: &TomlFile) -> Result<Promise> {
        let ready_by = self.ready_by.as_ref().map(|text| time_of_day(file, text)).transpose()?;
        let max_age_hours = self.max_age_hours.as_ref().map(|hours| hours_of(file, hours)).transpose()?;
        if ready_by.is_none() && max_age_hours.is_none() {
            return Err(file
                .error(0..0, "a promise that promises nothing")
                .hint("state ready_by = \"06:00\" (UTC, on the day after), max_age_hours = 30, or both"));
        }
        Ok(Promise { ready_by, max_age_hours })
    }
}

fn time_of_day(file: &TomlFile, text: &At<String>) -> Result<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| {
        file.error(text.span(), format!("'{text}' is not a time of day")).hint("write HH:MM in UTC: \"06:00\"")
    })
}

fn hours_of(file: &TomlFile, hours: &At<f64>) -> Result<f64> {
    let value: f64 = **hours;
    // Above a century nothing is promised, and instants would overflow.
    if value > 0.0 && value <= 1e6 {
        return Ok(value);
    }
    Err(file.error(hours.span(), format!("{value} is not a number of hours")).hint("a number above 0: 30"))
}

impl Promise {
    /// When the day must be there, if an hour is promised.
    pub fn deadline(&self, date: SnapshotDate) -> Option<DateTime<Utc>> {
        let next = date.date().checked_add_days(Days::new(1))?;
        Some(next.and_time(self.ready_by?).and_utc())
    }

    /// The latest day whose deadline has passed.
    pub fn due(&self, now: DateTime<Utc>) -> Option<SnapshotDate> {
        let ready_by = self.ready_by?;
        let days = if now.time() >= ready_by { 1 } else { 2 };
        now.date_naive().checked_sub_days(Days::new(days)).map(SnapshotDate::new)
    }

    /// What is broken now, with `latest` as the newest day that is there. A table that never had a day lacks the one that is due.
    pub fn breaches(&self, latest: Option<SnapshotDate>, now: DateTime<Utc>) -> Vec<Breach> {
        let late = self.due(now).filter(|due| latest.is_none_or(|latest| latest < *due));
        let late = late.and_then(|date| Some(Breach::Late { date, deadline: self.deadline(date)? }));
        let stale = latest.zip(self.max_age_hours).and_then(|(latest, max_age_hours)| {
            let age_hours = hours_between(latest.as_of() + TimeDelta::microseconds(1), now);
            (age_hours > max_age_hours).then_some(Breach::Stale { latest, age_hours, max_age_hours })
        });
        late.into_iter().chain(stale).collect()
    }
}

fn hours_between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_seconds() as f64 / 3600.0
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::Late { date, deadline } => {
                write!(f, "{date} was promised for {}", deadline.format("%Y-%m-%d %H:%M UTC"))
            }
            Breach::Stale { latest, age_hours, max_age_hours } => {
                write!(
                    f,
                    "the newest day, {latest}, ended {age_hours:.0} hours ago, and at most {max_age_hours} are promised"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> SnapshotDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn promise(ready_by: Option<&str>, max_age_hours: Option<f64>) -> Promise {
        Promise { ready_by: ready_by.map(|text| NaiveTime::parse_from_str(text, "%H:%M").unwrap()), max_age_hours }
    }

    #[test]
    fn a_day_is_due_at_its_hour_on_the_day_after() {
        let promise = promise(Some("06:00"), None);
        assert_eq!(promise.deadline(day("2026-11-20")), Some(at("2026-11-21T06:00:00Z")));
        assert_eq!(promise.due(at("2026-11-21T05:59:59Z")), Some(day("2026-11-19")));
        assert_eq!(promise.due(at("2026-11-21T06:00:00Z")), Some(day("2026-11-20")));
    }

    #[test]
    fn a_table_is_late_from_the_deadline_on_until_the_day_is_there() {
        let promise = promise(Some("06:00"), None);
        let late = |latest: Option<&str>, now| promise.breaches(latest.map(day), at(now));
        let missed = vec![Breach::Late { date: day("2026-11-20"), deadline: at("2026-11-21T06:00:00Z") }];
        assert_eq!(late(Some("2026-11-19"), "2026-11-21T05:59:00Z"), []);
        assert_eq!(late(Some("2026-11-19"), "2026-11-21T06:00:00Z"), missed);
        assert_eq!(late(None, "2026-11-21T06:00:00Z"), missed);
        assert_eq!(late(Some("2026-11-20"), "2026-11-22T05:59:00Z"), []);
        assert_eq!(missed[0].to_string(), "2026-11-20 was promised for 2026-11-21 06:00 UTC");
    }

    #[test]
    fn the_newest_day_may_be_so_many_hours_old_and_no_more() {
        let promise = promise(None, Some(30.0));
        assert_eq!(promise.due(at("2026-11-22T00:00:00Z")), None);
        assert_eq!(promise.breaches(Some(day("2026-11-20")), at("2026-11-22T06:00:00Z")), []);
        let stale = promise.breaches(Some(day("2026-11-20")), at("2026-11-22T07:00:00Z"));
        assert_eq!(stale[0].to_string(), "the newest day, 2026-11-20, ended 31 hours ago, and at most 30 are promised");
        assert_eq!(promise.breaches(None, at("2026-11-22T07:00:00Z")), []);
    }
}
