"""A job in Spark, with the SQL that DuckDB has too."""

import os
import re

from pyspark.sql import SparkSession

from snapshots import BOOKKEEPING, KEYS, Task, steps_of

# As gatefold writes: the same codec and level, row groups of the same order.
WRITE = {
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.hadoop.parquet.compression.codec.zstd.level": "1",
    "spark.hadoop.parquet.block.size": str(32 << 20),
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
}
# Two tasks at once need no more partitions than keep each in memory; adaptive execution joins those that are small.
PARTITIONS = 16
SMALL_BYTES = 1 << 20


def session(task):
    settings = WRITE | {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
        "spark.driver.memory": f"{task.memory_mib // 2}m",
        "spark.memory.offHeap.enabled": "true",
        "spark.memory.offHeap.size": f"{task.memory_mib // 2}m",
        "spark.local.dir": f"{task.into}.spill",
        "spark.sql.warehouse.dir": f"{task.into}.spill/warehouse",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": PARTITIONS,
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master(f"local[{task.threads}]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def run(spark, statements):
    """Statement by statement: Spark takes one at a time. A view made by SQL is analyzed anew wherever it is named; one of a
    frame is not."""
    for statement in filter(str.strip, statements.split(";\n")):
        view = re.search(r"^CREATE TEMPORARY VIEW (\w+) AS", statement, re.MULTILINE)
        if view:
            spark.sql(statement[view.end():]).createOrReplaceTempView(view[1])
        else:
            spark.sql(statement)


def read(spark, task, snapshot):
    """R1. Nearly every key has one row, so that only keys of which the hash occurs again are looked at column by column; but
    in a small snapshot all are, because each query of its own costs more."""
    key = ", ".join(KEYS[snapshot])
    rows = spark.read.parquet(*task.files(snapshot)).dropna(subset=KEYS[snapshot])
    columns = ", ".join(column for column in rows.columns if column not in BOOKKEEPING)
    is_small = sum(os.path.getsize(file) for file in task.files(snapshot)) < SMALL_BYTES
    rows.createOrReplaceTempView(f"{snapshot}_given")
    run(spark, f"CREATE TEMPORARY VIEW {snapshot}_rows AS SELECT *, xxhash64({key}) AS key_hash FROM {snapshot}_given")
    if is_small:
        run(spark, f"CREATE TEMPORARY VIEW {snapshot} AS {one_per_key(snapshot, key, columns, 'TRUE')}")
        return
    run(spark, f"""
        CACHE TABLE {snapshot}_repeated AS
            SELECT key_hash FROM {snapshot}_rows GROUP BY key_hash HAVING count(*) > 1;
        CREATE TEMPORARY VIEW {snapshot}_kept AS
            {one_per_key(snapshot, key, columns, f"key_hash IN (SELECT key_hash FROM {snapshot}_repeated)")};
        CREATE TEMPORARY VIEW {snapshot} AS
            SELECT {columns} FROM {snapshot}_rows AS r
            WHERE NOT EXISTS (SELECT 1 FROM {snapshot}_repeated AS again WHERE again.key_hash = r.key_hash)
            UNION ALL SELECT {columns} FROM {snapshot}_kept;
    """)
    # Read wherever the snapshot is.
    spark.catalog.cacheTable(f"{snapshot}_kept")


def one_per_key(snapshot, key, columns, condition):
    return f"""SELECT {columns} FROM (
        SELECT *, count(*) OVER (PARTITION BY {key}) AS latest FROM (
            SELECT DISTINCT {columns} FROM (
                SELECT *, max(source_seq) OVER (PARTITION BY {key}) AS latest_seq FROM {snapshot}_rows WHERE {condition}
            ) WHERE source_seq = latest_seq
        )
    ) WHERE latest = 1"""


def prepare(spark, task):
    run(spark, task.sql("spark"))
    run(spark, task.sql("billing"))
    for snapshot in task.inputs:
        read(spark, task, snapshot)
    run(spark, task.sql("steps"))
    if task.job == "user_entitlement_history":
        prepare_classes(spark, task)
    if task.job == "feature_cap_daily":
        spark.read.parquet(*task.history_files()).createOrReplaceTempView("user_entitlement_history")


def prepare_classes(spark, task):
    for function, columns in (("since", ["effective_from", "effective_to"]), ("bound", ["existing_from"])):
        instants = " UNION ".join(f"SELECT {column} AS moment FROM product_feature" for column in columns)
        found = spark.sql(f"SELECT CAST(moment AS STRING) FROM ({instants}) WHERE moment IS NOT NULL ORDER BY moment").collect()
        run(spark, f"CREATE TEMPORARY FUNCTION {function}(t TIMESTAMP) RETURNS INT RETURN {steps_of(row[0] for row in found)}")
    run(spark, task.sql("entitlement_steps", keep="CACHE TABLE"))


def main():
    task = Task()
    spark = session(task)
    task.start()
    prepare(spark, task)
    spark.sql(task.sql(task.job, instant="TIMESTAMP")).write.parquet(str(task.into / "rows"))
    task.tell()
    # The bench counts what the virtual machine used once somebody has waited for it.
    machine = spark.sparkContext._gateway.proc
    spark.stop()
    machine.stdin.close()
    machine.wait()


if __name__ == "__main__":
    main()
