//! `gatefold run`: the whole way for a date.

mod json;
mod text;

use std::collections::BTreeMap;

use self::json::RunJson;
use super::alert;
use super::engine::EngineArgs;
use super::print_json;
use super::progress::RunProgress;
use super::selection::Selection;
use super::stop::{GOES_ON, unless_stopped};
use super::workspace::{self, Workspace};
use crate::cli::{Format, Global};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::job::Mode;
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::{self, Memory, Open, RunContext, RunEnd, sweep_work};
use crate::plan::Plan;
use crate::publish::bigquery::Warehouse;
use crate::storage::{Storage, Work};
use crate::validate::{validate, validate_snapshot};

const EXAMPLES: &str = "\
Examples:
  gatefold run                                       # every job, for the latest day that every snapshot has
  gatefold run tag:daily --date 2026-11-20
  gatefold run +tier_metrics_daily --exclude user_pii
  gatefold run --from 2026-11-01 --to 2026-11-20     # day after day, as histories want it
  gatefold run user_daily --force --memory 2GiB
  gatefold run --engine ballista://gatefold-scheduler:50050   # on a cluster";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub selection: Selection,
    /// The snapshot date, YYYY-MM-DD; the latest that every snapshot has when not given.
    #[arg(long, value_parser = workspace::date)]
    pub date: Option<SnapshotDate>,
    /// The first of several dates, which run one after the other; the first that fails ends it. gatefold backfill runs only
    /// what is not fresh of a range, days side by side.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "to", conflicts_with = "date")]
    pub from: Option<SnapshotDate>,
    /// The last of several dates.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "from")]
    pub to: Option<SnapshotDate>,
    /// What joins, sorts and aggregates may hold in memory together, such as 512MiB; what does not fit spills to disk.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Make partitions again that are already published from the same inputs.
    #[arg(long)]
    pub force: bool,
    /// Rewind histories to the day before --from and make all days again. Readers see the old days until the first new one
    /// is published, and then day after day.
    #[arg(long, requires = "from")]
    pub rebuild: bool,
}

impl Args {
    /// Of a run of one day, with nothing forced.
    pub(super) fn of_a_day(memory: Option<u64>, engine: EngineArgs) -> Self {
        Args {
            selection: Selection::default(),
            date: None,
            from: None,
            to: None,
            memory,
            engine,
            force: false,
            rebuild: false,
        }
    }
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let snapshots = workspace.snapshots()?;
    let (Some(from), Some(to)) = (args.from, args.to) else {
        let date = workspace.date(args.date, &args.selection.words(), &snapshots).await?;
        let plan = Plan::resolve(&workspace.project, date, &args.selection.words())?;
        let ran = run_day(&workspace, &plan, args, None).await;
        let ran = alert::unless_broken(&workspace, date, ran).await?;
        tell(&plan, &ran, global)?;
        alert::after_run(&workspace, &plan, &ran).await;
        return Ok(ran.exit_code());
    };
    run_range(&workspace, args, global, (from, to)).await
}

/// Every day of a range, the first failure last.
async fn run_range(
    workspace: &Workspace,
    args: &Args,
    global: &Global,
    (from, to): (SnapshotDate, SnapshotDate),
) -> Result<u8> {
    if to < from {
        return Err(Error::project(format!("the range ends on {to}, before it begins on {from}"))
            .hint("--from is the first day, --to the last"));
    }
    refuse_needless_rebuild(workspace, args, from)?;
    let (mut told, mut exit_code) = (Vec::new(), 0);
    for date in std::iter::successors(Some(from), |date| date.next()).take_while(|date| *date <= to) {
        let plan = Plan::resolve(&workspace.project, date, &args.selection.words())?;
        let rebuild_to = (args.rebuild && date == from).then_some(to);
        let ran = run_day(workspace, &plan, args, rebuild_to).await;
        let ran = alert::unless_broken(workspace, date, ran).await?;
        exit_code = ran.exit_code();
        match global.format {
            Format::Json => told.push(to_json(&plan, &ran)?),
            _ => tell(&plan, &ran, global)?,
        }
        alert::after_run(workspace, &plan, &ran).await;
        if ran.failed() {
            if date < to {
                eprintln!("the days after {date} did not run; go on with: {}", rest_of(args, date, to));
            }
            break;
        }
    }
    if global.format == Format::Json {
        print_json(&serde_json::json!({ "exit_code": exit_code, "runs": told }), global)?;
    }
    Ok(exit_code)
}

fn refuse_needless_rebuild(workspace: &Workspace, args: &Args, from: SnapshotDate) -> Result<()> {
    let plan = Plan::resolve(&workspace.project, from, &args.selection.words())?;
    if !args.rebuild || plan.jobs.iter().any(|planned| planned.job.table.mode == Mode::History) {
        return Ok(());
    }
    Err(Error::project("there is no history to rebuild among these jobs")
        .hint("tables of other modes are made again day by day: leave --rebuild out, add --force where needed"))
}

