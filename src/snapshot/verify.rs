//! Decides row by row what a day of a snapshot is worth, and hands out the rows that are left.
//!
//! Three passes, each over as few columns as it needs: values against the contract (what a footer's statistics prove is
//! not looked at again), keys that occur more than once (by a 64-bit hash, then exactly), and what is told of a
//! rejected row. The result lists rows to leave out by their place in the file, so that no model pays for a filter
//! or a deduplication, and on a clean day nothing is left out at all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type};
use datafusion::datasource::MemTable;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use parquet::arrow::arrow_reader::RowSelection;

use super::delivered::delivered;
use super::faults::{Fault, Predicate, as_text, predicates};
use super::find::FoundSnapshot;
use super::in_order::{self, Limits};
use super::key_fold::KeyFold;
use super::open::{OpenedFile, open};
use super::rejects::RejectedRow;
use super::selection::{Keep, Place, rows_by_file, selection};
use super::verified::{Kept, Verified, table_of};
use crate::contract::{Format, PiiClass, SnapshotContract};
use crate::engine::{DataFile, Engine, FILE_COLUMN, Joins, ROW_COLUMN, engine_error, repeated};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{identifier, list};
use crate::storage::{Storage, Work};

/// What a key that occurs twice costs while it is looked at: its hash, and the places of its rows.
const BYTES_A_REPEATED_KEY: u64 = 64;

/// Verifies a day. `work` takes converted files and lives as long as the run.
///
/// Errors (exit 11): a file that cannot be read, columns that break the drift policy, rows that are not where the layout
/// says, more bad rows than the contract tolerates; the message names the first of them.
pub async fn verify(
    engine: &Engine,
    contract: &SnapshotContract,
    found: &FoundSnapshot,
    snapshots: &Storage,
    work: &Work,
) -> Result<Verified> {
    let buckets = delivered(contract, found)?;
    let found = buckets.as_ref().unwrap_or(found);
    let opened = open(contract, found, snapshots, work).await?;
    let store = match contract.format {
        Format::Parquet => snapshots.url().clone(),
        _ => work.storage().url().clone(),
    };
    let day = Day { engine, contract, store, opened: &opened };
    let mut faults = day.unparsable();
    faults.extend(day.broken_values().await?);
    let known: HashSet<Place> = faults.iter().map(|fault| fault.place).collect();
    let neighbours = match (&contract.layout, &buckets) {
        (Some(layout), Some(_)) => in_order::prove(contract, layout, &opened, snapshots, day.limits()).await?,
        _ => None,
    };
    let duplicates = day.duplicates(&known, neighbours).await?;
    faults.extend(duplicates.conflicting);
    faults.sort_by_key(|fault| fault.place);
    faults.dedup_by_key(|fault| fault.place);
    day.tolerate(&faults)?;
    let rejected = day.describe(&faults).await?;

    let mut left_out: Vec<Place> = faults.iter().map(|fault| fault.place).collect();
    let rejected_files = day.files_at(&left_out);
    left_out.extend(&duplicates.dropped);
    let files = day.files_without(&left_out);
    let mut ignored_columns: Vec<String> = opened.iter().flat_map(|file| file.ignored.iter().cloned()).collect();
    ignored_columns.sort();
    ignored_columns.dedup();
    Ok(Verified {
        date: found.date,
        fingerprint: found.fingerprint.clone(),
        success_marker: found.success_marker,
        bytes: found.bytes(),
        rows: files.iter().map(|file| file.rows).sum(),
        duplicates_dropped: duplicates.dropped.len() as u64,
        rejected,
        ignored_columns,
        files,
        store: day.store.clone(),
        rejected_files,
        rejected_store: day.store,
        contract: contract.clone(),
        kept: Kept::Delivered { laid_out: buckets.is_some() },
    })
}

struct Day<'a> {
    engine: &'a Engine,
    contract: &'a SnapshotContract,
    store: ObjectStoreUrl,
    opened: &'a [OpenedFile],
}

#[derive(Default)]
struct Duplicates {
    dropped: Vec<Place>,
    conflicting: Vec<Fault>,
}

