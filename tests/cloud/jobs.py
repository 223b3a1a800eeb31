"""Jobs as the REST API shows them: ids that are spent once, jobs that run after the answer, failures in the job and not in HTTP.

The emulator runs the same id twice, answers when everything is done, and fails load jobs by HTTP errors.
Queries still run in the emulator; around them are ids, locations, the byte limits of `cost`, and errors as the service gives them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
from starlette.requests import Request

from . import rows
from .cost import Costs
from .errors import ApiError
from .loading import Loader, check_options
from .partitions import TableRef
from .schemas import JobFailed
from .tables import Tables

_log = logging.getLogger(__name__)
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
# Jobs here are found without naming their location, as in the real service.
_MULTI_REGIONS = ("US", "EU")


class Jobs:
    def __init__(self, database: Path, tables: Tables, loader: Loader, costs: Costs, lock: asyncio.Lock) -> None:
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE IF NOT EXISTS job (project TEXT, location TEXT, id TEXT, body TEXT, "
                         "PRIMARY KEY (project, location, id))")  # fmt: skip
        self._tables = tables
        self._loader = loader
        self._costs = costs
        self._lock = lock
        self._running: set[asyncio.Task[None]] = set()
        for (body,) in self._db.execute("SELECT body FROM job").fetchall():
            # A job that ran when we were killed had no effect, and it will not run again.
            if (job := json.loads(body))["status"]["state"] != "DONE":
                self._finish(job, {"reason": "stopped", "message": "the loopback warehouse was stopped"})

    async def insert(self, request: Request, project: str) -> dict[str, Any]:
        body = await request.json()
        config = body.get("configuration") or {}
        reference = body.get("jobReference") or {}
        job_id = reference.get("jobId") or f"job_{uuid4().hex}"
        if not _JOB_ID.fullmatch(job_id):
            raise ApiError(400, f"Invalid job ID \"{job_id}\".")
        if reference.get("projectId", project) != project:
            raise ApiError(400, f"Job project {reference['projectId']} is not that of the request, {project}.")
        kind = next((name for name in ("load", "copy", "query", "extract") if name in config), None)
        if kind is None:
            raise ApiError(400, "Required parameter is missing: a configuration of load, copy, query or extract", "required")
        location = self._location(project, kind, config[kind], reference.get("location"))
        if self._find(project, job_id, location):
            raise ApiError(409, f"Already Exists: Job {project}:{location}.{job_id}", reason="duplicate")
        job = _job(project, location, job_id, config)
        if kind in ("load", "copy"):
            return self._start(job, project, kind, config[kind])
        body["jobReference"] = job["jobReference"]
        return await self._run_query(request, project, job, config, kind)

    def get(self, project: str, job_id: str, location: str | None) -> dict[str, Any]:
        found = self._find(project, job_id, location)
        # Outside the multi-regions a job is only found by those who say where it is.
        hidden = found and not location and found["jobReference"]["location"] not in _MULTI_REGIONS
        if not found and self._tables.context.catalog.get_job(project, job_id):
            # From `jobs.query`, which leaves the id to the service.
            from bqemulator.api.routes.jobs import get_job

            return get_job(project, job_id, self._tables.context)
        if not found or hidden:
            raise ApiError(404, f"Not found: Job {project}:{location + '.' if location else ''}{job_id}")
        return found

    def list(self, project: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The newest first, a page only."""
        bodies = self._db.execute("SELECT body FROM job WHERE project = ? ORDER BY rowid DESC", (project,)).fetchall()
        wanted = query.get("stateFilter", "").upper()
        found = [job for (body,) in bodies if (job := json.loads(body))["status"]["state"] == (wanted or job["status"]["state"])]
        return {"kind": "bigquery#jobList", "jobs": found[: int(query.get("maxResults") or 100)]}

    async def query(self, request: Request, project: str, run: Callable[[], Any]) -> dict[str, Any]:
        """`jobs.query`, whose failures are HTTP errors."""
        body = await request.json()
        processed = self._costs.estimate(project, body.get("query", ""), body.get("defaultDataset"))
        _limit(body.get("maximumBytesBilled"), processed)
        answer = await run()
        if answer.get("errors"):
            raise _http_error(answer["errors"][0])
        as_int64 = (body.get("formatOptions") or {}).get("useInt64Timestamp")
        return rows.as_asked(answer, answer["schema"]["fields"], as_int64) | {"totalBytesProcessed": str(processed)}

    async def settle(self) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)

    # Load and copy

    def _start(self, job: dict[str, Any], project: str, kind: str, config: dict[str, Any]) -> dict[str, Any]:
        self._validate(project, kind, config)
        self._save(job)
        # The answer says that the job runs; how it ended, only `jobs.get` says.
        task = asyncio.get_running_loop().create_task(self._run(json.loads(json.dumps(job)), project, kind, config))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return job

    def _validate(self, project: str, kind: str, config: dict[str, Any]) -> None:
        ref = TableRef.parse(config.get("destinationTable") or {}, project)
        self._tables.dataset(ref)
        if kind == "load":
            check_options(config, ref)
        elif not (config.get("sourceTables") or config.get("sourceTable")):
            raise ApiError(400, "Required parameter is missing: sourceTable", "required")
        elif config.get("operationType", "COPY") != "COPY":
            raise ApiError(501, f"this loopback warehouse has no {config['operationType']} of a copy job; the statement works")

    async def _run(self, job: dict[str, Any], project: str, kind: str, config: dict[str, Any]) -> None:
        async with self._lock:
            work = self._loader.load if kind == "load" else self._loader.copy
            failure: dict[str, str] | None = None
            try:
                job["statistics"] |= work(project, config)
            except JobFailed as error:
                failure = error.result
            except ApiError as error:
                failure = {"reason": error.reason, "message": error.message}
            except duckdb.Error as error:
                failure = {"reason": "invalid", "message": f"Error while reading data, error message: {error}"}
            except Exception as error:
                _log.exception("job %s", job["id"])
                failure = {"reason": "internalError", "message": f"an error of the loopback warehouse itself: {error!r}"}
            self._finish(job, failure)

    def _finish(self, job: dict[str, Any], failure: dict[str, str] | None) -> None:
        job["statistics"]["endTime"] = _now_ms()
        job["status"] = {"state": "DONE"}
        if failure:
            job["status"] |= {"errorResult": failure, "errors": [failure]}
        self._save(job)

    # Queries

    async def _run_query(
        self, request: Request, project: str, job: dict[str, Any], config: dict[str, Any], kind: str
    ) -> dict[str, Any]:
        from bqemulator.api.dependencies import get_caller
        from bqemulator.api.routes.jobs import insert_job

        processed = 0
        failure: dict[str, str] | None = None
        if kind == "query":
            query = config["query"]
            try:
                processed = self._costs.estimate(project, query.get("query", ""), query.get("defaultDataset"))
                _limit(query.get("maximumBytesBilled"), processed)
            except ApiError as error:
                # A dry run has no job to fail in.
                if config.get("dryRun"):
                    raise
                failure = {"reason": error.reason, "message": error.message}
        if failure:
            self._finish(job, failure)
            return job
        answer = await insert_job(project, request, self._tables.context, get_caller(request))
        answer["jobReference"] = job["jobReference"]
        answer["id"] = job["id"]
        statistics = answer.setdefault("statistics", {})
        statistics["totalBytesProcessed"] = str(processed)
        if kind == "query":
            billed = str(0 if config.get("dryRun") else processed)
            statistics.setdefault("query", {}).update(totalBytesProcessed=str(processed), totalBytesBilled=billed)
        if config.get("dryRun"):
            # A dry run is not a job: nothing is kept of it, and its id is not spent.
            if error := answer["status"].get("errorResult"):
                raise _http_error(error)
            answer["jobReference"].pop("jobId", None)
        else:
            self._save(answer)
        return answer

    def require_success(self, project: str, job_id: str, location: str | None) -> None:
        """The results of a failed query are its error."""
        found = self._find(project, job_id, location)
        if found and (error := found["status"].get("errorResult")):
            raise _http_error(error)

    def _location(self, project: str, kind: str, config: dict[str, Any], stated: str | None) -> str:
        if kind == "query":
            datasets = self._costs.datasets(project, config.get("query", ""), config.get("defaultDataset"))
        else:
            target = config.get("destinationTable") or config.get("sourceTable") or {}
            datasets = [(target.get("projectId", project), target.get("datasetId", ""))]
        for owner, name in datasets:
            found = self._tables.context.catalog.get_dataset(owner, name)
            if found and stated and stated.upper() != found.location.upper():
                raise ApiError(404, f"Not found: Dataset {owner}:{name} was not found in location {stated}")
            if found:
                return found.location
        return (stated or "US").upper() if (stated or "US").upper() in _MULTI_REGIONS else str(stated)

    # Keeping

    def _find(self, project: str, job_id: str, location: str | None) -> dict[str, Any] | None:
        row = self._db.execute(
            "SELECT body FROM job WHERE project = ? AND id = ? AND location = coalesce(?, location) COLLATE NOCASE",
            (project, job_id, location)).fetchone()  # fmt: skip
        return json.loads(row[0]) if row else None

    def _save(self, job: dict[str, Any]) -> None:
        reference = job["jobReference"]
        self._db.execute("INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?)",
                         (reference["projectId"], reference["location"], reference["jobId"], json.dumps(job)))  # fmt: skip


