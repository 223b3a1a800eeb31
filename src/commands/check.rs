//! `gatefold check`: everything that can be proved with no data.

use super::selection::Selection;
use super::workspace::Workspace;
use super::{planned, print_json, report};
use crate::cli::{Format, Global};
use crate::contract::SnapshotContract;
use crate::error::{Error, Result};
use crate::job::InputSource;
use crate::names::JobName;
use crate::project::Project;
use crate::schedule::render;
use crate::validate::validate;

const EXAMPLES: &str = "\
Examples:
  gatefold check
  gatefold check user_daily+                         # a job and what reads it
  gatefold check --format json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub selection: Selection,
}

pub async fn exec(args: &Args, global: &Global) -> Result<u8> {
    let workspace = match Workspace::open(global) {
        Ok(workspace) => workspace,
        Err(error) if global.format == Format::Json => {
            print_json(&told(&[&error]), global)?;
            return Ok(error.kind().exit_code());
        }
        Err(error) => return Err(error),
    };
    let jobs = args.selection.jobs(&workspace.project)?;
    let snapshots = contracts(&workspace.project, &args.selection, &jobs);
    let of_snapshots = planned::each_snapshot(&workspace, &snapshots)?.into_iter().filter_map(Result::err);
    let of_jobs = planned::each_job(&workspace, &jobs, validate)?.into_iter().filter_map(|(_, facts)| facts.err());
    let errors: Vec<Error> = of_snapshots.chain(of_jobs).chain(render::stale(&workspace.project)?).collect();
    if global.format == Format::Json {
        print_json(&told(&errors.iter().collect::<Vec<_>>()), global)?;
    } else {
        errors.iter().for_each(report::error);
        if errors.is_empty() {
            println!("{}", sound(jobs.len(), snapshots.len()));
        }
    }
    Ok(errors.first().map_or(0, |error| error.kind().exit_code()))
}

/// Every contract, or those that the selected jobs read.
fn contracts<'a>(project: &'a Project, selection: &Selection, jobs: &[JobName]) -> Vec<&'a SnapshotContract> {
    let read = |contract: &&SnapshotContract| {
        let source = InputSource::Snapshot(contract.name.clone());
        jobs.iter().any(|job| project.jobs[job].inputs.iter().any(|input| input.source == source))
    };
    project.snapshots.values().filter(|contract| selection.is_all() || read(contract)).collect()
}

/// One of each is two things still, so the verb stays.
fn sound(jobs: usize, snapshots: usize) -> String {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!("{} and {} are sound", counted(jobs, "job"), counted(snapshots, "snapshot"))
}

fn told(errors: &[&Error]) -> serde_json::Value {
    let problems: Vec<_> = errors.iter().copied().map(problem).collect();
    serde_json::json!({ "ok": errors.is_empty(), "problems": problems })
}

fn problem(error: &Error) -> serde_json::Value {
    serde_json::json!({
        "message": error.message(),
        "context": error.context().iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "hint": error.hint_text(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(sound(1, 10), "1 job and 10 snapshots are sound");
        assert_eq!(sound(11, 1), "11 jobs and 1 snapshot are sound");
        assert_eq!(sound(0, 0), "0 jobs and 0 snapshots are sound");
    }
}
