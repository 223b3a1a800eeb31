//! What runs would do and why, without doing any of it: for one date, or for one after the other, where what is made for a
//! day changes what the next days find.

use std::collections::BTreeMap;

use super::inputs::fingerprint;
use super::reason::Reason;
use super::survey::{Looked, Survey};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{Again, Applied, Due};
use crate::job::Mode;
use crate::names::{JobName, Partition, RunId, SnapshotDate};
use crate::plan::{Plan, PlannedInput, PlannedJob, PlannedSource, partition_of};
use crate::publish::LakeTable;
use crate::record::{InputRecord, Standing};
use crate::storage::Storage;

/// A partition of a job's table.
pub type Node = (JobName, Partition);

pub struct Previewed<'a> {
    pub planned: PlannedJob<'a>,
    pub date: SnapshotDate,
    pub reason: Reason,
    /// Those that are there.
    pub inputs: Vec<InputRecord>,
}

/// Judges partitions, the earlier days first, and remembers what it said of each.
pub struct Preview<'s> {
    survey: &'s Survey<'s>,
    again: Again,
    /// What will not stay as it is found, or cannot be made.
    said: BTreeMap<Node, Said>,
    histories: BTreeMap<JobName, Walk>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Made,
    Stuck,
}

/// How far a history would get.
#[derive(Default, Clone, Copy)]
struct Walk {
    /// It is made again from the first of these days to the second.
    rebuilt: Option<(SnapshotDate, SnapshotDate)>,
    /// The first new day that cannot be taken in: those after it must wait, or it would be left out for good.
    stuck: Option<SnapshotDate>,
}

/// What a job finds of its inputs.
#[derive(Default)]
struct Found {
    records: Vec<InputRecord>,
    missing: Option<String>,
    broken: Option<String>,
    /// A job whose table it reads and that would run before.
    upstream: Option<JobName>,
    /// What should be made before and cannot be.
    behind: Option<Node>,
}

/// What a run of the plan would do.
pub async fn preview<'a>(plan: &Plan<'a>, survey: &Survey<'_>, force: bool) -> Result<Vec<Previewed<'a>>> {
    survey.look_ahead(&plan.jobs).await?;
    let mut preview = Preview::new(survey, Again { force, rebuild_to: None });
    let mut previewed = Vec::new();
    for planned in &plan.jobs {
        previewed.push(preview.judge(plan, planned).await?);
    }
    Ok(previewed)
}

impl<'s> Preview<'s> {
    /// With `rebuild_to`, histories may be rebuilt from any day up to that one.
    pub fn new(survey: &'s Survey<'s>, again: Again) -> Self {
        Preview { survey, again, said: BTreeMap::new(), histories: BTreeMap::new() }
    }

    /// Takes note beforehand that a table which is replaced as a whole will be made.
    pub fn expect(&mut self, whole: &JobName) {
        self.said.insert((whole.clone(), Partition::Whole), Said::Made);
    }

    pub async fn judge<'a>(&mut self, plan: &Plan<'a>, planned: &PlannedJob<'a>) -> Result<Previewed<'a>> {
        let found = self.find(plan, planned).await?;
        let reason = match planned.job.table.mode {
            Mode::History => self.history_reason(plan, planned, &found).await?,
            Mode::Partition | Mode::Replace => self.published_reason(planned, plan.date, &found).await?,
        };
        let reason = match found.behind {
            // A rebuild must not end before the days that it undoes, and what it reads of a day is visible.
            Some((job, partition)) if reason.runs() && !matches!(reason, Reason::Rebuilt { .. }) => {
                Reason::Behind { job, partition }
            }
            _ => reason,
        };
        if planned.job.table.mode == Mode::History && reason.is_stuck() {
            self.hold_back(planned, plan.date).await?;
        }
        self.note(planned, &reason);
        Ok(Previewed { planned: planned.clone(), date: plan.date, reason, inputs: found.records })
    }

