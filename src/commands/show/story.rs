//! A run as a person on call wants it: how it ended, then each job with what it read, made, found and failed of, and at the end
//! what to type.

use std::time::Duration;

use super::{changes_text, check_text, input_text, missed_text};
use crate::commands::report;
use crate::commands::runs::outcome_text;
use crate::job::Severity;
use crate::names::JobName;
use crate::record::{CheckRecord, ErrorRecord, Event, Outcome, RunHistory, What};

/// Digits of a fingerprint that tell it from others at a glance.
const SHORT: usize = 8;

/// How the run ended, and where it came from.
pub(super) fn head(history: &RunHistory) -> String {
    let summary = &history.summary;
    let mut text = format!(
        "run {} for {} in {}: {}\n",
        summary.run_id,
        summary.date,
        summary.environment.as_deref().unwrap_or("an unknown environment"),
        outcome_text(summary.outcome, summary.exit_code)
    );
    let took = summary.elapsed_ms.map(|ms| format!(", took {}", seconds(ms))).unwrap_or_default();
    text += &format!("    started {}{took}\n", summary.started_at.format("%Y-%m-%d %H:%M:%S UTC"));
    if let Some(What::RunStarted { command, host, version, .. }) = history.events.first().map(|event| &event.what) {
        text += &format!("    on {host} with gatefold {version}: {}\n", command.join(" "));
    }
    text
}

pub(super) fn text(history: &RunHistory) -> String {
    let mut text = snapshots(history);
    for job in &history.summary.jobs {
        text += &chapter(job, history);
    }
    text + &ending(history)
}

fn seconds(ms: u64) -> String {
    report::seconds(Duration::from_millis(ms))
}

/// The snapshots that were verified, and what the checks of their contracts found.
fn snapshots(history: &RunHistory) -> String {
    let verified = history.events.iter().filter_map(|event| match &event.what {
        What::SnapshotVerified {
            snapshot,
            date,
            rows,
            bytes,
            rejected,
            duplicates_dropped,
            ignored_columns,
            complete,
            checks,
            blocked,
            ..
        } => {
            let partial = if *complete { "" } else { " (partial: a key that is missing says nothing)" };
            let mut line = format!(
                "verified {snapshot} of {date}{partial}: {} rows, {}, {} rejected, {} duplicates dropped\n",
                report::count(*rows),
                report::bytes(*bytes),
                report::count(*rejected),
                report::count(*duplicates_dropped),
            );
            if !ignored_columns.is_empty() {
                line +=
                    &format!("    columns that the contract does not know, ignored: {}\n", ignored_columns.join(", "));
            }
            if !checks.is_empty() {
                let verdict = if *blocked { "blocked" } else { "passed" };
                line += &format!("    checks of {snapshot}: {verdict}\n{}", findings(checks));
            }
            Some(line)
        }
        _ => None,
    });
    let told: String = verified.collect();
    if told.is_empty() { told } else { format!("\n{told}") }
}

/// What failed, blocking first.
fn findings(checks: &[CheckRecord]) -> String {
    let failing = |severity| checks.iter().filter(move |check| !check.passed && check.severity == severity);
    failing(Severity::Block).chain(failing(Severity::Warn)).map(|check| check_text(check, "    ")).collect()
}

/// One job, from its inputs to its end.
fn chapter(job: &JobName, history: &RunHistory) -> String {
    let events: Vec<&Event> = history.events.iter().filter(|event| job_of(&event.what) == Some(job)).collect();
    let mut text = format!("\n{job}: {}\n", end_of(&events, history));
    for event in &events {
        text += &paragraph(&event.what);
    }
    let skipped: Vec<&str> = history.events.iter().filter_map(|event| skipped_for(&event.what, job)).collect();
    if !skipped.is_empty() {
        text += &format!("    skipped because of it: {}\n", skipped.join(", "));
    }
    text
}

fn job_of(what: &What) -> Option<&JobName> {
    match what {
        What::JobStarted { job, .. }
        | What::InputsResolved { job, .. }
        | What::Staged { job, .. }
        | What::Audited { job, .. }
        | What::Published { job, .. }
        | What::Loaded { job, .. }
        | What::UpToDate { job, .. }
        | What::JobFailed { job, .. }
        | What::JobSkipped { job, .. }
        | What::PromiseMissed { job, .. } => Some(job),
        _ => None,
    }
}

fn skipped_for<'a>(what: &'a What, of: &JobName) -> Option<&'a str> {
    match what {
        What::JobSkipped { job, because } if because == of && job != of => Some(job.as_str()),
        _ => None,
    }
}

/// How the job ended, in the words of its last event that tells.
fn end_of(events: &[&Event], history: &RunHistory) -> String {
    let told = events.iter().rev().find_map(|event| match &event.what {
        What::Published { table, partition, version, elapsed_ms, .. } => {
            Some(format!("published as {table} {partition}, version {version}, in {}", seconds(*elapsed_ms)))
        }
        What::UpToDate { table, partition, standing, .. } => Some(format!("{table} {partition} was {standing}")),
        What::JobFailed { exit_code, .. } => Some(format!("failed ({exit_code})")),
        What::JobSkipped { because, .. } => Some(format!("skipped, because {because} did not succeed")),
        _ => None,
    });
    told.unwrap_or_else(|| match (history.summary.outcome, events.is_empty()) {
        (Outcome::Running, true) => "has not begun".to_owned(),
        (Outcome::Running, false) => "at work".to_owned(),
        (Outcome::Interrupted, true) => "not begun when the run died".to_owned(),
        (Outcome::Interrupted, false) => "cut off when the run died".to_owned(),
        _ => "the record does not say how it ended".to_owned(),
    })
}

