//! A lake table as its Delta log tells it: which files are visible, which rows each stands for, and the commit that
//! replaces some of them by others.
//!
//! The Delta table has no partition columns: BigQuery wants the partition column inside the files, Delta would leave its
//! own out of them. Each file holds rows of one partition instead, and its statistics say of which.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::transaction::{CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, Add, MetadataExt, StructType, Transaction};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore, logstore_for};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError, TableProperty};
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use serde_json::Value;
use url::Url;

use super::lake::statistics;
use crate::engine::{DataFile, ParquetTable};
use crate::error::{Error, ErrorKind, Result};
use crate::history::Applied;
use crate::names::{RunId, TableName};
use crate::stage::{StagedFile, table_folder};
use crate::storage::Storage;

/// Commits from one checkpoint of a table's log to the next. Whoever opens the table reads the last checkpoint and every commit
/// after it, and small files cost most: with a hundred, a table with a year of days takes three times as long to open.
const CHECKPOINT_INTERVAL: &str = "10";

/// A table at one version. What is read through it stays as it was, whatever is committed meanwhile.
#[derive(Debug, Clone)]
pub struct LakeTable {
    pub name: TableName,
    delta: DeltaTable,
    pub files: Vec<LakeFile>,
    schema: SchemaRef,
    applied: Applied,
    lake: Storage,
}

/// Whether the table was ever committed. A long log is listed only where neither of the files is there that begin one.
async fn has_log(lake: &Storage, name: &TableName) -> Result<bool> {
    let log = table_folder(name).join("_delta_log");
    for file in ["_last_checkpoint", "00000000000000000000.json"] {
        if lake.has(&log.clone().join(file)).await? {
            return Ok(true);
        }
    }
    lake.has_any(&log).await
}

#[derive(Debug, Clone)]
pub struct LakeFile {
    /// Relative to the table's folder.
    pub path: String,
    pub meta: ObjectMeta,
    pub rows: u64,
    /// The file's statistics; for the columns of a [`Slice`] the bounds are the value of all its rows.
    statistics: Value,
    action: deltalake_core::kernel::Remove,
}

impl LakeFile {
    /// The run that made the file, by the folder it lies in.
    pub fn run(&self) -> Option<RunId> {
        self.path.split('/').next()?.parse().ok()
    }

    /// The least value of a column, as the statistics write it.
    pub fn least(&self, column: &str) -> Option<&Value> {
        self.statistics.get("minValues")?.get(column)
    }

    /// The greatest value of a column, as the statistics write it.
    pub fn greatest(&self, column: &str) -> Option<&Value> {
        self.statistics.get("maxValues")?.get(column)
    }

    pub fn nulls(&self, column: &str) -> Option<u64> {
        self.statistics.get("nullCount")?.get(column)?.as_u64()
    }
}

/// The rows that a commit replaces: those with these values in these columns; all rows when there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice(pub Vec<(String, String)>);

impl Slice {
    fn holds(&self, file: &LakeFile) -> bool {
        self.0.iter().all(|(column, value)| file.least(column).and_then(Value::as_str) == Some(value))
    }

    fn predicate(&self) -> Option<String> {
        let terms: Vec<String> = self.0.iter().map(|(column, value)| format!("{column} = '{value}'")).collect();
        (!terms.is_empty()).then(|| terms.join(" AND "))
    }
}

/// Proves that a commit comes from the holder of the lease: the log keeps the greatest token that has committed.
#[derive(Debug, Clone)]
pub struct Fence {
    pub partition: String,
    pub token: i64,
}

impl Fence {
    fn application(&self) -> String {
        format!("gatefold/{}", self.partition)
    }
}

/// Why a commit did not happen.
pub enum CommitFailure {
    /// Another commit came between; read the table again and try again.
    Raced,
    /// A run with a later token has committed this partition.
    FencedOut {
        token: i64,
    },
    Failed(Error),
}

impl LakeTable {
    /// `None` when the table was never committed.
    pub async fn open(lake: &Storage, name: &TableName) -> Result<Option<LakeTable>> {
        if !has_log(lake, name).await? {
            return Ok(None);
        }
        let mut delta = DeltaTable::new(log_store(lake, name)?);
        delta.load().await.map_err(|error| broken(name, error))?;
        LakeTable::at(lake, name, delta).map(Some)
    }

