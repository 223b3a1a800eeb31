//! Who may change a partition, and what readers see while it changes.
//!
//! Old and new rows are told apart by the pseudonym key: under another key every row is another.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gatefold::generate::{Options, generate};
use gatefold::names::RunId;
use gatefold::publish::Slice;
use gatefold::record::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::reader::{Reader, day, rejected_row, the_day, user_daily};
use crate::support::{DAY, KEY, KEY_VARIABLE, Ran, Sandbox};

const OTHER_KEY: &str = "another key of the lake tests";
const LEASE: &str = "lake/leases/users.user_daily/2026-11-20.json";

/// A run of every job for [`DAY`] under a key, even when it is published.
fn forced(sandbox: &Sandbox, key: &str) -> Command {
    let mut command = sandbox.command(["run", "--force", "--date", DAY]);
    command.env(KEY_VARIABLE, key).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn publish(sandbox: &Sandbox, key: &str) -> Vec<String> {
    sandbox.ran(&mut forced(sandbox, key)).exits(0);
    Reader::of(sandbox).visible(&user_daily(), &the_day())
}

#[test]
fn readers_see_the_old_rows_or_the_new_ones_and_never_a_mix() {
    let sandbox = Sandbox::with_sample();
    let (old, new) = (publish(&sandbox, KEY), publish(&sandbox, OTHER_KEY));
    assert_ne!(old, new);
    let reader = Reader::of(&sandbox);
    let held = reader.open(&user_daily()).unwrap();

    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let looks = || {
            let reader = Reader::of(&sandbox);
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let rows = reader.visible(&user_daily(), &the_day());
                assert!(rows == old || rows == new, "{} rows of two states", rows.len());
                seen.insert(rows == new);
                std::thread::sleep(Duration::from_millis(10));
            }
            seen
        };
        let queries = || {
            let pseudonyms = |rows: &[String]| {
                let pid =
                    |row: &String| serde_json::from_str::<Value>(row).unwrap()["user_pid"].as_str().unwrap().to_owned();
                let mut pids: Vec<String> = rows.iter().map(pid).collect();
                pids.sort();
                pids
            };
            let (old, new) = (pseudonyms(&old), pseudonyms(&new));
            while !done.load(Ordering::Relaxed) {
                let rows = sandbox.rows("SELECT user_pid FROM users.user_daily ORDER BY user_pid");
                assert!(rows == old || rows == new, "{} rows of two states", rows.len());
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        let stop = StopOnDrop(&done);
        let looking = threads.spawn(looks);
        threads.spawn(queries);
        for key in [KEY, OTHER_KEY, KEY, OTHER_KEY, KEY] {
            sandbox.ran(&mut forced(&sandbox, key)).exits(0);
        }
        drop(stop);
        assert_eq!(looking.join().unwrap(), BTreeSet::from([false, true]), "the reader saw only one state");
    });

    assert_eq!(reader.visible(&user_daily(), &the_day()), old);
    assert_eq!(reader.rows(&held, &the_day()), new, "a table opened before five commits reads as it was");
}

/// Ends the loops of other threads also when this one fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_second_run_of_a_partition_is_told_who_holds_it() {
    let sandbox = Sandbox::with_sample();
    let holder = Paused::under_lease(&sandbox, KEY);
    let second = sandbox.run(DAY);
    second.exits(14).says([&*format!("held by run {}", holder.run), "gatefold show"]);
    assert!(Reader::of(&sandbox).open(&user_daily()).is_none());

    holder.goes_on().exits(0);
    sandbox.run(DAY).exits(0).prints(["already published"]);
}

#[test]
fn of_runs_that_start_together_at_least_one_publishes_and_the_others_are_turned_away() {
    let sandbox = Sandbox::with_sample();
    let children: Vec<Child> = (0..4).map(|_| forced(&sandbox, KEY).spawn().unwrap()).collect();
    let mut codes: Vec<i32> = children.into_iter().map(|child| ended(&sandbox, child).code).collect();
    codes.sort_unstable();
    assert_eq!(codes[0], 0, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 14].contains(code)), "{codes:?}");
    let reader = Reader::of(&sandbox);
    let published = codes.iter().filter(|code| **code == 0).count();
    assert_eq!(reader.committed(&user_daily()).len(), published, "one file for each that published");
    assert_eq!(reader.makers(&user_daily(), &the_day()).len(), 1);
}

