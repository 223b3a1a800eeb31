//! Column types in GoogleSQL notation, and the Arrow types that carry them.
//!
//! The notation is read by `sqlparser`'s BigQuery dialect; only what BigQuery loads from Parquet is let through.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use sqlparser::ast::{ArrayElemTypeDef, DataType as SqlType, ExactNumberInfo, StructField, TimezoneInfo};
use sqlparser::dialect::BigQueryDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result, did_you_mean};

/// What a column may be, as error messages list it.
const KNOWN: &str = "STRING, BYTES, INT64, FLOAT64, BOOL, DATE, TIMESTAMP, DATETIME, NUMERIC or NUMERIC(precision, scale), \
                     BIGNUMERIC or BIGNUMERIC(precision, scale), ARRAY<type>, STRUCT<name type, ...>";
const KEYWORDS: [&str; 12] = [
    "STRING",
    "BYTES",
    "INT64",
    "FLOAT64",
    "BOOL",
    "DATE",
    "TIMESTAMP",
    "DATETIME",
    "NUMERIC",
    "BIGNUMERIC",
    "ARRAY",
    "STRUCT",
];

/// BigQuery nests records to 15 levels; the limit also keeps the parser's recursion shallow.
const DEPTH_LIMIT: usize = 15;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    String,
    Bytes,
    Int64,
    Float64,
    Bool,
    Date,
    /// An instant: microseconds, UTC.
    Timestamp,
    /// A wall-clock time without a zone: microseconds.
    Datetime,
    /// `decimal128`; plain `NUMERIC` is (38, 9).
    Numeric {
        precision: u8,
        scale: i8,
    },
    /// `decimal256`; plain `BIGNUMERIC` is (76, 38).
    Bignumeric {
        precision: u8,
        scale: i8,
    },
    Array(Box<ColumnType>),
    Struct(Vec<(String, ColumnType)>),
}

/// The limits of a decimal family: how many digits BigQuery keeps on each side of the point.
struct Decimals {
    name: &'static str,
    integer_digits: u64,
    scale: u64,
}

const NUMERIC: Decimals = Decimals { name: "NUMERIC", integer_digits: 29, scale: 9 };
const BIGNUMERIC: Decimals = Decimals { name: "BIGNUMERIC", integer_digits: 38, scale: 38 };

impl ColumnType {
    /// The Arrow type of the files. Items of arrays and fields of structs are nullable there: only a column can be required.
    pub fn arrow(&self) -> DataType {
        match self {
            ColumnType::String => DataType::Utf8,
            ColumnType::Bytes => DataType::Binary,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Float64 => DataType::Float64,
            ColumnType::Bool => DataType::Boolean,
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::Numeric { precision, scale } => DataType::Decimal128(*precision, *scale),
            ColumnType::Bignumeric { precision, scale } => DataType::Decimal256(*precision, *scale),
            ColumnType::Array(item) => DataType::List(Arc::new(Field::new_list_field(item.arrow(), true))),
            ColumnType::Struct(fields) => {
                DataType::Struct(fields.iter().map(|(name, kind)| Field::new(name, kind.arrow(), true)).collect())
            }
        }
    }

    /// Whether a value holds other values: such columns are neither keys nor compared.
    pub fn is_nested(&self) -> bool {
        matches!(self, ColumnType::Array(_) | ColumnType::Struct(_))
    }

    /// Whether `min` and `max` mean something: numbers and times.
    pub fn is_ordered(&self) -> bool {
        !self.is_nested() && !matches!(self, ColumnType::String | ColumnType::Bytes | ColumnType::Bool)
    }

    /// Whether BigQuery clusters a table by such a column.
    pub fn is_clusterable(&self) -> bool {
        !self.is_nested() && !matches!(self, ColumnType::Bytes | ColumnType::Float64)
    }
}

