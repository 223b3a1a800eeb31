//! `round_money(amount, currency)`: an amount rounded half to even to its currency's minor unit, rule R9. Null for a currency
//! that [`minor_unit`](super::minor_unit) does not know.

use std::sync::Arc;

use arrow::array::Decimal128Array;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, NUMERIC_SCALE, expect_count, numeric, returns, text};
use crate::error::{Error, ErrorKind};
use crate::money::{Amount, minor_unit};

const USAGE: &str = "round_money(amount, currency)";

/// The NUMERIC that the functions of money give.
pub(super) const NUMERIC: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, NUMERIC_SCALE);

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RoundMoney {
    signature: Signature,
}

impl Default for RoundMoney {
    fn default() -> Self {
        RoundMoney { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RoundMoney {
    fn name(&self) -> &str {
        "round_money"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<2>(USAGE, given)?;
        Ok(vec![numeric(USAGE, "amount", &given[0])?, text(USAGE, "currency", &given[1])?])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(NUMERIC)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), NUMERIC, true)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let (amounts, currency) = (args.column::<Decimal128Array>(0)?, args.text(1)?);
        let at_row = |row: usize| -> Result<Option<i128>> {
            let (Some(units), Some(currency)) = (amounts.value(row), currency.value(row)) else { return Ok(None) };
            let Some(digits) = minor_unit(currency) else { return Ok(None) };
            let amount = amount_of(amounts.array, units);
            amount.round(digits).map(Some).ok_or_else(|| too_large(amount))
        };
        numeric_column((0..args.rows).map(at_row))
    }
}

/// A value of a column as an amount; planning lets no negative scale pass.
pub(super) fn amount_of(column: &Decimal128Array, units: i128) -> Amount {
    Amount { units, scale: column.scale().unsigned_abs() }
}

/// A column of NUMERIC from its units.
pub(super) fn numeric_column(units: impl Iterator<Item = Result<Option<i128>>>) -> Result<ColumnarValue> {
    let units: Decimal128Array = units.collect::<Result<_>>()?;
    let numeric = units.with_precision_and_scale(DECIMAL128_MAX_PRECISION, NUMERIC_SCALE)?;
    Ok(ColumnarValue::Array(Arc::new(numeric)))
}

/// A price that leaves the digits of a NUMERIC is no price, and null would hide it.
pub(super) fn too_large(amount: Amount) -> DataFusionError {
    let shown = format!("{}e-{}", amount.units, amount.scale);
    let error = Error::new(ErrorKind::InputBroken, format!("an amount of {shown} does not fit a NUMERIC"))
        .hint("a NUMERIC holds 29 digits before the point");
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, plan_error, run_error, values};
    use crate::error::ErrorKind;

    async fn rounded(amount: &str, currency: &str) -> Vec<String> {
        values(&context(), &format!("SELECT round_money({amount}, {currency})")).await
    }

    #[tokio::test]
    async fn half_to_even_in_the_currency_s_digits() {
        assert_eq!(rounded("CAST('2.345' AS DECIMAL(38, 9))", "'EUR'").await, ["2.340000000"]);
        assert_eq!(rounded("CAST('2.355' AS DECIMAL(10, 3))", "'EUR'").await, ["2.360000000"]);
        assert_eq!(rounded("CAST('980.5' AS DECIMAL(5, 1))", "'JPY'").await, ["980.000000000"]);
        assert_eq!(rounded("CAST('1.2355' AS DECIMAL(38, 20))", "'KWD'").await, ["1.236000000"]);
        assert_eq!(rounded("7", "'EUR'").await, ["7.000000000"]);
        assert_eq!(rounded("arrow_cast('2.345', 'Decimal256(76, 10)')", "'EUR'").await, ["2.340000000"]);
    }

    #[tokio::test]
    async fn no_amount_and_no_known_currency_are_null() {
        for (amount, currency) in [("NULL", "'EUR'"), ("1", "NULL"), ("NULL", "NULL"), ("1", "'XAU'"), ("1", "'???'")] {
            assert_eq!(rounded(amount, currency).await, ["NULL"], "{amount} {currency}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_right_is_said() {
        let error = plan_error("SELECT round_money(2.5, 'EUR')").await;
        assert!(error.contains("amount must be a NUMERIC, not Float64"), "{error}");
        let huge = "CAST('100000000000000000000000000000' AS DECIMAL(38, 0))";
        let (kind, message) = run_error(&format!("SELECT round_money({huge}, 'EUR')")).await;
        assert_eq!(kind, ErrorKind::InputBroken);
        assert!(message.contains("does not fit a NUMERIC"), "{message}");
    }
}
