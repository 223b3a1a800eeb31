"""The XML API, through `obstore`, which is the crate `object_store` itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import obstore
import pytest
import requests
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError
from obstore.store import GCSStore

from .conftest import Cloud

PART_BYTES = 5 << 20


@pytest.fixture
def store(cloud: Cloud, bucket: object, tmp_path: Path) -> GCSStore:
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"gcs_base_url": cloud.storage_url, "disable_oauth": True, "client_email": "", "private_key": "",
                               "private_key_id": ""}))  # fmt: skip
    return GCSStore(bucket.name, service_account_key=key.read_text(), client_options={"allow_http": True})


def test_put_get_head_delete(store: GCSStore) -> None:
    made = obstore.put(store, "day=1/part 0.parquet", b"0123456789")
    head = obstore.head(store, "day=1/part 0.parquet")
    assert (head["size"], head["e_tag"], head["version"]) == (10, made["e_tag"], made["version"])
    found = obstore.get(store, "day=1/part 0.parquet")
    assert bytes(found.bytes()) == b"0123456789"
    assert bytes(obstore.get_range(store, "day=1/part 0.parquet", start=2, end=5)) == b"234"
    assert [bytes(part) for part in obstore.get_ranges(store, "day=1/part 0.parquet", starts=[0, 8], ends=[1, 10])] == [b"0", b"89"]
    obstore.delete(store, "day=1/part 0.parquet")
    with pytest.raises((NotFoundError, FileNotFoundError)):
        obstore.head(store, "day=1/part 0.parquet")


def test_create_and_update_are_conditional(store: GCSStore) -> None:
    first = obstore.put(store, "lease", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "lease", b"2", mode="create")
    second = obstore.put(store, "lease", b"2", mode=first)
    assert int(second["version"]) > int(first["version"])
    with pytest.raises(PreconditionError):
        obstore.put(store, "lease", b"3", mode=first)
    assert bytes(obstore.get(store, "lease").bytes()) == b"2"


def test_lists(store: GCSStore) -> None:
    names = [f"p/{number:04}" for number in range(1203)] + ["q/r/1", "q/s"]
    for name in ("p/0000", "q/r/1", "q/s"):
        obstore.put(store, name, name.encode())
    assert [entry["path"] for entry in obstore.list(store).collect()] == ["p/0000", "q/r/1", "q/s"]
    within = obstore.list_with_delimiter(store, "q")
    assert (list(within["common_prefixes"]), [entry["path"] for entry in within["objects"]]) == (["q/r"], ["q/s"])
    assert [entry["path"] for entry in obstore.list(store, offset="p/0000").collect()] == ["q/r/1", "q/s"]
    for name in names[1:1203]:
        obstore.put(store, name, b"")
    # More than a page.
    assert [entry["path"] for entry in obstore.list(store, "p").collect()] == names[:1203]


def test_multipart_upload(store: GCSStore) -> None:
    content = os.urandom(2 * PART_BYTES + 3)
    made = obstore.put(store, "big", content, use_multipart=True, chunk_size=PART_BYTES)
    assert bytes(obstore.get(store, "big").bytes()) == content
    assert obstore.head(store, "big")["e_tag"] == made["e_tag"]


def test_multipart_parts_have_a_least_size_and_can_be_given_up(cloud: Cloud, store: GCSStore, bucket: object) -> None:
    url = f"{cloud.storage_url}/{bucket.name}/many"
    upload = requests.post(f"{url}?uploads", timeout=10).text.split("<UploadId>")[1].split("<")[0]
    tags = [requests.put(f"{url}?uploadId={upload}&partNumber={number}", data=b"small", timeout=10).headers["ETag"] for number in (1, 2)]
    parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1))
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
    answer = requests.post(f"{url}?uploadId={upload}", data=body, timeout=10)
    assert (answer.status_code, "EntityTooSmall" in answer.text) == (400, True)
    assert requests.delete(f"{url}?uploadId={upload}", timeout=10).status_code == 204
    assert requests.post(f"{url}?uploadId={upload}", data=body, timeout=10).status_code == 404


def test_copy(store: GCSStore) -> None:
    obstore.put(store, "from here", b"x")
    obstore.copy(store, "from here", "to")
    assert bytes(obstore.get(store, "to").bytes()) == b"x"
    with pytest.raises(AlreadyExistsError):
        obstore.copy(store, "from here", "to", overwrite=False)


def test_conditional_reads(cloud: Cloud, store: GCSStore) -> None:
    made = obstore.put(store, "seen", b"x")
    with pytest.raises(obstore.exceptions.NotModifiedError):
        obstore.get(store, "seen", options={"if_none_match": made["e_tag"]})
    with pytest.raises(PreconditionError):
        obstore.get(store, "seen", options={"if_match": '"other"'})
