//! A sandbox: a project of its own in a temporary folder, made by `gatefold init`, and the program to call in it.
//!
//! Tests change the project as its owner would, by editing its text, put snapshot files into its lake, call the program, and
//! look at the exit code, at what was said, and at the lake.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow::array::RecordBatch;
use gatefold::generate::{Options, generate};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

/// The last day of the sample, and the one before.
pub const DAY: &str = "2026-11-20";
pub const DAY_BEFORE: &str = "2026-11-19";

/// The key of the sandboxes; with it the pseudonyms of the sample are known.
pub const KEY: &str = "gatefold-test-key";
pub const KEY_VARIABLE: &str = "GATEFOLD_PSEUDONYM_KEY";

/// To what the clock of a sandbox is set: a morning on which every promise of the sample can still be kept.
pub const NOW: &str = "2026-11-21T04:00:00Z";
pub const NOW_VARIABLE: &str = "GATEFOLD_NOW";

const SAMPLE_ACCOUNTS: u64 = 800;

/// A project in a folder that goes when the sandbox does.
pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// The part of [`whole`](Self::whole) that one job needs, `user_daily`: a run of all of them takes ten times as long.
    pub fn new() -> Self {
        let sandbox = Sandbox::whole();
        sandbox.keep("jobs/snapshots", &["account", "subscription", "plan_member", "plan_phase", "erasure_request"]);
        for folder in ["jobs", "sql", "tests/models"] {
            sandbox.keep(folder, &["user_daily"]);
        }
        let steps = ["effective_subscription", "erased", "held_subscription", "person", "user_product"];
        sandbox.keep("sql/steps", &steps);
        sandbox.keep("sql/views", &["user_current"]);
        // It names jobs that are gone.
        sandbox.remove("schedules");
        sandbox
    }

    /// What `gatefold init` makes: all jobs, models and contracts, and no data.
    pub fn whole() -> Self {
        Sandbox::whole_in(&std::env::temp_dir())
    }

    /// The same in a folder of this folder.
    pub fn whole_in(folder: &Path) -> Self {
        let sandbox = Sandbox { folder: tempfile::tempdir_in(folder).unwrap() };
        sandbox.gatefold(["init"]).exits(0);
        sandbox
    }

    /// Gives the project the settings of this repository, which has an environment `cloud`.
    pub fn with_own_settings(self) -> Self {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("gatefold.toml"), &self.path("gatefold.toml"));
        self
    }

    /// Removes the files of a folder whose names are not among these.
    fn keep(&self, folder: &str, names: &[&str]) {
        let files = fs::read_dir(self.path(folder)).unwrap().map(|file| file.unwrap().path());
        for file in files.filter(|path| path.is_file()) {
            if !names.contains(&file.file_stem().unwrap().to_str().unwrap()) {
                fs::remove_file(file).unwrap();
            }
        }
    }

    /// The same with the sample snapshots of [`DAY_BEFORE`] and [`DAY`].
    pub fn with_sample() -> Self {
        let sandbox = Sandbox::new();
        let until = DAY.parse().unwrap();
        let options = Options { accounts: SAMPLE_ACCOUNTS, days: 2, until, seed: 1, max_threads: 2 };
        generate(&options, &sandbox.path("lake/snapshots"), &|_| ()).unwrap();
        sandbox
    }

    /// A copy of a project: its files, without its lake.
    pub fn of(project: &Path) -> Self {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        for part in ["gatefold.toml", "jobs", "sql"] {
            copy(&project.join(part), &sandbox.path(part));
        }
        sandbox
    }

    /// A copy of all of it, the lake too.
    pub fn with_its_lake(&self) -> Self {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        copy(self.root(), sandbox.root());
        sandbox
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the project.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root().join(relative)
    }

    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap_or_else(|error| panic!("{relative}: {error}"));
    }

    /// Replaces a text that stands in a file of the project.
    pub fn edit(&self, relative: &str, from: &str, to: &str) {
        let before = self.read(relative);
        assert!(before.contains(from), "{relative} does not hold {from:?}");
        self.write(relative, before.replace(from, to));
    }

    pub fn remove(&self, relative: &str) {
        let path = self.path(relative);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.unwrap_or_else(|error| panic!("{relative}: {error}"));
    }

    /// The folder of one day of a snapshot.
    pub fn day(&self, snapshot: &str, date: &str) -> String {
        format!("lake/snapshots/{snapshot}/snapshot_date={date}")
    }

    /// Makes a whole day of a snapshot from files, in place of what was there.
    pub fn put_day(&self, snapshot: &str, date: &str, files: &[(&str, &[u8])]) {
        let day = self.day(snapshot, date);
        let _ = fs::remove_dir_all(self.path(&day));
        for (name, content) in files {
            self.write(&format!("{day}/{name}"), content);
        }
        self.write(&format!("{day}/_SUCCESS"), "");
    }

    /// Makes a whole day of a snapshot from one Parquet file of these rows.
    pub fn put_rows(&self, snapshot: &str, date: &str, rows: &RecordBatch) {
        self.put_day(snapshot, date, &[("part-00000.parquet", &parquet(rows))]);
    }

    /// The program in this project with the sandbox's key and nothing else of the caller's settings.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
        command.arg("--project").arg(self.root()).args(arguments).env_clear().env(KEY_VARIABLE, KEY);
        command.env(NOW_VARIABLE, NOW);
        command
    }

    /// Calls the program to its end.
    pub fn gatefold<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.ran(&mut self.command(arguments))
    }

    /// Runs every job for a date.
    pub fn run(&self, date: &str) -> Ran {
        self.gatefold(["run", "--date", date])
    }

    /// Carries out a command made by [`command`](Self::command) and changed further.
    pub fn ran(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Ran::new(&output, self.root())
    }

    /// The rows of a query, each as a JSON object.
    pub fn query(&self, sql: &str) -> Vec<Value> {
        let ran = self.gatefold(["query", "--format", "json", sql]);
        ran.exits(0);
        let Value::Array(rows) = ran.json() else { panic!("no rows: {}", ran.stdout) };
        rows
    }

    /// The rows of a query as CSV, in the query's order: `NO,3`.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let ran = self.gatefold(["query", "--format", "csv", sql]);
        ran.exits(0);
        ran.stdout.lines().skip(1).map(str::to_owned).collect()
    }

    /// What anyone can see of the lake: each table's version and its rows, in no order.
    pub fn lake(&self) -> Lake {
        let version = |table: &String| (table.clone(), self.version(table));
        let rows = |table: &String| {
            let rows = self.query(&format!("SELECT * FROM {table}"));
            let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
            rows.sort();
            (table.clone(), rows)
        };
        let tables = self.tables();
        Lake { versions: tables.iter().map(version).collect(), rows: tables.iter().map(rows).collect() }
    }

    /// `dataset.table` of every table that has a commit.
    pub fn tables(&self) -> Vec<String> {
        let mut tables = Vec::new();
        for dataset in folders(&self.path("lake/tables")) {
            for table in folders(&dataset).into_iter().filter(|table| table.join("_delta_log").is_dir()) {
                let name = |folder: &Path| folder.file_name().unwrap().to_string_lossy().into_owned();
                tables.push(format!("{}.{}", name(&dataset), name(&table)));
            }
        }
        tables.sort();
        tables
    }

    /// The version of a table in the lake: the number of its last commit.
    pub fn version(&self, table: &str) -> Option<u64> {
        let log = self.path(format!("lake/tables/{}/_delta_log", table.replace('.', "/")));
        let commits = fs::read_dir(log).ok()?.map(|file| file.unwrap().path());
        let commits = commits.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        commits.filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).max()
    }

    /// Does something that must leave the lake as it is.
    pub fn lake_stays<T>(&self, what: impl FnOnce() -> T) -> T {
        let before = self.lake();
        let done = what();
        assert_eq!(before, self.lake(), "the lake is not as it was");
        done
    }
}

