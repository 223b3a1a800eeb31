//! Given rows: from what a test writes to a table as the model will see it in a run.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;

use super::raw::RawRow;
use super::value::{converted, joined, read};
use crate::contract::{Column, ColumnSet};
use crate::error::{Error, Result};
use crate::job::{IS_CURRENT, Input, InputSource, Mode, VALID_TO};
use crate::names::SnapshotDate;
use crate::project::Project;
use crate::pseudonym::PseudonymKey;
use crate::storage::Storage;
use crate::toml_file::{At, TomlFile, suggest};
use crate::validate::empty_input;

/// An input's rows, in the very schema that a run gives the model.
#[derive(Debug, Clone)]
pub(super) struct GivenTable {
    pub alias: String,
    pub rows: RecordBatch,
}

/// What a row of an input may hold.
pub(super) struct Shape<'a> {
    input: &'a Input,
    columns: Vec<(&'a Column, Option<&'a [String]>)>,
    key: Vec<&'a str>,
    /// The column that holds the day in every row, and how many days before the test's date that is.
    day: Option<(&'a str, u32)>,
    /// Whether the rows are those of a history as of a day: all of them are open.
    open: bool,
}

/// A value a column of the shape, each an array of one.
pub(super) type Row = Vec<ArrayRef>;

impl<'a> Shape<'a> {
    pub fn of(project: &'a Project, input: &'a Input) -> Self {
        match &input.source {
            InputSource::Snapshot(name) => {
                let contract = &project.snapshots[name];
                let columns = contract.columns.iter().map(|column| (&column.column, column.values.as_deref()));
                Shape {
                    input,
                    columns: columns.collect(),
                    key: contract.key.iter().map(String::as_str).collect(),
                    day: Some(("snapshot_date", 0)),
                    open: false,
                }
            }
            InputSource::Table(name) => {
                let table = &project.jobs[name].table;
                let open = table.mode == Mode::History;
                let day = table.partition.as_ref().filter(|_| !open).map(|partition| partition.column.as_str());
                let columns = table.columns.iter().filter(|column| Some(column.name.as_str()) != day);
                Shape {
                    input,
                    columns: columns.map(|column| (column, None)).collect(),
                    key: table.grain.iter().map(String::as_str).filter(|column| Some(*column) != day).collect(),
                    day: day.map(|column| (column, input.days_ago)),
                    open,
                }
            }
        }
    }

