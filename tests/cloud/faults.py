"""A reverse proxy in front of both servers that logs every request and breaks exactly the one that a test names.

Control, on either public port:

- `POST /__faults` arms a fault and forgets the one before; `GET` tells it and how often it struck; `DELETE` disarms it.
  `{"kind": "status", "status": 503, "when": "after", "nth": 2, "times": 1, "service": "storage", "method": "PUT|POST", "path": "tables"}`
  strikes the second matching request after the server has acted. `method` and `path` (with its query) are regular expressions.
- `POST /__tokens {"accepted": ["T2"]}` changes the bearer tokens that are accepted, `{"accepted": null}` accepts everybody.
- `GET /__requests` gives the log, `DELETE /__requests` empties it.

Kinds: `status` (with `status`, `reason`, `retry_after_s`, `message`), `cut`, `silence` (with `seconds`, then the connection is cut),
`truncate` (half of the body), `corrupt` (one byte of the body changed), `checksum` (a true body with a wrong checksum beside it).
The last three need an answer, so they strike after the server has acted, whatever `when` says.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from .errors import ApiError
from .uploads import split_related

_KINDS = ("status", "cut", "silence", "truncate", "corrupt", "checksum")
_REASONS = {401: "authError", 403: "rateLimitExceeded", 429: "rateLimitExceeded", 500: "backendError", 503: "backendError"}
# Of one hop, or of the one body as it was framed there.
_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "expect"}
_BODY_MAX_BYTES = 1 << 31
_LOG_MAX_REQUESTS = 100_000


@dataclass
class Fault:
    kind: str
    nth: int = 1
    times: int = 1
    when: str = "before"
    service: str | None = None
    method: str = ".*"
    path: str = ""
    status: int = 503
    reason: str | None = None
    message: str | None = None
    retry_after_s: int | None = None
    seconds: float = 30.0
    # Matching requests so far, and how many of them were struck.
    seen: int = 0
    struck: int = 0

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Fault:
        unknown = set(body) - {known.name for known in fields(cls)} | set(body) & {"seen", "struck"}
        if unknown or body.get("kind") not in _KINDS or body.get("when", "before") not in ("before", "after"):
            raise ApiError(400, f"not a fault: {body}")
        fault = cls(**body)
        if fault.kind in ("truncate", "corrupt", "checksum"):
            fault.when = "after"
        return fault

    def strikes(self, service: str, method: str, target: str) -> bool:
        if self.service not in (None, service) or not re.fullmatch(self.method, method) or not re.search(self.path, target):
            return False
        self.seen += 1
        hit = self.nth <= self.seen < self.nth + self.times
        self.struck += hit
        return hit


@dataclass
class Control:
    """What the proxies of one cloud share."""

    accepted_tokens: list[str] | None = None
    fault: Fault | None = None
    log: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Proxy:
    def __init__(self, service: str, upstream: str, control: Control) -> None:
        self._service = service
        self._upstream = upstream
        self._control = control
        self._session: aiohttp.ClientSession | None = None

    async def start(self, listener: socket.socket) -> web.AppRunner:
        # Whole answers pass through unread: neither unpacked nor followed.
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            # A connection of its own for each request: one that is kept could be closed by the server just as it is used again.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        app = web.Application(client_max_size=_BODY_MAX_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_cleanup.append(self._close)
        runner = web.AppRunner(app, auto_decompress=False, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        return runner

    async def _close(self, _: web.Application) -> None:
        if self._session:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/__"):
            return await _control(request, self._control)
        body = await request.read()
        entry = self._note(request, body)
        if refusal := self._unauthorised(request):
            entry["status"] = 401
            return _refuse(refusal)
        fault = self._control.fault
        if not fault or not fault.strikes(self._service, request.method, request.raw_path):
            answer = await self._forward(request, body)
            entry["status"] = answer.status
            return await _send(request, answer, answer.body)
        entry["fault"] = fault.kind
        answer = None
        if fault.when == "after":
            answer = await self._forward(request, body)
            entry["acted_status"] = answer.status
        return await _strike(request, fault, entry, answer)

    def _note(self, request: web.Request, body: bytes) -> dict[str, Any]:
        entry = {
            "service": self._service,
            "time_us": time.time_ns() // 1000,
            "method": request.method,
            "path": request.raw_path.partition("?")[0],
            "query": {name: request.query.getall(name) for name in request.query},
            "body": _json_of(request, body),
            "bytes": len(body),
            # No status means that the client was given none.
            "status": None,
        }
        if len(self._control.log) < _LOG_MAX_REQUESTS:
            self._control.log.append(entry)
        return entry

    def _unauthorised(self, request: web.Request) -> ApiError | None:
        accepted = self._control.accepted_tokens
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if accepted is None or token in accepted:
            return None
        return ApiError(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.")

    async def _forward(self, request: web.Request, body: bytes) -> _Answer:
        assert self._session is not None
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_HEADERS]
        url = URL(self._upstream + request.raw_path, encoded=True)
        skip = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False, skip_auto_headers=skip
        ) as response:
            kept = [(name, value) for name, value in response.headers.items() if name.lower() not in _HOP_HEADERS]
            if request.method == "HEAD" and "Content-Length" in response.headers:
                kept.append(("Content-Length", response.headers["Content-Length"]))
            return _Answer(response.status, kept, await response.read())


def _json_of(request: web.Request, body: bytes) -> Any:
    """What of the body is JSON: all of it, or the metadata before the content of a multipart upload."""
    kind = request.headers.get("Content-Type", "")
    try:
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if kind.startswith("multipart/related"):
            return json.loads(split_related(kind, body)[0][1])
        return json.loads(body) if kind.startswith("application/json") and body else None
    except (ValueError, OSError, IndexError, ApiError):
        return None


async def _strike(request: web.Request, fault: Fault, entry: dict[str, Any], answer: _Answer | None) -> web.StreamResponse:
    match fault.kind:
        case "cut":
            return _cut(request)
        case "silence":
            await asyncio.sleep(fault.seconds)
            return _cut(request)
        case "status":
            entry["status"] = fault.status
            reason = fault.reason or _REASONS.get(fault.status)
            return _refuse(ApiError(fault.status, fault.message or f"armed fault: {reason}", reason), fault.retry_after_s)
    assert answer is not None
    entry["status"] = answer.status
    body = answer.body
    match fault.kind:
        case "truncate":
            response = _head(answer)
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            return _cut(request)
        case "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:] if body else body
        case "checksum":
            answer.headers = [(name, _other_hashes(value) if name.lower() == "x-goog-hash" else value)
                              for name, value in answer.headers]  # fmt: skip
            body = re.sub(rb'("(?:crc32c|md5Hash)": *")(.)', lambda found: found[1] + _other(found[2].decode()).encode(), body)
    return await _send(request, answer, body)


def _other_hashes(value: str) -> str:
    return re.sub(r"(crc32c=|md5=)(.)", lambda found: found[1] + _other(found[2]), value)


def _other(character: str) -> str:
    return "B" if character == "A" else "A"


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport:
        request.transport.abort()
    return web.Response()


def _refuse(error: ApiError, retry_after_s: int | None = None) -> web.Response:
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
    return web.json_response(error.as_json(), status=error.status, headers=headers)


def _head(answer: _Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response


async def _send(request: web.Request, answer: _Answer, body: bytes) -> web.StreamResponse:
    response = _head(answer)
    if request.method != "HEAD" and answer.status not in (204, 304):
        response.content_length = len(body)
    await response.prepare(request)
    if request.method != "HEAD" and body:
        await response.write(body)
    await response.write_eof()
    return response


async def _control(request: web.Request, control: Control) -> web.Response:
    try:
        match (request.method, request.path):
            case ("POST", "/__faults"):
                control.fault = Fault.parse(await request.json())
                return web.json_response(asdict(control.fault))
            case ("GET", "/__faults"):
                return web.json_response(asdict(control.fault) if control.fault else None)
            case ("DELETE", "/__faults"):
                control.fault = None
                return web.Response(status=204)
            case ("POST", "/__tokens"):
                control.accepted_tokens = (await request.json())["accepted"]
                return web.Response(status=204)
            case ("GET", "/__requests"):
                return web.json_response(control.log)
            case ("DELETE", "/__requests"):
                control.log.clear()
                return web.Response(status=204)
        raise ApiError(404, f"no such control: {request.method} {request.path}")
    except ApiError as error:
        return _refuse(error)
    except (ValueError, TypeError, KeyError) as error:
        return _refuse(ApiError(400, f"not what this control takes: {error}"))