/// What is left to type when a day has failed: a rebuild that has begun is not begun again.
fn rest_of(args: &Args, failed: SnapshotDate, to: SnapshotDate) -> String {
    let mut words = vec!["gatefold run".to_owned()];
    words.extend(args.selection.typed());
    words.push(format!("--from {failed} --to {to}"));
    words.extend(args.force.then(|| "--force".to_owned()));
    words.extend((args.rebuild && args.from == Some(failed)).then(|| "--rebuild".to_owned()));
    words.join(" ")
}

/// What became of a run, as JSON.
pub(super) fn to_json(plan: &Plan<'_>, ran: &RunEnd) -> Result<serde_json::Value> {
    serde_json::to_value(RunJson::of(plan, ran)).map_err(|error| Error::internal("failed to write JSON").source(error))
}

pub(super) async fn run_day(
    workspace: &Workspace,
    plan: &Plan<'_>,
    args: &Args,
    rebuild_to: Option<SnapshotDate>,
) -> Result<RunEnd> {
    let (lake, snapshots) = (workspace.lake()?, workspace.snapshots()?);
    let works = workspace.work();
    sweep_work(&lake, &works).await?;
    let run_id = RunContext::new_run_id();
    let work = works.create(&run_id)?;
    let engine = workspace.engine(args.memory, work.folder().to_owned(), workspace.key()?)?;
    for storage in [&lake, &snapshots, work.storage()] {
        engine.register(storage);
    }
    prove(plan, &engine, &lake).await.inspect_err(|_| remove_quietly(&work))?;
    let engine = args.engine.place(engine, &[&lake, &snapshots]).await.inspect_err(|_| remove_quietly(&work))?;

    let warehouse = Warehouse::connect(&workspace.environment).await.inspect_err(|_| remove_quietly(&work))?;
    let progress = RunProgress::new(warehouse.is_some());
    let memory = Memory::new(engine.options().memory_bytes);
    let context = RunContext {
        lake: &lake,
        snapshots: &snapshots,
        engine: &engine,
        memory: &memory,
        warehouse: warehouse.as_ref(),
        work: work.clone(),
        run_id,
        environment: &workspace.environment.name,
        command: command_line(),
        force: args.force,
        rebuild_to: rebuilt(plan, rebuild_to),
        gate: &Open,
        watch: &|what| progress.hear(what),
    };
    let ran = unless_stopped(pipeline::run(plan, &context), |error| told_where(error, &context)).await;
    ran.inspect_err(|_| remove_quietly(&work))
}

/// Every history of the plan is rebuilt up to a day, when one is given.
fn rebuilt(plan: &Plan<'_>, to: Option<SnapshotDate>) -> BTreeMap<JobName, SnapshotDate> {
    let histories = plan.jobs.iter().filter(|planned| planned.job.table.mode == Mode::History);
    histories.filter_map(|planned| Some((planned.job.name.clone(), to?))).collect()
}

fn told_where(error: Error, context: &RunContext<'_>) -> Error {
    let error = error.with("run", &context.run_id);
    let left = context.warehouse.map(Warehouse::running_jobs).unwrap_or_default();
    if left.is_empty() {
        return error.hint(GOES_ON);
    }
    error
        .with("jobs that go on in BigQuery", left.join(", "))
        .hint(format!("{GOES_ON}; it attaches to the jobs that go on in BigQuery"))
}

/// No data is touched before every model plans and the key that they need is there.
pub(super) async fn prove(plan: &Plan<'_>, engine: &Engine, lake: &Storage) -> Result<()> {
    for contract in plan.snapshots().into_values() {
        validate_snapshot(engine, lake, contract).await?;
    }
    for planned in &plan.jobs {
        let facts = validate(engine, lake, plan.project, planned.job).await?;
        if facts.needs_key && engine.options().key.is_none() {
            return Err(Error::project("the model computes user_pid, and no key is configured")
                .with("file", planned.job.sql_file.display())
                .hint("set GATEFOLD_PSEUDONYM_KEY, or name pseudonym_key_file in the environment of gatefold.toml"));
        }
    }
    Ok(())
}

/// What was typed; where the program lies on this machine says nothing.
pub(super) fn command_line() -> Vec<String> {
    std::iter::once("gatefold".to_owned()).chain(std::env::args().skip(1)).collect()
}

fn remove_quietly(work: &Work) {
    let _ = work.remove();
}

/// What became of a run, in the format that was asked for.
pub(super) fn tell(plan: &Plan<'_>, ran: &RunEnd, global: &Global) -> Result<()> {
    match global.format {
        Format::Json => print_json(&RunJson::of(plan, ran), global),
        _ => {
            text::print(plan, ran);
            Ok(())
        }
    }
}
