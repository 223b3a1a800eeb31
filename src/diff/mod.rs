//! What differs between two states of a table: two of its days, or the same day of two environments.
//!
//! ```text
//! rows of both sides ─ digests of key and values ─► in step ─ met ─► unchanged, or compared: columns, examples
//!                                                      └─ left ─► buckets ─ sort, meet ─► rows by their places
//! rows that changed and were left ─ read again ─ joined by key ─ compared ─► columns, examples
//! ```
//!
//! Days of a table have most rows in a similar order, so nearly all meet while they are read, and what stays of them is eight
//! bytes, for the check that no key comes twice. Of a row that is left two digests and its place stay, 32 bytes. Both stay in
//! memory or on disk. What comes of a row in the end is a bit. Files that both sides share are not read at all.

mod aside;
mod buckets;
mod columns;
mod keys;
mod lockstep;
mod matching;
mod pieces;
mod scan;
mod side;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Serialize, Serializer};

pub use side::{Columns, Pair, Side, pair};
pub use source::Source;

use self::columns::Tally;
use self::matching::{Leftovers, Marks, SideMarks};
use self::scan::{Scanned, Way};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::history::RowSet;

/// A value as people read it; `None` is null.
pub type Shown = Option<String>;

/// The columns of a row's key, in the order of the grain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub Vec<(String, Shown)>);

/// Two states of a table and how they are compared.
pub struct Comparison<'a> {
    pub engine: &'a Engine,
    /// Where what does not fit into memory goes.
    pub folder: &'a Path,
    /// The state before, or the base.
    pub from: &'a Source,
    pub to: &'a Source,
    /// The columns that tell rows apart.
    pub key: &'a [Column],
    /// The columns whose values are compared; both sides have them, in the same types.
    pub columns: &'a [Column],
    pub limits: Limits,
    /// What the digests may hold, in bytes.
    pub digest_bytes: u64,
    /// Hears of rows as they are read.
    pub progress: Progress,
}

/// Hears of so many more rows.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Whether its values name a person and must not be told.
    pub withheld: bool,
}

/// How many examples are kept; the first ones by key.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of keys that were added, and of keys that were removed.
    pub keys: usize,
    /// Of values, for each column.
    pub values: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub rows: Rows,
    /// Every compared column, in the order of the table.
    pub columns: Vec<ColumnDifference>,
    pub added: Vec<Key>,
    pub removed: Vec<Key>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    pub from: u64,
    pub to: u64,
    /// Keys that only `to` has.
    pub added: u64,
    /// Keys that only `from` has.
    pub removed: u64,
    /// Keys that both have, with other values.
    pub changed: u64,
    pub unchanged: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDifference {
    pub name: String,
    /// How many of the changed rows differ in it.
    pub changed: u64,
    pub examples: Vec<Example>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    pub key: Key,
    pub before: Shown,
    pub after: Shown,
}

/// `column=value, …`
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={}", value.as_deref().unwrap_or("null"))?;
        }
        Ok(())
    }
}

/// One object, of the columns.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Rows {
    pub fn differ(&self) -> bool {
        self.added + self.removed + self.changed > 0
    }
}

/// Compares the two states.
///
/// Errors: a key that comes twice on one side (exit 11), files that cannot be read (exit 11 or 13), a disk that does not take
/// what does not fit into memory (exit 13).
pub async fn compare(comparison: &Comparison<'_>) -> Result<Difference> {
    let in_step = found(comparison, Way::InStep).await?;
    let found = match in_step {
        Some(found) => found,
        // Once more, to tell which keys they are; or two digests were alike that will not be alike again.
        None => found(comparison, Way::Apart).await?.ok_or_else(met_apart)?,
    };
    let Found { marks, unchanged, tally, parked, .. } = found;
    keys::refuse_repeated(comparison, &marks).await?;
    let rows = rows(comparison, &marks, unchanged, tally.rows());
    let columns = columns::differences(comparison, &marks, tally).await?;
    let Limits { keys: limit, .. } = comparison.limits;
    let [left, arrived] = parked;
    let added = keys::first(comparison, comparison.to, &marks.to.alone, arrived, limit).await?;
    let removed = keys::first(comparison, comparison.from, &marks.from.alone, left, limit).await?;
    Ok(Difference { rows, columns, added, removed })
}

/// The rows that the other side does not have as they are, by their places, a set a file.
pub(crate) struct Differing {
    pub from: Vec<RowSet>,
    pub to: Vec<RowSet>,
    /// What did not fit into memory.
    pub spilled_bytes: u64,
}

/// Of a key that comes more than once on a side all rows there are among those that differ.
///
/// Errors: as of [`compare`], but for keys that come twice.
pub(crate) async fn differing(comparison: &Comparison<'_>) -> Result<Differing> {
    let found = found(comparison, Way::Apart).await?.ok_or_else(met_apart)?;
    let differing = |side: SideMarks| {
        let sets = side.alone.into_iter().zip(side.changed).zip(side.repeated);
        sets.map(|((alone, changed), repeated)| alone.with(&changed).with(&repeated)).collect()
    };
    let Found { marks, spilled_bytes, .. } = found;
    Ok(Differing { from: differing(marks.from), to: differing(marks.to), spilled_bytes })
}

fn met_apart() -> Error {
    Error::internal("rows apart have met in step")
}

/// What the pass over all rows has found.
struct Found {
    /// Of the rows that did not meet in step.
    marks: Marks,
    /// Rows that met in step with equal values.
    unchanged: u64,
    /// Rows that met in step with other values.
    tally: Tally,
    /// For each side, the keys of all rows that may be alone, if they are few.
    parked: [Option<Vec<RecordBatch>>; 2],
    spilled_bytes: u64,
}

async fn found(comparison: &Comparison<'_>, way: Way) -> Result<Option<Found>> {
    let Some(Scanned { buckets, runs }) = scan::scanned(comparison, way).await? else { return Ok(None) };
    let mut left = Leftovers { buckets, from: Vec::new(), to: Vec::new(), met: Vec::new() };
    let (mut unchanged, mut tally, mut parked) = (0, Tally::new(comparison), [Some(Vec::new()), Some(Vec::new())]);
    for run in runs {
        unchanged += run.unchanged;
        tally.add(run.tally);
        left.met.push(run.met);
        for ((side, shards), parked) in run.sides.into_iter().zip([&mut left.from, &mut left.to]).zip(&mut parked) {
            shards.push(side.entries);
            *parked = parked.take().zip(side.parked).map(|(all, some)| [all, some].concat());
        }
    }
    let spilled_bytes = left.spilled_bytes();
    let marks = matching::matched(comparison, left, way).await?;
    Ok(marks.map(|marks| Found { marks, unchanged, tally, parked, spilled_bytes }))
}

fn rows(comparison: &Comparison<'_>, marks: &Marks, unchanged: u64, changed: u64) -> Rows {
    let [added, removed, left] =
        [&marks.to.alone, &marks.from.alone, &marks.to.changed].map(|sets| matching::count(sets));
    let changed = changed + left;
    // What is shared is in both, though nobody has looked at it.
    let unchanged = unchanged + marks.unchanged + comparison.to.shared_rows;
    Rows { from: removed + changed + unchanged, to: added + changed + unchanged, added, removed, changed, unchanged }
}
