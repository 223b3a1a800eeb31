//! Histories as their users meet them: days in order and out of it, twice and again, read by other jobs and by queries.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Ran, Sandbox};

const CONTRACT: &str = r#"description = "What plans cost."
owner       = "prices@example.com"
format      = "json"
key         = ["plan_id", "market"]
latest_by   = "source_seq"
bookkeeping = ["source_seq"]
rejects     = { max_fraction = 0.01, max_rows = 5 }
columns = [
  { name = "plan_id",    type = "STRING", required = true, description = "Plan." },
  { name = "market",     type = "STRING", required = true, description = "Market." },
  { name = "amount",     type = "NUMERIC", description = "Price." },
  { name = "source_seq", type = "INT64", required = true, description = "The greatest per key is the latest." },
]
"#;

const LEFT: &str = r#"description = "Markets that are given up."
owner       = "prices@example.com"
format      = "json"
key         = ["market"]
columns = [{ name = "market", type = "STRING", required = true, description = "Market." }]
"#;

const JOB: &str = r#"description = "What plans cost, from when to when."
owner       = "prices@example.com"
sql         = "sql/prices.sql"
inputs      = ["price"]

[table]
dataset   = "shop"
mode      = "history"
grain     = ["plan_id", "market", "valid_from"]
partition = { column = "valid_from", by = "month" }
cluster   = ["market"]
columns = [
  { name = "plan_id",    type = "STRING", required = true, description = "Plan." },
  { name = "market",     type = "STRING", required = true, description = "Market." },
  { name = "amount",     type = "NUMERIC", description = "Price." },
  { name = "valid_from", type = "TIMESTAMP", required = true, description = "From when on the row holds." },
  { name = "valid_to",   type = "TIMESTAMP", description = "From when on it no longer holds." },
  { name = "is_current", type = "BOOL", required = true, description = "Whether it holds." },
]

[[check]]
kind = "range"
column = "amount"
min = 0

[[check]]
kind = "row_count_change"
max = 10.0
severity = "warn"
"#;

const SQL: &str = "SELECT plan_id, market, amount FROM price\n";

pub const COPY: &str = r#"description = "What plans cost on a day."
owner       = "prices@example.com"
sql         = "sql/copy.sql"
inputs      = ["prices", { table = "prices", days_ago = 1, as = "before", optional = true }]

[table]
dataset   = "shop"
mode      = "partition"
grain     = ["snapshot_date", "plan_id", "market"]
partition = { column = "snapshot_date", by = "day" }
columns = [
  { name = "snapshot_date", type = "DATE", required = true, description = "Day." },
  { name = "plan_id",       type = "STRING", required = true, description = "Plan." },
  { name = "market",        type = "STRING", required = true, description = "Market." },
  { name = "amount",        type = "NUMERIC", description = "Price." },
  { name = "was",           type = "NUMERIC", description = "Price of the day before." },
  { name = "open",          type = "BOOL", required = true, description = "As the history says." },
]
"#;

pub const COPY_SQL: &str = "SELECT $snapshot_date AS snapshot_date, plan_id, market, p.amount, b.amount AS was, \
                        p.is_current AND p.valid_to IS NULL AS open \
                        FROM prices p LEFT JOIN before b USING (plan_id, market)";

pub const ALL: &str = "SELECT plan_id, market, CAST(amount AS BIGINT) AS amount, CAST(valid_from AS DATE) AS f, \
                   CAST(valid_to AS DATE) AS t, is_current FROM shop.prices ORDER BY 1, 2, 4";

/// A plan, a market and a price.
pub type Price = (&'static str, &'static str, Option<i64>);

pub fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    for stays_out in ["jobs", "sql", "tests"] {
        sandbox.remove(stays_out);
    }
    sandbox.write("jobs/snapshots/price.toml", CONTRACT);
    sandbox.write("jobs/prices.toml", JOB);
    sandbox.write("sql/prices.sql", SQL);
    sandbox
}

