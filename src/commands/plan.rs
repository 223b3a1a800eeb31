//! `gatefold plan`: what would run, why, in what order, and how much it reads.

use serde::Serialize;

use super::workspace::{self, Workspace};
use super::{print_json, report};
use crate::cli::{Format, Global};
use crate::error::Result;
use crate::names::SnapshotDate;
use crate::pipeline::preview;
use crate::plan::Plan;
use crate::record::InputRecord;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Jobs, as for run.
    pub selectors: Vec<String>,
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
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = Workspace::open(global)?;
    let (lake, snapshots, key) = (workspace.lake()?, workspace.snapshots()?, workspace.key()?);
    let date = workspace.date(args.date, &args.selectors, &snapshots).await?;
    let plan = Plan::resolve(&workspace.project, date, &args.selectors)?;
    let key = key.as_ref().map(|key| key.fingerprint());
    let mut steps = Vec::new();
    for previewed in preview(&plan, &lake, &snapshots, key, args.force).await? {
        let planned = previewed.planned;
        steps.push(Step {
            job: planned.job.name.to_string(),
            table: planned.job.table.name.to_string(),
            partition: planned.partition.to_string(),
            runs: previewed.reason.runs(),
            why: previewed.reason.to_string(),
            after: planned.after.iter().map(ToString::to_string).collect(),
            inputs: previewed.inputs,
        });
    }
    if global.format == Format::Json {
        print_json(&serde_json::json!({ "date": date, "steps": steps }), global)?;
    } else {
        tell(date, &steps);
    }
    Ok(0)
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
    }
}
