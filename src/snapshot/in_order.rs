//! Proves that the rows of buckets lie where the layout says: each in its bucket, each at or after the one before.
//!
//! Every run reads every bucket's sorted columns for this before a model may count on the order, so the pass does nothing
//! else: no plan, no hash table, neighbours compared where they lie. A key at the beginning of the order has its equal rows
//! side by side; they are found in the same pass.
//!
//! Memory: per thread one batch and the encoded columns of one row group.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryFutureExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use tokio::task::JoinSet;

use super::open::OpenedFile;
use super::selection::Place;
use crate::contract::{BucketName, ColumnType, Layout, SnapshotContract};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

const BATCH_ROWS: usize = 8_192;

/// What the pass may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub threads: usize,
    /// Rows of repeated keys; their places are held in memory.
    pub repeated: usize,
}

/// Reads the day's buckets, which are in order and all there. Returns the rows whose key another row has too, by place, when
/// the contract's key stands at the beginning of the order; `None` when it must be looked for in another way.
///
/// # Errors
/// `InputBroken`: a row is in another place than the layout says, or a file cannot be read; the message names the row.
/// `OutOfMemory`: more repeated keys than `limits` allow.
pub(super) async fn prove(
    contract: &SnapshotContract,
    layout: &Layout,
    opened: &[OpenedFile],
    storage: &Storage,
    limits: Limits,
) -> Result<Option<Vec<Place>>> {
    let keyed = layout.groups(&contract.key);
    let order = Arc::new(Order {
        contract: contract.clone(),
        layout: layout.clone(),
        key_columns: if keyed { contract.key.len() } else { 0 },
        most_repeated: limits.repeated,
    });
    let mut waiting = opened.iter().enumerate().map(|(index, file)| Bucket {
        order: Arc::clone(&order),
        index: index as u32,
        name: file.name.clone(),
        source: Source {
            store: Arc::clone(storage.store()),
            meta: file.meta.clone(),
            footer: Arc::clone(&file.footer),
        },
    });
    // A set that is dropped ends its tasks: after the first error nobody reads on.
    let mut reading: JoinSet<Result<Vec<Place>>> = JoinSet::new();
    waiting.by_ref().take(limits.threads.max(1)).for_each(|bucket| drop(reading.spawn(bucket.prove())));
    let mut repeated = Vec::new();
    while let Some(read) = reading.join_next().await {
        repeated.extend(read.map_err(|error| Error::internal("a pass over a bucket ended abruptly").source(error))??);
        if repeated.len() > limits.repeated {
            return Err(too_many(contract, limits.repeated));
        }
        waiting.next().into_iter().for_each(|bucket| drop(reading.spawn(bucket.prove())));
    }
    Ok(keyed.then_some(repeated))
}

/// What is asked of every bucket.
struct Order {
    contract: SnapshotContract,
    layout: Layout,
    /// So many columns of the order are the key; 0 when it is not among the first.
    key_columns: usize,
    most_repeated: usize,
}

struct Bucket {
    order: Arc<Order>,
    index: u32,
    name: String,
    source: Source,
}

