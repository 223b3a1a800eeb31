//! The exit codes, which schedulers act on: one test a code. 70, a fault of the program itself, has no test: what would
//! provoke it is a bug to mend.

use std::fs;

use chrono::Utc;
use gatefold::names::{Partition, RunId, TableName};
use gatefold::record;
use gatefold::storage::Storage;

use crate::people::{Person, ada_and_bob, batch, person, project_with, published};
use crate::support::{DAY, DAY_BEFORE, Ran};

#[test]
fn code_0_done_and_then_nothing_to_do() {
    let sandbox = project_with(&ada_and_bob());
    sandbox.run(DAY).exits(0).prints(["shop.people", "published, version 1", "4 passed", "done in"]);
    let again = sandbox.lake_stays(|| sandbox.run(DAY));
    again.exits(0).prints(["already published from the same inputs"]);
    assert_eq!(again.stderr, "");
}

#[test]
fn code_2_the_project_is_wrong() {
    let sandbox = published();
    sandbox.edit("sql/people.sql", "city", "citty");
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(2);
    insta::assert_snapshot!(run.stderr, @r"
    error: column 'citty' not found
      file: sql/people.sql:3:16
      hint: did you mean 'city'?
    ");
    assert_eq!(run.stdout, "");
}

#[test]
fn code_10_an_input_is_missing() {
    let sandbox = published();
    let run = sandbox.lake_stays(|| sandbox.run("2026-11-21"));
    run.exits(10).prints(["failed (10)"]);
    insta::assert_snapshot!(run.stderr, @r"
    error: the snapshot 'person' has no data for 2026-11-21
      folder: <project>/lake/snapshots/person/snapshot_date=2026-11-21
      hint: the latest day that is there is 2026-11-20; wait for the source, or run another --date
    ");
}

#[test]
fn code_11_an_input_breaks_its_contract() {
    let sandbox = published();
    sandbox.put_day("person", DAY, &[("part-00000.parquet", b"this is not Parquet")]);
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).prints(["failed (11)"]).says(["not whole Parquet", "part-00000.parquet", "deliver the day again"]);
}

#[test]
fn code_12_a_check_blocks() {
    let sandbox = published();
    sandbox.put_rows("person", DAY, &batch(&[Person { visits: Some(-4), ..person("eve") }]));
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(12).prints(["failed (12)"]);
    run.says([
        "a check blocks: range(visits): visits below 0 in 1 of 1 row",
        "table: shop.people",
        "partition: 2026-11-20",
        "person_id=eve",
        "nothing was published",
    ]);
    assert_eq!(staged_runs(&sandbox), 1, "what was refused is still there");
}

/// Folders of runs in the table's folder.
fn staged_runs(sandbox: &crate::support::Sandbox) -> usize {
    let entries = fs::read_dir(sandbox.path("lake/tables/shop/people")).unwrap().map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.is_dir() && fs::read_dir(path).unwrap().next().is_some());
    folders.filter(|path| !path.ends_with("_delta_log")).count()
}

#[test]
fn code_13_the_lake_cannot_be_written() {
    let sandbox = published();
    sandbox.put_rows("person", DAY_BEFORE, &batch(&ada_and_bob()));
    let before = sandbox.lake();
    // A file where the table's folder should be stops root too.
    let (table, aside) = (sandbox.path("lake/tables/shop"), sandbox.path("aside"));
    fs::rename(&table, &aside).unwrap();
    fs::write(&table, "in the way").unwrap();
    let run = sandbox.run(DAY_BEFORE);
    fs::remove_file(&table).unwrap();
    fs::rename(&aside, &table).unwrap();
    run.exits(13).prints(["failed (13)"]).says(["failed to", "<project>/lake/tables/shop"]);
    assert_eq!(before, sandbox.lake());

    sandbox.run(DAY_BEFORE).exits(0);
    assert_eq!(sandbox.rows("SELECT count(*) FROM shop.people"), ["4"]);
}

#[test]
fn code_14_another_run_holds_the_lease() {
    let sandbox = published();
    let holder = RunId::new(Utc::now(), 7);
    let held_run: Ran = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let lake = Storage::open_local(&sandbox.path("lake")).unwrap();
        let table = TableName::new("shop", "people").unwrap();
        let lease = record::acquire(&lake, &table, &Partition::Day(DAY.parse().unwrap()), &holder).await.unwrap();
        let run = sandbox.lake_stays(|| sandbox.gatefold(["run", "--date", DAY, "--force"]));
        lease.release().await.unwrap();
        run
    });
    held_run.exits(14).prints(["failed (14)"]).says(["lease", holder.as_str(), "shop.people", DAY]);
    sandbox.gatefold(["run", "--date", DAY, "--force"]).exits(0);
}

/// A scheduler that runs all jobs must hear of the failure that trying again does not mend.
#[test]
fn the_failure_that_needs_a_person_gives_the_code() {
    let sandbox = project_with(&[Person { visits: Some(-4), ..person("eve") }]);
    let contract = crate::people::CONTRACT.to_owned();
    sandbox.write("jobs/snapshots/late.toml", contract);
    let job = sandbox.read("jobs/people.toml").replace("inputs      = [\"person\"]", "inputs = [\"late\"]");
    sandbox.write("jobs/waits.toml", job.replace("sql/people.sql", "sql/waits.sql"));
    sandbox.write("sql/waits.sql", crate::people::SQL.replace("FROM person", "FROM late"));
    sandbox.run(DAY).exits(12).prints(["failed (10)", "failed (12)"]).says(["'late' has no data", "a check blocks"]);
}
