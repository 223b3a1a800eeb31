"""Schemas: out of Parquet files as BigQuery reads them, and whether one may follow another."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from .errors import ApiError

Field = dict[str, Any]
# The names that BigQuery gives back, whatever synonym it was sent.
_CANONICAL = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD", "DECIMAL": "NUMERIC",
              "BIGDECIMAL": "BIGNUMERIC"}  # fmt: skip
# NUMERIC holds 29 digits before the point and 9 after it, BIGNUMERIC 38 and 38.
_NUMERIC, _BIGNUMERIC = (29, 9), (38, 38)
_KNOWN = {"STRING", "BYTES", "INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC", "BOOLEAN", "TIMESTAMP", "DATE", "TIME", "DATETIME",
          "RECORD", "JSON", "GEOGRAPHY", "INTERVAL", "RANGE"}  # fmt: skip


class JobFailed(Exception):
    """Why a job ended without effect: what stands in its `errorResult`."""

    def __init__(self, reason: str, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.result = {"reason": reason, "message": message} | ({"location": location} if location else {})


def canonical(fields: list[Field]) -> list[Field]:
    """The fields as BigQuery shows them after it took them."""
    names = [str(field.get("name", "")).lower() for field in fields]
    if len(set(names)) != len(names):
        raise ApiError(400, "Duplicate field names are not allowed in a schema.")
    return [_canonical(field) for field in fields]


def _canonical(field: Field) -> Field:
    kind = str(field.get("type", "")).upper()
    kind = _CANONICAL.get(kind, kind)
    if not field.get("name") or kind not in _KNOWN:
        raise ApiError(400, f"Invalid value for field {field.get('name')}: type '{field.get('type')}'")
    made = {**field, "type": kind, "mode": str(field.get("mode") or "NULLABLE").upper()}
    if kind == "RECORD":
        if not field.get("fields"):
            raise ApiError(400, f"Field {field['name']} is type RECORD but has no schema")
        if (field.get("policyTags") or {}).get("names"):
            raise ApiError(400, f"Policy tags cannot be set on the RECORD field {field['name']}")
        made["fields"] = canonical(field["fields"])
    if not (made.get("policyTags") or {}).get("names"):
        made.pop("policyTags", None)
    return made


def of_parquet(schema: pa.Schema, options: dict[str, Any]) -> list[Field]:
    """The BigQuery schema of a Parquet file, under the options of a load job."""
    return [_of_arrow(field, options) for field in schema]


def _of_arrow(field: pa.Field, options: dict[str, Any]) -> Field:
    kind = field.type
    mode = "NULLABLE" if field.nullable else "REQUIRED"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inference = (options.get("parquetOptions") or {}).get("enableListInference")
        element = _of_arrow(kind.value_field, options)
        if element["mode"] == "REPEATED":
            raise JobFailed("invalid", f"Field {field.name}: BigQuery has no array of arrays.")
        if inference:
            return {**element, "name": field.name, "mode": "REPEATED"}
        # Without the inference BigQuery shows the three levels that Parquet has: field.list.element.
        inner = {"name": "list", "type": "RECORD", "mode": "REPEATED", "fields": [{**element, "name": "element"}]}
        return {"name": field.name, "type": "RECORD", "mode": mode, "fields": [inner]}
    made: Field = {"name": field.name, "type": _scalar(field, options), "mode": mode}
    if made["type"] == "RECORD":
        made["fields"] = [_of_arrow(kind.field(index), options) for index in range(kind.num_fields)]
    return made


def _scalar(field: pa.Field, options: dict[str, Any]) -> str:
    kind = field.type
    types = pa.types
    if types.is_struct(kind):
        return "RECORD"
    if types.is_decimal(kind):
        return _decimal(field.name, kind, options.get("decimalTargetTypes") or ["NUMERIC"])
    if types.is_timestamp(kind):
        if kind.unit == "ns":
            raise JobFailed("invalid", f"Field {field.name}: timestamps of nanoseconds cannot be loaded from Parquet.")
        return "TIMESTAMP" if kind.tz else "DATETIME"
    for is_type, name in (
        (types.is_boolean, "BOOLEAN"), (types.is_integer, "INTEGER"), (types.is_floating, "FLOAT"),
        (types.is_string, "STRING"), (types.is_large_string, "STRING"), (types.is_binary, "BYTES"),
        (types.is_large_binary, "BYTES"), (types.is_fixed_size_binary, "BYTES"), (types.is_date, "DATE"),
        (types.is_time, "TIME")):  # fmt: skip
        if is_type(kind):
            return name
    if types.is_dictionary(kind):
        return _scalar(pa.field(field.name, kind.value_type), options)
    raise JobFailed("invalid", f"Field {field.name}: the Parquet type {kind} cannot be loaded.")


def _decimal(name: str, kind: pa.DataType, targets: list[str]) -> str:
    """The first of NUMERIC, BIGNUMERIC and STRING that is allowed and holds every value."""
    whole = kind.precision - kind.scale
    for target, (digits, scale) in (("NUMERIC", _NUMERIC), ("BIGNUMERIC", _BIGNUMERIC)):
        if target in targets and whole <= digits and kind.scale <= scale:
            return target
    if "STRING" in targets:
        return "STRING"
    raise JobFailed("invalid", f"Field {name}: DECIMAL({kind.precision}, {kind.scale}) fits none of {', '.join(targets)}.")


def follow(table: str, old: list[Field], new: list[Field], options: list[str]) -> list[Field]:
    """The schema of a table after a load of `new` into it, when the job's options allow the change."""
    before = f"Provided Schema does not match Table {table}."
    return _follow(before, "", old, new, set(options))


