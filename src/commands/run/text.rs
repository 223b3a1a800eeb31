//! What a run prints for people.

use crate::check::Report;
use crate::commands::report;
use crate::commands::show::changes_text;
use crate::names::JobName;
use crate::pipeline::{Done, JobEnd, RunEnd};
use crate::plan::Plan;
use crate::publish::Published;
use crate::publish::bigquery::{Loaded, ViewEnd};
use crate::record::ChangeRecord;

pub(super) fn print(plan: &Plan<'_>, ran: &RunEnd) {
    let rows = ran.jobs.iter().map(|(name, end)| row_of(plan, name, end)).collect();
    println!("run {} for {}", ran.run_id, plan.date);
    println!("{}", report::table(&["table", "partition", "rows#", "checks", "time#", "rows/s#", "outcome"], rows));
    for (name, report) in &ran.snapshots {
        print_warnings(name.as_str(), report);
    }
    for (name, end) in &ran.jobs {
        if let JobEnd::Done(done) = end
            && let Done::Published { report, .. } = done.as_ref()
        {
            print_warnings(name.as_str(), report);
        }
    }
    for (view, end) in &ran.warehouse.views {
        match end {
            ViewEnd::Published => println!("view {view}: published"),
            ViewEnd::Waits { for_table } => println!("view {view}: waits for {for_table}, which was never published"),
            ViewEnd::Unchanged => {}
        }
    }
    for missed in &ran.promises.missed {
        println!("warning: {}: promise missed: {missed}", missed.job);
    }
    for error in ran.failures() {
        report::error(error);
    }
    println!("{} in {}", if ran.failed() { "failed" } else { "done" }, report::seconds(ran.elapsed));
}

fn print_warnings(name: &str, report: &Report) {
    for finding in report.warnings() {
        println!("warning: {name}: {}: {}", finding.name, finding.detail);
        for example in &finding.examples {
            println!("  {example}");
        }
    }
}

fn row_of(plan: &Plan<'_>, name: &JobName, end: &JobEnd) -> Vec<String> {
    let planned = plan.jobs.iter().find(|planned| planned.job.name == *name);
    let table = planned.map_or_else(|| name.to_string(), |planned| planned.job.table.name.to_string());
    let partition = planned.map(|planned| planned.partition.to_string()).unwrap_or_default();
    let mut row = vec![table, partition];
    row.extend(match end {
        JobEnd::Done(done) => done_cells(done),
        JobEnd::Failed(error) => without_figures(format!("failed ({})", error.kind().exit_code())),
        JobEnd::Skipped { because } => without_figures(format!("skipped, {because} did not succeed")),
    });
    row
}

/// Rows, checks, time, rows a second, outcome.
fn done_cells(done: &Done) -> [String; 5] {
    match done {
        Done::Published { published, report, input_rows, loaded, elapsed } => [
            report::count(published.rows),
            checks_text(report),
            report::seconds(*elapsed),
            report::count((*input_rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64),
            published_text(published) + loaded_text(loaded.as_ref()),
        ],
        Done::UpToDate { standing, loaded } => without_figures(standing.to_string() + loaded_text(loaded.as_ref())),
    }
}

fn without_figures(outcome: String) -> [String; 5] {
    [String::new(), String::new(), String::new(), String::new(), outcome]
}

fn published_text(published: &Published) -> String {
    let text = format!("published, version {}", published.version);
    match published.changes {
        Some(counts) => format!("{text}: {}", changes_text(&ChangeRecord::from(counts))),
        None => text,
    }
}

/// What became of the partition in the warehouse, where there is one.
fn loaded_text(loaded: Option<&Loaded>) -> &'static str {
    match loaded {
        Some(loaded) if loaded.already => "; BigQuery has it",
        Some(_) => "; in BigQuery, verified",
        None => "",
    }
}

fn checks_text(report: &Report) -> String {
    let (all, warnings) = (report.findings.len(), report.warnings().count());
    match warnings {
        0 => format!("{all} passed"),
        _ => format!("{} passed, {warnings} warn", all - warnings),
    }
}
