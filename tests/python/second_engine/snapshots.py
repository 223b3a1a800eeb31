"""Reads the days of the input snapshots, and keeps one row per key (R1)."""

import sys
from collections import namedtuple
from pathlib import Path
from typing import NamedTuple

import duckdb

# As the page of the domain has them: the key, then the columns. Each also has source_seq and updated_at.
CONTRACTS = {
    "account": (
        "account_id",
        """account_id STRING, status STRING, status_changed_at TIMESTAMP, created_at TIMESTAMP, country STRING,
        birth_date DATE, email STRING, email_verified BOOL, locale STRING, marketing_opt_in BOOL""",
    ),
    "subscription": (
        "subscription_id",
        """subscription_id STRING, account_id STRING, plan_id STRING, plan_version INT64, category STRING,
        base_subscription_id STRING, quantity INT64, state STRING, started_at TIMESTAMP, paid_through_at TIMESTAMP,
        grace_until TIMESTAMP, trial_end_at TIMESTAMP, ends_at TIMESTAMP, anchor_day INT64, price_cohort STRING,
        locked_price NUMERIC, currency STRING, store STRING, is_sandbox BOOL""",
    ),
    "plan_member": (
        "subscription_id, account_id",
        "subscription_id STRING, account_id STRING, role STRING, joined_at TIMESTAMP, left_at TIMESTAMP",
    ),
    "plan_phase": (
        "plan_id, plan_version, phase_seq",
        """plan_id STRING, plan_version INT64, phase_seq INT64, product_id STRING, tier STRING, tier_rank INT64,
        status STRING, phase_type STRING, length INT64, length_unit STRING, billing_period STRING, max_members INT64,
        included_addons STRINGS, effective_from TIMESTAMP, effective_to TIMESTAMP""",
    ),
    "product_feature": (
        "product_id, feature_id, market, role, effective_from",
        """product_id STRING, feature_id STRING, market STRING, role STRING, value_type STRING, v_bool BOOL,
        v_int INT64, v_enum STRING, unlimited BOOL, unit STRING, reset STRING, merge STRING,
        effective_from TIMESTAMP, effective_to TIMESTAMP, existing_from TIMESTAMP""",
    ),
    "price": (
        "plan_id, plan_version, phase_seq, market, cohort, effective_from",
        """plan_id STRING, plan_version INT64, phase_seq INT64, market STRING, cohort STRING, currency STRING,
        amount NUMERIC, tax_inclusive BOOL, effective_from TIMESTAMP, effective_to TIMESTAMP,
        existing_from TIMESTAMP""",
    ),
    "offer": (
        "offer_id",
        """offer_id STRING, kind STRING, discount_type STRING, value NUMERIC, currency STRING, frequency STRING,
        cycles INT64, plan_ids STRINGS, markets STRINGS, starts_at TIMESTAMP, redeem_by TIMESTAMP,
        max_redemptions INT64, stackable BOOL, priority INT64""",
    ),
    "account_grant": (
        "grant_id",
        """grant_id STRING, account_id STRING, kind STRING, feature_id STRING, offer_id STRING,
        subscription_id STRING, v_bool BOOL, v_int INT64, v_enum STRING, unlimited BOOL, priority INT64,
        effective_from TIMESTAMP, expires_at TIMESTAMP, voided_at TIMESTAMP""",
    ),
    "feature_usage": (
        "account_id, feature_id, usage_date",
        "account_id STRING, feature_id STRING, usage_date DATE, consumed INT64",
    ),
    "erasure_request": (
        "request_id",
        "request_id STRING, account_id STRING, requested_at TIMESTAMP, deadline DATE",
    ),
}

KEYS = {name: key.split(", ") for name, (key, _) in CONTRACTS.items()}
COLUMNS = {name: dict(column.split() for column in columns.split(",")) for name, (_, columns) in CONTRACTS.items()}
ROWS = {name: namedtuple(name, columns) for name, columns in COLUMNS.items()}

