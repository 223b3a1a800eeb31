//! Views for analysts: published once, replaced when their text changes, and waiting for what they read.

use serde_json::{Value, json};

use super::Cloud;
use super::shop::{LATEST, LATEST_SQL, Shop, jobs_of};
use crate::people::ada_and_bob;

const FILE: &str = "sql/views/people_today.sql";
const VIEW: &str = "-- View people_today: Who came, and how often.\n\
                    CREATE OR REPLACE VIEW shop.people_today AS\n\
                    SELECT person_id, visits FROM shop.people WHERE visits > 0\n";
const OTHER: &str = "-- View people_count: How many are there.\n\
                     CREATE OR REPLACE VIEW shop.people_count AS\n\
                     SELECT COUNT(*) AS people FROM shop.people_now\n";

fn is_write(request: &&Value) -> bool {
    request["method"] != "GET"
}

#[test]
fn a_view_is_published_once_and_replaced_when_its_text_changes() {
    let Some(cloud) = Cloud::shared("a_view_is_published_once_and_replaced_when_its_text_changes") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.sandbox.write(FILE, VIEW);
    shop.run(&[]).exits(0).prints(["view shop.people_today: published"]);
    assert_eq!(shop.select("SELECT * FROM shop.people_today ORDER BY 1"), ["ada,3", "bob,3"]);
    let view = shop.table("people_today");
    assert_eq!((&view["type"], &view["description"]), (&json!("VIEW"), &json!("Who came, and how often.")));

    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0);
    assert_eq!(requests.iter().filter(is_write).count(), 0, "{requests:#?}");
    assert_eq!(shop.table("people_today"), view);

    shop.does("PATCH", "/datasets/shop/tables/people_today", &json!({ "labels": { "steward": "ines" } }));
    shop.sandbox.write(FILE, VIEW.replace("visits > 0", "visits > 5"));
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0).prints(["view shop.people_today: published"]);
    assert_eq!(jobs_of(&requests), ["dry run", "query"]);
    assert_eq!(shop.select("SELECT * FROM shop.people_today ORDER BY 1"), [""; 0]);
    assert_eq!(shop.table("people_today")["description"], "Who came, and how often.");
}

#[test]
fn a_view_waits_for_the_tables_that_it_reads() {
    let Some(cloud) = Cloud::shared("a_view_waits_for_the_tables_that_it_reads") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.put_job("people_now", LATEST, LATEST_SQL);
    shop.sandbox.write("sql/views/people_count.sql", OTHER);
    shop.run(&["people"]).exits(0).prints(["view shop.people_count: waits for shop.people_now"]);
    assert!(!shop.tables("shop").contains(&"people_count".to_owned()));
    shop.run(&[]).exits(0).prints(["view shop.people_count: published"]);
    assert_eq!(shop.select("SELECT * FROM shop.people_count"), ["2"]);
}

#[test]
fn a_view_that_cannot_be_is_told_of_and_the_old_one_stands() {
    let Some(cloud) = Cloud::shared("a_view_that_cannot_be_is_told_of_and_the_old_one_stands") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.sandbox.write(FILE, VIEW);
    shop.run(&[]).exits(0);
    shop.sandbox.write(FILE, VIEW.replace("SELECT person_id, visits", "SELECT person_id, visitz"));
    shop.run(&[]).exits(2).says(["visitz", "shop.people_today", FILE, "mend the view's SQL", "still stands"]);
    assert_eq!(shop.select("SELECT * FROM shop.people_today ORDER BY 1"), ["ada,3", "bob,3"]);

    shop.does("DELETE", "/datasets/shop/tables/people_today", &Value::Null);
    shop.make_table("people_today", &json!({ "schema": { "fields": [{ "name": "x", "type": "STRING" }] } }));
    shop.sandbox.write(FILE, VIEW);
    shop.run(&[]).exits(2).says(["a table stands under the name of the view shop.people_today", "rename the view"]);
    assert_eq!(shop.table("people_today")["type"], "TABLE");
}
