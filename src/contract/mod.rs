//! What a table promises: column types, PII classes, keys, how much dirt is tolerated, how drift is met.
//!
//! A [`SnapshotContract`] speaks of an input, a [`crate::job::TableSpec`] of a curated table; both are made of [`Column`]s.

mod columns;
mod layout;
mod snapshot_file;
mod types;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use columns::{ColumnSet, RawColumn, check_column_name, distinct, not_blank, read_columns};
pub use layout::{BucketName, Layout};
pub use snapshot_file::snapshot_schema;
pub use types::ColumnType;

use crate::job::Check;
use crate::names::SnapshotName;

/// A place in a project file, 1-based, printed as `file:line:column`; the file is relative to the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// How close a column is to a person, the closest last. `direct` names one and stays in restricted datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PiiClass {
    #[default]
    None,
    Quasi,
    Pseudonymous,
    Direct,
}

impl fmt::Display for PiiClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PiiClass::None => "none",
            PiiClass::Pseudonymous => "pseudonymous",
            PiiClass::Quasi => "quasi",
            PiiClass::Direct => "direct",
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
    pub required: bool,
    pub pii: PiiClass,
    pub description: String,
    pub unit: Option<String>,
    pub at: Location,
}

impl Column {
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.column_type.arrow(), !self.required)
    }
}

/// The Arrow schema of a list of columns: their types, required ones not nullable.
pub fn schema_of<'a>(columns: impl IntoIterator<Item = &'a Column>) -> SchemaRef {
    Arc::new(Schema::new(columns.into_iter().map(Column::field).collect::<Vec<_>>()))
}

/// What an input snapshot promises, as `jobs/snapshots/<name>.toml` states it.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotContract {
    pub name: SnapshotName,
    pub description: String,
    pub owner: String,
    pub format: Format,
    /// Whether the source writes `_SUCCESS` when a day is complete.
    pub success_marker: bool,
    /// Whether a day holds every key that there is: then a key that is missing is gone, and otherwise it says nothing.
    pub complete: bool,
    pub drift: Drift,
    /// Empty: rows have no identity and none is a duplicate.
    pub key: Vec<String>,
    /// Per key the row with the greatest value of this column is kept (rule R1).
    pub latest_by: Option<String>,
    /// Columns that say how a row came and not what it says; two rows that differ only in these are equal.
    pub bookkeeping: Vec<String>,
    pub columns: Vec<SnapshotColumn>,
    pub rejects: RejectLimit,
    /// How the rows of a day lie in its files, where that is promised.
    pub layout: Option<Layout>,
    /// Conditions on a day's rows as a whole, after bad rows were set aside.
    pub checks: Vec<Check>,
    /// The file relative to the project, and its text.
    pub file: PathBuf,
    pub text: String,
}

impl SnapshotContract {
    /// The columns that the files hold; `snapshot_date`, which the folder gives, is not among them.
    pub fn schema(&self) -> SchemaRef {
        schema_of(self.columns.iter().map(|c| &c.column))
    }

    pub fn column(&self, name: &str) -> Option<&SnapshotColumn> {
        self.columns.iter().find(|c| c.column.name == name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotColumn {
    pub column: Column,
    /// The name in the files where it is another.
    pub source: String,
    /// The only values a row may hold, if stated. STRING columns only.
    pub values: Option<Vec<String>>,
    /// The bounds within which every value lies, if stated.
    pub range: Option<ValueRange>,
}

/// Bounds of a column's values, both inclusive, as written; at least one is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueRange {
    pub min: Option<String>,
    pub max: Option<String>,
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => write!(f, "outside {min} to {max}"),
            (Some(min), None) => write!(f, "below {min}"),
            (None, Some(max)) => write!(f, "above {max}"),
            (None, None) => Ok(()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Parquet,
    Avro,
    Csv(CsvFormat),
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CsvFormat {
    pub header: bool,
    pub delimiter: u8,
    pub quote: u8,
    pub escape: Option<u8>,
    /// Texts that stand for null when unquoted or quoted; the empty text is one unless the list says otherwise.
    pub null: Vec<String>,
}

/// What happens when the files have other columns than the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// Any difference is an error.
    Strict,
    /// A new column is reported and ignored; a missing or retyped one is an error.
    #[default]
    Additive,
}

/// How many bad rows a day of a snapshot may hold: the greater of both limits. Above it the run stops with exit 11.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RejectLimit {
    /// Of all rows of the day, 0 to 1.
    pub max_fraction: f64,
    pub max_rows: u64,
}

impl RejectLimit {
    pub fn allowed(&self, rows: u64) -> u64 {
        ((rows as f64 * self.max_fraction).floor() as u64).max(self.max_rows)
    }
}
