//! Promises and alerts: what a run says of deadlines, and what its channels hear, once.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::Utc;
use gatefold::names::{Partition, RunId, TableName};
use gatefold::record;
use gatefold::storage::Storage;
use serde_json::Value;

use crate::hook::{Answer, Hook};
use crate::people::{JOB, Person, ada_and_bob, batch, person, project, project_with};
use crate::support::{DAY, NOW_VARIABLE, Ran, Sandbox};

/// An hour and two minutes after the promise of [`DAY`].
const LATE: &str = "2026-11-21T07:02:00Z";
/// An hour before it.
const EARLY: &str = "2026-11-21T05:00:00Z";
const PROMISE: &str = "\n[promise]\nready_by = \"06:00\"\n";
const SLACK: &str = "\n[[env.local.alert]]\non = [\"failed\", \"late\", \"warned\"]\nformat = \"slack\"\n\
                     webhook = { env = \"SLACK_HOOK\" }\ntimeout = \"1s\"\n";
const JSON: &str = "\n[[env.local.alert]]\nformat = \"json\"\nwebhook = { env = \"JSON_HOOK\" }\ntimeout = \"1s\"\n";

/// A project with a promise and these channels; `visits` reads `people`.
fn promised(people: &[Person], channels: &str) -> Sandbox {
    let sandbox = project_with(people);
    sandbox.write("jobs/people.toml", format!("{JOB}{PROMISE}"));
    let visits = JOB.replace("sql/people.sql", "sql/visits.sql").replace("[\"person\"]", "[\"people\"]");
    sandbox.write("jobs/visits.toml", format!("{visits}{PROMISE}"));
    sandbox.write("sql/visits.sql", crate::people::SQL.replace("FROM person", "FROM people"));
    sandbox.write("sql/views/city.sql", "CREATE OR REPLACE VIEW shop.city AS SELECT city FROM shop.visits\n");
    let config = sandbox.read("gatefold.toml");
    sandbox.write("gatefold.toml", config + channels);
    sandbox
}

fn broken() -> Vec<Person> {
    vec![Person { visits: Some(-4), ..person("eve") }]
}

fn run_at(sandbox: &Sandbox, now: &str, hooks: &[(&str, &Hook)], arguments: &[&str]) -> Ran {
    sandbox.ran(&mut command_at(sandbox, now, hooks, arguments))
}

fn command_at(sandbox: &Sandbox, now: &str, hooks: &[(&str, &Hook)], arguments: &[&str]) -> Command {
    let mut command = sandbox.command(["run"].iter().chain(arguments));
    command.env(NOW_VARIABLE, now).env("PATH", "/usr/bin:/bin");
    for (variable, hook) in hooks {
        command.env(variable, &hook.url);
    }
    command
}

#[test]
fn a_table_that_comes_after_its_deadline_is_a_missed_promise_and_no_failure() {
    let sandbox = promised(&ada_and_bob(), "");
    let ran = run_at(&sandbox, LATE, &[], &["--date", DAY, "--format", "json"]);
    ran.exits(0);
    let missed = &ran.json()["promises_missed"][0];
    assert_eq!(
        (&missed["job"], &missed["late_by_seconds"], &missed["ready"]),
        (&"people".into(), &3720.into(), &true.into())
    );
    assert_eq!(missed["deadline"], "2026-11-21T06:00:00Z");
    let run = ran.json()["run_id"].as_str().unwrap().to_owned();
    let told = sandbox.gatefold(["show", &run]);
    told.exits(0).prints(["promise missed (ready by 06:00 UTC): shop.people of 2026-11-20 was due"]);
    // The partition has been there since; making it again breaks nothing.
    let again = run_at(&sandbox, LATE, &[], &["--date", DAY, "--force", "--format", "json"]);
    assert_eq!(again.exits(0).json()["promises_missed"], Value::Array(Vec::new()));
}

