//! An executor: reads, joins, aggregates, and hands its rows to other executors and to the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport};
use ballista_core::utils::create_grpc_server;
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use datafusion::common::exec_err;
use datafusion::error::Result as EngineResult;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStore;
use tonic::service::interceptor::InterceptedService;

use super::MESSAGE_BYTES;
use super::codec::Codec;
use super::failure::{sent, told_by_executor};
use super::identity::{Caller, Identity};
use super::token::Token;
use crate::engine::functions;
use crate::error::{Error, ErrorKind, Result};
use crate::pseudonym::PseudonymKey;
use crate::storage::Storage;

#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// Where callers and other executors fetch rows.
    pub listen: SocketAddr,
    /// The name under which they reach it.
    pub host: String,
    pub scheduler: (String, u16),
    pub threads: usize,
    /// What joins, sorts and aggregates of all threads may hold together, in bytes.
    pub memory_bytes: u64,
    /// Where rows on their way from stage to stage lie, and what spills, in folders of their own.
    pub work: PathBuf,
    pub token: Token,
    pub key: Option<Arc<PseudonymKey>>,
    /// What it can read.
    pub storages: Vec<Storage>,
}

impl ExecutorOptions {
    /// What it answers for.
    pub fn identity(&self) -> Identity {
        let storages: Vec<&Storage> = self.storages.iter().collect();
        Identity::new(&self.session().state(), self.key.as_deref(), &storages)
    }

    fn session(&self) -> SessionContext {
        let context = SessionContext::new();
        functions::register(&context, self.key.clone());
        context
    }
}

/// Serves until the process is asked to end, and finishes the tasks at hand then.
///
/// # Errors
/// `Publish`: the scheduler cannot be reached, or is gone.
pub async fn run_executor(options: ExecutorOptions, identity: Identity) -> Result<()> {
    let (host, port) = options.scheduler.clone();
    for folder in ["shuffled", "spilled"] {
        let folder = options.work.join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| {
            Error::project("the work folder cannot be used").with("folder", folder.display()).source(error)
        })?;
    }
    start_executor_process(Arc::new(configured(options, identity))).await.map_err(|error| {
        Error::new(ErrorKind::Publish, "the executor stopped")
            .with("scheduler", format!("{host}:{port}"))
            .source(error)
            .hint("see that the scheduler runs there, then start the executor again")
    })
}

fn configured(options: ExecutorOptions, identity: Identity) -> ExecutorProcessConfig {
    let functions = BallistaFunctionRegistry::from(&options.session().state());
    let (config_token, flight_token) = (options.token.clone(), options.token.clone());
    let (shuffled, spilled) = (options.work.join("shuffled"), options.work.join("spilled"));
    let storages = options.storages.clone();
    ExecutorProcessConfig {
        bind_host: options.listen.ip().to_string(),
        external_host: Some(options.host),
        port: options.listen.port(),
        scheduler_host: options.scheduler.0,
        scheduler_port: options.scheduler.1,
        scheduler_connect_timeout_seconds: SCHEDULER_PATIENCE,
        vcores: options.threads,
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(shuffled.to_string_lossy().into_owned()),
        memory_pool_size: Some(options.memory_bytes),
        // What a dead run has left is swept; the scheduler has what a live one is done with removed at once.
        job_data_ttl_seconds: LEFTOVERS_TTL.as_secs(),
        job_data_clean_up_interval_seconds: LEFTOVERS_TTL.as_secs() / 6,
        grpc_max_decoding_message_size: MESSAGE_BYTES,
        grpc_max_encoding_message_size: MESSAGE_BYTES,
        override_function_registry: Some(Arc::new(functions)),
        override_config_producer: Some(Arc::new(move || {
            SessionConfig::new_with_ballista()
                .with_option_extension(Caller::default())
                .with_ballista_override_create_grpc_client_endpoint(config_token.shown())
        })),
        override_runtime_producer: Some(Arc::new(move |config| runtime(config, &identity, &storages, spilled.clone()))),
        override_physical_codec: Some(Arc::new(Codec::running())),
        override_execution_engine: Some(Arc::new(Telling(DefaultExecutionEngine::new()))),
        override_arrow_flight_service: Some(Arc::new(move |work, address, mut shutdown, config| {
            let service = FlightServiceServer::new(BallistaFlightService::new(work))
                .max_decoding_message_size(MESSAGE_BYTES as usize)
                .max_encoding_message_size(MESSAGE_BYTES as usize);
            let service = InterceptedService::new(service, flight_token.asked_for());
            let server = create_grpc_server(&config).add_service(service);
            tokio::spawn(async move {
                server.serve_with_shutdown(address, shutdown.recv()).await.map_err(BallistaError::TonicError)
            })
        })),
        override_create_grpc_client_endpoint: Some(options.token.shown()),
        ..ExecutorProcessConfig::default()
    }
}

/// How long an executor that starts waits for the scheduler, in seconds.
const SCHEDULER_PATIENCE: u16 = 60;
const LEFTOVERS_TTL: Duration = Duration::from_secs(6 * 3_600);

/// What the tasks of a caller share. This is where a caller is let in: no task of a session runs before it.
fn runtime(
    config: &SessionConfig,
    identity: &Identity,
    storages: &[Storage],
    spilled: PathBuf,
) -> EngineResult<Arc<RuntimeEnv>> {
    identity.admit(config).map_err(|refusal| sent(&refusal))?;
    let place = |storage: &Storage| storage.url().as_str().trim_end_matches('/').to_owned();
    let stores = storages.iter().map(|storage| (place(storage), Arc::clone(storage.store())));
    let places = Arc::new(Places(stores.collect()));
    RuntimeEnvBuilder::new().with_object_store_registry(places).with_temp_file_path(spilled).build_arc()
}

/// What an executor reads, by scheme and host: the lake and the snapshots, and no other file of its machine, whatever a plan names.
#[derive(Debug)]
struct Places(BTreeMap<String, Arc<dyn ObjectStore>>);

impl ObjectStoreRegistry for Places {
    fn register_store(&self, _url: &url::Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &url::Url) -> EngineResult<Arc<dyn ObjectStore>> {
        match self.0.get(&url[..url::Position::BeforePath]) {
            Some(store) => Ok(Arc::clone(store)),
            None => exec_err!("an executor reads its lake and its snapshots, and not {url}"),
        }
    }
}

/// Ballista's engine, which tells of failures so that they come through.
struct Telling(DefaultExecutionEngine);

impl ExecutionEngine for Telling {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> EngineResult<Arc<dyn QueryStageExecutor>> {
        let partitions = global_output_partition_ids;
        let stage = self.0.create_query_stage_exec(job_id, stage_id, task_id, partitions, plan, work_dir, config)?;
        Ok(Arc::new(TellingStage(stage)))
    }
}

#[derive(Debug)]
struct TellingStage(Arc<dyn QueryStageExecutor>);

impl fmt::Display for TellingStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for TellingStage {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<Vec<ShuffleWritePartition>> {
        self.0.execute_query_stage(task_id, context).await.map_err(told_by_executor)
    }

    /// None. The scheduler wants as many from each task of a stage, and does not get them where a constant row is united with
    /// others: the part of a task without that row has another node in its place. It would wait for such a task forever.
    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        Vec::new()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.0.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> EngineResult<Vec<WindowStateReport>> {
        self.0.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.0.collect_column_stats()
    }
}
