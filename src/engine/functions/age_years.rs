//! `age_years(birth_date, on)`: completed years on a day, -1 for a birth in the future, rule R11.

use std::sync::Arc;

use arrow::array::{Date32Array, Int64Array};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, any_nullable, date, expect_count, returns};
use crate::calendar::completed_years;

const USAGE: &str = "age_years(birth_date, on)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct AgeYears {
    signature: Signature,
}

impl Default for AgeYears {
    fn default() -> Self {
        AgeYears { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The types of `(birth_date, on)`.
pub(super) fn two_dates(usage: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    expect_count::<2>(usage, given)?;
    Ok(vec![date(usage, "birth_date", &given[0])?, date(usage, "on", &given[1])?])
}

/// The age of every row, from arguments of the types of [`two_dates`].
pub(super) fn ages<C: FromIterator<Option<i64>>>(args: &ScalarFunctionArgs) -> Result<C> {
    let args = Arguments::new(args)?;
    let birth_date = args.column::<Date32Array>(0)?;
    let on = args.column::<Date32Array>(1)?;
    Ok((0..args.rows).map(|row| Some(completed_years(birth_date.value(row)?, on.value(row)?))).collect())
}

impl ScalarUDFImpl for AgeYears {
    fn name(&self) -> &str {
        "age_years"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        two_dates(USAGE, given)
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::Int64, any_nullable(&args))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Array(Arc::new(ages::<Int64Array>(&args)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, plan_error, values};

    #[tokio::test]
    async fn constants_nulls_and_the_future() {
        for (birth_date, on, age) in [
            ("DATE '2008-02-29'", "DATE '2026-02-28'", "17"),
            ("DATE '2008-02-29'", "DATE '2026-03-01'", "18"),
            ("DATE '2026-03-01'", "DATE '2026-03-01'", "0"),
            ("DATE '2031-03-01'", "DATE '2026-03-01'", "-1"),
            ("NULL", "DATE '2026-03-01'", "NULL"),
            ("DATE '2008-02-29'", "CAST(NULL AS DATE)", "NULL"),
        ] {
            assert_eq!(values(&context(), &format!("SELECT age_years({birth_date}, {on})")).await, [age]);
        }
    }

    #[tokio::test]
    async fn columns_and_constants_mix() {
        let born = "(VALUES (DATE '2000-01-01', DATE '2010-01-01'), (NULL, DATE '2010-01-01'), \
                    (DATE '2001-12-31', DATE '2010-12-30')) AS t (born, seen)";
        let on = |args: &str| format!("SELECT age_years({args}) FROM {born}");
        assert_eq!(values(&context(), &on("born, seen")).await, ["10", "NULL", "8"]);
        assert_eq!(values(&context(), &on("born, DATE '2020-06-01'")).await, ["20", "NULL", "18"]);
        assert_eq!(values(&context(), &on("DATE '1999-12-30', seen")).await, ["10", "10", "11"]);
        assert_eq!(values(&context(), &format!("{} WHERE false", on("born, seen"))).await, [""; 0]);
    }

    #[tokio::test]
    async fn nullable_as_its_arguments_are() {
        let sql =
            "SELECT age_years(DATE '2000-01-01', DATE '2020-01-01') AS a, age_years(NULL, DATE '2020-01-01') AS b";
        let frame = context().sql(sql).await.unwrap();
        assert!(!frame.schema().field(0).is_nullable());
        assert!(frame.schema().field(1).is_nullable());
    }

    #[tokio::test]
    async fn wrong_calls_are_plan_errors() {
        let error = plan_error("SELECT age_years(TIMESTAMP '2000-01-01 00:00:00', DATE '2020-01-01')").await;
        assert!(error.contains("birth_date must be a DATE") && error.contains("CAST(… AS DATE)"), "{error}");
        assert!(plan_error("SELECT age_years(DATE '2020-01-01')").await.contains("takes 2 arguments, not 1"));
    }
}
