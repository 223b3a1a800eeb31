//! One generated day, what a job of that day finds in the lake, and the rows that it makes there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::Result;
use crate::common::child::measure;
use crate::common::floor::Floor;
use crate::common::project::{MADE, Project, empty_folder, parquet_files};
use crate::common::reads;
use crate::job::Job;

pub const DAY: &str = "2026-11-20";

pub struct Data {
    pub project: Project,
    pub job: Job,
    pub accounts: u64,
    /// In how many sorted buckets the snapshots of accounts lie; 0 is plain files.
    pub buckets: u32,
}

/// Of what a job reads and makes.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub input_rows: u64,
    pub output_rows: u64,
}

impl Data {
    pub fn of(job: Job, accounts: u64, buckets: u32) -> Self {
        let name = match buckets {
            0 => format!("peers-{accounts}"),
            _ => format!("peers-{accounts}-in-{buckets}"),
        };
        Data { project: Project::new(&name), job, accounts, buckets }
    }

    /// Makes the day when there is none, what the job reads of other jobs, and the rows that the ways are to make: one run
    /// of gatefold, which warms the page cache too.
    pub fn prepare(&self) -> Result<Sizes> {
        self.project.prepare_in_buckets(self.accounts, 1, DAY, self.buckets)?;
        self.project.forget_runs()?;
        empty_folder(&self.past())?;
        if let Some(job) = self.job.reads_table_of() {
            eprintln!("running {job} once: {} reads its table", self.job);
            measure(&mut self.run_command(job))?;
            for part in MADE.iter().filter(|part| self.lake().join(part).exists()) {
                fs::rename(self.lake().join(part), self.past().join(part))?;
            }
        }
        eprintln!("running {} once, for the rows that all are to make", self.job);
        self.restore()?;
        let events = self.project.events_of(&measure(&mut self.run_command(self.job))?.stdout)?;
        let rows =
            |name| events.iter().filter(move |event| event["event"] == name).filter_map(|it| it["rows"].as_u64());
        // The folder goes; those above it are there then.
        fs::remove_dir(empty_folder(&self.rows())?)?;
        fs::rename(self.made(), self.rows())?;
        Ok(Sizes { input_rows: rows("snapshot_verified").sum(), output_rows: rows("staged").sum() })
    }

    /// A lake as the job finds it: with the table that it reads, and nothing of itself.
    pub fn restore(&self) -> Result<()> {
        self.project.forget_runs()?;
        link(&self.past(), &self.lake())
    }

    pub fn run_command(&self, job: Job) -> Command {
        let mut command = self.project.gatefold();
        command.args(["run", job.name(), "--date", DAY, "--force", "--format", "json"]);
        command
    }

    pub fn floor(&self) -> Result<Floor> {
        let mut inputs = self.project.snapshot_columns(self.job.reads(), DAY)?;
        if self.job.reads_table_of().is_some() {
            inputs.push((parquet_files(&self.history())?, reads::HISTORY));
        }
        Ok(Floor { inputs, rows: parquet_files(&self.rows())?, folder: self.empty_result()? })
    }

    /// An empty folder for what a way writes.
    pub fn empty_result(&self) -> Result<PathBuf> {
        empty_folder(&self.project.root.join("result"))
    }

    /// The rows that all ways are to make.
    pub fn rows(&self) -> PathBuf {
        self.project.root.join("rows").join(self.job.name())
    }

    /// Where a run of gatefold leaves its rows.
    pub fn made(&self) -> PathBuf {
        self.lake().join("tables").join(self.job.dataset()).join(self.job.name())
    }

    /// Where the table is that the job reads.
    pub fn history(&self) -> PathBuf {
        self.past().join("tables/users/user_entitlement_history")
    }

    fn lake(&self) -> PathBuf {
        self.project.root.join("lake")
    }

    fn past(&self) -> PathBuf {
        self.project.root.join("past")
    }
}

/// Links all files of a folder into another: files of a lake are written once and never changed.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}
