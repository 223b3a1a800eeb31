//! Ranges of days: what is fresh stays untouched, everything else is made, in its order and side by side.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::Value;

use crate::history::{ALL, COPY, COPY_SQL, day, put};
use crate::people::{JOB, Person, SQL, batch, person, project};
use crate::plans::chain_of;
use crate::support::{Ran, Sandbox};

const FROM: u32 = 1;

fn backfill(sandbox: &Sandbox, last: u32, more: &[&str]) -> Ran {
    let (from, to) = (day(FROM), day(last));
    sandbox.gatefold(["backfill", "--from", &from, "--to", &to].iter().chain(more))
}

/// `date job state outcome` of every partition that is not fresh.
fn told(ran: &Ran) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let partitions = ran.json()["partitions"].take();
    let line =
        |p: &Value| format!("{} {} {} {}", text(&p["date"]), text(&p["job"]), text(&p["state"]), text(&p["outcome"]));
    partitions.as_array().unwrap().iter().map(line).collect()
}

/// The runs of each date.
fn runs(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let folders = |path: &std::path::Path| -> Vec<_> { fs::read_dir(path).into_iter().flatten().flatten().collect() };
    let dates = folders(&sandbox.path("lake/runs"));
    dates.iter().map(|d| (d.file_name().to_string_lossy().into_owned(), folders(&d.path()).len())).collect()
}

/// `people` with a snapshot on each of these days.
fn people(days: impl IntoIterator<Item = u32>) -> Sandbox {
    let sandbox = project();
    days.into_iter().for_each(|number| put_people(&sandbox, number, 3));
    sandbox
}

fn put_people(sandbox: &Sandbox, number: u32, visits: i64) {
    let rows =
        [Person { visits: Some(visits), ..person("ada") }, Person { visits: Some(i64::from(number)), ..person("bob") }];
    sandbox.put_rows("person", &day(number), &batch(&rows));
}

fn nothing_is_left(sandbox: &Sandbox, last: u32) {
    let before = runs(sandbox);
    sandbox.lake_stays(|| backfill(sandbox, last, &[]).exits(0).prints(["nothing to do"]).code);
    assert_eq!(runs(sandbox), before);
}

#[test]
fn only_what_is_not_fresh_is_made() {
    let sandbox = people(1..=5);
    for number in [2, 4] {
        sandbox.run(&day(number)).exits(0);
    }
    let before = runs(&sandbox);
    let shown = backfill(&sandbox, 5, &["--dry-run"]);
    shown.exits(0).prints(["5 partitions of 1 tables: 2 fresh, 3 missing", "never published", "to make: 3 partitions"]);
    assert_eq!((runs(&sandbox), sandbox.version("shop.people")), (before.clone(), Some(2)));

    let made = backfill(&sandbox, 5, &["--parallel", "3", "--format", "json"]);
    made.exits(0);
    let missing = |number| format!("{} people missing published", day(number));
    assert_eq!(told(&made), [1, 3, 5].map(missing));
    assert_eq!(made.json()["fresh"], 2);
    assert_eq!(sandbox.version("shop.people"), Some(5));
    let after = runs(&sandbox);
    for number in [2, 4] {
        assert_eq!(before[&day(number)], after[&day(number)], "a run touched what is fresh");
    }
    nothing_is_left(&sandbox, 5);
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = people(1..=2);
    backfill(&sandbox, 2, &["--dry-run"]).exits(0).prints(["2026-02-01 to 2026-02-02", "missing"]);
    assert_eq!((sandbox.tables(), runs(&sandbox)), (Vec::<String>::new(), BTreeMap::new()));
    assert!(!sandbox.path("lake/work").exists());
    backfill(&sandbox, 0, &[]).exits(2).says(["not a date"]);
    sandbox.gatefold(["backfill", "--from", &day(2), "--to", &day(1)]).exits(2).says(["before it begins"]);
    sandbox.gatefold(["backfill", "--from", "0226-02-01", "--to", &day(1)]).exits(2).says(["is the year right?"]);
}

