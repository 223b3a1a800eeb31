"""The process itself: it ends when it is told to, keeps what it had, and bears many clients at once."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from google.api_core.exceptions import PreconditionFailed
from google.cloud import storage

from .conftest import PROJECT, Cloud, start, stop
from .users import DAYS, ids, load, make, policy, put, row


def test_it_ends_by_a_signal(tmp_path: Path) -> None:
    process, made = start(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(made.storage_url, timeout=5)


def test_tables_and_jobs_survive_a_kill(tmp_path: Path) -> None:
    process, made = start(tmp_path, "--bucket", "lake:EU")
    dataset = made.bigquery().create_dataset(_european("kept"))
    before = policy(make(made, dataset.dataset_id))
    job = load(made, put(made, [row(DAYS[0], 1)]), "kept.users$20261119")
    process.kill()
    process.wait()
    # At once: the warehouse of the first may not have ended yet.
    process, made = start(tmp_path, "--bucket", "lake:EU")
    assert policy(made.bigquery().get_table(f"{PROJECT}.kept.users")) == before
    assert ids(made, "kept.users") == [1]
    assert made.bigquery().get_job(job.job_id, location="EU").output_rows == 1
    stop(process)


def _european(name: str) -> object:
    from google.cloud import bigquery

    made = bigquery.Dataset(f"{PROJECT}.{name}")
    made.location = "EU"
    return made


def test_of_many_writers_one_creates(cloud: Cloud, bucket: storage.Bucket) -> None:
    def create(number: int) -> int | None:
        try:
            cloud.storage().bucket(bucket.name).blob("lease").upload_from_string(str(number), if_generation_match=0)
            return number
        except PreconditionFailed:
            return None

    with ThreadPoolExecutor(16) as pool:
        winners = [number for number in pool.map(create, range(32)) if number is not None]
    assert len(winners) == 1
    assert bucket.blob("lease").download_as_bytes() == str(winners[0]).encode()


def test_of_many_queries_each_gets_its_own_rows(cloud: Cloud) -> None:
    def ask(number: int) -> int:
        return next(iter(cloud.bigquery().query_and_wait(f"SELECT {number} AS n")))["n"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == list(range(40))
