//! One partition's way into BigQuery: loaded beside the table, compared with the files, then shown in one step.
//!
//! ```text
//! files ─ upload, where the lake is a folder ─► staging bucket
//!       ─ one load job ─► staging table, in the dataset of the table        nobody looks there; it expires in a day
//!       ─ count, checksums of columns and rows ─► equal to the files', or stop: nothing was visible
//!       ─ one job ─► the partition                                          analysts see the old rows or the new ones
//!       ─ read back ─► receipt in the lake                                  only now it is called published
//! ```
//!
//! Every job's id says what it does, to which table and partition and with which files, so a run that lost an answer, or
//! that comes after one that died, attaches to what was begun instead of doing it twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gcp_bigquery_client::model::dataset::Dataset;
use object_store::ObjectMeta;
use object_store::path::Path;
use tokio::sync::Mutex;

use super::budget::Budget;
use super::checksum::{self, Checksums};
use super::jobs::{Finished, JobStem, Load, Replaces, Work};
use super::migrate;
use super::part::Part;
use super::receipt::{Receipt, Shown};
use super::resource::{Schema, TableResource};
use super::upload::{Upload, Uploads};
use super::wire::Wire;
use crate::config::{BigQuery, Environment, Verify};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Lease, crash};
use crate::storage::Storage;

const STAGING_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

pub struct Warehouse {
    pub(super) wire: Wire,
    pub(super) settings: BigQuery,
    uploads: Option<Uploads>,
    budget: Budget,
    /// Those that are known to be there.
    datasets: Mutex<BTreeSet<String>>,
}

/// A partition that BigQuery shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// `project.dataset.table`
    pub table: String,
    pub rows: u64,
    /// Of the files.
    pub bytes: u64,
    /// Whether it was there already, by its receipt.
    pub already: bool,
    /// That the comparison scanned.
    pub scanned: u64,
    /// The job that made the rows visible.
    pub job: String,
    pub elapsed: Duration,
}

impl Warehouse {
    /// `None` when the environment has none. Errors (exit 2): the credentials or the endpoints are wrong.
    pub async fn connect(environment: &Environment) -> Result<Option<Warehouse>> {
        let Some(settings) = environment.bigquery.clone() else { return Ok(None) };
        let google = environment.google.clone().overridden()?;
        let wire = Wire::connect(&settings, &google).await?;
        let uploads = match &settings.staging {
            Some(staging) => Some(Uploads::connect(staging, &google).await?),
            None => None,
        };
        let budget = Budget::of(&settings);
        Ok(Some(Warehouse { wire, settings, uploads, budget, datasets: Mutex::default() }))
    }

    pub fn settings(&self) -> &BigQuery {
        &self.settings
    }

    /// Jobs that were begun and whose end was not seen; a run of the same command attaches to them.
    pub fn running_jobs(&self) -> Vec<String> {
        self.wire.running_jobs()
    }

    /// Makes BigQuery show the partition, verified.
    ///
    /// Errors: exit 2 for what a person must decide or allow, 12 when BigQuery's rows are not those of the files, 13 when the
    /// service fails, 14 when the lease is lost.
    pub async fn publish(&self, lake: &Storage, part: &Part<'_>, lease: &Lease) -> Result<Loaded> {
        let told = |error: Error| error.with("table", part.table()).with("partition", part.partition);
        self.publish_part(lake, part, lease).await.map_err(told)
    }

