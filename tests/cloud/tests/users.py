"""A table of people by day, and Parquet files for it: what the tests of the warehouse load and copy."""

from __future__ import annotations

import datetime
import decimal
import io
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from google.cloud.bigquery import LoadJobConfig, SchemaField, Table, TimePartitioning

from .conftest import PROJECT, Cloud

DAYS = [datetime.date(2026, 11, 19), datetime.date(2026, 11, 20)]
SCHEMA = [
    SchemaField("day", "DATE", "REQUIRED", description="the day of the snapshot"),
    SchemaField("id", "INT64", "REQUIRED"),
    SchemaField("name", "STRING", policy_tags=bigquery.PolicyTagList([f"projects/{PROJECT}/locations/eu/taxonomies/1/policyTags/2"])),
    SchemaField("price", "NUMERIC"),
    SchemaField("at", "TIMESTAMP"),
    SchemaField("tags", "STRING", "REPEATED"),
    SchemaField("plan", "RECORD", fields=[SchemaField("tier", "STRING", description="free or paid"), SchemaField("seats", "INT64")]),
]
ARROW = pa.schema([
    # The order of the files is not the order of the table.
    pa.field("id", pa.int64(), nullable=False),
    pa.field("day", pa.date32(), nullable=False),
    pa.field("plan", pa.struct([pa.field("seats", pa.int64()), pa.field("tier", pa.string())])),
    pa.field("name", pa.string()),
    pa.field("price", pa.decimal128(20, 4)),
    pa.field("at", pa.timestamp("us", tz="UTC")),
    pa.field("tags", pa.list_(pa.string())),
])  # fmt: skip


def row(day: datetime.date, number: int) -> dict[str, Any]:
    moment = datetime.datetime(2026, 11, 20, 1, 2, 3, 456789, tzinfo=datetime.timezone.utc)
    price = decimal.Decimal("1234567890.1200")
    plan = {"tier": "paid", "seats": number}
    return {"id": number, "day": day, "plan": plan, "name": f"n{number}", "price": price, "at": moment, "tags": ["a", "b"]}


def put(cloud: Cloud, rows: list[dict[str, Any]], schema: pa.Schema = ARROW, bucket: str = "lake") -> str:
    """A Parquet file in a folder that looks like a Hive partition; its URI."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), file)
    name = f"users/day=9999/{uuid4().hex}.parquet"
    cloud.storage().bucket(bucket).blob(name).upload_from_string(file.getvalue())
    return f"gs://{bucket}/{name}"


def options(disposition: str = "WRITE_TRUNCATE", **more: Any) -> LoadJobConfig:
    parquet = bigquery.ParquetOptions()
    parquet.enable_list_inference = True
    return LoadJobConfig(source_format="PARQUET", write_disposition=disposition, parquet_options=parquet, **more)


def load(cloud: Cloud, uri: str | list[str], table: str, disposition: str = "WRITE_TRUNCATE", **more: Any) -> bigquery.LoadJob:
    job = cloud.bigquery().load_table_from_uri(uri, f"{PROJECT}.{table}", job_config=options(disposition, **more))
    job.result(timeout=20)
    return job


def failure(cloud: Cloud, uri: str | list[str], table: str, disposition: str = "WRITE_TRUNCATE", **more: Any) -> dict[str, str]:
    """Why the job failed: it is taken, and its status tells."""
    job = cloud.bigquery().load_table_from_uri(uri, f"{PROJECT}.{table}", job_config=options(disposition, **more))
    with pytest.raises(GoogleAPICallError):
        job.result(timeout=20)
    assert job.state == "DONE"
    return job.error_result


def make(cloud: Cloud, dataset: str, name: str = "users") -> Table:
    table = Table(f"{PROJECT}.{dataset}.{name}", SCHEMA)
    table.time_partitioning = TimePartitioning("DAY", field="day", expiration_ms=90 * 86_400_000)
    table.require_partition_filter = True
    table.clustering_fields = ["id"]
    table.description = "people, by day"
    table.labels = {"owner": "core", "tool": "gatefold"}
    table.encryption_configuration = bigquery.EncryptionConfiguration("projects/p/locations/eu/keyRings/r/cryptoKeys/k")
    table.expires = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    table.table_constraints = bigquery.table.TableConstraints(bigquery.table.PrimaryKey(["day", "id"]), None)
    return cloud.bigquery().create_table(table)


def ids(cloud: Cloud, table: str) -> list[int]:
    return sorted(found["id"] for found in cloud.bigquery().list_rows(cloud.bigquery().get_table(f"{PROJECT}.{table}")))


def two_days(cloud: Cloud, dataset: str) -> str:
    make(cloud, dataset)
    load(cloud, put(cloud, [row(DAYS[0], 1), row(DAYS[0], 2)]), f"{dataset}.users$20261119")
    load(cloud, put(cloud, [row(DAYS[1], 3)]), f"{dataset}.users$20261120")
    return f"{dataset}.users"


def policy(table: Table) -> dict[str, Any]:
    shown = table.to_api_repr()
    names = ("schema", "description", "labels", "timePartitioning", "requirePartitionFilter", "clustering", "encryptionConfiguration",
             "expirationTime", "tableConstraints")  # fmt: skip
    return {name: shown.get(name) for name in names}
