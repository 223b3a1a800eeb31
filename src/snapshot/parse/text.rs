//! Strict reading of texts as the types of a contract: a text is exactly a value or it is a fault, nothing is rounded,
//! trimmed or guessed.
//!
//! | type | texts |
//! |---|---|
//! | STRING | every text |
//! | BYTES | base64 with padding (RFC 4648), as BigQuery reads and writes it |
//! | INT64 | decimal digits with an optional sign |
//! | FLOAT64 | decimal, with an optional exponent; `inf`, `infinity`, `nan` in any case |
//! | BOOL | `true`, `false`, `t`, `f` in any case; not `1`, `0`, `yes`, `no` |
//! | DATE | `YYYY-MM-DD`, years 0001 to 9999 |
//! | TIMESTAMP | `YYYY-MM-DDTHH:MM:SS[.ffffff]` or with a space, and a zone: `Z`, `UTC`, `±HH[:MM]` |
//! | DATETIME | the same without a zone |
//! | NUMERIC(p, s) | decimal, with an optional exponent; at most s digits after the point that are not zero |
//! | ARRAY, STRUCT | JSON |

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float64Type, Int64Type,
    TimestampMicrosecondType,
};

use super::{Fault, cells, decimal, raw, time};
use crate::contract::ColumnType;

/// A value, or why there is none.
pub type Read<T> = std::result::Result<T, &'static str>;

/// Reads each text as the type. A fault is null in the array, as a null text is.
pub fn column(texts: &StringArray, column_type: &ColumnType) -> (ArrayRef, Vec<Fault>) {
    let mut faults = Vec::new();
    let array: ArrayRef = match column_type {
        ColumnType::String => Arc::new(texts.clone()),
        ColumnType::Bytes => bytes(texts, &mut faults),
        ColumnType::Int64 => Arc::new(primitive::<Int64Type>(texts, &mut faults, int64).finish()),
        ColumnType::Float64 => Arc::new(primitive::<Float64Type>(texts, &mut faults, float64).finish()),
        ColumnType::Bool => bools(texts, &mut faults),
        ColumnType::Date => Arc::new(primitive::<Date32Type>(texts, &mut faults, time::date).finish()),
        ColumnType::Timestamp => Arc::new(
            primitive::<TimestampMicrosecondType>(texts, &mut faults, time::timestamp).finish().with_timezone("UTC"),
        ),
        ColumnType::Datetime => {
            Arc::new(primitive::<TimestampMicrosecondType>(texts, &mut faults, time::datetime).finish())
        }
        ColumnType::Numeric { precision, scale } => {
            decimals::<Decimal128Type>(texts, &mut faults, column_type, *precision, *scale)
        }
        ColumnType::Bignumeric { precision, scale } => {
            decimals::<Decimal256Type>(texts, &mut faults, column_type, *precision, *scale)
        }
        ColumnType::Array(_) | ColumnType::Struct(_) => return json(texts, column_type),
    };
    (array, faults)
}

/// Hands each text to `read` and gathers the faults; the answer is `None` for a null text and for a fault.
fn values<'a, T>(
    texts: &'a StringArray,
    faults: &'a mut Vec<Fault>,
    read: impl Fn(&'a str) -> Read<T> + 'a,
) -> impl Iterator<Item = Option<T>> + 'a {
    texts.iter().enumerate().map(move |(row, text)| match read(text?) {
        Ok(value) => Some(value),
        Err(reason) => {
            faults.push(Fault { row, reason });
            None
        }
    })
}

fn primitive<T: ArrowPrimitiveType>(
    texts: &StringArray,
    faults: &mut Vec<Fault>,
    read: impl Fn(&str) -> Read<T::Native>,
) -> PrimitiveBuilder<T> {
    let mut builder = PrimitiveBuilder::with_capacity(texts.len());
    values(texts, faults, read).for_each(|value| builder.append_option(value));
    builder
}

fn decimals<T: DecimalType>(
    texts: &StringArray,
    faults: &mut Vec<Fault>,
    column_type: &ColumnType,
    precision: u8,
    scale: i8,
) -> ArrayRef {
    let read = |text: &str| decimal::decimal::<T>(text, precision, scale);
    Arc::new(primitive::<T>(texts, faults, read).with_data_type(column_type.arrow()).finish())
}

