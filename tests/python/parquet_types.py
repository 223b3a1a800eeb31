"""Prints the columns of Parquet files and their types, as Arrow's C++ reader sees them: one JSON object a file."""

import json
import sys

import pyarrow
import pyarrow.parquet


def told(kind):
    """A list's item has a name in the file that differs between writers and means nothing."""
    return f"list<{kind.value_type}>" if pyarrow.types.is_list(kind) else str(kind)


for path in sys.argv[1:]:
    schema = pyarrow.parquet.read_schema(path)
    print(json.dumps({field.name: told(field.type) for field in schema}))
