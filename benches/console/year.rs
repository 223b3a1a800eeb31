//! A project with a past: its tables as real commits of tiny files, its runs as real records.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use futures::{StreamExt, TryStreamExt, stream};
use gatefold::job::Severity;
use gatefold::names::{JobName, RunId, SnapshotDate, TableName};
use gatefold::publish::{LakeTable, Slice};
use gatefold::record::{CheckRecord, Ending, FileRecord, InputKind, InputRecord, ProcessId, Recorder, What};
use gatefold::stage::stage_batch;
use gatefold::storage::Storage;
use parquet::arrow::ArrowWriter;

use crate::common::Result;
use crate::common::child::measure;
use crate::common::project::copy;

const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
const ROWS: i64 = 3;
const AT_ONCE: usize = 8;

const SETTINGS: &str = "[project]\nname = \"console\"\ndefault_env = \"local\"\n\n[env.local]\nlake = \"lake\"\n";
const CONTRACT: &str = r#"description = "One row per person."
owner       = "people@example.com"
format      = "parquet"
key         = ["person_id"]
columns = [
  { name = "person_id", type = "STRING", required = true, description = "Person." },
  { name = "visits",    type = "INT64", description = "How often they came." },
]
"#;
const SQL: &str = "SELECT $snapshot_date AS snapshot_date, person_id, visits FROM person\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    RunADay,
    RunAJob,
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Shape::RunADay => "one a day",
            Shape::RunAJob => "one a job and day",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Year {
    pub tables: u32,
    pub days: u32,
    pub shape: Shape,
}

impl Year {
    pub fn root(&self) -> PathBuf {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder lies in the target folder");
        target.join("bench-data").join(format!("console-{:?}-{}-{}", self.shape, self.tables, self.days))
    }

    pub fn gatefold(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
        command.arg("--project").arg(self.root());
        command
    }

    pub fn last_day(&self) -> SnapshotDate {
        SnapshotDate::new(LAST_DAY)
    }

    /// An hour before the promised one, on the day after the last.
    pub fn now(&self) -> String {
        format!("{}T05:00:00Z", LAST_DAY.succ_opt().expect("there is a next day"))
    }

    /// Makes the year when it is not there; the tables are those of `like`, when there is one.
    pub fn prepare(&self, like: Option<&Year>) -> Result<()> {
        let (root, done) = (self.root(), self.root().join("prepared"));
        if done.is_file() {
            eprintln!("the year is there: {}", root.display());
            return Ok(());
        }
        let _ = fs::remove_dir_all(&root);
        eprintln!("making a year with {} in {}", self.shape.name(), root.display());
        self.write_project()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let lake = Storage::create_local(&root.join("lake"))?;
        match like {
            Some(like) => copy(&like.root().join("past"), &root.join("lake/tables"))?,
            None => {
                runtime.block_on(self.commit_tables(&lake))?;
                copy(&root.join("lake/tables"), &root.join("past"))?;
            }
        }
        runtime.block_on(self.record_runs(&lake))?;
        self.run_last_day()?;
        Ok(fs::write(done, "")?)
    }

    fn jobs(&self) -> Vec<JobName> {
        (0..self.tables).map(|number| JobName::new(format!("table_{number:03}")).expect("it is a name")).collect()
    }

    /// Those before the last, the earliest first.
    fn past(&self) -> Vec<SnapshotDate> {
        (1..self.days).rev().filter_map(|days| self.last_day().days_ago(days)).collect()
    }

    fn write_project(&self) -> Result<()> {
        let root = self.root();
        for folder in ["jobs/snapshots", "sql"] {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::write(root.join("gatefold.toml"), SETTINGS)?;
        fs::write(root.join("jobs/snapshots/person.toml"), CONTRACT)?;
        fs::write(root.join("sql/table.sql"), SQL)?;
        for job in self.jobs() {
            fs::write(root.join(format!("jobs/{job}.toml")), job_text())?;
        }
        let day = root.join(format!("lake/snapshots/person/snapshot_date={LAST_DAY}"));
        fs::create_dir_all(&day)?;
        let rows = people();
        let mut writer = ArrowWriter::try_new(fs::File::create(day.join("part.parquet"))?, rows.schema(), None)?;
        writer.write(&rows)?;
        writer.close()?;
        Ok(fs::write(day.join("_SUCCESS"), "")?)
    }

    async fn commit_tables(&self, lake: &Storage) -> Result<()> {
        let days = self.past();
        let tables = stream::iter(self.jobs()).map(|job| {
            let (lake, days) = (lake.clone(), days.clone());
            tokio::spawn(async move { commit_table(&lake, &job, &days).await.map_err(|error| error.to_string()) })
        });
        tables.buffer_unordered(AT_ONCE).map(|done| Ok(done??)).try_collect().await
    }

    async fn record_runs(&self, lake: &Storage) -> Result<()> {
        let jobs = self.jobs();
        let runs: Vec<(SnapshotDate, u32, Vec<JobName>)> = match self.shape {
            Shape::RunADay => self.past().into_iter().map(|date| (date, 0, jobs.clone())).collect(),
            Shape::RunAJob => {
                let days = self.past().into_iter();
                days.flat_map(|date| (0..).zip(&jobs).map(move |(number, job)| (date, number, vec![job.clone()])))
                    .collect()
            }
        };
        let runs = stream::iter(runs).map(|(date, number, jobs)| {
            let lake = lake.clone();
            tokio::spawn(async move { record_run(&lake, date, number, jobs).await.map_err(|error| error.to_string()) })
        });
        runs.buffer_unordered(AT_ONCE).map(|done| Ok(done??)).try_collect().await
    }

    fn run_last_day(&self) -> Result<()> {
        let date = self.last_day().to_string();
        let run = |job: Option<&JobName>| -> Result<()> {
            let mut command = self.gatefold();
            command.args(["run", "--date", &date]).args(job.map(JobName::as_str));
            measure(&mut command).map(drop)
        };
        match self.shape {
            Shape::RunADay => run(None),
            Shape::RunAJob => self.jobs().iter().try_for_each(|job| run(Some(job))),
        }
    }
}

fn job_text() -> &'static str {
    r#"description = "One row per person and day."
owner       = "people@example.com"
sql         = "sql/table.sql"
inputs      = ["person"]

[table]
dataset   = "shop"
mode      = "partition"
grain     = ["snapshot_date", "person_id"]
partition = { column = "snapshot_date", by = "day" }
columns = [
  { name = "snapshot_date", type = "DATE", required = true, description = "Day." },
  { name = "person_id",     type = "STRING", required = true, description = "Person." },
  { name = "visits",        type = "INT64", description = "How often they came." },
]

[promise]
ready_by = "06:00"
"#
}

