//! What a run means to do: jobs, partitions and inputs for one date, resolved and printable. No file is touched here.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::SnapshotContract;
use crate::error::{Error, Result};
use crate::job::{Input, InputSource, Job};
use crate::names::{JobName, Partition, SnapshotDate, SnapshotName};
use crate::project::{Project, upstream};

/// The jobs of one run, in an order in which each comes after those that it reads.
#[derive(Debug)]
pub struct Plan<'a> {
    pub project: &'a Project,
    pub date: SnapshotDate,
    pub jobs: Vec<PlannedJob<'a>>,
}

#[derive(Debug, Clone)]
pub struct PlannedJob<'a> {
    pub job: &'a Job,
    pub partition: Partition,
    pub inputs: Vec<PlannedInput<'a>>,
    /// Jobs of this plan that must be done before.
    pub after: Vec<JobName>,
}

#[derive(Debug, Clone)]
pub struct PlannedInput<'a> {
    pub input: &'a Input,
    pub from: PlannedSource<'a>,
}

#[derive(Debug, Clone)]
pub enum PlannedSource<'a> {
    Snapshot {
        contract: &'a SnapshotContract,
        date: SnapshotDate,
    },
    /// The partition of another job's table; `None` when it would lie before the first day of the calendar.
    Table {
        job: &'a Job,
        partition: Option<Partition>,
    },
}

impl<'a> Plan<'a> {
    /// Errors (exit 2): a selector that names nothing.
    pub fn resolve(project: &'a Project, date: SnapshotDate, selectors: &[String]) -> Result<Plan<'a>> {
        let selected = project.select(selectors)?;
        if selected.is_empty() {
            return Err(Error::project("there is no job to run").hint("write one into jobs/, or see gatefold init"));
        }
        let chosen: BTreeSet<&JobName> = selected.iter().collect();
        let jobs = selected.iter().map(|name| planned(project, &project.jobs[name], date, &chosen)).collect();
        Ok(Plan { project, date, jobs })
    }

    /// One job by itself, whatever it should come after.
    pub fn of_one(project: &'a Project, job: &'a Job, date: SnapshotDate) -> Plan<'a> {
        Plan { project, date, jobs: vec![planned(project, job, date, &BTreeSet::new())] }
    }

    /// The same for some of its jobs.
    #[must_use]
    pub fn only(&self, jobs: &BTreeSet<JobName>) -> Plan<'a> {
        let chosen = self.jobs.iter().filter(|planned| jobs.contains(&planned.job.name)).cloned();
        let mut chosen: Vec<PlannedJob<'a>> = chosen.collect();
        chosen.iter_mut().for_each(|planned| planned.after.retain(|name| jobs.contains(name)));
        Plan { project: self.project, date: self.date, jobs: chosen }
    }

    /// The snapshots that the plan reads, each once.
    pub fn snapshots(&self) -> BTreeMap<&'a SnapshotName, &'a SnapshotContract> {
        let inputs = self.jobs.iter().flat_map(|job| &job.inputs);
        let contracts = inputs.filter_map(|input| match &input.from {
            PlannedSource::Snapshot { contract, .. } => Some((&contract.name, *contract)),
            PlannedSource::Table { .. } => None,
        });
        contracts.collect()
    }
}

fn planned<'a>(project: &'a Project, job: &'a Job, date: SnapshotDate, chosen: &BTreeSet<&JobName>) -> PlannedJob<'a> {
    let inputs: Vec<PlannedInput<'a>> =
        job.inputs.iter().map(|input| PlannedInput { input, from: source_of(project, input, date) }).collect();
    let after = upstream(job).into_keys().filter(|name| chosen.contains(name)).cloned().collect();
    PlannedJob { job, partition: partition_of(job, date), after, inputs }
}

fn source_of<'a>(project: &'a Project, input: &'a Input, date: SnapshotDate) -> PlannedSource<'a> {
    match &input.source {
        InputSource::Snapshot(name) => PlannedSource::Snapshot { contract: &project.snapshots[name], date },
        InputSource::Table(name) => {
            let job = &project.jobs[name];
            let partition = date.days_ago(input.days_ago).map(|date| partition_of(job, date));
            PlannedSource::Table { job, partition }
        }
    }
}

pub fn partition_of(job: &Job, date: SnapshotDate) -> Partition {
    job.table.mode.partition(date)
}