#[test]
fn a_sleeper_that_lost_its_lease_cannot_publish() {
    let sandbox = Sandbox::with_sample();
    let reader = Reader::of(&sandbox);
    let sleeper = Paused::under_lease(&sandbox, KEY);
    let mut lease: Value = serde_json::from_str(&sandbox.read(LEASE)).unwrap();
    lease["expires_at"] = json!("2026-11-21T00:00:00.000Z");
    sandbox.write(LEASE, lease.to_string());

    let rows = publish(&sandbox, OTHER_KEY);
    let rejected = reader.visible(&rejected_row(), &Slice(Vec::new()));
    assert!(!rejected.is_empty());
    let version = sandbox.version("users.user_daily");
    sleeper.goes_on().exits(14).says(["the lease on users.user_daily 2026-11-20 is lost"]);

    assert_eq!(reader.visible(&user_daily(), &the_day()), rows);
    assert_eq!(reader.visible(&rejected_row(), &Slice(Vec::new())), rejected, "rejected rows are the winner's too");
    assert_eq!(sandbox.version("users.user_daily"), version);

    // What the sleeper has staged goes with the next run, also when there is nothing else to do.
    let mut next = sandbox.command(["run", "--date", DAY]);
    sandbox.ran(next.env(KEY_VARIABLE, OTHER_KEY)).exits(0).prints(["already published"]);
    for table in [user_daily(), rejected_row()] {
        assert_eq!(reader.on_disk(&table), reader.committed(&table), "files of {table} and its commits");
    }
}

#[test]
fn runs_of_eight_dates_publish_side_by_side() {
    let dates: Vec<String> = (13..=20).map(|day| format!("2026-11-{day}")).collect();
    let sandbox = Sandbox::new();
    let options = Options { accounts: 200, days: 8, until: DAY.parse().unwrap(), seed: 1, max_threads: 2 };
    generate(&options, &sandbox.path("lake/snapshots"), &|_| ()).unwrap();
    let start = |date: &String| {
        let mut command = sandbox.command(["run", "--date", date]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = dates.iter().map(start).collect();
    for child in children {
        ended(&sandbox, child).exits(0);
    }

    let reader = Reader::of(&sandbox);
    let table = reader.open(&user_daily()).unwrap();
    let runs = reader.runs();
    assert_eq!(table.values_of("snapshot_date"), dates.iter().cloned().collect());
    for date in &dates {
        let rows = reader.rows(&table, &day(date));
        let run = runs.iter().find(|run| run.date.to_string() == *date).unwrap();
        assert_eq!((run.outcome, run.rows), (Outcome::Succeeded, rows.len() as u64));
        assert_eq!(table.runs_of(&day(date)), BTreeSet::from([run.run_id.clone()]));
        let own = format!("\"snapshot_date\":\"{date}\"");
        assert!(rows.len() > 100 && rows.iter().all(|row| row.contains(&own)), "{date}: {} rows", rows.len());
    }
    assert_eq!(reader.rows(&table, &Slice(Vec::new())).len() as u64, runs.iter().map(|run| run.rows).sum::<u64>());
}

fn ended(sandbox: &Sandbox, child: Child) -> Ran {
    let output: Output = child.wait_with_output().unwrap();
    Ran::new(&output, sandbox.root())
}

/// A run that holds its lease, has not committed, and has been stopped there.
struct Paused<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    run: RunId,
}

impl<'a> Paused<'a> {
    fn under_lease(sandbox: &'a Sandbox, key: &str) -> Self {
        let mut child = forced(sandbox, key).spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        let run = loop {
            if let Some(run) = event_of(sandbox, "job_started") {
                break run;
            }
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < patience, "the run never took its lease");
            std::thread::sleep(Duration::from_millis(1));
        };
        signal(&child, Signal::STOP);
        assert_eq!(event_of(sandbox, "audited"), None, "the run was too fast to be paused in the middle");
        Paused { sandbox, child, run }
    }

    fn goes_on(self) -> Ran {
        signal(&self.child, Signal::CONT);
        ended(self.sandbox, self.child)
    }
}

/// The run that has recorded an event, when one has.
fn event_of(sandbox: &Sandbox, event: &str) -> Option<RunId> {
    let runs = fs::read_dir(sandbox.path(format!("lake/runs/{DAY}"))).ok()?.map(|run| run.unwrap());
    let told = |run: &fs::DirEntry| {
        let suffix = format!("-{event}.json");
        fs::read_dir(run.path()).unwrap().any(|file| file.unwrap().file_name().to_string_lossy().ends_with(&suffix))
    };
    runs.into_iter().find(told).map(|run| run.file_name().to_string_lossy().parse().unwrap())
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}