def _follow(before: str, path: str, old: list[Field], new: list[Field], options: set[str]) -> list[Field]:
    arriving = {field["name"].lower(): field for field in new}
    result = []
    for field in old:
        name = f"{path}{field['name']}"
        other = arriving.pop(field["name"].lower(), None)
        if other is None:
            if field["mode"] == "REQUIRED":
                raise JobFailed("invalid", f"{before} Field {name} is missing in new schema")
            result.append(field)
            continue
        if field["type"] != other["type"]:
            raise JobFailed("invalid", f"{before} Field {name} has changed type from {field['type']} to {other['type']}")
        relaxes = (field["mode"], other["mode"]) == ("REQUIRED", "NULLABLE") and "ALLOW_FIELD_RELAXATION" in options
        if field["mode"] != other["mode"] and not relaxes:
            raise JobFailed("invalid", f"{before} Field {name} has changed mode from {field['mode']} to {other['mode']}")
        kept = {**field, "mode": other["mode"]}
        if field["type"] == "RECORD":
            kept["fields"] = _follow(before, f"{name}.", field["fields"], other["fields"], options)
        result.append(kept)
    for field in arriving.values():
        if "ALLOW_FIELD_ADDITION" not in options or field["mode"] == "REQUIRED":
            raise JobFailed("invalid", f"{before} Cannot add fields (field: {path}{field['name']})")
        result.append(field)
    return result


def evolve(table: str, old: list[Field], new: list[Field], path: str = "") -> None:
    """Refuses a schema of `tables.patch` or `tables.update` that does more than add nullable fields and relax REQUIRED."""
    before = f"Provided Schema does not match Table {table}."
    named = {field["name"].lower(): field for field in new}
    for field in old:
        name = f"{path}{field['name']}"
        other = named.pop(field["name"].lower(), None)
        if other is None:
            raise ApiError(400, f"{before} Field {name} is missing in new schema")
        if field["type"] != other["type"]:
            raise ApiError(400, f"{before} Field {name} has changed type from {field['type']} to {other['type']}")
        if field["mode"] != other["mode"] and (field["mode"], other["mode"]) != ("REQUIRED", "NULLABLE"):
            raise ApiError(400, f"{before} Field {name} has changed mode from {field['mode']} to {other['mode']}")
        if field["type"] == "RECORD":
            evolve(table, field["fields"], other["fields"], f"{name}.")
    for field in named.values():
        if field["mode"] == "REQUIRED":
            raise ApiError(400, f"{before} Cannot add required fields to an existing schema. (field: {path}{field['name']})")


def required_paths(fields: list[Field]) -> list[str]:
    """The REQUIRED fields at the top; within records BigQuery asks it of every record that is there, which is not checked."""
    return [field["name"] for field in fields if field["mode"] == "REQUIRED"]
