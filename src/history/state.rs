//! The state of a day, as its model gives it, in the run's work folder: it is read several times and then gone.

use std::sync::Arc;

use datafusion::logical_expr::ident;
use datafusion::prelude::SessionContext;
use object_store::path::Path;

use super::Day;
use super::rows::RowSet;
use crate::contract::{Column, schema_of};
use crate::diff::Source;
use crate::engine::{DataFile, Model, ParquetTable, engine_error};
use crate::error::{Error, Result};
use crate::job::PickedRows;
use crate::stage::{Keep, Layout, StagedFile, write_query};

/// Files of the state are read by many threads at once.
const FILE_BYTES: usize = 256 << 20;

fn folder(day: &Day<'_>) -> Path {
    Path::from_iter(["state", day.job.name.as_str()])
}

fn layout(name: &str) -> Layout {
    Layout { name: name.to_owned(), file_bytes: FILE_BYTES, contract: None, keep: Keep::Passing }
}

/// Every row that the model gives, and which of them count.
#[derive(Debug)]
pub(super) struct State {
    files: Vec<StagedFile>,
    /// Without those who are to be forgotten; a set a file.
    pub kept: Vec<RowSet>,
    pub forgotten: Option<Values>,
    /// Whose rows stay open although the state lacks their keys.
    pub in_doubt: Option<Values>,
    pub spilled_bytes: u64,
}

/// Values that a SELECT picks, each once; there is at least one.
#[derive(Debug)]
pub(super) struct Values {
    files: Vec<StagedFile>,
    column: Column,
}

impl State {
    /// Runs the model, and the SELECTs of what to forget and what to keep open, over the inputs in `session`.
    pub async fn make(day: &Day<'_>, session: &SessionContext) -> Result<State> {
        let folder = folder(day);
        // What a try with another kind of joins has left.
        day.work.remove(&folder).await?;
        let frame = Model::of(day.job).plan_table(session, day.job, day.date).await?;
        let (files, spilled_bytes) = write_query(day.work, &folder, &layout("row"), frame).await?;
        let kept = files.iter().map(|file| RowSet::all(file.rows())).collect();
        let mut state = State { files, kept, forgotten: None, in_doubt: None, spilled_bytes };
        if let Some(forget) = &day.job.table.forget
            && let Some(values) = Values::make(day, session, forget, "forget").await?
        {
            state.leave_out(day, &values).await?;
            state.forgotten = Some(values);
        }
        if let Some(keep_open) = &day.job.table.keep_open {
            state.in_doubt = Values::in_doubt(day, session, keep_open).await?;
        }
        Ok(state)
    }

    async fn leave_out(&mut self, day: &Day<'_>, values: &Values) -> Result<()> {
        let state = self.table(day, &self.kept).with_row_identity();
        let mut left_out: Vec<RowSet> = self.files.iter().map(|file| RowSet::none(file.rows())).collect();
        super::compare::matching(day, state, values, |file, row| left_out[file].insert(row)).await?;
        for (kept, left_out) in self.kept.iter_mut().zip(&left_out) {
            *kept = kept.without(left_out);
        }
        Ok(())
    }

    /// The rows that count, in the columns of the model.
    pub fn source(&self, day: &Day<'_>) -> Source {
        let file = |file: &StagedFile| DataFile { meta: file.meta.clone(), rows: file.rows(), selection: None };
        Source {
            name: "state".to_owned(),
            store: day.work.url().clone(),
            files: self.files.iter().map(file).collect(),
            schema: schema_of(day.job.table.model_columns()),
            as_of: None,
            only: (!self.kept.iter().all(RowSet::is_all)).then(|| Arc::new(self.kept.clone())),
            shared_rows: 0,
        }
    }

    /// The rows of these sets, one a file, in the columns of the model.
    pub fn table(&self, day: &Day<'_>, rows: &[RowSet]) -> ParquetTable {
        let file = |(file, rows): (&StagedFile, &RowSet)| DataFile {
            meta: file.meta.clone(),
            rows: rows.len(),
            selection: rows.selection(),
        };
        let files = self.files.iter().zip(rows).map(file).collect();
        ParquetTable::new(day.work.url().clone(), files, &schema_of(day.job.table.model_columns()))
    }
}

impl Values {
    /// Runs the SELECT over what is in `session`; `None` when it returns nothing. Null is nobody's.
    pub async fn make(
        day: &Day<'_>,
        session: &SessionContext,
        picked: &PickedRows,
        name: &str,
    ) -> Result<Option<Values>> {
        let column = day.job.table.columns.iter().find(|column| column.name == picked.column);
        let column = column.ok_or_else(|| Error::internal(format!("the column of {name} is not there")))?.clone();
        let model = Model { sql: &picked.sql, file: &picked.sql_file };
        let values = model.plan_values(session, day.date, &column).await?;
        let values = values.filter(ident(&column.name).is_not_null()).and_then(|values| values.distinct());
        let (files, _) = write_query(day.work, &folder(day), &layout(name), values.map_err(engine_error)?).await?;
        Ok(files.iter().any(|file| file.rows() > 0).then_some(Values { files, column }))
    }

    /// The same with the rejected rows among what is read, and for this SELECT alone: a check or a model that read them
    /// would make a table of rows that were set aside.
    async fn in_doubt(day: &Day<'_>, session: &SessionContext, picked: &PickedRows) -> Result<Option<Values>> {
        for (name, rows) in &day.rejected {
            session.register_table(name.as_str(), Arc::clone(rows)).map_err(engine_error)?;
        }
        let values = Values::make(day, session, picked, "keep_open").await;
        for name in day.rejected.keys() {
            session.deregister_table(name.as_str()).map_err(engine_error)?;
        }
        values
    }

    pub fn column(&self) -> &str {
        &self.column.name
    }

    pub fn table(&self, day: &Day<'_>) -> ParquetTable {
        let file = |file: &StagedFile| DataFile { meta: file.meta.clone(), rows: file.rows(), selection: None };
        let files = self.files.iter().map(file).collect();
        ParquetTable::new(day.work.url().clone(), files, &schema_of([&self.column]))
    }
}
