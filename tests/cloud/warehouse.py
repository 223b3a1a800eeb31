"""Starts bqemulator in a process, with routes of our own before those that depart from BigQuery.

`python -m cloud.warehouse` is that process; `cloud` starts it and ends it by closing its stdin. It is one of its own so that a long
query does not hold up the bucket.

What is mended, and what real BigQuery does, stands at the top of `tables`, `jobs`, `loading`, `cost`, `rows` and
`texts`. Besides those:

- Requests are taken one at a time and on one thread: the emulator shares one DuckDB connection, and a second statement would take
  the result of the first.
- DuckDB's extensions come from PyPI and not from a download.
- DuckDB asks for pandas at every value that it hands to Python, as to the fingerprints of `texts`. It is not installed, and
  Python would look for it in every folder each time: half of the time of a day.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import fcntl
import importlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import rows, texts
from .cost import Costs
from .errors import ApiError
from .jobs import Jobs
from .loading import Loader
from .partitions import TableRef
from .store import bucket_location
from .tables import Tables

_EXTENSIONS = ("spatial", "icu", "avro")
_BASE = "/bigquery/v2/projects/{project}"
_TABLE = _BASE + "/datasets/{dataset}/tables/{table}"


class Warehouse:
    def __init__(self, root: Path, project: str) -> None:
        self._root = root
        self._project = project
        self._server: Any = None
        self._jobs: Jobs | None = None

    async def start(self) -> int:
        """Gives the port."""
        from bqemulator.config import LogFormat, LogLevel, PersistenceMode, Settings
        from bqemulator.observability.logging_ import configure_logging

        # Before the rest is imported, which logs to stdout as it is; stdout is for the endpoints.
        configure_logging(level=LogLevel.CRITICAL, fmt=LogFormat.JSON)
        from bqemulator import server
        from bqemulator.storage import type_map
        from bqemulator.storage.engine import DuckDBEngine

        # The emulator asks DuckDB for 76 digits, which it refuses. BIGNUMERIC has 38 after the point; here there are 18, and 20 before.
        type_map._BQ_TO_DUCKDB["BIGNUMERIC"] = type_map._BQ_TO_DUCKDB["BIGDECIMAL"] = "DECIMAL(38, 18)"

        DuckDBEngine._load_spatial = _load_extensions
        DuckDBEngine._load_format_extensions = lambda engine: None
        sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
        _stay_on_one_thread()
        texts.install()
        settings = Settings(
            rest_port=0,
            grpc_port=0,
            persistence_mode=PersistenceMode.PERSISTENT,
            data_dir=self._root / ".meta" / "warehouse",
            default_project_id=self._project,
            gcs_local_root=self._root,
            log_level=LogLevel.CRITICAL,
        )
        original = server.create_app
        server.create_app = self._wrap(original)
        try:
            self._server = server.EmulatorServer(settings)
            await self._server.start()
        finally:
            server.create_app = original
        return self._server.rest_port

    async def stop(self) -> None:
        if self._jobs:
            await self._jobs.settle()
        await self._server.stop()

    def _wrap(self, create_app: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def create(context: Any) -> Any:
            app = create_app(context)
            lock = asyncio.Lock()
            database = self._root / ".meta" / "warehouse.sqlite"
            tables = Tables(database)
            tables.context = context
            texts.create_macros(context.engine)
            costs = Costs(tables)
            loader = Loader(tables, self._root, partial(bucket_location, self._root))
            self._jobs = Jobs(database, tables, loader, costs, lock)
            # The first route that matches answers.
            app.router.routes[:0] = _routes(tables, self._jobs)
            app.add_exception_handler(ApiError, _refuse)
            return _one_at_a_time(app, lock)

        return create


def _stay_on_one_thread() -> None:
    """No handler runs on another thread: DuckDB's results would be freed there, while a query that needs Python runs here."""
    import fastapi.dependencies.utils
    import fastapi.routing

    async def here(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    fastapi.routing.run_in_threadpool = here
    fastapi.dependencies.utils.run_in_threadpool = here


def _load_extensions(engine: Any) -> None:
    """Straight out of the packages: nothing is installed into anybody's home, where others might install just now."""
    import duckdb

    for name in _EXTENSIONS:
        folder = Path(importlib.import_module(f"duckdb_extension_{name}").__file__ or "").parent
        engine.execute(f"LOAD '{folder}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")


def _one_at_a_time(app: Any, lock: asyncio.Lock) -> Any:
    async def serial(scope: Any, receive: Any, send: Any) -> None:
        async with lock:
            await app(scope, receive, send)

    return serial


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.as_json(), status_code=error.status)


