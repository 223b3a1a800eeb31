//! Schedules as their owners meet them: what is listed, what is rendered and when it is stale, and a run that waits.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::foreign::python;
use crate::support::{DAY, DAY_BEFORE, Ran, Sandbox};

const FILE: &str = "schedules/daily.toml";
/// Of one job, with little patience.
const DAILY: &str = "description = 'The table of a day.'\nowner = 'data@example.com'\ncron = '30 3 * * *'\n\
                     jobs = ['user_daily']\nstart = 2026-11-19\nwait = { for = '1m', every = '1s' }\n";
const PODS: &str = "\n[kubernetes]\nnamespace = 'data'\nimage = 'registry.example.com/gatefold:1.0'\n\
                    service_account = 'gatefold'\nenv = 'pods'\nresources = { cpu = '1', memory = '2Gi' }\n";
/// The instant of the tick that runs [`DAY`].
const TICK: &str = "2026-11-21T03:30:00Z";
const MANIFEST: &str = "schedules/kubernetes/daily.yaml";

/// A project with one job and a schedule for it.
fn scheduled(sandbox: Sandbox) -> Sandbox {
    let _ = fs::remove_dir_all(sandbox.path("schedules"));
    sandbox.write(FILE, DAILY);
    let config = sandbox.read("gatefold.toml");
    sandbox.write("gatefold.toml", format!("{config}\n[env.pods]\nlake = 'gs://bucket/lake'\nwork = 'scratch'\n"));
    sandbox
}

fn rendered() -> Sandbox {
    let sandbox = scheduled(Sandbox::new());
    sandbox.write(FILE, format!("{DAILY}{PODS}"));
    sandbox.gatefold(["schedule", "render", "kubernetes"]).exits(0).prints([&*format!("written {MANIFEST}")]);
    sandbox
}

#[test]
fn a_bad_schedule_is_refused_by_every_command_with_its_place() {
    let sandbox = scheduled(Sandbox::new());
    for (from, to, message, place) in [
        ("30 3 * *", "30 3 30 2", "'30 3 30 2 *' never starts", "3:8"),
        ("30 3", "30 6", "the promise of users.user_daily cannot be kept", "3:8"),
        ("user_daily", "user_dayly", "there is no job 'user_dayly'", "4:9"),
        ("wait =", "waits =", "unknown key 'waits'", "6:1"),
        ("every = '1s'", "every = 'soon'", "'soon' is not a duration", "6:30"),
    ] {
        sandbox.write(FILE, DAILY.replace(from, to));
        let place = format!("file: {FILE}:{place}");
        for command in [&["check"] as &[&str], &["plan", "--date", DAY], &["schedule", "list"]] {
            sandbox.gatefold(command).exits(2).says([message, &place, "hint:"]);
        }
    }
}

#[test]
fn two_schedules_of_one_table_are_refused() {
    let sandbox = scheduled(Sandbox::new());
    sandbox.write("schedules/other.toml", DAILY.replace("user_daily", "+user_daily"));
    sandbox.gatefold(["check"]).exits(2).says([
        "two schedules write users.user_daily",
        "file: schedules/daily.toml:4:8",
        "file: schedules/other.toml:4:8",
        "hint: leave 'user_daily' out of one of them",
    ]);
    sandbox.remove("schedules/other.toml");
    sandbox.write("schedules/Other.toml", DAILY);
    sandbox.gatefold(["check"]).exits(2).says(["'Other' is not a schedule name", "file: schedules/Other.toml"]);
}