#[test]
fn a_changed_input_makes_its_day_and_a_changed_text_all_days() {
    let sandbox = people(1..=3);
    backfill(&sandbox, 3, &[]).exits(0);
    put_people(&sandbox, 2, 4);
    let made = backfill(&sandbox, 3, &["--format", "json"]);
    assert_eq!(told(&made), ["2026-02-02 people stale published"]);
    sandbox.edit("sql/people.sql", "visits,", "visits + 1 AS visits,");
    backfill(&sandbox, 3, &["--dry-run"]).exits(0).prints([
        "3 stale",
        "2026-02-01 to 2026-02-03",
        "sql/people.sql changed",
    ]);
    backfill(&sandbox, 3, &[]).exits(0);
    nothing_is_left(&sandbox, 3);
    let version = sandbox.version("shop.people");
    backfill(&sandbox, 3, &["--force"]).exits(0).prints(["--force"]);
    assert_eq!(sandbox.version("shop.people"), version.map(|version| version + 3));
}

#[test]
fn after_a_failure_nothing_new_begins_unless_more_may_fail() {
    let sandbox = people(1..=4);
    put_people(&sandbox, 2, -1);
    let ran = backfill(&sandbox, 4, &["--parallel", "1"]);
    ran.exits(12).says(["range(visits)", "2 partitions did not begin", "--max-failures"]);
    assert_eq!(runs(&sandbox).into_keys().collect::<Vec<_>>(), [day(1), day(2)]);

    let ran = backfill(&sandbox, 4, &["--max-failures", "2", "--format", "json"]);
    ran.exits(12);
    let expected = [
        "2026-02-02 people failed failed",
        "2026-02-03 people missing published",
        "2026-02-04 people missing published",
    ];
    assert_eq!(told(&ran), expected);
    let failure = &ran.json()["partitions"][0]["failure"];
    assert_eq!(failure["exit_code"], 12);
    assert!(failure["message"].as_str().unwrap().starts_with("a check blocks"), "{failure}");
    backfill(&sandbox, 4, &["--dry-run"]).exits(0).prints(["1 failed", "exit 12 in ", "a check blocks"]);

    put_people(&sandbox, 2, 1);
    backfill(&sandbox, 4, &[]).exits(0);
    nothing_is_left(&sandbox, 4);
}

#[test]
fn a_missing_input_is_waited_for_and_the_rest_is_made() {
    let sandbox = people([1, 3]);
    let ran = backfill(&sandbox, 4, &["--format", "json"]);
    ran.exits(10);
    let waiting = |number| format!("{} people waiting -", day(number));
    let made = |number| format!("{} people missing published", day(number));
    assert_eq!(told(&ran), [made(1), waiting(2), made(3), waiting(4)]);
    let before = runs(&sandbox);
    backfill(&sandbox, 4, &[]).exits(10).prints(["2 waiting", "the snapshot 'person' has no data for 2026-02-02"]);
    assert_eq!(runs(&sandbox), before);
}

#[test]
fn what_is_visible_stands_when_its_input_is_gone() {
    let sandbox = people(1..=2);
    backfill(&sandbox, 2, &[]).exits(0);
    sandbox.remove(&format!("lake/snapshots/person/snapshot_date={}", day(1)));
    let ran = backfill(&sandbox, 2, &["--format", "json"]);
    assert_eq!(told(&ran), ["2026-02-01 people kept -"]);
    ran.exits(0);
    // Who reads it is made from what is visible.
    sandbox.write(
        "jobs/guests.toml",
        JOB.replace("sql/people.sql", "sql/guests.sql").replace("[\"person\"]", "[\"people\"]"),
    );
    sandbox.write("sql/guests.sql", SQL.replace("FROM person", "FROM people"));
    let ran = backfill(&sandbox, 2, &["--format", "json"]);
    ran.exits(0);
    let made = |number| format!("{} guests missing published", day(number));
    assert_eq!(
        told(&ran).iter().filter(|line| line.contains("guests")).cloned().collect::<Vec<_>>(),
        [made(1), made(2)]
    );
}