    /// The days after a new one that cannot be taken in wait for it: it could not be taken in after them.
    async fn hold_back(&mut self, planned: &PlannedJob<'_>, date: SnapshotDate) -> Result<()> {
        let table = self.survey.table(&planned.job.table.name).await?;
        if table.and_then(|table| table.applied().latest()).is_none_or(|latest| date > latest) {
            self.histories.entry(planned.job.name.clone()).or_default().stuck.get_or_insert(date);
        }
        Ok(())
    }

    fn note(&mut self, planned: &PlannedJob<'_>, reason: &Reason) {
        let node = (planned.job.name.clone(), planned.partition);
        let stuck = reason.is_stuck() && !reason.is_kept();
        let said = if reason.makes() { Some(Said::Made) } else { stuck.then_some(Said::Stuck) };
        match said {
            Some(said) => self.said.insert(node, said),
            None => self.said.remove(&node),
        };
    }

    async fn find(&self, plan: &Plan<'_>, planned: &PlannedJob<'_>) -> Result<Found> {
        let mut found = Found::default();
        for input in &planned.inputs {
            match self.said_of(input) {
                Some(((job, _), Said::Made)) => {
                    found.upstream.get_or_insert(job);
                    if let Looked::There(record) = self.survey.input(input).await? {
                        found.records.push(record);
                    }
                    continue;
                }
                Some((node, Said::Stuck)) if !input.input.optional => found.behind = found.behind.or(Some(node)),
                _ => {}
            }
            match self.survey.input(input).await? {
                Looked::There(record) => found.records.push(record),
                Looked::Missing(what) => found.missing = found.missing.or(Some(what)),
                Looked::Broken(what) => found.broken = found.broken.or(Some(what)),
            }
        }
        // A table of the same day that only a check reads stops the job too.
        let before = planned.after.iter().map(|name| (name.clone(), partition_of(&plan.project.jobs[name], plan.date)));
        let stuck = before.into_iter().find(|node| self.said.get(node) == Some(&Said::Stuck));
        found.behind = found.behind.or(stuck);
        Ok(found)
    }

    fn said_of(&self, input: &PlannedInput<'_>) -> Option<(Node, Said)> {
        let PlannedSource::Table { job, partition: Some(partition) } = &input.from else { return None };
        // A table that is replaced as a whole has no earlier day: it is read as it is found.
        if *partition == Partition::Whole && input.input.days_ago > 0 {
            return None;
        }
        let node = (job.name.clone(), *partition);
        let said = *self.said.get(&node)?;
        Some((node, said))
    }

    async fn published_reason(&self, planned: &PlannedJob<'_>, date: SnapshotDate, found: &Found) -> Result<Reason> {
        let before = self.survey.published(planned).await?;
        if let Some(reason) = hindrance(found, before.as_ref().map(|before| &before.run)) {
            return Ok(reason);
        }
        if let Some(job) = found.upstream.clone() {
            return Ok(Reason::Upstream { job, published_by: before.map(|before| before.run) });
        }
        let Some(before) = before else { return Ok(Reason::NeverPublished) };
        if self.again.force {
            return Ok(Reason::Forced { published_by: before.run });
        }
        let fingerprint = fingerprint(planned, &found.records, self.survey.key());
        if let Some(standing) = before.stands(planned, date, &fingerprint) {
            return self.standing(planned, standing).await;
        }
        let what = self.survey.changes(planned, &before.run, &found.records).await?;
        Ok(Reason::Changed { published_by: before.run, what })
    }

    async fn standing(&self, planned: &PlannedJob<'_>, standing: Standing) -> Result<Reason> {
        Ok(match self.survey.is_loaded(planned.job, &planned.partition).await? {
            true => Reason::UpToDate(standing),
            false => Reason::NotLoaded(standing),
        })
    }

