"""python -m second_engine compare --lake LAKE --key KEY --days FROM..TO
python -m second_engine compute --lake LAKE --key KEY --days FROM..TO --out DIR
python -m second_engine invent --lake LAKE --days FROM..TO [--accounts N] [--seed N]"""

import argparse
import os
import sys
from datetime import date, timedelta

from . import compare, worlds
from .engine import compute


def days(text):
    first, _, last = text.partition("..")
    first, last = date.fromisoformat(first), date.fromisoformat(last or first)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def arguments():
    parser = argparse.ArgumentParser(prog="second_engine", description="The curated tables by a second implementation.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, told in {
        "compare": "hold a lake's tables against ours",
        "compute": "write ours as Parquet",
        "invent": "write random snapshots that are unkind on purpose",
    }.items():
        command = commands.add_parser(name, help=told)
        command.add_argument("--lake", required=True, help="folder with snapshots/ and tables/")
        command.add_argument("--days", required=True, type=days, help="FROM..TO, from the histories' first day on")
        if name != "invent":
            command.add_argument("--key", required=True, help="key of user_pid")
    commands.choices["compute"].add_argument("--out", required=True, help="folder to write to")
    commands.choices["invent"].add_argument("--accounts", type=int, default=500)
    commands.choices["invent"].add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main():
    given = arguments()
    if given.command == "invent":
        worlds.write(given.lake, given.days, given.accounts, given.seed)
        return 0
    engine = compute(given.lake, given.days, given.key.encode())
    if given.command == "compute":
        compare.write(engine, given.out)
        return 0
    return 0 if compare.compare(engine, given.lake, set(given.days)) else 1


if __name__ == "__main__":
    code = main()
    # Threads of the libraries may still run when the interpreter tears down, and would abort it after the result is told.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
