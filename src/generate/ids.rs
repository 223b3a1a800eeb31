//! The sample's identifiers. A subscription's does not show whose it is: an account id is `direct` personal data, and
//! one that could be read out of a subscription id would leave the restricted dataset with it.

use std::fmt;

/// Subscriptions that one account may have, the planted orphan among them.
pub const SUBSCRIPTIONS_AN_ACCOUNT: u64 = 16;
/// Grants that one account may have, the planted one among them.
pub const GRANTS_AN_ACCOUNT: u64 = 64;
/// Beyond every account that can be asked for.
const NOBODY: u64 = 900_000_000_000;

/// An account by its index from 0, printed from 1: `acct-000001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountId(pub u64);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acct-{:06}", self.0 + 1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionId(u64);

impl SubscriptionId {
    /// The `ordinal`-th subscription of an account, from 0 to 15.
    pub fn new(owner: AccountId, ordinal: u64) -> Self {
        debug_assert!(ordinal < SUBSCRIPTIONS_AN_ACCOUNT);
        SubscriptionId(scramble(owner.0 * SUBSCRIPTIONS_AN_ACCOUNT + ordinal, 0x9e37_79b9_7f4b))
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sub-{:012x}", self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    pub fn new(account: AccountId) -> Self {
        RequestId(scramble(account.0, 0xd1b5_4a32_d193))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "erase-{:012x}", self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantId(u64);

impl GrantId {
    /// The `ordinal`-th grant of an account, from 0 to 63.
    pub fn new(account: AccountId, ordinal: u64) -> Self {
        debug_assert!(ordinal < GRANTS_AN_ACCOUNT);
        GrantId(scramble(account.0 * GRANTS_AN_ACCOUNT + ordinal, 0xc2b2_ae3d_27d5))
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grant-{:012x}", self.0)
    }
}

/// An account that never existed, for what is planted beside one that does.
pub fn nobody(beside: AccountId) -> AccountId {
    AccountId(NOBODY + beside.0)
}

/// Spreads a number over 48 bits. Each step can be undone (a sum, an odd factor, a shifted xor), so no two numbers meet.
fn scramble(number: u64, odd: u64) -> u64 {
    const MASK: u64 = (1 << 48) - 1;
    let mixed = (number + 1).wrapping_mul(odd) & MASK;
    let mixed = (mixed ^ (mixed >> 24)).wrapping_mul(0xbf58_476d_1ce5) & MASK;
    mixed ^ (mixed >> 24)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_have_their_form() {
        assert_eq!(AccountId(0).to_string(), "acct-000001");
        assert_eq!(AccountId(9_999_999).to_string(), "acct-10000000");
        assert_eq!(SubscriptionId::new(AccountId(0), 3).to_string().len(), "sub-".len() + 12);
        assert_eq!(GrantId::new(AccountId(5), 2).to_string().len(), "grant-".len() + 12);
        assert_eq!(RequestId::new(AccountId(5)).to_string().len(), "erase-".len() + 12);
    }

    #[test]
    fn no_two_ids_meet() {
        let ids: HashSet<u64> = (0..20_000).map(|n| scramble(n, 0x9e37_79b9_7f4b)).collect();
        assert_eq!(ids.len(), 20_000);
    }
}
