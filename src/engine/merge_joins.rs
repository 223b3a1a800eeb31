//! Joins of a session in which they merge, where DataFusion knows one way for all.
//!
//! A side of few rows is held, and the rows of the other pass it as they come: to merge ten million subscriptions with a few
//! plans they would be exchanged and sorted by their plan, and what lay in buckets would lie in none afterwards. Others are merged in the
//! order that the files of tables have: nulls stand last in them, and first in DataFusion's own, so that it would sort them again.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::unnest::UnnestExec;

use super::parquet_table::ASCENDING;

/// A table of no more rows is as nothing beside the others, such as the plans of a catalogue beside subscriptions.
pub const SMALL_ROWS: usize = 32 << 10;

pub(super) const MERGE_JOINS: &str = "merge_joins";

#[derive(Debug)]
pub(super) struct MergeJoins {
    /// How many rows a side may have that is held.
    pub small_rows: usize,
}

impl PhysicalOptimizerRule for MergeJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<SortMergeJoinExec>() {
            Some(join) => Ok(Transformed::yes(match self.held(join)? {
                Some(held) => held,
                None => in_order_of_files(join)?,
            })),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        MERGE_JOINS
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl MergeJoins {
    fn is_small(&self, side: &Arc<dyn ExecutionPlan>) -> Result<bool> {
        Ok(most_rows(side)?.is_some_and(|rows| rows <= self.small_rows))
    }

    /// The same join as one that holds its small side, if it has one.
    fn held(&self, join: &SortMergeJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let is_left = self.is_small(join.left())?;
        if !is_left && !self.is_small(join.right())? {
            return Ok(None);
        }
        let as_written = HashJoinExec::try_new(
            Arc::clone(join.left()),
            Arc::clone(join.right()),
            join.on().to_vec(),
            join.filter().clone(),
            &join.join_type(),
            None,
            PartitionMode::CollectLeft,
            join.null_equality(),
            false,
        )?;
        match is_left {
            true => Ok(Some(Arc::new(as_written))),
            false if as_written.join_type().supports_swap() => {
                as_written.swap_inputs(PartitionMode::CollectLeft).map(Some)
            }
            false => Ok(None),
        }
    }
}

fn in_order_of_files(join: &SortMergeJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    let merged = SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        join.filter().clone(),
        join.join_type(),
        vec![ASCENDING; join.on().len()],
        join.null_equality(),
    )?;
    Ok(Arc::new(merged))
}

