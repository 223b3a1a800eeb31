//! JSON values as Arrow columns, column by column: arrays and structs are taken apart until only scalars are left, which are
//! then read as texts.
//!
//! STRING and BYTES take JSON strings; BOOL takes true and false; INT64, FLOAT64 and NUMERIC take numbers. All but STRING
//! also take a string with the text that [`super::text`] reads, as BigQuery writes INT64 and NUMERIC into JSON. One bad item makes
//! its whole array or struct bad.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, StringBuilder, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Fields};

use super::text::Read;
use super::{Fault, raw, text};
use crate::contract::ColumnType;

/// Reads checked JSON values as the type. `None` and `null` are null; a fault is null in the array.
pub fn column(cells: &[Option<&str>], column_type: &ColumnType) -> (ArrayRef, Vec<Fault>) {
    let (array, mut faults) = match column_type {
        ColumnType::Array(item) => lists(cells, item),
        ColumnType::Struct(fields) => structs(cells, fields),
        scalar => scalars(cells, scalar),
    };
    faults.sort_by_key(|fault| fault.row);
    faults.dedup_by_key(|fault| fault.row);
    (array, faults)
}

fn value(cell: Option<&str>) -> Option<&str> {
    cell.filter(|raw| *raw != "null")
}

fn scalars(cells: &[Option<&str>], column_type: &ColumnType) -> (ArrayRef, Vec<Fault>) {
    let mut texts = StringBuilder::with_capacity(cells.len(), cells.len() * 8);
    let mut faults = Vec::new();
    for (row, cell) in cells.iter().enumerate() {
        match value(*cell).map(|raw| scalar_text(raw, column_type)).transpose() {
            Ok(text) => texts.append_option(text),
            Err(reason) => {
                faults.push(Fault { row, reason });
                texts.append_null();
            }
        }
    }
    let (array, more) = text::column(&texts.finish(), column_type);
    faults.extend(more);
    (array, faults)
}

/// The text of a scalar, when it is of a kind that the type takes.
fn scalar_text<'a>(raw: &'a str, column_type: &ColumnType) -> Read<Cow<'a, str>> {
    use ColumnType::{Bignumeric, Bool, Float64, Int64, Numeric};
    match (raw.as_bytes().first(), column_type) {
        (Some(b'"'), _) => raw::string(raw).ok_or("half of a surrogate pair is no character"),
        (Some(b't' | b'f'), Bool) => Ok(Cow::Borrowed(raw)),
        (Some(b't' | b'f'), _) => Err("a JSON bool where another type belongs"),
        (Some(b'['), _) => Err("a JSON array where a single value belongs"),
        (Some(b'{'), _) => Err("a JSON object where a single value belongs"),
        (_, Int64 | Float64 | Numeric { .. } | Bignumeric { .. }) => Ok(Cow::Borrowed(raw)),
        _ => Err("a JSON number where another type belongs"),
    }
}

fn lists(cells: &[Option<&str>], item: &ColumnType) -> (ArrayRef, Vec<Fault>) {
    let (mut items, mut ends, mut faults) = (Vec::new(), Vec::with_capacity(cells.len()), Vec::new());
    for (row, cell) in cells.iter().enumerate() {
        match value(*cell).map(raw::items) {
            Some(Some(found)) => items.extend(found.map(Some)),
            Some(None) => faults.push(Fault { row, reason: "not a JSON array" }),
            None => {}
        }
        ends.push(items.len());
    }
    let (values, item_faults) = column(&items, item);
    let row_of = |item: usize| ends.partition_point(|end| *end <= item);
    faults.extend(item_faults.into_iter().map(|fault| Fault { row: row_of(fault.row), ..fault }));
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let offsets = OffsetBuffer::from_lengths(starts.zip(&ends).map(|(start, end)| end - start));
    let field = Arc::new(Field::new_list_field(item.arrow(), true));
    (Arc::new(ListArray::new(field, offsets, values, Some(valid(cells, &faults)))), faults)
}

fn structs(cells: &[Option<&str>], fields: &[(String, ColumnType)]) -> (ArrayRef, Vec<Fault>) {
    let mut parts = vec![vec![None; cells.len()]; fields.len()];
    let mut faults = Vec::new();
    for (row, cell) in cells.iter().enumerate() {
        let Some(raw) = value(*cell) else { continue };
        if let Err(reason) = take_apart(raw, fields, |field, part| parts[field][row].replace(part).is_none()) {
            faults.push(Fault { row, reason });
        }
    }
    let mut arrays = Vec::with_capacity(fields.len());
    for (cells, (_, column_type)) in parts.iter().zip(fields) {
        let (array, more) = column(cells, column_type);
        arrays.push(array);
        faults.extend(more);
    }
    let schema: Fields = fields.iter().map(|(name, field)| Field::new(name, field.arrow(), true)).collect();
    (Arc::new(StructArray::new(schema, arrays, Some(valid(cells, &faults)))), faults)
}

