//! Texts of values as GoogleSQL writes them, sums that tell apart what is not the same, and not what is.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray,
    Float64Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, i256};
use proptest::prelude::*;

use super::*;
use crate::contract::{Column, Location, PiiClass};

fn column(name: &str, kind: &str) -> Column {
    Column {
        name: name.to_owned(),
        column_type: kind.parse().unwrap(),
        required: false,
        pii: PiiClass::None,
        description: "d".to_owned(),
        unit: None,
        at: Location { file: "jobs/t.toml".into(), line: 1, column: 1 },
    }
}

/// A batch of columns a, b, … and their checksums.
fn sums(columns: &[(&str, ArrayRef)]) -> Checksums {
    let names = ["a", "b", "c"];
    let contract: Vec<Column> = columns.iter().zip(names).map(|((kind, _), name)| column(name, kind)).collect();
    let arrays = columns.iter().zip(names).map(|((_, array), name)| (name, Arc::clone(array), true));
    of_batch(&RecordBatch::try_from_iter_with_nullable(arrays).unwrap(), &contract).unwrap()
}

fn sum_of(kind: &str, array: ArrayRef) -> u128 {
    sums(&[(kind, array)]).columns["a"].sum.0
}

/// The fingerprint that GoogleSQL gives a text.
fn signed(text: &str) -> i64 {
    crate::farm::fingerprint(text.as_bytes())
}

/// As it is added up.
fn print(text: &str) -> u128 {
    u128::from(signed(text).cast_unsigned())
}

#[test]
fn each_type_has_its_text() {
    let micros = || TimestampMicrosecondArray::from(vec![-62_135_596_800_000_000]);
    let decimal = |value| Decimal128Array::from(vec![value]).with_precision_and_scale(38, 9).unwrap();
    let big = |value| Decimal256Array::from(vec![value]).with_precision_and_scale(76, 38).unwrap();
    let cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("STRING", Arc::new(StringArray::from(vec![""])), ""),
        (
            "STRING",
            Arc::new(StringViewArray::from(vec!["a view that is longer than twelve bytes é"])),
            "a view that is longer than twelve bytes é",
        ),
        ("STRING", Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("x")])), "x"),
        ("BYTES", Arc::new(BinaryArray::from(vec![b"\x00\xff\x10".as_slice()])), "00ff10"),
        ("INT64", Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808"),
        ("BOOL", Arc::new(BooleanArray::from(vec![true])), "true"),
        ("DATE", Arc::new(Date32Array::from(vec![-719_162])), "-719162"),
        ("TIMESTAMP", Arc::new(micros().with_timezone("UTC")), "-62135596800000000"),
        ("DATETIME", Arc::new(micros()), "-62135596800000000"),
        ("NUMERIC", Arc::new(decimal(1_500_000_000)), "1.5"),
        ("NUMERIC", Arc::new(decimal(-1)), "-0.000000001"),
        ("NUMERIC", Arc::new(decimal(100_000_000_000)), "100"),
        ("NUMERIC", Arc::new(decimal(0)), "0"),
        ("NUMERIC(5)", Arc::new(Decimal128Array::from(vec![100]).with_precision_and_scale(5, 0).unwrap()), "100"),
        ("BIGNUMERIC", Arc::new(big(i256::from(-10))), "-0.0000000000000000000000000000000000001"),
    ];
    for (kind, array, text) in cases {
        assert_eq!(sum_of(kind, array), print(text), "{kind} {text}");
    }
}

#[test]
fn floats_are_written_as_the_format_of_google_sql_does() {
    for (value, text) in [
        (1.0, "1.0000000000000000e+00"),
        (0.1, "1.0000000000000001e-01"),
        (-123_456.789, "-1.2345678900000000e+05"),
        (5e-324, "4.9406564584124654e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        // A tie at the seventeenth digit goes to the even one.
        (2.980_232_238_769_531_2e-8, "2.9802322387695312e-08"),
        (0.0, "0"),
        (-0.0, "0"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(sum_of("FLOAT64", Arc::new(Float64Array::from(vec![value]))), print(text), "{value}");
    }
}

fn lists(values: Vec<Option<Vec<Option<i64>>>>) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(values))
}

