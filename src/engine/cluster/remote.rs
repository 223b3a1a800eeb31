//! The caller's side: models are planned here, carried out on the cluster, and their rows come back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::execution_plans::execute_physical_plan;
use ballista_core::extension::{SessionConfigExt, SessionStateExt};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as EngineResult, internal_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::OptimizerRule;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr, PlanProperties,
    ReplaceChildrenOptions, displayable,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionContext;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::{StreamExt, TryStreamExt};

use super::MESSAGE_BYTES;
use super::codec::Codec;
use super::failure::{CLUSTER, is_lost, told_to_caller};
use super::identity::Identity;
use super::picked::{PickedRows, scan_of};
use super::token::Token;
use crate::engine::merge_joins::MERGE_JOINS;
use crate::engine::model::engine_error;
use crate::engine::place::ClusterAddress;
use crate::engine::{Engine, Joins, Remote};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

type Rule = Arc<dyn OptimizerRule + Send + Sync>;
type PhysicalRule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// A scheduler that takes longer to answer a call is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// A cluster as its callers see it.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Called>);

#[derive(Debug)]
struct Called {
    address: ClusterAddress,
    identity: Identity,
    token: Token,
    /// The caller's threads, which write what comes back.
    threads: usize,
}

impl Cluster {
    /// A cluster that reads these places, as the engine's own process does.
    pub fn new(address: ClusterAddress, engine: &Engine, storages: &[&Storage], token: Token) -> Self {
        let state = engine.session(Joins::Merge).state();
        let identity = Identity::new(&state, engine.options().key.as_deref(), storages);
        Cluster(Arc::new(Called { address, identity, token, threads: engine.options().threads.max(1) }))
    }

    /// Has an executor take a query that reads nothing, so that what is wrong with the cluster is known before any work is done.
    ///
    /// # Errors
    /// `Publish`: no scheduler answers, or it has no executor. `Project`: an executor refuses the caller.
    pub async fn prove(&self, engine: &Engine) -> Result<()> {
        let session = self.session(&engine.session(Joins::Merge))?;
        let probe = async { session.sql("SELECT 1").await?.collect().await };
        let address = &self.0.address;
        match tokio::time::timeout(address.wait, probe).await {
            Ok(answer) => answer.map(|_| ()).map_err(engine_error),
            Err(_) => Err(Error::new(
                ErrorKind::Publish,
                format!("no executor of the cluster took a query within {} s", address.wait.as_secs()),
            )
            .with(CLUSTER, address)
            .hint("start one: gatefold cluster executor --scheduler <host:port>; or leave --engine out")),
        }
    }
}

impl Remote for Cluster {
    fn session(&self, local: &SessionContext) -> Result<SessionContext> {
        let called = &self.0;
        let config = local
            .copied_config()
            .upgrade_for_ballista()
            .with_target_partitions(called.address.partitions)
            .with_option_extension(called.identity.called())
            .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES as usize)
            .with_ballista_override_create_grpc_client_endpoint(called.token.shown())
            .with_ballista_physical_extension_codec(Arc::new(Codec::passing_on()))
            .with_ballista_query_planner(Arc::new(Planner(self.clone())));
        let here = local.state();
        let rules = subqueries_first(here.optimizers());
        let state = SessionStateBuilder::new_from_existing(here.clone())
            .with_config(config)
            .with_optimizer_rules(rules)
            .with_physical_optimizer_rules(unheld(here.physical_optimizers()))
            .build();
        let state = state.upgrade_for_ballista(called.address.url()).map_err(engine_error)?;
        let session = SessionContext::new_with_state(state);
        // Ballista puts the functions that it knows in the place of all that were there.
        here.scalar_functions().values().for_each(|function| session.register_udf(function.as_ref().clone()));
        here.aggregate_functions().values().for_each(|function| session.register_udaf(function.as_ref().clone()));
        here.window_functions().values().for_each(|function| session.register_udwf(function.as_ref().clone()));
        Ok(session)
    }

    fn may_try_again(&self, error: &Error) -> bool {
        is_lost(error)
    }
}

