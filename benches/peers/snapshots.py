"""What of the domain all peers need: where the snapshots are, their keys, the instants of the day and the key of R13."""

import json
import os
import re
import time
from argparse import ArgumentParser
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).parent
COUNTRIES = (HERE / "countries.txt").read_text().split()
BOOKKEEPING = ["source_seq", "updated_at"]
KEYS = {
    "account": ["account_id"],
    "subscription": ["subscription_id"],
    "plan_member": ["subscription_id", "account_id"],
    "plan_phase": ["plan_id", "plan_version", "phase_seq"],
    "product_feature": ["product_id", "feature_id", "market", "role", "effective_from"],
    "account_grant": ["grant_id"],
    "feature_usage": ["account_id", "feature_id", "usage_date"],
    "erasure_request": ["request_id"],
}
USERS = ["account", "subscription", "plan_member", "plan_phase", "erasure_request"]
INPUTS = {
    "user_daily": USERS,
    "user_entitlement_history": [*USERS, "product_feature", "account_grant"],
    "feature_cap_daily": [*USERS, "feature_usage"],
}
HMAC_BLOCK = 64


class Task:
    """What the bench asks of a peer: one job on one day, from the files of a lake into a folder."""

    def __init__(self):
        parser = ArgumentParser()
        parser.add_argument("job", choices=INPUTS)
        parser.add_argument("--snapshots", required=True, type=Path)
        parser.add_argument("--history", type=Path, help="a folder with the files of user_entitlement_history")
        parser.add_argument("--date", required=True, type=date.fromisoformat)
        parser.add_argument("--into", required=True, type=Path)
        parser.add_argument("--threads", required=True, type=int)
        parser.add_argument("--memory-mib", required=True, type=int)
        self.__dict__.update(vars(parser.parse_args()))
        self.key = os.environ["GATEFOLD_PSEUDONYM_KEY"]
        self.inputs = INPUTS[self.job]

    def start(self):
        """The engine is there. What came before is its start, and not the job."""
        self.started = time.perf_counter()
        self.into.mkdir(parents=True)

    def tell(self):
        """For the bench: the seconds since the start."""
        print(json.dumps({"seconds": time.perf_counter() - self.started}))

    def files(self, snapshot):
        return sorted(map(str, (self.snapshots / snapshot / f"snapshot_date={self.date}").glob("*.parquet")))

    def history_files(self):
        return sorted(map(str, self.history.rglob("*.parquet")))

    def pads(self):
        """The key as HMAC lays it over a block, for peers that have SHA-256 alone."""
        block = self.key.encode().ljust(HMAC_BLOCK, b"\0")
        return {f"{side}_pad": bytes(byte ^ mask for byte in block).hex() for side, mask in (("inner", 0x36), ("outer", 0x5C))}

    def sql(self, name, **words):
        """A file of `sql/` with the day's values, and an engine's own words, in place of their names."""
        values = self.pads() | words | {
            "as_of": f"TIMESTAMP '{self.date} 23:59:59.999999'",
            "midnight": f"TIMESTAMP '{self.date} 00:00:00'",
            "next_midnight": f"TIMESTAMP '{self.date + timedelta(days=1)} 00:00:00'",
            "snapshot_date": f"DATE '{self.date}'",
            "countries": ", ".join(f"'{code}'" for code in COUNTRIES),
        }
        text = (HERE / "sql" / f"{name}.sql").read_text()
        return re.sub(r"\$(\w+)", lambda name: values[name[1]], text)


def steps_of(instants):
    """A function of SQL: how many of the instants are at or before its argument."""
    steps = " ".join(f"WHEN t >= TIMESTAMP '{at}' THEN {count}" for count, at in reversed(list(enumerate(instants, 1))))
    return f"CASE {steps} ELSE 0 END"
