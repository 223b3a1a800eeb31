"""Whether two folders of Parquet files hold the same rows, in any order: exits with 1 and shows rows that only one has."""

import sys

import duckdb

SHOWN = 5


def columns(connection, folder):
    described = connection.execute(f"DESCRIBE SELECT * FROM {rows(folder)}").fetchall()
    return [(name, "TIMESTAMPTZ" if kind == "TIMESTAMP" else kind) for name, kind, *_ in described]


def rows(folder):
    return f"read_parquet('{folder}/**/*.parquet', hive_partitioning = false)"


def main(expected, found):
    connection = duckdb.connect()
    connection.execute(f"SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    expected_columns, found_columns = columns(connection, expected), columns(connection, found)
    if expected_columns != found_columns:
        sys.exit(f"other columns: {set(expected_columns) ^ set(found_columns) or 'in another order'}")
    # Instants of one engine have a zone and those of another do not; as text of a BIGINT they are the same.
    cells = ", ".join(f"epoch_us({name}) AS {name}" if kind.startswith("TIMESTAMP") else name for name, kind in expected_columns)
    one, other = (f"(SELECT {cells} FROM {rows(folder)})" for folder in (expected, found))
    digest = "SELECT count(*), sum(CAST(hash(r) AS HUGEINT)), bit_xor(hash(r)) FROM {} AS r"
    digests = [connection.execute(digest.format(side)).fetchall() for side in (one, other)]
    if digests[0] == digests[1]:
        print(digests[0][0][0])
        return
    for name, left, right in (("expected", one, other), ("found", other, one)):
        print(f"only {name}:", connection.sql(f"SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right} LIMIT {SHOWN}"), file=sys.stderr)
    sys.exit(f"{digests[0][0][0]} rows expected, {digests[1][0][0]} found, and they differ")


if __name__ == "__main__":
    main(*sys.argv[1:])
