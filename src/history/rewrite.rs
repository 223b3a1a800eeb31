//! Writes what a day changes as new files, next to those that stay.
//!
//! Parquet files do not change, so a file with a row that is closed, reopened or removed is written again without it, and
//! the row goes to the shelf where it now belongs: open or closed, by the month of its `valid_from`. Files that no row
//! leaves stay untouched, except small ones: whatever comes to a shelf takes them in, so that daily changes do not leave a
//! heap of tiny files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, SortExpr, cast, ident, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};

use super::Day;
use super::as_of::instant;
use super::compare::Marks;
use super::files::{HistoryFile, Kind, Month, Shelf};
use super::rows::RowSet;
use super::state::State;
use crate::contract::Column;
use crate::engine::{DataFile, Joins, ParquetTable, engine_error};
use crate::error::Result;
use crate::job::{IS_CURRENT, VALID_FROM, VALID_TO};
use crate::stage::{Keep, Layout, StagedFile, run_folder, write_plan};

/// A row that changes costs the file it lies in, so files are not as large as those of other tables.
const FILE_BYTES: usize = 128 << 20;
/// An open file below this is taken in by what is opened in its month.
const SMALL_OPEN_BYTES: u64 = 8 << 20;
/// The same of a closed file; on a day rows of many months are closed, and each may take one in.
const SMALL_CLOSED_BYTES: u64 = 1 << 20;

/// What the engine writes into its own columns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    AsItWas,
    /// A row of the state, which holds from the day on.
    Opened,
    Closed,
    Reopened,
}

/// Rows that go to a shelf, with what is written into them.
struct Part {
    rows: ParquetTable,
    fill: Fill,
}

/// The files that a day writes.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub files: Vec<(Kind, StagedFile)>,
    /// The places, in the list of files, of those that the new ones stand for.
    pub replaced: BTreeSet<usize>,
    pub spilled_bytes: u64,
}

pub(super) async fn rewrite(
    day: &Day<'_>,
    files: &[HistoryFile],
    state: &State,
    marks: &Marks,
    joins: Joins,
) -> Result<Written> {
    let kept: Vec<RowSet> = files.iter().zip(&marks.files).map(|(file, marks)| marks.kept(file.file.rows)).collect();
    let mut shelves = arrivals(day, files, state, marks);
    let mut replaced: BTreeSet<usize> = (0..files.len()).filter(|at| !kept[*at].is_all()).collect();
    let mut alone = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let small = match file.shelf.kind {
            Kind::Open => SMALL_OPEN_BYTES,
            Kind::Closed => SMALL_CLOSED_BYTES,
        };
        match shelves.get_mut(&file.shelf).filter(|_| file.file.meta.size < small) {
            Some(parts) => {
                replaced.insert(at);
                if !kept[at].is_empty() {
                    parts.push(day.part(vec![day.selected(file, &kept[at])], Fill::AsItWas));
                }
            }
            None if replaced.contains(&at) && !kept[at].is_empty() => alone.push(at),
            None => {}
        }
    }
    let mut written = Written { files: Vec::new(), replaced, spilled_bytes: 0 };
    for (shelf, parts) in shelves {
        let context = day.engine.session(joins);
        let frame = day.sorted(&context, parts, joins).map_err(engine_error)?;
        day.write(&mut written, shelf, shelf.to_string(), frame).await?;
    }
    let rest = alone.into_iter().map(|at| day.write_without(at, &files[at], &kept[at]));
    let rest: Vec<Written> =
        futures::stream::iter(rest).buffered(day.engine.options().threads.max(1)).try_collect().await?;
    written.files.extend(rest.into_iter().flat_map(|rest| rest.files));
    Ok(written)
}

/// What comes to each shelf.
fn arrivals(day: &Day<'_>, files: &[HistoryFile], state: &State, marks: &Marks) -> BTreeMap<Shelf, Vec<Part>> {
    let mut shelves: BTreeMap<Shelf, Vec<Part>> = BTreeMap::new();
    if marks.opened.iter().any(|rows| !rows.is_empty()) {
        let part = Part { rows: state.table(day, &marks.opened), fill: Fill::Opened };
        shelves.entry(day.opened_shelf()).or_default().push(part);
    }
    for (file, marks) in files.iter().zip(&marks.files) {
        for (rows, kind, fill) in
            [(&marks.closed, Kind::Closed, Fill::Closed), (&marks.reopened, Kind::Open, Fill::Reopened)]
        {
            if !rows.is_empty() {
                let part = day.part(vec![day.selected(file, rows)], fill);
                shelves.entry(Shelf { kind, month: file.shelf.month }).or_default().push(part);
            }
        }
    }
    shelves
}

