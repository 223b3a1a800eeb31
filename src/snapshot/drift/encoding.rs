//! Which physical encodings carry a logical type without loss, and how an Arrow type is said in GoogleSQL words.

use arrow::datatypes::{DataType, FieldRef, TimeUnit};

use crate::contract::ColumnType;

/// Whether every value of `found` fits into `wanted` unchanged.
pub fn accepts(wanted: &ColumnType, found: &DataType) -> bool {
    use DataType as A;
    match (wanted, found) {
        (_, A::Dictionary(_, values)) => accepts(wanted, values),
        (ColumnType::String, A::Utf8 | A::LargeUtf8 | A::Utf8View) => true,
        (ColumnType::Bytes, A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_)) => true,
        (ColumnType::Int64, A::Int8 | A::Int16 | A::Int32 | A::Int64 | A::UInt8 | A::UInt16 | A::UInt32) => true,
        (ColumnType::Float64, A::Float32 | A::Float64) => true,
        (ColumnType::Bool, A::Boolean) => true,
        // Date64 counts milliseconds and may hold a time of day, which a DATE would lose.
        (ColumnType::Date, A::Date32) => true,
        (ColumnType::Timestamp, A::Timestamp(unit, Some(zone))) => *unit != TimeUnit::Nanosecond && is_utc(zone),
        (ColumnType::Datetime, A::Timestamp(unit, None)) => *unit != TimeUnit::Nanosecond,
        (ColumnType::Numeric { precision, scale }, _) | (ColumnType::Bignumeric { precision, scale }, _) => {
            decimal(found).is_some_and(|digits| fits(digits, (*precision, *scale)))
        }
        (ColumnType::Array(item), A::List(inner) | A::LargeList(inner) | A::ListView(inner)) => {
            accepts(item, inner.data_type())
        }
        (ColumnType::Struct(wanted), A::Struct(found)) => {
            // The fields are part of the column's type: one more is another type, not a new column.
            wanted.len() == found.len()
                && wanted.iter().all(|(name, field)| {
                    found.iter().any(|other| other.name() == name && accepts(field, other.data_type()))
                })
        }
        _ => false,
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "Etc/UTC")
}

