//! `gatefold show`: the story of one run, from its record.

use std::time::Duration;

use super::runs::outcome_text;
use super::workspace::Workspace;
use super::{print_json, report};
use crate::cli::{Format, Global};
use crate::error::Result;
use crate::job::Severity;
use crate::record::{self, ChangeRecord, CheckRecord, Event, InputKind, InputRecord, RunHistory, What};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's id, or the beginning of it.
    pub run: String,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let history = record::history::read(&workspace.lake()?, &args.run).await?;
    if global.format == Format::Json {
        print_json(&history, global)?;
    } else {
        print!("{}", story(&history));
    }
    Ok(0)
}

fn story(history: &RunHistory) -> String {
    let summary = &history.summary;
    let mut text = format!(
        "run {} for {} in {}: {}\n",
        summary.run_id,
        summary.date,
        summary.environment.as_deref().unwrap_or("an unknown environment"),
        outcome_text(summary.outcome, summary.exit_code)
    );
    for event in &history.events {
        text += &chapter(event);
    }
    for warning in &history.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

fn chapter(event: &Event) -> String {
    let at = event.at.format("%H:%M:%S%.3f");
    let took = |ms: &u64| report::seconds(Duration::from_millis(*ms));
    let line = match &event.what {
        What::RunStarted { command, host, version, .. } => {
            format!("started on {host} with gatefold {version}: {}", command.join(" "))
        }
        What::SnapshotVerified {
            snapshot,
            date,
            rows,
            bytes,
            files,
            rejected,
            duplicates_dropped,
            ignored_columns,
            fingerprint,
            complete,
            checks,
            blocked,
            elapsed_ms,
            ..
        } => {
            let partial = if *complete { "" } else { " (partial: a key that is missing says nothing)" };
            let mut line = format!(
                "verified {snapshot} of {date}{partial}: {} rows, {} in {files} files, {} rejected, {} duplicates dropped, {} (fingerprint {fingerprint})",
                report::count(*rows),
                report::bytes(*bytes),
                report::count(*rejected),
                report::count(*duplicates_dropped),
                took(elapsed_ms),
            );
            if !ignored_columns.is_empty() {
                line +=
                    &format!("\n    columns that the contract does not know, ignored: {}", ignored_columns.join(", "));
            }
            if !checks.is_empty() {
                let verdict = if *blocked { "blocked" } else { "passed" };
                let told: Vec<String> = checks.iter().map(check_text).collect();
                line += format!("\n    checks of {snapshot}: {verdict}\n{}", told.concat()).trim_end();
            }
            line
        }
        What::JobStarted { job, table, partition, fencing_token } => {
            format!("{job}: holds the lease of {table} {partition}, fencing token {fencing_token}")
        }
        What::InputsResolved { job, inputs, job_hash, sql_hash, fingerprint } => {
            let inputs: Vec<String> = inputs.iter().map(input_text).collect();
            format!(
                "{job}: reads\n{}    job text {job_hash}, SQL text {sql_hash}, together {fingerprint}",
                inputs.concat()
            )
        }
        What::Staged { job, rows, bytes, files, elapsed_ms, changes, .. } => {
            let changes = changes.map(|changes| format!(": {}", changes_text(&changes))).unwrap_or_default();
            format!(
                "{job}: staged {} rows, {} in {} files, {}{changes}",
                report::count(*rows),
                report::bytes(*bytes),
                files.len(),
                took(elapsed_ms)
            )
        }
        What::Audited { job, checks, blocked, elapsed_ms } => {
            let checks_text: Vec<String> = checks.iter().map(check_text).collect();
            let verdict = if *blocked { "blocked" } else { "passed" };
            format!("{job}: audited, {verdict}, {}\n{}", took(elapsed_ms), checks_text.concat()).trim_end().to_owned()
        }
        What::Published { job, table, partition, version, rows, changes, elapsed_ms } => {
            let changes = changes.map(|changes| format!(" ({})", changes_text(&changes))).unwrap_or_default();
            format!(
                "{job}: published {} rows as {table} {partition}, version {version}, {} in all{changes}",
                report::count(*rows),
                took(elapsed_ms)
            )
        }
        What::Loaded { job, table, partition, rows, bytes, scanned_bytes, bigquery_job, elapsed_ms } => {
            format!(
                "{job}: BigQuery shows {} rows of {table} {partition}, verified, {} loaded, {} scanned, {} (job {bigquery_job})",
                report::count(*rows),
                report::bytes(*bytes),
                report::bytes(*scanned_bytes),
                took(elapsed_ms)
            )
        }
        What::UpToDate { job, table, partition, standing } => {
            format!("{job}: {table} {partition} was {standing}")
        }
        What::JobFailed { job, exit_code, message, .. } => format!("{job}: failed with exit {exit_code}: {message}"),
        What::JobSkipped { job, because } => format!("{job}: skipped, because {because} did not succeed"),
        What::RunFinished { exit_code, elapsed_ms, .. } => {
            format!("finished with exit {exit_code} in {}", took(elapsed_ms))
        }
    };
    format!("{at}  {line}\n")
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

fn input_text(input: &InputRecord) -> String {
    let kind = match input.kind {
        InputKind::Snapshot => "snapshot",
        InputKind::Table => "table",
    };
    let date = input.date.map(|date| format!(" of {date}")).unwrap_or_default();
    format!(
        "    {kind} {}{date}: {} rows, {} in {} files (fingerprint {})\n",
        input.name,
        report::count(input.rows),
        report::bytes(input.bytes),
        input.files,
        input.fingerprint
    )
}

fn check_text(check: &CheckRecord) -> String {
    let mark = match (check.passed, check.severity) {
        (true, _) => "passed",
        (false, Severity::Warn) => "warns ",
        (false, Severity::Block) => "BLOCKS",
    };
    let mut text = format!("    {mark} {}: {}\n", check.name, check.detail);
    for example in &check.examples {
        text += &format!("             {example}\n");
    }
    text
}
