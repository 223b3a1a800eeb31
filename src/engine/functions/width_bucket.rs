//! `width_bucket(at, thresholds)`: how many of some instants an instant has reached, as PostgreSQL's function of that name
//! counts them: 0 before the first, all of them from the last on.
//!
//! `thresholds` are sorted, the earliest first, without nulls. Instants in one bucket are alike to whatever changes at the
//! thresholds alone, so that a question about each of many rows becomes one about each of few buckets.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, ListArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, expect_count, list, returns, timestamp};
use crate::error::Error;

const NAME: &str = "width_bucket";
const USAGE: &str = "width_bucket(at, thresholds ARRAY<TIMESTAMP>)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct WidthBucket {
    signature: Signature,
}

impl Default for WidthBucket {
    fn default() -> Self {
        WidthBucket { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for WidthBucket {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<2>(USAGE, given)?;
        let instants = list(USAGE, "thresholds", &given[1], |at| timestamp(USAGE, "thresholds", at))?;
        Ok(vec![timestamp(USAGE, "at", &given[0])?, instants])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        // Whether there are thresholds does not matter: no list is an empty one.
        returns(NAME, DataType::Int64, args.arg_fields[0].is_nullable())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let (at, lists) = (args.column::<TimestampMicrosecondArray>(0)?, args.column::<ListArray>(1)?);
        let instants = lists.array.values().as_primitive::<TimestampMicrosecondType>();
        let mut checked: Option<Range<usize>> = None;
        let bucket = |row: usize| -> Result<Option<i64>> {
            let Some(at) = at.value(row) else { return Ok(None) };
            let elements = lists.elements(row).unwrap_or_default();
            // The list is mostly one and the same for all rows.
            if checked.as_ref() != Some(&elements) {
                if !is_ascending(instants, &elements) {
                    return Err(unsorted());
                }
                checked = Some(elements.clone());
            }
            Ok(Some(instants.values()[elements].partition_point(|threshold| *threshold <= at) as i64))
        };
        Ok(ColumnarValue::Array(Arc::new((0..args.rows).map(bucket).collect::<Result<Int64Array>>()?)))
    }
}

fn is_ascending(instants: &TimestampMicrosecondArray, elements: &Range<usize>) -> bool {
    elements.clone().all(|at| instants.is_valid(at)) && instants.values()[elements.clone()].is_sorted()
}

fn unsorted() -> DataFusionError {
    let error = Error::project(format!("{NAME} got thresholds that are not ascending"))
        .hint("write array_agg(DISTINCT at ORDER BY at) over rows where at is not null");
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, plan_error, run_error, values};
    use crate::error::ErrorKind;

    const AT: [&str; 3] = ["2026-01-31 00:00:00", "2026-02-28 00:00:00", "2026-03-31 00:00:00"];

    async fn bucket(at: &str, thresholds: &str) -> String {
        values(&context(), &format!("SELECT width_bucket({at}, {thresholds})")).await.remove(0)
    }

    fn thresholds() -> String {
        format!("[{}]", AT.map(|at| format!("TIMESTAMP '{at}'")).join(", "))
    }

    #[tokio::test]
    async fn a_threshold_is_reached_at_its_own_instant() {
        for (at, reached) in [
            ("2026-01-30 23:59:59.999999", "0"),
            ("2026-01-31 00:00:00", "1"),
            ("2026-03-30 23:59:59.999999", "2"),
            ("2026-03-31 00:00:00", "3"),
            ("2027-01-01 00:00:00", "3"),
        ] {
            assert_eq!(bucket(&format!("TIMESTAMP '{at}'"), &thresholds()).await, reached, "{at}");
        }
    }

    #[tokio::test]
    async fn no_instant_has_no_bucket_and_no_thresholds_are_never_reached() {
        assert_eq!(bucket("NULL", &thresholds()).await, "NULL");
        assert_eq!(bucket("now()", "NULL").await, "0");
        assert_eq!(bucket("now()", "[]").await, "0");
    }

    /// As models use it: the thresholds are one value that a subquery gives, and a list a row counts as well.
    #[tokio::test]
    async fn thresholds_come_from_a_subquery_or_from_the_row() {
        let ctx = context();
        let at = AT.map(|at| format!("(TIMESTAMP '{at}')")).join(", ");
        ctx.sql(&format!("CREATE TABLE t (at TIMESTAMPTZ) AS VALUES {at}")).await.unwrap();
        let sql = "SELECT width_bucket(at, (SELECT array_agg(DISTINCT at ORDER BY at) FROM t)) AS b FROM t ORDER BY b";
        assert_eq!(values(&ctx, sql).await, ["1", "2", "3"]);
        let sql = "SELECT width_bucket(at, [at, at]) AS b FROM t ORDER BY b";
        assert_eq!(values(&ctx, sql).await, ["2", "2", "2"]);
    }

    #[tokio::test]
    async fn what_cannot_be_right_is_said() {
        for thresholds in ["[now(), TIMESTAMP '2026-01-01 00:00:00']", "[now(), NULL]"] {
            let (kind, message) = run_error(&format!("SELECT width_bucket(now(), {thresholds})")).await;
            assert_eq!(kind, ErrorKind::Project);
            assert!(message.contains("not ascending"), "{message}");
        }
        let error = plan_error("SELECT width_bucket(DATE '2026-01-01', [now()])").await;
        assert!(error.contains("at must be a TIMESTAMP, not Date32"), "{error}");
        let error = plan_error("SELECT width_bucket(now())").await;
        assert!(error.contains("takes 2 arguments, not 1"), "{error}");
    }
}