    async fn history_reason(&mut self, plan: &Plan<'_>, planned: &PlannedJob<'_>, found: &Found) -> Result<Reason> {
        let (name, date) = (&planned.job.name, plan.date);
        let table = self.survey.table(&planned.job.table.name).await?;
        let applied = table.map(|table| table.applied().clone()).unwrap_or_default();
        let latest = applied.latest();
        let walk = self.histories.get(name).copied().unwrap_or_default();
        if let Some(reason) = hindrance(found, applied.get(date).map(|day| &day.run)) {
            return Ok(reason);
        }
        if let Some((from, to)) = walk.rebuilt.filter(|(_, to)| date <= *to) {
            return Ok(Reason::Rebuilt { from, to });
        }
        if let Some(stuck) = walk.stuck {
            return Ok(Reason::Behind { job: name.clone(), partition: Partition::Change(stuck) });
        }
        let fingerprint = match found.upstream {
            // Of what is made anew nobody knows it yet, and it is no other's.
            Some(_) => String::new(),
            None => fingerprint(planned, &found.records, self.survey.key()),
        };
        let alone = Again { rebuild_to: None, ..self.again };
        match applied.due(name, date, &fingerprint, alone) {
            Ok(Due::Nothing { published_by }) => {
                let standing = Standing { published_by, later: None };
                // BigQuery has the history as a whole.
                if latest == Some(date) {
                    self.standing(planned, standing).await
                } else {
                    Ok(Reason::UpToDate(standing))
                }
            }
            Ok(Due::Apply) => self.applied_again(planned, date, &applied, found).await,
            Err(error) if error.kind() == ErrorKind::Project => {
                self.rebuilt(plan, planned, &applied, &fingerprint, error).await
            }
            Err(error) => Err(error),
        }
    }

    async fn applied_again(
        &self,
        planned: &PlannedJob<'_>,
        date: SnapshotDate,
        applied: &Applied,
        found: &Found,
    ) -> Result<Reason> {
        let before = applied.get(date).map(|day| day.run.clone());
        if let Some(job) = found.upstream.clone() {
            return Ok(Reason::Upstream { job, published_by: before });
        }
        match before {
            None => Ok(Reason::NeverPublished),
            Some(published_by) if self.again.force => Ok(Reason::Forced { published_by }),
            Some(published_by) => {
                let what = self.survey.changes(planned, &published_by, &found.records).await?;
                Ok(Reason::Changed { published_by, what })
            }
        }
    }

    /// A day that others build on: refused, or the first of a rebuild where that is allowed and can be carried through.
    async fn rebuilt(
        &mut self,
        plan: &Plan<'_>,
        planned: &PlannedJob<'_>,
        applied: &Applied,
        fingerprint: &str,
        alone: Error,
    ) -> Result<Reason> {
        let (name, date) = (&planned.job.name, plan.date);
        let (Some(_), Some(latest)) = (self.again.rebuild_to, applied.latest()) else { return Ok(refused(&alone)) };
        if let Err(short) = applied.due(name, date, fingerprint, self.again) {
            return Ok(refused(&short));
        }
        for day in applied.days_after(date) {
            let later = Plan::of_one(plan.project, planned.job, day);
            let found = self.find(&later, &later.jobs[0]).await?;
            if let Some(what) = found.missing.or(found.broken) {
                let what = format!("a rebuild from {date} on would end before {day}, for which {what}");
                return Ok(Reason::Refused { what });
            }
        }
        self.histories.entry(name.clone()).or_default().rebuilt = Some((date, latest));
        Ok(Reason::Rebuilt { from: date, to: latest })
    }
}

/// What keeps a job from running, whatever was published before.
fn hindrance(found: &Found, published_by: Option<&RunId>) -> Option<Reason> {
    let published_by = || published_by.cloned();
    let missing = found.missing.clone().map(|what| Reason::Missing { what, published_by: published_by() });
    missing.or_else(|| found.broken.clone().map(|what| Reason::Broken { what, published_by: published_by() }))
}

fn refused(error: &Error) -> Reason {
    let hint = error.hint_text().map(|hint| format!("; {hint}")).unwrap_or_default();
    Reason::Refused { what: format!("{}{hint}", error.message()) }
}

/// What a run of the day would find. Errors (exit 2): the day is not the history's to take in.
pub(super) async fn due(
    planned: &PlannedJob<'_>,
    lake: &Storage,
    date: SnapshotDate,
    fingerprint: &str,
    again: Again,
) -> Result<Due> {
    let table = LakeTable::open(lake, &planned.job.table.name).await?;
    let applied = table.map(|table| table.applied().clone()).unwrap_or_default();
    applied.due(&planned.job.name, date, fingerprint, again)
}
