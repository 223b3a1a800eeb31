//! Tests of money: rounding against a decimal library, prices against rational arithmetic, minor units against the list.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn amount(text: &str) -> Amount {
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    Amount { units: text.replace('.', "").parse().unwrap(), scale: scale as u8 }
}

/// A NUMERIC as text, without the zeros at its end.
fn text(units: Option<i128>) -> String {
    let units = units.expect("a NUMERIC");
    BigDecimal::new(units.into(), 9).normalized().to_plain_string()
}

#[test]
fn half_goes_to_the_even_neighbour() {
    for (given, digits, expected) in [
        ("2.345", 2, "2.34"),
        ("2.355", 2, "2.36"),
        ("2.3450000001", 2, "2.35"),
        ("-2.345", 2, "-2.34"),
        ("-2.355", 2, "-2.36"),
        ("-0.005", 2, "0"),
        ("0.5", 0, "0"),
        ("1.5", 0, "2"),
        ("1.0005", 3, "1"),
        ("1.0015", 3, "1.002"),
        ("7", 2, "7"),
        ("0.99", 4, "0.99"),
        ("0.99999999999999999999999999999999999999", 0, "1"),
    ] {
        assert_eq!(text(amount(given).round(digits)), expected, "{given} to {digits}");
    }
}

#[test]
fn what_a_numeric_cannot_hold_is_none() {
    let largest = "99999999999999999999999999999";
    assert_eq!(text(amount(largest).round(2)), largest);
    assert_eq!(amount("100000000000000000000000000000").round(2), None);
    assert_eq!(Amount { units: i128::MAX, scale: 0 }.round(0), None);
    assert_eq!(Amount { units: i128::MIN, scale: 9 }.round(9), None);
    assert_eq!(amount("99999999999999999999999999999.995").round(2), None);
}

proptest! {
    #[test]
    fn rounding_is_the_decimal_library_s(
        units in prop_oneof![any::<i128>(), (-200i128..200).prop_map(|halves| halves * 5), -99_999i128..99_999],
        scale in 0u8..=38,
        digits in 0u8..=9,
    ) {
        let exact = BigDecimal::new(units.into(), scale.into());
        let rounded = exact.with_scale_round(digits.min(scale).into(), RoundingMode::HalfEven).with_scale(9);
        let fits = rounded.abs() < BigDecimal::from(10).powi(29);
        let found = Amount { units, scale }.round(digits);
        prop_assert_eq!(found.map(|units| BigDecimal::new(units.into(), 9)), fits.then_some(rounded));
    }
}

#[test]
fn minor_units() {
    assert_eq!(["EUR", "JPY", "KWD", "CLF"].map(minor_unit), [Some(2), Some(0), Some(3), Some(4)]);
    for none in ["XAU", "XXX", "XTS", "XDR", "eur", "EURO", "EU", "", "ZZZ", "DEM", "€€€"] {
        assert_eq!(minor_unit(none), None, "{none}");
    }
}

/// Reads `iso_reference/currency-codes-all.csv` below the folder that GATEFOLD_REAL_DATA names. A currency keeps its minor
/// unit when it is withdrawn, for its prices of former days.
#[test]
fn the_table_is_that_of_the_reference_data() {
    let folder = std::env::var_os("GATEFOLD_REAL_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/real"), PathBuf::from);
    let path = folder.join("iso_reference/currency-codes-all.csv");
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("skipped: money::the_table_is_that_of_the_reference_data, because {} is not there", path.display());
        return;
    };
    let (active, withdrawn) = listed(&text);
    assert!(active.len() > 150);
    for (code, digits) in &active {
        assert_eq!(minor_unit(code), *digits, "{code}");
    }
    let letters = || 'A'..='Z';
    let codes = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
    let others = codes.filter(|code| minor_unit(code).is_some() && !active.contains_key(code));
    assert_eq!(others.filter(|code| !withdrawn.contains_key(code)).collect::<Vec<_>>(), [""; 0]);
}

type Codes = BTreeMap<String, Option<u8>>;

/// The active and the withdrawn codes of the list, with their minor units.
fn listed(csv: &[u8]) -> (Codes, Codes) {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Schema};

    let names = ["Entity", "Currency", "AlphabeticCode", "NumericCode", "MinorUnit", "WithdrawalDate"];
    let header = std::str::from_utf8(csv).unwrap().lines().next().unwrap();
    assert_eq!(header.trim_start_matches('\u{feff}').split(',').collect::<Vec<_>>(), names);
    let schema = Schema::new(names.map(|name| Field::new(name, DataType::Utf8, true)).to_vec());
    let reader = arrow::csv::ReaderBuilder::new(schema.into()).with_header(true).build(csv).unwrap();
    let (mut active, mut withdrawn) = (Codes::new(), Codes::new());
    for batch in reader.map(|batch| batch.unwrap()) {
        let column = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
        let (codes, digits, dates) = (column("AlphabeticCode"), column("MinorUnit"), column("WithdrawalDate"));
        for ((code, digits), date) in codes.iter().zip(digits).zip(dates) {
            let Some(code) = code.filter(|code| !code.is_empty()) else { continue };
            let is_active = date.is_none_or(str::is_empty);
            let codes = if is_active { &mut active } else { &mut withdrawn };
            codes.insert(code.to_owned(), digits.and_then(|digits| digits.parse().ok()));
        }
    }
    (active, withdrawn)
}