#[test]
fn a_value_in_another_stands_by_its_fingerprint() {
    let told = format!("[{},n,{}]", signed("7"), signed("8"));
    assert_eq!(sum_of("ARRAY<INT64>", lists(vec![Some(vec![Some(7), None, Some(8)])])), print(&told));
    let missing = sums(&[("ARRAY<INT64>", lists(vec![None, Some(vec![])]))]);
    assert_eq!(missing.columns["a"], ColumnSum { nulls: 0, sum: Sum(2 * print("[]")) });
    // A slice keeps its offsets.
    let all = lists(vec![Some(vec![Some(1)]), Some(vec![Some(2), Some(3)])]);
    assert_eq!(sum_of("ARRAY<INT64>", all.slice(1, 1)), print(&format!("[{},{}]", signed("2"), signed("3"))));
    let fields = Fields::from(vec![Field::new("x", DataType::Utf8, true), Field::new("y", DataType::Int64, true)]);
    let (x, y) = (StringArray::from(vec![Some("a"), Some("hidden")]), Int64Array::from(vec![None, Some(1)]));
    let record = StructArray::new(fields, vec![Arc::new(x), Arc::new(y)], Some(NullBuffer::from(vec![true, false])));
    let record = sums(&[("STRUCT<x STRING, y INT64>", Arc::new(record))]);
    assert_eq!(record.columns["a"], ColumnSum { nulls: 1, sum: Sum(print(&format!("{{{},n}}", signed("a")))) });
}

#[test]
fn equal_columns_in_other_rows_are_told() {
    let batch = |left: [&str; 2], right: [&str; 2]| {
        sums(&[
            ("STRING", Arc::new(StringArray::from(left.to_vec()))),
            ("STRING", Arc::new(StringArray::from(right.to_vec()))),
        ])
    };
    let files = batch(["x", "y"], ["1", "2"]);
    assert_eq!(files.differences(&batch(["y", "x"], ["2", "1"])), Vec::<String>::new());
    assert_eq!(
        files.differences(&batch(["x", "y"], ["2", "1"])),
        ["the columns hold the same values, but in other rows"]
    );
    assert_eq!(files.differences(&batch(["x", "y"], ["1", "3"])), ["column b: other values in BigQuery"]);
    // What an exclusive or does not see: a pair of equal values for another pair.
    assert_eq!(
        batch(["x", "x"], ["1", "1"]).differences(&batch(["y", "y"], ["1", "1"])),
        ["column a: other values in BigQuery"]
    );
    // Where a value ends is part of it.
    assert_ne!(batch(["a", ""], ["bc", ""]).row_sum, batch(["ab", ""], ["c", ""]).row_sum);
}

