//! The dirt that is planted on purpose, so that deduplication, rejection and flags have something to do.
//!
//! An account is soiled by its index alone: index `n` carries a kind of dirt when `n % every == at`. Every `every` is a
//! multiple of 1,000 and the `at` lie in different households of the first 1,000 accounts. So a household carries one kind
//! at most, and a sample of 1,000 accounts has all kinds, once their accounts have signed up.
//!
//! Conflicting duplicates come and go from day to day: a history must not lose a row that is rejected for one day. Who asks
//! to be erased stays clean, so that every planted flag is seen in the tables of users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calendar::{Instant, day_number};
use super::columns::{AccountTable, GrantTable, MemberTable, SubscriptionTable, Table, UsageTable};
use super::household::{HOUSEHOLD, Household};
use super::ids::AccountId;

/// A kind of planted dirt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dirt {
    /// The same row a second time. Rule R1 keeps one.
    ExactDuplicate,
    /// A second row with an older `source_seq` and another payload. Rule R1 keeps the newer.
    StaleDuplicate,
    /// A second row with the same `source_seq` and another payload. Rule R1 rejects both.
    ConflictingDuplicate,
    /// A further row with a null key. Rule R1 rejects it.
    NullKey,
    /// A country that is no upper-case ISO code. Rule R11 makes it `ZZ`.
    UnknownCountry,
    /// A birth date in the future or above 120 years ago. Rule R11 flags it.
    ImplausibleBirthDate,
    /// A further subscription, or row of usage, of an account that never existed.
    UnknownAccount,
    /// A further add-on whose base subscription never existed.
    UnknownBase,
    /// A further member of a subscription that never existed.
    UnknownSubscription,
    /// A further grant of a feature that no product has.
    UnknownFeature,
}

impl Dirt {
    /// The rule by which rows are rejected for it, and how many each time.
    pub fn rejected(self) -> Option<(&'static str, u64)> {
        match self {
            Dirt::ConflictingDuplicate => Some(("conflicting_duplicate", 2)),
            Dirt::NullKey => Some(("null_key", 1)),
            _ => None,
        }
    }
}

/// What was planted in one day of one snapshot, and what rule R1 must make of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Planted {
    /// How often each kind was planted, kinds that were not left out.
    pub dirt: BTreeMap<Dirt, u64>,
    /// Rows that a run must reject, by rule: these and no others.
    pub rejected: BTreeMap<&'static str, u64>,
}

impl Planted {
    pub fn count(&mut self, dirt: Dirt) {
        *self.dirt.entry(dirt).or_default() += 1;
        if let Some((rule, rows)) = dirt.rejected() {
            *self.rejected.entry(rule).or_default() += rows;
        }
    }

    pub fn add(&mut self, other: Planted) {
        for (dirt, count) in other.dirt {
            *self.dirt.entry(dirt).or_default() += count;
        }
        for (rule, rows) in other.rejected {
            *self.rejected.entry(rule).or_default() += rows;
        }
    }
}

/// Which accounts soil which snapshot.
struct Share {
    snapshot: &'static str,
    dirt: Dirt,
    every: u64,
    at: u64,
}

const fn share(snapshot: &'static str, dirt: Dirt, every: u64, at: u64) -> Share {
    Share { snapshot, dirt, every, at }
}

/// An account's kinds soil its own row; the others the first row that its household has in the snapshot, if it has one.
/// Rows of what is unknown are planted beside an account that itself stays clean.
const SHARES: [Share; 21] = [
    share(AccountTable::NAME, Dirt::ExactDuplicate, 2_000, 101),
    share(AccountTable::NAME, Dirt::StaleDuplicate, 2_000, 202),
    share(AccountTable::NAME, Dirt::ConflictingDuplicate, 5_000, 303),
    share(AccountTable::NAME, Dirt::NullKey, 10_000, 404),
    share(AccountTable::NAME, Dirt::UnknownCountry, 5_000, 505),
    share(AccountTable::NAME, Dirt::ImplausibleBirthDate, 5_000, 606),
    share(SubscriptionTable::NAME, Dirt::ExactDuplicate, 5_000, 808),
    share(SubscriptionTable::NAME, Dirt::StaleDuplicate, 5_000, 153),
    share(SubscriptionTable::NAME, Dirt::ConflictingDuplicate, 10_000, 253),
    share(SubscriptionTable::NAME, Dirt::NullKey, 20_000, 353),
    share(SubscriptionTable::NAME, Dirt::UnknownAccount, 10_000, 707),
    share(SubscriptionTable::NAME, Dirt::UnknownBase, 5_000, 453),
    share(MemberTable::NAME, Dirt::UnknownSubscription, 5_000, 653),
    share(GrantTable::NAME, Dirt::ExactDuplicate, 5_000, 753),
    share(GrantTable::NAME, Dirt::ConflictingDuplicate, 10_000, 853),
    share(GrantTable::NAME, Dirt::UnknownFeature, 5_000, 953),
    share(UsageTable::NAME, Dirt::ExactDuplicate, 2_000, 53),
    share(UsageTable::NAME, Dirt::StaleDuplicate, 2_000, 171),
    share(UsageTable::NAME, Dirt::ConflictingDuplicate, 5_000, 271),
    share(UsageTable::NAME, Dirt::NullKey, 10_000, 371),
    share(UsageTable::NAME, Dirt::UnknownAccount, 5_000, 471),
];

/// The dirt of one household on one day.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    snapshot: &'static str,
    dirt: Dirt,
    pub account: AccountId,
    /// Which of the accounts that carry this kind it is, from 0.
    pub turn: u64,
}

impl Spot {
    /// The dirt of the household, if it carries any: the account must be below `end`, shown, and nobody who asks to be
    /// erased.
    pub fn of(household: &Household, end: u64, as_of: Instant) -> Option<Self> {
        let first = household.accounts.first()?.id.0;
        let within = |share: &&Share| first % 1_000 <= share.at && share.at < first % 1_000 + HOUSEHOLD;
        let share = SHARES.iter().find(within)?;
        let index = first - first % 1_000 + share.at;
        let account = household.account(AccountId(index));
        let clean = index % share.every != share.at || index >= end || account.asks_to_be_erased();
        if clean || account.row(as_of).is_none() {
            return None;
        }
        let turn = index / share.every;
        let comes_and_goes = share.dirt == Dirt::ConflictingDuplicate;
        let away = comes_and_goes && (turn + day_number(as_of) as u64).is_multiple_of(2);
        (!away).then_some(Spot { snapshot: share.snapshot, dirt: share.dirt, account: account.id, turn })
    }

    /// The kind of dirt, if it is this table's.
    pub fn on<T: Table>(&self) -> Option<Dirt> {
        (self.snapshot == T::NAME).then_some(self.dirt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_household_carries_two_kinds() {
        assert!(SHARES.iter().all(|share| share.every % 1_000 == 0 && share.at < 1_000));
        let mut places: Vec<u64> = SHARES.iter().map(|share| share.at / HOUSEHOLD).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), SHARES.len());
    }

    /// The contracts tolerate 1 % of rejected rows; the sample must stay far below.
    #[test]
    fn rejected_rows_are_rare() {
        let rejected = |share: &Share| share.dirt.rejected().map_or(0.0, |(_, rows)| rows as f64 / share.every as f64);
        assert!(SHARES.iter().map(rejected).sum::<f64>() < 0.003);
    }
}