#[test]
fn promises_are_judged_of_the_newest_due_day_alone() {
    for (now, missed) in
        [(EARLY, 0), ("2026-11-21T06:00:01Z", 2), ("2026-11-22T05:59:59Z", 2), ("2026-11-22T06:00:01Z", 0)]
    {
        let sandbox = promised(&ada_and_bob(), "");
        let ran = run_at(&sandbox, now, &[], &["--date", DAY]);
        ran.exits(0);
        let told = ran.stdout.matches("promise missed").count();
        assert_eq!(told, missed, "{now}\n{}", ran.stdout);
    }
    let sandbox = promised(&ada_and_bob(), "");
    run_at(&sandbox, "tomorrow", &[], &["--date", DAY]).exits(2).says(["'tomorrow' is not an instant", NOW_VARIABLE]);
}

#[test]
fn a_table_that_is_not_there_after_its_deadline_is_a_missed_promise() {
    let sandbox = promised(&broken(), "");
    let ran = run_at(&sandbox, LATE, &[], &["--date", DAY]);
    ran.exits(12).prints([
        "warning: people: promise missed: shop.people of 2026-11-20 was promised for 2026-11-21 06:00 UTC",
        "is not there 1 h 02 min later",
        "warning: visits: promise missed",
    ]);
}

#[test]
fn one_failure_is_one_alert_that_groups_what_it_takes_with_it() {
    let (slack, json) = (Hook::new(), Hook::new());
    let hooks = [("SLACK_HOOK", &slack), ("JSON_HOOK", &json)];
    let sandbox = promised(&broken(), &format!("{SLACK}{JSON}"));
    let ran = run_at(&sandbox, LATE, &hooks, &["--date", DAY]);
    ran.exits(12);
    assert!(!ran.stderr.contains("WARN"), "{}", ran.stderr);

    let told = slack.one();
    assert_eq!(refusals(&told), [""; 0]);
    assert_eq!(told["blocks"].as_array().unwrap().len(), 3, "{told:#}");
    let text = told["blocks"][1]["text"]["text"].as_str().unwrap();
    for expected in [
        "*`shop.people`* of 2026-11-20: failed",
        "(exit 12)",
        "*finding:* range(visits): visits below 0 in 1 of 1 row",
        "person_id=eve",
        "*skipped:* visits",
        "*late too:* shop.people, shop.visits",
        "*read by:* shop.visits",
        "*views:* shop.city",
        "*owner:* people@example.com",
        "`gatefold run people+ --date 2026-11-20 --env local`",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }

    let told = json.one();
    assert_eq!((&told["version"], &told["environment"]), (&1.into(), &"local".into()));
    let alerts = told["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1, "{told:#}");
    assert_eq!((&alerts[0]["on"], &alerts[0]["error"]["exit_code"]), (&"failed".into(), &12.into()));
    assert_eq!(alerts[0]["late_too"], serde_json::json!(["shop.people", "shop.visits"]));
    assert_eq!(alerts[0]["impact"]["views"], serde_json::json!(["shop.city"]));
}

#[test]
fn the_same_failure_is_told_once_and_again_after_a_success() {
    let hook = Hook::new();
    let hooks = [("JSON_HOOK", &hook)];
    let sandbox = promised(&broken(), JSON);
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(12);
    hook.one();
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(12);
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(12);
    hook.none();
    // After the deadline it is another thing that it is late.
    run_at(&sandbox, LATE, &hooks, &["--date", DAY]).exits(12);
    let late = hook.one();
    assert_eq!((&late["alerts"][0]["on"], late["alerts"].as_array().unwrap().len()), (&"late".into(), 1), "{late:#}");
    assert_eq!(late["alerts"][0]["error"]["exit_code"], 12);
    run_at(&sandbox, LATE, &hooks, &["--date", DAY]).exits(12);
    hook.none();

    sandbox.put_rows("person", DAY, &batch(&ada_and_bob()));
    run_at(&sandbox, LATE, &hooks, &["--date", DAY]).exits(0);
    hook.none();
    sandbox.put_rows("person", DAY, &batch(&broken()));
    run_at(&sandbox, LATE, &hooks, &["--date", DAY]).exits(12);
    assert_eq!(hook.one()["alerts"][0]["on"], "failed");
}

#[test]
fn an_input_that_is_late_is_no_alert_before_the_table_is() {
    let hook = Hook::new();
    let hooks = [("JSON_HOOK", &hook)];
    let sandbox = promised(&ada_and_bob(), JSON);
    sandbox.remove(&sandbox.day("person", DAY));
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(10);
    hook.none();
    run_at(&sandbox, LATE, &hooks, &["--date", DAY]).exits(10);
    let told = hook.one();
    let alert = &told["alerts"][0];
    assert_eq!((&alert["on"], &alert["error"]["kind"]), (&"late".into(), &"input_missing".into()), "{told:#}");
    assert!(alert["error"]["message"].as_str().unwrap().contains("'person' has no data for 2026-11-20"), "{told:#}");
    assert_eq!(alert["late_too"], serde_json::json!(["shop.visits"]));
    // Nobody waits for a day of long ago.
    run_at(&sandbox, LATE, &hooks, &["people", "--date", "2026-11-01"]).exits(10);
    assert_eq!(hook.one()["alerts"][0]["on"], "failed");
}

#[test]
fn a_warning_is_told_to_who_asks_for_it() {
    let (slack, json) = (Hook::new(), Hook::new());
    let hooks = [("SLACK_HOOK", &slack), ("JSON_HOOK", &json)];
    let sandbox = promised(&broken(), &format!("{SLACK}{JSON}"));
    sandbox.edit("jobs/people.toml", "min    = 0", "min    = 0\nseverity = \"warn\"");
    sandbox.edit("jobs/visits.toml", "min    = 0", "min    = -9");
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(0);
    assert_eq!(slack.one()["text"], "local: shop.people warned for 2026-11-20");
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY, "--force"]).exits(0);
    slack.none();
    json.none();
}

