//! Tables of every mode on their way to BigQuery: made as the contract says, replaced a partition at a time, and left alone when
//! there is nothing to do.

use serde_json::{Value, json};

use super::Cloud;
use super::shop::{HISTORY, HISTORY_SQL, LATEST, LATEST_SQL, ROWS, Shop, is_job, jobs_of};
use crate::people::{CONTRACT, JOB, Person, SQL, ada_and_bob, person};
use crate::support::{DAY, DAY_BEFORE, KEY_VARIABLE};

const TAG: &str = "projects/acme/locations/us/taxonomies/1/policyTags/2";

/// A person whom the contract sets aside.
fn nobody() -> Person {
    Person { id: None, ..person("ada") }
}

fn many(count: usize) -> Vec<Person> {
    // The names live as long as the process, which is short.
    (0..count).map(|n| person(Box::leak(format!("p{n:05}").into_boxed_str()))).collect()
}

/// The job with all that a table can have.
fn furnish(shop: &Shop<'_>) {
    let partition = "by = \"day\", expire_days = 36500, require_filter = true }\ncluster = [\"plan\", \"person_id\"]";
    let job = JOB.replace("by = \"day\" }", partition).replace(
        "\"person_id\",     type = \"STRING\", required = true,",
        "\"person_id\", type = \"STRING\", required = true, pii = \"pseudonymous\",",
    );
    assert!(job.contains("pseudonymous") && job.contains("require_filter"));
    shop.sandbox.write("jobs/people.toml", job);
    let id = "\"person_id\",  type = \"STRING\", required = true,";
    assert!(CONTRACT.contains(id));
    let contract = CONTRACT.replace(id, &format!("{id} pii = \"pseudonymous\","));
    shop.sandbox.write("jobs/snapshots/person.toml", contract);
}

#[test]
fn a_day_is_made_as_its_contract_says_and_replaced_alone() {
    let Some(cloud) = Cloud::shared("a_day_is_made_as_its_contract_says_and_replaced_alone") else { return };
    let settings = format!("labels = {{ team = \"shop\" }}\npolicy_tags = {{ pseudonymous = \"{TAG}\" }}");
    let shop = Shop::with(cloud, &ada_and_bob(), &settings);
    furnish(&shop);
    let (ran, first) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0).prints(["published", "in BigQuery, verified"]);
    is_as_the_contract_says(&shop.table("people"));
    shop.shows_the_lake();
    let status = shop.sandbox.gatefold(["status", "--format", "json"]).json();
    assert_eq!(status["tables"][0]["in_bigquery"], true, "{status}");
    assert_eq!(shop.select(ROWS), ["ada,Oslo,3", "bob,,3"]);
    let all = |date: &str, micros: &str, text: &str, int: &str| {
        format!(
            "SELECT plan, {date}, {micros} AS seen, CAST(balance * 1000000000 AS {int}) AS balance, CAST(active AS {text}) \
             FROM shop.people WHERE snapshot_date = '2026-11-20' ORDER BY person_id"
        )
    };
    let theirs = all("CAST(born AS STRING)", "UNIX_MICROS(seen_at)", "STRING", "INT64");
    let ours = all("CAST(born AS VARCHAR)", "CAST(seen_at AS BIGINT)", "VARCHAR", "BIGINT");
    assert_eq!(shop.select(&theirs), shop.sandbox.rows(&ours));

    let (again, requests) = shop.requests_of(|| shop.run(&[]));
    again.exits(0).prints(["BigQuery has it"]);
    assert!(requests.iter().all(|request| request["method"] == "GET"), "nothing is to be done: {requests:#?}");

    // Another day, a thousand times as large, is one load, one comparison and one copy too.
    shop.put(DAY_BEFORE, &many(2_000));
    let (ran, second) = shop.requests_of(|| shop.run_day(DAY_BEFORE));
    ran.exits(0);
    assert_eq!(jobs_of(&first), ["load", "query", "copy"]);
    assert_eq!(jobs_of(&second), ["load", "query", "copy"]);
    let making = first.iter().filter(|request| {
        let path = request["path"].as_str().unwrap();
        request["method"] == "POST" && path.ends_with("/datasets")
    });
    println!("requests of a partition: {} for 2 rows with the dataset, {} for 2,000", first.len(), second.len());
    assert_eq!(making.count(), 1);
    let steady = |requests: &[Value]| {
        // The dataset and the table are made once; a job is looked at as long as it takes.
        let looks =
            |request: &&Value| request["method"] == "GET" && request["path"].as_str().unwrap().contains("/jobs/");
        requests.len() - requests.iter().filter(looks).count()
    };
    assert_eq!(steady(&first), steady(&second) + 2, "two rows and the dataset against two thousand rows");
    assert_eq!(shop.table("people$20261119")["numRows"], "2000");
    shop.shows_the_lake();

    let before = shop.table("people$20261119");
    shop.put(DAY, &[Person { visits: Some(9), ..person("ada") }]);
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0);
    let targets: Vec<&Value> = requests.iter().filter(|request| is_job(request)).collect();
    let copied = &targets.last().unwrap()["body"]["configuration"]["copy"]["destinationTable"]["tableId"];
    assert_eq!(copied, "people$20261120");
    assert_eq!(shop.select(ROWS), ["ada,Oslo,9"]);
    assert_eq!(shop.table("people$20261119")["numRows"], before["numRows"]);
    assert_eq!(shop.table("people$20261119")["numBytes"], before["numBytes"]);

    let (ran, requests) = shop.requests_of(|| shop.run(&["--force"]));
    ran.exits(0).prints(["in BigQuery, verified"]);
    assert_eq!(jobs_of(&requests), ["load", "query", "copy"]);
    shop.shows_the_lake();

    // A table of the same name that is another one is filled again.
    shop.does("DELETE", "/datasets/shop/tables/people", &Value::Null);
    shop.run(&[]).exits(0).prints(["in BigQuery, verified"]);
    is_as_the_contract_says(&shop.table("people"));
    shop.shows_the_lake();
}

