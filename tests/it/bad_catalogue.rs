//! A catalogue that nobody can have meant, and faults of single accounts: the first stops every job that reads it and leaves its
//! table as it was, the second costs the account's row.
//!
//! The contracts are the project's own, read from JSON lines, so that each fault stands here as its row.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::{DAY, DAY_BEFORE, Ran, Sandbox};

const DAY_AFTER: &str = "2026-11-21";

const SNAPSHOTS: [&str; 6] = ["plan_phase", "product_feature", "price", "offer", "account_grant", "feature_usage"];

/// A sound row of a snapshot.
fn sound(snapshot: &str) -> Value {
    let row = match snapshot {
        "plan_phase" => json!({
            "plan_id": "premium", "plan_version": 1, "phase_seq": 1, "product_id": "premium", "tier": "premium",
            "tier_rank": 20, "status": "active", "phase_type": "evergreen", "length": null, "length_unit": null,
            "billing_period": "month", "max_members": 1, "included_addons": ["audiobooks"],
            "effective_from": "2026-01-01T00:00:00Z", "effective_to": null,
        }),
        "product_feature" => json!({
            "product_id": "premium", "feature_id": "hours", "market": "*", "role": "*", "value_type": "metered",
            "v_bool": null, "v_int": 15, "v_enum": null, "unlimited": false, "unit": "hours", "reset": "billing",
            "merge": "sum", "effective_from": "2026-01-01T00:00:00Z", "effective_to": null, "existing_from": null,
        }),
        "price" => json!({
            "plan_id": "premium", "plan_version": 1, "phase_seq": 1, "market": "NO", "cohort": "standard",
            "currency": "NOK", "amount": "109.00", "tax_inclusive": true, "effective_from": "2026-01-01T00:00:00Z",
            "effective_to": null, "existing_from": null,
        }),
        "offer" => json!({
            "offer_id": "spring", "kind": "intro", "discount_type": "percent", "value": "50", "currency": null,
            "frequency": "once", "cycles": null, "plan_ids": ["premium"], "markets": ["*"],
            "starts_at": "2026-03-01T00:00:00Z", "redeem_by": null, "max_redemptions": null, "stackable": false,
            "priority": 1,
        }),
        "account_grant" => json!({
            "grant_id": "g1", "account_id": "ada", "kind": "topup", "feature_id": "hours", "offer_id": null,
            "subscription_id": null, "v_bool": null, "v_int": 5, "v_enum": null, "unlimited": false, "priority": 1,
            "effective_from": "2026-11-01T00:00:00Z", "expires_at": null, "voided_at": null,
        }),
        "feature_usage" => json!({
            "account_id": "ada", "feature_id": "hours", "usage_date": "2026-11-19", "consumed": 2,
        }),
        other => panic!("{other} is no snapshot of these tests"),
    };
    with(&row, &json!({ "source_seq": 1, "updated_at": "2026-11-01T00:00:00Z" }))
}

/// A row with other values in some columns.
fn with(row: &Value, values: &Value) -> Value {
    let mut row: Map<String, Value> = row.as_object().unwrap().clone();
    row.extend(values.as_object().unwrap().clone());
    Value::Object(row)
}

/// The sound row of a snapshot with other values in some columns.
fn row(snapshot: &str, values: &Value) -> Value {
    with(&sound(snapshot), values)
}

fn put(sandbox: &Sandbox, snapshot: &str, date: &str, rows: &[Value]) {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    sandbox.put_day(snapshot, date, &[("rows.jsonl", lines.as_bytes())]);
}

/// A job that shows a snapshot of accounts as it was verified.
const SHOWN: &str = r#"description = "Rows as they were verified."
owner  = "test@example.com"
sql    = "sql/shown.sql"
inputs = ["feature_usage", "account_grant"]

[table]
dataset = "users_restricted"
mode    = "replace"
grain   = ["kind", "id"]
columns = [
  { name = "kind",   type = "STRING", required = true, description = "Snapshot." },
  { name = "id",     type = "STRING", required = true, pii = "direct", description = "Row." },
  { name = "amount", type = "INT64", description = "Its number." },
]
"#;

const SHOWN_SQL: &str = "SELECT 'usage' AS kind, account_id AS id, consumed AS amount FROM feature_usage
UNION ALL SELECT 'grant', grant_id, v_int FROM account_grant";

