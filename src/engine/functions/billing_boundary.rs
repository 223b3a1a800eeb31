//! `billing_boundary`, `billing_window_start` and `billing_window_end`: a subscription's billing boundaries around an
//! instant, rules R5 and R8. [`crate::billing`] says what a boundary is.
//!
//! All three take `(started_at, anchor_day, period, at)`. Without a period (null or `none`) the start is the only boundary.

use std::sync::Arc;

use arrow::array::{Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, INSTANT_ZONE, expect_count, instant_type, integer, returns, text, timestamp};
use super::period::period_of;
use crate::billing::BillingCycle;

/// Which boundary is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Boundary {
    /// The first at or after the instant.
    From,
    /// The last at or before the instant; null before the start.
    WindowStart,
    /// The first after the instant; null before the start.
    WindowEnd,
}

impl Boundary {
    fn function(self) -> &'static str {
        match self {
            Boundary::From => "billing_boundary",
            Boundary::WindowStart => "billing_window_start",
            Boundary::WindowEnd => "billing_window_end",
        }
    }

    fn of(self, cycle: &BillingCycle, at: i64) -> Option<i64> {
        match self {
            Boundary::From => cycle.first_from(at),
            Boundary::WindowStart => cycle.window_start(at),
            Boundary::WindowEnd => cycle.window_end(at),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct BillingBoundary {
    boundary: Boundary,
    signature: Signature,
}

impl BillingBoundary {
    pub fn new(boundary: Boundary) -> Self {
        BillingBoundary { boundary, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn boundaries(&self, args: &Arguments) -> Result<TimestampMicrosecondArray> {
        let started_at = args.column::<TimestampMicrosecondArray>(0)?;
        let anchor_day = args.column::<Int64Array>(1)?;
        let period = args.text(2)?;
        let at = args.column::<TimestampMicrosecondArray>(3)?;
        let at_row = |row: usize| -> Result<Option<i64>> {
            let (Some(started_at), Some(at)) = (started_at.value(row), at.value(row)) else { return Ok(None) };
            let period = period_of(self.name(), period.value(row))?;
            let cycle = BillingCycle::new(started_at, anchor_day.value(row), period);
            Ok(cycle.and_then(|cycle| self.boundary.of(&cycle, at)))
        };
        let found: TimestampMicrosecondArray = (0..args.rows).map(at_row).collect::<Result<_>>()?;
        Ok(found.with_timezone(INSTANT_ZONE))
    }
}

impl ScalarUDFImpl for BillingBoundary {
    fn name(&self) -> &str {
        self.boundary.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let usage = format!("{}(started_at, anchor_day, period, at)", self.name());
        expect_count::<4>(&usage, given)?;
        Ok(vec![
            timestamp(&usage, "started_at", &given[0])?,
            integer(&usage, "anchor_day", &given[1])?,
            text(&usage, "period", &given[2])?,
            timestamp(&usage, "at", &given[3])?,
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(instant_type())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), instant_type(), true)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Array(Arc::new(self.boundaries(&Arguments::new(&args)?)?)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};

    use super::super::testing::{context, plan_error, run_error, table, values};
    use crate::error::ErrorKind;

    async fn all_three(args: &str) -> [String; 3] {
        let mut found = Vec::new();
        for function in ["billing_boundary", "billing_window_start", "billing_window_end"] {
            found.extend(values(&context(), &format!("SELECT {function}({args})")).await);
        }
        found.try_into().unwrap()
    }

    const START: &str = "TIMESTAMP '2026-07-31 08:00:00'";

    #[tokio::test]
    async fn each_names_its_boundary() {
        let found = all_three(&format!("{START}, 31, 'month', TIMESTAMP '2026-08-31 08:00:00'")).await;
        assert_eq!(found, ["2026-08-31T08:00:00Z", "2026-08-31T08:00:00Z", "2026-09-30T08:00:00Z"]);
        let found = all_three(&format!("{START}, NULL, 'week', TIMESTAMP '2026-08-20 00:00:00'")).await;
        assert_eq!(found, ["2026-08-21T08:00:00Z", "2026-08-14T08:00:00Z", "2026-08-21T08:00:00Z"]);
        let found = all_three(&format!("{START}, 31, 'month', TIMESTAMP '2026-07-31 07:59:59'")).await;
        assert_eq!(found, ["2026-07-31T08:00:00Z", "NULL", "NULL"]);
    }

    #[tokio::test]
    async fn without_a_period_the_start_is_the_only_boundary() {
        for period in ["NULL", "'none'"] {
            let found = all_three(&format!("{START}, 31, {period}, TIMESTAMP '2026-08-31 08:00:00'")).await;
            assert_eq!(found, ["NULL", "2026-07-31T08:00:00Z", "NULL"]);
        }
    }

    #[tokio::test]
    async fn no_start_or_no_instant_is_null() {
        for args in ["NULL, 31, 'month', now()", "now(), 31, 'month', NULL", "NULL, NULL, NULL, NULL"] {
            assert_eq!(all_three(args).await, ["NULL", "NULL", "NULL"], "{args}");
        }
    }

    #[tokio::test]
    async fn columns_are_read_row_by_row() {
        let instants = |at: [Option<i64>; 3]| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(at.to_vec()).with_timezone("UTC"))
        };
        let ctx = table(
            "t",
            vec![
                instants([Some(0), Some(0), None]),
                Arc::new(Int64Array::from(vec![None, Some(15), None])),
                Arc::new(StringViewArray::from(vec!["day", "month", "day"])),
            ],
        );
        let sql = "SELECT billing_window_end(c0, c1, c2, TIMESTAMP '1970-02-20 12:00:00') FROM t";
        assert_eq!(values(&ctx, sql).await, ["1970-02-21T00:00:00Z", "1970-03-15T00:00:00Z", "NULL"]);
    }

    #[tokio::test]
    async fn what_cannot_be_right_is_said() {
        let (kind, message) = run_error("SELECT billing_window_end(now(), 1, 'fortnight', now())").await;
        assert_eq!(kind, ErrorKind::InputBroken);
        assert!(message.contains("'fortnight' is not a period") && message.contains("billing_window_end"), "{message}");
        let error = plan_error("SELECT billing_boundary(DATE '2026-01-01', 1, 'month', now())").await;
        assert!(error.contains("started_at must be a TIMESTAMP, not Date32"), "{error}");
        let error = plan_error("SELECT billing_boundary(now(), 'x', 'month', now())").await;
        assert!(error.contains("anchor_day must be an INT64, not Utf8"), "{error}");
        let error = plan_error("SELECT billing_window_start(now(), 1, 'month')").await;
        assert!(error.contains("billing_window_start(started_at, anchor_day, period, at) takes 4"), "{error}");
    }
}
