//! Tests of the layers, each rule by example.

use super::*;

const NONE: Value = Value { flag: None, number: None, choice: None, unlimited: false };
const UNLIMITED: Value = Value { unlimited: true, ..NONE };

fn number(number: i64) -> Value<'static> {
    Value { number: Some(number), ..NONE }
}

fn choice(choice: &str) -> Value<'_> {
    Value { choice: Some(choice), ..NONE }
}

fn flag(flag: bool) -> Value<'static> {
    Value { flag: Some(flag), ..NONE }
}

fn product(value: Value) -> Option<Feature> {
    Some(Feature { value, source: Source::Product })
}

fn addon(value: Value, quantity: i64) -> Addon {
    Addon { value, quantity, place: 1 }
}

fn merged<'a>(base: Option<Value<'a>>, merge: &str, addons: &[Addon<'a>]) -> Option<(Value<'a>, Source)> {
    let merge = Merge::from_name(merge).unwrap();
    with_addons(base, merge, addons).map(|feature| (feature.value, feature.source))
}

fn grant(kind: GrantKind, value: Value) -> Grant {
    Grant { kind, value, priority: 0, effective_from: 0, id: "g" }
}

fn granted<'a>(feature: Option<Feature<'a>>, grants: &[Grant<'a>]) -> Option<(Value<'a>, Source)> {
    with_grants(feature, &mut grants.to_vec(), true).map(|feature| (feature.value, feature.source))
}

#[test]
fn more_is_the_greater_number_and_the_first_choice() {
    let addons = [addon(number(30), 9), addon(choice("hd"), 1), addon(choice("uhd"), 1)];
    let both = Value { number: Some(30), choice: Some("hd"), ..NONE };
    for merge in ["or", "max"] {
        assert_eq!(merged(Some(number(20)), merge, &addons), Some((both, Source::Addon)));
        assert_eq!(merged(None, merge, &addons), Some((both, Source::Addon)));
        assert_eq!(merged(Some(flag(false)), merge, &[addon(flag(true), 1)]), Some((flag(true), Source::Addon)));
        assert_eq!(merged(Some(number(40)), merge, &[addon(number(30), 9)]), Some((number(40), Source::Product)));
        assert_eq!(merged(Some(choice("sd")), merge, &addons[1..]), Some((choice("sd"), Source::Product)));
    }
}

#[test]
fn a_sum_counts_quantities_and_is_more_for_the_rest() {
    let addons = [addon(number(5), 3), addon(number(7), 1), addon(flag(true), 2)];
    let expected = Value { flag: Some(true), number: Some(42), ..NONE };
    assert_eq!(merged(Some(number(20)), "sum", &addons), Some((expected, Source::Addon)));
    assert_eq!(merged(Some(number(20)), "sum", &[addon(number(0), 3)]), Some((number(20), Source::Product)));
    assert_eq!(merged(Some(NONE), "sum", &[addon(number(0), 3)]), Some((number(0), Source::Addon)));
    assert_eq!(merged(Some(NONE), "sum", &[addon(NONE, 3)]), Some((NONE, Source::Product)));
    assert_eq!(merged(None, "sum", &[addon(number(5), 3)]), Some((number(15), Source::Addon)));
}

#[test]
fn a_sum_saturates_in_the_end_and_not_on_the_way() {
    let most = number(i64::MAX);
    assert_eq!(merged(Some(most), "sum", &[addon(most, i64::MAX)]), Some((most, Source::Product)));
    let there_and_back = [addon(number(i64::MAX), 2), addon(number(i64::MAX), -2)];
    assert_eq!(merged(Some(number(3)), "sum", &there_and_back), Some((number(3), Source::Product)));
    let least = number(i64::MIN);
    let addons = [addon(least, i64::MAX), addon(least, i64::MAX), addon(least, i64::MAX)];
    assert_eq!(merged(Some(number(0)), "sum", &addons), Some((least, Source::Addon)));
}

#[test]
fn unlimited_absorbs_numbers() {
    for merge in ["max", "sum"] {
        assert_eq!(merged(Some(UNLIMITED), merge, &[addon(number(5), 1)]), Some((UNLIMITED, Source::Product)));
        let found = merged(Some(number(5)), merge, &[addon(UNLIMITED, 1)]);
        assert_eq!(found, Some((Value { unlimited: true, ..number(5) }, Source::Addon)));
    }
}

#[test]
fn an_override_takes_the_first_addon_as_it_is() {
    let addons = [addon(choice("hd"), 3), addon(number(9), 1)];
    assert_eq!(merged(Some(number(20)), "override", &addons), Some((choice("hd"), Source::Addon)));
    assert_eq!(merged(Some(number(20)), "override", &[addon(number(20), 3)]), Some((number(20), Source::Product)));
    assert_eq!(merged(None, "override", &addons), Some((choice("hd"), Source::Addon)));
    assert_eq!(merged(Some(UNLIMITED), "override", &addons), Some((choice("hd"), Source::Addon)));
}

