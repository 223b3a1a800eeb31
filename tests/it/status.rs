//! `gatefold status` on what real runs leave behind. The instant that is asked about is given; the runs are of today.

use std::fs;

use serde_json::Value;

use crate::people::{Person, ada_and_bob, batch, person, project, project_with, published};
use crate::support::{DAY, DAY_BEFORE, Ran, Sandbox};

const IN_TIME: &str = "2026-11-21T05:00:00Z";
/// An hour at which the day after [`DAY`] is two hours late.
const TOO_LATE: &str = "2026-11-22T08:00:00Z";

/// A job that reads the table of `people`.
const READER: &str = r#"description = "How many people there are."
owner       = "people@example.com"
sql         = "sql/people_count.sql"
inputs      = ["people"]

[table]
dataset = "shop"
mode    = "replace"
grain   = ["people"]
columns = [{ name = "people", type = "INT64", required = true, description = "How many." }]
"#;

fn promised(sandbox: &Sandbox) {
    let job = sandbox.read("jobs/people.toml");
    sandbox.write("jobs/people.toml", format!("{job}\n[promise]\nready_by = \"06:00\"\n"));
}

/// Published for [`DAY`], and promised for six.
fn sandbox() -> Sandbox {
    let sandbox = project_with(&ada_and_bob());
    promised(&sandbox);
    sandbox.run(DAY).exits(0);
    sandbox
}

fn with_reader(sandbox: &Sandbox) {
    sandbox.write("jobs/people_count.toml", READER);
    sandbox.write("sql/people_count.sql", "SELECT count(*) AS people FROM people\n");
}

fn status(sandbox: &Sandbox, now: &str) -> Ran {
    sandbox.gatefold(["status", "--now", now])
}

fn json(sandbox: &Sandbox, now: &str) -> Value {
    sandbox.gatefold(["status", "--now", now, "--format", "json"]).json()
}

fn last_run(sandbox: &Sandbox) -> String {
    let runs = sandbox.gatefold(["runs", "--limit", "1", "--format", "json"]).json();
    runs[0]["run_id"].as_str().unwrap().to_owned()
}

/// The files of the events of the last run.
fn event(sandbox: &Sandbox, date: &str, name: &str) -> std::path::PathBuf {
    let folder = sandbox.path(format!("lake/runs/{date}/{}", last_run(sandbox)));
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.find(|path| path.to_string_lossy().ends_with(&format!("-{name}.json"))).unwrap()
}

#[test]
fn all_is_well_after_a_run_in_time() {
    let sandbox = sandbox();
    let told = status(&sandbox, IN_TIME);
    told.exits(0).prints(["all is well", "shop.people", DAY, "on time", "ok", "pass"]);
    assert_eq!(told.stderr, "");
    let table = &json(&sandbox, IN_TIME)["tables"][0];
    assert_eq!((&table["latest"]["date"], &table["latest"]["rows"]), (&DAY.into(), &2.into()));
    assert_eq!((&table["last_run"]["outcome"], &table["in_bigquery"]), (&"published".into(), &Value::Null));
    assert_eq!(table["trend"], serde_json::json!([{ "date": DAY, "rows": 2 }]));
    sandbox.run(DAY).exits(0);
    assert_eq!(json(&sandbox, IN_TIME)["tables"][0]["last_run"]["outcome"], "up_to_date");
    sandbox.gatefold(["status", "nobody"]).exits(2).says(["there is no job 'nobody'"]);
}

#[test]
fn a_project_on_its_first_day_says_how_to_begin() {
    let sandbox = project();
    let told = status(&sandbox, IN_TIME);
    told.exits(10).prints(["nothing was published yet", "gatefold run --project "]);
}

#[test]
fn a_day_that_is_not_there_is_late_and_says_what_waits() {
    let sandbox = sandbox();
    with_reader(&sandbox);
    sandbox.run(DAY).exits(0);
    status(&sandbox, "2026-11-22T05:59:00Z").exits(0).prints(["all is well"]);
    status(&sandbox, TOO_LATE).exits(10).prints([
        "late 2h",
        "shop.people: late since 2026-11-22 06:00 UTC, 2 h: 2026-11-21 is not there; the last run was for 2026-11-20",
        "waited for by people_count",
        "gatefold run people --date 2026-11-21 --project ",
    ]);
}

