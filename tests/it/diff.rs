//! `gatefold diff`: two days of a table, and two environments.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::history::{Price, day, put, with_days};
use crate::people::{CONTRACT, JOB, Person, SQL, ada_and_bob, batch, person, project, project_with, published};
use crate::support::{DAY, DAY_BEFORE, Ran, Sandbox};

/// Cid goes, Dot and Eve come, Bob moves, and both Ada and Bob visit.
fn two_days() -> Sandbox {
    let sandbox = project_with(&[
        Person { visits: Some(4), ..person("ada") },
        Person { city: Some("Bergen"), plan: "paid", visits: Some(9), ..person("bob") },
        person("dot"),
        person("eve"),
        person("fay"),
    ]);
    let before = [ada_and_bob(), vec![person("cid"), person("fay")]].concat();
    sandbox.put_rows("person", DAY_BEFORE, &batch(&before));
    for date in [DAY_BEFORE, DAY] {
        sandbox.run(date).exits(0);
    }
    sandbox
}

fn diff(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.gatefold([&["diff"], arguments].concat())
}

fn days(sandbox: &Sandbox, table: &str, more: &[&str]) -> Ran {
    diff(sandbox, &[&[table, "--from", DAY_BEFORE, "--to", DAY], more].concat())
}

fn told(ran: &Ran) -> Value {
    ran.exits(0);
    ran.json()
}

