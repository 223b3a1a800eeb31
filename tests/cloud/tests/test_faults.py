"""One request breaks, the one that was named, and the log tells what happened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from google.api_core.exceptions import Conflict, Forbidden, GoogleAPICallError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption

from .conftest import PROJECT, Cloud, Token, start, stop
from .users import DAYS, ids, make, options, row
from .users import put as put_rows


@pytest.fixture(autouse=True)
def disarmed(cloud: Cloud) -> Iterator[None]:
    yield
    cloud.disarm()


def put(cloud: Cloud, bucket: storage.Bucket, name: str, **more: float) -> requests.Response:
    return requests.put(f"{cloud.storage_url}/{bucket.name}/{name}", data=b"content", timeout=more.get("timeout", 10))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_status_before_and_after_the_server_acted(cloud: Cloud, bucket: storage.Bucket, when: str) -> None:
    cloud.arm(kind="status", status=503, when=when, nth=2, method="PUT", path=bucket.name)
    assert [put(cloud, bucket, name).status_code for name in "abc"] == [200, 503, 200]
    assert cloud.disarm()["struck"] == 1
    assert bucket.blob("b").exists() == (when == "after")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cut_before_and_after_the_server_acted(cloud: Cloud, bucket: storage.Bucket, when: str) -> None:
    cloud.forget_requests()
    cloud.arm(kind="cut", when=when, method="PUT", path="/cut$")
    with pytest.raises(requests.ConnectionError):
        put(cloud, bucket, "cut")
    assert bucket.blob("cut").exists() == (when == "after")
    seen = cloud.requests()[0]
    assert (seen["method"], seen["fault"], seen["status"], seen.get("acted_status")) == ("PUT", "cut", None, 200 if when == "after" else None)
    assert put(cloud, bucket, "cut").status_code == 200


def test_silence_lasts(cloud: Cloud, bucket: storage.Bucket) -> None:
    cloud.arm(kind="silence", seconds=20, method="PUT")
    begun = time.monotonic()
    with pytest.raises(requests.Timeout):
        put(cloud, bucket, "silent", timeout=0.5)
    assert time.monotonic() - begun < 5
    # Nobody else waits.
    assert put(cloud, bucket, "other").status_code == 200
    assert not bucket.blob("silent").exists()


def test_limits_say_when_to_come_back(cloud: Cloud, bucket: storage.Bucket) -> None:
    cloud.arm(kind="status", status=429, retry_after_s=7, times=2)
    answers = [put(cloud, bucket, "limited") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    cloud.arm(kind="status", status=403, reason="quotaExceeded", service="bigquery")
    with pytest.raises(Forbidden) as raised:
        cloud.bigquery().list_datasets(retry=None).__next__()
    assert raised.value.errors[0]["reason"] == "quotaExceeded"


def test_bodies_that_are_not_whole_or_not_right(cloud: Cloud, bucket: storage.Bucket) -> None:
    bucket.blob("long").upload_from_string(b"x" * 100_000)
    url = f"{cloud.storage_url}/{bucket.name}/long"
    cloud.arm(kind="truncate", method="GET")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url, timeout=10)
    cloud.arm(kind="corrupt", method="GET")
    assert requests.get(url, timeout=10).content == b"y" + b"x" * 99_999
    for kind in ("checksum", "corrupt"):
        cloud.arm(kind=kind, method="GET", path="alt=media")
        with pytest.raises(DataCorruption):
            bucket.blob("long").download_as_bytes(retry=None)
    cloud.arm(kind="checksum", method="GET")
    assert bucket.get_blob("long").crc32c != bucket.get_blob("long").crc32c


def test_tokens_end(cloud: Cloud, bucket: storage.Bucket, tmp_path: Path) -> None:
    cloud.arm(kind="status", status=401)
    token = Token("loopback")
    # The client fetches another token and asks again.
    assert cloud.storage(token).get_bucket(bucket.name, retry=None).name == bucket.name
    assert token.refreshed == 1
    process, strict = start(tmp_path, "--require-token", "T1")
    assert strict.storage("T1").get_bucket("gatefold-lake").name == "gatefold-lake"
    requests.post(f"{strict.storage_url}/__tokens", json={"accepted": ["T2"]}, timeout=10)
    for token, accepted in (("T1", False), ("T2", True)):
        status = requests.get(f"{strict.bigquery_url}/bigquery/v2/projects/{PROJECT}/datasets", headers={"Authorization": f"Bearer {token}"},
                              timeout=10).status_code  # fmt: skip
        assert status == (200 if accepted else 401)
    stop(process)


def test_a_job_whose_answer_was_lost_ran_once(cloud: Cloud, dataset: str) -> None:
    make(cloud, dataset)
    uri, table = put_rows(cloud, [row(DAYS[0], 1)]), f"{PROJECT}.{dataset}.users$20261119"
    cloud.arm(kind="cut", when="after", service="bigquery", method="POST", path="/jobs")
    # The client sends the same id again, is told that it is taken, and the caller attaches to the job.
    with pytest.raises(Conflict):
        cloud.bigquery().load_table_from_uri(uri, table, job_id="lost-" + dataset, job_config=options("WRITE_APPEND"))
    cloud.bigquery().get_job("lost-" + dataset).result(timeout=20)
    assert cloud.disarm()["struck"] == 1
    assert ids(cloud, f"{dataset}.users") == [1]
    posts = [seen for seen in cloud.requests() if seen["method"] == "POST" and (seen["body"] or {}).get("jobReference", {}).get("jobId") ==
             "lost-" + dataset]  # fmt: skip
    assert [seen["status"] for seen in posts] == [None, 409]


def test_what_is_not_a_fault_is_refused(cloud: Cloud) -> None:
    for body in ({"kind": "flood"}, {"kind": "cut", "nht": 2}, {"kind": "cut", "when": "never"}):
        assert requests.post(f"{cloud.bigquery_url}/__faults", json=body, timeout=10).status_code == 400


def test_errors_are_typed(cloud: Cloud) -> None:
    cloud.arm(kind="status", status=500, service="bigquery")
    with pytest.raises(GoogleAPICallError):
        cloud.bigquery().get_dataset("x", retry=None)
