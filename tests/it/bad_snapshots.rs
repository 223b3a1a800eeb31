//! Snapshots that are late, broken or dirty: what a run makes of each, and that the lake stays as it was when it refuses one.

use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};

use crate::people::{CONTRACT, Person, ada_and_bob, batch, person, project, project_with, published, with, without};
use crate::support::{DAY, DAY_BEFORE, Ran, Sandbox, parquet};

/// 20226-01-01 in days since 1970: a year with a digit too many.
const DAY_IN_20226: i32 = 6_667_867;

/// Puts a file in place of the published day and runs; the lake must stay as it was.
fn refused(content: &[u8], code: i32) -> Ran {
    let sandbox = published();
    sandbox.put_day("person", DAY, &[("part-00000.parquet", content)]);
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(code);
    run
}

fn rejected(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT rule, key, row_number, column_name FROM ops.rejected_row ORDER BY row_number")
}

fn people(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT person_id, visits FROM shop.people ORDER BY person_id")
}

#[test]
fn a_day_without_its_success_marker_is_late() {
    let sandbox = published();
    sandbox.remove(&format!("{}/_SUCCESS", sandbox.day("person", DAY)));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(10).says([
        "the snapshot 'person' of 2026-11-20 is not complete: it has no _SUCCESS",
        "snapshot_date=2026-11-20",
        "success_marker = false",
    ]);

    sandbox.write("jobs/snapshots/person.toml", CONTRACT.replace("key  ", "success_marker = false\nkey  "));
    sandbox.run(DAY).exits(0);
}

#[test]
fn a_day_with_only_a_success_marker_is_empty() {
    let sandbox = published();
    sandbox.put_day("person", DAY, &[]);
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(10).says(["the snapshot 'person' of 2026-11-20 is empty", "no data file", "one file without rows"]);
}

#[test]
fn a_file_without_rows_is_a_day_without_rows() {
    let sandbox = project();
    sandbox.put_rows("person", DAY_BEFORE, &batch(&ada_and_bob()));
    sandbox.put_rows("person", DAY, &batch(&[]));
    sandbox.run(DAY_BEFORE).exits(0);
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT snapshot_date, count(*) FROM shop.people GROUP BY 1"), ["2026-11-19,2"]);
    sandbox.run(DAY).exits(0).prints(["already published"]);
}

#[test]
fn nobody_may_ask_for_erasure() {
    // So few accounts that none of them does.
    let sandbox = Sandbox::new();
    sandbox.gatefold(["generate", "--accounts", "16", "--days", "1", "--until", DAY, "--seed", "2"]).exits(0);
    sandbox.run(DAY).exits(0);
    let runs = sandbox.gatefold(["runs", "--format", "json"]).json();
    let id = runs[0]["run_id"].as_str().unwrap();
    sandbox.gatefold(["show", id]).exits(0).prints(["verified erasure_request of 2026-11-20: 0 rows"]);
    assert_ne!(sandbox.rows("SELECT count(*) FROM users.user_daily"), ["0"]);
}

#[test]
fn a_truncated_file_is_told_from_a_whole_one() {
    let whole = parquet(&batch(&ada_and_bob()));
    refused(&whole[..whole.len() / 2], 11).says([
        "the file is not whole Parquet: its footer cannot be read",
        "file: <project>/lake/snapshots/person/snapshot_date=2026-11-20/part-00000.parquet",
        "truncated",
    ]);
    refused(b"", 11).says(["not whole Parquet", "part-00000.parquet"]);
    refused(b"PAR1 and then nothing that a reader knows PAR1", 11).says(["not whole Parquet", "part-00000.parquet"]);
}

#[test]
fn a_page_that_does_not_decode_is_the_fault_of_the_file() {
    let mut whole = parquet(&batch(&ada_and_bob()));
    // The footer stays: only data pages are overwritten.
    let footer = whole.len() - 8 - u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap()) as usize;
    whole[4..footer].fill(0xA5);
    refused(&whole, 11).says(["snapshot_date=2026-11-20", "deliver the day again"]);
}

#[test]
fn text_that_is_not_utf_8_is_the_fault_of_the_file() {
    let rows = batch(&[Person { city: Some("ZQZQZQ"), ..person("ada") }]);
    let mut file = parquet(&rows);
    for start in 0..file.len() - 6 {
        if file[start..].starts_with(b"ZQZQZQ") {
            file[start..start + 2].fill(0xFF);
        }
    }
    refused(&file, 11).says([
        "does not decode",
        "UTF-8",
        "model: sql/people.sql",
        "reads: <project>/lake/snapshots/person/snapshot_date=2026-11-20",
        "deliver the day again",
    ]);
}

#[test]
fn a_file_of_another_format_is_refused_by_name() {
    let sandbox = published();
    sandbox.write(&format!("{}/more.csv", sandbox.day("person", DAY)), "person_id\nada\n");
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says(["holds a file that is not .parquet", "more.csv", "jobs/snapshots/person.toml"]);
}

