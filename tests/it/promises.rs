//! What a contract promises beyond types and keys: bounds of columns, checks of a day as a whole, and whether a day holds
//! every key that there is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, RecordBatch, StringArray};
use serde_json::Value;

use crate::people::{CONTRACT, Person, ada_and_bob, batch, person, project, project_with, published};
use crate::support::{DAY, KEY_VARIABLE, Ran, Sandbox, parquet};

const PERSON: &str = "jobs/snapshots/person.toml";

const NO_MANY_VISITS: &str = r#"
[[check]]
kind = "sql"
name = "few_visits"
sql  = "SELECT person_id, visits FROM person WHERE visits > 3 AND snapshot_date = $snapshot_date AND seen_at <= $as_of"
"#;

/// 2026-11-01 in days since 1970.
const NOVEMBER: i32 = 20_758;

const PRICE: &str = r#"description = "One row per price of a plan."
owner  = "prices@example.com"
format = "parquet"
key    = ["plan_id", "from_day"]
rejects = { max_rows = 2 }
columns = [
  { name = "plan_id",  type = "STRING", required = true, description = "Plan." },
  { name = "from_day", type = "DATE", required = true, description = "First day." },
  { name = "to_day",   type = "DATE", description = "First day after." },
  { name = "currency", type = "STRING", required = true, description = "ISO 4217." },
  { name = "amount",   type = "NUMERIC", required = true, min = 0, description = "Price." },
  { name = "discount", type = "NUMERIC", min = "0", max = 100, unit = "percent", description = "Taken off." },
]

[[check]]
kind = "sql"
name = "no_overlap"
sql  = """
SELECT a.plan_id, a.from_day, b.from_day AS other_from_day
FROM price a JOIN price b ON a.plan_id = b.plan_id AND a.from_day < b.from_day
WHERE a.to_day IS NULL OR b.from_day < a.to_day
"""

[[check]]
kind     = "accepted_values"
column   = "currency"
values   = ["EUR", "JPY", "USD"]
severity = "warn"
"#;

const PRICES: &str = r#"description = "One row per price and day."
owner  = "prices@example.com"
sql    = "sql/prices.sql"
inputs = ["price"]

[table]
dataset   = "shop"
mode      = "partition"
grain     = ["snapshot_date", "plan_id", "from_day"]
partition = { column = "snapshot_date", by = "day" }
columns = [
  { name = "snapshot_date", type = "DATE", required = true, description = "Day." },
  { name = "plan_id",       type = "STRING", required = true, description = "Plan." },
  { name = "from_day",      type = "DATE", required = true, description = "First day." },
  { name = "amount",        type = "NUMERIC", required = true, description = "Price." },
]
"#;

const PRICES_SQL: &str = "SELECT $snapshot_date AS snapshot_date, plan_id, from_day, amount FROM price";

/// `from`, `to` in days of November, `amount` and `discount` in whole units.
struct Price {
    plan: &'static str,
    from: i32,
    to: Option<i32>,
    currency: &'static str,
    amount: i128,
    discount: Option<i128>,
}

fn price(plan: &'static str, from: i32, to: Option<i32>) -> Price {
    Price { plan, from, to, currency: "EUR", amount: 10, discount: None }
}

