//! `gatefold status`: one screen for a person who was just woken, and an exit code for monitors.

mod lines;
mod look;
mod text;

use std::path::Path;

use chrono::{DateTime, Utc};

use self::look::Look;
use super::selection::Selection;
use super::workspace::Workspace;
use super::{alert, print_json};
use crate::cli::{Format, Global};
use crate::error::Result;
use crate::promise::Clock;
use crate::status::{Report, gather};

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    #[command(flatten)]
    pub selection: Selection,
    /// Ask about another instant, as in 2026-11-21T06:00:00Z; the lake is told as it is now.
    #[arg(long, value_name = "INSTANT", conflicts_with = "alert")]
    pub now: Option<DateTime<Utc>>,
    /// Send an alert for every table that is late, once; see docs/alerts.md.
    #[arg(long)]
    pub alert: bool,
}

const AFTER: &str = "\
Exit codes, for monitors:
   0  all is well; checks that only warn are told
  10  something is not there that should be: a table is late, stale, has gaps or was never published, BigQuery does not show
      it yet, or its last run failed in a way that another run may mend
  12  a person is needed: in the last run of a table a check blocked (12), an input broke its contract (11), the project was
      wrong (2) or gatefold failed (70); or its log cannot be read

Examples:
  gatefold status
  gatefold status tag:users --env prod
  gatefold status --format json                      # every fact, for monitors
  gatefold status --alert                            # by cron: also of tables that nobody tried to make";

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let jobs = args.selection.jobs(&workspace.project)?;
    let lake = workspace.lake()?;
    let now = args.now.map_or_else(|| Clock::read().map(|clock| clock.now()), Ok)?;
    let facts = gather(&workspace.project, &workspace.environment, &lake, &jobs, now).await?;
    let flags = flags(global);
    let report = Report::of(facts, &flags);
    match global.format {
        Format::Json => print_json(&report, global)?,
        _ => print!("{}", text::page(&report, &flags, &Look::of_stdout())),
    }
    if args.alert {
        alert::after_status(&workspace, &lake, &report).await;
    }
    Ok(report.exit_code)
}

/// What must follow a command that is offered, so that it finds the same project and environment.
fn flags(global: &Global) -> String {
    let mut flags = String::new();
    if let Some(environment) = &global.env {
        flags += &format!(" --env {environment}");
    }
    if global.project != Path::new(".") {
        flags += &format!(" --project {}", global.project.display());
    }
    flags
}
