//! `add_period(at, count, unit)`: so many days, weeks, months or years after an instant, at the same time of day. Rule R9
//! ends redemptions by it.
//!
//! Months and years that are too short end on their last day. Without a unit (null or `none`) the result is null, as it is
//! beyond the years 1 to 9999.

use std::sync::Arc;

use arrow::array::{Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, INSTANT_ZONE, expect_count, instant_type, integer, returns, text, timestamp};
use super::period::period_of;
use crate::calendar::add_length;

const NAME: &str = "add_period";
const USAGE: &str = "add_period(at, count, unit)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct AddPeriod {
    signature: Signature,
}

impl Default for AddPeriod {
    fn default() -> Self {
        AddPeriod { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for AddPeriod {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<3>(USAGE, given)?;
        Ok(vec![
            timestamp(USAGE, "at", &given[0])?,
            integer(USAGE, "count", &given[1])?,
            text(USAGE, "unit", &given[2])?,
        ])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(instant_type())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), instant_type(), true)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let at = args.column::<TimestampMicrosecondArray>(0)?;
        let count = args.column::<Int64Array>(1)?;
        let unit = args.text(2)?;
        let at_row = |row: usize| -> Result<Option<i64>> {
            let (Some(at), Some(count)) = (at.value(row), count.value(row)) else { return Ok(None) };
            Ok(period_of(NAME, unit.value(row))?.and_then(|unit| add_length(at, count, unit)))
        };
        let found: TimestampMicrosecondArray = (0..args.rows).map(at_row).collect::<Result<_>>()?;
        Ok(ColumnarValue::Array(Arc::new(found.with_timezone(INSTANT_ZONE))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, in_every_layout, plan_error, run_error, values};
    use crate::error::ErrorKind;

    const AT: &str = "TIMESTAMP '2028-01-31 10:20:30.000005'";

    #[tokio::test]
    async fn units_in_every_layout() {
        let units = [Some("day"), Some("week"), Some("month"), Some("year"), Some("none"), None];
        for ctx in in_every_layout("phase", "unit", &units) {
            assert_eq!(
                values(&ctx, &format!("SELECT add_period({AT}, 1, unit) FROM phase")).await,
                [
                    "2028-02-01T10:20:30.000005Z",
                    "2028-02-07T10:20:30.000005Z",
                    "2028-02-29T10:20:30.000005Z",
                    "2029-01-31T10:20:30.000005Z",
                    "NULL",
                    "NULL",
                ]
            );
        }
    }

    #[tokio::test]
    async fn none_of_it_backwards_and_too_far() {
        let after = async |count: &str| values(&context(), &format!("SELECT add_period({AT}, {count}, 'month')")).await;
        assert_eq!(after("0").await, ["2028-01-31T10:20:30.000005Z"]);
        assert_eq!(after("-2").await, ["2027-11-30T10:20:30.000005Z"]);
        assert_eq!(after("9223372036854775807").await, ["NULL"]);
        assert_eq!(after("NULL").await, ["NULL"]);
        assert_eq!(values(&context(), "SELECT add_period(NULL, NULL, NULL)").await, ["NULL"]);
        assert_eq!(values(&context(), "SELECT add_period(NULL, 1, 'day')").await, ["NULL"]);
    }

    #[tokio::test]
    async fn what_cannot_be_right_is_said() {
        let (kind, message) = run_error(&format!("SELECT add_period({AT}, 1, 'fortnight')")).await;
        assert_eq!(kind, ErrorKind::InputBroken);
        assert!(message.contains("add_period takes none, day"), "{message}");
        let error = plan_error(&format!("SELECT add_period({AT}, 1.5, 'day')")).await;
        assert!(error.contains("count must be an INT64, not Float64"), "{error}");
    }
}
