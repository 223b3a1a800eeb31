//! Dates and times that a typed file can hold and BigQuery cannot: outside 0001-01-01 to 9999-12-31 23:59:59.999999.

use std::ops::RangeInclusive;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDate};

use super::{BadCell, Parsed};
use crate::error::{Error, Result};

/// Days since 1970-01-01.
const DAYS: RangeInclusive<i32> = -719_162..=2_932_896;

/// Microseconds since 1970-01-01 00:00.
pub(super) const MICROS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

const REASON: &str = "outside 0001-01-01 to 9999-12-31";

/// The DATE, TIMESTAMP and DATETIME values of a batch in the contract's types that are out of range, also inside arrays and
/// structs, by row and column. `first_row` is the file's row that the batch begins with.
fn range_faults(batch: &RecordBatch, first_row: u64) -> Vec<BadCell> {
    let mut bad = Vec::new();
    for (column, array) in batch.columns().iter().enumerate() {
        bad.extend(outside(array).into_iter().map(|(row, text)| BadCell {
            row: first_row + row as u64,
            column,
            reason: REASON.to_owned(),
            text,
        }));
    }
    bad.sort_by_key(|bad| (bad.row, bad.column));
    bad
}

/// The batch with nulls where it is out of range, and the bad cells.
pub(super) fn screen(batch: RecordBatch, first_row: u64) -> Result<Parsed> {
    let bad = range_faults(&batch, first_row);
    if bad.is_empty() {
        return Ok(Parsed { batch, bad });
    }
    let mut columns = batch.columns().to_vec();
    for (index, column) in columns.iter_mut().enumerate() {
        let mut mask = vec![false; batch.num_rows()];
        bad.iter().filter(|bad| bad.column == index).for_each(|bad| mask[(bad.row - first_row) as usize] = true);
        *column = nullif(column, &BooleanArray::from(mask))
            .map_err(|error| Error::internal("a bad value cannot be taken out").source(error))?;
    }
    let batch = RecordBatch::try_new(batch.schema(), columns)
        .map_err(|error| Error::internal("a screened batch does not fit its schema").source(error))?;
    Ok(Parsed { batch, bad })
}

/// The rows whose value is or holds one that is out of range, ascending, each once, with the first such value.
fn outside(array: &ArrayRef) -> Vec<(usize, String)> {
    match array.data_type() {
        DataType::Date32 => outside_of::<Date32Type>(array.as_primitive(), &DAYS, date_text),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            outside_of::<TimestampMicrosecondType>(array.as_primitive(), &MICROS, time_text)
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let inside = outside(list.values()).into_iter();
            // A sliced list's values hold more than the list does.
            let inside = inside.filter(|(item, _)| (offsets[0] as usize..offsets[list.len()] as usize).contains(item));
            let rows =
                inside.map(|(item, text)| (offsets.partition_point(|offset| *offset as usize <= item) - 1, text));
            distinct(array, rows.collect())
        }
        DataType::Struct(_) => distinct(array, array.as_struct().columns().iter().flat_map(outside).collect()),
        _ => Vec::new(),
    }
}

fn outside_of<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    range: &RangeInclusive<T::Native>,
    text: impl Fn(T::Native) -> String,
) -> Vec<(usize, String)>
where
    T::Native: PartialOrd,
{
    // Nearly every column is clean, and a pass without branches says so; only then are rows looked at one by one.
    if array.values().iter().fold(true, |clean, value| clean & range.contains(value)) {
        return Vec::new();
    }
    let values = array.iter().enumerate();
    values.filter_map(|(row, value)| Some((row, text(value.filter(|value| !range.contains(value))?)))).collect()
}

fn distinct(parent: &ArrayRef, mut rows: Vec<(usize, String)>) -> Vec<(usize, String)> {
    rows.retain(|(row, _)| parent.is_valid(*row));
    rows.sort_by_key(|(row, _)| *row);
    rows.dedup_by_key(|(row, _)| *row);
    rows
}

fn date_text(days: i32) -> String {
    NaiveDate::from_epoch_days(days).map_or_else(|| format!("day {days} since 1970-01-01"), |date| date.to_string())
}

fn time_text(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map_or_else(|| format!("microsecond {micros} since 1970-01-01"), |time| time.naive_utc().to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Int64Array, ListArray, TimestampMicrosecondArray};

    use super::super::tests::bad;
    use super::*;

    fn batch() -> RecordBatch {
        let dates = Date32Array::from(vec![Some(*DAYS.start()), Some(6_668_000), None, Some(*DAYS.end() + 1)]);
        let times = vec![Some(*MICROS.end()), None, Some(MICROS.start() - 1), Some(i64::MAX)];
        let lists = [Some(vec![Some(0)]), Some(vec![]), None, Some(vec![None, Some(i32::MIN), Some(i32::MAX)])];
        let lists = ListArray::from_iter_primitive::<Date32Type, _, _>(lists);
        let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 4] = [
            ("n", Arc::new(Int64Array::from(vec![i64::MAX; 4]))),
            ("d", Arc::new(dates)),
            ("t", Arc::new(times)),
            ("l", Arc::new(lists)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn expected() -> Vec<BadCell> {
        vec![
            bad(101, 1, REASON, "+20226-05-14"),
            bad(102, 2, REASON, "0000-12-31 23:59:59.999999"),
            bad(103, 1, REASON, "+10000-01-01"),
            bad(103, 2, REASON, "microsecond 9223372036854775807 since 1970-01-01"),
            bad(103, 3, REASON, "day -2147483648 since 1970-01-01"),
        ]
    }

    #[test]
    fn what_bigquery_cannot_hold_is_found_with_its_row() {
        assert_eq!(range_faults(&batch(), 100), expected());
        let slice: Vec<_> = range_faults(&batch().slice(2, 2), 102);
        assert_eq!(slice, expected()[1..]);
        assert!(range_faults(&batch().slice(0, 1), 0).is_empty());
    }

    #[test]
    fn a_screened_batch_has_nulls_there_and_nothing_else_changed() {
        let parsed = screen(batch(), 100).unwrap();
        assert_eq!(parsed.bad, expected());
        assert!(range_faults(&parsed.batch, 0).is_empty());
        let nulls: Vec<_> = parsed.batch.columns().iter().map(|column| column.null_count()).collect();
        assert_eq!(nulls, [0, 3, 3, 2]);
        assert_eq!(parsed.batch.slice(0, 1), batch().slice(0, 1));
    }
}
