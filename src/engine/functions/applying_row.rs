//! `applying_row(started_at, anchor_day, period, as_of, effective_from, effective_to, existing_from)`: which of some
//! catalogue rows holds for a subscription, rule R5.
//!
//! The lists are the rows of one key, best first; the answer is the place of the first that applies, from 1, and null
//! when none does. A row whose `effective_from` is after `as_of` never applies. Of the others apply those that were
//! live when the subscription started, and those whose `existing_from` a billing boundary has reached by `as_of`. Without a
//! subscription, which is a null `started_at`, the row live at `as_of` applies.
//!
//! A null list of `effective_to` or `existing_from` is a list of nulls: open rows, and rows for new subscriptions only.
//! Nearly every list has one row without `existing_from`, and then nothing but instants is compared: the billing period is
//! read, and a boundary computed, only where a row waits for one.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, ListArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, Column, TextColumn, expect_count, integer, list, returns, text, timestamp};
use super::period::period_of;
use crate::billing::BillingCycle;
use crate::error::Error;

const NAME: &str = "applying_row";
const USAGE: &str = "applying_row(started_at, anchor_day, period, as_of, effective_from ARRAY<TIMESTAMP>, \
                     effective_to ARRAY<TIMESTAMP>, existing_from ARRAY<TIMESTAMP>)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ApplyingRow {
    signature: Signature,
}

impl Default for ApplyingRow {
    fn default() -> Self {
        ApplyingRow { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ApplyingRow {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<7>(USAGE, given)?;
        let instants = |name: &str, given: &DataType| list(USAGE, name, given, |at| timestamp(USAGE, name, at));
        Ok(vec![
            timestamp(USAGE, "started_at", &given[0])?,
            integer(USAGE, "anchor_day", &given[1])?,
            text(USAGE, "period", &given[2])?,
            timestamp(USAGE, "as_of", &given[3])?,
            instants("effective_from", &given[4])?,
            instants("effective_to", &given[5])?,
            instants("existing_from", &given[6])?,
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::Int64, true)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let (subscriptions, rows) = (Subscriptions::of(&args)?, CatalogueRows::of(&args)?);
        let as_of = args.column::<TimestampMicrosecondArray>(3)?;
        let places = (0..args.rows).map(|row| match as_of.value(row) {
            Some(as_of) => subscriptions.applying(row, as_of, &rows),
            None => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(places.collect::<Result<Int64Array>>()?)))
    }
}

struct Subscriptions<'a> {
    started_at: Column<'a, TimestampMicrosecondArray>,
    anchor_day: Column<'a, Int64Array>,
    period: TextColumn<'a>,
}

impl<'a> Subscriptions<'a> {
    fn of(args: &'a Arguments) -> Result<Self> {
        Ok(Subscriptions { started_at: args.column(0)?, anchor_day: args.column(1)?, period: args.text(2)? })
    }

    /// The place of the first row that applies at `as_of`, from 1.
    fn applying(&self, row: usize, as_of: i64, catalogue: &CatalogueRows) -> Result<Option<i64>> {
        let started_at = self.started_at.value(row);
        for (candidate, place) in catalogue.of_list(row)?.zip(1..) {
            if candidate.effective_from.is_none_or(|from| as_of < from) {
                continue;
            }
            if candidate.is_live_at(started_at.unwrap_or(as_of)) {
                return Ok(Some(place));
            }
            if let (Some(started_at), Some(existing_from)) = (started_at, candidate.existing_from) {
                let switched_at = self.first_boundary(row, started_at, existing_from)?;
                if switched_at.is_some_and(|at| at <= as_of) {
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }

    fn first_boundary(&self, row: usize, started_at: i64, existing_from: i64) -> Result<Option<i64>> {
        let period = period_of(NAME, self.period.value(row))?;
        let cycle = BillingCycle::new(started_at, self.anchor_day.value(row), period);
        Ok(cycle.and_then(|cycle| cycle.first_from(existing_from)))
    }
}

struct Candidate {
    effective_from: Option<i64>,
    effective_to: Option<i64>,
    existing_from: Option<i64>,
}

impl Candidate {
    fn is_live_at(&self, at: i64) -> bool {
        self.effective_from.is_some_and(|from| from <= at) && self.effective_to.is_none_or(|to| at < to)
    }
}

struct CatalogueRows<'a> {
    effective_from: Lists<'a>,
    effective_to: Lists<'a>,
    existing_from: Lists<'a>,
}

impl<'a> CatalogueRows<'a> {
    fn of(args: &'a Arguments) -> Result<Self> {
        let (effective_from, effective_to, existing_from) = (args.column(4)?, args.column(5)?, args.column(6)?);
        Ok(CatalogueRows {
            effective_from: Lists(effective_from),
            effective_to: Lists(effective_to),
            existing_from: Lists(existing_from),
        })
    }

    /// The rows of one list, in their order; none where there is no list.
    fn of_list(&self, row: usize) -> Result<impl Iterator<Item = Candidate>> {
        let (from, to, existing) = (self.effective_from.at(row), self.effective_to.at(row), self.existing_from.at(row));
        let count = from.count().unwrap_or(0);
        for (name, other) in [("effective_to", to.count()), ("existing_from", existing.count())] {
            if let Some(other) = other.filter(|other| *other != count) {
                return Err(uneven(count, name, other));
            }
        }
        Ok((0..count).map(move |place| Candidate {
            effective_from: from.get(place),
            effective_to: to.get(place),
            existing_from: existing.get(place),
        }))
    }
}

struct Lists<'a>(Column<'a, ListArray>);

impl<'a> Lists<'a> {
    fn at(&self, row: usize) -> Instants<'a> {
        Instants { values: self.0.array.values().as_primitive(), elements: self.0.elements(row) }
    }
}

/// The list of one row, read in place; without elements where it is null.
struct Instants<'a> {
    values: &'a TimestampMicrosecondArray,
    elements: Option<Range<usize>>,
}

impl Instants<'_> {
    fn count(&self) -> Option<usize> {
        self.elements.as_ref().map(Range::len)
    }

    fn get(&self, place: usize) -> Option<i64> {
        let at = self.elements.as_ref()?.start + place;
        self.values.is_valid(at).then(|| self.values.value(at))
    }
}

fn uneven(rows: usize, name: &str, others: usize) -> DataFusionError {
    let error = Error::project(format!("{NAME} got {rows} effective_from and {others} {name}"))
        .hint("aggregate all three over the same rows in the same order, nulls included");
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests;
