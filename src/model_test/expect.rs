//! Expected rows: patterns over the columns of a job's table.

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;

use super::raw::RawRow;
use super::value::read;
use crate::contract::{Column, ColumnSet};
use crate::error::{Error, Result};
use crate::pseudonym::PseudonymKey;
use crate::toml_file::{At, TomlFile};

/// The values that a row must have; in columns that are not mentioned it may have any.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ExpectedRow {
    /// By the column's place among those that the model gives.
    pub cells: Vec<(usize, ScalarValue)>,
}

/// A row of the result: a value a column that the model gives.
pub(super) type ActualRow = Vec<ScalarValue>;

impl ExpectedRow {
    pub fn read(file: &TomlFile, columns: &[&Column], written: &At<RawRow>, key: &PseudonymKey) -> Result<Self> {
        let known = ColumnSet::new(file, columns.iter().copied());
        let cells = written.0.iter().map(|(name, value)| {
            let column = known.find(name)?;
            let array = file.locate(value.span(), read(value, column, key))?;
            let place = columns.iter().position(|other| other.name == column.name).unwrap_or_default();
            Ok((place, scalar(&array, 0)?))
        });
        Ok(ExpectedRow { cells: cells.collect::<Result<Vec<_>>>()? })
    }

    pub fn cell(&self, column: usize) -> Option<&ScalarValue> {
        self.cells.iter().find(|(place, _)| *place == column).map(|(_, value)| value)
    }

    pub fn matches(&self, actual: &ActualRow) -> bool {
        self.cells.iter().all(|(column, value)| actual[*column] == *value)
    }
}

/// The rows of a result, value by value.
pub(super) fn actual_rows(batches: &[RecordBatch]) -> Result<Vec<ActualRow>> {
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    rows.map(|(batch, row)| batch.columns().iter().map(|column| scalar(column, row)).collect()).collect()
}

fn scalar(array: &arrow::array::ArrayRef, row: usize) -> Result<ScalarValue> {
    ScalarValue::try_from_array(array, row).map_err(|error| Error::internal("a value cannot be compared").source(error))
}