#[test]
fn a_channel_hears_of_the_jobs_that_it_selects() {
    let hook = Hook::new();
    let sandbox = promised(&broken(), &format!("{JSON}select = [\"visits\"]\n"));
    run_at(&sandbox, EARLY, &[("JSON_HOOK", &hook)], &["--date", DAY]).exits(12);
    hook.none();
    sandbox.edit("gatefold.toml", "select = [\"visits\"]", "select = [\"visit\"]");
    let refused = sandbox.gatefold(["check"]);
    refused.exits(2).says(["there is no job 'visit'", "gatefold.toml:", "did you mean 'visits'?"]);
}

#[test]
fn a_webhook_that_does_not_take_it_is_a_warning_and_tried_by_the_next_run() {
    let elsewhere = Hook::new();
    let location = format!("Location: {}\r\n", elsewhere.url);
    for (answer, says) in [
        (
            Answer::Is("404 Not Found", String::new(), "\nno_team: /services/SECRET-PATH\nmore"),
            "answered 404: no_team: <hidden>",
        ),
        (Answer::Is("500 Oops", String::new(), ""), "answered 500: no reason was given"),
        (Answer::Is("307 Temporary Redirect", location, "moved"), "answered 307: a redirect, which is not followed"),
        (Answer::Hangs, "no answer within"),
    ] {
        let hook = Hook::new();
        let hooks = [("JSON_HOOK", &hook)];
        let sandbox = promised(&broken(), JSON);
        hook.answers(answer);
        let started = Instant::now();
        let ran = run_at(&sandbox, EARLY, &hooks, &["--date", DAY]);
        ran.exits(12).says(["an alert was not sent", says, "127.0.0.1", "json_hook"]);
        assert!(!ran.stderr.contains("SECRET"), "{}", ran.stderr);
        assert!(started.elapsed() < Duration::from_secs(30), "{says}: {:?}", started.elapsed());
        assert!(!hook.take().is_empty());
        hook.answers(Answer::Ok);
        let ran = run_at(&sandbox, EARLY, &hooks, &["--date", DAY]);
        ran.exits(12);
        assert!(!ran.stderr.contains("an alert was not sent"), "{}", ran.stderr);
        hook.one();
    }
    elsewhere.none();
}

