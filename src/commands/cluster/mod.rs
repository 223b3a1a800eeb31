//! `gatefold cluster`: the scheduler and the executors of a cluster, in programs that are built with it.

#[cfg(feature = "cluster")]
mod executor;
#[cfg(feature = "cluster")]
mod listen;
#[cfg(feature = "cluster")]
mod scheduler;

#[cfg(feature = "cluster")]
pub use built_in::*;
#[cfg(not(feature = "cluster"))]
pub use left_out::*;

#[cfg(feature = "cluster")]
mod built_in {
    use super::{executor, scheduler};
    use crate::cli::Global;
    use crate::error::Result;

    #[derive(Debug, clap::Args)]
    pub struct Args {
        #[command(subcommand)]
        pub what: What,
    }

    #[derive(Debug, clap::Subcommand)]
    pub enum What {
        /// Cut queries into tasks and deal them out, until it is asked to end.
        Scheduler(scheduler::Args),
        /// Carry out tasks of a scheduler, until it is asked to end.
        Executor(executor::Args),
    }

    pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
        match &args.what {
            What::Scheduler(args) => scheduler::exec(args).await,
            What::Executor(args) => executor::exec(args, global).await,
        }
    }
}

#[cfg(not(feature = "cluster"))]
mod left_out {
    use crate::cli::Global;
    use crate::error::{Error, Result};

    /// Whatever is typed behind it.
    #[derive(Debug, clap::Args)]
    #[command(disable_help_flag = true)]
    pub struct Args {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        pub words: Vec<std::ffi::OsString>,
    }

    pub async fn exec(_args: &Args, _global: &Global) -> Result<u8> {
        Err(not_built_in())
    }

    pub fn not_built_in() -> Error {
        Error::project("this binary is built without the cluster")
            .hint("build one with it: cargo build --release --features cluster")
    }
}
