# Generated from schedules/daily.toml by `gatefold schedule render airflow`: edit that file and render again.
"""The jobs of a schedule, a task each, for one day: `gatefold run JOB --date DAY`.

The schedule's file and docs/schedules.md say what the numbers mean. Nothing is read when Airflow parses this file.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, BaseSensorOperator, Param

try:
    from airflow.sdk import CronDataIntervalTimetable
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
except ImportError:  # where Airflow before 3.2 has them
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
    from airflow.timetables.interval import CronDataIntervalTimetable


TIME_ZONE = "UTC"
WAIT_FOR = timedelta(hours=6)
WAIT_EVERY = timedelta(minutes=10)
ENVIRONMENT = "local"


# What exit codes of gatefold mean. 10 is no failure: an input is not there yet.
NOT_YET = 10
FAILS_FOR_GOOD = {
    2: "the project or the call is wrong",
    11: "an input breaks its contract",
    12: "a check blocks",
}
FAILS_IN_PASSING = {
    13: "writing or publishing failed",
    14: "another run holds the lease",
    70: "a fault of gatefold",
}

# The snapshot date is the day on which the data interval begins. A run that was started by hand may name another one, and must
# when it has no data interval.
DATE = (
    "{{ params.date or (data_interval_start.in_timezone('%s').to_date_string()"
    " if data_interval_start is defined and data_interval_start else '') }}"
) % TIME_ZONE


class GatefoldTask(BaseSensorOperator):
    """One job for one day; how it is started is told below.

    It is a sensor because exit code 10 is neither success nor failure. In mode `reschedule` such a task gives its slot back and
    is `up_for_reschedule` until it looks again: that is the same try, so waiting uses up no retries, and `execution_timeout`
    counts only while gatefold runs. When the wait is over the task fails for good; the time to try again has passed.
    """

    template_fields = ("date",)

    def __init__(self, *, date: str = DATE, **kwargs):
        super().__init__(mode="reschedule", poke_interval=WAIT_EVERY, timeout=WAIT_FOR, **kwargs)
        self.date = date

    def poke(self, context) -> bool:
        if not self.date:
            raise AirflowFailException('the run has no data interval: trigger it with {"date": "YYYY-MM-DD"}')
        code = self.run_gatefold(context)
        if code == 0:
            return True
        if code == NOT_YET:
            self.refuse_to_wait_longer(context)
            return False
        if code in FAILS_FOR_GOOD:
            raise AirflowFailException(f"exit code {code}: {FAILS_FOR_GOOD[code]}; trying again changes nothing")
        raise AirflowException(f"exit code {code}: {FAILS_IN_PASSING.get(code, 'gatefold was killed')}")

    def refuse_to_wait_longer(self, context):
        """Counts from the start of the DAG's run. Airflow's own clock starts at the first wait of the first try, and never
        when a try failed before it."""
        waited = datetime.now(timezone.utc) - context["dag_run"].start_date
        if waited > WAIT_FOR:
            raise AirflowSensorTimeout(f"an input is still not there {waited} after the run started; it waits {WAIT_FOR}")

    def run_gatefold(self, context) -> int:
        """Runs the job to its end, shows what it says, and gives its exit code."""
        raise NotImplementedError


class GatefoldJob(GatefoldTask):
    """Runs gatefold on the worker. Where it lies is a setting of the worker, never of this file:

    GATEFOLD_BINARY    the program; `gatefold` on the PATH unless set
    GATEFOLD_PROJECT   the folder of gatefold.toml; Composer's shared folder of data unless set
    GATEFOLD_ENV       the environment of gatefold.toml; what the schedule says unless set
    """

    # Longer than gatefold needs to end a step and give back its lease.
    GRACE_SECONDS = 30

    process: subprocess.Popen | None = None

    def run_gatefold(self, context) -> int:
        command = self.command()
        self.log.info("%s", shlex.join(command))
        # A session of its own: Airflow signals its whole process group besides calling on_kill, and one signal is enough. When
        # Airflow itself is killed, gatefold ends its run, and the next try finds it done or its lease held.
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "NO_COLOR": "1"},
            start_new_session=True,
        )
        try:
            for line in self.process.stdout:
                self.log.info("%s", line.rstrip())
            return self.process.wait()
        finally:
            self.stop()

    def command(self) -> list[str]:
        binary = os.environ.get("GATEFOLD_BINARY", "gatefold")
        project = os.environ.get("GATEFOLD_PROJECT", "/home/airflow/gcs/data/gatefold")
        environment = os.environ.get("GATEFOLD_ENV", ENVIRONMENT)
        command = [binary, "run", self.task_id, "--date", self.date, "--project", project]
        return command + (["--env", environment] if environment else [])

    def on_kill(self):
        """Runs inside of a signal handler, and must not wait there: run_gatefold does, for the end of the output."""
        if self.process is not None:
            self.process.terminate()

    def stop(self):
        """Leaves no process behind when the wait for it ended early, as it does at the execution timeout."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=self.GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


