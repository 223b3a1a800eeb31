//! Clouds that are not as the project says: each is told once, with what to do, and analysts see what they saw before.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::shop::{ROWS, Shop, is_job};
use super::{Cloud, OWN_TOKEN};
use crate::people::{JOB, ada_and_bob, person};
use crate::support::{DAY, Ran};

/// One error, which says all of this.
#[track_caller]
fn says_once(ran: &Ran, exit_code: i32, texts: &[&str]) {
    ran.exits(exit_code).says(texts.iter().copied());
    let lines = ran.stderr.lines().filter(|line| line.starts_with("error"));
    assert_eq!(lines.count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("hint"), "{}", ran.stderr);
}

#[test]
fn a_dataset_elsewhere() {
    let Some(cloud) = Cloud::shared("a_dataset_elsewhere") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.make_dataset("EU");
    let (ran, requests) = shop.requests_of(|| shop.run(&[]));
    says_once(&ran, 2, &["the dataset shop is in EU, not in US", "cannot be moved: set location in gatefold.toml"]);
    assert!(requests.iter().all(|request| request["method"] == "GET"));
}

#[test]
fn a_bucket_elsewhere() {
    let Some(cloud) = Cloud::shared("a_bucket_elsewhere") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.sandbox.edit("gatefold.toml", "location = \"US\"", "location = \"EU\"");
    let ran = shop.run(&[]);
    let texts =
        ["different locations", "source: US", "destination: EU", "must be in one location", "location", "shop.people"];
    says_once(&ran, 2, &texts);
    assert_eq!(shop.table("people")["numRows"], "0");
}

#[test]
fn no_permission_to_make_a_table_or_to_load() {
    let Some(cloud) = Cloud::alone("no_permission_to_make_a_table_or_to_load", &[]) else { return };
    let shop = Shop::new(&cloud, &ada_and_bob());
    for (path, permission, what) in [
        ("/tables$", "bigquery.tables.create", "make the table shop.people"),
        ("/jobs", "bigquery.jobs.create", "load into shop.gatefold_staging_people"),
    ] {
        let project = &shop.project;
        let message = format!(
            "Access Denied: Project {project}: User does not have {permission} permission in project {project}."
        );
        cloud.arm(&json!({
            "kind": "status", "status": 403, "reason": "accessDenied", "message": message,
            "service": "bigquery", "method": "POST", "path": path, "times": 1000
        }));
        let ran = shop.run(&[]);
        says_once(&ran, 2, &[what, "accessDenied", &format!("grant {permission} to the account that runs this")]);
        assert_eq!(cloud.struck(), 1, "asking again grants nothing");
        assert_eq!(shop.seen(), [""; 0]);
    }
    cloud.disarm();
    shop.run(&[]).exits(0);
    shop.shows_the_lake();
}

#[test]
fn no_such_project() {
    let Some(cloud) = Cloud::alone("no_such_project", &[]) else { return };
    let shop = Shop::new(&cloud, &ada_and_bob());
    // The cloud on loopback has every project that is named.
    let message = format!("Not found: Project {}", shop.project);
    cloud.arm(&json!({
        "kind": "status", "status": 404, "reason": "notFound", "message": message, "service": "bigquery", "times": 1000
    }));
    let ran = shop.run(&[]);
    says_once(&ran, 2, &[&message, "see 'project' under [env.NAME.bigquery]", "BigQuery API enabled"]);
}

#[test]
fn credentials_that_are_refused_and_a_token_that_is_renewed() {
    let Some(cloud) = Cloud::alone("credentials_that_are_refused_and_a_token_that_is_renewed", &[]) else { return };
    let shop = Shop::new(&cloud, &ada_and_bob());
    cloud.accept_tokens(&["of somebody else", OWN_TOKEN]);
    let ran = shop.run(&[]);
    says_once(&ran, 2, &["401", "the credentials were refused", "still in force"]);
    // The client for uploads has no token on loopback.
    cloud.accept_tokens(&["loopback", OWN_TOKEN, ""]);

    // The token ends in the middle of the run, wherever that is, and the next one is taken.
    for (service, nth) in [("bigquery", 2), ("bigquery", 5), ("bigquery", 8), ("storage", 1), ("storage", 2)] {
        cloud.arm(&json!({ "kind": "status", "status": 401, "service": service, "nth": nth }));
        let (ran, requests) = shop.requests_of(|| shop.run(&["--force"]));
        ran.exits(0);
        assert_eq!(cloud.struck(), 1);
        let refused = requests.iter().position(|request| request["status"] == 401).unwrap();
        let request = |at: usize| (&requests[at]["method"], &requests[at]["path"], &requests[at]["body"]);
        assert_eq!(request(refused), request(refused + 1), "the same request at once");
        cloud.disarm();
        shop.shows_the_lake();
    }
}

