//! Sample snapshots of any size, evolving day by day: all ten inputs, coherent with each other, with the columns and types
//! of their contracts and a known share of dirt.
//!
//! # Nothing is remembered
//!
//! A household of eight accounts is drawn from the seed and its number alone: sign-ups, changes, subscriptions, family
//! plans, the whole life at once. A row of day D is that life read at the end of D. So any day can be made alone and is
//! byte for byte the day made within a range, a larger sample contains a smaller one, parts are made by several threads
//! at once with the same bytes, and memory does not grow with the accounts.
//!
//! # Reading order
//!
//! [`draw`] and [`calendar`] are the ground: chance and time. [`market`], [`catalog`], [`feature`], [`price`] and [`offer`]
//! are the world, and [`schedule`] says how it changes. [`account`], [`billing`], [`timeline`], [`subscription`] and
//! [`household`] are the lives in it, [`grant`] and [`usage`] hang on them. [`dirt`] and [`soil`] spoil their rows;
//! [`columns`], [`write`](mod@write), [`folder`], [`part`] and [`catalog_files`] bring them into files, and [`lay_out`] those into
//! buckets.

mod account;
mod billing;
mod bucket;
mod calendar;
mod catalog;
mod catalog_files;
mod columns;
mod dirt;
mod draw;
mod email;
mod feature;
mod folder;
mod grant;
mod household;
mod ids;
mod lay_out;
mod market;
mod offer;
mod part;
mod price;
mod schedule;
mod soil;
mod subscription;
#[cfg(test)]
mod tests;
mod timeline;
mod usage;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::names::SnapshotDate;
pub use bucket::{put_days, refuse_foreign_days};
use calendar::{FIRST_DAY, LAST_DAY};
use catalog_files::write_catalog;
use columns::{
    AccountTable, ErasureTable, FeatureTable, GrantTable, MemberTable, OfferTable, PhaseTable, PriceTable,
    SubscriptionTable, Table, UsageTable,
};
pub use dirt::{Dirt, Planted};
use folder::{SUCCESS, complete, day_folder, refuse_foreign, withdraw};
pub use lay_out::{Layouts, in_buckets, lay_out_days, promised};
use part::{Part, Tallies, Tally};

/// The snapshots that are generated.
pub const SNAPSHOTS: [&str; 10] = [
    AccountTable::NAME,
    SubscriptionTable::NAME,
    MemberTable::NAME,
    PhaseTable::NAME,
    FeatureTable::NAME,
    PriceTable::NAME,
    OfferTable::NAME,
    GrantTable::NAME,
    UsageTable::NAME,
    ErasureTable::NAME,
];

/// Fixed, so that where a file ends does not depend on the number of threads. A multiple of the household.
const ACCOUNTS_A_PART: u64 = 500_000;

/// Far above any laptop; ids beyond it would meet those of the planted orphans' accounts.
const MOST_ACCOUNTS: u64 = 1_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Accounts of the whole sample, at most a thousand million. All but one in twenty-five have signed up by 2026.
    pub accounts: u64,
    /// How many days, at least 1.
    pub days: u32,
    /// The last day, at the latest 2039-12-31; the first must not be before 2023-01-01.
    pub until: SnapshotDate,
    /// Another seed is another population.
    pub seed: u64,
    /// Threads to write with; 0 counts as 1. They change nothing in the files.
    pub max_threads: usize,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub snapshots: Vec<SnapshotSummary>,
    /// By day, YYYY-MM-DD, and by snapshot, those without any dirt left out.
    pub planted: BTreeMap<String, BTreeMap<&'static str, Planted>>,
}

/// One snapshot's files, rows and bytes over all days; the dirt is among the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotSummary {
    pub name: &'static str,
    pub days: u32,
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

/// About how many rows [`generate`] will write in all, for a progress bar.
pub fn total_rows_hint(options: &Options) -> u64 {
    /// Rows of all tables for a thousand accounts, as they are at the end of 2026.
    const ROWS_PER_THOUSAND: u64 = 7_000;
    /// Rows of the catalog.
    const CATALOG_ROWS: u64 = 5_600;
    let day = CATALOG_ROWS.saturating_add(options.accounts.saturating_mul(ROWS_PER_THOUSAND) / 1_000);
    day.saturating_mul(u64::from(options.days))
}

