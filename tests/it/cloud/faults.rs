//! Every request of a run breaks once before and once after the service has acted; the run, or the same command again, ends in
//! one right partition. Meanwhile analysts see the old rows or the new ones.
//!
//! The kinds of fault go round over the requests: each request gets one kind before and one after, in a project where
//! nothing is yet and again where older rows are shown, and each kind meets many requests. A run survives these alone; so each
//! request fails once more for longer than a run tries, and the run of another minute finishes what that one began.

use std::collections::{BTreeMap, VecDeque};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Cloud;
use super::shop::{Shop, is_job, jobs_of};
use crate::people::{SQL, ada_and_bob};
use crate::support::{DAY, Ran};

const WORKERS: usize = 4;
/// What a service may be silent for, in seconds: long for a busy machine, short for the clock of this test.
const PATIENCE: &str = "2";
const CRASHES: [&str; 4] = ["before:load", "after:load", "before:show", "after:show"];

/// A request that every run of a situation sends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    service: String,
    method: String,
    /// A regular expression for the path.
    path: String,
    /// Of those that match.
    nth: usize,
}

impl Target {
    /// Whether it asks how a job is doing.
    fn looks(&self) -> bool {
        self.method == "GET" && self.path.contains("/jobs/")
    }

    fn fault(&self, when: &str, kind: &Value) -> Value {
        let mut fault = json!({
            "when": when, "service": self.service, "method": self.method, "path": self.path, "nth": self.nth
        });
        fault.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        fault
    }
}

#[derive(Debug, Clone)]
struct Drill {
    /// Whether older rows are shown.
    over: bool,
    /// Whether the fault stays for longer than the run tries.
    lasting: bool,
    /// Whether it strikes a look at a job, which a run leaves out when the job is done at once.
    looks: bool,
    /// For the proxy of the cloud.
    fault: Value,
}

/// A shop whose rows are others after every change.
struct Range<'c> {
    shop: Shop<'c>,
    edition: i64,
}

impl<'c> Range<'c> {
    fn new(cloud: &'c Cloud) -> Self {
        let range = Range { shop: Shop::new(cloud, &ada_and_bob()), edition: 0 };
        range.run().exits(0);
        range
    }

    /// Gets ready for a run that has something to publish, and gives what is shown before it.
    fn prepare(&mut self, over: bool) -> Vec<String> {
        if !over {
            self.shop.moves();
            return Vec::new();
        }
        let before = self.shop.seen();
        self.edition += 1;
        let visits = format!("visits + {} AS visits,", self.edition);
        self.shop.sandbox.write("sql/people.sql", SQL.replace("visits,", &visits));
        assert_eq!(before.len(), 2);
        before
    }

    fn run(&self) -> Ran {
        self.shop.sandbox.ran(&mut self.command())
    }

    fn command(&self) -> Command {
        let mut command = self.shop.command(&["run", "--date", DAY]);
        command.env("GATEFOLD_HTTP_TIMEOUT", PATIENCE);
        command
    }

    fn new_rows(&self) -> Vec<String> {
        vec![format!("ada,Oslo,{}", 3 + self.edition), format!("bob,,{}", 3 + self.edition)]
    }

    /// The new rows, once, verified, and nothing left beside them.
    #[track_caller]
    fn is_published(&self, why: &str) {
        assert_eq!(self.shop.seen(), self.new_rows(), "{why}");
        assert_eq!(self.shop.table("people")["numRows"], "2", "{why}");
        self.shop.leaves_no_staging();
        self.run().exits(0).prints(["BigQuery has it"]);
    }

    fn carry_out(&mut self, drill: &Drill) -> bool {
        let before = self.prepare(drill.over);
        self.shop.cloud.arm(&drill.fault);
        let ran = match drill.lasting {
            true => self.shop.sandbox.ran(self.command().env("GATEFOLD_RETRY_DEADLINE", "1")),
            false => self.run(),
        };
        let struck = self.shop.cloud.struck();
        self.shop.cloud.disarm();
        assert!(struck > 0 || drill.looks, "{drill:?} struck nothing");
        if drill.lasting || ran.code != 0 {
            let seen = self.shop.seen();
            assert!(seen == before || seen == self.new_rows(), "{drill:?}: {seen:?}");
            assert_eq!(ran.code, 13, "{drill:?}: {}", ran.stderr);
            self.run().exits(0);
        }
        assert_eq!(self.shop.seen(), self.new_rows(), "{drill:?}");
        self.shop.leaves_no_staging();
        ran.code == 0
    }
}

