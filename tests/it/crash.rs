//! A run may die at any instruction; the same command again ends in the same tables.
//!
//! Real runs of the program are killed with SIGKILL: at each of its named points (`record::crash` says which) and from
//! outside at random moments, on an empty lake and over a published partition. After each death the test looks at what
//! readers see, runs the same command again, and holds the lake against that of a run that nobody disturbed.
//!
//! Old and new rows of a partition are told apart by the pseudonym key: under another key every row is another.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use gatefold::generate::{Options, generate};
use gatefold::publish::Slice;
use gatefold::record::Outcome;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::Value;

use crate::reader::{Reader, rejected_row, the_day, user_daily};
use crate::support::{DAY, KEY, KEY_VARIABLE, Sandbox};

/// What a run passes through when it publishes, in this order.
const STEPS: [&str; 10] = [
    "run_started",
    "job_started",
    "snapshot_verified",
    "inputs_resolved",
    "staged",
    "audited",
    "rejected_rows",
    "commit",
    "published",
    "run_finished",
];

const RANDOM_DEATHS: u64 = 12;
/// A lake with more is emptied: each run reads the record of those before, and the drills would take ever longer.
const MOST_RUNS: usize = 10;
const SIGKILL: i32 = 9;
const KEYS: [&str; 2] = [KEY, "another key of the crash drills"];

/// Where a run dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    At {
        step: usize,
        after: bool,
    },
    /// At this share of the time that a run takes.
    Random(f64),
}

#[derive(Debug, Clone, Copy)]
struct Drill {
    death: Death,
    /// Whether the run replaces a published partition.
    over: bool,
}

fn drills(seed: u64) -> VecDeque<Drill> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut drills = VecDeque::new();
    for over in [false, true] {
        for after in [false, true] {
            drills.extend((0..STEPS.len()).map(|step| Drill { death: Death::At { step, after }, over }));
        }
    }
    for number in 0..RANDOM_DEATHS {
        let within = f64::from(chance.next_u32()) / f64::from(u32::MAX);
        let share = (number as f64 + within) / RANDOM_DEATHS as f64;
        drills.push_back(Drill { death: Death::Random(share), over: number % 2 == 1 });
    }
    drills
}

#[test]
fn a_killed_run_is_finished_by_the_same_command() {
    let seed = std::env::var("GATEFOLD_TEST_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let drills = drills(seed);
    println!("{} deaths, seed {seed}; another with GATEFOLD_TEST_SEED", drills.len());
    assert!(drills.len() >= 50);
    let queue = Mutex::new(drills);
    let next = || queue.lock().unwrap().pop_front();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let range = Range::new();
                while let Some(drill) = next() {
                    println!("{drill:?}");
                    range.carry_out(drill);
                }
            });
        }
    });
}

#[test]
fn a_run_killed_while_it_says_that_there_is_nothing_to_do_has_done_nothing() {
    let range = Range::new();
    range.empty();
    range.finish(KEY, false);
    let version = range.sandbox.version("users.user_daily");
    for point in ["before:up_to_date", "after:up_to_date"] {
        range.die_at(point, &mut range.command(KEY, false));
        let again = range.sandbox.run(DAY);
        again.exits(0).prints(["already published"]);
        range.is_as_if_nothing_had_happened(KEY);
        assert_eq!(range.sandbox.version("users.user_daily"), version, "{point}");
    }
}

#[test]
fn a_run_killed_while_it_tells_of_a_failure_fails_again_and_then_succeeds() {
    let range = Range::new();
    let sandbox = &range.sandbox;
    sandbox.write("jobs/user_count.toml", USER_COUNT);
    sandbox.write(
        "sql/user_count.sql",
        "SELECT snapshot_date, count(*) AS users FROM user_daily GROUP BY snapshot_date\n",
    );
    let complete = format!("{}/_SUCCESS", sandbox.day("account", DAY));
    for point in ["before:job_failed", "after:job_failed", "before:job_skipped", "after:job_skipped"] {
        range.empty();
        sandbox.remove(&complete);
        range.die_at(point, &mut range.command(KEY, false));
        sandbox.run(DAY).exits(10);
        assert!(range.users().is_empty(), "{point}");

        sandbox.write(&complete, "");
        range.finish(KEY, false);
        range.is_as_if_nothing_had_happened(KEY);
        let counted = sandbox.rows("SELECT users FROM users.user_count");
        assert_eq!(counted, [range.users().len().to_string()], "{point}");
    }
}

