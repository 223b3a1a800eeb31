//! Bounds that a contract states of a column: the condition of a row outside, and the proof that there is none.

use arrow::array::{Array, ArrayRef, BooleanArray, Datum, Scalar as One};
use arrow::compute::cast;
use arrow::compute::kernels::cmp::{gt_eq, lt_eq};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::parquet_to_arrow_schema;

use super::open::OpenedFile;
use crate::check::literal;
use crate::contract::{ColumnType, SnapshotColumn, ValueRange};
use crate::job::{Literal, Scalar};
use crate::sql::identifier;

/// The condition under which a value lies outside. A null does not, and what is not a number always does.
pub(super) fn outside(column: &SnapshotColumn, range: &ValueRange) -> String {
    let name = identifier(&column.column.name);
    let beyond = |sign: &str, bound: &Option<String>| {
        let bound = bound.as_deref()?;
        // The engine orders -0.0 before 0.0; a bound of zero means both.
        let is_zero = column.column.column_type == ColumnType::Float64 && bound.parse() == Ok(0.0);
        let bound = match (is_zero, sign) {
            (true, "<") => "-0.0",
            (true, _) => "0.0",
            (false, _) => bound,
        };
        Some(format!("{name} {sign} {}", literal(&column.column.column_type, bound)?))
    };
    let not_a_number = (column.column.column_type == ColumnType::Float64).then(|| format!("isnan({name})"));
    let ways = [beyond("<", &range.min), beyond(">", &range.max), not_a_number];
    format!("({})", ways.into_iter().flatten().collect::<Vec<_>>().join(" OR "))
}

/// Whether the statistics of every row group of every file leave no row outside. Those of floats pass over values that are
/// not numbers, so they prove nothing.
pub(super) fn is_proved(column: &SnapshotColumn, range: &ValueRange, files: &[OpenedFile]) -> bool {
    column.column.column_type != ColumnType::Float64
        && files.iter().all(|file| proves(file, column, range).unwrap_or(false))
}

/// `None` where the file says nothing of the column.
fn proves(file: &OpenedFile, column: &SnapshotColumn, range: &ValueRange) -> Option<bool> {
    let described = file.footer.file_metadata();
    let schema = parquet_to_arrow_schema(described.schema_descr(), described.key_value_metadata()).ok()?;
    let statistics = StatisticsConverter::try_new(&column.source, &schema, described.schema_descr()).ok()?;
    let least = statistics.row_group_mins(file.footer.row_groups()).ok()?;
    let greatest = statistics.row_group_maxes(file.footer.row_groups()).ok()?;
    let keeps = |values: &ArrayRef, bound: &Option<String>, compare: Compare| {
        bound.as_ref().map_or(Some(true), |bound| all(values, compare, bound, column))
    };
    Some(keeps(&least, &range.min, gt_eq)? && keeps(&greatest, &range.max, lt_eq)?)
}

type Compare = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, ArrowError>;

