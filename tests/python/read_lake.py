"""Reads a Delta table with readers that know nothing of Gatefold, and prints what each found as one JSON object.

    read_lake.py <table folder> <date column> <date>

A column is told by the digest of its values in sorted order, so that no reader's row order counts.
"""

import datetime
import hashlib
import json
import sys

import deltalake
import duckdb
import polars
import pyarrow.compute


def told(value):
    """A value as JSON; a date as its ISO text."""
    if isinstance(value, datetime.date):
        value = value.isoformat()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def digest(column):
    values = sorted(told(value) for value in column.to_pylist())
    return hashlib.sha256("\n".join(values).encode()).hexdigest()


def summary(table, date_column, rows_of_day):
    days = pyarrow.compute.min_max(table[date_column]).as_py()
    return {
        "rows": table.num_rows,
        "rows_of_day": rows_of_day,
        "first_day": days["min"].isoformat(),
        "last_day": days["max"].isoformat(),
        "columns": {name: digest(table[name]) for name in table.column_names},
    }


def with_deltalake(folder, date_column, day):
    table = deltalake.DeltaTable(folder)
    of_day = table.to_pyarrow_table(filters=[(date_column, "=", day)])
    return summary(table.to_pyarrow_table(), date_column, of_day.num_rows)


def with_polars(folder, date_column, day):
    of_day = polars.scan_delta(folder).filter(polars.col(date_column) == day).collect()
    return summary(polars.read_delta(folder).to_arrow(), date_column, of_day.height)


def with_duckdb(folder, date_column, day):
    """Its Delta extension is no part of its package, so it reads the files that the log names."""
    files = deltalake.DeltaTable(folder).file_uris()
    rows = duckdb.read_parquet(files)
    of_day = rows.filter(f"{date_column} = DATE '{day}'").count("*").fetchall()[0][0]
    return summary(rows.to_arrow_table(), date_column, of_day)


def main():
    folder, date_column, day = sys.argv[1], sys.argv[2], datetime.date.fromisoformat(sys.argv[3])
    readers = {"deltalake": with_deltalake, "duckdb": with_duckdb, "polars": with_polars}
    print(json.dumps({name: read(folder, date_column, day) for name, read in readers.items()}))


main()
