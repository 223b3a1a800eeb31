//! In which columns rows changed, and from what to what: counted as they meet in step, and for those that did not, in a pass
//! over these rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, make_comparator};
use arrow::compute::SortOptions;
use arrow::compute::kernels::cmp::distinct;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::keys::{shown, shown_key};
use super::matching::{Marks, count};
use super::{Column, ColumnDifference, Comparison, Example, Limits};
use crate::engine::{Joins, engine_error};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{identifier, list};

const FROM: &str = "before";
const TO: &str = "after";
/// Compressed bytes of files become about this many in the hash tables of a join; see also `OutOfMemory` below.
const EXPANSION: u64 = 6;

/// How many of the changed rows differ in each column, with examples. Some are counted already.
pub(super) async fn differences(
    comparison: &Comparison<'_>,
    marks: &Marks,
    mut counted: Tally,
) -> Result<Vec<ColumnDifference>> {
    let changed = count(&marks.to.changed);
    if changed > 0 {
        counted.add(read_again(comparison, marks, changed).await?);
    }
    Ok(counted.finish())
}

async fn read_again(comparison: &Comparison<'_>, marks: &Marks, changed: u64) -> Result<Tally> {
    let bytes = comparison.from.bytes_of(&marks.from.changed) + comparison.to.bytes_of(&marks.to.changed);
    let fits = bytes.saturating_mul(EXPANSION) <= comparison.engine.options().memory_bytes;
    let tally = match fits {
        true => match tallied(comparison, marks, Joins::Hash).await {
            // The guess was too small. Merge joins sort, and sorts spill.
            Err(error) if error.kind() == ErrorKind::OutOfMemory => tallied(comparison, marks, Joins::Merge).await,
            tallied => tallied,
        },
        false => tallied(comparison, marks, Joins::Merge).await,
    }?;
    if tally.rows != changed {
        return Err(Error::internal(format!("{changed} rows changed, and {} were found again", tally.rows))
            .hint("run the same command again, and report it when it stays"));
    }
    Ok(tally)
}

pub(super) async fn tallied(comparison: &Comparison<'_>, marks: &Marks, joins: Joins) -> Result<Tally> {
    let context = comparison.engine.session(joins);
    for (name, source, sets) in [(FROM, comparison.from, &marks.from.changed), (TO, comparison.to, &marks.to.changed)] {
        // Text views would keep whole pages for the sake of a few rows.
        let rows = source.some(sets).with_plain_text();
        context.register_table(name, Arc::new(rows)).map_err(engine_error)?;
    }
    let mut tallies = JoinSet::new();
    for stream in pairs(comparison, &context).await.map_err(engine_error)? {
        tallies.spawn(Tally::new(comparison).take_all(stream));
    }
    let mut all = Tally::new(comparison);
    while let Some(tally) = tallies.join_next().await {
        all.add(tally.map_err(|error| Error::internal("a reader ended abruptly").source(error))??);
    }
    Ok(all)
}

/// Each changed row beside what it was: the key, the values before, the values after.
async fn pairs(
    comparison: &Comparison<'_>,
    context: &SessionContext,
) -> DataFusionResult<Vec<SendableRecordBatchStream>> {
    let of = |table: &str, columns: &[Column]| -> Vec<String> {
        columns.iter().map(|column| format!("{table}.{}", identifier(&column.name))).collect()
    };
    let shown = [of(TO, comparison.key), of(FROM, comparison.columns), of(TO, comparison.columns)].concat();
    let shown: Vec<String> = shown.iter().enumerate().map(|(at, column)| format!("{column} AS c{at}")).collect();
    let same = of(FROM, comparison.key).into_iter().zip(of(TO, comparison.key));
    let same: Vec<String> = same.map(|(from, to)| format!("({from} IS NOT DISTINCT FROM {to})")).collect();
    let join = match same.is_empty() {
        true => "CROSS JOIN after".to_owned(),
        false => format!("JOIN after ON {}", same.join(" AND ")),
    };
    let frame = context.sql(&format!("SELECT {} FROM before {join}", list(&shown))).await?;
    frame.execute_stream_partitioned().await
}