#[test]
fn a_history_waits_for_what_only_a_check_of_it_reads() {
    let prices: [&[crate::history::Price]; 3] =
        [&[("gold", "NO", Some(9))], &[("gold", "NO", Some(8))], &[("gold", "NO", Some(7))]];
    let sandbox = crate::history::project();
    let check = "\n[[check]]\nkind = \"relationship\"\ncolumns = [\"market\"]\nto = \"people\"\nto_columns = [\"person_id\"]\n\
                 severity = \"warn\"\n";
    sandbox.write("jobs/prices.toml", sandbox.read("jobs/prices.toml") + check);
    sandbox.write("jobs/snapshots/person.toml", crate::people::CONTRACT);
    sandbox.write("jobs/people.toml", JOB);
    sandbox.write("sql/people.sql", SQL);
    (1..).zip(prices).for_each(|(number, prices)| put(&sandbox, &day(number), prices));
    [1, 3].into_iter().for_each(|number| put_people(&sandbox, number, 3));

    let ran = backfill(&sandbox, 3, &["--format", "json"]);
    ran.exits(10);
    let of_prices: Vec<String> = told(&ran).into_iter().filter(|line| line.contains(" prices ")).collect();
    assert_eq!(
        of_prices,
        ["2026-02-01 prices missing published", "2026-02-02 prices waiting -", "2026-02-03 prices waiting -"]
    );

    put_people(&sandbox, 2, 3);
    backfill(&sandbox, 3, &[]).exits(0);
    assert_eq!(sandbox.rows(ALL), crate::history::with_days(&prices).rows(ALL));
}

#[test]
fn a_history_takes_its_days_in_order_and_none_is_left_out() {
    let prices: [&[crate::history::Price]; 6] = [
        &[("gold", "NO", Some(9)), ("free", "NO", Some(0))],
        &[("gold", "NO", Some(8))],
        &[("gold", "NO", Some(8)), ("free", "NO", Some(1))],
        &[("gold", "NO", Some(7))],
        &[("gold", "NO", Some(9))],
        &[],
    ];
    let daily = crate::history::with_days(&prices);
    let sandbox = with_copy(crate::history::project());
    let all = (1..).zip(prices).filter(|(number, _)| *number != 4);
    all.for_each(|(number, prices)| put(&sandbox, &day(number), prices));

    // The days after one that is not there wait for it: it could not be taken in any more.
    let ran = backfill(&sandbox, 6, &["--parallel", "4", "--format", "json"]);
    ran.exits(10);
    let of = |ran: &Ran, job: &str| told(ran).into_iter().filter(|line| line.contains(job)).collect::<Vec<_>>();
    let state = |number, job, state| format!("{} {job} {state}", day(number));
    let expected = |job| {
        let made = (1..=3).map(move |number| state(number, job, "missing published"));
        made.chain((4..=6).map(move |number| state(number, job, "waiting -"))).collect::<Vec<_>>()
    };
    assert_eq!(of(&ran, " prices "), expected("prices"));
    assert_eq!(of(&ran, " copy "), expected("copy"));

    put(&sandbox, &day(4), prices[3]);
    backfill(&sandbox, 6, &["--parallel", "4"]).exits(0);
    assert_eq!(sandbox.rows(ALL), daily.rows(ALL));
    nothing_is_left(&sandbox, 6);
}

fn with_copy(sandbox: Sandbox) -> Sandbox {
    sandbox.write("jobs/copy.toml", COPY);
    sandbox.write("sql/copy.sql", COPY_SQL);
    sandbox
}

#[test]
fn a_history_is_rebuilt_only_when_asked() {
    let days: [&[crate::history::Price]; 4] = [
        &[("gold", "NO", Some(1))],
        &[("gold", "NO", Some(2))],
        &[("gold", "NO", Some(2))],
        &[("gold", "NO", Some(3))],
    ];
    let sandbox = with_copy(crate::history::with_days(&days));
    backfill(&sandbox, 4, &[]).exits(0);
    let changed: &[crate::history::Price] = &[("gold", "NO", Some(1))];
    put(&sandbox, &day(2), changed);

    sandbox.lake_stays(|| {
        let refused = backfill(&sandbox, 4, &["prices"]);
        refused.exits(2).prints(["1 refused", "have changed since", "refused days need --rebuild"]);
        let short = sandbox.gatefold(["backfill", "prices", "--from", &day(1), "--to", &day(3), "--rebuild"]);
        short.exits(2).prints(["would cut it short"]);
        // A day whose snapshot is gone could not be taken in again.
        fs::rename(sandbox.path(sandbox.day("price", &day(3))), sandbox.path("aside")).unwrap();
        let broken = backfill(&sandbox, 4, &["prices", "--rebuild"]);
        broken.exits(2).prints(["would end before 2026-02-03"]);
        fs::rename(sandbox.path("aside"), sandbox.path(sandbox.day("price", &day(3)))).unwrap();
    });
    let shown = backfill(&sandbox, 4, &["--rebuild", "--dry-run"]);
    shown.exits(0).prints(["the history is rebuilt from 2026-02-02 to 2026-02-04", "prices runs before it"]);
    backfill(&sandbox, 4, &["--rebuild", "--parallel", "3"]).exits(0);
    let expected = crate::history::with_days(&[days[0], changed, days[2], days[3]]);
    assert_eq!(sandbox.rows(ALL), expected.rows(ALL));
    nothing_is_left(&sandbox, 4);
}

