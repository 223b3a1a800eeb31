//! `gatefold show`: the story of one run, from its record.

mod story;
mod timeline;

use std::time::Duration;

use super::workspace::Workspace;
use super::{complete, print_json, report};
use crate::cli::{Format, Global};
use crate::error::{Error, Result};
use crate::job::Severity;
use crate::names::JobName;
use crate::project::Project;
use crate::record::{self, ChangeRecord, CheckRecord, Filter, InputKind, InputRecord, RunHistory, What};
use crate::storage::Storage;

const EXAMPLES: &str = "\
Examples:
  gatefold show                                      # the newest run
  gatefold show user_daily                           # the newest run of a job
  gatefold show 20261121t033012                      # the beginning of the run's id is enough
  gatefold show latest --events";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The run's id, or the beginning of it; a job for its newest run; `latest`, or nothing, for the newest of all.
    #[arg(default_value = LATEST, add = complete::runs())]
    pub run: String,
    /// Every event of the record, in the order in which they came.
    #[arg(long)]
    pub events: bool,
}

const LATEST: &str = "latest";

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let history = meant(&workspace.project, &workspace.lake()?, &args.run).await?;
    if global.format == Format::Json {
        print_json(&history, global)?;
        return Ok(0);
    }
    print!("{}", story::head(&history));
    match args.events {
        true => print!("{}", timeline::text(&history)),
        false => print!("{}", story::text(&history)),
    }
    for warning in &history.warnings {
        println!("warning: {warning}");
    }
    Ok(0)
}

/// The run that was meant. No run id begins like the name of a job: ids begin with a year.
async fn meant(project: &Project, lake: &Storage, typed: &str) -> Result<RunHistory> {
    let job = project.jobs.keys().find(|job| job.as_str() == typed).cloned();
    if job.is_none() && typed != LATEST {
        return record::history::read(lake, typed).await;
    }
    let newest =
        record::history::list(lake, &Filter { date: None, jobs: job.clone().map(|job| vec![job]), limit: 1 }).await?;
    match newest.first() {
        Some(run) => record::history::read(lake, run.run_id.as_str()).await,
        None => Err(no_run(job)),
    }
}

fn no_run(job: Option<JobName>) -> Error {
    match job {
        Some(job) => Error::project(format!("no run has named the job '{job}'")).hint(format!("gatefold run {job}")),
        None => Error::project("this lake has no runs yet").hint("gatefold run makes one"),
    }
}

/// A promise that a run missed; nothing of any other event.
fn missed_text(what: &What) -> String {
    let What::PromiseMissed { table, date, promise, deadline, late_by_seconds, ready, .. } = what else {
        return String::new();
    };
    let deadline = deadline.format("%Y-%m-%d %H:%M UTC");
    let became = if *ready { "was ready" } else { "was not there" };
    let later = report::seconds(Duration::from_secs(*late_by_seconds));
    format!("promise missed ({promise}): {table} of {date} was due {deadline} and {became} {later} later")
}

/// What a day has changed in a history.
pub fn changes_text(changes: &ChangeRecord) -> String {
    let mut text = format!(
        "{} opened, {} closed, {} unchanged",
        report::count(changes.opened),
        report::count(changes.closed),
        report::count(changes.unchanged)
    );
    if changes.forgotten > 0 {
        text += &format!(", {} forgotten", report::count(changes.forgotten));
    }
    text
}

fn input_text(input: &InputRecord, fingerprint: &str) -> String {
    let kind = match input.kind {
        InputKind::Snapshot => "snapshot",
        InputKind::Table => "table",
    };
    let date = input.date.map(|date| format!(" of {date}")).unwrap_or_default();
    format!(
        "{kind} {}{date}: {} rows, {} in {} files (fingerprint {fingerprint})",
        input.name,
        report::count(input.rows),
        report::bytes(input.bytes),
        input.files,
    )
}

/// A check with its examples below it, each line behind `indent`.
fn check_text(check: &CheckRecord, indent: &str) -> String {
    let mark = match (check.passed, check.severity) {
        (true, _) => "passed",
        (false, Severity::Warn) => "warns ",
        (false, Severity::Block) => "BLOCKS",
    };
    let mut text = format!("{indent}{mark} {}: {}\n", check.name, check.detail);
    for example in &check.examples {
        text += &format!("{indent}         {example}\n");
    }
    text
}
