"""Proves with Google's own client that BigQuery shows what the jobs promise and what the lake holds.

    warehouse_proof.py <project folder> <lake folder> <BigQuery project> <endpoint>

Every table of the lake: its columns, descriptions, labels, partitions, clustering and keys are those of the job's file, and its
rows are those of the Parquet files that the lake's log names, read by delta-rs. Every view of sql/views gives rows, the same that
its SQL gives over the lake in DuckDB. Prints what was compared as one JSON object; the first difference ends it.
"""

import json
import sys
import tomllib
from collections import Counter
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow
import sqlglot
from deltalake import DeltaTable
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

# The names that the REST API gives to the types of the jobs' files.
REST_TYPES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
REJECTED = "ops.rejected_row"
DAY_MS = 24 * 60 * 60 * 1000
SHOWN = 3


def same(what: str, found, promised) -> None:
    if found != promised:
        raise SystemExit(f"{what}: BigQuery has {found!r}, and it must be {promised!r}")


def jobs_of(project: Path) -> dict[str, dict]:
    """The jobs as they are written, by `dataset.table`."""
    files = {file.stem: tomllib.loads(file.read_text("utf-8")) for file in (project / "jobs").glob("*.toml")}
    return {f"{job['table']['dataset']}.{name}": job for name, job in files.items()}


def lake_tables(lake: Path) -> dict[str, pyarrow.Table]:
    logs = sorted((lake / "tables").glob("*/*/_delta_log"))
    folders = {f"{log.parent.parent.name}.{log.parent.name}": log.parent for log in logs}
    return {name: DeltaTable(folder).to_pyarrow_table() for name, folder in folders.items()}


def is_as_promised(table: bigquery.Table, job: dict) -> None:
    """What an analyst reads about a table is what stands in the job's file."""
    name, spec = f"{table.dataset_id}.{table.table_id}", job["table"]
    same(f"{name}: description", table.description, job["description"])
    tags = {f"tag_{tag}": "" for tag in job.get("tags", [])}
    owner = "".join(c if c.isalnum() or c in "_-" else "_" for c in job["owner"].lower())
    same(f"{name}: labels", table.labels, {"gatefold_job": table.table_id, "owner": owner, **tags})
    same(f"{name}: columns", [field.name for field in table.schema], [column["name"] for column in spec["columns"]])
    for field, column in zip(table.schema, spec["columns"]):
        is_the_column(f"{name}.{field.name}", field, column)
    partition = spec.get("partition")
    same(f"{name}: partitioning", partitioning_of(table), partition and partitioning_promised(partition))
    same(f"{name}: clustering", table.clustering_fields, spec.get("cluster"))
    same(f"{name}: primary key", table.table_constraints.primary_key.columns, spec["grain"])


def is_the_column(what: str, field: bigquery.SchemaField, column: dict) -> None:
    kind, repeated = column["type"], column["type"].startswith("ARRAY<")
    kind = kind.removeprefix("ARRAY<").removesuffix(">")
    mode = "REPEATED" if repeated else "REQUIRED" if column.get("required") else "NULLABLE"
    same(f"{what}: type", (field.field_type, field.mode), (REST_TYPES.get(kind, kind), mode))
    if not field.description.startswith(column["description"]):
        same(f"{what}: description", field.description, column["description"])
    unit = column.get("unit", "")
    if unit not in field.description:
        raise SystemExit(f"{what}: the unit {unit!r} is not in the description {field.description!r}")


def partitioning_of(table: bigquery.Table) -> tuple | None:
    by = table.time_partitioning
    return by and (by.field, by.type_, by.expiration_ms, bool(table.require_partition_filter))


def partitioning_promised(partition: dict) -> tuple:
    days = partition.get("expire_days")
    kind = partition.get("by", "day").upper()
    return partition["column"], kind, days and days * DAY_MS, partition.get("require_filter", False)


def canonical(value, digits: int | None):
    """One form for what the readers give in several; with `digits`, numbers are rounded to them."""
    if isinstance(value, list):
        return tuple(canonical(item, digits) for item in value)
    if isinstance(value, Decimal | float) and digits is not None:
        return round(float(value), digits)
    return value


def rows_of(table: pyarrow.Table, columns: list[str], digits: int | None = None) -> Counter:
    repeated = {field.name for field in table.schema if pyarrow.types.is_list(field.type)}
    # A repeated column of BigQuery has no null.
    filled = ((name, [] if name in repeated else None) for name in columns)
    lists = [[empty if value is None else value for value in table[name].to_pylist()] for name, empty in filled]
    return Counter(tuple(canonical(value, digits) for value in row) for row in zip(*lists))


