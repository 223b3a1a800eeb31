//! What runs, why, and in what order: reasons, selectors, chains of jobs, earlier days, whole tables.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::people::{JOB, Person, ada_and_bob, batch, person, project_with, published};
use crate::support::{DAY, DAY_BEFORE, Sandbox};

/// The `why` of each step, by job.
fn plan(sandbox: &Sandbox, arguments: &[&str]) -> Vec<(String, bool, String)> {
    let ran = sandbox.gatefold(["plan", "--date", DAY, "--format", "json"].iter().chain(arguments));
    let steps = ran.exits(0).json()["steps"].take();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let step = |step: &serde_json::Value| (text(&step["job"]), step["runs"].as_bool().unwrap(), text(&step["why"]));
    steps.as_array().unwrap().iter().map(step).collect()
}

fn reason(sandbox: &Sandbox, arguments: &[&str]) -> (bool, String) {
    let (_, runs, why) = plan(sandbox, arguments).remove(0);
    (runs, why)
}

/// What the plan says comes true.
fn runs_because(sandbox: &Sandbox, why: &str) {
    let (runs, told) = reason(sandbox, &[]);
    assert!(runs && told.contains(why), "{told}");
    sandbox.run(DAY).exits(0).prints(["published, version"]);
    let (runs, told) = reason(sandbox, &[]);
    assert!(!runs && told.contains("already published from the same inputs"), "{told}");
    sandbox.lake_stays(|| sandbox.run(DAY).exits(0).prints(["already published from the same inputs"]).code);
}

#[test]
fn what_never_ran_runs() {
    runs_because(&project_with(&ada_and_bob()), "never published");
}

#[test]
fn a_plan_changes_nothing() {
    let sandbox = project_with(&ada_and_bob());
    plan(&sandbox, &[]);
    assert_eq!(sandbox.tables(), Vec::<String>::new());
    sandbox.gatefold(["runs"]).exits(0).prints(["no runs yet"]);
}

#[test]
fn other_rows_run_again() {
    let sandbox = published();
    sandbox.put_rows("person", DAY, &batch(&[person("eve")]));
    runs_because(&sandbox, "changed since");
    assert_eq!(sandbox.rows("SELECT person_id FROM shop.people"), ["eve"]);
}