    async fn publish_part(&self, lake: &Storage, part: &Part<'_>, lease: &Lease) -> Result<Loaded> {
        let started = Instant::now();
        refuse_expired(part, SystemTime::now())?;
        let (live, schema) = self.table(part).await?;
        let created = live.table.creation_time.clone().unwrap_or_default();
        let partition = part.partition.to_string();
        let mut receipt = Receipt::read(lake, self.wire.project(), part.table(), &partition).await?;
        if let Some(shown) = receipt.shown.as_ref().filter(|shown| is_of(shown, part, &created)) {
            return Ok(self.loaded(part, shown.job.clone(), 0, started, true));
        }
        self.budget.load(part.bytes())?;
        if self.settings.verify == Verify::Checksum {
            // The files are about as large as what comparing them scans, which only the load tells exactly.
            self.budget.has_room_to_scan(part.bytes())?;
        }
        self.drop_other_staging(part, &receipt).await?;
        receipt.staging = Some(part.staging_name());
        receipt.write(lake, self.wire.project(), part.table(), &partition, lease).await?;
        crash::point("before:load");
        let (job, scanned) = match part.rows() {
            0 => (self.show_nothing(lake, part, &schema, lease).await?, 0),
            _ => self.stage_and_show(lake, part, &schema, lease).await?,
        };
        crash::point("after:show");
        self.read_back(part).await?;
        receipt.shown = Some(Shown {
            content: part.content.clone(),
            rows: part.rows(),
            bytes: part.bytes(),
            table_created: created,
            job: job.clone(),
        });
        self.wire.delete_table(&part.table().dataset, &part.staging_name()).await?;
        receipt.staging = None;
        receipt.write(lake, self.wire.project(), part.table(), &partition, lease).await?;
        Ok(self.loaded(part, job, scanned, started, false))
    }

    fn loaded(&self, part: &Part<'_>, job: String, scanned: u64, started: Instant, already: bool) -> Loaded {
        let table = format!("{}.{}", self.wire.project(), part.table());
        Loaded { table, rows: part.rows(), bytes: part.bytes(), already, scanned, job, elapsed: started.elapsed() }
    }

    /// The table that is there, made or changed to what the contract wants, and the schema that files are loaded with.
    async fn table(&self, part: &Part<'_>) -> Result<(TableResource, Schema)> {
        let name = part.table();
        self.dataset(&name.dataset).await?;
        let Some(live) = self.wire.table(&name.dataset, &name.table).await? else {
            let made = self.wire.create_table(&part.wanted).await?;
            let migration = migrate::compare(&part.wanted, &made);
            migration.patch()?;
            return Ok((made, migration.schema));
        };
        let migration = migrate::compare(&part.wanted, &live);
        let live = match migration.patch()? {
            Some(patch) => self.wire.patch_table(patch).await?,
            None => live,
        };
        Ok((live, migration.schema))
    }

    /// Makes the dataset when it is missing. Errors (exit 2): it is in another location than the environment says.
    pub(super) async fn dataset(&self, dataset: &str) -> Result<()> {
        let mut known = self.datasets.lock().await;
        if known.contains(dataset) {
            return Ok(());
        }
        let there = match self.wire.dataset(dataset).await? {
            Some(there) => there,
            None => {
                let mut wanted = Dataset::new(self.wire.project(), dataset);
                wanted.location = Some(self.wire.location().to_owned());
                wanted.labels = Some(self.settings.labels.clone().into_iter().collect());
                self.wire.create_dataset(wanted).await?
            }
        };
        let location = there.location.unwrap_or_default();
        if !location.eq_ignore_ascii_case(self.wire.location()) {
            return Err(Error::project(format!("the dataset {dataset} is in {location}, not in {}", self.wire.location()))
                .hint("a dataset cannot be moved: set location in gatefold.toml to where it is, with a bucket there, or name another project"));
        }
        known.insert(dataset.to_owned());
        Ok(())
    }

    /// What a run that died left behind for other files: a sleeper must find nothing to copy.
    async fn drop_other_staging(&self, part: &Part<'_>, receipt: &Receipt) -> Result<()> {
        match &receipt.staging {
            Some(left) if *left != part.staging_name() => self.wire.delete_table(&part.table().dataset, left).await,
            _ => Ok(()),
        }
    }

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