#[test]
fn a_failure_that_passes_is_tried_again_at_once() {
    let hook = Hook::new();
    let sandbox = promised(&broken(), &JSON.replace("\"1s\"", "\"20s\""));
    hook.answers(Answer::Is("503 Busy", String::new(), "later"));
    let ran = std::thread::scope(|scope| {
        let ran = scope.spawn(|| run_at(&sandbox, EARLY, &[("JSON_HOOK", &hook)], &["--date", DAY]));
        while hook.take().is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        hook.answers(Answer::Ok);
        ran.join().unwrap()
    });
    ran.exits(12);
    assert!(!ran.stderr.contains("an alert was not sent"), "{}", ran.stderr);
    assert!(!hook.take().is_empty());
}

#[test]
fn an_address_that_is_not_there_or_not_reached_is_a_warning() {
    let sandbox = promised(&broken(), JSON);
    run_at(&sandbox, EARLY, &[], &["--date", DAY])
        .exits(12)
        .says(["the address of the webhook is not set", "JSON_HOOK"]);
    for (address, says) in [
        ("http://127.0.0.1:1/SECRET-PATH", "was not reached: no connection"),
        ("https://127.0.0.1:1/SECRET-PATH", "was not reached: no connection"),
        ("http://hooks.example.com/SECRET-PATH", "the address of the webhook is none"),
        ("SECRET-PATH", "the address of the webhook is none"),
    ] {
        let mut command = command_at(&sandbox, EARLY, &[], &["--date", DAY]);
        let ran = sandbox.ran(command.env("JSON_HOOK", address));
        ran.exits(12).says([says]);
        assert!(!ran.stderr.contains("SECRET-PATH"), "{}", ran.stderr);
    }
    // A server that does not speak TLS.
    let plain = Hook::new();
    let mut command = command_at(&sandbox, EARLY, &[], &["--date", DAY]);
    let ran = sandbox.ran(command.env("JSON_HOOK", plain.url.replace("http:", "https:")));
    ran.exits(12).says(["an alert was not sent"]);
    assert!(!ran.stderr.contains("SECRET-PATH"), "{}", ran.stderr);
}

