//! That the rows of a day refer to rows of the same day, and that days fit each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::super::household::HOUSEHOLD;
use super::lives::household;
use super::{DAY_SHOWN, Row, by_key, made, options, rows, text, values};

/// All rows but those of what is unknown, which are planted. The test of what is planted counts those.
#[test]
fn rows_refer_to_rows() {
    let (root, summary) = made(&options(4_003, 1, DAY_SHOWN));
    let shown = |name: &str| rows(root.path(), name, DAY_SHOWN);
    let planted = |name: &str, kind| summary.planted[DAY_SHOWN][name].dirt.get(&kind).copied().unwrap_or_default();
    let accounts = shown("account");
    let accounts = values(&accounts, "account_id");
    let subscriptions = shown("subscription");
    let by_id = by_key(&subscriptions, "subscription_id");
    let phases = shown("plan_phase");
    let versions: HashSet<_> = phases.iter().map(|row| (text(row, "plan_id"), text(row, "plan_version"))).collect();
    let mut orphans = 0;
    for row in &subscriptions {
        assert!(versions.contains(&(text(row, "plan_id"), text(row, "plan_version"))));
        assert_eq!(text(row, "category") == "addon", row["base_subscription_id"].is_some());
        if let Some(base) = row["base_subscription_id"].as_deref() {
            match by_id.get(base) {
                Some(base) => assert_eq!(text(base[0], "account_id"), text(row, "account_id")),
                None => orphans += 1,
            }
        }
    }
    assert_eq!(orphans, planted("subscription", crate::generate::Dirt::UnknownBase));
    assert!(members_refer_to_rows(root.path(), DAY_SHOWN) > 0);
    let asked = shown("erasure_request");
    assert!(asked.iter().any(|row| accounts.contains(text(row, "account_id"))));
}

#[test]
fn grants_refer_to_rows() {
    let (root, _) = made(&options(4_000, 1, DAY_SHOWN));
    let shown = |name: &str| rows(root.path(), name, DAY_SHOWN);
    let (accounts, subscriptions, offers) = (shown("account"), shown("subscription"), shown("offer"));
    let (accounts, by_id) = (values(&accounts, "account_id"), by_key(&subscriptions, "subscription_id"));
    let offers = by_key(&offers, "offer_id");
    for row in shown("account_grant") {
        assert!(accounts.contains(text(&row, "account_id")), "{row:?}");
        let redeems = text(&row, "kind") == "offer_redemption";
        assert_eq!((redeems, !redeems), (row["offer_id"].is_some(), row["feature_id"].is_some()), "{row:?}");
        let (Some(offer), Some(subscription)) = (row["offer_id"].as_deref(), row["subscription_id"].as_deref()) else {
            continue;
        };
        let (offer, subscription, at) = (offers[offer][0], by_id[subscription][0], text(&row, "effective_from"));
        assert_eq!(text(subscription, "account_id"), text(&row, "account_id"));
        assert!(text(offer, "plan_ids").contains(text(subscription, "plan_id")), "{row:?}");
        assert!(text(offer, "starts_at") <= at && offer["redeem_by"].as_deref().is_none_or(|end| at < end), "{row:?}");
    }
}

#[test]
fn usage_is_of_accounts_and_within_the_window() {
    let (root, _) = made(&options(4_000, 1, DAY_SHOWN));
    let accounts = rows(root.path(), "account", DAY_SHOWN);
    let by_id = by_key(&accounts, "account_id");
    let usage = rows(root.path(), "feature_usage", DAY_SHOWN);
    let days = values(&usage, "usage_date");
    assert_eq!((days.len(), days.first(), days.last()), (62, Some(&"2026-09-20"), Some(&DAY_SHOWN)));
    let mut users = HashSet::new();
    for row in &usage {
        assert!(text(row, "consumed").parse::<i64>().unwrap() > 0);
        // The planted rows of nobody are counted elsewhere.
        if let Some(account) = row["account_id"].as_deref().and_then(|id| by_id.get(id)) {
            assert!(text(account[0], "created_at") < text(row, "usage_date"), "{row:?}");
            users.insert(text(row, "account_id"));
        }
    }
    let share = users.len() as f64 / by_id.len() as f64;
    assert!((0.25..0.45).contains(&share), "{share} of the accounts use something");
}

