//! The snapshots of a world as their files hold them, read without Gatefold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use hmac::{Hmac, KeyInit, Mac};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use sha2::Sha256;

use super::World;
use crate::support::KEY;

/// A row by its columns; what is null is not there.
pub type Row = Map<String, Value>;
pub type Key = Vec<String>;

/// The rows of one day of a snapshot.
pub fn rows(world: &World, snapshot: &str, day: &str) -> Vec<Row> {
    let folder = world.sandbox.path(world.sandbox.day(snapshot, day));
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|kind| kind == "parquet"));
    let batches: Vec<RecordBatch> = files
        .flat_map(|file| ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap())
        .map(Result::unwrap)
        .collect();
    let mut text = LineDelimitedWriter::new(Vec::new());
    text.write_batches(&batches.iter().collect::<Vec<_>>()).unwrap();
    text.finish().unwrap();
    let text = String::from_utf8(text.into_inner()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn is_complete(world: &World, snapshot: &str, day: &str) -> bool {
    world.sandbox.path(world.sandbox.day(snapshot, day)).join("_SUCCESS").exists()
}

/// The value of a column as text.
pub fn text(row: &Row, column: &str) -> Option<String> {
    match row.get(column)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The day of a moment; `None` where there is no moment.
pub fn day_of(row: &Row, column: &str) -> Option<String> {
    text(row, column).map(|moment| moment[..10].to_owned())
}

/// The key of a row, unless a part of it is null.
pub fn key_of(row: &Row, columns: &[&str]) -> Option<Key> {
    columns.iter().map(|column| text(row, column)).collect()
}

/// Rows by their keys (rule R1): one, or none where those with the greatest number are not the same.
pub fn deduplicated(rows: Vec<Row>, key: &[&str]) -> BTreeMap<Key, Option<Row>> {
    let mut groups: BTreeMap<Key, Vec<Row>> = BTreeMap::new();
    for row in rows {
        if let Some(key) = key_of(&row, key) {
            groups.entry(key).or_default().push(row);
        }
    }
    groups.into_iter().map(|(key, rows)| (key, latest(rows))).collect()
}

fn latest(rows: Vec<Row>) -> Option<Row> {
    let number = |row: &Row| row["source_seq"].as_i64().unwrap();
    let greatest = rows.iter().map(number).max()?;
    let mut latest = rows.into_iter().filter(|row| number(row) == greatest).map(|mut row| {
        row.remove("updated_at");
        row
    });
    let first = latest.next()?;
    latest.all(|row| row == first).then_some(first)
}

/// The accounts with a request for erasure at or before the end of a day, R13.
pub fn erased(world: &World, day: &str) -> BTreeSet<String> {
    let requests = deduplicated(rows(world, "erasure_request", day), &["request_id"]).into_values().flatten();
    let asked = requests.filter(|request| day_of(request, "requested_at").unwrap().as_str() <= day);
    asked.map(|request| text(&request, "account_id").unwrap()).collect()
}

/// What tables call an account, R13.
pub fn user_pid(account_id: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(account_id.as_bytes());
    mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
