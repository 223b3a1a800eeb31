//! `age_band(birth_date, on)`: the age band on a day, rule R11; never null.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::age_years::{ages, two_dates};
use super::arguments::returns;

const USAGE: &str = "age_band(birth_date, on)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct AgeBand {
    signature: Signature,
}

impl Default for AgeBand {
    fn default() -> Self {
        AgeBand { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The band of an age in completed years. Nobody is counted as born in the future or older than 120.
fn band(age: Option<i64>) -> &'static str {
    match age {
        Some(0..=12) => "under_13",
        Some(13..=15) => "13_15",
        Some(16..=17) => "16_17",
        Some(18..=24) => "18_24",
        Some(25..=34) => "25_34",
        Some(35..=44) => "35_44",
        Some(45..=54) => "45_54",
        Some(55..=64) => "55_64",
        Some(65..=120) => "65_plus",
        _ => "unknown",
    }
}

impl ScalarUDFImpl for AgeBand {
    fn name(&self) -> &str {
        "age_band"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        two_dates(USAGE, given)
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::Utf8, false)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ages: Vec<Option<i64>> = ages(&args)?;
        Ok(ColumnarValue::Array(Arc::new(StringArray::from_iter_values(ages.into_iter().map(band)))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, values};
    use super::*;
    use proptest::prelude::*;

    /// Case 28 of the domain.
    #[tokio::test]
    async fn a_leap_day_child_comes_of_age_on_1_march() {
        let sql = "SELECT age_band(DATE '2008-02-29', on_day) FROM \
                   (VALUES (DATE '2026-02-28'), (DATE '2026-03-01')) AS t (on_day)";
        assert_eq!(values(&context(), sql).await, ["16_17", "18_24"]);
    }

    #[tokio::test]
    async fn never_null() {
        let frame = context().sql("SELECT age_band(NULL, NULL) AS band").await.unwrap();
        assert!(!frame.schema().field(0).is_nullable());
        for args in ["NULL, NULL", "NULL, DATE '2026-01-01'", "DATE '2026-01-01', NULL"] {
            assert_eq!(values(&context(), &format!("SELECT age_band({args})")).await, ["unknown"]);
        }
    }

    #[tokio::test]
    async fn implausible_births_are_unknown() {
        let band = async |birth_date: &str| {
            values(&context(), &format!("SELECT age_band(DATE '{birth_date}', DATE '2026-03-01')")).await
        };
        assert_eq!(band("2026-03-02").await, ["unknown"]);
        assert_eq!(band("2026-03-01").await, ["under_13"]);
        assert_eq!(band("1905-03-02").await, ["65_plus"]);
        assert_eq!(band("1905-03-01").await, ["unknown"]);
    }

    proptest! {
        /// The oracle reads the bounds out of the band's own name.
        #[test]
        fn a_band_holds_its_age(age in -5i64..200) {
            let name = band(Some(age));
            let (low, high) = match name {
                "under_13" => (0, 12),
                "65_plus" => (65, 120),
                "unknown" => {
                    prop_assert!(!(0..=120).contains(&age));
                    return Ok(());
                }
                name => {
                    let (low, high) = name.split_once('_').unwrap();
                    (low.parse().unwrap(), high.parse().unwrap())
                }
            };
            prop_assert!((low..=high).contains(&age), "{} in {}", age, name);
        }
    }
}
