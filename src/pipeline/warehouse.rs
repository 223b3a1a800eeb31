//! What comes after the lake: the same files in BigQuery, when the environment has one.

use super::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::job::TableSpec;
use crate::names::{JobName, Partition, TableName};
use crate::plan::PlannedJob;
use crate::publish::LakeTable;
use crate::publish::bigquery::{Loaded, Part, ViewEnd, Warehouse, schema};
use crate::record::{self, Lease, What};
use crate::snapshot::{REJECTED_ROWS, rejected_row_spec};

/// What a run did in the warehouse beside its jobs.
#[derive(Debug, Default)]
pub struct WarehouseEnd {
    pub views: Vec<(TableName, ViewEnd)>,
    pub error: Option<Error>,
}

impl Run<'_> {
    /// Shows the job's visible partition in BigQuery. `None` when there is no warehouse.
    pub(super) async fn loaded(&self, planned: &PlannedJob<'_>, lease: &Lease) -> Result<Option<Loaded>> {
        let Some(warehouse) = self.context.warehouse else { return Ok(None) };
        let wanted = schema::table_of(self.plan.project, planned.job, warehouse.settings());
        let Some(table) = LakeTable::open(self.context.lake, &planned.job.table.name).await? else {
            return Err(Error::internal("a published table is not in the lake"));
        };
        let part = Part::of(&planned.job.table, wanted, &table, planned.partition);
        let loaded = warehouse.publish(self.context.lake, &part, lease).await?;
        self.tell_loaded(&planned.job.name, &part, &loaded).await?;
        Ok(Some(loaded))
    }

    /// What no job makes: the rejected rows of the day, and the views.
    pub(super) async fn finish_warehouse(&self) -> WarehouseEnd {
        let Some(warehouse) = self.context.warehouse else { return WarehouseEnd::default() };
        let rejected = self.load_rejected_rows(warehouse).await;
        let (views, views_error) = match warehouse.publish_views(&self.plan.project.views).await {
            Ok(views) => (views, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        WarehouseEnd { views, error: rejected.err().or(views_error) }
    }

    async fn load_rejected_rows(&self, warehouse: &Warehouse) -> Result<()> {
        let spec: TableSpec = rejected_row_spec();
        let Some(table) = LakeTable::open(self.context.lake, &spec.name).await? else { return Ok(()) };
        let partition = Partition::Day(self.plan.date);
        let lease = match record::acquire(self.context.lake, &spec.name, &partition, &self.context.run_id).await {
            Ok(lease) => lease,
            Err(error) if error.kind() == ErrorKind::LeaseHeld => {
                tracing::warn!(%error, "another run loads the rejected rows of the day");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let wanted = schema::table_of_spec(&spec, REJECTED_ROWS, warehouse.settings());
        let part = Part::of(&spec, wanted, &table, partition);
        let loaded = warehouse.publish(self.context.lake, &part, &lease).await;
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "failed to give back the lease; it expires by itself");
        }
        self.tell_loaded(&JobName::new(spec.name.table.as_str())?, &part, &loaded?).await
    }

    async fn tell_loaded(&self, job: &JobName, part: &Part<'_>, loaded: &Loaded) -> Result<()> {
        if loaded.already {
            return Ok(());
        }
        self.tell(What::Loaded {
            job: job.clone(),
            table: loaded.table.clone(),
            partition: part.partition.to_string(),
            rows: loaded.rows,
            bytes: loaded.bytes,
            scanned_bytes: loaded.scanned,
            bigquery_job: loaded.job.clone(),
            elapsed_ms: loaded.elapsed.as_millis() as u64,
        })
        .await
    }
}
