//! Proves what can be proved with no data: every model and every SQL check plans against the contracts of its inputs.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;

use crate::check::{self, Guarded, Subject};
use crate::contract::SnapshotContract;
use crate::engine::{Engine, Joins, Model, ParquetTable, engine_error, plan_error};
use crate::error::Result;
use crate::job::{CheckKind, InputSource, Job, PickedRows, rejected_name};
use crate::lineage::{self, JobLineage};
use crate::names::SnapshotDate;
use crate::project::Project;
use crate::sql::identifier;
use crate::storage::Storage;

/// What the plan of a model tells beyond that it is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Where the values of the table come from.
    pub lineage: JobLineage,
    /// Whether the model computes `user_pid`, which needs the key.
    pub needs_key: bool,
}

/// Plans a job against empty inputs and holds its columns to their classes. Errors (exit 2) name the file, line and column.
pub async fn validate(engine: &Engine, lake: &Storage, project: &Project, job: &Job) -> Result<JobFacts> {
    let facts = examine(engine, lake, project, job).await?;
    lineage::pii::check(project, job, &facts.lineage)?;
    Ok(facts)
}

/// The same for those who want to see what becomes of personal data, whether it may or not.
pub async fn examine(engine: &Engine, lake: &Storage, project: &Project, job: &Job) -> Result<JobFacts> {
    // Any date will do: the plan's shape does not depend on it.
    let date: SnapshotDate = "2000-01-01".parse()?;
    let context = engine.session(Joins::Hash);
    for input in &job.inputs {
        let table = empty_input(lake, project, &input.source, date);
        context.register_table(input.alias.as_str(), Arc::new(table)).map_err(engine_error)?;
    }
    let model = Model::of(job);
    let frame = model.plan_table(&context, job, date).await?;
    let lineage = JobLineage::trace(project, job, frame.logical_plan())?;
    let plan = frame.into_optimized_plan().map_err(|error| plan_error(error, &model.start()))?;
    let mut facts = JobFacts { lineage, needs_key: calls(&plan, "user_pid") };
    facts.needs_key |= picking_needs_key(&context, job, date, job.table.forget.as_ref(), "forget").await?;
    facts.needs_key |= keep_open_needs_key(&context, lake, project, job, date).await?;

    let made = ParquetTable::new(lake.url().clone(), Vec::new(), &job.table.schema());
    context.register_table(job.name.as_str(), Arc::new(made)).map_err(engine_error)?;
    let staged = identifier(job.name.as_str());
    for source in related_sources(job) {
        let table = empty_input(lake, project, source, date);
        context.register_table(related_name(source), Arc::new(table)).map_err(engine_error)?;
    }
    let target = |source: &InputSource| alias_of(job, source).or_else(|| Some(identifier(&related_name(source))));
    let (guarded, key) = (Guarded::Table(job), engine.options().key.as_deref());
    let previous = Some(staged.as_str());
    check::plan(&Subject { ctx: &context, guarded, date, key, staged: &staged, previous, target: &target }).await?;
    Ok(facts)
}

/// Plans the checks of a contract over a day without rows. Errors (exit 2) name the file, line and column.
pub async fn validate_snapshot(engine: &Engine, lake: &Storage, contract: &SnapshotContract) -> Result<()> {
    if contract.checks.is_empty() {
        return Ok(());
    }
    let date: SnapshotDate = "2000-01-01".parse()?;
    let schema = crate::snapshot::drift::read_schema(contract);
    let day = crate::snapshot::with_date(ParquetTable::new(lake.url().clone(), Vec::new(), &schema), date);
    let context = engine.session(Joins::Hash);
    context.register_table(contract.name.as_str(), Arc::new(day)).map_err(engine_error)?;
    check::plan(&Subject {
        ctx: &context,
        guarded: Guarded::Snapshot(contract),
        date,
        key: engine.options().key.as_deref(),
        staged: &identifier(contract.name.as_str()),
        previous: None,
        target: &|_| None,
    })
    .await
}

/// Plans the SELECT of rows of a history, when there is one. `what` is its key in the job's file.
async fn picking_needs_key(
    context: &SessionContext,
    job: &Job,
    date: SnapshotDate,
    picked: Option<&PickedRows>,
    what: &'static str,
) -> Result<bool> {
    let Some(picked) = picked else { return Ok(false) };
    let model = Model { sql: &picked.sql, file: &picked.sql_file };
    let Some(column) = job.table.columns.iter().find(|column| column.name == picked.column) else { return Ok(false) };
    let values = model.plan_values(context, date, column).await.map_err(|error| error.with(what, &picked.at))?;
    let plan = values.into_optimized_plan().map_err(|error| plan_error(error, &model.start()))?;
    Ok(calls(&plan, "user_pid"))
}

/// The same of what stays open, which alone reads the rejected rows.
async fn keep_open_needs_key(
    context: &SessionContext,
    lake: &Storage,
    project: &Project,
    job: &Job,
    date: SnapshotDate,
) -> Result<bool> {
    let Some(keep_open) = &job.table.keep_open else { return Ok(false) };
    for snapshot in job.snapshots() {
        let rows = empty_input(lake, project, &InputSource::Snapshot(snapshot.clone()), date);
        context.register_table(rejected_name(snapshot), Arc::new(rows)).map_err(engine_error)?;
    }
    let needs_key = picking_needs_key(context, job, date, Some(keep_open), "keep_open").await?;
    for snapshot in job.snapshots() {
        context.deregister_table(rejected_name(snapshot)).map_err(engine_error)?;
    }
    Ok(needs_key)
}

/// The SQL name under which the job reads a source at the run's own date.
pub fn alias_of(job: &Job, source: &InputSource) -> Option<String> {
    let input = job.inputs.iter().find(|input| input.source == *source && input.days_ago == 0)?;
    Some(identifier(&input.alias))
}

/// A table with the columns that an input will have and no rows.
pub fn empty_input(lake: &Storage, project: &Project, source: &InputSource, date: SnapshotDate) -> ParquetTable {
    match source {
        InputSource::Snapshot(name) => {
            let schema = crate::snapshot::drift::read_schema(&project.snapshots[name]);
            crate::snapshot::with_date(ParquetTable::new(lake.url().clone(), Vec::new(), &schema), date)
        }
        InputSource::Table(name) => {
            ParquetTable::new(lake.url().clone(), Vec::new(), &project.jobs[name].table.schema())
        }
    }
}

/// What relationship checks read and the model does not.
pub fn related_sources(job: &Job) -> impl Iterator<Item = &InputSource> {
    job.checks.iter().filter_map(|check| match &check.kind {
        CheckKind::Relationship { to, .. } if alias_of(job, to).is_none() => Some(to),
        _ => None,
    })
}

/// A name for such a source that no input has.
pub fn related_name(source: &InputSource) -> String {
    match source {
        InputSource::Snapshot(name) => format!("__related_{name}"),
        InputSource::Table(name) => format!("__related_{name}"),
    }
}

fn calls(plan: &LogicalPlan, function: &str) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                if let Expr::ScalarFunction(call) = inner {
                    found |= call.name() == function;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    visited.is_ok() && found
}
