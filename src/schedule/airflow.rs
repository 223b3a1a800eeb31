//! The Airflow DAG of a schedule: `schedules/airflow/<name>.py`, one file that needs nothing but Airflow 3.
//!
//! What is the same for every schedule stands as Python beside this module; what the schedule says is written between its parts.

mod pod;
mod python;

use std::path::{Path, PathBuf};

use self::python::{list, text, timedelta};
use super::render::{Target, head};
use super::{Runner, Schedule};
use crate::job::{Job, Mode};
use crate::names::JobName;
use crate::project::{Project, upstream};

const HEAD: &str = include_str!("airflow/head.py");
const IMPORTS: &str = include_str!("airflow/imports.py");
const TASK: &str = include_str!("airflow/task.py");
const LOCAL: &str = include_str!("airflow/local.py");
const KUBERNETES: &str = include_str!("airflow/kubernetes.py");

/// How many days are open at a time, which is what Airflow allows unless told otherwise. More than one, since a day that failed and
/// is cleared would else wait for the place of a later day, whose histories wait for it.
const DAYS_AT_ONCE: usize = 16;
/// How many tasks run side by side, of all days: each may use the memory of its environment.
const TASKS_AT_ONCE: usize = 4;
/// Airflow shows DAGs by their tags; by this one all of Gatefold's.
const TAG: &str = "gatefold";

/// The DAG's file, relative to the project, and its text.
pub fn render(project: &Project, schedule: &Schedule) -> (PathBuf, String) {
    let path = Path::new(Target::Airflow.folder()).join(format!("{}.py", schedule.name));
    let runner = match schedule.airflow.runner {
        Runner::Local => LOCAL,
        Runner::Kubernetes => KUBERNETES,
    };
    let (imports, settings, dag) = (imports(schedule), settings(project, schedule), dag(project, schedule));
    let parts = [&imports, &settings, TASK, runner, &dag].map(str::trim_end);
    (path, parts.join("\n\n\n") + "\n")
}

fn imports(schedule: &Schedule) -> String {
    let (standard, airflow) = match schedule.airflow.runner {
        Runner::Local => ("import os\nimport shlex\nimport subprocess\n", ""),
        Runner::Kubernetes => {
            ("import os\n", "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator\n")
        }
    };
    format!(
        "{head}\n{HEAD}\n\
         {standard}from datetime import datetime, timedelta, timezone\nfrom zoneinfo import ZoneInfo\n\n\
         {airflow}from airflow.sdk import DAG, BaseSensorOperator, Param\n\n{IMPORTS}",
        head = head(&schedule.file.display().to_string(), Target::Airflow),
    )
}

/// What the parts that are the same everywhere go by.
fn settings(project: &Project, schedule: &Schedule) -> String {
    let mut settings = format!(
        "TIME_ZONE = {}\nWAIT_FOR = {}\nWAIT_EVERY = {}\n",
        text(schedule.time_zone.name()),
        timedelta(schedule.wait.total),
        timedelta(schedule.wait.every),
    );
    match (schedule.airflow.runner, &schedule.kubernetes) {
        (Runner::Kubernetes, Some(kubernetes)) => settings += &pod::settings(project, schedule, kubernetes),
        _ => settings += &format!("ENVIRONMENT = {}\n", text(&schedule.env)),
    }
    settings
}

fn dag(project: &Project, schedule: &Schedule) -> String {
    let jobs: Vec<&Job> = schedule.jobs.iter().filter_map(|name| project.jobs.get(name)).collect();
    let mut dag = format!("with DAG(\n{}):\n    tasks = {{}}\n", arguments(project, schedule, &jobs));
    for job in &jobs {
        dag += &task(job);
    }
    dag + &edges(&jobs)
}

