//! What is counted: functions and checks of ours, over rows that are always the same.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext, col};
use gatefold::check::{Guarded, Subject, run as run_checks};
use gatefold::contract::{Location, SnapshotContract};
use gatefold::engine::functions;
use gatefold::job::{Check, CheckKind, InputSource, Severity};
use gatefold::pseudonym::PseudonymKey;
use gatefold::toml_file::TomlFile;

use crate::{ROWS, Result};

pub enum Case {
    /// A query over `t`, which is sorted by `id`.
    Query(&'static str),
    /// The check that every row of `t` has its like in `t`, by a digest of each.
    Relationship,
}

pub const CASES: [(&str, Case); 10] = [
    ("user_pid", Case::Query("SELECT user_pid(id) FROM t")),
    ("age_band", Case::Query("SELECT age_band(CAST(at AS DATE), DATE '2026-11-20') FROM t")),
    ("is_country", Case::Query("SELECT is_country(country) FROM t")),
    ("key_hash", Case::Query("SELECT key_hash(id, country, number) FROM t")),
    ("row_digest", Case::Query("SELECT row_digest(id, country, number, at) FROM t")),
    (
        "billing_boundary",
        Case::Query("SELECT billing_boundary(at, 31, 'month', TIMESTAMP '2026-11-20T00:00:00Z') FROM t"),
    ),
    (
        "width_bucket",
        Case::Query(
            "SELECT width_bucket(at, [TIMESTAMP '1980-01-01', TIMESTAMP '1990-01-01', TIMESTAMP '2000-01-01', \
             TIMESTAMP '2010-01-01', TIMESTAMP '2020-01-01']) FROM t",
        ),
    ),
    (
        "best_by_hash",
        Case::Query("SELECT best(named_struct('id', id, 'at', at) ORDER BY number DESC, at) FROM t GROUP BY country"),
    ),
    (
        "best_sorted",
        Case::Query("SELECT best(named_struct('id', id, 'at', at) ORDER BY number DESC, at) FROM t GROUP BY id"),
    ),
    ("relationship", Case::Relationship),
];

/// Runs a case over so many of the rows, on one thread.
pub fn run(name: &str, rows: usize) -> Result<()> {
    let (_, case) = CASES.iter().find(|(case, _)| *case == name).ok_or("no such case")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        functions::register(&context, Some(Arc::new(PseudonymKey::from_bytes(b"a fixed key")?)));
        let batch = all_rows()?.slice(0, rows);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        context.register_table("t", Arc::new(table.with_sort_order(vec![vec![col("id").sort(true, false)]])))?;
        match case {
            Case::Query(sql) => drop(context.sql(sql).await?.collect().await?),
            Case::Relationship => check_relationship(&context).await?,
        }
        Ok(())
    })
}

/// Two rows have one id, so that groups are small, many and side by side.
fn all_rows() -> Result<RecordBatch> {
    let countries = ["SE", "NO", "DE", "se", "XX", "BR", "US", "JP"];
    let mixed = |row: usize| (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
    let ids: ArrayRef = Arc::new((0..ROWS).map(|row| Some(format!("acc-{:012}", row / 2))).collect::<StringArray>());
    let country = (0..ROWS).map(|row| Some(countries[mixed(row) as usize % countries.len()])).collect::<StringArray>();
    let number = (0..ROWS).map(|row| Some(mixed(row) as i64 % 5)).collect::<Int64Array>();
    let at = (0..ROWS).map(|row| Some(mixed(row) as i64 * 1_500)).collect::<TimestampMicrosecondArray>();
    Ok(RecordBatch::try_from_iter([
        ("id", ids),
        ("country", Arc::new(country)),
        ("number", Arc::new(number)),
        ("at", Arc::new(at.with_timezone("UTC"))),
    ])?)
}

const CONTRACT: &str = "
description = 'The rows.'
owner = 'nobody'
format = 'parquet'
columns = [
    { name = 'id', type = 'STRING', description = 'Whose row it is.' },
    { name = 'at', type = 'TIMESTAMP', description = 'When it was made.' },
]
";

async fn check_relationship(context: &SessionContext) -> Result<()> {
    let file = TomlFile { path: PathBuf::from("t.toml"), text: CONTRACT.to_owned() };
    let mut contract = SnapshotContract::parse("t".parse()?, file)?;
    let columns = vec!["id".to_owned(), "at".to_owned()];
    let kind = CheckKind::Relationship {
        columns: columns.clone(),
        to: InputSource::Snapshot(contract.name.clone()),
        to_columns: columns,
    };
    let at = Location { file: contract.file.clone(), line: 1, column: 1 };
    contract.checks = vec![Check { kind, severity: Severity::Block, at }];
    let subject = Subject {
        ctx: context,
        guarded: Guarded::Snapshot(&contract),
        date: "2026-11-20".parse()?,
        key: None,
        staged: "t",
        previous: None,
        target: &|_| Some("t".to_owned()),
    };
    run_checks(&subject).await?;
    Ok(())
}
