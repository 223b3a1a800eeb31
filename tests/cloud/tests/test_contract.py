"""The contract takes what Google's clients send and refuses what they never would."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from cloud.contract import Contract

from .conftest import PROJECT, Cloud
from .users import DAYS, load, make, put, row


def entry(method: str, path: str, body: Any = None, service: str = "bigquery", **query: str) -> dict[str, Any]:
    return {"service": service, "method": method, "path": path, "body": body, "query": {name: [value] for name, value in query.items()}}


def job(**load_config: Any) -> dict[str, Any]:
    return entry("POST", f"/bigquery/v2/projects/{PROJECT}/jobs", {"configuration": {"load": load_config}})


def test_the_requests_of_googles_clients_pass(cloud: Cloud, bucket: storage.Bucket, dataset: str) -> None:
    cloud.forget_requests()
    make(cloud, dataset)
    load(cloud, put(cloud, [row(DAYS[0], 1)]), f"{dataset}.users$20261119")
    client = cloud.bigquery()
    table = client.get_table(f"{PROJECT}.{dataset}.users")
    table.labels = {"a": "b"}
    client.update_table(table, ["labels"])
    list(client.list_rows(table))
    list(client.query(f"SELECT id FROM `{PROJECT}.{dataset}.users` WHERE day = '2026-11-19'").result())
    list(client.query_and_wait("SELECT 1"))
    blob = bucket.blob("a/b", chunk_size=256 * 1024)
    blob.upload_from_string(bytes(300 * 1024), if_generation_match=0)
    blob.download_as_bytes()
    bucket.copy_blob(blob, bucket, "c")
    list(bucket.list_blobs(prefix="a", delimiter="/", page_size=1))
    blob.delete(if_generation_match=blob.generation)
    log = [seen for seen in cloud.requests() if not seen["path"].startswith("/__")]
    assert len(log) > 15
    assert [complaint for seen in log for complaint in Contract().complaints(seen)] == []
    # The checks saw bodies: the same log with one letter changed in every body does not pass.
    bodies = [seen for seen in log if isinstance(seen["body"], dict) and seen["body"]]
    for seen in bodies:
        name = next(iter(seen["body"]))
        seen["body"][name + "x"] = seen["body"].pop(name)
        assert Contract().complaints(seen), seen


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (job(writeDispositon="WRITE_APPEND"), "unknown field Job.configuration.load.writeDispositon"),
        (job(writeDisposition="WRITE_TRUNC"), "Job.configuration.load.writeDisposition is one of WRITE_TRUNCATE"),
        (job(sourceUris="gs://a/b"), "Job.configuration.load.sourceUris is a list"),
        (job(schema={"fields": [{"name": "x", "maxLength": "ten"}]}), "maxLength is string int64"),
        (job(schemaUpdateOptions=["ALLOW_FIELD_ADDITON"]), "schemaUpdateOptions[0] is one of ALLOW_FIELD_ADDITION"),
        (job(parquetOptions={"enableListInference": "true"}), "enableListInference is boolean"),
        (entry("POST", f"/bigquery/v2/projects/{PROJECT}/job"), "no method is POST"),
        (entry("GET", f"/bigquery/v2/projects/{PROJECT}/jobs/x", locaton="EU"), "unknown query parameter locaton"),
        (entry("GET", f"/bigquery/v2/projects/{PROJECT}/jobs", maxResults="all"), "query parameter maxResults cannot be 'all'"),
        (entry("GET", f"/bigquery/v2/projects/{PROJECT}/jobs", stateFilter="finished"), "cannot be 'finished'"),
        (entry("DELETE", "/storage/v1/b/x/o/y", service="storage", ifGenerationMatch="first"), "ifGenerationMatch cannot be 'first'"),
        (entry("DELETE", "/storage/v1/b/x/o/y", service="storage", ifGenerationMatches="1"), "unknown query parameter"),
        (entry("POST", "/upload/storage/v1/b/x/o", {"nam": "x"}, "storage", uploadType="multipart"), "unknown field Object.nam"),
        (entry("POST", "/upload/storage/v1/b/x/o", {}, "storage", uploadType="multi"), "an upload says its uploadType"),
    ],
)
def test_what_the_service_would_not_understand(request_: dict[str, Any], complaint: str) -> None:
    found = Contract().complaints(request_)
    assert len(found) == 1
    assert complaint in found[0]


def test_numbers_of_64_bits_may_be_text(cloud: Cloud) -> None:
    for value in (10, "10"):
        assert Contract().complaints(job(schema={"fields": [{"name": "x", "maxLength": value}]})) == []
    right = entry("GET", f"/bigquery/v2/projects/{PROJECT}/jobs/x", location="EU")
    assert Contract().complaints(right) == []
    wrong = copy.deepcopy(right)
    wrong["method"] = "POST"
    assert Contract().complaints(wrong)


def test_the_xml_api_has_no_document() -> None:
    assert Contract().complaints(entry("PUT", "/bucket/object", service="storage")) == []


def test_a_log_can_be_piped_in() -> None:
    for disposition, status in (("WRITE_APPEND", 0), ("WRITE_ALL", 1)):
        log = json.dumps([job(writeDisposition=disposition)])
        command = [sys.executable, "-m", "cloud.contract"]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], input=log, capture_output=True, text=True, check=False)
        assert (done.returncode, "WRITE_ALL" in done.stdout) == (status, bool(status))
