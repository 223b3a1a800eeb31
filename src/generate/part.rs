//! One part of one day: the rows of up to half a million accounts in a file of each table, made by one thread.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::calendar::{DAY, Instant};
use super::columns::{
    AccountTable, ErasureTable, GrantTable, MemberTable, SubscriptionTable, Table, Takes, UsageTable,
};
use super::dirt::{Dirt, Planted, Spot};
use super::folder::day_folder;
use super::grant::GrantLife;
use super::household::{HOUSEHOLD, Household, MemberLife};
use super::ids::AccountId;
use super::soil::{Soil, implausible, second};
use super::subscription::SubscriptionLife;
use super::usage;
use super::write::{PartFile, Written};
use crate::error::Result;
use crate::names::SnapshotDate;

/// Households between two reports of progress.
const HOUSEHOLDS_A_REPORT: u64 = 1_024;

/// What was written to one day of one snapshot, and what was planted in it.
#[derive(Debug, Default)]
pub struct Tally {
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
    pub planted: Planted,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.planted.add(other.planted);
    }

    pub fn of(written: Written, planted: Planted) -> Self {
        Tally { files: 1, rows: written.rows, bytes: written.bytes, planted }
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
                let rows = files.rows();
                if !progress(rows - reported) {
                    return Ok(Tallies::new());
                }
                reported = rows;
            }
        }
        progress(files.rows() - reported);
        files.close()
    }
}

/// A part's file of one table, and what was planted in it.
struct Sink<T: Table> {
    file: PartFile<T>,
    planted: Planted,
}

impl<T: Table> Sink<T> {
    fn create(snapshots: &Path, part: &Part) -> Result<Self> {
        let file = PartFile::create(&day_folder(snapshots, T::NAME, part.date), part.number)?;
        Ok(Sink { file, planted: Planted::default() })
    }

    fn append<R>(&mut self, row: &R)
    where
        T: Takes<R>,
    {
        self.file.columns.append(row);
    }

    /// A row that is dirt as a whole.
    fn plant<R>(&mut self, row: &R, dirt: Dirt)
    where
        T: Takes<R>,
    {
        self.append(row);
        self.planted.count(dirt);
    }

    /// The row, and beside it the second one of the dirt that is due; the next row is then clean.
    fn append_soiled<R: Soil>(&mut self, row: &R, due: &mut Option<Dirt>)
    where
        T: Takes<R>,
    {
        self.append(row);
        if let Some((dirt, second)) = due.and_then(|dirt| Some((dirt, second(dirt, *row)?))) {
            self.plant(&second, dirt);
            *due = None;
        }
    }

    fn close(self) -> Result<(&'static str, Tally)> {
        Ok((T::NAME, Tally::of(self.file.close()?, self.planted)))
    }
}

/// The files of one part, open at the same time: one walk over the households fills them all.
struct Files {
    as_of: Instant,
    account: Sink<AccountTable>,
    subscription: Sink<SubscriptionTable>,
    member: Sink<MemberTable>,
    grant: Sink<GrantTable>,
    usage: Sink<UsageTable>,
    erasure: Sink<ErasureTable>,
}

impl Files {
    fn create(snapshots: &Path, part: &Part) -> Result<Self> {
        Ok(Files {
            as_of: part.date.as_of().timestamp_micros(),
            account: Sink::create(snapshots, part)?,
            subscription: Sink::create(snapshots, part)?,
            member: Sink::create(snapshots, part)?,
            grant: Sink::create(snapshots, part)?,
            usage: Sink::create(snapshots, part)?,
            erasure: Sink::create(snapshots, part)?,
        })
    }

    /// The household's rows as of the day, of accounts whose index is below `end` and that their source still has.
    fn append(&mut self, household: &Household, end: u64) {
        let as_of = self.as_of;
        let spot = Spot::of(household, end, as_of);
        let shown = |id: AccountId| id.0 < end && !household.account(id).is_gone(as_of);
        self.append_accounts(household, end, spot);
        self.append_subscriptions(household, &shown, spot);
        // A plan is left out with its owner, with everybody in it.
        let seats = household.members.iter().filter(|member| shown(member.account) && shown(member.owner));
        for row in seats.filter_map(|member| member.row(self.as_of)) {
            self.member.append(&row);
        }
        self.append_grants(household, &shown, spot);
        self.append_usage(household, &shown, spot);
        if let Some(spot) = spot {
            self.plant(household, &spot);
        }
    }

