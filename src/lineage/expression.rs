//! From an expression to the columns that its value takes from.
//!
//! Every expression that is not treated by name takes all of what its parts take, so a new kind of expression is judged
//! too strictly rather than overlooked.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, Exists, Sort, WindowFunction};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, Subquery};
use recursive::recursive;

use super::flow::{Flows, Passage};
use super::functions::{self, Aggregation};
use super::plan::{Steering, Tracer};

/// The columns that an expression may name: those of its node's input, and of the queries around it.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub schema: &'a DFSchema,
    pub columns: &'a [Flows],
    pub outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// A name that cannot be found may be any of the columns.
    fn find(&self, column: &Column) -> Flows {
        let found = self.schema.index_of_column(column).ok().and_then(|at| self.columns.get(at));
        found.cloned().unwrap_or_else(|| Flows::union(self.columns).through(&column.name, Passage::WHOLE))
    }

    /// The nearest query around this one that has the column.
    fn find_outer(&self, column: &Column) -> Flows {
        let mut next = self.outer;
        while let Some(scope) = next {
            if scope.schema.has_column(column) {
                return scope.find(column);
            }
            next = scope.outer;
        }
        self.outer.map(|scope| scope.find(column)).unwrap_or_default()
    }
}

impl Tracer<'_> {
    /// What the value of the expression takes.
    #[recursive]
    pub(super) fn value(&mut self, expression: &Expr, scope: &Scope<'_>) -> Result<Flows> {
        match expression {
            Expr::Column(column) => Ok(scope.find(column)),
            Expr::OuterReferenceColumn(_, column) => Ok(scope.find_outer(column)),
            Expr::Alias(alias) => self.value(&alias.expr, scope),
            Expr::Cast(cast) => self.value(&cast.expr, scope),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) | Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => {
                Ok(self.value(inner, scope)?.through_presence("IS NULL", Passage::WHOLE))
            }
            Expr::AggregateFunction(call) => self.aggregate(call, scope),
            Expr::WindowFunction(call) => self.window(call, scope),
            Expr::ScalarSubquery(subquery) => self.subquery(subquery, scope),
            Expr::Exists(exists) => self.exists(exists, scope),
            Expr::InSubquery(test) => {
                let parts = [self.value(&test.expr, scope)?, self.subquery(&test.subquery, scope)?];
                Ok(Flows::union(&parts).through("IN (SELECT …)", Passage::WHOLE))
            }
            Expr::SetComparison(test) => {
                let parts = [self.value(&test.expr, scope)?, self.subquery(&test.subquery, scope)?];
                Ok(Flows::union(&parts).through(&format!("{} (SELECT …)", test.op), Passage::WHOLE))
            }
            Expr::ScalarFunction(call) => {
                let passage = functions::scalar(call.name());
                Ok(self.parts(expression, scope)?.through(&format!("{}(…)", call.name()), passage))
            }
            other => Ok(self.parts(other, scope)?.through(&name_of(other), Passage::WHOLE)),
        }
    }

    /// All that the parts of an expression take.
    fn parts(&mut self, expression: &Expr, scope: &Scope<'_>) -> Result<Flows> {
        let mut all = Flows::default();
        expression.apply_children(|part| {
            all.merge(&self.value(part, scope)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(all)
    }

    fn all(&mut self, expressions: &[Expr], scope: &Scope<'_>) -> Result<Flows> {
        let values = expressions.iter().map(|expression| self.value(expression, scope));
        Ok(Flows::union(&values.collect::<Result<Vec<_>>>()?))
    }

    fn aggregate(&mut self, call: &AggregateFunction, scope: &Scope<'_>) -> Result<Flows> {
        let parameters = &call.params;
        self.steer_sorts(&parameters.order_by, scope)?;
        let arguments = self.all(&parameters.args, scope)?;
        let filter = self.all(parameters.filter.as_deref().map_or(&[], std::slice::from_ref), scope)?;
        Ok(aggregated(call.func.name(), arguments, filter))
    }

    fn window(&mut self, call: &WindowFunction, scope: &Scope<'_>) -> Result<Flows> {
        let (name, parameters) = (call.fun.name(), &call.params);
        for key in &parameters.partition_by {
            self.steer(key, scope)?;
        }
        self.steer_sorts(&parameters.order_by, scope)?;
        let arguments = self.all(&parameters.args, scope)?;
        if functions::ranks(name) {
            let order = parameters.order_by.iter().map(|sort| self.value(&sort.expr, scope));
            let order = Flows::union(&order.collect::<Result<Vec<_>>>()?);
            return Ok(Flows::union([&arguments, &order]).through(&format!("{name}(…)"), Passage::STATISTIC));
        }
        let filter = self.all(parameters.filter.as_deref().map_or(&[], std::slice::from_ref), scope)?;
        Ok(aggregated(name, arguments, filter))
    }

    /// A subquery of one column where a value stands.
    fn subquery(&mut self, subquery: &Subquery, scope: &Scope<'_>) -> Result<Flows> {
        let columns = self.columns(&subquery.subquery, Some(scope))?;
        Ok(Flows::union(&columns))
    }

    /// Whether rows exist is decided by the conditions within. One that compares columns with each other ties the rows
    /// together, as a join does; any other asks something of its columns.
    fn exists(&mut self, exists: &Exists, scope: &Scope<'_>) -> Result<Flows> {
        let outside = std::mem::take(&mut self.steering);
        let traced = self.columns(&exists.subquery.subquery, Some(scope));
        let inside = std::mem::replace(&mut self.steering, outside);
        traced?;
        let keys = inside.keys.clone().through("EXISTS (SELECT …)", Passage::PRESENCE);
        let conditions = inside.conditions.clone().through("EXISTS (SELECT …)", Passage::WHOLE);
        self.steering.add(&inside);
        Ok(Flows::union([&keys, &conditions]))
    }

    /// Records what an expression that picks, joins or orders rows looks at.
    pub(super) fn steer(&mut self, expression: &Expr, scope: &Scope<'_>) -> Result<()> {
        for condition in split_conjunction(expression) {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
                let asked = self.value(condition, scope)?;
                self.steering.conditions.merge(&asked);
                continue;
            };
            let sides = [self.value(left, scope)?, self.value(right, scope)?];
            let tied = sides.iter().all(|side| !side.is_empty());
            let steering = if tied { &mut self.steering.keys } else { &mut self.steering.conditions };
            steering.merge(&Flows::union(&sides));
        }
        Ok(())
    }

    pub(super) fn steer_sorts(&mut self, sorts: &[Sort], scope: &Scope<'_>) -> Result<()> {
        for sort in sorts {
            let flows = self.value(&sort.expr, scope)?;
            self.steering.keys.merge(&flows);
        }
        Ok(())
    }
}

fn aggregated(name: &str, arguments: Flows, filter: Flows) -> Flows {
    let step = format!("{name}(…)");
    let filter = filter.through(&format!("{name}(…) FILTER"), Passage::STATISTIC);
    let arguments = match functions::aggregation(name) {
        Aggregation::Count => arguments.through_presence(&step, Passage::STATISTIC),
        Aggregation::Statistic => arguments.through(&step, Passage::STATISTIC),
        Aggregation::Values => arguments.through(&step, Passage::WHOLE),
    };
    Flows::union([&arguments, &filter])
}

impl Steering {
    pub(super) fn add(&mut self, other: &Steering) {
        self.keys.merge(&other.keys);
        self.conditions.merge(&other.conditions);
    }
}

/// A word for the expression that people know from SQL.
fn name_of(expression: &Expr) -> String {
    match expression {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => format!("… {op} …"),
        Expr::Case(_) => "CASE".to_owned(),
        Expr::Like(like) if like.case_insensitive => "ILIKE".to_owned(),
        Expr::Like(_) => "LIKE".to_owned(),
        Expr::InList(_) => "IN (…)".to_owned(),
        Expr::Not(_) => "NOT".to_owned(),
        Expr::TryCast(_) => "TRY_CAST".to_owned(),
        Expr::HigherOrderFunction(call) => format!("{}(…)", call.name()),
        other => other.variant_name().to_owned(),
    }
}
