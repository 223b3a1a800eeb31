//! Names and values as SQL text. Names are always quoted and values carry their column's type, so that nothing depends
//! on how a name is spelled or on how the planner guesses a literal.

use chrono::{DateTime, NaiveDateTime, Timelike};

use crate::contract::ColumnType;
use crate::names::SnapshotDate;

pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"a", "b"`.
pub(super) fn idents(names: &[String]) -> String {
    names.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", ")
}

pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// The value as a literal of the column's type; `None` when it is not a value of that type. Arrays, structs and bytes
/// have no literals here.
pub(crate) fn literal(column_type: &ColumnType, value: &str) -> Option<String> {
    match column_type {
        ColumnType::String => return Some(text(value)),
        ColumnType::Date => return value.parse::<SnapshotDate>().ok().map(|date| format!("DATE '{date}'")),
        ColumnType::Bool => return value.parse::<bool>().ok().map(|value| value.to_string()),
        _ => {}
    }
    let exact = match column_type {
        ColumnType::Int64 => value.parse::<i64>().ok()?.to_string(),
        ColumnType::Float64 => value.parse::<f64>().ok().filter(|number| number.is_finite())?.to_string(),
        ColumnType::Numeric { precision, scale } | ColumnType::Bignumeric { precision, scale } => {
            decimal(value, *precision, *scale)?
        }
        ColumnType::Timestamp => format!("{}Z", instant(value)?.format("%Y-%m-%dT%H:%M:%S%.6f")),
        ColumnType::Datetime => wall_clock(value)?.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        _ => return None,
    };
    Some(format!("arrow_cast({}, {})", text(&exact), text(&column_type.arrow().to_string())))
}

/// A number that the type holds exactly: a cast would round digits away, and the bound would be another.
fn decimal(value: &str, precision: u8, scale: i8) -> Option<String> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let scale = usize::try_from(scale).ok()?;
    let fits = fraction.trim_end_matches('0').len() <= scale
        && whole.trim_start_matches('0').len() + scale <= usize::from(precision);
    (is_number && fits).then(|| value.to_owned())
}

/// An instant in UTC: RFC 3339, or a wall-clock time that is read as UTC.
fn instant(value: &str) -> Option<NaiveDateTime> {
    match DateTime::parse_from_rfc3339(value) {
        Ok(instant) => in_microseconds(instant.naive_utc()),
        Err(_) => wall_clock(value),
    }
}

/// `2020-01-01 12:00:00`, with `T` or a blank and up to six decimals; a date alone is its midnight.
fn wall_clock(value: &str) -> Option<NaiveDateTime> {
    if let Ok(date) = value.parse::<SnapshotDate>() {
        return date.date().and_hms_opt(0, 0, 0);
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(value, format).ok())
        .and_then(in_microseconds)
}

/// The columns count microseconds; a finer bound would be another one after the cast.
fn in_microseconds(time: NaiveDateTime) -> Option<NaiveDateTime> {
    time.nanosecond().is_multiple_of(1_000).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: ColumnType = ColumnType::Numeric { precision: 5, scale: 2 };

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(ident(r#"a"b"#), r#""a""b""#);
        assert_eq!(text("it's"), "'it''s'");
    }

    #[test]
    fn a_literal_has_the_type_of_its_column() {
        let cases = [
            (ColumnType::String, "a'b", "'a''b'"),
            (ColumnType::Date, "2020-02-29", "DATE '2020-02-29'"),
            (ColumnType::Bool, "true", "true"),
            (ColumnType::Int64, "-9223372036854775808", "arrow_cast('-9223372036854775808', 'Int64')"),
            (ColumnType::Float64, "1e3", "arrow_cast('1000', 'Float64')"),
            (MONEY, "-999.990", "arrow_cast('-999.990', 'Decimal128(5, 2)')"),
            (
                ColumnType::Timestamp,
                "2020-01-01T01:00:00+01:00",
                r#"arrow_cast('2020-01-01T00:00:00.000000Z', 'Timestamp(µs, "UTC")')"#,
            ),
            (
                ColumnType::Timestamp,
                "9999-12-31",
                r#"arrow_cast('9999-12-31T00:00:00.000000Z', 'Timestamp(µs, "UTC")')"#,
            ),
            (
                ColumnType::Datetime,
                "2020-01-01 12:30:00.5",
                "arrow_cast('2020-01-01T12:30:00.500000', 'Timestamp(µs)')",
            ),
        ];
        for (column_type, value, expected) in cases {
            assert_eq!(literal(&column_type, value).as_deref(), Some(expected), "{column_type:?} {value}");
        }
    }

    #[test]
    fn what_the_type_does_not_hold_exactly_is_no_literal() {
        let cases = [
            (ColumnType::Int64, "0.5"),
            (ColumnType::Int64, "1 OR 1=1"),
            (ColumnType::Float64, "NaN"),
            (ColumnType::Date, "2026-02-30"),
            (ColumnType::Timestamp, "2020-01-01T00:00:00.0000001Z"),
            (ColumnType::Bool, "yes"),
            (MONEY, "0.001"),
            (MONEY, "1000"),
            (MONEY, "1e2"),
            (MONEY, "."),
            (MONEY, ""),
            (ColumnType::Array(Box::new(ColumnType::Int64)), "1"),
        ];
        for (column_type, value) in cases {
            assert_eq!(literal(&column_type, value), None, "{column_type:?} {value}");
        }
    }
}