/// What was counted so far.
pub(super) struct Tally {
    key: Vec<Column>,
    columns: Vec<ColumnTally>,
    limits: Limits,
    rows: u64,
}

struct ColumnTally {
    column: Column,
    changed: u64,
    /// The first by key, which is written so that it sorts.
    examples: BTreeMap<Box<[u8]>, Example>,
}

impl Tally {
    pub fn new(comparison: &Comparison<'_>) -> Self {
        let columns = comparison.columns.iter().cloned();
        let columns = columns.map(|column| ColumnTally { column, changed: 0, examples: BTreeMap::new() }).collect();
        Tally { key: comparison.key.to_vec(), columns, limits: comparison.limits, rows: 0 }
    }

    async fn take_all(mut self, mut stream: SendableRecordBatchStream) -> Result<Self> {
        while let Some(batch) = stream.try_next().await.map_err(engine_error)? {
            let (key, values) = batch.columns().split_at(self.key.len());
            let (before, after) = values.split_at(self.columns.len());
            self.take(key, before, after, batch.num_rows()).map_err(engine_error)?;
        }
        Ok(self)
    }

    /// Compares so many rows, each beside what it was.
    pub fn take(
        &mut self,
        key: &[ArrayRef],
        before: &[ArrayRef],
        after: &[ArrayRef],
        rows: usize,
    ) -> DataFusionResult<()> {
        let order = sortable(key, rows)?;
        let shown_key = |row| shown_key(&self.key, key, row);
        for ((column, before), after) in self.columns.iter_mut().zip(before).zip(after) {
            let differs = differing(before, after)?;
            column.changed += differs.true_count() as u64;
            for row in differs.values().set_indices() {
                let Some(place) = column.room_for(&order, row, self.limits.values) else { continue };
                let [before, after] = [before, after].map(|values| shown(&column.column, values, row));
                let example = Example { key: shown_key(row)?, before: before?, after: after? };
                column.keep(place, example, self.limits.values);
            }
        }
        self.rows += rows as u64;
        Ok(())
    }

    pub fn add(&mut self, other: Tally) {
        self.rows += other.rows;
        for (column, other) in self.columns.iter_mut().zip(other.columns) {
            column.changed += other.changed;
            for (place, example) in other.examples {
                column.keep(place, example, self.limits.values);
            }
        }
    }

    /// How many rows were compared.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn finish(self) -> Vec<ColumnDifference> {
        let finished = |column: ColumnTally| ColumnDifference {
            name: column.column.name,
            changed: column.changed,
            examples: column.examples.into_values().collect(),
        };
        self.columns.into_iter().map(finished).collect()
    }
}

impl ColumnTally {
    /// Where the row would stand among the examples, if it is one of the first.
    fn room_for(&self, order: &Option<Rows>, row: usize, limit: usize) -> Option<Box<[u8]>> {
        let place: &[u8] = order.as_ref().map_or(&[], |order| order.row(row).data());
        let last = self.examples.last_key_value();
        let wanted = self.examples.len() < limit || last.is_some_and(|(last, _)| place < last.as_ref());
        wanted.then(|| place.into())
    }

    fn keep(&mut self, place: Box<[u8]>, example: Example, limit: usize) {
        self.examples.insert(place, example);
        if self.examples.len() > limit {
            self.examples.pop_last();
        }
    }
}

/// The keys in a form that sorts; a table of one row has none.
fn sortable(key: &[ArrayRef], rows: usize) -> DataFusionResult<Option<Rows>> {
    if key.is_empty() || rows == 0 {
        return Ok(None);
    }
    let fields = key.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    Ok(Some(RowConverter::new(fields)?.convert_columns(key)?))
}

/// Where two columns differ, as digests know it; never null.
fn differing(before: &ArrayRef, after: &ArrayRef) -> Result<BooleanArray, ArrowError> {
    if !before.data_type().is_nested() {
        return distinct(before, after);
    }
    let compare = make_comparator(before, after, SortOptions::default())?;
    Ok((0..before.len()).map(|row| Some(compare(row, row).is_ne())).collect())
}
