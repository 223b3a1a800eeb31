//! Joins of tables that are bucketed alike, by the bucket column: file meets file, and where both are sorted they are merged.
//!
//! DataFusion plans a hash join for them. One that collects its left side would hold a whole table for all buckets; one that
//! is partitioned would hold a bucket. A merge join of sorted buckets holds the rows of a key.
//!
//! To DataFusion buckets look like what its own exchange makes, with another hash: where both have as many partitions it would
//! take them for the same. [`keep_apart`] sees that they never have, and the last rule that nothing slipped through.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::InterleaveExec;
use datafusion::physical_plan::{ChildSatisfactionOptions, ExecutionPlan, ExecutionPlanProperties, Partitioning};
use datafusion::prelude::SessionContext;

use super::bucket_exchange::BucketExchangeExec;
use super::bucket_unions::BucketUnionExec;
use super::parquet_table::ASCENDING;

/// Sees that no exchange of this session deals rows out to as many partitions as one of its tables has buckets.
pub fn keep_apart(context: &SessionContext, buckets: &[usize]) {
    let state = context.state_ref();
    let mut state = state.write();
    let partitions = &mut state.config_mut().options_mut().execution.target_partitions;
    // One partition is no exchange.
    while *partitions > 1 && buckets.contains(partitions) {
        *partitions += 1;
    }
}

#[derive(Debug)]
pub(super) struct BucketJoins;

impl PhysicalOptimizerRule for BucketJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<HashJoinExec>().map(by_bucket).transpose()?.flatten() {
            Some(join) => Ok(Transformed::yes(join)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "bucket_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same join bucket by bucket, where both sides are bucketed by a pair of its keys.
fn by_bucket(join: &HashJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (left, right) = (join.left(), join.right());
    let (Some((left_by, left_count)), Some((right_by, right_count))) = (bucketed(left), bucketed(right)) else {
        return Ok(None);
    };
    let meets = |(l, r): &&_| is(l, &left_by) && is(r, &right_by);
    // DataFusion exchanges both sides of a join by several columns, whatever one of them says.
    if left_count != right_count
        || join.on().len() != 1
        || !join.on().iter().all(|pair| meets(&pair))
        || join.null_aware
    {
        return Ok(None);
    }
    let on = join.on().to_vec();
    let (left_keys, right_keys): (Vec<_>, Vec<_>) = on.iter().cloned().unzip();
    if join.contains_projection() || !sorted(left, left_keys)? || !sorted(right, right_keys)? {
        let partitioned = join.builder().with_partition_mode(PartitionMode::Partitioned).build()?;
        return Ok(Some(Arc::new(partitioned)));
    }
    let options: Vec<SortOptions> = vec![ASCENDING; on.len()];
    let merged = SortMergeJoinExec::try_new(
        Arc::clone(left),
        Arc::clone(right),
        on,
        join.filter().cloned(),
        *join.join_type(),
        options,
        join.null_equality(),
    )?;
    Ok(Some(Arc::new(merged)))
}

/// By what a plan's rows are dealt out to its partitions, and to how many.
pub(super) fn bucketed(plan: &Arc<dyn ExecutionPlan>) -> Option<(Arc<dyn PhysicalExpr>, usize)> {
    match plan.output_partitioning() {
        Partitioning::Hash(by, count) if by.len() == 1 && stays(plan) => Some((Arc::clone(&by[0]), *count)),
        _ => None,
    }
}

/// Whether the rows stay where they are: DataFusion puts its exchanges in last of all, below joins whose sides do not lie alike, and
/// below what groups rows by something else.
fn stays(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<BucketExchangeExec>() {
        return true;
    }
    let (left, right, on) = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        if *join.partition_mode() == PartitionMode::CollectLeft {
            return stays(join.right());
        }
        (join.left(), join.right(), join.on())
    } else if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        (join.left(), join.right(), join.on())
    } else {
        let wanted = plan.input_distribution_requirements();
        let options = ChildSatisfactionOptions::new().with_allow_subset(true);
        let grouped_twice =
            plan.downcast_ref::<AggregateExec>().is_some_and(|groups| groups.group_expr().has_grouping_set());
        return !grouped_twice
            && plan.children().into_iter().enumerate().all(|(place, child)| {
                let satisfied = wanted.child_satisfaction(place, child.as_ref(), options);
                satisfied.is_ok_and(|satisfied| satisfied.is_satisfied()) && stays(child)
            });
    };
    match (bucketed(left), bucketed(right), on) {
        (Some((left_by, left_count)), Some((right_by, right_count)), [(left_key, right_key)]) => {
            left_count == right_count && is(left_key, &left_by) && is(right_key, &right_by)
        }
        _ => false,
    }
}