impl Bucket {
    async fn prove(self) -> Result<Vec<Place>> {
        let mut stream = self.open().map_err(|error| self.unreadable(error))?;
        let mut walk = Walk { order: &self.order, bucket: self.index, rows: 0, before: None, repeated: Vec::new() };
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| self.unreadable(error))?;
            let columns = self.columns(&batch).map_err(|error| self.unreadable(error))?;
            walk.take(columns, batch.num_rows()).map_err(|misplaced| self.misplaced(misplaced))?;
            if walk.repeated.len() > self.order.most_repeated {
                return Err(too_many(&self.order.contract, self.order.most_repeated).with("file", &self.name));
            }
        }
        Ok(walk.repeated.into_iter().map(|row| (self.index, row)).collect())
    }

    /// The sorted columns alone, texts as views: they are compared, and never copied.
    fn open(&self) -> parquet::errors::Result<ParquetRecordBatchStream<Source>> {
        let footer = &self.source.footer;
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(footer), ArrowReaderOptions::new())?;
        let names: Vec<&str> = self.sources().map(|(source, _)| source).collect();
        let viewed = ArrowReaderOptions::new().with_schema(Arc::new(with_views(metadata.schema(), &names)));
        // What cannot be read as a view (a dictionary, say) is read as it is and cast.
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(footer), viewed).unwrap_or(metadata);
        let roots = names.iter().filter_map(|name| metadata.schema().index_of(name).ok());
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        ParquetRecordBatchStreamBuilder::new_with_metadata(self.source.clone(), metadata)
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
    }

    /// The names of the sorted columns in the files, and their types.
    fn sources(&self) -> impl Iterator<Item = (&str, &ColumnType)> {
        let contract = &self.order.contract;
        let columns = self.order.layout.sorted.iter().filter_map(|name| contract.column(name));
        columns.map(|column| (column.source.as_str(), &column.column.column_type))
    }

    fn columns(&self, batch: &RecordBatch) -> Result<Vec<Sorted>, ArrowError> {
        self.sources()
            .map(|(name, kind)| {
                let index = batch.schema().index_of(name)?;
                Sorted::of(batch.column(index), kind)
            })
            .collect()
    }

    fn misplaced(&self, misplaced: Misplaced) -> Error {
        let contract = &self.order.contract;
        let (row, message) = match misplaced {
            Misplaced::Bucket { row, belongs } => {
                let name = BucketName { bucket: belongs, count: self.order.layout.count };
                (row, format!("a row of '{}' lies in the wrong bucket: it belongs into {name}", contract.name))
            }
            Misplaced::Order { row } => {
                let columns = self.order.layout.sorted.join(", ");
                (
                    row,
                    format!(
                        "rows of '{}' are not sorted by {columns}: a row belongs before the one before it",
                        contract.name
                    ),
                )
            }
        };
        Error::new(ErrorKind::InputBroken, message)
            .with("file", &self.name)
            .with("row", row + 1)
            .with("contract", contract.file.display())
            .hint(
                "mend the statement by which the source makes the layout (docs/layout.md has it); \
                 or take bucket and sorted out of the contract",
            )
    }

    fn unreadable(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(
            ErrorKind::InputBroken,
            format!("a bucket of '{}' cannot be read to its end", self.order.contract.name),
        )
        .with("file", &self.name)
        .source(error)
        .hint("the file is damaged or was replaced meanwhile; ask the source to deliver the day again")
    }
}

fn too_many(contract: &SnapshotContract, most: usize) -> Error {
    Error::new(
        ErrorKind::OutOfMemory,
        format!("over {most} rows of '{}' have a key that occurs more than once", contract.name),
    )
    .hint("a day delivered twice looks like this; if it is meant, give the run more with --memory")
}

fn with_views(schema: &Schema, names: &[&str]) -> Schema {
    let field = |field: &Arc<arrow::datatypes::Field>| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 if names.contains(&field.name().as_str()) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
        }
        _ => Arc::clone(field),
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

/// A row that is not where the layout says.
#[derive(Debug, PartialEq)]
enum Misplaced {
    Bucket { row: u64, belongs: u32 },
    Order { row: u64 },
}

/// The way through a bucket, batch after batch.
struct Walk<'a> {
    order: &'a Order,
    bucket: u32,
    /// Rows of the batches before.
    rows: u64,
    /// The batch before, for its last row.
    before: Option<Vec<Sorted>>,
    repeated: Vec<u64>,
}

