"""What the tests share: a project with its sample, and one Airflow that runs its schedules.

GATEFOLD names the program. Airflow reads its settings when it is imported, so they are made before any test imports it.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from planted import Planted
from real import Airflow, settings
from sample import Sample, today

HOME = Path(tempfile.mkdtemp(prefix="gatefold-airflow-"))
os.environ.update(settings(HOME / "imports", HOME / "none"))
# Airflow imports the committed DAGs where they lie.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_sessionfinish(session, exitstatus):
    """What failed can be looked at."""
    if exitstatus == 0:
        shutil.rmtree(HOME, ignore_errors=True)

# Every job belongs to one schedule, so each story has jobs of its own. All are ticked at midnight: a run for every day until
# yesterday, whatever the time is now.
STORIES = {
    "late": {"jobs": ["offer_availability_daily"], "days": 1},
    "blocked": {"jobs": ["user_pii"], "days": 1},
    "retried": {"jobs": ["user_daily", "tier_metrics_daily"], "days": 1},
    "stopped": {"jobs": ["user_price_daily"], "days": 1},
    "slow": {"jobs": ["product_feature_history"], "days": 1, "timeout": "3s", "retries": 0},
    "ordered": {"jobs": ["plan_price_history"], "days": 2},
}


@pytest.fixture(scope="session")
def sample():
    """A copy of the project with two days of snapshots, until yesterday."""
    sample = Sample(HOME / "project")
    sample.generate(days=2, until=today() - sample.DAY)
    return sample


@pytest.fixture(scope="session")
def planted(sample):
    """The program as tasks start it, which fails where a test has planted a fault."""
    return Planted(HOME / "faults", sample.binary)


@pytest.fixture(scope="session")
def airflow(sample, planted):
    """A living Airflow with the DAGs of all stories; what goes wrong in them is planted before it starts."""
    sample.plant_stories(STORIES)
    planted.plant("user_daily", "exit 13")
    planted.plant("user_price_daily", planted.HANG)
    planted.plant("product_feature_history", planted.HANG)
    planted.plant(f"plan_price_history.{sample.day(1)}", "exit 12")
    home = HOME / "airflow"
    home.mkdir()
    airflow = Airflow(home, sample.render(), {**sample.environment(), **planted.environment()})
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
