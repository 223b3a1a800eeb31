//! The pass over all rows of both sides: from columns to digests, dealt out into buckets.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, ident};
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::buckets::{Dealing, Entry, Shard};
use super::digest::Seeds;
use super::matching::{Place, SideMarks};
use super::source::Source;
use super::{Column, Comparison, Progress};
use crate::engine::{FILE_COLUMN, Joins, ROW_COLUMN, engine_error};
use crate::error::{Error, Result};

/// The digests of all rows.
pub(super) struct Scanned {
    pub buckets: usize,
    pub from: Dealt,
    pub to: Dealt,
    pub threads: usize,
}

/// One side.
pub(super) struct Dealt {
    pub shards: Vec<Shard>,
    /// None yet, of the right sizes.
    pub marks: SideMarks,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    From,
    To,
}

/// Reads both sides at once: one of them may have a single file.
pub(super) async fn scanned(comparison: &Comparison<'_>) -> Result<Scanned> {
    let mut streams: Vec<(Which, SendableRecordBatchStream)> = Vec::new();
    for (which, source) in [(Which::From, comparison.from), (Which::To, comparison.to)] {
        let opened = streams_of(comparison, source).await?;
        streams.extend(opened.into_iter().map(|stream| (which, stream)));
    }
    let rows = comparison.from.rows() + comparison.to.rows();
    let dealing = Dealing::new(rows, streams.len(), comparison.digest_bytes, comparison.folder);
    let each = rows / streams.len().max(1) as u64;
    let reader =
        Reader { keys: comparison.key.len(), seeds: Seeds::random()?, progress: Arc::clone(&comparison.progress) };

    let mut readers = JoinSet::new();
    for (which, stream) in streams {
        let (reader, shard) = (reader.clone(), Shard::new(dealing.clone(), each));
        readers.spawn(async move { reader.deal(stream, shard).await.map(|shard| (which, shard)) });
    }
    let dealt = |source: &Source| Dealt { shards: Vec::new(), marks: SideMarks::none(source) };
    let (mut from, mut to) = (dealt(comparison.from), dealt(comparison.to));
    while let Some(read) = readers.join_next().await {
        match read.map_err(|error| Error::internal("a reader ended abruptly").source(error))?? {
            (Which::From, shard) => from.shards.push(shard),
            (Which::To, shard) => to.shards.push(shard),
        }
    }
    Ok(Scanned { buckets: dealing.buckets, from, to, threads: comparison.engine.options().threads })
}

/// The rows of a side, a stream a thread where its files can be split: keys, values, place.
async fn streams_of(comparison: &Comparison<'_>, source: &Source) -> Result<Vec<SendableRecordBatchStream>> {
    if source.files.is_empty() {
        return Ok(Vec::new());
    }
    let context = comparison.engine.session(Joins::Hash);
    let rows = source.all(&context)?;
    let names = comparison.key.iter().chain(comparison.columns).map(|Column { name, .. }| name.as_str());
    let columns: Vec<Expr> = names.chain([FILE_COLUMN, ROW_COLUMN]).map(ident).collect();
    let opened = async {
        let frame = context.read_table(rows)?.select(columns)?;
        split(&context, frame.create_physical_plan().await?)
    };
    opened.await.map_err(engine_error)
}

/// A plan that only reads has no operator that would ask for more hands, so we ask.
fn split(
    context: &SessionContext,
    plan: Arc<dyn datafusion::physical_plan::ExecutionPlan>,
) -> DataFusionResult<Vec<SendableRecordBatchStream>> {
    let state = context.state();
    let config = state.config_options();
    let wanted = config.execution.target_partitions;
    let plan = plan.repartitioned(wanted, config)?.unwrap_or(plan);
    execute_stream_partitioned(plan, context.task_ctx())
}

#[derive(Clone)]
struct Reader {
    /// How many columns are the key; the values follow.
    keys: usize,
    seeds: Seeds,
    progress: Progress,
}

impl Reader {
    async fn deal(self, mut stream: SendableRecordBatchStream, mut shard: Shard) -> Result<Shard> {
        while let Some(batch) = stream.try_next().await.map_err(engine_error)? {
            self.deal_batch(&batch, &mut shard)?;
            (self.progress)(batch.num_rows() as u64);
        }
        Ok(shard)
    }

    fn deal_batch(&self, batch: &RecordBatch, shard: &mut Shard) -> Result<()> {
        let (columns, place) = batch.columns().split_at(batch.num_columns() - 2);
        let (key, values) = columns.split_at(self.keys);
        let keys = self.seeds.digests(key, batch.num_rows()).map_err(engine_error)?;
        let values = self.seeds.digests(values, batch.num_rows()).map_err(engine_error)?;
        let (files, rows) = (place[0].as_primitive::<UInt32Type>(), place[1].as_primitive::<Int64Type>());
        let places = files.values().iter().zip(rows.values());
        for ((key, value), (file, row)) in keys.into_iter().zip(values).zip(places) {
            let place = Place { file: *file as usize, row: *row as u64 };
            shard.push(Entry { key, value, place: place.packed() })?;
        }
        Ok(())
    }
}
