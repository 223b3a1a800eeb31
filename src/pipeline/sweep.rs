//! What dead runs have left behind is removed by the next run that has the right to.
//!
//! Files that a commit ever named stay: they are visible, or a reader of an older version may still be reading them. The
//! tables' logs say which these are. A run's record does not: a run may die between its commit and the event of it.

use std::collections::BTreeSet;

use object_store::path::Path;

use super::Run;
use crate::error::{ErrorKind, Result};
use crate::names::{RunId, TableName};
use crate::plan::PlannedJob;
use crate::publish::LakeTable;
use crate::record::{self, Outcome, RunSummary};
use crate::snapshot::rejected_row_table;
use crate::stage::run_folder;
use crate::storage::{Storage, WorkRoot};

impl Run<'_> {
    /// Removes what dead runs of this partition have staged and never published, in its table and among the rejected rows.
    pub(super) async fn sweep(&self, planned: &PlannedJob<'_>) -> Result<()> {
        let lake = self.context.lake;
        let dead = self.dead.get_or_try_init(|| self.dead_runs()).await?;
        let of_job = dead.iter().filter(|run| run.jobs.contains(&planned.job.name));
        let dead: Vec<&RunId> = of_job.map(|run| &run.run_id).collect();
        for table in [&planned.job.table.name, &rejected_row_table()] {
            sweep_table(lake, table, &dead).await?;
        }
        Ok(())
    }

    /// Asked once a run: what dies later is left to the next one.
    async fn dead_runs(&self) -> Result<Vec<RunSummary>> {
        let filter = record::Filter { date: Some(self.plan.date), jobs: None, limit: usize::MAX };
        let mut runs = record::history::list(self.context.lake, &filter).await?;
        let ours = &self.context.run_id;
        runs.retain(|run| matches!(run.outcome, Outcome::Interrupted | Outcome::Failed) && run.run_id != *ours);
        Ok(runs)
    }
}

async fn sweep_table(lake: &Storage, table: &TableName, dead: &[&RunId]) -> Result<()> {
    let mut left: Vec<Path> = Vec::new();
    for folder in dead.iter().map(|run| run_folder(table, run)) {
        if lake.has_folder(&folder).await? {
            left.push(folder);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let named = match LakeTable::open(lake, table).await? {
        Some(table) => table.files_ever_named().await?,
        None => BTreeSet::new(),
    };
    for folder in left {
        let files = lake.remove_all_but(&folder, &named).await?;
        if files > 0 {
            tracing::info!(%folder, files, "removed what a dead run has staged");
        }
    }
    Ok(())
}

/// Removes the work folders of runs that are gone.
pub async fn sweep_work(lake: &Storage, work: &WorkRoot) -> Result<()> {
    for (run, folder) in work.folders() {
        let alive = match record::history::read(lake, run.as_str()).await {
            Ok(history) => history.summary.outcome == Outcome::Running,
            // A run makes its folder a moment before its first event.
            Err(error) if error.kind() == ErrorKind::Project => folder
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|made| made.elapsed().is_ok_and(|age| age.as_secs() < 60)),
            Err(_) => true,
        };
        if !alive && let Err(error) = std::fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "failed to remove a dead run's work folder");
        }
    }
    Ok(())
}
