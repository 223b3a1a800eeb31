"""Partition decorators: `table$20261120` names one partition of a table, which the emulator does not know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .errors import ApiError

_FORMATS = {"HOUR": ("%Y%m%d%H", 10), "DAY": ("%Y%m%d", 8), "MONTH": ("%Y%m", 6), "YEAR": ("%Y", 4)}
NULL_PARTITION = "__NULL__"


@dataclass(frozen=True)
class TableRef:
    """A table, or one partition of it."""

    project: str
    dataset: str
    table: str
    partition: str | None = None

    @classmethod
    def parse(cls, resource: dict[str, Any], project: str) -> TableRef:
        table, _, partition = str(resource.get("tableId", "")).partition("$")
        dataset = str(resource.get("datasetId", ""))
        if not table or not dataset:
            raise ApiError(400, "Required parameter is missing: a table reference needs datasetId and tableId", "required")
        return cls(str(resource.get("projectId") or project), dataset, table, partition or None)

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}" + (f"${self.partition}" if self.partition else "")


def partition_expression(table: dict[str, Any]) -> str | None:
    """SQL (of DuckDB) that gives a row's partition id; None for a table without partitions."""
    time, ranges = table.get("timePartitioning"), table.get("rangePartitioning")
    if time:
        if not time.get("field"):
            # BigQuery keeps the time of ingestion in `_PARTITIONTIME`; nothing here keeps it.
            raise ApiError(501, "this loopback warehouse has no partitions by time of ingestion")
        return f"coalesce(strftime({quoted(time['field'])}, '{_FORMATS[time.get('type', 'DAY')][0]}'), '{NULL_PARTITION}')"
    if ranges:
        field, span = quoted(ranges["field"]), ranges["range"]
        start, end, width = int(span["start"]), int(span["end"]), int(span["interval"])
        bucket = f"({start} + ({field} - {start}) // {width} * {width})::VARCHAR"
        outside = f"{field} < {start} OR {field} >= {end}"
        return f"CASE WHEN {field} IS NULL THEN '{NULL_PARTITION}' WHEN {outside} THEN '__UNPARTITIONED__' ELSE {bucket} END"
    return None


def partition_filter(table: dict[str, Any], ref: TableRef) -> str:
    """SQL that keeps the rows of the partition that `ref` names; of all rows, when it names none."""
    if ref.partition is None:
        return "TRUE"
    expression = partition_expression(table)
    if expression is None:
        raise ApiError(400, f"Cannot use a partition decorator on {ref}: the table is not partitioned.")
    time = table.get("timePartitioning")
    if time and ref.partition != NULL_PARTITION:
        width = _FORMATS[time.get("type", "DAY")][1]
        if not re.fullmatch(rf"\d{{{width}}}", ref.partition):
            raise ApiError(400, f"Invalid time partitioning decorator ${ref.partition} for a table partitioned by {time['type']}.")
    return f"{expression} = '{ref.partition}'" if re.fullmatch(r"-?\w+", ref.partition) else "FALSE"


def specification(table: dict[str, Any]) -> str:
    """The partitioning in the words of BigQuery's messages."""
    time, ranges = table.get("timePartitioning"), table.get("rangePartitioning")
    if time:
        field = f",field:{time['field']}" if time.get("field") else ""
        return f"interval(type:{time.get('type', 'DAY').lower()}{field})"
    return f"range(field:{ranges['field']})" if ranges else "none"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
