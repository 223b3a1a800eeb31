//! Writes a result as Parquet under the run's own prefix, where nothing sees it until a commit names it.

mod statement;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, displayable};
use futures::StreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::engine::{BucketExchangeExec, engine_error};
use crate::error::{Error, ErrorKind, Result};
use crate::history::Change;
use crate::job::TableSpec;
use crate::names::{RunId, TableName};
use crate::storage::Storage;
use statement::Statement;

/// BigQuery wants row groups of at least 16 MiB; this is the encoded size at which one is closed.
pub const ROW_GROUP_BYTES: usize = 32 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;
/// A file larger than this is split, so that loads and readers find work for many hands.
const FILE_BYTES: usize = 1 << 30;

/// A result on disk that no one has looked at: it can be audited, and nothing else.
#[derive(Debug)]
pub struct Staged {
    pub table: TableName,
    pub files: Vec<StagedFile>,
    /// What the query wrote to disk for want of memory.
    pub spilled_bytes: u64,
    /// What becomes of the table's other files, when the table is a history.
    pub change: Option<Box<Change>>,
}

/// How the files of a query are called, and when the next one is begun.
#[derive(Debug, Clone)]
pub struct Layout {
    pub name: String,
    pub file_bytes: usize,
    /// The columns of the table; what the query knows of its own is stated when there is none.
    pub contract: Option<SchemaRef>,
    pub keep: Keep,
}

/// For how long files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// As a part of the table.
    Lasting,
    /// To be read again by this run: quickly encoded, and one file a partition at least, so that places tell partitions.
    Passing,
}

#[derive(Debug, Clone)]
pub struct StagedFile {
    pub meta: ObjectMeta,
    pub footer: Arc<ParquetMetaData>,
}

impl StagedFile {
    pub fn rows(&self) -> u64 {
        self.footer.file_metadata().num_rows().max(0) as u64
    }
}

impl Staged {
    pub fn rows(&self) -> u64 {
        self.files.iter().map(StagedFile::rows).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.meta.size).sum()
    }
}

/// The folder of a table in the lake: `tables/<dataset>/<table>`.
pub fn table_folder(table: &TableName) -> Path {
    Path::from_iter(["tables", &table.dataset, &table.table])
}

/// The folder of one run's files in a table's folder.
pub fn run_folder(table: &TableName, run: &RunId) -> Path {
    table_folder(table).join(run.as_str())
}

/// Stages the rows of a query in the table's folder of the run.
///
/// Errors: what the query meets (exit 11 or 70), a store that does not take the bytes (exit 13).
pub async fn stage(lake: &Storage, table: &TableSpec, run: &RunId, frame: DataFrame) -> Result<Staged> {
    let layout =
        Layout { name: "part".to_owned(), file_bytes: FILE_BYTES, contract: Some(table.schema()), keep: Keep::Lasting };
    let (files, spilled_bytes) = write_query(lake, &run_folder(&table.name, run), &layout, frame).await?;
    Ok(Staged { table: table.name.clone(), files, spilled_bytes, change: None })
}

/// Runs the query and writes each of its partitions to files of its own, at least one in all. Returns them by their partitions, and
/// what the query wrote to disk for want of memory.
pub async fn write_query(
    storage: &Storage,
    folder: &Path,
    layout: &Layout,
    frame: DataFrame,
) -> Result<(Vec<StagedFile>, u64)> {
    let context = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await.map_err(engine_error)?;
    write_plan(storage, folder, layout, plan, context).await
}

