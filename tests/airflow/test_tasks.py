"""What a task makes of gatefold's exit codes and of its run's dates, without a scheduler."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import jinja2
import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
from airflow.sdk.timezone import utcnow

from sample import REPOSITORY


@pytest.fixture
def task():
    bag = DagBag(REPOSITORY / "schedules" / "airflow")
    return bag.dags["gatefold_daily"].get_task("user_daily")


def poke(task, code: int, *, waited=datetime.timedelta(0)):
    """What the task says when gatefold ends with this code, so long after the run has started."""
    task.date = "2026-11-20"
    task.run_gatefold = lambda context: code
    return task.poke({"dag_run": SimpleNamespace(start_date=utcnow() - waited)})


def test_done_and_not_yet(task):
    assert poke(task, 0) is True
    assert poke(task, 10) is False


@pytest.mark.parametrize("code", [2, 11, 12])
def test_what_a_person_must_repair_fails_for_good(task, code):
    with pytest.raises(AirflowFailException, match=f"exit code {code}: "):
        poke(task, code)


@pytest.mark.parametrize("code", [13, 14, 70, -9, 137, 1])
def test_what_fails_in_passing_may_be_tried_again(task, code):
    with pytest.raises(AirflowException, match=f"exit code {code}: ") as raised:
        poke(task, code)
    assert not isinstance(raised.value, AirflowFailException)


def test_the_wait_ends(task):
    almost = datetime.timedelta(hours=5, minutes=59)
    assert poke(task, 10, waited=almost) is False
    # Airflow does not try again after it.
    with pytest.raises(AirflowSensorTimeout, match="it waits 6:00:00"):
        poke(task, 10, waited=almost + datetime.timedelta(minutes=2))


def render(task, **context) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return environment.from_string(task.date).render(context)


def test_the_day_is_that_of_the_data_interval_or_the_one_that_a_person_gives(task):
    begin = pendulum.datetime(2026, 11, 20, 3, 30)
    assert render(task, params={"date": None}, data_interval_start=begin) == "2026-11-20"
    assert render(task, params={"date": "2026-10-01"}, data_interval_start=begin) == "2026-10-01"
    assert render(task, params={"date": "2026-10-01"}) == "2026-10-01"


def test_a_run_without_any_day_says_what_to_do(task):
    task.date = render(task, params={"date": None})
    with pytest.raises(AirflowFailException, match='trigger it with {"date": "YYYY-MM-DD"}'):
        task.poke({})
