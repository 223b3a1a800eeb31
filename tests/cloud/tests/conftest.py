"""One cloud for all tests, started as everybody starts it: as a process that ends with its parent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import Credentials
from google.cloud import bigquery, storage

PROJECT = "gatefold-loopback"


class Token(Credentials):
    """A bearer token, as a service account would have."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token
        self.refreshed = 0

    @property
    def expired(self) -> bool:
        return False

    @property
    def valid(self) -> bool:
        return True

    def refresh(self, request: Any) -> None:
        self.refreshed += 1


@dataclass
class Cloud:
    endpoints: dict[str, Any]
    root: Path

    @property
    def storage_url(self) -> str:
        return self.endpoints["storage"]

    @property
    def bigquery_url(self) -> str:
        return self.endpoints["bigquery"]

    def storage(self, token: str | Token = "loopback") -> storage.Client:
        credentials = token if isinstance(token, Token) else Token(token)
        return storage.Client(PROJECT, credentials, client_options=ClientOptions(api_endpoint=self.storage_url))

    def bigquery(self, token: str = "loopback") -> bigquery.Client:
        return bigquery.Client(PROJECT, Token(token), client_options=ClientOptions(api_endpoint=self.bigquery_url))

    def arm(self, **fault: Any) -> None:
        answer = requests.post(f"{self.storage_url}/__faults", json=fault, timeout=10)
        assert answer.status_code == 200, answer.text

    def disarm(self) -> dict[str, Any]:
        fault = requests.get(f"{self.storage_url}/__faults", timeout=10).json()
        requests.delete(f"{self.storage_url}/__faults", timeout=10)
        return fault

    def requests(self) -> list[dict[str, Any]]:
        return requests.get(f"{self.storage_url}/__requests", timeout=10).json()

    def forget_requests(self) -> None:
        requests.delete(f"{self.storage_url}/__requests", timeout=10)


def start(root: Path, *options: str) -> tuple[subprocess.Popen[str], Cloud]:
    command = [sys.executable, "-m", "cloud", "--root", str(root), "--until-stdin-closes", *options]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    line = process.stdout.readline()
    assert line, f"the cloud ended with {process.wait()}"
    return process, Cloud(json.loads(line), root)


def stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.close()
    assert process.wait(timeout=20) == 0


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    process, made = start(tmp_path_factory.mktemp("cloud"), "--bucket", "lake:EU", "--bucket", "lake-us:US")
    yield made
    stop(process)


@pytest.fixture
def bucket(cloud: Cloud) -> storage.Bucket:
    return cloud.storage().create_bucket(f"bucket-{uuid4().hex[:12]}", location="EU")


@pytest.fixture
def dataset(cloud: Cloud) -> str:
    made = bigquery.Dataset(f"{PROJECT}.d_{uuid4().hex[:12]}")
    made.location = "EU"
    cloud.bigquery().create_dataset(made)
    return made.dataset_id
