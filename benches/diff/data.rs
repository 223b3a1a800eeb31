//! A project whose only job makes two days of a table like `user_daily`, from a snapshot of numbers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;

use crate::common::Result;
use crate::common::child::measure;
use crate::common::project::Project;

pub const DAYS: [&str; 2] = ["2026-11-19", "2026-11-20"];
const BATCH_ROWS: i64 = 1 << 16;

const CONFIG: &str = "[project]\nname = \"diff\"\ndefault_env = \"local\"\n\n[env.local]\nlake = \"lake\"\n";

const CONTRACT: &str = r#"description = "Numbers."
owner       = "bench@example.com"
format      = "parquet"
key         = ["id"]
columns     = [{ name = "id", type = "INT64", required = true, description = "Number." }]
"#;

const JOB: &str = r#"description = "Rows like those of users."
owner       = "bench@example.com"
sql         = "sql/rows.sql"
inputs      = ["number"]

[table]
dataset   = "bench"
mode      = "partition"
grain     = ["snapshot_date", "pid"]
partition = { column = "snapshot_date", by = "day" }
columns = [
  { name = "snapshot_date", type = "DATE", required = true, description = "Day." },
  { name = "pid",           type = "STRING", required = true, description = "Key." },
  { name = "country",       type = "STRING", required = true, description = "One of ten." },
  { name = "state",         type = "STRING", required = true, description = "Changes." },
  { name = "age_band",      type = "STRING", required = true, description = "One of seven." },
  { name = "signup_month",  type = "DATE", required = true, description = "One of a hundred." },
  { name = "verified",      type = "BOOL", required = true, description = "One of two." },
  { name = "product",       type = "STRING", description = "One of five, or null." },
  { name = "plan",          type = "STRING", required = true, description = "One of thirty." },
  { name = "rank",          type = "INT64", required = true, description = "Changes with the state." },
  { name = "paid_at",       type = "TIMESTAMP", required = true, description = "Many values." },
  { name = "price",         type = "NUMERIC", required = true, description = "Many values." },
  { name = "score",         type = "FLOAT64", required = true, description = "Many values." },
  { name = "flags",         type = "ARRAY<STRING>", required = true, description = "Mostly empty." },
]
"#;

const SQL: &str = "SELECT
    $snapshot_date AS snapshot_date,
    user_pid(CAST(id AS VARCHAR)) AS pid,
    'country ' || CAST(id % 10 AS VARCHAR) AS country,
    'state ' || CAST((id * 7 + CASE WHEN moves THEN day ELSE 0 END) % 8 AS VARCHAR) AS state,
    'age ' || CAST(id * 11 % 7 AS VARCHAR) AS age_band,
    CAST(CAST(18262 + id % 100 * 31 AS INT) AS DATE) AS signup_month,
    id % 3 = 0 AS verified,
    CASE WHEN id % 6 > 0 THEN 'product ' || CAST(id % 6 AS VARCHAR) END AS product,
    'plan ' || CAST(id % 30 AS VARCHAR) AS plan,
    (id * 7 + CASE WHEN moves THEN day ELSE 0 END) % 8 AS rank,
    CAST(to_timestamp_micros(1700000000000000 + id * 7919 % 100000000000) AS TIMESTAMP) AT TIME ZONE 'UTC' AS paid_at,
    CAST(id * 104729 % 1000000 AS DECIMAL(38, 9)) AS price,
    CAST(id * 15485863 % 1000003 AS DOUBLE) / 1000 AS score,
    CASE WHEN id % 20 = 0 THEN ['unknown_country'] ELSE [] END AS flags
FROM (
    SELECT id, date_part('day', $snapshot_date) AS day, id % 50 = 7 AS moves
    FROM number
    WHERE (id * 13 + date_part('day', $snapshot_date)) % 200 > 0
)
";

pub struct Data {
    project: Project,
    rows: u64,
}

impl Data {
    pub fn of(rows: u64) -> Self {
        Data { project: Project::new(&format!("diff-{rows}")), rows }
    }

    /// Makes both days, when they are not there.
    pub fn prepare(&self) -> Result<()> {
        let root = &self.project.root;
        for (path, text) in [
            ("gatefold.toml", CONFIG),
            ("jobs/snapshots/number.toml", CONTRACT),
            ("jobs/rows.toml", JOB),
            ("sql/rows.sql", SQL),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().ok_or("a file without a folder")?)?;
            fs::write(path, text)?;
        }
        let made = root.join("made");
        if made.is_file() {
            return Ok(());
        }
        self.project.forget_runs()?;
        for day in DAYS {
            eprintln!("making {} rows for {day}", self.rows);
            self.put_numbers(day)?;
            measure(self.project.gatefold().args(["run", "--date", day]))?;
        }
        Ok(fs::write(made, "")?)
    }

    fn put_numbers(&self, day: &str) -> Result<()> {
        let folder = self.project.root.join("lake/snapshots/number").join(format!("snapshot_date={day}"));
        fs::create_dir_all(&folder)?;
        let batch = |from: i64| {
            let numbers = from..(from + BATCH_ROWS).min(self.rows as i64);
            RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from_iter_values(numbers)) as _)])
        };
        let file = File::create(folder.join("part-00000.parquet"))?;
        let mut writer = ArrowWriter::try_new(file, batch(0)?.schema(), None)?;
        for from in (0..self.rows as i64).step_by(BATCH_ROWS as usize) {
            writer.write(&batch(from)?)?;
        }
        writer.close()?;
        Ok(fs::write(folder.join("_SUCCESS"), "")?)
    }

    pub fn diff_command(&self, memory: &str) -> Command {
        let mut command = self.project.gatefold();
        command.args(["diff", "rows", "--from", DAYS[0], "--to", DAYS[1], "--format", "json", "--memory", memory]);
        command
    }

    /// The files of both days: no other run has made any.
    pub fn table_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        find(&self.project.root.join("lake/tables/bench/rows"), &mut files)?;
        Ok(files)
    }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true if path.ends_with("_delta_log") => {}
            true => find(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
