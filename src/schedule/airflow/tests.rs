//! What a schedule says, found again in its DAG. That Airflow takes the DAG and runs it is tested in tests/airflow.

use std::path::Path;
use std::time::Duration;

use chrono_tz::Tz;

use super::*;
use crate::error::ErrorKind;
use crate::names::SnapshotDate;
use crate::schedule::exit_codes;

fn own() -> Project {
    Project::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The DAG of this repository's schedule after a change of it.
fn rendered(change: impl FnOnce(&mut Project, &mut Schedule)) -> String {
    let mut project = own();
    let mut schedule = project.schedule("daily").unwrap().clone();
    change(&mut project, &mut schedule);
    render(&project, &schedule).1
}

#[track_caller]
fn assert_has(dag: &str, lines: &[&str]) {
    for line in lines {
        assert!(dag.contains(line), "{line}\n{dag}");
    }
}

fn only(schedule: &mut Schedule, jobs: &[&str]) {
    schedule.jobs.retain(|job| jobs.contains(&job.as_str()));
    assert_eq!(schedule.jobs.len(), jobs.len());
}

#[test]
fn the_file_lies_beside_its_schedule_and_names_it_first() {
    let project = own();
    let (path, dag) = render(&project, project.schedule("daily").unwrap());
    assert_eq!(path, Path::new("schedules/airflow/daily.py"));
    assert!(dag.starts_with("# Generated from schedules/daily.toml by `gatefold schedule render airflow`"), "{dag}");
}

#[test]
fn what_the_schedule_says_stands_in_the_dag() {
    let dag = rendered(|_, schedule| {
        schedule.time_zone = Tz::Europe__Oslo;
        schedule.start = "2027-01-09".parse::<SnapshotDate>().unwrap();
        schedule.wait.every = Duration::from_secs(90);
        schedule.catch_up = false;
        schedule.env = "staging".to_owned();
    });
    assert_has(
        &dag,
        &[
            "TIME_ZONE = \"Europe/Oslo\"\nWAIT_FOR = timedelta(hours=6)\nWAIT_EVERY = timedelta(seconds=90)\nENVIRONMENT = \"staging\"\n",
            "dag_id=\"gatefold_daily\",",
            "schedule=CronDataIntervalTimetable(\"30 3 * * *\", timezone=TIME_ZONE),",
            "start_date=datetime(2027, 1, 9, tzinfo=ZoneInfo(TIME_ZONE)),",
            "catchup=False,",
            "\"owner\": \"data-platform@example.com\",\n        \"retries\": 3,\n        \"retry_delay\": timedelta(minutes=5),",
            "\"execution_timeout\": timedelta(hours=2),",
        ],
    );
}

#[test]
fn a_job_is_a_task_after_those_that_it_reads_on_the_same_day() {
    let dag = rendered(|_, _| {});
    assert_eq!(dag.matches("] = GatefoldJob(").count(), own().order.len());
    let edges: Vec<&str> = dag.lines().filter(|line| line.contains(" >> ")).collect();
    assert_eq!(
        edges,
        [
            "    tasks[\"user_daily\"] >> tasks[\"tier_metrics_daily\"]",
            "    tasks[\"user_entitlement_history\"] >> tasks[\"feature_cap_daily\"]",
        ]
    );
    // A job that another schedule runs is no task of this one.
    let alone = rendered(|_, schedule| only(schedule, &["tier_metrics_daily"]));
    assert!(!alone.contains(" >> "), "{alone}");
}

#[test]
fn what_looks_back_goes_day_after_day_and_its_runs_are_not_cut_off() {
    let dag = rendered(|_, _| {});
    let ordered = dag.split("    tasks[").filter(|task| task.contains("depends_on_past=True,"));
    let names: Vec<&str> = ordered.filter_map(|task| task.split('"').nth(1)).collect();
    assert_eq!(
        names,
        [
            "plan_price_history",
            "product_feature_history",
            "tier_metrics_daily",
            "user_entitlement_history",
            "user_pii",
            "user_subscription_history"
        ]
    );
    assert!(!dag.contains("dagrun_timeout="), "{dag}");
}

#[test]
fn a_run_in_which_nothing_looks_back_ends_after_the_wait_and_its_jobs() {
    let dag = rendered(|_, schedule| only(schedule, &["user_daily", "user_price_daily"]));
    assert_has(&dag, &["    dagrun_timeout=timedelta(hours=10),\n"]);
    assert!(!dag.contains("depends_on_past"), "{dag}");
}

#[test]
fn every_exit_code_is_one_to_try_again_after_or_not() {
    let section = |name: &str| TASK.split_once(name).and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
    let codes = |name: &str| -> Vec<u8> {
        section(name).lines().filter_map(|line| line.trim().split_once(':')?.0.parse().ok()).collect()
    };
    let mut for_good = codes("FAILS_FOR_GOOD = {");
    // It is waited for, and then fails for good too.
    for_good.push(ErrorKind::InputMissing.exit_code());
    for_good.sort_unstable();
    assert_eq!(for_good, exit_codes(false));
    assert_eq!(codes("FAILS_IN_PASSING = {"), exit_codes(true));
}

#[test]
fn texts_of_people_cannot_leave_their_quotation_marks() {
    let dag = rendered(|project, schedule| {
        project.config.name = "Sales & \"more\"".to_owned();
        schedule.description = "It says \"now\"\nand \\ too".to_owned();
        project.jobs.values_mut().for_each(|job| job.description = "see docs/users.md".to_owned());
    });
    assert_has(
        &dag,
        &[
            r#"dag_id="Sales____more__daily","#,
            r#"description="It says \"now\"\nand \\ too","#,
            r#"doc_md="see docs/users.md\n\nTable `users.user_daily`, mode partition.","#,
        ],
    );
}

#[test]
fn the_other_runner_starts_pods_as_the_schedule_describes_them() {
    let dag = rendered(|_, schedule| schedule.airflow.runner = Runner::Kubernetes);
    assert_has(
        &dag,
        &[
            "import KubernetesPodOperator\n",
            "class GatefoldJob(KubernetesPodOperator, GatefoldTask):",
            "\"image\": \"registry.example.com/gatefold:0.1.0\",",
            "\"runAsNonRoot\": True,",
            "\"--env\",\n                    \"production\",\n                    \"--memory\",",
            "\"mountPath\": \"/tmp\",",
        ],
    );
    assert!(!dag.contains("import subprocess") && !dag.contains("ENVIRONMENT"), "{dag}");
}