#[test]
fn a_view_under_the_name_of_a_table() {
    let Some(cloud) = Cloud::shared("a_view_under_the_name_of_a_table") else { return };
    let shop = Shop::new(cloud, &ada_and_bob());
    shop.make_dataset("US");
    shop.make_table("people", &json!({ "view": { "query": "SELECT 1 AS one", "useLegacySql": false } }));
    says_once(&shop.run(&[]), 2, &["is no table but VIEW", "DROP VIEW", "shop.people"]);
    assert_eq!(shop.table("people")["type"], "VIEW");
}

#[test]
fn a_partition_that_would_expire_at_once() {
    let Some(cloud) = Cloud::shared("a_partition_that_would_expire_at_once") else { return };
    let shop = Shop::new(cloud, &[]);
    shop.sandbox.write("jobs/people.toml", JOB.replace("by = \"day\" }", "by = \"day\", expire_days = 30 }"));
    shop.put("2020-02-01", &ada_and_bob());
    let (ran, requests) = shop.requests_of(|| shop.run_day("2020-02-01"));
    let texts = ["older than 30 days", "would drop its rows at once", "raise expire_days", "2020-02-01", "shop.people"];
    says_once(&ran, 2, &texts);
    assert!(!requests.iter().any(is_job));
}

/// The process that is told to stop leaves its load to BigQuery, and says so.
#[test]
fn a_run_that_is_stopped_names_the_job_that_goes_on_and_the_next_attaches() {
    let name = "a_run_that_is_stopped_names_the_job_that_goes_on_and_the_next_attaches";
    let Some(cloud) = Cloud::alone(name, &[]) else { return };
    let shop = Shop::new(&cloud, &ada_and_bob());
    let look = json!({
        "kind": "silence", "seconds": 30.0, "service": "bigquery", "method": "GET", "path": "/jobs/gatefold_load"
    });
    cloud.arm(&look);
    let mut command = shop.command(&["run", "--date", DAY]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while cloud.struck() == 0 {
        assert!(Instant::now() < patience, "it never looks at its load");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let stopped = Ran::new(&child.wait_with_output().unwrap(), shop.sandbox.root());
    cloud.disarm();
    let job = "gatefold_load_shop_people_2026-11-20_";
    says_once(&stopped, 13, &["stopped by SIGTERM", "jobs that go on in BigQuery", job, "attaches to the jobs"]);
    assert_eq!(shop.seen(), [""; 0]);

    let (again, requests) = shop.requests_of(|| shop.run(&[]));
    again.exits(0);
    let loads: Vec<&Value> = requests
        .iter()
        .filter(|request| is_job(request) && !request["body"]["configuration"]["load"].is_null())
        .map(|request| &request["status"])
        .collect();
    assert_eq!(loads, [&json!(409)], "it is known already");
    shop.shows_the_lake();
}

#[test]
fn a_partition_that_is_changed_by_hand_is_loaded_again_when_asked() {
    let Some(cloud) = Cloud::shared("a_partition_that_is_changed_by_hand_is_loaded_again_when_asked") else { return };
    let shop = Shop::new(cloud, &[person("ada")]);
    shop.run(&[]).exits(0);
    shop.does("DELETE", "/datasets/shop/tables/people%2420261120", &Value::Null);
    assert_eq!(shop.seen(), [""; 0]);
    shop.run(&["--force"]).exits(0);
    assert_eq!(shop.select(ROWS), ["ada,Oslo,3"]);
}
