//! Proves what can be proved with no data: every model and every SQL check plans against the contracts of its inputs.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::check::{self, Subject};
use crate::engine::{Engine, Joins, Model, ParquetTable, engine_error, plan_error};
use crate::error::Result;
use crate::job::{CheckKind, InputSource, Job};
use crate::names::SnapshotDate;
use crate::project::Project;
use crate::sql::identifier;
use crate::storage::Storage;

/// What the plan of a model tells beyond that it is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Whether the model computes `user_pid`, which needs the key.
    pub needs_key: bool,
}

/// Plans a job against empty inputs. Errors (exit 2) name the file, line and column.
pub async fn validate(engine: &Engine, lake: &Storage, project: &Project, job: &Job) -> Result<JobFacts> {
    // Any date will do: the plan's shape does not depend on it.
    let date: SnapshotDate = "2000-01-01".parse()?;
    let context = engine.session(Joins::Hash);
    for input in &job.inputs {
        let table = empty_input(lake, project, &input.source, date);
        context.register_table(input.alias.as_str(), Arc::new(table)).map_err(engine_error)?;
    }
    let model = Model::of(job);
    let frame = model.plan_table(&context, job, date).await?;
    let plan = frame.into_optimized_plan().map_err(|error| plan_error(error, &model.start()))?;
    let facts = JobFacts { needs_key: calls(&plan, "user_pid") };

    let made = ParquetTable::new(lake.url().clone(), Vec::new(), &job.table.schema());
    context.register_table(job.name.as_str(), Arc::new(made)).map_err(engine_error)?;
    let staged = identifier(job.name.as_str());
    for source in related_sources(job) {
        let table = empty_input(lake, project, source, date);
        context.register_table(related_name(source), Arc::new(table)).map_err(engine_error)?;
    }
    let target = |source: &InputSource| alias_of(job, source).or_else(|| Some(identifier(&related_name(source))));
    check::plan(&Subject { ctx: &context, job, date, staged: &staged, previous: Some(&staged), target: &target })
        .await?;
    Ok(facts)
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
