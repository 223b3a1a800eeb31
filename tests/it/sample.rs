//! The sample's dirt, as the program prints it, is what a run rejects and flags: no row more, none less.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{DAY, Sandbox};

/// Enough for every kind of dirt.
const ACCOUNTS: &str = "12000";

/// The inputs of the job that every project begins with, as far as rows are planted in them.
const SNAPSHOTS: [&str; 3] = ["account", "subscription", "plan_member"];

#[test]
fn a_run_rejects_and_flags_exactly_what_was_planted() {
    let sandbox = Sandbox::new();
    let ran = sandbox.gatefold(["generate", "--accounts", ACCOUNTS, "--days", "1", "--until", DAY, "--format", "json"]);
    ran.exits(0);
    let planted = &ran.json()["planted"][DAY];
    sandbox.gatefold(["run", "--date", DAY]).exits(0);

    let rules = "SELECT snapshot, rule, count(*) FROM ops.rejected_row GROUP BY snapshot, rule ORDER BY 1, 2";
    assert_eq!(sandbox.rows(rules), rejected(planted));
    for flag in ["unknown_country", "implausible_birth_date"] {
        let users = format!("SELECT count(*) FROM users.user_daily WHERE array_has(quality_flags, '{flag}')");
        assert_eq!(sandbox.rows(&users), [planted["account"]["dirt"][flag].to_string()], "{flag}");
    }
}

/// Snapshot, rule and number of rows, as the query prints them.
fn rejected(planted: &Value) -> Vec<String> {
    let rules = |snapshot: &&str| -> BTreeMap<String, u64> {
        serde_json::from_value(planted[*snapshot]["rejected"].clone()).unwrap_or_default()
    };
    let mut lines: Vec<String> = SNAPSHOTS
        .iter()
        .flat_map(|snapshot| rules(snapshot).into_iter().map(move |(rule, rows)| format!("{snapshot},{rule},{rows}")))
        .collect();
    lines.sort();
    assert_eq!(lines.len(), 4, "two rules in two snapshots: {planted}");
    lines
}