/// The project's jobs with the same sound day twice, and nothing published.
fn sound_days() -> Sandbox {
    let sandbox = Sandbox::of(Path::new(env!("CARGO_MANIFEST_DIR")));
    for snapshot in SNAPSHOTS {
        let contract = format!("jobs/snapshots/{snapshot}.toml");
        sandbox.edit(&contract, "format      = \"parquet\"", "format      = \"json\"");
        put(&sandbox, snapshot, DAY_BEFORE, &[sound(snapshot)]);
        put(&sandbox, snapshot, DAY, &[sound(snapshot)]);
    }
    sandbox.write("jobs/shown.toml", SHOWN);
    sandbox.write("sql/shown.sql", SHOWN_SQL);
    sandbox
}

/// The same with the jobs of the catalogue published for [`DAY_BEFORE`].
fn published() -> Sandbox {
    let sandbox = sound_days();
    run(&sandbox, DAY_BEFORE).exits(0);
    sandbox
}

fn run(sandbox: &Sandbox, date: &str) -> Ran {
    let jobs = ["product_feature_history", "plan_price_history", "offer_availability_daily", "shown"];
    sandbox.gatefold([&["run"][..], &jobs, &["--date", date]].concat())
}

/// Gives a snapshot these rows and runs a job that reads it: the check stops it, names the row, and the table stays as it was.
#[track_caller]
fn refused(snapshot: &str, rows: &[Value], check: &str, told: &str) {
    let sandbox = sound_days();
    put(&sandbox, snapshot, DAY, rows);
    let job = match snapshot {
        "product_feature" => "product_feature_history",
        "plan_phase" | "price" => "plan_price_history",
        _ => "offer_availability_daily",
    };
    sandbox.gatefold(["run", job, "--date", DAY_BEFORE]).exits(0);
    let ran = sandbox.lake_stays(|| sandbox.gatefold(["run", job, "--date", DAY]));
    ran.exits(11).says([&format!("sql({check})") as &str, snapshot, told]);
}

#[test]
fn a_sound_catalogue_passes() {
    let sandbox = published();
    run(&sandbox, DAY).exits(0);
    let tables = sandbox.tables();
    assert!(tables.contains(&"value_proposition.plan_price_history".to_owned()), "{tables:?}");
}

#[test]
fn a_feature_of_two_value_types() {
    let int = row("product_feature", &json!({ "product_id": "mid", "value_type": "int" }));
    refused("product_feature", &[sound("product_feature"), int], "one_value_type_per_feature", "feature_id=hours");
}

#[test]
fn a_value_of_another_type() {
    let rows = [row("product_feature", &json!({ "value_type": "bool" }))];
    refused("product_feature", &rows, "value_of_its_type", "feature_id=hours");
}

#[test]
fn a_negative_cap_of_a_product() {
    let rows = [row("product_feature", &json!({ "v_int": -1 }))];
    refused("product_feature", &rows, "negative_value", "v_int=-1");
}

#[test]
fn features_that_hold_at_once() {
    let ends = |from: &str, to: &str| row("product_feature", &json!({ "effective_from": from, "effective_to": to }));
    let rows =
        [ends("2026-01-01T00:00:00Z", "2026-05-01T00:00:01Z"), ends("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")];
    refused("product_feature", &rows, "overlapping_rows", "next_from=2026-05-01");
    // One without an end, and a later one.
    let rows = [sound("product_feature"), ends("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")];
    refused("product_feature", &rows, "overlapping_rows", "next_from=2026-05-01");
}

#[test]
fn a_feature_that_ends_before_it_begins() {
    let rows = [row("product_feature", &json!({ "effective_to": "2025-12-31T23:59:59Z" }))];
    refused("product_feature", &rows, "ends_before_it_begins", "effective_to=2025-12-31");
}

#[test]
fn prices_that_are_asked_at_once() {
    let later = row("price", &json!({ "effective_from": "2026-04-01T00:00:00Z", "amount": "119.00" }));
    refused("price", &[sound("price"), later], "overlapping_rows", "next_from=2026-04-01");
}

#[test]
fn prices_that_follow_each_other_or_hold_never_do_not_overlap() {
    let sandbox = published();
    let rows = [
        row("price", &json!({ "effective_to": "2026-04-01T00:00:00Z" })),
        row("price", &json!({ "effective_from": "2026-02-01T00:00:00Z", "effective_to": "2026-02-01T00:00:00Z" })),
        row("price", &json!({ "effective_from": "2026-04-01T00:00:00Z", "amount": "119.00" })),
        row("price", &json!({ "market": "SE" })),
        row("price", &json!({ "cohort": "student" })),
    ];
    put(&sandbox, "price", DAY, &rows);
    run(&sandbox, DAY).exits(0);
}

