//! From the encoding that a file chose to the types of the contract, without loss.
//!
//! [`super::compare`] has made sure that every cast widens. What a wider type alone cannot promise fails here instead
//! of becoming a null.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StructArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::Mapping;
use crate::contract::{ColumnType, SnapshotContract};
use crate::error::{Error, ErrorKind, Result};

/// The contract's columns with every one nullable: a bad row may hold a null before it is rejected.
pub fn read_schema(contract: &SnapshotContract) -> SchemaRef {
    Arc::new(Schema::new(contract.columns.iter().map(|c| c.column.field().with_nullable(true)).collect::<Vec<_>>()))
}

/// The rows of a batch in the contract's columns, types and order; the schema is [`read_schema`].
///
/// Seconds and milliseconds too large for microseconds become the nearest microsecond there is, which lies far outside
/// the years 1 to 9999 and so is found by the screening of what was parsed. Fails with `InputBroken` when a value
/// does not keep to the type that its own file states.
pub fn conform(batch: &RecordBatch, mapping: &Mapping, contract: &SnapshotContract) -> Result<RecordBatch> {
    let columns = contract.columns.iter().zip(&mapping.columns).map(|(column, index)| {
        convert(batch.column(*index), &column.column.column_type).map_err(|error| {
            let message = format!("column '{}' cannot be read as {}", column.source, column.column.column_type);
            Error::new(ErrorKind::InputBroken, message).source(error)
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(read_schema(contract), columns, &options)
        .map_err(|error| Error::internal("a batch does not fit its contract after the cast").source(error))
}

fn convert(array: &ArrayRef, to: &ColumnType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (DataType::Dictionary(_, values), _) => convert(&cast(array, values)?, to),
        (DataType::Timestamp(unit, _), ColumnType::Timestamp) => {
            Ok(Arc::new(micros(array, *unit)?.with_timezone("UTC")))
        }
        (DataType::Timestamp(unit, _), ColumnType::Datetime) => Ok(Arc::new(micros(array, *unit)?)),
        (_, ColumnType::Array(item)) => convert_list(array, item),
        (_, ColumnType::Struct(fields)) => convert_struct(array, fields),
        _ => cast(array, &to.arrow()),
    }
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// Saturates: a cast would make nulls of what is too large, or stop the file for a single row.
fn micros(array: &ArrayRef, unit: TimeUnit) -> Result<PrimitiveArray<TimestampMicrosecondType>, ArrowError> {
    let factor = match unit {
        TimeUnit::Second => 1_000_000,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1,
        TimeUnit::Nanosecond => return Err(ArrowError::CastError("nanoseconds do not fit microseconds".to_owned())),
    };
    let ticks = cast(array, &DataType::Int64)?;
    Ok(ticks.as_primitive::<Int64Type>().unary(|tick| tick.saturating_mul(factor)))
}

fn convert_list(array: &ArrayRef, item: &ColumnType) -> Result<ArrayRef, ArrowError> {
    let list = match array.data_type() {
        DataType::LargeList(field) | DataType::ListView(field) => cast(array, &DataType::List(Arc::clone(field)))?,
        _ => Arc::clone(array),
    };
    let (_, offsets, values, nulls) = list.as_list::<i32>().clone().into_parts();
    let values = convert(&values, item)?;
    let field = Arc::new(Field::new_list_field(item.arrow(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, values, nulls)?))
}

fn convert_struct(array: &ArrayRef, fields: &[(String, ColumnType)]) -> Result<ArrayRef, ArrowError> {
    let found = array.as_struct();
    let mut columns = Vec::with_capacity(fields.len());
    for (name, field) in fields {
        let column = found
            .column_by_name(name)
            .ok_or_else(|| ArrowError::SchemaError(format!("the STRUCT has no field '{name}'")))?;
        columns.push(convert(column, field)?);
    }
    let fields: Fields = fields.iter().map(|(name, field)| Field::new(name, field.arrow(), true)).collect();
    let nulls = found.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, found.len())?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Decimal64Array, DictionaryArray, Int32Array, LargeListArray, StringViewArray, TimestampSecondArray,
    };
    use arrow::datatypes::{Int8Type, Int32Type};

    use super::super::{compare, tests::contract};
    use super::*;
    use crate::contract::Format;

    fn conformed(column_type: ColumnType, array: ArrayRef) -> ArrayRef {
        let contract = contract(Format::Parquet, &[("x", column_type)]);
        let batch = RecordBatch::try_from_iter([("x", array)]).unwrap();
        let mapping = compare(&contract, &batch.schema(), "x.parquet").unwrap();
        let read = conform(&batch, &mapping, &contract).unwrap();
        assert_eq!(read.schema(), read_schema(&contract));
        Arc::clone(read.column(0))
    }

    #[test]
    fn values_come_through_every_accepted_encoding() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("NO"), None, Some("")]));
        let read = conformed(ColumnType::String, views);
        assert_eq!(read.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("NO"), None, Some("")]);

        let words: DictionaryArray<Int8Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
        let read = conformed(ColumnType::String, Arc::new(words));
        assert_eq!(read.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None, Some("a")]);

        let cents = Decimal64Array::from(vec![Some(1999), None]).with_precision_and_scale(10, 2).unwrap();
        let read = conformed(ColumnType::Numeric { precision: 38, scale: 9 }, Arc::new(cents));
        let read = read.as_primitive::<arrow::datatypes::Decimal128Type>();
        assert_eq!(read.iter().collect::<Vec<_>>(), [Some(19_990_000_000), None]);
    }

    #[test]
    fn a_time_too_large_for_microseconds_is_not_lost() {
        let seconds = TimestampSecondArray::from(vec![Some(1), Some(i64::MAX), None]).with_timezone("UTC");
        let read = conformed(ColumnType::Timestamp, Arc::new(seconds));
        let read = read.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(read.iter().collect::<Vec<_>>(), [Some(1_000_000), Some(i64::MAX), None]);
    }

    #[test]
    fn arrays_and_structs_are_rebuilt_by_name() {
        let list = LargeListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let read = conformed(ColumnType::Array(Box::new(ColumnType::Int64)), Arc::new(list));
        assert_eq!(
            read.as_list::<i32>().value(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
            [Some(1), None]
        );
        assert!(read.is_null(1));

        let (a, b): (ArrayRef, ArrayRef) = (Arc::new(Int32Array::from(vec![1])), Arc::new(Int32Array::from(vec![2])));
        let swapped = StructArray::try_from(vec![("b", b), ("a", a)]).unwrap();
        let fields = vec![("a".to_owned(), ColumnType::Int64), ("b".to_owned(), ColumnType::Int64)];
        let read = conformed(ColumnType::Struct(fields), Arc::new(swapped));
        assert_eq!(read.as_struct().column(0).as_primitive::<Int64Type>().value(0), 1);
        assert_eq!(read.as_struct().column(1).as_primitive::<Int64Type>().value(0), 2);
    }
}
