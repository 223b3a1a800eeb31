//! `gatefold cluster executor`.

use std::net::SocketAddr;

use super::listen::token_for;
use crate::cli::Global;
use crate::commands::workspace::{self, Workspace};
use crate::engine::cluster::{ExecutorOptions, run_executor};
use crate::engine::{SCHEDULER_PORT, default_memory};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  gatefold cluster executor                           # of a scheduler on this machine
  gatefold cluster executor --env prod --scheduler gatefold-scheduler:50050 \\
      --listen 0.0.0.0:50051 --host $POD_IP --threads 8 --memory 24GiB";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The scheduler, host:port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050", value_parser = host_and_port)]
    pub scheduler: (String, u16),
    /// Where callers and other executors fetch rows. Beyond this machine it wants GATEFOLD_CLUSTER_TOKEN.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// The name or address under which they reach it; that of --listen when not given.
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Tasks at once; as many as there are cores when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// What joins, sorts and aggregates of all tasks may hold together, such as 24GiB; what does not fit spills.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let token = token_for(args.listen)?;
    let host = match &args.host {
        Some(host) => host.clone(),
        None if args.listen.ip().is_unspecified() => {
            return Err(Error::project("0.0.0.0 is where it listens, and no name under which others reach it")
                .hint("give that one with --host"));
        }
        None => args.listen.ip().to_string(),
    };
    let workspace = Workspace::open(global)?;
    let work = workspace.work().shared("executor")?;
    let options = ExecutorOptions {
        listen: args.listen,
        host,
        scheduler: args.scheduler.clone(),
        threads: args.threads.map_or_else(cores, usize::from),
        memory_bytes: args.memory.or(workspace.environment.memory).unwrap_or_else(default_memory),
        work: work.folder().to_owned(),
        token,
        key: workspace.key()?,
        storages: vec![workspace.lake()?, workspace.snapshots()?],
    };
    eprintln!("the executor serves {} with {} threads", args.listen, options.threads);
    let identity = options.identity();
    run_executor(options, identity).await?;
    Ok(0)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let Some((host, port)) = text.rsplit_once(':') else { return Ok((text.to_owned(), SCHEDULER_PORT)) };
    let port = port.parse().map_err(|_| format!("'{port}' is not a port"))?;
    match host {
        "" => Err("the host is missing".to_owned()),
        host => Ok((host.to_owned(), port)),
    }
}
