//! The fingerprints of Arrow columns. It reads every value that is published, so it keeps to one buffer a column.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, OffsetSizeTrait, RecordBatch, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use super::{Checksums, ColumnSum, Sum};
use crate::contract::Column;
use crate::error::{Error, Result};
use crate::farm::fingerprint;

/// The checksums of a batch. A column that it does not have is one of nulls: it was added after the file was written.
///
/// # Errors
/// `Internal`: a column is of a type that no contract has.
pub fn of_batch(batch: &RecordBatch, columns: &[Column]) -> Result<Checksums> {
    let prints: Vec<Int64Array> = columns.iter().map(|column| column_of(batch, column)).collect::<Result<_>>()?;
    let sums = columns.iter().zip(&prints).map(|(column, prints)| {
        let nulls = prints.null_count();
        (column.name.clone(), ColumnSum { nulls: nulls as u64, sum: Sum(total(prints)) })
    });
    Ok(Checksums {
        rows: batch.num_rows() as u64,
        columns: sums.collect(),
        row_sum: Sum(rows(&prints, batch.num_rows())),
    })
}

fn column_of(batch: &RecordBatch, column: &Column) -> Result<Int64Array> {
    let wanted = column.column_type.arrow();
    match batch.column_by_name(&column.name) {
        Some(array) => fingerprints(&conformed(array, &wanted)?),
        None => fingerprints(&new_null_array(&wanted, batch.num_rows())),
    }
    .map_err(|error| error.with("column", &column.name))
}

/// Texts are read in whichever form they come; anything else as the contract's type.
fn conformed(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    let text = matches!(array.data_type(), DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..));
    if array.data_type() == wanted || text && *wanted == DataType::Utf8 {
        return Ok(Arc::clone(array));
    }
    cast(array, wanted).map_err(|error| Error::internal("a column has another type than its contract").source(error))
}

fn total(prints: &Int64Array) -> u128 {
    match prints.nulls() {
        None => prints.values().iter().map(|print| unsigned(*print)).sum(),
        Some(_) => prints.iter().flatten().map(unsigned).sum(),
    }
}

/// SQL has signed ones only, and adds up their bits.
fn unsigned(print: i64) -> u128 {
    u128::from(print.cast_unsigned())
}

fn rows(prints: &[Int64Array], count: usize) -> u128 {
    let mut joined = Joined::default();
    (0..count)
        .map(|row| {
            joined.clear();
            prints.iter().for_each(|prints| joined.push(prints, row));
            unsigned(joined.fingerprint())
        })
        .sum()
}

/// One fingerprint a value; null where the value is.
fn fingerprints(array: &dyn Array) -> Result<Int64Array> {
    Ok(match array.data_type() {
        DataType::Utf8 => texts(array.as_string::<i32>().iter(), array.nulls()),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter(), array.nulls()),
        DataType::Utf8View => texts(array.as_string_view().iter(), array.nulls()),
        DataType::Dictionary(..) => dictionary(array)?,
        DataType::Binary => bytes(array),
        DataType::Int64 => integers(array.as_primitive::<Int64Type>().values(), array),
        DataType::Date32 => integers(array.as_primitive::<Date32Type>().values(), array),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            integers(array.as_primitive::<TimestampMicrosecondType>().values(), array)
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            let (yes, no) = (fingerprint(b"true"), fingerprint(b"false"));
            present(array, |row| if values.value(row) { yes } else { no })
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            written(array, |row, text| float(values[row], text))
        }
        DataType::Decimal128(_, scale) => {
            let (values, scale, mut digits) =
                (array.as_primitive::<Decimal128Type>().values(), *scale, itoa::Buffer::new());
            written(array, |row, text| decimal(digits.format(values[row]), scale, text))
        }
        DataType::Decimal256(_, scale) => {
            let (values, scale) = (array.as_primitive::<Decimal256Type>().values(), *scale);
            written(array, |row, text| decimal(&values[row].to_string(), scale, text))
        }
        DataType::List(_) => list::<i32>(array)?,
        DataType::LargeList(_) => list::<i64>(array)?,
        DataType::Struct(_) => record(array)?,
        other => return Err(Error::internal(format!("there is no checksum of {other}"))),
    })
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>, nulls: Option<&NullBuffer>) -> Int64Array {
    let prints: Vec<i64> = values.map(|text| text.map_or(0, |text| fingerprint(text.as_bytes()))).collect();
    Int64Array::new(prints.into(), nulls.cloned())
}

/// Each text once, however often it stands.
fn dictionary(array: &dyn Array) -> Result<Int64Array> {
    let dictionary = array.as_any_dictionary();
    let prints = fingerprints(dictionary.values().as_ref())?;
    if prints.is_empty() {
        return Ok(Int64Array::new_null(array.len()));
    }
    let keys = dictionary.normalized_keys();
    Ok((0..array.len())
        .map(|row| (array.is_valid(row) && prints.is_valid(keys[row])).then(|| prints.value(keys[row])))
        .collect())
}

