//! Projects and calls that are wrong: exit 2, the place, what is near, and the lake as it was.

use crate::people::{JOB, SQL, ada_and_bob, project, project_with, published};
use crate::support::{DAY, Ran, Sandbox};

/// `check` and `run` both refuse a published project whose file was changed so, in the same words.
fn refused(file: &str, from: &str, to: &str) -> Ran {
    let sandbox = published();
    let before = sandbox.lake();
    let sound = sandbox.read(file);
    sandbox.edit(file, from, to);
    let (check, run) = (sandbox.gatefold(["check"]), sandbox.run(DAY));
    sandbox.write(file, sound);
    assert_eq!(before, sandbox.lake());
    check.exits(2);
    run.exits(2);
    assert_eq!(check.stderr, run.stderr);
    run
}

#[test]
fn sql_that_does_not_parse_is_refused_at_its_place() {
    let run = refused("sql/people.sql", "FROM person", "FORM person");
    insta::assert_snapshot!(run.stderr, @r"
    error: expected: end of statement, found: person
      file: sql/people.sql:4:6
    ");
}

#[test]
fn a_model_is_one_select() {
    refused("sql/people.sql", "FROM person", "FROM person; DROP TABLE person").says([
        "a model is exactly one SELECT",
        "sql/people.sql",
        "split it",
    ]);
}

#[test]
fn an_unknown_column_is_refused_with_the_near_one() {
    let run = refused("sql/people.sql", "visits, born", "visits, borne");
    insta::assert_snapshot!(run.stderr, @r"
    error: column 'borne' not found
      file: sql/people.sql:3:36
      hint: did you mean 'born'?
    ");
}

#[test]
fn an_unknown_table_is_refused_with_what_is_near() {
    refused("sql/people.sql", "FROM person", "FROM persons").says([
        "table 'persons' not found",
        "file: sql/people.sql:4:6",
        "did you mean 'person'?",
    ]);
}

#[test]
fn a_model_that_gives_a_wrong_type_is_refused_with_both() {
    refused("sql/people.sql", "visits, born", "CAST(visits AS VARCHAR) AS visits, born").says([
        "the model gives 'visits' as STRING, the table wants INT64",
        "file: sql/people.sql",
        "column: jobs/people.toml:",
        "cast it in the SELECT",
    ]);
}

#[test]
fn a_model_selects_the_columns_of_its_table_and_no_other() {
    refused("sql/people.sql", "balance, ", "").says(["does not select the column 'balance'", "sql/people.sql"]);
    refused("sql/people.sql", "balance, ", "balance, 1 AS one, ")
        .says(["the model selects 'one', which the table does not have", "add the column to jobs/people.toml"]);
}

#[test]
fn a_check_on_an_unknown_column_is_refused_with_the_near_one() {
    let run = refused("jobs/people.toml", "column = \"visits\"", "column = \"visit\"");
    run.says(["there is no column 'visit'", "jobs/people.toml:26:10", "did you mean 'visits'?"]);
}

#[test]
fn a_check_with_sql_that_does_not_plan_is_refused() {
    let check = "min    = 0\n\n[[check]]\nkind = \"sql\"\nname = \"none is old\"\nsql  = \"SELECT * FROM people WHERE ages > 3\"";
    refused("jobs/people.toml", "min    = 0", check).says(["ages", "jobs/people.toml"]);
}

#[test]
fn personal_data_stays_in_restricted_datasets() {
    let run = refused(
        "jobs/people.toml",
        "\"person_id\",     type = \"STRING\", required = true, ",
        "\"person_id\",     type = \"STRING\", required = true, pii = \"direct\", ",
    );
    run.says(["person_id", "jobs/people.toml:", "restricted"]);
}

#[test]
fn an_unknown_key_is_refused_with_the_near_one() {
    refused("jobs/people.toml", "owner  ", "ovner  ").says(["unknown key 'ovner'", "jobs/people.toml:2:1", "'owner'"]);
}

#[test]
fn all_that_is_wrong_with_the_models_is_told_at_once() {
    let sandbox = project();
    sandbox.write("jobs/more.toml", JOB.replace("people.sql", "more.sql"));
    sandbox.write("sql/more.sql", SQL.replace("city", "citty"));
    sandbox.edit("sql/people.sql", "born", "borne");
    sandbox.gatefold(["check"]).exits(2).says(["'citty'", "'borne'", "sql/more.sql:3:16", "sql/people.sql:3:36"]);
    let json = sandbox.gatefold(["check", "--format", "json"]);
    json.exits(2);
    assert_eq!(json.json()["ok"], false);
    assert_eq!(json.json()["problems"].as_array().map(Vec::len), Some(2));

    // So it is with what stops the project from loading.
    sandbox.edit("jobs/people.toml", "owner", "ovner");
    let json = sandbox.gatefold(["check", "--format", "json"]);
    let problem = json.exits(2).json()["problems"][0].take();
    assert_eq!(problem["message"], "unknown key 'ovner'");
    assert_eq!(problem["context"]["file"], "jobs/people.toml:2:1");
}

#[test]
fn jobs_that_wait_for_each_other_are_refused() {
    let sandbox = project();
    sandbox.edit("jobs/people.toml", "[\"person\"]", "[\"person\", \"more\"]");
    sandbox.write("jobs/more.toml", JOB.replace("[\"person\"]", "[\"people\"]"));
    sandbox.gatefold(["check"]).exits(2).says(["circle", "more reads people reads more", "days_ago = 1"]);
}

#[test]
fn selectors_dates_and_environments_that_are_unknown_are_refused() {
    let sandbox = project_with(&ada_and_bob());
    sandbox.gatefold(["run", "peple"]).exits(2).says(["there is no job 'peple'", "did you mean 'people'?"]);
    sandbox.gatefold(["run", "tag:smal"]).exits(2).says(["'smal'", "did you mean 'small'?"]);
    sandbox.gatefold(["plan", "peple"]).exits(2).says(["there is no job 'peple'"]);
    sandbox.gatefold(["run", "--date", "20226-01-01"]).exits(2).says(["'20226-01-01' is not a date", "YYYY-MM-DD"]);
    sandbox.gatefold(["run", "--date", "2026-02-30"]).exits(2).says(["'2026-02-30' is not a date"]);
    sandbox.gatefold(["run", "--env", "prod"]).exits(2).says(["there is no environment 'prod'", "known: local"]);
    sandbox.gatefold(["run", "--memory", "lots"]).exits(2).says(["'lots' is not a size", "512MiB"]);
    sandbox.gatefold(["run", "--memory", "3"]).exits(2).says(["too few", "64 MiB"]);
    sandbox.gatefold(["walk"]).exits(2).says(["unrecognized subcommand 'walk'"]);
    assert_eq!(sandbox.tables(), Vec::<String>::new());
}

#[test]
fn a_folder_that_is_no_project_says_how_to_begin() {
    let sandbox = Sandbox::new();
    sandbox.remove("gatefold.toml");
    sandbox.gatefold(["check"]).exits(2).says(["there is no gatefold.toml", "gatefold init"]);
}

/// A query of the lake that is refused leaves the lake alone.
fn refused_query(sandbox: &Sandbox, sql: &str) -> Ran {
    let query = sandbox.gatefold(["query", sql]);
    query.exits(2);
    assert_eq!(query.stdout, "");
    query
}

#[test]
fn a_query_of_an_unknown_table_or_column_is_refused_with_the_near_one() {
    let sandbox = published();
    refused_query(&sandbox, "SELECT *\nFROM shop.peple").says([
        "table 'shop.peple' not found",
        "file: query:2:6",
        "did you mean 'shop.people'?",
    ]);
    refused_query(&sandbox, "SELECT * FROM nothing_like_it").says(["not found", "known: shop.people"]);
    refused_query(&sandbox, "SELECT citty FROM shop.people").says(["column 'citty' not found", "query:1:8", "city'?"]);
}

#[test]
fn a_query_only_reads() {
    let sandbox = published();
    sandbox.lake_stays(|| {
        for sql in [
            "DROP TABLE shop.people",
            "DELETE FROM shop.people",
            "INSERT INTO shop.people SELECT * FROM shop.people",
            "CREATE TABLE x AS SELECT 1",
            "COPY (SELECT 1) TO 'out.csv'",
            "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
            "SET datafusion.execution.batch_size = 1",
            "SELECT 1; SELECT 2",
            "",
        ] {
            refused_query(&sandbox, sql).says(["a query is exactly one SELECT"]);
        }
    });
    assert!(!std::path::Path::new("out.csv").exists());
}

#[test]
fn a_query_that_does_not_parse_or_fit_says_why() {
    let sandbox = published();
    let parse = refused_query(&sandbox, "SELECT *\nFORM shop.people");
    insta::assert_snapshot!(parse.stderr, @r"
    error: expected: end of statement, found: FORM
      file: query:2:1
    ");
    let cast = refused_query(&sandbox, "SELECT CAST('x' AS INT)");
    cast.says(["cannot cast string 'x'"]);
    assert!(!cast.stderr.contains("optimizer rule"), "{}", cast.stderr);
}
