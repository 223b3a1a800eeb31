//! What a day of all tables costs: each job by itself, with its share of the whole, and all of them in one run, for samples of
//! several sizes, so that the growth shows.
//!
//! ```text
//! cargo bench --bench daily [-- --accounts 100000,1000000,3000000 --jobs-at 1000000]
//! ```
//!
//! The first day fills the histories, the next one compares with them. Each measurement is a process of its own.
//! Nothing is asserted: the result is tables to read, in Markdown.

#[path = "../common/mod.rs"]
mod common;
mod report;

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use common::Result;
use common::child::{Measured, measure};
use common::parts::Parts;
use common::project::Project;

const BEFORE: &str = "2026-11-19";
const DAY: &str = "2026-11-20";

#[derive(Debug, Parser)]
struct Args {
    /// Accounts of the samples, each made once and kept in the target folder.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 300_000, 1_000_000, 3_000_000])]
    accounts: Vec<u64>,
    /// The size at which each job is measured by itself too.
    #[arg(long, default_value_t = 1_000_000)]
    jobs_at: u64,
    /// The engine's limit; 2 GiB, and with more accounts in proportion, unless stated.
    #[arg(long)]
    memory: Option<String>,
    /// What `cargo bench` adds to every call.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One job of the day, run by itself.
pub struct JobCost {
    pub name: String,
    /// Of the day's partition; for a history those that are current.
    pub rows: u64,
    pub parts: Parts,
    pub peak_bytes: u64,
}

impl JobCost {
    /// What the job adds to a day on which the snapshots are verified once for all.
    pub fn own_time(&self) -> Duration {
        self.parts.stage + self.parts.audit + self.parts.publish
    }
}

/// A day of a sample.
pub struct Day {
    pub accounts: u64,
    pub input_rows: u64,
    /// Those measured by themselves.
    pub jobs: Vec<JobCost>,
    /// All jobs in one run, on the first day.
    pub first: Measured,
    /// And on the next.
    pub next: Measured,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let days = args.accounts.iter().map(|accounts| measure_day(*accounts, &args)).collect::<Result<Vec<_>>>()?;
    print!("{}", report::markdown(&days));
    Ok(())
}

fn measure_day(accounts: u64, args: &Args) -> Result<Day> {
    let project = Project::new(&format!("daily-{accounts}"));
    project.prepare(accounts, 2, DAY)?;
    project.forget_runs()?;
    eprintln!("running the first day");
    let first = run(&project, accounts, BEFORE, None, args)?;
    let jobs = if accounts == args.jobs_at { each_job(&project, accounts, args)? } else { Vec::new() };
    eprintln!("running the next day");
    let next = run(&project, accounts, DAY, None, args)?;
    let events = project.events_of(&next.stdout)?;
    let verified = events.iter().filter(|event| event["event"] == "snapshot_verified");
    let input_rows = verified.filter_map(|event| event["rows"].as_u64()).sum();
    project.forget_runs()?;
    Ok(Day { accounts, input_rows, jobs, first, next })
}

/// Each job of the next day in turn; the lake is then as it was before.
fn each_job(project: &Project, accounts: u64, args: &Args) -> Result<Vec<JobCost>> {
    let (tables, before) = (project.root.join("lake/tables"), project.root.join("before"));
    let _ = fs::remove_dir_all(&before);
    link(&tables, &before)?;
    let mut jobs = Vec::new();
    for name in job_names(project)? {
        eprintln!("running {name}");
        let measured = run(project, accounts, DAY, Some(&name), args)?;
        let events = project.events_of(&measured.stdout)?;
        let parts = Parts::of(&events).ok_or("the run's record is not whole")?;
        let rows = printed_rows(&measured.stdout)?;
        jobs.push(JobCost { name, rows, parts, peak_bytes: measured.peak_bytes });
    }
    project.forget_runs()?;
    fs::rename(&before, tables)?;
    Ok(jobs)
}

/// What spills costs more than what does not, which is another question than how the work grows.
fn memory_mib(accounts: u64) -> u64 {
    (accounts * 2800 / 1_000_000).max(2048)
}

fn run(project: &Project, accounts: u64, date: &str, job: Option<&str>, args: &Args) -> Result<Measured> {
    let mut command = project.gatefold();
    command.args(["run", "--date", date, "--format", "json"]).args(job);
    let memory = args.memory.clone().unwrap_or_else(|| format!("{}MiB", memory_mib(accounts)));
    command.args(["--memory", &memory]);
    measure(&mut command)
}

/// In an order in which each comes after those that it reads.
fn job_names(project: &Project) -> Result<Vec<String>> {
    let planned = measure(project.gatefold().args(["plan", "--date", BEFORE, "--format", "json"]))?;
    let planned: Value = serde_json::from_str(&planned.stdout)?;
    let jobs = planned["steps"].as_array().ok_or("the plan has no jobs")?;
    Ok(jobs.iter().filter_map(|job| job["job"].as_str()).map(str::to_owned).collect())
}

fn printed_rows(printed: &str) -> Result<u64> {
    let run: Value = serde_json::from_str(printed)?;
    run["jobs"][0]["rows"].as_u64().ok_or_else(|| "the run tells no rows".into())
}

/// A second tree of names for the same files, which nothing ever writes into again.
fn link(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        return Ok(fs::hard_link(from, to)?);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        link(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