with DAG(
    dag_id="gatefold_daily",
    description="All tables of a day, once its snapshots are there.",
    doc_md=__doc__,
    # A plain cron string would make runs without a data interval, whose day would be that of the tick.
    schedule=CronDataIntervalTimetable("30 3 * * *", timezone=TIME_ZONE),
    start_date=datetime(2026, 11, 1, tzinfo=ZoneInfo(TIME_ZONE)),
    catchup=True,
    # With one run at a time a cleared day would wait for the place of a later one, whose histories wait for it.
    max_active_runs=16,
    max_active_tasks=4,
    # No dagrun_timeout: it would skip tasks, and to depends_on_past a skipped day is a day that is done.
    default_args={
        "owner": "data-platform@example.com",
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=2),
    },
    params={
        "date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Snapshot date",
            description="The day to run, YYYY-MM-DD; that of the data interval when empty.",
        )
    },
    tags=["catalog", "daily", "gatefold", "history", "metrics", "offers", "usage", "users"],
):
    tasks = {}
    tasks["offer_availability_daily"] = GatefoldJob(
        task_id="offer_availability_daily",
        owner="pricing@example.com",
        doc_md="One row per day, offer, plan and market: whether the offer can be redeemed, why not, and what the customer would pay.\n\nTable `value_proposition.offer_availability_daily`, mode partition.",
    )
    tasks["plan_price_history"] = GatefoldJob(
        task_id="plan_price_history",
        owner="pricing@example.com",
        doc_md="One row per phase of a plan's version, market and cohort, and the days for which its price was asked: the price list, with its past.\n\nTable `value_proposition.plan_price_history`, mode history.",
        depends_on_past=True,  # a history takes in its days in order
    )
    tasks["product_feature_history"] = GatefoldJob(
        task_id="product_feature_history",
        owner="catalog@example.com",
        doc_md="One row per product, feature, market and role, and the days for which its value was offered: the catalogue's features, with their past.\n\nTable `value_proposition.product_feature_history`, mode history.",
        depends_on_past=True,  # a history takes in its days in order
    )
    tasks["user_daily"] = GatefoldJob(
        task_id="user_daily",
        owner="user-platform@example.com",
        doc_md="One row per user and day: where they are in their life as a customer, which product and tier they have.\n\nTable `users.user_daily`, mode partition.",
    )
    tasks["tier_metrics_daily"] = GatefoldJob(
        task_id="tier_metrics_daily",
        owner="growth-analytics@example.com",
        doc_md="One row per day, market, tier and product: users, payers, and who began or ceased to pay.\n\nTable `value_proposition.tier_metrics_daily`, mode partition.",
        depends_on_past=True,  # it reads an earlier day
    )
    tasks["user_entitlement_history"] = GatefoldJob(
        task_id="user_entitlement_history",
        owner="user-platform@example.com",
        doc_md="One row per user and feature and time in which nothing about it changed: what the user may do, and why.\n\nTable `users.user_entitlement_history`, mode history.",
        depends_on_past=True,  # a history takes in its days in order
    )
    tasks["feature_cap_daily"] = GatefoldJob(
        task_id="feature_cap_daily",
        owner="usage@example.com",
        doc_md="One row per user, metered feature and day: the cap, the window that it is for, what is used and what is left.\n\nTable `value_proposition.feature_cap_daily`, mode partition.",
    )
    tasks["user_pii"] = GatefoldJob(
        task_id="user_pii",
        owner="privacy@example.com",
        doc_md="One row per account: who stands behind a pseudonym, for the few who may know.\n\nTable `users_restricted.user_pii`, mode replace.",
        depends_on_past=True,  # an older day would replace a newer one
    )
    tasks["user_price_daily"] = GatefoldJob(
        task_id="user_price_daily",
        owner="pricing@example.com",
        doc_md="One row per entitled subscription and day: its list price, the offers on it, and what is paid.\n\nTable `users.user_price_daily`, mode partition.",
    )
    tasks["user_subscription_history"] = GatefoldJob(
        task_id="user_subscription_history",
        owner="user-platform@example.com",
        doc_md="One row per subscription and time in which nothing about it changed: its plan, its state, and whether it entitles.\n\nTable `users.user_subscription_history`, mode history.",
        depends_on_past=True,  # a history takes in its days in order
    )

    tasks["user_daily"] >> tasks["tier_metrics_daily"]
    tasks["user_entitlement_history"] >> tasks["feature_cap_daily"]
