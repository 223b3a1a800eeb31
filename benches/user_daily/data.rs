//! One generated day, and the rows that `user_daily` makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::Result;
use crate::common::child::measure;
use crate::common::project::Project;

const JOB: &str = "user_daily";
const DAY: &str = "2026-11-20";

pub struct Data {
    project: Project,
    accounts: u64,
}

impl Data {
    pub fn of(accounts: u64) -> Self {
        Data { project: Project::new(&format!("user_daily-{accounts}")), accounts }
    }

    /// Makes the day when there is none, and runs the job once: this warms the page cache and leaves the rows that the
    /// floor encodes. Returns the rows that the job reads.
    pub fn prepare(&self) -> Result<u64> {
        self.project.prepare(self.accounts, 1, DAY)?;
        self.forget_runs()?;
        eprintln!("running {JOB} once, for the rows that the floor encodes");
        let events = self.events_of(&measure(&mut self.run_command())?.stdout)?;
        self.keep_rows(&events)?;
        self.forget_runs()?;
        let verified = events.iter().filter(|event| event["event"] == "snapshot_verified");
        Ok(verified.filter_map(|event| event["rows"].as_u64()).sum())
    }

    fn keep_rows(&self, events: &[Value]) -> Result<()> {
        let _ = fs::remove_dir_all(self.rows_folder());
        fs::create_dir_all(self.rows_folder())?;
        let staged = events.iter().find(|event| event["event"] == "staged").ok_or("the run staged nothing")?;
        for file in staged["files"].as_array().into_iter().flatten() {
            let path = self.project.root.join("lake").join(file["path"].as_str().ok_or("a file without a path")?);
            fs::rename(&path, self.rows_folder().join(path.file_name().ok_or("a file without a name")?))?;
        }
        Ok(())
    }

    pub fn run_command(&self) -> Command {
        let mut command = self.project.gatefold();
        command.args(["run", JOB, "--date", DAY, "--force", "--format", "json"]);
        command
    }

    pub fn events_of(&self, printed: &str) -> Result<Vec<Value>> {
        self.project.events_of(printed)
    }

    /// Every run begins with an empty lake, and the disk holds one result at a time.
    pub fn forget_runs(&self) -> Result<()> {
        self.project.forget_runs()
    }

    /// The Parquet files of the day of a snapshot.
    pub fn snapshot_files(&self, name: &str) -> Result<Vec<PathBuf>> {
        parquet_files(&self.project.root.join("lake/snapshots").join(name).join(format!("snapshot_date={DAY}")))
    }

    /// The Parquet files of the rows that the job makes.
    pub fn row_files(&self) -> Result<Vec<PathBuf>> {
        parquet_files(&self.rows_folder())
    }

    fn rows_folder(&self) -> PathBuf {
        self.project.root.join("rows")
    }

    /// An empty folder for what the floor writes.
    pub fn floor_folder(&self) -> Result<PathBuf> {
        let folder = self.project.root.join("floor");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