#[test]
fn without_addons_the_row_stays_and_none_is_none() {
    for merge in ["or", "max", "sum", "override"] {
        assert_eq!(merged(Some(number(20)), merge, &[]), Some((number(20), Source::Product)));
        assert_eq!(merged(None, merge, &[]), None);
    }
}

/// Case 17 of the domain.
#[test]
fn an_override_replaces_and_a_removal_ends_all() {
    let over = grant(GrantKind::Override, number(99));
    let removal = grant(GrantKind::Removal, NONE);
    let more = grant(GrantKind::Grant, number(500));
    assert_eq!(granted(product(number(20)), &[over]), Some((number(99), Source::Override)));
    assert_eq!(granted(product(number(20)), &[]), Some((number(20), Source::Product)));
    assert_eq!(granted(product(number(20)), &[over, removal, more]), None);
    assert_eq!(granted(None, &[removal]), None);
    assert_eq!(granted(None, &[over]), Some((number(99), Source::Override)));
    assert_eq!(granted(product(UNLIMITED), &[over]), Some((number(99), Source::Override)));
}

#[test]
fn an_override_is_the_source_even_if_it_states_the_same() {
    let over = grant(GrantKind::Override, number(20));
    assert_eq!(granted(product(number(20)), &[over]), Some((number(20), Source::Override)));
}

#[test]
fn overrides_count_by_priority_then_the_latest_then_the_id() {
    let over = |priority, effective_from, id, number_: i64| Grant {
        priority,
        effective_from,
        id,
        ..grant(GrantKind::Override, number(number_))
    };
    let grants = [over(1, 5, "a", 1), over(0, 1, "a", 2), over(0, 9, "c", 3), over(0, 9, "b", 4)];
    assert_eq!(granted(product(number(20)), &grants), Some((number(4), Source::Override)));
    assert_eq!(granted(product(number(20)), &grants[..3]), Some((number(3), Source::Override)));
    assert_eq!(granted(product(number(20)), &grants[..2]), Some((number(2), Source::Override)));
}

#[test]
fn grants_together_give_the_more_generous_value() {
    let (ten, thirty) = (grant(GrantKind::Grant, number(10)), grant(GrantKind::Grant, number(30)));
    assert_eq!(granted(product(number(20)), &[ten, thirty]), Some((number(30), Source::Grant)));
    assert_eq!(granted(product(number(20)), &[ten]), Some((number(20), Source::Product)));
    assert_eq!(granted(None, &[ten, thirty]), Some((number(30), Source::Grant)));
    assert_eq!(granted(None, &[grant(GrantKind::Grant, NONE)]), Some((NONE, Source::Grant)));
    assert_eq!(granted(product(number(0)), &[grant(GrantKind::Grant, NONE)]), Some((number(0), Source::Product)));
    let endless = granted(product(number(20)), &[grant(GrantKind::Grant, UNLIMITED)]);
    assert_eq!(endless, Some((Value { unlimited: true, ..number(20) }, Source::Grant)));
    let over = grant(GrantKind::Override, number(25));
    assert_eq!(granted(product(number(20)), &[thirty, over]), Some((number(30), Source::Grant)));
}

#[test]
fn a_granted_choice_only_fills_an_absent_one() {
    let of = |choice_, priority| Grant { priority, ..grant(GrantKind::Grant, choice(choice_)) };
    let grants = [of("uhd", 2), of("hd", 1), Grant { priority: 0, ..grant(GrantKind::Grant, NONE) }];
    assert_eq!(granted(product(choice("sd")), &grants), Some((choice("sd"), Source::Product)));
    assert_eq!(granted(product(NONE), &grants), Some((choice("hd"), Source::Grant)));
    assert_eq!(granted(None, &grants), Some((choice("hd"), Source::Grant)));
}

/// Case 16 of the domain.
#[test]
fn topups_add_to_a_cap_where_they_count() {
    let topups =
        [grant(GrantKind::Topup, number(5)), grant(GrantKind::Topup, number(2)), grant(GrantKind::Topup, NONE)];
    assert_eq!(granted(product(number(15)), &topups), Some((number(22), Source::Topup)));
    assert_eq!(with_grants(product(number(15)), &mut topups.to_vec(), false), product(number(15)));
    assert_eq!(granted(product(number(0)), &topups), Some((number(7), Source::Topup)));
    for no_cap in [NONE, UNLIMITED, Value { unlimited: true, ..number(15) }] {
        assert_eq!(granted(product(no_cap), &topups), Some((no_cap, Source::Product)));
    }
    assert_eq!(granted(None, &topups), None);
    assert_eq!(granted(product(number(15)), &topups[2..]), Some((number(15), Source::Product)));
    let most = product(number(i64::MAX - 1));
    assert_eq!(granted(most, &topups), Some((number(i64::MAX), Source::Topup)));
}

#[test]
fn an_unlimited_topup_makes_a_cap_unlimited() {
    let endless = grant(GrantKind::Topup, UNLIMITED);
    let expected = Value { unlimited: true, ..number(15) };
    assert_eq!(granted(product(number(15)), &[endless]), Some((expected, Source::Topup)));
    assert_eq!(granted(product(NONE), &[endless]), Some((NONE, Source::Product)));
}
