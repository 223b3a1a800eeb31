//! The scheduler: cuts plans into stages and deals out their tasks. It reads no data and needs neither key nor lake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::CancelJobParams;
use ballista_core::serde::protobuf::scheduler_grpc_server::{SchedulerGrpc, SchedulerGrpcServer};
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_scheduler::cluster::{BallistaCluster, ClusterStateEvent, ClusterStateEventStream};
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion::error::Result as EngineResult;
use datafusion::execution::SessionState;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tonic::Request;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;

use super::MESSAGE_BYTES;
use super::codec::Codec;
use super::identity::Caller;
use super::token::Token;
use crate::engine::functions;
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    pub listen: SocketAddr,
    pub token: Token,
    /// After so long without a word an executor is taken for dead, and its tasks are given to others.
    pub executor_timeout: Duration,
}

/// Serves until `stop`. `ready` is told the address once callers are heard.
///
/// # Errors
/// `Project`: the address cannot be used. `Publish`: serving failed.
pub async fn run_scheduler(
    options: SchedulerOptions,
    ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let failed =
        |error: ballista_core::error::BallistaError| Error::internal("failed to start the scheduler").source(error);
    let incoming = TcpIncoming::bind(options.listen).map_err(|error| unusable(options.listen, error))?;
    let incoming = incoming.with_nodelay(Some(true));
    let address = incoming.local_addr().map_err(|error| unusable(options.listen, error))?;
    let config = Arc::new(configured(&options, address));
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
    let scheduler =
        create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster.clone(), config).await.map_err(failed)?;
    let lost = cluster.cluster_state().cluster_state_events().await.map_err(failed)?;
    let watch = tokio::spawn(end_what_lost_a_machine(lost, cluster, scheduler.clone()));
    let service = SchedulerGrpcServer::new(scheduler)
        .max_decoding_message_size(MESSAGE_BYTES as usize)
        .max_encoding_message_size(MESSAGE_BYTES as usize);
    ready(address);
    let served = create_grpc_server(&GrpcServerConfig::default())
        .add_service(InterceptedService::new(service, options.token.asked_for()))
        .serve_with_incoming_shutdown(incoming, stop)
        .await;
    watch.abort();
    served.map_err(|error| Error::new(ErrorKind::Publish, "the scheduler stopped").source(error))
}

/// Ends every query that runs when an executor is lost; its caller asks again. Ballista would make the lost part again and go
/// on, and has given rows twice where the executor was only slow and its rows came in after all.
async fn end_what_lost_a_machine(
    mut events: ClusterStateEventStream,
    cluster: BallistaCluster,
    scheduler: SchedulerServer<LogicalPlanNode, PhysicalPlanNode>,
) {
    while let Some(event) = events.next().await {
        let ClusterStateEvent::RemovedExecutor { executor_id } = event else { continue };
        let jobs = cluster.job_state();
        // The second are those that are over.
        let (all, over) = (jobs.get_all_jobs().await.unwrap_or_default(), jobs.get_jobs().await.unwrap_or_default());
        let running: Vec<_> = all.difference(&over).cloned().collect();
        tracing::warn!(executor = executor_id, queries = running.len(), "an executor is lost, and queries are ended");
        for job in running {
            let job = CancelJobParams { job_id: job.into() };
            if let Err(error) = SchedulerGrpc::cancel_job(&scheduler, Request::new(job)).await {
                tracing::warn!(%error, "failed to end a query");
            }
        }
    }
}

fn unusable(listen: SocketAddr, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::project("the address cannot be listened on")
        .with("address", listen)
        .source(error)
        .hint("another process may have the port: give another one with --listen")
}

/// How long an executor keeps the rows of a query that is done.
const RESULT_KEPT: Duration = Duration::from_secs(3_600);

fn configured(options: &SchedulerOptions, address: SocketAddr) -> SchedulerConfig {
    let timeout = options.executor_timeout.as_secs().max(1);
    let token = options.token.clone();
    SchedulerConfig {
        external_host: address.ip().to_string(),
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        // Executors ask for tasks, so that the scheduler needs no way to them.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: timeout,
        no_executors_grace_period_seconds: timeout,
        expire_dead_executor_interval_seconds: (timeout / 4).max(1),
        // What fails is asked for again as a whole, by the caller.
        stage_max_failures: 1,
        task_max_failures: 1,
        // Until then the caller has fetched its rows.
        finished_job_data_clean_up_interval_seconds: RESULT_KEPT.as_secs(),
        grpc_server_max_decoding_message_size: MESSAGE_BYTES,
        grpc_server_max_encoding_message_size: MESSAGE_BYTES,
        grpc_client_max_message_size: MESSAGE_BYTES,
        override_config_producer: Some(Arc::new(move || {
            SessionConfig::new_with_ballista()
                .with_option_extension(Caller::default())
                .with_ballista_override_create_grpc_client_endpoint(token.shown())
        })),
        override_session_builder: Some(Arc::new(session)),
        override_physical_codec: Some(Arc::new(Codec::passing_on())),
        override_create_grpc_client_endpoint: Some(options.token.shown()),
        ..SchedulerConfig::default()
    }
}

/// Knows every function by its name, and every store, since a plan cannot be read without them.
fn session(config: SessionConfig) -> EngineResult<SessionState> {
    let runtime =
        RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(NothingToRead::default())).build_arc()?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    functions::register(&context, None);
    Ok(context.state())
}

/// An empty store in the place of each that a plan names: a scheduler passes on what is read and reads nothing.
#[derive(Debug, Default)]
struct NothingToRead(Arc<InMemory>);

impl ObjectStoreRegistry for NothingToRead {
    fn register_store(&self, _url: &url::Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, _url: &url::Url) -> EngineResult<Arc<dyn ObjectStore>> {
        Ok(Arc::clone(&self.0) as _)
    }
}
