"""The loopback Cloud Storage server: sends each request to the API that its path names, and errors back in that API's form."""

from __future__ import annotations

import logging

from aiohttp import web

from . import json_api, uploads, xml_api
from .errors import ApiError
from .store import Store
from .wire import PUBLIC_URL, STORE, segments

_log = logging.getLogger(__name__)
_BODY_MAX_BYTES = 1 << 31


async def _handle(request: web.Request) -> web.StreamResponse:
    parts = segments(request)
    speaks_json = True
    try:
        match parts:
            case ["storage", "v1", *rest]:
                return await json_api.handle(request, rest)
            case ["download", "storage", "v1", *rest]:
                return await json_api.handle(request, rest)
            case ["upload", "storage", "v1", "b", bucket, "o"] | ["resumable", "upload", "storage", "v1", "b", bucket, "o"]:
                return await uploads.handle(request, bucket)
        speaks_json = False
        return await xml_api.handle(request, parts[0], "/".join(parts[1:]))
    except ApiError as error:
        return _refusal(request, error, speaks_json)
    except Exception:
        _log.exception("%s %s", request.method, request.path)
        return _refusal(request, ApiError(500, "an error of the loopback bucket itself, see its log"), speaks_json)


def _refusal(request: web.Request, error: ApiError, speaks_json: bool) -> web.Response:
    # The rest of a refused body is left unread; the connection cannot be used again.
    headers = {} if request.content.at_eof() else {"Connection": "close"}
    if error.status == 304 or request.method == "HEAD":
        return web.Response(status=error.status, headers=headers)
    if speaks_json:
        return web.json_response(error.as_json(), status=error.status, headers=headers)
    return web.Response(text=error.as_xml(), status=error.status, content_type="application/xml", headers=headers)


async def start(store: Store, public_url: str, host: str = "127.0.0.1", port: int = 0) -> tuple[web.AppRunner, int]:
    """Serves the store; gives the runner, to be cleaned up in the end, and the port."""
    app = web.Application(client_max_size=_BODY_MAX_BYTES)
    app[STORE] = store
    app[PUBLIC_URL] = public_url
    app.router.add_route("*", "/{path:.*}", _handle)
    # A body that says `Content-Encoding: gzip` is stored as it is, not unpacked on the way.
    runner = web.AppRunner(app, auto_decompress=False, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, runner.addresses[0][1]