/// The same of a plan.
pub async fn write_plan(
    storage: &Storage,
    folder: &Path,
    layout: &Layout,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> Result<(Vec<StagedFile>, u64)> {
    tracing::debug!("{folder} is made by\n{}", displayable(plan.as_ref()).set_show_statistics(true).indent(false));
    let at_once = at_once(&plan, context.session_config().target_partitions());
    let writers = (0..plan.output_partitioning().partition_count()).map(|partition| {
        let (plan, context) = (Arc::clone(&plan), Arc::clone(&context));
        let (lake, folder, layout) = (storage.clone(), folder.clone(), layout.clone());
        let writer = PartitionWriter { lake, folder, layout, partition, files: Vec::new() };
        // Lost with the stream of writers when one of them fails.
        SpawnedTask::spawn(
            async move { writer.write_all(plan.execute(partition, context).map_err(engine_error)?).await },
        )
    });
    let mut writers = futures::stream::iter(writers).map(SpawnedTask::join).buffer_unordered(at_once);
    let mut partitions = BTreeMap::new();
    while let Some(written) = writers.next().await {
        let (partition, files) =
            written.map_err(|error| Error::internal("a writer ended abruptly").source(error))??;
        partitions.insert(partition, files);
    }
    let mut files: Vec<StagedFile> = partitions.into_values().flatten().collect();
    if layout.keep == Keep::Lasting {
        files = without_empty(storage, files).await?;
    }
    Ok((files, spilled_by(&plan)))
}

/// How many partitions are made side by side. Buckets come from nowhere but their own files, so those that wait hold nothing;
/// the partitions of an exchange fill together, and one that nobody reads keeps its rows. Rows that are dealt out to buckets
/// wait in the exchange for theirs, and go to disk when they are many.
fn at_once(plan: &Arc<dyn ExecutionPlan>, threads: usize) -> usize {
    let partitions = plan.output_partitioning().partition_count();
    if exchanges(plan) { partitions.max(1) } else { threads.max(1) }
}

fn exchanges(plan: &Arc<dyn ExecutionPlan>) -> bool {
    // What becomes one partition is read as a whole by whoever asks first.
    let gathered = plan.output_partitioning().partition_count() == 1;
    let dealt = plan.is::<BucketExchangeExec>();
    !gathered && !dealt && (plan.is::<RepartitionExec>() || plan.children().into_iter().any(exchanges))
}

fn spilled_by(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let own = plan.metrics().and_then(|metrics| metrics.spilled_bytes()).unwrap_or_default() as u64;
    own + plan.children().into_iter().map(spilled_by).sum::<u64>()
}

/// Writes rows that are already in memory, as one file.
pub async fn stage_batch(
    lake: &Storage,
    table: &TableName,
    run: &RunId,
    name: &str,
    batch: &RecordBatch,
) -> Result<Staged> {
    let path = run_folder(table, run).join(format!("{name}.parquet"));
    let mut file = OpenFile::create(lake, path, batch.schema(), Keep::Lasting);
    file.write(lake, batch).await?;
    Ok(Staged { table: table.clone(), files: vec![file.close(lake).await?], spilled_bytes: 0, change: None })
}

/// An empty file says nothing, and nothing would ever name it: it is removed. A partition without rows keeps one, so
/// that it is known to be empty.
async fn without_empty(lake: &Storage, files: Vec<StagedFile>) -> Result<Vec<StagedFile>> {
    let (mut kept, mut empty): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.rows() > 0);
    if kept.is_empty() {
        kept.extend(empty.pop());
    }
    for StagedFile { meta, .. } in empty {
        lake.store().delete(&meta.location).await.map_err(|error| lake.failed("remove", &meta.location, error))?;
    }
    Ok(kept)
}

struct PartitionWriter {
    lake: Storage,
    folder: Path,
    layout: Layout,
    partition: usize,
    files: Vec<StagedFile>,
}

impl PartitionWriter {
    async fn write_all(mut self, mut stream: SendableRecordBatchStream) -> Result<(usize, Vec<StagedFile>)> {
        let mut statement = Statement::of(&stream.schema(), self.layout.contract.as_deref());
        let mut open = self.next_file(statement.schema());
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(engine_error)?;
            // The audit tells which rows are at fault, so they are written, from here on in files that may hold them.
            let broken = statement.is_broken_by(&batch);
            if broken {
                statement = statement.relaxed();
            }
            if broken || open.writer.bytes_written() >= self.layout.file_bytes {
                self.files.push(open.close(&self.lake).await?);
                open = self.next_file(statement.schema());
            }
            let batch = statement.conform(&batch);
            open.write(
                &self.lake,
                &batch.map_err(|error| Error::internal("a result changed its columns").source(error))?,
            )
            .await?;
        }
        self.files.push(open.close(&self.lake).await?);
        Ok((self.partition, self.files))
    }

    fn next_file(&self, schema: &SchemaRef) -> OpenFile {
        let name = format!("{}-{:03}-{:03}.parquet", self.layout.name, self.partition, self.files.len());
        OpenFile::create(&self.lake, self.folder.clone().join(name), Arc::clone(schema), self.layout.keep)
    }
}

struct OpenFile {
    path: Path,
    writer: AsyncArrowWriter<BufWriter>,
}

impl OpenFile {
    fn create(lake: &Storage, path: Path, schema: SchemaRef, keep: Keep) -> Self {
        let sink = lake.writer(&path);
        let properties = match keep {
            Keep::Lasting => writer_properties(),
            Keep::Passing => passing_properties(),
        };
        let writer = AsyncArrowWriter::try_new(sink, schema, Some(properties))
            .expect("the planner only makes types that Parquet has");
        OpenFile { path, writer }
    }

    async fn write(&mut self, lake: &Storage, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).await.map_err(|error| write_failed(lake, &self.path, error))?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.writer.flush().await.map_err(|error| write_failed(lake, &self.path, error))?;
        }
        Ok(())
    }

    async fn close(self, lake: &Storage) -> Result<StagedFile> {
        let OpenFile { path, writer } = self;
        let footer = writer.close().await.map_err(|error| write_failed(lake, &path, error))?;
        let meta = lake.head(&path).await?;
        Ok(StagedFile { meta, footer: Arc::new(footer) })
    }
}

/// How the files are encoded. Public, so that the bench can tell what encoding alone costs.
pub fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("gatefold ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

/// What is read soon and once or twice is not worth the time of a strong code.
fn passing_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::None)
        .build()
}

fn write_failed(lake: &Storage, path: &Path, error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Publish, "failed to stage a file")
        .with("path", lake.describe(path))
        .source(error)
        .hint("see that the lake has room and can be written, then run the same command again")
}
