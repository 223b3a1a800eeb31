//! A day that is taken into a table without files: all its rows are opened, and nothing is to be compared.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::prelude::SessionContext;

use super::rewrite::{Fill, Written};
use super::state::Values;
use super::{Change, Counts, Day};
use crate::engine::{DataFile, Model, engine_error, without_values};
use crate::error::Result;
use crate::publish::LakeTable;
use crate::stage::{Staged, StagedFile, run_folder};

/// What is done to the sorted rows of the model is put on top of their plan: in a query the optimizer would sort them afterwards.
pub(super) async fn stage(day: &Day<'_>, session: &SessionContext, table: Option<LakeTable>) -> Result<Staged> {
    let rows = Model::of(day.job).plan_table(session, day.job, day.date).await?;
    let rows = rows.sort(day.order_of_model()).map_err(engine_error)?;
    let context = Arc::new(rows.task_ctx());
    let mut plan = rows.create_physical_plan().await.map_err(engine_error)?;
    if let Some(forget) = &day.job.table.forget
        && let Some(values) = Values::make(day, session, forget, "forget").await?
    {
        let values = session.read_table(Arc::new(values.table(day).with_plain_text())).map_err(engine_error)?;
        let values = values.create_physical_plan().await.map_err(engine_error)?;
        plan = without_values(plan, &forget.column, values).map_err(engine_error)?;
    }
    let plan = with_columns(session, plan, day.filled(Fill::Opened)).map_err(engine_error)?;
    let mut written = Written::default();
    day.write_opened(&mut written, plan, context).await?;
    let files: Vec<StagedFile> =
        written.files.into_iter().map(|(_, file)| file).filter(|file| file.rows() > 0).collect();
    if files.is_empty() {
        // A query leaves a file even where it has no rows.
        day.lake.remove(&run_folder(&day.job.table.name, day.run)).await?;
    }
    let current = files.iter().map(|file| DataFile { meta: file.meta.clone(), rows: file.rows(), selection: None });
    let counts = Counts { opened: files.iter().map(StagedFile::rows).sum(), ..Counts::default() };
    let applied = day.applied(table.as_ref(), 0);
    let change = Change { table, removed: Vec::new(), applied, counts, current: current.collect() };
    Ok(Staged {
        table: day.job.table.name.clone(),
        files,
        spilled_bytes: written.spilled_bytes,
        change: Some(Box::new(change)),
    })
}

/// A plan with these columns of its rows.
fn with_columns(
    session: &SessionContext,
    plan: Arc<dyn ExecutionPlan>,
    columns: Vec<Expr>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let schema = DFSchema::try_from(plan.schema())?;
    let column = |column: Expr| {
        let name = column.schema_name().to_string();
        Ok((session.create_physical_expr(column.unalias(), &schema)?, name))
    };
    let columns = columns.into_iter().map(column).collect::<Result<Vec<_>, DataFusionError>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}
