//! Rows that come in some order already.
//!
//! Where a query wants them by more columns than they are sorted by, the rows of each value of the first ones are sorted among
//! themselves. DataFusion knows how, and does so for endless input alone; for others it sorts all rows from the beginning.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary};

use super::parquet_table::ASCENDING;

/// Sorts no more than is not sorted yet. What has one value in the first columns is held in memory, so tables state an order only
/// where its first column tells rows apart: buckets are sorted by their column, steps as their texts end.
#[derive(Debug)]
pub(super) struct SortWithin;

impl PhysicalOptimizerRule for SortWithin {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<SortExec>().map(within).transpose()?.flatten() {
            Some(sort) => Ok(Transformed::yes(sort)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "sort_within"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn within(sort: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    // The first rows of an order are found with a heap.
    if sort.fetch().is_some() {
        return Ok(None);
    }
    let known = sort.input().equivalence_properties();
    // All rows are one group of a constant.
    if known.is_expr_constant(&sort.expr()[0].expr).is_some() {
        return Ok(None);
    }
    let mut prefix = 0;
    while prefix < sort.expr().len() && known.ordering_satisfy(sort.expr()[..=prefix].to_vec())? {
        prefix += 1;
    }
    if prefix == 0 {
        return Ok(None);
    }
    let partial = PartialSortExec::new(sort.expr().clone(), Arc::clone(sort.input()), prefix);
    Ok(Some(Arc::new(partial.with_preserve_partitioning(sort.preserve_partitioning()))))
}

/// The same rows with each partition in its order, where a plan merges them into one at its end.
pub fn unmerged(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    match plan.downcast_ref::<SortPreservingMergeExec>() {
        Some(merge) if merge.fetch().is_none() => return Ok(Arc::clone(merge.input())),
        _ => {}
    }
    // The values that a plan asks for once stand beside it.
    if plan.is::<ScalarSubqueryExec>() {
        let mut parts: Vec<_> = plan.children().into_iter().cloned().collect();
        if let Some(main) = parts.first_mut() {
            *main = unmerged(Arc::clone(main))?;
        }
        return replace_children_if_necessary(plan, parts);
    }
    Ok(plan)
}

/// The rows of a sorted plan that have in `column` none of some values, in the same order. The values, rows of one column, are
/// held in memory; a null is none of them.
pub fn without_values(
    plan: Arc<dyn ExecutionPlan>,
    column: &str,
    values: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let order = plan.output_ordering().cloned();
    let plan = unmerged(plan)?;
    let value: Arc<dyn PhysicalExpr> = Arc::new(Column::new(values.schema().field(0).name(), 0));
    let of_row: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(column, &plan.schema())?);
    let left = HashJoinExec::try_new(
        Arc::new(CoalescePartitionsExec::new(values)),
        plan,
        vec![(value, of_row)],
        None,
        &JoinType::RightAnti,
        None,
        PartitionMode::CollectLeft,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(match order {
        Some(order) => Arc::new(SortPreservingMergeExec::new(order, Arc::new(left))),
        None => Arc::new(left),
    })
}

/// The columns by which each partition of a plan is sorted, ascending, by their names.
pub fn sorted_by(plan: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    let order = plan.output_ordering().map(|order| order.iter()).into_iter().flatten();
    let ascending = order.map_while(|sort| sort.expr.downcast_ref::<Column>().filter(|_| sort.options == ASCENDING));
    ascending.map(|column| column.name().to_owned()).collect()
}