#[test]
fn a_price_in_a_currency_that_is_none() {
    let rows = [row("price", &json!({ "currency": "BTC" }))];
    refused("price", &rows, "unknown_currency", "currency=BTC");
}

#[test]
fn a_negative_price() {
    let rows = [row("price", &json!({ "amount": "-0.01" }))];
    refused("price", &rows, "negative_amount", "amount=-0.01");
}

#[test]
fn a_price_that_ends_before_it_begins() {
    let rows = [row("price", &json!({ "effective_to": "2025-12-31T23:59:59Z" }))];
    refused("price", &rows, "ends_before_it_begins", "effective_to=2025-12-31");
}

#[test]
fn a_price_of_a_phase_that_is_none() {
    let sandbox = published();
    put(&sandbox, "price", DAY, &[row("price", &json!({ "phase_seq": 2 }))]);
    let ran = sandbox.lake_stays(|| sandbox.gatefold(["run", "plan_price_history", "--date", DAY]));
    ran.exits(12).says(["relationship(plan_id, plan_version, phase_seq)", "phase_seq=2"]);
}

#[test]
fn phases_with_a_hole() {
    let third = row("plan_phase", &json!({ "phase_seq": 3 }));
    refused("plan_phase", &[sound("plan_phase"), third], "phases_without_a_hole", "plan_id=premium");
    let rows = [row("plan_phase", &json!({ "phase_seq": 0 })), sound("plan_phase")];
    refused("plan_phase", &rows, "phases_without_a_hole", "first=0");
    let rows = [sound("plan_phase"), row("plan_phase", &json!({ "plan_id": "mid", "phase_seq": 2 }))];
    refused("plan_phase", &rows, "phases_without_a_hole", "plan_id=mid");
}

#[test]
fn an_addon_that_includes_itself() {
    let rows = [sound("plan_phase"), row("plan_phase", &json!({ "plan_id": "books", "product_id": "audiobooks" }))];
    refused("plan_phase", &rows, "addon_within_itself", "product_id=audiobooks");
}

#[test]
fn a_length_without_its_unit() {
    refused("plan_phase", &[row("plan_phase", &json!({ "length": 3 }))], "length_with_its_unit", "length=3");
    refused("plan_phase", &[row("plan_phase", &json!({ "length_unit": "day" }))], "length_with_its_unit", "day");
    let rows = [row("plan_phase", &json!({ "length": 0, "length_unit": "day" }))];
    refused("plan_phase", &rows, "length_with_its_unit", "length=0");
}

#[test]
fn a_phase_that_ends_before_it_begins() {
    let rows = [row("plan_phase", &json!({ "effective_to": "2025-12-31T23:59:59Z" }))];
    refused("plan_phase", &rows, "ends_before_it_begins", "effective_to=2025-12-31");
}

#[test]
fn offers_that_take_off_more_than_there_is_or_less_than_nothing() {
    refused("offer", &[row("offer", &json!({ "value": "100.01" }))], "impossible_value", "value=100.01");
    refused("offer", &[row("offer", &json!({ "value": "-1" }))], "impossible_value", "value=-1");
    let rows = [row("offer", &json!({ "discount_type": "fixed", "currency": "NOK", "value": "-1" }))];
    refused("offer", &rows, "impossible_value", "discount_type=fixed");
}

#[test]
fn an_amount_above_100_is_no_percentage() {
    let sandbox = published();
    put(
        &sandbox,
        "offer",
        DAY,
        &[row("offer", &json!({ "discount_type": "fixed", "currency": "NOK", "value": "101" }))],
    );
    run(&sandbox, DAY).exits(0);
}

#[test]
fn offers_of_an_amount_without_a_currency_or_in_none() {
    for discount_type in ["fixed", "replace"] {
        let rows = [row("offer", &json!({ "discount_type": discount_type }))];
        refused("offer", &rows, "amount_without_a_currency", discount_type);
    }
    let rows = [row("offer", &json!({ "discount_type": "fixed", "currency": "BTC" }))];
    refused("offer", &rows, "unknown_currency", "currency=BTC");
}

