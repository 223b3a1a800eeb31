"""BigQuery, through `google-cloud-bigquery`: what a publisher of partitions leans on."""

from __future__ import annotations

import decimal
from uuid import uuid4

import pyarrow as pa
import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, NotFound, PreconditionFailed
from google.cloud import bigquery
from google.cloud.bigquery import LoadJobConfig, SchemaField, Table

from .conftest import PROJECT, Cloud
from .users import ARROW, DAYS, SCHEMA, failure, ids, load, make, options, policy, put, row, two_days


def test_a_table_keeps_everything_that_it_was_given(cloud: Cloud, dataset: str) -> None:
    made = policy(make(cloud, dataset))
    client = cloud.bigquery()
    table = client.get_table(f"{PROJECT}.{dataset}.users")
    assert policy(table) == made
    assert table.location == "EU"
    # Not one of them may be missing on both sides.
    assert all(value is not None for value in made.values())
    assert made["schema"]["fields"][1]["type"] == "INTEGER"
    assert table.schema[2].policy_tags.names[0].endswith("policyTags/2")
    assert table.schema[6].fields[0].description == "free or paid"
    assert table.time_partitioning.expiration_ms == 90 * 86_400_000
    table.description, table.labels = "changed", {"owner": "billing", "tool": None}
    table.schema = [*table.schema, SchemaField("extra", "JSON", description="new")]
    client.update_table(table, ["description", "labels", "schema"])
    changed = client.get_table(table)
    assert (changed.description, changed.labels) == ("changed", {"owner": "billing"})
    assert [field.name for field in changed.schema][-1] == "extra"
    assert changed.schema[2].policy_tags == SCHEMA[2].policy_tags
    assert policy(changed)["tableConstraints"] == made["tableConstraints"]
    load(cloud, put(cloud, [row(DAYS[0], 1)]), f"{dataset}.users$20261119")
    loaded = policy(client.get_table(table))
    assert loaded == policy(changed)


def test_schemas_only_grow(cloud: Cloud, dataset: str) -> None:
    client = cloud.bigquery()
    table = make(cloud, dataset)
    for schema in (SCHEMA[:-1], [*SCHEMA, SchemaField("new", "INT64", "REQUIRED")], [SchemaField("day", "STRING"), *SCHEMA[1:]]):
        table.schema = schema
        with pytest.raises(BadRequest, match="Provided Schema does not match Table"):
            client.update_table(table, ["schema"])


def test_a_patch_ends_the_demand_for_a_filter(cloud: Cloud, dataset: str) -> None:
    client = cloud.bigquery()
    table = make(cloud, dataset)
    count = f"SELECT COUNT(*) FROM {dataset}.users"
    with pytest.raises(BadRequest, match="without a filter"):
        client.query(count).result()
    table.require_partition_filter = False
    client.update_table(table, ["require_partition_filter"])
    assert not client.get_table(table).require_partition_filter
    assert len(list(client.query(count).result())) == 1


def test_a_change_by_an_old_etag_is_refused(cloud: Cloud, dataset: str) -> None:
    old = make(cloud, dataset)
    fresh = cloud.bigquery().get_table(old)
    fresh.description = "mine"
    cloud.bigquery().update_table(fresh, ["description"])
    old.description = "late"
    with pytest.raises(PreconditionFailed):
        cloud.bigquery().update_table(old, ["description"])