/// The canonical notation; it reads back as the same type.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::String => f.write_str("STRING"),
            ColumnType::Bytes => f.write_str("BYTES"),
            ColumnType::Int64 => f.write_str("INT64"),
            ColumnType::Float64 => f.write_str("FLOAT64"),
            ColumnType::Bool => f.write_str("BOOL"),
            ColumnType::Date => f.write_str("DATE"),
            ColumnType::Timestamp => f.write_str("TIMESTAMP"),
            ColumnType::Datetime => f.write_str("DATETIME"),
            ColumnType::Numeric { precision: 38, scale: 9 } => f.write_str("NUMERIC"),
            ColumnType::Numeric { precision, scale } => write!(f, "NUMERIC({precision}, {scale})"),
            ColumnType::Bignumeric { precision: 76, scale: 38 } => f.write_str("BIGNUMERIC"),
            ColumnType::Bignumeric { precision, scale } => write!(f, "BIGNUMERIC({precision}, {scale})"),
            ColumnType::Array(item) => write!(f, "ARRAY<{item}>"),
            ColumnType::Struct(fields) => {
                let fields: Vec<String> = fields.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
                write!(f, "STRUCT<{}>", fields.join(", "))
            }
        }
    }
}

impl FromStr for ColumnType {
    type Err = Error;

    /// Reads GoogleSQL notation, in any case, with BigQuery's aliases (`INTEGER`, `BOOLEAN`, `DECIMAL`, …).
    fn from_str(text: &str) -> Result<Self> {
        if depth(text) > DEPTH_LIMIT {
            return Err(Error::project(format!("a column type is nested deeper than {DEPTH_LIMIT} levels"))
                .hint("flatten it into more columns, or store it as STRING"));
        }
        let unreadable = |error| not_a_type(text, &[]).source(error);
        let mut parser = Parser::new(&BigQueryDialect {}).try_with_sql(text).map_err(unreadable)?;
        let parsed = parser.parse_data_type().map_err(unreadable)?;
        if parser.peek_token().token != Token::EOF {
            return Err(not_a_type(text, &[]));
        }
        from_sql(&parsed)
    }
}

