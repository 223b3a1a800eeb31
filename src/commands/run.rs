//! `gatefold run`: the whole way for a date.

use serde::Serialize;

use super::progress::RunProgress;
use super::show::changes_text;
use super::workspace::{self, Workspace};
use super::{print_json, report};
use crate::check::Report;
use crate::cli::{Format, Global};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::job::Mode;
use crate::names::SnapshotDate;
use crate::pipeline::{self, Done, JobEnd, RunContext, RunEnd, sweep_work, work_folder};
use crate::plan::Plan;
use crate::publish::Published;
use crate::record::ChangeRecord;
use crate::storage::Storage;
use crate::validate::{validate, validate_snapshot};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Jobs to run: `name`, `tag:users`, `+name` with what it reads, `name+` with what reads it. All when none is given.
    pub selectors: Vec<String>,
    /// The snapshot date, YYYY-MM-DD; the latest that every snapshot has when not given.
    #[arg(long, value_parser = workspace::date)]
    pub date: Option<SnapshotDate>,
    /// The first of several dates, which run one after the other; the first that fails ends it.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "to", conflicts_with = "date")]
    pub from: Option<SnapshotDate>,
    /// The last of several dates.
    #[arg(long, value_parser = workspace::date, value_name = "DATE", requires = "from")]
    pub to: Option<SnapshotDate>,
    /// What joins, sorts and aggregates may hold in memory together, such as 512MiB; what does not fit spills to disk.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// Make partitions again that are already published from the same inputs.
    #[arg(long)]
    pub force: bool,
    /// Rewind histories to the day before --from and make all days again. Readers see the old days until the first new one
    /// is published, and then day after day.
    #[arg(long, requires = "from")]
    pub rebuild: bool,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let snapshots = workspace.snapshots()?;
    let (Some(from), Some(to)) = (args.from, args.to) else {
        let date = workspace.date(args.date, &args.selectors, &snapshots).await?;
        let plan = Plan::resolve(&workspace.project, date, &args.selectors)?;
        let ran = run_day(&workspace, &plan, args, None).await?;
        tell(&plan, &ran, global)?;
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
        let plan = Plan::resolve(&workspace.project, date, &args.selectors)?;
        let rebuild_to = (args.rebuild && date == from).then_some(to);
        let ran = run_day(workspace, &plan, args, rebuild_to).await?;
        exit_code = ran.exit_code();
        match global.format {
            Format::Json => told.push(serde_json::to_value(RunJson::of(&plan, &ran)).map_err(no_json)?),
            _ => tell(&plan, &ran, global)?,
        }
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
    let plan = Plan::resolve(&workspace.project, from, &args.selectors)?;
    if !args.rebuild || plan.jobs.iter().any(|planned| planned.job.table.mode == Mode::History) {
        return Ok(());
    }
    Err(Error::project("there is no history to rebuild among these jobs")
        .hint("tables of other modes are made again day by day: leave --rebuild out, add --force where needed"))
}

/// What is left to type when a day has failed: a rebuild that has begun is not begun again.
fn rest_of(args: &Args, failed: SnapshotDate, to: SnapshotDate) -> String {
    let mut words = vec!["gatefold run".to_owned()];
    words.extend(args.selectors.iter().cloned());
    words.push(format!("--from {failed} --to {to}"));
    words.extend(args.force.then(|| "--force".to_owned()));
    words.extend((args.rebuild && args.from == Some(failed)).then(|| "--rebuild".to_owned()));
    words.join(" ")
}

fn no_json(error: serde_json::Error) -> Error {
    Error::internal("failed to write JSON").source(error)
}

async fn run_day(
    workspace: &Workspace,
    plan: &Plan<'_>,
    args: &Args,
    rebuild_to: Option<SnapshotDate>,
) -> Result<RunEnd> {
    let (lake, snapshots) = (workspace.lake()?, workspace.snapshots()?);
    sweep_work(&lake).await?;
    let run_id = RunContext::new_run_id();
    let work = Storage::create_local(&work_folder(&lake, &run_id))?;
    let engine = workspace.engine(args.memory, work.root().to_owned(), workspace.key()?)?;
    for storage in [&lake, &snapshots, &work] {
        engine.register(storage);
    }
    prove(plan, &engine, &lake).await.inspect_err(|_| remove_quietly(&work))?;

    let progress = RunProgress::default();
    let context = RunContext {
        lake: &lake,
        snapshots: &snapshots,
        engine: &engine,
        work: work.clone(),
        run_id,
        environment: &workspace.environment.name,
        command: command_line(),
        force: args.force,
        rebuild_to,
        watch: &|what| progress.hear(what),
    };
    pipeline::run(plan, &context).await.inspect_err(|_| remove_quietly(&work))
}

