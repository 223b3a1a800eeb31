//! A lake in a bucket: what the program does with a folder it does there too, and what only a bucket can do to it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{BucketLake, Cloud};
use crate::people::{self, CONTRACT, ada_and_bob, batch};
use crate::support::{DAY, KEY_VARIABLE, Ran, Sandbox, parquet};

const SNAPSHOT: &str = "person";
const LEASE: &str = "leases/shop.people/2026-11-20.json";
const ROWS: &str = "SELECT person_id, city, visits FROM shop.people ORDER BY person_id";
/// In the order of [`ROWS`], of [`ada_and_bob`].
const ADA_AND_BOB: [&str; 2] = ["ada,Oslo,3", "bob,,3"];

/// The project of `people` with its lake in the bucket, and Ada and Bob on the day.
fn project(cloud: &Cloud) -> (Sandbox, BucketLake) {
    let (sandbox, lake) = (people::project(), cloud.lake());
    lake.give_to(&sandbox, cloud);
    lake.put_day(SNAPSHOT, DAY, "part-00000.parquet", parquet(&batch(&ada_and_bob())));
    (sandbox, lake)
}

fn commits(lake: &BucketLake) -> Vec<String> {
    let log = lake.paths("tables/shop/people/_delta_log").into_iter().filter(|path| path.ends_with(".json"));
    log.map(|path| path.rsplit('/').next().unwrap().trim_start_matches('0').to_owned()).collect()
}

/// Paths of the events of this name.
fn events(lake: &BucketLake, name: &str) -> Vec<String> {
    let suffix = format!("-{name}.json");
    lake.paths("runs").into_iter().filter(|path| path.ends_with(&suffix)).collect()
}

