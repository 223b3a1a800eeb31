"""Holds the tables of a lake against ours, and tells every difference."""

import sys
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
from deltalake import DeltaTable

from .tables import TABLES

SHOWN = 10
ARROW = {
    "STRING": pyarrow.string(),
    "INT64": pyarrow.int64(),
    "BOOL": pyarrow.bool_(),
    "DATE": pyarrow.date32(),
    "TIMESTAMP": pyarrow.timestamp("us", "UTC"),
    "NUMERIC": pyarrow.decimal128(38, 9),
    "STRINGS": pyarrow.list_(pyarrow.string()),
}
STRINGS = {pyarrow.large_string(), pyarrow.string_view()}
RULES = ("conflicting_duplicate", "null_key")


def plain_type(kind):
    """Arrow has three ways to hold text and several to hold lists; they mean the same."""
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return pyarrow.list_(plain_type(kind.value_type))
    if pyarrow.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    return pyarrow.string() if kind in STRINGS else kind


def plain(value):
    """Values that can be compared: moments without their zone, which is UTC; lists as tuples."""
    if isinstance(value, list):
        return tuple(value)
    return value.replace(tzinfo=None) if getattr(value, "tzinfo", None) else value


def read_table(lake, name):
    folder = Path(lake) / "tables" / TABLES[name].dataset / name
    if not (folder / "_delta_log").is_dir():
        raise FileNotFoundError(f"{name} is missing in the lake: {folder}")
    return DeltaTable(str(folder)).to_pyarrow_table()


def of_days(rows, day_column, dates):
    return rows if day_column is None else [row for row in rows if row[day_column] in dates]


def schema_differences(name, schema):
    for column, kind in TABLES[name].columns.items():
        if column not in schema.names:
            yield f"column {column}: missing in the lake"
        elif plain_type(schema.field(column).type) != ARROW[kind]:
            yield f"column {column}: {schema.field(column).type} in the lake, not {ARROW[kind]}"


def by_key(rows, key):
    found = defaultdict(list)
    for row in rows:
        found[tuple(row[column] for column in key)].append(row)
    return found


def told(values):
    return ", ".join(f"{name}={str(value) if isinstance(value, Decimal) else repr(value)}" for name, value in values.items())


def row_differences(key_columns, ours, theirs):
    """Rows that only one side has, and column by column what differs in the others."""
    ours, theirs = by_key(ours, key_columns), by_key(theirs, key_columns)
    for key in sorted(ours.keys() | theirs.keys(), key=repr):
        mine, other = ours.get(key, []), theirs.get(key, [])
        name = told(dict(zip(key_columns, key)))
        if len(mine) > 1 or len(other) > 1:
            yield f"{name}: {len(mine)} rows of ours, {len(other)} of the lake"
        elif not other:
            yield f"only ours: {told(mine[0])}"
        elif not mine:
            yield f"only theirs: {told(other[0])}"
        elif mine != other:
            columns = [column for column in mine[0] if mine[0][column] != other[0][column]]
            yield f"{name}: " + "; ".join(f"{c}: ours {mine[0][c]!r}, theirs {other[0][c]!r}" for c in columns)


def compared(name, ours, theirs, dates):
    """How many rows were held against each other, and the differences."""
    table = TABLES[name]
    differences = list(schema_differences(name, theirs.schema))
    columns = [column for column in table.columns if column in theirs.schema.names]
    if set(table.key) - set(columns):
        return 0, differences
    ours = [{column: plain(row[column]) for column in columns} for row in of_days(ours, table.day_column, dates)]
    given = theirs.select(columns).to_pylist()
    given = [{column: plain(value) for column, value in row.items()} for row in of_days(given, table.day_column, dates)]
    return len(ours), differences + list(row_differences(table.key, ours, given))


def rejected_differences(ours, theirs, dates):
    """R1: a run that read a snapshot rejected what we reject: as many rows by each rule, of as many conflicting keys."""
    expected, keys = Counter(), Counter()
    for row in ours:
        expected[row["run_date"], row["snapshot"], row["rule"]] += row["rows"]
        keys[row["run_date"], row["snapshot"], row["rule"]] += 1
    runs = defaultdict(list)
    for row in theirs.select(["run_id", "run_date", "snapshot", "rule", "key"]).to_pylist():
        if row["run_date"] in dates and row["rule"] in RULES:
            runs[row["run_date"], row["snapshot"], row["rule"], row["run_id"]].append(row["key"])
    for (*cell, run_id), found in sorted(runs.items(), key=repr):
        cell = tuple(cell)
        if len(found) != expected[cell]:
            yield f"{cell}, run {run_id}: ours {expected[cell]} rows, theirs {len(found)}"
        elif cell[2] == "conflicting_duplicate" and len(set(found)) != keys[cell]:
            yield f"{cell}, run {run_id}: ours {keys[cell]} keys, theirs {len(set(found))}"
    for cell in sorted(expected.keys() - {tuple(entry[:3]) for entry in runs}, key=repr):
        yield f"{cell}: ours {expected[cell]} rows, no run of the lake has any"


def compare_rejected(engine, lake, dates):
    ours = engine.rows("rejected_row")
    try:
        theirs = read_table(lake, "rejected_row")
    except FileNotFoundError:
        # Where nothing was ever rejected there is nothing to hold.
        if not ours:
            return 0, []
        raise
    return len(ours), list(rejected_differences(ours, theirs, dates))


def compare(engine, lake, dates):
    """Prints what was compared; True when all of it is equal."""
    equal = True
    for name in TABLES:
        try:
            if name == "rejected_row":
                count, differences = compare_rejected(engine, lake, dates)
            else:
                count, differences = compared(name, engine.rows(name), read_table(lake, name), dates)
        except FileNotFoundError as error:
            count, differences = 0, [str(error)]
        equal = equal and not differences
        print(f"{name}: {count} rows compared, {len(differences)} differences")
        for difference in differences[:SHOWN]:
            print(f"  {difference}")
    sys.stdout.flush()
    return equal


def as_arrow(name, rows):
    schema = pyarrow.schema([(column, ARROW[kind]) for column, kind in TABLES[name].columns.items()])
    return pyarrow.Table.from_pylist(rows, schema=schema)


def write(engine, out):
    """Our tables as Parquet: <out>/<dataset>/<table>.parquet, in the order of their keys."""
    for name, table in TABLES.items():
        folder = Path(out) / table.dataset
        folder.mkdir(parents=True, exist_ok=True)
        rows = sorted(engine.rows(name), key=lambda row: [repr(row[column]) for column in table.key])
        pyarrow.parquet.write_table(as_arrow(name, rows), folder / f"{name}.parquet")
        print(f"{name}: {len(rows)} rows")