def test_a_load_replaces_one_partition(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    job = load(cloud, put(cloud, [row(DAYS[1], 4), row(DAYS[1], 5)]), f"{users}$20261120")
    assert (job.output_rows, job.location) == (2, "EU")
    assert ids(cloud, users) == [1, 2, 4, 5]
    client = cloud.bigquery()
    assert client.get_table(f"{PROJECT}.{users}").num_rows == 4
    assert client.get_table(f"{PROJECT}.{users}$20261119").num_rows == 2
    assert client.get_table(f"{PROJECT}.{users}$20260101").num_rows == 0
    load(cloud, put(cloud, [row(DAYS[1], 6)]), f"{users}$20261120", "WRITE_APPEND")
    assert ids(cloud, users) == [1, 2, 4, 5, 6]
    load(cloud, put(cloud, [row(DAYS[1], 7)]), f"{users}$20261120", "WRITE_TRUNCATE_DATA")
    assert ids(cloud, users) == [1, 2, 7]
    found = client.query(f"SELECT * FROM `{PROJECT}.{users}` WHERE day = '2026-11-20'").result()
    expected = row(DAYS[1], 7)
    assert [dict(each) for each in found] == [{name: expected[name] for name in ("day", "id", "name", "price", "at", "tags", "plan")}]


def test_a_failed_load_changes_nothing(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    before = cloud.bigquery().get_table(f"{PROJECT}.{users}")
    right = put(cloud, [row(DAYS[1], 9)])
    day = f"{users}$20261120"
    wrong_day = failure(cloud, [right, put(cloud, [row(DAYS[0], 9)])], day)
    assert (wrong_day["reason"], "different partitions" in wrong_day["message"]) == ("invalid", True)
    assert failure(cloud, [right, "gs://lake/none.parquet"], day)["reason"] == "notFound"
    text = pa.schema([pa.field("id", pa.string(), nullable=False), *list(ARROW)[1:]])
    changed = failure(cloud, put(cloud, [{**row(DAYS[1], 9), "id": "9"}], text), day)
    assert "Field id has changed type from INTEGER to STRING" in changed["message"]
    relaxed = pa.schema([field.with_nullable(True) for field in ARROW])
    nulls = put(cloud, [{**row(DAYS[1], 9), "id": None}], relaxed)
    assert "has changed mode from REQUIRED to NULLABLE" in failure(cloud, nulls, day)["message"]
    # With the schema said, the mode of the file is no matter, but its nulls are.
    assert "Required field id cannot be null" in failure(cloud, nulls, day, schema=SCHEMA)["message"]
    wider = ARROW.append(pa.field("new", pa.string()))
    assert "Cannot add fields (field: new)" in failure(cloud, put(cloud, [row(DAYS[1], 9)], wider), day)["message"]
    assert failure(cloud, right, day, "WRITE_EMPTY")["reason"] == "duplicate"
    broken = cloud.storage().bucket("lake").blob("users/broken.parquet")
    broken.upload_from_string("not Parquet")
    assert failure(cloud, "gs://lake/users/broken.parquet", day)["reason"] == "invalid"
    assert ids(cloud, users) == [1, 2, 3]
    after = cloud.bigquery().get_table(f"{PROJECT}.{users}")
    assert (policy(after), after.etag) == (policy(before), before.etag)
    with pytest.raises(NotFound):
        load(cloud, "gs://lake/none.parquet", f"{dataset}.never_made")
    with pytest.raises(NotFound):
        cloud.bigquery().get_table(f"{PROJECT}.{dataset}.never_made")


def test_lists_and_decimals_need_their_options(cloud: Cloud, dataset: str) -> None:
    make(cloud, dataset)
    uri = put(cloud, [row(DAYS[0], 1)])
    plain = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    job = cloud.bigquery().load_table_from_uri(uri, f"{PROJECT}.{dataset}.users", job_config=plain)
    with pytest.raises(BadRequest, match="Field tags has changed type from STRING to RECORD"):
        job.result(timeout=20)
    wide = put(cloud, [{"x": decimal.Decimal("1.5")}], pa.schema([pa.field("x", pa.decimal128(38, 10))]))
    assert "fits none of NUMERIC" in failure(cloud, wide, f"{dataset}.wide")["message"]
    load(cloud, wide, f"{dataset}.wide", decimal_target_types=["NUMERIC", "BIGNUMERIC"])
    assert cloud.bigquery().get_table(f"{PROJECT}.{dataset}.wide").schema[0].field_type == "BIGNUMERIC"


def test_schemas_grow_by_a_load_that_may(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    wider = put(cloud, [row(DAYS[1], 8) | {"new": "x"}], ARROW.append(pa.field("new", pa.string())))
    load(cloud, wider, f"{users}$20261120", schema_update_options=["ALLOW_FIELD_ADDITION"])
    table = cloud.bigquery().get_table(f"{PROJECT}.{users}")
    assert [field.name for field in table.schema][-1] == "new"
    assert table.schema[0].description == "the day of the snapshot"
    assert {found["id"]: found["new"] for found in cloud.bigquery().list_rows(table)} == {1: None, 2: None, 8: "x"}
    with pytest.raises(BadRequest, match="Schema update options"):
        load(cloud, wider, users, schema_update_options=["ALLOW_FIELD_ADDITION"])


def test_truncating_a_whole_table_drops_what_the_job_does_not_say(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    load(cloud, put(cloud, [row(DAYS[1], 8)]), users, "WRITE_TRUNCATE_DATA")
    assert policy(cloud.bigquery().get_table(f"{PROJECT}.{users}"))["tableConstraints"]
    load(cloud, put(cloud, [row(DAYS[1], 9)]), users)
    table = cloud.bigquery().get_table(f"{PROJECT}.{users}")
    assert ids(cloud, users) == [9]
    assert all(field.description is None for field in table.schema)
    assert all(field.policy_tags is None or not field.policy_tags.names for field in table.schema)
    assert policy(table)["tableConstraints"] is None


def test_a_job_id_is_spent_once(cloud: Cloud, dataset: str) -> None:
    make(cloud, dataset)
    client, job_id = cloud.bigquery(), f"load_{uuid4().hex}"
    uri, table = put(cloud, [row(DAYS[0], 1)]), f"{PROJECT}.{dataset}.users$20261119"
    first = client.load_table_from_uri(uri, table, job_id=job_id, job_config=options("WRITE_APPEND"))
    with pytest.raises(Conflict, match=f"Already Exists: Job {PROJECT}:EU.{job_id}"):
        client.load_table_from_uri(uri, table, job_id=job_id, job_config=options("WRITE_APPEND"), retry=None)
    first.result(timeout=20)
    with pytest.raises(Conflict):
        client.load_table_from_uri(uri, table, job_id=job_id, job_config=options("WRITE_APPEND"), retry=None)
    assert ids(cloud, f"{dataset}.users") == [1]
    attached = client.get_job(job_id, location="EU")
    assert (attached.state, attached.output_rows, attached.error_result) == ("DONE", 1, None)
    assert next(iter(client.list_jobs(state_filter="done"))).job_id == job_id
    assert client.cancel_job(job_id, location="EU").state == "DONE"
    with pytest.raises(NotFound):
        client.get_job(job_id, location="US")
    with pytest.raises(NotFound):
        client.get_job(job_id + "x")


def test_jobs_outside_the_multi_regions_need_their_location(cloud: Cloud) -> None:
    client = cloud.bigquery()
    made = bigquery.Dataset(f"{PROJECT}.north_{uuid4().hex[:8]}")
    made.location = "europe-north1"
    client.create_dataset(made)
    table = client.create_table(Table(f"{PROJECT}.{made.dataset_id}.t", [SchemaField("x", "INT64")]))
    assert client.query(f"SELECT count(*) FROM `{table.full_table_id.replace(':', '.')}`").result()
    uri = put(cloud, [{"x": 1}], pa.schema([("x", pa.int64())]))
    assert "different locations" in failure(cloud, uri, f"{made.dataset_id}.t")["message"]
    north = cloud.storage().create_bucket(f"north-{uuid4().hex[:8]}", location="europe-north1")
    uri = put(cloud, [{"x": 1}], pa.schema([("x", pa.int64())]), north.name)
    job = load(cloud, uri, f"{made.dataset_id}.t")
    with pytest.raises(NotFound):
        client.get_job(job.job_id)
    assert client.get_job(job.job_id, location="europe-north1").output_rows == 1


def test_a_copy_moves_one_partition(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    make(cloud, dataset, "staging")
    load(cloud, put(cloud, [row(DAYS[1], 7), row(DAYS[0], 6)]), f"{dataset}.staging")
    client = cloud.bigquery()

    def copy(source: str, target: str, disposition: str) -> bigquery.CopyJob:
        config = bigquery.CopyJobConfig(write_disposition=disposition)
        job = client.copy_table(f"{PROJECT}.{dataset}.{source}", f"{PROJECT}.{dataset}.{target}", job_config=config)
        job.result(timeout=20)
        return job

    before = policy(client.get_table(f"{PROJECT}.{users}"))
    copy("staging$20261120", "users$20261120", "WRITE_TRUNCATE")
    assert ids(cloud, users) == [1, 2, 7]
    with pytest.raises(Conflict, match="Already Exists"):
        copy("staging$20261120", "users$20261120", "WRITE_EMPTY")
    with pytest.raises(BadRequest, match="different partitions"):
        copy("staging$20261119", "users$20261120", "WRITE_TRUNCATE")
    copy("staging$20261119", "users$20261119", "WRITE_APPEND")
    assert ids(cloud, users) == [1, 2, 6, 7]
    assert policy(client.get_table(f"{PROJECT}.{users}")) == before
    flat = client.create_table(Table(f"{PROJECT}.{dataset}.flat", SCHEMA))
    with pytest.raises(BadRequest, match="Incompatible table partitioning specification"):
        copy(flat.table_id, "users$20261120", "WRITE_TRUNCATE")
    with pytest.raises(NotFound):
        copy("nothing", "users$20261120", "WRITE_TRUNCATE")
    copy("users", "copied", "WRITE_EMPTY")
    assert ids(cloud, f"{dataset}.copied") == [1, 2, 6, 7]


def test_views(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    client = cloud.bigquery()
    view = Table(f"{PROJECT}.{dataset}.paid")
    view.view_query = f"SELECT id, name, day FROM `{PROJECT}.{users}` WHERE plan.tier = 'paid'"
    view.description = "those who pay"
    client.create_table(view)
    found = client.get_table(f"{PROJECT}.{dataset}.paid")
    assert (found.table_type, found.view_query, found.description) == ("VIEW", view.view_query, "those who pay")
    assert [(field.name, field.field_type) for field in found.schema] == [("id", "INTEGER"), ("name", "STRING"), ("day", "DATE")]
    query = f"SELECT id FROM `{PROJECT}.{dataset}.paid` WHERE day > '2026-01-01' ORDER BY id"
    assert [each["id"] for each in client.query(query).result()] == [1, 2, 3]
    found.view_query = f"SELECT id, day FROM `{PROJECT}.{users}` WHERE id > 1"
    client.update_table(found, ["view_query"])
    assert [each["id"] for each in client.query(query).result()] == [2, 3]
    with pytest.raises(BadRequest, match="Cannot list a table of type VIEW"):
        list(client.list_rows(client.get_table(f"{PROJECT}.{dataset}.paid"), selected_fields=found.schema[:1]))
    client.delete_table(found)
    with pytest.raises(NotFound):
        client.get_table(found)


def test_queries_cost_what_they_read(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    client = cloud.bigquery()

    def dry(query: str) -> int:
        return client.query(query, job_config=bigquery.QueryJobConfig(dry_run=True)).total_bytes_processed

    day = f"FROM `{PROJECT}.{users}` WHERE day = DATE '2026-11-20'"
    # A date and an integer are 8 bytes each, "n3" is 2 more than its length.
    assert dry(f"SELECT id {day}") == 16
    assert dry(f"SELECT id, name {day}") == 20
    assert dry(f"SELECT id FROM `{PROJECT}.{users}` WHERE day >= '2026-11-19'") == 48
    with pytest.raises(BadRequest, match="without a filter over column"):
        dry(f"SELECT id FROM `{PROJECT}.{users}` WHERE id = 3")
    with pytest.raises(BadRequest, match="without a filter over column"):
        client.query_and_wait(f"SELECT id FROM `{PROJECT}.{users}`")
    with pytest.raises(GoogleAPICallError, match="Query exceeded limit for bytes billed: 15. 16 or higher required."):
        client.query(f"SELECT id {day}", job_config=bigquery.QueryJobConfig(maximum_bytes_billed=15)).result()
    job = client.query(f"SELECT id {day}", job_config=bigquery.QueryJobConfig(maximum_bytes_billed=16))
    assert [each["id"] for each in job.result()] == [3]
    assert job.total_bytes_processed == 16


def test_rows_of_one_partition(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset)
    client = cloud.bigquery()
    table = client.get_table(f"{PROJECT}.{users}$20261120")
    assert [found["id"] for found in client.list_rows(table)] == [3]
    rows = client.list_rows(client.get_table(f"{PROJECT}.{users}"), selected_fields=[SCHEMA[1]], page_size=2)
    assert sorted(found["id"] for found in rows) == [1, 2, 3]
    client.delete_table(f"{PROJECT}.{users}$20261120")
    assert ids(cloud, users) == [1, 2]


def test_requests_that_are_no_job(cloud: Cloud) -> None:
    with pytest.raises(NotFound, match="Not found: Dataset"):
        load(cloud, "gs://lake/x", "no_such_dataset.users")
    with pytest.raises(BadRequest):
        cloud.bigquery().query_and_wait("SELEC 1")


def test_values_come_as_they_are_asked_for(cloud: Cloud, dataset: str) -> None:
    users = two_days(cloud, dataset).partition(".")[2]
    url = f"{cloud.bigquery_url}/bigquery/v2/projects/{PROJECT}/datasets/{dataset}/tables/{users}$20261120/data?selectedFields=price,at"
    query = {"query": f"SELECT price, `at` FROM `{PROJECT}.{dataset}.{users}` WHERE day = '2026-11-20'", "useLegacySql": False}
    queries = f"{cloud.bigquery_url}/bigquery/v2/projects/{PROJECT}/queries"
    for option, expected in (("false", "1.795136523456789E9"), ("true", "1795136523456789")):
        listed = requests.get(f"{url}&formatOptions.useInt64Timestamp={option}", timeout=10).json()
        asked = requests.post(queries, json={**query, "formatOptions": {"useInt64Timestamp": option == "true"}}, timeout=10).json()
        assert listed["rows"] == asked["rows"] == [{"f": [{"v": "1234567890.12"}, {"v": expected}]}]