    pub async fn open_or_create(
        lake: &Storage,
        name: &TableName,
        schema: &SchemaRef,
        description: &str,
    ) -> Result<LakeTable> {
        if let Some(table) = LakeTable::open(lake, name).await? {
            return Ok(table);
        }
        match create(lake, name, schema, description).await {
            Ok(delta) => LakeTable::at(lake, name, delta),
            // Another run made it in the same moment.
            Err(raced) => LakeTable::open(lake, name).await?.ok_or(raced),
        }
    }

    fn at(lake: &Storage, name: &TableName, delta: DeltaTable) -> Result<LakeTable> {
        let snapshot = delta.snapshot().map_err(|error| broken(name, error))?.snapshot().clone();
        let log = snapshot.log_data();
        let files = log.iter().map(|view| {
            let path = view.path().into_owned();
            let meta = ObjectMeta {
                location: location(name, &path),
                last_modified: view.modification_datetime().map_err(|error| broken(name, error))?,
                size: view.size().max(0) as u64,
                e_tag: None,
                version: None,
            };
            let stats: Value = view.stats().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let rows = stats.get("numRecords").and_then(Value::as_u64).unwrap_or_default();
            Ok(LakeFile { path, meta, rows, statistics: stats, action: view.remove_action(true) })
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        let schema = snapshot.arrow_schema();
        let applied = Applied::read(name, snapshot.metadata().configuration())?;
        Ok(LakeTable { name: name.clone(), delta, files, schema, applied, lake: lake.clone() })
    }

    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or_default()
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The days that a history has taken in.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    pub fn files_of(&self, slice: &Slice) -> Vec<&LakeFile> {
        self.files.iter().filter(|file| slice.holds(file)).collect()
    }

    pub fn has_files_of(&self, slice: &Slice) -> bool {
        self.files.iter().any(|file| slice.holds(file))
    }

    /// The runs whose files are visible in a slice.
    pub fn runs_of(&self, slice: &Slice) -> BTreeSet<RunId> {
        self.files_of(slice).into_iter().filter_map(LakeFile::run).collect()
    }

    /// The files of this version and those that commits have removed, for as long as the log remembers them: someone may
    /// be reading any of these.
    pub async fn files_ever_named(&self) -> Result<BTreeSet<Path>> {
        let state = self.delta.snapshot().map_err(|error| broken(&self.name, error))?;
        let log = self.delta.log_store();
        let removed: Vec<_> =
            state.all_tombstones(log.as_ref()).try_collect().await.map_err(|error| broken(&self.name, error))?;
        let removed = removed.iter().map(|file| location(&self.name, &file.path()));
        Ok(self.files.iter().map(|file| file.meta.location.clone()).chain(removed).collect())
    }

    /// Whether these files are visible: a commit that named them has happened, whatever its answer was.
    pub fn shows(&self, files: &[StagedFile]) -> bool {
        let visible: BTreeSet<&Path> = self.files.iter().map(|file| &file.meta.location).collect();
        !files.is_empty() && files.iter().all(|file| visible.contains(&file.meta.location))
    }

    /// The values that a slice column takes, from the files' statistics.
    pub fn values_of(&self, column: &str) -> BTreeSet<String> {
        self.files.iter().filter_map(|file| file.least(column)?.as_str().map(str::to_owned)).collect()
    }

    /// The rows of a slice, for a query.
    pub fn rows_of(&self, slice: &Slice) -> ParquetTable {
        self.rows_in(self.files_of(slice))
    }

    /// The rows of some of the table's files.
    pub fn rows_in<'a>(&self, files: impl IntoIterator<Item = &'a LakeFile>) -> ParquetTable {
        let file = |file: &LakeFile| DataFile { meta: file.meta.clone(), rows: file.rows, selection: None };
        let files = files.into_iter().map(file).collect();
        ParquetTable::new(self.lake.url().clone(), files, &self.schema)
    }

    /// Replaces a slice by these files in one commit, on top of exactly the version that was read. `widened` is the
    /// table's schema from here on, when it grows.
    pub async fn replace(
        &self,
        slice: &Slice,
        files: &[StagedFile],
        fence: Option<&Fence>,
        widened: Option<&SchemaRef>,
    ) -> Result<u64, CommitFailure> {
        let removed = self.files_of(slice).into_iter().map(|file| Action::Remove(file.action.clone()));
        let added = files.iter().map(|file| self.add(file, statistics(&file.footer, slice)).map(Action::Add));
        let grown = widened.map(|schema| self.metadata(Some(schema), None));
        let actions = grown.into_iter().chain(removed.map(Ok)).chain(added).collect::<Result<Vec<_>>>();
        self.commit(actions.map_err(CommitFailure::Failed)?, slice.predicate(), fence).await
    }

    /// Takes a day into a history in one commit, on top of exactly the version that was read: these files go, these come
    /// with their statistics, and `applied` is what the table says of its days from here on.
    pub async fn change<'a>(
        &self,
        removed: impl IntoIterator<Item = &'a LakeFile>,
        added: impl IntoIterator<Item = (&'a StagedFile, Value)>,
        applied: &Applied,
        fence: &Fence,
        widened: Option<&SchemaRef>,
    ) -> Result<u64, CommitFailure> {
        let metadata = self.metadata(widened, Some(applied));
        let removed = removed.into_iter().map(|file| Action::Remove(file.action.clone()));
        let added = added.into_iter().map(|(file, statistics)| self.add(file, statistics).map(Action::Add));
        let actions = std::iter::once(metadata).chain(removed.map(Ok)).chain(added).collect::<Result<Vec<_>>>();
        self.commit(actions.map_err(CommitFailure::Failed)?, None, Some(fence)).await
    }

    async fn commit(
        &self,
        actions: Vec<Action>,
        predicate: Option<String>,
        fence: Option<&Fence>,
    ) -> Result<u64, CommitFailure> {
        let fail = |error: Error| CommitFailure::Failed(error);
        let state = self.delta.snapshot().map_err(|error| fail(broken(&self.name, error)))?;
        let log = self.delta.log_store();
        if let Some(fence) = fence {
            let seen = state.transaction_version(log.as_ref(), fence.application()).await;
            match seen.map_err(|error| fail(broken(&self.name, error)))? {
                Some(token) if token > fence.token => return Err(CommitFailure::FencedOut { token }),
                _ => {}
            }
        }
        let operation = DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate };
        let mut properties = CommitProperties::default().with_max_retries(0);
        if let Some(fence) = fence {
            properties = properties.with_application_transaction(Transaction::new(fence.application(), fence.token));
        }
        let commit = deltalake_core::kernel::transaction::CommitBuilder::from(properties).with_actions(actions).build(
            Some(state),
            Arc::clone(&log),
            operation,
        );
        match commit.await {
            Ok(done) => Ok(done.version()),
            Err(error) if is_race(&error) => Err(CommitFailure::Raced),
            Err(error) => Err(fail(
                Error::new(ErrorKind::Publish, "failed to commit to the lake").with("table", &self.name).source(error),
            )),
        }
    }

