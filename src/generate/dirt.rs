//! The dirt that is planted on purpose, so that deduplication, rejection and flags have something to do.
//!
//! An account is soiled by its index alone: index `n` carries a kind of dirt when `n % every == at`. Every `every` is a
//! multiple of 1,000 and every `at` is below it and another, so an account carries one kind at most, and a sample of
//! 1,000 accounts has nearly all kinds, once their accounts have signed up. About 1 row in 8,000 is rejected by rule R1.

use serde::{Deserialize, Serialize};

use super::account::AccountRow;
use super::calendar::{Instant, MILLISECOND, day_number, midnight};
use super::ids::AccountId;

/// A kind of planted dirt. Each is counted once a day for each account or subscription that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dirt {
    /// The same row a second time (`account` and `subscription`). Rule R1 keeps one.
    ExactDuplicate,
    /// A second row with an older `source_seq` and another payload. Rule R1 keeps the newer.
    StaleDuplicate,
    /// A second row with the same `source_seq` and another payload. Rule R1 rejects both.
    ConflictingDuplicate,
    /// A further row with a null `account_id`. Rule R1 rejects it.
    NullKey,
    /// A country that is no upper-case ISO code. Rule R11 makes it `ZZ`.
    UnknownCountry,
    /// A birth date in the future or above 120 years ago. Rule R11 flags it.
    ImplausibleBirthDate,
    /// A further subscription of an account that never existed.
    Orphan,
}

/// Which accounts are soiled.
struct Share {
    dirt: Dirt,
    every: u64,
    at: u64,
}

const ACCOUNT_SHARES: [Share; 6] = [
    Share { dirt: Dirt::ExactDuplicate, every: 2_000, at: 101 },
    Share { dirt: Dirt::StaleDuplicate, every: 2_000, at: 202 },
    Share { dirt: Dirt::ConflictingDuplicate, every: 20_000, at: 303 },
    Share { dirt: Dirt::NullKey, every: 50_000, at: 404 },
    Share { dirt: Dirt::UnknownCountry, every: 5_000, at: 505 },
    Share { dirt: Dirt::ImplausibleBirthDate, every: 5_000, at: 606 },
];

/// The orphan is planted beside the account, which itself stays clean.
const ORPHAN: Share = Share { dirt: Dirt::Orphan, every: 10_000, at: 707 };
/// The first subscription shown in the account's household comes twice.
const SUBSCRIPTION_TWICE: Share = Share { dirt: Dirt::ExactDuplicate, every: 5_000, at: 808 };

const UNKNOWN_COUNTRIES: [&str; 4] = ["uk", "AA", "", "UK"];
const LONG_AGO: Instant = midnight(1850, 6, 15);
const FAR_AHEAD: Instant = midnight(2090, 2, 1);

impl Share {
    fn hits(&self, account: AccountId) -> bool {
        account.0 % self.every == self.at
    }
}

impl Dirt {
    pub fn as_str(self) -> &'static str {
        match self {
            Dirt::ExactDuplicate => "exact_duplicate",
            Dirt::StaleDuplicate => "stale_duplicate",
            Dirt::ConflictingDuplicate => "conflicting_duplicate",
            Dirt::NullKey => "null_key",
            Dirt::UnknownCountry => "unknown_country",
            Dirt::ImplausibleBirthDate => "implausible_birth_date",
            Dirt::Orphan => "orphan",
        }
    }
}

/// What becomes of an account's row: the row as it is written, perhaps a second one, and the kind of dirt.
pub struct Soiled {
    pub row: AccountRow,
    pub second: Option<AccountRow>,
    pub dirt: Option<Dirt>,
}

pub fn soil(account: AccountId, row: AccountRow) -> Soiled {
    let Some(share) = ACCOUNT_SHARES.iter().find(|share| share.hits(account)) else {
        return Soiled { row, second: None, dirt: None };
    };
    let turn = account.0 / share.every;
    let (row, second) = match share.dirt {
        Dirt::ExactDuplicate => (row, Some(row)),
        Dirt::StaleDuplicate => (row, Some(stale(row))),
        Dirt::ConflictingDuplicate => (row, Some(AccountRow { email_verified: !row.email_verified, ..row })),
        Dirt::NullKey => (row, Some(AccountRow { id: None, ..row })),
        Dirt::UnknownCountry => {
            (AccountRow { country: UNKNOWN_COUNTRIES[turn as usize % UNKNOWN_COUNTRIES.len()], ..row }, None)
        }
        Dirt::ImplausibleBirthDate => {
            let birth = if turn.is_multiple_of(2) { LONG_AGO } else { FAR_AHEAD };
            (AccountRow { birth_date: Some(day_number(birth)), ..row }, None)
        }
        Dirt::Orphan => (row, None),
    };
    Soiled { row, second, dirt: Some(share.dirt) }
}

/// The row as it was before its last change.
fn stale(row: AccountRow) -> AccountRow {
    AccountRow {
        email: row.email.map(|email| email.superseded()),
        email_verified: !row.email_verified,
        source_seq: row.source_seq - 1,
        updated_at: (row.updated_at - MILLISECOND).max(row.created_at),
        ..row
    }
}

pub fn has_orphan(account: AccountId) -> bool {
    ORPHAN.hits(account)
}

pub fn has_subscription_twice(account: AccountId) -> bool {
    SUBSCRIPTION_TWICE.hits(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_account_carries_two_kinds() {
        let shares = || ACCOUNT_SHARES.iter().chain([&ORPHAN, &SUBSCRIPTION_TWICE]);
        assert!(shares().all(|share| share.every % 1_000 == 0 && share.at < 1_000));
        let mut places: Vec<u64> = shares().map(|share| share.at).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), shares().count());
    }

    /// The contracts tolerate 1 % of rejected rows; the sample must stay far below.
    #[test]
    fn rejected_rows_are_rare() {
        let rejected = |share: &Share| match share.dirt {
            Dirt::ConflictingDuplicate => 2.0 / share.every as f64,
            Dirt::NullKey => 1.0 / share.every as f64,
            _ => 0.0,
        };
        assert!(ACCOUNT_SHARES.iter().map(rejected).sum::<f64>() < 0.001);
    }
}
