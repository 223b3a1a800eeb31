//! Histories against the days that they were made of: open on a day is what the day's snapshot has, a gap is where it had
//! nothing, and a history that is made again is the same.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use super::snapshots::{self, Key, Row, day_of, deduplicated, erased, is_complete, key_of, text};
use crate::support::Sandbox;

const HISTORIES: [&str; 4] =
    ["product_feature_history", "plan_price_history", "user_subscription_history", "user_entitlement_history"];

/// A history whose rows are those of one snapshot.
struct History {
    table: &'static str,
    key: &'static [&'static str],
    snapshot: &'static str,
    snapshot_key: &'static [&'static str],
    /// While one of them is not complete, nothing is closed for being absent (R12).
    inputs: &'static [&'static str],
    /// Whether a row of the snapshot is part of the state of a day.
    counts: fn(&Row, &str) -> bool,
    /// Whose row it is: erased accounts are forgotten.
    owner: Option<&'static str>,
}

const MIRRORS: [History; 3] = [
    History {
        table: "value_proposition.product_feature_history",
        key: &["product_id", "feature_id", "market", "role"],
        snapshot: "product_feature",
        snapshot_key: &["product_id", "feature_id", "market", "role", "effective_from"],
        inputs: &["product_feature"],
        counts: is_live,
        owner: None,
    },
    History {
        table: "value_proposition.plan_price_history",
        key: &["plan_id", "plan_version", "phase_seq", "market", "cohort"],
        snapshot: "price",
        snapshot_key: &["plan_id", "plan_version", "phase_seq", "market", "cohort", "effective_from"],
        inputs: &["price"],
        counts: is_live,
        owner: None,
    },
    History {
        table: "users.user_subscription_history",
        key: &["subscription_id"],
        snapshot: "subscription",
        snapshot_key: &["subscription_id"],
        inputs: &["account", "subscription", "plan_phase", "erasure_request"],
        counts: |_, _| true,
        owner: Some("account_id"),
    },
];

/// Whether the row holds at the last instant of the day, R2.
fn is_live(row: &Row, day: &str) -> bool {
    day_of(row, "effective_from").is_some_and(|from| from.as_str() <= day)
        && day_of(row, "effective_to").is_none_or(|to| to.as_str() > day)
}

pub fn say_what_the_snapshots_said(world: &World) {
    let erased: Vec<BTreeSet<String>> = world.days.iter().map(|day| erased(world, day)).collect();
    for history in &MIRRORS {
        let columns = history.key.join(", ");
        let rows = world.sandbox.query(&format!("SELECT {columns}, valid_from, valid_to FROM {}", history.table));
        let rows: Vec<Row> = rows.into_iter().map(|row| row.as_object().unwrap().clone()).map(without_nulls).collect();
        for (number, day) in world.days.iter().map(String::as_str).enumerate() {
            let open: BTreeSet<Key> = rows
                .iter()
                .filter(|row| day_of(row, "valid_from").is_some_and(|from| from.as_str() <= day))
                .filter(|row| day_of(row, "valid_to").is_none_or(|to| to.as_str() > day))
                .map(|row| key_of(row, history.key).unwrap())
                .collect();
            // Who is erased on this day or a later one is forgotten.
            let forgotten: BTreeSet<&String> = erased[number..].iter().flatten().collect();
            let shown = history.shown(world, day, &forgotten);
            let place = format!("{} on {day}", history.table);

            let gap: Vec<&Key> =
                shown.iter().filter(|(key, sure)| **sure && !open.contains(*key)).map(|(key, _)| key).collect();
            assert_eq!(gap, Vec::<&Key>::new(), "{place}: not open, though the snapshot has them");
            if history.inputs.iter().all(|input| is_complete(world, input, day)) {
                let left: Vec<&Key> = open.iter().filter(|key| !shown.contains_key(*key)).collect();
                assert_eq!(left, Vec::<&Key>::new(), "{place}: open, though the snapshot has not got them");
            }
        }
    }
}

fn without_nulls(row: Row) -> Row {
    row.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

impl History {
    /// The keys that a day's snapshot shows, and whether their rows are sure: rows in conflict may be open or not.
    fn shown(&self, world: &World, day: &str, forgotten: &BTreeSet<&String>) -> BTreeMap<Key, bool> {
        let mut shown = BTreeMap::new();
        for (key, row) in deduplicated(snapshots::rows(world, self.snapshot, day), self.snapshot_key) {
            let key = key[..self.key.len()].to_vec();
            match row {
                None => *shown.entry(key).or_default() |= false,
                Some(row) => {
                    let owner = self.owner.and_then(|column| text(&row, column));
                    if (self.counts)(&row, day) && owner.is_none_or(|owner| !forgotten.contains(&owner)) {
                        shown.insert(key, true);
                    }
                }
            }
        }
        shown
    }
}

/// All days again, from the first one on, in a copy of the lake.
pub fn are_the_same_when_rebuilt(world: &World) {
    let copy = World { sandbox: world.sandbox.with_its_lake(), days: world.days.clone() };
    let range = ["--from", copy.first(), "--to", copy.last(), "--rebuild", "--format", "json"];
    let told = copy.sandbox.gatefold([&["run"], &HISTORIES[..], &range].concat()).exits(0).json();
    for run in told["runs"].as_array().unwrap() {
        assert!(super::outcomes(run).iter().all(|outcome| outcome == "published"), "{run}");
    }
    for table in copy.sandbox.tables().into_iter().filter(|table| table.ends_with("_history")) {
        assert!(rows(&copy.sandbox, &table) == rows(&world.sandbox, &table), "{table} is another one when rebuilt");
        assert!(copy.sandbox.version(&table) > world.sandbox.version(&table), "{table} was not rebuilt");
    }
}

fn rows(sandbox: &Sandbox, table: &str) -> Vec<String> {
    let mut rows: Vec<String> =
        sandbox.query(&format!("SELECT * FROM {table}")).iter().map(ToString::to_string).collect();
    rows.sort();
    rows
}
