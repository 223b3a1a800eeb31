//! What schedulers read, made from the schedules: which files there ought to be, and how those that are there differ.
//!
//! The files are committed, so that what is deployed can be reviewed. A folder that holds none of ours is not in use, and
//! nothing in it is stale.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::{FOLDER, airflow, cron, kubernetes};
use crate::error::{Error, Result};
use crate::project::Project;
use crate::toml_file::files_of;

/// What is rendered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// A DAG for each schedule.
    Airflow,
    /// A CronJob for each schedule, its service account, and a network policy.
    Kubernetes,
    /// A crontab for each schedule.
    Cron,
}

impl Target {
    pub const ALL: [Target; 3] = [Target::Airflow, Target::Kubernetes, Target::Cron];

    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Target::Airflow => "airflow",
            Target::Kubernetes => "kubernetes",
            Target::Cron => "cron",
        }
    }

    /// Relative to the project.
    pub fn folder(self) -> &'static str {
        match self {
            Target::Airflow => "schedules/airflow",
            Target::Kubernetes => "schedules/kubernetes",
            Target::Cron => "schedules/cron",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Target::Airflow => "py",
            Target::Kubernetes => "yaml",
            Target::Cron => "cron",
        }
    }

    /// Every file that there ought to be, by its path in the project.
    ///
    /// # Errors
    /// `Project`: schedules contradict each other, or none says what the target needs.
    pub fn files(self, project: &Project) -> Result<BTreeMap<PathBuf, String>> {
        match self {
            Target::Airflow => {
                Ok(project.schedules.iter().map(|schedule| airflow::render(project, schedule)).collect())
            }
            Target::Kubernetes => kubernetes::render(project),
            Target::Cron => Ok(project.schedules.iter().filter_map(cron::render).collect()),
        }
    }

    /// The section of a schedule without which it is not rendered.
    fn section(self) -> Option<&'static str> {
        match self {
            Target::Airflow => None,
            Target::Kubernetes => Some("[kubernetes]"),
            Target::Cron => Some("[crontab]"),
        }
    }

    /// What to type.
    pub fn command(self) -> String {
        format!("gatefold schedule render {}", self.as_str())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first line of a rendered file, by which it is known to be ours.
pub fn head(source: &str, target: Target) -> String {
    format!("# Generated from {source} by `{}`: edit that file and render again.", target.command())
}

fn is_ours(text: &str, target: Target) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("# Generated from ") && first.contains(&format!("`{}`", target.command()))
}

/// How a file differs from what it ought to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Missing,
    Differs,
    /// Ours, of a schedule that is gone.
    LeftOver,
}

/// What there ought to be, and what is to be done to have it.
#[derive(Debug)]
pub struct Rendered {
    pub target: Target,
    pub files: BTreeMap<PathBuf, String>,
    pub changes: BTreeMap<PathBuf, Change>,
    /// Whether a file of ours is there.
    pub in_use: bool,
}

impl Rendered {
    /// Renders, and compares with what is there.
    ///
    /// # Errors
    /// `Project`: as [`Target::files`], or a file in the way that is not ours.
    pub fn of(project: &Project, target: Target) -> Result<Self> {
        let files = target.files(project)?;
        let mut there = BTreeMap::new();
        for path in files_of(&project.root, target.folder(), target.extension())?.into_values() {
            let text = fs::read_to_string(project.root.join(&path))
                .map_err(|error| Error::project("cannot be read").with("file", path.display()).source(error))?;
            there.insert(path, text);
        }
        let ours = |path: &&PathBuf| there.get(*path).is_some_and(|text| is_ours(text, target));
        let mut changes: BTreeMap<PathBuf, Change> = there
            .keys()
            .filter(|path| ours(path) && !files.contains_key(*path))
            .map(|path| (path.clone(), Change::LeftOver))
            .collect();
        for (path, text) in &files {
            match there.get(path) {
                None => changes.insert(path.clone(), Change::Missing),
                Some(before) if before == text => None,
                Some(before) if is_ours(before, target) => changes.insert(path.clone(), Change::Differs),
                Some(_) => return Err(in_the_way(path, target)),
            };
        }
        Ok(Rendered { target, in_use: there.keys().any(|path| ours(&path)), files, changes })
    }

    /// What is stale, each as an error that says what to type.
    pub fn stale(&self) -> Vec<Error> {
        let told = |(path, change): (&PathBuf, &Change)| {
            let message = match change {
                Change::Missing => "a schedule is not rendered",
                Change::Differs => "a rendered schedule is out of date",
                Change::LeftOver => "a rendered schedule is left over",
            };
            Error::project(message).with("file", path.display()).hint(self.target.command())
        };
        self.changes.iter().map(told).collect()
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// `Project`: a file cannot be written or removed, or no schedule is for this target.
    pub fn write(&self, root: &Path) -> Result<()> {
        if self.files.is_empty() && self.changes.is_empty() {
            return Err(nothing_to_render(self.target));
        }
        for (path, change) in &self.changes {
            let place = root.join(path);
            let done = match (change, self.files.get(path)) {
                (Change::LeftOver, _) | (_, None) => fs::remove_file(&place),
                (_, Some(text)) => make_folder(&place).and_then(|()| fs::write(&place, text)),
            };
            done.map_err(|error| Error::project("failed to write").with("file", path.display()).source(error))?;
        }
        Ok(())
    }
}

/// What is stale of all that is in use.
///
/// # Errors
/// `Project`: as [`Rendered::of`].
pub fn stale(project: &Project) -> Result<Vec<Error>> {
    let mut stale = Vec::new();
    for target in Target::ALL {
        if project.root.join(target.folder()).exists() {
            let rendered = Rendered::of(project, target)?;
            stale.extend(if rendered.in_use { rendered.stale() } else { Vec::new() });
        }
    }
    Ok(stale)
}

fn make_folder(file: &Path) -> std::io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}

fn nothing_to_render(target: Target) -> Error {
    let error = match target.section() {
        Some(section) => Error::project(format!("no schedule has a section {section}"))
            .hint("add it to the schedules that run there; docs/schedules.md says what stands in it"),
        None => Error::project("there is no schedule")
            .hint("write one, schedules/<name>.toml; docs/schedules.md says what stands in it"),
    };
    error.with("folder", FOLDER)
}

fn in_the_way(path: &Path, target: Target) -> Error {
    Error::project("a file is in the way that gatefold did not write")
        .with("file", path.display())
        .hint(format!("move it away, then: {}", target.command()))
}