impl Day<'_> {
    fn unparsable(&self) -> Vec<Fault> {
        let cells =
            self.opened.iter().enumerate().flat_map(|(file, opened)| opened.bad.iter().map(move |cell| (file, cell)));
        cells.map(|(file, cell)| Fault::unparsable((file as u32, cell.row), self.contract, cell)).collect()
    }

    async fn broken_values(&self) -> Result<Vec<Fault>> {
        let predicates = predicates(self.contract, self.opened);
        if predicates.is_empty() {
            return Ok(Vec::new());
        }
        let sql = faults_query(&predicates);
        let mut faults = Vec::new();
        self.query(None, &sql, |batch| {
            let which = batch.column(2).as_primitive::<Int64Type>();
            let value = batch.column(3).as_string_view();
            for (index, place) in places(batch).enumerate() {
                let predicate = &predicates[which.value(index) as usize];
                let value = value.is_valid(index).then(|| value.value(index));
                faults.push(predicate.fault(place, self.contract, value));
            }
            Ok(())
        })
        .await?;
        Ok(faults)
    }

    /// Rule R1: per key the greatest `latest_by`; equal rows count once; different rows at the greatest are a conflict,
    /// which rejects every row of the key. `neighbours` are the rows of keys that occur more than once, where the order of
    /// the rows has told them.
    async fn duplicates(&self, faulty: &HashSet<Place>, neighbours: Option<Vec<Place>>) -> Result<Duplicates> {
        let candidates = match neighbours {
            Some(mut places) => {
                places.retain(|place| !faulty.contains(place));
                (!places.is_empty()).then_some(places)
            }
            None => self.repeated_keys(faulty).await?,
        };
        let Some(candidates) = candidates else { return Ok(Duplicates::default()) };
        let latest: Vec<String> = self.contract.latest_by.iter().map(|name| identifier(name)).collect();
        let bookkeeping: Vec<String> = self.contract.bookkeeping.iter().map(|name| identifier(name)).collect();
        let payload: Vec<String> = self.payload_columns().map(identifier).collect();
        let order: Vec<String> =
            latest.iter().chain(&bookkeeping).map(|name| format!("{name} DESC NULLS LAST")).collect();
        let tail = if order.is_empty() { String::new() } else { format!(", {}", order.join(", ")) };
        let sql = format!(
            "SELECT {FILE_COLUMN}, {ROW_COLUMN}, row_digest({key}) AS key, row_digest({rank}) AS rank, row_digest({payload}) AS payload \
             FROM day ORDER BY 3{tail}, {FILE_COLUMN}, {ROW_COLUMN}",
            key = self.key_list(),
            rank = if latest.is_empty() { "1".to_owned() } else { list(&latest) },
            payload = if payload.is_empty() { "1".to_owned() } else { list(&payload) },
        );
        let mut fold = KeyFold::default();
        self.query(Some(&candidates), &sql, |batch| {
            let (key, rank, payload) = (
                batch.column(2).as_string::<i32>(),
                batch.column(3).as_string::<i32>(),
                batch.column(4).as_string::<i32>(),
            );
            for (index, place) in places(batch).enumerate() {
                fold.row(place, key.value(index), rank.value(index), payload.value(index));
            }
            Ok(())
        })
        .await?;
        let conflicting = fold.finish();
        Ok(Duplicates {
            dropped: fold.dropped,
            conflicting: conflicting.into_iter().map(Fault::conflicting_duplicate).collect(),
        })
    }

    /// The places of all sound rows whose key's hash occurs more than once; `None` when there are none.
    async fn repeated_keys(&self, faulty: &HashSet<Place>) -> Result<Option<Vec<Place>>> {
        if self.contract.key.is_empty() {
            return Ok(None);
        }
        let key = self.key_list();
        let whole = self.contract.key.iter().map(|name| format!("{} IS NOT NULL", identifier(name)));
        let whole = whole.collect::<Vec<_>>().join(" AND ");
        let context = self.session(None)?;
        let hashes = context.sql(&format!("SELECT key_hash({key}) AS h FROM day WHERE {whole}")).await;
        let most = self.limits().repeated;
        let hashes = repeated(hashes.map_err(engine_error)?, most).await;
        let hashes = hashes.map_err(engine_error).map_err(|error| self.unreadable(error))?;
        let Some(hashes) = hashes else { return Err(self.too_many_repeated(most)) };
        if hashes.is_empty() {
            return Ok(None);
        }
        register_hashes(&context, hashes)?;
        let sql = format!(
            "SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM day WHERE {whole} AND key_hash({key}) IN (SELECT h FROM repeated)"
        );
        let mut found = Vec::new();
        run(&context, &sql, |batch| {
            found.extend(places(batch).filter(|place| !faulty.contains(place)));
            Ok(())
        })
        .await?;
        Ok(Some(found))
    }

    fn limits(&self) -> Limits {
        let options = self.engine.options();
        Limits { threads: options.threads, repeated: (options.memory_bytes / BYTES_A_REPEATED_KEY) as usize }
    }

    /// The places of repeated rows are held in memory, so how many there may be is bounded by the setting.
    fn too_many_repeated(&self, most: usize) -> Error {
        let message = format!("more than {most} keys of '{}' occur more than once", self.contract.name);
        Error::new(ErrorKind::OutOfMemory, message)
            .with("memory", format!("{} bytes", self.engine.options().memory_bytes))
            .hint("a day delivered twice looks like this; if it is meant, give the run more with --memory")
    }

    /// What a row says: everything but its key and what only tells how it came.
    fn payload_columns(&self) -> impl Iterator<Item = &str> {
        let contract = self.contract;
        contract.columns.iter().map(|column| column.column.name.as_str()).filter(move |name| {
            let named = |names: &[String]| names.iter().any(|other| other == name);
            !named(&contract.key) && !named(&contract.bookkeeping) && contract.latest_by.as_deref() != Some(name)
        })
    }

    fn key_list(&self) -> String {
        list(&self.contract.key.iter().map(|name| identifier(name)).collect::<Vec<_>>())
    }

    fn tolerate(&self, faults: &[Fault]) -> Result<()> {
        let rows: u64 = self.opened.iter().map(OpenedFile::rows).sum();
        let allowed = self.contract.rejects.allowed(rows);
        let Some(first) = faults.first().filter(|_| faults.len() as u64 > allowed) else { return Ok(()) };
        let (file, row) = first.place;
        let message = if allowed == 0 {
            format!("a row of '{}' breaks its contract: {}", self.contract.name, first.reason)
        } else {
            format!(
                "{} of {rows} rows of '{}' break its contract, {allowed} are tolerated; the first: {}",
                faults.len(),
                self.contract.name,
                first.reason
            )
        };
        Err(Error::new(ErrorKind::InputBroken, message)
            .with("file", &self.opened[file as usize].name)
            .with("row", row + 1)
            .with("rule", first.rule)
            .hint(format!("mend the source, or raise the limit under [rejects] in {}", self.contract.file.display())))
    }

    /// Adds key and content hash to each fault.
    async fn describe(&self, faults: &[Fault]) -> Result<Vec<RejectedRow>> {
        if faults.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<Place> = faults.iter().map(|fault| fault.place).collect();
        let every: Vec<String> = self.contract.columns.iter().map(|column| identifier(&column.column.name)).collect();
        let sql = format!(
            "SELECT {FILE_COLUMN}, {ROW_COLUMN}, {} AS key, row_digest({}) AS digest FROM day ORDER BY 1, 2",
            self.key_text(),
            list(&every)
        );
        let mut told: BTreeMap<Place, (Option<String>, String)> = BTreeMap::new();
        self.query(Some(&places), &sql, |batch| {
            let (key, digest) = (batch.column(2).as_string_view(), batch.column(3).as_string::<i32>());
            for (index, place) in self::places(batch).enumerate() {
                let key = key.is_valid(index).then(|| key.value(index).to_owned()).filter(|key| !key.is_empty());
                told.insert(place, (key, digest.value(index).to_owned()));
            }
            Ok(())
        })
        .await?;
        let first_rows = self.first_rows();
        let row = |fault: &Fault| {
            let (file, row) = fault.place;
            let (key, row_hash) = told.remove(&fault.place)?;
            Some(RejectedRow {
                row_number: (first_rows[file as usize] + row + 1) as i64,
                rule: fault.rule,
                key,
                row_hash,
                file: file_name(&self.opened[file as usize].name),
                file_row: row as i64 + 1,
                column: fault.column.clone(),
                reason: fault.reason.clone(),
            })
        };
        let rows: Option<Vec<RejectedRow>> = faults.iter().map(row).collect();
        rows.ok_or_else(|| Error::internal("a rejected row was not found again").with("snapshot", &self.contract.name))
    }

    /// The key as text; account ids and their like only as `user_pid`, or not at all when no key is configured.
    fn key_text(&self) -> String {
        let with_pid = self.engine.options().key.is_some();
        let parts = self.contract.key.iter().map(|name| {
            let column = self.contract.column(name);
            let direct = column.is_some_and(|column| column.column.pii == PiiClass::Direct);
            let text = column.map_or_else(|| "NULL".to_owned(), as_text);
            match (direct, with_pid) {
                (false, _) => text,
                (true, true) => format!("user_pid({text})"),
                (true, false) => "'<withheld>'".to_owned(),
            }
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() {
            "arrow_cast(NULL, 'Utf8View')".into()
        } else {
            format!("arrow_cast(concat_ws('/', {}), 'Utf8View')", parts.join(", "))
        }
    }

    fn first_rows(&self) -> Vec<u64> {
        let rows = self.opened.iter().scan(0, |next, file| {
            let first = *next;
            *next += file.rows();
            Some(first)
        });
        rows.collect()
    }

    fn files_without(&self, left_out: &[Place]) -> Vec<DataFile> {
        let mut by_file = rows_by_file(left_out, self.opened.len());
        self.data_files(|file, rows| {
            let out = &mut by_file[file];
            (!out.is_empty()).then(|| selection(out, rows, Keep::Others))
        })
    }

    fn files_at(&self, places: &[Place]) -> Vec<DataFile> {
        let mut by_file = rows_by_file(places, self.opened.len());
        self.data_files(|file, rows| Some(selection(&mut by_file[file], rows, Keep::These)))
    }

    fn data_files(&self, mut selection: impl FnMut(usize, u64) -> Option<RowSelection>) -> Vec<DataFile> {
        let file = |(index, opened): (usize, &OpenedFile)| {
            let selection = selection(index, opened.rows());
            let rows = selection.as_ref().map_or(opened.rows(), |selection| selection.row_count() as u64);
            DataFile { meta: opened.meta.clone(), rows, selection }
        };
        self.opened.iter().enumerate().map(file).collect()
    }

    /// A session in which `day` is the day's rows with their places, or only the rows at `places`.
    fn session(&self, places: Option<&[Place]>) -> Result<SessionContext> {
        let files = match places {
            None => self.data_files(|_, _| None),
            Some(places) => self.files_at(places),
        };
        let table = table_of(self.contract, self.store.clone(), files).with_row_identity();
        let context = self.engine.session(Joins::Hash);
        context.register_table("day", Arc::new(table)).map_err(engine_error)?;
        Ok(context)
    }

    async fn query(
        &self,
        places: Option<&[Place]>,
        sql: &str,
        each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        run(&self.session(places)?, sql, each).await.map_err(|error| self.unreadable(error))
    }

    /// A page that does not decode is the file's fault, not the engine's.
    fn unreadable(&self, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::Internal | ErrorKind::InputBroken) {
            return error;
        }
        let folder = self.opened.first().map(|file| parent(&file.name)).unwrap_or_default();
        Error::new(ErrorKind::InputBroken, format!("the snapshot '{}' cannot be read to its end", self.contract.name))
            .with("folder", folder)
            .source(error)
            .hint("a file is damaged or holds text that is not UTF-8; ask the source to deliver the day again")
    }
}