pub fn day(day: u32) -> String {
    format!("2026-02-{day:02}")
}

pub fn put(sandbox: &Sandbox, date: &str, prices: &[Price]) {
    let line = |(plan, market, amount): &Price| {
        let amount = amount.map_or("null".to_owned(), |amount| amount.to_string());
        format!("{{\"plan_id\":\"{plan}\",\"market\":\"{market}\",\"amount\":{amount},\"source_seq\":1}}\n")
    };
    let text: String = prices.iter().map(line).collect();
    sandbox.put_day("price", date, &[("part.jsonl", text.as_bytes())]);
}

/// Puts days from the 1st of February on and runs them.
pub fn with_days(days: &[&[Price]]) -> Sandbox {
    let sandbox = project();
    for (number, prices) in (1..).zip(days) {
        put(&sandbox, &day(number), prices);
        sandbox.run(&day(number)).exits(0);
    }
    sandbox
}

fn files(sandbox: &Sandbox) -> BTreeSet<String> {
    let ran = sandbox.gatefold(["query", "--format", "csv", "SELECT 1"]);
    ran.exits(0);
    let mut found = BTreeSet::new();
    for run in fs::read_dir(sandbox.path("lake/tables/shop/prices")).unwrap().map(|run| run.unwrap().path()) {
        if run.file_name().unwrap() != "_delta_log" {
            found.extend(fs::read_dir(&run).unwrap().map(|file| file.unwrap().path().display().to_string()));
        }
    }
    found
}

#[test]
fn rows_open_and_close_and_come_back() {
    let sandbox = with_days(&[
        &[("gold", "NO", Some(9)), ("gold", "SE", None), ("free", "NO", Some(0))],
        &[("gold", "NO", Some(9)), ("gold", "SE", Some(8)), ("free", "NO", Some(0))],
        &[("gold", "NO", None), ("gold", "SE", Some(8))],
        &[("gold", "NO", None), ("gold", "SE", Some(8)), ("free", "NO", Some(0))],
    ]);
    assert_eq!(
        sandbox.rows(ALL),
        [
            "free,NO,0,2026-02-01,2026-02-03,false",
            "free,NO,0,2026-02-04,,true",
            "gold,NO,9,2026-02-01,2026-02-03,false",
            "gold,NO,,2026-02-03,,true",
            "gold,SE,,2026-02-01,2026-02-02,false",
            "gold,SE,8,2026-02-02,,true",
        ]
    );
    let runs = sandbox.gatefold(["runs", "--format", "json"]).exits(0).json();
    let latest = runs.as_array().or_else(|| runs["runs"].as_array()).unwrap()[0]["run_id"].as_str().unwrap().to_owned();
    sandbox.gatefold(["show", &latest]).exits(0).prints(["1 opened, 0 closed, 2 unchanged"]);
}

#[test]
fn a_day_without_changes_writes_nothing_but_is_known() {
    let prices: &[Price] = &[("gold", "NO", Some(9))];
    let sandbox = with_days(&[prices]);
    let before = files(&sandbox);
    put(&sandbox, &day(2), prices);
    sandbox.run(&day(2)).exits(0).prints(["published, version 2: 0 opened, 0 closed, 1 unchanged"]);
    assert_eq!(files(&sandbox), before);
    for date in [day(2), day(1)] {
        sandbox.lake_stays(|| sandbox.run(&date).exits(0).prints(["already published from the same inputs"]).code);
        let plan = sandbox.gatefold(["plan", "--date", &date]);
        plan.exits(0).prints(["already published from the same inputs"]);
    }
}

