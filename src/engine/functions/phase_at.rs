//! `phase_at(started_at, as_of, lengths, units)`: which phase of a plan holds an instant, rule R5.
//!
//! The answer is the phase's place in the lists, from 1; null before the start and without phases. Each phase begins
//! where the one before it ended. The lists are read in place and no further than the phase that is found.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, ListArray, StringArrayType, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, Column, expect_count, list, returns, text, timestamp};
use crate::calendar::{LengthUnit, add_length};
use crate::error::{Error, ErrorKind};

const USAGE: &str = "phase_at(started_at, as_of, lengths ARRAY<INT64>, units ARRAY<STRING>)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PhaseAt {
    signature: Signature,
}

impl Default for PhaseAt {
    fn default() -> Self {
        PhaseAt { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PhaseAt {
    fn name(&self) -> &str {
        "phase_at"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<4>(USAGE, given)?;
        Ok(vec![
            timestamp(USAGE, "started_at", &given[0])?,
            timestamp(USAGE, "as_of", &given[1])?,
            list(USAGE, "lengths", &given[2], length_type)?,
            list(USAGE, "units", &given[3], unit_type)?,
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::Int64, true)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let units = args.column::<ListArray>(3)?.array.values();
        let phases = match units.data_type() {
            DataType::Utf8 => phases_at(&args, units.as_string::<i32>()),
            DataType::LargeUtf8 => phases_at(&args, units.as_string::<i64>()),
            DataType::Utf8View => phases_at(&args, units.as_string_view()),
            other => internal_err!("a unit is {other}, not a string"),
        }?;
        Ok(ColumnarValue::Array(Arc::new(phases)))
    }
}

fn length_type(given: &DataType) -> Option<DataType> {
    (given.is_integer() || given.is_null()).then_some(DataType::Int64)
}

fn unit_type(given: &DataType) -> Option<DataType> {
    text(USAGE, "units", given).ok()
}

fn phases_at<'a, S: StringArrayType<'a>>(args: &Arguments, unit_values: S) -> Result<Int64Array> {
    let started_at = args.column::<TimestampMicrosecondArray>(0)?;
    let as_of = args.column::<TimestampMicrosecondArray>(1)?;
    let (lengths, units) = (args.column::<ListArray>(2)?, args.column::<ListArray>(3)?);
    let length_values = lengths.array.values().as_primitive::<Int64Type>();
    let at_row = |row: usize| -> Result<Option<i64>> {
        let (Some(started_at), Some(as_of)) = (started_at.value(row), as_of.value(row)) else { return Ok(None) };
        let (Some((length_at, count)), Some((unit_at, unit_count))) = (span(&lengths, row), span(&units, row)) else {
            return Ok(None);
        };
        if count != unit_count {
            return Err(uneven(count, unit_count));
        }
        let phases = (0..count).map(|phase| {
            let (length_at, unit_at) = (length_at + phase, unit_at + phase);
            let finite = length_values.is_valid(length_at) && unit_values.is_valid(unit_at);
            finite.then(|| (length_values.value(length_at), unit_values.value(unit_at)))
        });
        holding_phase(started_at, as_of, phases)
    };
    (0..args.rows).map(at_row).collect()
}

/// Where the list of `row` begins among the values, and its length.
fn span(lists: &Column<ListArray>, row: usize) -> Option<(usize, usize)> {
    let offsets = lists.array.value_offsets();
    lists.index(row).map(|index| {
        let (from, to) = (offsets[index] as usize, offsets[index + 1] as usize);
        (from, to - from)
    })
}

/// The place of the phase that holds `as_of`, from 1. A phase is its length and unit, or `None` when it runs for ever.
fn holding_phase<'a>(
    started_at: i64,
    as_of: i64,
    phases: impl Iterator<Item = Option<(i64, &'a str)>>,
) -> Result<Option<i64>> {
    if as_of < started_at {
        return Ok(None);
    }
    let (mut from, mut place) = (started_at, None);
    for (phase, number) in phases.zip(1..) {
        place = Some(number);
        let Some((length, unit)) = phase else { break };
        match end_of(from, length, unit)? {
            Some(end) if end <= as_of => from = end,
            _ => break,
        }
    }
    Ok(place)
}

/// When a phase ends; `None` beyond the year 9999. A length of zero or less takes no time.
fn end_of(from: i64, length: i64, unit: &str) -> Result<Option<i64>> {
    let unit = LengthUnit::from_name(unit).ok_or_else(|| unknown_unit(unit))?;
    Ok(if length <= 0 { Some(from) } else { add_length(from, length, unit) })
}

fn uneven(lengths: usize, units: usize) -> DataFusionError {
    let error = Error::project(format!("phase_at got {lengths} lengths and {units} units"))
        .hint("aggregate both over the same rows in the same order, nulls included");
    DataFusionError::External(Box::new(error))
}

fn unknown_unit(unit: &str) -> DataFusionError {
    let error = Error::new(ErrorKind::InputBroken, format!("'{unit}' is not a unit of length"))
        .hint("phase_at takes day, week, month and year");
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests;