/// The rules, with the one that makes joins of subqueries before those that simplify; only on a cluster are they joins.
///
/// `coalesce(f((SELECT …)), 0)` is simplified to an expression that names its subquery twice. That would be two joins, of which
/// nobody knows that they give the same, so that a column without nulls might hold one after all. Where the column is part of a
/// union, which keeps the type that it had, DataFusion refuses such a plan.
fn subqueries_first(rules: &[Rule]) -> Vec<Rule> {
    let mut rules = rules.to_vec();
    let place = |name| rules.iter().position(|rule| rule.name() == name);
    if let (Some(simplify), Some(join)) = (place("simplify_expressions"), place("scalar_subquery_to_join")) {
        rules[simplify..=join].rotate_right(1);
    }
    rules
}

/// The rules without the one that holds sides of few rows: a scheduler exchanges both sides of such a join after all where it
/// knows less of them, and what stands above would still be planned for rows that stay where they are.
fn unheld(rules: &[PhysicalRule]) -> Vec<PhysicalRule> {
    rules.iter().filter(|rule| rule.name() != MERGE_JOINS).cloned().collect()
}

/// Plans as on one machine, and puts the cluster in the place of the whole plan.
#[derive(Debug)]
struct Planner(Cluster);

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(plan, session).await?;
        let plan = sendable(plan, &self.0.0.identity)?;
        let ordered = plan.output_ordering().is_some();
        let remote: Arc<dyn ExecutionPlan> = Arc::new(RemoteExec::new(plan, self.0.clone()));
        let threads = self.0.0.threads;
        if ordered || threads < 2 {
            return Ok(remote);
        }
        // One stream comes back; several threads encode what is in it.
        Ok(Arc::new(RepartitionExec::try_new(remote, Partitioning::RoundRobinBatch(threads))?))
    }
}

/// The plan with every scan in a form that comes through whole. Errors: a scan of what only this machine can read.
fn sendable(plan: Arc<dyn ExecutionPlan>, identity: &Identity) -> EngineResult<Arc<dyn ExecutionPlan>> {
    let sendable = plan.transform_up(|node| {
        let Some(scan) = scan_of(node.as_ref()) else { return Ok(Transformed::no(node)) };
        if !identity.reads(scan.object_store_url.as_str()) {
            return Err(DataFusionError::External(Box::new(unshared())));
        }
        if scan.output_partitioning.is_some() {
            return internal_err!("buckets cannot be told to a cluster, which deals rows out by another hash");
        }
        if !scan.file_source().table_schema().virtual_columns().is_empty() {
            return internal_err!("the place of a row in its file cannot be asked for on a cluster");
        }
        Ok(PickedRows::mark(scan).map_or_else(|| Transformed::no(Arc::clone(&node)), Transformed::yes))
    });
    sendable.data()
}

fn unshared() -> Error {
    Error::project("an input lies on this machine alone, where executors cannot read it")
        .hint("a snapshot that is not Parquet is converted into the run's work folder: deliver it as Parquet, or leave --engine out")
}

/// A plan that the cluster carries out; its rows come as one stream.
#[derive(Debug)]
struct RemoteExec {
    plan: Arc<dyn ExecutionPlan>,
    cluster: Cluster,
    properties: Arc<PlanProperties>,
}

impl RemoteExec {
    fn new(plan: Arc<dyn ExecutionPlan>, cluster: Cluster) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        RemoteExec { plan, cluster, properties: Arc::new(properties) }
    }
}

impl DisplayAs for RemoteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let plan = displayable(self.plan.as_ref());
        write!(f, "RemoteExec: {}\n{}", self.cluster.0.address, plan.indent(false))
    }
}

impl ExecutionPlan for RemoteExec {
    fn name(&self) -> &str {
        "RemoteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        let rows = futures::stream::once(asked(Arc::clone(&self.plan), self.cluster.clone(), context)).try_flatten();
        let cluster = self.cluster.clone();
        let rows = rows.map(move |batch| {
            batch.map_err(|error| DataFusionError::External(Box::new(told_to_caller(error, &cluster.0.address))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), rows)))
    }
}

