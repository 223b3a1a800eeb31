"""An Airflow of its own in a folder: scheduler, DAG processor and execution API, on loopback, with a database of one file."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

AIRFLOW = Path(sys.executable).with_name("airflow")


def settings(home: Path, dags: Path, port: int = 0) -> dict[str, str]:
    """The environment that makes every Airflow command mean this installation."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(32),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        # Nothing is told to anybody.
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": "127.0.0.1",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Airflow:
    """Runs until `stop`; what happened to tasks is read from its database."""

    PARTS = ("api-server", "scheduler", "dag-processor")

    def __init__(self, home: Path, dags: Path, environment: dict[str, str]):
        self.home = home
        self.environment = {**os.environ, **settings(home, dags, free_port()), **environment}
        self.processes: list[subprocess.Popen] = []

    def start(self):
        self.command("db", "migrate")
        for part in self.PARTS:
            log = (self.home / f"{part}.log").open("w")
            self.processes.append(
                subprocess.Popen([AIRFLOW, part], env=self.environment, stdout=log, stderr=log, start_new_session=True)
            )

    def stop(self):
        for process in self.processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def command(self, *words: str) -> str:
        done = subprocess.run([AIRFLOW, *words], env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"airflow {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sql(self, statement: str, *values) -> list[tuple]:
        connection = sqlite3.connect(self.home / "airflow.db", timeout=30)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def states(self, dag: str, task: str) -> list[tuple[str | None, int]]:
        """State and number of tries of a task, a pair for every run of the DAG, in the order of their dates."""
        return self.sql(
            "SELECT ti.state, ti.try_number FROM task_instance ti JOIN dag_run r USING (dag_id, run_id)"
            " WHERE ti.dag_id = ? AND ti.task_id = ? ORDER BY r.logical_date",
            dag,
            task,
        )

    def wait_for_runs(self, dag: str, expected: list[str]):
        """Waits until the runs of a DAG are in these states, in the order of their dates."""
        runs = "SELECT state FROM dag_run WHERE dag_id = ? ORDER BY logical_date"
        wait_until(lambda: [state for (state,) in self.sql(runs, dag)] == expected)

    def wait_for_looks(self, dag: str, count: int):
        """Waits until tasks of a DAG have been put off that often."""
        looks = "SELECT count(*) FROM task_reschedule r JOIN task_instance ti ON ti.id = r.ti_id WHERE ti.dag_id = ?"
        wait_until(lambda: self.sql(looks, dag)[0][0] >= count)

    def wait_for(self, dag: str, task: str, expected: list[str], seconds: float = 60) -> list[tuple[str | None, int]]:
        """Waits until the task is in these states, one for every run."""
        try:
            wait_until(lambda: [state for state, _ in self.states(dag, task)] == expected, seconds)
        except TimeoutError:
            raise AssertionError(f"{dag}.{task} is {self.states(dag, task)} and not {expected}\n{self.story()}") from None
        return self.states(dag, task)

    def reasons(self, dag: str, task: str) -> str:
        """Why tries of the task failed, as their logs tell."""
        errors = [error for line in self.lines(dag, task) for error in line.get("error_detail") or []]
        return "\n".join(f"{error['exc_type']}: {error['exc_value']}" for error in errors)

    def story(self) -> str:
        """The last words of everything that ran."""
        logs = [*self.home.glob("*.log"), *self.home.glob("logs/dag_id=*/**/*.log")]
        return "\n".join(f"== {log.relative_to(self.home)}\n{tail(log)}" for log in logs)

    def log(self, dag: str, task: str) -> str:
        """What every try of the task wrote."""
        return "\n".join(str(line.get("event")) for line in self.lines(dag, task))

    def lines(self, dag: str, task: str) -> list[dict]:
        logs = sorted(self.home.glob(f"logs/dag_id={dag}/*/task_id={task}/*.log"))
        return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def wait_until(holds: Callable[[], bool], seconds: float = 60):
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"it did not happen within {seconds} seconds")
        time.sleep(0.3)


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
