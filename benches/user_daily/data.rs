//! One generated day, and the rows that `user_daily` makes of it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::common::Result;
use crate::common::child::measure;
use crate::common::floor::Floor;
use crate::common::project::{Project, empty_folder, parquet_files};
use crate::common::reads;

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
        empty_folder(&self.rows_folder())?;
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

    pub fn floor(&self) -> Result<Floor> {
        Ok(Floor {
            inputs: self.project.snapshot_columns(reads::USER_DAILY, DAY)?,
            rows: parquet_files(&self.rows_folder())?,
            folder: empty_folder(&self.project.root.join("floor"))?,
        })
    }

    fn rows_folder(&self) -> PathBuf {
        self.project.root.join("rows")
    }
}
