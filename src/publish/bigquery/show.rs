//! The files of a partition into a staging table, and from there, once they are proved, into the table itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::ObjectMeta;
use object_store::path::Path;

use super::checksum;
use super::compare::rows_of;
use super::jobs::{Finished, JobStem, Load, Replaces, Work};
use super::part::Part;
use super::resource::Schema;
use super::upload::Upload;
use super::warehouse::Warehouse;
use crate::config::Verify;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Lease, crash};
use crate::storage::Storage;

const STAGING_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

impl Warehouse {
    /// Where BigQuery finds the files.
    async fn uris(&self, lake: &Storage, part: &Part<'_>) -> Result<Vec<String>> {
        let locations = part.files.iter().map(|file| &file.meta.location);
        if lake.bucket().is_some() {
            return Ok(locations.map(|location| lake.describe(location)).collect());
        }
        let uploads =
            self.uploads.as_ref().ok_or_else(|| Error::internal("a lake in a folder has no staging bucket"))?;
        let upload = |path: &Path| Upload {
            store: lake.store().clone(),
            path: path.clone(),
            name: format!("{}/{path}", self.wire.project()),
        };
        let sent = uploads.upload(locations.map(upload).collect()).await?;
        Ok(sent.into_iter().map(|file| file.uri).collect())
    }

    pub(super) async fn stage_and_show(
        &self,
        lake: &Storage,
        part: &Part<'_>,
        schema: &Schema,
        lease: &Lease,
    ) -> Result<(String, u64)> {
        let uris = self.uris(lake, part).await?;
        let files: Vec<ObjectMeta> = part.files.iter().map(|file| file.meta.clone()).collect();
        let checksums = async {
            match self.settings.verify {
                Verify::Checksum => checksum::of_files(lake, &files, &part.spec.columns).await.map(Some),
                Verify::Count => Ok(None),
            }
        };
        let (staged, ours) = tokio::try_join!(self.stage(part, uris.clone(), schema), checksums)?;
        crash::point("after:load");
        let scanned = match ours {
            Some(ours) => self.compare(part, &ours, &staged).await?,
            None => self.compare_count(part).await?,
        };
        lease.assert_held().await?;
        crash::point("before:show");
        let shown = match part.is_whole() {
            true => self.load_target(part, uris, schema, lease, staged.attempt).await?,
            false => self.copy(part, staged.attempt).await?,
        };
        if part.is_whole() && !loaded_alike(&staged, &shown) {
            return Err(Error::new(ErrorKind::CheckBlocked, "the files changed between the load that was compared and the one that was shown")
                .with("compared", &staged.job_id)
                .with("shown", &shown.job_id)
                .hint("nobody may change a file of the lake or of the staging bucket: find out who did, then run again with --force"));
        }
        Ok((shown.job_id, scanned))
    }

    /// Without rows there is nothing to compare, and nothing that could be copied. Where there is not even a file that could be
    /// loaded, as of a day whose bad rows were mended, the partition goes. Names the act that did it.
    pub(super) async fn show_nothing(
        &self,
        lake: &Storage,
        part: &Part<'_>,
        schema: &Schema,
        lease: &Lease,
    ) -> Result<String> {
        if !part.files.is_empty() {
            let uris = self.uris(lake, part).await?;
            return Ok(self.load_target(part, uris, schema, lease, 1).await?.job_id);
        }
        if part.is_whole() {
            return Err(Error::internal("a table that is replaced as a whole has no file in the lake"));
        }
        let partition = part.target();
        lease.assert_held().await?;
        self.wire.delete_table(&partition.dataset_id, &partition.table_id).await?;
        Ok(format!("deletion of {}", partition.table_id))
    }

    /// Loads the files into the staging table.
    async fn stage(&self, part: &Part<'_>, uris: Vec<String>, schema: &Schema) -> Result<Finished> {
        let mut staging = part.wanted.clone();
        staging.table.table_reference = part.reference(&part.staging_name());
        staging.table.description = Some(format!("Rows of {} on their way; gone within a day.", part.table()));
        staging.table.expiration_time = Some(in_a_day(SystemTime::now()));
        staging.table.require_partition_filter = None;
        staging.table_constraints = None;
        staging.schema = schema.clone();
        self.wire.create_table(&staging).await?;
        let load = Load {
            uris,
            destination: part.reference(&part.staging_name()),
            schema: schema.clone(),
            replaces: Replaces::Rows,
            kms_key: self.settings.kms_key.clone(),
        };
        let there = |_| async {
            let staged = self.wire.table(&part.table().dataset, &part.staging_name()).await?;
            Ok(staged.is_some_and(|table| rows_of(&table) == Some(part.rows())))
        };
        self.wire.run_job(&self.stem("load", part), &Work::Load(load), there).await
    }

    /// Loads the files into the table itself, whose columns, keys, labels and policies stay as they are. Of a table that is
    /// replaced as a whole a copy would take these from the staging table and drop its row policies.
    async fn load_target(
        &self,
        part: &Part<'_>,
        uris: Vec<String>,
        schema: &Schema,
        lease: &Lease,
        staged: u32,
    ) -> Result<Finished> {
        lease.assert_held().await?;
        let load = Load {
            uris,
            destination: part.target(),
            schema: schema.clone(),
            replaces: if part.is_whole() { Replaces::Rows } else { Replaces::Partition },
            kms_key: self.settings.kms_key.clone(),
        };
        let there = |_| self.shows(part);
        self.wire.run_job(&self.show_stem(part, staged), &Work::Load(load), there).await
    }

    async fn copy(&self, part: &Part<'_>, staged: u32) -> Result<Finished> {
        let copy = Work::Copy { from: part.staged(), to: part.target(), kms_key: self.settings.kms_key.clone() };
        let there = |_| self.shows(part);
        self.wire.run_job(&self.show_stem(part, staged), &copy, there).await
    }

    /// Files that were shown before and are shown again, as of a lake that was set back, are staged anew; what showed them the
    /// first time is not to be attached to, even where other rows that came between are as many.
    fn show_stem(&self, part: &Part<'_>, staged: u32) -> JobStem {
        self.stem(&format!("show-{staged}"), part)
    }

    fn stem(&self, step: &str, part: &Part<'_>) -> JobStem {
        let table = part.table();
        JobStem::new(step, &table.dataset, &table.table, &part.partition.to_string(), &part.content)
    }

    /// Whether the target has as many rows as the files: a job of old may have been undone since.
    async fn shows(&self, part: &Part<'_>) -> Result<bool> {
        let target = part.target();
        let there = self.wire.table(&target.dataset_id, &target.table_id).await?;
        Ok(there.is_some_and(|table| rows_of(&table) == Some(part.rows())))
    }
}

impl Part<'_> {
    fn is_whole(&self) -> bool {
        !matches!(self.partition, crate::names::Partition::Day(_))
    }
}

/// Whether two loads of the same files took in as many rows and bytes: what was compared is what is shown.
fn loaded_alike(compared: &Finished, shown: &Finished) -> bool {
    let told = |finished: &Finished| (finished.output_rows, finished.output_bytes);
    told(compared) == told(shown)
}

fn in_a_day(now: SystemTime) -> String {
    (now + STAGING_LIFE).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string()
}