/// `people` ─► `city` ─► (the day before) `growth`.
fn chain(days: u32) -> Sandbox {
    let sandbox = chain_of(project());
    (1..=days).for_each(|number| put_people(&sandbox, number, 3));
    sandbox
}

#[test]
fn earlier_days_come_first_however_many_run_at_once() {
    let rows = |parallel: &str| {
        let sandbox = chain(5);
        backfill(&sandbox, 5, &["--parallel", parallel]).exits(0);
        nothing_is_left(&sandbox, 5);
        let growth = sandbox.rows("SELECT snapshot_date, was, \"is\" FROM shop.growth ORDER BY 1");
        let people = sandbox.rows("SELECT snapshot_date, person_id, visits FROM shop.people ORDER BY 1, 2");
        (growth, people, sandbox.rows("SELECT * FROM shop.city ORDER BY 1, 2"))
    };
    let one = rows("1");
    assert_eq!(one.0[..2], ["2026-02-01,,2", "2026-02-02,2,2"]);
    assert_eq!(rows("4"), one);

    // What reads a day that is made anew is made after it; what does not is left.
    let sandbox = chain(3);
    backfill(&sandbox, 3, &[]).exits(0);
    put_people(&sandbox, 1, 9);
    let ran = backfill(&sandbox, 3, &["--format", "json"]);
    let stale = |number, job| format!("{} {job} stale published", day(number));
    assert_eq!(told(&ran), [stale(1, "people"), stale(1, "city"), stale(1, "growth"), stale(2, "growth")]);
}

#[test]
fn what_reads_a_failed_day_is_skipped() {
    let sandbox = chain(3);
    sandbox.edit("jobs/growth.toml", ", optional = true", "");
    put_people(&sandbox, 2, -1);
    let ran = backfill(&sandbox, 3, &["--max-failures", "9", "--format", "json"]);
    ran.exits(12);
    let expected = [
        "2026-02-01 people missing published",
        "2026-02-01 city missing published",
        "2026-02-01 growth waiting -",
        "2026-02-02 people missing failed",
        "2026-02-02 city missing skipped",
        "2026-02-02 growth missing skipped",
        "2026-02-03 people missing published",
        "2026-02-03 city missing published",
        "2026-02-03 growth missing skipped",
    ];
    assert_eq!(told(&ran), expected);
}

#[test]
fn a_table_that_is_replaced_is_made_for_the_last_day_that_can_be() {
    let sandbox = people(1..=3);
    let job = JOB.replace("mode      = \"partition\"", "mode      = \"replace\"").replace("people.sql", "now.sql");
    sandbox.write("jobs/now.toml", job.replace("partition = { column = \"snapshot_date\", by = \"day\" }\n", ""));
    sandbox.write("sql/now.sql", SQL);
    let reader = JOB.replace("[\"person\"]", "[\"person\", \"now\"]").replace("people.sql", "reader.sql");
    sandbox.write("jobs/reader.toml", reader);
    sandbox.write("sql/reader.sql", format!("{SQL}WHERE person_id IN (SELECT person_id FROM now)"));
    let ran = backfill(&sandbox, 4, &["--parallel", "2", "--format", "json"]);
    ran.exits(10);
    let of = |job: &str| told(&ran).into_iter().filter(|line| line.contains(job)).collect::<Vec<_>>();
    assert_eq!(of(" now "), ["2026-02-03 now missing published"]);
    assert_eq!(of(" reader ").len(), 4);
    assert_eq!(sandbox.rows("SELECT DISTINCT snapshot_date FROM shop.now"), [day(3)]);
    // All days have read the table of the last one.
    let before = runs(&sandbox);
    sandbox.lake_stays(|| backfill(&sandbox, 3, &[]).exits(0).prints(["nothing to do"]).code);
    assert_eq!(runs(&sandbox), before);
}

