//! The same rows have the same checksums in their files and in BigQuery, whatever the values are.
//!
//! BIGNUMERIC is left out: the engine behind the BigQuery on loopback holds 38 digits.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int64Type};
use gatefold::config::{BigQuery, Verify};
use gatefold::contract::{Column, Location, PiiClass, schema_of};
use gatefold::job::{Mode, TableSpec};
use gatefold::names::TableName;
use gatefold::publish::bigquery::checksum::{Checksums, of_batch, of_files, query, read_row};
use gatefold::publish::bigquery::schema::table_of_spec;
use gatefold::storage::Storage;
use parquet::arrow::ArrowWriter;
use serde_json::json;

const PYTHON_VARIABLE: &str = "GATEFOLD_CLOUD_PYTHON";
const ROWS: usize = 8;
/// 0001-01-01 and 9999-12-31T23:59:59.999999.
const MICROS: [i64; 2] = [-62_135_596_800_000_000, 253_402_300_799_999_999];

fn column(name: &str, kind: &str) -> Column {
    Column {
        name: name.to_owned(),
        column_type: kind.parse().unwrap(),
        required: name == "id",
        pii: PiiClass::None,
        description: "d".to_owned(),
        unit: None,
        at: Location { file: "jobs/t.toml".into(), line: 1, column: 1 },
    }
}

/// Values at which two systems are likely to part, each column with a null.
fn nasty() -> Vec<(Column, ArrayRef)> {
    let texts = vec![
        Some("plain"),
        Some(""),
        None,
        Some("ß 𝕏 e\u{301}"),
        Some("line\nfeed\t'\"\\"),
        Some("n"),
        Some("null"),
        Some(" a, b "),
    ];
    let floats = vec![
        Some(0.1),
        Some(-0.0),
        None,
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(5e-324),
        Some(2.980_232_238_769_531_2e-8),
    ];
    let bytes: Vec<Option<&[u8]>> =
        vec![Some(b""), Some(b"\x00\xff"), None, Some(b"abc"), Some(b"\n"), Some(b"'"), Some(b"\\x00"), Some(b"\x80")];
    let integers =
        vec![Some(0), Some(-1), None, Some(i64::MAX), Some(i64::MIN), Some(42), Some(1 << 53), Some((1 << 53) + 1)];
    let truths = vec![Some(true), Some(false), None, Some(true), Some(true), Some(false), None, Some(true)];
    let dates = vec![Some(-719_162), Some(2_932_896), None, Some(0), Some(-1), Some(20_777), Some(59), Some(60)];
    let micros = vec![
        Some(MICROS[0]),
        Some(MICROS[1]),
        None,
        Some(0),
        Some(-1),
        Some(1),
        Some(1_795_136_523_123_456),
        Some(999_999),
    ];
    let decimals = |unit: i128| {
        vec![Some(0), Some(unit), None, Some(-unit), Some(1), Some(-1), Some(100 * unit), Some(15 * unit / 10)]
    };
    let numeric = Decimal128Array::from(decimals(1_000_000_000)).with_precision_and_scale(38, 9).unwrap();
    let money = Decimal128Array::from(decimals(100)).with_precision_and_scale(10, 2).unwrap();
    let whole = Decimal128Array::from(decimals(10)).with_precision_and_scale(20, 0).unwrap();
    vec![
        (column("id", "INT64"), Arc::new(Int64Array::from_iter_values(0..ROWS as i64))),
        (column("s", "STRING"), Arc::new(StringArray::from(texts))),
        (column("f", "FLOAT64"), Arc::new(Float64Array::from(floats))),
        (column("y", "BYTES"), Arc::new(BinaryArray::from(bytes))),
        (column("i", "INT64"), Arc::new(Int64Array::from(integers))),
        (column("o", "BOOL"), Arc::new(BooleanArray::from(truths))),
        (column("d", "DATE"), Arc::new(Date32Array::from(dates))),
        (column("t", "TIMESTAMP"), Arc::new(TimestampMicrosecondArray::from(micros.clone()).with_timezone("UTC"))),
        (column("dt", "DATETIME"), Arc::new(TimestampMicrosecondArray::from(micros))),
        (column("n", "NUMERIC"), Arc::new(numeric)),
        (column("m", "NUMERIC(10, 2)"), Arc::new(money)),
        (column("w", "NUMERIC(20)"), Arc::new(whole)),
        (column("a", "ARRAY<INT64>"), arrays()),
        (column("r", "STRUCT<x STRING, y ARRAY<INT64>>"), records()),
        (column("ar", "ARRAY<STRUCT<x STRING, y ARRAY<INT64>>>"), arrays_of_records()),
    ]
}

