"""A copy of the project in a folder of its own, with sample snapshots and schedules for the tests."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = {"GATEFOLD_PSEUDONYM_KEY": os.environ.get("GATEFOLD_PSEUDONYM_KEY", "gatefold-test-key")}

SCHEDULE = """
description = "The story of {name}."
owner       = "data-platform@example.com"
cron        = "0 0 * * *"
jobs        = {jobs}
start       = {start}
retries     = {{ count = {retries}, wait = "1s" }}
wait        = {{ for = "1h", every = "3s" }}
timeout     = "{timeout}"
"""

# No sample has a million accounts, so this check always blocks.
BLOCKING_CHECK = """
[[check]]
kind = "row_count"
min  = 1000000
"""


def today() -> datetime.date:
    return datetime.datetime.now(datetime.timezone.utc).date()


class Sample:
    DAY = datetime.timedelta(days=1)

    def __init__(self, root: Path):
        self.root = root
        self.binary = Path(os.environ["GATEFOLD"]).resolve()
        root.mkdir(parents=True)
        shutil.copy(REPOSITORY / "gatefold.toml", root)
        for folder in ("jobs", "sql", "schedules"):
            shutil.copytree(REPOSITORY / folder, root / folder)
        self.until = today()

    def generate(self, *, days: int, until: datetime.date):
        self.until = until
        self.gatefold("generate", "--accounts", "100", "--days", str(days), "--until", str(until))

    def day(self, ago: int) -> datetime.date:
        """A day of the sample, counted back from its last."""
        return self.until - ago * self.DAY

    def gatefold(self, *words: str) -> str:
        command = [self.binary, *words, "--project", self.root]
        done = subprocess.run(command, env={**os.environ, **KEY}, capture_output=True, text=True)
        assert done.returncode == 0, f"gatefold {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: str):
        return json.loads(self.gatefold(*words, "--format", "json"))

    def rows(self, table: str) -> int:
        """How many rows a table has, all days together."""
        return self.json("query", f"SELECT count(*) AS rows FROM {table}")[0]["rows"]

    def success(self, snapshot: str) -> Path:
        """The file that says that the snapshot's last day is complete."""
        return self.root / "lake" / "snapshots" / snapshot / f"snapshot_date={self.until}" / "_SUCCESS"

    def plant_stories(self, stories: dict[str, dict]):
        """Schedules of the tests in the place of the project's own, and what goes wrong in the data and in a job."""
        shutil.rmtree(self.root / "schedules")
        (self.root / "schedules").mkdir()
        for name, story in stories.items():
            text = SCHEDULE.format(
                name=name,
                jobs=json.dumps(story["jobs"]),
                start=self.day(story["days"] - 1),
                retries=story.get("retries", 2),
                timeout=story.get("timeout", "10m"),
            )
            (self.root / "schedules" / f"{name}.toml").write_text(text)
        with (self.root / "jobs" / "user_pii.toml").open("a") as job:
            job.write(BLOCKING_CHECK)
        self.success("offer").unlink()

    def render(self) -> Path:
        """The folder of the DAGs, rendered anew."""
        self.gatefold("schedule", "render", "airflow")
        return self.root / "schedules" / "airflow"

    def environment(self) -> dict[str, str]:
        """What a worker is told about the project."""
        return {"GATEFOLD_BINARY": str(self.binary), "GATEFOLD_PROJECT": str(self.root), **KEY}