#[test]
fn the_latest_day_may_change_and_an_earlier_one_asks_for_a_rebuild() {
    let sandbox = with_days(&[
        &[("gold", "NO", Some(9)), ("free", "NO", Some(0))],
        &[("gold", "NO", Some(8))],
        &[("gold", "NO", Some(7))],
    ]);
    put(&sandbox, &day(3), &[("gold", "NO", Some(8)), ("free", "NO", Some(0))]);
    sandbox.run(&day(3)).exits(0).prints(["1 opened, 0 closed, 1 unchanged"]);
    let expected = [
        "free,NO,0,2026-02-01,2026-02-02,false",
        "free,NO,0,2026-02-03,,true",
        "gold,NO,9,2026-02-01,2026-02-02,false",
        "gold,NO,8,2026-02-02,,true",
    ];
    assert_eq!(sandbox.rows(ALL), expected);

    put(&sandbox, &day(2), &[("gold", "NO", Some(9)), ("free", "NO", Some(0))]);
    let command = ["run", "prices", "--from", "2026-02-02", "--to", "2026-02-03", "--rebuild"];
    let typed = format!("gatefold {}", command.join(" "));
    sandbox.lake_stays(|| {
        sandbox.run(&day(2)).exits(2).says([typed.as_str(), "already at 2026-02-03", "have changed since"]);
        sandbox.gatefold(["run", "--force", "--date", &day(1)]).exits(2).says(["the days after it build on it"]);
        let short = ["run", "prices", "--from", "2026-02-02", "--to", "2026-02-02", "--rebuild"];
        sandbox.gatefold(short).exits(2).says(["cut it short", typed.as_str()]);
        put(&sandbox, "2026-01-31", &[("gold", "NO", Some(1))]);
        sandbox
            .run("2026-01-31")
            .exits(2)
            .says(["that day was skipped", "--from 2026-01-31 --to 2026-02-03 --rebuild"]);
        sandbox.gatefold(["plan", "--date", &day(2)]).exits(0).prints(["would be refused", typed.as_str()]);
    });
    sandbox.gatefold(command).exits(0);
    assert_eq!(
        sandbox.rows(ALL),
        ["free,NO,0,2026-02-01,,true", "gold,NO,9,2026-02-01,2026-02-03,false", "gold,NO,8,2026-02-03,,true",]
    );
}

/// Thirty days over the end of a month, in which prices move, vanish and come back.
fn thirty_days(sandbox: &Sandbox) -> Vec<String> {
    let first: gatefold::names::SnapshotDate = "2026-01-20".parse().unwrap();
    let dates: Vec<_> = std::iter::successors(Some(first), |date| date.next()).take(30).collect();
    for (number, date) in (0_i64..).zip(&dates) {
        let plans = ["gold", "silver", "free", "family"];
        let prices: Vec<Price> = (0_i64..)
            .zip(plans)
            .flat_map(|(p, plan)| (0_i64..).zip(["NO", "SE"]).map(move |(m, market)| (p * 2 + m, plan, market)))
            .filter(|(place, ..)| (number + place) % 7 != 0)
            .map(|(place, plan, market)| (plan, market, (place % 3 != 1).then_some((number + place * 5) / 6)))
            .collect();
        put(sandbox, &date.to_string(), &prices);
    }
    dates.iter().map(ToString::to_string).collect()
}

#[test]
fn a_rebuild_of_thirty_days_is_thirty_daily_runs() {
    let sandbox = project();
    let dates = thirty_days(&sandbox);
    for date in &dates {
        sandbox.run(date).exits(0);
    }
    let daily = sandbox.rows(ALL);
    assert!(daily.len() > 50, "{} rows prove little", daily.len());
    for from in [0, 11] {
        let (from, to) = (dates[from].as_str(), dates[29].as_str());
        let ran = sandbox.gatefold(["run", "prices", "--from", from, "--to", to, "--rebuild", "--format", "json"]);
        let told = ran.exits(0).json();
        assert_eq!(told["exit_code"], 0);
        assert!(told["runs"].as_array().unwrap().iter().all(|run| run["jobs"][0]["outcome"] == "published"));
        assert_eq!(sandbox.rows(ALL), daily, "from {from}");
    }
    let other = project();
    thirty_days(&other);
    other.gatefold(["run", "--from", &dates[0], "--to", &dates[29]]).exits(0);
    assert_eq!(other.rows(ALL), daily, "one range");
    other.gatefold(["run", "--from", &dates[0], "--to", &dates[29]]).exits(0).prints(["already published"]);
}

