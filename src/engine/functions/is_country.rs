//! `is_country(code)`: whether a text is a country code as rule R11 takes it; never null.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, expect_count, returns, text};

const USAGE: &str = "is_country(code)";

/// ISO 3166-1 alpha-2, officially assigned, sorted.
#[rustfmt::skip]
const ISO_3166_1: [&str; 249] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA", "BB",
    "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BY",
    "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX",
    "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK",
    "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS",
    "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR",
    "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA",
    "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK",
    "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE",
    "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM",
    "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS", "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG",
    "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST", "SV", "SX", "SY", "SZ", "TC", "TD", "TF",
    "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY",
    "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
];

/// Kosovo: a user-assigned code that stores and payment providers use.
const KOSOVO: &str = "XK";

/// Whether the two letters at `first * 26 + second` are a country: one load a row.
const IS_COUNTRY: [bool; 26 * 26] = {
    let mut table = [false; 26 * 26];
    let mut at = 0;
    while at < ISO_3166_1.len() {
        table[slot(ISO_3166_1[at].as_bytes())] = true;
        at += 1;
    }
    table[slot(KOSOVO.as_bytes())] = true;
    table
};

const fn slot(letters: &[u8]) -> usize {
    (letters[0] - b'A') as usize * 26 + (letters[1] - b'A') as usize
}

fn is_country(code: &str) -> bool {
    match code.as_bytes() {
        letters @ [b'A'..=b'Z', b'A'..=b'Z'] => IS_COUNTRY[slot(letters)],
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IsCountry {
    signature: Signature,
}

impl Default for IsCountry {
    fn default() -> Self {
        IsCountry { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IsCountry {
    fn name(&self) -> &str {
        "is_country"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<1>(USAGE, given)?;
        Ok(vec![text(USAGE, "code", &given[0])?])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::Boolean, false)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let args = Arguments::new(&args)?;
        let found: BooleanBuffer = args.only_text()?.map(|code| code.is_some_and(is_country)).collect();
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(found, None))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{context, in_every_layout, plan_error, values};
    use super::*;
    use arrow::array::AsArray;
    use proptest::prelude::*;
    use std::path::PathBuf;

    #[tokio::test]
    async fn codes_in_every_layout() {
        let codes =
            [Some("NO"), None, Some("NA"), Some("no"), Some("XK"), Some("ZZ"), Some("NOR"), Some("Ü"), Some("")];
        let expected = ["true", "false", "true", "false", "true", "false", "false", "false", "false"];
        for ctx in in_every_layout("account", "country", &codes) {
            assert_eq!(values(&ctx, "SELECT is_country(country) FROM account").await, expected);
        }
    }

    #[tokio::test]
    async fn never_null() {
        let frame = context().sql("SELECT is_country(NULL) AS known").await.unwrap();
        assert!(!frame.schema().field(0).is_nullable());
        assert_eq!(values(&context(), "SELECT is_country(NULL)").await, ["false"]);
        assert_eq!(values(&context(), "SELECT is_country('DE')").await, ["true"]);
        assert!(plan_error("SELECT is_country(false)").await.contains("code must be a STRING, not Boolean"));
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(ISO_3166_1.is_sorted_by(|a, b| a < b));
    }

    /// Reads `iso_reference/country-codes.csv` below the folder that GATEFOLD_REAL_DATA names.
    #[test]
    fn the_table_is_that_of_the_reference_data() {
        let folder = std::env::var_os("GATEFOLD_REAL_DATA")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/real"), PathBuf::from);
        let path = folder.join("iso_reference/country-codes.csv");
        let Ok(text) = std::fs::read(&path) else {
            eprintln!("skipped: no {}; set GATEFOLD_REAL_DATA", path.display());
            return;
        };
        let mut listed = codes_of(&text);
        listed.sort();
        assert_eq!(listed, ISO_3166_1);
    }

    fn codes_of(csv: &[u8]) -> Vec<String> {
        let format = arrow::csv::reader::Format::default().with_header(true);
        let (schema, _) = format.infer_schema(csv, None).unwrap();
        let column = schema.index_of("ISO3166-1-Alpha-2").unwrap();
        let reader = arrow::csv::ReaderBuilder::new(Arc::new(schema)).with_format(format);
        let batches = reader.with_projection(vec![column]).build(csv).unwrap();
        let codes = |batch: arrow::array::RecordBatch| {
            let codes = arrow::compute::cast(batch.column(0), &DataType::Utf8).unwrap();
            codes.as_string::<i32>().iter().map(|code| code.unwrap().to_owned()).collect::<Vec<_>>()
        };
        batches.flat_map(|batch| codes(batch.unwrap())).collect()
    }

    proptest! {
        #[test]
        fn a_country_is_in_the_list(code in "[A-Za-z]{2}|[A-Z]{1,3}|.{0,3}") {
            prop_assert_eq!(is_country(&code), code == KOSOVO || ISO_3166_1.contains(&code.as_str()));
        }
    }
}
