//! A run of both sides, read in step: rows that stand in a similar order on both sides meet while they are read.
//!
//! As long as the heads of both sides have one key, they meet and both sides go on. Where they have not, each head is looked
//! up among the rows of the other side that wait; and where it is not there either, it is put aside and waits itself. After
//! a row that one side does not have, the sides are in step again by themselves.
//!
//! Of two rows that meet nothing is kept but a word of the key, for the check that no key comes twice. Changed rows are
//! compared on the spot, from batches that are still held. What has waited for too long is dealt out into buckets, where all
//! that is left meets in the end.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::DataType;
use datafusion::error::Result as DataFusionResult;

use super::aside::{Aside, Repeated, Waiting};
use super::buckets::{Entry, Shard};
use super::columns::Tally;
use crate::engine::engine_error;
use crate::error::Result;
use crate::keyed_digest::Digest;

/// Batches of each side whose values are held.
const HELD_BATCHES: usize = 2;
pub(super) const FROM: usize = 0;
pub(super) const TO: usize = 1;

/// Rows as they were read.
#[derive(Debug)]
pub(super) struct Rows {
    /// Keys and values.
    pub batch: RecordBatch,
    pub keys: Vec<Digest>,
    pub values: Vec<u64>,
    pub places: Vec<u64>,
}

/// What a run came to.
pub(super) struct Run {
    /// Rows that met with equal values.
    pub unchanged: u64,
    /// Rows that met with other values, compared.
    pub tally: Tally,
    /// The low words of the keys that met.
    pub met: Shard<1>,
    pub sides: [Left; 2],
}

/// What is left of a side, to be met in buckets.
pub(super) struct Left {
    pub entries: Shard<4>,
    /// The keys and places of rows that were not met in time, if they are few.
    pub parked: Option<Vec<RecordBatch>>,
}

/// What a side may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub waiting_rows: usize,
    pub parked_bytes: usize,
}

pub(super) struct Lockstep {
    run: Run,
    halves: [Half; 2],
    /// How many columns are the key.
    keys: usize,
    /// Changed rows of batches that are held: batch and row of both sides.
    changed: Vec<[(u32, u32); 2]>,
}

struct Half {
    held: VecDeque<Rows>,
    /// The number of the first batch that is held.
    first: u32,
    /// The head, in the last batch.
    at: usize,
    aside: Aside,
    /// Rows of each held batch that had to wait.
    waited: VecDeque<Vec<u32>>,
    parked_room: usize,
}

/// What the next rows come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// A key comes twice on one side, it seems.
    Repeated,
}

impl Lockstep {
    pub fn new(keys: usize, tally: Tally, met: Shard<1>, left: [Shard<4>; 2], room: Room) -> Self {
        let half = || Half {
            held: VecDeque::new(),
            first: 0,
            at: 0,
            aside: Aside::new(room.waiting_rows),
            waited: VecDeque::new(),
            parked_room: room.parked_bytes,
        };
        // A table of one row has no key.
        let sides = left.map(|entries| Left { entries, parked: (keys > 0).then(Vec::new) });
        let run = Run { unchanged: 0, tally, met, sides };
        Lockstep { run, halves: [half(), half()], keys, changed: Vec::new() }
    }

    /// Whether a side has no head.
    pub fn wants(&self, side: usize) -> bool {
        self.halves[side].head().is_none()
    }

    /// The next rows of a side.
    pub fn push(&mut self, side: usize, rows: Rows) -> Result<()> {
        if self.halves[side].held.len() == HELD_BATCHES {
            self.compare_changed()?;
            self.let_go(side)?;
        }
        self.halves[side].held.push_back(rows);
        self.halves[side].waited.push_back(Vec::new());
        self.halves[side].at = 0;
        Ok(())
    }

    /// Goes on until one side has no head.
    pub fn walk(&mut self) -> Result<Step> {
        while let (Some(old), Some(new)) = (self.halves[FROM].head(), self.halves[TO].head()) {
            if old.0 == new.0 {
                self.meet(old.0, old.1, new.1)?;
                self.halves[FROM].at += 1;
                self.halves[TO].at += 1;
            } else if let Some(waiting) = self.halves[TO].aside.take(old.0) {
                self.meet(old.0, old.1, waiting)?;
                self.halves[FROM].at += 1;
            } else if let Some(waiting) = self.halves[FROM].aside.take(new.0) {
                self.meet(new.0, waiting, new.1)?;
                self.halves[TO].at += 1;
            } else if self.put_aside(FROM, old)? == Step::Repeated || self.put_aside(TO, new)? == Step::Repeated {
                return Ok(Step::Repeated);
            }
        }
        Ok(Step::Done)
    }

    /// The rows that a side has, when nothing comes on the other side any more.
    pub fn walk_alone(&mut self, side: usize) -> Result<Step> {
        let other = if side == FROM { TO } else { FROM };
        while let Some((key, row)) = self.halves[side].head() {
            let Some(waiting) = self.halves[other].aside.take(key) else {
                if self.put_aside(side, (key, row))? == Step::Repeated {
                    return Ok(Step::Repeated);
                }
                continue;
            };
            match side {
                FROM => self.meet(key, row, waiting)?,
                _ => self.meet(key, waiting, row)?,
            }
            self.halves[side].at += 1;
        }
        Ok(Step::Done)
    }

