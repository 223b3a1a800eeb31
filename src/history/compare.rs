//! What a day changes: the rows of its state held against the rows that were open before it.
//!
//! Whole rows of both sides would not fit into memory, so rows are compared as those of two days are, by digests of their keys and of
//! their values under secrets that are drawn anew each time. That leaves the rows that only one side has: to be opened, or no longer
//! holding. Everything after speaks of these alone, by their places, a bit a row.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::Day;
use super::files::{HistoryFile, Kind};
use super::rows::RowSet;
use super::state::{State, Values};
use crate::diff::{Column, Comparison, Differing, Limits, Source, differing};
use crate::engine::{DataFile, FILE_COLUMN, Joins, ParquetTable, ROW_COLUMN, engine_error};
use crate::error::{Error, Result};
use crate::job::{VALID_FROM, VALID_TO};
use crate::sql::identifier;

const STATE: &str = "state";
const TABLE: &str = "history";
/// The part of the memory that digests may take; more of them are written to disk.
const DIGEST_PART: u64 = 4;
/// About what the digests of a row take, with the room that lists keep free.
const DIGEST_BYTES: u64 = 128;
/// So little is not waited for.
const LEAST_DIGEST_BYTES: u64 = 8 << 20;

/// What becomes of the rows of each file; the lists are in the order of the files.
#[derive(Debug)]
pub(super) struct Marks {
    /// Rows of the state that are opened.
    pub opened: Vec<RowSet>,
    pub files: Vec<FileMarks>,
    /// What finding them wrote to disk for want of memory.
    pub spilled_bytes: u64,
}

/// What becomes of the rows of one file of the table. A row is in one set at most; in none, it stays as it is.
#[derive(Debug, Clone)]
pub(super) struct FileMarks {
    /// Closed with the day.
    pub closed: RowSet,
    /// Closed by the day or a later one that is rewound, and open again.
    pub reopened: RowSet,
    /// Opened by the day or a later one that is rewound.
    pub rewound: RowSet,
    /// Removed for good.
    pub forgotten: RowSet,
}

impl FileMarks {
    fn none(rows: u64) -> Self {
        let none = RowSet::none(rows);
        FileMarks { closed: none.clone(), reopened: none.clone(), rewound: none.clone(), forgotten: none }
    }

    /// Rows that stay as they are.
    pub fn kept(&self, rows: u64) -> RowSet {
        let touched = self.closed.with(&self.reopened).with(&self.rewound).with(&self.forgotten);
        RowSet::all(rows).without(&touched)
    }
}

pub(super) async fn compare(day: &Day<'_>, files: &[HistoryFile], state: &State, joins: Joins) -> Result<Marks> {
    let mut marks = Marks {
        opened: state.kept.iter().map(|kept| RowSet::none(kept.capacity())).collect(),
        files: files.iter().map(|file| FileMarks::none(file.file.rows)).collect(),
        spilled_bytes: 0,
    };
    mark_forgotten(day, files, state, &mut marks).await?;
    mark_rewound(day, files, &mut marks).await?;
    let before: Vec<usize> = (0..files.len()).filter(|at| files[*at].may_be_open_before(day.date)).collect();
    if before.is_empty() {
        marks.opened = state.kept.clone();
    } else {
        mark_differences(day, files, &before, state, &mut marks).await?;
        keep_doubtful_open(day, files, state, &mut marks, joins).await?;
    }
    settle(&mut marks);
    Ok(marks)
}

/// A row that is forgotten is not closed, one that is closed is not reopened, one that is rewound is simply gone.
fn settle(marks: &mut Marks) {
    for file in &mut marks.files {
        file.rewound = file.rewound.without(&file.forgotten);
        file.closed = file.closed.without(&file.forgotten);
        file.reopened = file.reopened.without(&file.forgotten).without(&file.closed);
    }
}

/// The rows of every file, open or closed, that belong to someone to be forgotten.
async fn mark_forgotten(day: &Day<'_>, files: &[HistoryFile], state: &State, marks: &mut Marks) -> Result<()> {
    let Some(values) = &state.forgotten else { return Ok(()) };
    let all: Vec<usize> = (0..files.len()).collect();
    let rows = day.rows(files, &all, None).with_row_identity();
    matching(day, rows, values, |file, row| marks.files[file].forgotten.insert(row)).await
}

/// The places of the rows that have one of the values. The values are few and go into a hash table, however the rest of
/// the day is joined.
pub(super) async fn matching(
    day: &Day<'_>,
    rows: ParquetTable,
    values: &Values,
    found: impl FnMut(usize, u64),
) -> Result<()> {
    let context = day.engine.session(Joins::Hash);
    register(&context, "picked", values.table(day))?;
    register(&context, TABLE, rows)?;
    let column = identifier(values.column());
    let sql = format!(
        "SELECT h.{FILE_COLUMN}, h.{ROW_COLUMN} FROM picked p RIGHT SEMI JOIN {TABLE} h ON p.{column} = h.{column}"
    );
    places(day, &context, &sql, found).await
}

