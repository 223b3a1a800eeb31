//! How a table stands against its promise at an instant.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::facts::{TableFacts, instant};
use crate::job::Mode;
use crate::names::SnapshotDate;
use crate::promise::Breach;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PromiseState {
    NoPromise,
    OnTime,
    /// A day is not there whose hour has passed.
    Late {
        /// The first day that is missing.
        date: SnapshotDate,
        /// The last day whose hour has passed.
        due: SnapshotDate,
        /// The hour of the first.
        #[serde(serialize_with = "instant")]
        since: DateTime<Utc>,
    },
    /// The newest day is older than it may be.
    Stale {
        latest: SnapshotDate,
        age_hours: f64,
        max_age_hours: f64,
    },
    /// The lake does not tell which day is the newest.
    Unknown,
}

impl PromiseState {
    pub fn of(table: &TableFacts, now: DateTime<Utc>) -> PromiseState {
        let Some(promise) = &table.promise else { return PromiseState::NoPromise };
        let latest = table.latest.as_ref().map(|latest| latest.date);
        if table.unreadable.is_some() || latest == Some(None) {
            return PromiseState::Unknown;
        }
        let latest = latest.flatten();
        let breaches = promise.breaches(latest, now);
        let Some(worst) = breaches.into_iter().next() else { return PromiseState::OnTime };
        match worst {
            Breach::Stale { latest, age_hours, max_age_hours } => {
                PromiseState::Stale { latest, age_hours, max_age_hours }
            }
            Breach::Late { date: due, deadline } => {
                // A whole table shows one day: those between are not missing, only the last one is.
                let next = latest.and_then(SnapshotDate::next).filter(|_| table.mode != Mode::Replace);
                let date = next.unwrap_or(due);
                let since = latest.and_then(SnapshotDate::next).and_then(|first| promise.deadline(first));
                PromiseState::Late { date, due, since: since.unwrap_or(deadline) }
            }
        }
    }

    /// Whether there is a promise and it is kept.
    pub fn is_kept(&self) -> bool {
        matches!(self, PromiseState::OnTime)
    }
}
