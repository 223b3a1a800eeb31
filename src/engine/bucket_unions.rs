//! Unions of which a part lies in buckets, and whose rows are then grouped by the bucket column.
//!
//! To DataFusion a union of several tables lies nowhere, so that it deals all rows out anew, and whatever they are joined with too.
//! Here the other parts are dealt out to the buckets of the first, and where its buckets are sorted the rows of each are merged.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::{Boundedness, ChildrenPropertiesMode, EmissionType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::union::{InterleaveExec, UnionExec, can_interleave};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    ReplaceChildrenOptions, replace_children_if_necessary,
};

use super::bucket_exchange::BucketExchangeExec;
use super::bucket_joins::{bucketed, sorted};
use super::parquet_table::ASCENDING;

#[derive(Debug)]
pub(super) struct BucketUnions;

impl PhysicalOptimizerRule for BucketUnions {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // Of fewer buckets than there are threads DataFusion deals the rows out anew, so that all find work.
        let least = config.execution.target_partitions.max(2);
        plan.transform_up(|plan| {
            let Some(groups) = plan.downcast_ref::<AggregateExec>() else { return Ok(Transformed::no(plan)) };
            match over_buckets(groups, least)? {
                Some(input) => Ok(Transformed::yes(replace_children_if_necessary(plan, vec![input])?)),
                None => Ok(Transformed::no(plan)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "bucket_unions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What is grouped, in at least so many buckets by one of the columns by which it is grouped.
fn over_buckets(groups: &AggregateExec, least: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    for (by, _) in groups.group_expr().expr() {
        let Some(by) = by.downcast_ref::<Column>() else { continue };
        if let Some(input) = in_buckets(groups.input(), by.index(), least)? {
            return Ok(Some(input));
        }
    }
    Ok(None)
}

/// The plan with the union that it is made of in buckets by its column at this place.
fn in_buckets(plan: &Arc<dyn ExecutionPlan>, column: usize, least: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(union) = plan.downcast_ref::<UnionExec>() {
        return by_bucket(union, column, least);
    }
    let below = if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let column = projection.expr()[column].expr.downcast_ref::<Column>();
        column.map(|column| (projection.input(), column.index()))
    } else {
        let filter = plan.downcast_ref::<FilterExec>();
        filter.map(|filter| (filter.input(), filter.projection().as_ref().map_or(column, |kept| kept[column])))
    };
    let Some((input, column)) = below else { return Ok(None) };
    let input = in_buckets(input, column, least)?;
    input.map(|input| replace_children_if_necessary(Arc::clone(plan), vec![input])).transpose()
}

fn by_bucket(union: &UnionExec, column: usize, least: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if !matches!(union.schema().field(column).data_type(), DataType::Utf8 | DataType::Utf8View) {
        return Ok(None);
    }
    let of = |input: &Arc<dyn ExecutionPlan>| Arc::new(Column::new(input.schema().field(column).name(), column));
    let buckets = |input: &Arc<dyn ExecutionPlan>| {
        let (by, count) = bucketed(input)?;
        (by.downcast_ref::<Column>()?.index() == column).then_some(count)
    };
    let mut counts = union.inputs().iter().filter_map(buckets);
    let Some(count) = counts.next() else { return Ok(None) };
    if count < least || counts.any(|other| other != count) {
        return Ok(None);
    }
    let mut in_order = true;
    let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    for input in union.inputs() {
        if buckets(input).is_some() {
            in_order &= sorted(input, vec![of(input)])?;
            inputs.push(Arc::clone(input));
        } else {
            inputs.push(Arc::new(BucketExchangeExec::try_new(Arc::clone(input), of(input), count)?));
        }
    }
    Ok(match in_order {
        true => Some(Arc::new(BucketUnionExec::try_new(inputs, column)?)),
        false if can_interleave(inputs.iter()) => Some(Arc::new(InterleaveExec::try_new(inputs)?)),
        false => None,
    })
}

/// The rows of several inputs that are bucketed alike, bucket by bucket, in the order of the bucket column.
#[derive(Debug)]
pub(super) struct BucketUnionExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    column: usize,
    order: LexOrdering,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl BucketUnionExec {
    fn try_new(inputs: Vec<Arc<dyn ExecutionPlan>>, column: usize) -> Result<Self> {
        let buckets = inputs.iter().map(|input| input.output_partitioning().partition_count());
        let Some(count) = buckets.reduce(|one, other| if one == other { one } else { 0 }).filter(|count| *count > 0)
        else {
            return internal_err!("inputs of a union of buckets have one number of them");
        };
        // It takes nulls where any of the inputs has some.
        let schema = UnionExec::try_new(inputs.clone())?.schema();
        let by: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(column).name(), column));
        let Some(order) = LexOrdering::new([PhysicalSortExpr::new(Arc::clone(&by), ASCENDING)]) else {
            return internal_err!("an order of one column is one");
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, [order.clone()]),
            Partitioning::Hash(vec![by], count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        Ok(BucketUnionExec { inputs, column, order, metrics: ExecutionPlanMetricsSet::new(), properties })
    }
}

impl DisplayAs for BucketUnionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "BucketUnionExec: [{}]", self.order)
    }
}

