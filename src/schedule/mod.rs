//! A schedule as its file states it: when jobs run, which day, how often they are tried, what their tables promise.
//!
//! What Airflow, Kubernetes and cron are told is [rendered](render) from it, so that nothing is typed twice.

pub mod airflow;
pub mod cron;
pub mod duration;
pub mod kubernetes;
mod pod;
mod raw;
mod read;
pub mod render;
mod ticks;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::contract::Location;
use crate::error::ErrorKind;
use crate::names::{JobName, ScheduleName, SnapshotDate};
use crate::promise::Promise;

pub use pod::{Kubernetes, Resources, SecretKey};
pub use raw::schedule_schema;
pub(crate) use read::load;
pub use ticks::Cron;

/// The folder of the schedules, and of what is rendered from them.
pub const FOLDER: &str = "schedules";

#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub name: ScheduleName,
    pub description: String,
    pub owner: String,
    pub cron: Cron,
    pub time_zone: Tz,
    /// At least one, in the order in which they run. No other schedule has one of them.
    pub jobs: Vec<JobName>,
    /// The selectors that named them, as written.
    pub selectors: Vec<String>,
    /// Where they are named.
    pub jobs_at: Location,
    /// The first snapshot date.
    pub start: SnapshotDate,
    /// The environment of the project that it runs in; pods have their own.
    pub env: String,
    pub catch_up: bool,
    pub retries: Retries,
    pub wait: Wait,
    /// How long one job may take.
    pub timeout: Duration,
    /// For jobs that state none themselves; see [`Project::promise_of`](crate::project::Project::promise_of).
    pub promise: Option<Promise>,
    pub airflow: Airflow,
    pub kubernetes: Option<Kubernetes>,
    pub crontab: Option<Crontab>,
    /// The file, relative to the project.
    pub file: PathBuf,
}

/// How often a run that failed in passing is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    pub count: u32,
    /// Before each.
    pub wait: Duration,
}

/// How a run waits for inputs: it looks for them `every` so often, until `total` has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub total: Duration,
    pub every: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Airflow {
    pub runner: Runner,
}

/// Where tasks of Airflow run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// On the worker, which has the program and the project.
    Local,
    /// In a pod, as the schedule's [`Kubernetes`] says, which is there.
    Kubernetes,
}

/// The machine whose cron starts a schedule: absolute paths that need no quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crontab {
    pub project: String,
    pub program: String,
}

/// Whether a scheduler starts a run again that failed so. Inputs are waited for while a run lasts, so one that ends for want of
/// them has waited long enough; for what the project, the data or the checks say, a person is needed.
pub fn tried_again(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Publish | ErrorKind::LeaseHeld | ErrorKind::Internal)
}

/// The exit codes after which a run is started again, or with `false` those after which it is not; sorted.
pub fn exit_codes(again: bool) -> Vec<u8> {
    let kinds = ErrorKind::ALL.into_iter().filter(|kind| tried_again(*kind) == again);
    kinds.map(ErrorKind::exit_code).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A start of a schedule, and the day that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    pub at: DateTime<Tz>,
    pub day: SnapshotDate,
}

impl Schedule {
    /// The ticks after an instant that run a day from `start` on, one after the other; they end with the calendar.
    pub fn ticks_after(&self, after: DateTime<Utc>) -> impl Iterator<Item = Tick> + '_ {
        // The tick that runs the first day comes after the tick of that day.
        let after = after.max(self.start.begin() - chrono::TimeDelta::days(1));
        std::iter::successors(self.cron.next(after, self.time_zone), |tick| {
            self.cron.next(tick.with_timezone(&Utc), self.time_zone)
        })
        .filter_map(|at| self.tick(at))
        .filter(|tick| tick.day >= self.start)
    }

    /// The last tick at or before an instant; none before the one that runs `start`.
    pub fn latest_tick(&self, now: DateTime<Utc>) -> Option<Tick> {
        let at = self.cron.previous(now.checked_add_signed(chrono::TimeDelta::nanoseconds(1))?, self.time_zone)?;
        self.tick(at).filter(|tick| tick.day >= self.start)
    }

    /// How long a run may take, not counting its waiting: no longer than all jobs one after the other.
    pub fn limit(&self) -> Duration {
        self.timeout.saturating_mul(u32::try_from(self.jobs.len()).unwrap_or(u32::MAX))
    }

    /// The command that runs the schedule, as a scheduler starts it; `env` is that of the place where it runs.
    pub fn command(&self, env: &str) -> Vec<String> {
        ["schedule", "run", self.name.as_str(), "--env", env].map(str::to_owned).to_vec()
    }

    fn tick(&self, at: DateTime<Tz>) -> Option<Tick> {
        self.cron.day(at.with_timezone(&Utc), self.time_zone).map(|day| Tick { at, day })
    }
}

#[cfg(test)]
mod tests;