#[test]
fn a_touched_file_runs_again() {
    let sandbox = published();
    let file = fs::File::open(sandbox.path(sandbox.day("person", DAY)).join("part-00000.parquet")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    runs_because(&sandbox, "changed since");
}

#[test]
fn another_model_runs_again() {
    let sandbox = published();
    sandbox.edit("sql/people.sql", "visits,", "visits + 1 AS visits,");
    runs_because(&sandbox, "changed since");
    assert_eq!(sandbox.rows("SELECT visits FROM shop.people"), ["4", "4"]);
}

#[test]
fn another_contract_or_job_runs_again() {
    let sandbox = published();
    sandbox.edit("jobs/snapshots/person.toml", "max_rows = 2", "max_rows = 3");
    runs_because(&sandbox, "changed since");
    sandbox.edit("jobs/people.toml", "min    = 0", "min    = 1");
    runs_because(&sandbox, "changed since");
}

#[test]
fn force_runs_again_and_makes_the_same_rows() {
    let sandbox = published();
    let rows = sandbox.rows("SELECT * FROM shop.people ORDER BY person_id");
    assert_eq!(reason(&sandbox, &["--force"]), (true, "--force".to_owned()));
    sandbox.gatefold(["run", "--date", DAY, "--force"]).exits(0).prints(["published, version 2"]);
    assert_eq!(sandbox.rows("SELECT * FROM shop.people ORDER BY person_id"), rows);
}

#[test]
fn what_is_missing_is_told_before_it_fails() {
    let sandbox = published();
    sandbox.remove(&sandbox.day("person", DAY));
    let (runs, why) = reason(&sandbox, &[]);
    assert!(!runs);
    assert_eq!(why, "would fail: the snapshot 'person' has no data for 2026-11-20");
}

#[test]
fn without_a_date_the_latest_day_of_all_snapshots_runs() {
    let sandbox = project_with(&ada_and_bob());
    sandbox.put_rows("person", DAY_BEFORE, &batch(&ada_and_bob()));
    sandbox.gatefold(["run"]).exits(0).prints([DAY]);
    sandbox.remove("lake/snapshots");
    sandbox.gatefold(["run"]).exits(10).says(["no day is there for every snapshot", "--date", "gatefold generate"]);
}

/// `people` ─► `city` ─► (the day before) `growth`.
fn chain() -> Sandbox {
    let sandbox = project_with(&ada_and_bob());
    sandbox.put_rows("person", DAY_BEFORE, &batch(&[person("ada")]));
    chain_of(sandbox)
}

/// The same in a project that has `people`.
pub fn chain_of(sandbox: Sandbox) -> Sandbox {
    let table = |inputs: &str, tags: &str, columns: &str| {
        let head = JOB.split("columns = [").next().unwrap();
        let head = head.replace("[\"person\"]", inputs).replace("[\"small\"]", tags);
        let date = "{ name = \"snapshot_date\", type = \"DATE\", required = true, description = \"Day.\" }";
        format!("{head}columns = [{date}, {columns}]\n")
    };
    let count = |name: &str| format!("{{ name = \"{name}\", type = \"INT64\", description = \"How many.\" }}");
    let named = "{ name = \"city\", type = \"STRING\", required = true, description = \"City.\" }";
    let city = table("[\"people\"]", "[\"counts\"]", &format!("{named}, {}", count("people")));
    sandbox.write("jobs/city.toml", city.replace("person_id", "city").replace("people.sql", "city.sql"));
    sandbox.write(
        "sql/city.sql",
        "SELECT $snapshot_date AS snapshot_date, coalesce(city, 'nowhere') AS city, count(*) AS people FROM people GROUP BY 2",
    );
    let inputs = "[{ table = \"city\", days_ago = 1, as = \"before\", optional = true }, \"people\"]";
    let growth = table(inputs, "[\"counts\"]", &format!("{}, {}", count("was"), count("is")));
    sandbox.write("jobs/growth.toml", growth.replace(", \"person_id\"", "").replace("people.sql", "growth.sql"));
    sandbox.write(
        "sql/growth.sql",
        "SELECT $snapshot_date AS snapshot_date, (SELECT sum(people) FROM before) AS was, (SELECT count(*) FROM people) AS is",
    );
    sandbox
}

#[test]
fn selectors_name_jobs_tags_and_both_sides() {
    let sandbox = chain();
    let jobs = |selectors: &[&str]| plan(&sandbox, selectors).into_iter().map(|(job, ..)| job).collect::<Vec<_>>();
    assert_eq!(jobs(&[]), ["people", "city", "growth"]);
    assert_eq!(jobs(&["city"]), ["city"]);
    assert_eq!(jobs(&["tag:counts"]), ["city", "growth"]);
    assert_eq!(jobs(&["+city"]), ["people", "city"]);
    assert_eq!(jobs(&["people+"]), ["people", "city", "growth"]);
    // A table of an earlier day was made by an earlier run.
    assert_eq!(jobs(&["city+"]), ["city"]);
    assert_eq!(jobs(&["+growth"]), ["people", "growth"]);
    assert_eq!(jobs(&["growth", "people"]), ["people", "growth"]);
}

#[test]
fn a_chain_runs_in_its_order_and_says_so() {
    let sandbox = chain();
    let steps = plan(&sandbox, &[]);
    assert!(steps[0].2.contains("never published"));
    assert_eq!((steps[1].1, steps[1].2.as_str()), (true, "people runs before it"));
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT city, people FROM shop.city ORDER BY 1"), ["Oslo,1", "nowhere,1"]);
    sandbox.lake_stays(|| sandbox.run(DAY).exits(0).code);
}

#[test]
fn yesterday_is_read_where_it_is_there_and_is_empty_where_it_is_not() {
    let sandbox = chain();
    for date in [DAY_BEFORE, DAY] {
        sandbox.run(date).exits(0);
    }
    let growth = "SELECT snapshot_date, was, \"is\" FROM shop.growth ORDER BY 1";
    assert_eq!(sandbox.rows(growth), ["2026-11-19,,1", "2026-11-20,1,2"]);

    // Another yesterday is another input.
    sandbox.put_rows("person", DAY_BEFORE, &batch(&[person("ada"), person("eve"), person("may")]));
    sandbox.run(DAY_BEFORE).exits(0);
    sandbox.run(DAY).exits(0).prints(["already published"]);
    assert_eq!(sandbox.rows(growth), ["2026-11-19,,3", "2026-11-20,3,2"]);
}

#[test]
fn a_table_that_must_be_there_and_is_not_is_missing() {
    let sandbox = chain();
    sandbox.edit("jobs/growth.toml", ", optional = true", "");
    let run = sandbox.run(DAY);
    run.exits(10).says([
        "the table 'shop.city' has no partition 2026-11-19",
        "jobs/growth.toml:5:",
        "run city for that day first, or state optional = true",
    ]);
    run.prints(["failed (10)"]);
    assert_eq!(sandbox.tables(), ["shop.city", "shop.people"]);
}

#[test]
fn a_failure_skips_what_reads_the_table_and_nothing_else() {
    let sandbox = chain();
    sandbox.put_rows("person", DAY, &batch(&[Person { visits: Some(-1), ..person("ada") }]));
    sandbox.write("jobs/alone.toml", JOB.replace("people.sql", "alone.sql").replace("min    = 0", "max = 100"));
    sandbox.write("sql/alone.sql", crate::people::SQL);
    let run = sandbox.run(DAY);
    run.exits(12).prints(["failed (12)", "skipped, people did not succeed", "published, version 1"]);
    assert_eq!(run.stdout.matches("skipped").count(), 2);
    assert_eq!(sandbox.tables(), ["shop.alone"]);

    // Mended, the same call does what is left.
    sandbox.put_rows("person", DAY, &batch(&ada_and_bob()));
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.tables(), ["shop.alone", "shop.city", "shop.growth", "shop.people"]);
}