fn is(key: &Arc<dyn PhysicalExpr>, by: &Arc<dyn PhysicalExpr>) -> bool {
    key.as_ref() == by.as_ref()
}

pub(super) fn sorted(plan: &Arc<dyn ExecutionPlan>, keys: Vec<Arc<dyn PhysicalExpr>>) -> Result<bool> {
    let keys = keys.into_iter().map(|key| PhysicalSortExpr::new(key, ASCENDING));
    match LexOrdering::new(keys) {
        Some(order) => plan.equivalence_properties().ordering_satisfy(order),
        None => Ok(false),
    }
}

/// Refuses a plan in which buckets meet what an exchange has dealt out.
#[derive(Debug)]
pub(super) struct BucketsApart;

/// Who has dealt rows out by a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dealer {
    Exchange,
    /// Or what was dealt out as they are.
    Files,
}

impl PhysicalOptimizerRule for BucketsApart {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        dealer(&plan)?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        "buckets_apart"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn dealer(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Dealer>> {
    // What is one partition is read as a whole, and deals nothing out.
    let parts = plan.children().into_iter().filter(|child| child.output_partitioning().partition_count() > 1);
    let below = parts.map(dealer).collect::<Result<Vec<_>>>()?;
    let mut dealers = below.into_iter().flatten();
    let first = dealers.next();
    if by_partition(plan) && dealers.any(|other| Some(other) != first) {
        return internal_err!("{} would join buckets with rows that were dealt out by another hash", plan.name());
    }
    Ok(match plan.output_partitioning() {
        Partitioning::Hash(..) if plan.is::<BucketExchangeExec>() => Some(Dealer::Files),
        Partitioning::Hash(..) if plan.is::<RepartitionExec>() => Some(Dealer::Exchange),
        Partitioning::Hash(..) => Some(first.unwrap_or(Dealer::Files)),
        _ => None,
    })
}

/// The column by which the rows of a plan lie in buckets, by its name; `None` where they do not lie as a table's files do.
pub fn bucketed_by(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<String>> {
    let Some((by, _)) = bucketed(plan) else { return Ok(None) };
    let from_files = dealer(plan)? == Some(Dealer::Files);
    Ok(by.downcast_ref::<Column>().filter(|_| from_files).map(|by| by.name().to_owned()))
}

/// Whether partition meets partition in it.
fn by_partition(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.downcast_ref::<HashJoinExec>() {
        Some(join) => *join.partition_mode() == PartitionMode::Partitioned,
        None => plan.is::<SortMergeJoinExec>() || plan.is::<InterleaveExec>() || plan.is::<BucketUnionExec>(),
    }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;
    use crate::engine::Joins;
    use crate::engine::bucket_testing::{BUCKETS, fixture, plan, rows};

    /// The join of plain files says what it is to be.
    async fn is_as_in_plain_files(context: &SessionContext, sql: &str) {
        let plain = sql.replace("FROM l", "FROM plain_l").replace("JOIN r", "JOIN plain_r");
        assert_ne!(sql, plain);
        assert_eq!(
            rows(context, &format!("{sql} ORDER BY 1, 2")).await,
            rows(context, &format!("{plain} ORDER BY 1, 2")).await,
            "{sql}"
        );
    }

    #[tokio::test]
    async fn sorted_buckets_are_merged_with_no_shuffle_no_sort_and_no_hash_table() {
        let (hash, merge) = (fixture(2, Joins::Hash).await, fixture(2, Joins::Merge).await);
        let joins = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"];
        for (fixture, join) in [hash, merge].iter().flat_map(|fixture| joins.map(|join| (fixture, join))) {
            let columns = if join.contains("SEMI") || join.contains("ANTI") {
                "l.key, l.value"
            } else {
                "l.key, l.value, r.value AS other"
            };
            let sql = format!("SELECT {columns} FROM l {join} r ON r.key = l.key");
            let plan = plan(&fixture.context, &sql).await;
            assert!(plan.contains("SortMergeJoinExec"), "{plan}");
            for operator in ["RepartitionExec", "SortExec", "HashJoinExec"] {
                assert!(!plan.contains(operator), "{join}: {plan}");
            }
            is_as_in_plain_files(
                &fixture.context,
                &sql.replace(" r ON", " r AS r ON").replace("FROM l ", "FROM l AS l "),
            )
            .await;
        }
    }

    #[tokio::test]
    async fn groups_of_a_bucket_are_made_where_it_is_read() {
        let fixture = fixture(2, Joins::Hash).await;
        let sql = "SELECT key, best(value ORDER BY value DESC) AS best, count(*) AS n FROM r GROUP BY key";
        let plan = plan(&fixture.context, sql).await;
        assert!(plan.contains("mode=SinglePartitioned") && plan.contains("ordering_mode=Sorted"), "{plan}");
        assert!(!plan.contains("RepartitionExec"), "{plan}");
        let plain = sql.replace("FROM r", "FROM plain_r");
        let ordered = |sql: &str| format!("{sql} ORDER BY key");
        assert_eq!(rows(&fixture.context, &ordered(sql)).await, rows(&fixture.context, &ordered(&plain)).await);
    }

    #[tokio::test]
    async fn what_is_not_bucketed_alike_is_joined_by_datafusion() {
        for threads in [1, 2, BUCKETS, BUCKETS + 1] {
            let fixture = fixture(threads, Joins::Hash).await;
            let context = &fixture.context;
            keep_apart(context, &[BUCKETS]);
            context.state_ref().write().config_mut().options_mut().optimizer.hash_join_single_partition_threshold = 0;
            context
                .state_ref()
                .write()
                .config_mut()
                .options_mut()
                .optimizer
                .hash_join_single_partition_threshold_rows = 0;
            for sql in [
                "SELECT l.key, r.value FROM l AS l JOIN plain_r AS r ON r.key = l.key",
                "SELECT l.key, r.value FROM l AS l JOIN r AS r ON r.value = l.value * 10",
                "SELECT l.key, r.value FROM l AS l LEFT JOIN r AS r ON r.key = concat(l.key, '')",
            ] {
                is_as_in_plain_files(context, sql).await;
            }
        }
    }

    #[tokio::test]
    async fn buckets_never_meet_another_hash() {
        // Without keeping them apart there are as many partitions as buckets.
        let fixture = fixture(BUCKETS, Joins::Hash).await;
        let context = &fixture.context;
        context.state_ref().write().config_mut().options_mut().optimizer.hash_join_single_partition_threshold = 0;
        context.state_ref().write().config_mut().options_mut().optimizer.hash_join_single_partition_threshold_rows = 0;
        let joins = ["JOIN", "LEFT JOIN", "FULL JOIN"];
        let sql = |join: &str| format!("SELECT l.key, r.value FROM l {join} plain_r AS r ON r.key = l.key");
        for join in joins {
            let refused = context.sql(&sql(join)).await.unwrap().create_physical_plan().await.unwrap_err();
            assert!(refused.to_string().contains("another hash"), "{refused}");
        }
        keep_apart(context, &[BUCKETS + 1, BUCKETS]);
        assert_eq!(context.state().config().target_partitions(), BUCKETS + 2);
        for join in joins {
            context.sql(&sql(join)).await.unwrap().create_physical_plan().await.unwrap();
        }
    }

    /// A partition that waits for one that has not begun would wait for ever.
    #[tokio::test]
    async fn more_buckets_than_threads_are_written_beside_a_small_table() {
        let fixture = fixture(2, Joins::Hash).await;
        for sql in [
            "SELECT l.key, r.value FROM l JOIN plain_r AS r ON r.value = l.value * 10",
            "SELECT l.key FROM l WHERE l.value IN (SELECT value / 10 FROM plain_r)",
            "SELECT l.key, r.value FROM plain_r AS r LEFT JOIN l ON r.value = l.value * 10",
            "SELECT key FROM l UNION ALL SELECT key FROM plain_r UNION ALL SELECT key FROM r",
            "SELECT key, count(*) AS n FROM (SELECT key FROM l UNION ALL SELECT key FROM plain_r) GROUP BY key",
        ] {
            let frame = fixture.context.sql(sql).await.unwrap();
            let layout = crate::stage::Layout {
                name: "part".to_owned(),
                file_bytes: 1 << 20,
                contract: None,
                keep: crate::stage::Keep::Lasting,
            };
            let (storage, folder) = (fixture.storage.clone(), Path::from("written"));
            let written = crate::stage::write_query(&storage, &folder, &layout, frame);
            let (files, _) =
                tokio::time::timeout(std::time::Duration::from_secs(20), written).await.expect(sql).unwrap();
            assert!(files.iter().map(crate::stage::StagedFile::rows).sum::<u64>() > 0, "{sql}");
        }
    }
}
