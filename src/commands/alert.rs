//! `gatefold alert`: tries the channels of an environment; and what other commands do when they have something to tell.

use serde::Serialize;

use super::stop::{is_stop, stopped};
use super::workspace::Workspace;
use super::{print_json, report};
use crate::alert::{self, Alert, Sender};
use crate::cli::{Format, Global};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{JobName, SnapshotDate};
use crate::pipeline::RunEnd;
use crate::plan::Plan;
use crate::promise::Clock;
use crate::status::{Report, gather};
use crate::storage::Storage;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

const TEST_EXAMPLES: &str = "\
Examples:
  gatefold alert test
  gatefold alert test --env prod";

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Send a test message to every channel of the environment; exit 13 when one does not take it.
    #[command(after_help = TEST_EXAMPLES)]
    Test,
}

#[derive(Serialize)]
struct ChannelJson<'a> {
    channel: &'a str,
    sent: bool,
    error: Option<String>,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let What::Test = args.what;
    let workspace = Workspace::open(global)?;
    let environment = &workspace.environment;
    if environment.alerts.is_empty() {
        return Err(Error::project(format!("the environment '{}' has no alerts", environment.name))
            .hint(format!("state one in gatefold.toml: [[env.{}.alert]]", environment.name)));
    }
    let lake = workspace.lake()?;
    let sender = Sender { project: &workspace.project, environment, lake: &lake };
    let tests = environment.alerts.iter();
    let tests = tests.map(|channel| async move { (channel, alert::send_test(sender, channel).await) });
    let tests = futures::future::join_all(tests).await;
    if global.format == Format::Json {
        let told: Vec<ChannelJson<'_>> = tests
            .iter()
            .map(|(channel, sent)| ChannelJson {
                channel: &channel.name,
                sent: sent.is_ok(),
                error: sent.as_ref().err().map(Error::to_string),
            })
            .collect();
        print_json(&told, global)?;
    } else {
        let outcome = |sent: &Result<()>| if sent.is_ok() { "sent" } else { "failed" };
        let rows = tests.iter().map(|(channel, sent)| vec![channel.name.clone(), outcome(sent).to_owned()]).collect();
        println!("{}", report::table(&["channel", "outcome"], rows));
    }
    let mut exit_code = 0;
    for error in tests.iter().filter_map(|(_, sent)| sent.as_ref().err()) {
        report::error(error);
        exit_code = ErrorKind::Publish.exit_code();
    }
    Ok(exit_code)
}

/// Tells the channels of a run that ended before its jobs had, and hands its end on. That a person or a scheduler stopped it is
/// no news.
pub async fn unless_broken(workspace: &Workspace, date: SnapshotDate, ran: Result<RunEnd>) -> Result<RunEnd> {
    let Err(error) = &ran else { return ran };
    let (project, environment) = (&workspace.project, &workspace.environment);
    if !is_stop(error)
        && let Ok(lake) = workspace.lake()
    {
        let alerts = [Alert::broken(&environment.name, date, error)];
        let sender = Sender { project, environment, lake: &lake };
        tokio::select! {
            troubles = alert::send(sender, None, &alerts) => troubles.iter().for_each(warn),
            _ = stopped() => {}
        }
    }
    ran
}

/// Tells the channels which of these jobs' tables are late now.
pub async fn about_late(workspace: &Workspace, jobs: &[JobName]) -> Result<()> {
    if workspace.environment.alerts.is_empty() {
        return Ok(());
    }
    let lake = workspace.lake()?;
    let now = Clock::read()?.now();
    let facts = gather(&workspace.project, &workspace.environment, &lake, jobs, now).await?;
    after_status(workspace, &lake, &Report::of(facts, "")).await;
    Ok(())
}

/// What a backfill has made is well again, and the next failure of it is told. Failures are not: who types a backfill reads them.
pub async fn after_backfill(workspace: &Workspace, plan: &Plan<'_>, ran: &RunEnd) {
    let (project, environment) = (&workspace.project, &workspace.environment);
    if let Ok(lake) = workspace.lake() {
        alert::forget(Sender { project, environment, lake: &lake }, plan, ran).await.iter().for_each(warn);
    }
}

/// Tells the channels which tables are late, whoever was to make them. What is not sent is a warning.
pub async fn after_status(workspace: &Workspace, lake: &Storage, report: &Report) {
    let (project, environment) = (&workspace.project, &workspace.environment);
    let missed = report.missed();
    let alerts = missed.iter().filter_map(|missed| {
        let job = project.jobs.get(&missed.job)?;
        Some(Alert::late(project, &environment.name, job, missed))
    });
    let alerts: Vec<Alert> = alerts.collect();
    alert::send(Sender { project, environment, lake }, None, &alerts).await.iter().for_each(warn);
}

/// Tells the channels how a run ended. It changes nothing of that: what is not sent is a warning, and who is asked to stop
/// while sending stops.
pub async fn after_run(workspace: &Workspace, plan: &Plan<'_>, ran: &RunEnd) {
    let lake = match workspace.lake() {
        Ok(lake) => lake,
        Err(error) => return warn(&error),
    };
    let sender = Sender { project: &workspace.project, environment: &workspace.environment, lake: &lake };
    tokio::select! {
        troubles = alert::after_run(sender, plan, ran) => troubles.iter().for_each(warn),
        signal = stopped() => tracing::warn!("alerts were not sent: stopped by {signal}; the next run sends them"),
    }
}

fn warn(error: &Error) {
    let cause = error.causes().pop().map(|cause| format!("; cause: {cause}")).unwrap_or_default();
    tracing::warn!("an alert was not sent: {error}{cause}");
}
