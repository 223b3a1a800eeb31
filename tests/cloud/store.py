"""Objects as plain files under `<root>/<bucket>/<object>`, and what a file cannot say in a database beside them.

The warehouse reads `gs://` from the same folder, so nothing but objects may lie under a bucket: generations, checksums, locations
and unfinished uploads live in `<root>/.meta`. A write is complete before it is visible (a file of its own, then a rename).
A file that somebody else put there, for instance BigQuery by an export, becomes an object when it is first seen.

One thread calls the methods that change anything, so a precondition and the write that it guards cannot be torn apart.

Departures: an object name must be a path that a file system can hold (no empty, `.` or `..` segment, none longer than 255 bytes),
and `a` and `a/b` cannot both be objects. Old generations are not kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import google_crc32c

from .errors import ApiError, no_bucket, no_object, precondition_failed

_CHUNK_BYTES = 1 << 20
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS bucket (name TEXT PRIMARY KEY, location TEXT, created_us INTEGER, project TEXT);
CREATE TABLE IF NOT EXISTS object (
    bucket TEXT, name TEXT, generation INTEGER, metageneration INTEGER, size INTEGER, crc32c TEXT, md5 TEXT,
    created_us INTEGER, updated_us INTEGER, fields TEXT, mtime_ns INTEGER, PRIMARY KEY (bucket, name));
CREATE TABLE IF NOT EXISTS counter (last_generation INTEGER);
"""


@dataclass(frozen=True)
class Bucket:
    name: str
    location: str
    created_us: int
    project: str


@dataclass(frozen=True)
class Object:
    """What is known of one object. `md5` is absent for composite objects, as in the real service."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    size: int
    crc32c: str
    md5: str | None
    created_us: int
    updated_us: int
    # What the client set: contentType, metadata, cacheControl and so on, by their names in the JSON API.
    fields: dict[str, Any] = field(default_factory=dict)
    mtime_ns: int = 0


@dataclass(frozen=True)
class Preconditions:
    """The four conditions that a request may put on the live object; generation 0 stands for "there is none"."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def check(self, live: Object | None, *, reading: bool = False) -> None:
        generation = live.generation if live else 0
        metageneration = live.metageneration if live else None
        if self.generation_match is not None and self.generation_match != generation:
            raise precondition_failed()
        if self.metageneration_match is not None and self.metageneration_match != metageneration:
            raise precondition_failed()
        same = self.generation_not_match is not None and self.generation_not_match == generation
        same |= self.metageneration_not_match is not None and self.metageneration_not_match == metageneration
        if same:
            # "You have it already" is an answer to a reader, and a refusal to a writer.
            raise ApiError(304, "Not Modified") if reading else precondition_failed()