#[test]
fn a_check_that_blocks_needs_a_person_who_is_led_to_the_rows() {
    let sandbox = sandbox();
    with_reader(&sandbox);
    sandbox.put_rows("person", "2026-11-21", &batch(&[Person { visits: Some(-4), ..person("eve") }]));
    sandbox.run("2026-11-21").exits(12);
    let told = status(&sandbox, TOO_LATE);
    told.exits(12).prints([
        "failed (12)",
        "1 block",
        "the run for 2026-11-21 failed (12): a check blocks: range(visits): visits below 0 in 1 of 1 row",
        "late since 2026-11-22 06:00 UTC",
        "waited for by people_count (1 late or missing with it)",
        &format!("gatefold show {}", last_run(&sandbox)),
    ]);
    let json = json(&sandbox, TOO_LATE);
    assert_eq!(json["exit_code"], 12);
    // What was skipped because of it is no trouble of its own.
    assert_eq!(
        (&json["problems"][1]["job"], &json["problems"][1]["because"]),
        (&"people_count".into(), &"people".into())
    );
    assert!(!told.stdout.contains("shop.people_count: "), "{}", told.stdout);
    sandbox.gatefold(["status", "people_count", "--now", IN_TIME]).exits(10).prints(["skipped it, because people did"]);
}

#[test]
fn an_input_that_is_broken_needs_a_person_and_a_late_one_does_not() {
    let sandbox = sandbox();
    sandbox.run("2026-11-21").exits(10);
    status(&sandbox, "2026-11-22T05:00:00Z")
        .exits(0)
        .prints(["all is well", "failed (10): the snapshot 'person' has no"]);
    status(&sandbox, TOO_LATE).exits(10);
    sandbox.put_day("person", "2026-11-21", &[("part-00000.parquet", b"this is not Parquet")]);
    sandbox.run("2026-11-21").exits(11);
    status(&sandbox, IN_TIME).exits(12).prints(["failed (11)"]);
    // Who mends an old day says nothing of the newest.
    sandbox.put_rows("person", DAY_BEFORE, &batch(&ada_and_bob()));
    sandbox.run(DAY_BEFORE).exits(0);
    status(&sandbox, IN_TIME).exits(12).prints(["failed (11)"]);
}

#[test]
fn a_check_that_warns_is_told_and_all_is_well() {
    let sandbox = project_with(&[Person { visits: Some(-4), ..person("eve") }]);
    promised(&sandbox);
    sandbox.edit("jobs/people.toml", "min    = 0\n", "min    = 0\nseverity = \"warn\"\n");
    sandbox.run(DAY).exits(0);
    status(&sandbox, IN_TIME).exits(0).prints(["1 warn", "all is well", "checks warn: range(visits)", "gatefold show"]);
    // A run that did nothing leaves the verdict of the audit before it.
    sandbox.run(DAY).exits(0);
    status(&sandbox, IN_TIME).exits(0).prints(["up to date", "1 warn"]);
}

#[test]
fn a_run_that_died_is_told_with_the_command_that_ends_its_work() {
    let sandbox = sandbox();
    sandbox.put_rows("person", "2026-11-21", &batch(&ada_and_bob()));
    let mut run = sandbox.command(["run", "--date", "2026-11-21"]);
    sandbox.ran(run.env("GATEFOLD_CRASH_AT", "after:staged")).exits(-1);
    status(&sandbox, IN_TIME).exits(10).prints([
        "interrupted",
        "the run for 2026-11-21 that began",
        "gatefold run people --date 2026-11-21",
    ]);
    sandbox.run("2026-11-21").exits(0);
    status(&sandbox, IN_TIME).exits(0);
}

#[test]
fn damage_is_told_and_everything_else_besides() {
    let sandbox = sandbox();
    with_reader(&sandbox);
    sandbox.run(DAY).exits(0);
    let published = event(&sandbox, DAY, "published");
    let half = fs::read(&published).unwrap();
    fs::write(&published, &half[..half.len() / 2]).unwrap();
    let told = status(&sandbox, IN_TIME);
    told.exits(10).prints([
        "shop.people ",
        "not told",
        "warning: the record of run",
        "published.json cannot be read: EOF",
    ]);

    // A record that is gone as a whole costs what only it knew.
    fs::remove_dir_all(sandbox.path("lake/runs")).unwrap();
    let table =
        json(&sandbox, IN_TIME)["tables"].as_array().unwrap().iter().find(|t| t["job"] == "people").unwrap().clone();
    assert_eq!((&table["latest"]["date"], &table["last_run"]), (&DAY.into(), &Value::Null));

    let log = sandbox.path("lake/tables/shop/people_count/_delta_log/00000000000000000001.json");
    fs::write(log, "{").unwrap();
    let told = status(&sandbox, IN_TIME);
    told.exits(12).prints(["unreadable", "shop.people_count: its log cannot be read", "shop.people ", DAY]);
}

#[test]
fn a_day_between_others_that_was_left_out_is_missing() {
    let sandbox = sandbox();
    for day in ["2026-11-17", "2026-11-18"] {
        sandbox.put_rows("person", day, &batch(&ada_and_bob()));
        sandbox.run(day).exits(0);
    }
    status(&sandbox, IN_TIME)
        .exits(10)
        .prints(["days are missing before the latest: 2026-11-19", "gatefold run people --date 2026-11-19"]);
}

