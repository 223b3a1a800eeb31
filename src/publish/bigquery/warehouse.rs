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
use std::time::{Duration, Instant, SystemTime};

use gcp_bigquery_client::model::dataset::Dataset;
use tokio::sync::Mutex;

use super::budget::Budget;
use super::migrate;
use super::part::Part;
use super::receipt::{Receipt, Shown};
use super::resource::{Schema, TableResource};
use super::upload::Uploads;
use super::wire::Wire;
use crate::config::{BigQuery, Environment, Verify};
use crate::error::{Error, Result};
use crate::record::{Lease, crash};
use crate::storage::Storage;

pub struct Warehouse {
    pub(super) wire: Wire,
    pub(super) settings: BigQuery,
    pub(super) uploads: Option<Uploads>,
    pub(super) budget: Budget,
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
}

pub(super) fn is_of(shown: &Shown, part: &Part<'_>, created: &str) -> bool {
    shown.content == part.content && shown.table_created == created
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