# Whatever precision or zone a file states, from here on it is the types of the domain; moments lose their zone, which is UTC.
CASTS = {
    "STRING": "CAST({0} AS VARCHAR)",
    "INT64": "CAST({0} AS BIGINT)",
    "BOOL": "CAST({0} AS BOOLEAN)",
    "DATE": "CAST({0} AS DATE)",
    "TIMESTAMP": "CAST({0} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'",
    "NUMERIC": "CAST({0} AS DECIMAL(38, 9))",
    "STRINGS": "CAST({0} AS VARCHAR[])",
}

TOLERATED_FRACTION, TOLERATED_ROWS = 0.01, 100


class Rejected(NamedTuple):
    """A key (or, of one with a null in it, each such key) and how many rows of it are rejected."""

    rule: str
    key: tuple
    rows: int


class Snapshot(NamedTuple):
    rows: list
    rejected: list
    complete: bool


class ContractBroken(Exception):
    """More rejected rows than the contract tolerates: no table of the day may change."""


def connect():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET preserve_insertion_order = true")
    return connection


def deduplicate(connection, name, source):
    """R1. Of each key the row with the greatest `source_seq` counts. Rows that differ only in `source_seq` and
    `updated_at` are equal. If rows of the greatest number differ, every row of that key is rejected; so is every row
    whose key has a null. `source` is an expression of SQL for the rows as they were read."""
    key = ", ".join(KEYS[name])
    casts = ", ".join(f"{CASTS[kind].format(column)} AS {column}" for column, kind in COLUMNS[name].items())
    no_null = " AND ".join(f"{column} IS NOT NULL" for column in KEYS[name])
    connection.execute(f"CREATE OR REPLACE TEMP TABLE given AS SELECT {casts}, source_seq FROM {source}")
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE greatest AS SELECT DISTINCT {", ".join(COLUMNS[name])} FROM (
        SELECT *, source_seq = max(source_seq) OVER (PARTITION BY {key}) AS is_greatest FROM given WHERE {no_null}
    ) WHERE is_greatest""")
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE conflict AS
        SELECT {key} FROM greatest GROUP BY {key} HAVING count(*) > 1""")
    rows = connection.execute(f"SELECT * FROM greatest ANTI JOIN conflict USING ({key})").fetchall()
    conflicts = connection.execute(f"SELECT {key}, count(*) FROM given SEMI JOIN conflict USING ({key}) GROUP BY {key}")
    rejected = [Rejected("conflicting_duplicate", found[:-1], found[-1]) for found in conflicts.fetchall()]
    nulls = connection.execute(f"SELECT {key}, count(*) FROM given WHERE NOT ({no_null}) GROUP BY {key}")
    rejected += [Rejected("null_key", found[:-1], found[-1]) for found in nulls.fetchall()]
    check_tolerance(name, rejected, connection.execute("SELECT count(*) FROM given").fetchall()[0][0])
    return list(map(ROWS[name]._make, rows)), rejected


def check_tolerance(name, rejected, given):
    """R1: 1 % of the rows, and always 100."""
    count = sum(entry.rows for entry in rejected)
    if count > max(TOLERATED_ROWS, given * TOLERATED_FRACTION):
        raise ContractBroken(f"{name}: {count} of {given} rows are rejected")


def read_snapshot(connection, snapshots, name, date):
    """One day of one snapshot. A folder with a file `_PARTIAL` is a snapshot that is not complete (R12)."""
    if not (snapshots / name).is_dir():
        print(f"no snapshots of {name} on {date}: taken as empty", file=sys.stderr)
        return Snapshot([], [], True)
    folder = snapshots / name / f"snapshot_date={date}"
    partial = (folder / "_PARTIAL").exists()
    if not partial and not (folder / "_SUCCESS").exists():
        raise FileNotFoundError(f"{name} of {date} is not there or still being written: {folder}")
    files = sorted(str(file) for file in folder.glob("*.parquet"))
    if not files:
        return Snapshot([], [], not partial)
    source = f"read_parquet({files!r}, union_by_name = true, hive_partitioning = false)"
    rows, rejected = deduplicate(connection, name, source)
    return Snapshot(rows, rejected, not partial)


def read_day(connection, lake, date):
    return {name: read_snapshot(connection, Path(lake) / "snapshots", name, date) for name in CONTRACTS}
