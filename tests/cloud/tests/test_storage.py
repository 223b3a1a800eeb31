"""The JSON API, through `google-cloud-storage`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from google.resumable_media.requests import ResumableUpload

from .conftest import Cloud, start, stop

QUANTUM_BYTES = 256 * 1024


def test_media_upload_and_download(cloud: Cloud, bucket: storage.Bucket) -> None:
    url = f"{cloud.storage_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=a%2Fb%20c"
    answer = requests.post(url, data=b"hello", headers={"Content-Type": "text/plain"}, timeout=10)
    assert answer.json()["size"] == "5"
    assert answer.json()["crc32c"] == "mnG7TA=="
    blob = bucket.get_blob("a/b c")
    assert blob.download_as_bytes() == b"hello"
    assert blob.content_type == "text/plain"


def test_multipart_upload_keeps_metadata(bucket: storage.Bucket) -> None:
    blob = bucket.blob("run.json")
    blob.metadata = {"fence": "7"}
    blob.upload_from_string(b'{"a":\r\n--b\r\n}', content_type="application/json", checksum="crc32c")
    found = bucket.get_blob("run.json")
    assert found.download_as_bytes() == b'{"a":\r\n--b\r\n}'
    assert (found.metadata, found.content_type) == ({"fence": "7"}, "application/json")
    found.metadata = {"fence": "8"}
    found.patch(if_metageneration_match=1)
    assert bucket.get_blob("run.json").metageneration == 2
    assert bucket.get_blob("run.json").generation == blob.generation


def multipart(cloud: Cloud, bucket: storage.Bucket, crc32c: str) -> requests.Response:
    parts = ['{"name": "three"}', "hello", '{"crc32c": "%s"}' % crc32c]
    kinds = ["application/json", "text/plain", "application/json"]
    body = "".join(f"--limit\r\nContent-Type: {kind}\r\n\r\n{part}\r\n" for kind, part in zip(kinds, parts, strict=True))
    url = f"{cloud.storage_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart&name=three"
    headers = {"Content-Type": "multipart/related; boundary=limit"}
    return requests.post(url, data=body + "--limit--\r\n", headers=headers, timeout=10)


def test_a_third_part_is_a_checksum_and_not_content(cloud: Cloud, bucket: storage.Bucket) -> None:
    assert multipart(cloud, bucket, "mnG7TA==").json()["size"] == "5"
    assert bucket.blob("three").download_as_bytes() == b"hello"
    assert multipart(cloud, bucket, "AAAAAA==").status_code == 400


def test_resumable_upload_in_chunks(bucket: storage.Bucket) -> None:
    content = os.urandom(3 * QUANTUM_BYTES + 17)
    blob = bucket.blob("big", chunk_size=QUANTUM_BYTES)
    blob.upload_from_string(content, checksum="crc32c", if_generation_match=0)
    assert bucket.get_blob("big").size == len(content)
    assert bucket.blob("big").download_as_bytes() == content


def test_resumable_upload_is_asked_resumed_and_ended(cloud: Cloud, bucket: storage.Bucket) -> None:
    content = os.urandom(QUANTUM_BYTES + 100)
    url = f"{cloud.storage_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=slow"
    # A client that sends somebody else's Host must get a session that leads to us.
    session = requests.post(url, json={}, headers={"Host": "storage.googleapis.com"}, timeout=10).headers["Location"]
    assert session.startswith(cloud.storage_url)

    def send(span: str, body: bytes = b"") -> requests.Response:
        return requests.put(session, data=body, headers={"Content-Range": f"bytes {span}"}, timeout=10)

    assert (send("*/*").status_code, send("*/*").headers.get("Range")) == (308, None)
    # Of a chunk that is not a multiple of 256 KiB the rest is not kept.
    part = send(f"0-{QUANTUM_BYTES + 49}/*", content[: QUANTUM_BYTES + 50])
    assert (part.status_code, part.headers["Range"]) == (308, f"bytes=0-{QUANTUM_BYTES - 1}")
    assert bucket.get_blob("slow") is None
    total = len(content)
    end = send(f"{QUANTUM_BYTES}-{total - 1}/{total}", content[QUANTUM_BYTES:])
    assert (end.status_code, end.json()["size"]) == (200, str(total))
    assert send(f"*/{total}").json() == end.json()
    assert bucket.blob("slow").download_as_bytes() == content


def test_resumable_upload_looks_at_the_condition_again_in_the_end(cloud: Cloud, bucket: storage.Bucket) -> None:
    url = f"{cloud.storage_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=race&ifGenerationMatch=0"
    session = requests.post(url, json={}, timeout=10).headers["Location"]
    bucket.blob("race").upload_from_string("first")
    late = requests.put(session, data=b"late", headers={"Content-Range": "bytes 0-3/4"}, timeout=10)
    assert late.status_code == 412
    assert bucket.blob("race").download_as_bytes() == b"first"


def test_preconditions(bucket: storage.Bucket) -> None:
    blob = bucket.blob("lease")
    blob.upload_from_string("one", if_generation_match=0)
    first = blob.generation
    with pytest.raises(PreconditionFailed):
        bucket.blob("lease").upload_from_string("two", if_generation_match=0)
    bucket.blob("lease").upload_from_string("two", if_generation_match=first)
    with pytest.raises(PreconditionFailed):
        bucket.blob("lease").upload_from_string("three", if_generation_match=first)
    with pytest.raises(PreconditionFailed):
        bucket.blob("lease").delete(if_generation_match=first)
    live = bucket.get_blob("lease")
    assert live.generation > first
    assert live.download_as_bytes(if_generation_match=live.generation) == b"two"
    with pytest.raises(NotFound):
        bucket.blob("lease", generation=first).download_as_bytes()
    live.delete(if_generation_match=live.generation)
    assert not bucket.blob("lease").exists()


def test_a_reader_who_has_it_is_told_so(cloud: Cloud, bucket: storage.Bucket) -> None:
    blob = bucket.blob("seen")
    blob.upload_from_string("x")
    url = f"{cloud.storage_url}/storage/v1/b/{bucket.name}/o/seen"
    assert requests.get(url, params={"ifGenerationNotMatch": blob.generation}, timeout=10).status_code == 304
    assert requests.get(url, params={"ifGenerationNotMatch": 1}, timeout=10).status_code == 200


def test_wrong_checksums_are_refused(cloud: Cloud, bucket: storage.Bucket) -> None:
    url = f"{cloud.storage_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=broken"
    for header in ("crc32c=AAAAAA==", "md5=AAAAAAAAAAAAAAAAAAAAAA=="):
        assert requests.post(url, data=b"hello", headers={"x-goog-hash": header}, timeout=10).status_code == 400
    assert bucket.get_blob("broken") is None
    assert requests.post(url, data=b"hello", headers={"x-goog-hash": "crc32c=mnG7TA=="}, timeout=10).status_code == 200


def test_lists_and_pages(bucket: storage.Bucket) -> None:
    names = ["a/1", "a/2", "a/b/3", "b/4", "c"]
    for name in reversed(names):
        bucket.blob(name).upload_from_string(name)
    assert [blob.name for blob in bucket.list_blobs(page_size=2)] == names
    assert [blob.name for blob in bucket.list_blobs(prefix="a/")] == names[:3]
    assert [blob.name for blob in bucket.list_blobs(start_offset="a/2", end_offset="c")] == names[1:4]
    for size in (1, 10):
        found = bucket.list_blobs(prefix="a/", delimiter="/", page_size=size)
        assert ([blob.name for blob in found], found.prefixes) == (["a/1", "a/2"], {"a/b/"})


def test_ranges(cloud: Cloud, bucket: storage.Bucket) -> None:
    bucket.blob("digits").upload_from_string("0123456789")
    assert bucket.blob("digits").download_as_bytes(start=2, end=4, checksum=None) == b"234"
    url = f"{cloud.storage_url}/storage/v1/b/{bucket.name}/o/digits?alt=media"
    tail = requests.get(url, headers={"Range": "bytes=-3"}, timeout=10)
    assert (tail.status_code, tail.content, tail.headers["Content-Range"]) == (206, b"789", "bytes 7-9/10")
    assert requests.get(url, headers={"Range": "bytes=10-"}, timeout=10).status_code == 416


def test_copy_and_compose(bucket: storage.Bucket) -> None:
    for name in ("x", "y"):
        bucket.blob(name).upload_from_string(name * 3)
    copied = bucket.copy_blob(bucket.blob("x"), bucket, "z")
    assert copied.download_as_bytes() == b"xxx"
    both = bucket.blob("both")
    both.compose([bucket.blob("x"), bucket.blob("y")])
    assert both.download_as_bytes() == b"xxxyyy"
    assert both.md5_hash is None


def test_what_is_not_there(cloud: Cloud, bucket: storage.Bucket) -> None:
    with pytest.raises(NotFound, match="No such object"):
        bucket.blob("none").download_as_bytes()
    with pytest.raises(NotFound, match="bucket does not exist"):
        cloud.storage().bucket("no-such-bucket").blob("x").upload_from_string("x")
    assert bucket.location == "EU"


def test_the_warehouse_sees_objects_and_nothing_else(cloud: Cloud, bucket: storage.Bucket) -> None:
    bucket.blob("day=1/part").upload_from_string("x")
    assert [path.name for path in (cloud.root / bucket.name).rglob("*")] == ["day=1", "part"]
    # A file that the warehouse writes becomes an object.
    (cloud.root / bucket.name / "export").write_bytes(b"rows")
    assert bucket.get_blob("export").download_as_bytes() == b"rows"
    bucket.blob("day=1/part").delete()
    bucket.blob("day=1").upload_from_string("no folder is in the way")


def test_generations_survive_a_restart(tmp_path: Path) -> None:
    generations = []
    for _ in range(2):
        process, made = start(tmp_path)
        blob = made.storage().bucket("gatefold-lake").blob("lease")
        if generations:
            blob.reload()
            assert blob.generation == generations[0]
        blob.upload_from_string("same")
        generations.append(blob.generation)
        stop(process)
    assert generations[1] > generations[0]


def test_official_resumable_media_recovers(cloud: Cloud, bucket: storage.Bucket, tmp_path: Path) -> None:
    content = os.urandom(2 * QUANTUM_BYTES)
    upload = ResumableUpload(f"{cloud.storage_url}/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable", QUANTUM_BYTES)
    file = tmp_path / "content"
    file.write_bytes(content)
    session = requests.Session()
    with file.open("rb") as stream:
        upload.initiate(session, stream, {"name": "recovered"}, "text/plain")
        upload.transmit_next_chunk(session)
        upload._invalid = True
        upload.recover(session)
        assert upload.bytes_uploaded == QUANTUM_BYTES
        upload.transmit_next_chunk(session)
    assert bucket.blob("recovered").download_as_bytes(retry=DEFAULT_RETRY) == content
