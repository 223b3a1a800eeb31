//! Values in project files as values of a column: a bound or an accepted value must be one that the column can hold.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::cmp::lt_eq;
use arrow::datatypes::{DataType, Float64Type, TimeUnit};

use super::raw::Scalar;
use crate::contract::{Column, ColumnType};
use crate::error::{Error, Result};

/// A value of a column, as written and as Arrow holds it.
#[derive(Debug)]
pub(crate) struct Literal {
    pub text: String,
    value: ArrayRef,
}

impl Literal {
    /// # Errors
    /// `Project`: the column cannot hold the value. The place is for the caller to add.
    pub fn read(scalar: &Scalar, column: &Column) -> Result<Self> {
        let kind = &column.column_type;
        let refuse = || {
            Error::project(format!("{} is no value of '{}', which is {kind}", scalar.0, column.name))
                .hint(format!("write it as {}", example(kind)))
        };
        let text = text_of(scalar, kind).ok_or_else(refuse)?;
        let written = StringArray::from(vec![text.as_str()]);
        let value = cast(&written, &arrow_type(kind)).map_err(|_| refuse())?;
        // What does not parse becomes null.
        let finite = value.as_primitive_opt::<Float64Type>().is_none_or(|floats| floats.value(0).is_finite());
        if value.is_null(0) || !finite {
            return Err(refuse());
        }
        Ok(Literal { text, value })
    }

    /// The text that the column's value has when it is cast to text.
    pub fn canonical(&self) -> String {
        let text = cast(&self.value, &DataType::Utf8).ok();
        text.as_ref()
            .and_then(|text| text.as_string_opt::<i32>())
            .map_or_else(|| self.text.clone(), |text| text.value(0).to_owned())
    }

    /// An array of one; an instant counts from UTC by offset.
    pub fn into_array(self) -> ArrayRef {
        self.value
    }

    /// Whether this value is at most the other, both of one column.
    pub fn at_most(&self, other: &Literal) -> bool {
        lt_eq(&self.value.as_ref() as &dyn arrow::array::Datum, &other.value.as_ref() as &dyn arrow::array::Datum)
            .is_ok_and(|answer| answer.value(0))
    }
}

/// The scalar's text; a text column takes texts alone, so that `values = [01]` is not read as something else.
fn text_of(scalar: &Scalar, kind: &ColumnType) -> Option<String> {
    match &scalar.0 {
        toml::Value::String(text) => Some(text.clone()),
        _ if *kind == ColumnType::String => None,
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Datetime(time) => Some(time.to_string()),
        toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// The column's Arrow type; UTC as an offset, which Arrow reads without a time zone database.
fn arrow_type(kind: &ColumnType) -> DataType {
    match kind {
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        kind => kind.arrow(),
    }
}

fn example(kind: &ColumnType) -> &'static str {
    match kind {
        ColumnType::Int64 => "a whole number: 3",
        ColumnType::Float64 | ColumnType::Numeric { .. } | ColumnType::Bignumeric { .. } => "a number: 0.5",
        ColumnType::Bool => "true or false",
        ColumnType::Date => "a date: \"2026-01-31\"",
        ColumnType::Timestamp => "an instant: \"2026-01-31T00:00:00Z\"",
        ColumnType::Datetime => "a time without zone: \"2026-01-31T00:00:00\"",
        _ => "a text: \"free\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Location, PiiClass};

    fn literal(kind: &str, value: &str) -> Result<Literal> {
        let column = Column {
            name: "c".to_owned(),
            column_type: kind.parse().unwrap(),
            required: false,
            pii: PiiClass::None,
            description: String::new(),
            unit: None,
            at: Location { file: "f".into(), line: 1, column: 1 },
        };
        let table: toml::Table = format!("v = {value}").parse().unwrap();
        Literal::read(&Scalar(table["v"].clone()), &column)
    }

    #[test]
    fn values_of_every_type_are_read() {
        for (kind, value, canonical) in [
            ("STRING", "'free'", "free"),
            ("INT64", "3", "3"),
            ("INT64", "'-3'", "-3"),
            ("BOOL", "true", "true"),
            ("BOOL", "'false'", "false"),
            ("DATE", "2026-01-31", "2026-01-31"),
            ("NUMERIC(5, 2)", "0.5", "0.50"),
            ("FLOAT64", "1", "1.0"),
            ("TIMESTAMP", "'2026-01-31T00:00:00Z'", "2026-01-31T00:00:00Z"),
            ("TIMESTAMP", "2026-01-31T02:00:00+02:00", "2026-01-31T00:00:00Z"),
            ("DATETIME", "'2026-01-31T00:00:00'", "2026-01-31T00:00:00"),
        ] {
            let read = literal(kind, value).unwrap_or_else(|error| panic!("{kind} {value}: {error}"));
            assert_eq!(read.canonical(), canonical, "{kind} {value}");
        }
    }

    #[test]
    fn what_a_column_cannot_hold_is_refused() {
        for (kind, value) in [
            ("STRING", "3"),
            ("INT64", "3.5"),
            ("INT64", "'three'"),
            ("INT64", "[3]"),
            ("BOOL", "'maybe'"),
            ("DATE", "'31.1.2026'"),
            ("DATE", "'2026-02-30'"),
            ("FLOAT64", "nan"),
            ("FLOAT64", "'1e999'"),
            ("NUMERIC(5, 2)", "'123456.00'"),
            ("TIMESTAMP", "'yesterday'"),
        ] {
            assert!(literal(kind, value).is_err(), "{kind} {value}");
        }
        let refusal = literal("DATE", "'x'").unwrap_err().to_string();
        assert_eq!(refusal, "\"x\" is no value of 'c', which is DATE; hint: write it as a date: \"2026-01-31\"");
    }

    #[test]
    fn bounds_compare_as_values_and_not_as_text() {
        assert!(literal("INT64", "9").unwrap().at_most(&literal("INT64", "10").unwrap()));
        assert!(!literal("DATE", "'2026-02-01'").unwrap().at_most(&literal("DATE", "'2026-01-31'").unwrap()));
    }
}
