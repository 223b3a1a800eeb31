"""What the two storage APIs share: names out of raw paths, conditions, ranges, claimed checksums, bodies in and out."""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from aiohttp import web

from .errors import ApiError
from .store import Bucket, Digest, Object, Preconditions, Store

_CHUNK_BYTES = 1 << 20
STORE: web.AppKey[Store] = web.AppKey("store", Store)
# Where clients reach us. Session URLs are made from it: some clients send a Host header without the port, or somebody else's.
PUBLIC_URL: web.AppKey[str] = web.AppKey("public_url", str)


def segments(request: web.Request) -> list[str]:
    """The decoded segments of the path. Only the raw path tells `a%2Fb`, one name, from `a/b`."""
    raw = request.raw_path.partition("?")[0]
    return [unquote(segment) for segment in raw.lstrip("/").split("/")]


def json_conditions(query: Mapping[str, str], prefix: str = "if") -> Preconditions:
    return Preconditions(
        _integer(query, f"{prefix}GenerationMatch"),
        _integer(query, f"{prefix}GenerationNotMatch"),
        _integer(query, f"{prefix}MetagenerationMatch"),
        _integer(query, f"{prefix}MetagenerationNotMatch"),
    )


def xml_conditions(headers: Mapping[str, str]) -> Preconditions:
    return Preconditions(
        _integer(headers, "x-goog-if-generation-match"), None, _integer(headers, "x-goog-if-metageneration-match"), None
    )


def generation_of(query: Mapping[str, str]) -> int | None:
    return _integer(query, "generation")


def _integer(values: Mapping[str, str], name: str) -> int | None:
    value = values.get(name)
    if value in (None, ""):
        return None
    try:
        return int(value)
    except ValueError as error:
        raise ApiError(400, f"Invalid value for {name}: '{value}'") from error


def claimed_by_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums of `x-goog-hash` (one header or several) and of `Content-MD5`."""
    values = headers.getall("x-goog-hash", []) if hasattr(headers, "getall") else [headers.get("x-goog-hash", "")]
    claims: dict[str, str] = {}
    for part in ",".join(values).split(","):
        name, _, value = part.strip().partition("=")
        if name in ("crc32c", "md5"):
            claims[name] = value
    if "Content-MD5" in headers:
        claims["md5"] = headers["Content-MD5"]
    return claims


def claimed_by_resource(resource: Mapping[str, Any]) -> dict[str, str]:
    return {"crc32c": resource.get("crc32c", ""), "md5": resource.get("md5Hash", "")}


def write(file: BinaryIO, digest: Digest, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


async def receive(request: web.Request, path: Path) -> Digest:
    """The body into a file. A client that stops half-way leaves nothing."""
    digest = Digest()
    try:
        with path.open("wb") as file:
            async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
                write(file, digest, chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return digest


def save(path: Path, body: bytes | Iterable[bytes]) -> Digest:
    digest = Digest()
    with path.open("wb") as file:
        for chunk in [body] if isinstance(body, bytes) else body:
            write(file, digest, chunk)
    return digest


def chunks_of(file: BinaryIO) -> Iterable[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


async def send(request: web.Request, store: Store, found: Object) -> web.StreamResponse:
    """The content, whole or the range that was asked for."""
    span = _range(request.headers.get("Range"), found.size)
    start, length = span or (0, found.size)
    response = web.StreamResponse(status=206 if span else 200, headers=object_headers(found))
    if span:
        response.headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{found.size}"
    response.content_length = length
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    # Opened before the first await: a writer that comes between renames another file into place and leaves this one be.
    with store.open(found) as file:
        file.seek(start)
        await response.prepare(request)
        while length > 0:
            chunk = file.read(min(length, _CHUNK_BYTES))
            if not chunk:
                break
            length -= len(chunk)
            await response.write(chunk)
    await response.write_eof()
    return response


def object_headers(found: Object) -> dict[str, str]:
    fields = found.fields
    headers = {
        "Content-Type": fields.get("contentType") or "application/octet-stream",
        "ETag": xml_etag(found),
        "Last-Modified": formatdate(found.updated_us / 1e6, usegmt=True),
        "Accept-Ranges": "bytes",
        "x-goog-generation": str(found.generation),
        "x-goog-metageneration": str(found.metageneration),
        "x-goog-hash": f"crc32c={found.crc32c}" + (f",md5={found.md5}" if found.md5 else ""),
        "x-goog-stored-content-length": str(found.size),
        "x-goog-stored-content-encoding": fields.get("contentEncoding") or "identity",
        "x-goog-storage-class": fields.get("storageClass") or "STANDARD",
    }
    for name, header in (("cacheControl", "Cache-Control"), ("contentEncoding", "Content-Encoding"),
                         ("contentDisposition", "Content-Disposition"), ("contentLanguage", "Content-Language")):  # fmt: skip
        if fields.get(name):
            headers[header] = fields[name]
    headers |= {f"x-goog-meta-{key}": str(value) for key, value in (fields.get("metadata") or {}).items()}
    return headers


def xml_etag(found: Object) -> str:
    """Quoted MD5 in hex; a composite object has no MD5, and something opaque stands there."""
    opaque = base64.b64decode(found.md5).hex() if found.md5 else f"-{found.generation:x}"
    return f'"{opaque}"'


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and length of a range, None when there is none to honour."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip()) if header else None
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= size or start >= end:
        raise ApiError(416, "The requested range cannot be satisfied.")
    return start, end - start


def timestamp(us: int) -> str:
    moment = datetime.datetime.fromtimestamp(us / 1e6, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{us // 1000 % 1000:03}Z"


def object_resource(found: Object, url: str) -> dict[str, Any]:
    """An object as the JSON API shows it; numbers of 64 bits are strings there."""
    resource: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{found.bucket}/{found.name}/{found.generation}",
        "selfLink": f"{url}/storage/v1/b/{found.bucket}/o/{found.name}",
        "name": found.name,
        "bucket": found.bucket,
        "generation": str(found.generation),
        "metageneration": str(found.metageneration),
        "storageClass": "STANDARD",
        "contentType": "application/octet-stream",
        "size": str(found.size),
        "crc32c": found.crc32c,
        "etag": base64.b64encode(f"{found.generation}/{found.metageneration}".encode()).decode(),
        "timeCreated": timestamp(found.created_us),
        "updated": timestamp(found.updated_us),
    }
    if found.md5:
        resource["md5Hash"] = found.md5
    return resource | found.fields


def bucket_resource(bucket: Bucket, url: str) -> dict[str, Any]:
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "selfLink": f"{url}/storage/v1/b/{bucket.name}",
        "name": bucket.name,
        "location": bucket.location,
        "locationType": "multi-region" if bucket.location in ("US", "EU", "ASIA") else "region",
        "storageClass": "STANDARD",
        "metageneration": "1",
        "etag": "CAE=",
        "timeCreated": timestamp(bucket.created_us),
        "updated": timestamp(bucket.created_us),
    }
