//! How rows are soiled: the second row of a duplicate, the row without a key, the value that cannot be.

use super::account::AccountRow;
use super::calendar::{DAY, Instant, MILLISECOND, day_number, midnight};
use super::dirt::{Dirt, Spot};
use super::grant::GrantRow;
use super::subscription::SubscriptionRow;
use super::usage::UsageRow;

/// A row that can be planted a second time.
pub trait Soil: Copy {
    /// As it was before its last change.
    fn stale(self) -> Self;
    /// The same change told in another way.
    fn conflicting(self) -> Self;
    fn without_key(self) -> Self;
}

/// The row that a kind of dirt puts beside another; `None` for the kinds that do not.
pub fn second<R: Soil>(dirt: Dirt, row: R) -> Option<R> {
    match dirt {
        Dirt::ExactDuplicate => Some(row),
        Dirt::StaleDuplicate => Some(row.stale()),
        Dirt::ConflictingDuplicate => Some(row.conflicting()),
        Dirt::NullKey => Some(row.without_key()),
        _ => None,
    }
}

/// The account's row with a value that cannot be, where that is its kind of dirt.
pub fn implausible(row: AccountRow, dirt: Dirt, spot: &Spot) -> Option<AccountRow> {
    const UNKNOWN_COUNTRIES: [&str; 4] = ["uk", "AA", "", "UK"];
    const LONG_AGO: Instant = midnight(1850, 6, 15);
    const FAR_AHEAD: Instant = midnight(2090, 2, 1);
    match dirt {
        Dirt::UnknownCountry => {
            Some(AccountRow { country: UNKNOWN_COUNTRIES[spot.turn as usize % UNKNOWN_COUNTRIES.len()], ..row })
        }
        Dirt::ImplausibleBirthDate => {
            let birth = if spot.turn.is_multiple_of(2) { LONG_AGO } else { FAR_AHEAD };
            Some(AccountRow { birth_date: Some(day_number(birth)), ..row })
        }
        _ => None,
    }
}

impl Soil for AccountRow {
    fn stale(self) -> Self {
        AccountRow {
            email: self.email.map(|email| email.superseded()),
            email_verified: !self.email_verified,
            source_seq: self.source_seq - 1,
            updated_at: (self.updated_at - MILLISECOND).max(self.created_at),
            ..self
        }
    }

    fn conflicting(self) -> Self {
        AccountRow { email_verified: !self.email_verified, ..self }
    }

    fn without_key(self) -> Self {
        AccountRow { id: None, ..self }
    }
}

impl Soil for SubscriptionRow<'_> {
    fn stale(mut self) -> Self {
        self.source_seq -= 1;
        self.moment.updated_at -= MILLISECOND;
        self.conflicting()
    }

    fn conflicting(mut self) -> Self {
        self.moment.paid_through_at = Some(self.moment.updated_at + DAY + MILLISECOND);
        self
    }

    fn without_key(self) -> Self {
        SubscriptionRow { id: None, ..self }
    }
}

impl Soil for GrantRow<'_> {
    fn stale(self) -> Self {
        let (source_seq, updated_at) = (self.source_seq - 1, self.updated_at - MILLISECOND);
        GrantRow { source_seq, updated_at, ..self.conflicting() }
    }

    fn conflicting(self) -> Self {
        GrantRow { priority: self.priority + 1, ..self }
    }

    fn without_key(self) -> Self {
        GrantRow { id: None, ..self }
    }
}

impl Soil for UsageRow {
    fn stale(self) -> Self {
        let (source_seq, updated_at) = (self.source_seq - 1, self.updated_at - MILLISECOND);
        UsageRow { source_seq, updated_at, ..self.conflicting() }
    }

    fn conflicting(self) -> Self {
        UsageRow { consumed: self.consumed + 1, ..self }
    }

    fn without_key(self) -> Self {
        UsageRow { account: None, ..self }
    }
}