/// How deep brackets stand in each other.
fn depth(text: &str) -> usize {
    let mut open: usize = 0;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'<' | b'(' | b'[' => open += 1,
            b'>' | b')' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn from_sql(parsed: &SqlType) -> Result<ColumnType> {
    Ok(match parsed {
        SqlType::String(None) => ColumnType::String,
        SqlType::Bytes(None) => ColumnType::Bytes,
        SqlType::Int64
        | SqlType::Int(None)
        | SqlType::Integer(None)
        | SqlType::BigInt(None)
        | SqlType::SmallInt(None)
        | SqlType::TinyInt(None) => ColumnType::Int64,
        SqlType::Float64 => ColumnType::Float64,
        SqlType::Bool | SqlType::Boolean => ColumnType::Bool,
        SqlType::Date => ColumnType::Date,
        SqlType::Timestamp(None, TimezoneInfo::None) => ColumnType::Timestamp,
        SqlType::Datetime(None) => ColumnType::Datetime,
        SqlType::Numeric(size) | SqlType::Decimal(size) => {
            let (precision, scale) = NUMERIC.digits(size)?;
            ColumnType::Numeric { precision, scale }
        }
        SqlType::BigNumeric(size) | SqlType::BigDecimal(size) => {
            let (precision, scale) = BIGNUMERIC.digits(size)?;
            ColumnType::Bignumeric { precision, scale }
        }
        SqlType::Array(ArrayElemTypeDef::AngleBracket(item)) => array_of(from_sql(item)?)?,
        SqlType::Struct(fields, _) if !fields.is_empty() => struct_of(fields)?,
        other => return Err(refused(other)),
    })
}

impl Decimals {
    /// Precision and scale within BigQuery's limits: `max(1, scale) <= precision <= scale + integer digits`.
    fn digits(&self, size: &ExactNumberInfo) -> Result<(u8, i8)> {
        let (precision, scale) = match *size {
            ExactNumberInfo::None => (self.integer_digits + self.scale, self.scale as i64),
            ExactNumberInfo::Precision(precision) => (precision, 0),
            ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
        };
        let wanted = format!(
            "{} takes a scale of 0 to {} and a precision from the scale (at least 1) to the scale plus {}",
            self.name, self.scale, self.integer_digits
        );
        let refuse = || Error::project(format!("{}({precision}, {scale}) is out of range", self.name)).hint(&wanted);
        let digits_after = u64::try_from(scale).ok().filter(|scale| *scale <= self.scale).ok_or_else(refuse)?;
        if precision < digits_after.max(1) || precision > digits_after + self.integer_digits {
            return Err(refuse());
        }
        // Both are at most 76 by the limits above.
        Ok((precision as u8, digits_after as i8))
    }
}

fn array_of(item: ColumnType) -> Result<ColumnType> {
    if matches!(item, ColumnType::Array(_)) {
        return Err(Error::project(format!("BigQuery has no array of arrays: ARRAY<{item}>"))
            .hint(format!("put a struct between them: ARRAY<STRUCT<items {item}>>")));
    }
    Ok(ColumnType::Array(Box::new(item)))
}

fn struct_of(fields: &[StructField]) -> Result<ColumnType> {
    let mut read: Vec<(String, ColumnType)> = Vec::with_capacity(fields.len());
    for field in fields {
        let name = match &field.field_name {
            Some(name) if field.options.is_none() => &name.value,
            _ => return Err(Error::project(format!("'{field}' is not a field of a STRUCT")).hint("write name type")),
        };
        super::check_column_name(name)?;
        if read.iter().any(|(before, _)| before == name) {
            return Err(
                Error::project(format!("the field '{name}' stands twice in a STRUCT")).hint("rename one of them")
            );
        }
        read.push((name.clone(), from_sql(&field.field_type)?));
    }
    Ok(ColumnType::Struct(read))
}

/// A type that SQL knows and a column cannot have, with what to use instead.
fn refused(other: &SqlType) -> Error {
    let text = other.to_string();
    let instead = match other {
        SqlType::JSON | SqlType::JSONB => "JSON cannot be loaded from Parquet: use STRING",
        SqlType::Time(..) => "TIME is not carried: use STRING or DATETIME",
        SqlType::Interval { .. } => "INTERVAL cannot be loaded from Parquet: use INT64 and state the unit",
        SqlType::String(_) | SqlType::Bytes(_) => "a length is not carried: leave it out",
        SqlType::Float(_) | SqlType::Float32 | SqlType::Double(_) | SqlType::Real => "use FLOAT64",
        SqlType::Varchar(_) | SqlType::Text | SqlType::Char(_) => "use STRING",
        _ if text.eq_ignore_ascii_case("geography") => "GEOGRAPHY cannot be loaded from Parquet: use STRING with WKT",
        _ => return not_a_type(&text, &KEYWORDS),
    };
    Error::project(format!("'{text}' is not a column type")).hint(format!("{instead}; known types: {KNOWN}"))
}

fn not_a_type(text: &str, candidates: &[&str]) -> Error {
    let typed = text.to_ascii_uppercase();
    // A bare ARRAY or STRUCT is spelled rightly and lacks what it holds.
    let near = did_you_mean(&typed, candidates.iter().copied().filter(|candidate| *candidate != typed));
    let hint = near.unwrap_or_else(|| format!("known types: {KNOWN}"));
    Error::project(format!("'{text}' is not a column type")).hint(hint)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> ColumnType {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &str) -> String {
        text.parse::<ColumnType>().expect_err(text).to_string()
    }

    #[test]
    fn notation_is_read_and_printed_canonically() {
        for (text, canonical) in [
            ("string", "STRING"),
            ("INTEGER", "INT64"),
            ("boolean", "BOOL"),
            ("DECIMAL(18,4)", "NUMERIC(18, 4)"),
            ("NUMERIC(29)", "NUMERIC(29, 0)"),
            ("NUMERIC(38, 9)", "NUMERIC"),
            ("BIGDECIMAL", "BIGNUMERIC"),
            ("array<struct<a int64, b array<string>>>", "ARRAY<STRUCT<a INT64, b ARRAY<STRING>>>"),
            ("STRUCT<date DATE, array ARRAY<TIMESTAMP>>", "STRUCT<date DATE, array ARRAY<TIMESTAMP>>"),
        ] {
            assert_eq!(read(text).to_string(), canonical);
        }
    }

    #[test]
    fn arrow_types_are_those_of_the_domain() {
        assert_eq!(read("NUMERIC").arrow(), DataType::Decimal128(38, 9));
        assert_eq!(read("BIGNUMERIC").arrow(), DataType::Decimal256(76, 38));
        assert_eq!(read("TIMESTAMP").arrow(), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        assert_eq!(read("DATETIME").arrow(), DataType::Timestamp(TimeUnit::Microsecond, None));
        assert_eq!(read("ARRAY<STRING>").arrow(), DataType::new_list(DataType::Utf8, true));
        let fields = vec![Field::new("a", DataType::Date32, true), Field::new("b", DataType::Binary, true)];
        assert_eq!(read("STRUCT<a DATE, b BYTES>").arrow(), DataType::Struct(fields.into()));
    }

    #[test]
    fn what_bigquery_cannot_load_is_refused_with_a_way_out() {
        for (text, expected) in [
            ("JSON", "JSON cannot be loaded from Parquet: use STRING"),
            ("TIME", "TIME is not carried"),
            ("GEOGRAPHY", "use STRING with WKT"),
            ("INTERVAL", "use INT64 and state the unit"),
            ("STRING(10)", "a length is not carried"),
            ("FLOAT", "use FLOAT64"),
            ("STRNG", "did you mean 'STRING'?"),
            ("INT64[]", "known types: STRING, BYTES"),
            ("ARRAY<", "known types:"),
            ("INT64 NOT NULL", "known types:"),
            ("", "known types:"),
            ("ARRAY<ARRAY<INT64>>", "ARRAY<STRUCT<items ARRAY<INT64>>>"),
            ("STRUCT<INT64>", "write name type"),
            ("STRUCT", "known types:"),
            ("STRUCT<a INT64, a STRING>", "the field 'a' stands twice"),
            ("STRUCT<`A b` INT64>", "'A b' is not a column name"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
    }

    #[test]
    fn decimals_keep_to_the_limits_of_bigquery() {
        for good in ["NUMERIC(1)", "NUMERIC(9, 9)", "NUMERIC(38, 9)", "BIGNUMERIC(76, 38)", "BIGNUMERIC(38)"] {
            read(good);
        }
        for bad in [
            "NUMERIC(30)",
            "NUMERIC(0)",
            "NUMERIC(5, 6)",
            "NUMERIC(38, 10)",
            "NUMERIC(4, -1)",
            "BIGNUMERIC(39)",
            "BIGNUMERIC(76, 39)",
        ] {
            assert!(refusal(bad).contains("is out of range"), "{bad}");
        }
        assert!(refusal("NUMERIC(99999999999999999999)").contains("is not a column type"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_stack_overflow() {
        let text = format!("{}INT64{}", "STRUCT<a ".repeat(50_000), ">".repeat(50_000));
        assert!(refusal(&text).contains("nested deeper than 15 levels"));
        assert!(refusal(&"ARRAY<".repeat(50_000)).contains("nested deeper than 15 levels"));
    }

    fn any_type() -> impl Strategy<Value = ColumnType> {
        let leaf = prop_oneof![
            Just(ColumnType::String),
            Just(ColumnType::Bytes),
            Just(ColumnType::Int64),
            Just(ColumnType::Float64),
            Just(ColumnType::Bool),
            Just(ColumnType::Date),
            Just(ColumnType::Timestamp),
            Just(ColumnType::Datetime),
            (0..=9_u8, 1..=29_u8)
                .prop_map(|(scale, digits)| ColumnType::Numeric { precision: scale + digits, scale: scale as i8 }),
            (0..=38_u8, 1..=38_u8)
                .prop_map(|(scale, digits)| ColumnType::Bignumeric { precision: scale + digits, scale: scale as i8 }),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let item = inner.clone().prop_filter("no array of arrays", |kind| !matches!(kind, ColumnType::Array(_)));
            let fields = prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", inner, 1..4);
            prop_oneof![
                item.prop_map(|item| ColumnType::Array(Box::new(item))),
                fields.prop_map(|fields| ColumnType::Struct(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(kind in any_type()) {
            prop_assert_eq!(kind.to_string().parse::<ColumnType>().unwrap(), kind);
        }

        #[test]
        fn no_text_panics(text in "[A-Z<>(), 0-9a-z`'-]{0,40}") {
            let _ = text.parse::<ColumnType>();
        }
    }
}
