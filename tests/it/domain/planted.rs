//! What the generator planted is what the runs reject and flag: no row more, none less.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::World;
use super::snapshots::{rows, text};

/// What of the generator's summary is found in the tables of the days, and in what their runs told.
pub fn are_found(world: &World, summary: &Value, runs: &[Value]) {
    let rejected = "SELECT run_date, snapshot, rule, count(*) FROM ops.rejected_row GROUP BY run_date, snapshot, rule";
    let found: BTreeSet<String> = world.sandbox.rows(rejected).into_iter().collect();
    assert_eq!(found, world.days.iter().flat_map(|day| rejects(summary, day)).collect());
    let snapshots: BTreeSet<&str> = found.iter().filter_map(|line| line.split(',').nth(1)).collect();
    assert!(snapshots.is_superset(&BTreeSet::from(["account", "account_grant", "feature_usage", "subscription"])));

    for flag in ["unknown_country", "implausible_birth_date"] {
        let users = format!(
            "SELECT snapshot_date, count(*) FILTER (WHERE array_has(quality_flags, '{flag}')) FROM users.user_daily \
             GROUP BY snapshot_date ORDER BY snapshot_date"
        );
        let line = |day: &String| format!("{day},{}", dirt(summary, day, "account", flag));
        assert_eq!(world.sandbox.rows(&users), world.days.iter().map(line).collect::<Vec<_>>(), "{flag}");
    }
    for (day, run) in world.days.iter().zip(runs) {
        let planted = dirt(summary, day, "account_grant", "unknown_feature");
        assert_eq!(warned(run, "user_entitlement_history", "grant_on_a_feature_of_no_product"), planted, "{day}");
        unknown_bases_block(world, summary, day);
    }
}

fn dirt(summary: &Value, day: &str, snapshot: &str, kind: &str) -> u64 {
    summary["planted"][day][snapshot]["dirt"][kind].as_u64().unwrap_or(0)
}

/// Day, snapshot, rule and number of rows, as the query prints them.
fn rejects(summary: &Value, day: &str) -> Vec<String> {
    let planted = summary["planted"][day].as_object().unwrap();
    let rules = |(snapshot, planted): (&String, &Value)| -> Vec<String> {
        let rules: BTreeMap<String, u64> = serde_json::from_value(planted["rejected"].clone()).unwrap();
        rules.into_iter().map(|(rule, rows)| format!("{day},{snapshot},{rule},{rows}")).collect()
    };
    planted.iter().flat_map(rules).collect()
}

/// The rows of which a job's check warned; 0 when it did not.
fn warned(run: &Value, job: &str, check: &str) -> u64 {
    let job = run["jobs"].as_array().unwrap().iter().find(|found| found["job"] == job).unwrap();
    let warnings = job["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap());
    let told = warnings.filter_map(|warning| warning.strip_prefix(&format!("sql({check}): the query returns ")));
    told.map(|rest| rest.split(' ').next().unwrap().replace(',', "").parse::<u64>().unwrap()).sum()
}

/// The add-ons whose base no snapshot knows are as many as were planted, and nothing else is what blocks them.
fn unknown_bases_block(world: &World, summary: &Value, day: &str) {
    let subscriptions = rows(world, "subscription", day);
    let known: BTreeSet<String> = subscriptions.iter().filter_map(|row| text(row, "subscription_id")).collect();
    let unknown = |base: String| !known.contains(&base);
    let addons = subscriptions.iter().filter(|row| text(row, "base_subscription_id").is_some_and(unknown));
    let addons: BTreeSet<String> = addons.filter_map(|row| text(row, "subscription_id")).collect();
    assert_eq!(addons.len() as u64, dirt(summary, day, "subscription", "unknown_base"), "{day}");

    let blocked =
        "SELECT subscription_id FROM users.user_subscription_history WHERE blocked_by = 'base' AND NOT entitled";
    let blocked = world.sandbox.gatefold(["query", "--format", "csv", "--as-of", day, blocked]);
    let blocked: BTreeSet<String> = blocked.exits(0).stdout.lines().map(str::to_owned).collect();
    assert!(addons.is_subset(&blocked), "{day}: {addons:?} are blocked by something else");
}
