//! One part of one day: the rows of up to half a million accounts in a file of each table, made by one thread.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::calendar::Instant;
use super::catalog::CATALOG;
use super::columns::{AccountTable, ErasureTable, MemberTable, PhaseTable, SubscriptionTable, Table};
use super::dirt::{Dirt, has_orphan, has_subscription_twice, soil};
use super::folder::day_folder;
use super::household::{HOUSEHOLD, Household, MemberLife};
use super::subscription::SubscriptionLife;
use super::write::{PartFile, Written};
use crate::error::Result;
use crate::names::SnapshotDate;

/// Households between two reports of progress.
const HOUSEHOLDS_A_REPORT: u64 = 1_024;

/// What was written to one snapshot, and what was planted in it.
#[derive(Debug, Default)]
pub struct Tally {
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
    pub dirt: BTreeMap<Dirt, u64>,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
        for (dirt, count) in other.dirt {
            *self.dirt.entry(dirt).or_default() += count;
        }
    }

    fn of(written: Written, dirt: BTreeMap<Dirt, u64>) -> Self {
        Tally { files: 1, rows: written.rows, bytes: written.bytes, dirt }
    }
}

/// Which accounts of which day.
#[derive(Debug, Clone)]
pub struct Part {
    pub date: SnapshotDate,
    pub number: u64,
    pub seed: u64,
    /// By index from 0; begins with a household.
    pub accounts: Range<u64>,
}

/// The tables of one part, by name.
pub type Tallies = BTreeMap<&'static str, Tally>;

impl Part {
    /// Writes the part's files. `progress` is told of new rows; it returns false to give up.
    pub fn write(&self, snapshots: &Path, progress: &dyn Fn(u64) -> bool) -> Result<Tallies> {
        let mut files = Files::create(snapshots, self)?;
        let mut household = Household::default();
        let first = self.accounts.start / HOUSEHOLD;
        let mut reported = 0;
        for number in first..self.accounts.end.div_ceil(HOUSEHOLD) {
            household.draw(self.seed, number);
            files.append(&household, self.accounts.end);
            files.turn()?;
            if (number + 1 - first).is_multiple_of(HOUSEHOLDS_A_REPORT) {
                if !progress(files.rows - reported) {
                    return Ok(Tallies::new());
                }
                reported = files.rows;
            }
        }
        progress(files.rows - reported);
        files.close()
    }
}

/// The files of one part, open at the same time: one walk over the households fills them all.
struct Files {
    as_of: Instant,
    account: PartFile<AccountTable>,
    subscription: PartFile<SubscriptionTable>,
    member: PartFile<MemberTable>,
    erasure: PartFile<ErasureTable>,
    account_dirt: BTreeMap<Dirt, u64>,
    subscription_dirt: BTreeMap<Dirt, u64>,
    rows: u64,
}

impl Files {
    fn create(snapshots: &Path, part: &Part) -> Result<Self> {
        Ok(Files {
            as_of: part.date.as_of().timestamp_micros(),
            account: create(snapshots, part)?,
            subscription: create(snapshots, part)?,
            member: create(snapshots, part)?,
            erasure: create(snapshots, part)?,
            account_dirt: BTreeMap::new(),
            subscription_dirt: BTreeMap::new(),
            rows: 0,
        })
    }

    /// The household's rows as of the day, of accounts whose index is below `end`.
    fn append(&mut self, household: &Household, end: u64) {
        self.append_accounts(household, end);
        self.append_subscriptions(household, end);
        // A plan is left out with its owner, with everybody in it.
        let shared = |member: &&MemberLife| member.account.0 < end && member.owner.0 < end;
        let members = household.members.iter().filter(shared);
        for row in members.filter_map(|member| member.row(self.as_of)) {
            self.member.columns.append(&row);
            self.rows += 1;
        }
    }

    fn append_accounts(&mut self, household: &Household, end: u64) {
        for account in household.accounts.iter().filter(|account| account.id.0 < end) {
            let Some(row) = account.row(self.as_of) else { continue };
            let soiled = soil(account.id, row);
            for row in [Some(soiled.row), soiled.second].iter().flatten() {
                self.account.columns.append(row);
                self.rows += 1;
            }
            if let Some(dirt) = soiled.dirt {
                *self.account_dirt.entry(dirt).or_default() += 1;
            }
            if let Some(row) = account.erasure(self.as_of) {
                self.erasure.columns.append(&row);
                self.rows += 1;
            }
        }
    }

    fn append_subscriptions(&mut self, household: &Household, end: u64) {
        let ids = || household.accounts.iter().map(|account| account.id).filter(|id| id.0 < end);
        let mut twice = ids().any(has_subscription_twice);
        let lives = household.subscriptions.iter().filter(|life| life.owner.0 < end);
        for row in lives.filter_map(|life| life.row(self.as_of)) {
            self.subscription.columns.append(&row);
            self.rows += 1;
            if std::mem::take(&mut twice) {
                self.subscription.columns.append(&row);
                self.rows += 1;
                *self.subscription_dirt.entry(Dirt::ExactDuplicate).or_default() += 1;
            }
        }
        for orphan in ids().filter(|id| has_orphan(*id)).map(|id| SubscriptionLife::orphan(id.0)) {
            if let Some(row) = orphan.row(self.as_of) {
                self.subscription.columns.append(&row);
                self.rows += 1;
                *self.subscription_dirt.entry(Dirt::Orphan).or_default() += 1;
            }
        }
    }

    fn turn(&mut self) -> Result<()> {
        self.account.turn()?;
        self.subscription.turn()?;
        self.member.turn()?;
        self.erasure.turn()
    }

    fn close(self) -> Result<Tallies> {
        Ok(Tallies::from([
            (AccountTable::NAME, Tally::of(self.account.close()?, self.account_dirt)),
            (SubscriptionTable::NAME, Tally::of(self.subscription.close()?, self.subscription_dirt)),
            (MemberTable::NAME, Tally::of(self.member.close()?, BTreeMap::new())),
            (ErasureTable::NAME, Tally::of(self.erasure.close()?, BTreeMap::new())),
        ]))
    }
}

fn create<T: Table>(snapshots: &Path, part: &Part) -> Result<PartFile<T>> {
    PartFile::create(&day_folder(snapshots, T::NAME, part.date), part.number)
}

/// The catalog of a day: one small file.
pub fn write_catalog(snapshots: &Path, date: SnapshotDate) -> Result<Tally> {
    let as_of = date.as_of().timestamp_micros();
    let mut file = PartFile::<PhaseTable>::create(&day_folder(snapshots, PhaseTable::NAME, date), 0)?;
    CATALOG.iter().for_each(|version| file.columns.append(version, as_of));
    Ok(Tally::of(file.close()?, BTreeMap::new()))
}