impl ExecutionPlan for BucketUnionExec {
    fn name(&self) -> &str {
        "BucketUnionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let of = |input: &Arc<dyn ExecutionPlan>| {
            let by = Column::new(input.schema().field(self.column).name(), self.column);
            LexOrdering::new([PhysicalSortExpr::new(Arc::new(by), ASCENDING)]).map(OrderingRequirements::from)
        };
        self.inputs.iter().map(of).collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Not beyond the bucket column.
        vec![false; self.inputs.len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(BucketUnionExec::try_new(children, self.column)?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let streams = self.inputs.iter().map(|input| input.execute(partition, Arc::clone(&context)));
        let consumer = MemoryConsumer::new(format!("BucketUnionExec[{partition}]"));
        StreamingMergeBuilder::new()
            .with_streams(streams.collect::<Result<_>>()?)
            .with_schema(self.schema())
            .with_expressions(&self.order)
            .with_metrics(BaselineMetrics::new(&self.metrics, partition))
            .with_batch_size(context.session_config().batch_size())
            .with_reservation(consumer.register(context.memory_pool()))
            .build()
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::engine::bucket_testing::{BUCKETS, Fixture, Row, fixture, fixture_of, plan, rows};
    use crate::engine::{Joins, keep_apart};

    const GROUPED: &str = "SELECT key, sum(value) AS value, count(*) AS n \
                           FROM (SELECT key, value FROM l UNION ALL SELECT key, value FROM plain_r) GROUP BY key";

    /// Tables in plain files say what the rows are to be.
    async fn is_as_in_plain_files(fixture: &Fixture, sql: &str) {
        let plain =
            sql.replace(" heaped_", " plain_").replace("FROM l", "FROM plain_l").replace("FROM r", "FROM plain_r");
        let [sql, plain] = [sql, &plain].map(|sql| format!("{sql} ORDER BY key"));
        assert_ne!(sql, plain);
        assert_eq!(rows(&fixture.context, &sql).await, rows(&fixture.context, &plain).await, "{sql}");
    }

    fn count(plan: &str, operator: &str) -> usize {
        plan.lines().filter(|line| line.trim_start().starts_with(operator)).count()
    }

    #[tokio::test]
    async fn what_lies_in_no_bucket_is_dealt_out_to_those_of_the_others() {
        for joins in [Joins::Hash, Joins::Merge] {
            let fixture = fixture(2, joins).await;
            let plan = plan(&fixture.context, GROUPED).await;
            assert!(plan.contains("mode=SinglePartitioned") && plan.contains("ordering_mode=Sorted"), "{plan}");
            let union = plan.split_once("BucketUnionExec: [key@0 ASC NULLS LAST]\n").unwrap().1;
            assert_eq!(count(union, "BucketExchangeExec: by=key@0, buckets=4"), 1, "{plan}");
            // The rows that were dealt out are sorted, and no others.
            assert_eq!([count(&plan, "SortExec"), count(&plan, "RepartitionExec")], [1, 0], "{plan}");
            is_as_in_plain_files(&fixture, GROUPED).await;
        }
    }

    #[tokio::test]
    async fn parts_that_all_lie_alike_are_merged_as_they_are() {
        let fixture = fixture(2, Joins::Hash).await;
        let sql = GROUPED.replace("plain_r", "r");
        let plan = plan(&fixture.context, &sql).await;
        assert_eq!(count(&plan, "BucketUnionExec"), 1, "{plan}");
        assert!(!plan.contains("SortExec") && !plan.contains("Exchange") && !plan.contains("Repartition"), "{plan}");
        is_as_in_plain_files(&fixture, &sql).await;
    }

    #[tokio::test]
    async fn buckets_in_no_order_are_not_sorted() {
        let fixture = fixture(2, Joins::Hash).await;
        let sql = GROUPED.replace("FROM l", "FROM heaped_l");
        let plan = plan(&fixture.context, &sql).await;
        assert_eq!([count(&plan, "InterleaveExec"), count(&plan, "BucketExchangeExec")], [1, 1], "{plan}");
        assert!(!plan.contains("SortExec"), "{plan}");
        is_as_in_plain_files(&fixture, &sql).await;
    }

    #[tokio::test]
    async fn what_is_grouped_by_more_stays_where_it_is_however_few_buckets_there_are() {
        for buckets in 1..=BUCKETS {
            let fixture = fixture_of(buckets, &[("a", 1), ("b", 2)], &[("a", 1), ("c", 3)], 2, Joins::Hash).await;
            keep_apart(&fixture.context, &[buckets]);
            let inner = "SELECT key, value, count(*) AS n FROM r GROUP BY key, value";
            let sql = format!(
                "SELECT key, sum(value) AS value, sum(n) AS n \
                 FROM (SELECT key, value, 1 AS n FROM plain_l UNION ALL {inner}) GROUP BY key"
            );
            let plan = plan(&fixture.context, &sql).await;
            assert_eq!(plan.contains("BucketUnionExec"), buckets > 2, "{buckets}: {plan}");
            is_as_in_plain_files(&fixture, &sql).await;
        }
    }

    /// Parts that DataFusion deals out anew, whatever they were read from, are dealt out to buckets like any other.
    #[tokio::test]
    async fn parts_that_do_not_stay_in_their_buckets_are_dealt_out_again() {
        for threads in [1, 2] {
            let fixture = fixture(threads, Joins::Hash).await;
            for part in [
                "SELECT key, row_number() OVER (PARTITION BY value ORDER BY key) AS value FROM r",
                "SELECT key, row_number() OVER (ORDER BY value, key) AS value FROM r",
                "SELECT key, sum(value) OVER (PARTITION BY key) AS value FROM r",
                "SELECT key, count(*) AS value FROM r GROUP BY ROLLUP (key, value)",
                "SELECT key, count(*) AS value FROM r GROUP BY key, value",
                "SELECT key, value FROM r LIMIT 100",
            ] {
                is_as_in_plain_files(&fixture, &GROUPED.replace("SELECT key, value FROM plain_r", part)).await;
            }
        }
    }

    #[tokio::test]
    async fn orders_within_groups_and_of_groups_hold() {
        let fixture = fixture(2, Joins::Hash).await;
        let united = "(SELECT key, value FROM l UNION ALL SELECT key, value FROM plain_r)";
        let sql = format!(
            "SELECT key, array_agg(value ORDER BY value DESC) AS all, max(value) AS n FROM {united} GROUP BY key"
        );
        assert!(plan(&fixture.context, &sql).await.contains("BucketUnionExec"));
        is_as_in_plain_files(&fixture, &sql).await;
        // As the whole of a query, and nothing above it.
        for order in ["key LIMIT 2", "key DESC LIMIT 2", "key LIMIT 2 OFFSET 1"] {
            let sql = format!("SELECT key, sum(value) FROM {united} GROUP BY key ORDER BY {order}");
            let plain = sql.replace("FROM l", "FROM plain_l");
            assert_eq!(rows(&fixture.context, &sql).await, rows(&fixture.context, &plain).await, "{sql}");
        }
    }

    #[tokio::test]
    async fn unions_that_are_grouped_otherwise_are_left_to_datafusion() {
        let fixture = fixture(2, Joins::Hash).await;
        for sql in [
            "SELECT value, count(*) FROM (SELECT key, value FROM l UNION ALL SELECT key, value FROM plain_r) GROUP BY value",
            "SELECT k, count(*) FROM (SELECT concat(key, 'x') AS k FROM l UNION ALL SELECT key FROM plain_r) GROUP BY k",
            "SELECT key, value FROM l UNION ALL SELECT key, value FROM plain_r",
        ] {
            let plan = plan(&fixture.context, sql).await;
            assert!(!plan.contains("Bucket"), "{plan}");
        }
    }

    /// A join whose sides DataFusion deals out anew does not lie in buckets, though one side does.
    #[tokio::test]
    async fn a_join_that_is_exchanged_is_not_taken_for_buckets() {
        let fixture = fixture(2, Joins::Hash).await;
        let context = &fixture.context;
        for limit in ["threshold", "threshold_rows"] {
            let set = format!("SET datafusion.optimizer.hash_join_single_partition_{limit} = 0");
            context.sql(&set).await.unwrap().collect().await.unwrap();
        }
        let joined = "SELECT p.key, p.value FROM l AS p JOIN plain_r AS q ON q.key = p.key";
        let sql = GROUPED.replace("SELECT key, value FROM l", joined);
        let plan = plan(context, &sql).await;
        assert!(plan.contains("HashJoinExec: mode=Partitioned") && !plan.contains("Bucket"), "{plan}");
        is_as_in_plain_files(&fixture, &sql).await;
    }

    fn any_rows() -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec((prop::sample::select(vec!["", "a", "b", "c", "d", "e", "f", "ö"]), -3..3_i64), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]
        #[test]
        fn groups_are_those_of_plain_files(left in any_rows(), right in any_rows(), buckets in 1..9_usize, merge: bool) {
            let joins = if merge { Joins::Merge } else { Joins::Hash };
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let fixture = fixture_of(buckets, &left, &right, 2, joins).await;
                keep_apart(&fixture.context, &[buckets]);
                // A key without a value has a bucket as well.
                let nulls = GROUPED.replace("SELECT key, value FROM plain_r", "SELECT nullif(key, 'a') AS key, value FROM plain_r");
                for sql in [GROUPED.to_owned(), nulls, GROUPED.replace("FROM l", "FROM heaped_l")] {
                    is_as_in_plain_files(&fixture, &sql).await;
                }
            });
        }
    }
}
