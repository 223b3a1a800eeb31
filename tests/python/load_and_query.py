"""Loads a Parquet file into a table of the BigQuery on loopback with Google's own clients, and prints a query's rows.

Reads `{"table": tables resource, "file": path, "sql": query}` from stdin; `{table}` in the query is the table's name.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

TESTS = Path(__file__).resolve().parents[1]


def main() -> None:
    asked = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "cloud", "--root", root, "--until-stdin-closes"]
        cloud = subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            rows = load_and_query(json.loads(cloud.stdout.readline()), asked)
        finally:
            cloud.stdin.close()
            cloud.wait(timeout=30)
    json.dump(rows, sys.stdout)


def load_and_query(endpoints: dict, asked: dict) -> list[list[str | None]]:
    def options(key: str) -> dict:
        return {
            "project": endpoints["project"],
            "credentials": AnonymousCredentials(),
            "client_options": ClientOptions(api_endpoint=endpoints[key]),
        }

    blob = storage.Client(**options("storage")).bucket(endpoints["bucket"]).blob("staging/part.parquet")
    blob.upload_from_filename(asked["file"])
    client = bigquery.Client(**options("bigquery"))
    resource = asked["table"]
    resource["tableReference"]["projectId"] = endpoints["project"]
    table = bigquery.Table.from_api_repr(resource)
    client.create_dataset(table.dataset_id)
    client.create_table(table)
    parquet = bigquery.ParquetOptions()
    parquet.enable_list_inference = True
    config = bigquery.LoadJobConfig(
        source_format="PARQUET",
        schema=table.schema,
        write_disposition="WRITE_TRUNCATE",
        decimal_target_types=["NUMERIC", "BIGNUMERIC"],
        parquet_options=parquet,
        time_partitioning=table.time_partitioning,
        clustering_fields=table.clustering_fields,
    )
    uri = f"gs://{endpoints['bucket']}/{blob.name}"
    client.load_table_from_uri(uri, table.reference, job_config=config).result(timeout=120)
    name = f"`{table.project}.{table.dataset_id}.{table.table_id}`"
    rows = client.query(asked["sql"].replace("{table}", name)).result(timeout=120)
    return [[None if value is None else str(value) for value in row.values()] for row in rows]


if __name__ == "__main__":
    main()