/// What anyone can see of a lake.
#[derive(Debug, PartialEq, Eq)]
pub struct Lake {
    versions: BTreeMap<String, Option<u64>>,
    rows: BTreeMap<String, Vec<String>>,
}

#[cfg(feature = "cluster")]
impl Lake {
    pub fn without(mut self, table: &str) -> Self {
        self.versions.remove(table);
        self.rows.remove(table);
        self
    }

    /// The first rows of each table that are in one of two lakes and not in the other, for a message.
    pub fn difference(&self, other: &Lake) -> String {
        let mut text = format!("versions: {:?} and {:?}\n", self.versions, other.versions);
        for (table, rows) in &self.rows {
            let empty = Vec::new();
            let others = other.rows.get(table).unwrap_or(&empty);
            let only = |these: &[String], those: &[String]| -> Vec<String> {
                these.iter().filter(|row| those.binary_search(row).is_err()).take(2).cloned().collect()
            };
            text += &format!("{table}: {} rows {:?}\n", rows.len(), only(rows, others));
            text += &format!("{table}: {} rows {:?}\n", others.len(), only(others, rows));
        }
        text
    }
}

/// One call of the program.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 for a process that a signal ended.
    pub code: i32,
    pub stdout: String,
    /// With the sandbox's folder written as `<project>`.
    pub stderr: String,
}

impl Ran {
    pub fn new(output: &Output, root: &Path) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let root = root.canonicalize().unwrap().display().to_string();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr).replace(&root, "<project>"),
        }
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Says all of these on stderr.
    #[track_caller]
    pub fn says<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "stderr lacks {text:?}:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        }
        self
    }

    /// Prints all of these on stdout.
    #[track_caller]
    pub fn prints<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> &Self {
        for text in texts {
            assert!(self.stdout.contains(text), "stdout lacks {text:?}:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        }
        self
    }

    /// The one JSON value on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.stdout, self.stderr))
    }
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// The bytes of a Parquet file with these rows.
pub fn parquet(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes
}