#[test]
fn what_no_receipt_tells_of_is_not_in_bigquery() {
    let sandbox = sandbox();
    let settings = sandbox.read("gatefold.toml");
    let warehouse = "[env.warehouse]\nlake = \"lake\"\n\n[env.warehouse.bigquery]\nproject = \"acme\"\nlocation = \"US\"\nstaging = \"gs://bucket/staging\"\n";
    sandbox.write("gatefold.toml", format!("{settings}\n{warehouse}"));
    status(&sandbox, IN_TIME).exits(0);
    sandbox.gatefold(["status", "--env", "warehouse", "--now", IN_TIME]).exits(10).prints([
        "not yet",
        "the lake shows 2026-11-20, and BigQuery does not yet",
        "gatefold run people --date 2026-11-20 --env warehouse",
    ]);
    // A receipt of other files is none for these.
    let receipt = r#"{ "shown": { "content": "x", "rows": 2, "bytes": 9, "table_created": "1", "job": "j" } }"#;
    sandbox.write("lake/receipts/acme/shop.people/2026-11-20.json", receipt);
    sandbox.gatefold(["status", "--env", "warehouse", "--now", IN_TIME]).exits(10).prints(["not yet"]);
}

#[test]
fn a_history_and_a_whole_table_stand_beside_a_table_of_days() {
    let sandbox = sandbox();
    with_reader(&sandbox);
    sandbox.write("jobs/people_history.toml", HISTORY);
    sandbox.write("sql/people_history.sql", "SELECT person_id, plan FROM person\n");
    sandbox.run(DAY).exits(0);
    let table = |name: &str| {
        let json = json(&sandbox, IN_TIME);
        json["tables"].as_array().unwrap().iter().find(|table| table["job"] == name).unwrap().clone()
    };
    let history = table("people_history");
    assert_eq!((&history["latest"]["date"], &history["latest"]["rows"]), (&DAY.into(), &2.into()));
    assert_eq!(history["trend"], serde_json::json!([{ "date": DAY, "rows": 2 }]));
    sandbox.put_rows("person", "2026-11-21", &batch(&[person("ada"), person("eve"), person("joe")]));
    sandbox.run("2026-11-21").exits(0);
    let history = table("people_history");
    assert_eq!((&history["latest"]["rows"], &history["trend"][1]["rows"]), (&3.into(), &3.into()));
    let whole = table("people_count");
    assert_eq!((&whole["latest"]["date"], &whole["latest"]["rows"]), (&"2026-11-21".into(), &1.into()));
}

const HISTORY: &str = r#"description = "What people had, from when to when."
owner       = "people@example.com"
sql         = "sql/people_history.sql"
inputs      = ["person"]

[table]
dataset   = "shop"
mode      = "history"
grain     = ["person_id", "valid_from"]
partition = { column = "valid_from", by = "month" }
columns = [
  { name = "person_id",  type = "STRING", required = true, description = "Person." },
  { name = "plan",       type = "STRING", required = true, description = "What they have." },
  { name = "valid_from", type = "TIMESTAMP", required = true, description = "From when on the row holds." },
  { name = "valid_to",   type = "TIMESTAMP", description = "From when on it no longer holds." },
  { name = "is_current", type = "BOOL", required = true, description = "Whether it holds." },
]
"#;

#[test]
fn the_story_of_a_failed_run_ends_with_what_to_do() {
    let sandbox = published();
    with_reader(&sandbox);
    sandbox.put_rows("person", "2026-11-21", &batch(&[Person { visits: Some(-4), ..person("eve") }]));
    sandbox.run("2026-11-21").exits(12);
    let told = sandbox.gatefold(["show"]);
    told.exits(0).prints([
        "for 2026-11-21 in local: failed (12)",
        "reads snapshot person of 2026-11-21: 1 rows",
        "checks: 3 of 4 passed",
        "BLOCKS range(visits): visits below 0 in 1 of 1 row",
        "person_id=eve",
        "skipped because of it: people_count",
        "error: a check blocks",
        "partition: 2026-11-21",
        "hint: nothing was published",
        "people_count: skipped, because people did not succeed",
        "to make it again: gatefold run people people_count --date 2026-11-21 --env local --force",
        "mend the source, the model or the check, then: gatefold run people people_count --date 2026-11-21 --env local",
    ]);
    for same in ["latest", "people", "people_count", &last_run(&sandbox)] {
        assert_eq!(sandbox.gatefold(["show", same]).stdout, told.stdout, "{same}");
    }
    let events = sandbox.gatefold(["show", "--events"]);
    events.exits(0).prints(["audited, blocked", "finished with exit 12"]);
    project().gatefold(["show"]).exits(2).says(["this lake has no runs yet"]);
    project().gatefold(["show", "people"]).exits(2).says(["no run has named the job 'people'"]);
}
