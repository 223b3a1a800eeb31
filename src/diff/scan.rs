//! The pass over all rows of both sides: from columns to digests, which meet in step or are dealt out into buckets.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::aside::WAITING_BYTES;
use super::buckets::{Dealing, Shard};
use super::columns::Tally;
use super::lockstep::{FROM, Lockstep, Room, Rows, Run, Step, TO};
use super::matching::Place;
use super::pieces::{piece_rows, runs};
use super::{Comparison, Progress};
use crate::engine::engine_error;
use crate::error::{Error, Result};
use crate::history::RowSet;
use crate::keyed_digest::Seeds;

/// The part of the digests' memory that rows may take that wait in step.
const WAITING_PART: u64 = 8;
/// With more of them, their tables would take more memory than what they save.
const MOST_WAITING_ROWS: u64 = 1 << 17;
/// The part for parked keys.
const PARKED_PART: u64 = 8;
/// The part for the keys of rows that met, and for the digests of the others.
const SHARDS_PART: u64 = 4;

/// How both sides are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Rows that stand in a similar order meet at once. That a key comes twice is noticed, but not where.
    InStep,
    /// All rows meet in buckets.
    Apart,
}

/// The rows of both sides.
pub(super) struct Scanned {
    pub buckets: usize,
    pub runs: Vec<Run>,
}

/// Reads both sides, a run a thread; nothing, when a key seems to come twice on one side.
pub(super) async fn scanned(comparison: &Comparison<'_>, way: Way) -> Result<Option<Scanned>> {
    let count = comparison.engine.options().threads.max(1) as u64;
    let rows = comparison.from.rows() + comparison.to.rows();
    let dealing = Dealing::new(rows, comparison.folder);
    let seeds = Seeds::random()?;
    let piece_rows = piece_rows(comparison, 2 * count);
    let from = runs(comparison.from, count, piece_rows);
    let to = runs(comparison.to, count, piece_rows);

    let mut readers = JoinSet::new();
    for (from, to) in from.into_iter().zip(to) {
        let lockstep = lockstep(comparison, &dealing, count);
        let mut sides = [None, None];
        for ((run, source), reader) in [(from, comparison.from), (to, comparison.to)].into_iter().zip(&mut sides) {
            let (progress, only) = (Arc::clone(&comparison.progress), source.only.clone());
            let opened = run.open(comparison, source).await?;
            *reader = opened.map(|(stream, files)| Reader {
                stream,
                files,
                keys: comparison.key.len(),
                only,
                seeds,
                progress,
            });
        }
        readers.spawn(async move {
            match way {
                Way::InStep => in_step(sides, lockstep).await,
                Way::Apart => apart(sides, lockstep).await.map(Some),
            }
        });
    }
    let mut runs = Vec::new();
    while let Some(read) = readers.join_next().await {
        match read.map_err(|error| Error::internal("a reader ended abruptly").source(error))?? {
            Some(run) => runs.push(run),
            None => {
                // What they hold makes room for the other way.
                readers.shutdown().await;
                return Ok(None);
            }
        }
    }
    Ok(Some(Scanned { buckets: dealing.buckets, runs }))
}

/// For one of so many runs.
fn lockstep(comparison: &Comparison<'_>, dealing: &Dealing, runs: u64) -> Lockstep {
    let bytes = comparison.digest_bytes / runs;
    let room = Room {
        // Of two sides, each in two generations.
        waiting_rows: (bytes / WAITING_PART / WAITING_BYTES / 4).min(MOST_WAITING_ROWS) as usize,
        parked_bytes: (bytes / PARKED_PART / 2) as usize,
    };
    let most_met = comparison.from.rows().min(comparison.to.rows()) / runs;
    let met = Shard::new(dealing.clone(), bytes / SHARDS_PART, most_met);
    let left = || Shard::new(dealing.clone(), bytes / SHARDS_PART / 2, 0);
    Lockstep::new(comparison.key.len(), Tally::new(comparison), met, [left(), left()], room)
}

/// Nothing, when a key seems to come twice on one side.
async fn in_step(mut sides: [Option<Reader>; 2], mut lockstep: Lockstep) -> Result<Option<Run>> {
    loop {
        for side in [FROM, TO] {
            while lockstep.wants(side)
                && let Some(reader) = &mut sides[side]
            {
                match reader.next().await? {
                    Some(rows) => lockstep.push(side, rows)?,
                    None => sides[side] = None,
                }
            }
        }
        let step = match (lockstep.wants(FROM), lockstep.wants(TO)) {
            (true, true) => return lockstep.finish().map(Some),
            (false, true) => lockstep.walk_alone(FROM)?,
            (true, false) => lockstep.walk_alone(TO)?,
            (false, false) => lockstep.walk()?,
        };
        if step == Step::Repeated {
            return Ok(None);
        }
    }
}

async fn apart(sides: [Option<Reader>; 2], mut lockstep: Lockstep) -> Result<Run> {
    for (side, reader) in [FROM, TO].into_iter().zip(sides) {
        let Some(mut reader) = reader else { continue };
        while let Some(rows) = reader.next().await? {
            lockstep.leave(side, &rows)?;
        }
    }
    lockstep.finish()
}

/// A run of one side.
struct Reader {
    stream: SendableRecordBatchStream,
    /// The index of each piece's file among those of the side.
    files: Vec<usize>,
    /// How many columns are the key; the values follow, then the place.
    keys: usize,
    only: Option<Arc<Vec<RowSet>>>,
    seeds: Seeds,
    progress: Progress,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Rows>> {
        let Some(batch) = self.stream.try_next().await.map_err(engine_error)? else { return Ok(None) };
        (self.progress)(batch.num_rows() as u64);
        self.counting(batch).and_then(|batch| self.digested(&batch)).map(Some).map_err(engine_error)
    }

    /// The rows that count.
    fn counting(&self, batch: RecordBatch) -> DataFusionResult<RecordBatch> {
        let Some(only) = &self.only else { return Ok(batch) };
        let counts: BooleanArray =
            self.places(&batch).map(|place| Some(only[place.file].contains(place.row))).collect();
        Ok(filter_record_batch(&batch, &counts)?)
    }

    fn places(&self, batch: &RecordBatch) -> impl Iterator<Item = Place> {
        let [piece, row] = [2, 1].map(|from_end| batch.column(batch.num_columns() - from_end));
        let (pieces, rows) = (piece.as_primitive::<UInt32Type>(), row.as_primitive::<Int64Type>());
        let places = pieces.values().iter().zip(rows.values());
        places.map(|(piece, row)| Place { file: self.files[*piece as usize], row: *row as u64 })
    }

    fn digested(&self, batch: &RecordBatch) -> DataFusionResult<Rows> {
        let columns = &batch.columns()[..batch.num_columns() - 2];
        let (key, values) = columns.split_at(self.keys);
        let keys = self.seeds.keys(key, batch.num_rows())?;
        let values = self.seeds.values(values, batch.num_rows())?;
        let places = self.places(batch).map(Place::packed);
        let told: Vec<usize> = (0..columns.len()).collect();
        Ok(Rows { batch: batch.project(&told)?, keys, values, places: places.collect() })
    }
}
