//! What checks guard: the table that a job makes, or a day of a snapshot that jobs read.

use super::checks_of;
use crate::contract::{Column, PiiClass, SnapshotContract};
use crate::job::{Check, Job};

/// Whose rows are checked, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub enum Guarded<'a> {
    /// Staged rows of the job's table.
    Table(&'a Job),
    /// The verified rows of a day.
    Snapshot(&'a SnapshotContract),
}

impl<'a> Guarded<'a> {
    /// The name by which `sql` checks read the rows.
    pub fn name(self) -> &'a str {
        match self {
            Guarded::Table(job) => job.name.as_str(),
            Guarded::Snapshot(contract) => contract.name.as_str(),
        }
    }

    pub fn columns(self) -> Vec<&'a Column> {
        match self {
            Guarded::Table(job) => job.table.columns.iter().collect(),
            Guarded::Snapshot(contract) => contract.columns.iter().map(|column| &column.column).collect(),
        }
    }

    pub fn column(self, name: &str) -> Option<&'a Column> {
        self.columns().into_iter().find(|column| column.name == name)
    }

    /// The columns that name a row.
    pub fn key(self) -> &'a [String] {
        match self {
            Guarded::Table(job) => &job.table.grain,
            Guarded::Snapshot(contract) => &contract.key,
        }
    }

    /// What is checked. A contract implies nothing: verification has seen to its keys and its required columns.
    pub fn checks(self) -> Vec<Check> {
        match self {
            Guarded::Table(job) => checks_of(job),
            Guarded::Snapshot(contract) => contract.checks.clone(),
        }
    }

    /// Whether the column names a person; its values must not reach a report.
    pub fn is_direct(self, column: &str) -> bool {
        self.column(column).is_some_and(|column| column.pii == PiiClass::Direct)
    }

    /// Whether a value under this name may be shown: it is a column's that is not direct, or the day, which the folder gives.
    pub fn is_known_harmless(self, name: &str) -> bool {
        let given = matches!(self, Guarded::Snapshot(_)) && name == "snapshot_date";
        given || self.column(name).is_some_and(|column| column.pii != PiiClass::Direct)
    }

    /// Where the columns are stated, for hints.
    pub(super) fn columns_place(self) -> &'static str {
        match self {
            Guarded::Table(_) => "the job's [table]",
            Guarded::Snapshot(_) => "the columns of the contract",
        }
    }

    /// What a `sql` check may read, for hints.
    pub(super) fn readable(self) -> String {
        match self {
            Guarded::Table(job) => format!("the rows to check are '{}', the inputs go by their own names", job.name),
            Guarded::Snapshot(contract) => {
                format!("the rows to check are '{}', and there is nothing else", contract.name)
            }
        }
    }
}
