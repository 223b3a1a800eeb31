//! `gatefold plan`: what would run, why, in what order, and how much it reads.

use serde::Serialize;

use super::selection::Selection;
use super::workspace::{self, Workspace};
use super::{print_json, report};
use crate::cli::{Format, Global};
use crate::error::{ErrorKind, Result};
use crate::names::SnapshotDate;
use crate::pipeline::{Survey, preview};
use crate::plan::Plan;
use crate::publish::bigquery::{Forecast, TableState, Warehouse};
use crate::record::InputRecord;

const EXAMPLES: &str = "\
Examples:
  gatefold plan                                      # what would run for the latest day, and why
  gatefold plan user_daily+ --date 2026-11-20
  gatefold plan --env prod                           # with BigQuery: tables to make, bytes, dollars";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub selection: Selection,
    /// The snapshot date, as for run.
    #[arg(long, value_parser = workspace::date)]
    pub date: Option<SnapshotDate>,
    /// Plan as if nothing was published yet from the same inputs.
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Step {
    job: String,
    table: String,
    partition: String,
    runs: bool,
    why: String,
    after: Vec<String>,
    inputs: Vec<InputRecord>,
    /// In an environment with a warehouse.
    bigquery: Option<Load>,
}

/// What would happen in BigQuery.
#[derive(Serialize)]
struct Load {
    table: String,
    /// Whether the run makes it.
    new_table: bool,
    /// What differs from the contract, each with what becomes of it.
    differences: Vec<String>,
    /// What a person runs to approve what the run refuses; empty when it refuses nothing.
    approval: String,
    /// Of one partition, or of the whole table.
    files: usize,
    bytes: u64,
    /// By the partition that is there, because the new one is not made yet.
    estimated: bool,
    /// Whether BigQuery shows these files already.
    loaded: bool,
    /// Of the comparison.
    us_dollars: f64,
}

impl Load {
    fn of(forecast: Forecast) -> Self {
        let (differences, approval) = match &forecast.state {
            TableState::Missing => (Vec::new(), String::new()),
            TableState::There(migration) => {
                let told = migration.differences.iter().map(ToString::to_string).collect();
                (told, if migration.is_refused() { migration.sql().to_owned() } else { String::new() })
            }
        };
        Load {
            table: forecast.table,
            new_table: matches!(forecast.state, TableState::Missing),
            differences,
            approval,
            files: forecast.files,
            bytes: forecast.bytes,
            estimated: forecast.estimated,
            loaded: forecast.loaded,
            us_dollars: forecast.cost,
        }
    }
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let (lake, snapshots, key) = (workspace.lake()?, workspace.snapshots()?, workspace.key()?);
    let date = workspace.date(args.date, &args.selection.words(), &snapshots).await?;
    let plan = Plan::resolve(&workspace.project, date, &args.selection.words())?;
    let key = key.as_ref().map(|key| key.fingerprint());
    let warehouse = Warehouse::connect(&workspace.environment).await?;
    let mut steps = Vec::new();
    let project = workspace.environment.bigquery.as_ref().map(|bigquery| bigquery.project.as_str());
    let survey = Survey::new(&lake, &snapshots, key, project);
    for previewed in preview(&plan, &survey, args.force).await? {
        let planned = &previewed.planned;
        let bigquery = match &warehouse {
            Some(warehouse) => {
                let makes = previewed.reason.makes();
                Some(Load::of(warehouse.forecast(&workspace.project, planned, &lake, makes).await?))
            }
            None => None,
        };
        steps.push(Step {
            job: planned.job.name.to_string(),
            table: planned.job.table.name.to_string(),
            partition: planned.partition.to_string(),
            runs: previewed.reason.runs(),
            why: previewed.reason.to_string(),
            after: planned.after.iter().map(ToString::to_string).collect(),
            inputs: previewed.inputs,
            bigquery,
        });
    }
    if global.format == Format::Json {
        print_json(&serde_json::json!({ "date": date, "steps": steps }), global)?;
    } else {
        tell(date, &steps);
    }
    let refused = steps.iter().filter_map(|step| step.bigquery.as_ref()).any(|load| !load.approval.is_empty());
    Ok(if refused { ErrorKind::Project.exit_code() } else { 0 })
}

fn tell(date: SnapshotDate, steps: &[Step]) {
    println!("plan for {date}");
    for (number, step) in steps.iter().enumerate() {
        let verb = if step.runs { "run " } else { "skip" };
        println!("{:>3}. {verb} {} -> {} {}: {}", number + 1, step.job, step.table, step.partition, step.why);
        let rows = step.inputs.iter().map(|input| {
            let date = input.date.map(|date| date.to_string()).unwrap_or_default();
            vec![format!("     {}", input.name), date, input.files.to_string(), report::bytes(input.bytes)]
        });
        if !step.inputs.is_empty() {
            println!("{}", report::table(&["     reads", "date", "files#", "size#"], rows.collect()));
        }
        if let Some(load) = &step.bigquery {
            tell_load(load);
        }
    }
}

fn tell_load(load: &Load) {
    let table = match (load.new_table, load.differences.is_empty()) {
        (true, _) => "is made",
        (false, true) => "is as its contract says",
        (false, false) => "differs from its contract",
    };
    println!("     BigQuery: {} {table}", load.table);
    load.differences.iter().for_each(|difference| println!("       {difference}"));
    if !load.approval.is_empty() {
        println!("       what you would run to approve it:");
        load.approval.lines().for_each(|line| println!("         {line}"));
    }
    if load.loaded {
        return println!("       nothing to load: it shows these files");
    }
    let about = if load.estimated { "about " } else { "" };
    println!(
        "       load {about}{} in {} files, one partition; compare for {about}${:.4}",
        report::bytes(load.bytes),
        load.files,
        load.us_dollars
    );
}
