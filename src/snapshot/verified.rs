//! What verification leaves of a day: the rows that models read, and those that were set aside.

use datafusion::execution::object_store::ObjectStoreUrl;

use super::rejects::RejectedRow;
use super::{drift, with_date};
use crate::contract::{Format, Layout, SnapshotContract};
use crate::engine::{DataFile, ParquetTable};
use crate::names::SnapshotDate;

/// A day of a snapshot that keeps its contract: what a model reads.
#[derive(Debug, Clone)]
pub struct Verified {
    pub date: SnapshotDate,
    pub fingerprint: String,
    pub success_marker: bool,
    pub bytes: u64,
    /// Rows that models see.
    pub rows: u64,
    /// Superseded or repeated rows that rule R1 drops without a trace.
    pub duplicates_dropped: u64,
    pub rejected: Vec<RejectedRow>,
    pub ignored_columns: Vec<String>,
    /// Where there is a layout, by bucket.
    pub files: Vec<DataFile>,
    pub(super) store: ObjectStoreUrl,
    pub(super) rejected_files: Vec<DataFile>,
    pub(super) rejected_store: ObjectStoreUrl,
    pub(super) contract: SnapshotContract,
    pub(super) kept: Kept,
}

/// Where the rows that models see lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// In the source's own files, or what was made of them row for row.
    Delivered { laid_out: bool },
    /// In buckets that were made of the source's files, under the contract's names, without the rows that were left out.
    Bucketed,
}

impl Verified {
    /// The rows, with the day as their column `snapshot_date`.
    pub fn table(&self) -> ParquetTable {
        let rows = self.rows_in_files();
        with_date(
            match self.layout() {
                None => rows,
                Some(Layout { by, sorted, .. }) => {
                    let sorted: Vec<&str> = sorted.iter().map(|name| self.name_in_files(name)).collect();
                    rows.with_layout(self.name_in_files(by), &sorted)
                }
            },
            self.date,
        )
    }

    fn name_in_files<'a>(&'a self, name: &'a str) -> &'a str {
        match (self.kept, &self.contract.format) {
            (Kept::Delivered { .. }, Format::Parquet) => {
                self.contract.column(name).map_or(name, |column| &column.source)
            }
            _ => name,
        }
    }

    /// The rows in the columns of the contract alone.
    pub(crate) fn rows_in_files(&self) -> ParquetTable {
        let (store, files) = (self.store.clone(), self.files.clone());
        match self.kept {
            Kept::Delivered { .. } => table_of(&self.contract, store, files),
            Kept::Bucketed => ParquetTable::new(store, files, &drift::read_schema(&self.contract)),
        }
    }

    /// How the rows lie in the files, where that is promised and proved.
    pub fn layout(&self) -> Option<&Layout> {
        match self.kept {
            Kept::Delivered { laid_out: false } => None,
            Kept::Delivered { laid_out: true } | Kept::Bucketed => self.contract.layout.as_ref(),
        }
    }

    /// The layout that the contract promises and the files do not have.
    pub fn missing_layout(&self) -> Option<&Layout> {
        self.contract.layout.as_ref().filter(|_| self.layout().is_none())
    }

    pub fn contract(&self) -> &SnapshotContract {
        &self.contract
    }

    /// The same rows in the buckets of the contract's layout; these hold no row that is left out.
    #[must_use]
    pub(crate) fn in_buckets(mut self, files: Vec<DataFile>, store: ObjectStoreUrl) -> Self {
        (self.files, self.store, self.kept) = (files, store, Kept::Bucketed);
        self
    }

    /// The rows that were set aside, as they lie in the files: what they say is in doubt, that their keys exist is not.
    /// Their columns are those of the others.
    pub fn rejected_table(&self) -> ParquetTable {
        with_date(table_of(&self.contract, self.rejected_store.clone(), self.rejected_files.clone()), self.date)
    }
}

/// The rows of files in the contract's columns. Parquet files hold them under the source's names, what was converted
/// under the contract's.
pub(super) fn table_of(contract: &SnapshotContract, store: ObjectStoreUrl, files: Vec<DataFile>) -> ParquetTable {
    let table = ParquetTable::new(store, files, &drift::read_schema(contract));
    match contract.format {
        Format::Parquet => table.with_source_names(contract.columns.iter().map(|column| column.source.as_str())),
        _ => table,
    }
}
