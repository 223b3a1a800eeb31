//! A day that is taken into a table without files: all its rows are opened, and nothing is to be compared.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::prelude::SessionContext;

use super::rewrite::{Fill, Written};
use super::state::Values;
use super::{Change, Counts, Day};
use crate::engine::{DataFile, Model, engine_error};
use crate::error::Result;
use crate::publish::LakeTable;
use crate::stage::{Staged, StagedFile, run_folder};

const FORGOTTEN: &str = "__forgotten";

pub(super) async fn stage(day: &Day<'_>, session: &SessionContext, table: Option<LakeTable>) -> Result<Staged> {
    let rows = Model::of(day.job).plan_table(session, day.job, day.date).await?;
    // Sorted before any is left out: a model whose rows come in order says so here, and no further on.
    let mut rows = rows.sort(day.order_of_model()).map_err(engine_error)?;
    if let Some(forget) = &day.job.table.forget
        && let Some(values) = Values::make(day, session, forget, "forget").await?
    {
        let forgotten = session.read_table(Arc::new(values.table(day).with_plain_text()));
        let forgotten = forgotten.and_then(|frame| frame.with_column_renamed(values.column(), FORGOTTEN));
        let without = forgotten
            .and_then(|forgotten| rows.join(forgotten, JoinType::LeftAnti, &[values.column()], &[FORGOTTEN], None));
        rows = without.map_err(engine_error)?;
    }
    let rows = rows.select(day.filled(Fill::Opened)).and_then(|rows| rows.sort(day.order()));
    let mut written = Written::default();
    day.write_opened(&mut written, rows.map_err(engine_error)?).await?;
    let files: Vec<StagedFile> =
        written.files.into_iter().map(|(_, file)| file).filter(|file| file.rows() > 0).collect();
    if files.is_empty() {
        // A query leaves a file even where it has no rows.
        day.lake.remove(&run_folder(&day.job.table.name, day.run)).await?;
    }
    let current = files.iter().map(|file| DataFile { meta: file.meta.clone(), rows: file.rows(), selection: None });
    let counts = Counts { opened: files.iter().map(StagedFile::rows).sum(), ..Counts::default() };
    let applied = day.applied(table.as_ref(), 0);
    let change = Change { table, removed: Vec::new(), applied, counts, current: current.collect() };
    Ok(Staged {
        table: day.job.table.name.clone(),
        files,
        spilled_bytes: written.spilled_bytes,
        change: Some(Box::new(change)),
    })
}
