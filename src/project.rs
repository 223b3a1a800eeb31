//! A project as its files state it: configuration, contracts, jobs, and the order in which the jobs run.
//!
//! Loading reads text files and nothing else: no data, no network. A project that loads has no unknown name, no cycle
//! and no column of class `direct` outside a restricted dataset; that the models fit it is for the engine to say.

mod graph;
pub use graph::upstream;
mod select;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::contract::SnapshotContract;
use crate::error::Result;
use crate::job::{Job, JobFile, Scope, Steps};
use crate::names::{JobName, SnapshotName};
use crate::toml_file::{TomlFile, files_of};
use crate::view::View;

const JOBS_FOLDER: &str = "jobs";
const SNAPSHOTS_FOLDER: &str = "jobs/snapshots";

#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    pub root: PathBuf,
    pub config: Config,
    pub snapshots: BTreeMap<SnapshotName, SnapshotContract>,
    pub jobs: BTreeMap<JobName, Job>,
    /// Every job after those whose tables of the same day it reads; ties by name.
    pub order: Vec<JobName>,
    /// Every view after those that it reads.
    pub views: Vec<View>,
}

impl Project {
    /// Reads the project in the folder `root`.
    ///
    /// # Errors
    /// `Project`: the first thing found wrong, with its place and what to do.
    pub fn load(root: &Path) -> Result<Self> {
        let config = Config::load(root)?;
        let mut snapshots: BTreeMap<SnapshotName, SnapshotContract> = BTreeMap::new();
        for (stem, path) in files_of(root, SNAPSHOTS_FOLDER, "toml")? {
            let name = SnapshotName::new(stem).map_err(|error| error.with("file", path.display()))?;
            snapshots.insert(name.clone(), SnapshotContract::parse(name, TomlFile::read(root, &path)?)?);
        }
        let mut files: BTreeMap<JobName, JobFile> = BTreeMap::new();
        for (stem, path) in files_of(root, JOBS_FOLDER, "toml")? {
            let name = JobName::new(stem).map_err(|error| error.with("file", path.display()))?;
            files.insert(name, JobFile::read(root, &path)?);
        }
        let steps = Steps::load(root, |name| snapshots.keys().find(|snapshot| snapshot.as_str() == name).cloned())?;
        refuse_shared_names(&snapshots, &steps, &files)?;
        let scope = Scope { root, config: &config, snapshots: &snapshots, steps: &steps, jobs: &files };
        let jobs = files
            .iter()
            .map(|(name, file)| Ok((name.clone(), Job::read(name, file, &scope)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let order = graph::order(&jobs)?;
        let tables = jobs.values().map(|job| job.table.name.clone()).collect();
        let views = View::load(root, &tables)?;
        Ok(Project { root: root.to_owned(), config, snapshots, jobs, order, views })
    }

    /// The jobs that any of the selectors names, in the order they run; no selector names them all.
    ///
    /// As in dbt: `name`, `tag:word`, with `+` before it for what it reads of the same day, with `+` after it for what reads it.
    ///
    /// # Errors
    /// `Project`: a selector names nothing.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<JobName>> {
        select::select(&self.jobs, &self.order, selectors)
    }
}

/// In SQL snapshots, steps and tables stand side by side, so a name is one of them.
fn refuse_shared_names(
    snapshots: &BTreeMap<SnapshotName, SnapshotContract>,
    steps: &Steps,
    jobs: &BTreeMap<JobName, JobFile>,
) -> Result<()> {
    for (job, file) in jobs {
        if let Some((_, contract)) = snapshots.iter().find(|(snapshot, _)| snapshot.as_str() == job.as_str()) {
            return Err(file
                .file
                .error(0..0, format!("'{job}' is a job and a snapshot"))
                .with("snapshot", contract.file.display())
                .hint("rename one of the files"));
        }
        if steps.contains(job.as_str()) {
            return Err(file.file.error(0..0, format!("'{job}' is a job and a step")).hint("rename one of the files"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