class Digest:
    """CRC32C and MD5 of a body as it comes in, in the base64 that the API uses."""

    def __init__(self) -> None:
        self._crc32c = google_crc32c.Checksum()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def update(self, chunk: bytes) -> None:
        self._crc32c.update(chunk)
        self._md5.update(chunk)
        self.size += len(chunk)

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._crc32c.digest()).decode()

    @property
    def md5(self) -> str:
        return base64.b64encode(self._md5.digest()).decode()

    def require(self, claimed: dict[str, str]) -> None:
        """Refuses a body that is not what its sender says it is."""
        for name, actual in (("crc32c", self.crc32c), ("md5", self.md5)):
            said = claimed.get(name)
            if said and said != actual:
                raise ApiError(
                    400,
                    f"Provided {name.upper()} hash \"{said}\" doesn't match calculated {name.upper()} hash \"{actual}\".",
                    code="BadDigest",
                )


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root / ".meta" / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(_database(root), isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)
        # A kill between a rename and its row is found by size and time of the file, see `stat`.
        for left_over in self.scratch.glob("write-*"):
            left_over.unlink()

    # Buckets

    def create_bucket(self, name: str, location: str, project: str) -> Bucket:
        if not _BUCKET_NAME.fullmatch(name):
            raise ApiError(400, f"Invalid bucket name: '{name}'", code="InvalidBucketName")
        if self._bucket(name):
            raise ApiError(409, "Your previous request to create the named bucket succeeded and you already own it.")
        return self._add_bucket(name, location, project)

    def bucket(self, name: str) -> Bucket:
        found = self._bucket(name)
        if not found:
            raise no_bucket(name)
        return found

    def buckets(self) -> list[Bucket]:
        names = sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        return [self.bucket(name) for name in names]

    def delete_bucket(self, name: str) -> None:
        self.bucket(name)
        if any(True for _ in self._names(name, "")):
            raise ApiError(409, "The bucket you tried to delete is not empty.")
        (self.root / name).rmdir()
        self._db.execute("DELETE FROM bucket WHERE name = ?", (name,))

    def _bucket(self, name: str) -> Bucket | None:
        if not _BUCKET_NAME.fullmatch(name):
            return None
        row = self._db.execute("SELECT name, location, created_us, project FROM bucket WHERE name = ?", (name,)).fetchone()
        if row:
            return Bucket(*row)
        return self._add_bucket(name, "US", "") if (self.root / name).is_dir() else None

    def _add_bucket(self, name: str, location: str, project: str) -> Bucket:
        made = Bucket(name, location.upper(), _now_us(), project)
        (self.root / name).mkdir(exist_ok=True)
        self._db.execute("INSERT INTO bucket VALUES (?, ?, ?, ?)", (made.name, made.location, made.created_us, made.project))
        return made

    # Objects

    def new_file(self) -> Path:
        return self.scratch / f"write-{uuid4().hex}"

    def stat(self, bucket: str, name: str) -> Object | None:
        """The live object. A file that changed behind our back gets a new generation, and so does one that is new to us."""
        path = self._path(bucket, name)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not path.is_file():
            return None
        row = self._db.execute(
            "SELECT bucket, name, generation, metageneration, size, crc32c, md5, created_us, updated_us, fields, mtime_ns"
            " FROM object WHERE bucket = ? AND name = ?", (bucket, name)).fetchone()
        if row and row[4] == status.st_size and row[10] == status.st_mtime_ns:
            return Object(*row[:9], json.loads(row[9]), row[10])
        return self._record(bucket, name, digest_of(path), {}, composite=False)

    def get(self, bucket: str, name: str, conditions: Preconditions, generation: int | None = None) -> Object:
        self.bucket(bucket)
        found = self.stat(bucket, name)
        if not found or generation not in (None, found.generation):
            raise no_object(bucket, name)
        conditions.check(found, reading=True)
        return found

    def open(self, found: Object) -> BinaryIO:
        return self._path(found.bucket, found.name).open("rb")

    def put(
        self,
        bucket: str,
        name: str,
        source: Path,
        digest: Digest,
        fields: dict[str, Any],
        conditions: Preconditions,
        *,
        composite: bool = False,
    ) -> Object:
        """Makes a finished file the live object, or leaves everything as it was. The file is gone afterwards."""
        try:
            self.bucket(bucket)
            path = self._path(bucket, name)
            conditions.check(self.stat(bucket, name))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                source.replace(path)
            except OSError as error:
                raise ApiError(400, f"this loopback bucket cannot hold an object named '{name}': {error.strerror}") from error
            return self._record(bucket, name, digest, fields, composite=composite)
        finally:
            source.unlink(missing_ok=True)

    def update(self, bucket: str, name: str, fields: dict[str, Any], conditions: Preconditions) -> Object:
        live = self.get(bucket, name, Preconditions())
        conditions.check(live)
        kept = {key: value for key, value in {**live.fields, **fields}.items() if value is not None}
        changed = replace(live, metageneration=live.metageneration + 1, updated_us=_now_us(), fields=kept)
        self._save(changed)
        return changed

    def delete(self, bucket: str, name: str, conditions: Preconditions, generation: int | None = None) -> None:
        self.bucket(bucket)
        live = self.stat(bucket, name)
        if not live or generation not in (None, live.generation):
            raise no_object(bucket, name)
        conditions.check(live)
        path = self._path(bucket, name)
        path.unlink()
        self._db.execute("DELETE FROM object WHERE bucket = ? AND name = ?", (bucket, name))
        # A folder is not an object: it must not stand in the way of an object of that name.
        for folder in path.parents:
            if folder == self.root / bucket or any(folder.iterdir()):
                break
            folder.rmdir()

    def list(self, bucket: str, prefix: str, delimiter: str, after: str, start: str, end: str, limit: int) -> Listing:
        """One page in the order of UTF-8. `after` is exclusive (where the last page ended), `start` inclusive, `end` exclusive."""
        self.bucket(bucket)
        page = Listing([], [], None)
        last = ""
        for name in sorted(self._names(bucket, prefix), key=str.encode):
            if (start and name < start) or (end and name >= end) or name <= after:
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            entry = name[: cut + len(delimiter)] if cut >= 0 else name
            if entry == last or (cut >= 0 and after and entry <= after):
                continue
            if len(page.objects) + len(page.prefixes) == limit:
                page.next_after = last
                break
            last = entry
            if cut >= 0:
                page.prefixes.append(entry)
            elif found := self.stat(bucket, name):
                page.objects.append(found)
        return page

    def _names(self, bucket: str, prefix: str) -> Iterator[str]:
        top = self.root / bucket
        # Only the folder that the prefix names is walked; the bucket may be large.
        for folder, _, files in os.walk(top / prefix.rpartition("/")[0]):
            for file in files:
                name = (Path(folder) / file).relative_to(top).as_posix()
                if name.startswith(prefix):
                    yield name

    def _path(self, bucket: str, name: str) -> Path:
        segments = name.split("/")
        if any(segment in ("", ".", "..") or len(segment.encode()) > 255 or "\0" in segment for segment in segments):
            raise ApiError(400, f"this loopback bucket cannot hold an object named '{name}'")
        return self.root / bucket / name

    def _record(self, bucket: str, name: str, digest: Digest, fields: dict[str, Any], *, composite: bool) -> Object:
        now_us = _now_us()
        made = Object(
            bucket, name, self._next_generation(), 1, digest.size, digest.crc32c, None if composite else digest.md5,
            now_us, now_us, fields, self._path(bucket, name).stat().st_mtime_ns)  # fmt: skip
        self._save(made)
        return made

    def _save(self, changed: Object) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (changed.bucket, changed.name, changed.generation, changed.metageneration, changed.size, changed.crc32c,
             changed.md5, changed.created_us, changed.updated_us, json.dumps(changed.fields), changed.mtime_ns))  # fmt: skip

    def _next_generation(self) -> int:
        # Microseconds, as in the real service, but never backwards, whatever the clock does and however often we start.
        row = self._db.execute("SELECT max(last_generation) FROM counter").fetchone()
        generation = max((row[0] or 0) + 1, _now_us())
        self._db.execute("DELETE FROM counter")
        self._db.execute("INSERT INTO counter VALUES (?)", (generation,))
        return generation


def bucket_location(root: Path, name: str) -> str | None:
    """The location of a bucket, for the warehouse, which asks from another process."""
    db = sqlite3.connect(_database(root))
    try:
        row = db.execute("SELECT location FROM bucket WHERE name = ?", (name,)).fetchone()
    finally:
        db.close()
    return row[0] if row else None


def _database(root: Path) -> Path:
    return root / ".meta" / "objects.sqlite"


@dataclass
class Listing:
    objects: list[Object]
    prefixes: list[str]
    next_after: str | None


def digest_of(path: Path) -> Digest:
    digest = Digest()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest


def _now_us() -> int:
    return time.time_ns() // 1000