    /// Leaves rows to the buckets, all of them.
    pub fn leave(&mut self, side: usize, rows: &Rows) -> Result<()> {
        self.run.sides[side].parked = None;
        let words = rows.keys.iter().zip(&rows.values).zip(&rows.places);
        let mut entries = words.map(|((key, value), place)| Entry { key: *key, value: *value, place: *place });
        entries.try_for_each(|entry| self.run.sides[side].entries.push(entry.words()))
    }

    /// Both sides have ended.
    pub fn finish(mut self) -> Result<Run> {
        self.compare_changed()?;
        for side in [FROM, TO] {
            while !self.halves[side].held.is_empty() {
                self.let_go(side)?;
            }
            let given_up = self.halves[side].aside.empty();
            self.give_up(side, given_up)?;
        }
        Ok(self.run)
    }

    fn meet(&mut self, key: Digest, old: Waiting, new: Waiting) -> Result<()> {
        if old.value == new.value {
            self.run.unchanged += 1;
            return self.run.met.push([key as u64]);
        }
        if old.batch >= self.halves[FROM].first && new.batch >= self.halves[TO].first {
            self.changed.push([(old.batch, old.row), (new.batch, new.row)]);
            return self.run.met.push([key as u64]);
        }
        // The values of one are gone. They meet again in a bucket, and are read once more.
        self.deal(FROM, key, old)?;
        self.deal(TO, key, new)
    }

    fn put_aside(&mut self, side: usize, (key, row): (Digest, Waiting)) -> Result<Step> {
        let half = &mut self.halves[side];
        half.at += 1;
        if let Some(waited) = half.waited.back_mut() {
            waited.push(row.row);
        }
        match half.aside.put(key, row) {
            Err(Repeated) => Ok(Step::Repeated),
            Ok(given_up) => self.give_up(side, given_up).map(|()| Step::Done),
        }
    }

    fn give_up(&mut self, side: usize, rows: Vec<(Digest, Waiting)>) -> Result<()> {
        let first = self.halves[side].first;
        if rows.iter().any(|(_, row)| row.batch >= first) {
            // Its batch is held, but when that is let go, nobody will know any more that the row was not met.
            self.run.sides[side].parked = None;
        }
        rows.into_iter().try_for_each(|(key, row)| self.deal(side, key, row))
    }

    fn deal(&mut self, side: usize, key: Digest, row: Waiting) -> Result<()> {
        self.run.sides[side].entries.push(Entry { key, value: row.value, place: row.place }.words())
    }

    /// Drops the oldest batch of a side, but for the keys of rows that still wait.
    fn let_go(&mut self, side: usize) -> Result<()> {
        let half = &mut self.halves[side];
        let (Some(rows), Some(mut waited)) = (half.held.pop_front(), half.waited.pop_front()) else { return Ok(()) };
        half.first += 1;
        let Some(parked) = &mut self.run.sides[side].parked else { return Ok(()) };
        waited.retain(|row| half.aside.holds(rows.keys[*row as usize]));
        if waited.is_empty() {
            return Ok(());
        }
        let batch = parked_rows(&rows, self.keys, waited).map_err(engine_error)?;
        match half.parked_room.checked_sub(batch.get_array_memory_size()) {
            None => self.run.sides[side].parked = None,
            Some(room) => {
                half.parked_room = room;
                parked.push(batch);
            }
        }
        Ok(())
    }

    fn compare_changed(&mut self) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let pairs = std::mem::take(&mut self.changed);
        let gathered = |side: usize| {
            let half = &self.halves[side];
            let batches: Vec<&RecordBatch> = half.held.iter().map(|rows| &rows.batch).collect();
            let rows = pairs.iter().map(|pair| pair[side]);
            let rows: Vec<_> = rows.map(|(batch, row)| ((batch - half.first) as usize, row as usize)).collect();
            interleave_record_batch(&batches, &rows)
        };
        let compared = || -> DataFusionResult<_> { Ok((gathered(FROM)?, gathered(TO)?)) };
        let (before, after) = compared().map_err(engine_error)?;
        let ((_, before), (key, after)) = (before.columns().split_at(self.keys), after.columns().split_at(self.keys));
        self.run.tally.take(key, before, after, pairs.len()).map_err(engine_error)
    }
}

impl Half {
    fn head(&self) -> Option<(Digest, Waiting)> {
        let rows = self.held.back()?;
        let key = *rows.keys.get(self.at)?;
        let batch = self.first + self.held.len() as u32 - 1;
        let (value, place) = (rows.values[self.at], rows.places[self.at]);
        Some((key, Waiting { value, place, batch, row: self.at as u32 }))
    }
}

/// The keys of these rows, and their places behind them, in buffers of their own.
fn parked_rows(rows: &Rows, keys: usize, waited: Vec<u32>) -> DataFusionResult<RecordBatch> {
    let keys = rows.batch.project(&(0..keys).collect::<Vec<_>>())?;
    let places = waited.iter().map(|row| rows.places[*row as usize]).collect::<UInt64Array>();
    let taken = take_record_batch(&keys, &UInt32Array::from(waited))?;
    let named = taken.schema();
    // A key may be null in one batch and in another not, and all of them are one table.
    let keys = named.fields().iter().zip(taken.columns()).map(|(field, keys)| (field.name().clone(), own(keys), true));
    let places = (PLACE_COLUMN.to_owned(), Arc::new(places) as ArrayRef, false);
    Ok(RecordBatch::try_from_iter_with_nullable(keys.chain([places]))?)
}

/// Where a parked row stands.
pub(super) const PLACE_COLUMN: &str = "__place";

/// Views would keep the pages that they point into.
fn own(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}
