//! `gatefold test`: the model tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::selection::Selection;
use super::{print_json, report};
use crate::cli::{Format, Global};
use crate::error::{Error, ErrorKind, Result};
use crate::model_test::{self, FOLDER, Failure, ModelTest, Outcome};
use crate::project::Project;

const EXAMPLES: &str = "\
Examples:
  gatefold test
  gatefold test user_daily --filter grace -v         # the tests of a job with this word in their names, each named

Exits with 0 when all tests pass, with 12 when one fails, with 2 when a test file or a model is broken.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub selection: Selection,
    /// Only tests whose name contains this text, whatever its case.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let started = Instant::now();
    let project = Arc::new(Project::load(&global.project)?);
    let tests = selected(&project, args)?;
    let outcomes = model_test::run_all(project, tests).await?;
    if global.format == Format::Json {
        print_json(&told(&outcomes, started.elapsed()), global)?;
    } else {
        print(&outcomes, started.elapsed(), global.verbose > 0);
    }
    let failed = outcomes.iter().any(|outcome| outcome.failure.is_some());
    Ok(if failed { ErrorKind::CheckBlocked.exit_code() } else { 0 })
}

fn selected(project: &Project, args: &Args) -> Result<Vec<ModelTest>> {
    let jobs = args.selection.jobs(project)?;
    let mut tests = model_test::load(project)?;
    tests.retain(|test| jobs.contains(&test.job));
    let Some(filter) = args.filter.as_deref() else { return Ok(tests) };
    let wanted = filter.to_lowercase();
    tests.retain(|test| test.name.to_lowercase().contains(&wanted));
    if tests.is_empty() {
        return Err(Error::project(format!("no test of these jobs has '{filter}' in its name"))
            .hint("gatefold test --verbose lists the tests"));
    }
    Ok(tests)
}

fn print(outcomes: &[Outcome], elapsed: Duration, verbose: bool) {
    let colour = report::colour_on(&std::io::stdout());
    for outcome in outcomes {
        let told = match &outcome.failure {
            Some(failure) => failed_text(outcome, failure, colour),
            None if verbose => passed_text(outcome, colour),
            None => continue,
        };
        println!("{told}");
    }
    if outcomes.is_empty() {
        println!("there are no model tests; write them in {FOLDER}/<job>.toml");
        return;
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    println!("{} passed, {failed} failed in {}", outcomes.len() - failed, report::seconds(elapsed));
}

fn passed_text(outcome: &Outcome, colour: bool) -> String {
    format!(
        "{} {:>5} ms  {}: {}",
        paint("ok    ", "32", colour),
        milliseconds(outcome),
        outcome.test.job,
        outcome.test.name
    )
}

fn failed_text(outcome: &Outcome, failure: &Failure, colour: bool) -> String {
    let test = &outcome.test;
    let head =
        format!("{} {:>5} ms  {}: {}", paint("FAILED", "1;31", colour), milliseconds(outcome), test.job, test.name);
    let body = match failure {
        Failure::Rows(diff) => model_test::text_of(diff, colour),
        Failure::Error(error) => report::error_text(error, colour),
    };
    let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
    format!("{head}\n  {}, date {}\n{body}", test.at, test.date)
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn milliseconds(outcome: &Outcome) -> u128 {
    outcome.elapsed.as_millis()
}

fn told(outcomes: &[Outcome], elapsed: Duration) -> Value {
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    json!({
        "passed": outcomes.len() - failed,
        "failed": failed,
        "elapsed_ms": elapsed.as_millis() as u64,
        "tests": outcomes.iter().map(told_test).collect::<Vec<_>>(),
    })
}

fn told_test(outcome: &Outcome) -> Value {
    let test = &outcome.test;
    let (error, diff) = match &outcome.failure {
        None => (None, None),
        Some(Failure::Rows(diff)) => (None, Some(diff)),
        Some(Failure::Error(error)) => (Some(error.to_string()), None),
    };
    json!({
        "job": test.job,
        "name": test.name,
        "at": test.at.to_string(),
        "date": test.date,
        "passed": outcome.failure.is_none(),
        "elapsed_ms": milliseconds(outcome) as u64,
        "error": error,
        "diff": diff,
    })
}