#[test]
fn the_list_says_when_each_starts_next_and_what_it_runs() {
    let sandbox = scheduled(Sandbox::new());
    sandbox.write(FILE, DAILY.replace("2026-11-19", "2096-06-30").replace("jobs", "time_zone = 'Europe/Oslo'\njobs"));
    let header = ["schedule", "next (UTC)", "2096-07-01 01:30", "2096-07-01 03:30 CEST", "2096-06-30", "user_daily"];
    sandbox.gatefold(["schedule", "list"]).exits(0).prints(header);
    let listed = sandbox.gatefold(["schedule", "list", "--format", "json"]).exits(0).json();
    assert_eq!(listed[0]["next"]["at"], "2096-07-01T01:30:00Z");
    assert_eq!(listed[0]["next"]["day"], "2096-06-30");
    assert_eq!(listed[0]["jobs"], serde_json::json!(["user_daily"]));
    sandbox.remove("schedules");
    sandbox.gatefold(["schedule", "list"]).exits(0).prints(["no schedules yet"]);
}

#[test]
fn what_is_rendered_is_stale_when_its_schedule_changes() {
    let sandbox = rendered();
    let check = ["schedule", "render", "kubernetes", "--check"];
    sandbox.gatefold(["check"]).exits(0);
    sandbox.gatefold(check).exits(0).prints(["3 files are up to date in schedules/kubernetes"]);

    sandbox.edit(FILE, "cpu = '1'", "cpu = '2'");
    let said = ["a rendered schedule is out of date", MANIFEST, "hint: gatefold schedule render kubernetes"];
    sandbox.gatefold(["check"]).exits(2).says(said);
    sandbox.gatefold(check).exits(2).says(said);
    let told = sandbox.gatefold(check.into_iter().chain(["--format", "json"])).exits(2).json();
    assert_eq!(told["out_of_date"], serde_json::json!([MANIFEST]));
    sandbox.gatefold(["schedule", "render", "kubernetes"]).exits(0).prints(["2 files are up to date"]);
    sandbox.gatefold(["check"]).exits(0);
    assert!(sandbox.read(MANIFEST).starts_with("# Generated from schedules/daily.toml by "));

    sandbox.remove(MANIFEST);
    sandbox.gatefold(["check"]).exits(2).says(["a schedule is not rendered", MANIFEST]);
}

#[test]
fn what_is_left_over_is_removed_and_what_others_wrote_stays() {
    let sandbox = rendered();
    sandbox.write("schedules/kubernetes/own.yaml", "kind: Namespace\n");
    sandbox.write("schedules/nightly.toml", sandbox.read(FILE));
    sandbox.remove(FILE);
    sandbox.gatefold(["check"]).exits(2).says([
        "a rendered schedule is left over",
        MANIFEST,
        "a schedule is not rendered",
    ]);
    let written = [&*format!("removed {MANIFEST}"), "written schedules/kubernetes/nightly.yaml"];
    sandbox.gatefold(["schedule", "render", "kubernetes"]).exits(0).prints(written);
    assert!(!sandbox.path(MANIFEST).exists());
    assert_eq!(sandbox.read("schedules/kubernetes/own.yaml"), "kind: Namespace\n");

    sandbox.write("schedules/kubernetes/nightly.yaml", "kind: Namespace\n");
    sandbox.gatefold(["schedule", "render", "kubernetes"]).exits(2).says([
        "a file is in the way",
        "file: schedules/kubernetes/nightly.yaml",
        "hint: move it away",
    ]);
    assert_eq!(sandbox.read("schedules/kubernetes/nightly.yaml"), "kind: Namespace\n");
}

#[test]
fn nothing_is_rendered_for_a_scheduler_that_no_schedule_names() {
    let sandbox = scheduled(Sandbox::new());
    sandbox
        .gatefold(["schedule", "render", "cron"])
        .exits(2)
        .says(["no schedule has a section [crontab]", "hint: add it to the schedules that run there"]);
    assert!(!sandbox.path("schedules/cron").exists());
    sandbox.write(FILE, format!("{DAILY}\n[crontab]\nproject = '/srv/shop'\n"));
    sandbox.gatefold(["schedule", "render", "cron"]).exits(0).prints(["written schedules/cron/daily.cron"]);
    let line = "30 3 * * * /usr/local/bin/gatefold schedule run daily --env local --project /srv/shop\n";
    assert!(sandbox.read("schedules/cron/daily.cron").ends_with(line));
}