def _job(project: str, location: str, job_id: str, config: dict[str, Any]) -> dict[str, Any]:
    now_ms = _now_ms()
    kinds = {"load": "LOAD", "copy": "COPY", "query": "QUERY", "extract": "EXTRACT"}
    kind = next(name for name in kinds if name in config)
    return {
        "kind": "bigquery#job",
        "id": f"{project}:{location}.{job_id}",
        "jobReference": {"projectId": project, "jobId": job_id, "location": location},
        "configuration": {**config, "jobType": kinds[kind]},
        "statistics": {"creationTime": now_ms, "startTime": now_ms},
        "status": {"state": "RUNNING"},
        "user_email": "loopback@example.com",
    }


def _limit(maximum: str | int | None, processed: int) -> None:
    if maximum is not None and processed > int(maximum):
        raise ApiError(400, f"Query exceeded limit for bytes billed: {maximum}. {processed} or higher required.",
                       reason="bytesBilledLimitExceeded")  # fmt: skip


_STATUS = {"notFound": 404, "duplicate": 409, "accessDenied": 403, "internalError": 500, "notImplemented": 501}


def _http_error(error: dict[str, Any]) -> ApiError:
    return ApiError(_STATUS.get(error["reason"], 400), error["message"], reason=error["reason"])


def _now_ms() -> str:
    return str(time.time_ns() // 1_000_000)
