"""Runs dbt over the tables that gatefold has published: `run_dbt.py sources.yml first-day [dbt command]`.

`GATEFOLD_PEERS_PROJECT` names the project, `GATEFOLD_PEERS_ENDPOINT` the BigQuery on loopback (http://127.0.0.1:port); without the
latter the real one is asked with the credentials of this machine. Prints one line of JSON: how many nodes ended how.
"""

import collections
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    # dbt would tell its makers of each call.
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    from dbt.cli.main import dbtRunner

    sources, first_day = Path(sys.argv[1]).resolve(), sys.argv[2]
    command = sys.argv[3] if len(sys.argv) > 3 else "build"
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "dbt"
        shutil.copytree(HERE / "dbt", project)
        shutil.copy(sources, project / "models" / "sources.yml")
        variables = json.dumps({"gatefold_tests_from": f"date '{first_day}'"})
        call = [command, "--project-dir", str(project), "--profiles-dir", str(project), "--vars", variables, "--quiet"]
        done = dbtRunner().invoke(call)
    if done.exception is not None:
        print(f"dbt {command}: {done.exception}", file=sys.stderr)
        return 1
    results = getattr(done.result, "results", [])
    for result in results:
        if result.status not in ("success", "pass"):
            print(f"{result.status}: {result.node.unique_id}: {result.message}", file=sys.stderr)
    print(json.dumps(collections.Counter(str(result.status) for result in results)))
    return 0 if done.success else 1


if __name__ == "__main__":
    sys.exit(main())
