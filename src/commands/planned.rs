//! Planning everything of a project: work for the processor alone, so it is dealt out to threads.

use std::panic::resume_unwind;
use std::thread;

use tokio::runtime::Handle;

use super::workspace::Workspace;
use crate::contract::SnapshotContract;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::names::JobName;
use crate::project::Project;
use crate::storage::Storage;
use crate::validate::{JobFacts, validate_snapshot};

/// Planning deep expressions recurses.
const STACK_BYTES: usize = 8 << 20;

/// What `examine` says of each of these jobs, in their order, with no data and no lake. Errors: the engine cannot be set up.
pub(super) fn each_job<'a, F>(
    workspace: &Workspace,
    jobs: &'a [JobName],
    examine: F,
) -> Result<Vec<(&'a JobName, Result<JobFacts>)>>
where
    F: AsyncFn(&Engine, &Storage, &Project, &Job) -> Result<JobFacts> + Sync,
{
    let project = &workspace.project;
    let facts = each(workspace, jobs, async |engine, nowhere, name: &JobName| {
        examine(engine, nowhere, project, &project.jobs[name]).await
    })?;
    Ok(jobs.iter().zip(facts).collect())
}

/// Whether the checks of each of these snapshots plan, in their order. Errors: the engine cannot be set up.
pub(super) fn each_snapshot(workspace: &Workspace, contracts: &[&SnapshotContract]) -> Result<Vec<Result<()>>> {
    each(workspace, contracts, async |engine, nowhere, contract| validate_snapshot(engine, nowhere, contract).await)
}

fn each<T: Sync, R: Send, F>(workspace: &Workspace, items: &[T], work: F) -> Result<Vec<R>>
where
    F: AsyncFn(&Engine, &Storage, &T) -> R + Sync,
{
    let nowhere = std::env::temp_dir();
    let engine = workspace.engine(None, nowhere.clone(), None)?;
    let storage = Storage::open_local(&nowhere)?;
    engine.register(&storage);

    let runtime = Handle::current();
    let threads = engine.options().threads.max(1);
    let dealt = |first: usize| {
        let mine = items.iter().enumerate().skip(first).step_by(threads);
        mine.map(|(at, item)| (at, runtime.block_on(work(&engine, &storage, item)))).collect::<Vec<_>>()
    };
    let done = thread::scope(|scope| -> std::io::Result<Vec<_>> {
        let dealt = &dealt;
        let workers = (0..threads)
            .map(|first| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, move || dealt(first)));
        let workers = workers.collect::<std::io::Result<Vec<_>>>()?;
        Ok(workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect())
    });
    let mut done = done.map_err(|error| Error::internal("failed to start a thread").source(error))?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
