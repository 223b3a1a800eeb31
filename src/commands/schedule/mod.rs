//! `gatefold schedule`: what runs when, what schedulers are told of it, and a run of it.

mod list;
mod render;
mod run;

use clap::Subcommand;

use crate::cli::Global;
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// List the schedules: when each starts next, and which day it runs then.
    #[command(after_help = list::EXAMPLES)]
    List,
    /// Write what a scheduler reads, into schedules/.
    Render(render::Args),
    /// Run the jobs of a schedule for the day that its tick says, waiting for inputs.
    Run(run::Args),
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    match &args.what {
        What::List => list::exec(global),
        What::Render(args) => render::exec(args, global),
        What::Run(args) => run::exec(args, global).await,
    }
}