/// Writes `<snapshots>/<name>/snapshot_date=YYYY-MM-DD/part-00000.parquet …`, then `_SUCCESS`, for each of
/// [`SNAPSHOTS`] and each day.
///
/// Days that exist are replaced as a whole: their `_SUCCESS` and parts are removed before anything is written. Same
/// options, same bytes, whatever `max_threads` is.
///
/// `progress` is told how many rows are done in all, by whichever thread did some: a number may come late and be
/// smaller than the one before.
///
/// # Errors
///
/// `Project` for options out of range, and for a day's folder that holds a file which was not generated; nothing is
/// changed then. `Publish` when the file system refuses; the days that lack `_SUCCESS` are then incomplete.
pub fn generate(options: &Options, snapshots: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Summary> {
    generate_parts(options, snapshots, progress, ACCOUNTS_A_PART)
}

fn generate_parts(
    options: &Options,
    snapshots: &Path,
    progress: &(dyn Fn(u64) + Sync),
    accounts_a_part: u64,
) -> Result<Summary> {
    let days = days(options)?;
    let folders = days.iter().flat_map(|day| day_folders(snapshots, *day)).collect::<Vec<_>>();
    folders.iter().try_for_each(|folder| refuse_foreign(folder))?;
    folders.iter().try_for_each(|folder| withdraw(folder))?;
    let parts = options.accounts.div_ceil(accounts_a_part);
    let work = Work {
        options,
        snapshots,
        progress,
        accounts_a_part,
        parts,
        next: AtomicUsize::new(0),
        parts_left: days.iter().map(|_| AtomicU64::new(parts)).collect(),
        days,
        rows: AtomicU64::new(0),
        given_up: AtomicBool::new(false),
    };
    let tallies = work.run()?;
    Ok(summary(&work.days, tallies))
}

/// How many of the days are there as a whole, in every snapshot.
pub fn whole_days(options: &Options, snapshots: &Path) -> usize {
    let is_whole = |day: &&SnapshotDate| day_folders(snapshots, **day).all(|folder| folder.join(SUCCESS).is_file());
    days(options).unwrap_or_default().iter().filter(is_whole).count()
}

/// The days asked for, the earliest first.
fn days(options: &Options) -> Result<Vec<SnapshotDate>> {
    if options.accounts == 0 || options.accounts > MOST_ACCOUNTS {
        return Err(Error::project(format!("{} accounts cannot be generated", options.accounts))
            .hint(format!("from 1 to {MOST_ACCOUNTS}")));
    }
    if options.days == 0 {
        return Err(Error::project("0 days cannot be generated").hint("ask for at least 1 day"));
    }
    let world = format!("the sample's accounts live from {FIRST_DAY} to {LAST_DAY}");
    if options.until.date() > LAST_DAY {
        return Err(Error::project(format!("'{}' is too late a day", options.until)).hint(world));
    }
    let days: Option<Vec<_>> = (0..options.days).rev().map(|ago| options.until.days_ago(ago)).collect();
    days.filter(|days| days.iter().all(|day| day.date() >= FIRST_DAY)).ok_or_else(|| {
        Error::project(format!("{} days until {} begin too early", options.days, options.until)).hint(world)
    })
}

fn day_folders(snapshots: &Path, day: SnapshotDate) -> impl Iterator<Item = PathBuf> {
    SNAPSHOTS.iter().map(move |name| day_folder(snapshots, name, day))
}

/// The parts of all days, taken one after the other by whichever thread is free.
struct Work<'a> {
    options: &'a Options,
    snapshots: &'a Path,
    progress: &'a (dyn Fn(u64) + Sync),
    days: Vec<SnapshotDate>,
    accounts_a_part: u64,
    /// Of each day.
    parts: u64,
    next: AtomicUsize,
    parts_left: Vec<AtomicU64>,
    rows: AtomicU64,
    /// Set by the first thread that fails, for the others to stop.
    given_up: AtomicBool,
}

/// By day and snapshot.
type DayTallies = BTreeMap<(usize, &'static str), Tally>;

impl Work<'_> {
    fn run(&self) -> Result<DayTallies> {
        let jobs = self.days.len().saturating_mul(self.parts as usize);
        let threads = self.options.max_threads.clamp(1, jobs.max(1));
        let results: Vec<Result<DayTallies>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| self.take_parts())).collect();
            let panicked = |_| Err(Error::internal("a thread that wrote sample data panicked"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        let mut all = DayTallies::new();
        for tallies in results {
            tallies?.into_iter().for_each(|(key, tally)| all.entry(key).or_default().add(tally));
        }
        Ok(all)
    }

    fn take_parts(&self) -> Result<DayTallies> {
        let mut all = DayTallies::new();
        while !self.given_up.load(Ordering::Relaxed) {
            let job = self.next.fetch_add(1, Ordering::Relaxed);
            let (day, number) = (job / self.parts as usize, job as u64 % self.parts);
            if day >= self.days.len() {
                break;
            }
            match self.write_part(day, number) {
                Ok(tallies) => {
                    tallies.into_iter().for_each(|(name, tally)| all.entry((day, name)).or_default().add(tally));
                }
                Err(error) => {
                    self.given_up.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    /// Writes a part; the day's catalog goes with its first part, and the markers with the last one to be done.
    fn write_part(&self, day: usize, number: u64) -> Result<Tallies> {
        let date = self.days[day];
        let first = number * self.accounts_a_part;
        let end = self.options.accounts.min(first + self.accounts_a_part);
        let part = Part { date, number, seed: self.options.seed, accounts: first..end };
        let mut tallies = part.write(self.snapshots, &|rows| self.report(rows))?;
        if self.given_up.load(Ordering::Relaxed) {
            return Ok(tallies);
        }
        if number == 0 {
            let catalog = write_catalog(self.snapshots, date)?;
            self.report(catalog.values().map(|tally| tally.rows).sum());
            tallies.extend(catalog);
        }
        if self.parts_left[day].fetch_sub(1, Ordering::AcqRel) == 1 {
            day_folders(self.snapshots, date).try_for_each(|folder| complete(&folder))?;
        }
        Ok(tallies)
    }

    /// Tells of new rows; false asks the caller to give up.
    fn report(&self, rows: u64) -> bool {
        let done = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        (self.progress)(done);
        !self.given_up.load(Ordering::Relaxed)
    }
}

fn summary(days: &[SnapshotDate], tallies: DayTallies) -> Summary {
    let mut totals: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut planted: BTreeMap<String, BTreeMap<&'static str, Planted>> = BTreeMap::new();
    for ((day, name), tally) in tallies {
        if tally.planted != Planted::default() {
            planted.entry(days[day].to_string()).or_default().insert(name, tally.planted.clone());
        }
        totals.entry(name).or_default().add(tally);
    }
    let snapshots = SNAPSHOTS.map(|name| {
        let Tally { files, rows, bytes, .. } = totals.remove(name).unwrap_or_default();
        SnapshotSummary { name, days: days.len() as u32, files, rows, bytes }
    });
    Summary { snapshots: snapshots.into(), planted }
}
