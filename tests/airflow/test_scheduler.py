"""Runs of a real scheduler: what becomes of tasks, and how often they were tried, as Airflow's own database tells it."""

from real import wait_until


def test_a_late_input_is_waited_for_and_uses_up_no_try(airflow, sample):
    task = ("gatefold_late", "offer_availability_daily")
    waiting = airflow.wait_for(*task, ["up_for_reschedule"])
    airflow.wait_for_looks("gatefold_late", 2)
    sample.success("offer").touch()
    assert airflow.wait_for(*task, ["success"]) == [("success", 1)]
    assert waiting == [("up_for_reschedule", 1)]
    assert sample.rows("value_proposition.offer_availability_daily") > 0


def test_a_failing_check_is_not_tried_again(airflow):
    assert airflow.wait_for("gatefold_blocked", "user_pii", ["failed"]) == [("failed", 1)]
    assert "exit code 12: a check blocks" in airflow.reasons("gatefold_blocked", "user_pii")


def test_what_failed_in_passing_is_tried_again(airflow, sample, planted):
    assert airflow.wait_for("gatefold_retried", "tier_metrics_daily", ["success"]) == [("success", 1)]
    assert airflow.states("gatefold_retried", "user_daily") == [("success", 2)]
    assert planted.met("user_daily")
    assert sample.rows("value_proposition.tier_metrics_daily") > 0


def test_a_task_that_is_stopped_tells_the_program_and_shows_its_last_words(airflow, planted):
    wait_until(lambda: planted.met("user_price_daily"))
    # What the buttons of the user interface do; the task hears of it with its next heartbeat.
    airflow.sql("UPDATE task_instance SET state = 'failed' WHERE dag_id = 'gatefold_stopped'")
    wait_until(lambda: planted.told("user_price_daily"))
    wait_until(lambda: "told to end" in airflow.log("gatefold_stopped", "user_price_daily"))


def test_a_task_that_takes_too_long_ends_its_program(airflow, planted):
    assert airflow.wait_for("gatefold_slow", "product_feature_history", ["failed"]) == [("failed", 1)]
    assert planted.told("product_feature_history")


def test_a_history_waits_for_the_day_that_failed_and_goes_on_when_it_is_repaired(airflow, sample):
    task = ("gatefold_ordered", "plan_price_history")
    assert airflow.wait_for(*task, ["failed", None]) == [("failed", 1), (None, 0)]
    airflow.wait_for_runs("gatefold_ordered", ["failed", "running"])
    failed = str(sample.day(1))
    airflow.command("tasks", "clear", "--yes", "--start-date", failed, "--end-date", failed, "gatefold_ordered")
    airflow.wait_for(*task, ["success", "success"])
