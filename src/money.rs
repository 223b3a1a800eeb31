//! Amounts of money, exact: rounding to a currency's minor unit, and prices under offers, rule R9.
//!
//! An amount is a whole number of some power of ten; no binary fraction takes part. The common case, a price without
//! offers, is a division of integers; offers multiply, and there nothing is rounded before the end.

use std::sync::LazyLock;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode};
use iso_currency::Currency;

/// What a NUMERIC holds: 38 digits, 9 of them after the point.
const NUMERIC_SCALE: u8 = 9;
const NUMERIC_END: i128 = 10i128.pow(38);

/// `units` divided by ten to the power of `scale`, which is at most 38.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    pub units: i128,
    pub scale: u8,
}

impl Amount {
    fn exact(self) -> BigDecimal {
        BigDecimal::new(BigInt::from(self.units), self.scale.into())
    }

    /// Rounded half to even, to so many digits after the point (at most 9), in units of a NUMERIC. `None` for an amount that
    /// a NUMERIC cannot hold.
    pub fn round(self, digits: u8) -> Option<i128> {
        let (rounded, scale) = match self.scale.checked_sub(digits) {
            None | Some(0) => (self.units, self.scale),
            Some(excess) => (divide_half_even(self.units, 10i128.pow(excess.into())), digits),
        };
        let units = rounded.checked_mul(10i128.pow((NUMERIC_SCALE - scale).into()))?;
        (-NUMERIC_END < units && units < NUMERIC_END).then_some(units)
    }
}

fn divide_half_even(units: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (units / divisor, units % divisor);
    // Twice a remainder of 38 digits overflows an i128, and not a u128.
    let is_up = match (remainder.unsigned_abs() * 2).cmp(&divisor.unsigned_abs()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    quotient + if is_up { units.signum() } else { 0 }
}

/// Digits of the ISO 4217 minor unit by [`slot`]: one load a row.
static MINOR_UNITS: LazyLock<Vec<Option<u8>>> = LazyLock::new(|| {
    let letters = || b'A'..=b'Z';
    let codes = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
    let digits = |code: [u8; 3]| {
        let currency = Currency::from_code(std::str::from_utf8(&code).ok()?)?;
        currency.exponent().and_then(|digits| u8::try_from(digits).ok())
    };
    codes.map(digits).collect()
});

fn slot(code: &str) -> Option<usize> {
    match code.as_bytes() {
        letters @ [b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z'] => {
            Some(letters.iter().fold(0, |slot, letter| slot * 26 + usize::from(letter - b'A')))
        }
        _ => None,
    }
}

/// Digits of the minor unit of a currency; `None` for a code that ISO 4217 does not have, and for one without a minor unit.
pub fn minor_unit(currency: &str) -> Option<u8> {
    slot(currency).and_then(|slot| MINOR_UNITS[slot])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// So many percent less.
    Percent,
    /// So much less.
    Fixed,
    /// Another price.
    Replace,
}

impl Discount {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "percent" => Some(Discount::Percent),
            "fixed" => Some(Discount::Fixed),
            "replace" => Some(Discount::Replace),
            _ => None,
        }
    }
}

/// An offer that counts, with its value in the currency of the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub discount: Discount,
    pub value: Amount,
    pub stackable: bool,
}

impl Offer {
    fn on(&self, price: &BigDecimal) -> BigDecimal {
        let value = self.value.exact();
        match self.discount {
            Discount::Percent => price * (BigDecimal::from(100) - value) * BigDecimal::new(1.into(), 2),
            Discount::Fixed => price - value,
            Discount::Replace => value,
        }
    }
}

/// The lower of the best single offer and all stackable ones together, never below 0, rounded half to even in the end; in
/// units of a NUMERIC. Without offers it is the rounded list price. `None` for a price that a NUMERIC cannot hold.
pub fn net_price(list_price: Amount, offers: &[Offer], digits: u8) -> Option<i128> {
    if offers.is_empty() {
        return list_price.round(digits);
    }
    let list_price = list_price.exact();
    let alone = offers.iter().map(|offer| offer.on(&list_price));
    let lowest = alone.chain(stacked(&list_price, offers)).min()?.max(BigDecimal::from(0));
    let rounded = lowest.with_scale_round(digits.into(), RoundingMode::HalfEven).with_scale(NUMERIC_SCALE.into());
    i128::try_from(rounded.into_bigint_and_scale().0).ok().filter(|units| *units < NUMERIC_END)
}

/// All stackable offers, one after the other: the lowest of the replaced prices, then percents, then fixed amounts. The order
/// of percents, which `priority` states, does not matter: exact factors commute.
fn stacked(list_price: &BigDecimal, offers: &[Offer]) -> Option<BigDecimal> {
    let of = |discount| offers.iter().filter(move |offer| offer.stackable && offer.discount == discount);
    offers.iter().find(|offer| offer.stackable)?;
    let price = of(Discount::Replace).map(|offer| offer.value.exact()).min().unwrap_or_else(|| list_price.clone());
    Some(of(Discount::Percent).chain(of(Discount::Fixed)).fold(price, |price, offer| offer.on(&price)))
}

#[cfg(test)]
mod tests;
