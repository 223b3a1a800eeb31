//! A table that is loaded from a checkpoint of its log, as every table is after its tenth commit: there the log's own
//! files may be gone, and the statistics by which partitions are told come from Parquet.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use gatefold::names::{RunId, SnapshotDate, TableName};
use gatefold::pipeline::RunContext;
use gatefold::publish::{LakeTable, Slice};
use gatefold::stage::stage_batch;
use serde_json::Value;

use crate::foreign::{Found, python, read_by_others};
use crate::reader::Reader;
use crate::support::Sandbox;

const DAYS: u32 = 24;
/// The version of the last checkpoint.
const CHECKPOINT: u64 = 99;
/// Days that are committed before the log is filled up to the last checkpoint.
const DAYS_BEFORE: usize = 16;
const LAST: &str = "2026-11-20";
/// More than the 32 columns of which Delta's writers keep statistics unless they are told otherwise; what a partition is
/// told by comes after all of them.
const NUMBERS: usize = 40;

#[test]
fn a_table_loaded_from_a_checkpoint_knows_its_partitions() {
    let sandbox = Sandbox::new();
    let reader = Reader::of(&sandbox);
    let name = TableName::new("ops", "wide").unwrap();
    let days: Vec<SnapshotDate> = (0..DAYS).rev().map(|ago| last().days_ago(ago).unwrap()).collect();
    for (index, date) in days.iter().enumerate() {
        if index == DAYS_BEFORE {
            commit_nothing(&sandbox, index as u64 + 1..CHECKPOINT - 2);
        }
        replace(&reader, &name, *date, "first", 1);
    }
    only_the_checkpoint_is_left(&sandbox);

    let table = reader.open(&name).unwrap();
    assert_eq!(table.version(), CHECKPOINT - 3 + u64::from(DAYS) - DAYS_BEFORE as u64);
    assert_eq!(table.values_of("snapshot_date"), days.iter().map(ToString::to_string).collect());
    for date in &days {
        let files = table.files_of(&slice(*date, "first"));
        assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [rows_of(*date)], "{date}");
        assert!(table.files_of(&slice(*date, "second")).is_empty());
    }

    // What the checkpoint tells can be replaced: once for a day that it holds, once for a new slice of that day.
    let (day, before) = (days[7], table);
    let old: BTreeSet<RunId> = before.runs_of(&slice(day, "first"));
    replace(&reader, &name, day, "first", 1000);
    replace(&reader, &name, day, "second", 2000);
    let table = reader.open(&name).unwrap();
    assert_eq!(table.files.len(), days.len() + 1);
    assert!(table.runs_of(&slice(day, "first")).is_disjoint(&old));
    let rows = reader.rows(&table, &slice(day, "first"));
    assert!(rows.len() as u64 == rows_of(day) && rows.iter().all(|row| row.contains("\"n00\":1000,")), "{rows:?}");
    assert_eq!(reader.rows(&before, &slice(day, "first")).len() as u64, rows_of(day), "the old version still reads");

    let Some(python) = python("a_table_loaded_from_a_checkpoint_knows_its_partitions, by other readers") else {
        return;
    };
    let columns: Vec<&str> = table.schema().fields().iter().map(|field| field.name().as_str()).collect();
    let ours = Found::of(&reader.rows(&table, &Slice(Vec::new())), &columns, "snapshot_date", &day.to_string());
    let folder = sandbox.path("lake/tables/ops/wide");
    for (reader, found) in read_by_others(&python, &folder, "snapshot_date", &day.to_string()) {
        assert_eq!(found, ours, "{reader}");
    }
}

fn last() -> SnapshotDate {
    LAST.parse().unwrap()
}

/// Differs between neighbours, so that one day's file is not taken for another's.
fn rows_of(date: SnapshotDate) -> u64 {
    1 + date.days_since_epoch() as u64 % 3
}

fn slice(date: SnapshotDate, part: &str) -> Slice {
    Slice(vec![("snapshot_date".to_owned(), date.to_string()), ("part".to_owned(), part.to_owned())])
}

fn schema() -> SchemaRef {
    let numbers = (0..NUMBERS).map(|n| Field::new(format!("n{n:02}"), DataType::Int64, true));
    let told_by = [Field::new("part", DataType::Utf8, false), Field::new("snapshot_date", DataType::Date32, false)];
    Arc::new(Schema::new(numbers.chain(told_by).collect::<Vec<_>>()))
}

fn batch(date: SnapshotDate, part: &str, number: i64) -> RecordBatch {
    let rows = rows_of(date) as usize;
    let mut columns: Vec<ArrayRef> =
        (0..NUMBERS).map(|n| Arc::new(Int64Array::from(vec![number + n as i64; rows])) as ArrayRef).collect();
    columns.push(Arc::new(StringArray::from(vec![part; rows])));
    columns.push(Arc::new(Date32Array::from(vec![date.days_since_epoch(); rows])));
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// One commit that makes a part of a day anew.
fn replace(reader: &Reader, name: &TableName, date: SnapshotDate, part: &str, number: i64) {
    let run = RunContext::new_run_id();
    reader.wait(async {
        let table = LakeTable::open_or_create(&reader.lake, name, &schema(), "wide").await.unwrap();
        let staged = stage_batch(&reader.lake, name, &run, "part", &batch(date, part, number)).await.unwrap();
        let committed = table.replace(&slice(date, part), &staged.files, None, None).await;
        assert!(committed.is_ok(), "{date} was not committed");
    });
}

const LOG: &str = "lake/tables/ops/wide/_delta_log";

/// Commits without an action are valid, and much sooner written than a hundred days. Nobody makes a checkpoint of these.
fn commit_nothing(sandbox: &Sandbox, versions: Range<u64>) {
    for version in versions {
        sandbox.write(&format!("{LOG}/{version:020}.json"), r#"{"commitInfo":{"operation":"WRITE"}}"#);
    }
}

/// Removes the commits that the checkpoint stands for, as the log's own cleaning does after a month.
fn only_the_checkpoint_is_left(sandbox: &Sandbox) {
    let hint: Value = serde_json::from_str(&sandbox.read(&format!("{LOG}/_last_checkpoint"))).unwrap();
    assert_eq!(hint["version"], CHECKPOINT);
    for version in 0..CHECKPOINT {
        sandbox.remove(&format!("{LOG}/{version:020}.json"));
    }
}
