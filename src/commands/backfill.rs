//! `gatefold backfill`: every partition of a range that is not fresh, and no other.

mod json;
mod progress;
mod text;

use self::progress::BackfillProgress;
use super::engine::EngineArgs;
use super::run::{command_line, prove};
use super::selection::Selection;
use super::stop::{GOES_ON, stopped, stopped_by};
use super::workspace::{self, Workspace};
use super::{alert, print_json};
use crate::backfill::{self, Agenda, BackfillEnd, Ground, Limits, Order, State, Wish, agenda, order};
use crate::cli::{Format, Global};
use crate::error::{Error, ErrorKind, Result};
use crate::names::SnapshotDate;
use crate::pipeline::{Memory, Survey, sweep_work};
use crate::plan::Plan;
use crate::publish::bigquery::Warehouse;

const EXAMPLES: &str = "\
Examples:
  gatefold backfill --from 2026-11-01 --to 2026-11-20 --dry-run
  gatefold backfill user_daily --from 2025-11-21 --to 2026-11-20 --parallel 4
  gatefold backfill tag:users --from 2026-11-01 --to 2026-11-20 --max-failures 3
  gatefold backfill user_subscription_history --from 2026-11-10 --to 2026-11-20 --rebuild";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub selection: Selection,
    /// The first snapshot date, YYYY-MM-DD.
    #[arg(long, value_parser = workspace::date, value_name = "DATE")]
    pub from: SnapshotDate,
    /// The last snapshot date.
    #[arg(long, value_parser = workspace::date, value_name = "DATE")]
    pub to: SnapshotDate,
    /// Only show what would be made, and why.
    #[arg(long)]
    pub dry_run: bool,
    /// Days that are made side by side, under one limit of memory; as many as there are cores when not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallel: Option<u16>,
    /// After so many failed partitions nothing new begins; what runs is ended.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_failures: u32,
    /// What joins, sorts and aggregates of all days may hold in memory together, such as 512MiB.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Make fresh partitions again too.
    #[arg(long)]
    pub force: bool,
    /// Rebuild a history from the first day on that has changed and that later days build on. Readers see the old days until
    /// the first new one is published, and then day after day.
    #[arg(long)]
    pub rebuild: bool,
}

/// What a backfill means to do.
struct Meant<'a> {
    agenda: Agenda<'a>,
    order: Order,
    /// Partitions that it makes.
    total: usize,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let plans = backfill::plans(&workspace.project, (args.from, args.to), &args.selection.words())?;
    let meant = look(&workspace, &plans, args).await?;
    if global.format != Format::Json {
        text::print_agenda(&meant.agenda.entries, (args.from, args.to));
    }
    let end = match meant.total {
        0 => None,
        _ if args.dry_run => None,
        _ => Some(run(&workspace, &plans, &meant, args).await?),
    };
    for (unit, ran) in end.iter().flat_map(|end| &end.runs) {
        if let (Some(plan), Ok(ran)) = (plans.iter().find(|plan| plan.date == unit.date), ran) {
            alert::after_backfill(&workspace, &plan.only(&unit.jobs), ran).await;
        }
    }
    let stopped = end.as_ref().and_then(|end| end.stopped);
    let stopped = stopped.map(|signal| told_where(signal, &meant, end.as_ref()));
    let exit_code = match (&stopped, args.dry_run) {
        (Some(stopped), _) => stopped.kind().exit_code(),
        (None, true) => 0,
        (None, false) => exit_code(&meant.agenda, end.as_ref()),
    };
    match global.format {
        Format::Json => print_json(&json::BackfillJson::of(args, &meant.agenda, end.as_ref(), exit_code), global)?,
        _ => {
            if let Some(end) = &end {
                text::print_end(&meant.agenda.entries, end);
            }
        }
    }
    stopped.map_or(Ok(exit_code), Err)
}

/// Asks the lake, and changes nothing.
async fn look<'a>(workspace: &'a Workspace, plans: &[Plan<'a>], args: &Args) -> Result<Meant<'a>> {
    let (lake, snapshots, key) = (workspace.lake()?, workspace.snapshots()?, workspace.key()?);
    let project = workspace.environment.bigquery.as_ref().map(|bigquery| bigquery.project.as_str());
    let survey = Survey::new(&lake, &snapshots, key.as_ref().map(|key| key.fingerprint()), project);
    let agenda = agenda(plans, &survey, Wish { force: args.force, rebuild: args.rebuild }).await?;
    let order = order(&workspace.project, &agenda.entries);
    let total = agenda.entries.iter().filter(|entry| entry.runs()).count();
    Ok(Meant { agenda, order, total })
}

async fn run(workspace: &Workspace, plans: &[Plan<'_>], meant: &Meant<'_>, args: &Args) -> Result<BackfillEnd> {
    let (lake, snapshots, works) = (workspace.lake()?, workspace.snapshots()?, workspace.work());
    sweep_work(&lake, &works).await?;
    let spills = works.shared("backfill")?;
    let engine = workspace.engine(args.memory, spills.folder().to_owned(), workspace.key()?)?;
    engine.register(&lake);
    engine.register(&snapshots);
    // Models are the same on every day.
    if let Some(plan) = plans.last() {
        prove(plan, &engine, &lake).await?;
    }
    let engine = args.engine.place(engine, &[&lake, &snapshots]).await?;
    let warehouse = Warehouse::connect(&workspace.environment).await?;
    let memory = Memory::new(engine.options().memory_bytes);
    let ground = Ground {
        lake: &lake,
        snapshots: &snapshots,
        engine: &engine,
        memory: &memory,
        warehouse: warehouse.as_ref(),
        works: &works,
        environment: &workspace.environment.name,
        command: command_line(),
    };
    let parallel = args.parallel.map(usize::from).unwrap_or_else(cores);
    let limits = Limits { parallel, max_failures: args.max_failures as usize, force: args.force };
    let progress = BackfillProgress::new(meant.total);
    let told = |told: backfill::Told<'_>| progress.hear(&told);
    let end = backfill::execute(&ground, plans, &meant.agenda.entries, &meant.order, limits, stopped(), &told)?;
    progress.end();
    let left = warehouse.as_ref().map(Warehouse::running_jobs).unwrap_or_default();
    if end.stopped.is_some() && !left.is_empty() {
        eprintln!("jobs that go on in BigQuery, to which the same command attaches: {}", left.join(", "));
    }
    Ok(end)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// 0, or the code of the failure that most needs a person; 10 where only inputs are waited for.
fn exit_code(agenda: &Agenda<'_>, end: Option<&BackfillEnd>) -> u8 {
    let failures = end.into_iter().flat_map(BackfillEnd::failures).map(|(_, error)| error.kind());
    let states = agenda.entries.iter().filter_map(|entry| match entry.state {
        State::Refused => Some(ErrorKind::Project),
        State::Waiting => Some(ErrorKind::InputMissing),
        _ => None,
    });
    let urgency = |kind: ErrorKind| (kind == ErrorKind::InputMissing, kind.retryable(), kind.exit_code());
    failures.chain(states).map(urgency).min().map_or(0, |(_, _, code)| code)
}

fn told_where(signal: &str, meant: &Meant<'_>, end: Option<&BackfillEnd>) -> Error {
    let done = end.map_or(0, |end| text::done(&meant.agenda.entries, end));
    stopped_by(signal).with("partitions that are made", format!("{done} of {}", meant.total)).hint(GOES_ON)
}
