//! The events of a run as they came, one after the other.

use std::time::Duration;

use super::{changes_text, check_text, input_text, missed_text};
use crate::commands::report;
use crate::record::{CheckRecord, Event, RunHistory, What};

pub(super) fn text(history: &RunHistory) -> String {
    history.events.iter().map(chapter).collect()
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
                let told: Vec<String> = checks.iter().map(|check: &CheckRecord| check_text(check, "    ")).collect();
                line += format!("\n    checks of {snapshot}: {verdict}\n{}", told.concat()).trim_end();
            }
            line
        }
        What::JobStarted { job, table, partition, fencing_token } => {
            format!("{job}: holds the lease of {table} {partition}, fencing token {fencing_token}")
        }
        What::InputsResolved { job, inputs, job_hash, sql_hash, fingerprint } => {
            let inputs: Vec<String> =
                inputs.iter().map(|input| format!("    {}\n", input_text(input, &input.fingerprint))).collect();
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
            let checks_text: Vec<String> = checks.iter().map(|check: &CheckRecord| check_text(check, "    ")).collect();
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
        missed @ What::PromiseMissed { job, .. } => format!("{job}: {}", missed_text(missed)),
        What::RunFinished { exit_code, elapsed_ms, .. } => {
            format!("finished with exit {exit_code} in {}", took(elapsed_ms))
        }
    };
    format!("{at}  {line}\n")
}