impl Walk<'_> {
    fn take(&mut self, columns: Vec<Sorted>, rows: usize) -> Result<(), Misplaced> {
        if rows == 0 {
            return Ok(());
        }
        match self.before.take() {
            None => self.check_bucket(&columns[0], 0)?,
            Some(before) => {
                let last = before[0].len() - 1;
                self.step((&before, last), (&columns, 0))?;
            }
        }
        for row in 1..rows {
            self.step((&columns, row - 1), (&columns, row))?;
        }
        self.rows += rows as u64;
        self.before = Some(columns);
        Ok(())
    }

    /// From a row to the next. A row that has the value of the one before is in its bucket as well.
    fn step(&mut self, before: (&[Sorted], usize), here: (&[Sorted], usize)) -> Result<(), Misplaced> {
        let differs = first_difference(before, here);
        match differs {
            Some((_, Ordering::Greater)) => return Err(Misplaced::Order { row: self.rows + here.1 as u64 }),
            Some((0, _)) => self.check_bucket(&here.0[0], here.1)?,
            _ => {}
        }
        let key_columns = self.order.key_columns;
        if key_columns > 0 && differs.is_none_or(|(column, _)| column >= key_columns) {
            let row = self.rows + here.1 as u64;
            if self.repeated.last() != Some(&(row - 1)) {
                self.repeated.push(row - 1);
            }
            self.repeated.push(row);
        }
        Ok(())
    }

    fn check_bucket(&self, column: &Sorted, row: usize) -> Result<(), Misplaced> {
        let belongs = match column.text(row) {
            Some(value) => self.order.layout.bucket_of(value),
            None => Layout::BUCKET_OF_NULL,
        };
        if belongs == self.bucket {
            return Ok(());
        }
        Err(Misplaced::Bucket { row: self.rows + row as u64, belongs })
    }
}

/// The first column in which two rows differ, and how the one before stands to the one here.
fn first_difference(before: (&[Sorted], usize), here: (&[Sorted], usize)) -> Option<(usize, Ordering)> {
    let columns = before.0.iter().zip(here.0).enumerate();
    columns.map(|(index, (a, b))| (index, a.compare(before.1, b, here.1))).find(|(_, ordering)| ordering.is_ne())
}

/// A column of the order: nulls first, texts by their bytes, days and instants as the numbers that they are.
enum Sorted {
    Text(StringViewArray),
    Number(Int64Array),
}

impl Sorted {
    fn of(array: &ArrayRef, kind: &ColumnType) -> Result<Self, ArrowError> {
        if *kind == ColumnType::String {
            return Ok(Sorted::Text(cast(array, &DataType::Utf8View)?.as_string_view().clone()));
        }
        // All rows of a file count in one unit, so nothing need be converted to the contract's.
        Ok(Sorted::Number(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone()))
    }

    fn len(&self) -> usize {
        match self {
            Sorted::Text(array) => array.len(),
            Sorted::Number(array) => array.len(),
        }
    }

    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Sorted::Text(array) => array.is_valid(row).then(|| array.value(row)),
            Sorted::Number(_) => None,
        }
    }

    fn number(&self, row: usize) -> Option<i64> {
        match self {
            Sorted::Number(array) => array.is_valid(row).then(|| array.value(row)),
            Sorted::Text(_) => None,
        }
    }

    fn compare(&self, row: usize, other: &Sorted, other_row: usize) -> Ordering {
        match self {
            Sorted::Text(_) => self.text(row).cmp(&other.text(other_row)),
            Sorted::Number(_) => self.number(row).cmp(&other.number(other_row)),
        }
    }
}

/// A file, read in ranges; its footer is known.
#[derive(Clone)]
struct Source {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    footer: Arc<ParquetMetaData>,
}

impl AsyncFileReader for Source {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let got = self.store.get_range(&self.meta.location, range);
        got.map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            let got = self.store.get_ranges(&self.meta.location, &ranges).await;
            got.map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let footer = Arc::clone(&self.footer);
        async move { Ok(footer) }.boxed()
    }
}

#[cfg(test)]
mod tests;
