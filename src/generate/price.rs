//! What the phases of a plan cost, by market and cohort. Each market's prices rise once a year on a day of its own, so
//! that there are a few rises in every month.

use chrono::Datelike;

use super::calendar::{Instant, LAST_DAY, add_months, midnight};
use super::catalog::{CATALOG, FOUNDING, Phase, PhaseType, PlanVersion, Tier};
use super::market::{Currency, MARKETS, USD};
use super::schedule::{Change, Dated, shown};

pub const STANDARD: &str = "standard";
/// Who came in the first year keeps a price that never rises.
pub const FOUNDERS: &str = "founders-2023";
pub const FOUNDERS_END: Instant = midnight(2024, 1, 1);
/// Only base plans have a price for employees: an add-on of theirs has none.
pub const EMPLOYEE: &str = "employee";

/// One row of `price`.
#[derive(Debug, Clone, Copy)]
pub struct PriceRow {
    pub version: &'static PlanVersion,
    pub phase_seq: i64,
    pub place: Place,
    pub cohort: &'static str,
    /// The value is the amount, NUMERIC with nine decimals.
    pub dated: Dated<i128>,
}

/// A market with prices of its own, or `*` for all others.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub market: &'static str,
    pub currency: &'static Currency,
    /// From 0; it decides when prices rise.
    number: i64,
}

impl Place {
    /// Where prices stand before taxes, as in North America.
    pub fn tax_inclusive(&self) -> bool {
        !["USD", "CAD"].contains(&self.currency.code)
    }

    /// When the prices rise in a year.
    fn rise(&self, year: i32) -> Instant {
        let month = 1 + (self.number * 5 + 10) % 12;
        let day = 1 + self.number * 7 % 27;
        midnight(year, month as u32, day as u32)
    }

    /// From when a rise reaches those who subscribed before: a month later, or never in every third year.
    fn reaches_existing(&self, year: i32) -> Option<Instant> {
        let spared = (i64::from(year) + self.number) % 3 == 0;
        (!spared).then(|| add_months(self.rise(year), 1, 28))
    }
}

/// The markets billed in dollars have no rows of their own.
pub fn places() -> impl Iterator<Item = Place> {
    let own = MARKETS.iter().map(|(market, _)| (market.country, market.currency));
    let own = own.filter(|(_, currency)| currency.code != USD.code);
    (0..).zip([("*", &USD)].into_iter().chain(own)).map(|(number, (market, currency))| Place {
        market,
        currency,
        number,
    })
}

/// The rows of a day, handed over one after the other: there are many thousands.
pub fn each_row(as_of: Instant, mut row: impl FnMut(PriceRow) -> crate::error::Result<()>) -> crate::error::Result<()> {
    let mut changes = Vec::new();
    for version in &CATALOG {
        for (phase_seq, phase) in (1..).zip(version.phases) {
            for cohort in cohorts(version) {
                for place in places() {
                    changes.clear();
                    changes_of(version, phase, cohort, place, &mut changes);
                    for dated in shown(&changes, as_of) {
                        row(PriceRow { version, phase_seq, place, cohort, dated })?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The cohorts that a version has prices for.
fn cohorts(version: &PlanVersion) -> impl Iterator<Item = &'static str> {
    let founders = version.effective_from < FOUNDERS_END;
    let base = version.phases.iter().any(|phase| phase.tier != Tier::Free);
    [(STANDARD, true), (FOUNDERS, founders), (EMPLOYEE, base)]
        .into_iter()
        .filter(|(_, has)| *has)
        .map(|(cohort, _)| cohort)
}

fn changes_of(version: &PlanVersion, phase: &Phase, cohort: &str, place: Place, changes: &mut Vec<Change<i128>>) {
    let percent = phase.phase_type.price_percent() * cohort_percent(cohort) / 100;
    let amount = |rises: i64| place.currency.amount(version.usd_cents * percent * (100 + 6 * rises) / 10_000);
    let from = version.effective_from;
    changes.push(Change { value: amount(0), from, existing_from: None });
    if cohort != STANDARD || phase.phase_type == PhaseType::Trial {
        return;
    }
    let years = (FIRST_RISES..=LAST_DAY.year()).filter(|year| from < place.rise(*year));
    changes.extend((1..).zip(years).map(|(rises, year)| Change {
        value: amount(rises),
        from: place.rise(year),
        existing_from: place.reaches_existing(year),
    }));
}

/// Nothing rises before the first accounts have been there for a year.
const FIRST_RISES: i32 = 2024;
const _: () = assert!(FOUNDING < midnight(FIRST_RISES, 1, 1));

fn cohort_percent(cohort: &str) -> i64 {
    match cohort {
        FOUNDERS => 80,
        EMPLOYEE => 50,
        _ => 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_rise_in_every_month() {
        let months: std::collections::BTreeSet<_> = places().map(|place| 1 + (place.number * 5 + 10) % 12).collect();
        assert_eq!(months, (1..=12).collect());
    }

    #[test]
    fn some_rises_spare_existing_subscribers() {
        let all = places().map(|place| (place.rise(2026), place.reaches_existing(2026)));
        let (reach, spare): (Vec<_>, Vec<_>) = all.partition(|(_, existing)| existing.is_some());
        assert!(reach.len() > 20 && spare.len() > 10);
        assert!(reach.iter().all(|(from, existing)| existing.is_some_and(|at| *from < at)));
    }
}
