"""`python -m cloud.query "SQL"`: asks a BigQuery with Google's own client and prints the rows as a table.

It asks the one that `make cloud` starts; `--endpoint` names another on loopback, and `--google` asks the real one with the
credentials of this machine.
"""

from __future__ import annotations

import argparse

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

ROWS_MAX = 50


def client(endpoint: str | None, project: str) -> bigquery.Client:
    """`None` is the real one."""
    if endpoint is None:
        return bigquery.Client(project=project)
    options = ClientOptions(api_endpoint=endpoint)
    return bigquery.Client(project=project, credentials=AnonymousCredentials(), client_options=options)


def as_table(names: list[str], rows: list[tuple]) -> str:
    texts = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max(len(line[column]) for line in [names, *texts]) for column in range(len(names))]
    lines = [" | ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in [names, *texts]]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(prog="cloud.query", description=__doc__)
    parser.add_argument("sql")
    parser.add_argument("--endpoint", default="http://127.0.0.1:9050")
    parser.add_argument("--google", action="store_true", help="ask the real BigQuery")
    parser.add_argument("--project", default="gatefold-loopback")
    asked = parser.parse_args()
    found = client(None if asked.google else asked.endpoint, asked.project).query(asked.sql).result()
    rows = [tuple(row.values()) for _, row in zip(range(ROWS_MAX), found)]
    print(as_table([field.name for field in found.schema], rows))
    print(f"{len(rows)} of {found.total_rows} rows")


if __name__ == "__main__":
    main()
