//! `gatefold cluster scheduler`.

use std::net::SocketAddr;
use std::time::Duration;

use super::listen::token_for;
use crate::commands::stop::stopped;
use crate::engine::cluster::{SchedulerOptions, run_scheduler};
use crate::error::Result;

const EXAMPLES: &str = "\
Examples:
  gatefold cluster scheduler                          # for callers and executors of this machine
  GATEFOLD_CLUSTER_TOKEN=… gatefold cluster scheduler --listen 0.0.0.0:50050";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where callers and executors reach it. Beyond this machine it wants GATEFOLD_CLUSTER_TOKEN.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    pub listen: SocketAddr,
    /// After so many seconds without a word an executor is taken for dead, and its tasks are given to others.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..))]
    pub executor_timeout: u64,
}

pub async fn exec(args: &Args) -> Result<u8> {
    let options = SchedulerOptions {
        listen: args.listen,
        token: token_for(args.listen)?,
        executor_timeout: Duration::from_secs(args.executor_timeout),
    };
    let ready = |address| eprintln!("the scheduler listens on {address}; run with --engine ballista://{address}");
    let stop = async {
        stopped().await;
    };
    run_scheduler(options, ready, stop).await?;
    Ok(0)
}
