//! Sorts rows by bucket and order, and writes one file a bucket.
//!
//! One external sort over the whole day: what does not fit into its part of the memory spills in sorted runs, which are
//! merged. So a bucket a hundred times larger than the others needs no more memory than any, and nothing is known in
//! advance of how the values fall. The files are encoded beside the merge, as many as there are threads.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef, UInt32Type};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::contract::Layout;
use crate::engine::{BUCKET_OF, Engine, Joins, ParquetTable, bucket_of, engine_error};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::identifier;
use crate::stage::writer_properties;
use crate::storage::Storage;

/// Batches that wait for an encoder.
const BATCHES_AHEAD: usize = 2;
/// Encoders together hold at most this part of the memory in row groups.
const ENCODERS_PART: usize = 8;
/// The encoded size of a row group, at most. A reader has one of every bucket in memory where a plan reads all of them at once.
const GROUP_BYTES: usize = 4 << 20;
/// No column of a contract begins so.
const BUCKET: &str = "__bucket";

/// Where a day is written, and how it lies there.
pub struct Target<'a> {
    pub storage: &'a Storage,
    pub folder: &'a Path,
    pub layout: &'a Layout,
    /// The columns of the files, in the table's order.
    pub schema: SchemaRef,
}

/// A bucket's file.
#[derive(Debug, Clone)]
pub struct Written {
    pub meta: ObjectMeta,
    pub rows: u64,
}

/// Writes the rows of a table, which has the columns of the target and maybe more. Returns the files by bucket, all of them:
/// an empty bucket is a file without rows.
///
/// # Errors
/// `Publish`: the storage or the disk for spills does not take it. `OutOfMemory`: the limit is too small to sort a batch.
pub async fn write(engine: &Engine, table: ParquetTable, target: &Target<'_>) -> Result<Vec<Written>> {
    let rows = sorted(engine, table, target).await?;
    let threads = engine.options().threads.max(1);
    let memory_bytes = usize::try_from(engine.options().memory_bytes).unwrap_or(usize::MAX);
    let encoding = Encoding {
        storage: target.storage.clone(),
        schema: Arc::clone(&target.schema),
        group_bytes: GROUP_BYTES.min(memory_bytes / ENCODERS_PART / threads),
    };
    let mut files =
        Files { target, encoding, threads, next: 0, open: None, encoders: JoinSet::new(), done: Vec::new() };
    let written = async {
        deal(rows, &mut files).await?;
        files.finish().await
    };
    let written = written.await;
    // After a failure nothing may still be put into a folder that is about to go.
    files.encoders.shutdown().await;
    written
}

/// The rows with their bucket as the last column, by bucket and then in the order of the layout.
async fn sorted(engine: &Engine, table: ParquetTable, target: &Target<'_>) -> Result<SendableRecordBatchStream> {
    let context = engine.session(Joins::Merge);
    context.register_udf(bucket_of(target.layout.count, DataType::Utf8));
    // A sort that holds views is charged for whole buffers.
    context.register_table("day", Arc::new(table.with_plain_text())).map_err(engine_error)?;
    let columns: Vec<String> = target.schema.fields().iter().map(|field| identifier(field.name())).collect();
    let order: Vec<String> =
        target.layout.sorted.iter().map(|column| format!("{} ASC NULLS FIRST", identifier(column))).collect();
    let sql = format!(
        "SELECT {}, {BUCKET_OF}({}) AS {BUCKET} FROM day ORDER BY {BUCKET}, {}",
        columns.join(", "),
        identifier(&target.layout.by),
        order.join(", ")
    );
    let frame = context.sql(&sql).await.map_err(engine_error)?;
    frame.execute_stream().await.map_err(engine_error)
}

async fn deal(mut rows: SendableRecordBatchStream, files: &mut Files<'_>) -> Result<()> {
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(engine_error)?;
        let last = batch.num_columns() - 1;
        let buckets = batch.column(last).as_primitive::<UInt32Type>().values().clone();
        let columns = batch.columns()[..last].to_vec();
        let rows = RecordBatch::try_new(Arc::clone(&files.encoding.schema), columns)
            .map_err(|error| Error::internal("sorted rows changed their columns").source(error))?;
        let mut first = 0;
        for run in buckets.chunk_by(|a, b| a == b) {
            files.write(run[0], rows.slice(first, run.len())).await?;
            first += run.len();
        }
    }
    Ok(())
}

/// The files of a day, begun one after the other.
struct Files<'a> {
    target: &'a Target<'a>,
    encoding: Encoding,
    threads: usize,
    /// The bucket that is begun next.
    next: u32,
    /// The way to the encoder of the bucket before it.
    open: Option<mpsc::Sender<RecordBatch>>,
    /// Those that fill a file, and those that end one. Dropped, they stop.
    encoders: JoinSet<Result<(u32, Written)>>,
    done: Vec<(u32, Written)>,
}

impl Files<'_> {
    async fn write(&mut self, bucket: u32, rows: RecordBatch) -> Result<()> {
        while self.next <= bucket {
            self.begin().await?;
        }
        let Some(open) = &self.open else { return Err(Error::internal("a bucket came out of its order")) };
        if open.send(rows).await.is_ok() {
            return Ok(());
        }
        // The encoder is gone before its rows are: it has failed, and says why.
        self.open = None;
        while !self.encoders.is_empty() {
            self.join().await?;
        }
        Err(Error::internal("an encoder ended before its rows"))
    }

    async fn begin(&mut self) -> Result<()> {
        self.open = None;
        while self.encoders.len() >= self.threads {
            self.join().await?;
        }
        let bucket = self.next;
        let path = self.target.folder.clone().join(self.target.layout.file_name(bucket));
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let encoding = self.encoding.clone();
        self.encoders.spawn(async move { Ok((bucket, encoding.encode(path, receiver).await?)) });
        (self.open, self.next) = (Some(sender), bucket + 1);
        Ok(())
    }

    async fn join(&mut self) -> Result<()> {
        if let Some(encoded) = self.encoders.join_next().await {
            self.done.push(encoded.map_err(|error| Error::internal("an encoder ended abruptly").source(error))??);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<Vec<Written>> {
        while self.next < self.target.layout.count {
            self.begin().await?;
        }
        self.open = None;
        while !self.encoders.is_empty() {
            self.join().await?;
        }
        self.done.sort_by_key(|(bucket, _)| *bucket);
        Ok(std::mem::take(&mut self.done).into_iter().map(|(_, written)| written).collect())
    }
}

#[derive(Clone)]
struct Encoding {
    storage: Storage,
    schema: SchemaRef,
    /// The encoded size at which a row group is closed.
    group_bytes: usize,
}

impl Encoding {
    async fn encode(self, path: Path, mut batches: mpsc::Receiver<RecordBatch>) -> Result<Written> {
        let failed = |error| {
            Error::new(ErrorKind::Publish, "failed to write a bucket")
                .with("path", self.storage.describe(&path))
                .source(error)
                .hint("see that the place has room and can be written, then run the same command again")
        };
        let sink = self.storage.writer(&path);
        let mut writer =
            AsyncArrowWriter::try_new(sink, Arc::clone(&self.schema), Some(writer_properties())).map_err(failed)?;
        while let Some(batch) = batches.recv().await {
            writer.write(&batch).await.map_err(failed)?;
            if writer.in_progress_size() >= self.group_bytes {
                writer.flush().await.map_err(failed)?;
            }
        }
        let footer = writer.close().await.map_err(failed)?;
        let rows = footer.file_metadata().num_rows().max(0) as u64;
        Ok(Written { meta: self.storage.head(&path).await?, rows })
    }
}
