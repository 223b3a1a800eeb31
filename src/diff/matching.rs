//! Both sides bucket by bucket: which keys only one side has, and which have other values on the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::buckets::{Entry, Shard};
use super::scan::Scanned;
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

    fn unpacked(packed: u64) -> Self {
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

pub(super) async fn matched(scanned: Scanned) -> Result<Marks> {
    let Scanned { buckets, from, to, threads } = scanned;
    let marks = Arc::new(Mutex::new(Marks { from: from.marks, to: to.marks, unchanged: 0 }));
    let (sides, next) = (Arc::new([from.shards, to.shards]), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..threads.max(1) {
        let (marks, sides, next) = (Arc::clone(&marks), Arc::clone(&sides), Arc::clone(&next));
        workers.spawn_blocking(move || work(buckets, &sides, &next, &marks));
    }
    while let Some(worked) = workers.join_next().await {
        worked.map_err(|error| Error::internal("a worker ended abruptly").source(error))??;
    }
    let marks = Arc::into_inner(marks).ok_or_else(|| Error::internal("a worker still holds the marks"))?;
    Ok(marks.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn work(buckets: usize, [from, to]: &[Vec<Shard>; 2], next: &AtomicUsize, marks: &Mutex<Marks>) -> Result<()> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    loop {
        let bucket = next.fetch_add(1, Ordering::Relaxed);
        if bucket >= buckets {
            return Ok(());
        }
        for (shards, entries) in [(from, &mut before), (to, &mut after)] {
            entries.clear();
            shards.iter().try_for_each(|shard| shard.read_bucket(bucket, entries))?;
            entries.sort_unstable_by_key(|entry| entry.key);
        }
        let found = meet(&before, &after);
        marks.lock().unwrap_or_else(PoisonError::into_inner).insert(&found);
    }
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
                    side.repeated.extend(rows.iter().filter(|_| rows.len() > 1).map(|entry| entry.place));
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
