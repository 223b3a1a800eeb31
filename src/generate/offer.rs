//! The offers: discounts of every kind, some limited, some over, some not yet begun.

use super::calendar::{DAY, Instant, midnight};
use super::catalog::{
    AUDIOBOOKS_PLUS, DUO, HIFI, MID_MONTHLY, MID_WEEKLY, PREMIUM_ANNUAL, PREMIUM_FAMILY, PREMIUM_INDIVIDUAL,
    PREMIUM_LEGACY, PREMIUM_STUDENT,
};
use super::ids::AccountId;
use super::market::{Currency, EUR, GBP, USD};

/// How long before it begins an offer stands in the snapshots.
const NOTICE: i64 = 30 * DAY;

/// Only the first accounts redeem an offer of which there are not many, so that in a large sample it is sold out and not
/// sold many times over. Which offers there are must not depend on the number of accounts.
const FIRST_COME: u64 = 20_000;

#[derive(Debug, Clone, Copy)]
pub enum Discount {
    Percent(i64),
    /// So many cents of a dollar's worth off, in a currency.
    Fixed(i64, &'static Currency),
    /// So many cents of a dollar's worth in place of the price.
    Replace(i64, &'static Currency),
}

#[derive(Debug, Clone, Copy)]
pub enum Frequency {
    Once,
    Repeating(i64),
    Forever,
}

/// One row of `offer`. It never changes.
#[derive(Debug)]
pub struct Offer {
    pub id: &'static str,
    pub kind: &'static str,
    pub discount: Discount,
    pub frequency: Frequency,
    pub plan_ids: &'static [&'static str],
    pub markets: &'static [&'static str],
    pub starts_at: Instant,
    pub redeem_by: Option<Instant>,
    pub max_redemptions: Option<i64>,
    pub stackable: bool,
    pub priority: i64,
}

impl Discount {
    pub fn kind(self) -> &'static str {
        match self {
            Discount::Percent(_) => "percent",
            Discount::Fixed(..) => "fixed",
            Discount::Replace(..) => "replace",
        }
    }

    /// NUMERIC with nine decimals.
    pub fn value(self) -> i128 {
        match self {
            Discount::Percent(percent) => i128::from(percent) * 1_000_000_000,
            Discount::Fixed(usd_cents, currency) | Discount::Replace(usd_cents, currency) => currency.amount(usd_cents),
        }
    }

    pub fn currency(self) -> Option<&'static str> {
        match self {
            Discount::Percent(_) => None,
            Discount::Fixed(_, currency) | Discount::Replace(_, currency) => Some(currency.code),
        }
    }
}

impl Frequency {
    pub fn as_str(self) -> &'static str {
        match self {
            Frequency::Once => "once",
            Frequency::Repeating(_) => "repeating",
            Frequency::Forever => "forever",
        }
    }

    pub fn cycles(self) -> Option<i64> {
        if let Frequency::Repeating(cycles) = self { Some(cycles) } else { None }
    }
}

impl Offer {
    pub fn announced_at(&self) -> Instant {
        self.starts_at - NOTICE
    }

    /// Whether an account can redeem it on a subscription to a plan. In which currency is not asked.
    pub fn redeemable(&self, account: AccountId, plan_id: &str, market: &str, at: Instant) -> bool {
        self.plan_ids.contains(&plan_id)
            && (self.markets.contains(&"*") || self.markets.contains(&market))
            && self.starts_at <= at
            && self.redeem_by.is_none_or(|end| at < end)
            && (self.max_redemptions.is_none() || account.0 < FIRST_COME)
    }
}

/// The rows of a day.
pub fn rows(as_of: Instant) -> impl Iterator<Item = &'static Offer> {
    OFFERS.iter().filter(move |offer| offer.announced_at() <= as_of)
}

/// For everybody, without end and limit, not to be joined with others; the exceptions are spelled out below.
const fn offer(
    id: &'static str,
    kind: &'static str,
    discount: Discount,
    frequency: Frequency,
    plan_ids: &'static [&'static str],
    starts_at: Instant,
) -> Offer {
    Offer {
        id,
        kind,
        discount,
        frequency,
        plan_ids,
        markets: &["*"],
        starts_at,
        redeem_by: None,
        max_redemptions: None,
        stackable: false,
        priority: 100,
    }
}

use Discount::{Fixed, Percent, Replace};
use Frequency::{Forever, Once, Repeating};

const INDIVIDUAL: &[&str] = &[PREMIUM_INDIVIDUAL];
const MONTHLY: &[&str] = &[PREMIUM_INDIVIDUAL, PREMIUM_FAMILY, DUO, MID_MONTHLY];

