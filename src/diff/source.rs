//! The rows of one side, in files that are known by name.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;

use crate::engine::{DataFile, ParquetTable};
use crate::error::Result;
use crate::history::{RowSet, rows_as_of};
use crate::names::SnapshotDate;

#[derive(Debug, Clone)]
pub struct Source {
    /// How people call the side: a day, or an environment.
    pub name: String,
    pub store: ObjectStoreUrl,
    pub files: Vec<DataFile>,
    pub schema: SchemaRef,
    /// Of a history: the day as of which its rows are read.
    pub as_of: Option<SnapshotDate>,
    /// The rows that count, a set a file; all where there is none.
    pub(crate) only: Option<Arc<Vec<RowSet>>>,
    /// Rows of files that the other side has too; they are not read.
    pub shared_rows: u64,
}

impl Source {
    /// Rows that are read, also those that do not count, and of a history those that were not open on its day.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// All rows of the side, with their places.
    pub(super) fn all(&self, context: &SessionContext) -> Result<Arc<dyn TableProvider>> {
        let rows = ParquetTable::new(self.store.clone(), self.files.clone(), &self.schema).with_row_identity();
        match self.as_of {
            Some(date) => rows_as_of(context, rows, date),
            None => Ok(Arc::new(rows)),
        }
    }

    /// Rows that were found among `all`, a set a file.
    pub(super) fn some(&self, sets: &[RowSet]) -> ParquetTable {
        let touched = self.files.iter().zip(sets).filter(|(_, set)| !set.is_empty());
        let files = touched.map(|(file, set)| DataFile {
            meta: file.meta.clone(),
            rows: set.len(),
            selection: set.selection(),
        });
        ParquetTable::new(self.store.clone(), files.collect(), &self.schema)
    }

    /// About how many bytes of the files belong to these rows.
    pub(super) fn bytes_of(&self, sets: &[RowSet]) -> u64 {
        let share = |(file, set): (&DataFile, &RowSet)| {
            (file.meta.size as f64 * set.len() as f64 / (set.capacity().max(1)) as f64) as u64
        };
        self.files.iter().zip(sets).map(share).sum()
    }
}
