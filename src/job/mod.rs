//! A job as its file states it: what it reads, the table it makes, the checks that guard it, its promise.

mod checks;
mod declassify;
mod history;
mod literal;
mod raw;
mod read;
mod step;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::contract::{Column, Location, PiiClass, schema_of};
use crate::names::{JobName, Partition, SnapshotDate, SnapshotName, TableName};
use crate::promise::Promise;

pub(crate) use checks::{CheckReader, read_bounds};
pub use history::{IS_CURRENT, PickedRows, VALID_FROM, VALID_TO, rejected_name};
pub(crate) use literal::Literal;
pub use raw::job_schema;
pub(crate) use raw::{RawCheck, RawDayCheck, Scalar, nest_checks};
pub(crate) use read::{JobFile, Scope};
pub use step::{Step, Steps};

#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub name: JobName,
    pub description: String,
    pub owner: String,
    pub tags: Vec<String>,
    /// The snapshots that its steps read are among them.
    pub inputs: Vec<Input>,
    /// The steps that the model reads, and those that these read before them.
    pub steps: Vec<Arc<Step>>,
    pub table: TableSpec,
    /// As stated; the grain's uniqueness and the required columns are checked besides.
    pub checks: Vec<Check>,
    /// The columns that have a lower class than what they derive from.
    pub declassify: Vec<Declassify>,
    pub promise: Option<Promise>,
    /// The job's file and the model's, relative to the project, with their texts.
    pub file: PathBuf,
    pub text: String,
    pub sql_file: PathBuf,
    pub sql: String,
}

/// A table that the model reads, under the name `alias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub source: InputSource,
    pub alias: String,
    /// 0 is the run's own date. Only tables reach back.
    pub days_ago: u32,
    /// Whether a partition that was never published reads as no rows instead of stopping the run.
    pub optional: bool,
    pub at: Location,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputSource {
    Snapshot(SnapshotName),
    Table(JobName),
}

#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    pub name: TableName,
    pub mode: Mode,
    /// The columns that together are unique in the table.
    pub grain: Vec<String>,
    pub partition: Option<PartitionSpec>,
    pub cluster: Vec<String>,
    pub columns: Vec<Column>,
    /// Whose rows are removed from a history.
    pub forget: Option<PickedRows>,
    /// Whose open rows of a history are not closed because the day's state lacks their keys.
    pub keep_open: Option<PickedRows>,
}

impl TableSpec {
    pub fn schema(&self) -> SchemaRef {
        schema_of(&self.columns)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A run replaces the partition of its date.
    Partition,
    /// A run compares the state of its date with the table and writes what has changed (rule R12).
    History,
    /// A run replaces the whole table.
    Replace,
}

impl Mode {
    /// What a run for a date makes.
    pub fn partition(self, date: SnapshotDate) -> Partition {
        match self {
            Mode::Partition => Partition::Day(date),
            Mode::History => Partition::Change(date),
            Mode::Replace => Partition::Whole,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSpec {
    /// A DATE column that holds the run's date in every row; in a history, `valid_from`.
    pub column: String,
    pub by: PartitionUnit,
    pub expire_days: Option<u32>,
    pub require_filter: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionUnit {
    Day,
    Month,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub kind: CheckKind,
    pub severity: Severity,
    pub at: Location,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Block,
    Warn,
}

/// A condition on the rows of the partition that is about to be published.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckKind {
    Unique {
        columns: Vec<String>,
    },
    NotNull {
        columns: Vec<String>,
    },
    AcceptedValues {
        column: String,
        values: Vec<String>,
    },
    /// Bounds are SQL literals as text (`0`, `2020-01-01`), both inclusive; at least one is there.
    Range {
        column: String,
        min: Option<String>,
        max: Option<String>,
    },
    /// A regular expression that must match somewhere in the text.
    Matches {
        column: String,
        pattern: String,
    },
    /// Every non-null tuple of `columns` exists as `to_columns` in the input or table `to`.
    Relationship {
        columns: Vec<String>,
        to: InputSource,
        to_columns: Vec<String>,
    },
    RowCount {
        min: Option<u64>,
        max: Option<u64>,
    },
    /// |rows now / rows in the last published partition before - 1| is at most `max`.
    RowCountChange {
        max: f64,
    },
    /// The share of nulls is at most `max`, 0 to 1.
    NullRate {
        column: String,
        max: f64,
    },
    /// Half the sum of the absolute differences of the values' shares against the last partition (total variation
    /// distance, 0 to 1) is at most `max`.
    Distribution {
        column: String,
        max: f64,
    },
    /// The greatest value of a TIMESTAMP or DATE column is at most so many hours before the end of the day.
    Freshness {
        column: String,
        max_age_hours: f64,
    },
    /// A SELECT over the staged rows, by the table's own name, and the job's inputs; the rows that it returns must not exist.
    Sql {
        name: String,
        sql: String,
    },
}

impl CheckKind {
    pub fn as_str(&self) -> &'static str {
        match self {
            CheckKind::Unique { .. } => "unique",
            CheckKind::NotNull { .. } => "not_null",
            CheckKind::AcceptedValues { .. } => "accepted_values",
            CheckKind::Range { .. } => "range",
            CheckKind::Matches { .. } => "matches",
            CheckKind::Relationship { .. } => "relationship",
            CheckKind::RowCount { .. } => "row_count",
            CheckKind::RowCountChange { .. } => "row_count_change",
            CheckKind::NullRate { .. } => "null_rate",
            CheckKind::Distribution { .. } => "distribution",
            CheckKind::Freshness { .. } => "freshness",
            CheckKind::Sql { .. } => "sql",
        }
    }
}

/// A column that has `class`, which is lower than that of what it derives from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declassify {
    pub column: String,
    /// The class that the column is declared with.
    pub class: PiiClass,
    pub reason: String,
    pub at: Location,
}