/// Rows that the day itself or a later one has opened. There are none unless it is taken in again.
async fn mark_rewound(day: &Day<'_>, files: &[HistoryFile], marks: &mut Marks) -> Result<()> {
    let late: Vec<usize> = (0..files.len()).filter(|at| files[*at].reaches(day.date)).collect();
    if late.is_empty() {
        return Ok(());
    }
    let context = day.engine.session(Joins::Hash);
    register(&context, TABLE, day.rows(files, &late, None).with_row_identity())?;
    let sql = format!("SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM {TABLE} WHERE {VALID_FROM} >= $day");
    places(day, &context, &sql, |file, row| marks.files[late[file]].rewound.insert(row)).await
}

/// Finds the rows of the state that no open row equals, and the open rows that no row of the state equals.
async fn mark_differences(
    day: &Day<'_>,
    files: &[HistoryFile],
    before: &[usize],
    state: &State,
    marks: &mut Marks,
) -> Result<()> {
    reopen(day, files, before, marks).await?;
    let day_before = day.date.days_ago(1).ok_or_else(|| Error::internal("there is no day before the first"))?;
    let table = &day.job.table;
    let open = Source {
        name: TABLE.to_owned(),
        store: day.lake.url().clone(),
        files: before.iter().map(|at| whole(&files[*at])).collect(),
        schema: table.schema(),
        as_of: Some(day_before),
        only: None,
        shared_rows: 0,
    };
    let state_rows = state.source(day);
    let column = |name: &String| Column { name: name.clone(), withheld: true };
    let key: Vec<Column> = table.key().iter().map(column).collect();
    let columns = table.model_columns().map(|known| column(&known.name)).filter(|known| !key.contains(known));
    let context = day.engine.session(Joins::Hash);
    let reservation = MemoryConsumer::new("digests of a history").register(&context.runtime_env().memory_pool);
    let all_bytes = (open.rows() + state_rows.rows()) * DIGEST_BYTES;
    let mut digest_bytes = all_bytes.clamp(LEAST_DIGEST_BYTES, day.engine.options().memory_bytes / DIGEST_PART);
    // Others may hold much at the moment, and digests can go to disk.
    while digest_bytes > LEAST_DIGEST_BYTES && reservation.try_grow(digest_bytes as usize).is_err() {
        digest_bytes = (digest_bytes / 2).max(LEAST_DIGEST_BYTES);
    }
    let comparison = Comparison {
        engine: day.engine,
        folder: &day.engine.options().spill_folder,
        from: &open,
        to: &state_rows,
        key: &key,
        columns: &columns.collect::<Vec<_>>(),
        limits: Limits { keys: 0, values: 0 },
        digest_bytes,
        progress: Arc::new(|_| ()),
    };
    let Differing { from: closed, to: opened, spilled_bytes } = differing(&comparison).await?;
    marks.spilled_bytes = spilled_bytes;
    for (at, closed) in before.iter().zip(closed) {
        marks.files[*at].closed = closed;
    }
    // All rows of a key that stands twice are opened, so that the check of the key finds them.
    marks.opened = opened;
    Ok(())
}

/// Rows that were closed on the day or later are open before it; those that the day does not close stay so.
async fn reopen(day: &Day<'_>, files: &[HistoryFile], before: &[usize], marks: &mut Marks) -> Result<()> {
    if before.iter().all(|at| files[*at].shelf.kind == Kind::Open) {
        return Ok(());
    }
    let context = day.engine.session(Joins::Hash);
    register(&context, TABLE, day.rows(files, before, None).with_row_identity())?;
    let sql =
        format!("SELECT {FILE_COLUMN}, {ROW_COLUMN} FROM {TABLE} WHERE {VALID_FROM} < $day AND {VALID_TO} >= $day");
    places(day, &context, &sql, |file, row| marks.files[before[file]].reopened.insert(row)).await
}

/// A key that the state does not have is not always gone: an incomplete day may lack it, a row that was set aside may have
/// had it, and the job may say whose rows are in doubt. Only the rows that are about to be closed are looked at.
async fn keep_doubtful_open(
    day: &Day<'_>,
    files: &[HistoryFile],
    state: &State,
    marks: &mut Marks,
    joins: Joins,
) -> Result<()> {
    if day.complete && day.doubtful.is_empty() && state.in_doubt.is_none() {
        return Ok(());
    }
    let gone: Vec<RowSet> = marks.files.iter().map(|file| file.closed.clone()).collect();
    let opened = in_plain_text(state.table(day, &marks.opened), joins);
    let changed = with_keys_of(day, files, &gone, Arc::new(opened), joins).await?;
    let mut closed = changed;
    if day.complete {
        let doubted = in_doubt(day, files, state, &gone, joins).await?;
        for ((closed, gone), doubted) in closed.iter_mut().zip(&gone).zip(&doubted) {
            *closed = closed.with(&gone.without(doubted));
        }
    }
    marks.files.iter_mut().zip(closed).for_each(|(file, closed)| file.closed = closed);
    Ok(())
}

