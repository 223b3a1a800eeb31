//! That what the summary says was planted is what the files hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::super::market::MARKETS;
use super::{DAY_SHOWN, Row, by_key, made, options, rows, text, values};
use crate::generate::Dirt;

type Found = BTreeMap<Dirt, u64>;

/// The snapshots with dirt, and their keys.
const KEYS: [(&str, &[&str]); 5] = [
    ("account", &["account_id"]),
    ("subscription", &["subscription_id"]),
    ("plan_member", &["subscription_id", "account_id"]),
    ("account_grant", &["grant_id"]),
    ("feature_usage", &["account_id", "feature_id", "usage_date"]),
];

#[test]
fn the_summary_says_what_was_planted() {
    let days = ["2026-11-19", DAY_SHOWN];
    let (root, summary) = made(&options(12_000, 2, DAY_SHOWN));
    assert_eq!(summary.planted.keys().collect::<Vec<_>>(), days);
    let mut kinds = HashSet::new();
    for day in days {
        let planted = &summary.planted[day];
        for (snapshot, key) in KEYS {
            let found = found(root.path(), day, snapshot, key);
            let said = planted.get(snapshot).cloned().unwrap_or_default();
            assert_eq!(said.dirt, found, "{snapshot} on {day}");
            assert_eq!(said.rejected, rejected(&found), "{snapshot} on {day}");
            kinds.extend(found.into_keys().map(|kind| (snapshot, kind)));
        }
        assert!(planted.keys().all(|snapshot| KEYS.iter().any(|(name, _)| name == snapshot)));
    }
    assert_eq!(kinds.len(), 21, "{kinds:?}");
}

/// Two rows of each conflict, one of each null key.
fn rejected(found: &Found) -> BTreeMap<&'static str, u64> {
    let rules = [("conflicting_duplicate", Dirt::ConflictingDuplicate, 2), ("null_key", Dirt::NullKey, 1)];
    rules.into_iter().filter_map(|(rule, kind, rows)| Some((rule, rows * found.get(&kind)?))).collect()
}

/// The dirt of a day, counted from its rows.
fn found(root: &Path, day: &str, snapshot: &str, key: &[&str]) -> Found {
    let shown = rows(root, snapshot, day);
    let mut found = duplicates(&shown, key);
    let mut count = |kind, wrong: &dyn Fn(&Row) -> bool| {
        let times = shown.iter().filter(|row| wrong(row)).count() as u64;
        if times > 0 {
            found.insert(kind, times);
        }
    };
    count(Dirt::NullKey, &|row| key.iter().any(|column| row[*column].is_none()));
    let other = |name: &str, column: &str| -> HashSet<String> {
        let rows = rows(root, name, day);
        values(&rows, column).into_iter().map(str::to_owned).collect()
    };
    match snapshot {
        "account" => {
            let known: HashSet<&str> = MARKETS.iter().map(|(market, _)| market.country).collect();
            count(Dirt::UnknownCountry, &|row| !known.contains(text(row, "country")));
            let implausible = |day: &str| !("1906".."2026-11-21").contains(&day);
            count(Dirt::ImplausibleBirthDate, &|row| row["birth_date"].as_deref().is_some_and(implausible));
        }
        "subscription" => {
            let (accounts, bases) = (other("account", "account_id"), other("subscription", "subscription_id"));
            count(Dirt::UnknownAccount, &|row| !accounts.contains(text(row, "account_id")));
            let unknown = |base: &str| !bases.contains(base);
            count(Dirt::UnknownBase, &|row| row["base_subscription_id"].as_deref().is_some_and(unknown));
        }
        "plan_member" => {
            let subscriptions = other("subscription", "subscription_id");
            count(Dirt::UnknownSubscription, &|row| !subscriptions.contains(text(row, "subscription_id")));
        }
        "account_grant" => {
            let features = other("product_feature", "feature_id");
            let unknown = |feature: &str| !features.contains(feature);
            count(Dirt::UnknownFeature, &|row| row["feature_id"].as_deref().is_some_and(unknown));
        }
        _ => {
            let accounts = other("account", "account_id");
            count(Dirt::UnknownAccount, &|row| row["account_id"].as_deref().is_some_and(|id| !accounts.contains(id)));
        }
    }
    found
}

/// Keys with two rows, by how the rows differ.
fn duplicates(rows: &[Row], key: &[&str]) -> Found {
    let mut groups: HashMap<Vec<&str>, Vec<&Row>> = HashMap::new();
    for row in rows.iter().filter(|row| key.iter().all(|column| row[*column].is_some())) {
        groups.entry(key.iter().map(|column| text(row, column)).collect()).or_default().push(row);
    }
    let mut found = Found::new();
    for pair in groups.into_values().filter(|rows| rows.len() > 1) {
        let [first, second] = pair[..] else { panic!("{} rows of one key", pair.len()) };
        let dirt = match () {
            () if first == second => Dirt::ExactDuplicate,
            () if text(first, "source_seq") == text(second, "source_seq") => Dirt::ConflictingDuplicate,
            () => Dirt::StaleDuplicate,
        };
        *found.entry(dirt).or_default() += 1;
    }
    found
}

/// A row that is rejected for a day must not be lost to a history.
#[test]
fn a_conflict_is_gone_the_next_day() {
    let (root, _) = made(&options(1_000, 2, DAY_SHOWN));
    let ids = |day: &str| -> BTreeSet<String> {
        let accounts = rows(root.path(), "account", day);
        let twice = by_key(&accounts, "account_id").into_iter().filter(|(_, rows)| rows.len() > 1);
        let conflicts = twice.filter(|(_, r)| text(r[0], "source_seq") == text(r[1], "source_seq") && r[0] != r[1]);
        conflicts.map(|(id, _)| id.to_owned()).collect()
    };
    assert_ne!(ids("2026-11-19"), ids(DAY_SHOWN));
    assert_eq!(ids("2026-11-19").len() + ids(DAY_SHOWN).len(), 1);
}