    async fn stage_and_show(
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
    async fn show_nothing(&self, lake: &Storage, part: &Part<'_>, schema: &Schema, lease: &Lease) -> Result<String> {
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

    async fn compare(&self, part: &Part<'_>, ours: &Checksums, staged: &Finished) -> Result<u64> {
        if let Some(bytes) = staged.output_bytes {
            self.budget.scan(bytes)?;
        }
        let staging = format!("`{}.{}.{}`", self.wire.project(), part.table().dataset, part.staging_name());
        let answer = self.wire.query(&checksum::query(&staging, &part.spec.columns), self.settings.max_scan).await?;
        let theirs = checksum::read_row(&part.spec.columns, answer.rows.first().map_or(&[][..], Vec::as_slice))?;
        match ours.differences(&theirs) {
            differences if differences.is_empty() => Ok(answer.bytes_processed),
            differences => Err(self.differs(part, &differences).await),
        }
    }

    async fn compare_count(&self, part: &Part<'_>) -> Result<u64> {
        let staged = self.wire.table(&part.table().dataset, &part.staging_name()).await?;
        let theirs = staged.as_ref().and_then(rows_of);
        if theirs == Some(part.rows()) {
            return Ok(0);
        }
        let theirs = theirs.map_or_else(|| "an unknown number of".to_owned(), |rows| rows.to_string());
        Err(self.differs(part, &[format!("{} rows in the files, {theirs} in BigQuery", part.rows())]).await)
    }

    /// The staging table goes, so that the next run loads the files again.
    async fn differs(&self, part: &Part<'_>, differences: &[String]) -> Error {
        if let Err(error) = self.wire.delete_table(&part.table().dataset, &part.staging_name()).await {
            tracing::warn!(%error, "failed to remove a staging table; it expires within a day");
        }
        Error::new(ErrorKind::CheckBlocked, "what BigQuery loaded is not what the files hold")
            .with("differs", differences.join("; "))
            .hint("nothing of it was shown; run again, which loads the files anew, and report it when it comes back")
    }

    /// The rows and the table that analysts see now.
    async fn read_back(&self, part: &Part<'_>) -> Result<()> {
        let target = part.target();
        let there = self.wire.table(&target.dataset_id, &target.table_id).await?;
        let there = there.ok_or_else(|| gone(part))?;
        if rows_of(&there) != Some(part.rows()) {
            let rows = rows_of(&there).map_or_else(|| "an unknown number of".to_owned(), |rows| rows.to_string());
            return Err(Error::new(
                ErrorKind::Publish,
                format!("the files hold {} rows, and BigQuery shows {rows}", part.rows()),
            )
            .hint("somebody changed the partition at the same time, or it expired; run again"));
        }
        let mut wanted = part.wanted.clone();
        wanted.table.table_reference = target;
        let differences = migrate::compare(&wanted, &there).differences;
        if differences.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = differences.into_iter().map(|difference| difference.what).collect();
        Err(Error::new(ErrorKind::Publish, "the table is not what was asked for")
            .with("differs", told.join("; "))
            .hint("somebody changed the table at the same time; run again"))
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

pub(super) fn is_of(shown: &Shown, part: &Part<'_>, created: &str) -> bool {
    shown.content == part.content && shown.table_created == created
}

fn rows_of(table: &TableResource) -> Option<u64> {
    table.table.num_rows.as_deref()?.parse().ok()
}

fn in_a_day(now: SystemTime) -> String {
    (now + STAGING_LIFE).duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string()
}

fn gone(part: &Part<'_>) -> Error {
    Error::new(ErrorKind::Publish, format!("the table {} is gone after it was loaded", part.table()))
        .hint("somebody deleted it at the same time; run again")
}

/// BigQuery drops the rows of a partition that is older than the table's expiry in the moment they are loaded.
fn refuse_expired(part: &Part<'_>, now: SystemTime) -> Result<()> {
    let (crate::names::Partition::Day(day), Some(by)) = (part.partition, &part.spec.partition) else { return Ok(()) };
    let Some(days) = by.expire_days else { return Ok(()) };
    let today = chrono::DateTime::<chrono::Utc>::from(now).date_naive();
    let oldest = today - chrono::TimeDelta::days(i64::from(days));
    if day.date() > oldest {
        return Ok(());
    }
    Err(Error::project(format!("the partition is older than {days} days, after which this table's partitions expire"))
        .hint(format!(
            "BigQuery would drop its rows at once; run days after {oldest}, or raise expire_days in the job's file"
        )))
}