async fn asked(
    plan: Arc<dyn ExecutionPlan>,
    cluster: Cluster,
    context: Arc<TaskContext>,
) -> EngineResult<SendableRecordBatchStream> {
    let address = &cluster.0.address;
    reach(address).await.map_err(|error| DataFusionError::External(Box::new(error)))?;
    let config = context.session_config();
    execute_physical_plan::<PhysicalPlanNode>(
        address.url(),
        &config.ballista_config(),
        plan,
        &Codec::passing_on(),
        context.session_id(),
        config.clone(),
    )
    .await
}

/// Whether anything answers at the address; the words of the client would not say who does not.
async fn reach(address: &ClusterAddress) -> Result<()> {
    let dialled = tokio::net::TcpStream::connect((address.host.as_str(), address.port));
    let failed = |cause: std::io::Error| {
        Error::new(ErrorKind::Publish, "the scheduler of the cluster cannot be reached")
            .with(CLUSTER, address)
            .source(cause)
            .hint("see that gatefold cluster scheduler runs there, or leave --engine out to run on this machine")
    };
    match tokio::time::timeout(address.wait.min(CONNECT), dialled).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(cause)) => Err(failed(cause)),
        Err(_) => Err(failed(std::io::ErrorKind::TimedOut.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use arrow::datatypes::{DataType, Field, Schema};
    use object_store::ObjectMeta;

    use super::*;
    use crate::engine::{DataFile, EngineOptions, EnginePlace, ParquetTable};

    /// Of a cluster that nobody has started, and that reads the storage.
    fn session(storage: &Storage, spill_folder: PathBuf) -> SessionContext {
        let engine =
            Engine::new(EngineOptions { memory_bytes: 64 << 20, threads: 2, spill_folder, key: None }).unwrap();
        let Ok(EnginePlace::Cluster(address)) = "ballista://nobody".parse() else { panic!("an address") };
        let cluster = Cluster::new(address, &engine, &[storage], Token::default());
        cluster.session(&engine.session(Joins::Merge)).unwrap()
    }

    #[tokio::test]
    async fn a_subquery_that_is_simplified_is_one_join() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(&Storage::open_local(folder.path()).unwrap(), folder.path().to_owned());
        let half = "SELECT coalesce(value + (SELECT max(value) FROM range(9)), 0) AS known FROM range(3)";
        let frame = session.sql(&format!("SELECT known, count(*) FROM ({half} UNION ALL {half}) GROUP BY known")).await;
        let plan = frame.unwrap().create_physical_plan().await.unwrap();
        let plan = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(plan.matches("JoinExec").count(), 2, "{plan}");
    }

    #[test]
    fn no_side_is_held_for_its_few_rows() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(&Storage::open_local(folder.path()).unwrap(), folder.path().to_owned());
        assert!(session.state().physical_optimizers().iter().all(|rule| rule.name() != MERGE_JOINS));
    }

    #[tokio::test]
    async fn buckets_are_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open_local(folder.path()).unwrap();
        let session = session(&storage, folder.path().to_owned());
        let schema = Schema::new(vec![Field::new("key", DataType::Utf8, false)]);
        let file = |name: &str| {
            let (location, last_modified) = (name.into(), chrono::DateTime::UNIX_EPOCH);
            let meta = ObjectMeta { location, last_modified, size: 1, e_tag: None, version: None };
            DataFile { meta, rows: 1, selection: None }
        };
        let table = || {
            let files = vec![file("0.parquet"), file("1.parquet")];
            ParquetTable::new(storage.url().clone(), files, &schema).with_layout("key", &["key"])
        };
        session.register_table("told", Arc::new(table())).unwrap();
        session.register_table("untold", Arc::new(table().without_layout())).unwrap();
        let planned = async |name: &str| {
            let frame = session.sql(&format!("SELECT key, count(*) FROM {name} GROUP BY key")).await.unwrap();
            frame.create_physical_plan().await.map(|plan| displayable(plan.as_ref()).indent(false).to_string())
        };
        assert!(planned("told").await.unwrap_err().to_string().contains("buckets cannot be told to a cluster"));
        let plan = planned("untold").await.unwrap();
        assert!(plan.contains("RemoteExec") && plan.contains("RepartitionExec: partitioning=Hash([key"), "{plan}");
    }
}