/// Those of the rows, a set a file, of which a complete day does not tell whether they are gone.
async fn in_doubt(
    day: &Day<'_>,
    files: &[HistoryFile],
    state: &State,
    rows: &[RowSet],
    joins: Joins,
) -> Result<Vec<RowSet>> {
    let mut found: Vec<RowSet> = rows.iter().map(|rows| RowSet::none(rows.capacity())).collect();
    for doubtful in &day.doubtful {
        let doubted = with_keys_of(day, files, rows, Arc::clone(doubtful), joins).await?;
        found.iter_mut().zip(&doubted).for_each(|(found, doubted)| *found = found.with(doubted));
    }
    if let Some(values) = &state.in_doubt {
        let touched = touched(rows);
        let table = day.rows(files, &touched, Some(rows)).with_row_identity();
        matching(day, table, values, |file, row| found[touched[file]].insert(row)).await?;
    }
    Ok(found)
}

/// The files with a row in these sets.
fn touched(rows: &[RowSet]) -> Vec<usize> {
    (0..rows.len()).filter(|at| !rows[*at].is_empty()).collect()
}

/// Those of the rows, a set a file, whose key is in `keys`.
async fn with_keys_of(
    day: &Day<'_>,
    files: &[HistoryFile],
    rows: &[RowSet],
    keys: Arc<ParquetTable>,
    joins: Joins,
) -> Result<Vec<RowSet>> {
    let touched = touched(rows);
    let mut found: Vec<RowSet> = files.iter().map(|file| RowSet::none(file.file.rows)).collect();
    if touched.is_empty() {
        return Ok(found);
    }
    let context = day.engine.session(joins);
    context.register_table(STATE, keys).map_err(engine_error)?;
    register(&context, TABLE, in_plain_text(day.rows(files, &touched, Some(rows)).with_row_identity(), joins))?;
    let same: Vec<String> = day.job.table.key().iter().map(|name| identifier(name)).collect();
    let same: Vec<String> = same.iter().map(|name| format!("s.{name} = h.{name}")).collect();
    let sql = format!(
        "SELECT h.{FILE_COLUMN}, h.{ROW_COLUMN} FROM {STATE} s RIGHT SEMI JOIN {TABLE} h ON {}",
        same.join(" AND ")
    );
    places(day, &context, &sql, |file, row| found[touched[file]].insert(row)).await?;
    Ok(found)
}

/// Merge joins and spilled groups hold batches for long; see [`ParquetTable::with_plain_text`].
fn in_plain_text(table: ParquetTable, joins: Joins) -> ParquetTable {
    match joins {
        Joins::Hash => table,
        Joins::Merge => table.with_plain_text(),
    }
}

fn register(context: &SessionContext, name: &str, table: ParquetTable) -> Result<()> {
    context.register_table(name, Arc::new(table)).map(drop).map_err(engine_error)
}

/// Runs a query for `__file` and `__row`.
async fn places(day: &Day<'_>, context: &SessionContext, sql: &str, mut found: impl FnMut(usize, u64)) -> Result<()> {
    let batches = day.query(context, sql).await?;
    let mut batches = std::pin::pin!(batches);
    while let Some(batch) = batches.try_next().await.map_err(engine_error)? {
        let (files, rows) = (batch.column(0).as_primitive::<UInt32Type>(), batch.column(1).as_primitive::<Int64Type>());
        files.values().iter().zip(rows.values()).for_each(|(file, row)| found(*file as usize, *row as u64));
    }
    Ok(())
}

fn whole(file: &HistoryFile) -> DataFile {
    DataFile { meta: file.file.meta.clone(), rows: file.file.rows, selection: None }
}

impl Day<'_> {
    /// The rows of some of the files, all or those of the sets.
    fn rows(&self, files: &[HistoryFile], these: &[usize], sets: Option<&[RowSet]>) -> ParquetTable {
        let file = |at: &usize| match sets {
            None => whole(&files[*at]),
            Some(sets) => self.selected(&files[*at], &sets[*at]),
        };
        ParquetTable::new(self.lake.url().clone(), these.iter().map(file).collect(), &self.job.table.schema())
    }

    async fn query(
        &self,
        context: &SessionContext,
        sql: &str,
    ) -> Result<datafusion::execution::SendableRecordBatchStream> {
        let begin = ScalarValue::TimestampMicrosecond(Some(self.date.begin().timestamp_micros()), Some("UTC".into()));
        let planned = async {
            let frame = context.sql(sql).await?;
            // A query without the parameter refuses it.
            let frame = match sql.contains("$day") {
                true => frame.with_param_values(ParamValues::from(vec![("day", begin)]))?,
                false => frame,
            };
            frame.execute_stream().await
        };
        planned.await.map_err(engine_error)
    }
}
