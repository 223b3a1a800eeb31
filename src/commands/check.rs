//! `gatefold check`: everything that can be proved with no data.

use std::panic::resume_unwind;
use std::thread;

use tokio::runtime::Handle;

use super::workspace::Workspace;
use super::{print_json, report};
use crate::cli::{Format, Global};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::project::Project;
use crate::storage::Storage;
use crate::validate::validate;

/// Planning deep expressions recurses.
const STACK_BYTES: usize = 8 << 20;

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
    let errors = problems(&engine, &storage, &workspace.project)
        .map_err(|error| Error::internal("failed to start a thread").source(error))?;
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

/// What is wrong with each job, in their order. Planning is work for the processor alone, so the jobs are dealt out to
/// threads. Errors: the system gives no thread.
fn problems(engine: &Engine, storage: &Storage, project: &Project) -> std::io::Result<Vec<Error>> {
    let runtime = Handle::current();
    let threads = engine.options().threads.max(1);
    let dealt = |first: usize| {
        let jobs = project.order.iter().enumerate().skip(first).step_by(threads);
        let checked =
            jobs.map(|(at, name)| (at, runtime.block_on(validate(engine, storage, project, &project.jobs[name]))));
        checked.filter_map(|(at, facts)| facts.err().map(|error| (at, error))).collect::<Vec<_>>()
    };
    let mut found = thread::scope(|scope| -> std::io::Result<Vec<(usize, Error)>> {
        let dealt = &dealt;
        let workers = (0..threads)
            .map(|first| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, move || dealt(first)));
        let workers = workers.collect::<std::io::Result<Vec<_>>>()?;
        Ok(workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect())
    })?;
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, error)| error).collect())
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
