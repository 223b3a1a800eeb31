//! When a table must be there: what its job, or the schedule that runs it, promises to those who read it.

use std::fmt;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
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

/// What is promised of one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Pledge {
    /// As a person would say it: `ready by 06:00 UTC`.
    pub text: String,
    /// Until then it can be kept.
    pub deadline: DateTime<Utc>,
}

/// The variable that sets the clock to an instant, as `2026-11-21T04:00:00Z`, so that tests have a morning of their own.
pub const NOW_VARIABLE: &str = "GATEFOLD_NOW";

/// What tells whether a deadline has passed. It decides no row of any table.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    fixed: Option<DateTime<Utc>>,
}

impl Clock {
    /// # Errors
    /// `Project`: [`NOW_VARIABLE`] holds no instant.
    pub fn read() -> Result<Clock> {
        let text = std::env::var(NOW_VARIABLE).ok().filter(|text| !text.is_empty());
        let fixed = text.map(|text| {
            text.parse().map_err(|_| {
                Error::project(format!("'{text}' is not an instant"))
                    .with("variable", NOW_VARIABLE)
                    .hint("write it as 2026-11-21T06:00:00Z, or unset the variable")
            })
        });
        Ok(Clock { fixed: fixed.transpose()? })
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.fixed.unwrap_or_else(Utc::now)
    }
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

    /// What is promised of a day. That the newest day is at most so many hours old means for each day that it is there when the
    /// day before it gets too old.
    pub fn pledges(&self, date: SnapshotDate) -> Vec<Pledge> {
        let by_hour = self.ready_by.zip(self.deadline(date)).map(|(ready_by, deadline)| Pledge {
            text: format!("ready by {} UTC", ready_by.format("%H:%M")),
            deadline,
        });
        let by_age = self.max_age_hours.map(|hours| Pledge {
            text: format!("at most {hours} hours old"),
            deadline: date.begin() + TimeDelta::milliseconds((hours * 3_600_000.0) as i64),
        });
        by_hour.into_iter().chain(by_age).collect()
    }

    /// The pledge of a day that is judged now: the one whose deadline has passed, while that of the next day has not. Who runs
    /// an older day mends the past; that it was late was told when it was the newest.
    pub fn judged(&self, date: SnapshotDate, now: DateTime<Utc>) -> Option<Pledge> {
        let next = date.next().map(|next| self.pledges(next)).unwrap_or_default();
        let pledges = self.pledges(date).into_iter().enumerate();
        let judged = pledges
            .filter(|(kind, pledge)| pledge.deadline < now && next.get(*kind).is_none_or(|next| now <= next.deadline));
        judged.map(|(_, pledge)| pledge).min_by_key(|pledge| pledge.deadline)
    }

    /// The newest day that is judged now, and what was promised of it.
    pub fn judged_now(&self, now: DateTime<Utc>) -> Option<(SnapshotDate, Pledge)> {
        let today = SnapshotDate::new(now.date_naive());
        // A day is judged within its age and the day after it.
        let reach = self.max_age_hours.map_or(0, |hours| (hours / 24.0) as u32) + 3;
        let days = (0..=reach).filter_map(|ago| today.days_ago(ago));
        days.into_iter().find_map(|day| Some((day, self.judged(day, now)?)))
    }

    /// Whether a day can be judged, now or later.
    pub fn is_current(&self, date: SnapshotDate, now: DateTime<Utc>) -> bool {
        date.next().is_some_and(|next| self.pledges(next).iter().any(|pledge| now <= pledge.deadline))
    }

    /// Whether all that is promised of a day may still be kept.
    pub fn is_open(&self, date: SnapshotDate, now: DateTime<Utc>) -> bool {
        self.pledges(date).iter().all(|pledge| now <= pledge.deadline)
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
    fn a_day_is_judged_from_its_deadline_to_that_of_the_next() {
        let by_hour = promise(Some("06:00"), None);
        // The age that says the same: the day before ended at midnight, 30 hours before six o'clock of the day after.
        let by_age = promise(None, Some(30.0));
        for promise in [&by_hour, &by_age] {
            let judged = |now| promise.judged(day("2026-11-20"), at(now)).map(|pledge| pledge.deadline);
            let deadline = at("2026-11-21T06:00:00Z");
            assert_eq!(judged("2026-11-21T06:00:00Z"), None, "{promise:?}");
            assert_eq!(judged("2026-11-21T06:00:01Z"), Some(deadline), "{promise:?}");
            assert_eq!(judged("2026-11-22T06:00:00Z"), Some(deadline), "{promise:?}");
            assert_eq!(judged("2026-11-22T06:00:01Z"), None, "{promise:?}");
            assert!(promise.is_current(day("2026-11-20"), at("2026-11-22T06:00:00Z")));
            assert!(!promise.is_current(day("2026-11-20"), at("2026-11-22T06:00:01Z")));
            assert!(promise.is_open(day("2026-11-20"), deadline));
            assert!(!promise.is_open(day("2026-11-20"), at("2026-11-21T06:00:01Z")));
        }
        let both = promise(Some("08:00"), Some(30.0));
        let judged = both.judged(day("2026-11-20"), at("2026-11-21T09:00:00Z")).unwrap();
        assert_eq!(judged.text, "at most 30 hours old");
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
