"""`python -m cloud --root DIR`: a Cloud Storage and a BigQuery on loopback, until it is told to stop.

One JSON line on stdout (or the ready file) says where they are; the environment to use stands on stderr, for people.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from . import bucket
from .errors import ApiError
from .faults import Control, Proxy
from .store import Store
from .warehouse import when_stdin_closes

_HOST = "127.0.0.1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cloud", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="where buckets and tables are kept")
    parser.add_argument("--storage-port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--bigquery-port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--project", default="gatefold-loopback")
    parser.add_argument("--bucket", action="append", metavar="NAME[:LOCATION]", help="made if it is not there (gatefold-lake:US)")
    parser.add_argument("--require-token", action="append", metavar="TOKEN", help="accept this bearer token and no others")
    parser.add_argument("--ready-file", type=Path, help="gets the JSON line, complete or not at all")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when the parent process is gone")
    return parser.parse_args()


def _listen(port: int) -> socket.socket:
    """Bound before the servers start: session URLs are made from the port, and nobody else may take it meanwhile."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_HOST, port))
    return listener


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    if options.until_stdin_closes:
        when_stdin_closes(loop, stopped)
    root = options.root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    store = Store(root)
    buckets = [text.partition(":") for text in options.bucket or ["gatefold-lake:US"]]
    for name, _, location in buckets:
        _make_bucket(store, name, location or "US", options.project)
    listeners = _listen(options.storage_port), _listen(options.bigquery_port)
    storage_url, bigquery_url = (f"http://{_HOST}:{listener.getsockname()[1]}" for listener in listeners)
    control = Control(accepted_tokens=options.require_token)
    warehouse, upstream_port = await _start_warehouse(root, options.project)
    ended = asyncio.create_task(warehouse.wait())
    ended.add_done_callback(lambda _: stopped.set())
    runners = []
    try:
        runner, port = await bucket.start(store, storage_url, _HOST)
        runners.append(runner)
        runners.append(await Proxy("storage", f"http://{_HOST}:{port}", control).start(listeners[0]))
        runners.append(await Proxy("bigquery", f"http://{_HOST}:{upstream_port}", control).start(listeners[1]))
        _announce(options, {
            "storage": storage_url,
            "bigquery": bigquery_url,
            "bigquery_api": f"{bigquery_url}/bigquery/v2",
            "project": options.project,
            "bucket": buckets[0][0],
            "buckets": [name for name, _, _ in buckets],
            "token": (options.require_token or ["loopback"])[0],
            "pid": os.getpid(),
        })  # fmt: skip
        await stopped.wait()
        if ended.done():
            raise OSError(f"the warehouse ended with {ended.result()}")
    finally:
        for runner in reversed(runners):
            await runner.cleanup()
        await _stop_warehouse(warehouse)


def _make_bucket(store: Store, name: str, location: str, project: str) -> None:
    try:
        store.create_bucket(name, location, project)
    except ApiError as error:
        if error.status != 409:
            raise


def _announce(options: argparse.Namespace, endpoints: dict[str, object]) -> None:
    line = json.dumps(endpoints)
    if options.ready_file:
        partial = options.ready_file.with_name(options.ready_file.name + ".partial")
        partial.write_text(line + "\n")
        partial.replace(options.ready_file)
    print(line, flush=True)
    print(f"export STORAGE_EMULATOR_HOST={endpoints['storage']}", file=sys.stderr)
    print(f"export BIGQUERY_EMULATOR_HOST={endpoints['bigquery']}", file=sys.stderr)
    print("stop it with Ctrl-C", file=sys.stderr)


async def _start_warehouse(root: Path, project: str) -> tuple[asyncio.subprocess.Process, int]:
    command = [sys.executable, "-m", "cloud.warehouse", "--root", str(root), "--project", project]
    pipe = asyncio.subprocess.PIPE
    warehouse = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert warehouse.stdout
    line = await warehouse.stdout.readline()
    if not line:
        raise OSError(f"the warehouse ended with {await warehouse.wait()} before it had started")
    return warehouse, int(line)


async def _stop_warehouse(warehouse: asyncio.subprocess.Process) -> None:
    assert warehouse.stdin
    warehouse.stdin.close()
    try:
        await asyncio.wait_for(warehouse.wait(), timeout=15)
    except asyncio.TimeoutError:
        warehouse.kill()
        await warehouse.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="cloud: %(name)s: %(message)s")
    try:
        asyncio.run(_serve(_arguments()))
    except (OSError, ApiError) as failure:
        sys.exit(f"cloud: {failure}")
