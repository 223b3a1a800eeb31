//! `gatefold runs`: what ran, the newest first.

use super::selection::Selection;
use super::workspace::{self, Workspace};
use super::{complete, print_json, report};
use crate::cli::{Format, Global};
use crate::error::Result;
use crate::names::{JobName, SnapshotDate};
use crate::record::{self, Filter, Outcome, RunSummary};

/// Names that a line of the list has room for.
const SHOWN_JOBS: usize = 2;

const EXAMPLES: &str = "\
Examples:
  gatefold runs
  gatefold runs user_daily+ --date 2026-11-20        # runs that had one of these jobs
  gatefold runs --limit 100 --format json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub selection: Selection,
    /// Only runs for this snapshot date.
    #[arg(long, value_parser = workspace::date)]
    pub date: Option<SnapshotDate>,
    /// Only runs that had this job, which need not be there any more.
    #[arg(long, conflicts_with_all = ["selectors", "exclude"], add = complete::jobs())]
    pub job: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let jobs = match &args.job {
        Some(job) => Some(vec![JobName::new(job)?]),
        None if args.selection.is_all() => None,
        None => Some(args.selection.jobs(&workspace.project)?),
    };
    let runs = record::history::list(&workspace.lake()?, &Filter { date: args.date, jobs, limit: args.limit }).await?;
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
    vec![
        run.run_id.to_string(),
        run.date.to_string(),
        run.environment.clone().unwrap_or_default(),
        run.started_at.format("%Y-%m-%d %H:%M:%S").to_string(),
        run.elapsed_ms.map(|ms| report::seconds(std::time::Duration::from_millis(ms))).unwrap_or_default(),
        report::count(run.rows),
        outcome_text(run.outcome, run.exit_code),
        jobs_text(&run.jobs),
    ]
}

/// The first names; `--format json` has them all.
pub(super) fn jobs_text(jobs: &[JobName]) -> String {
    // A name in place of "1 more" takes no more room.
    let shown = if jobs.len() <= SHOWN_JOBS + 1 { jobs.len() } else { SHOWN_JOBS };
    let names: Vec<&str> = jobs.iter().take(shown).map(JobName::as_str).collect();
    let more = jobs.len() - shown;
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_few_jobs() {
        let text =
            |names: &[&str]| jobs_text(&names.iter().map(|name| JobName::new(*name).unwrap()).collect::<Vec<_>>());
        assert_eq!(text(&[]), "");
        assert_eq!(text(&["a", "b", "c"]), "a, b, c");
        assert_eq!(text(&["a", "b", "c", "d"]), "a, b and 2 more");
    }
}
