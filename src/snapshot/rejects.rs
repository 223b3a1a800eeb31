//! Rows that were set aside, and the table `ops.rejected_row` that tells of them.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};

use crate::contract::{Column, ColumnType, Location, PiiClass, schema_of};
use crate::error::{Error, Result};
use crate::job::{Mode, PartitionSpec, PartitionUnit, TableSpec};
use crate::names::{RunId, SnapshotDate, SnapshotName, TableName};

/// One row of a snapshot that no table was made from. Grain: run, snapshot, row number.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedRow {
    /// From 1, over all files of the day in the order of their names.
    pub row_number: i64,
    /// `null_key`, `null_value`, `unknown_value`, `out_of_range`, `unparsable_value` or `conflicting_duplicate` (rule R1).
    pub rule: &'static str,
    /// The key's values; those of class `direct` stand as their `user_pid`.
    pub key: Option<String>,
    /// Names the row's content without telling it.
    pub row_hash: String,
    pub file: String,
    /// From 1, in the file.
    pub file_row: i64,
    pub column: Option<String>,
    pub reason: String,
}

pub fn rejected_row_table() -> TableName {
    TableName::new("ops", "rejected_row").expect("the name is well formed")
}

/// What the table is for.
pub const REJECTED_ROWS: &str = "Rows of snapshots that were set aside.";

/// As if a job made it: a partition a day.
pub fn rejected_row_spec() -> TableSpec {
    TableSpec {
        name: rejected_row_table(),
        mode: Mode::Partition,
        grain: ["run_date", "snapshot", "row_number"].map(str::to_owned).to_vec(),
        partition: Some(PartitionSpec {
            column: "run_date".to_owned(),
            by: PartitionUnit::Day,
            expire_days: None,
            require_filter: false,
        }),
        cluster: vec!["snapshot".to_owned()],
        columns: rejected_row_columns(),
        forget: None,
        keep_open: None,
    }
}

/// `run_date` is the snapshot date that the run was for: no wall clock enters a table.
pub fn rejected_row_columns() -> Vec<Column> {
    let column = |name: &str, column_type: ColumnType, required: bool, pii: PiiClass, description: &str| Column {
        name: name.to_owned(),
        column_type,
        required,
        pii,
        description: description.to_owned(),
        unit: None,
        at: Location { file: PathBuf::from("src/snapshot/rejects.rs"), line: 1, column: 1 },
    };
    use ColumnType::{Date, Int64, String};
    vec![
        column("run_date", Date, true, PiiClass::None, "The snapshot date that the run was for."),
        column("run_id", String, true, PiiClass::None, "The run that set the row aside."),
        column("snapshot", String, true, PiiClass::None, "The snapshot that held the row."),
        column("row_number", Int64, true, PiiClass::None, "The row's place from 1, over all files of the day by name."),
        column("rule", String, true, PiiClass::None, "The rule that the row breaks."),
        column("key", String, false, PiiClass::Pseudonymous, "The row's key; account ids stand as user_pid."),
        column("row_hash", String, true, PiiClass::Pseudonymous, "Names the row's content without telling it."),
        column("file", String, true, PiiClass::None, "The file that held the row."),
        column("file_row", Int64, true, PiiClass::None, "The row's place in its file, from 1."),
        column("column_name", String, false, PiiClass::None, "The column that broke the rule, if it was one."),
        column("reason", String, true, PiiClass::None, "What was wrong, in words."),
    ]
}

/// The rows as one batch in the order of [`rejected_row_columns`].
pub fn to_batch(rows: &[RejectedRow], run: &RunId, snapshot: &SnapshotName, date: SnapshotDate) -> Result<RecordBatch> {
    fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from(vec![date.days_since_epoch(); rows.len()])),
        text(rows.iter().map(|_| Some(run.as_str()))),
        text(rows.iter().map(|_| Some(snapshot.as_str()))),
        Arc::new(rows.iter().map(|row| Some(row.row_number)).collect::<Int64Array>()),
        text(rows.iter().map(|row| Some(row.rule))),
        text(rows.iter().map(|row| row.key.as_deref())),
        text(rows.iter().map(|row| Some(row.row_hash.as_str()))),
        text(rows.iter().map(|row| Some(row.file.as_str()))),
        Arc::new(rows.iter().map(|row| Some(row.file_row)).collect::<Int64Array>()),
        text(rows.iter().map(|row| row.column.as_deref())),
        text(rows.iter().map(|row| Some(row.reason.as_str()))),
    ];
    RecordBatch::try_new(schema_of(&rejected_row_columns()), columns)
        .map_err(|error| Error::internal("failed to lay out rejected rows").source(error))
}