fn is_as_the_contract_says(table: &Value) {
    assert_eq!(table["description"], "One row per person and day.");
    let labels = json!({
        "gatefold_job": "people", "owner": "people_example_com", "tag_small": "", "team": "shop"
    });
    assert_eq!(table["labels"], labels);
    let partitioning = &table["timePartitioning"];
    let day_ms = 86_400_000_u64;
    assert_eq!(partitioning["field"], "snapshot_date");
    assert_eq!(partitioning["type"], "DAY");
    assert_eq!(partitioning["expirationMs"], (36_500 * day_ms).to_string());
    assert_eq!(table["requirePartitionFilter"], true);
    assert_eq!(table["clustering"]["fields"], json!(["plan", "person_id"]));
    assert_eq!(table["tableConstraints"]["primaryKey"]["columns"], json!(["snapshot_date", "person_id"]));
    assert!(table.get("expirationTime").is_none(), "only staging tables expire");
    let columns: Vec<(String, String, String)> = table["schema"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| {
            let text = |key: &str| field[key].as_str().unwrap_or_default().to_owned();
            assert!(!text("description").is_empty(), "{field}");
            let tags = if field["name"] == "person_id" { json!({ "names": [TAG] }) } else { Value::Null };
            assert_eq!(field["policyTags"], tags, "{field}");
            (text("name"), text("type"), text("mode"))
        })
        .collect();
    let expected = [
        ("snapshot_date", "DATE", "REQUIRED"),
        ("person_id", "STRING", "REQUIRED"),
        ("city", "STRING", "NULLABLE"),
        ("plan", "STRING", "REQUIRED"),
        ("visits", "INTEGER", "NULLABLE"),
        ("born", "DATE", "NULLABLE"),
        ("seen_at", "TIMESTAMP", "REQUIRED"),
        ("balance", "NUMERIC", "NULLABLE"),
        ("active", "BOOLEAN", "REQUIRED"),
    ];
    assert_eq!(columns, expected.map(|(name, kind, mode)| (name.to_owned(), kind.to_owned(), mode.to_owned())));
}

