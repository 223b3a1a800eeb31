//! The last step of a day of a history: the files that come, those that go and the word of it, in one commit.

use chrono::{DateTime, SecondsFormat};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Value, json};

use super::delta::{CommitFailure, Fence, LakeTable, Slice};
use super::lake::{Published, after, statistics, widened};
use crate::audit::Audited;
use crate::error::{Error, ErrorKind, Result};
use crate::history::Applied;
use crate::job::{TableSpec, VALID_FROM, VALID_TO};
use crate::names::Partition;
use crate::record::Lease;
use crate::storage::Storage;

/// Takes the day in. Readers see the table before it or after it.
///
/// Errors: exit 14 when the lease was lost, 13 when the store fails or the table is no longer the one that the day was
/// compared with, 2 when the table in the lake has other columns.
pub async fn publish_history(
    lake: &Storage,
    spec: &TableSpec,
    description: &str,
    audited: Audited,
    lease: &Lease,
) -> Result<Published> {
    let staged = audited.into_staged();
    let change = staged.change.ok_or_else(|| Error::internal("a history was staged without its change"))?;
    let table = match change.table {
        Some(table) => table,
        None => LakeTable::open_or_create(lake, &spec.name, &spec.schema(), description).await?,
    };
    let widened = widened(&table, spec)?;
    let fence = Fence { partition: Partition::Whole.to_string(), token: lease.fencing_token() as i64 };
    let added = staged.files.iter().map(|file| (file, history_statistics(&file.footer)));
    lease.assert_held().await?;
    let published = |version| Published {
        table: spec.name.clone(),
        version,
        rows: change.counts.opened + change.counts.unchanged,
        changes: Some(change.counts),
    };
    match table.change(&change.removed, added, &change.applied, &fence, widened.as_ref()).await {
        Ok(version) => Ok(published(version)),
        Err(CommitFailure::Raced) => match ours(lake, spec, &change.applied).await? {
            Some(version) => Ok(published(version)),
            // The day was compared with rows that may be others now, so it is compared again.
            None => {
                Err(Error::new(ErrorKind::Publish, "another commit came between, and the day must be compared again")
                    .with("table", &spec.name)
                    .hint("run the same command again"))
            }
        },
        Err(failure) => Err(after(failure, &spec.name, 1).await.err().unwrap_or_else(|| Error::internal("no failure"))),
    }
}

/// The table's version, when it tells of its days what our commit says: a bucket may take a commit, lose its answer and refuse
/// the second try of its client.
async fn ours(lake: &Storage, spec: &TableSpec, applied: &Applied) -> Result<Option<u64>> {
    let table = LakeTable::open(lake, &spec.name).await?;
    Ok(table.filter(|table| table.applied() == applied).map(|table| table.version()))
}

/// Delta's per-file statistics with the bounds of the two instants, which say what a file of a history holds.
fn history_statistics(footer: &ParquetMetaData) -> Value {
    let mut told = statistics(footer, &Slice(Vec::new()));
    for (index, column) in footer.file_metadata().schema_descr().columns().iter().enumerate() {
        if ![VALID_FROM, VALID_TO].contains(&column.name()) || column.path().parts().len() != 1 {
            continue;
        }
        let chunks = footer.row_groups().iter().filter_map(|group| group.column(index).statistics());
        let bounds: Vec<(i64, i64)> = chunks
            .filter_map(|chunk| match chunk {
                Statistics::Int64(chunk) => Some((*chunk.min_opt()?, *chunk.max_opt()?)),
                _ => None,
            })
            .collect();
        let (least, greatest) = (bounds.iter().map(|b| b.0).min(), bounds.iter().map(|b| b.1).max());
        if let (Some(least), Some(greatest)) = (least.and_then(instant), greatest.and_then(instant)) {
            told["minValues"][column.name()] = json!(least);
            told["maxValues"][column.name()] = json!(greatest);
        }
    }
    told
}

/// As Delta writes it, to the millisecond: the instants of a history are midnights.
fn instant(micros: i64) -> Option<String> {
    Some(DateTime::from_timestamp_micros(micros)?.to_rfc3339_opts(SecondsFormat::Millis, true))
}
