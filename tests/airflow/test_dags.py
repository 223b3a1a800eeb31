"""The committed DAGs: Airflow takes them, they have the jobs' own edges, and a whole day runs."""

from __future__ import annotations

import datetime
import os
import subprocess

import pytest
from airflow.dag_processing.dagbag import DagBag

from real import AIRFLOW, settings
from sample import REPOSITORY, Sample

DAGS = REPOSITORY / "schedules" / "airflow"
UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def bag():
    bag = DagBag(DAGS)
    assert bag.import_errors == {}
    return bag


@pytest.fixture(scope="module")
def daily(bag):
    return bag.dags["gatefold_daily"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Sample(tmp_path_factory.mktemp("daily") / "project")
    project.generate(days=1, until=datetime.date(2026, 11, 20))
    return project


def test_every_schedule_has_a_dag_of_its_own_name(bag):
    schedules = {file.stem for file in (REPOSITORY / "schedules").glob("*.toml")}
    assert {dag_id.removeprefix("gatefold_") for dag_id in bag.dags} == schedules


def test_a_job_is_a_task_and_the_edges_are_its_own(daily, project):
    steps = project.json("plan", "--date", "2026-11-20")["steps"]
    assert {task.task_id: task.upstream_task_ids for task in daily.tasks} == {
        step["job"]: set(step["after"]) for step in steps
    }


def test_histories_wait_for_the_day_before_and_tables_of_a_day_do_not(daily):
    waiting = {task.task_id for task in daily.tasks if task.depends_on_past}
    assert {"plan_price_history", "user_pii", "tier_metrics_daily"} <= waiting
    assert not waiting & {"user_daily", "feature_cap_daily"}


def test_what_the_schedule_says_is_what_airflow_hears(daily):
    task = daily.get_task("user_daily")
    assert (daily.catchup, daily.start_date) == (True, datetime.datetime(2026, 11, 1, tzinfo=UTC))
    assert (task.retries, task.retry_delay) == (3, datetime.timedelta(minutes=5))
    assert (task.timeout, task.poke_interval, task.reschedule) == (6 * 3600, 600, True)
    assert task.execution_timeout == datetime.timedelta(hours=2)
    assert task.owner == "user-platform@example.com"
    assert "One row per user and day" in task.doc_md
    # A run that takes too long would skip tasks, which depends_on_past takes for done.
    assert daily.dagrun_timeout is None


def test_a_whole_day_runs(project, tmp_path):
    """`airflow dags test` of the DAG as it is committed, with the date that a person gives."""
    environment = {**os.environ, **settings(tmp_path / "airflow", DAGS), **project.environment()}

    def airflow(*words: str) -> str:
        done = subprocess.run([AIRFLOW, *words], env=environment, capture_output=True, text=True, timeout=180)
        return done.stdout + done.stderr

    airflow("db", "migrate")
    told = airflow("dags", "test", "gatefold_daily", "--conf", '{"date": "2026-11-20"}')
    assert "state=success" in told, told[-6000:]
    tables = {step["table"] for step in project.json("plan", "--date", "2026-11-20")["steps"]}
    assert len(tables) == 10
    for table in tables:
        assert project.rows(table) > 0, table