fn arrays() -> ArrayRef {
    let some = |values: &[i64]| Some(values.iter().copied().map(Some).collect::<Vec<_>>());
    let values = vec![
        some(&[1, 2]),
        some(&[2, 1]),
        None,
        some(&[]),
        some(&[12]),
        some(&[0]),
        some(&[i64::MIN]),
        some(&[7, 7, 7]),
    ];
    Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(values))
}

fn records() -> ArrayRef {
    let texts = StringArray::from(vec![Some("x"), None, None, Some(""), Some("n"), Some("{"), Some("1,2"), Some("]")]);
    let there = NullBuffer::from(vec![true, true, false, true, true, true, true, true]);
    let fields =
        vec![Field::new("x", DataType::Utf8, true), Field::new("y", DataType::new_list(DataType::Int64, true), true)];
    Arc::new(StructArray::new(fields.into(), vec![Arc::new(texts), arrays()], Some(there)))
}

/// All eight records, shared among the rows: two in the first, none in the last three.
fn arrays_of_records() -> ArrayRef {
    let texts =
        StringArray::from(vec![Some("x"), None, Some("y"), Some(""), Some("n"), Some("{"), Some("1,2"), Some("]")]);
    let fields =
        vec![Field::new("x", DataType::Utf8, true), Field::new("y", DataType::new_list(DataType::Int64, true), true)];
    let records = StructArray::new(fields.into(), vec![Arc::new(texts), arrays()], None);
    let field = Arc::new(Field::new_list_field(arrow::array::Array::data_type(&records).clone(), true));
    let offsets = OffsetBuffer::from_lengths([2, 1, 1, 3, 1, 0, 0, 0]);
    Arc::new(ListArray::new(field, offsets, Arc::new(records), None))
}

fn spec(columns: Vec<Column>) -> TableSpec {
    TableSpec {
        name: TableName::new("sums", "nasty").unwrap(),
        mode: Mode::Replace,
        grain: vec!["id".to_owned()],
        partition: None,
        cluster: Vec::new(),
        columns,
        forget: None,
        keep_open: None,
    }
}

fn warehouse() -> BigQuery {
    BigQuery {
        project: "loopback".to_owned(),
        location: "US".to_owned(),
        staging: None,
        verify: Verify::Checksum,
        max_load: None,
        max_scan: None,
        price_per_tib: 6.25,
        labels: std::collections::BTreeMap::new(),
        policy_tags: std::collections::BTreeMap::new(),
        kms_key: None,
    }
}

/// What BigQuery answers to the query of checksums over the rows of the file.
fn in_bigquery(python: &Path, spec: &TableSpec, file: &Path) -> Checksums {
    let table = table_of_spec(spec, "Nasty values.", &warehouse());
    let asked = json!({"table": table, "file": file, "sql": query("{table}", &spec.columns)});
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/load_and_query.py");
    let mut process = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Vec<Option<String>>> = serde_json::from_slice(&output.stdout).unwrap();
    read_row(&spec.columns, &rows[0]).unwrap()
}

#[test]
fn files_and_bigquery_add_up_to_the_same() {
    let Some(python) = std::env::var_os(PYTHON_VARIABLE).filter(|python| !python.is_empty()) else {
        eprintln!(
            "files_and_bigquery_add_up_to_the_same is skipped: {PYTHON_VARIABLE} names no Python for the cloud on loopback"
        );
        return;
    };
    let (columns, arrays): (Vec<Column>, Vec<ArrayRef>) = nasty().into_iter().unzip();
    let spec = spec(columns);
    let batch = RecordBatch::try_new(schema_of(&spec.columns), arrays).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.parquet");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&file).unwrap(), batch.schema(), None).unwrap();
    // Two row groups, which are summed apart.
    writer.write(&batch.slice(0, 3)).unwrap();
    writer.flush().unwrap();
    writer.write(&batch.slice(3, ROWS - 3)).unwrap();
    writer.close().unwrap();

    let lake = Storage::open_local(folder.path()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let in_files = runtime
        .block_on(async {
            let files = lake.list(&object_store::path::Path::default()).await?;
            of_files(&lake, &files, &spec.columns).await
        })
        .unwrap();
    assert_eq!(in_files, of_batch(&batch, &spec.columns).unwrap());

    let there = in_bigquery(Path::new(&python), &spec, &file);
    assert_eq!(in_files.differences(&there), Vec::<String>::new());
    assert_eq!((there.rows, there.columns["s"].nulls, there.columns["a"].nulls), (ROWS as u64, 1, 0));
}