/// A day's usage is what the next snapshots say of it too, but for a few corrections.
#[test]
fn usage_stays_what_it_was() {
    let (root, _) = made(&options(3_000, 8, DAY_SHOWN));
    type Key = [Option<String>; 3];
    let usage = |day: &str| -> BTreeMap<Key, Row> {
        let key = |row: &Row| ["account_id", "feature_id", "usage_date"].map(|column| row[column].clone());
        let nobodys = |row: &Row| row["account_id"].as_deref().is_none_or(|id| id.starts_with("acct-9000"));
        let shown = rows(root.path(), "feature_usage", day);
        let mut latest: BTreeMap<Key, Row> = BTreeMap::new();
        for row in shown.into_iter().filter(|row| !nobodys(row)) {
            let seq = |row: &Row| text(row, "source_seq").parse::<i64>().unwrap();
            let kept = latest.entry(key(&row)).or_insert_with(|| row.clone());
            if seq(kept) < seq(&row) {
                *kept = row;
            }
        }
        latest
    };
    let (before, after) = (usage("2026-11-13"), usage(DAY_SHOWN));
    let kept = before.iter().filter(|(key, _)| key[2].as_deref() >= Some("2026-09-20"));
    let accounts = rows(root.path(), "account", DAY_SHOWN);
    let accounts = values(&accounts, "account_id");
    let (mut same, mut corrected) = (0, 0);
    for (key, row) in kept.filter(|(key, _)| accounts.contains(key[0].as_deref().unwrap())) {
        let later = &after[key];
        if later == row {
            same += 1;
        } else {
            assert!(text(row, "updated_at") <= text(later, "updated_at"), "{row:?} became {later:?}");
            corrected += 1;
        }
    }
    assert!(corrected > 0 && corrected * 50 < same, "{corrected} corrected, {same} not");
}

/// Histories have work on every day, and little of it.
#[test]
fn few_accounts_change_in_a_day() {
    let (root, _) = made(&options(8_000, 2, DAY_SHOWN));
    let states = |day: &str| -> HashMap<String, String> {
        let shown = rows(root.path(), "subscription", day);
        let keyed = shown.iter().filter(|row| row["subscription_id"].is_some());
        keyed.map(|row| (text(row, "subscription_id").to_owned(), text(row, "state").to_owned())).collect()
    };
    let (before, after) = (states("2026-11-19"), states(DAY_SHOWN));
    let changed = after.iter().filter(|(id, state)| before.get(*id) != Some(*state)).count();
    assert!((12..80).contains(&changed), "{changed} of {} subscriptions changed", after.len());
}

#[test]
fn families_have_erased_owners_and_members() {
    let (root, _) = made(&options(12_000, 1, DAY_SHOWN));
    let (asked, members) =
        (rows(root.path(), "erasure_request", DAY_SHOWN), rows(root.path(), "plan_member", DAY_SHOWN));
    let asked = by_key(&asked, "account_id");
    let erased = members.iter().filter(|row| row["left_at"].is_none() && asked.contains_key(text(row, "account_id")));
    let roles: HashSet<_> = erased.map(|row| text(row, "role")).collect();
    assert_eq!(roles, HashSet::from(["manager", "member"]));
    let days: HashSet<_> = asked.values().map(|rows| text(rows[0], "requested_at") > "2026-11-21").collect();
    assert_eq!(days.len(), 2, "requests of the past, and of after the day");
}

#[test]
fn an_erased_account_may_be_gone_and_come_back() {
    let erased = (0..400).flat_map(|number| household(7, number).accounts).filter(|life| life.asks_to_be_erased());
    let (mut gone, mut back) = (0, 0);
    for life in erased {
        let days: Vec<bool> =
            (0..6_000).map(|day| life.is_gone(life.created_at + day * super::super::calendar::DAY)).collect();
        if days.contains(&true) {
            gone += 1;
            back += usize::from(days.last() == Some(&false));
        }
    }
    assert!(gone > back && back > 0, "{gone} gone, {back} back");
}

/// Where the sample's end cuts a household, nobody is left in a plan without its owner, and nobody unknown in a plan.
#[test]
fn a_household_may_be_cut_anywhere() {
    let shares = |number: &u64| household(7, *number).members.len() > 2;
    let number = (0..1_000).find(shares).expect("one household in ten has a family plan");
    for cut in 1..=HOUSEHOLD {
        let (root, _) = made(&options(number * HOUSEHOLD + cut, 1, "2030-06-01"));
        members_refer_to_rows(root.path(), "2030-06-01");
    }
}

/// The number of members checked; the planted members of nothing are left out.
fn members_refer_to_rows(root: &Path, date: &str) -> usize {
    let (accounts, subscriptions) = (rows(root, "account", date), rows(root, "subscription", date));
    let (accounts, by_id) = (values(&accounts, "account_id"), by_key(&subscriptions, "subscription_id"));
    let members = rows(root, "plan_member", date);
    let mut checked = 0;
    for row in &members {
        assert!(accounts.contains(text(row, "account_id")));
        let Some(subscription) = by_id.get(text(row, "subscription_id")) else { continue };
        let owner = text(subscription[0], "account_id");
        assert_eq!(owner == text(row, "account_id"), text(row, "role") == "manager");
        checked += 1;
    }
    checked
}