    /// What the table says of itself, with another schema or with other days.
    fn metadata(&self, schema: Option<&SchemaRef>, applied: Option<&Applied>) -> Result<Action> {
        let mut metadata = self.delta.snapshot().map_err(|error| broken(&self.name, error))?.metadata().clone();
        if let Some(schema) = schema {
            let grown = metadata.with_schema(&delta_schema(&self.name, schema)?);
            metadata = grown.map_err(|error| broken(&self.name, error.into()))?;
        }
        if let Some(applied) = applied {
            let configuration = applied.write(metadata.configuration());
            let mut written = serde_json::to_value(&metadata).map_err(|error| unwritten(&self.name, error))?;
            written["configuration"] = serde_json::json!(configuration);
            metadata = serde_json::from_value(written).map_err(|error| unwritten(&self.name, error))?;
        }
        Ok(Action::Metadata(metadata))
    }

    fn add(&self, file: &StagedFile, statistics: Value) -> Result<Add> {
        let folder = table_folder(&self.name);
        let path =
            file.meta.location.prefix_match(&folder).map(|parts| Path::from_iter(parts).to_string()).ok_or_else(
                || Error::internal("a staged file lies outside its table").with("file", &file.meta.location),
            )?;
        Ok(Add {
            path,
            partition_values: Default::default(),
            size: file.meta.size as i64,
            modification_time: file.meta.last_modified.timestamp_millis(),
            data_change: true,
            stats: Some(statistics.to_string()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }
}

/// All tables of the lake, by name.
pub async fn list_tables(lake: &Storage) -> Result<Vec<TableName>> {
    let folders = async |prefix: Path| -> Result<Vec<Path>> {
        let listed = lake.store().list_with_delimiter(Some(&prefix)).await;
        Ok(listed.map_err(|error| lake.failed("list", &prefix, error))?.common_prefixes)
    };
    let mut tables = Vec::new();
    for dataset in folders(Path::from("tables")).await? {
        for table in folders(dataset.clone()).await? {
            let (dataset, table) = (dataset.filename().unwrap_or_default(), table.filename().unwrap_or_default());
            tables.extend(TableName::new(dataset, table).ok());
        }
    }
    tables.sort();
    Ok(tables)
}

async fn create(lake: &Storage, name: &TableName, schema: &SchemaRef, description: &str) -> Result<DeltaTable> {
    let columns = delta_schema(name, schema)?;
    CreateBuilder::new()
        .with_log_store(log_store(lake, name)?)
        .with_table_name(name.to_string())
        .with_comment(description)
        .with_columns(columns.fields().cloned())
        .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT_INTERVAL))
        // A creation that is late must not put its empty metadata on top of a table that another run has made and filled.
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        .await
        .map_err(|error| {
            Error::new(ErrorKind::Publish, "failed to create the lake table").with("table", name).source(error)
        })
}

fn delta_schema(name: &TableName, schema: &SchemaRef) -> Result<StructType> {
    schema.as_ref().try_into_kernel().map_err(|error: arrow::error::ArrowError| {
        Error::project("the lake cannot hold a column of this table")
            .with("table", name)
            .source(error)
            .hint("Delta has no BIGNUMERIC; use NUMERIC or STRING")
    })
}

/// Where a file of a table's log lies in the lake.
fn location(table: &TableName, path: &str) -> Path {
    Path::from_iter(table_folder(table).parts().chain(Path::from(path).parts()))
}

/// The log of a table. Its commits are put if absent, on a disk and in a bucket: of two with one number, one wins.
fn log_store(lake: &Storage, name: &TableName) -> Result<LogStoreRef> {
    let folder = table_folder(name);
    match lake.bucket() {
        Some((place, whole)) => {
            let place = place.join(folder.as_ref());
            let url = Url::parse(&format!("{place}/")).map_err(|error| {
                Error::internal("the place of a table is not a URL").with("place", &place).source(error)
            })?;
            let table = Arc::new(PrefixStore::new(Arc::clone(lake.store()), folder));
            Ok(default_logstore(table, Arc::clone(whole), &url, &StorageConfig::default()))
        }
        None => {
            logstore_for(&folder_url(lake, &folder)?, StorageConfig::default()).map_err(|error| broken(name, error))
        }
    }
}

/// Of a table's folder on a disk, which is made when missing: the log's own store asks for it.
fn folder_url(lake: &Storage, folder: &Path) -> Result<Url> {
    let folder = PathBuf::from(lake.describe(folder));
    std::fs::create_dir_all(&folder).map_err(|error| {
        Error::new(ErrorKind::Publish, "failed to make the table's folder")
            .with("folder", folder.display())
            .source(error)
    })?;
    Url::from_directory_path(&folder)
        .map_err(|()| Error::project("the lake's folder is not an absolute path").with("folder", folder.display()))
}

fn unwritten(name: &TableName, error: serde_json::Error) -> Error {
    Error::internal("the table's metadata has no JSON").with("table", name).source(error)
}

fn is_race(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(source, TransactionError::MaxCommitAttempts(_) | TransactionError::CommitConflict(_))
        }
        _ => false,
    }
}

fn broken(name: &TableName, error: DeltaTableError) -> Error {
    Error::new(ErrorKind::Publish, "the lake table cannot be read").with("table", name).source(error)
}

#[cfg(test)]
mod tests;