#[test]
fn a_column_of_another_type_is_refused_with_both_types() {
    let texts = Arc::new(StringArray::from(vec!["3", "4"]));
    let run = refused(&parquet(&with(&batch(&ada_and_bob()), "visits", texts)), 11);
    run.says([
        "column 'visits' is STRING where the contract says INT64",
        "part-00000.parquet",
        "jobs/snapshots/person.toml",
    ]);
}

#[test]
fn a_missing_column_is_refused_and_a_renamed_one_guessed() {
    let rows = batch(&ada_and_bob());
    refused(&parquet(&without(&rows, "balance")), 11).says(["column 'balance' (NUMERIC) is missing", "ask the owner"]);
    let renamed = with(&without(&rows, "city"), "ciity", Arc::clone(rows.column_by_name("city").unwrap()));
    refused(&parquet(&renamed), 11).says(["column 'city' (STRING) is missing", "did you mean 'ciity'?"]);
}

#[test]
fn a_new_column_is_told_or_refused_as_the_contract_says() {
    let sandbox = project();
    let rows = batch(&ada_and_bob());
    let wider = with(&rows, "shoe_size", Arc::new(Int64Array::from(vec![38, 44])));
    sandbox.put_rows("person", DAY, &wider);
    sandbox.run(DAY).exits(0);
    let id = sandbox.gatefold(["runs", "--format", "json"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    sandbox.gatefold(["show", &id]).exits(0).prints(["columns that the contract does not know, ignored: shoe_size"]);

    sandbox.write("jobs/snapshots/person.toml", CONTRACT.replace("key  ", "drift = \"strict\"\nkey  "));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says(["column 'shoe_size' is not in the contract", "drift = \"additive\""]);
}

#[test]
fn columns_are_found_by_their_name_in_the_source() {
    let sandbox = project();
    sandbox.edit("jobs/snapshots/person.toml", "name = \"city\", ", "name = \"city\", source = \"Town\", ");
    let rows = batch(&ada_and_bob());
    let towns = Arc::clone(rows.column_by_name("city").unwrap());
    sandbox.put_rows("person", DAY, &with(&without(&rows, "city"), "Town", towns));
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT person_id, city FROM shop.people ORDER BY 1"), ["ada,Oslo", "bob,"]);
}

#[test]
fn narrower_types_of_the_files_are_widened() {
    let sandbox = project();
    let visits = Arc::new(arrow::array::Int16Array::from(vec![Some(7), None]));
    sandbox.put_rows("person", DAY, &with(&batch(&ada_and_bob()), "visits", visits));
    sandbox.run(DAY).exits(0);
    assert_eq!(people(&sandbox), ["ada,7", "bob,"]);
}

#[test]
fn repeated_and_superseded_rows_leave_one() {
    let newest = Person { visits: Some(9), seq: 5, ..person("ada") };
    let sandbox = project_with(&[person("ada"), newest.clone(), newest, person("bob"), person("bob")]);
    sandbox.run(DAY).exits(0);
    assert_eq!(people(&sandbox), ["ada,9", "bob,3"]);
    assert_eq!(sandbox.tables(), ["shop.people"]);
    let id = sandbox.gatefold(["runs", "--format", "json"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    sandbox.gatefold(["show", &id]).prints(["0 rejected, 3 duplicates dropped"]);
}

#[test]
fn a_conflict_within_tolerance_sets_every_row_of_the_key_aside() {
    let sandbox = project_with(&[person("ada"), Person { visits: Some(4), ..person("ada") }, person("bob")]);
    sandbox.run(DAY).exits(0);
    assert_eq!(people(&sandbox), ["bob,3"]);
    assert_eq!(rejected(&sandbox), ["conflicting_duplicate,ada,1,", "conflicting_duplicate,ada,2,"]);
}

#[test]
fn conflicts_above_tolerance_stop_the_run() {
    let sandbox = published();
    let three = [1, 2, 3].map(|visits| Person { visits: Some(visits), ..person("ada") });
    sandbox.put_rows("person", DAY, &batch(&three));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says([
        "3 of 3 rows of 'person' break its contract, 2 are tolerated",
        "two rows of this key are equally recent and differ",
        "row: 1",
        "rule: conflicting_duplicate",
        "[rejects] in jobs/snapshots/person.toml",
    ]);
}

#[test]
fn null_keys_are_set_aside_within_tolerance_and_stop_the_run_above() {
    let nobody = Person { id: None, ..person("") };
    let mut rows = vec![person("ada"), nobody.clone(), nobody.clone()];
    let sandbox = project_with(&rows);
    sandbox.run(DAY).exits(0);
    assert_eq!(people(&sandbox), ["ada,3"]);
    assert_eq!(rejected(&sandbox), ["null_key,,2,person_id", "null_key,,3,person_id"]);

    rows.push(nobody);
    sandbox.put_rows("person", DAY, &batch(&rows));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says(["3 of 4 rows of 'person' break its contract", "person_id is null", "row: 2", "rule: null_key"]);
}

/// The share of the contract counts as well as its number: of 1,000 rows 1 % are 10.
#[test]
fn tolerance_is_the_greater_of_share_and_number() {
    let ids: Vec<&'static str> = (0..1_000).map(|n| &*format!("p{n:04}").leak()).collect();
    let mut rows: Vec<Person> = ids.into_iter().map(person).collect();
    rows[..10].iter_mut().for_each(|row| row.plan = "gold");
    let sandbox = project_with(&rows);
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT count(*) FROM shop.people"), ["990"]);

    rows[10].plan = "gold";
    sandbox.put_rows("person", DAY, &batch(&rows));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says(["11 of 1000 rows of 'person' break its contract, 10 are tolerated"]);
}

#[test]
fn a_value_outside_its_set_is_named_with_the_set() {
    let sandbox = project_with(&[person("ada"), Person { plan: "gold", ..person("bob") }]);
    sandbox.run(DAY).exits(0);
    assert_eq!(
        sandbox.rows("SELECT rule, reason FROM ops.rejected_row"),
        ["unknown_value,\"plan = 'gold' is not one of free, paid\""]
    );
    sandbox.edit("jobs/snapshots/person.toml", "max_fraction = 0.01, max_rows = 2", "max_rows = 0");
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says(["a row of 'person' breaks its contract: plan = 'gold' is not one of free, paid", "row: 2"]);
}

#[test]
fn a_year_with_a_digit_too_many_is_set_aside() {
    let late = Person { born: Some(DAY_IN_20226), ..person("bob") };
    let sandbox = project_with(&[person("ada"), late]);
    sandbox.run(DAY).exits(0);
    assert_eq!(people(&sandbox), ["ada,3"]);
    let told = sandbox.rows("SELECT rule, column_name, reason FROM ops.rejected_row");
    assert_eq!(told, ["out_of_range,born,born = '+20226-01-01' is outside 0001-01-01 to 9999-12-31"]);
}

#[test]
fn times_outside_the_calendar_are_set_aside() {
    let far = Person { seen_at_us: i64::MAX, ..person("bob") };
    let sandbox = project_with(&[person("ada"), far, Person { born: Some(i32::MIN), ..person("eve") }]);
    sandbox.run(DAY).exits(0);
    assert_eq!(people(&sandbox), ["ada,3"]);
    assert_eq!(rejected(&sandbox), ["out_of_range,bob,2,seen_at", "out_of_range,eve,3,born"]);
    let told = sandbox.rows("SELECT reason FROM ops.rejected_row WHERE row_number = 3");
    assert_eq!(told, ["born = '-2147483648 days from 1970-01-01' is outside 0001-01-01 to 9999-12-31"]);
}

/// Rule R11: the row stays, its country becomes ZZ, and the row says so.
#[test]
fn an_unknown_country_is_flagged_and_kept() {
    let sandbox = Sandbox::with_sample();
    sandbox.run(DAY).exits(0);
    let flagged = "SELECT country, count(*) FROM users.user_daily \
                   WHERE array_has(quality_flags, 'unknown_country') GROUP BY country";
    assert_eq!(sandbox.rows(flagged), ["ZZ,1"]);
    assert_eq!(sandbox.rows("SELECT count(*) FROM users.user_daily WHERE country = 'ZZ'"), ["1"]);
}

/// An account's id must not get into the lake by the side door of what was set aside.
#[test]
fn a_rejected_account_is_told_by_its_pseudonym() {
    let sandbox = Sandbox::with_sample();
    sandbox.run(DAY).exits(0);
    let conflicts = "SELECT DISTINCT key FROM ops.rejected_row \
                     WHERE snapshot = 'account' AND rule = 'conflicting_duplicate'";
    let keys = sandbox.rows(conflicts);
    assert_eq!(keys, ["4ee8c45cd8d7a0553f88e70c7bda27c4"]);
}

#[test]
fn the_same_rows_in_more_files_give_the_same_table() {
    let sandbox = published();
    let before = sandbox.rows("SELECT * FROM shop.people ORDER BY person_id");
    let rows = batch(&ada_and_bob());
    let halves = [parquet(&rows.slice(0, 1)), parquet(&rows.slice(1, 1))];
    sandbox.put_day("person", DAY, &[("a.parquet", &halves[0]), ("b.parquet", &halves[1])]);
    sandbox.run(DAY).exits(0).prints(["published, version 2"]);
    assert_eq!(sandbox.rows("SELECT * FROM shop.people ORDER BY person_id"), before);
}