fn arguments(project: &Project, schedule: &Schedule, jobs: &[&Job]) -> String {
    let start = schedule.start.date().format("%Y, %-m, %-d");
    let mut lines = vec![
        format!("dag_id={},", text(&dag_id(project, schedule))),
        format!("description={},", text(&schedule.description)),
        "doc_md=__doc__,".to_owned(),
        "# A plain cron string would make runs without a data interval, whose day would be that of the tick."
            .to_owned(),
        format!("schedule=CronDataIntervalTimetable({}, timezone=TIME_ZONE),", text(schedule.cron.as_str())),
        format!("start_date=datetime({start}, tzinfo=ZoneInfo(TIME_ZONE)),"),
        format!("catchup={},", python::boolean(schedule.catch_up)),
        "# With one run at a time a cleared day would wait for the place of a later one, whose histories wait for it."
            .to_owned(),
        format!("max_active_runs={DAYS_AT_ONCE},"),
        format!("max_active_tasks={TASKS_AT_ONCE},"),
    ];
    lines.extend(run_timeout(schedule, jobs));
    lines.extend([
        "default_args={".to_owned(),
        format!("    \"owner\": {},", text(&schedule.owner)),
        format!("    \"retries\": {},", schedule.retries.count),
        format!("    \"retry_delay\": {},", timedelta(schedule.retries.wait)),
        format!("    \"execution_timeout\": {},", timedelta(schedule.timeout)),
        "},".to_owned(),
        "params={".to_owned(),
        "    \"date\": Param(".to_owned(),
        "        None,".to_owned(),
        "        type=[\"null\", \"string\"],".to_owned(),
        "        format=\"date\",".to_owned(),
        "        title=\"Snapshot date\",".to_owned(),
        "        description=\"The day to run, YYYY-MM-DD; that of the data interval when empty.\",".to_owned(),
        "    )".to_owned(),
        "},".to_owned(),
        format!("tags={},", list(&tags(jobs))),
    ]);
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

/// When a run takes too long, Airflow skips what is left of it. The histories of the next day would take that for done and leave
/// out a day, so only runs in which no job looks back have such a limit.
fn run_timeout(schedule: &Schedule, jobs: &[&Job]) -> Vec<String> {
    if jobs.iter().any(|job| needs_the_day_before(job)) {
        return vec![
            "# No dagrun_timeout: it would skip tasks, and to depends_on_past a skipped day is a day that is done."
                .to_owned(),
        ];
    }
    let limit = schedule.wait.total + schedule.limit();
    vec![
        "# The wait for inputs, and then one job after the other.".to_owned(),
        format!("dagrun_timeout={},", timedelta(limit)),
    ]
}

/// Airflow's names have fewer characters than a project's.
fn dag_id(project: &Project, schedule: &Schedule) -> String {
    let plain = |sign: char| if sign.is_ascii_alphanumeric() || "_-.".contains(sign) { sign } else { '_' };
    format!("{}_{}", project.config.name.chars().map(plain).collect::<String>(), schedule.name)
}

fn tags(jobs: &[&Job]) -> Vec<String> {
    let mut tags: Vec<String> = jobs.iter().flat_map(|job| job.tags.clone()).collect();
    tags.push(TAG.to_owned());
    tags.sort();
    tags.dedup();
    tags
}

fn task(job: &Job) -> String {
    let name = text(job.name.as_str());
    // Airflow takes a text that ends in .md for the name of a file; this one ends in a full stop.
    let doc = format!("{}\n\nTable `{}`, mode {}.", job.description, job.table.name, mode(job));
    let past = match why_in_order(job) {
        Some(why) => format!("        depends_on_past=True,  # {why}\n"),
        None => String::new(),
    };
    format!(
        "    tasks[{name}] = GatefoldJob(\n        task_id={name},\n        owner={owner},\n        doc_md={doc},\n{past}    )\n",
        owner = text(&job.owner),
        doc = text(&doc),
    )
}

/// The true dependencies: an edge for every table of the same day that a job of this schedule reads from another one.
fn edges(jobs: &[&Job]) -> String {
    let has = |name: &JobName| jobs.iter().any(|job| job.name == *name);
    let edge = |job: &Job, before: &JobName| {
        format!("    tasks[{}] >> tasks[{}]\n", text(before.as_str()), text(job.name.as_str()))
    };
    let edges =
        jobs.iter().flat_map(|job| upstream(job).into_keys().filter(|name| has(name)).map(|before| edge(job, before)));
    let edges: String = edges.collect();
    if edges.is_empty() { edges } else { format!("\n{edges}") }
}

fn needs_the_day_before(job: &Job) -> bool {
    why_in_order(job).is_some()
}

fn why_in_order(job: &Job) -> Option<&'static str> {
    match job.table.mode {
        Mode::History => Some("a history takes in its days in order"),
        Mode::Replace => Some("an older day would replace a newer one"),
        Mode::Partition => {
            let looks_back = job.inputs.iter().any(|input| input.days_ago > 0);
            looks_back.then_some("it reads an earlier day")
        }
    }
}

fn mode(job: &Job) -> &'static str {
    match job.table.mode {
        Mode::Partition => "partition",
        Mode::History => "history",
        Mode::Replace => "replace",
    }
}

#[cfg(test)]
mod tests;
