//! The last step of a partition: from [`Audited`] to [`Published`], under the lease, in one commit.

use arrow::datatypes::{FieldRef, SchemaRef};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use super::delta::{CommitFailure, Fence, LakeTable, Slice};
use crate::audit::Audited;
use crate::contract::schema_of;
use crate::error::{Error, ErrorKind, Result};
use crate::history::Counts;
use crate::job::TableSpec;
use crate::names::{Partition, RunId, SnapshotDate, SnapshotName, TableName};
use crate::record::{Lease, crash};
use crate::snapshot::drift::describe;
use crate::snapshot::{REJECTED_ROWS, RejectedRow, rejected_row_columns, rejected_row_table, rejected_rows_batch};
use crate::stage::{StagedFile, stage_batch};
use crate::storage::Storage;

/// Commits of other partitions that may come between before we give up.
const ATTEMPTS: u32 = 50;

/// A partition that readers see.
#[derive(Debug, Clone)]
pub struct Published {
    pub table: TableName,
    /// The Delta version that made it visible.
    pub version: u64,
    /// That the run has made; in a history, those that are current now.
    pub rows: u64,
    /// Of a history.
    pub changes: Option<Counts>,
}

/// What a partition is in terms of column values.
pub fn slice_of(spec: &TableSpec, partition: &Partition) -> Slice {
    match (partition, &spec.partition) {
        (Partition::Day(date), Some(by)) => Slice(vec![(by.column.clone(), date.to_string())]),
        _ => Slice(Vec::new()),
    }
}

/// Replaces the partition by the audited files. Readers see the old rows or the new ones.
///
/// Errors: exit 14 when the lease was lost, 13 when the store fails, 2 when the table in the lake has other columns.
pub async fn publish(
    lake: &Storage,
    spec: &TableSpec,
    description: &str,
    partition: &Partition,
    audited: Audited,
    lease: &Lease,
) -> Result<Published> {
    let staged = audited.into_staged();
    let slice = slice_of(spec, partition);
    let fence = Fence { partition: partition.to_string(), token: lease.fencing_token() as i64 };
    for attempt in 1..=ATTEMPTS {
        let table = LakeTable::open_or_create(lake, &spec.name, &spec.schema(), description).await?;
        // A bucket may take a commit, lose its answer and refuse the second try of its client: then we raced with ourselves.
        if table.shows(&staged.files) {
            return Ok(Published {
                table: spec.name.clone(),
                version: table.version(),
                rows: staged.rows(),
                changes: None,
            });
        }
        let widened = widened(&table, spec)?;
        lease.assert_held().await?;
        match table.replace(&slice, &staged.files, Some(&fence), widened.as_ref()).await {
            Ok(version) => {
                return Ok(Published { table: spec.name.clone(), version, rows: staged.rows(), changes: None });
            }
            Err(failure) => after(failure, &spec.name, attempt).await?,
        }
    }
    Err(too_busy(&spec.name))
}

/// Replaces what the lake tells of a snapshot's bad rows of a day. Nothing is committed where nothing was and is bad.
/// `lease` is that of the partition that the run makes of the snapshot: who lost it has nothing to tell any more.
pub async fn publish_rejected_rows(
    lake: &Storage,
    run: &RunId,
    snapshot: &SnapshotName,
    date: SnapshotDate,
    rows: &[RejectedRow],
    lease: &Lease,
) -> Result<()> {
    let name = rejected_row_table();
    let slice = Slice(vec![("run_date".into(), date.to_string()), ("snapshot".into(), snapshot.to_string())]);
    let before = LakeTable::open(lake, &name).await?;
    let nothing_before = before.is_none_or(|table| table.files_of(&slice).is_empty());
    if rows.is_empty() && nothing_before {
        return Ok(());
    }
    let mut files: Vec<StagedFile> = Vec::new();
    if !rows.is_empty() {
        let batch = rejected_rows_batch(rows, run, snapshot, date)?;
        files = stage_batch(lake, &name, run, &format!("{snapshot}-{date}"), &batch).await?.files;
    }
    let schema = schema_of(&rejected_row_columns());
    crash::point("before:rejected_rows");
    for attempt in 1..=ATTEMPTS {
        let table = LakeTable::open_or_create(lake, &name, &schema, REJECTED_ROWS).await?;
        if table.shows(&files) {
            return Ok(());
        }
        lease.assert_held().await?;
        match table.replace(&slice, &files, None, None).await {
            Ok(_) => {
                crash::point("after:rejected_rows");
                return Ok(());
            }
            Err(failure) => after(failure, &name, attempt).await?,
        }
    }
    Err(too_busy(&name))
}