#[test]
fn a_range_ends_with_the_first_day_that_fails() {
    let sandbox = project();
    put(&sandbox, &day(1), &[("gold", "NO", Some(9))]);
    put(&sandbox, &day(3), &[("gold", "NO", Some(9))]);
    let ran = sandbox.gatefold(["run", "--from", &day(1), "--to", &day(3)]);
    ran.exits(10).says(["go on with: gatefold run --from 2026-02-02 --to 2026-02-03"]);
    sandbox.gatefold(["run", "--from", &day(2), "--to", &day(1)]).exits(2).says(["before it begins"]);
    sandbox.gatefold(["run", "--from", &day(1)]).exits(2);
    sandbox.gatefold(["run", "--date", &day(1), "--rebuild"]).exits(2);
}

#[test]
fn a_rebuild_without_a_history_is_refused() {
    let sandbox = crate::people::published();
    let date = crate::support::DAY;
    let ran = sandbox.gatefold(["run", "--from", date, "--to", date, "--rebuild"]);
    ran.exits(2).says(["there is no history to rebuild"]);
}

#[test]
fn other_jobs_and_queries_see_a_history_as_it_was() {
    let sandbox = with_days(&[
        &[("gold", "NO", Some(9)), ("free", "NO", Some(0))],
        &[("gold", "NO", Some(8))],
        &[("gold", "NO", Some(8)), ("free", "NO", Some(1))],
    ]);
    sandbox.write("jobs/copy.toml", COPY);
    sandbox.write("sql/copy.sql", COPY_SQL);
    for number in [3, 1, 2] {
        sandbox.gatefold(["run", "copy", "--date", &day(number)]).exits(0).prints(["published"]);
    }
    let rows = "SELECT CAST(snapshot_date AS VARCHAR) AS d, plan_id, CAST(amount AS BIGINT) AS a, \
                CAST(was AS BIGINT) AS w, open FROM shop.copy ORDER BY 1, 2";
    let copied = [
        "2026-02-01,free,0,,true",
        "2026-02-01,gold,9,,true",
        "2026-02-02,gold,8,9,true",
        "2026-02-03,free,1,,true",
        "2026-02-03,gold,8,8,true",
    ];
    assert_eq!(sandbox.rows(rows), copied);

    let as_of = |date: &str| {
        let sql = "SELECT plan_id, CAST(amount AS BIGINT) AS a, valid_to, is_current FROM shop.prices ORDER BY 1";
        let ran = sandbox.gatefold(["query", "--format", "csv", "--as-of", date, sql]);
        ran.exits(0).stdout.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(as_of(&day(1)), ["free,0,,true", "gold,9,,true"]);
    assert_eq!(as_of(&day(2)), ["gold,8,,true"]);
    assert_eq!(as_of("2026-01-31"), Vec::<String>::new());

    // A later day of the history leaves what was made from the earlier ones as it is.
    put(&sandbox, &day(4), &[]);
    sandbox
        .gatefold(["run", "copy", "--date", &day(4)])
        .exits(10)
        .says(["the history 'shop.prices' has not taken in 2026-02-04", "run prices for that day first"]);
    sandbox.gatefold(["run", "prices", "--date", &day(4)]).exits(0).prints(["0 opened, 2 closed, 0 unchanged"]);
    for number in 1..=3 {
        sandbox
            .gatefold(["run", "copy", "--date", &day(number)])
            .exits(0)
            .prints(["already published from the same inputs"]);
    }
    // Another day of its own does not.
    put(&sandbox, &day(4), &[("gold", "NO", Some(3))]);
    sandbox.gatefold(["run", "--date", &day(4)]).exits(0);
    assert_eq!(sandbox.rows(rows).len(), 6);
}

#[test]
fn who_is_forgotten_is_in_no_row() {
    let sandbox = project();
    sandbox.write("jobs/snapshots/left.toml", LEFT);
    sandbox.edit("jobs/prices.toml", "[\"price\"]", "[\"price\", \"left\"]");
    sandbox.edit(
        "jobs/prices.toml",
        "[[check]]\nkind = \"range\"",
        "forget = { column = \"market\", sql = \"sql/left.sql\" }\n\n[[check]]\nkind = \"range\"",
    );
    sandbox.write("sql/left.sql", "SELECT market FROM left");
    let left = |date: &str, markets: &[&str]| {
        let lines: String = markets.iter().map(|market| format!("{{\"market\":\"{market}\"}}\n")).collect();
        sandbox.put_day("left", date, &[("part.jsonl", lines.as_bytes())]);
    };
    put(&sandbox, &day(1), &[("gold", "NO", Some(9)), ("gold", "SE", Some(9))]);
    put(&sandbox, &day(2), &[("gold", "NO", Some(8)), ("gold", "SE", Some(8))]);
    put(&sandbox, &day(3), &[("gold", "NO", Some(8)), ("gold", "SE", Some(7))]);
    put(&sandbox, &day(4), &[("gold", "NO", Some(8)), ("gold", "SE", Some(7))]);
    for (number, markets) in [(1, &[][..]), (2, &[]), (3, &["SE", "DK"]), (4, &["SE", "DK"])] {
        left(&day(number), markets);
    }
    sandbox.gatefold(["run", "--from", &day(1), "--to", &day(2)]).exits(0);
    sandbox.run(&day(3)).exits(0).prints(["0 opened, 0 closed, 1 unchanged, 2 forgotten"]);
    let rows = ["gold,NO,9,2026-02-01,2026-02-02,false", "gold,NO,8,2026-02-02,,true"];
    assert_eq!(sandbox.rows(ALL), rows);
    let before = files(&sandbox);
    sandbox.run(&day(4)).exits(0).prints(["0 opened, 0 closed, 1 unchanged"]);
    assert_eq!(files(&sandbox), before);

    sandbox.write("sql/left.sql", "SELECT market, 1 FROM left");
    sandbox.gatefold(["check"]).exits(2).says(["returns 2 columns and not one", "sql/left.sql", "jobs/prices.toml:"]);
    sandbox.write("sql/left.sql", "SELECT 1 AS market FROM left");
    sandbox.gatefold(["check"]).exits(2).says(["the model gives 'market' as", "the table wants STRING"]);
    sandbox.write("sql/left.sql", "SELECT market FROM lft");
    sandbox.gatefold(["check"]).exits(2).says(["sql/left.sql:1:"]);
    sandbox.remove("sql/left.sql");
    sandbox.gatefold(["check"]).exits(2).says(["'sql/left.sql' does not exist"]);
}

#[test]
fn a_new_column_is_null_in_old_rows_and_a_value_in_it_is_a_change() {
    let sandbox = with_days(&[&[("gold", "NO", Some(9)), ("free", "NO", None)]]);
    sandbox.edit(
        "jobs/prices.toml",
        "  { name = \"valid_from\"",
        "  { name = \"twice\",      type = \"NUMERIC\", description = \"Twice.\" },\n  { name = \"valid_from\"",
    );
    sandbox.write(
        "sql/prices.sql",
        "SELECT plan_id, market, amount, CAST(amount * 2 AS DECIMAL(38, 9)) AS twice FROM price",
    );
    put(&sandbox, &day(2), &[("gold", "NO", Some(9)), ("free", "NO", None)]);
    sandbox.run(&day(2)).exits(0).prints(["1 opened, 1 closed, 1 unchanged"]);
    let sql = "SELECT plan_id, CAST(twice AS BIGINT) AS t, is_current FROM shop.prices ORDER BY 1, valid_from";
    assert_eq!(sandbox.rows(sql), ["free,,true", "gold,,false", "gold,18,true"]);
}

#[test]
fn a_blocking_finding_leaves_the_history_as_it_is() {
    let sandbox = with_days(&[&[("gold", "NO", Some(9))]]);
    put(&sandbox, &day(2), &[("gold", "NO", Some(-1))]);
    let files_before = files(&sandbox);
    sandbox.lake_stays(|| sandbox.run(&day(2)).exits(12).says(["range(amount)", "plan_id=gold"]).code);
    sandbox.write(
        "sql/prices.sql",
        "SELECT plan_id, market, amount FROM price UNION ALL SELECT plan_id, market, amount FROM price",
    );
    put(&sandbox, &day(2), &[("gold", "NO", Some(9))]);
    sandbox.lake_stays(|| sandbox.run(&day(2)).exits(12).says(["unique(plan_id, market)"]).code);
    assert_eq!(files(&sandbox), files_before);
}

/// `check` refuses the job after this edit, in these words.
fn refused(from: &str, to: &str, words: &[&str]) {
    let sandbox = project();
    sandbox.edit("jobs/prices.toml", from, to);
    let ran: Ran = sandbox.gatefold(["check"]);
    ran.exits(2).says(words.iter().copied()).says(["jobs/prices.toml:", "hint:"]);
}

#[test]
fn what_a_job_says_wrongly_of_a_history_is_told_at_its_place() {
    refused(", \"valid_from\"]", "]", &["the grain of a history is its key columns and valid_from", "toml:9:13"]);
    refused("[\"plan_id\", \"market\", \"valid_from\"]", "[\"valid_from\"]", &["its key columns and valid_from"]);
    refused("by = \"month\"", "by = \"day\"", &["a history is partitioned by the month", "toml:10:43"]);
    refused("column = \"valid_from\"", "column = \"valid_to\"", &["a history is not partitioned by 'valid_to'"]);
    refused("partition = {", "# partition = {", &["the key 'partition' is missing", "toml:8:13"]);
    refused(
        "valid_to\",   type = \"TIMESTAMP\"",
        "valid_to\",   type = \"DATE\"",
        &["'valid_to' of a history is TIMESTAMP, not DATE"],
    );
    refused(
        "\"valid_to\",   type",
        "\"valid_too\",   type",
        &["a history has the column 'valid_to', and it is not declared"],
    );
    refused("type = \"BOOL\", required = true", "type = \"BOOL\"", &["'is_current' of a history is required"]);
    refused(
        "mode      = \"history\"",
        "mode      = \"partition\"",
        &["the partition column 'valid_from' is TIMESTAMP"],
    );
    let forget = |column: &str| {
        format!("cluster   = [\"market\"]\nforget    = {{ column = \"{column}\", sql = \"sql/prices.sql\" }}")
    };
    refused("cluster   = [\"market\"]", &forget("mrket"), &["there is no column 'mrket'"]);
    refused("cluster   = [\"market\"]", &forget("valid_to"), &["'valid_to' does not say whose a row is"]);

    let sandbox = project();
    sandbox.write("sql/prices.sql", "SELECT plan_id, market, amount, true AS is_current FROM price");
    sandbox.gatefold(["check"]).exits(2).says(["the model selects 'is_current', which the engine fills in a history"]);
    let sandbox = crate::people::project();
    sandbox.edit("jobs/people.toml", "by = \"day\"", "by = \"month\"");
    sandbox.gatefold(["check"]).exits(2).says(["a table that is replaced by the day is partitioned by the day"]);
    sandbox.edit(
        "jobs/people.toml",
        "by = \"month\" }",
        "by = \"day\" }\nforget = { column = \"person_id\", sql = \"sql/people.sql\" }",
    );
    sandbox.gatefold(["check"]).exits(2).says(["only a history forgets"]);
}

#[test]
fn model_tests_speak_of_the_state_and_read_open_rows() {
    let sandbox = project();
    sandbox.write("jobs/copy.toml", COPY);
    sandbox.write("sql/copy.sql", COPY_SQL);
    sandbox.write(
        "tests/models/prices.toml",
        r#"model = "prices"
[[test]]
name = "a price is what it is"
date = "2026-02-01"
given.price = [{ plan_id = "gold", market = "NO", amount = "9" }]
expect = [{ plan_id = "gold", market = "NO", amount = "9" }]
"#,
    );
    let copy = r#"model = "copy"
[[test]]
name = "open rows are copied"
date = "2026-02-01"
given.prices = [{ plan_id = "gold", market = "NO", amount = "9" }]
expect = [{ plan_id = "gold", open = true }]
"#;
    sandbox.write("tests/models/copy.toml", copy);
    sandbox.gatefold(["test"]).exits(0);
    sandbox.edit(
        "tests/models/prices.toml",
        "given.price = [{ plan_id = \"gold\", market = \"NO\", amount = \"9\"",
        "given.price = [{ plan_id = \"gold\", market = \"NO\", amount = \"8\"",
    );
    sandbox.gatefold(["test"]).exits(12);
    sandbox.edit("tests/models/prices.toml", "expect = [{", "expect = [{ is_current = true,");
    sandbox.gatefold(["test"]).exits(2).says(["there is no column 'is_current'"]);
    sandbox.remove("tests/models/prices.toml");
    sandbox.edit("tests/models/copy.toml", "amount = \"9\"", "is_current = false");
    sandbox.gatefold(["test"]).exits(2).says(["'is_current' is the same in every row and is not given"]);
}

/// Kills a run of the second day at every step, and finds the table as before it or as after it; the same command again
/// ends in the same rows.
#[test]
fn a_killed_day_is_finished_by_the_same_command() {
    let days: [&[Price]; 2] = [
        &[("gold", "NO", Some(9)), ("gold", "SE", Some(9)), ("free", "NO", Some(0))],
        &[("gold", "NO", Some(8)), ("gold", "SE", Some(9))],
    ];
    let undisturbed = with_days(&days);
    let (old, new) = (with_days(&days[..1]).rows(ALL), undisturbed.rows(ALL));
    let steps = ["job_started", "inputs_resolved", "staged", "audited", "commit", "published", "run_finished"];
    for (again, step) in steps.iter().enumerate() {
        for when in ["before", "after"] {
            let sandbox = with_days(&days[..1]);
            put(&sandbox, &day(2), days[1]);
            let point = format!("{when}:{step}");
            let died = sandbox.command(["run", "--date", &day(2)]).env("GATEFOLD_CRASH_AT", &point).output().unwrap();
            assert_eq!(died.status.code(), None, "{point} was never reached");
            let committed = again > 4 || point == "after:commit";
            assert_eq!(sandbox.rows(ALL), if committed { new.clone() } else { old.clone() }, "{point}");
            let finished = sandbox.run(&day(2));
            finished.exits(0);
            assert_eq!(finished.stdout.contains("already published"), committed, "{point}: {}", finished.stdout);
            assert_eq!(sandbox.rows(ALL), new, "{point}");
            assert_eq!(files(&sandbox).len(), files(&undisturbed).len(), "{point} left files that nothing names");
        }
    }
}

#[test]
fn one_run_at_a_time_may_change_a_history() {
    let sandbox = with_days(&[&[("gold", "NO", Some(9))]]);
    put(&sandbox, &day(2), &[("gold", "NO", Some(8))]);
    put(&sandbox, &day(3), &[("gold", "NO", Some(7))]);
    let lake = gatefold::storage::Storage::create_local(&sandbox.path("lake")).unwrap();
    let table = gatefold::names::TableName::new("shop", "prices").unwrap();
    let holder = gatefold::pipeline::RunContext::new_run_id();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let whole = gatefold::names::Partition::Change(day(2).parse().unwrap()).leased();
        let lease = gatefold::record::acquire(&lake, &table, &whole, &holder).await.unwrap();
        sandbox.lake_stays(|| sandbox.run(&day(3)).exits(14).says([holder.as_str()]).code);
        lease.release().await.unwrap();
    });
    sandbox.run(&day(3)).exits(0);
}