pub static OFFERS: [Offer; 22] = [
    offer("intro-half", "intro", Percent(50), Repeating(3), MONTHLY, midnight(2023, 1, 1)),
    Offer {
        redeem_by: Some(midnight(2024, 7, 1)),
        ..offer("intro-opening", "intro", Percent(25), Repeating(12), INDIVIDUAL, midnight(2023, 1, 1))
    },
    Offer {
        stackable: true,
        priority: 10,
        ..offer("code-friend", "code", Percent(10), Repeating(6), MONTHLY, midnight(2023, 3, 1))
    },
    Offer {
        stackable: true,
        priority: 20,
        ..offer("code-campus", "code", Percent(15), Once, &[PREMIUM_STUDENT], midnight(2023, 9, 1))
    },
    Offer {
        stackable: true,
        priority: 20,
        ..offer("code-partner", "code", Percent(60), Once, MONTHLY, midnight(2025, 1, 10))
    },
    Offer {
        stackable: true,
        priority: 30,
        ..offer("code-summer-60", "code", Percent(60), Repeating(2), MONTHLY, midnight(2025, 6, 1))
    },
    Offer {
        markets: &["US"],
        stackable: true,
        ..offer("code-five-off", "code", Fixed(500, &USD), Once, MONTHLY, midnight(2024, 1, 1))
    },
    // In euros everywhere: where prices are in another currency, it can be had and does not count.
    Offer {
        stackable: true,
        ..offer("code-two-euro", "code", Fixed(217, &EUR), Repeating(4), INDIVIDUAL, midnight(2024, 5, 1))
    },
    Offer {
        markets: &["GB"],
        ..offer("code-pound", "code", Fixed(200, &GBP), Forever, &[MID_MONTHLY, MID_WEEKLY], midnight(2024, 2, 1))
    },
    Offer {
        markets: &["US"],
        ..offer("intro-one-dollar", "intro", Replace(100, &USD), Repeating(2), INDIVIDUAL, midnight(2024, 9, 1))
    },
    Offer {
        markets: &["DE", "FR", "ES", "IT"],
        ..offer("intro-one-euro", "intro", Replace(109, &EUR), Once, INDIVIDUAL, midnight(2025, 3, 1))
    },
    offer("winback-third", "winback", Percent(33), Repeating(2), MONTHLY, midnight(2023, 6, 1)),
    Offer {
        redeem_by: Some(midnight(2026, 11, 15)),
        ..offer("winback-autumn", "winback", Percent(40), Repeating(3), MONTHLY, midnight(2026, 9, 15))
    },
    offer("upgrade-annual", "upgrade", Percent(20), Once, &[PREMIUM_ANNUAL], midnight(2023, 1, 1)),
    offer("upgrade-family", "upgrade", Percent(25), Repeating(1), &[PREMIUM_FAMILY, DUO], midnight(2024, 1, 15)),
    // The plan is retired: who redeemed it in time keeps it.
    offer("legacy-for-ever", "code", Percent(10), Forever, &[PREMIUM_LEGACY], midnight(2023, 1, 1)),
    offer("addon-half", "intro", Percent(50), Once, &[AUDIOBOOKS_PLUS, HIFI], midnight(2023, 4, 1)),
    Offer {
        max_redemptions: Some(40),
        redeem_by: Some(midnight(2026, 1, 1)),
        ..offer("limited-spring", "code", Percent(30), Repeating(12), MONTHLY, midnight(2024, 4, 1))
    },
    // With ten thousand accounts it is sold out in November 2026, and for some days not, when redemptions end.
    Offer {
        max_redemptions: Some(32),
        ..offer("limited-autumn", "code", Percent(30), Once, MONTHLY, midnight(2026, 1, 1))
    },
    Offer {
        max_redemptions: Some(1_000_000),
        ..offer("limited-million", "code", Percent(5), Forever, MONTHLY, midnight(2024, 1, 1))
    },
    Offer {
        redeem_by: Some(midnight(2026, 12, 2)),
        ..offer("cyber-week", "code", Percent(70), Repeating(3), MONTHLY, midnight(2026, 11, 24))
    },
    offer("plus-early", "intro", Percent(15), Repeating(6), &["premium-plus"], midnight(2026, 6, 1)),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::catalog::CATALOG;
    use super::*;

    #[test]
    fn offers_are_of_plans_and_differ() {
        let plans: HashSet<&str> = CATALOG.iter().map(|version| version.plan_id).collect();
        assert!(OFFERS.iter().all(|offer| offer.plan_ids.iter().all(|plan| plans.contains(plan))));
        assert_eq!(OFFERS.iter().map(|offer| offer.id).collect::<HashSet<_>>().len(), OFFERS.len());
    }

    #[test]
    fn an_offer_is_redeemed_in_its_time_and_place() {
        let offer = OFFERS.iter().find(|offer| offer.id == "intro-one-euro").unwrap();
        let redeemable = |market, at| offer.redeemable(AccountId(0), PREMIUM_INDIVIDUAL, market, at);
        assert!(redeemable("FR", offer.starts_at) && !redeemable("FR", offer.starts_at - 1));
        assert!(!redeemable("US", offer.starts_at));
        let limited = OFFERS.iter().find(|offer| offer.id == "limited-autumn").unwrap();
        assert!(!limited.redeemable(AccountId(FIRST_COME), PREMIUM_INDIVIDUAL, "US", limited.starts_at));
    }
}
