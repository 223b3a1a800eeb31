"""Uploads of the JSON API: media, multipart (with or without a trailing checksum part) and resumable sessions.

A session is a file beside its bytes in the scratch folder, so it outlives the server, as a real one outlives our process.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from aiohttp import web

from .errors import ApiError
from .json_api import json_body, settable
from .store import Digest, Object, Store, digest_of
from .wire import (
    PUBLIC_URL,
    STORE,
    claimed_by_headers,
    claimed_by_resource,
    json_conditions,
    object_resource,
    receive,
    save,
)

# Every chunk but the last is a multiple of this; of one that is not, the rest is not kept.
CHUNK_QUANTUM_BYTES = 256 * 1024


async def handle(request: web.Request, bucket: str) -> web.Response:
    store = request.app[STORE]
    kind = request.query.get("uploadType")
    if request.method == "POST" and kind == "media":
        return await _media(request, store, bucket)
    if request.method == "POST" and kind == "multipart":
        return await _multipart(request, store, bucket)
    if request.method == "POST" and kind == "resumable" and "upload_id" not in request.query:
        return await _start(request, store, bucket)
    if request.method in ("PUT", "POST") and "upload_id" in request.query:
        return await _continue(request, store)
    if request.method == "DELETE" and "upload_id" in request.query:
        _Session.find(store, request.query["upload_id"]).forget()
        return web.Response(status=499)
    raise ApiError(400, f"Invalid upload request: {request.method} with uploadType '{kind}'")


async def _media(request: web.Request, store: Store, bucket: str) -> web.Response:
    path = store.new_file()
    digest = await receive(request, path)
    fields = {"contentType": request.headers.get("Content-Type", "application/octet-stream")}
    if "contentEncoding" in request.query:
        fields["contentEncoding"] = request.query["contentEncoding"]
    return _finish(request, store, bucket, request.query.get("name", ""), path, digest, {}, fields)


async def _multipart(request: web.Request, store: Store, bucket: str) -> web.Response:
    parts = split_related(request.headers.get("Content-Type", ""), await request.read())
    if len(parts) not in (2, 3):
        raise ApiError(400, f"a multipart upload has two or three parts, not {len(parts)}")
    resource = json.loads(parts[0][1] or b"{}")
    claims = dict(resource)
    if len(parts) == 3:
        # A client that knows the checksum only after the content sends it as a part of its own.
        claims |= json.loads(parts[2][1])
    fields = settable(resource)
    fields.setdefault("contentType", parts[1][0].get("content-type", "application/octet-stream"))
    path = store.new_file()
    digest = save(path, parts[1][1])
    name = resource.get("name") or request.query.get("name", "")
    return _finish(request, store, bucket, name, path, digest, claims, fields)


def split_related(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """The parts of a `multipart/related` body, as bytes: a general MIME parser would touch line ends in the content."""
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if not match:
        raise ApiError(400, "Multipart upload without a boundary.")
    boundary = b"--" + match.group(1).encode()
    parts = []
    for piece in (b"\r\n" + body).split(b"\r\n" + boundary)[1:]:
        if piece.startswith(b"--"):
            break
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = (line.partition(":") for line in head.decode().strip().splitlines())
        parts.append(({name.strip().lower(): value.strip() for name, _, value in lines}, content))
    return parts


def _finish(
    request: web.Request,
    store: Store,
    bucket: str,
    name: str,
    path: Path,
    digest: Digest,
    resource: dict[str, Any],
    fields: dict[str, Any],
) -> web.Response:
    try:
        if not name:
            raise ApiError(400, "Required parameter: name", reason="required")
        digest.require(claimed_by_resource(resource))
        digest.require(claimed_by_headers(request.headers))
        made = store.put(bucket, name, path, digest, fields, json_conditions(request.query))
    finally:
        path.unlink(missing_ok=True)
    return web.json_response(object_resource(made, request.app[PUBLIC_URL]))


class _Session:
    """One resumable upload: what it was started with, and, once it is done, its answer."""

    def __init__(self, store: Store, upload_id: str, state: dict[str, Any]) -> None:
        self.id = upload_id
        self.state = state
        self.content = store.scratch / f"upload-{upload_id}.part"
        self._file = store.scratch / f"upload-{upload_id}.json"

    @classmethod
    def find(cls, store: Store, upload_id: str) -> _Session:
        file = store.scratch / f"upload-{upload_id}.json"
        if not re.fullmatch(r"[0-9a-f]+", upload_id) or not file.exists():
            raise ApiError(404, "No such upload session.", code="NoSuchUpload")
        return cls(store, upload_id, json.loads(file.read_text()))

    def save(self) -> None:
        self._file.write_text(json.dumps(self.state))

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)
        self.content.unlink(missing_ok=True)

    @property
    def persisted_bytes(self) -> int:
        return self.content.stat().st_size if self.content.exists() else 0


async def _start(request: web.Request, store: Store, bucket: str) -> web.Response:
    resource = await json_body(request)
    name = resource.get("name") or request.query.get("name", "")
    if not name:
        raise ApiError(400, "Required parameter: name", reason="required")
    store.bucket(bucket)
    # Refused at the start where that is possible; the end looks again.
    json_conditions(request.query).check(store.stat(bucket, name))
    fields = settable(resource)
    fields.setdefault("contentType", request.headers.get("X-Upload-Content-Type", "application/octet-stream"))
    conditions = {key: value for key, value in request.query.items() if key.startswith("if")}
    state = {
        "bucket": bucket, "name": name, "fields": fields, "conditions": conditions, "claims": claimed_by_resource(resource),
        "size": request.headers.get("X-Upload-Content-Length"), "answer": None}  # fmt: skip
    session = _Session(store, uuid4().hex, state)
    session.save()
    query = f"uploadType=resumable&name={quote(name, safe='')}&upload_id={session.id}"
    location = f"{request.app[PUBLIC_URL]}/upload/storage/v1/b/{bucket}/o?{query}"
    return web.Response(headers={"Location": location, "X-GUploader-UploadID": session.id})


async def _continue(request: web.Request, store: Store) -> web.Response:
    session = _Session.find(store, request.query["upload_id"])
    first, total = _content_range(request, session)
    body = bytearray()
    whole = True
    try:
        async for chunk in request.content.iter_any():
            body += chunk
    except (asyncio.IncompleteReadError, ConnectionError, web.HTTPException):
        # The connection broke in the middle: what came is kept, as in the real service, in whole quanta.
        whole = False
    if session.state["answer"]:
        return web.json_response(session.state["answer"])
    if first is not None:
        _append(session, first, bytes(body), last=whole and total is not None and first + len(body) == total)
    if total is None or session.persisted_bytes < total or not whole:
        kept = session.persisted_bytes
        return web.Response(status=308, headers={"Range": f"bytes=0-{kept - 1}"} if kept else {})
    session.state["answer"] = object_resource(_finalise(request, store, session), request.app[PUBLIC_URL])
    session.save()
    return web.json_response(session.state["answer"])


def _content_range(request: web.Request, session: _Session) -> tuple[int | None, int | None]:
    """Where the chunk begins (None when there is no chunk: a question, or the end) and how long the object will be."""
    header = request.headers.get("Content-Range", "")
    if not header:
        # Without the header, the body is everything.
        length = request.content_length
        return 0, length if length is not None else None
    match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", header.strip())
    if not match:
        raise ApiError(400, f"Failed to parse Content-Range header '{header}'")
    first, _, total = match.groups()
    known = int(total) if total != "*" else None
    if first is None and known is None and session.state["size"] and session.persisted_bytes == int(session.state["size"]):
        known = int(session.state["size"])
    return (int(first) if first is not None else None), known


def _append(session: _Session, first: int, body: bytes, *, last: bool) -> None:
    kept = session.persisted_bytes
    if first > kept:
        raise ApiError(503, f"Invalid request. According to the Content-Range header, the upload offset is {first} byte(s), "
                            f"which exceeds already uploaded size of {kept} byte(s).")  # fmt: skip
    body = body[kept - first :]
    if not last:
        body = body[: len(body) // CHUNK_QUANTUM_BYTES * CHUNK_QUANTUM_BYTES]
    with session.content.open("ab") as file:
        file.write(body)


def _finalise(request: web.Request, store: Store, session: _Session) -> Object:
    state = session.state
    session.content.touch()
    digest = digest_of(session.content)
    digest.require(state["claims"])
    digest.require(claimed_by_headers(request.headers))
    path = store.new_file()
    session.content.replace(path)
    return store.put(state["bucket"], state["name"], path, digest, state["fields"], json_conditions(state["conditions"]))
