//! Selectors as in dbt: `name`, `tag:word`, and `+` on either side for what is upstream and downstream. `dataset.table` is
//! the job that makes the table, and `!` before a selector takes away what it selects.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::upstream;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::names::JobName;
use crate::toml_file::suggest;

type Jobs = BTreeMap<JobName, Job>;

pub(super) fn select(jobs: &Jobs, order: &[JobName], selectors: &[String]) -> Result<Vec<JobName>> {
    let (mut wanted, mut unwanted) = (BTreeSet::new(), BTreeSet::new());
    for selector in selectors {
        match selector.strip_prefix('!') {
            Some(selector) => unwanted.extend(one(jobs, order, selector)?),
            None => wanted.extend(one(jobs, order, selector)?),
        }
    }
    let all = selectors.iter().all(|selector| selector.starts_with('!'));
    let selected = |name: &&JobName| (all || wanted.contains(name)) && !unwanted.contains(name);
    let left: Vec<JobName> = order.iter().filter(selected).cloned().collect();
    if left.is_empty() && !unwanted.is_empty() {
        return Err(Error::project("no job is left of those selected").hint("leave out less"));
    }
    Ok(left)
}

fn one<'a>(jobs: &'a Jobs, order: &'a [JobName], selector: &str) -> Result<BTreeSet<&'a JobName>> {
    let (core, with_upstream) = selector.strip_prefix('+').map_or((selector, false), |core| (core, true));
    let (core, with_downstream) = core.strip_suffix('+').map_or((core, false), |core| (core, true));
    let named = match core.strip_prefix("tag:") {
        Some(tag) => tagged(jobs, tag)?,
        None => called(jobs, core)?,
    };
    let mut selected = named.clone();
    if with_upstream {
        selected.extend(ancestors(jobs, order, &named));
    }
    if with_downstream {
        selected.extend(descendants(jobs, order, &named));
    }
    Ok(selected)
}

fn called<'a>(jobs: &'a Jobs, name: &str) -> Result<BTreeSet<&'a JobName>> {
    let meant = |job: &&Job| job.name.as_str() == name || job.table.name.to_string() == name;
    if let Some(job) = jobs.values().find(meant) {
        return Ok(BTreeSet::from([&job.name]));
    }
    if name.contains('.') {
        let tables: Vec<String> = jobs.values().map(|job| job.table.name.to_string()).collect();
        return Err(Error::project(format!("no job makes the table '{name}'"))
            .hint(suggest(name, tables.iter().map(String::as_str))));
    }
    Err(Error::project(format!("there is no job '{name}'")).hint(suggest(name, jobs.keys().map(JobName::as_str))))
}

fn tagged<'a>(jobs: &'a Jobs, tag: &str) -> Result<BTreeSet<&'a JobName>> {
    let selected: BTreeSet<&JobName> =
        jobs.values().filter(|job| job.tags.iter().any(|own| own == tag)).map(|job| &job.name).collect();
    if selected.is_empty() {
        let tags: BTreeSet<&str> = jobs.values().flat_map(|job| &job.tags).map(String::as_str).collect();
        return Err(Error::project(format!("no job has the tag '{tag}'")).hint(suggest(tag, tags)));
    }
    Ok(selected)
}

/// Against the order, every job is met after all that read it: one pass finds all that are upstream.
fn ancestors<'a>(jobs: &'a Jobs, order: &'a [JobName], named: &BTreeSet<&'a JobName>) -> BTreeSet<&'a JobName> {
    let mut found = named.clone();
    for name in order.iter().rev() {
        if let Some(job) = jobs.get(name).filter(|_| found.contains(name)) {
            found.extend(upstream(job).into_keys());
        }
    }
    found
}

/// Along the order, every job is met after all that it reads: one pass finds all that are downstream.
fn descendants<'a>(jobs: &'a Jobs, order: &'a [JobName], named: &BTreeSet<&'a JobName>) -> BTreeSet<&'a JobName> {
    let mut found = named.clone();
    for name in order {
        if jobs.get(name).is_some_and(|job| upstream(job).keys().any(|above| found.contains(above))) {
            found.insert(name);
        }
    }
    found
}