#[test]
fn a_table_that_is_replaced_holds_the_last_run_only() {
    let sandbox = project_with(&ada_and_bob());
    sandbox.put_rows("person", DAY_BEFORE, &batch(&[person("eve")]));
    let job = JOB.replace("mode      = \"partition\"", "mode      = \"replace\"");
    sandbox.write("jobs/people.toml", job.replace("partition = { column = \"snapshot_date\", by = \"day\" }\n", ""));
    sandbox.run(DAY_BEFORE).exits(0);
    assert_eq!(sandbox.rows("SELECT snapshot_date, person_id FROM shop.people"), ["2026-11-19,eve"]);
    sandbox.run(DAY).exits(0);
    let rows = sandbox.rows("SELECT snapshot_date, person_id FROM shop.people ORDER BY 2");
    assert_eq!(rows, ["2026-11-20,ada", "2026-11-20,bob"]);
    sandbox.lake_stays(|| sandbox.run(DAY).exits(0).prints(["already published from the same inputs"]).code);

    // An earlier day does not set it back, unless a person says so.
    let later = format!("already published for {DAY}, a later day");
    let planned = sandbox.gatefold(["plan", "--date", DAY_BEFORE]);
    planned.exits(0).prints([later.as_str()]);
    sandbox.lake_stays(|| sandbox.run(DAY_BEFORE).exits(0).prints([later.as_str()]).code);
    assert_eq!(sandbox.rows("SELECT person_id FROM shop.people ORDER BY 1"), ["ada", "bob"]);
    sandbox.gatefold(["run", "--date", DAY_BEFORE, "--force"]).exits(0).prints(["published, version"]);
    assert_eq!(sandbox.rows("SELECT person_id FROM shop.people"), ["eve"]);
}

#[test]
fn a_partition_is_replaced_alone() {
    let sandbox = published();
    sandbox.put_rows("person", DAY_BEFORE, &batch(&[person("eve")]));
    sandbox.run(DAY_BEFORE).exits(0);
    sandbox.put_rows("person", DAY, &batch(&[person("may")]));
    sandbox.run(DAY).exits(0);
    let rows = sandbox.rows("SELECT snapshot_date, person_id FROM shop.people ORDER BY 1");
    assert_eq!(rows, ["2026-11-19,eve", "2026-11-20,may"]);
}
