//! What publishing to BigQuery costs: `user_daily` with and without the warehouse, against the cloud on loopback.
//!
//! `GATEFOLD_CLOUD_PYTHON` names the interpreter of `make cloud`. The service's own work is in the times: an emulator's, not
//! BigQuery's; requests and memory are what carries over.

#[path = "../common/mod.rs"]
mod common;

mod cloud;

use std::fs;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use clap::Parser;

use cloud::Cloud;
use common::child::{Measured, measure};
use common::project::Project;
use common::{Result, machine};

const LAST_DAY: &str = "2026-11-20";
const JOB: &str = "user_daily";

#[derive(Debug, Parser)]
struct Args {
    /// Partitions that one command publishes, day after day.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    partitions: Vec<u32>,
    /// Accounts of each of them.
    #[arg(long, default_value_t = 10_000)]
    accounts: u64,
    /// Accounts of one large partition.
    #[arg(long, default_value_t = 1_000_000)]
    large: u64,
    /// What `cargo bench` adds to every call.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Some partitions, in the lake alone and in BigQuery too.
struct Cost {
    partitions: u32,
    accounts: u64,
    lake: Measured,
    both: Measured,
    requests: cloud::Requests,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cloud = Cloud::start()?;
    let most = args.partitions.iter().copied().max().unwrap_or(1);
    let small = prepared(&cloud, args.accounts, most)?;
    let mut costs = Vec::new();
    for partitions in &args.partitions {
        costs.push(publish(&cloud, &small, args.accounts, *partitions)?);
    }
    let large = prepared(&cloud, args.large, 1)?;
    costs.push(publish(&cloud, &large, args.large, 1)?);
    print!("{}", markdown(&costs));
    Ok(())
}

fn prepared(cloud: &Cloud, accounts: u64, days: u32) -> Result<Project> {
    let project = Project::new(&format!("publish-{accounts}-{days}"));
    project.prepare(accounts, days, LAST_DAY)?;
    let settings = project.root.join("gatefold.toml");
    let text = fs::read_to_string(&settings)?;
    fs::write(settings, format!("{}\n{}", without_environment(&text, "bench"), cloud.environment("bench")))?;
    Ok(project)
}

/// The file up to an environment that a bench before this one has added.
fn without_environment<'a>(text: &'a str, name: &str) -> &'a str {
    text.split_once(&format!("[env.{name}]")).map_or(text, |(before, _)| before).trim_end()
}

fn publish(cloud: &Cloud, project: &Project, accounts: u64, partitions: u32) -> Result<Cost> {
    eprintln!("{partitions} partitions of {accounts} accounts");
    project.forget_runs()?;
    let lake = run(project, "local", partitions)?;
    project.forget_runs()?;
    cloud.forget_requests()?;
    let both = run(project, "bench", partitions)?;
    let requests = cloud.requests()?;
    project.forget_runs()?;
    Ok(Cost { partitions, accounts, lake, both, requests })
}

fn run(project: &Project, environment: &str, partitions: u32) -> Result<Measured> {
    let last: NaiveDate = LAST_DAY.parse()?;
    let first = last.checked_sub_days(Days::new(u64::from(partitions) - 1)).ok_or("the days end")?;
    let mut command = project.gatefold();
    command.args(["run", JOB, "--force", "--env", environment, "--to", LAST_DAY, "--from", &first.to_string()]);
    measure(&mut command)
}

fn markdown(costs: &[Cost]) -> String {
    let mut text = format!("`{JOB}` on {}, into the cloud on loopback.\n\n", machine());
    text += "| partitions | accounts | lake alone | and BigQuery | share of BigQuery | our CPU time, more | peak memory, alone | and BigQuery | \
             requests a partition: BigQuery | storage |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for Cost { partitions, accounts, lake, both, requests } in costs {
        let seconds = |time: Duration| time.as_secs_f64();
        let share = (seconds(both.elapsed) - seconds(lake.elapsed)) / seconds(both.elapsed) * 100.0;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        text += &format!(
            "| {partitions} | {accounts} | {:.1} s | {:.1} s | {share:.0} % | {:.1} s | {:.0} MiB | {:.0} MiB | {:.1} | {:.1} |\n",
            seconds(lake.elapsed),
            seconds(both.elapsed),
            seconds(both.cpu) - seconds(lake.cpu),
            mebibytes(lake.peak_bytes),
            mebibytes(both.peak_bytes),
            requests.bigquery as f64 / f64::from(*partitions),
            requests.storage as f64 / f64::from(*partitions),
        );
    }
    text
}
