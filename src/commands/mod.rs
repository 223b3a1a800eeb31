//! A file a subcommand: its arguments and one `exec`, which returns the exit code.

pub mod alert;
pub mod backfill;
pub mod bucket;
pub mod check;
pub mod cluster;
pub mod complete;
pub mod completions;
pub mod diff;
pub mod engine;
pub mod export;
pub mod generate;
pub mod init;
pub mod lineage;
pub mod man;
pub mod plan;
pub mod query;
pub mod report;
pub mod run;
pub mod runs;
pub mod schedule;
pub mod schema;
pub mod selection;
pub mod show;
pub mod status;
pub mod test;

mod heap;
mod planned;
mod progress;
mod stop;
mod workspace;

use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, Format, Global};
use crate::error::{Error, ErrorKind, Result};

/// What a command has to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(1);

/// Runs what was typed. Returns the exit code of a call that was carried out.
pub fn run(cli: Cli) -> Result<u8> {
    let Cli { global, command } = cli;
    heap::give_back(&command);
    init_logging(global.verbose);
    if global.format == Format::Csv && !matches!(command, Command::Query(_)) {
        return Err(Error::project("--format csv is for query").hint("use --format table or json"));
    }
    match command {
        Command::Alert(args) => block_on(alert::exec(&args, &global)),
        Command::Init(args) => init::exec(&args, &global),
        Command::Generate(args) => block_on(generate::exec(&args, &global)),
        Command::Check(args) => block_on(check::exec(&args, &global)),
        Command::Plan(args) => block_on(reading(plan::exec(&args, &global))),
        Command::Run(args) => block_on(run::exec(&args, &global)),
        Command::Backfill(args) => block_on(backfill::exec(&args, &global)),
        Command::Bucket(args) => block_on(bucket::exec(&args, &global)),
        Command::Runs(args) => block_on(runs::exec(&args, &global)),
        Command::Show(args) => block_on(show::exec(&args, &global)),
        Command::Status(args) => block_on(status::exec(&args, &global)),
        Command::Query(args) => block_on(reading(query::exec(&args, &global))),
        Command::Diff(args) => block_on(diff::exec(&args, &global)),
        Command::Lineage(args) => block_on(lineage::exec(&args, &global)),
        Command::Export(args) => export::exec(&args, &global),
        Command::Test(args) => block_on(reading(test::exec(&args, &global))),
        Command::Schedule(args) => block_on(schedule::exec(&args, &global)),
        Command::Cluster(args) => block_on(cluster::exec(&args, &global)),
        Command::Schema(args) => schema::exec(&args),
        Command::Completions(args) => completions::exec(&args),
        Command::Man(args) => man::exec(&args),
    }
}

fn block_on(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Planning deep expressions recurses.
        .thread_stack_size(8 << 20)
        .build()
        .map_err(|error| Error::internal("failed to start the runtime").source(error))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

/// A command that changes nothing, which may take long: a wish that it ends drops it, with what it has spilled.
async fn reading(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    let (at_work, ended) = tokio::sync::oneshot::channel();
    // On a thread of its own: a query may keep every thread of the runtime busy.
    std::thread::spawn(move || end_at_once(ended));
    let done = stop::unless_stopped(work, |error| error.hint("nothing was changed")).await;
    drop(at_work);
    done
}

/// Ends the process a moment after it was asked to end, unless the work has ended by then: it is busy, or its reader has stopped
/// to read.
fn end_at_once(ended: tokio::sync::oneshot::Receiver<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let asked = async {
        let signal = stop::stopped().await;
        tokio::time::sleep(GRACE).await;
        signal
    };
    let asked = runtime.block_on(async {
        tokio::select! {
            signal = asked => Some(signal),
            _ = ended => None,
        }
    });
    if let Some(signal) = asked {
        report::error(&stop::stopped_by(signal));
        std::process::exit(ErrorKind::Publish.exit_code().into());
    }
}

fn init_logging(verbose: u8) {
    let default = match verbose {
        0 => "gatefold=warn",
        1 => "gatefold=debug",
        _ => "gatefold=debug,info",
    };
    let filter = EnvFilter::try_from_env("GATEFOLD_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let written = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(report::colour())
        .without_time()
        .with_target(false);
    // A second call in one process (a test) keeps the first one's setting.
    let _ = written.try_init();
}

/// Prints one JSON value on stdout.
fn print_json(value: &impl serde::Serialize, global: &Global) -> Result<()> {
    debug_assert_eq!(global.format, Format::Json);
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::internal("failed to write JSON").source(error))?;
    println!("{text}");
    Ok(())
}
