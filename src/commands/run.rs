//! `gatefold run`: the whole way for a date.

use serde::Serialize;

use super::progress::RunProgress;
use super::workspace::{self, Workspace};
use super::{print_json, report};
use crate::check::Report;
use crate::cli::{Format, Global};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::names::SnapshotDate;
use crate::pipeline::{self, Done, JobEnd, RunContext, RunEnd, sweep_work, work_folder};
use crate::plan::Plan;
use crate::storage::Storage;
use crate::validate::validate;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Jobs to run: `name`, `tag:users`, `+name` with what it reads, `name+` with what reads it. All when none is given.
    pub selectors: Vec<String>,
    /// The snapshot date, YYYY-MM-DD; the latest that every snapshot has when not given.
    #[arg(long, value_parser = workspace::date)]
    pub date: Option<SnapshotDate>,
    /// What joins, sorts and aggregates may hold in memory together, such as 512MiB; what does not fit spills to disk.
    #[arg(long, value_parser = workspace::memory, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// Make partitions again that are already published from the same inputs.
    #[arg(long)]
    pub force: bool,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let (lake, snapshots) = (workspace.lake()?, workspace.snapshots()?);
    let date = workspace.date(args.date, &args.selectors, &snapshots).await?;
    let plan = Plan::resolve(&workspace.project, date, &args.selectors)?;

    sweep_work(&lake).await?;
    let run_id = RunContext::new_run_id();
    let work = Storage::create_local(&work_folder(&lake, &run_id))?;
    let engine = workspace.engine(args.memory, work.root().to_owned(), workspace.key()?)?;
    for storage in [&lake, &snapshots, &work] {
        engine.register(storage);
    }
    prove(&plan, &engine, &lake).await.inspect_err(|_| remove_quietly(&work))?;

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
        watch: &|what| progress.hear(what),
    };
    let ran = pipeline::run(&plan, &context).await.inspect_err(|_| remove_quietly(&work))?;
    tell(&plan, &ran, global)?;
    Ok(ran.exit_code())
}

/// No data is touched before every model plans and the key that they need is there.
async fn prove(plan: &Plan<'_>, engine: &Engine, lake: &Storage) -> Result<()> {
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
    for (name, end) in &ran.jobs {
        if let JobEnd::Done(Done::Published { report, .. }) = end {
            for finding in report.warnings() {
                println!("warning: {name}: {}: {}", finding.name, finding.detail);
                for example in &finding.examples {
                    println!("  {example}");
                }
            }
        }
    }
    for (_, error) in ran.failures() {
        report::error(error);
    }
    println!("{} in {}", if ran.failed() { "failed" } else { "done" }, report::seconds(ran.elapsed));
    Ok(())
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
            format!("published, version {}", published.version),
        ],
        JobEnd::Done(Done::UpToDate { published_by }) => {
            [String::new(), String::new(), String::new(), String::new(), format!("already published by {published_by}")]
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
                published_by: None,
                warnings: Vec::new(),
                error: None,
            };
            match end {
                JobEnd::Done(Done::Published { published, report, .. }) => {
                    job.rows = Some(published.rows);
                    job.version = Some(published.version);
                    job.warnings =
                        report.warnings().map(|finding| format!("{}: {}", finding.name, finding.detail)).collect();
                }
                JobEnd::Done(Done::UpToDate { published_by }) => {
                    job.outcome = "up_to_date";
                    job.published_by = Some(published_by.to_string());
                }
                JobEnd::Failed(error) => {
                    job.outcome = "failed";
                    job.error = Some(error.to_string());
                }
                JobEnd::Skipped { .. } => job.outcome = "skipped",
            }
            job
        });
        RunJson {
            run_id: ran.run_id.to_string(),
            date: plan.date,
            exit_code: ran.exit_code(),
            elapsed_ms: ran.elapsed.as_millis() as u64,
            jobs: jobs.collect(),
        }
    }
}
