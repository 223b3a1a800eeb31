//! What was left of both sides, bucket by bucket: which keys only one side has, and which have other values on the other.
//! And whether a key that met in step comes once more, which step by step nobody could see.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::Comparison;
use super::buckets::{Entry, Shard};
use super::scan::Way;
use super::source::Source;
use crate::error::{Error, Result};
use crate::history::RowSet;

/// Where a row stands: the file's index in its side, and the row's in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub file: usize,
    pub row: u64,
}

impl Place {
    const ROW_BITS: u32 = 40;

    pub fn packed(self) -> u64 {
        (self.file as u64) << Self::ROW_BITS | self.row
    }

    pub fn unpacked(packed: u64) -> Self {
        Place { file: (packed >> Self::ROW_BITS) as usize, row: packed & ((1 << Self::ROW_BITS) - 1) }
    }
}

/// What was found of the rows of both sides.
#[derive(Debug)]
pub(super) struct Marks {
    pub from: SideMarks,
    pub to: SideMarks,
    /// Keys that both sides have with the same values.
    pub unchanged: u64,
}

/// What was found of the rows of one side, a set a file.
#[derive(Debug)]
pub(super) struct SideMarks {
    /// Their keys are not on the other side.
    pub alone: Vec<RowSet>,
    /// Their keys have other values on the other side.
    pub changed: Vec<RowSet>,
    /// Their keys come more than once on their own side.
    pub repeated: Vec<RowSet>,
}

impl SideMarks {
    pub fn none(source: &Source) -> Self {
        let none: Vec<RowSet> = source.files.iter().map(|file| RowSet::none(file.rows)).collect();
        SideMarks { alone: none.clone(), changed: none.clone(), repeated: none }
    }
}

/// What was found in one bucket, by packed places.
#[derive(Default)]
struct Found {
    from: SideFound,
    to: SideFound,
    unchanged: u64,
}

#[derive(Default)]
struct SideFound {
    alone: Vec<u64>,
    changed: Vec<u64>,
    repeated: Vec<u64>,
}

/// How many rows are in the sets.
pub(super) fn count(sets: &[RowSet]) -> u64 {
    sets.iter().map(RowSet::len).sum()
}

/// What was left of both sides.
pub(super) struct Leftovers {
    pub buckets: usize,
    pub from: Vec<Shard<4>>,
    pub to: Vec<Shard<4>>,
    /// The low words of the keys that have met.
    pub met: Vec<Shard<1>>,
}

impl Leftovers {
    /// What of them lies on disk.
    pub fn spilled_bytes(&self) -> u64 {
        let rows = self.from.iter().chain(&self.to).map(Shard::spilled_bytes);
        rows.chain(self.met.iter().map(Shard::spilled_bytes)).sum()
    }
}

/// Nothing, when keys have met in step and one seems to come twice on a side.
pub(super) async fn matched(comparison: &Comparison<'_>, left: Leftovers, way: Way) -> Result<Option<Marks>> {
    let marks = Marks { from: SideMarks::none(comparison.from), to: SideMarks::none(comparison.to), unchanged: 0 };
    let (marks, left, next) = (Arc::new(Mutex::new(marks)), Arc::new(left), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..comparison.engine.options().threads.max(1) {
        let (marks, left, next) = (Arc::clone(&marks), Arc::clone(&left), Arc::clone(&next));
        workers.spawn_blocking(move || work(&left, way, &next, &marks));
    }
    while let Some(worked) = workers.join_next().await {
        if worked.map_err(|error| Error::internal("a worker ended abruptly").source(error))?? == Worked::Repeated {
            return Ok(None);
        }
    }
    let marks = Arc::into_inner(marks).ok_or_else(|| Error::internal("a worker still holds the marks"))?;
    Ok(Some(marks.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

#[derive(Debug, PartialEq, Eq)]
enum Worked {
    Done,
    Repeated,
}

fn work(left: &Leftovers, way: Way, next: &AtomicUsize, marks: &Mutex<Marks>) -> Result<Worked> {
    loop {
        let bucket = next.fetch_add(1, Ordering::Relaxed);
        if bucket >= left.buckets {
            return Ok(Worked::Done);
        }
        let (before, after) = (entries(&left.from, bucket)?, entries(&left.to, bucket)?);
        let found = meet(&before, &after);
        if way == Way::InStep {
            let repeated = !found.from.repeated.is_empty() || !found.to.repeated.is_empty();
            if repeated || comes_again(&words(&left.met, bucket)?, &before, &after) {
                next.store(left.buckets, Ordering::Relaxed);
                return Ok(Worked::Repeated);
            }
        }
        marks.lock().unwrap_or_else(PoisonError::into_inner).insert(&found);
    }
}

/// Sorted by key.
fn entries(shards: &[Shard<4>], bucket: usize) -> Result<Vec<Entry>> {
    let mut items = Vec::new();
    shards.iter().try_for_each(|shard| shard.read_bucket(bucket, &mut items))?;
    let mut entries: Vec<Entry> = items.into_iter().map(Entry::of).collect();
    entries.sort_unstable_by_key(|entry| entry.key);
    Ok(entries)
}

/// Sorted.
fn words(shards: &[Shard<1>], bucket: usize) -> Result<Vec<u64>> {
    let mut items = Vec::new();
    shards.iter().try_for_each(|shard| shard.read_bucket(bucket, &mut items))?;
    let mut words: Vec<u64> = items.into_iter().flatten().collect();
    words.sort_unstable();
    Ok(words)
}

/// Whether a key that has met comes once more. All are sorted.
fn comes_again(met: &[u64], before: &[Entry], after: &[Entry]) -> bool {
    let is_met = |entry: &Entry| met.binary_search(&(entry.key as u64)).is_ok();
    met.windows(2).any(|pair| pair[0] == pair[1]) || before.iter().chain(after).any(is_met)
}

/// Compares the rows of a bucket; both sides are sorted by key.
fn meet(mut before: &[Entry], mut after: &[Entry]) -> Found {
    let mut found = Found::default();
    while let Some(key) = before.first().iter().chain(&after.first()).map(|entry| entry.key).min() {
        let (old, new);
        (old, before) = before.split_at(before.iter().take_while(|entry| entry.key == key).count());
        (new, after) = after.split_at(after.iter().take_while(|entry| entry.key == key).count());
        match (old, new) {
            ([one], [other]) if one.value == other.value => found.unchanged += 1,
            ([one], [other]) => {
                found.from.changed.push(one.place);
                found.to.changed.push(other.place);
            }
            ([one], []) => found.from.alone.push(one.place),
            ([], [one]) => found.to.alone.push(one.place),
            _ => {
                for (rows, side) in [(old, &mut found.from), (new, &mut found.to)] {
                    let places = rows.iter().map(|entry| entry.place);
                    // One row has no other that it could be the same as, or several.
                    if rows.len() > 1 { side.repeated.extend(places) } else { side.changed.extend(places) }
                }
            }
        }
    }
    found
}

impl Marks {
    fn insert(&mut self, found: &Found) {
        self.unchanged += found.unchanged;
        for (side, found) in [(&mut self.from, &found.from), (&mut self.to, &found.to)] {
            for (sets, places) in [
                (&mut side.alone, &found.alone),
                (&mut side.changed, &found.changed),
                (&mut side.repeated, &found.repeated),
            ] {
                for place in places.iter().map(|packed| Place::unpacked(*packed)) {
                    sets[place.file].insert(place.row);
                }
            }
        }
    }
}