/// The requests of a run, without how often it looked at a job that took its time.
fn targets(project: &str, requests: &[Value]) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for request in requests {
        let text = |key: &str| request[key].as_str().unwrap().to_owned();
        let path = text("path");
        let path = match path.split_once(project) {
            Some((_, path)) if request["service"] == "bigquery" => without_digest(path),
            // Of a name in a bucket nothing is the same in another run.
            _ => format!("{}/o", path.split_once("/o").unwrap().0),
        };
        let same = |target: &&Target| (&target.method, &target.path) == (&text("method"), &path);
        let nth = targets.iter().filter(same).count() + 1;
        let target = Target { service: text("service"), method: text("method"), path, nth };
        if nth == 1 || !target.looks() {
            targets.push(target);
        }
    }
    targets
}

/// A pattern of the path up to where it names the content of files or a random number.
fn without_digest(path: &str) -> String {
    let is_digest = |part: &&str| part.len() >= 12 && part.bytes().all(|c| c.is_ascii_hexdigit());
    match path.split('_').find(is_digest) {
        Some(digest) => path.split_once(digest).unwrap().0.to_owned(),
        None => format!("{}(\\?|$)", path.replace('$', "\\$")),
    }
}

fn kinds(when: &str, service: &str) -> Vec<Value> {
    let mut kinds = vec![
        json!({ "kind": "status", "status": 503 }),
        json!({ "kind": "status", "status": 429, "retry_after_s": 1 }),
        json!({ "kind": "cut" }),
        json!({ "kind": "silence", "seconds": 20.0 }),
    ];
    if when == "after" {
        kinds.push(json!({ "kind": "truncate" }));
    }
    if (when, service) == ("after", "storage") {
        kinds.push(json!({ "kind": "checksum" }));
    }
    kinds
}

fn drills(over: bool, targets: &[Target]) -> Vec<Drill> {
    let mut drills = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        for when in ["before", "after"] {
            let kinds = kinds(when, &target.service);
            // A bucket is asked little, so each of its requests meets every kind.
            let some = if target.service == "storage" { kinds.len() } else { 1 };
            let first = number + usize::from(over) * 2;
            for kind in (0..some).map(|step| &kinds[(first + step) % kinds.len()]) {
                drills.push(Drill { over, lasting: false, looks: target.looks(), fault: target.fault(when, kind) });
            }
            if over {
                let kind = json!({ "kind": "status", "status": 503, "times": 1000 });
                drills.push(Drill { over, lasting: true, looks: target.looks(), fault: target.fault(when, &kind) });
            }
        }
    }
    drills
}

#[test]
fn every_request_breaks_before_and_after_and_the_partition_is_right() {
    let name = "every_request_breaks_before_and_after_and_the_partition_is_right";
    let clouds: Option<Vec<Cloud>> = (0..WORKERS).map(|_| Cloud::alone(name, &[])).collect();
    let Some(clouds) = clouds else { return };
    let started = Instant::now();
    let mut all = VecDeque::new();
    {
        let mut range = Range::new(&clouds[0]);
        for over in [false, true] {
            range.prepare(over);
            let (ran, requests) = range.shop.requests_of(|| range.run());
            ran.exits(0);
            let targets = targets(&range.shop.project, &requests);
            println!("{} requests of a run, over published rows: {over}", targets.len());
            targets.iter().for_each(|target| println!("  {} {} {}", target.method, target.path, target.nth));
            all.extend(drills(over, &targets));
        }
    }
    assert!(all.len() >= 60, "{} drills", all.len());
    let (count, queue, survived) = (all.len(), Mutex::new(all), Mutex::new(BTreeMap::<bool, usize>::new()));
    let next = || queue.lock().unwrap().pop_front();
    std::thread::scope(|threads| {
        for cloud in &clouds {
            threads.spawn(|| {
                let mut range = Range::new(cloud);
                while let Some(drill) = next() {
                    let clock = Instant::now();
                    let alone = range.carry_out(&drill);
                    *survived.lock().unwrap().entry(alone).or_default() += 1;
                    println!("{:.1} s, {alone}: {drill:?}", clock.elapsed().as_secs_f64());
                }
            });
        }
    });
    let survived = survived.into_inner().unwrap();
    println!(
        "{count} faults in {:.0} s: {} runs survived alone, {} were finished by the same command",
        started.elapsed().as_secs_f64(),
        survived.get(&true).unwrap_or(&0),
        survived.get(&false).unwrap_or(&0)
    );
    assert_eq!(survived.values().sum::<usize>(), count);
}

