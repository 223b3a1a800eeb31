"""A job in DuckDB."""

import re

import duckdb

from snapshots import BOOKKEEPING, KEYS, Task, steps_of

# As gatefold writes: the same codec and level, row groups of the same order.
WRITE = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 524288"


def read(connection, task, snapshot):
    """R1. Nearly every key has one row, so that only keys of which the hash occurs again are looked at column by column."""
    key = ", ".join(KEYS[snapshot])
    no_null = " AND ".join(f"{column} IS NOT NULL" for column in KEYS[snapshot])
    payload = f"* EXCLUDE ({', '.join(BOOKKEEPING)})"
    connection.execute(f"""
        CREATE TEMPORARY VIEW {snapshot}_rows AS
            SELECT *, hash({key}) AS key_hash FROM read_parquet({task.files(snapshot)!r}, hive_partitioning = false)
            WHERE {no_null};
        CREATE TEMPORARY TABLE {snapshot}_repeated AS
            SELECT key_hash FROM {snapshot}_rows GROUP BY key_hash HAVING count(*) > 1;
        CREATE TEMPORARY TABLE {snapshot}_kept AS
            WITH latest AS (
                SELECT DISTINCT {payload} FROM (
                    SELECT * FROM {snapshot}_rows SEMI JOIN {snapshot}_repeated USING (key_hash)
                    QUALIFY source_seq = max(source_seq) OVER (PARTITION BY {key})
                )
            )
            SELECT * FROM latest QUALIFY count(*) OVER (PARTITION BY {key}) = 1;
        CREATE TEMPORARY VIEW {snapshot} AS
            SELECT {payload} FROM {snapshot}_rows ANTI JOIN {snapshot}_repeated USING (key_hash)
            UNION ALL SELECT * FROM {snapshot}_kept;
    """)


def macros(functions):
    """Functions as macros, which have no types."""
    head = re.compile(r"CREATE TEMPORARY FUNCTION (\w+)\((.*?)\) RETURNS \w+\s+RETURN ")
    untyped = lambda found: f"CREATE MACRO {found[1]}({re.sub(r' [A-Z]+', '', found[2])}) AS "
    return head.sub(untyped, functions)


def prepare(connection, task):
    connection.execute(task.sql("duckdb") + macros(task.sql("billing")))
    for snapshot in task.inputs:
        read(connection, task, snapshot)
    connection.execute(task.sql("steps"))
    if task.job == "user_entitlement_history":
        prepare_classes(connection, task)
    if task.job == "feature_cap_daily":
        connection.execute(f"""CREATE TEMPORARY VIEW user_entitlement_history AS
            SELECT * FROM read_parquet({task.history_files()!r}, hive_partitioning = false)""")


def prepare_classes(connection, task):
    for function, columns in (("since", ["effective_from", "effective_to"]), ("bound", ["existing_from"])):
        instants = " UNION ".join(f"SELECT utc({column}) AS moment FROM product_feature" for column in columns)
        found = connection.execute(f"SELECT moment FROM ({instants}) WHERE moment IS NOT NULL ORDER BY moment").fetchall()
        connection.execute(f"CREATE MACRO {function}(t) AS {steps_of(moment for moment, in found)}")
    connection.execute(task.sql("entitlement_steps", keep="CREATE TEMPORARY TABLE"))


def main():
    task = Task()
    connection = duckdb.connect()
    task.start()
    connection.execute(f"""
        SET TimeZone = 'UTC';
        SET threads = {task.threads};
        SET memory_limit = '{task.memory_mib}MiB';
        SET temp_directory = '{task.into}.spill';
        SET preserve_insertion_order = false;
    """)
    prepare(connection, task)
    # A history is kept in the order of its users. All else is written by each thread for itself.
    is_sorted = task.job == "user_entitlement_history"
    into = f"'{task.into}/rows.parquet' ({WRITE})" if is_sorted else f"'{task.into}' ({WRITE}, PER_THREAD_OUTPUT true)"
    connection.execute(f"SET preserve_insertion_order = {is_sorted}")
    connection.execute(f"COPY ({task.sql(task.job, instant='TIMESTAMPTZ')}) TO {into}")
    connection.close()
    task.tell()


if __name__ == "__main__":
    main()