fn bools(texts: &StringArray, faults: &mut Vec<Fault>) -> ArrayRef {
    let mut builder = BooleanBuilder::with_capacity(texts.len());
    values(texts, faults, bool).for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

fn bytes(texts: &StringArray, faults: &mut Vec<Fault>) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    values(texts, faults, base64).for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

fn json(texts: &StringArray, column_type: &ColumnType) -> (ArrayRef, Vec<Fault>) {
    let mut faults = Vec::new();
    let cells: Vec<_> =
        values(texts, &mut faults, |text| raw::check(text).map(|()| text.trim()).map_err(|_| "not JSON")).collect();
    let (array, more) = cells::column(&cells, column_type);
    faults.extend(more);
    (array, faults)
}

/// The standard library takes a sign and digits, and nothing else.
fn int64(text: &str) -> Read<i64> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        NegOverflow | PosOverflow => "beyond the range of INT64",
        _ => "not an INT64: a whole number",
    })
}

fn float64(text: &str) -> Read<f64> {
    let value: f64 = text.parse().map_err(|_| "not a FLOAT64")?;
    let overflows = value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    if overflows { Err("beyond the range of FLOAT64") } else { Ok(value) }
}

fn bool(text: &str) -> Read<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match () {
        () if is("true") || is("t") => Ok(true),
        () if is("false") || is("f") => Ok(false),
        () => Err("not a BOOL: true or false"),
    }
}

fn base64(text: &str) -> Read<Vec<u8>> {
    const FAULT: &str = "not BYTES: base64 with padding";
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return Err(FAULT);
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        bits = bits << 6 | u32::from(base64_digit(digit).ok_or(FAULT)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // Bits that belong to no byte must be zero, or two texts would be the same bytes.
    if bits == 0 { Ok(bytes) } else { Err(FAULT) }
}

fn base64_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_are_read_strictly() {
        assert_eq!(int64("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(int64("+007"), Ok(7));
        assert_eq!(int64("9223372036854775808"), Err("beyond the range of INT64"));
        for text in ["", " 1", "1 ", "1.0", "1e3", "0x1", "1_000", "1,000", "٣", "-", "--1"] {
            assert_eq!(int64(text), Err("not an INT64: a whole number"), "{text:?}");
        }
    }

    #[test]
    fn floats_do_not_become_infinite_by_themselves() {
        assert_eq!(float64("-1.5e3"), Ok(-1500.0));
        assert_eq!(float64("inf"), Ok(f64::INFINITY));
        assert!(float64("NaN").unwrap().is_nan());
        assert_eq!(float64("1e999"), Err("beyond the range of FLOAT64"));
        for text in ["", " 1", "1,5", "0x1p3", "e5", "."] {
            assert_eq!(float64(text), Err("not a FLOAT64"), "{text:?}");
        }
    }

    #[test]
    fn only_words_of_truth_are_bools() {
        for (text, value) in [("true", true), ("TRUE", true), ("t", true), ("False", false), ("F", false)] {
            assert_eq!(bool(text), Ok(value));
        }
        for text in ["", "1", "0", "yes", "NO", "tr", "true "] {
            assert!(bool(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn bytes_are_base64() {
        for (text, value) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")] {
            assert_eq!(base64(text), Ok(value.as_bytes().to_vec()));
        }
        assert_eq!(base64("+/+/"), Ok(vec![0xfb, 0xff, 0xbf]));
        for text in ["Zg", "Zg=", "Zh==", "Z===", "====", "Zm 9", "Zm9v\n", "Zg==Zg==", "-_-_", "é=="] {
            assert!(base64(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_fault_is_null_and_told_and_a_null_is_only_null() {
        let texts = StringArray::from(vec![Some("1"), None, Some("x")]);
        let (array, faults) = column(&texts, &ColumnType::Int64);
        assert_eq!(array.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, None]);
        assert_eq!(faults, [Fault { row: 2, reason: "not an INT64: a whole number" }]);
    }

    proptest! {
        #[test]
        fn every_type_gives_its_arrow_type_and_a_null_for_each_fault(texts in prop::collection::vec(".{0,12}", 0..8)) {
            let numeric = ColumnType::Numeric { precision: 20, scale: 3 };
            let types = [
                ColumnType::String, ColumnType::Bytes, ColumnType::Int64, ColumnType::Float64, ColumnType::Bool,
                ColumnType::Date, ColumnType::Timestamp, ColumnType::Datetime, numeric.clone(),
                ColumnType::Bignumeric { precision: 76, scale: 38 }, ColumnType::Array(Box::new(numeric.clone())),
                ColumnType::Struct(vec![("a".to_owned(), numeric)]),
            ];
            let texts = StringArray::from(texts);
            for column_type in types {
                let (array, faults) = column(&texts, &column_type);
                prop_assert_eq!(array.data_type(), &column_type.arrow());
                prop_assert_eq!(array.len(), texts.len());
                prop_assert!(faults.iter().all(|fault| array.is_null(fault.row)));
            }
        }

        #[test]
        fn integers_read_as_they_print(value in any::<i64>()) {
            prop_assert_eq!(int64(&value.to_string()), Ok(value));
        }
    }
}