/// How many rows a plan has at most, whatever its joins and filters leave; `None` where nobody knows.
fn most_rows(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<usize>> {
    if plan.is::<UnnestExec>() || plan.is::<RecursiveQueryExec>() {
        return Ok(None);
    }
    if plan.children().is_empty() {
        let known = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())?;
        return Ok(known.num_rows.get_value().copied());
    }
    let below = plan.children().into_iter().map(most_rows).collect::<Result<Option<Vec<_>>>>()?;
    let joins = plan.is::<HashJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>();
    Ok(below.map(|rows| {
        // Also of a join, whose outer sides come once more.
        let sum = rows.iter().copied().fold(0, usize::saturating_add);
        let pairs = rows.into_iter().fold(1, usize::saturating_mul);
        match plan.downcast_ref::<AggregateExec>() {
            Some(groups) => sum.saturating_mul(groups.group_expr().groups().len().max(1)).max(1),
            None if joins => pairs.max(sum),
            None => sum,
        }
    }))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use arrow::util::display::array_value_to_string;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::engine::{Engine, EngineOptions, Joins};

    const LARGE: i64 = SMALL_ROWS as i64 + 1;

    /// Tables of so many keys, from 0 on.
    fn context(folder: &tempfile::TempDir) -> SessionContext {
        let spill_folder = folder.path().to_owned();
        let options = EngineOptions { memory_bytes: 1 << 30, threads: 2, spill_folder, key: None };
        let context = Engine::new(options).unwrap().session(Joins::Merge);
        for (name, rows) in [("few", 3), ("many", LARGE), ("others", LARGE)] {
            let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            context.register_batch(name, RecordBatch::try_from_iter([("key", keys)]).unwrap()).unwrap();
        }
        context
    }

    /// Which joins a query is planned with, and its rows and their sum.
    async fn run(from: &str) -> (Vec<String>, [Option<i64>; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let context = context(&folder);
        let sql = format!("SELECT count(*), sum(a.key) FROM {from}");
        let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        let plan = displayable(plan.as_ref()).indent(false).to_string();
        let joins = plan.lines().filter_map(|line| line.trim().split_once("JoinExec: "));
        let named = joins.map(|(kind, rest)| format!("{kind} {}", rest.split(", on=").next().unwrap())).collect();
        let rows = context.sql(&sql).await.unwrap().collect().await.unwrap().remove(0);
        (named, [0, 1].map(|column| rows.column(column).as_primitive::<Int64Type>().iter().next().flatten()))
    }

    #[tokio::test]
    async fn a_small_side_is_held_whichever_it_is() {
        let all = [Some(LARGE), Some(LARGE * (LARGE - 1) / 2)];
        let held = |kind: &str| vec![format!("Hash mode=CollectLeft, join_type={kind}")];
        assert_eq!(run("few AS b JOIN many AS a ON a.key = b.key").await, (held("Inner"), [Some(3), Some(3)]));
        assert_eq!(run("many AS a JOIN few AS b ON a.key = b.key").await, (held("Inner"), [Some(3), Some(3)]));
        assert_eq!(run("many AS a LEFT JOIN few AS b ON a.key = b.key").await, (held("Right"), all));
        assert_eq!(run("few AS b FULL JOIN many AS a ON a.key = b.key").await, (held("Full"), all));
        let without = "many AS a WHERE NOT EXISTS (SELECT 1 FROM few AS b WHERE a.key = b.key)";
        assert_eq!(run(without).await, (held("RightAnti"), [Some(LARGE - 3), all[1].map(|sum| sum - 3)]));
    }

    #[tokio::test]
    async fn what_few_rows_may_become_counts() {
        // Of 200 rows each, which are joined by a key of one value.
        let of_one_key = "(SELECT key, 0 AS one FROM others WHERE key < 200 LIMIT 200)";
        let few = "(SELECT key, 0 AS one FROM few)";
        let joined = |side: &str| {
            format!(
                "many AS a JOIN (SELECT x.key + y.key AS key FROM {side} AS x JOIN {few} AS y ON x.one = y.one) AS b ON a.key = b.key"
            )
        };
        assert_eq!(run(&joined(few)).await.0[0], "Hash mode=CollectLeft, join_type=Inner");
        assert_eq!(run(&joined(of_one_key)).await.0[0], "SortMerge join_type=Inner");
    }

    /// Nulls stand last in the sides of a merge, which is where sorts put them.
    #[tokio::test]
    async fn keys_without_a_value_meet_nothing_or_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let context = context(&folder);
        for (table, from, to) in [("l", 0, 4), ("r", 2, 6)] {
            let sql = format!(
                "CREATE VIEW {table} AS SELECT CASE WHEN key % 2 = 0 THEN key END AS key, key AS n FROM others \
                 WHERE key >= {from} AND key < {to}"
            );
            context.sql(&sql).await.unwrap().collect().await.unwrap();
        }
        for (join, expected) in [
            ("JOIN r ON l.key = r.key", "2-2"),
            ("LEFT JOIN r ON l.key = r.key", "0-, 1-, 2-2, 3-"),
            ("RIGHT JOIN r ON l.key = r.key", "-3, -4, -5, 2-2"),
            ("FULL JOIN r ON l.key = r.key", "-3, -4, -5, 0-, 1-, 2-2, 3-"),
            ("JOIN r ON l.key IS NOT DISTINCT FROM r.key", "1-3, 1-5, 2-2, 3-3, 3-5"),
        ] {
            let from = format!("FROM l {join}");
            let pair = "concat(coalesce(CAST(l.n AS VARCHAR), ''), '-', coalesce(CAST(r.n AS VARCHAR), ''))";
            let sql = format!("SELECT string_agg(pair, ', ' ORDER BY pair) FROM (SELECT {pair} AS pair {from})");
            let plan = context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let plan = displayable(plan.as_ref()).indent(false).to_string();
            assert!(plan.contains("SortMergeJoinExec"), "{plan}");
            let rows = context.sql(&sql).await.unwrap().collect().await.unwrap().remove(0);
            assert_eq!(array_value_to_string(rows.column(0), 0).unwrap(), expected, "{join}");
        }
    }

    #[tokio::test]
    async fn sides_that_may_be_large_are_merged() {
        let merged = (vec!["SortMerge join_type=Inner".to_owned()], [Some(LARGE), Some(LARGE * (LARGE - 1) / 2)]);
        assert_eq!(run("many AS a JOIN others AS b ON a.key = b.key").await, merged);
        // How long lists are nobody knows.
        let (joins, rows) =
            run("many AS a JOIN (SELECT unnest([key, key + 3]) AS key FROM few) AS b ON a.key = b.key").await;
        assert_eq!(joins, merged.0);
        assert_eq!(rows, [Some(6), Some(15)]);
    }
}