#[test]
fn a_column_that_a_file_lacks_is_null() {
    let batch = RecordBatch::try_from_iter([("a", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]).unwrap();
    let told = of_batch(&batch, &[column("a", "STRING"), column("b", "INT64"), column("c", "ARRAY<DATE>")]).unwrap();
    assert_eq!(told.columns["b"].nulls, 1);
    assert_eq!(told.columns["c"], ColumnSum { nulls: 0, sum: Sum(print("[]")) });
}

#[test]
fn the_answer_of_the_query_is_read_strictly() {
    let columns = [column("a", "STRING"), column("b", "INT64")];
    let row =
        |cells: &[Option<&str>]| -> Vec<Option<String>> { cells.iter().map(|cell| cell.map(str::to_owned)).collect() };
    let none = [None; 3];
    let cells = [&[Some("2"), Some("1"), Some("7"), Some("1"), None, Some("2")], &none[..], &[Some("9"); 3]].concat();
    let read = read_row(&columns, &row(&cells)).unwrap();
    assert_eq!((read.rows, read.columns["a"]), (2, ColumnSum { nulls: 1, sum: Sum(7 + (1 << 22)) }));
    assert_eq!(read.columns["b"], ColumnSum { nulls: 2, sum: Sum(0) });
    assert_eq!(read.row_sum, Sum(9 + (9 << 22) + (9 << 44)));
    assert!(read_row(&columns, &row(&cells[1..])).is_err());
    for (place, bad) in [(0, None), (2, Some("1e3")), (2, Some("-1"))] {
        let mut cells = cells.clone();
        cells[place] = bad;
        assert!(read_row(&columns, &row(&cells)).is_err(), "{bad:?}");
    }
}

#[test]
fn sums_read_back_from_json() {
    let mut told = sums(&[("INT64", Arc::new(Int64Array::from(vec![1, 2])))]);
    told.row_sum = Sum(u128::MAX);
    let json = serde_json::to_string(&told).unwrap();
    assert!(json.contains("\"340282366920938463463374607431768211455\""), "{json}");
    assert_eq!(serde_json::from_str::<Checksums>(&json).unwrap(), told);
}

fn batch_of(rows: &[(Option<String>, Option<f64>, Vec<i64>)]) -> RecordBatch {
    let texts: StringArray = rows.iter().map(|(text, ..)| text.clone()).collect();
    let numbers: Float64Array = rows.iter().map(|(_, number, _)| *number).collect();
    let items = Int64Array::from_iter_values(rows.iter().flat_map(|(.., items)| items.iter().copied()));
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|(.., items)| items.len()));
    let field = Arc::new(Field::new_list_field(DataType::Int64, true));
    let items = ListArray::new(field, offsets, Arc::new(items), None);
    let columns: [(&str, ArrayRef, bool); 3] =
        [("a", Arc::new(texts), true), ("b", Arc::new(numbers), true), ("c", Arc::new(items), true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn any_row() -> impl Strategy<Value = (Option<String>, Option<f64>, Vec<i64>)> {
    (prop::option::of(".{0,4}"), prop::option::of(any::<f64>()), prop::collection::vec(any::<i64>(), 0..3))
}

proptest! {
    #[test]
    fn neither_order_nor_parts_matter(rows in prop::collection::vec(any_row(), 1..20), cut in 0..20_usize, seed in 0..20_usize) {
        let columns = [column("a", "STRING"), column("b", "FLOAT64"), column("c", "ARRAY<INT64>")];
        let whole = of_batch(&batch_of(&rows), &columns).unwrap();
        let mut turned = rows.clone();
        turned.rotate_left(seed % rows.len());
        let (one, other) = turned.split_at(cut.min(rows.len()));
        let mut parts = of_batch(&batch_of(one), &columns).unwrap();
        parts.add(&of_batch(&batch_of(other), &columns).unwrap());
        prop_assert_eq!(&parts, &whole);
        // A batch that begins in the middle of its arrays is read from there.
        let sliced = batch_of(&turned).slice(cut.min(rows.len()), other.len());
        prop_assert_eq!(of_batch(&sliced, &columns).unwrap(), of_batch(&batch_of(other), &columns).unwrap());
    }

    #[test]
    fn a_changed_value_is_told(rows in prop::collection::vec(any_row(), 1..10), row in 0..10_usize, changed in any_row()) {
        let columns = [column("a", "STRING"), column("b", "FLOAT64"), column("c", "ARRAY<INT64>")];
        let mut other = rows.clone();
        let place = row % rows.len();
        other[place] = changed;
        let text = |row: &(Option<String>, Option<f64>, Vec<i64>)| (row.0.clone(), row.1.map(|value| if value == 0.0 { 0 } else { value.to_bits() }), row.2.clone());
        let differs = text(&rows[place]) != text(&other[place]);
        let told = of_batch(&batch_of(&rows), &columns).unwrap().differences(&of_batch(&batch_of(&other), &columns).unwrap());
        prop_assert_eq!(!told.is_empty(), differs);
    }
}