/// Hands each member of an object to `put`, which says whether it is the first of its name.
fn take_apart<'a>(
    raw: &'a str,
    fields: &[(String, ColumnType)],
    mut put: impl FnMut(usize, &'a str) -> bool,
) -> Read<()> {
    for (key, part) in raw::members(raw).ok_or("not a JSON object")? {
        let key = raw::string(key).ok_or("half of a surrogate pair is no character")?;
        let field = fields.iter().position(|(name, _)| *name == key).ok_or("a field that the STRUCT does not have")?;
        if !put(field, part) {
            return Err("a field of the STRUCT twice");
        }
    }
    Ok(())
}

fn valid(cells: &[Option<&str>], faults: &[Fault]) -> NullBuffer {
    let mut valid: Vec<bool> = cells.iter().map(|cell| value(*cell).is_some()).collect();
    faults.iter().for_each(|fault| valid[fault.row] = false);
    NullBuffer::from(valid)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Int64Type};

    use super::*;

    fn fault(row: usize, reason: &'static str) -> Fault {
        Fault { row, reason }
    }

    #[test]
    fn scalars_take_their_kinds() {
        let cells = [Some("1"), Some("\"2\""), Some("null"), None, Some("1.0"), Some("true"), Some("[1]"), Some("{}")];
        let (array, faults) = column(&cells, &ColumnType::Int64);
        let values: Vec<_> = array.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values, [Some(1), Some(2), None, None, None, None, None, None]);
        assert_eq!(faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [4, 5, 6, 7]);

        let (array, faults) = column(&[Some("\"a\\\"b\""), Some("5"), Some(r#""\ud800""#)], &ColumnType::String);
        assert_eq!(array.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a\"b"), None, None]);
        assert_eq!(faults[0], fault(1, "a JSON number where another type belongs"));
        assert_eq!(faults[1].row, 2);
    }

    #[test]
    fn a_numeric_keeps_digits_that_a_float_would_lose() {
        let numeric = ColumnType::Numeric { precision: 38, scale: 9 };
        let (array, faults) = column(&[Some("12345678901234567890.123456789"), Some("0.1234567891")], &numeric);
        assert_eq!(array.as_primitive::<Decimal128Type>().value(0), 12_345_678_901_234_567_890_123_456_789);
        assert_eq!(faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_bad_item_makes_its_array_bad() {
        let cells = [Some("[1, 2]"), Some("[]"), None, Some("[3, \"x\"]"), Some("7"), Some("[null]"), Some("[[1]]")];
        let (array, faults) = column(&cells, &ColumnType::Array(Box::new(ColumnType::Int64)));
        let lists = array.as_list::<i32>();
        assert_eq!(lists.value(0).as_primitive::<Int64Type>().values(), &[1, 2]);
        assert_eq!(
            (0..7).map(|row| lists.is_null(row)).collect::<Vec<_>>(),
            [false, false, true, true, true, false, true]
        );
        assert_eq!(faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [3, 4, 6]);
        assert_eq!((lists.value(1).len(), lists.value(5).len()), (0, 1));
    }

    #[test]
    fn structs_are_read_by_name_and_have_no_other_fields() {
        let fields = vec![
            ("a".to_owned(), ColumnType::Int64),
            ("b".to_owned(), ColumnType::Array(Box::new(ColumnType::String))),
        ];
        let cells = [
            Some(r#"{"b":["x"],"a":1}"#),
            Some("{}"),
            Some("null"),
            Some(r#"{"a":1,"a":2}"#),
            Some(r#"{"c":1}"#),
            Some(r#"{"a":"x","b":[1]}"#),
            Some("[]"),
        ];
        let (array, faults) = column(&cells, &ColumnType::Struct(fields));
        let structs = array.as_struct();
        assert_eq!(structs.column(0).as_primitive::<Int64Type>().value(0), 1);
        assert_eq!((structs.is_valid(1), structs.column(0).is_null(1)), (true, true));
        assert_eq!(faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(structs.null_count(), 5);
    }
}
