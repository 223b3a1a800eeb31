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
