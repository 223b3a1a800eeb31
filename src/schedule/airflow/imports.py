try:
    from airflow.sdk import CronDataIntervalTimetable
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
except ImportError:  # where Airflow before 3.2 has them
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
    from airflow.timetables.interval import CronDataIntervalTimetable
