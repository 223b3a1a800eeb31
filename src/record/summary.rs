//! A run in one row: what its events add up to.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::event::{Ending, Event, What};
use super::lease::TIME_TO_LIVE;
use super::process::Liveness;
use crate::names::{JobName, RunId, SnapshotDate};

/// One row a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    pub run_id: RunId,
    pub date: SnapshotDate,
    /// `None` when the run's first event cannot be read.
    pub environment: Option<String>,
    #[serde(serialize_with = "super::instant::serialize")]
    pub started_at: DateTime<Utc>,
    /// `None` until the run has finished.
    pub elapsed_ms: Option<u64>,
    pub jobs: Vec<JobName>,
    pub outcome: Outcome,
    /// Rows of all partitions that the run published.
    pub rows: u64,
    /// `None` until the run has finished.
    pub exit_code: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    UpToDate,
    Failed,
    Running,
    /// It has no last event and is not alive. Running the same jobs again finishes its work.
    Interrupted,
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Succeeded => Outcome::Succeeded,
            Ending::UpToDate => Outcome::UpToDate,
            Ending::Failed => Outcome::Failed,
        }
    }
}

/// Adds up the readable events of a run. `first_seen` is when its folder got its first file, for a run whose first event
/// cannot be read.
pub(super) fn summarise(
    run_id: RunId,
    date: SnapshotDate,
    events: &[Event],
    first_seen: DateTime<Utc>,
    now: DateTime<Utc>,
) -> RunSummary {
    let mut summary = RunSummary {
        run_id,
        date,
        environment: None,
        started_at: first_seen,
        elapsed_ms: None,
        jobs: Vec::new(),
        outcome: unfinished(events, first_seen, now),
        rows: 0,
        exit_code: None,
    };
    for event in events {
        match &event.what {
            What::RunStarted { environment, jobs, .. } => {
                summary.environment = Some(environment.clone());
                summary.started_at = event.at;
                summary.jobs.clone_from(jobs);
            }
            // Without the run's first event, the jobs that were reached are all that is known.
            What::JobStarted { job, .. } if !summary.jobs.contains(job) => summary.jobs.push(job.clone()),
            What::Published { rows, .. } => summary.rows = summary.rows.saturating_add(*rows),
            What::RunFinished { outcome, exit_code, elapsed_ms } => {
                summary.outcome = (*outcome).into();
                summary.exit_code = Some(*exit_code);
                summary.elapsed_ms = Some(*elapsed_ms);
            }
            _ => {}
        }
    }
    summary
}

/// The outcome of a run that did not say one. Where its process cannot be asked, a run that has written nothing for as
/// long as a lease lives counts as interrupted; a long step on another machine may look so until its next event.
fn unfinished(events: &[Event], first_seen: DateTime<Utc>, now: DateTime<Utc>) -> Outcome {
    let process = events.iter().find_map(|event| match &event.what {
        What::RunStarted { process, .. } => Some(process),
        _ => None,
    });
    let last_seen = events.last().map_or(first_seen, |event| event.at);
    match process.map_or(Liveness::Unknown, |process| process.liveness()) {
        Liveness::Alive => Outcome::Running,
        Liveness::Gone => Outcome::Interrupted,
        Liveness::Unknown if now - last_seen > TIME_TO_LIVE => Outcome::Interrupted,
        Liveness::Unknown => Outcome::Running,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::event::tests::{finished, published, started};
    use super::super::process::ProcessId;
    use super::*;

    const DATE: &str = "2026-11-20";

    fn events(whats: Vec<What>) -> Vec<Event> {
        let id = RunId::new(DateTime::UNIX_EPOCH, 1);
        let numbered = (1..).zip(whats);
        numbered.map(|(n, what)| Event { n, at: DateTime::UNIX_EPOCH, run_id: id.clone(), what }).collect()
    }

    fn summary(whats: Vec<What>, now: DateTime<Utc>) -> RunSummary {
        let id = RunId::new(DateTime::UNIX_EPOCH, 1);
        summarise(id, DATE.parse().unwrap(), &events(whats), DateTime::UNIX_EPOCH, now)
    }

    #[test]
    fn a_finished_run_is_what_it_said_however_its_process_fares() {
        let got = summary(
            vec![
                started(DATE, &["a", "b"], ProcessId::current()),
                published("a", 3),
                published("b", 4),
                finished(Ending::Succeeded, 0),
            ],
            Utc::now(),
        );
        assert_eq!((got.outcome, got.rows, got.exit_code), (Outcome::Succeeded, 7, Some(0)));
        assert_eq!((got.elapsed_ms, got.environment.as_deref(), got.jobs.len()), (Some(1234), Some("dev"), 2));
    }

    #[test]
    fn an_unfinished_run_is_asked_for_its_process() {
        let me = ProcessId::current();
        let namesake = ProcessId { start_ticks: me.start_ticks + 1, ..me.clone() };
        let outcome = |process| summary(vec![started(DATE, &[], process)], Utc::now()).outcome;
        assert_eq!(outcome(me), Outcome::Running);
        assert_eq!(outcome(namesake), Outcome::Interrupted);
    }

    #[test]
    fn a_silent_run_on_another_host_counts_as_interrupted_after_the_life_of_a_lease() {
        let process = ProcessId { host: "elsewhere".into(), ..ProcessId::current() };
        let after = |seconds| {
            let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
            summary(vec![started(DATE, &[], process.clone())], now).outcome
        };
        assert_eq!(after(60), Outcome::Running);
        assert_eq!(after(61), Outcome::Interrupted);
    }
}
