//! From a logical plan to the columns that each of its columns takes from.
//!
//! The plan is the one that SQL was turned into, before any optimizer: nothing is folded away or pushed down yet. Every kind of
//! node is named, so that a new one of the engine does not compile before somebody has said what it does to columns.

use std::collections::BTreeMap;

use datafusion::common::{DFSchema, JoinType, Result};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, LogicalPlan, RecursiveQuery, TableScan, Unnest, Values, Window,
};
use recursive::recursive;

use super::expression::Scope;
use super::flow::{ColumnId, Flows, Passage};
use crate::job::InputSource;

/// Tables that the engine makes from constants.
const TABLE_FUNCTIONS: [&str; 2] = ["generate_series", "range"];

/// What decides which rows there are, and in which order.
#[derive(Debug, Default)]
pub(super) struct Steering {
    /// What ties rows together or groups or orders them.
    pub keys: Flows,
    /// What is asked of a row.
    pub conditions: Flows,
}

pub(super) struct Tracer<'a> {
    /// The tables that the model reads by their names in the SQL, with their columns.
    inputs: &'a BTreeMap<&'a str, (InputSource, Vec<String>)>,
    /// The tables of recursive queries that are being traced, by name.
    recursive: BTreeMap<String, Vec<Flows>>,
    pub steering: Steering,
}

impl<'a> Tracer<'a> {
    pub fn new(inputs: &'a BTreeMap<&'a str, (InputSource, Vec<String>)>) -> Self {
        Tracer { inputs, recursive: BTreeMap::new(), steering: Steering::default() }
    }