#[test]
fn a_run_is_for_the_day_of_its_tick() {
    let sandbox = scheduled(Sandbox::with_sample());
    let at = |instant| ["schedule", "run", "daily", "--no-wait", "--at", instant];
    sandbox.gatefold(at("2026-11-20T03:29:59Z")).exits(0).says(["nothing to do: the first tick of 'daily'"]);
    assert!(sandbox.tables().is_empty());

    sandbox.gatefold(at("2026-11-21T03:29:59Z")).exits(0).prints([DAY_BEFORE]);
    assert_eq!(sandbox.rows("SELECT DISTINCT snapshot_date FROM users.user_daily"), [DAY_BEFORE]);
    let ran = sandbox.gatefold(at(TICK).into_iter().chain(["--format", "json"]));
    let told = ran.exits(0).says(["tick 2026-11-21T03:30:00+00:00, day 2026-11-20"]).json();
    assert_eq!((&told["day"], &told["exit_code"]), (&Value::from(DAY), &Value::from(0)));
    assert_eq!(told["runs"].as_array().unwrap().len(), 1);
    sandbox.lake_stays(|| sandbox.gatefold(at("2026-11-21T18:00:00Z")).exits(0).prints(["already published"]).code);

    sandbox
        .gatefold(["schedule", "run", "dayly"])
        .exits(2)
        .says(["there is no schedule 'dayly'", "did you mean 'daily'?"]);
    sandbox.gatefold(at("yesterday")).exits(2);
}

#[test]
fn a_pod_runs_the_day_that_its_job_is_named_after() {
    let sandbox = scheduled(Sandbox::with_sample());
    let minutes = chrono::DateTime::parse_from_rfc3339(TICK).unwrap().timestamp() / 60;
    let started = |job: &str| {
        let mut command = sandbox.command(["schedule", "run", "daily", "--no-wait"]);
        sandbox.ran(command.env("GATEFOLD_KUBERNETES_JOB", job))
    };
    started(&format!("daily-{minutes}")).exits(0).says(["day 2026-11-20"]);
    for by_hand in ["daily-now", &format!("daily-{}", minutes + 1), &format!("nightly-{minutes}")] {
        let ran = started(by_hand);
        assert!(!ran.stderr.contains("day 2026-11-20"), "{by_hand}: {}", ran.stderr);
    }
}

#[test]
fn a_run_waits_for_a_late_input_and_then_goes_on() {
    let sandbox = scheduled(Sandbox::with_sample());
    let marker = format!("{}/_SUCCESS", sandbox.day("account", DAY));
    sandbox.remove(&marker);
    let run = ["schedule", "run", "daily", "--at", TICK];
    sandbox
        .gatefold(run.into_iter().chain(["--no-wait"]))
        .exits(10)
        .says(["the snapshot 'account' of 2026-11-20 is not complete"]);

    let mut child = sandbox.command(run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    while !said.contains("waiting: the snapshot 'account' of 2026-11-20 is not complete") {
        assert!(lines.read_line(&mut said).unwrap() > 0, "it ended without waiting: {said}");
    }
    assert!(said.contains("next look in 1s, patience ends in 1m") || said.contains("patience ends in 60s"), "{said}");
    sandbox.write(&marker, "");
    let ran = Ran::new(&child.wait_with_output().unwrap(), sandbox.root());
    ran.exits(0).prints(["done in"]);
    // The run without patience, and the one that had all it needed: none is on record while it waited.
    assert_eq!(sandbox.gatefold(["runs", "--format", "json"]).json().as_array().unwrap().len(), 2);
}

#[test]
fn patience_ends_with_what_is_missing() {
    let sandbox = scheduled(Sandbox::with_sample());
    sandbox.edit(FILE, "'1m'", "'2s'");
    sandbox.remove(&sandbox.day("account", DAY));
    let ran = sandbox.gatefold(["schedule", "run", "daily", "--at", TICK]);
    ran.exits(10).says(["waiting: ", "the snapshot 'account' has no data for 2026-11-20", "hint:"]);
    assert!(ran.stderr.matches("waiting: ").count() <= 3, "{}", ran.stderr);
}

#[test]
fn kubernetes_takes_every_manifest() {
    let Some(python) = python("kubernetes_takes_every_manifest") else { return };
    let sandbox = rendered();
    let secret = "pseudonym_key = { secret = 'keys', key = 'pseudonym.key' }\n\
                  google_service_account = 'gatefold@shop-data.iam.gserviceaccount.com'\n";
    sandbox.write(FILE, format!("{}{secret}", sandbox.read(FILE)));
    sandbox.gatefold(["schedule", "render", "kubernetes"]).exits(0);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules/kubernetes");
    for folder in [sandbox.path("schedules/kubernetes"), own] {
        for file in fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
            // The oldest version whose CronJobs know all that is used, and the newest that the package knows.
            for version in [&["-k", "1.31"] as &[&str], &[]] {
                assert_eq!(validate(&python, version, &file), Ok(()), "{}", file.display());
            }
        }
    }
    sandbox.edit(MANIFEST, "backoffLimit", "backOffLimit");
    assert!(validate(&python, &[], &sandbox.path(MANIFEST)).unwrap_err().contains("backOffLimit"));
}

