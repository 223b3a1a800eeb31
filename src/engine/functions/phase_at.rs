//! `phase_at(started_at, as_of, lengths, units)`: which phase of a plan holds an instant, rule R5.
//!
//! The answer is the phase's place in the lists, from 1; null before the start and without phases. Each phase begins
//! where the one before it ended. The lists are read in place and no further than the phase that is found.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, ListArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, Texts, expect_count, integer, list, returns, text, timestamp};
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
            list(USAGE, "lengths", &given[2], |length| integer(USAGE, "a length", length))?,
            list(USAGE, "units", &given[3], |unit| text(USAGE, "a unit", unit))?,
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
        Ok(ColumnarValue::Array(Arc::new(phases_at(&Arguments::new(&args)?)?)))
    }
}

fn phases_at(args: &Arguments) -> Result<Int64Array> {
    let started_at = args.column::<TimestampMicrosecondArray>(0)?;
    let as_of = args.column::<TimestampMicrosecondArray>(1)?;
    let (lengths, units) = (args.column::<ListArray>(2)?, args.column::<ListArray>(3)?);
    let length_values = lengths.array.values().as_primitive::<Int64Type>();
    let unit_values = Texts::of(units.array.values())?;
    let at_row = |row: usize| -> Result<Option<i64>> {
        let (Some(started_at), Some(as_of)) = (started_at.value(row), as_of.value(row)) else { return Ok(None) };
        let (Some(length_at), Some(unit_at)) = (lengths.elements(row), units.elements(row)) else { return Ok(None) };
        if length_at.len() != unit_at.len() {
            return Err(uneven(length_at.len(), unit_at.len()));
        }
        let phases = length_at.zip(unit_at).map(|(length_at, unit_at)| {
            let length = length_values.is_valid(length_at).then(|| length_values.value(length_at));
            length.zip(unit_values.value(unit_at))
        });
        holding_phase(started_at, as_of, phases)
    };
    (0..args.rows).map(at_row).collect()
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
