//! What a day's snapshots leave in doubt: rows that verification set aside. What they say does not count, and still
//! something was said of their keys, so that a history does not take these for gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::Run;
use super::inputs::InputState;
use crate::contract::{Column, SnapshotContract};
use crate::engine::ParquetTable;
use crate::error::Result;
use crate::job::{TableSpec, rejected_name};
use crate::plan::{PlannedJob, PlannedSource};

#[derive(Default)]
pub(super) struct Doubt {
    /// Rejected rows of the snapshots that hold every column of the history's key.
    pub with_keys: Vec<Arc<ParquetTable>>,
    /// Those of every snapshot, by the names that `keep_open` knows them by; nothing without it.
    pub rejected: BTreeMap<String, Arc<dyn TableProvider>>,
}

impl Run<'_> {
    pub(super) async fn doubt(&self, planned: &PlannedJob<'_>, states: &[InputState]) -> Result<Doubt> {
        let table = &planned.job.table;
        let mut doubt = Doubt::default();
        for (input, state) in planned.inputs.iter().zip(states) {
            let (PlannedSource::Snapshot { contract, .. }, InputState::Snapshot(found)) = (&input.from, state) else {
                continue;
            };
            let verified = self.verified(contract, found).await?;
            let rows = Arc::new(verified.rejected_table());
            if !verified.rejected.is_empty() && holds_key(contract, table) {
                doubt.with_keys.push(Arc::clone(&rows));
            }
            if table.keep_open.is_some() {
                doubt.rejected.insert(rejected_name(&contract.name), rows);
            }
        }
        Ok(doubt)
    }
}

fn holds_key(contract: &SnapshotContract, table: &TableSpec) -> bool {
    let key = table.key();
    let holds = |column: &Column| {
        contract.column(&column.name).is_some_and(|held| held.column.column_type == column.column_type)
    };
    table.columns.iter().filter(|column| key.contains(&column.name)).all(holds)
}