fn start(sandbox: &Sandbox, key: &str) -> Child {
    let mut command = sandbox.command(["run", "--date", DAY, "--force"]);
    command.env(KEY_VARIABLE, key).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(sandbox: &Sandbox, child: Child) -> Ran {
    Ran::new(&child.wait_with_output().unwrap(), sandbox.root())
}

/// Waits until the armed fault has struck.
fn until_struck(cloud: &Cloud) {
    let patience = Instant::now() + Duration::from_secs(60);
    while cloud.struck() == 0 {
        assert!(Instant::now() < patience, "the fault never struck");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The creation of the table and the commit of its rows.
const COMMITS: [&str; 2] = ["people/_delta_log/0+.json", "people/_delta_log/0+1.json"];

/// A commit that is silent for so long, does not happen, and is tried again by its client.
fn silent(commit: &str) -> Value {
    json!({ "kind": "silence", "seconds": 6, "when": "before", "method": "PUT", "path": in_a_request(commit) })
}

/// A path of an object as the client writes it into its requests.
fn in_a_request(path: &str) -> String {
    ["/", "_", "-", "."]
        .iter()
        .zip(["%2F", "%5F", "%2D", "%2E"])
        .fold(path.to_owned(), |path, (c, code)| path.replace(c, code))
}

#[test]
fn a_lake_in_a_bucket_is_run_queried_and_told_of() {
    let Some(cloud) = Cloud::shared("a_lake_in_a_bucket_is_run_queried_and_told_of") else { return };
    let (sandbox, lake) = project(cloud);
    sandbox.gatefold(["plan", "--date", DAY]).exits(0).prints(["shop.people"]);
    sandbox.gatefold(["run"]).exits(0).prints(["shop.people", "2"]);
    assert_eq!(sandbox.rows(ROWS), ADA_AND_BOB);
    assert_eq!(commits(&lake), [".json", "1.json"]);

    let told = sandbox.gatefold(["runs", "--format", "json"]);
    let run = told.json()[0]["run_id"].as_str().unwrap().to_owned();
    sandbox.gatefold(["show", &run]).exits(0).prints(["published"]);
    sandbox.gatefold(["lineage", "people"]).exits(0);
    sandbox.run(DAY).exits(0).prints(["already published"]);
    assert_eq!(commits(&lake), [".json", "1.json"]);

    assert!(!sandbox.path("lake").exists(), "nothing of the lake is on the disk");
    let works: Vec<_> = fs::read_dir(sandbox.path("work")).unwrap().map(|folder| folder.unwrap().path()).collect();
    assert_eq!(works.len(), 1);
    assert_eq!(fs::read_dir(&works[0]).unwrap().count(), 0, "a run leaves nothing in its work folder");
    assert!(lake.json(LEASE)["released"].as_bool().unwrap());
}

#[test]
fn text_is_brought_here_and_converted() {
    let Some(cloud) = Cloud::shared("text_is_brought_here_and_converted") else { return };
    let (sandbox, lake) = (people::project(), cloud.lake());
    lake.give_to(&sandbox, cloud);
    sandbox.write("jobs/snapshots/person.toml", CONTRACT.replace("\"parquet\"", "\"json\""));
    let line = |id: &str, city: &str| {
        format!(
            "{{\"person_id\":\"{id}\",\"city\":{city},\"plan\":\"free\",\"visits\":3,\"born\":null,\
             \"seen_at\":\"2026-11-19T08:00:00Z\",\"balance\":null,\"active\":true,\"source_seq\":1}}\n"
        )
    };
    lake.put_day(SNAPSHOT, DAY, "part.jsonl", (line("ada", "\"Oslo\"") + &line("bob", "null")).into_bytes());
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows(ROWS), ADA_AND_BOB);
}

#[test]
fn a_sample_is_generated_into_a_bucket() {
    let Some(cloud) = Cloud::shared("a_sample_is_generated_into_a_bucket") else { return };
    let (sandbox, lake) = (Sandbox::new(), cloud.lake());
    lake.give_to(&sandbox, cloud);
    let generate = ["generate", "--accounts", "100", "--days", "1"];
    sandbox.gatefold(generate).exits(0).prints([format!("written to {}/snapshots", lake.place).as_str()]);
    let day = format!("snapshots/account/snapshot_date={DAY}");
    assert_eq!(lake.paths(&day), [format!("{day}/_SUCCESS"), format!("{day}/part-00000.parquet")]);
    sandbox.run(DAY).exits(0);
    assert!(sandbox.rows("SELECT count(*) FROM users.user_daily")[0].parse::<u64>().unwrap() > 50);

    lake.put(&format!("{day}/customers.parquet"), "theirs");
    sandbox.gatefold(generate).exits(2).says(["'customers.parquet' was not generated", &day]);
}

#[test]
fn a_killed_run_is_finished_by_the_same_command() {
    let Some(cloud) = Cloud::shared("a_killed_run_is_finished_by_the_same_command") else { return };
    for (point, staged) in [("after:staged", true), ("before:commit", true), ("after:commit", false)] {
        let (sandbox, lake) = project(cloud);
        let died = sandbox.command(["run", "--date", DAY]).env("GATEFOLD_CRASH_AT", point).output().unwrap();
        assert_eq!(died.status.signal(), Some(9), "{point}: {died:?}");
        // The lease of a process that is gone from this machine does not have to expire.
        sandbox.run(DAY).exits(0);
        assert_eq!(sandbox.rows(ROWS), ADA_AND_BOB, "{point}");
        assert_eq!(commits(&lake).len(), 2, "{point}");
        let files = lake.paths("tables/shop/people").into_iter().filter(|path| path.ends_with(".parquet"));
        assert_eq!(files.count(), 1, "{point}: what the dead run staged is gone, or visible");
        assert_eq!(events(&lake, "staged").len(), if staged { 2 } else { 1 }, "{point}");
    }
}

#[test]
fn of_two_runs_at_once_one_wins() {
    let Some(cloud) = Cloud::alone("of_two_runs_at_once_one_wins", &[]) else { return };
    let (sandbox, lake) = project(&cloud);
    cloud.arm(&silent(COMMITS[1]));
    let first = start(&sandbox, "one key");
    until_struck(&cloud);
    sandbox.run(DAY).exits(14).says(["the lease on shop.people 2026-11-20 is held by run", "gatefold show"]);
    ended(&sandbox, first).exits(0);
    assert_eq!(sandbox.rows(ROWS), ADA_AND_BOB);
    assert_eq!(events(&lake, "published").len(), 1);
}

#[test]
fn who_lost_the_lease_during_the_commit_does_not_commit() {
    let Some(cloud) = Cloud::alone("who_lost_the_lease_during_the_commit_does_not_commit", &[]) else { return };
    for commit in COMMITS {
        let (sandbox, lake) = project(&cloud);
        cloud.arm(&silent(commit));
        let sleeper = start(&sandbox, "one key");
        until_struck(&cloud);
        let mut lease = lake.json(LEASE);
        lease["expires_at"] = json!("2026-11-21T00:00:00.000Z");
        lease["host"] = json!("elsewhere");
        lake.put(LEASE, lease.to_string());
        sandbox.run(DAY).exits(0);
        let token = lake.json(LEASE)["fencing_token"].as_u64();
        assert_eq!(token, lease["fencing_token"].as_u64().map(|token| token + 1));

        ended(&sandbox, sleeper).exits(14).says(["the lease on shop.people 2026-11-20 is lost"]);
        assert_eq!(lake.json(LEASE)["fencing_token"].as_u64(), token, "the lease of the winner is left as it is");
        assert_eq!(events(&lake, "published").len(), 1);
        assert_eq!(commits(&lake).last().unwrap(), "1.json");
    }
}

#[test]
fn the_lease_of_another_host_is_respected_until_it_expires() {
    let Some(cloud) = Cloud::shared("the_lease_of_another_host_is_respected_until_it_expires") else { return };
    let (sandbox, lake) = project(cloud);
    sandbox.run(DAY).exits(0);
    let mut lease = lake.json(LEASE);
    lease["released"] = json!(false);
    lease["host"] = json!("elsewhere");
    lease["expires_at"] = json!("2999-01-01T00:00:00.000Z");
    lake.put(LEASE, lease.to_string());
    sandbox.gatefold(["run", "--date", DAY, "--force"]).exits(14).says(["on elsewhere"]);
    lease["expires_at"] = json!("2026-11-20T00:00:00.000Z");
    lake.put(LEASE, lease.to_string());
    sandbox.gatefold(["run", "--date", DAY, "--force"]).exits(0);
    let token = |lease: &Value| lease["fencing_token"].as_u64().unwrap();
    assert_eq!(token(&lake.json(LEASE)), token(&lease) + 1);
}

/// The write has happened; the client hears of a failure, tries again, and is refused.
#[test]
fn a_write_whose_answer_is_lost_happens_once() {
    let Some(cloud) = Cloud::alone("a_write_whose_answer_is_lost_happens_once", &[]) else { return };
    for path in
        ["people/_delta_log/0+.json", "people/_delta_log/0+1.json", "leases/", "-staged.json", "-published.json"]
    {
        for kind in ["status", "cut"] {
            let (sandbox, lake) = project(&cloud);
            cloud.arm(&json!({ "kind": kind, "when": "after", "method": "PUT", "path": in_a_request(path) }));
            sandbox.run(DAY).exits(0);
            assert_eq!(cloud.struck(), 1, "{kind} {path}");
            assert_eq!(sandbox.rows(ROWS), ADA_AND_BOB, "{kind} {path}");
            assert_eq!(commits(&lake), [".json", "1.json"], "{kind} {path}");
            assert_eq!(events(&lake, "published").len(), 1, "{kind} {path}");
            assert!(lake.json(LEASE)["released"].as_bool().unwrap(), "{kind} {path}");
        }
    }
}

#[test]
fn a_service_that_stumbles_is_asked_again() {
    let Some(cloud) = Cloud::alone("a_service_that_stumbles_is_asked_again", &[]) else { return };
    for status in [429, 500, 503] {
        let (sandbox, _) = project(&cloud);
        cloud.arm(&json!({ "kind": "status", "status": status, "nth": 3, "times": 3 }));
        sandbox.run(DAY).exits(0);
        assert_eq!(cloud.struck(), 3, "{status}");
        assert_eq!(sandbox.rows(ROWS), ADA_AND_BOB, "{status}");
    }
}

#[test]
fn what_a_person_must_mend_is_said_once_and_not_tried_again() {
    let Some(cloud) = Cloud::alone("what_a_person_must_mend_is_said_once_and_not_tried_again", &[]) else { return };
    let (sandbox, lake) = project(&cloud);
    let refused = |expected: &[&str]| {
        for arguments in [&["run", "--date", DAY][..], &["query", "SELECT 1"], &["runs"]] {
            sandbox.gatefold(arguments).exits(2).says(expected.iter().copied());
        }
    };
    cloud.arm(&json!({ "kind": "status", "status": 403, "reason": "forbidden", "times": 1000 }));
    refused(&[
        "no permission to",
        "in the bucket 'gatefold-lake'",
        "roles/storage.objectUser",
        &lake.place.to_string(),
    ]);
    cloud.arm(&json!({ "kind": "status", "status": 403, "reason": "forbidden", "times": 1000, "method": "PUT" }));
    sandbox.run(DAY).exits(2).says(["no permission to write in the bucket"]);
    assert!(events(&lake, "published").is_empty());

    cloud.accept_tokens(&["another"]);
    refused(&["Cloud Storage does not accept the credentials", "renew them"]);
    assert!(cloud.requests().len() < 40, "it is asked once each: {}", cloud.requests().len());

    let missing = "gs://gatefold-nowhere/lake";
    sandbox.edit("gatefold.toml", &lake.place.to_string(), missing);
    cloud.accept_tokens(&["loopback"]);
    cloud.arm(&json!({ "kind": "status", "nth": 100_000 }));
    refused(&["there is no bucket 'gatefold-nowhere'", "gcloud storage buckets create"]);

    sandbox.edit("gatefold.toml", "storage_endpoint", "credentials = \"nowhere.json\"\n# storage_endpoint");
    refused(&["the credentials cannot be read", "nowhere.json", "gcloud auth application-default login"]);
}

#[test]
fn a_service_that_cannot_be_reached_may_be_there_later() {
    let Some(cloud) = Cloud::shared("a_service_that_cannot_be_reached_may_be_there_later") else { return };
    let (sandbox, _) = project(cloud);
    sandbox.edit("gatefold.toml", cloud.storage.as_str(), "http://127.0.0.1:1");
    sandbox.run(DAY).exits(13).says(["Cloud Storage cannot be reached", "storage_endpoint"]);
}
