//! `gatefold runs`: what ran, the newest first.

use super::workspace::{self, Workspace};
use super::{print_json, report};
use crate::cli::{Format, Global};
use crate::error::Result;
use crate::names::{JobName, SnapshotDate};
use crate::record::{self, Filter, Outcome, RunSummary};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only runs for this snapshot date.
    #[arg(long, value_parser = workspace::date)]
    pub date: Option<SnapshotDate>,
    /// Only runs that had this job.
    #[arg(long)]
    pub job: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let job = args.job.as_deref().map(JobName::new).transpose()?;
    let runs = record::history::list(&workspace.lake()?, &Filter { date: args.date, job, limit: args.limit }).await?;
    if global.format == Format::Json {
        print_json(&runs, global)?;
        return Ok(0);
    }
    if runs.is_empty() {
        println!("no runs yet; gatefold run makes one");
        return Ok(0);
    }
    let header = ["run", "date", "env", "started (UTC)", "time#", "rows#", "outcome", "jobs"];
    println!("{}", report::table(&header, runs.iter().map(row_of).collect()));
    Ok(0)
}

fn row_of(run: &RunSummary) -> Vec<String> {
    let jobs: Vec<String> = run.jobs.iter().map(JobName::to_string).collect();
    vec![
        run.run_id.to_string(),
        run.date.to_string(),
        run.environment.clone().unwrap_or_default(),
        run.started_at.format("%Y-%m-%d %H:%M:%S").to_string(),
        run.elapsed_ms.map(|ms| report::seconds(std::time::Duration::from_millis(ms))).unwrap_or_default(),
        report::count(run.rows),
        outcome_text(run.outcome, run.exit_code),
        jobs.join(" "),
    ]
}

pub fn outcome_text(outcome: Outcome, exit_code: Option<u8>) -> String {
    match (outcome, exit_code) {
        (Outcome::Succeeded, _) => "succeeded".into(),
        (Outcome::UpToDate, _) => "up to date".into(),
        (Outcome::Failed, Some(code)) => format!("failed ({code})"),
        (Outcome::Failed, None) => "failed".into(),
        (Outcome::Running, _) => "running".into(),
        (Outcome::Interrupted, _) => "interrupted".into(),
    }
}