fn people() -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|number| format!("person-{number}"))));
    let visits: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    RecordBatch::try_from_iter([("person_id", ids), ("visits", visits)]).expect("the columns have one length")
}

fn rows_of(date: SnapshotDate) -> RecordBatch {
    let people = people();
    let dates: ArrayRef = Arc::new(Date32Array::from_iter_values((0..ROWS).map(|_| date.days_since_epoch())));
    let columns = [
        ("snapshot_date", dates, false),
        ("person_id", people.column(0).clone(), false),
        ("visits", people.column(1).clone(), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("the columns have one length")
}

/// At half past three of the day after.
fn run_of(date: SnapshotDate, number: u32) -> RunId {
    let started = date.date().and_time(NaiveTime::MIN).and_utc() + TimeDelta::minutes(24 * 60 + 210);
    RunId::new(started + TimeDelta::seconds(i64::from(number)), number)
}

async fn commit_table(lake: &Storage, job: &JobName, days: &[SnapshotDate]) -> Result<()> {
    let name = TableName::new("shop", job.as_str())?;
    for date in days {
        let rows = rows_of(*date);
        let staged = stage_batch(lake, &name, &run_of(*date, 0), "part-00000", &rows).await?;
        let table = LakeTable::open_or_create(lake, &name, &rows.schema(), "One row per person and day.").await?;
        let slice = Slice(vec![("snapshot_date".into(), date.to_string())]);
        table.replace(&slice, &staged.files, None, None).await.map_err(|_| "a commit failed")?;
    }
    Ok(())
}

/// What the program writes for a run of these jobs.
async fn record_run(lake: &Storage, date: SnapshotDate, number: u32, jobs: Vec<JobName>) -> Result<()> {
    let run = run_of(date, number);
    let process = ProcessId { pid: u32::MAX, ..ProcessId::current() };
    let started = What::RunStarted {
        date,
        environment: "local".into(),
        jobs: jobs.clone(),
        command: vec!["gatefold".into(), "run".into()],
        version: "0.1.0".into(),
        host: process.host.clone(),
        process,
    };
    let recorder = Recorder::start(lake, run.clone(), started).await?;
    for job in jobs {
        for what in events_of(job, date, &run)? {
            recorder.write(what).await?;
        }
    }
    recorder.write(What::RunFinished { outcome: Ending::Succeeded, exit_code: 0, elapsed_ms: 90_000 }).await?;
    Ok(())
}

fn events_of(job: JobName, date: SnapshotDate, run: &RunId) -> gatefold::error::Result<[What; 5]> {
    let table = TableName::new("shop", job.as_str())?;
    let input = InputRecord {
        name: "person".into(),
        alias: "person".into(),
        kind: InputKind::Snapshot,
        date: Some(date),
        fingerprint: "0123456789abcdef0123456789abcdef".into(),
        files: 1,
        rows: ROWS as u64,
        bytes: 1_000,
    };
    let file =
        FileRecord { path: format!("tables/shop/{job}/{run}/part-00000.parquet"), rows: ROWS as u64, bytes: 900 };
    let check = |name: &str, kind: &str| CheckRecord {
        name: name.into(),
        kind: kind.into(),
        severity: Severity::Block,
        passed: true,
        failing_rows: Some(0),
        detail: "no row is at fault".into(),
        examples: vec![],
    };
    Ok([
        What::JobStarted { job: job.clone(), table: table.clone(), partition: date.to_string(), fencing_token: 1 },
        What::InputsResolved {
            job: job.clone(),
            inputs: vec![input],
            job_hash: "j".into(),
            sql_hash: "s".into(),
            fingerprint: "f".into(),
        },
        What::Staged {
            job: job.clone(),
            files: vec![file],
            rows: ROWS as u64,
            bytes: 900,
            elapsed_ms: 20,
            peak_memory_bytes: Some(100 << 20),
            spilled_bytes: Some(0),
            changes: None,
        },
        What::Audited {
            job: job.clone(),
            checks: vec![check("unique(snapshot_date, person_id)", "unique"), check("not_null(person_id)", "not_null")],
            blocked: false,
            elapsed_ms: 10,
        },
        What::Published {
            job,
            table,
            partition: date.to_string(),
            version: 1,
            rows: ROWS as u64,
            changes: None,
            elapsed_ms: 60,
        },
    ])
}
