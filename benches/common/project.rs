//! A copy of this repository's own project in the target folder, with generated days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Result;
use super::child::measure;
use super::reads::Columns;

/// The snapshots of accounts, and by what the rows of each of their buckets are sorted.
const BUCKETED: [(&str, &[&str]); 6] = [
    ("account", &["account_id"]),
    ("account_grant", &["account_id", "grant_id"]),
    ("erasure_request", &["account_id", "request_id"]),
    ("feature_usage", &["account_id", "feature_id", "usage_date"]),
    ("plan_member", &["account_id", "subscription_id"]),
    ("subscription", &["account_id", "subscription_id"]),
];

/// Folders of a lake that runs make.
pub const MADE: [&str; 4] = ["tables", "runs", "leases", "receipts"];

pub struct Project {
    pub root: PathBuf,
}

impl Project {
    /// `name` tells the samples of the benches apart.
    pub fn new(name: &str) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder lies in the target folder");
        Project { root: target.join("bench-data").join(name) }
    }

    /// Brings the project up to date, and makes its days when there are none.
    pub fn prepare(&self, accounts: u64, days: u32, until: &str) -> Result<()> {
        self.prepare_in_buckets(accounts, days, until, 0)
    }

    /// The same with the snapshots of accounts in so many sorted buckets; 0 is plain files.
    pub fn prepare_in_buckets(&self, accounts: u64, days: u32, until: &str, buckets: u32) -> Result<()> {
        fs::create_dir_all(&self.root)?;
        for part in ["gatefold.toml", "jobs", "sql"] {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &self.root.join(part))?;
        }
        for (snapshot, sorted) in BUCKETED.iter().filter(|_| buckets > 0) {
            let contract = self.root.join(format!("jobs/snapshots/{snapshot}.toml"));
            let promise = format!("bucket = {{ by = \"account_id\", count = {buckets} }}\nsorted = {sorted:?}\n");
            fs::write(&contract, promise + &fs::read_to_string(&contract)?)?;
        }
        let generated = self.root.join("generated");
        if generated.is_file() {
            eprintln!("{accounts} accounts are there: {}", self.root.display());
            return Ok(());
        }
        eprintln!("generating {accounts} accounts in {}", self.root.display());
        let (accounts, days) = (accounts.to_string(), days.to_string());
        measure(self.gatefold().args(["generate", "--days", &days, "--until", until, "--accounts", &accounts]))?;
        Ok(fs::write(generated, "")?)
    }

    pub fn gatefold(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
        command.arg("--project").arg(&self.root).env("GATEFOLD_PSEUDONYM_KEY", "gatefold-test-key");
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

    pub fn snapshots(&self) -> PathBuf {
        self.root.join("lake/snapshots")
    }

    /// The files of a day of snapshots, with the columns that are read of them.
    pub fn snapshot_columns(&self, reads: &[(&str, Columns)], day: &str) -> Result<Vec<(Vec<PathBuf>, Columns)>> {
        let day = format!("snapshot_date={day}");
        let files = |snapshot: &str| parquet_files(&self.snapshots().join(snapshot).join(&day));
        reads.iter().map(|(snapshot, columns)| Ok((files(snapshot)?, *columns))).collect()
    }

    /// Leaves the snapshots and nothing that was made from them.
    pub fn forget_runs(&self) -> Result<()> {
        for part in MADE {
            match fs::remove_dir_all(self.root.join("lake").join(part)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Copies a file or a folder, in place of what was there.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
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

/// The Parquet files in a folder and in those below it, in order.
pub fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(parquet_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Makes a folder, or takes out what is in it.
pub fn empty_folder(folder: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}
