//! What a range holds: every partition of it, whether it is fresh, and why it is not.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::history::Again;
use crate::job::Mode;
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::{Node, Preview, Previewed, Reason, Survey};
use crate::plan::{Plan, PlannedJob};
use crate::record::Failure;

/// What is asked for beside the range itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// To make fresh partitions again too.
    pub force: bool,
    /// That a history may be rebuilt from a day on that others build on.
    pub rebuild: bool,
}

/// How a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Visible, and made from the same inputs and texts.
    Fresh,
    /// Visible, and something of what it was made from has changed.
    Stale,
    /// Never published.
    Missing,
    /// Stale or missing, and the last run that tried to make it failed.
    Failed(Failure),
    /// Visible, and an input is gone since: it stands as it is.
    Kept,
    /// An input is not there.
    Waiting,
    /// A day of a history that others build on.
    Refused,
}

impl State {
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Fresh => "fresh",
            State::Stale => "stale",
            State::Missing => "missing",
            State::Failed(_) => "failed",
            State::Kept => "kept",
            State::Waiting => "waiting",
            State::Refused => "refused",
        }
    }

    fn of(reason: &Reason) -> State {
        match reason {
            Reason::UpToDate(_) => State::Fresh,
            Reason::NeverPublished
            | Reason::Broken { published_by: None, .. }
            | Reason::Upstream { published_by: None, .. } => State::Missing,
            Reason::Changed { .. }
            | Reason::Forced { .. }
            | Reason::Upstream { .. }
            | Reason::Broken { .. }
            | Reason::Rebuilt { .. }
            | Reason::NotLoaded(_) => State::Stale,
            reason if reason.is_kept() => State::Kept,
            Reason::Missing { .. } | Reason::Behind { .. } => State::Waiting,
            Reason::Refused { .. } => State::Refused,
        }
    }
}

/// A partition of the range.
pub struct Entry<'a> {
    pub planned: PlannedJob<'a>,
    pub date: SnapshotDate,
    pub reason: Reason,
    pub state: State,
}

impl Entry<'_> {
    pub fn node(&self) -> Node {
        (self.planned.job.name.clone(), self.planned.partition)
    }

    /// Whether the backfill has something to do for it.
    pub fn runs(&self) -> bool {
        self.reason.runs()
    }
}

/// Every partition of a range, by day and then in the order of the jobs. A table that is replaced as a whole is there once:
/// for the last day that it can be made for.
pub struct Agenda<'a> {
    pub entries: Vec<Entry<'a>>,
}

/// Looks at a range: `plans` are those of its days, the earliest first.
pub async fn agenda<'a>(plans: &[Plan<'a>], survey: &Survey<'_>, wish: Wish) -> Result<Agenda<'a>> {
    survey.look_ahead(plans.iter().flat_map(|plan| &plan.jobs)).await?;
    let mut previewed = judged(plans, survey, wish).await?;
    // As the days run; whole tables were judged at the end.
    previewed.sort_by_key(|previewed| previewed.date);
    let to_make = previewed.iter().filter(|previewed| previewed.reason.runs()).map(|previewed| previewed.date);
    survey.look_for_failures(to_make.collect::<BTreeSet<_>>()).await?;
    let mut entries = Vec::with_capacity(previewed.len());
    for Previewed { planned, date, reason, .. } in previewed {
        let state = state(survey, &planned, date, &reason).await?;
        entries.push(Entry { planned, date, reason, state });
    }
    Ok(Agenda { entries })
}

/// A whole table that will be made anew changes what all days read, also those before it, and is judged last: so the days are
/// judged again until no other such table comes up.
async fn judged<'a>(plans: &[Plan<'a>], survey: &Survey<'_>, wish: Wish) -> Result<Vec<Previewed<'a>>> {
    let mut expected: BTreeSet<JobName> = BTreeSet::new();
    loop {
        let previewed = judged_once(plans, survey, wish, &expected).await?;
        let whole = previewed.iter().filter(|p| is_whole(&p.planned) && p.reason.makes());
        let found: BTreeSet<JobName> = whole.map(|p| p.planned.job.name.clone()).collect();
        if found.is_subset(&expected) || plans.len() == 1 {
            return Ok(previewed);
        }
        expected.extend(found);
    }
}

async fn judged_once<'a>(
    plans: &[Plan<'a>],
    survey: &Survey<'_>,
    wish: Wish,
    expected: &BTreeSet<JobName>,
) -> Result<Vec<Previewed<'a>>> {
    let last = plans.last().map(|plan| plan.date);
    let again = Again { force: wish.force, rebuild_to: last.filter(|_| wish.rebuild) };
    let mut preview = Preview::new(survey, again);
    expected.iter().for_each(|whole| preview.expect(whole));
    let mut all = Vec::new();
    for plan in plans {
        for (place, planned) in plan.jobs.iter().enumerate() {
            if !is_whole(planned) {
                all.push(preview.judge(plan, planned).await?);
            } else if Some(plan.date) == last {
                all.push(judge_whole(&mut preview, plans, place).await?);
            }
        }
    }
    Ok(all)
}

/// A whole table for the last day that it can be made for; for the last of all when there is none.
async fn judge_whole<'a>(preview: &mut Preview<'_>, plans: &[Plan<'a>], place: usize) -> Result<Previewed<'a>> {
    let mut latest = None;
    for plan in plans.iter().rev() {
        let previewed = preview.judge(plan, &plan.jobs[place]).await?;
        if !previewed.reason.is_stuck() {
            return Ok(previewed);
        }
        latest.get_or_insert(previewed);
    }
    latest.ok_or_else(|| crate::error::Error::internal("a range without days"))
}

fn is_whole(planned: &PlannedJob<'_>) -> bool {
    planned.job.table.mode == Mode::Replace
}

async fn state(survey: &Survey<'_>, planned: &PlannedJob<'_>, date: SnapshotDate, reason: &Reason) -> Result<State> {
    let state = State::of(reason);
    if !matches!(state, State::Stale | State::Missing) {
        return Ok(state);
    }
    let failure = survey.failure(planned.job, date).await?;
    // A publication that came after the failure has mended it.
    let counts = |failure: &Failure| reason.published_by().is_none_or(|published_by| *published_by <= failure.run);
    Ok(failure.filter(counts).map_or(state, State::Failed))
}
