//! That the catalog's rows fit each other, on whatever day.

use std::collections::{BTreeMap, HashSet};

use super::{DAY_SHOWN, Row, made, options, rows, text, values};

const DAYS: [&str; 4] = ["2023-01-01", "2025-06-30", DAY_SHOWN, "2031-02-28"];

fn catalog(day: &str, name: &str) -> Vec<Row> {
    let (root, _) = made(&options(8, 1, day));
    rows(root.path(), name, day)
}

/// The rows of each key, in the order of their beginning.
fn by_columns<'a>(rows: &'a [Row], columns: &[&str]) -> BTreeMap<Vec<&'a str>, Vec<&'a Row>> {
    let mut groups: BTreeMap<Vec<&str>, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(columns.iter().map(|column| text(row, column)).collect()).or_default().push(row);
    }
    groups.values_mut().for_each(|rows| rows.sort_by_key(|row| text(row, "effective_from")));
    groups
}

#[test]
fn rows_of_one_key_follow_each_other() {
    let price: &[&str] = &["plan_id", "plan_version", "phase_seq", "market", "cohort"];
    let feature: &[&str] = &["product_id", "feature_id", "market", "role"];
    for day in DAYS {
        for (name, key) in [("price", price), ("product_feature", feature)] {
            let rows = catalog(day, name);
            for (key, rows) in by_columns(&rows, key) {
                for pair in rows.windows(2) {
                    assert!(text(pair[0], "effective_from") < text(pair[1], "effective_from"), "{key:?} on {day}");
                    assert_eq!(text(pair[0], "effective_to"), text(pair[1], "effective_from"), "{key:?} on {day}");
                }
                assert_eq!(rows.last().unwrap()["effective_to"], None, "{key:?} on {day}");
                for row in rows.iter().filter(|row| row["existing_from"].is_some()) {
                    assert!(text(row, "effective_from") < text(row, "existing_from"), "{key:?} on {day}");
                }
            }
        }
    }
}

#[test]
fn phases_are_numbered_from_one_and_have_prices() {
    for day in DAYS {
        let (phases, prices) = (catalog(day, "plan_phase"), catalog(day, "price"));
        let mut versions: BTreeMap<(&str, &str), Vec<i64>> = BTreeMap::new();
        for row in &phases {
            let version = versions.entry((text(row, "plan_id"), text(row, "plan_version"))).or_default();
            version.push(text(row, "phase_seq").parse().unwrap());
        }
        let phase = |row: &Row| ["plan_id", "plan_version", "phase_seq"].map(|column| text(row, column).to_owned());
        let known: HashSet<_> = phases.iter().map(phase).collect();
        let anywhere = prices.iter().filter(|row| text(row, "market") == "*" && text(row, "cohort") == "standard");
        let sold: HashSet<_> = phases.iter().filter(|row| text(row, "status") != "draft").map(phase).collect();
        assert!(sold.is_subset(&anywhere.map(phase).collect()), "{day}");
        assert!(prices.iter().map(phase).all(|phase| known.contains(&phase)), "{day}");
        for (version, mut numbers) in versions {
            numbers.sort_unstable();
            assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "{version:?} on {day}");
        }
    }
}

#[test]
fn every_product_has_features_and_every_price_its_minor_unit() {
    let (phases, features) = (catalog(DAY_SHOWN, "plan_phase"), catalog(DAY_SHOWN, "product_feature"));
    let products = values(&features, "product_id");
    assert!(values(&phases, "product_id").is_subset(&products));
    assert!(["free", "audiobooks", "hifi"].iter().all(|product| products.contains(product)));
    let prices = catalog(DAY_SHOWN, "price");
    let markets = values(&prices, "market");
    assert!((40..60).contains(&markets.len()) && markets.contains("JP") && markets.contains("KW"));
    for row in &prices {
        let decimals = match text(row, "currency") {
            "JPY" | "KRW" => 0,
            "KWD" => 3,
            _ => 2,
        };
        let (_, fraction) = text(row, "amount").split_once('.').unwrap();
        assert!(fraction[decimals..].bytes().all(|digit| digit == b'0'), "{row:?}");
        let trial = text(row, "amount").bytes().all(|byte| byte == b'0' || byte == b'.');
        assert!(!trial || text(row, "phase_seq") == "1", "{row:?}");
    }
}

#[test]
fn the_catalog_changes_within_a_month() {
    for name in ["price", "product_feature"] {
        let live = |day: &str| {
            let begun = |row: &Row| text(row, "effective_from") <= &format!("{day}T23:59:59Z")[..];
            catalog(day, name).iter().filter(|row| begun(row)).count()
        };
        assert!(live("2026-10-21") < live(DAY_SHOWN), "{name}");
    }
    let begun = catalog(DAY_SHOWN, "price");
    let begun = begun.iter().filter(|row| text(row, "effective_from") > "2023-12-31");
    let (spared, reached): (Vec<_>, Vec<_>) = begun.partition(|row| row["existing_from"].is_none());
    assert!(spared.len() > 100 && reached.len() > spared.len());
}