/// No data is touched before every model plans and the key that they need is there.
async fn prove(plan: &Plan<'_>, engine: &Engine, lake: &Storage) -> Result<()> {
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
fn command_line() -> Vec<String> {
    std::iter::once("gatefold".to_owned()).chain(std::env::args().skip(1)).collect()
}

fn remove_quietly(work: &Storage) {
    let _ = std::fs::remove_dir_all(work.root());
}

fn tell(plan: &Plan<'_>, ran: &RunEnd, global: &Global) -> Result<()> {
    if global.format == Format::Json {
        return print_json(&RunJson::of(plan, ran), global);
    }
    let rows = ran.jobs.iter().map(|(name, end)| row_of(plan, name, end)).collect();
    println!("run {} for {}", ran.run_id, plan.date);
    println!("{}", report::table(&["table", "partition", "rows#", "checks", "time#", "rows/s#", "outcome"], rows));
    for (name, report) in &ran.snapshots {
        print_warnings(name.as_str(), report);
    }
    for (name, end) in &ran.jobs {
        if let JobEnd::Done(Done::Published { report, .. }) = end {
            print_warnings(name.as_str(), report);
        }
    }
    for (_, error) in ran.failures() {
        report::error(error);
    }
    println!("{} in {}", if ran.failed() { "failed" } else { "done" }, report::seconds(ran.elapsed));
    Ok(())
}

fn print_warnings(name: &str, report: &Report) {
    for finding in report.warnings() {
        println!("warning: {name}: {}: {}", finding.name, finding.detail);
        for example in &finding.examples {
            println!("  {example}");
        }
    }
}

fn row_of(plan: &Plan<'_>, name: &crate::names::JobName, end: &JobEnd) -> Vec<String> {
    let planned = plan.jobs.iter().find(|planned| planned.job.name == *name);
    let table = planned.map_or_else(|| name.to_string(), |planned| planned.job.table.name.to_string());
    let partition = planned.map(|planned| planned.partition.to_string()).unwrap_or_default();
    let mut row = vec![table, partition];
    row.extend(match end {
        JobEnd::Done(Done::Published { published, report, input_rows, elapsed }) => [
            report::count(published.rows),
            checks_text(report),
            report::seconds(*elapsed),
            report::count((*input_rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64),
            published_text(published),
        ],
        JobEnd::Done(Done::UpToDate(standing)) => {
            [String::new(), String::new(), String::new(), String::new(), standing.to_string()]
        }
        JobEnd::Failed(error) => [
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            format!("failed ({})", error.kind().exit_code()),
        ],
        JobEnd::Skipped { because } => {
            [String::new(), String::new(), String::new(), String::new(), format!("skipped, {because} did not succeed")]
        }
    });
    row
}

fn warnings(report: &Report) -> Vec<String> {
    report.warnings().map(|finding| format!("{}: {}", finding.name, finding.detail)).collect()
}

fn published_text(published: &Published) -> String {
    let text = format!("published, version {}", published.version);
    match published.changes {
        Some(counts) => format!("{text}: {}", changes_text(&ChangeRecord::from(counts))),
        None => text,
    }
}

fn checks_text(report: &Report) -> String {
    let (all, warnings) = (report.findings.len(), report.warnings().count());
    match warnings {
        0 => format!("{all} passed"),
        _ => format!("{} passed, {warnings} warn", all - warnings),
    }
}

/// What `--format json` prints: one object a run, one entry a job in the order of the plan.
#[derive(Serialize)]
struct RunJson<'a> {
    run_id: String,
    date: SnapshotDate,
    exit_code: u8,
    elapsed_ms: u64,
    jobs: Vec<JobJson<'a>>,
    /// Those that were verified.
    snapshots: Vec<SnapshotJson<'a>>,
}

#[derive(Serialize)]
struct SnapshotJson<'a> {
    snapshot: &'a str,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct JobJson<'a> {
    job: &'a str,
    table: String,
    partition: String,
    /// `published`, `up_to_date`, `failed` or `skipped`.
    outcome: &'static str,
    rows: Option<u64>,
    version: Option<u64>,
    /// Of a history.
    changes: Option<ChangeRecord>,
    published_by: Option<String>,
    warnings: Vec<String>,
    error: Option<String>,
}

impl<'a> RunJson<'a> {
    fn of(plan: &Plan<'a>, ran: &'a RunEnd) -> Self {
        let jobs = plan.jobs.iter().zip(&ran.jobs).map(|(planned, (name, end))| {
            let mut job = JobJson {
                job: name.as_str(),
                table: planned.job.table.name.to_string(),
                partition: planned.partition.to_string(),
                outcome: "published",
                rows: None,
                version: None,
                changes: None,
                published_by: None,
                warnings: Vec::new(),
                error: None,
            };
            match end {
                JobEnd::Done(Done::Published { published, report, .. }) => {
                    job.rows = Some(published.rows);
                    job.version = Some(published.version);
                    job.warnings = warnings(report);
                    job.changes = published.changes.map(ChangeRecord::from);
                }
                JobEnd::Done(Done::UpToDate(standing)) => {
                    job.outcome = "up_to_date";
                    job.published_by = Some(standing.published_by.to_string());
                }
                JobEnd::Failed(error) => {
                    job.outcome = "failed";
                    job.error = Some(error.to_string());
                }
                JobEnd::Skipped { .. } => job.outcome = "skipped",
            }
            job
        });
        let snapshots = ran.snapshots.iter();
        let snapshots =
            snapshots.map(|(name, report)| SnapshotJson { snapshot: name.as_str(), warnings: warnings(report) });
        RunJson {
            run_id: ran.run_id.to_string(),
            date: plan.date,
            exit_code: ran.exit_code(),
            elapsed_ms: ran.elapsed.as_millis() as u64,
            jobs: jobs.collect(),
            snapshots: snapshots.collect(),
        }
    }
}
