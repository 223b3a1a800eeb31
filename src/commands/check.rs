//! `gatefold check`: everything that can be proved with no data.

use super::workspace::Workspace;
use super::{print_json, report};
use crate::cli::{Format, Global};
use crate::error::{Error, Result};
use crate::storage::Storage;
use crate::validate::validate;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn exec(_args: &Args, global: &Global) -> Result<u8> {
    let workspace = match Workspace::open(global) {
        Ok(workspace) => workspace,
        Err(error) if global.format == Format::Json => {
            print_json(&told(&[&error]), global)?;
            return Ok(error.kind().exit_code());
        }
        Err(error) => return Err(error),
    };
    let nowhere = std::env::temp_dir();
    let engine = workspace.engine(None, nowhere.clone(), None)?;
    let storage = Storage::open_local(&nowhere)?;
    engine.register(&storage);
    let mut errors: Vec<Error> = Vec::new();
    for name in &workspace.project.order {
        if let Err(error) = validate(&engine, &storage, &workspace.project, &workspace.project.jobs[name]).await {
            errors.push(error);
        }
    }
    if global.format == Format::Json {
        print_json(&told(&errors.iter().collect::<Vec<_>>()), global)?;
    } else {
        errors.iter().for_each(report::error);
        let (jobs, snapshots) = (workspace.project.jobs.len(), workspace.project.snapshots.len());
        if errors.is_empty() {
            println!("{jobs} jobs and {snapshots} snapshots are sound");
        }
    }
    Ok(errors.first().map_or(0, |error| error.kind().exit_code()))
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
