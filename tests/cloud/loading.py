"""Load and copy jobs, with the effects that BigQuery documents: all or nothing, one partition by its decorator, columns by name.

The emulator knows no decorators, takes Parquet columns by position and `name=value` folders for columns, and deletes before it
loads. Here the rows go into a table of their own first; only what passed every check is moved, in one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet

from .errors import ApiError
from .partitions import TableRef, partition_expression, partition_filter, quoted, specification
from .schemas import Field, JobFailed, canonical, follow, of_parquet, required_paths
from .tables import Tables, bytes_of, engine_columns, engine_name, fields_of

_INCOMING = "cloud_incoming"


class Loader:
    def __init__(self, tables: Tables, root: Path, bucket_location: Callable[[str], str | None]) -> None:
        self._tables = tables
        self._root = root
        self._bucket_location = bucket_location

    def load(self, project: str, config: dict[str, Any]) -> dict[str, Any]:
        """Runs a load job and gives its statistics."""
        ref = TableRef.parse(config["destinationTable"], project)
        files = self._files(ref, config.get("sourceUris", []))
        table = self._tables.find(ref)
        if table and table["type"] == "VIEW":
            raise JobFailed("invalid", f"{ref} is not allowed for this operation because it is currently a VIEW.")
        derived = _schema_of_files(files, config)
        given = canonical((config.get("schema") or {}).get("fields", []))
        if given:
            # The file must fit the schema that the job states; the job's schema then stands for the file's.
            follow(str(ref), [{**field, "mode": _lenient(field)} for field in given],
                   [{**field, "mode": _lenient(field)} for field in derived], [])  # fmt: skip
        arriving = given or derived
        wanted = self._destination(ref, table, arriving, config)
        self._read(files, derived, fields_of(wanted))
        try:
            self._check_rows(ref, wanted)
            rows, size = self._size(wanted)
            self._move(ref, table, wanted, config.get("writeDisposition", "WRITE_APPEND"))
        finally:
            self._tables.execute(f"DROP TABLE IF EXISTS {_INCOMING}")
        read = sum(path.stat().st_size for path in files)
        return {"load": {"inputFiles": str(len(files)), "inputFileBytes": str(read), "outputRows": str(rows),
                         "outputBytes": str(size), "badRecords": "0"}}  # fmt: skip

    def copy(self, project: str, config: dict[str, Any]) -> dict[str, Any]:
        """Runs a copy job and gives its statistics."""
        ref = TableRef.parse(config["destinationTable"], project)
        sources = [TableRef.parse(each, project) for each in config.get("sourceTables") or [config["sourceTable"]]]
        table = self._tables.find(ref)
        found = [self._source(source) for source in sources]
        disposition = config.get("writeDisposition", "WRITE_EMPTY")
        if table:
            for source in found:
                self._same_layout(ref, table, source, replace=disposition == "WRITE_TRUNCATE" and not ref.partition)
        wanted = self._copied(ref, table, found[0], config, disposition)
        columns = ", ".join(quoted(field["name"]) for field in fields_of(wanted))
        selects = [f"SELECT {columns} FROM {engine_name(source)} WHERE {partition_filter(resource, source)}"
                   for source, resource in zip(sources, found, strict=True)]  # fmt: skip
        self._tables.execute(f"CREATE OR REPLACE TEMP TABLE {_INCOMING} AS {' UNION ALL '.join(selects)}")
        try:
            self._check_rows(ref, wanted)
            rows, size = self._size(wanted)
            self._move(ref, table, wanted, disposition)
        finally:
            self._tables.execute(f"DROP TABLE IF EXISTS {_INCOMING}")
        return {"copy": {"copiedRows": str(rows), "copiedLogicalBytes": str(size)}}

    # Sources

    def _files(self, ref: TableRef, uris: list[str]) -> list[Path]:
        if not uris:
            raise JobFailed("invalid", "Required parameter is missing: sourceUris")
        location = self._tables.dataset(ref).location
        files: list[Path] = []
        for uri in uris:
            match = re.fullmatch(r"gs://([^/]+)/(.+)", uri)
            if not match:
                raise JobFailed("invalid", f"Source URI must be a Google Cloud Storage location: {uri}")
            bucket, name = match.groups()
            other = self._bucket_location(bucket)
            if other is None:
                raise JobFailed("notFound", f"Not found: Bucket {bucket}", uri)
            if not _reachable(other, location):
                raise JobFailed(
                    "invalid", f"Cannot read and write in different locations: source: {other}, destination: {location}", uri)  # fmt: skip
            if name.count("*") > 1:
                raise JobFailed("invalid", f"At most one wildcard is allowed in a URI: {uri}", uri)
            matching = sorted(path for path in self._matching(bucket, name) if path.is_file())
            if not matching:
                raise JobFailed("notFound", f"Not found: URI {uri}", uri)
            files += matching
        return files

    def _matching(self, bucket: str, name: str) -> Iterator[Path]:
        top = self._root / bucket
        if "*" not in name:
            yield top / name
            return
        # BigQuery's asterisk goes over slashes, a glob's does not.
        before, _, after = name.partition("*")
        for path in top.rglob("*"):
            other = path.relative_to(top).as_posix()
            if other.startswith(before) and other.endswith(after) and len(other) >= len(before) + len(after):
                yield path

    def _source(self, source: TableRef) -> dict[str, Any]:
        found = self._tables.find(source)
        if not found:
            raise JobFailed("notFound", f"Not found: Table {source}")
        if found["type"] == "VIEW":
            raise JobFailed("invalid", f"Using table {source} is not allowed for this operation because of its type: VIEW.")
        partition_filter(found, source)
        return found

    def _read(self, files: list[Path], derived: list[Field], wanted: list[Field]) -> None:
        """The files into the temporary table, in the columns and types of the destination."""
        there = {field["name"].lower(): field["name"] for field in derived}
        columns = []
        for field, (name, kind) in zip(wanted, engine_columns(wanted), strict=True):
            source = there.get(field["name"].lower())
            value = f"NULL::{kind}" if source is None else f"{quoted(source)}::{kind}"
            if field["mode"] == "REPEATED":
                # BigQuery knows no null array: it becomes an empty one.
                value = f"coalesce({value}, [])"
            columns.append(f"{value} AS {quoted(name)}")
        sql = f"CREATE OR REPLACE TEMP TABLE {_INCOMING} AS SELECT {', '.join(columns)} FROM read_parquet(?, hive_partitioning = false)"
        try:
            self._tables.execute(sql, [[str(path) for path in files]])
        except duckdb.Error as error:
            raise JobFailed("invalid", f"Error while reading data, error message: {error}") from error

    # Destinations

    def _destination(
        self, ref: TableRef, table: dict[str, Any] | None, arriving: list[Field], config: dict[str, Any]
    ) -> dict[str, Any]:
        """The resource of the table after the job."""
        disposition = config.get("writeDisposition", "WRITE_APPEND")
        if table is None:
            if config.get("createDisposition", "CREATE_IF_NEEDED") == "CREATE_NEVER":
                raise JobFailed("notFound", f"Not found: Table {ref}")
            properties = config.get("destinationTableProperties") or {}
            made = {"schema": {"fields": arriving}, "encryptionConfiguration": config.get("destinationEncryptionConfiguration")}
            layout = {name: config.get(name) for name in ("timePartitioning", "rangePartitioning", "clustering")}
            return {name: value for name, value in (properties | made | layout).items() if value is not None}
        stated = {name: config[name] for name in ("timePartitioning", "rangePartitioning") if config.get(name)}
        if stated and specification(stated) != specification(table):
            raise JobFailed("invalid", "Incompatible table partitioning specification. Destination table exists with partitioning "
                                       f"specification {specification(table)}, but transfer target partitioning specification is "
                                       f"{specification(stated)}. Please retry after updating either the destination table or the "
                                       "transfer partitioning specification.")  # fmt: skip
        if disposition == "WRITE_TRUNCATE" and not ref.partition:
            # The schema is that of the job: what the job does not say (descriptions, policy tags) is lost, and the constraints go.
            return {**table, "schema": {"fields": arriving}, "tableConstraints": None}
        options = [] if disposition == "WRITE_TRUNCATE_DATA" else config.get("schemaUpdateOptions", [])
        return {**table, "schema": {"fields": follow(str(ref), fields_of(table), arriving, options)}}

    def _copied(
        self, ref: TableRef, table: dict[str, Any] | None, source: dict[str, Any], config: dict[str, Any], disposition: str
    ) -> dict[str, Any]:
        if table is None and config.get("createDisposition", "CREATE_IF_NEEDED") == "CREATE_NEVER":
            raise JobFailed("notFound", f"Not found: Table {ref}")
        if table and (ref.partition or disposition != "WRITE_TRUNCATE"):
            return table
        taken = ("schema", "timePartitioning", "rangePartitioning", "requirePartitionFilter", "clustering", "tableConstraints")
        copied = {name: source.get(name) for name in taken}
        # A new table also takes the words and labels; an old one keeps its own.
        said = {name: source.get(name) for name in ("description", "labels", "friendlyName")}
        result = {**said, **copied} if table is None else {**table, **copied}
        return {name: value for name, value in result.items() if value is not None}

    def _same_layout(self, ref: TableRef, table: dict[str, Any], source: dict[str, Any], *, replace: bool) -> None:
        if specification(source) != specification(table):
            raise JobFailed("invalid", "Incompatible table partitioning specification. Expects partitioning specification "
                                       f"{specification(table)}, but input partitioning specification is {specification(source)}")  # fmt: skip
        if not replace:
            follow(str(ref), fields_of(table), fields_of(source), [])

    def _check_rows(self, ref: TableRef, wanted: dict[str, Any]) -> None:
        for name in required_paths(fields_of(wanted)):
            nulls = self._tables.execute(f"SELECT count(*) FROM {_INCOMING} WHERE {quoted(name)} IS NULL")[0][0]
            if nulls:
                raise JobFailed("invalid", f"Error while reading data, error message: Required field {name} cannot be null "
                                           f"({nulls} rows)")  # fmt: skip
        if ref.partition:
            inside = partition_filter(wanted, ref)
            expression = partition_expression(wanted)
            others = self._tables.execute(
                f"SELECT DISTINCT {expression} FROM {_INCOMING} WHERE NOT ({inside}) ORDER BY 1 LIMIT 3")  # fmt: skip
            if others:
                raise JobFailed("invalid", f"Some rows belong to different partitions rather than destination partition {ref}: "
                                           + ", ".join(str(row[0]) for row in others))  # fmt: skip

    def _size(self, wanted: dict[str, Any]) -> tuple[int, int]:
        rows, size = self._tables.execute(f"SELECT count(*), coalesce(sum({bytes_of(fields_of(wanted))}), 0) FROM {_INCOMING}")[0]
        return int(rows), int(size)

    def _move(self, ref: TableRef, table: dict[str, Any] | None, wanted: dict[str, Any], disposition: str) -> None:
        """From the temporary table into the destination: the one step that anybody can see."""
        name = engine_name(ref)
        overwrites = disposition == "WRITE_TRUNCATE" and not ref.partition
        if table and not overwrites:
            # DuckDB cannot add a column and fill it in one transaction. An added column is null everywhere, so nobody is misled
            # should the rest fail, which after all the checks only a fault of the engine could make it do.
            self._tables.alter(ref, fields_of(table), fields_of(wanted))
        with _transaction(self._tables):
            if table is None:
                self._tables.create(ref, wanted)
            elif disposition == "WRITE_EMPTY":
                if self._tables.execute(f"SELECT count(*) FROM {name} WHERE {partition_filter(wanted, ref)}")[0][0]:
                    raise JobFailed("duplicate", f"Already Exists: Table {ref}")
            elif overwrites:
                columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in engine_columns(fields_of(wanted)))
                self._tables.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
            elif disposition != "WRITE_APPEND":
                self._tables.execute(f"DELETE FROM {name} WHERE {partition_filter(wanted, ref)}")
            self._tables.execute(f"INSERT INTO {name} BY NAME SELECT * FROM {_INCOMING}")
        whole = TableRef(ref.project, ref.dataset, ref.table)
        self._tables.replace(whole, wanted)
        self._tables.touched(whole)


@contextmanager
def _transaction(tables: Tables) -> Iterator[None]:
    tables.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        tables.execute("ROLLBACK")
        raise
    tables.execute("COMMIT")


def _schema_of_files(files: list[Path], config: dict[str, Any]) -> list[Field]:
    if config.get("sourceFormat", "CSV") != "PARQUET":
        raise JobFailed("invalid", f"this loopback warehouse loads PARQUET only, not {config.get('sourceFormat', 'CSV')}")
    first: pa.Schema | None = None
    for path in files:
        try:
            schema = pyarrow.parquet.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise JobFailed("invalid", f"Error while reading data, error message: Input file is not in Parquet format: {error}",
                            path.name) from error  # fmt: skip
        first = first or schema
        if not schema.remove_metadata().equals(first.remove_metadata()):
            raise JobFailed("invalid", "Error while reading data, error message: the files of one job must have the same columns in "
                                       f"the same order: {path.name}")  # fmt: skip
    assert first is not None
    return of_parquet(first, config)


def _lenient(field: Field) -> str:
    return "REPEATED" if field["mode"] == "REPEATED" else "NULLABLE"


def _reachable(bucket: str, dataset: str) -> bool:
    """A bucket in the dataset's location, or anywhere when the dataset is in the US multi-region."""
    return bucket.upper() == dataset.upper() or dataset.upper() == "US"


def check_options(config: dict[str, Any], ref: TableRef) -> None:
    """What BigQuery refuses before there is a job."""
    disposition = config.get("writeDisposition", "WRITE_APPEND")
    if disposition not in ("WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND", "WRITE_EMPTY"):
        raise ApiError(400, f"Invalid value for writeDisposition: {disposition}")
    if config.get("schemaUpdateOptions") and disposition != "WRITE_APPEND" and not (disposition == "WRITE_TRUNCATE" and ref.partition):
        raise ApiError(400, "Schema update options should only be specified with WRITE_APPEND disposition, or with WRITE_TRUNCATE "
                            "disposition on a table partition.")  # fmt: skip
