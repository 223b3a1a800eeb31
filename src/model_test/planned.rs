//! A model planned once for all tests of a day.
//!
//! Planning takes far longer than running a few rows, so the plan's tables are empty shells: which rows they have is asked
//! when the plan is executed, of the execution's own context.
//!
//! A plan with a scalar subquery cannot be shared: its expressions hold the one place into which every execution writes the
//! subquery's value, and tests run side by side. Of such a model only the optimized query is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::ModelTest;
use super::given::GivenTable;
use crate::engine::{Engine, Joins, Model, engine_error};
use crate::error::Result;
use crate::job::Job;

#[derive(Debug)]
pub(super) struct PlannedModel {
    state: SessionState,
    query: LogicalPlan,
    /// `None` when every execution needs its own.
    shared: Option<Arc<dyn ExecutionPlan>>,
}

impl PlannedModel {
    /// Plans the job's model for the day of `test`. Errors (exit 2): the model does not plan.
    pub async fn new(engine: &Engine, job: &Job, test: &ModelTest) -> Result<Self> {
        let context = engine.session(Joins::Hash);
        // A filter that one execution narrows would hold for the next.
        context.state_ref().write().config_mut().options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        for table in &test.given {
            let shell = Arc::new(Shell { alias: table.alias.clone(), schema: table.rows.schema() });
            let shells = StreamingTable::try_new(table.rows.schema(), vec![shell]).map_err(engine_error)?;
            context.register_table(table.alias.as_str(), Arc::new(shells)).map_err(engine_error)?;
        }
        let frame = Model::of(job).plan_table(&context, job, test.date).await?;
        let (state, query) = frame.into_parts();
        let query = state.optimize(&query).map_err(engine_error)?;
        let mut model = PlannedModel { state, query, shared: None };
        let plan = model.plan().await.map_err(engine_error)?;
        let has_subquery = plan.exists(|node| Ok(node.is::<ScalarSubqueryExec>())).map_err(engine_error)?;
        model.shared = (!has_subquery).then_some(plan);
        Ok(model)
    }

    async fn plan(&self) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.state.query_planner().create_physical_plan(&self.query, &self.state).await
    }

    /// What the model makes of the rows.
    pub async fn run(&self, given: &[GivenTable]) -> Result<Vec<RecordBatch>> {
        let rows = given.iter().map(|table| (table.alias.clone(), table.rows.clone()));
        let config = self.state.config().clone().with_extension(Arc::new(Rows(rows.collect())));
        let context =
            TaskContext::default().with_session_config(config).with_runtime(Arc::clone(self.state.runtime_env()));
        let plan = match &self.shared {
            // Joins keep what they have hashed.
            Some(plan) => reset_plan_states(Arc::clone(plan)),
            None => self.plan().await,
        };
        collect(plan.map_err(engine_error)?, Arc::new(context)).await.map_err(engine_error)
    }
}

/// The rows of one execution, by table.
struct Rows(BTreeMap<String, RecordBatch>);

#[derive(Debug)]
struct Shell {
    alias: String,
    schema: SchemaRef,
}

impl PartitionStream for Shell {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = context.session_config().get_extension::<Rows>().and_then(|rows| rows.0.get(&self.alias).cloned());
        let rows = rows.ok_or_else(|| DataFusionError::Internal(format!("nothing is given for '{}'", self.alias)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter([rows])))
    }
}