#[test]
fn an_offer_that_repeats_and_does_not_say_how_often() {
    let rows = [row("offer", &json!({ "frequency": "repeating" }))];
    refused("offer", &rows, "repeating_without_cycles", "offer_id=spring");
    let rows = [row("offer", &json!({ "frequency": "repeating", "cycles": 0 }))];
    refused("offer", &rows, "repeating_without_cycles", "cycles=0");
}

#[test]
fn an_offer_without_plans() {
    refused("offer", &[row("offer", &json!({ "plan_ids": [] }))], "without_plans", "offer_id=spring");
}

#[test]
fn an_offer_that_ends_before_it_begins() {
    let rows = [row("offer", &json!({ "redeem_by": "2026-02-01T00:00:00Z" }))];
    refused("offer", &rows, "ends_before_it_begins", "redeem_by=2026-02-01");
}

#[test]
fn negative_numbers_of_one_account_cost_its_row() {
    let sandbox = published();
    let usage = [sound("feature_usage"), row("feature_usage", &json!({ "account_id": "bob", "consumed": -1 }))];
    put(&sandbox, "feature_usage", DAY, &usage);
    let grants = [sound("account_grant"), row("account_grant", &json!({ "grant_id": "g2", "v_int": -5 }))];
    put(&sandbox, "account_grant", DAY, &grants);
    run(&sandbox, DAY).exits(0);

    let shown = "SELECT kind, id, amount FROM users_restricted.shown ORDER BY kind";
    assert_eq!(sandbox.rows(shown), ["grant,g1,5", "usage,ada,2"]);
    let rejected = "SELECT DISTINCT snapshot, rule, column_name FROM ops.rejected_row ORDER BY snapshot";
    assert_eq!(sandbox.rows(rejected), ["account_grant,out_of_range,v_int", "feature_usage,out_of_range,consumed"]);
}

/// Case 22: rows of one price that contradict each other are set aside, and the day after they do not.
#[test]
fn a_price_in_conflict_for_a_day_costs_no_other() {
    let sandbox = published();
    let sweden = row("price", &json!({ "market": "SE", "currency": "SEK", "amount": "119.00" }));
    let conflict = row("price", &json!({ "amount": "99.00" }));
    put(&sandbox, "price", DAY, &[sound("price"), conflict, sweden.clone()]);
    run(&sandbox, DAY).exits(0);
    let rejected = "SELECT rule, key FROM ops.rejected_row";
    let conflict = "conflicting_duplicate,premium/1/1/NO/standard/2026-01-01T00:00:00Z";
    assert_eq!(sandbox.rows(rejected), [conflict, conflict]);

    for snapshot in SNAPSHOTS {
        put(&sandbox, snapshot, DAY_AFTER, &[sound(snapshot)]);
    }
    put(&sandbox, "price", DAY_AFTER, &[sound("price"), sweden]);
    run(&sandbox, DAY_AFTER).exits(0);
    let rows = "SELECT market, amount, CAST(valid_from AS DATE) AS f, valid_to FROM value_proposition.plan_price_history ORDER BY 1";
    assert_eq!(sandbox.rows(rows), ["NO,109.000000000,2026-11-19,", "SE,119.000000000,2026-11-20,"]);
}

/// Case 23: the price list of a market that a partial day lacks stays as it is, until a whole day lacks it.
#[test]
fn a_market_that_a_partial_day_lacks_keeps_its_prices() {
    let sandbox = sound_days();
    let sweden = row("price", &json!({ "market": "SE", "currency": "SEK", "amount": "119.00" }));
    put(&sandbox, "price", DAY_BEFORE, &[sound("price"), sweden]);
    run(&sandbox, DAY_BEFORE).exits(0);
    sandbox.write(&format!("{}/_PARTIAL", sandbox.day("price", DAY)), "");
    run(&sandbox, DAY).exits(0);
    let rows = "SELECT market, valid_to, is_current FROM value_proposition.plan_price_history ORDER BY market";
    assert_eq!(sandbox.rows(rows), ["NO,,true", "SE,,true"]);
    for snapshot in SNAPSHOTS {
        put(&sandbox, snapshot, DAY_AFTER, &[sound(snapshot)]);
    }
    run(&sandbox, DAY_AFTER).exits(0);
    assert_eq!(sandbox.rows(rows), ["NO,,true", "SE,2026-11-21T00:00:00Z,false"]);
}