const USER_COUNT: &str = r#"
description = "How many users a day has."
owner       = "user-platform@example.com"
sql         = "sql/user_count.sql"
inputs      = ["user_daily"]

[table]
dataset   = "users"
mode      = "partition"
grain     = ["snapshot_date"]
partition = { column = "snapshot_date", by = "day" }
columns   = [
  { name = "snapshot_date", type = "DATE",  required = true, description = "Day that the row describes." },
  { name = "users",         type = "INT64", required = true, description = "Users on that day." },
]
"#;

/// What readers see under one key, but for the names of the runs.
#[derive(Debug, Clone, PartialEq)]
struct Rows {
    users: Vec<String>,
    rejected: Vec<String>,
}

/// A lake to die in, and what undisturbed runs have made of its snapshots.
struct Range {
    sandbox: Sandbox,
    reader: Reader,
    undisturbed: BTreeMap<&'static str, Rows>,
    takes: Duration,
}

impl Range {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let options = Options { accounts: 400, days: 1, until: DAY.parse().unwrap(), seed: 1, max_threads: 1 };
        generate(&options, &sandbox.path("lake/snapshots"), &|_| ()).unwrap();
        let reader = Reader::of(&sandbox);
        let mut range = Range { sandbox, reader, undisturbed: BTreeMap::new(), takes: Duration::ZERO };
        for key in KEYS {
            range.empty();
            let started = Instant::now();
            range.finish(key, false);
            range.takes = started.elapsed();
            let rows = Rows { users: range.users(), rejected: range.rejected() };
            assert!(rows.users.len() > 300 && !rows.rejected.is_empty(), "a sample too clean to prove anything");
            range.undisturbed.insert(key, rows);
        }
        let by_hand = |rows: &Rows, key: &str| rows.users.iter().filter(|row| row.contains(key)).count();
        let (ours, theirs) = (&range.undisturbed[KEYS[0]], &range.undisturbed[KEYS[1]]);
        let pseudonym = |row: &String| serde_json::from_str::<Value>(row).unwrap()["user_pid"].to_string();
        assert!(ours.users.iter().map(pseudonym).all(|pid| by_hand(theirs, &pid) == 0), "the keys change too little");
        range
    }

    fn carry_out(&self, drill: Drill) {
        if !drill.over || self.reader.runs().len() > MOST_RUNS {
            self.empty();
        }
        if drill.over && self.users().is_empty() {
            self.finish(KEYS[0], false);
        }
        let old = self.users();
        let key = KEYS.into_iter().find(|key| self.undisturbed[key].users != old).unwrap();
        let runs_before = self.reader.runs().len();
        self.die(key, drill);
        self.sees_old_or_new(drill, &old, &self.undisturbed[key].users);
        self.record_tells_of_the_death(drill, runs_before);
        self.leave_half_a_file();
        self.finish(key, drill.over);
        self.is_as_if_nothing_had_happened(key);
    }

    fn empty(&self) {
        for folder in ["tables", "runs", "leases", "work"] {
            let _ = fs::remove_dir_all(self.sandbox.path("lake").join(folder));
        }
    }

    fn command(&self, key: &str, over: bool) -> Command {
        let mut command = self.sandbox.command(["run", "--date", DAY]);
        command.args(over.then_some("--force")).env(KEY_VARIABLE, key);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn die(&self, key: &str, drill: Drill) {
        let mut command = self.command(key, drill.over);
        match drill.death {
            Death::At { step, after: false } => self.die_at(&format!("before:{}", STEPS[step]), &mut command),
            Death::At { step, after: true } => self.die_at(&format!("after:{}", STEPS[step]), &mut command),
            Death::Random(share) => {
                let mut child = command.spawn().unwrap();
                std::thread::sleep(self.takes.mul_f64(share));
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }

    fn die_at(&self, point: &str, command: &mut Command) {
        let died = command.env("GATEFOLD_CRASH_AT", point).status().unwrap();
        assert_eq!(died.signal(), Some(SIGKILL), "{point} was never reached");
    }

    /// Runs to the end what died, as a person would: the same command, a while later.
    fn finish(&self, key: &str, over: bool) {
        self.let_work_folders_age();
        let mut command = self.command(key, over);
        self.sandbox.ran(command.stdout(Stdio::piped()).stderr(Stdio::piped())).exits(0);
    }

    /// A work folder of a run without a record may belong to one that starts just now, and is left alone while it is new.
    fn let_work_folders_age(&self) {
        let long_ago = SystemTime::now() - Duration::from_secs(600);
        for folder in fs::read_dir(self.sandbox.path("lake/work")).into_iter().flatten() {
            File::open(folder.unwrap().path()).unwrap().set_modified(long_ago).unwrap();
        }
    }

    fn users(&self) -> Vec<String> {
        self.reader.visible(&user_daily(), &the_day())
    }

    fn rejected(&self) -> Vec<String> {
        let without_run = |row: String| {
            let mut row: Value = serde_json::from_str(&row).unwrap();
            row.as_object_mut().unwrap().remove("run_id").unwrap();
            row.to_string()
        };
        let mut rows: Vec<String> =
            self.reader.visible(&rejected_row(), &Slice(Vec::new())).into_iter().map(without_run).collect();
        rows.sort();
        rows
    }

    fn sees_old_or_new(&self, drill: Drill, old: &[String], new: &[String]) {
        let seen = self.users();
        match drill.death {
            Death::At { step, after } => {
                let committed = (STEPS[step], after) == ("commit", true) || STEPS[..step].contains(&"commit");
                assert!(seen == if committed { new } else { old }, "{drill:?}: {} other rows", seen.len());
            }
            Death::Random(_) => assert!(seen == old || seen == new, "{drill:?}: {} torn rows", seen.len()),
        }
        assert_eq!(self.reader.makers(&user_daily(), &the_day()).len(), usize::from(!seen.is_empty()), "{drill:?}");
    }

    fn record_tells_of_the_death(&self, drill: Drill, runs_before: usize) {
        let runs = self.reader.runs();
        let expected = match drill.death {
            Death::At { step: 0, after: false } => None,
            Death::At { step, after: true } if STEPS[step] == "run_finished" => Some(Outcome::Succeeded),
            Death::At { .. } => Some(Outcome::Interrupted),
            Death::Random(_) => return,
        };
        assert_eq!(runs.len() - runs_before, usize::from(expected.is_some()), "{drill:?}");
        if let Some(expected) = expected {
            assert_eq!(runs[0].outcome, expected, "{drill:?}");
        }
    }

    /// What writers leave that die within a file and within a commit, under names that a store does not list.
    fn leave_half_a_file(&self) {
        let Some(dead) = self.reader.runs().into_iter().next().filter(|run| run.outcome == Outcome::Interrupted) else {
            return;
        };
        self.sandbox.write(&format!("lake/tables/users/user_daily/{}/part-007-000.parquet#1", dead.run_id), "PAR1");
        let next = self.sandbox.version("users.user_daily").map_or(0, |version| version + 1);
        self.sandbox.write(&format!("lake/tables/users/user_daily/_delta_log/{next:020}.json#1"), "{");
    }

    fn is_as_if_nothing_had_happened(&self, key: &str) {
        let rows = Rows { users: self.users(), rejected: self.rejected() };
        let undisturbed = &self.undisturbed[key];
        assert_eq!(rows.users.len(), undisturbed.users.len());
        assert_eq!(&rows, undisturbed);
        for table in [user_daily(), rejected_row()] {
            assert_eq!(self.reader.on_disk(&table), self.reader.committed(&table), "files of {table} and its commits");
        }
        assert_eq!(self.reader.makers(&user_daily(), &the_day()).len(), 1);
        let work: Vec<_> = fs::read_dir(self.sandbox.path("lake/work")).into_iter().flatten().collect();
        assert!(work.is_empty(), "left behind: {work:?}");
    }
}
