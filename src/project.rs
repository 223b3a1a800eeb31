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
use crate::error::{Error, Result};
use crate::job::{Job, JobFile, Scope, Steps};
use crate::names::{JobName, SnapshotName};
use crate::promise::Promise;
use crate::schedule::{self, Schedule};
use crate::toml_file::{TomlFile, files_of, suggest};
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
    /// By their names. No job is in two of them.
    pub schedules: Vec<Schedule>,
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
        let mut project =
            Project { root: root.to_owned(), config, snapshots, jobs, order, views, schedules: Vec::new() };
        project.schedules = schedule::load(&project)?;
        project.refuse_alerts_about_nothing()?;
        Ok(project)
    }

    fn refuse_alerts_about_nothing(&self) -> Result<()> {
        let mut channels = self.config.environments.values().flat_map(|environment| &environment.alerts);
        channels.try_for_each(|channel| {
            self.select(&channel.select).map(drop).map_err(|error| error.with("file", &channel.at))
        })
    }

    /// The jobs that any of the selectors names, in the order they run; no selector names them all.
    ///
    /// As in dbt: `name`, `tag:word`, with `+` before it for what it reads of the same day, with `+` after it for what reads it;
    /// also `dataset.table`, and with `!` before any of these what is left out.
    ///
    /// # Errors
    /// `Project`: a selector names nothing, or all that was selected is left out.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<JobName>> {
        select::select(&self.jobs, &self.order, selectors)
    }

    /// The schedule that runs a job.
    pub fn schedule_of(&self, job: &JobName) -> Option<&Schedule> {
        self.schedules.iter().find(|schedule| schedule.jobs.contains(job))
    }

    /// When a job's table must be there: as its own file says, or else its schedule.
    pub fn promise_of(&self, job: &JobName) -> Option<&Promise> {
        let stated = self.jobs.get(job).and_then(|job| job.promise.as_ref());
        stated.or_else(|| self.schedule_of(job)?.promise.as_ref())
    }

    /// The schedule with this name.
    ///
    /// # Errors
    /// `Project`: there is none.
    pub fn schedule(&self, name: &str) -> Result<&Schedule> {
        self.schedules.iter().find(|schedule| schedule.name.as_str() == name).ok_or_else(|| {
            let known = self.schedules.iter().map(|schedule| schedule.name.as_str());
            Error::project(format!("there is no schedule '{name}'"))
                .with("folder", schedule::FOLDER)
                .hint(suggest(name, known))
        })
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
