//! Any rows, brought into buckets and read back: the same rows, each in its bucket, in order; in bounded memory.

use std::collections::BTreeMap;
use std::path::Path as FsPath;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;
use crate::contract::{BucketName, Layout};
use crate::engine::{DataFile, EngineOptions, ParquetTable};

type Row = (String, i64);

fn layout(count: u32) -> Layout {
    Layout { by: "id".into(), count, sorted: vec!["id".into(), "n".into()] }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false), Field::new("id", DataType::Utf8, false)]))
}

fn engine(spills: &FsPath, memory_bytes: u64) -> Engine {
    Engine::new(EngineOptions { memory_bytes, threads: 2, spill_folder: spills.to_owned(), key: None }).unwrap()
}

/// Plain files of these rows, as a table.
async fn plain(storage: &Storage, files: &[Vec<Row>]) -> ParquetTable {
    let mut data = Vec::new();
    for (index, rows) in files.iter().enumerate() {
        let ids = StringArray::from_iter_values(rows.iter().map(|(id, _)| id));
        let numbers = Int64Array::from_iter_values(rows.iter().map(|(_, n)| *n));
        let batch = RecordBatch::try_new(schema(), vec![Arc::new(numbers), Arc::new(ids)]).unwrap();
        let path = Path::from(format!("plain/{index}.parquet"));
        let file = storage.folder().unwrap().join(path.as_ref());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(file).unwrap(), schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        data.push(DataFile { meta: storage.head(&path).await.unwrap(), rows: rows.len() as u64, selection: None });
    }
    ParquetTable::new(storage.url().clone(), data, &schema())
}

/// The rows of a file, in its order.
fn rows_of(storage: &Storage, path: &Path) -> Vec<Row> {
    let file = std::fs::File::open(storage.folder().unwrap().join(path.as_ref())).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    batches
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let ids: Vec<String> = {
                let ids = batch.column_by_name("id").unwrap().as_string::<i32>();
                (0..ids.len()).map(|row| ids.value(row).to_owned()).collect()
            };
            let numbers = batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec();
            ids.into_iter().zip(numbers)
        })
        .collect()
}

fn counted(rows: impl IntoIterator<Item = Row>) -> BTreeMap<Row, usize> {
    let mut counts = BTreeMap::new();
    rows.into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
    counts
}

/// Brings the rows into buckets and holds the result against the layout. Returns the rows of each bucket.
async fn check(files: &[Vec<Row>], count: u32, memory_bytes: u64) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::create_local(folder.path()).unwrap();
    let engine = engine(folder.path(), memory_bytes);
    engine.register(&storage);
    let layout = layout(count);
    let target = Target { storage: &storage, folder: &Path::from("out"), layout: &layout, schema: schema() };
    let written = write(&engine, plain(&storage, files).await, &target).await.unwrap();
    assert_eq!(written.len(), count as usize);
    let mut all = Vec::new();
    for (bucket, file) in written.iter().enumerate() {
        let bucket = bucket as u32;
        let name = file.meta.location.filename().unwrap();
        assert_eq!(BucketName::parse(name), Some(BucketName { bucket, count }));
        let rows = rows_of(&storage, &file.meta.location);
        assert_eq!(rows.len() as u64, file.rows);
        assert!(rows.is_sorted(), "bucket {bucket} is not in order");
        assert!(rows.iter().all(|(id, _)| layout.bucket_of(id) == bucket), "a row lies in the wrong bucket {bucket}");
        all.extend(rows);
    }
    assert_eq!(counted(all), counted(files.iter().flatten().cloned()));
    written.iter().map(|file| file.rows).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_rows_come_back_in_their_buckets_and_in_order(
        files in prop::collection::vec(prop::collection::vec(("[a-c\u{e9}\u{10348}]{0,2}|.{0,90}", -3..3_i64), 0..60), 1..4),
        count in 1..20_u32,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(&files, count, 64 << 20));
    }
}

/// Nine rows in ten are of one account, and all of them are several times what the sort may hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_far_larger_than_the_others_needs_no_more_memory() {
    let filler = "x".repeat(200);
    let id = |n: i64| if n % 10 == 0 { format!("{n}-{filler}") } else { format!("one-{filler}") };
    let files: Vec<Vec<Row>> =
        (0..3).map(|file| (0..40_000).map(|n| n * 3 + file).map(|n| (id(n), -n)).collect()).collect();
    let rows = check(&files, 8, 64 << 20).await;
    let (largest, all) = (rows.iter().max().unwrap(), rows.iter().sum::<u64>());
    assert!(largest * 10 > all * 8, "{rows:?}");
}

#[tokio::test]
async fn a_place_that_takes_nothing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::create_local(folder.path()).unwrap();
    let engine = engine(folder.path(), 64 << 20);
    engine.register(&storage);
    // A file stands where the folder would be.
    std::fs::write(folder.path().join("out"), b"").unwrap();
    let layout = layout(3);
    let target = Target { storage: &storage, folder: &Path::from("out"), layout: &layout, schema: schema() };
    let table = plain(&storage, &[vec![("a".into(), 1)]]).await;
    let error = write(&engine, table, &target).await.unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Publish);
    assert!(
        error.to_string().contains("failed to write a bucket") && error.to_string().contains("bucket-0000"),
        "{error}"
    );
}
