"""Has datacontract-cli lint every document that `gatefold export odcs` wrote: `lint_contracts.py folder`.

Prints one line of JSON: the name of each document that is valid. What is wrong with another stands on stderr.
"""

import json
import sys
from pathlib import Path

from datacontract.data_contract import DataContract


def main() -> int:
    files = sorted(Path(sys.argv[1]).glob("*.yaml"))
    valid = [file.name for file in files if is_valid(file)]
    print(json.dumps(valid))
    return 0 if len(valid) == len(files) else 1


def is_valid(file: Path) -> bool:
    run = DataContract(data_contract_file=str(file)).lint()
    for check in run.checks:
        if check.result != "passed":
            print(f"{file.name}: {check.name}: {check.result}: {check.reason}", file=sys.stderr)
    return run.has_passed()


if __name__ == "__main__":
    sys.exit(main())