fn offer(discount: Discount, value: &str, stackable: bool) -> Offer {
    Offer { discount, value: amount(value), stackable }
}

fn price(list_price: &str, offers: &[Offer], currency: &str) -> String {
    text(net_price(amount(list_price), offers, minor_unit(currency).unwrap()))
}

use Discount::{Fixed, Percent, Replace};

/// Case 21 of the domain.
#[test]
fn stacked_offers_take_percents_first_and_stop_at_zero() {
    let offers = [offer(Percent, "60", true), offer(Fixed, "5.00", true), offer(Percent, "60", true)];
    assert_eq!(price("9.99", &offers, "EUR"), "0");
    assert_eq!(price("99.90", &offers, "EUR"), "10.98");
    assert_eq!(price("1000", &offers[..1], "JPY"), "400");
    assert_eq!(price("1.2345", &[], "KWD"), "1.234");
    assert_eq!(price("980.5", &[], "JPY"), "980");
}

#[test]
fn the_best_single_offer_wins_where_it_is_lower() {
    let offers = [offer(Percent, "50", false), offer(Percent, "10", true), offer(Fixed, "1", true)];
    assert_eq!(price("10", &offers, "EUR"), "5");
    assert_eq!(price("1.5", &offers, "EUR"), "0.35");
}

#[test]
fn a_stack_begins_at_the_smallest_replaced_price() {
    let offers = [offer(Replace, "8", true), offer(Replace, "6", true), offer(Percent, "50", true)];
    assert_eq!(price("20", &offers, "EUR"), "3");
    assert_eq!(price("20", &[offer(Replace, "8", false), offer(Percent, "50", true)], "EUR"), "8");
    assert_eq!(price("20", &[offer(Replace, "25", false)], "EUR"), "25");
}

#[test]
fn nothing_is_rounded_before_the_end() {
    // Three times a third off, rounded each time, would be 2.97.
    let offers = [offer(Percent, "33.333333333", true); 3];
    assert_eq!(price("10", &offers, "EUR"), "2.96");
    let many = [offer(Percent, "0.000000001", true); 40];
    assert_eq!(price("10", &many, "EUR"), "10");
    assert_eq!(price("0.125", &[offer(Percent, "0", false)], "EUR"), "0.12");
}

#[test]
fn a_price_that_a_numeric_cannot_hold_is_none() {
    let largest = amount("99999999999999999999999999999");
    assert_eq!(net_price(largest, &[offer(Percent, "-1", false)], 2), None);
    assert_eq!(
        text(net_price(largest, &[offer(Percent, "-1", false), offer(Fixed, "1", false)], 2)),
        "99999999999999999999999999998"
    );
}

fn some_offer() -> impl Strategy<Value = Offer> {
    let discount = prop::sample::select(vec![Percent, Fixed, Replace]);
    (discount, 0i128..12_000, any::<bool>()).prop_map(|(discount, units, stackable)| Offer {
        discount,
        value: Amount { units, scale: 2 },
        stackable,
    })
}

/// The price in millionths of a millionth of a cent, all offers tried one by one: with values of two digits and at most three
/// percents this is exact.
fn oracle(list_cents: i128, offers: &[Offer]) -> i128 {
    let unit = 10i128.pow(12);
    let percent = |price: i128, offer: &Offer| {
        let product = price * (10_000 - offer.value.units);
        assert_eq!(product % 10_000, 0, "the oracle is exact");
        product / 10_000
    };
    let mut prices = Vec::new();
    for offer in offers {
        prices.push(match offer.discount {
            Percent => percent(list_cents * unit, offer),
            Fixed => (list_cents - offer.value.units) * unit,
            Replace => offer.value.units * unit,
        });
    }
    let stack: Vec<&Offer> = offers.iter().filter(|offer| offer.stackable).collect();
    if !stack.is_empty() {
        let replaced = stack.iter().filter(|offer| offer.discount == Replace).map(|offer| offer.value.units).min();
        let mut price = replaced.unwrap_or(list_cents) * unit;
        for offer in stack.iter().filter(|offer| offer.discount == Percent) {
            price = percent(price, offer);
        }
        for offer in stack.iter().filter(|offer| offer.discount == Fixed) {
            price -= offer.value.units * unit;
        }
        prices.push(price);
    }
    let exact = prices.into_iter().min().unwrap_or(list_cents * unit).max(0);
    let (cents, rest) = (exact / unit, exact % unit);
    let is_up = rest * 2 > unit || (rest * 2 == unit && cents % 2 == 1);
    cents + i128::from(is_up)
}

proptest! {
    #[test]
    fn a_net_price_is_the_oracle_s(
        list_cents in 0i128..100_000,
        offers in prop::collection::vec(some_offer(), 0..4),
    ) {
        let found = net_price(Amount { units: list_cents, scale: 2 }, &offers, 2);
        prop_assert_eq!(found, Some(oracle(list_cents, &offers) * 10i128.pow(7)));
    }
}
