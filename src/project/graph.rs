//! Which job runs before which: an edge for every table of the same day that a job reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::Location;
use crate::error::{Error, Result};
use crate::job::{CheckKind, InputSource, Job};
use crate::names::JobName;

type Jobs = BTreeMap<JobName, Job>;

/// The jobs whose tables of the same day this one reads, in its model or in a relationship check, and where it says so.
/// Inputs of earlier days are no edges: their partitions were made by earlier runs.
pub fn upstream(job: &Job) -> BTreeMap<&JobName, &Location> {
    let checks = job.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Relationship { to: InputSource::Table(name), .. } => Some((name, &check.at)),
        _ => None,
    });
    let inputs = job.inputs.iter().filter(|input| input.days_ago == 0).filter_map(|input| match &input.source {
        InputSource::Table(name) => Some((name, &input.at)),
        InputSource::Snapshot(_) => None,
    });
    checks.chain(inputs).collect()
}

/// Every job after those it reads; among those that could be next, the first by name.
///
/// # Errors
/// `Project`: some jobs wait for each other.
pub(super) fn order(jobs: &Jobs) -> Result<Vec<JobName>> {
    let mut waits: BTreeMap<&JobName, BTreeSet<&JobName>> =
        jobs.iter().map(|(name, job)| (name, upstream(job).into_keys().collect())).collect();
    let mut order = Vec::with_capacity(jobs.len());
    while let Some(next) = waits.iter().find(|(_, upstream)| upstream.is_empty()).map(|(name, _)| *name) {
        waits.remove(next);
        waits.values_mut().for_each(|upstream| {
            upstream.remove(next);
        });
        order.push(next.clone());
    }
    match waits.keys().next() {
        None => Ok(order),
        Some(stuck) => Err(cycle(jobs, &waits, stuck)),
    }
}

/// Every job left waits for another that is left, so following them comes back to one already met.
fn cycle(jobs: &Jobs, waits: &BTreeMap<&JobName, BTreeSet<&JobName>>, start: &JobName) -> Error {
    let mut path: Vec<&JobName> = Vec::new();
    let mut next = Some(start);
    while let Some(name) = next.filter(|name| !path.contains(name)) {
        path.push(name);
        next = waits.get(name).and_then(|upstream| upstream.first().copied());
    }
    let begin = path.iter().position(|name| Some(*name) == next).unwrap_or(0);
    let mut cycle = path.split_off(begin);
    // The same cycle is told the same way wherever it was met.
    let least = cycle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(index, _)| index);
    cycle.rotate_left(least);
    let told: Vec<&str> = cycle.iter().chain(cycle.first()).map(|name| name.as_str()).collect();
    let at = cycle.first().and_then(|first| {
        let second = cycle.get(1).or(cycle.first())?;
        upstream(jobs.get(*first)?).get(*second).map(ToString::to_string)
    });
    Error::project(format!("jobs read each other in a circle: {}", told.join(" reads ")))
        .with("file", at.unwrap_or_default())
        .hint("remove one of the inputs, or read an earlier day with days_ago = 1")
}