fn decimal(found: &DataType) -> Option<(u8, i8)> {
    match found {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

fn fits(found: (u8, i8), wanted: (u8, i8)) -> bool {
    let whole_digits = |(precision, scale): (u8, i8)| i16::from(precision) - i16::from(scale);
    found.1 <= wanted.1 && whole_digits(found) <= whole_digits(wanted)
}

/// What to do about a type that is not accepted, where there is more to say than the two types.
pub fn hint(wanted: &ColumnType, found: &DataType) -> Option<&'static str> {
    match (wanted, found) {
        (ColumnType::Timestamp | ColumnType::Datetime, DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
            Some("BigQuery holds microseconds and nothing may be lost silently: have the source write microseconds")
        }
        (ColumnType::Timestamp, DataType::Timestamp(_, None)) => {
            Some("the zone is not known: have the source write UTC instants, or make the column a DATETIME")
        }
        (ColumnType::Timestamp, DataType::Timestamp(_, Some(_))) => Some("have the source write the zone UTC"),
        (ColumnType::Datetime, DataType::Timestamp(_, Some(_))) => Some("make the column a TIMESTAMP"),
        (ColumnType::Int64, DataType::UInt64) => Some("values above 2^63 - 1 do not fit: make the column a NUMERIC"),
        (ColumnType::Date, DataType::Date64) => Some("milliseconds may hold a time of day: write days (Date32)"),
        (ColumnType::Numeric { .. } | ColumnType::Bignumeric { .. }, found) if decimal(found).is_some() => {
            Some("values could be rounded or overflow: widen the contract's type")
        }
        _ => None,
    }
}

/// An Arrow type in GoogleSQL words, with what GoogleSQL does not have said plainly.
pub fn describe(found: &DataType) -> String {
    use DataType as A;
    match found {
        A::Utf8 | A::LargeUtf8 | A::Utf8View => "STRING".to_owned(),
        A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_) => "BYTES".to_owned(),
        A::Int8 | A::Int16 | A::Int32 | A::Int64 | A::UInt8 | A::UInt16 | A::UInt32 => "INT64".to_owned(),
        A::UInt64 => "unsigned INT64".to_owned(),
        A::Float16 | A::Float32 | A::Float64 => "FLOAT64".to_owned(),
        A::Boolean => "BOOL".to_owned(),
        A::Date32 => "DATE".to_owned(),
        A::Date64 => "DATE in milliseconds".to_owned(),
        A::Time32(_) | A::Time64(_) => "TIME".to_owned(),
        A::Duration(_) | A::Interval(_) => "INTERVAL".to_owned(),
        A::Timestamp(unit, zone) => describe_timestamp(*unit, zone.as_deref()),
        A::Decimal128(38, 9) => "NUMERIC".to_owned(),
        A::Decimal32(precision, scale) | A::Decimal64(precision, scale) | A::Decimal128(precision, scale) => {
            format!("NUMERIC({precision}, {scale})")
        }
        A::Decimal256(76, 38) => "BIGNUMERIC".to_owned(),
        A::Decimal256(precision, scale) => format!("BIGNUMERIC({precision}, {scale})"),
        A::List(item) | A::LargeList(item) | A::ListView(item) | A::LargeListView(item) | A::FixedSizeList(item, _) => {
            format!("ARRAY<{}>", describe(item.data_type()))
        }
        A::Struct(fields) => {
            let field = |field: &FieldRef| format!("{} {}", field.name(), describe(field.data_type()));
            format!("STRUCT<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        A::Map(..) => "MAP (key-value pairs)".to_owned(),
        A::Dictionary(_, values) => describe(values),
        A::Null => "NULL (no type)".to_owned(),
        other => other.to_string(),
    }
}

fn describe_timestamp(unit: TimeUnit, zone: Option<&str>) -> String {
    let mut words = match zone {
        None => "TIMESTAMP without zone (DATETIME)".to_owned(),
        Some(zone) if is_utc(zone) => "TIMESTAMP".to_owned(),
        Some(zone) => format!("TIMESTAMP in zone {zone}"),
    };
    if unit == TimeUnit::Nanosecond {
        words.push_str(" in nanoseconds");
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Fields};

    use super::*;

    fn timestamp(unit: TimeUnit, zone: Option<&str>) -> DataType {
        DataType::Timestamp(unit, zone.map(Into::into))
    }

    fn numeric(precision: u8, scale: i8) -> ColumnType {
        ColumnType::Numeric { precision, scale }
    }

    fn list(item: DataType) -> DataType {
        DataType::LargeList(Arc::new(Field::new("element", item, false)))
    }

    fn pair(names: &[&str]) -> DataType {
        DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Fields>())
    }

    #[test]
    fn an_encoding_is_accepted_exactly_when_nothing_can_be_lost() {
        use ColumnType as C;
        let texts = C::Array(Box::new(C::String));
        let ab = C::Struct(vec![("a".to_owned(), C::Int64), ("b".to_owned(), C::Int64)]);
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        let cases = [
            (C::String, DataType::LargeUtf8, true),
            (C::String, dictionary(DataType::Utf8), true),
            (C::String, DataType::Binary, false),
            (C::Bytes, DataType::FixedSizeBinary(16), true),
            (C::Bytes, DataType::Utf8, false),
            (C::Int64, DataType::UInt32, true),
            (C::Int64, DataType::UInt64, false),
            (C::Int64, DataType::Float64, false),
            (C::Float64, DataType::Float32, true),
            (C::Float64, DataType::Int64, false),
            (C::Date, DataType::Date32, true),
            (C::Date, DataType::Date64, false),
            (C::Timestamp, timestamp(TimeUnit::Second, Some("Etc/UTC")), true),
            (C::Timestamp, timestamp(TimeUnit::Microsecond, Some("Europe/Oslo")), false),
            (C::Timestamp, timestamp(TimeUnit::Nanosecond, Some("UTC")), false),
            (C::Timestamp, timestamp(TimeUnit::Microsecond, None), false),
            (C::Datetime, timestamp(TimeUnit::Microsecond, None), true),
            (C::Datetime, timestamp(TimeUnit::Microsecond, Some("UTC")), false),
            (numeric(38, 9), DataType::Decimal64(18, 9), true),
            (numeric(38, 9), DataType::Decimal128(38, 10), false),
            (numeric(10, 2), DataType::Decimal128(10, 1), false),
            (numeric(10, 2), DataType::Decimal32(9, 1), true),
            (numeric(10, 2), DataType::Decimal32(7, -2), false),
            (texts.clone(), list(DataType::Utf8View), true),
            (texts, list(DataType::Int64), false),
            (ab.clone(), pair(&["b", "a"]), true),
            (ab.clone(), pair(&["a"]), false),
            (ab, pair(&["a", "b", "c"]), false),
        ];
        for (wanted, found, expected) in cases {
            assert_eq!(accepts(&wanted, &found), expected, "{wanted} from {found}");
        }
    }

    #[test]
    fn types_are_described_in_the_words_of_googlesql() {
        assert_eq!(describe(&list(pair(&["a"]))), "ARRAY<STRUCT<a INT64>>");
        assert_eq!(describe(&DataType::Decimal64(18, 2)), "NUMERIC(18, 2)");
        assert_eq!(describe(&timestamp(TimeUnit::Nanosecond, Some("UTC"))), "TIMESTAMP in nanoseconds");
        assert_eq!(describe(&timestamp(TimeUnit::Second, None)), "TIMESTAMP without zone (DATETIME)");
        assert_eq!(describe(&timestamp(TimeUnit::Second, Some("Asia/Tokyo"))), "TIMESTAMP in zone Asia/Tokyo");
    }
}
