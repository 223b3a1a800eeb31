"""The JSON API, apart from uploads: buckets, metadata, content, lists, copies and composition."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from .errors import ApiError
from .store import Object, Preconditions, Store
from .wire import (
    PUBLIC_URL,
    STORE,
    bucket_resource,
    chunks_of,
    generation_of,
    json_conditions,
    object_resource,
    save,
    send,
)

# What a client may set on an object; the rest of the resource is ours.
_SETTABLE = (
    "contentType", "contentEncoding", "contentDisposition", "contentLanguage", "cacheControl", "metadata", "customTime",
    "storageClass", "eventBasedHold", "temporaryHold")  # fmt: skip


def settable(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {name: resource[name] for name in _SETTABLE if resource.get(name) is not None}


async def json_body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    try:
        body = json.loads(raw or b"{}")
    except ValueError as error:
        raise ApiError(400, f"Parse Error: {error}", reason="parseError") from error
    if not isinstance(body, dict):
        raise ApiError(400, "Parse Error: an object was expected", reason="parseError")
    return body


def page_token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode()


def after_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError as error:
        raise ApiError(400, f"Invalid page token: '{token}'") from error


async def handle(request: web.Request, parts: list[str]) -> web.StreamResponse:
    """`parts` is what follows `/storage/v1/`."""
    store = request.app[STORE]
    match (request.method, *parts):
        case ("GET", "b"):
            items = [bucket_resource(bucket, request.app[PUBLIC_URL]) for bucket in store.buckets()]
            return web.json_response({"kind": "storage#buckets", "items": items})
        case ("POST", "b"):
            return await _insert_bucket(request, store)
        case ("GET", "b", bucket):
            return web.json_response(bucket_resource(store.bucket(bucket), request.app[PUBLIC_URL]))
        case ("DELETE", "b", bucket):
            store.delete_bucket(bucket)
            return web.Response(status=204)
        case ("GET", "b", bucket, "o"):
            return _list(request, store, bucket)
        case ("POST", "b", bucket, "o", *name, "rewriteTo", "b", to_bucket, "o", to_name):
            copied = await _copy(request, store, (bucket, "/".join(name)), (to_bucket, to_name))
            size = str(copied.size)
            answer = {"kind": "storage#rewriteResponse", "done": True, "totalBytesRewritten": size, "objectSize": size}
            return web.json_response(answer | {"resource": object_resource(copied, request.app[PUBLIC_URL])})
        case ("POST", "b", bucket, "o", *name, "copyTo", "b", to_bucket, "o", to_name):
            return _object(request, await _copy(request, store, (bucket, "/".join(name)), (to_bucket, to_name)))
        case ("POST", "b", bucket, "o", *name, "compose"):
            return await _compose(request, store, bucket, "/".join(name))
        case ("GET" | "HEAD", "b", bucket, "o", *name) if name:
            found = store.get(bucket, "/".join(name), json_conditions(request.query), generation_of(request.query))
            return await send(request, store, found) if request.query.get("alt") == "media" else _object(request, found)
        case ("PATCH" | "PUT", "b", bucket, "o", *name) if name:
            body = await json_body(request)
            # A null takes a field away, in a patch; an update says everything anew.
            changes = {key: body.get(key) for key in _SETTABLE if key in body or request.method == "PUT"}
            return _object(request, store.update(bucket, "/".join(name), changes, json_conditions(request.query)))
        case ("DELETE", "b", bucket, "o", *name) if name:
            store.delete(bucket, "/".join(name), json_conditions(request.query), generation_of(request.query))
            return web.Response(status=204)
    raise ApiError(501, f"this loopback bucket does not speak {request.method} {request.path}")


def _object(request: web.Request, found: Object) -> web.Response:
    return web.json_response(object_resource(found, request.app[PUBLIC_URL]))


async def _insert_bucket(request: web.Request, store: Store) -> web.Response:
    body = await json_body(request)
    made = store.create_bucket(body.get("name", ""), body.get("location") or "US", request.query.get("project", ""))
    return web.json_response(bucket_resource(made, request.app[PUBLIC_URL]))


def _list(request: web.Request, store: Store, bucket: str) -> web.Response:
    query = request.query
    limit = min(int(query.get("maxResults") or 1000), 1000)
    after = after_token(query["pageToken"]) if query.get("pageToken") else ""
    page = store.list(
        bucket, query.get("prefix", ""), query.get("delimiter", ""), after,
        query.get("startOffset", ""), query.get("endOffset", ""), limit)  # fmt: skip
    answer: dict[str, Any] = {"kind": "storage#objects"}
    if page.objects:
        answer["items"] = [object_resource(found, request.app[PUBLIC_URL]) for found in page.objects]
    if page.prefixes:
        answer["prefixes"] = page.prefixes
    if page.next_after:
        answer["nextPageToken"] = page_token(page.next_after)
    return web.json_response(answer)


async def _copy(request: web.Request, store: Store, source: tuple[str, str], target: tuple[str, str]) -> Object:
    body = await json_body(request)
    query = request.query
    generation = int(query["sourceGeneration"]) if query.get("sourceGeneration") else None
    found = store.get(*source, Preconditions(), generation)
    json_conditions(query, "ifSource").check(found)
    fields = settable(body) or found.fields
    return copy_object(store, found, target, fields, json_conditions(query))


def copy_object(
    store: Store, found: Object, target: tuple[str, str], fields: dict[str, Any], conditions: Preconditions
) -> Object:
    path = store.new_file()
    digest = save(path, chunks_of(store.open(found)))
    return store.put(*target, path, digest, fields, conditions, composite=found.md5 is None)


async def _compose(request: web.Request, store: Store, bucket: str, name: str) -> web.Response:
    body = await json_body(request)
    sources = [store.get(bucket, source["name"], Preconditions()) for source in body.get("sourceObjects", [])]
    if not 1 <= len(sources) <= 32:
        raise ApiError(400, "The number of source components must be between 1 and 32.")
    path = store.new_file()
    digest = save(path, itertools.chain.from_iterable(chunks_of(store.open(source)) for source in sources))
    fields = settable(body.get("destination") or {})
    return _object(request, store.put(bucket, name, path, digest, fields, json_conditions(request.query), composite=True))