impl Day<'_> {
    /// Some rows of a file of the table.
    pub(super) fn selected(&self, file: &HistoryFile, rows: &RowSet) -> DataFile {
        DataFile { meta: file.file.meta.clone(), rows: rows.len(), selection: rows.selection() }
    }

    fn part(&self, files: Vec<DataFile>, fill: Fill) -> Part {
        Part { rows: ParquetTable::new(self.lake.url().clone(), files, &self.job.table.schema()), fill }
    }

    /// All parts in the order of the cluster columns and the grain: rows are found by these, and the same rows are the same
    /// bytes whatever made them.
    fn sorted(&self, context: &SessionContext, parts: Vec<Part>, joins: Joins) -> DataFusionResult<DataFrame> {
        let mut all: Option<DataFrame> = None;
        for part in parts {
            let rows = match joins {
                Joins::Hash => part.rows,
                Joins::Merge => part.rows.with_plain_text(),
            };
            let frame = context.read_table(Arc::new(rows))?.select(self.filled(part.fill))?;
            all = Some(match all {
                None => frame,
                Some(before) => before.union(frame)?,
            });
        }
        let all = all.map_or_else(|| context.read_empty(), Ok)?;
        all.sort(self.order())
    }

    /// What the files of a shelf are sorted by.
    fn order(&self) -> Vec<SortExpr> {
        self.ordered_by().map(|name| in_order(name)).collect()
    }

    /// The same of rows of the model. The columns of the engine have one value in all that a day opens.
    pub(super) fn order_of_model(&self) -> Vec<SortExpr> {
        let of_model = |name: &&String| self.job.table.model_columns().any(|column| column.name == **name);
        self.ordered_by().filter(of_model).map(|name| in_order(name)).collect()
    }

    fn ordered_by(&self) -> impl Iterator<Item = &String> {
        let table = &self.job.table;
        table.cluster.iter().chain(table.grain.iter().filter(|name| !table.cluster.contains(name)))
    }

    /// Writes rows that the day opens.
    pub(super) async fn write_opened(
        &self,
        written: &mut Written,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
    ) -> Result<()> {
        let shelf = self.opened_shelf();
        self.write_planned(written, shelf, shelf.to_string(), plan, context).await
    }

    fn opened_shelf(&self) -> Shelf {
        Shelf { kind: Kind::Open, month: Month::of(self.date.begin()) }
    }

    /// The columns of the table, those of the engine with their values.
    pub(super) fn filled(&self, fill: Fill) -> Vec<Expr> {
        let begin = || instant(self.date.begin().timestamp_micros());
        let value = |column: &Column| match (fill, column.name.as_str()) {
            (Fill::Opened, VALID_FROM) | (Fill::Closed, VALID_TO) => begin(),
            (Fill::Opened | Fill::Reopened, VALID_TO) => lit(ScalarValue::Null),
            (Fill::Opened | Fill::Reopened, IS_CURRENT) => lit(true),
            (Fill::Closed, IS_CURRENT) => lit(false),
            (_, name) => ident(name),
        };
        let columns = self.job.table.columns.iter();
        columns.map(|column| cast(value(column), column.column_type.arrow()).alias(&column.name)).collect()
    }

    async fn write(&self, written: &mut Written, shelf: Shelf, name: String, frame: DataFrame) -> Result<()> {
        let context = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.map_err(engine_error)?;
        self.write_planned(written, shelf, name, plan, context).await
    }

    async fn write_planned(
        &self,
        written: &mut Written,
        shelf: Shelf,
        name: String,
        plan: Arc<dyn ExecutionPlan>,
        context: Arc<TaskContext>,
    ) -> Result<()> {
        let folder = run_folder(&self.job.table.name, self.run);
        let layout =
            Layout { name, file_bytes: FILE_BYTES, contract: Some(self.job.table.schema()), keep: Keep::Lasting };
        let (files, spilled_bytes) = write_plan(self.lake, &folder, &layout, plan, context).await?;
        written.files.extend(files.into_iter().map(|file| (shelf.kind, file)));
        written.spilled_bytes += spilled_bytes;
        Ok(())
    }

    /// A file again without the rows that leave it, in the order in which they lie there.
    async fn write_without(&self, at: usize, file: &HistoryFile, kept: &RowSet) -> Result<Written> {
        let context = self.engine.session(Joins::Hash);
        context.state_ref().write().config_mut().options_mut().execution.target_partitions = 1;
        let rows = self.part(vec![self.selected(file, kept)], Fill::AsItWas).rows;
        let frame = context.read_table(Arc::new(rows)).and_then(|frame| frame.select(self.filled(Fill::AsItWas)));
        let mut written = Written::default();
        let name = format!("{}-rest-{at:05}", file.shelf);
        self.write(&mut written, file.shelf, name, frame.map_err(engine_error)?).await?;
        Ok(written)
    }
}

fn in_order(name: &str) -> SortExpr {
    ident(name).sort(true, false)
}
