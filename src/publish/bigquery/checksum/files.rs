//! The checksums of Parquet files, as many row groups at a time as there are threads.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use tokio::task::JoinSet;

use super::{Checksums, ColumnSum, of_batch};
use crate::contract::Column;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// Memory is a batch for each thread, whatever the files hold.
const BATCH_ROWS: usize = 8192;

/// The checksums of all rows of the files. A file's columns are found by name; one that it lacks holds nulls.
///
/// # Errors
/// `Publish`: a file cannot be read.
pub async fn of_files(storage: &Storage, files: &[ObjectMeta], columns: &[Column]) -> Result<Checksums> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let columns: Arc<[Column]> = columns.into();
    let none = columns.iter().map(|column| (column.name.clone(), ColumnSum::default()));
    let mut all = Checksums { columns: none.collect(), ..Checksums::default() };
    // Those under way end with the set when one fails.
    let mut under_way: JoinSet<Result<Checksums>> = JoinSet::new();
    for meta in files {
        let mut object = Object { storage: storage.clone(), meta: meta.clone() };
        let footer = ArrowReaderMetadata::load_async(&mut object, ArrowReaderOptions::new()).await;
        let footer = footer.map_err(|error| object.unreadable(error))?;
        for group in 0..footer.metadata().num_row_groups() {
            if under_way.len() >= threads {
                take_one(&mut under_way, &mut all).await?;
            }
            under_way.spawn(sum_group(object.clone(), footer.clone(), group, Arc::clone(&columns)));
        }
    }
    while !under_way.is_empty() {
        take_one(&mut under_way, &mut all).await?;
    }
    Ok(all)
}

async fn take_one(under_way: &mut JoinSet<Result<Checksums>>, all: &mut Checksums) -> Result<()> {
    let Some(done) = under_way.join_next().await else { return Ok(()) };
    all.add(&done.map_err(|error| Error::internal("a reader ended abruptly").source(error))??);
    Ok(())
}

async fn sum_group(
    object: Object,
    footer: ArrowReaderMetadata,
    group: usize,
    columns: Arc<[Column]>,
) -> Result<Checksums> {
    let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(object.clone(), footer)
        .with_row_groups(vec![group])
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| object.unreadable(error))?;
    let mut sums = Checksums::default();
    while let Some(batch) = batches.try_next().await.map_err(|error| object.unreadable(error))? {
        sums.add(&of_batch(&batch, &columns)?);
    }
    Ok(sums)
}

/// A file of a lake, as the Parquet reader wants it.
#[derive(Clone)]
struct Object {
    storage: Storage,
    meta: ObjectMeta,
}

impl Object {
    fn unreadable(&self, error: ParquetError) -> Error {
        Error::new(ErrorKind::Publish, "failed to read a file that was written")
            .with("path", self.storage.describe(&self.meta.location))
            .source(error)
            .hint("see that the lake can be read, then run the same command again")
    }
}

impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let got = self.storage.store().get_range(&self.meta.location, range);
        got.map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }

    /// At once, so that the store can merge what lies side by side.
    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move {
            let got = self.storage.store().get_ranges(&self.meta.location, &ranges).await;
            got.map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let size = self.meta.size;
        async move { Ok(Arc::new(ParquetMetaDataReader::new().load_and_finish(&mut *self, size).await?)) }.boxed()
    }
}