fn faults_query(predicates: &[Predicate]) -> String {
    let cases = |value: &dyn Fn(usize, &Predicate) -> String| -> String {
        predicates
            .iter()
            .enumerate()
            .map(|(index, p)| format!("WHEN {} THEN {} ", p.condition, value(index, p)))
            .collect()
    };
    let any = predicates.iter().map(|p| p.condition.as_str()).collect::<Vec<_>>().join(" OR ");
    format!(
        "SELECT {FILE_COLUMN}, {ROW_COLUMN}, CASE {}END AS which, arrow_cast(CASE {}END, 'Utf8View') AS value FROM day WHERE {any}",
        cases(&|index, _| format!("arrow_cast({index}, 'Int64')")),
        cases(&|_, p| p.value.clone()),
    )
}

fn places(batch: &RecordBatch) -> impl Iterator<Item = Place> {
    let file = batch.column(0).as_primitive::<UInt32Type>();
    let row = batch.column(1).as_primitive::<Int64Type>();
    file.values().iter().zip(row.values()).map(|(file, row)| (*file, *row as u64))
}

async fn run(context: &SessionContext, sql: &str, mut each: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
    let frame = context.sql(sql).await.map_err(engine_error)?;
    let mut stream = frame.execute_stream().await.map_err(engine_error)?;
    while let Some(batch) = stream.next().await {
        each(&batch.map_err(engine_error)?)?;
    }
    Ok(())
}

fn register_hashes(context: &SessionContext, hashes: Vec<u64>) -> Result<()> {
    let schema = Arc::new(Schema::new(vec![Field::new("h", DataType::UInt64, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(UInt64Array::from(hashes))])
        .map_err(|error| engine_error(error.into()))?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(engine_error)?;
    context.register_table("repeated", Arc::new(table)).map_err(engine_error)?;
    Ok(())
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn parent(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}
