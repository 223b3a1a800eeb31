//! The lake as a program reads it that embeds the library: tables at a version, their rows, and the record of runs.
//! It starts no process, so it can look often.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::json::LineDelimitedWriter;
use gatefold::engine::{Engine, EngineOptions, Joins};
use gatefold::names::{RunId, TableName};
use gatefold::publish::{LakeTable, Slice};
use gatefold::record::{Filter, RunSummary, history};
use gatefold::storage::Storage;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{DAY, Sandbox};

pub struct Reader {
    runtime: Runtime,
    engine: Engine,
    pub lake: Storage,
}

impl Reader {
    pub fn of(sandbox: &Sandbox) -> Self {
        let lake = Storage::create_local(&sandbox.path("lake")).unwrap();
        let options =
            EngineOptions { memory_bytes: 256 << 20, threads: 1, spill_folder: sandbox.path("spill"), key: None };
        let engine = Engine::new(options).unwrap();
        engine.register(&lake);
        Reader { runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), engine, lake }
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The table at its present version; `None` before its first commit.
    pub fn open(&self, table: &TableName) -> Option<LakeTable> {
        self.wait(LakeTable::open(&self.lake, table)).unwrap()
    }

    /// Rows of a table as JSON texts, sorted.
    pub fn rows(&self, table: &LakeTable, slice: &Slice) -> Vec<String> {
        let provider = std::sync::Arc::new(table.rows_of(slice));
        let session = self.engine.session(Joins::Hash);
        let batches = self.wait(async { session.read_table(provider).unwrap().collect().await }).unwrap();
        let mut text = LineDelimitedWriter::new(Vec::new());
        text.write_batches(&batches.iter().collect::<Vec<_>>()).unwrap();
        text.finish().unwrap();
        let mut rows: Vec<String> = String::from_utf8(text.into_inner()).unwrap().lines().map(str::to_owned).collect();
        rows.sort();
        rows
    }

    /// The rows that anyone sees now; none where the table is not there yet.
    pub fn visible(&self, table: &TableName, slice: &Slice) -> Vec<String> {
        self.open(table).map(|table| self.rows(&table, slice)).unwrap_or_default()
    }

    /// All runs, newest first.
    pub fn runs(&self) -> Vec<RunSummary> {
        let filter = Filter { date: None, jobs: None, limit: usize::MAX };
        self.wait(history::list(&self.lake, &filter)).unwrap()
    }

    /// The runs whose files are visible in a slice.
    pub fn makers(&self, table: &TableName, slice: &Slice) -> BTreeSet<RunId> {
        self.open(table).map(|table| table.runs_of(slice)).unwrap_or_default()
    }

    /// Everything in a table's folder but its log, relative to that folder, as the disk has it: a store would not list
    /// what a killed writer left half written.
    pub fn on_disk(&self, table: &TableName) -> BTreeSet<String> {
        let folder = self.folder(table);
        let files = files_below(&folder);
        let names = files.iter().map(|path| path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with("_delta_log")).collect()
    }

    /// Every file that a commit of the table ever named.
    pub fn committed(&self, table: &TableName) -> BTreeSet<String> {
        let commits = files_below(&self.folder(table).join("_delta_log"));
        let commits = commits.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        let mut named = BTreeSet::new();
        for commit in commits {
            for line in fs::read_to_string(commit).unwrap().lines() {
                let action: Value = serde_json::from_str(line).unwrap();
                named.extend(action["add"]["path"].as_str().map(str::to_owned));
            }
        }
        named
    }

    fn folder(&self, table: &TableName) -> PathBuf {
        self.lake.folder().unwrap().join("tables").join(&table.dataset).join(&table.table)
    }
}

pub fn user_daily() -> TableName {
    TableName::new("users", "user_daily").unwrap()
}

pub fn rejected_row() -> TableName {
    TableName::new("ops", "rejected_row").unwrap()
}

/// The partition of a day.
pub fn day(date: &str) -> Slice {
    Slice(vec![("snapshot_date".to_owned(), date.to_owned())])
}

/// The partition of [`DAY`].
pub fn the_day() -> Slice {
    day(DAY)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
