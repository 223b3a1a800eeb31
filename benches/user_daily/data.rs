//! The project that is measured: a copy of this repository's own, with one generated day, in the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::child::measure;

const JOB: &str = "user_daily";
const DAY: &str = "2026-11-20";

pub struct Data {
    root: PathBuf,
    accounts: u64,
}

impl Data {
    pub fn of(accounts: u64) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder lies in the target folder");
        Data { root: target.join("bench-data").join(accounts.to_string()), accounts }
    }

    /// Brings the project up to date, makes its day when there is none, and runs the job once: this warms the page
    /// cache and leaves the rows that the floor encodes. Returns the rows that the job reads.
    pub fn prepare(&self) -> Result<u64> {
        fs::create_dir_all(&self.root)?;
        for part in ["gatefold.toml", "jobs", "sql"] {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &self.root.join(part))?;
        }
        self.generate()?;
        self.forget_runs()?;
        eprintln!("running {JOB} once, for the rows that the floor encodes");
        let events = self.events_of(&measure(&mut self.run_command())?.stdout)?;
        self.keep_rows(&events)?;
        self.forget_runs()?;
        let verified = events.iter().filter(|event| event["event"] == "snapshot_verified");
        Ok(verified.filter_map(|event| event["rows"].as_u64()).sum())
    }

    fn generate(&self) -> Result<()> {
        let complete = self.root.join("generated");
        if complete.is_file() {
            eprintln!("{} accounts are there: {}", self.accounts, self.root.display());
            return Ok(());
        }
        eprintln!("generating {} accounts in {}", self.accounts, self.root.display());
        let accounts = self.accounts.to_string();
        measure(self.gatefold().args(["generate", "--days", "1", "--until", DAY, "--accounts", &accounts]))?;
        Ok(fs::write(complete, "")?)
    }

    fn keep_rows(&self, events: &[Value]) -> Result<()> {
        let _ = fs::remove_dir_all(self.rows_folder());
        fs::create_dir_all(self.rows_folder())?;
        let staged = events.iter().find(|event| event["event"] == "staged").ok_or("the run staged nothing")?;
        for file in staged["files"].as_array().into_iter().flatten() {
            let path = self.root.join("lake").join(file["path"].as_str().ok_or("a file without a path")?);
            fs::rename(&path, self.rows_folder().join(path.file_name().ok_or("a file without a name")?))?;
        }
        Ok(())
    }

    fn gatefold(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
        command.arg("--project").arg(&self.root).env("GATEFOLD_PSEUDONYM_KEY", "gatefold-test-key");
        command
    }

    pub fn run_command(&self) -> Command {
        let mut command = self.gatefold();
        command.args(["run", JOB, "--date", DAY, "--force", "--format", "json"]);
        command
    }

    /// The events on record of the run that printed this.
    pub fn events_of(&self, printed: &str) -> Result<Vec<Value>> {
        let run: Value = serde_json::from_str(printed)?;
        let run_id = run["run_id"].as_str().ok_or("the run has no id")?;
        let shown = measure(self.gatefold().args(["show", run_id, "--format", "json"]))?;
        match serde_json::from_str::<Value>(&shown.stdout)?["events"].take() {
            Value::Array(events) => Ok(events),
            _ => Err("the record has no events".into()),
        }
    }

    /// Every run begins with an empty lake, and the disk holds one result at a time.
    pub fn forget_runs(&self) -> Result<()> {
        for part in ["tables", "runs", "leases"] {
            match fs::remove_dir_all(self.root.join("lake").join(part)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The Parquet files of the day of a snapshot.
    pub fn snapshot_files(&self, name: &str) -> Result<Vec<PathBuf>> {
        parquet_files(&self.root.join("lake/snapshots").join(name).join(format!("snapshot_date={DAY}")))
    }

    /// The Parquet files of the rows that the job makes.
    pub fn row_files(&self) -> Result<Vec<PathBuf>> {
        parquet_files(&self.rows_folder())
    }

    fn rows_folder(&self) -> PathBuf {
        self.root.join("rows")
    }

    /// An empty folder for what the floor writes.
    pub fn floor_folder(&self) -> Result<PathBuf> {
        let folder = self.root.join("floor");
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

/// Copies a file or a folder, in place of what was there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        fs::copy(from, to)?;
        return Ok(());
    }
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