fn price_rows(prices: &[Price]) -> RecordBatch {
    let numeric = |values: Vec<Option<i128>>| -> ArrayRef {
        let values = values.into_iter().map(|value| value.map(|value| value * 1_000_000_000));
        Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(38, 9).unwrap())
    };
    let columns: [(&str, ArrayRef); 6] = [
        ("plan_id", Arc::new(prices.iter().map(|p| Some(p.plan)).collect::<StringArray>())),
        ("from_day", Arc::new(Date32Array::from_iter_values(prices.iter().map(|p| NOVEMBER + p.from - 1)))),
        ("to_day", Arc::new(prices.iter().map(|p| p.to.map(|to| NOVEMBER + to - 1)).collect::<Date32Array>())),
        ("currency", Arc::new(prices.iter().map(|p| Some(p.currency)).collect::<StringArray>())),
        ("amount", numeric(prices.iter().map(|p| Some(p.amount)).collect())),
        ("discount", numeric(prices.iter().map(|p| p.discount).collect())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

/// The small project with a second snapshot and a job that reads it.
fn shop(prices: &[Price]) -> Sandbox {
    let sandbox = project_with(&ada_and_bob());
    sandbox.write("jobs/snapshots/price.toml", PRICE);
    sandbox.write("jobs/prices.toml", PRICES);
    sandbox.write("sql/prices.sql", PRICES_SQL);
    sandbox.put_rows("price", DAY, &price_rows(prices));
    sandbox
}

fn state(sandbox: &Sandbox, more: &str) {
    sandbox.write(PERSON, format!("{CONTRACT}{more}"));
}

fn last_run(sandbox: &Sandbox) -> String {
    sandbox.gatefold(["runs", "--format", "json"]).json()[0]["run_id"].as_str().unwrap().to_owned()
}

fn show(sandbox: &Sandbox) -> Ran {
    sandbox.gatefold(["show", &last_run(sandbox)])
}

/// The last run's events of verification.
fn verifications(sandbox: &Sandbox) -> Vec<Value> {
    let history = sandbox.gatefold(["show", &last_run(sandbox), "--format", "json"]).json();
    let events = history["events"].as_array().unwrap().iter();
    events.filter(|event| event["event"] == "snapshot_verified").cloned().collect()
}

#[test]
fn a_value_outside_its_bounds_is_set_aside() {
    let percent = Price { discount: Some(101), ..price("b", 1, None) };
    let free = Price { amount: -1, ..price("c", 1, None) };
    let edges = Price { amount: 0, discount: Some(100), ..price("d", 1, None) };
    let sandbox = shop(&[price("a", 1, None), percent, free, edges]);
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT plan_id FROM shop.prices ORDER BY 1"), ["a", "d"]);
    let told = sandbox.rows("SELECT rule, key, reason FROM ops.rejected_row ORDER BY row_number");
    assert_eq!(
        told,
        [
            "out_of_range,b/2026-11-01,discount = '101.000000000' is outside 0 to 100",
            "out_of_range,c/2026-11-01,amount = '-1.000000000' is below 0",
        ]
    );
}

#[test]
fn values_outside_their_bounds_count_against_the_limit() {
    let sandbox = shop(&[price("a", 1, None)]);
    sandbox.run(DAY).exits(0);
    let below = ["a", "b", "c"].map(|plan| Price { amount: -5, ..price(plan, 1, None) });
    sandbox.put_rows("price", DAY, &price_rows(&below));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says([
        "3 of 3 rows of 'price' break its contract, 2 are tolerated; the first: amount = '-5.000000000' is below 0",
        "rule: out_of_range",
        "[rejects] in jobs/snapshots/price.toml",
    ]);
}

#[test]
fn bounds_of_times_are_those_of_the_contract() {
    let sandbox = project();
    sandbox.edit(PERSON, "type = \"DATE\",", "type = \"DATE\", min = 1990-01-01,");
    let late = "type = \"TIMESTAMP\", max = \"2023-11-15T00:00:00+01:00\", required";
    sandbox.edit(PERSON, "type = \"TIMESTAMP\", required", late);
    // 2023-11-14T23:00:00Z is the bound.
    let seen = |id, seen_at_us| Person { seen_at_us, ..person(id) };
    let edge = 1_700_002_800_000_000;
    let old = Person { born: Some(7_304), ..person("old") };
    let unborn = Person { born: None, ..person("unborn") };
    sandbox.put_rows("person", DAY, &batch(&[seen("edge", edge), seen("late", edge + 1), old, unborn]));
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT person_id FROM shop.people ORDER BY 1"), ["edge", "unborn"]);
    assert_eq!(
        sandbox.rows("SELECT key, reason FROM ops.rejected_row ORDER BY row_number"),
        [
            "late,seen_at = '2023-11-14T23:00:00.000001Z' is above 2023-11-15T00:00:00+01:00",
            "old,born = '1989-12-31' is below 1990-01-01",
        ]
    );
}

#[test]
fn prices_that_overlap_stop_every_job_that_reads_them_and_no_other() {
    let sandbox = shop(&[price("a", 1, Some(10)), price("a", 10, None), price("b", 1, None)]);
    sandbox.write("jobs/more_prices.toml", PRICES);
    sandbox.run(DAY).exits(0);
    let broken = [price("a", 1, Some(10)), price("a", 9, None), price("b", 1, None), price("b", 20, None)];
    sandbox.put_rows("price", DAY, &price_rows(&broken));
    sandbox.put_rows("person", DAY, &batch(&[person("eve")]));
    let versions = ["shop.prices", "shop.more_prices"].map(|table| sandbox.version(table));
    let run = sandbox.run(DAY);
    run.exits(11).says([
        "the snapshot 'price' of 2026-11-20 breaks its contract: sql(no_overlap): the query returns 2 rows",
        "rows: plan_id=a, from_day=2026-11-01, other_from_day=2026-11-09; plan_id=b, from_day=2026-11-01",
        "mend the source, or the check in jobs/snapshots/price.toml",
        &format!("gatefold show {}", last_run(&sandbox)),
    ]);
    run.prints(["shop.prices", "shop.more_prices", "failed (11)"]);
    assert_eq!(["shop.prices", "shop.more_prices"].map(|table| sandbox.version(table)), versions);
    assert_eq!(sandbox.rows("SELECT person_id FROM shop.people"), ["eve"]);
    show(&sandbox).prints(["checks of price: blocked", "BLOCKS sql(no_overlap): the query returns 2 rows"]);
    let found = verifications(&sandbox);
    let of_price: Vec<&Value> = found.iter().filter(|event| event["snapshot"] == "price").collect();
    assert_eq!(of_price.len(), 1, "two jobs read the day and it is checked once");
    assert_eq!(of_price[0]["blocked"], true);
}

#[test]
fn an_unknown_currency_is_told_and_recorded_where_the_check_warns() {
    let odd = Price { currency: "EUX", ..price("a", 1, None) };
    let sandbox = shop(&[odd, price("b", 1, None)]);
    sandbox.run(DAY).exits(0).prints([
        "warning: price: accepted_values(currency): currency with a value that is not accepted in 1 of 2 rows",
        "  plan_id=a, from_day=2026-11-01",
    ]);
    show(&sandbox).prints(["checks of price: passed", "warns  accepted_values(currency)"]);
    let again = sandbox.gatefold(["run", "--date", DAY, "--force", "--format", "json"]);
    let warnings = &again.exits(0).json()["snapshots"];
    assert_eq!(warnings[1]["snapshot"], "price");
    assert!(warnings[1]["warnings"][0].as_str().unwrap().starts_with("accepted_values(currency): "), "{warnings}");
}

#[test]
fn checks_see_the_rows_that_models_see() {
    let many = Person { visits: Some(9), plan: "gold", ..person("eve") };
    let sandbox = project_with(&[person("ada"), many]);
    let unique = "\n[[check]]\nkind = \"unique\"\ncolumn = \"visits\"\n";
    state(&sandbox, &format!("{NO_MANY_VISITS}{unique}"));
    sandbox.run(DAY).exits(0);
    let two = [person("ada"), Person { visits: Some(4), ..person("bob") }];
    sandbox.put_rows("person", DAY, &batch(&two));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says(["sql(few_visits): the query returns 1 row", "rows: person_id=bob, visits=4"]);
}

#[test]
fn a_changed_check_runs_the_day_again() {
    let sandbox = published();
    state(&sandbox, "\n[[check]]\nkind = \"row_count\"\nmin = 3\n");
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says(["breaks its contract: row_count: 2 rows, at least 3 expected"]);
}

#[test]
fn a_person_is_shown_by_the_pseudonym_or_not_at_all() {
    let sandbox = project_with(&[Person { visits: Some(9), ..person("acct-000001") }]);
    sandbox.edit("sql/people.sql", "person_id, city", "'someone' AS person_id, city");
    state(&sandbox, "\n[[check]]\nkind = \"range\"\ncolumn = \"visits\"\nmax = 3\n");
    sandbox.edit(
        PERSON,
        "name = \"person_id\",  type = \"STRING\",",
        "name = \"person_id\", pii = \"direct\", type = \"STRING\",",
    );
    let run = sandbox.run(DAY);
    run.exits(11).says(["visits above 3 in 1 of 1 row", "rows: person_id=9fc803773667e69d554afa96635885fd"]);
    sandbox.edit("gatefold.toml", "pseudonym_key_file", "# pseudonym_key_file");
    let without_key = sandbox.ran(sandbox.command(["run", "--date", DAY]).env_remove(KEY_VARIABLE));
    without_key.exits(11).says(["rows: person_id=<withheld>"]);
    for ran in [run, without_key, show(&sandbox)] {
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("acct-000001"), "{ran:?}");
    }
}

#[test]
fn checks_are_proved_without_data() {
    let sandbox = project();
    for (check, texts) in [
        (
            "kind = \"sql\"\nname = \"n\"\nsql = \"SELECT person_idd FROM person\"",
            ["the query of the check does not work", "file: jobs/snapshots/person.toml:20:1", "person_idd"],
        ),
        (
            "kind = \"sql\"\nname = \"n\"\nsql = \"SELECT 1 FROM people\"",
            [
                "the query of the check does not work",
                "people",
                "the rows to check are 'person', and there is nothing else",
            ],
        ),
        (
            "kind = \"distribution\"\ncolumn = \"plan\"\nmax = 0.1",
            [
                "a contract speaks of one day",
                "file: jobs/snapshots/person.toml:20:1",
                "the job that reads the snapshot",
            ],
        ),
        (
            "kind = \"range\"\ncolumn = \"visits\"\nmin = \"many\"",
            ["\"many\" is no value of 'visits'", "file: jobs/snapshots/person.toml:23:7", "a whole number"],
        ),
    ] {
        state(&sandbox, &format!("\n[[check]]\n{check}\n"));
        sandbox.gatefold(["check"]).exits(2).says(texts);
        sandbox.run(DAY).exits(2).says(texts);
    }
    state(&sandbox, NO_MANY_VISITS);
    sandbox.gatefold(["check"]).exits(0);
}

#[test]
fn a_day_that_is_declared_partial_needs_no_other_marker() {
    let sandbox = published();
    let day = sandbox.day("person", DAY);
    sandbox.remove(&format!("{day}/_SUCCESS"));
    sandbox.write(&format!("{day}/_PARTIAL"), "");
    sandbox.run(DAY).exits(0).prints(["published, version 2"]);
    show(&sandbox).prints(["verified person of 2026-11-20 (partial: a key that is missing says nothing): 2 rows"]);
    assert_eq!(verifications(&sandbox)[0]["complete"], false);
    sandbox.run(DAY).exits(0).prints(["already published"]);

    sandbox.write(&format!("{day}/_SUCCESS"), "");
    sandbox.run(DAY).exits(0).prints(["published, version 3"]);
    assert_eq!(verifications(&sandbox)[0]["complete"], false, "where both are there, the day is partial");

    sandbox.remove(&format!("{day}/_PARTIAL"));
    sandbox.run(DAY).exits(0).prints(["published, version 4"]);
    assert_eq!(verifications(&sandbox)[0]["complete"], true);
}

#[test]
fn a_source_that_sends_only_what_it_has_is_never_complete() {
    let sandbox = project();
    sandbox.put_day("person", DAY, &[("part-00000.parquet", &parquet(&batch(&ada_and_bob())))]);
    sandbox.write(PERSON, CONTRACT.replace("key  ", "complete = false\nkey  "));
    sandbox.run(DAY).exits(0);
    assert_eq!(verifications(&sandbox)[0]["complete"], false);

    sandbox.remove(&format!("{}/_SUCCESS", sandbox.day("person", DAY)));
    sandbox.run(DAY).exits(10).says(["is not complete: it has no _SUCCESS", "_PARTIAL"]);
}