fn validate(python: &Path, version: &[&str], file: &Path) -> Result<(), String> {
    let mut command = Command::new(python);
    let output =
        command.args(["-m", "kubernetes_validate", "--strict", "--quiet"]).args(version).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said.into_owned()) }
}

#[test]
fn the_file_of_the_page_is_a_schedule() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schedules.md")).unwrap();
    let block = |text: &str| text.split("```").next().unwrap().to_owned();
    let parts: Vec<String> = page.split("```toml\n").skip(1).map(block).collect();
    let sandbox = Sandbox::whole();
    if !sandbox.read("gatefold.toml").contains("[env.production]") {
        sandbox
            .write("gatefold.toml", sandbox.read("gatefold.toml") + "\n[env.production]\nlake = 'gs://bucket/lake'\n");
    }
    sandbox.write(FILE, parts.concat());
    sandbox.gatefold(["schedule", "render", "cron"]).exits(0);
    let crontab = block(page.split("```\nCRON_TZ").nth(1).unwrap());
    assert!(sandbox.read("schedules/cron/daily.cron").ends_with(&format!("CRON_TZ{crontab}")));
}

#[test]
fn pods_that_cannot_send_an_alert_are_refused() {
    let sandbox = rendered();
    let config = sandbox.read("gatefold.toml");
    let alert = "[[env.pods.alert]]\nname = 'team'\nformat = 'slack'\nwebhook = { env = 'SLACK_HOOK' }\n";
    sandbox.write("gatefold.toml", config + alert);
    let refused = sandbox.gatefold(["schedule", "render", "kubernetes"]);
    refused.exits(2).says(["pods do not have SLACK_HOOK, by which the alert 'team' is sent", "hint: secrets = "]);
    let known = "resources = { cpu = '1', memory = '2Gi' }\n";
    for (secrets, wrong) in [
        ("{ SLACK_HOOK = { secret = 'hooks', key = 'slack' } }", None),
        ("{ SLACK_HOOK = { secret = 'hooks', key = 'sla ck' } }", Some("'sla ck' is no key of a secret")),
        ("{ 9SLACK = { secret = 'hooks', key = 'slack' } }", Some("'9SLACK' is no name of a variable")),
    ] {
        sandbox.write(FILE, format!("{DAILY}{}", PODS.replace(known, &format!("{known}secrets = {secrets}\n"))));
        let ran = sandbox.gatefold(["schedule", "render", "kubernetes"]);
        match wrong {
            Some(said) => ran.exits(2).says([said, "hint:"]),
            None => ran.exits(0),
        };
    }
    let manifest = sandbox.read(MANIFEST);
    assert!(manifest.contains("SLACK_HOOK") && manifest.contains("hooks"), "{manifest}");
}
