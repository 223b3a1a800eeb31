//! What is wrong with a table, each with one sentence that says why and the command to type next.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::facts::{JobOutcome, LastRun, TableFacts};
use super::judge::PromiseState;
use crate::error::ErrorKind;
use crate::job::Severity as CheckSeverity;
use crate::names::{JobName, RunId, SnapshotDate};

/// Who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody yet.
    Note,
    /// Something is not there that should be; a run may mend it.
    Missing,
    /// A person: no run mends it by itself.
    Broken,
}

impl Severity {
    /// For monitors.
    pub fn exit_code(self) -> u8 {
        match self {
            Severity::Note => 0,
            Severity::Missing => ErrorKind::InputMissing.exit_code(),
            Severity::Broken => ErrorKind::CheckBlocked.exit_code(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    Failed,
    Unreadable,
    Interrupted,
    Late,
    Stale,
    NeverPublished,
    Gaps,
    Skipped,
    NotInBigquery,
    Untold,
    /// The last run found no input, or another run at work, and nothing is late.
    Waits,
    Warns,
}

impl ReasonKind {
    /// Whether trouble of what the job reads explains it.
    pub(super) fn follows_upstream(self) -> bool {
        use ReasonKind::{Late, NeverPublished, Skipped, Stale, Waits, Warns};
        matches!(self, Late | Stale | NeverPublished | Skipped | Waits | Warns)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub kind: ReasonKind,
    pub severity: Severity,
    pub text: String,
    /// The command to type next.
    pub next: String,
}

/// The commands that a reader can type; `flags` are those of the call that lead to the same project and environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commands<'a> {
    pub flags: &'a str,
}

impl Commands<'_> {
    fn run(self, job: &JobName, date: SnapshotDate) -> String {
        format!("gatefold run {job} --date {date}{}", self.flags)
    }

    fn show(self, run: &RunId) -> String {
        format!("gatefold show {run}{}", self.flags)
    }

    fn days(self, job: &JobName, from: SnapshotDate, to: SnapshotDate) -> String {
        match from == to {
            true => self.run(job, from),
            false => format!("gatefold backfill {job} --from {from} --to {to}{}", self.flags),
        }
    }

    fn plan(self, job: &JobName) -> String {
        format!("gatefold plan {job}{}", self.flags)
    }
}

/// Everything that is to be said of a table, the worst first.
pub(super) fn reasons(
    table: &TableFacts,
    promise: &PromiseState,
    now: DateTime<Utc>,
    commands: Commands<'_>,
) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = [
        unreadable(table, commands),
        table.last_run.as_ref().and_then(|run| last_run(table, run, promise, now, commands)),
        broken_promise(table, promise, now, commands),
        never_published(table, promise, commands),
        gaps(table, commands),
        not_in_bigquery(table, commands),
        warns(table, commands),
    ]
    .into_iter()
    .flatten()
    .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
    reasons
}

fn unreadable(table: &TableFacts, commands: Commands<'_>) -> Option<Reason> {
    let why = table.unreadable.as_ref()?;
    Some(Reason {
        kind: ReasonKind::Unreadable,
        severity: Severity::Broken,
        text: format!("its log cannot be read: {why}"),
        next: commands.plan(&table.job),
    })
}

fn last_run(
    table: &TableFacts,
    run: &LastRun,
    promise: &PromiseState,
    now: DateTime<Utc>,
    commands: Commands<'_>,
) -> Option<Reason> {
    let again = commands.run(&table.job, run.date);
    let (kind, severity, text, next) = match &run.outcome {
        JobOutcome::Published | JobOutcome::UpToDate | JobOutcome::Running => return None,
        JobOutcome::Failed { exit_code, why, .. } => {
            let text = format!("the run for {} failed ({exit_code}): {why}", run.date);
            match exit_code {
                // Inputs come when they come, and the other run may do the work: the promise says when it is too late.
                10 | 14 if promise.is_kept() => (ReasonKind::Waits, Severity::Note, text, again),
                10 | 13 | 14 => (ReasonKind::Failed, Severity::Missing, text, again),
                _ => (ReasonKind::Failed, Severity::Broken, text, commands.show(&run.run_id)),
            }
        }
        JobOutcome::Skipped { because } => {
            let text = format!("the run for {} skipped it, because {because} did not succeed", run.date);
            (ReasonKind::Skipped, Severity::Missing, text, again)
        }
        JobOutcome::Interrupted => {
            let text = format!("the run for {} that began {} ago died", run.date, span(now - run.started_at));
            (ReasonKind::Interrupted, Severity::Missing, text, again)
        }
        JobOutcome::Untold => {
            let text = format!("the record of the run for {} does not say how it went", run.date);
            (ReasonKind::Untold, Severity::Missing, text, commands.show(&run.run_id))
        }
    };
    Some(Reason { kind, severity, text, next })
}

fn broken_promise(
    table: &TableFacts,
    promise: &PromiseState,
    now: DateTime<Utc>,
    commands: Commands<'_>,
) -> Option<Reason> {
    let running = table.last_run.as_ref().filter(|run| run.outcome == JobOutcome::Running);
    let instead = |next: String| running.map_or(next, |run| commands.show(&run.run_id));
    match promise {
        PromiseState::NoPromise | PromiseState::OnTime | PromiseState::Unknown => None,
        PromiseState::Late { date, due, since } => {
            let what = match date == due {
                true => format!("{date} is not there"),
                false => format!("{date} to {due} are not there"),
            };
            let hour = since.format("%Y-%m-%d %H:%M UTC");
            let text = format!("late since {hour}, {}: {what}{}", span(now - *since), tried(table, *due));
            let next = instead(commands.days(&table.job, *date, *due));
            Some(Reason { kind: ReasonKind::Late, severity: Severity::Missing, text, next })
        }
        PromiseState::Stale { latest, age_hours, max_age_hours } => Some(Reason {
            kind: ReasonKind::Stale,
            severity: Severity::Missing,
            text: format!("stale: {latest} ended {age_hours:.0} h ago, and at most {max_age_hours} h are promised"),
            next: instead(format!("gatefold run {}{}", table.job, commands.flags)),
        }),
    }
}

/// What is known of the work on a day that is not there.
fn tried(table: &TableFacts, due: SnapshotDate) -> String {
    match &table.last_run {
        Some(LastRun { outcome: JobOutcome::Running, date, .. }) => format!("; a run for {date} is at work"),
        Some(run) if run.date >= due => String::new(),
        Some(run) => format!("; the last run was for {}", run.date),
        None => "; no run has tried".to_owned(),
    }
}

fn never_published(table: &TableFacts, promise: &PromiseState, commands: Commands<'_>) -> Option<Reason> {
    let late = matches!(promise, PromiseState::Late { .. });
    (table.latest.is_none() && table.unreadable.is_none() && !late).then(|| Reason {
        kind: ReasonKind::NeverPublished,
        severity: Severity::Missing,
        text: "never published".to_owned(),
        next: format!("gatefold run {}{}", table.job, commands.flags),
    })
}

fn gaps(table: &TableFacts, commands: Commands<'_>) -> Option<Reason> {
    let (first, last) = (table.gaps.first()?, table.gaps.last()?);
    let days: Vec<String> = table.gaps.iter().map(ToString::to_string).collect();
    Some(Reason {
        kind: ReasonKind::Gaps,
        severity: Severity::Missing,
        text: format!("days are missing before the latest: {}", days.join(", ")),
        next: commands.days(&table.job, *first, *last),
    })
}

fn not_in_bigquery(table: &TableFacts, commands: Commands<'_>) -> Option<Reason> {
    let shown = table.last_run.as_ref().is_none_or(|run| run.outcome != JobOutcome::Running);
    let missing = table.in_bigquery == Some(false) && shown;
    let date = table.latest.as_ref()?.date;
    let (what, next) = match date {
        Some(date) => (date.to_string(), commands.run(&table.job, date)),
        None => ("the table".to_owned(), format!("gatefold run {}{}", table.job, commands.flags)),
    };
    missing.then(|| Reason {
        kind: ReasonKind::NotInBigquery,
        severity: Severity::Missing,
        text: format!("the lake shows {what}, and BigQuery does not yet"),
        next,
    })
}

fn warns(table: &TableFacts, commands: Commands<'_>) -> Option<Reason> {
    let run = table.audited_by.as_ref()?;
    let warnings: Vec<&str> = table
        .failing_checks
        .iter()
        .filter(|check| check.severity == CheckSeverity::Warn)
        .map(|check| check.name.as_str())
        .collect();
    (!warnings.is_empty()).then(|| Reason {
        kind: ReasonKind::Warns,
        severity: Severity::Note,
        text: format!("checks warn: {}", warnings.join(", ")),
        next: commands.show(run),
    })
}

/// A length of time in one unit: `45 s`, `12 min`, `7 h`, `3 days`.
pub fn span(time: TimeDelta) -> String {
    match time.num_seconds().max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
