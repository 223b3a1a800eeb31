"""Tables as the REST API shows them.

The emulator keeps name, schema, description, labels, partitioning and clustering of a table and drops the rest. What a client set
besides that is kept here, beside the emulator's catalogue, and laid over its answer. Views become views of the engine
(the emulator makes an empty table of one), and a new column of a patch reaches the engine.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

from .errors import ApiError
from .partitions import TableRef, partition_filter, quoted
from .schemas import Field, canonical, evolve

# Set by clients and unknown to the emulator.
_KEPT = ("tableConstraints", "encryptionConfiguration", "expirationTime", "view", "rangePartitioning", "requirePartitionFilter",
         "defaultCollation", "defaultRoundingMode", "maxStaleness", "resourceTags", "materializedView")  # fmt: skip
_SETTABLE = (*_KEPT, "friendlyName", "description", "labels", "schema", "timePartitioning", "clustering")
_LABEL = re.compile(r"[\w-]{0,63}")
# Every value of a field is counted with its logical size, as `totalBytesProcessed` and `numBytes` do.
_FIXED_BYTES = {"INTEGER": 8, "FLOAT": 8, "BOOLEAN": 1, "DATE": 8, "TIME": 8, "DATETIME": 8, "TIMESTAMP": 8, "NUMERIC": 16,
                "BIGNUMERIC": 32, "INTERVAL": 16}  # fmt: skip


class Tables:
    def __init__(self, database: Path) -> None:
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE IF NOT EXISTS kept (id TEXT PRIMARY KEY, created TEXT, body TEXT)")
        # The emulator's context; there is one once it has started.
        self.context: Any = None

    # Reading

    def dataset(self, ref: TableRef) -> Any:
        found = self.context.catalog.get_dataset(ref.project, ref.dataset)
        if found is None:
            raise ApiError(404, f"Not found: Dataset {ref.project}:{ref.dataset}")
        return found

    def find(self, ref: TableRef) -> dict[str, Any] | None:
        """The whole resource, without counts."""
        from bqemulator.api.routes.tables import _table_to_rest

        meta = self.context.catalog.get_table(ref.project, ref.dataset, ref.table)
        if meta is None:
            return None
        resource = _table_to_rest(meta)
        kept = self._kept(ref, resource["creationTime"])
        if "schema" in resource or kept.get("schema"):
            fields = canonical((resource.get("schema") or {}).get("fields", []))
            resource["schema"] = {"fields": _overlay(fields, (kept.get("schema") or {}).get("fields", []))}
        resource |= {name: kept[name] for name in _KEPT if name in kept}
        if resource.get("requirePartitionFilter") and "timePartitioning" in resource:
            resource["timePartitioning"]["requirePartitionFilter"] = True
        resource["location"] = self.dataset(ref).location
        if meta.view_query and "view" not in resource:
            resource["view"] = {"query": meta.view_query, "useLegacySql": False}
        return resource

    def get(self, ref: TableRef) -> dict[str, Any]:
        self.dataset(ref)
        found = self.find(ref)
        if found is None:
            raise ApiError(404, f"Not found: Table {ref.project}:{ref.dataset}.{ref.table}")
        return found

    def counted(self, ref: TableRef) -> dict[str, Any]:
        """The resource with the rows and bytes of the table, or of the one partition."""
        resource = self.get(ref)
        if resource["type"] == "VIEW":
            return {name: value for name, value in resource.items() if not name.startswith("num")}
        where = partition_filter(resource, ref)
        size = bytes_of(fields_of(resource))
        rows, size_bytes = self.execute(f"SELECT count(*), coalesce(sum({size}), 0) FROM {engine_name(ref)} WHERE {where}")[0]
        if ref.partition:
            resource["id"] = str(ref)
            resource["tableReference"] = {**resource["tableReference"], "tableId": f"{ref.table}${ref.partition}"}
        for name in ("numBytes", "numTotalLogicalBytes", "numActiveLogicalBytes"):
            resource[name] = str(int(size_bytes))
        return resource | {"numRows": str(rows)}

    def execute(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return self.context.engine.execute(sql, parameters).fetchall()

    # Writing

    async def insert(self, project: str, dataset: str, body: dict[str, Any]) -> dict[str, Any]:
        ref = TableRef.parse({"projectId": project, "datasetId": dataset} | body.get("tableReference", {}), project)
        if not re.fullmatch(r"[\w-]{1,1024}", ref.table) or ref.partition:
            raise ApiError(400, f"Invalid table ID \"{ref.table}\".")
        self.dataset(ref)
        if self.find(ref):
            raise ApiError(409, f"Already Exists: Table {ref}", reason="duplicate")
        resource = self._checked(ref, {name: body[name] for name in _SETTABLE if body.get(name) is not None})
        if "view" in resource:
            await self._create_view(ref, resource["view"])
        else:
            self.create(ref, resource)
        return self._write(ref, resource)

    def create(self, ref: TableRef, resource: dict[str, Any]) -> None:
        """The table in the engine and in the emulator's catalogue."""
        fields = fields_of(resource)
        # DuckDB has no table without a column; this is the name that the emulator itself gives to the one of an empty schema.
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in engine_columns(fields)) or "__placeholder INTEGER"
        self.execute(f"CREATE TABLE {engine_name(ref)} ({columns})")
        self.context.catalog.create_table(self._meta(ref, resource, None))

    async def change(self, ref: TableRef, body: dict[str, Any], *, whole: bool, if_match: str | None) -> dict[str, Any]:
        """`tables.patch`, or with `whole`, `tables.update`, where everything that is not said anew goes."""
        old = self.get(ref)
        if if_match and if_match != "*" and if_match != old["etag"]:
            raise ApiError(412, "Precondition Failed: the table changed since its etag was read.")
        given = {name: body[name] for name in _SETTABLE if name in body}
        settled = {name: old[name] for name in _SETTABLE if name in old}
        new = {name: value for name, value in given.items() if value is not None} if whole else _merge(settled, given)
        for fixed in ("timePartitioning", "rangePartitioning", "schema", "view"):
            new.setdefault(fixed, settled[fixed]) if fixed in settled else None
        for name in ("timePartitioning", "rangePartitioning"):
            was, now = settled.get(name) or {}, new.get(name) or {}
            if (was.get("field"), was.get("type", "DAY")) != (now.get("field"), now.get("type", "DAY")):
                raise ApiError(400, f"Cannot change partitioning spec for a table: {ref}")
        new = self._checked(ref, new)
        if old["type"] == "VIEW":
            if new["view"] != settled["view"]:
                await self._create_view(ref, new["view"])
        else:
            evolve(str(ref), fields_of(old), fields_of(new))
            self.alter(ref, fields_of(old), fields_of(new))
        return self._write(ref, new)

    def alter(self, ref: TableRef, old: list[Field], new: list[Field]) -> None:
        """Columns of the engine: new ones, and records that have new fields within."""
        columns = dict(engine_columns(old))
        for name, kind in engine_columns(new):
            if name not in columns:
                self.execute(f"ALTER TABLE {engine_name(ref)} ADD COLUMN {quoted(name)} {kind}")
            elif columns[name] != kind:
                self.execute(f"ALTER TABLE {engine_name(ref)} ALTER COLUMN {quoted(name)} TYPE {kind}")

    def delete(self, ref: TableRef) -> None:
        kind = "VIEW" if self.get(ref)["type"] == "VIEW" else "TABLE"
        self.execute(f"DROP {kind} IF EXISTS {engine_name(ref)}")
        self.context.catalog.delete_table(ref.project, ref.dataset, ref.table)
        self.context.snapshots.drop_snapshots_for_table(ref.project, ref.dataset, ref.table, include_user=False)
        self._db.execute("DELETE FROM kept WHERE id = ?", (str(ref),))

    def drop_partition(self, ref: TableRef) -> None:
        self.execute(f"DELETE FROM {engine_name(ref)} WHERE {partition_filter(self.get(ref), ref)}")

    def replace(self, ref: TableRef, resource: dict[str, Any]) -> None:
        """What a job made of the resource: schema, constraints and so on."""
        self._write(ref, {name: resource[name] for name in _SETTABLE if resource.get(name) is not None})

    def touched(self, ref: TableRef) -> None:
        """After a job changed the rows: the count in the catalogue, and the emulator's snapshot for time travel."""
        rows = self.execute(f"SELECT count(*) FROM {engine_name(ref)}")[0][0]
        meta = self.context.catalog.get_table(ref.project, ref.dataset, ref.table)
        self.context.catalog.update_table(meta.model_copy(update={"num_rows": rows, "last_modified_time": self.context.clock.now()}))
        self.context.snapshots.record_change(ref.project, ref.dataset, ref.table)

    def _checked(self, ref: TableRef, resource: dict[str, Any]) -> dict[str, Any]:
        if "schema" in resource:
            resource["schema"] = {"fields": canonical(resource["schema"].get("fields", []))}
        names = {field["name"] for field in fields_of(resource)}
        for key, value in (resource.get("labels") or {}).items():
            if not key or not all(_LABEL.fullmatch(text) and text == text.lower() for text in (key, value)):
                raise ApiError(400, f"Label \"{key}:{value}\" has invalid characters or more than 63 of them.")
        partitioning = (resource.get("timePartitioning") or resource.get("rangePartitioning") or {}).get("field")
        clustering = (resource.get("clustering") or {}).get("fields", [])
        constraints = resource.get("tableConstraints") or {}
        keys = (constraints.get("primaryKey") or {}).get("columns", [])
        for key in constraints.get("foreignKeys") or []:
            keys = keys + [column["referencingColumn"] for column in key["columnReferences"]]
            self.get(TableRef.parse(key["referencedTable"], ref.project))
        if len(clustering) > 4:
            raise ApiError(400, "Too many clustering columns: at most 4 are allowed.")
        for name in [*([partitioning] if partitioning else []), *clustering, *keys]:
            if name not in names and "view" not in resource:
                raise ApiError(400, f"The field {name} of partitioning, clustering or constraints is not in the schema of {ref}.")
        # The table's own field is the newer of the two: a patch of it leaves the older as it was, which means nothing then.
        if (resource.get("timePartitioning") or {}).pop("requirePartitionFilter", False):
            resource.setdefault("requirePartitionFilter", True)
        return resource

    def _write(self, ref: TableRef, resource: dict[str, Any]) -> dict[str, Any]:
        existing = self.context.catalog.get_table(ref.project, ref.dataset, ref.table)
        if existing.table_type == "VIEW":
            # The schema of a view is what its query gives; a client can only describe the fields.
            columns = [field.model_dump(by_alias=True, exclude_none=True) for field in existing.schema_.fields]
            said = {field["name"]: field for field in fields_of(resource)}
            fields = [said.get(column["name"], {"name": column["name"], "type": column["type"]}) for column in columns]
            resource = {**resource, "schema": {"fields": canonical(fields)}} if fields else resource
        meta = self.context.catalog.update_table(self._meta(ref, resource, existing))
        created = str(int(meta.creation_time.timestamp() * 1000))
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (str(ref), created, json.dumps(resource)))
        return self.counted(ref)

    def _meta(self, ref: TableRef, resource: dict[str, Any], existing: Any) -> Any:
        from bqemulator.api.routes.tables import _rest_to_table_meta

        body = {"description": None, "friendlyName": None, "labels": {}, **resource, "tableReference": {"tableId": ref.table}}
        if "timePartitioning" in resource:
            body["timePartitioning"] = {"requirePartitionFilter": False, **resource["timePartitioning"]}
        made = _rest_to_table_meta(ref.project, ref.dataset, body, self.context.clock, existing)
        return made if "clustering" in resource else made.model_copy(update={"clustering": None})

    async def _create_view(self, ref: TableRef, view: dict[str, Any]) -> None:
        from bqemulator.jobs.executor import execute_query_job

        name = f"`{ref.project}`.`{ref.dataset}`.`{ref.table}`"
        await execute_query_job(
            ref.project, f"view_{ref.table}", f"CREATE OR REPLACE VIEW {name} AS {view['query']}", None, self.context)  # fmt: skip

    def _kept(self, ref: TableRef, created: str) -> dict[str, Any]:
        key = f"{ref.project}:{ref.dataset}.{ref.table}"
        row = self._db.execute("SELECT created, body FROM kept WHERE id = ?", (key,)).fetchone()
        # A table that a statement dropped and made again is another table.
        return json.loads(row[1]) if row and row[0] == created else {}