#[test]
fn two_days_are_told_to_people() {
    let sandbox = two_days();
    let ran = sandbox.lake_stays(|| days(&sandbox, "people", &[]));
    ran.exits(0);
    assert_eq!(ran.stderr, "");
    insta::assert_snapshot!(ran.stdout, @r"
    shop.people: from 2026-11-19 to 2026-11-20

    rows of 2026-11-19  removed  added  changed  unchanged  rows of 2026-11-20
                     4        1      2        2          1                   5

    column  changed    share  for example
    visits        2  100.0 %  person_id=ada: 3 -> 4
                              person_id=bob: 3 -> 9
    city          1   50.0 %  person_id=bob: null -> Bergen
    5 other columns are the same in all rows that both have

    added, for example:
      person_id=dot
      person_id=eve

    removed, for example:
      person_id=cid
    ");
    assert_eq!(fs::read_dir(sandbox.path("lake/work")).unwrap().count(), 0, "something is left");
}

#[test]
fn two_days_are_told_to_programs() {
    let sandbox = two_days();
    let report = told(&days(&sandbox, "shop.people", &["--format", "json", "--examples", "1"]));
    assert_eq!(report["rows"], json!({ "from": 4, "to": 5, "added": 2, "removed": 1, "changed": 2, "unchanged": 1 }));
    assert_eq!(
        (&report["table"], &report["from"], &report["to"]),
        (&json!("shop.people"), &json!(DAY_BEFORE), &json!(DAY))
    );
    assert_eq!(report["added"], json!([{ "person_id": "dot" }]));
    assert_eq!(report["removed"], json!([{ "person_id": "cid" }]));
    let columns = report["columns"].as_array().unwrap();
    let changed: Vec<(&str, u64)> =
        columns.iter().map(|column| (column["name"].as_str().unwrap(), column["changed"].as_u64().unwrap())).collect();
    let expected =
        [("city", 1), ("plan", 0), ("visits", 2), ("born", 0), ("seen_at", 0), ("balance", 0), ("active", 0)];
    assert_eq!(changed, expected);
    let city = json!([{ "key": { "person_id": "bob" }, "before": null, "after": "Bergen" }]);
    assert_eq!(columns[0]["examples"], city);
    let visits = json!([{ "key": { "person_id": "ada" }, "before": "3", "after": "4" }]);
    assert_eq!(columns[2]["examples"], visits);
}

#[test]
fn the_exit_code_tells_when_it_is_asked_to() {
    let sandbox = two_days();
    days(&sandbox, "people", &["--exit-code"]).exits(12);
    sandbox.put_rows("person", DAY, &batch(&[ada_and_bob(), vec![person("cid"), person("fay")]].concat()));
    sandbox.run(DAY).exits(0);
    let same = days(&sandbox, "people", &["--exit-code"]);
    same.exits(0).prints(["unchanged"]);
    assert!(!same.stdout.contains("for example"), "{}", same.stdout);
}

#[test]
fn what_cannot_be_compared_is_refused_with_a_way_out() {
    let sandbox = published();
    let refused = |arguments: &[&str], code: i32, texts: &[&str]| {
        diff(&sandbox, arguments).exits(code).says(texts.iter().copied());
    };
    refused(
        &["poeple", "--from", DAY_BEFORE, "--to", DAY],
        2,
        &["no job is or makes 'poeple'", "did you mean 'people'?"],
    );
    refused(&["people", "--from", DAY, "--to", DAY], 2, &["2026-11-20 is compared with itself"]);
    refused(&["people"], 2, &["--from", "--against"]);
    refused(
        &["people", "--from", "2026-11-01", "--to", DAY],
        10,
        &[
            "shop.people of 2026-11-01 is not published",
            "the nearest are 2026-11-20; gatefold run people --date 2026-11-01",
        ],
    );
    refused(&["people", "--date", DAY, "--against", "prod"], 2, &["there is no environment 'prod'"]);
    refused(&["people", "--date", DAY, "--against", "local"], 2, &["'local' is compared with itself"]);
    other_environment(&sandbox);
    refused(&["people", "--against", "other"], 2, &["shop.people has days, and none is named", "--date"]);
    refused(&["people", "--date", DAY, "--against", "other"], 2, &["the folder cannot be used", "lake-other"]);
    assert!(!sandbox.path("lake-other").exists(), "looking at it made it");
    fs::create_dir(sandbox.path("lake-other")).unwrap();
    refused(&["people", "--date", DAY, "--against", "other"], 10, &["shop.people was never published", "lake-other"]);
}

fn other_environment(sandbox: &Sandbox) {
    let config = sandbox.read("gatefold.toml");
    sandbox.write(
        "gatefold.toml",
        format!("{config}\n[env.other]\nlake = \"lake-other\"\nsnapshots = \"lake/snapshots\"\n"),
    );
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    fs::read_dir(from).unwrap().map(Result::unwrap).for_each(|entry| copy(&entry.path(), &to.join(entry.file_name())));
}

#[test]
fn an_environment_is_held_against_another_and_what_is_the_same_is_not_read() {
    let sandbox = published();
    other_environment(&sandbox);
    copy(&sandbox.path("lake/tables"), &sandbox.path("lake-other/tables"));
    let against = ["people", "--date", DAY, "--against", "other", "--format", "json"];
    let same = told(&diff(&sandbox, &against));
    assert_eq!((&same["rows"]["unchanged"], &same["rows"]["changed"]), (&json!(2), &json!(0)));
    assert!(same["shared_files"].as_u64().unwrap() > 0, "{same}");

    sandbox.put_rows("person", DAY, &batch(&[person("ada"), person("bob")]));
    sandbox.run(DAY).exits(0);
    let changed = told(&diff(&sandbox, &against));
    assert_eq!((&changed["from"], &changed["to"], &changed["date"]), (&json!("other"), &json!("local"), &json!(DAY)));
    assert_eq!(changed["rows"], json!({ "from": 2, "to": 2, "added": 0, "removed": 0, "changed": 1, "unchanged": 1 }));
    let plan = json!([{ "key": { "person_id": "bob" }, "before": "paid", "after": "free" }]);
    assert_eq!(changed["columns"][1]["examples"], plan);
    assert_eq!(changed["shared_files"], json!(0));
}

#[test]
fn a_table_that_is_replaced_has_no_two_days_but_another_environment() {
    let sandbox = project();
    let whole = |text: &str| {
        text.replace("mode      = \"partition\"", "mode      = \"replace\"")
            .replace("partition = { column = \"snapshot_date\", by = \"day\" }\n", "")
            .replace("grain     = [\"snapshot_date\", \"person_id\"]", "grain     = [\"person_id\"]")
    };
    sandbox.write("jobs/people.toml", whole(JOB));
    other_environment(&sandbox);
    for (env, visits) in [("other", 1), ("local", 2)] {
        sandbox.put_rows("person", DAY, &batch(&[Person { visits: Some(visits), ..person("ada") }]));
        sandbox.gatefold(["run", "--date", DAY, "--env", env]).exits(0);
    }
    days(&sandbox, "people", &[]).exits(2).says(["shop.people shows one day", "--against"]);
    let report = told(&diff(&sandbox, &["people", "--against", "other", "--format", "json"]));
    assert_eq!(report["rows"]["changed"], json!(1));
    let visits = report["columns"].as_array().unwrap().iter().find(|column| column["name"] == "visits").unwrap();
    assert_eq!((&visits["examples"][0]["before"], &visits["examples"][0]["after"]), (&json!("1"), &json!("2")));
}

#[test]
fn a_column_that_one_day_does_not_have_is_told_and_not_compared() {
    let sandbox = project_with(&ada_and_bob());
    sandbox.put_rows("person", DAY_BEFORE, &batch(&ada_and_bob()));
    let line =
        "  { name = \"active\",        type = \"BOOL\", required = true, description = \"Whether they may come.\" },\n";
    let new = "  { name = \"tags\",          type = \"ARRAY<STRING>\", description = \"What they like.\" },\n";
    sandbox.run(DAY_BEFORE).exits(0);
    sandbox.write("jobs/people.toml", JOB.replace(line, &format!("{line}{new}")));
    sandbox.write("sql/people.sql", SQL.replace("balance, active", "balance, active, ['tea'] AS tags"));
    sandbox.run(DAY).exits(0);
    let ran = days(&sandbox, "people", &[]);
    ran.exits(0).prints(["only in 2026-11-20, not compared: tags"]);
    let report = told(&days(&sandbox, "people", &["--format", "json"]));
    assert_eq!((&report["only_to"], &report["rows"]["unchanged"]), (&json!(["tags"]), &json!(2)));
}

#[test]
fn what_names_a_person_is_never_printed() {
    let sandbox = two_days();
    sandbox.edit("gatefold.toml", "restricted_datasets = [\"users_restricted\"]", "restricted_datasets = [\"shop\"]");
    for (file, text) in [("jobs/snapshots/person.toml", CONTRACT), ("jobs/people.toml", JOB)] {
        let direct = ["person_id", "city"].iter().fold(text.to_owned(), |text, column| {
            let (head, tail) = text.split_once(&format!("{{ name = \"{column}\",")).unwrap();
            format!("{head}{{ name = \"{column}\", pii = \"direct\",{tail}")
        });
        sandbox.write(file, direct);
    }
    for format in ["table", "json"] {
        let ran = days(&sandbox, "people", &["--format", format]);
        ran.exits(0).prints(["<withheld>"]);
        for secret in ["ada", "bob", "cid", "dot", "Bergen"] {
            assert!(!ran.stdout.contains(secret), "{secret}:\n{}", ran.stdout);
        }
    }
}

const FEBRUARY: [&[Price]; 4] = [
    &[("mid", "NO", Some(1)), ("mid", "SE", Some(2)), ("top", "NO", Some(3))],
    &[("mid", "NO", Some(1)), ("mid", "SE", Some(5)), ("top", "SE", None)],
    &[("mid", "NO", Some(1)), ("mid", "SE", Some(2)), ("top", "SE", None)],
    &[("mid", "NO", Some(7)), ("mid", "SE", Some(2)), ("top", "SE", Some(4))],
];

#[test]
fn two_days_of_a_history_are_their_states() {
    let sandbox = with_days(&FEBRUARY);
    for from in 1..=4 {
        for to in (1..=4).filter(|to| *to != from) {
            let arguments = ["prices", "--from", &day(from), "--to", &day(to), "--format", "json"];
            let report = told(&diff(&sandbox, &arguments));
            assert_eq!(report["rows"], state_rows(from, to), "{from} to {to}");
        }
    }
    let report = told(&diff(&sandbox, &["prices", "--from", &day(2), "--to", &day(4), "--format", "json"]));
    let amount = &report["columns"];
    assert_eq!(amount.as_array().unwrap().len(), 1, "the columns of the history are not compared");
    let top = json!({ "key": { "plan_id": "top", "market": "SE" }, "before": null, "after": "4.000000000" });
    assert_eq!(amount[0]["examples"][2], top);
    let missing = diff(&sandbox, &["prices", "--from", &day(2), "--to", &day(9)]);
    missing.exits(10).says(["shop.prices of 2026-02-09 is not published", "the nearest are 2026-02-03, 2026-02-04"]);
}

/// The same by the states that the days were made of.
fn state_rows(from: u32, to: u32) -> Value {
    let [old, new] = [from, to].map(|day| FEBRUARY[day as usize - 1]);
    let of = |state: &[Price], key: &Price| state.iter().find(|row| (row.0, row.1) == (key.0, key.1)).copied();
    let removed = old.iter().filter(|row| of(new, row).is_none()).count();
    let added = new.iter().filter(|row| of(old, row).is_none()).count();
    let unchanged = new.iter().filter(|row| of(old, row) == Some(**row)).count();
    let changed = new.len() - added - unchanged;
    json!({
        "from": old.len(), "to": new.len(), "added": added, "removed": removed, "changed": changed, "unchanged": unchanged
    })
}

#[test]
fn files_of_a_history_that_both_days_show_are_not_read() {
    let february: Price = ("mid", "NO", Some(1));
    let sandbox = with_days(&[&[february]]);
    for (date, amount) in [("2026-03-01", 2), ("2026-03-02", 3)] {
        put(&sandbox, date, &[february, ("mid", "SE", Some(amount))]);
        sandbox.run(date).exits(0);
    }
    let arguments = ["prices", "--from", "2026-03-01", "--to", "2026-03-02", "--format", "json"];
    let report = told(&diff(&sandbox, &arguments));
    assert_eq!(report["rows"], json!({ "from": 2, "to": 2, "added": 0, "removed": 0, "changed": 1, "unchanged": 1 }));
    assert_eq!(report["shared_files"], json!(1));
}

/// What SQL says of two days of the sample, where people come, go and change.
#[test]
fn the_sample_s_days_differ_as_sql_says() {
    let sandbox = Sandbox::with_sample();
    for date in [DAY_BEFORE, DAY] {
        sandbox.run(date).exits(0);
    }
    let report = told(&days(&sandbox, "user_daily", &["--format", "json"]));
    let day = |date: &str| format!("(SELECT * FROM users.user_daily WHERE snapshot_date = '{date}')");
    let (old, new) = (day(DAY_BEFORE), day(DAY));
    let columns = report["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 13);
    let differs = |name: &str| format!("(a.{name} IS DISTINCT FROM b.{name})");
    let each: Vec<String> = columns
        .iter()
        .map(|column| format!("count(*) FILTER (WHERE {})", differs(column["name"].as_str().unwrap())))
        .collect();
    let any: Vec<String> = columns.iter().map(|column| differs(column["name"].as_str().unwrap())).collect();
    let joined = format!("{old} a JOIN {new} b ON a.user_pid = b.user_pid");
    let counted = sandbox.rows(&format!(
        "SELECT count(*) FILTER (WHERE {}), {} FROM {joined}",
        any.join(" OR "),
        each.join(", ")
    ));
    let told: Vec<String> = std::iter::once(&report["rows"]["changed"])
        .chain(columns.iter().map(|column| &column["changed"]))
        .map(Value::to_string)
        .collect();
    assert_eq!(counted, [told.join(",")]);
    assert!(report["rows"]["changed"].as_u64().unwrap() > 0);
    let alone = |one: &str, other: &str| {
        sandbox.rows(&format!("SELECT count(*) FROM {one} a LEFT ANTI JOIN {other} b ON a.user_pid = b.user_pid"))
    };
    assert_eq!(alone(&new, &old), [report["rows"]["added"].to_string()]);
    assert_eq!(alone(&old, &new), [report["rows"]["removed"].to_string()]);
}
