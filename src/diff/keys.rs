//! The keys of some rows, for people.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::UInt64Type;
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::ident;

use super::matching::{Marks, Place, count};
use super::source::Source;
use super::{Column, Comparison, Key, Shown};
use crate::check::{WITHHELD, shown_value};
use crate::engine::{Joins, engine_error};
use crate::error::{Error, ErrorKind, Result};
use crate::history::RowSet;

/// How many keys an error names.
const NAMED: usize = 3;

/// The first keys of the rows of these sets, in the order of the keys. They are read, unless all of them are `parked`.
pub(super) async fn first(
    comparison: &Comparison<'_>,
    source: &Source,
    sets: &[RowSet],
    parked: Option<Vec<RecordBatch>>,
    limit: usize,
) -> Result<Vec<Key>> {
    if limit == 0 || count(sets) == 0 {
        return Ok(Vec::new());
    }
    if comparison.key.is_empty() {
        return Ok(vec![Key(Vec::new())]);
    }
    let key: Vec<_> = comparison.key.iter().map(|column| ident(&column.name)).collect();
    // Nulls first, as the examples of the columns stand.
    let order = key.iter().map(|column| column.clone().sort(true, true)).collect();
    let read = async {
        let context = comparison.engine.session(Joins::Hash);
        let rows = match parked {
            Some(parked) => context
                .read_batches(parked.iter().map(|rows| of_sets(rows, sets)).collect::<DataFusionResult<Vec<_>>>()?)?,
            None => context.read_table(Arc::new(source.some(sets)))?,
        };
        let rows = rows.select(key)?;
        let batches = rows.sort(order)?.limit(0, Some(limit))?.collect().await?;
        let of_batch = |batch: &RecordBatch| {
            (0..batch.num_rows()).map(|row| shown_key(comparison.key, batch.columns(), row)).collect::<Vec<_>>()
        };
        batches.iter().flat_map(of_batch).collect::<DataFusionResult<Vec<Key>>>()
    };
    read.await.map_err(engine_error)
}

/// Those of the parked rows that are in the sets.
fn of_sets(parked: &RecordBatch, sets: &[RowSet]) -> DataFusionResult<RecordBatch> {
    let places = parked.columns().last().and_then(|places| places.as_primitive_opt::<UInt64Type>());
    let places = places.ok_or_else(|| internal_datafusion_err!("parked rows have no place"))?;
    let wanted = places.values().iter().map(|packed| Place::unpacked(*packed));
    let wanted = wanted.map(|place| Some(sets[place.file].contains(place.row))).collect::<BooleanArray>();
    Ok(filter_record_batch(parked, &wanted)?)
}

/// A key that comes twice on one side has no one row to be compared with.
pub(super) async fn refuse_repeated(comparison: &Comparison<'_>, marks: &Marks) -> Result<()> {
    for (source, side) in [(comparison.from, &marks.from), (comparison.to, &marks.to)] {
        let rows = count(&side.repeated);
        if rows == 0 {
            continue;
        }
        let named = first(comparison, source, &side.repeated, None, NAMED).await?;
        let mut named: Vec<String> = named.iter().map(ToString::to_string).collect();
        named.dedup();
        return Err(Error::new(
            ErrorKind::InputBroken,
            format!("{rows} rows of {} share their key with others", source.name),
        )
        .with("keys", named.join("; "))
        .hint("the table is damaged, because no run publishes such rows; run the day again with --force"));
    }
    Ok(())
}

pub(super) fn shown_key(key: &[Column], values: &[ArrayRef], row: usize) -> DataFusionResult<Key> {
    let cells = key.iter().zip(values).map(|(column, values)| Ok((column.name.clone(), shown(column, values, row)?)));
    cells.collect::<DataFusionResult<_>>().map(Key)
}

pub(super) fn shown(column: &Column, values: &ArrayRef, row: usize) -> DataFusionResult<Shown> {
    match (column.withheld, values.is_null(row)) {
        (true, _) => Ok(Some(WITHHELD.to_owned())),
        (false, true) => Ok(None),
        (false, false) => shown_value(values, row).map(Some),
    }
}