fn bytes(array: &dyn Array) -> Int64Array {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let values = array.as_binary::<i32>();
    written(array, |row, text| {
        text.extend(
            values.value(row).iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        );
    })
}

fn integers<N: itoa::Integer + Copy>(values: &[N], array: &dyn Array) -> Int64Array {
    let mut digits = itoa::Buffer::new();
    present(array, |row| fingerprint(digits.format(values[row]).as_bytes()))
}

/// `%.16e` of GoogleSQL: Rust writes no sign and no leading zero into the exponent.
fn float(value: f64, text: &mut Vec<u8>) {
    if value.is_nan() {
        return text.extend(b"nan");
    }
    if value == 0.0 {
        return text.push(b'0');
    }
    if value.is_infinite() {
        return text.extend(if value > 0.0 { b"inf".as_slice() } else { b"-inf" });
    }
    write!(text, "{value:.16e}").expect("a vector takes every byte");
    let Some(exponent) = text.iter().rposition(|byte| *byte == b'e').map(|place| place + 1) else { return };
    if text[exponent] != b'-' {
        text.insert(exponent, b'+');
    }
    if text.len() == exponent + 2 {
        text.insert(exponent + 1, b'0');
    }
}

/// `digits` is the number without its point, with its sign.
fn decimal(digits: &str, scale: i8, text: &mut Vec<u8>) {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let scale = usize::from(scale.unsigned_abs());
    text.extend(sign.as_bytes());
    let whole = digits.len().saturating_sub(scale);
    let fraction = digits[whole..].trim_end_matches('0');
    text.extend(if whole == 0 { b"0" } else { &digits.as_bytes()[..whole] });
    if !fraction.is_empty() {
        text.push(b'.');
        text.extend(std::iter::repeat_n(b'0', scale - (digits.len() - whole)));
        text.extend(fraction.as_bytes());
    }
}

/// BigQuery keeps a null array as an empty one.
fn list<O: OffsetSizeTrait>(array: &dyn Array) -> Result<Int64Array> {
    let list = array.as_list::<O>();
    let offsets = list.value_offsets();
    let first = offsets[0].as_usize();
    let items = list.values().slice(first, offsets[list.len()].as_usize() - first);
    let prints = fingerprints(&items)?;
    let mut joined = Joined::default();
    let all = (0..list.len()).map(|row| {
        joined.clear();
        if list.is_valid(row) {
            let (from, to) = (offsets[row].as_usize() - first, offsets[row + 1].as_usize() - first);
            (from..to).for_each(|item| joined.push(&prints, item));
        }
        joined.within(b'[', b']')
    });
    Ok(all.collect::<Vec<i64>>().into())
}

fn record(array: &dyn Array) -> Result<Int64Array> {
    let record = array.as_struct();
    let fields: Vec<Int64Array> = record.columns().iter().map(|field| fingerprints(field)).collect::<Result<_>>()?;
    let mut joined = Joined::default();
    Ok(present(array, |row| {
        joined.clear();
        fields.iter().for_each(|prints| joined.push(prints, row));
        joined.within(b'{', b'}')
    }))
}

/// A print for each value that is there.
fn present(array: &dyn Array, mut print: impl FnMut(usize) -> i64) -> Int64Array {
    let prints = (0..array.len()).map(|row| if array.is_null(row) { 0 } else { print(row) });
    Int64Array::new(prints.collect::<Vec<_>>().into(), array.nulls().cloned())
}

/// The same for values that are written out first.
fn written(array: &dyn Array, mut write: impl FnMut(usize, &mut Vec<u8>)) -> Int64Array {
    let mut text = Vec::with_capacity(64);
    present(array, |row| {
        text.clear();
        write(row, &mut text);
        fingerprint(&text)
    })
}

/// Fingerprints with commas between them.
#[derive(Default)]
struct Joined {
    text: Vec<u8>,
    framed: Vec<u8>,
    digits: itoa::Buffer,
}

impl Joined {
    fn clear(&mut self) {
        self.text.clear();
    }

    fn push(&mut self, prints: &Int64Array, place: usize) {
        if !self.text.is_empty() {
            self.text.push(b',');
        }
        if prints.is_null(place) {
            self.text.push(b'n');
        } else {
            self.text.extend(self.digits.format(prints.value(place)).as_bytes());
        }
    }

    fn fingerprint(&self) -> i64 {
        fingerprint(&self.text)
    }

    fn within(&mut self, begin: u8, end: u8) -> i64 {
        self.framed.clear();
        self.framed.push(begin);
        self.framed.extend(&self.text);
        self.framed.push(end);
        fingerprint(&self.framed)
    }
}