#[test]
fn a_command_gets_the_json_and_its_faults_are_warnings() {
    let channel = |script: &str| {
        format!("\n[[env.local.alert]]\nname = \"pager\"\ncommand = [\"./{script}\", \"x y\"]\ntimeout = \"1s\"\n")
    };
    let sandbox = promised(&broken(), &channel("notify.sh"));
    let script = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        sandbox.write("notify.sh", format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(sandbox.path("notify.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let run = || run_at(&sandbox, EARLY, &[], &["--date", DAY]);
    run().exits(12).says(["cannot be started", "pager"]);
    // Its input is a file: nobody waits for it to read.
    script("test -f /dev/stdin || echo 'this is a pipe' >&2; exit 7");
    run().exits(12).says(["it said nothing on stderr"]);
    script("echo 'pager is off' >&2; exit 7");
    run().exits(12).says(["ended with exit status: 7: pager is off"]);
    script("sleep 60");
    let started = Instant::now();
    run().exits(12).says(["did not end within 1 s"]);
    assert!(started.elapsed() < Duration::from_secs(30));
    script("echo \"$1\" > argument; cat > told.json; env > environment");
    assert!(!run().exits(12).stderr.contains("an alert was not sent"));
    let told: Value = serde_json::from_str(&sandbox.read("told.json")).unwrap();
    assert_eq!((&told["version"], sandbox.read("argument").as_str()), (&1.into(), "x y\n"));
    assert!(!sandbox.read("environment").contains("PSEUDONYM"), "the key is handed on");
    sandbox.remove("told.json");
    run().exits(12);
    assert!(!sandbox.path("told.json").exists(), "told twice");
}

#[test]
fn a_run_that_is_told_to_stop_while_it_sends_stops() {
    let hook = Hook::new();
    let hooks = [("JSON_HOOK", &hook)];
    let sandbox = promised(&broken(), &JSON.replace("\"1s\"", "\"5m\""));
    hook.answers(Answer::Hangs);
    let mut command = command_at(&sandbox, EARLY, &hooks, &["--date", DAY]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while hook.take().is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let started = Instant::now();
    let ran = Ran::new(&child.wait_with_output().unwrap(), sandbox.root());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    ran.exits(12).says(["alerts were not sent: stopped by SIGTERM"]);
    // Its claim is that of a process which is gone.
    hook.answers(Answer::Ok);
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(12);
    hook.one();
}

#[test]
fn a_table_that_another_run_holds_is_no_alert_of_this_one() {
    let hook = Hook::new();
    let sandbox = promised(&ada_and_bob(), JSON);
    let hooks = [("JSON_HOOK", &hook)];
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        fs::create_dir_all(sandbox.path("lake")).unwrap();
        let lake = Storage::open_local(&sandbox.path("lake")).unwrap();
        let (table, day) = (TableName::new("shop", "people").unwrap(), Partition::Day(DAY.parse().unwrap()));
        let lease = record::acquire(&lake, &table, &day, &RunId::new(Utc::now(), 7)).await.unwrap();
        run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(14);
        lease.release().await.unwrap();
    });
    hook.none();
}

#[test]
fn status_tells_once_of_tables_that_nobody_tried_to_make() {
    let json = Hook::new();
    let sandbox = promised(&ada_and_bob(), JSON);
    let status = |now: &str, words: &[&str]| {
        let mut command = sandbox.command(["status"].iter().chain(words));
        sandbox.ran(command.env(NOW_VARIABLE, now).env("JSON_HOOK", &json.url))
    };
    status(LATE, &[]).exits(10);
    json.none();

    status(LATE, &["--alert"]).exits(10);
    let told = json.one();
    let late: Vec<&Value> = told["alerts"].as_array().unwrap().iter().collect();
    assert!(late.iter().all(|alert| alert["on"] == "late"), "{told:#}");
    assert_eq!(late.iter().map(|alert| alert["job"].as_str().unwrap()).collect::<Vec<_>>(), ["people", "visits"]);
    assert_eq!(late[0]["promise"]["late_by_seconds"], 3720);

    // Neither the next look nor the run that comes too late tells it again.
    status("2026-11-21T08:00:00Z", &["--alert"]).exits(10);
    run_at(&sandbox, "2026-11-21T08:30:00Z", &[("JSON_HOOK", &json)], &["--date", DAY]).exits(0);
    json.none();
}

#[test]
fn a_test_is_sent_to_every_channel() {
    let hook = Hook::new();
    let sandbox = promised(&ada_and_bob(), &format!("{SLACK}{JSON}"));
    let test = |slack: &str| {
        let mut command = sandbox.command(["alert", "test"]);
        sandbox.ran(command.env("SLACK_HOOK", slack).env("JSON_HOOK", &hook.url))
    };
    test(&hook.url).exits(0).prints(["slack_hook", "json_hook", "sent"]);
    let told = hook.take();
    assert_eq!(told.len(), 2);
    assert!(told.iter().any(|body| body["kind"] == "test"), "{told:#?}");
    assert!(told.iter().any(|body| refusals(body).is_empty()), "{told:#?}");
    test("http://127.0.0.1:1/SECRET-PATH").exits(13).prints(["failed", "sent"]).says(["was not reached"]);
    let none = project();
    none.gatefold(["alert", "test"]).exits(2).says(["the environment 'local' has no alerts"]);
}

#[test]
fn the_page_shows_what_is_sent_and_what_is_read() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md")).unwrap();
    let block = |kind: &str| {
        let rest = page.split(&format!("```{kind}\n")).nth(1).unwrap_or_else(|| panic!("no {kind}"));
        rest.split("```").next().unwrap().to_owned()
    };
    let hook = Hook::new();
    let sandbox = promised(&broken(), JSON);
    run_at(&sandbox, LATE, &[("JSON_HOOK", &hook)], &["--date", DAY]).exits(12);
    let shown: Value = serde_json::from_str(&block("json")).unwrap();
    let mut sent = hook.one();
    let run = sent["run_id"].as_str().unwrap().to_owned();
    let plain = sent.to_string().replace(&run, shown["run_id"].as_str().unwrap());
    sent = serde_json::from_str(&plain).unwrap();
    assert_eq!(shown, sent, "the page shows another message than\n{sent:#}");

    let sandbox = project();
    sandbox.edit("jobs/people.toml", "[\"small\"]", "[\"users\"]");
    let config = "[project]\nname = \"page\"\ndefault_env = \"prod\"\n\n[env.prod]\nlake = \"lake\"\n\n";
    sandbox.write("gatefold.toml", format!("{config}{}", block("toml")));
    sandbox.gatefold(["check"]).exits(0);
}

/// Slack's rules for blocks: https://docs.slack.dev/reference/block-kit/blocks
fn refusals(message: &Value) -> Vec<String> {
    let mut refusals = Vec::new();
    let characters = |text: &Value| text.as_str().unwrap_or_default().encode_utf16().count();
    if !(1..=4_000).contains(&characters(&message["text"])) {
        refusals.push("no text for notifications".to_owned());
    }
    let none = Vec::new();
    let blocks = message["blocks"].as_array().unwrap_or(&none);
    if !(1..=50).contains(&blocks.len()) {
        refusals.push(format!("{} blocks", blocks.len()));
    }
    for block in blocks {
        let (texts, kind, limit) = match block["type"].as_str() {
            Some("header") => (vec![&block["text"]], "plain_text", 150),
            Some("section") => (vec![&block["text"]], "mrkdwn", 3_000),
            Some("context") => (block["elements"].as_array().unwrap_or(&none).iter().collect(), "mrkdwn", 3_000),
            other => {
                refusals.push(format!("a block of type {other:?}"));
                continue;
            }
        };
        let sound = |text: &&Value| text["type"] == kind && (1..=limit).contains(&characters(&text["text"]));
        if !(1..=10).contains(&texts.len()) || !texts.iter().all(sound) {
            refusals.push(block.to_string());
        }
    }
    refusals
}

/// Nothing of it is on record, so nobody but its owner would know.
#[test]
fn a_run_that_breaks_is_told_too() {
    let hook = Hook::new();
    let hooks = [("JSON_HOOK", &hook)];
    let sandbox = promised(&ada_and_bob(), JSON);
    sandbox.write("lake/runs", "in the way");
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(13);
    let told = hook.one();
    assert!(told.to_string().contains("gatefold run"), "{told:#}");
    run_at(&sandbox, EARLY, &hooks, &["--date", DAY]).exits(13);
    hook.none();
}

#[test]
fn a_table_that_gets_late_while_a_schedule_waits_is_told() {
    let hook = Hook::new();
    let sandbox = promised(&ada_and_bob(), JSON);
    sandbox.write(
        "schedules/daily.toml",
        "description = 'The tables of a day.'\nowner = 'data@example.com'\ncron = '30 3 * * *'\njobs = ['people']\n\
         start = 2026-11-19\nwait = { for = '2s', every = '1s' }\n",
    );
    sandbox.remove(&format!("{}/_SUCCESS", sandbox.day("person", DAY)));
    for told in [true, false] {
        let mut command = sandbox.command(["schedule", "run", "daily", "--at", "2026-11-21T03:30:00Z"]);
        let ran = sandbox.ran(command.env(NOW_VARIABLE, LATE).env("JSON_HOOK", &hook.url));
        ran.exits(10).says(["waiting: "]);
        match told {
            false => hook.none(),
            true => {
                let late = &hook.one()["alerts"][0];
                assert_eq!((&late["on"], &late["partition"]), (&"late".into(), &DAY.into()));
            }
        }
    }
}
