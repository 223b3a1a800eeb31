//! Deals rows out to buckets, where the rows that they are to meet lie in files that are buckets.

use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, ScalarValue, SplitPoint, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr, RangePartitioning, ScalarFunctionExpr,
};
use datafusion::physical_plan::execution_plan::ChildrenPropertiesMode;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};

use super::bucket_of::bucket_of;

/// As many partitions as there are buckets, of which each holds the rows of its bucket. DataFusion's own exchange carries it
/// out, by ranges of the number of the bucket; what nobody has asked for yet spills where memory is short.
#[derive(Debug)]
pub struct BucketExchangeExec {
    input: Arc<dyn ExecutionPlan>,
    by: Arc<dyn PhysicalExpr>,
    /// No child of the plan: rules of DataFusion take exchanges away that nobody above has asked for.
    exchange: RepartitionExec,
    properties: Arc<PlanProperties>,
}

impl BucketExchangeExec {
    /// By a column of text.
    pub fn try_new(input: Arc<dyn ExecutionPlan>, by: Arc<dyn PhysicalExpr>, buckets: usize) -> Result<Self> {
        let Ok(count) = u32::try_from(buckets) else { return internal_err!("{buckets} buckets are too many") };
        let schema = input.schema();
        let bucket = Arc::new(bucket_of(count, by.data_type(&schema)?));
        let arguments = vec![Arc::clone(&by)];
        let bucket = ScalarFunctionExpr::try_new(bucket, arguments, &schema, Arc::new(ConfigOptions::default()))?;
        let Some(order) = LexOrdering::new([PhysicalSortExpr::new(Arc::new(bucket), SortOptions::default())]) else {
            return internal_err!("an order of one expression is one");
        };
        let splits = (1..count).map(|first| SplitPoint::new(vec![ScalarValue::UInt32(Some(first))]));
        let ranges = RangePartitioning::try_new(order, splits.collect())?;
        let exchange = RepartitionExec::try_new(Arc::clone(&input), Partitioning::Range(ranges))?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::Hash(vec![Arc::clone(&by)], buckets),
            exchange.properties().emission_type,
            exchange.properties().boundedness,
        );
        Ok(BucketExchangeExec { input, by, exchange, properties: Arc::new(properties) })
    }

    fn buckets(&self) -> usize {
        self.properties.partitioning.partition_count()
    }
}

impl DisplayAs for BucketExchangeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "BucketExchangeExec: by={}, buckets={}", self.by, self.buckets())
    }
}

impl ExecutionPlan for BucketExchangeExec {
    fn name(&self) -> &str {
        "BucketExchangeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.by)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("an exchange has one input");
        };
        Ok(Arc::new(BucketExchangeExec::try_new(input, Arc::clone(&self.by), self.buckets())?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.exchange.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.exchange.metrics()
    }
}
