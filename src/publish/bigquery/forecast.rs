//! What a run would do in BigQuery: how the table would change, what would be loaded, and what comparing it costs.

use super::budget::price;
use super::migrate::{self, Migration};
use super::part::Part;
use super::receipt::Receipt;
use super::warehouse::{Warehouse, is_of};
use crate::error::Result;
use crate::job::TableSpec;
use crate::names::Partition;
use crate::plan::PlannedJob;
use crate::project::Project;
use crate::publish::{LakeFile, LakeTable};
use crate::storage::Storage;

pub struct Forecast {
    /// `project.dataset.table`
    pub table: String,
    pub state: TableState,
    pub files: usize,
    /// Of the files.
    pub bytes: u64,
    /// Whether files and bytes are those of the last partition, because the new one is not made yet.
    pub estimated: bool,
    /// Whether BigQuery shows these very files already.
    pub loaded: bool,
    /// US dollars for the comparison, which scans the rows once; files are about as large as what it scans.
    pub cost: f64,
}

pub enum TableState {
    Missing,
    There(Migration),
}

impl Warehouse {
    /// `runs`: whether the job would make the partition anew first.
    pub async fn forecast(
        &self,
        project: &Project,
        planned: &PlannedJob<'_>,
        lake: &Storage,
        runs: bool,
    ) -> Result<Forecast> {
        let spec = &planned.job.table;
        let wanted = super::schema::table_of(project, planned.job, &self.settings);
        let live = self.wire.table(&spec.name.dataset, &spec.name.table).await?;
        let table = LakeTable::open(lake, &spec.name).await?;
        let part = table.as_ref().map(|table| Part::of(spec, wanted.clone(), table, planned.partition));
        let created = live.as_ref().and_then(|live| live.table.creation_time.clone());
        let loaded = match (&part, created, runs) {
            (Some(part), Some(created), false) => self.is_shown(lake, part, &created).await?,
            _ => false,
        };
        let (files, bytes) = match (&part, &table) {
            _ if loaded => (0, 0),
            (Some(part), _) if !part.files.is_empty() => (part.files.len(), part.bytes()),
            (_, Some(table)) => latest(spec, table),
            _ => (0, 0),
        };
        Ok(Forecast {
            table: format!("{}.{}", self.wire.project(), spec.name),
            state: live.map_or(TableState::Missing, |live| TableState::There(migrate::compare(&wanted, &live))),
            files,
            bytes,
            estimated: runs,
            loaded,
            cost: self.cost(bytes),
        })
    }

    fn cost(&self, bytes: u64) -> f64 {
        match self.settings.verify {
            crate::config::Verify::Checksum => price(bytes, self.settings.price_per_tib),
            crate::config::Verify::Count => 0.0,
        }
    }

    async fn is_shown(&self, lake: &Storage, part: &Part<'_>, created: &str) -> Result<bool> {
        let partition = part.partition.to_string();
        let receipt = Receipt::read(lake, self.wire.project(), part.table(), &partition).await?;
        Ok(receipt.shown.is_some_and(|shown| is_of(&shown, part, created)))
    }
}

/// Files and bytes of the latest partition, by which the next one is judged.
fn latest(spec: &TableSpec, table: &LakeTable) -> (usize, u64) {
    let Some(by) = &spec.partition else { return (0, 0) };
    let days = table.values_of(&by.column);
    let last = days.iter().filter_map(|day| day.parse().ok()).max();
    let Some(last) = last else { return (0, 0) };
    let files: Vec<&LakeFile> = table.files_of(&crate::publish::slice_of(spec, &Partition::Day(last)));
    (files.len(), files.iter().map(|file| file.meta.size).sum())
}