/// A lost race waits a little, longer each time; anything else is an error.
pub(super) async fn after(failure: CommitFailure, table: &TableName, attempt: u32) -> Result<()> {
    match failure {
        CommitFailure::Raced => {
            let wait_ms = u64::from(attempt.min(10)) * (3 + u64::from(rand_byte()) % 7);
            tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
            Ok(())
        }
        CommitFailure::FencedOut { token } => Err(Error::new(
            ErrorKind::LeaseHeld,
            format!("a later run, with fencing token {token}, has already committed this partition"),
        )
        .with("table", table)
        .hint("gatefold runs shows it; its rows stand")),
        CommitFailure::Failed(error) => Err(error),
    }
}

fn rand_byte() -> u8 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.subsec_micros() as u8)
}

fn too_busy(table: &TableName) -> Error {
    Error::new(ErrorKind::Publish, format!("{ATTEMPTS} commits of other runs came between"))
        .with("table", table)
        .hint("run the same command again")
}

/// The schema that the lake's table grows to, when its job states more columns than it has: older partitions read as null
/// there, so a new column must not be required. Errors (exit 2): a column is gone or has another type, which is a person's
/// decision.
pub(crate) fn widened(table: &LakeTable, spec: &TableSpec) -> Result<Option<SchemaRef>> {
    let wanted = spec.schema();
    let described = |field: &FieldRef| format!("{} {}", field.name(), describe(field.data_type()));
    let there: Vec<String> = table.schema().fields().iter().map(described).collect();
    let stated: Vec<String> = wanted.fields().iter().map(described).collect();
    if stated == there {
        return Ok(None);
    }
    let lost: Vec<&str> = there.iter().filter(|column| !stated.contains(column)).map(String::as_str).collect();
    let added = wanted.fields().iter().filter(|field| !there.contains(&described(field)));
    let demanding: Vec<String> = added.filter(|field| !field.is_nullable()).map(described).collect();
    if lost.is_empty() && demanding.is_empty() {
        return Ok(Some(wanted));
    }
    let mut error = Error::project("the table in the lake cannot become what its job states").with("table", &spec.name);
    if !lost.is_empty() {
        error = error.with("only in the lake", lost.join(", "));
    }
    if !demanding.is_empty() {
        error = error.with("new and required", demanding.join(", "));
    }
    Err(error.hint(
        "new columns without required = true are added by themselves; for anything else give the table a new name, \
         or move the folder of the old one away and run its days again",
    ))
}

/// Delta's per-file statistics: rows, nulls, bounds of whole numbers and of the slice's columns.
pub(super) fn statistics(footer: &ParquetMetaData, slice: &Slice) -> Value {
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (index, column) in footer.file_metadata().schema_descr().columns().iter().enumerate() {
        if column.path().parts().len() != 1 {
            continue;
        }
        let chunks = footer.row_groups().iter().map(|group| group.column(index).statistics());
        let name = column.name().to_owned();
        let chunks: Option<Vec<&Statistics>> = chunks.collect();
        let Some(chunks) = chunks else { continue };
        if let Some(count) = chunks.iter().map(|s| s.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(name.clone(), json!(count));
        }
        let plain = column.logical_type_ref().is_none();
        let bounds = chunks.iter().map(|s| match s {
            Statistics::Int64(s) if plain => Some((*s.min_opt()?, *s.max_opt()?)),
            _ => None,
        });
        let bounds: Option<Vec<(i64, i64)>> = bounds.collect();
        if let Some(bounds) = bounds.filter(|bounds| !bounds.is_empty()) {
            low.insert(name.clone(), json!(bounds.iter().map(|b| b.0).min()));
            high.insert(name, json!(bounds.iter().map(|b| b.1).max()));
        }
    }
    for (column, value) in &slice.0 {
        low.insert(column.clone(), json!(value));
        high.insert(column.clone(), json!(value));
    }
    json!({
        "numRecords": footer.file_metadata().num_rows(),
        "minValues": low,
        "maxValues": high,
        "nullCount": nulls,
    })
}