#[test]
fn a_killed_backfill_goes_on_with_the_same_command() {
    for point in ["after:commit", "before:commit", "after:run_finished", "before:job_started"] {
        let sandbox = people(1..=3);
        let (from, to) = (day(1), day(3));
        let command = ["backfill", "--from", &from, "--to", &to, "--parallel", "2"];
        let died = sandbox.command(command).env("GATEFOLD_CRASH_AT", point).output().unwrap();
        assert_eq!(died.status.code(), None, "{point} was never reached");
        let there = sandbox.version("shop.people").unwrap_or_default();
        sandbox.gatefold(command).exits(0);
        assert_eq!(sandbox.version("shop.people"), Some(3), "{point}: {there} were there, and something came twice");
        assert_eq!(sandbox.rows("SELECT count(*) FROM shop.people"), ["6"], "{point}");
        nothing_is_left(&sandbox, 3);
    }
}

#[test]
fn a_stopped_backfill_says_where_it_stands() {
    let sandbox = people(1..=12);
    let (from, to) = (day(1), day(12));
    let command = ["backfill", "--from", &from, "--to", &to, "--parallel", "1"];
    let mut started = sandbox.command(command);
    let mut child = started.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert_eq!(first, "2026-02-01: 1 published");
    // SAFETY: the child is ours and not yet waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(13), "{rest:#?}");
    let said = rest.join("\n");
    for text in ["stopped by SIGTERM", "partitions that are made: ", " of 12", "the same command does the rest"] {
        assert!(said.contains(text), "{said}");
    }
    let work: Vec<_> = fs::read_dir(sandbox.path("lake/work")).into_iter().flatten().collect();
    assert!(work.is_empty(), "left behind: {work:?}");
    sandbox.gatefold(command).exits(0);
    nothing_is_left(&sandbox, 12);
}

#[test]
fn a_damaged_event_is_a_warning_and_its_partition_is_made_again() {
    let sandbox = people(1..=2);
    backfill(&sandbox, 2, &[]).exits(0);
    let run = fs::read_dir(sandbox.path(format!("lake/runs/{}", day(1)))).unwrap().next().unwrap().unwrap().path();
    let event = fs::read_dir(&run).unwrap().map(|file| file.unwrap().path());
    let event = event.into_iter().find(|path| path.to_string_lossy().ends_with("-inputs_resolved.json")).unwrap();
    let whole = fs::read(&event).unwrap();
    fs::write(&event, &whole[..whole.len() / 2]).unwrap();
    let ran = backfill(&sandbox, 2, &["--format", "json"]);
    ran.exits(0).says(["an event cannot be read", "inputs_resolved.json"]);
    assert_eq!(told(&ran), ["2026-02-01 people stale published"]);
    nothing_is_left(&sandbox, 2);
}

/// Whatever is there before: after a backfill everything is, and another has nothing to do.
#[test]
fn any_range_is_filled_once() {
    let seed = std::env::var("GATEFOLD_TEST_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    const DAYS: u32 = 5;
    for case in 0..3 {
        println!("case {case}, seed {seed}; another with GATEFOLD_TEST_SEED");
        let sandbox = chain(DAYS);
        for job in ["people", "city", "growth"] {
            for number in (1..=DAYS).filter(|_| chance.next_u32() % 2 == 0) {
                // What cannot be made alone is left to the backfill.
                sandbox.gatefold(["run", job, "--date", &day(number)]);
            }
        }
        let changed = 1 + chance.next_u32() % DAYS;
        put_people(&sandbox, changed, 7);
        let parallel = (1 + chance.next_u32() % 4).to_string();
        backfill(&sandbox, DAYS, &["--parallel", &parallel]).exits(0);
        let growth = sandbox.rows("SELECT snapshot_date, was, \"is\" FROM shop.growth ORDER BY 1");
        let expected = (1..=DAYS).map(|n| format!("{},{},2", day(n), if n == 1 { "" } else { "2" }));
        assert_eq!(growth, expected.collect::<Vec<_>>());
        nothing_is_left(&sandbox, DAYS);
    }
}
