//! Whether BigQuery holds the rows of the files: before anyone sees them, and once more when they are seen.

use super::checksum::{self, Checksums};
use super::jobs::Finished;
use super::migrate;
use super::part::Part;
use super::resource::TableResource;
use super::warehouse::Warehouse;
use crate::error::{Error, ErrorKind, Result};

impl Warehouse {
    pub(super) async fn compare(&self, part: &Part<'_>, ours: &Checksums, staged: &Finished) -> Result<u64> {
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

    pub(super) async fn compare_count(&self, part: &Part<'_>) -> Result<u64> {
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
    pub(super) async fn read_back(&self, part: &Part<'_>) -> Result<()> {
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

pub(super) fn rows_of(table: &TableResource) -> Option<u64> {
    table.table.num_rows.as_deref()?.parse().ok()
}

fn gone(part: &Part<'_>) -> Error {
    Error::new(ErrorKind::Publish, format!("the table {} is gone after it was loaded", part.table()))
        .hint("somebody deleted it at the same time; run again")
}
