//! Histories: tables that keep, for every key, what held from when to when (slowly changing dimensions of type 2, rule R12).
//!
//! ```text
//! model ─► state of the day ─┐
//!                            ├─ compare ─► rows by their places ─ rewrite ─► new files ─► audited ─► one commit
//! rows open before the day ──┘             opened, closed, …                 files that stay, files that go
//! ```
//!
//! Taking in a day and taking it in again are one: whatever the table says of that day and of later ones is undone by the
//! same commit that writes the day. So the latest day may be run again with other inputs, and a rebuild is this for an
//! earlier day, followed by all after it.

mod applied;
mod as_of;
mod compare;
mod files;
mod first;
mod rewrite;
mod rows;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;

pub use applied::{Again, Applied, AppliedDay, Due};
pub use as_of::{files_as_of, is_whole_as_of, rows_as_of};

use crate::engine::{DataFile, Engine, Joins, ParquetTable};
use crate::error::Result;
use crate::job::{Job, TableSpec};
use crate::names::{RunId, SnapshotDate};
use crate::publish::{LakeFile, LakeTable, widened};
use crate::stage::{Staged, StagedFile};
use crate::storage::Storage;
use files::{HistoryFile, Kind};
pub(crate) use rows::RowSet;
use state::State;

/// A day that is to be taken into a history.
pub struct Day<'a> {
    pub job: &'a Job,
    pub date: SnapshotDate,
    pub run: &'a RunId,
    pub engine: &'a Engine,
    pub lake: &'a Storage,
    /// The run's own folder, for the state.
    pub work: &'a Storage,
    /// Whether a key that the state does not have is gone.
    pub complete: bool,
    /// Rows of the inputs that were set aside and that hold all columns of the key: their keys are not gone either.
    pub doubtful: Vec<Arc<ParquetTable>>,
    /// Rows of the inputs that were set aside, for the SELECT of `keep_open`, by their names in it.
    pub rejected: BTreeMap<String, Arc<dyn TableProvider>>,
    /// Of all that decides the state.
    pub fingerprint: &'a str,
}

/// What becomes of a history's files beside the staged ones.
#[derive(Debug)]
pub struct Change {
    /// The table that the day was compared with; `None` before its first commit.
    pub table: Option<LakeTable>,
    /// Files that go.
    pub removed: Vec<LakeFile>,
    /// What the table says of its days from here on.
    pub applied: Applied,
    pub counts: Counts,
    /// The files of the rows that are current after the commit: those that stay and those that are staged.
    current: Vec<DataFile>,
}

/// How many rows a day has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub opened: u64,
    pub closed: u64,
    /// Current rows that the day has left as they were.
    pub unchanged: u64,
    /// Rows, open and closed, that were removed for good.
    pub forgotten: u64,
}

impl Change {
    /// The rows that will be current after the commit.
    pub fn current_rows(&self, lake: &Storage, spec: &TableSpec) -> ParquetTable {
        ParquetTable::new(lake.url().clone(), self.current.clone(), &spec.schema())
    }
}

impl Day<'_> {
    /// What the table says of its days with this one.
    fn applied(&self, table: Option<&LakeTable>, forgotten: u64) -> Applied {
        let before = table.map(|table| table.applied().clone()).unwrap_or_default();
        let day = AppliedDay { run: self.run.clone(), fingerprint: self.fingerprint.to_owned(), forgotten };
        before.with(self.date, day)
    }
}

/// Makes the state of the day from the inputs in `session`, compares it with the table and stages what has changed.
///
/// Errors: what the model meets (exit 2, 11 or 70), a table in the lake with other columns (exit 2), a store that does not
/// take the bytes (exit 13).
pub async fn stage(day: &Day<'_>, session: &SessionContext, joins: Joins) -> Result<Staged> {
    let table = LakeTable::open(day.lake, &day.job.table.name).await?;
    if let Some(table) = &table {
        widened(table, &day.job.table)?;
    }
    let lake_files = table.as_ref().map(|table| table.files.as_slice()).unwrap_or_default();
    let files = lake_files.iter().map(HistoryFile::read).collect::<Result<Vec<_>>>()?;
    // What is to be forgotten is found in files of this machine.
    if files.is_empty() && day.engine.remote().is_none() {
        return first::stage(day, session, table).await;
    }
    let state = State::make(day, session).await?;
    let marks = compare::compare(day, &files, &state, joins).await?;
    let written = rewrite::rewrite(day, &files, &state, &marks, joins).await?;

    let sum =
        |rows: &dyn Fn(&compare::FileMarks) -> &rows::RowSet| marks.files.iter().map(|file| rows(file).len()).sum();
    let forgotten: u64 = sum(&|file| &file.forgotten);
    let applied = day.applied(table.as_ref(), forgotten);
    let stays = |at: &usize| !written.replaced.contains(at) && files[*at].shelf.kind == Kind::Open;
    let kept = (0..files.len()).filter(stays).map(|at| &files[at].file);
    let kept = kept.map(|file| DataFile { meta: file.meta.clone(), rows: file.rows, selection: None });
    let new = written.files.iter().filter(|(kind, _)| *kind == Kind::Open);
    let new = new.map(|(_, file)| DataFile { meta: file.meta.clone(), rows: file.rows(), selection: None });
    let current: Vec<DataFile> = kept.chain(new).collect();
    let opened: u64 = marks.opened.iter().map(rows::RowSet::len).sum();
    let counts = Counts {
        opened,
        closed: sum(&|file| &file.closed),
        unchanged: current.iter().map(|file| file.rows).sum::<u64>().saturating_sub(opened),
        forgotten,
    };
    let removed = written.replaced.iter().map(|at| files[*at].file.clone()).collect();
    let change = Change { table, removed, applied, counts, current };
    let staged: Vec<StagedFile> = written.files.into_iter().map(|(_, file)| file).collect();
    Ok(Staged {
        table: day.job.table.name.clone(),
        files: staged,
        spilled_bytes: state.spilled_bytes + marks.spilled_bytes + written.spilled_bytes,
        change: Some(Box::new(change)),
    })
}

#[cfg(test)]
mod tests;
