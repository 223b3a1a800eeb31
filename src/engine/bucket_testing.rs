//! Tables in buckets for tests of what the engine makes of them.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;

use super::{DataFile, Engine, EngineOptions, Joins, ParquetTable};
use crate::farm::fingerprint;
use crate::storage::Storage;

pub(super) const BUCKETS: usize = 4;

/// A row of `key` and `value`.
pub(super) type Row = (&'static str, i64);

/// A table in sorted buckets and, as `plain_…`, in one file, and as `heaped_…` in buckets of which no order is known.
async fn add(context: &SessionContext, storage: &Storage, name: &str, buckets: usize, rows: &[Row]) {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    let mut buckets = vec![Vec::new(); buckets];
    for row in &rows {
        let count = buckets.len() as u64;
        buckets[(fingerprint(row.0.as_bytes()).cast_unsigned() % count) as usize].push(*row);
    }
    let mut files = Vec::new();
    for (index, rows) in buckets.iter().enumerate() {
        files.push(file(storage, &format!("{name}-{index}.parquet"), rows).await);
    }
    let schema =
        Schema::new(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, false)]);
    let table = |files| ParquetTable::new(storage.url().clone(), files, &schema);
    context.register_table(format!("heaped_{name}"), Arc::new(table(files.clone()).with_layout("key", &[]))).unwrap();
    context.register_table(name, Arc::new(table(files).with_layout("key", &["key", "value"]))).unwrap();
    let plain = vec![file(storage, &format!("{name}.parquet"), &rows).await];
    context.register_table(format!("plain_{name}"), Arc::new(table(plain))).unwrap();
}

async fn file(storage: &Storage, name: &str, rows: &[Row]) -> DataFile {
    let keys: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>());
    let values: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("key", keys), ("value", values)]).unwrap();
    let handle = File::create(storage.folder().unwrap().join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(handle, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let meta = storage.store().head(&Path::from(name)).await.unwrap();
    // As many as a large table has, to who asks.
    DataFile { meta, rows: rows.len() as u64 * 100_000, selection: None }
}

pub(super) struct Fixture {
    pub context: SessionContext,
    pub storage: Storage,
    _folder: tempfile::TempDir,
}

/// The tables `l` and `r`, in [`BUCKETS`] buckets.
pub(super) async fn fixture(threads: usize, joins: Joins) -> Fixture {
    let left = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6), ("g", 7)];
    let right = [("a", 10), ("a", 11), ("c", 30), ("e", 50), ("g", 70), ("z", 90)];
    fixture_of(BUCKETS, &left, &right, threads, joins).await
}

/// The same of these rows.
pub(super) async fn fixture_of(buckets: usize, left: &[Row], right: &[Row], threads: usize, joins: Joins) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open_local(folder.path()).unwrap();
    let options = EngineOptions { memory_bytes: 256 << 20, threads, spill_folder: folder.path().to_owned(), key: None };
    let engine = Engine::new(options).unwrap();
    engine.register(&storage);
    let context = engine.session(joins);
    add(&context, &storage, "l", buckets, left).await;
    add(&context, &storage, "r", buckets, right).await;
    Fixture { context, storage, _folder: folder }
}

pub(super) async fn plan(context: &SessionContext, sql: &str) -> String {
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

pub(super) async fn rows(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}
