//! Contracts that change: what adds is applied on the way, what would lose or rewrite rows is for a person to approve.

use serde_json::json;

use super::Cloud;
use super::shop::{ROWS, Shop, jobs_of};
use crate::people::{JOB, SQL, ada_and_bob};
use crate::support::DAY;

const CITY: &str = "  { name = \"city\",          type = \"STRING\", description = \"Where they live.\" },\n";

fn published(cloud: &Cloud) -> Shop<'_> {
    assert!(JOB.contains(CITY));
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.run(&[]).exits(0);
    shop
}

#[test]
fn what_adds_is_told_by_the_plan_and_applied_by_the_run() {
    let Some(cloud) = Cloud::shared("what_adds_is_told_by_the_plan_and_applied_by_the_run") else { return };
    let shop = published(cloud);
    let added = "  { name = \"greeting\",      type = \"STRING\", description = \"What they hear.\" },\n";
    let job = JOB.replace(CITY, &format!("{added}{CITY}")).replace("Where they live.", "Where they were last seen.");
    shop.sandbox.write("jobs/people.toml", &job);
    shop.sandbox.write("sql/people.sql", SQL.replace("person_id, city", "person_id, 'Hei' AS greeting, city"));
    let plan = shop.sandbox.ran(&mut shop.command(&["plan", "--date", DAY]));
    plan.exits(0).prints(["differs from its contract", "greeting", "city", "will be changed"]);

    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0);
    let patches = requests.iter().filter(|request| request["method"] == "PATCH").count();
    assert_eq!((patches, jobs_of(&requests)), (1, vec!["load", "query", "copy"]));
    let fields = shop.table("people")["schema"]["fields"].as_array().unwrap().clone();
    let field = |name: &str| fields.iter().find(|field| field["name"] == name).unwrap();
    assert_eq!(field("greeting")["mode"], "NULLABLE");
    assert_eq!(field("city")["description"], "Where they were last seen.");
    assert_eq!(shop.select("SELECT greeting, city FROM shop.people ORDER BY person_id"), ["Hei,Oslo", "Hei,"]);
    shop.shows_the_lake();
    let plan = shop.sandbox.ran(&mut shop.command(&["plan", "--date", DAY]));
    plan.exits(0).prints(["is as its contract says", "nothing to load"]);
}

#[test]
fn what_loses_or_retypes_stops_with_the_statement_to_approve_it() {
    let Some(cloud) = Cloud::shared("what_loses_or_retypes_stops_with_the_statement_to_approve_it") else { return };
    let shop = published(cloud);
    for (name, job, sql, said) in [
        ("removed", JOB.replace(CITY, ""), SQL.replace("city, ", ""), ["city", "ALTER TABLE", "DROP COLUMN"]),
        (
            "retyped",
            JOB.replace("\"visits\",        type = \"INT64\"", "\"visits\", type = \"STRING\"")
                .replace("\n[[check]]\nkind   = \"range\"\ncolumn = \"visits\"\nmin    = 0\n", ""),
            SQL.replace("visits,", "CAST(visits AS VARCHAR) AS visits,"),
            ["visits", "CREATE TABLE", "STRING"],
        ),
    ] {
        assert!(job != JOB && sql != SQL, "{name}");
        let seen = shop.table("people");
        shop.sandbox.write("jobs/people.toml", &job);
        shop.sandbox.write("sql/people.sql", &sql);
        let plan = shop.sandbox.ran(&mut shop.command(&["plan", "--date", DAY]));
        plan.exits(2).prints(["needs your approval"]).prints(said);
        // The lake refuses it too, and says to begin the table anew.
        shop.run(&[]).exits(2).says(["the table in the lake cannot become what its job states"]);
        shop.sandbox.remove("lake/tables/shop");
        let (ran, requests) = shop.requests_of(|| shop.run(&[]));
        ran.exits(2).says(["is not what the contract says", "change the contract", "shop.people"]).says(said);
        assert!(requests.iter().all(|request| request["method"] == "GET"), "{name}: {requests:#?}");
        assert_eq!(shop.table("people"), seen, "{name}");
        assert_eq!(shop.select(ROWS), ["ada,Oslo,3", "bob,,3"], "{name}");
    }
    // With the contract of before it is published again.
    shop.sandbox.write("jobs/people.toml", JOB);
    shop.sandbox.write("sql/people.sql", SQL);
    shop.sandbox.remove("lake/tables/shop");
    shop.run(&[]).exits(0);
    shop.shows_the_lake();
}

#[test]
fn a_table_that_somebody_else_made_is_not_taken_over() {
    let Some(cloud) = Cloud::shared("a_table_that_somebody_else_made_is_not_taken_over") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.make_dataset("US");
    let theirs = json!({ "schema": { "fields": [
        { "name": "person_id", "type": "INTEGER" },
        { "name": "shoe_size", "type": "FLOAT" },
    ] } });
    shop.make_table("people", &theirs);
    let before = shop.table("people");
    shop.run(&[]).exits(2).says(["is not what the contract says", "person_id", "shoe_size", "partition", "acme-"]);
    assert_eq!(shop.table("people"), before);
}