#[test]
fn a_run_killed_on_its_way_to_bigquery_is_finished_by_the_same_command() {
    let name = "a_run_killed_on_its_way_to_bigquery_is_finished_by_the_same_command";
    let Some(cloud) = Cloud::shared(name) else { return };
    let mut range = Range::new(cloud);
    for over in [false, true] {
        for point in CRASHES {
            let before = range.prepare(over);
            let mut command = range.command();
            assert_eq!(range.shop.sandbox.ran(command.env("GATEFOLD_CRASH_AT", point)).code, -1, "{point}");
            let expected = if point == "after:show" { range.new_rows() } else { before };
            assert_eq!(range.shop.seen(), expected, "{point}");
            let (again, requests) = range.shop.requests_of(|| range.run());
            again.exits(0);
            let accepted: Vec<Value> = requests.into_iter().filter(|r| is_job(r) && r["status"] == 200).collect();
            let left = match point {
                "before:load" => vec!["load", "query", "copy"],
                "after:load" | "before:show" => vec!["query", "copy"],
                _ => vec!["query"],
            };
            assert_eq!(jobs_of(&accepted), left, "{point}: what was done is not done again");
            range.is_published(point);
        }
    }
}

/// The file changes in the bucket after it was sent: the load waits in silence for so long.
#[test]
fn what_bigquery_loads_wrongly_is_never_shown() {
    let Some(cloud) = Cloud::alone("what_bigquery_loads_wrongly_is_never_shown", &[]) else { return };
    let mut range = Range::new(&cloud);
    let other = Range { shop: Shop::new(&cloud, &ada_and_bob()), edition: 0 };
    other.shop.sandbox.write("sql/people.sql", SQL.replace("visits,", "visits + 100 AS visits,"));
    other.run().exits(0);
    let before = range.prepare(true);
    let silence =
        json!({ "kind": "silence", "seconds": 20.0, "service": "bigquery", "method": "POST", "path": "/jobs" });
    cloud.arm(&silence);
    let ran = std::thread::scope(|threads| {
        let run = threads.spawn(|| range.run());
        let patience = Instant::now() + Duration::from_secs(60);
        while cloud.struck() == 0 {
            assert!(Instant::now() < patience, "nothing was loaded");
            std::thread::sleep(Duration::from_millis(10));
        }
        swap(&cloud, &other.shop.project, &range.shop.project);
        run.join().unwrap()
    });
    ran.exits(12).says(["what BigQuery loaded is not what the files hold", "visits", "nothing of it was shown"]);
    assert!(!ran.stderr.contains("person_id"), "the other columns are right: {}", ran.stderr);
    assert_eq!(range.shop.seen(), before);
    range.shop.leaves_no_staging();
    range.run().exits(0);
    range.is_published("the file is sent again");
}

/// Puts one project's newest file in the place of another's.
fn swap(cloud: &Cloud, from: &str, to: &str) {
    let staging = |project: &str| {
        let place = gatefold::config::BucketPlace::parse(&format!("gs://{}/staging/{project}", cloud.bucket));
        cloud.at(place.unwrap())
    };
    let newest = |lake: &super::BucketLake| {
        let files = lake.list("tables/shop/people");
        files.into_iter().max_by_key(|file| file.last_modified).unwrap().location.to_string()
    };
    let (source, target) = (staging(from), staging(to));
    target.put(&newest(&target), source.read(&newest(&source)));
}

#[test]
fn a_request_that_google_would_not_understand_is_complained_of() {
    if Cloud::shared("a_request_that_google_would_not_understand_is_complained_of").is_none() {
        return;
    }
    let request = |field: &str| {
        json!({
            "service": "bigquery", "method": "POST", "path": "/bigquery/v2/projects/acme/jobs", "query": {},
            "body": { "configuration": { "load": { field: "WRITE_TRUNCATE" } } }
        })
    };
    assert_eq!(Cloud::complaints(&[request("writeDisposition")]), "");
    let told = Cloud::complaints(&[request("writeDisposition"), request("writeDispositon")]);
    assert!(told.contains("writeDispositon"), "{told}");
}