#[test]
fn a_history_and_a_whole_table_change_in_one_step_and_keep_what_people_added() {
    let name = "a_history_and_a_whole_table_change_in_one_step_and_keep_what_people_added";
    let Some(cloud) = Cloud::shared(name) else { return };
    let shop = Shop::new(cloud, &[]);
    shop.put_job("people_history", HISTORY, HISTORY_SQL);
    shop.put_job("people_now", LATEST, LATEST_SQL);
    shop.put(DAY_BEFORE, &[person("ada"), person("bob")]);
    shop.run_day(DAY_BEFORE).exits(0);
    let history = "SELECT person_id, plan, CAST(valid_to AS DATE) AS until, is_current FROM shop.people_history \
                   ORDER BY 1, 2";
    assert_eq!(shop.select(history), ["ada,free,,true", "bob,free,,true"]);
    let added = json!({ "labels": { "steward": "ines" } });
    for table in ["people_history", "people_now"] {
        shop.does("PATCH", &format!("/datasets/shop/tables/{table}"), &added);
    }
    let before = ["people_history", "people_now"].map(|table| shop.table(table));

    shop.put(DAY, &[Person { plan: "paid", ..person("ada") }]);
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0);
    let rows = ["ada,free,2026-11-20,false", "ada,paid,,true", "bob,free,2026-11-20,false"];
    assert_eq!(shop.select(history), rows);
    assert_eq!(shop.sandbox.rows(history), rows);
    assert_eq!(shop.select("SELECT person_id, visits FROM shop.people_now"), ["ada,3"]);
    shop.leaves_no_staging();
    // Each table is written once, as a whole, and its resource is what it was.
    for (table, before) in ["people_history", "people_now"].into_iter().zip(before) {
        let writes = requests.iter().filter(|request| {
            let configuration = &request["body"]["configuration"];
            let target = |kind: &str| configuration[kind]["destinationTable"]["tableId"] == table;
            is_job(request) && (target("load") || target("copy"))
        });
        assert_eq!(writes.count(), 1, "{table}");
        let after = shop.table(table);
        assert_eq!(after["labels"]["steward"], "ines");
        for kept in ["description", "labels", "schema", "timePartitioning", "tableConstraints", "creationTime"] {
            assert_eq!(after[kept], before[kept], "{table}: {kept}");
        }
        assert!(after["tableConstraints"]["primaryKey"].is_object(), "{after}");
    }

    shop.put(DAY, &[]);
    shop.run(&[]).exits(0);
    assert_eq!(shop.table("people_now")["numRows"], "0");
    assert_eq!(shop.table("people_now")["labels"]["steward"], "ines");
}

#[test]
fn a_day_without_rows_is_an_empty_partition() {
    let Some(cloud) = Cloud::shared("a_day_without_rows_is_an_empty_partition") else { return };
    let shop = Shop::new(cloud, &[]);
    shop.run(&[]).exits(0).prints(["in BigQuery, verified"]);
    assert_eq!(shop.table("people$20261120")["numRows"], "0");
    shop.put(DAY, &ada_and_bob());
    shop.run(&[]).exits(0);
    shop.put(DAY_BEFORE, &ada_and_bob());
    shop.run_day(DAY_BEFORE).exits(0);
    shop.put(DAY, &[]);
    shop.run(&[]).exits(0);
    assert_eq!(shop.seen(), [""; 0]);
    assert_eq!(shop.table("people")["numRows"], "2", "the day before stays");
    shop.run(&[]).exits(0).prints(["BigQuery has it"]);
}

#[test]
fn rejected_rows_follow_their_day() {
    let Some(cloud) = Cloud::shared("rejected_rows_follow_their_day") else { return };
    let shop = Shop::new(cloud, &[person("ada"), nobody()]);
    shop.sandbox.edit("jobs/snapshots/person.toml", "max_fraction = 0.01", "max_fraction = 0.9");
    shop.put(DAY_BEFORE, &[person("ada"), nobody()]);
    shop.run_day(DAY_BEFORE).exits(0);
    shop.run(&[]).exits(0);
    let rejected = "SELECT CAST(run_date AS STRING), rule FROM ops.rejected_row ORDER BY 1";
    assert_eq!(shop.select(rejected), ["2026-11-19,null_key", "2026-11-20,null_key"]);

    // The source has mended its day.
    shop.put(DAY, &ada_and_bob());
    shop.run(&[]).exits(0);
    assert_eq!(shop.select(rejected), ["2026-11-19,null_key"]);
    shop.shows_the_lake();
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0);
    assert!(requests.iter().all(|request| request["method"] == "GET"), "{requests:#?}");
}