/// Whether every value is there and compares so. The files may hold a narrower type than the contract states.
fn all(values: &ArrayRef, compare: Compare, bound: &str, column: &SnapshotColumn) -> Option<bool> {
    let bound = Literal::read(&Scalar(toml::Value::String(bound.to_owned())), &column.column).ok()?.into_array();
    let values = cast(values, bound.data_type()).ok()?;
    let answers = compare(&values, &One::new(bound)).ok()?;
    Some(answers.null_count() == 0 && answers.true_count() == answers.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, TimestampMillisecondArray,
    };
    use arrow::util::display::array_value_to_string;
    use datafusion::prelude::SessionContext;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

    use super::*;
    use crate::contract::Format;
    use crate::snapshot::drift::tests::contract;

    fn column(column_type: &str) -> SnapshotColumn {
        contract(Format::Parquet, &[("n", column_type.parse().unwrap())]).columns.remove(0)
    }

    fn range(min: Option<&str>, max: Option<&str>) -> ValueRange {
        ValueRange { min: min.map(str::to_owned), max: max.map(str::to_owned) }
    }

    fn batch(values: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([("n", values, true)]).unwrap()
    }

    /// A file with a row group for each two values.
    fn file(values: ArrayRef) -> OpenedFile {
        let rows = batch(values);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
        for start in (0..rows.num_rows()).step_by(2) {
            writer.write(&rows.slice(start, 2.min(rows.num_rows() - start))).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
        let footer = ArrowReaderMetadata::load(&bytes::Bytes::from(bytes), ArrowReaderOptions::new()).unwrap();
        let meta = object_store::ObjectMeta {
            location: "a.parquet".into(),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 0,
            e_tag: None,
            version: None,
        };
        let footer = Arc::clone(footer.metadata());
        OpenedFile { meta, footer, name: "a.parquet".into(), bad: Vec::new(), ignored: Vec::new() }
    }

    #[test]
    fn statistics_of_every_width_prove_what_they_bound() {
        let money = Decimal128Array::from(vec![50, 9_999]).with_precision_and_scale(9, 2).unwrap();
        let cases: [(&str, ArrayRef, ValueRange, bool); 10] = [
            ("INT64", Arc::new(Int64Array::from(vec![0, 7, 100])), range(Some("0"), Some("100")), true),
            ("INT64", Arc::new(Int64Array::from(vec![0, 7, 101])), range(Some("0"), Some("100")), false),
            ("INT64", Arc::new(Int64Array::from(vec![0, 7, -1])), range(Some("0"), None), false),
            ("INT64", Arc::new(Int32Array::from(vec![Some(3), None])), range(Some("0"), None), true),
            ("INT64", Arc::new(Int32Array::from(vec![None, None, Some(3)])), range(Some("0"), None), false),
            ("NUMERIC", Arc::new(money.clone()), range(Some("0.5"), Some("99.99")), true),
            ("NUMERIC", Arc::new(money), range(Some("0.500000001"), None), false),
            (
                "TIMESTAMP",
                Arc::new(TimestampMillisecondArray::from(vec![0, 1_000]).with_timezone("UTC")),
                range(Some("1970-01-01T00:00:00Z"), Some("1970-01-01T01:00:01+01:00")),
                true,
            ),
            (
                "TIMESTAMP",
                Arc::new(TimestampMillisecondArray::from(vec![0, 1_000]).with_timezone("UTC")),
                range(None, Some("1970-01-01T00:00:00.999999Z")),
                false,
            ),
            ("FLOAT64", Arc::new(Float64Array::from(vec![1.0, f64::NAN])), range(Some("0"), None), false),
        ];
        for (column_type, values, range, proved) in cases {
            let shown: Vec<String> =
                (0..values.len()).map(|row| array_value_to_string(&values, row).unwrap()).collect();
            let files = [file(values)];
            assert_eq!(is_proved(&column(column_type), &range, &files), proved, "{column_type} {shown:?} {range}");
        }
    }

    #[test]
    fn one_file_that_says_nothing_leaves_the_proof_open() {
        let good = || file(Arc::new(Int64Array::from(vec![1, 2])));
        let mut other = column("INT64");
        assert!(is_proved(&other, &range(Some("0"), None), &[good(), good()]));
        other.source = "m".to_owned();
        assert!(!is_proved(&other, &range(Some("0"), None), &[good()]));
    }

    #[tokio::test]
    async fn zero_has_no_sign_and_what_is_no_number_lies_outside() {
        let context = SessionContext::new();
        let values = vec![Some(-0.0), Some(0.0), Some(f64::NAN), Some(-1.0), Some(1.0), None];
        context.register_batch("day", batch(Arc::new(Float64Array::from(values)))).unwrap();
        for (range, expected) in [
            (range(Some("0"), None), 2),
            (range(Some("-0.0"), Some("-0.0")), 3),
            (range(None, Some("0")), 2),
            (range(Some("-1"), Some("1")), 1),
        ] {
            let sql = format!("SELECT n FROM day WHERE {}", outside(&column("FLOAT64"), &range));
            assert_eq!(context.sql(&sql).await.unwrap().count().await.unwrap(), expected, "{range}");
        }
    }
}
