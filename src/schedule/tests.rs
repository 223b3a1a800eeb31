//! Schedules of the project of this repository, and what is wrong with others.

use std::path::Path;

use super::*;
use crate::error::Result;
use crate::project::Project;
use crate::toml_file::TomlFile;

pub(super) fn own() -> Project {
    Project::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The schedule of this repository with a text replaced.
fn edited(project: &Project, from: &str, to: &str) -> Result<Schedule> {
    let mut file = TomlFile::read(&project.root, Path::new("schedules/daily.toml")).unwrap();
    assert!(file.text.contains(from), "{from}");
    file.text = file.text.replace(from, to);
    read::one(project, ScheduleName::new("daily").unwrap(), &file)
}

/// The same with several texts replaced, one after the other.
pub(super) fn edited_own(edits: &[(&str, &str)]) -> Schedule {
    let project = own();
    let mut file = TomlFile::read(&project.root, Path::new("schedules/daily.toml")).unwrap();
    for (from, to) in edits {
        assert!(file.text.contains(from), "{from}");
        file.text = file.text.replace(from, to);
    }
    read::one(&project, ScheduleName::new("daily").unwrap(), &file).unwrap()
}

#[test]
fn the_schedule_of_the_repository_runs_every_job() {
    let project = own();
    let daily = project.schedule("daily").unwrap();
    assert_eq!(daily.jobs, project.order);
    assert_eq!(daily.kubernetes.as_ref().unwrap().resources.engine_memory, 2 << 30);
    assert!(project.schedule("dayly").unwrap_err().to_string().contains("did you mean 'daily'?"));
}

#[test]
fn ticks_begin_with_the_one_that_runs_the_first_day() {
    let project = own();
    let daily = project.schedule("daily").unwrap();
    let told = |tick: Tick| (tick.at.to_rfc3339(), tick.day.to_string());
    let first = daily.ticks_after("2020-01-01T00:00:00Z".parse().unwrap()).next().unwrap();
    assert_eq!(told(first), ("2026-11-02T03:30:00+00:00".into(), "2026-11-01".into()));
    assert_eq!(daily.latest_tick("2026-11-02T03:29:59Z".parse().unwrap()), None);
    assert_eq!(daily.latest_tick("2026-11-02T03:30:00Z".parse().unwrap()), Some(first));
    let days: Vec<_> = daily.ticks_after("2026-11-20T03:30:00Z".parse().unwrap()).take(2).map(told).collect();
    assert_eq!(days[0], ("2026-11-21T03:30:00+00:00".into(), "2026-11-20".into()));
    assert_eq!(days[1], ("2026-11-22T03:30:00+00:00".into(), "2026-11-21".into()));
}

#[test]
fn a_job_without_a_promise_has_that_of_its_schedule() {
    let mut project = own();
    let name = JobName::new("user_daily").unwrap();
    let stated = |project: &Project| project.promise_of(&name)?.ready_by.map(|hour| hour.to_string());
    assert_eq!(stated(&project).as_deref(), Some("06:00:00"));
    project.jobs.get_mut(&name).unwrap().promise = None;
    assert_eq!(stated(&project).as_deref(), Some("08:00:00"));
    project.schedules.clear();
    assert_eq!(stated(&project), None);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    let project = own();
    for (from, to, expected) in [
        (
            "\"UTC\"",
            "\"Europe/Olso\"",
            "there is no time zone 'Europe/Olso'; file: schedules/daily.toml:4:15; hint: did you mean 'Europe/Oslo'?",
        ),
        (
            "\"UTC\"",
            "\"local\"",
            "there is no time zone 'local'; file: schedules/daily.toml:4:15; hint: write an IANA name",
        ),
        ("\"30 3 * * *\"", "\"30 3 30 2 *\"", "'30 3 30 2 *' never starts; file: schedules/daily.toml:3:15; hint: "),
        ("\"tag:history\"", "\"tag:histroy\"", "no job has the tag 'histroy'; file: schedules/daily.toml:5:29; hint: "),
        (
            "\"tag:history\"",
            "\"user_dayly\"",
            "there is no job 'user_dayly'; file: schedules/daily.toml:5:29; hint: did you mean 'user_daily'?",
        ),
        ("\"tag:history\"", "\"tag:daily\"", "'tag:daily' stands twice; file: schedules/daily.toml:5:29; hint: "),
        ("[\"tag:daily\", \"tag:history\"]", "[]", "the schedule runs no job; file: schedules/daily.toml:5:15; hint: "),
        (
            "2026-11-01 ",
            "\"2026-11-01\"",
            "stands where a date without quotation marks (2026-11-01) belongs; file: schedules/daily.toml:6:15",
        ),
        (
            "2026-11-01 ",
            "2026-11-01T00:00:00Z",
            "'2026-11-01T00:00:00Z' is not a date; file: schedules/daily.toml:6:15; hint: ",
        ),
        ("\"5m\"", "\"5 minutes\"", "'5 minutes' is not a duration; file: schedules/daily.toml:8:35; hint: "),
        ("count = 3", "count = 101", "101 retries are more than 100; file: schedules/daily.toml:8:25; hint: "),
        ("\"10m\"", "\"7h\"", "between two looks lie 7h, and it waits for 6h; file: schedules/daily.toml:9:37; hint: "),
        ("\"2h\"", "\"0h\"", "'0h' is not a duration; file: schedules/daily.toml:10:15; hint: "),
        ("\"08:00\"", "\"8 o'clock\"", "'8 o'clock' is not a time of day; file: schedules/daily.toml:11:28; hint: "),
        (
            "\"30 3 * * *\"",
            "\"0 7 * * *\"",
            "the promise of value_proposition.plan_price_history cannot be kept; file: schedules/daily.toml:3:15; \
          promise: 2026-11-02 05:00 UTC for the day 2026-11-01; starts: 2026-11-02 07:00 UTC; stated in: jobs/plan_price_history.toml; hint: ",
        ),
        (
            "[kubernetes]",
            "[kubernetis]",
            "unknown key 'kubernetis'; file: schedules/daily.toml:16:2; hint: did you mean 'kubernetes'?",
        ),
        (
            "\"local\"",
            "\"pods\"",
            "unknown value 'pods'; file: schedules/daily.toml:14:10; hint: known: local, kubernetes",
        ),
        (
            "\"production\"",
            "\"local\"",
            "the lake of the environment 'local' is a folder, and a pod's folders end with it; file: schedules/daily.toml:21:26; hint: ",
        ),
        ("\"production\"", "\"prod\"", "there is no environment 'prod'; "),
        ("gatefold:0.1.0", "gatefold", "does not say which image; file: schedules/daily.toml:18:26; hint: "),
        ("gatefold:0.1.0", "gatefold:latest", "does not say which image; file: schedules/daily.toml:18:26; hint: "),
        (
            "= \"gatefold\"\nimage",
            "= \"Gatefold\"\nimage",
            "'Gatefold' is no name in Kubernetes; file: schedules/daily.toml:17:26; hint: ",
        ),
        (
            "gatefold@your-project.iam",
            "gatefold.iam",
            "is no Google service account; file: schedules/daily.toml:20:26; hint: ",
        ),
        ("pseudonym.key", "pseudonym key", "is no key of a secret; file: schedules/daily.toml:22:55; hint: "),
        ("cpu = \"2\"", "cpu = \"two\"", "'two' is no number of processors; file: schedules/daily.toml:23:34; hint: "),
        ("\"4Gi\"", "\"4gi\"", "'4gi' is no size in Kubernetes; file: schedules/daily.toml:23:48; hint: "),
    ] {
        let error = edited(&project, from, to).expect_err(to).to_string();
        assert!(error.contains(expected), "{from} → {to}\n  found:    {error}\n  expected: {expected}");
        assert!(error.contains("; hint: "), "{error}");
    }
}

#[test]
fn pods_for_airflow_must_be_described() {
    let project = own();
    let text = TomlFile::read(&project.root, Path::new("schedules/daily.toml")).unwrap().text;
    let section = &text[text.find("\n[kubernetes]").unwrap()..];
    assert_eq!(edited(&project, section, "").unwrap().kubernetes, None);
    assert_eq!(edited(&project, "\"local\"", "\"kubernetes\"").unwrap().airflow.runner, Runner::Kubernetes);
    let without =
        format!("{}[airflow]\nrunner = 'kubernetes'\n", text.replace(section, "").split("[airflow]").next().unwrap());
    let error = edited(&project, &text, &without).unwrap_err().to_string();
    assert!(error.starts_with("nothing says how pods run; file: schedules/daily.toml:14:10; hint: "), "{error}");
}