def _routes(tables: Tables, jobs: Jobs) -> list[Route]:
    async def insert_table(request: Request) -> Any:
        return await tables.insert(request.path_params["project"], request.path_params["dataset"], await request.json())

    async def get_table(request: Request) -> Any:
        if request.path_params["dataset"] == "_bqemu_anonymous":
            from bqemulator.api.routes.tables import _anonymous_result_table_to_rest

            parameters = request.path_params
            return _anonymous_result_table_to_rest(parameters["project"], parameters["dataset"], parameters["table"])
        return tables.counted(_table(request))

    async def change_table(request: Request) -> Any:
        whole = request.method == "PUT"
        return await tables.change(_table(request), await request.json(), whole=whole, if_match=request.headers.get("If-Match"))

    async def delete_table(request: Request) -> Any:
        ref = _table(request)
        tables.drop_partition(ref) if ref.partition else tables.delete(ref)
        return Response(status_code=204)

    async def list_rows(request: Request) -> Any:
        return rows.of_table(tables, _table(request), request.query_params)

    async def insert_job(request: Request) -> Any:
        return await jobs.insert(request, request.path_params["project"])

    async def get_job(request: Request) -> Any:
        parameters = request.path_params
        return jobs.get(parameters["project"], parameters["job"], request.query_params.get("location"))

    async def cancel_job(request: Request) -> Any:
        return {"kind": "bigquery#jobCancelResponse", "job": await get_job(request)}

    async def list_jobs(request: Request) -> Any:
        return jobs.list(request.path_params["project"], request.query_params)

    async def query(request: Request) -> Any:
        from bqemulator.api.dependencies import get_caller
        from bqemulator.api.routes.jobs import query as run

        project = request.path_params["project"]
        return await jobs.query(request, project, lambda: run(project, request, tables.context, get_caller(request)))

    async def results(request: Request) -> Any:
        from bqemulator.api.routes.jobs import get_query_results as run

        project, job, parameters = request.path_params["project"], request.path_params["job"], request.query_params
        jobs.require_success(project, job, parameters.get("location"))
        limit, start = int(parameters.get("maxResults", 10_000)), int(parameters.get("startIndex", 0))
        answer = run(project, job, tables.context, limit, start, parameters.get("pageToken"))
        return rows.as_asked(answer, answer["schema"]["fields"], parameters.get("formatOptions.useInt64Timestamp"))

    return [
        Route(_BASE + "/datasets/{dataset}/tables", _answer(insert_table), methods=["POST"]),
        Route(_TABLE, _answer(get_table), methods=["GET"]),
        Route(_TABLE, _answer(change_table), methods=["PATCH", "PUT"]),
        Route(_TABLE, _answer(delete_table), methods=["DELETE"]),
        Route(_TABLE + "/data", _answer(list_rows), methods=["GET"]),
        Route(_BASE + "/jobs", _answer(insert_job), methods=["POST"]),
        Route(_BASE + "/jobs/{job}", _answer(get_job), methods=["GET"]),
        Route(_BASE + "/jobs", _answer(list_jobs), methods=["GET"]),
        Route(_BASE + "/jobs/{job}/cancel", _answer(cancel_job), methods=["POST"]),
        Route(_BASE + "/queries", _answer(query), methods=["POST"]),
        Route(_BASE + "/queries/{job}", _answer(results), methods=["GET"]),
    ]


def _answer(handler: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        result = await handler(request)
        return result if isinstance(result, Response) else JSONResponse(result)

    return endpoint


def _table(request: Request) -> TableRef:
    parameters = request.path_params
    reference = {"projectId": parameters["project"], "datasetId": parameters["dataset"], "tableId": parameters["table"]}
    return TableRef.parse(reference, parameters["project"])


async def _serve(root: Path, project: str) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Ctrl-C reaches every process of the terminal; the one that started us decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGTERM, closed.set)
    when_stdin_closes(loop, closed)
    lock = await _alone_over(root)
    warehouse = Warehouse(root, project)
    print(await warehouse.start(), flush=True)
    await closed.wait()
    await warehouse.stop()
    lock.close()


async def _alone_over(root: Path) -> TextIO:
    """Waits for the warehouse before us to close its file: when a cloud is killed, its warehouse ends a moment later."""
    lock = (root / ".meta" / "warehouse.lock").open("w")
    for _ in range(150):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            await asyncio.sleep(0.1)
    sys.exit(f"cloud: another warehouse runs over {root}")


def when_stdin_closes(loop: asyncio.AbstractEventLoop, closed: asyncio.Event) -> None:
    def wait() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    # A crash of an engine of C++ must not be silent.
    faulthandler.enable()
    parser = argparse.ArgumentParser(prog="cloud.warehouse")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--project", required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.root, options.project))