def same_rows(what: str, found: Counter, promised: Counter) -> int:
    """How many there are."""
    lacking, foreign = list((promised - found).elements()), list((found - promised).elements())
    if lacking or foreign:
        told = f"{len(lacking)} rows lack, as {lacking[:SHOWN]}; {len(foreign)} are foreign, as {foreign[:SHOWN]}"
        raise SystemExit(f"{what}: {told}")
    return found.total()


class Proof:
    def __init__(self, client: bigquery.Client, project: Path, lake: Path) -> None:
        self.client, self.jobs, self.lake = client, jobs_of(project), lake_tables(lake)
        self.views = sorted((project / "sql/views").glob("*.sql"))
        self.duckdb = duckdb.connect()

    def asked(self, sql: str) -> pyarrow.Table:
        return self.client.query(sql).result(timeout=120).to_arrow(create_bqstorage_client=False)

    def tables(self) -> dict[str, int]:
        same("tables of the lake", sorted(self.lake), sorted([*self.jobs, REJECTED]))
        return {name: self.table(name) for name in self.lake}

    def table(self, name: str) -> int:
        table, held = self.client.get_table(name), self.lake[name]
        if name in self.jobs:
            is_as_promised(table, self.jobs[name])
        same(f"{name}: columns", [field.name for field in table.schema], held.column_names)
        if not all([table.description, *(field.description for field in table.schema)]):
            raise SystemExit(f"{name}: a description is missing")
        where = ""
        if table.time_partitioning:
            self.partitions(name, table, held)
            where = f" WHERE {table.time_partitioning.field} >= DATE '2000-01-01'"
        if table.require_partition_filter:
            self.must_be_filtered(name)
        found = self.asked(f"SELECT * FROM {name}{where}")
        columns = held.column_names
        return same_rows(name, rows_of(found, columns), rows_of(held, columns))

    def partitions(self, name: str, table: bigquery.Table, held: pyarrow.Table) -> None:
        """Each has its rows, and there are no others."""
        by = table.time_partitioning
        form = {"DAY": "%Y%m%d", "MONTH": "%Y%m"}[by.type_]
        held_by_partition = Counter(format(value, form) for value in held[by.field].to_pylist())
        sql = "SELECT partition_id, total_rows FROM {}.INFORMATION_SCHEMA.PARTITIONS WHERE table_name = '{}'"
        found = self.asked(sql.format(table.dataset_id, table.table_id)).to_pylist()
        same(f"{name}: partitions", {row["partition_id"]: row["total_rows"] for row in found}, dict(held_by_partition))

    def must_be_filtered(self, name: str) -> None:
        try:
            self.asked(f"SELECT COUNT(*) FROM {name}")
        except BadRequest:
            return
        raise SystemExit(f"{name}: a query without a filter by its partitions is not refused")

    def compared_views(self) -> dict[str, int]:
        for name, table in self.lake.items():
            dataset = name.split(".")[0]
            self.duckdb.register("held", table)
            self.duckdb.execute(f"CREATE SCHEMA IF NOT EXISTS {dataset}; CREATE TABLE {name} AS SELECT * FROM held")
        return dict(self.view(file.read_text("utf-8")) for file in self.views)

    def view(self, sql: str) -> tuple[str, int]:
        statement = sqlglot.parse_one(sql, read="bigquery")
        name = f"{statement.this.db}.{statement.this.name}"
        same(f"{name}: kind", self.client.get_table(name).table_type, "VIEW")
        if not self.client.get_table(name).description:
            raise SystemExit(f"{name}: no description")
        select = statement.expression.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
        over_lake = self.duckdb.execute(select).to_arrow_table()
        found = self.asked(f"SELECT * FROM {name}")
        same(f"{name}: columns", found.column_names, over_lake.column_names)
        # An average is exact in one engine and a float in the other.
        columns, digits = found.column_names, 6
        return name, same_rows(name, rows_of(found, columns, digits), rows_of(over_lake, columns, digits))


def main() -> None:
    project, lake, warehouse, endpoint = sys.argv[1:5]
    options = ClientOptions(api_endpoint=endpoint)
    client = bigquery.Client(project=warehouse, credentials=AnonymousCredentials(), client_options=options)
    proof = Proof(client, Path(project), Path(lake))
    print(json.dumps({"tables": proof.tables(), "views": proof.compared_views()}))


main()