    /// What each column of the plan takes, in their order. `outer` is the query around a subquery.
    #[recursive]
    pub fn columns(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let columns = match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, outer)?,
            LogicalPlan::EmptyRelation(empty) => vec![Flows::default(); empty.schema.fields().len()],
            LogicalPlan::Values(values) => self.constants(values, outer)?,
            LogicalPlan::Projection(projection) => {
                let input = self.columns(&projection.input, outer)?;
                self.each(&projection.expr, &scope(&projection.input, &input, outer))?
            }
            LogicalPlan::Filter(filter) => {
                let input = self.columns(&filter.input, outer)?;
                self.steer(&filter.predicate, &scope(&filter.input, &input, outer))?;
                input
            }
            LogicalPlan::Sort(sort) => {
                let input = self.columns(&sort.input, outer)?;
                self.steer_sorts(&sort.expr, &scope(&sort.input, &input, outer))?;
                input
            }
            LogicalPlan::Limit(limit) => {
                let input = self.columns(&limit.input, outer)?;
                for bound in [&limit.skip, &limit.fetch].into_iter().flatten() {
                    self.steer(bound, &scope(&limit.input, &input, outer))?;
                }
                input
            }
            LogicalPlan::Window(window) => self.windowed(window, outer)?,
            LogicalPlan::Aggregate(aggregate) => self.grouped(aggregate, outer)?,
            LogicalPlan::Join(join) => self.joined(join, outer)?,
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| self.columns(input, outer));
                side_by_side(&inputs.collect::<Result<Vec<_>>>()?)
            }
            LogicalPlan::Distinct(Distinct::All(input)) => self.columns(input, outer)?,
            LogicalPlan::Distinct(Distinct::On(distinct)) => {
                let input = self.columns(&distinct.input, outer)?;
                let scope = scope(&distinct.input, &input, outer);
                for key in &distinct.on_expr {
                    self.steer(key, &scope)?;
                }
                self.steer_sorts(distinct.sort_expr.as_deref().unwrap_or_default(), &scope)?;
                self.each(&distinct.select_expr, &scope)?
            }
            LogicalPlan::Unnest(unnest) => self.unnested(unnest, outer)?,
            LogicalPlan::RecursiveQuery(query) => self.recursive(query, outer)?,
            LogicalPlan::SubqueryAlias(alias) => self.columns(&alias.input, outer)?,
            LogicalPlan::Subquery(subquery) => self.columns(&subquery.subquery, outer)?,
            LogicalPlan::Repartition(repartition) => self.columns(&repartition.input, outer)?,
            // None of these stands in a SELECT as SQL is planned today.
            LogicalPlan::Extension(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => self.unknown(plan, outer)?,
        };
        let expected = plan.schema().fields().len();
        if columns.len() == expected {
            return Ok(columns);
        }
        // A node with other columns than was thought: each may be any.
        Ok(vec![Flows::union(&columns).through("a step", Passage::WHOLE); expected])
    }

    fn each(&mut self, expressions: &[Expr], scope: &Scope<'_>) -> Result<Vec<Flows>> {
        expressions.iter().map(|expression| self.value(expression, scope)).collect()
    }

    /// An input, a view, the rows so far of a recursive query, a function of constants; what else there may be could hold
    /// any column of any input.
    fn scan(&mut self, scan: &TableScan, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let fields = scan.projected_schema.fields();
        let name = scan.table_name.table();
        let columns = if let Some(working) = self.recursive.get(name) {
            projected(working, scan)
        } else if let Some(view) = scan.source.get_logical_plan() {
            projected(&self.columns(&view, outer)?, scan)
        } else if let Some((table, _)) = self.inputs.get(name) {
            let column = |column: &String| Flows::of(ColumnId { table: table.clone(), column: column.clone() });
            fields.iter().map(|field| column(field.name())).collect()
        } else if TABLE_FUNCTIONS.contains(&name.trim_end_matches("()")) {
            vec![Flows::default(); fields.len()]
        } else {
            vec![self.anything(name); fields.len()]
        };
        let own = Scope { schema: &scan.projected_schema, columns: &columns, outer };
        for filter in &scan.filters {
            self.steer(filter, &own)?;
        }
        Ok(columns)
    }

    fn anything(&self, name: &str) -> Flows {
        let mut all = Flows::default();
        for (table, columns) in self.inputs.values() {
            for column in columns {
                all.merge(&Flows::of(ColumnId { table: table.clone(), column: column.clone() }));
            }
        }
        all.through(name, Passage::WHOLE)
    }

    fn constants(&mut self, values: &Values, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let none = Scope { schema: &DFSchema::empty(), columns: &[], outer };
        let rows = values.values.iter().map(|row| self.each(row, &none)).collect::<Result<Vec<_>>>()?;
        Ok(side_by_side(&rows))
    }

    fn windowed(&mut self, window: &Window, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let mut columns = self.columns(&window.input, outer)?;
        let computed = self.each(&window.window_expr, &scope(&window.input, &columns, outer))?;
        columns.extend(computed);
        Ok(columns)
    }

    fn grouped(&mut self, aggregate: &Aggregate, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let input = self.columns(&aggregate.input, outer)?;
        let scope = scope(&aggregate.input, &input, outer);
        let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
        let mut columns = Vec::with_capacity(aggregate.schema.fields().len());
        for key in keys {
            columns.push(self.value(key, &scope)?);
            self.steer(key, &scope)?;
        }
        if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            // The number of the grouping set, which no value decides.
            columns.push(Flows::default());
        }
        columns.extend(self.each(&aggregate.aggr_expr, &scope)?);
        Ok(columns)
    }

    fn joined(&mut self, join: &Join, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let left = self.columns(&join.left, outer)?;
        let left_scope = scope(&join.left, &left, outer);
        // A lateral subquery on the right names columns of the left.
        let right = self.columns(&join.right, Some(&left_scope))?;
        let right_scope = scope(&join.right, &right, outer);
        for (one, other) in &join.on {
            let ties = [self.value(one, &left_scope)?, self.value(other, &right_scope)?];
            self.steering.keys.merge(&Flows::union(&ties));
        }
        let both = [left.clone(), right.clone()].concat();
        if let Some(filter) = &join.filter {
            let schema = join.left.schema().join(join.right.schema())?;
            self.steer(filter, &Scope { schema: &schema, columns: &both, outer })?;
        }
        let mark = |mut side: Vec<Flows>| {
            side.push(Flows::union(&both).through("a mark join", Passage::WHOLE));
            side
        };
        Ok(match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => both,
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            JoinType::LeftMark => mark(left),
            JoinType::RightMark => mark(right),
        })
    }

    fn unnested(&mut self, unnest: &Unnest, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let input = self.columns(&unnest.input, outer)?;
        let opened = |at: &usize| {
            unnest.struct_type_columns.contains(at) || unnest.list_type_columns.iter().any(|(list, _)| list == at)
        };
        let column = |at: &usize| {
            let flows = input.get(*at).cloned().unwrap_or_else(|| Flows::union(&input));
            if opened(at) { flows.through("unnest(…)", Passage::WHOLE) } else { flows }
        };
        Ok(unnest.dependency_indices.iter().map(column).collect())
    }

    /// The recursive part may move columns round by round; it is traced until nothing new comes.
    fn recursive(&mut self, query: &RecursiveQuery, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let mut known = self.columns(&query.static_term, outer)?;
        let hidden = self.recursive.remove(&query.name);
        loop {
            self.recursive.insert(query.name.clone(), known.clone());
            let round = self.columns(&query.recursive_term, outer)?;
            let wider = side_by_side(&[known.clone(), round]);
            if wider == known {
                break;
            }
            known = wider;
        }
        self.recursive.remove(&query.name);
        self.recursive.extend(hidden.map(|columns| (query.name.clone(), columns)));
        Ok(known)
    }

    fn unknown(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Vec<Flows>> {
        let inputs = plan.inputs().into_iter().map(|input| self.columns(input, outer));
        let all = Flows::union(&inputs.collect::<Result<Vec<_>>>()?.concat());
        Ok(vec![all.through("a step", Passage::WHOLE); plan.schema().fields().len()])
    }
}

fn scope<'a>(input: &'a LogicalPlan, columns: &'a [Flows], outer: Option<&'a Scope<'a>>) -> Scope<'a> {
    Scope { schema: input.schema(), columns, outer }
}

fn projected(columns: &[Flows], scan: &TableScan) -> Vec<Flows> {
    match &scan.projection {
        Some(picked) => picked.iter().filter_map(|at| columns.get(*at).cloned()).collect(),
        None => columns.to_vec(),
    }
}

/// Rows of several plans in the same columns.
fn side_by_side(plans: &[Vec<Flows>]) -> Vec<Flows> {
    let width = plans.iter().map(Vec::len).max().unwrap_or_default();
    (0..width).map(|at| Flows::union(plans.iter().filter_map(|columns| columns.get(at)))).collect()
}