    pub fn name(&self) -> &'a str {
        &self.input.alias
    }

    /// A row of which nothing was written.
    pub fn neutral(&self) -> Result<Row> {
        let value = |(column, accepted): &(&Column, Option<&[String]>)| match column.name.as_str() {
            IS_CURRENT if self.open => Ok(Arc::new(BooleanArray::from(vec![true])) as ArrayRef),
            _ => neutral(column, *accepted),
        };
        self.columns.iter().map(value).collect()
    }

    /// The row that `base` is once what is written stands in it.
    pub fn row(&self, file: &TomlFile, base: &Row, written: &RawRow, key: &PseudonymKey) -> Result<Row> {
        let mut row = base.clone();
        for (name, value) in &written.0 {
            let index = self.find(file, name)?;
            let (column, accepted) = self.columns[index];
            let read = read(value, column, key).and_then(|read| allowed(read, column, accepted));
            row[index] = file.locate(value.span(), read)?;
        }
        Ok(row)
    }

    fn find(&self, file: &TomlFile, name: &At<String>) -> Result<usize> {
        if self.day.is_some_and(|(day, _)| day == name.as_str()) {
            return Err(file
                .error(name.span(), format!("'{name}' is the day of the rows and is not given"))
                .hint("remove it; date = \"…\" of the test decides it"));
        }
        if self.open && [VALID_TO, IS_CURRENT].contains(&name.as_str()) {
            return Err(file
                .error(name.span(), format!("'{name}' is the same in every row and is not given"))
                .hint("remove it; a model sees the rows of a history that are open on its day"));
        }
        let column = ColumnSet::new(file, self.columns.iter().map(|(column, _)| *column)).find(name)?;
        let index = self.columns.iter().position(|(other, _)| other.name == column.name);
        index.ok_or_else(|| Error::internal("a column that was found is not there"))
    }

    /// The rows, with their places in the file, as a table. Errors: two of them have the same key.
    pub fn table(
        &self,
        file: &TomlFile,
        project: &Project,
        nowhere: &Storage,
        date: SnapshotDate,
        rows: &[(Row, std::ops::Range<usize>)],
    ) -> Result<GivenTable> {
        self.refuse_repeated_keys(file, rows)?;
        let schema = empty_input(nowhere, project, &self.input.source, date).schema();
        let columns = schema.fields().iter().map(|field| {
            let values = match self.columns.iter().position(|(column, _)| column.name == *field.name()) {
                Some(index) => {
                    let values: Vec<ArrayRef> = rows.iter().map(|(row, _)| Arc::clone(&row[index])).collect();
                    joined(&values, field.data_type())?
                }
                None => self.days(date, rows.len())?,
            };
            converted(&values, field.data_type())
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|error| Error::internal("given rows do not fit their table").source(error))?;
        Ok(GivenTable { alias: self.input.alias.clone(), rows })
    }

    fn days(&self, date: SnapshotDate, rows: usize) -> Result<ArrayRef> {
        let day = date.days_ago(self.day.map_or(0, |(_, days_ago)| days_ago)).map(SnapshotDate::days_since_epoch);
        let days = ScalarValue::Date32(day).to_array_of_size(rows);
        days.map_err(|error| Error::internal("a day is no array").source(error))
    }

    fn refuse_repeated_keys(&self, file: &TomlFile, rows: &[(Row, std::ops::Range<usize>)]) -> Result<()> {
        let is_key = |column: &Column| self.key.contains(&column.name.as_str());
        let places: Vec<usize> = (0..self.columns.len()).filter(|at| is_key(self.columns[*at].0)).collect();
        let mut seen = HashSet::new();
        for (row, span) in rows.iter().filter(|_| !places.is_empty()) {
            let key = places.iter().map(|at| ScalarValue::try_from_array(&row[*at], 0));
            let key = key.collect::<datafusion::error::Result<Vec<_>>>();
            let key = key.map_err(|error| Error::internal("a key cannot be compared").source(error))?;
            if !seen.insert(key) {
                return Err(file.error(span.clone(), format!("two rows of '{}' have the same key", self.name())).hint(
                    format!("{} must differ; a run keeps or rejects such rows before the model", self.key.join(", ")),
                ));
            }
        }
        Ok(())
    }
}

fn neutral(column: &Column, accepted: Option<&[String]>) -> Result<ArrayRef> {
    let kind = column.column_type.arrow();
    if !column.required {
        return Ok(new_null_array(&kind, 1));
    }
    let value = match accepted.and_then(<[String]>::first) {
        Some(first) => Ok(ScalarValue::from(first.as_str())),
        None => ScalarValue::new_default(&kind),
    };
    let array = value.and_then(|value| value.to_array());
    array.map_err(|error| Error::internal(format!("{} has no neutral value", column.column_type)).source(error))
}

/// Only what verification would let through.
fn allowed(value: ArrayRef, column: &Column, accepted: Option<&[String]>) -> Result<ArrayRef> {
    if value.is_null(0) {
        if column.required {
            return Err(Error::project(format!("'{}' is required and cannot be null", column.name))
                .hint("a run rejects such a row; give a value, or leave the column out for a neutral one"));
        }
        return Ok(value);
    }
    let text = value.as_string_opt::<i32>().map(|texts| texts.value(0));
    if let (Some(text), Some(accepted)) = (text, accepted)
        && !accepted.iter().any(|one| one == text)
    {
        return Err(Error::project(format!("'{text}' is not an accepted value of '{}'", column.name))
            .hint(suggest(text, accepted.iter().map(String::as_str))));
    }
    Ok(value)
}
