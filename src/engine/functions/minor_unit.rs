//! `minor_unit(currency)`: digits of the ISO 4217 minor unit of a currency, rule R9. Null for a code that ISO 4217 does not
//! have, and for one without a minor unit, as gold is.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, expect_count, returns, text};
use crate::money;

const USAGE: &str = "minor_unit(currency)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MinorUnit {
    signature: Signature,
}

impl Default for MinorUnit {
    fn default() -> Self {
        MinorUnit { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for MinorUnit {
    fn name(&self) -> &str {
        "minor_unit"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<1>(USAGE, given)?;
        Ok(vec![text(USAGE, "currency", &given[0])?])
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
        let digits = args.only_text()?.map(|currency| currency.and_then(money::minor_unit).map(i64::from));
        Ok(ColumnarValue::Array(Arc::new(digits.collect::<Int64Array>())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, in_every_layout, plan_error, values};

    #[tokio::test]
    async fn codes_in_every_layout() {
        let codes = [Some("EUR"), Some("JPY"), Some("KWD"), Some("XAU"), Some("eur"), Some(""), None];
        for ctx in in_every_layout("price", "currency", &codes) {
            let found = values(&ctx, "SELECT minor_unit(currency) FROM price").await;
            assert_eq!(found, ["2", "0", "3", "NULL", "NULL", "NULL", "NULL"]);
        }
        assert_eq!(values(&context(), "SELECT minor_unit(NULL)").await, ["NULL"]);
        assert!(plan_error("SELECT minor_unit(978)").await.contains("currency must be a STRING, not Int64"));
    }
}
