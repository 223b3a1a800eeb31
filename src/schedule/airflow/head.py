"""The jobs of a schedule, a task each, for one day: `gatefold run JOB --date DAY`.

The schedule's file and docs/schedules.md say what the numbers mean. Nothing is read when Airflow parses this file.
"""

from __future__ import annotations
