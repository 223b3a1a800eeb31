"""Slowly changing dimensions of type 2 (R12), and what each history takes from a day."""

from . import money
from .calendar import midnight
from .entitled import blocked_by, phase_of
from .tables import TABLES

# The snapshots that a history is made of: one of them not complete, and nothing is closed by absence.
INPUTS = {
    "product_feature_history": ["product_feature"],
    "plan_price_history": ["price"],
    "user_subscription_history": ["account", "subscription", "plan_phase", "erasure_request"],
    "user_entitlement_history": [
        "account",
        "subscription",
        "plan_member",
        "plan_phase",
        "product_feature",
        "account_grant",
        "erasure_request",
    ],
}


class History:
    """R12: rows of one table, compared by the values of their columns."""

    def __init__(self, name):
        table = TABLES[name]
        self.key = [column for column in table.key if column != "valid_from"]
        self.values = [
            column for column in table.columns if column not in (*table.key, "valid_to", "is_current")
        ]
        self.closed = []
        self.open = {}

    def apply(self, date, rows, complete, held=frozenset(), forgotten=frozenset()):
        """One day. `held` are keys (or the first columns of keys) of which the snapshot had rows that were rejected: they
        are not missing, so nothing is closed. `forgotten` are users who asked for erasure (R13)."""
        self.forget(forgotten)
        state = {tuple(row[column] for column in self.key): {column: row[column] for column in self.values} for row in rows}
        missing = [key for key in self.open if key not in state] if complete else []
        for key in missing:
            if not any(key[:length] in held for length in range(1, len(key) + 1)):
                self.close(key, date)
        for key, values in state.items():
            if key in self.open and self.open[key][1] == values:
                continue
            if key in self.open:
                self.close(key, date)
            self.open[key] = (midnight(date), values)

    def close(self, key, date):
        valid_from, values = self.open.pop(key)
        self.closed.append((key, valid_from, values, midnight(date)))

    def forget(self, users):
        """R13: a history forgets an erased account, its open rows and its closed ones."""
        if not users:
            return

        def keeps(key, values):
            user = values["user_pid"] if "user_pid" in values else dict(zip(self.key, key)).get("user_pid")
            return user not in users

        self.closed = [entry for entry in self.closed if keeps(entry[0], entry[2])]
        self.open = {key: entry for key, entry in self.open.items() if keeps(key, entry[1])}

    def open_rows(self):
        for key, (_, values) in self.open.items():
            yield dict(zip(self.key, key)) | values

    def rows(self):
        still_open = [(key, valid_from, values, None) for key, (valid_from, values) in self.open.items()]
        for key, valid_from, values, valid_to in self.closed + still_open:
            row = dict(zip(self.key, key)) | values
            yield row | {"valid_from": valid_from, "valid_to": valid_to, "is_current": valid_to is None}


def catalogue_state(day, snapshot, key):
    """R12: per key the row that is live at the day's end, the latest where several are."""
    latest = {}
    for row in day.rows(snapshot):
        if day.live(row.effective_from, row.effective_to):
            found = latest.get(tuple(getattr(row, column) for column in key))
            if found is None or found.effective_from < row.effective_from:
                latest[tuple(getattr(row, column) for column in key)] = row
    return [row._asdict() for row in latest.values()]


def product_feature_state(day):
    return catalogue_state(day, "product_feature", ("product_id", "feature_id", "market", "role"))


def plan_price_state(day):
    rows = catalogue_state(day, "price", ("plan_id", "plan_version", "phase_seq", "market", "cohort"))
    return [row | {"minor_unit": money.minor_unit(row["currency"])} for row in rows]


def user_subscription_state(day):
    """Every subscription of the snapshot, sandbox ones too, unless the owner is erased."""
    for subscription in day.rows("subscription"):
        if subscription.account_id in day.erased:
            continue
        phase, blocked = phase_of(day, subscription), blocked_by(day, subscription)
        yield subscription._asdict() | {
            "user_pid": day.pid(subscription.account_id),
            "phase_seq": phase.phase_seq if phase else None,
            "entitled": blocked is None,
            "blocked_by": blocked,
        }


def user_entitlement_state(day, account, holding, found):
    """Every feature that the user has."""
    for feature_id, entitlement in found.items():
        yield entitlement.value._asdict() | {
            "user_pid": day.pid(account.account_id),
            "feature_id": feature_id,
            "value_type": entitlement.value_type,
            "source": entitlement.source,
            "product_id": holding.product_id,
            "unit": entitlement.unit,
            "reset": entitlement.reset,
        }


def held_keys(day, name):
    """Keys of the history of which the day's snapshot had rows, though rejected (R1)."""

    def conflicts(snapshot):
        return [entry.key for entry in day.snapshots[snapshot].rejected if entry.rule == "conflicting_duplicate"]

    if name == "user_subscription_history":
        return set(conflicts("subscription"))
    if name == "user_entitlement_history":
        return {(day.pid(key[0]),) for key in conflicts("account")}
    # In the catalogue's snapshots the key ends with effective_from, in its histories it does not.
    snapshot = "product_feature" if name == "product_feature_history" else "price"
    return {key[:-1] for key in conflicts(snapshot)}