#[test]
fn a_lake_in_a_bucket_is_loaded_from_where_it_is() {
    let Some(cloud) = Cloud::shared("a_lake_in_a_bucket_is_loaded_from_where_it_is") else { return };
    let (shop, lake) = (Shop::new(cloud, &[]), cloud.lake());
    shop.lake_in(&lake);
    lake.put_day("person", DAY, "part-00000.parquet", crate::support::parquet(&crate::people::batch(&ada_and_bob())));
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0).prints(["in BigQuery, verified"]);
    shop.shows_the_lake();
    // What is uploaded has the project in its name.
    assert!(requests.iter().all(|request| request["service"] == "bigquery"), "{requests:#?}");
    let load = requests.iter().find(|request| is_job(request)).unwrap();
    let uri = load["body"]["configuration"]["load"]["sourceUris"][0].as_str().unwrap();
    assert!(uri.starts_with(&format!("{}/tables/shop/people/", lake.place)), "{uri}");
}

#[test]
fn counting_alone_sends_no_query() {
    let Some(cloud) = Cloud::shared("counting_alone_sends_no_query") else { return };
    let shop = Shop::with(cloud, &ada_and_bob(), "verify = \"count\"");
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(0);
    assert_eq!(jobs_of(&requests), ["load", "copy"]);
    shop.shows_the_lake();
}

#[test]
fn a_budget_stops_a_run_before_anything_is_loaded_or_shown() {
    let Some(cloud) = Cloud::shared("a_budget_stops_a_run_before_anything_is_loaded_or_shown") else { return };
    let shop = Shop::with(cloud, &ada_and_bob(), "max_load = \"1KiB\"");
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(2).says(["does not allow to load", "max_load", "raise max_load in gatefold.toml", "shop.people"]);
    assert_eq!(jobs_of(&requests), [""; 0]);
    assert!(!requests.iter().any(|request| request["service"] == "storage"), "nothing is uploaded: {requests:#?}");

    shop.sandbox.edit("gatefold.toml", "max_load = \"1KiB\"", "max_scan = \"8B\"");
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    ran.exits(2).says(["does not allow to scan", "max_scan", "shop.people"]);
    assert_eq!(jobs_of(&requests), [""; 0], "what cannot be compared is not loaded");
    assert_eq!(shop.seen(), [""; 0]);

    shop.sandbox.edit("gatefold.toml", "max_scan = \"8B\"", "max_scan = \"1MiB\"");
    shop.run(&[]).exits(0);
    shop.shows_the_lake();
}

/// The files of before are not taken for shown because a job once showed them, though the rows are as many.
#[test]
fn a_lake_that_is_set_back_is_shown_as_it_is() {
    let Some(cloud) = Cloud::shared("a_lake_that_is_set_back_is_shown_as_it_is") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.run(&[]).exits(0);
    let before = shop.sandbox.with_its_lake();
    // Files that are copied are others to a run, so the snapshot itself is kept aside.
    std::fs::rename(shop.sandbox.path("lake/snapshots"), shop.sandbox.path("kept")).unwrap();
    let people = ada_and_bob().into_iter().map(|person| Person { visits: Some(7), ..person });
    shop.put(DAY, &people.collect::<Vec<_>>());
    shop.run(&[]).exits(0);
    assert_eq!(shop.select(ROWS), ["ada,Oslo,7", "bob,,7"]);

    // Somebody brings table and snapshot back from a copy, and not what the lake tells of BigQuery.
    for (part, from) in [("lake/tables", before.path("lake/tables")), ("lake/snapshots", shop.sandbox.path("kept"))] {
        shop.sandbox.remove(part);
        std::fs::rename(from, shop.sandbox.path(part)).unwrap();
    }
    shop.run(&[]).exits(0).prints(["already published", "in BigQuery, verified"]);
    assert_eq!(shop.sandbox.rows(ROWS), ["ada,Oslo,3", "bob,,3"]);
    assert_eq!(shop.select(ROWS), ["ada,Oslo,3", "bob,,3"]);
}

#[test]
fn a_model_that_changes_is_published_without_a_key_of_its_own() {
    let name = "a_model_that_changes_is_published_without_a_key_of_its_own";
    let Some(cloud) = Cloud::shared(name) else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.run(&[]).exits(0);
    shop.sandbox.write("sql/people.sql", SQL.replace("visits,", "visits + 1 AS visits,"));
    shop.sandbox.ran(shop.command(&["run", "--date", DAY]).env_remove(KEY_VARIABLE)).exits(0);
    assert_eq!(shop.select(ROWS), ["ada,Oslo,4", "bob,,4"]);
}