def fields_of(resource: dict[str, Any]) -> list[Field]:
    return (resource.get("schema") or {}).get("fields", [])


def engine_name(ref: TableRef) -> str:
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    return quoted_table_ref(ref.project, ref.dataset, ref.table)


def engine_columns(fields: list[Field]) -> list[tuple[str, str]]:
    from bqemulator.storage.type_map import bq_schema_to_duckdb_columns

    return bq_schema_to_duckdb_columns(fields)


def bytes_of(fields: list[Field]) -> str:
    """SQL for the logical size of a row: of a string its UTF-8 and 2 bytes, of a null nothing."""
    return " + ".join(_bytes(field, quoted(field["name"])) for field in fields) or "0"


def _bytes(field: Field, name: str) -> str:
    if field["mode"] == "REPEATED":
        inner = _bytes({**field, "mode": "NULLABLE"}, "x")
        return f"coalesce(list_sum(list_transform({name}, lambda x: {inner})), 0)"
    if field["type"] == "RECORD":
        return " + ".join(_bytes(inner, f"{name}.{quoted(inner['name'])}") for inner in field["fields"])
    if field["type"] in _FIXED_BYTES:
        return f"CASE WHEN {name} IS NULL THEN 0 ELSE {_FIXED_BYTES[field['type']]} END"
    size = f"octet_length({name})" if field["type"] == "BYTES" else f"strlen({name}::VARCHAR)"
    return f"coalesce(2 + {size}, 0)"


def _overlay(fields: list[Field], kept: list[Field]) -> list[Field]:
    """The emulator's fields, with what it does not keep of those (policy tags, lengths, defaults)."""
    known = {field["name"]: field for field in kept}
    result = []
    for field in fields:
        other = known.get(field["name"], {})
        made = {**other, **field}
        if "fields" in field:
            made["fields"] = _overlay(field["fields"], other.get("fields", []))
        result.append(made)
    return result


def _merge(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A patch: objects are merged, lists replaced, and a null takes a field away."""
    merged = dict(old)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = _merge(merged[name], value)
        else:
            merged[name] = value
    return merged
