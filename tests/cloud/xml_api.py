"""The XML API, as `object_store` speaks it: put, get, head, list, delete, copy and multipart uploads."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

from .errors import ApiError
from .json_api import after_token, copy_object, page_token
from .store import Object, Preconditions, Store
from .wire import (
    STORE,
    chunks_of,
    claimed_by_headers,
    generation_of,
    object_headers,
    receive,
    save,
    send,
    timestamp,
    xml_conditions,
    xml_etag,
)

_DECLARATION = "<?xml version='1.0' encoding='UTF-8'?>"
# The least size of every part but the last.
_PART_MIN_BYTES = 5 << 20


async def handle(request: web.Request, bucket: str, name: str) -> web.StreamResponse:
    store = request.app[STORE]
    query = request.query
    if not name:
        if request.method in ("GET", "HEAD") and bucket:
            return _list(request, store, bucket)
        raise ApiError(501, f"this loopback bucket does not speak {request.method} {request.path}")
    match request.method:
        case "POST" if "uploads" in query:
            return await _initiate(request, store, bucket, name)
        case "PUT" if "uploadId" in query:
            return await _put_part(request, store)
        case "POST" if "uploadId" in query:
            return await _complete(request, store, bucket, name)
        case "DELETE" if "uploadId" in query:
            _forget(_folder(store, query["uploadId"]))
            return web.Response(status=204)
        case "PUT" if "x-goog-copy-source" in request.headers:
            return _copy(request, store, bucket, name)
        case "PUT":
            return await _put(request, store, bucket, name)
        case "GET" | "HEAD":
            return await _get(request, store, bucket, name)
        case "DELETE":
            store.delete(bucket, name, xml_conditions(request.headers), generation_of(query))
            return web.Response(status=204)
    raise ApiError(405, f"{request.method} is not allowed here")


def _fields(request: web.Request) -> dict[str, Any]:
    headers = request.headers
    fields: dict[str, Any] = {"contentType": headers.get("Content-Type", "application/octet-stream")}
    for name, header in (("cacheControl", "Cache-Control"), ("contentEncoding", "Content-Encoding"),
                         ("contentDisposition", "Content-Disposition"), ("contentLanguage", "Content-Language"),
                         ("storageClass", "x-goog-storage-class")):  # fmt: skip
        if header in headers:
            fields[name] = headers[header]
    prefix = "x-goog-meta-"
    metadata = {key[len(prefix) :].lower(): value for key, value in headers.items() if key.lower().startswith(prefix)}
    return fields | ({"metadata": metadata} if metadata else {})


def _made(found: Object) -> web.Response:
    headers = object_headers(found)
    headers.pop("Content-Type")
    return web.Response(headers=headers)


async def _put(request: web.Request, store: Store, bucket: str, name: str) -> web.Response:
    path = store.new_file()
    digest = await receive(request, path)
    try:
        digest.require(claimed_by_headers(request.headers))
        return _made(store.put(bucket, name, path, digest, _fields(request), xml_conditions(request.headers)))
    finally:
        path.unlink(missing_ok=True)


async def _get(request: web.Request, store: Store, bucket: str, name: str) -> web.StreamResponse:
    found = store.get(bucket, name, xml_conditions(request.headers), generation_of(request.query))
    etag = xml_etag(found)
    wanted, known = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if wanted and wanted.strip() not in ("*", etag):
        raise ApiError(412, "At least one of the pre-conditions you specified did not hold.")
    if known and known.strip() in ("*", etag):
        return web.Response(status=304, headers={"ETag": etag})
    return await send(request, store, found)


def _copy(request: web.Request, store: Store, bucket: str, name: str) -> web.Response:
    source = unquote(request.headers["x-goog-copy-source"]).lstrip("/")
    from_bucket, _, from_name = source.partition("/")
    found = store.get(from_bucket, from_name, Preconditions())
    copied = copy_object(store, found, (bucket, name), found.fields, xml_conditions(request.headers))
    body = f"<CopyObjectResult><ETag>{escape(xml_etag(copied))}</ETag></CopyObjectResult>"
    return _xml(body, {"x-goog-generation": str(copied.generation)})


def _list(request: web.Request, store: Store, bucket: str) -> web.Response:
    query = request.query
    limit = min(int(query.get("max-keys") or 1000), 1000)
    token = query.get("continuation-token")
    after = after_token(token) if token else query.get("start-after", "")
    page = store.list(bucket, query.get("prefix", ""), query.get("delimiter", ""), after, "", "", limit)
    lines = [
        f"<Name>{escape(bucket)}</Name><Prefix>{escape(query.get('prefix', ''))}</Prefix><MaxKeys>{limit}</MaxKeys>",
        f"<KeyCount>{len(page.objects) + len(page.prefixes)}</KeyCount>",
        f"<IsTruncated>{'true' if page.next_after else 'false'}</IsTruncated>",
    ]
    if page.next_after:
        lines.append(f"<NextContinuationToken>{page_token(page.next_after)}</NextContinuationToken>")
    for found in page.objects:
        lines.append(
            f"<Contents><Key>{escape(found.name)}</Key><Generation>{found.generation}</Generation>"
            f"<MetaGeneration>{found.metageneration}</MetaGeneration><LastModified>{timestamp(found.updated_us)}</LastModified>"
            f"<ETag>{escape(xml_etag(found))}</ETag><Size>{found.size}</Size></Contents>"
        )
    lines += [f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>" for prefix in page.prefixes]
    return _xml(f"<ListBucketResult>{''.join(lines)}</ListBucketResult>")


def _xml(body: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=_DECLARATION + body, content_type="application/xml", headers=headers)


# Multipart uploads: a folder of parts in the scratch folder, which outlives the server.


def _folder(store: Store, upload_id: str) -> Path:
    folder = store.scratch / f"parts-{upload_id}"
    if not re.fullmatch(r"[0-9a-f]+", upload_id) or not folder.is_dir():
        raise ApiError(404, "The specified upload does not exist.", code="NoSuchUpload")
    return folder


def _forget(folder: Path) -> None:
    for part in folder.iterdir():
        part.unlink()
    folder.rmdir()


async def _initiate(request: web.Request, store: Store, bucket: str, name: str) -> web.Response:
    store.bucket(bucket)
    upload_id = uuid4().hex
    folder = store.scratch / f"parts-{upload_id}"
    folder.mkdir()
    (folder / "fields.json").write_text(json.dumps(_fields(request)))
    return _xml(
        f"<InitiateMultipartUploadResult><Bucket>{escape(bucket)}</Bucket><Key>{escape(name)}</Key>"
        f"<UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
    )


async def _put_part(request: web.Request, store: Store) -> web.Response:
    folder = _folder(store, request.query["uploadId"])
    number = int(request.query.get("partNumber") or 0)
    if not 1 <= number <= 10_000:
        raise ApiError(400, "Part number must be an integer between 1 and 10000, inclusive.")
    path = store.new_file()
    digest = await receive(request, path)
    try:
        digest.require(claimed_by_headers(request.headers))
        # The ETag is part of the file's name: completion can hold the client's list against it.
        etag = digest.md5.replace("/", "_").replace("=", "")
        for earlier in folder.glob(f"{number:05}-*"):
            earlier.unlink()
        path.replace(folder / f"{number:05}-{etag}")
    finally:
        path.unlink(missing_ok=True)
    return web.Response(headers={"ETag": f'"{etag}"', "x-goog-hash": f"crc32c={digest.crc32c},md5={digest.md5}"})


async def _complete(request: web.Request, store: Store, bucket: str, name: str) -> web.Response:
    folder = _folder(store, request.query["uploadId"])
    try:
        listed = [(int(part.findtext("PartNumber") or 0), (part.findtext("ETag") or "").strip().strip('"'))
                  for part in ElementTree.fromstring(await request.text()).iter("Part")]  # fmt: skip
    except (ElementTree.ParseError, ValueError) as error:
        raise ApiError(400, f"The XML you provided was not well-formed: {error}", code="MalformedXML") from error
    if not listed or listed != sorted(set(listed)):
        raise ApiError(400, "The list of parts was not in ascending order.", code="InvalidPartOrder")
    parts = [folder / f"{number:05}-{etag}" for number, etag in listed]
    if missing := [part.name for part in parts if not part.exists()]:
        raise ApiError(400, f"One or more of the specified parts could not be found: {missing}", code="InvalidPart")
    if any(part.stat().st_size < _PART_MIN_BYTES for part in parts[:-1]):
        raise ApiError(400, "Your proposed upload is smaller than the minimum allowed size.", code="EntityTooSmall")
    path = store.new_file()
    digest = save(path, itertools.chain.from_iterable(chunks_of(part.open("rb")) for part in parts))
    fields = json.loads((folder / "fields.json").read_text())
    made = store.put(bucket, name, path, digest, fields, xml_conditions(request.headers), composite=True)
    _forget(folder)
    body = (
        f"<CompleteMultipartUploadResult><Bucket>{escape(bucket)}</Bucket><Key>{escape(name)}</Key>"
        f"<ETag>{escape(xml_etag(made))}</ETag></CompleteMultipartUploadResult>"
    )
    return _xml(body, {"x-goog-generation": str(made.generation)})
