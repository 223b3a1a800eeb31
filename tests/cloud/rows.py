"""Rows as the REST API gives them.

The emulator always gives a TIMESTAMP as whole microseconds. BigQuery does that for those who ask for `useInt64Timestamp`; to everybody
else it gives seconds as a floating-point number in scientific notation, `1.795136523456789E9`. A NUMERIC has no trailing zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from .errors import ApiError
from .partitions import TableRef, partition_filter, quoted
from .schemas import Field
from .tables import Tables, engine_name, fields_of


def of_table(tables: Tables, ref: TableRef, query: Mapping[str, str]) -> dict[str, Any]:
    """`tabledata.list`, of a table or of one partition; a view has no rows of its own."""
    from bqemulator.storage.arrow_bridge import arrow_table_to_bq_rows

    resource = tables.get(ref)
    if resource["type"] == "VIEW":
        raise ApiError(400, f"Cannot list a table of type VIEW: {ref}")
    fields = fields_of(resource)
    if query.get("selectedFields"):
        wanted = set(query["selectedFields"].split(","))
        fields = [field for field in fields if field["name"] in wanted]
    start = int(query.get("pageToken") or query.get("startIndex") or 0)
    limit = min(int(query.get("maxResults") or 10_000), 100_000)
    where = f"FROM {engine_name(ref)} WHERE {partition_filter(resource, ref)}"
    total = tables.execute(f"SELECT count(*) {where}")[0][0]
    columns = ", ".join(quoted(field["name"]) for field in fields) or "1"
    found = tables.context.engine.fetch_arrow(f"SELECT {columns} {where} LIMIT {limit} OFFSET {start}")
    answer = {"kind": "bigquery#tableDataList", "etag": resource["etag"], "totalRows": str(total)}
    answer["rows"] = arrow_table_to_bq_rows(found)
    if start + found.num_rows < total:
        answer["pageToken"] = str(start + found.num_rows)
    return as_asked(answer, fields, query.get("formatOptions.useInt64Timestamp"))


def as_asked(answer: dict[str, Any], fields: list[Field], as_int64: str | bool | None) -> dict[str, Any]:
    """The answer with its values in the text of the service, and its timestamps as the request wants them."""
    texts: dict[str, Callable[[str], str]] = {"NUMERIC": _exact, "BIGNUMERIC": _exact}
    if str(as_int64).lower() != "true":
        texts["TIMESTAMP"] = _seconds
    if any(_concerns(field, texts) for field in fields):
        answer["rows"] = [_record(fields, row, texts) for row in answer.get("rows", [])]
    return answer


def _concerns(field: Field, texts: Mapping[str, Any]) -> bool:
    return field["type"] in texts or any(_concerns(inner, texts) for inner in field.get("fields", []))


def _record(fields: list[Field], row: dict[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    return {"f": [{"v": _cell(field, cell["v"], texts)} for field, cell in zip(fields, row["f"], strict=True)]}


def _cell(field: Field, value: Any, texts: Mapping[str, Any]) -> Any:
    if value is None:
        return None
    if field.get("mode") == "REPEATED":
        return [{"v": _cell({**field, "mode": "NULLABLE"}, item["v"], texts)} for item in value]
    if field["type"] in ("RECORD", "STRUCT"):
        return _record(field["fields"], value, texts)
    return texts[field["type"]](value) if field["type"] in texts else value


def _exact(value: str) -> str:
    return value.rstrip("0").rstrip(".") if "." in value else value


def _seconds(microseconds: str) -> str:
    digits, exponent = f"{Decimal(microseconds).scaleb(-6):E}".split("E")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"
