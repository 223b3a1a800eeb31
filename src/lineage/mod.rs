//! Lineage: which columns each column of a table takes its values from, and what class of personal data that makes it.
//!
//! ```text
//! the model's logical plan ─ plan, expression ─► JobLineage ─ pii ─► refused, or sound
//!                                                    └─ graph ─► a View ─ render ─► text, JSON, DOT
//! ```
//!
//! # Values and steering
//!
//! A column takes from another when it holds its value ([`How::Copied`]) or something computed from it ([`How::Derived`]). Columns
//! that decide only *which* rows there are (conditions, join and group keys, orders) are kept apart, as the job's
//! [`filters`](JobLineage::filters), and bring no class along: joining two tables by an account's id puts no id into the result.
//! A condition inside a value is not of that kind. `CASE WHEN email LIKE '%.no' THEN …` tells something of the address to
//! whoever reads the column, so it is derived from it, and so is `EXISTS (… WHERE email = 'ada@example.com')`.
//!
//! # Classes
//!
//! The class of a column is the greatest that reaches it: none, quasi, pseudonymous, direct. [`Passage`] says how much an
//! expression lets through:
//!
//! - `user_pid(…)` leaves pseudonymous at most, `age_band(…)` quasi; every other function leaves all.
//! - `IS [NOT] NULL` and `count` of a plain column tell only that there is a value: none. Of an expression, they tell what
//!   it asks.
//! - One number or truth about many rows (`count`, `sum`, `avg`, `bool_or`, …) is no longer quasi or pseudonymous. A group may be one person,
//!   so what is direct stays direct; as does what picks a value: `max(email)`, `string_agg`, `array_agg`.
//! - A row's place (`row_number`, `rank`, …) is such a number about the columns that it is ordered by.
//! - A struct is one value: what reads a field of it takes from all of them.
//!
//! A class may be declared lower only where the job says why, in `[[declassify]]`; [`pii`] holds tables to that.

mod expression;
mod flow;
mod functions;
pub mod graph;
pub mod pii;
mod plan;
pub mod render;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use datafusion::logical_expr::LogicalPlan;

use crate::contract::PiiClass;
use crate::error::{Error, Result};
use crate::job::{InputSource, Job};
use crate::project::Project;
pub use flow::{ColumnId, Flow, Flows, How, Passage, table_name};

/// What the table of a job takes from the tables that the job reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLineage {
    /// For each column of the table, in its order.
    pub columns: Vec<(String, Flows)>,
    /// What decides only which rows there are.
    pub filters: BTreeSet<ColumnId>,
}

impl JobLineage {
    /// Follows the plan of the job's model, as SQL was turned into it.
    pub fn trace(project: &Project, job: &Job, plan: &LogicalPlan) -> Result<Self> {
        let inputs: BTreeMap<&str, (InputSource, Vec<String>)> = job
            .inputs
            .iter()
            .map(|input| (input.alias.as_str(), (input.source.clone(), columns_of(project, &input.source))))
            .collect();
        let mut tracer = plan::Tracer::new(&inputs);
        let traced = tracer.columns(plan, None).map_err(|error| {
            Error::internal("failed to follow the columns of a model")
                .with("file", job.sql_file.display())
                .source(error)
        })?;
        let made = plan.schema().fields();
        let flows = |name: &str| {
            let at = made.iter().position(|field| field.name() == name);
            at.and_then(|at| traced.get(at)).cloned().unwrap_or_default()
        };
        let columns = job.table.columns.iter().map(|column| (column.name.clone(), flows(&column.name))).collect();
        let steering = Flows::union([&tracer.steering.keys, &tracer.steering.conditions]);
        Ok(JobLineage { columns, filters: steering.iter().map(|(source, _)| source.clone()).collect() })
    }

    pub fn flows(&self, column: &str) -> Option<&Flows> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, flows)| flows)
    }
}

/// The columns of a table as models see it, in its order.
pub fn columns_of(project: &Project, table: &InputSource) -> Vec<String> {
    match table {
        InputSource::Snapshot(name) => {
            let columns = project.snapshots[name].columns.iter().map(|column| column.column.name.clone());
            columns.chain(std::iter::once(SNAPSHOT_DATE.to_owned())).collect()
        }
        InputSource::Table(name) => project.jobs[name].table.columns.iter().map(|column| column.name.clone()).collect(),
    }
}

/// The class that a column is declared with; the day that the folder of a snapshot gives has none.
pub fn class_of(project: &Project, column: &ColumnId) -> PiiClass {
    match &column.table {
        InputSource::Snapshot(name) => {
            project.snapshots[name].column(&column.column).map_or(PiiClass::None, |column| column.column.pii)
        }
        InputSource::Table(name) => {
            let declared = project.jobs[name].table.columns.iter().find(|declared| declared.name == column.column);
            declared.map_or(PiiClass::None, |column| column.pii)
        }
    }
}

/// The column of a snapshot that its folder gives.
const SNAPSHOT_DATE: &str = "snapshot_date";