fn paragraph(what: &What) -> String {
    match what {
        What::InputsResolved { inputs, .. } => {
            let inputs = inputs.iter().map(|input| {
                let fingerprint: String = input.fingerprint.chars().take(SHORT).collect();
                format!("    reads {}\n", input_text(input, &fingerprint))
            });
            inputs.collect()
        }
        What::Staged { rows, bytes, files, elapsed_ms, peak_memory_bytes, spilled_bytes, changes, .. } => {
            let changes = changes.map(|changes| format!(": {}", changes_text(&changes))).unwrap_or_default();
            let memory = peak_memory_bytes.map(|peak| format!(", the process held {} at most", report::bytes(peak)));
            let spilled =
                spilled_bytes.filter(|bytes| *bytes > 0).map(|bytes| format!(", {} spilled", report::bytes(bytes)));
            format!(
                "    made {} rows, {} in {} files, in {}{}{}{changes}\n",
                report::count(*rows),
                report::bytes(*bytes),
                files.len(),
                seconds(*elapsed_ms),
                memory.unwrap_or_default(),
                spilled.unwrap_or_default(),
            )
        }
        What::Audited { checks, .. } => {
            let passed = checks.iter().filter(|check| check.passed).count();
            format!("    checks: {passed} of {} passed\n{}", checks.len(), findings(checks))
        }
        What::Published { rows, .. } => format!("    readers see {} rows\n", report::count(*rows)),
        What::Loaded { table, rows, scanned_bytes, bigquery_job, .. } => format!(
            "    BigQuery shows {} rows of {table}, verified, {} scanned (job {bigquery_job})\n",
            report::count(*rows),
            report::bytes(*scanned_bytes),
        ),
        What::JobFailed { message, error, .. } => error_text(message, error.as_ref()),
        missed @ What::PromiseMissed { .. } => format!("    {}\n", missed_text(missed)),
        _ => String::new(),
    }
}

fn error_text(message: &str, error: Option<&ErrorRecord>) -> String {
    let Some(error) = error else { return format!("    error: {message}\n") };
    let mut text = format!("    error: {}\n", error.message);
    for (key, value) in &error.context {
        text += &format!("      {key}: {value}\n");
    }
    for cause in &error.causes {
        text += &format!("      cause: {}\n", cause.lines().next().unwrap_or_default());
    }
    if let Some(hint) = &error.hint {
        text += &format!("      hint: {hint}\n");
    }
    text
}

/// What to type: the same again, and what the outcome asks for.
fn ending(history: &RunHistory) -> String {
    let summary = &history.summary;
    let names = |jobs: &[&JobName]| jobs.iter().map(|job| format!(" {job}")).collect::<String>();
    let place = format!(
        " --date {}{}",
        summary.date,
        summary.environment.as_ref().map(|name| format!(" --env {name}")).unwrap_or_default()
    );
    let all: Vec<&JobName> = summary.jobs.iter().collect();
    let mut text = format!("\nto make it again: gatefold run{}{place} --force\n", names(&all));
    let left: Vec<&JobName> = all.into_iter().filter(|job| is_left(job, history)).collect();
    let rest = format!("gatefold run{}{place}", names(&left));
    if let Some(next) = next_step(history, &rest) {
        text += &format!("next: {next}\n");
    }
    text
}

/// Whether a job is still to be done.
fn is_left(of: &JobName, history: &RunHistory) -> bool {
    let last = history.events.iter().rev().find_map(|event| match &event.what {
        What::Published { job, .. } | What::UpToDate { job, .. } if job == of => Some(false),
        What::JobFailed { job, .. } | What::JobSkipped { job, .. } if job == of => Some(true),
        _ => None,
    });
    last.unwrap_or(true)
}

fn next_step(history: &RunHistory, rest: &str) -> Option<String> {
    let code = match (history.summary.outcome, history.summary.exit_code) {
        (Outcome::Interrupted, _) => return Some(format!("run what is left, which finishes its work: {rest}")),
        (Outcome::Failed, code) => code?,
        _ => return None,
    };
    Some(match code {
        10 => format!("wait for the input that is missing, then: {rest}"),
        11 => format!("have the source deliver a sound day, or mend its contract, then: {rest}"),
        12 => format!("look at the rows that the check names; mend the source, the model or the check, then: {rest}"),
        13 => format!("trying again may mend it: {rest}"),
        14 => format!("another run is at work, see gatefold runs; when it has ended: {rest}"),
        70 => format!("a fault of gatefold: keep this record, report it, and try once more: {rest}"),
        _ => format!("mend the project until gatefold check is content, then: {rest}"),
    })
}
