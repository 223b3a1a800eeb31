"""`python -m cloud.alongside --root DIR -- COMMAND…`: carries out a command while the cloud runs, and ends as the command does.

A cloud that runs on the ports already is taken as it is and left running; else one is started and stopped again.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def is_there(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def cloud(root: Path, storage_port: int, bigquery_port: int) -> Iterator[None]:
    there = [is_there(port) for port in (storage_port, bigquery_port)]
    if all(there):
        yield
        return
    if any(there):
        sys.exit(f"cloud: another program holds one of the ports {storage_port} and {bigquery_port}")
    command = [sys.executable, "-m", "cloud", "--root", str(root), "--until-stdin-closes"]
    command += ["--storage-port", str(storage_port), "--bigquery-port", str(bigquery_port)]
    root.mkdir(parents=True, exist_ok=True)
    log = root / "cloud.log"
    with log.open("wb") as told:
        started = subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told)
    assert started.stdin and started.stdout
    try:
        if not started.stdout.readline():
            sys.exit(f"cloud: it does not start; see {log}")
        yield
    finally:
        started.stdin.close()
        started.wait(timeout=60)


def main() -> int:
    parser = argparse.ArgumentParser(prog="cloud.alongside", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--storage-port", type=int, default=4443)
    parser.add_argument("--bigquery-port", type=int, default=9050)
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    with cloud(asked.root.resolve(), asked.storage_port, asked.bigquery_port):
        return subprocess.call(asked.command)


if __name__ == "__main__":
    sys.exit(main())