    fn append_accounts(&mut self, household: &Household, end: u64, spot: Option<Spot>) {
        for account in household.accounts.iter().filter(|account| account.id.0 < end) {
            if let Some(row) = account.erasure(self.as_of) {
                self.erasure.append(&row);
            }
            let Some(row) = account.row(self.as_of) else { continue };
            let own = spot.filter(|spot| spot.account == account.id);
            let own = own.and_then(|spot| Some((spot, spot.on::<AccountTable>()?)));
            match own.and_then(|(spot, dirt)| Some((dirt, implausible(row, dirt, &spot)?))) {
                Some((dirt, row)) => self.account.plant(&row, dirt),
                None => self.account.append_soiled(&row, &mut own.map(|(_, dirt)| dirt)),
            }
        }
    }

    fn append_subscriptions(&mut self, household: &Household, shown: &dyn Fn(AccountId) -> bool, spot: Option<Spot>) {
        let mut due = spot.and_then(|spot| spot.on::<SubscriptionTable>());
        let lives = household.subscriptions.iter().filter(|life| shown(life.owner));
        for row in lives.filter_map(|life| life.row(self.as_of)) {
            self.subscription.append_soiled(&row, &mut due);
        }
    }

    fn append_grants(&mut self, household: &Household, shown: &dyn Fn(AccountId) -> bool, spot: Option<Spot>) {
        let mut due = spot.and_then(|spot| spot.on::<GrantTable>());
        let lives = household.grants.iter().filter(|life| shown(life.account));
        for row in lives.filter_map(|life| life.row(self.as_of)) {
            self.grant.append_soiled(&row, &mut due);
        }
    }

    fn append_usage(&mut self, household: &Household, shown: &dyn Fn(AccountId) -> bool, spot: Option<Spot>) {
        let mut due = spot.and_then(|spot| spot.on::<UsageTable>());
        for habit in household.habits.iter().filter(|habit| shown(habit.account)) {
            let end_of = |day: i32| (i64::from(day) + 1) * DAY - 1;
            let allowed = |day| !habit.needs_plan || household.has_plan(habit.account, end_of(day));
            for row in habit.rows(self.as_of).filter(|row| allowed(row.usage_date)) {
                self.usage.append_soiled(&row, &mut due);
            }
        }
    }

    /// The rows that refer to what never existed.
    fn plant(&mut self, household: &Household, spot: &Spot) {
        let account = household.account(spot.account);
        let subscription = match spot.on::<SubscriptionTable>() {
            Some(dirt @ Dirt::UnknownAccount) => Some((dirt, SubscriptionLife::of_unknown_account(account))),
            Some(dirt @ Dirt::UnknownBase) => Some((dirt, SubscriptionLife::of_unknown_base(account))),
            _ => None,
        };
        if let Some((dirt, life)) = subscription {
            life.row(self.as_of).iter().for_each(|row| self.subscription.plant(row, dirt));
        }
        if let Some(dirt @ Dirt::UnknownSubscription) = spot.on::<MemberTable>() {
            let life = MemberLife::of_unknown_subscription(account);
            life.row(self.as_of).iter().for_each(|row| self.member.plant(row, dirt));
        }
        if let Some(dirt @ Dirt::UnknownFeature) = spot.on::<GrantTable>() {
            let life = GrantLife::of_unknown_feature(account);
            life.row(self.as_of).iter().for_each(|row| self.grant.plant(row, dirt));
        }
        if let Some(dirt @ Dirt::UnknownAccount) = spot.on::<UsageTable>() {
            self.usage.plant(&usage::of_unknown_account(spot.account, self.as_of), dirt);
        }
    }

    fn rows(&self) -> u64 {
        self.account.file.rows()
            + self.subscription.file.rows()
            + self.member.file.rows()
            + self.grant.file.rows()
            + self.usage.file.rows()
            + self.erasure.file.rows()
    }

    fn turn(&mut self) -> Result<()> {
        self.account.file.turn()?;
        self.subscription.file.turn()?;
        self.member.file.turn()?;
        self.grant.file.turn()?;
        self.usage.file.turn()?;
        self.erasure.file.turn()
    }

    fn close(self) -> Result<Tallies> {
        Ok(Tallies::from([
            self.account.close()?,
            self.subscription.close()?,
            self.member.close()?,
            self.grant.close()?,
            self.usage.close()?,
            self.erasure.close()?,
        ]))
    }
}
