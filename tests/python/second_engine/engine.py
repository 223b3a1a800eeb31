"""All curated tables, day by day, from the snapshots."""

from collections import defaultdict
from datetime import timedelta

from . import features, histories, snapshots
from .day import Day
from .entitled import holding
from .offers import offer_availability_daily
from .prices import user_price_daily
from .tables import TABLES
from .users import tier_metrics_daily, user_pii, user_row


def rejected_rows(day):
    """R1: the keys that are rejected, and how many rows of each."""
    for name, snapshot in day.snapshots.items():
        for entry in snapshot.rejected:
            yield {
                "run_date": day.date,
                "snapshot": name,
                "rule": entry.rule,
                "key": [None if part is None else str(part) for part in entry.key],
                "rows": entry.rows,
            }


def entitlements_of(day, held):
    for account in day.users:
        found = features.entitlements(day, account, held[account.account_id])
        yield from histories.user_entitlement_state(day, account, held[account.account_id], found)


class Engine:
    """Takes the days in their order. `rows` of a day's table are those of all days taken; a history's are as they stand
    after the last of them; `user_pii` is that of the last day."""

    def __init__(self, key):
        self.key = key
        self.daily = {name: [] for name, table in TABLES.items() if table.day_column}
        self.histories = {name: histories.History(name) for name in histories.INPUTS}
        self.pii = []
        self.users_before = None
        self.last_date = None

    def take(self, date, snapshots_of_day):
        day = Day(date, snapshots_of_day, self.key)
        held = {account.account_id: holding(day, account) for account in day.users}
        users = [user_row(day, account, held[account.account_id]) for account in day.users]
        self.take_histories(day, {
            "product_feature_history": histories.product_feature_state(day),
            "plan_price_history": histories.plan_price_state(day),
            "user_subscription_history": histories.user_subscription_state(day),
            "user_entitlement_history": entitlements_of(day, held),
        })
        follows = self.last_date is not None and date - self.last_date == timedelta(days=1)
        metrics = tier_metrics_daily(date, users, self.users_before if follows else None)
        tables = {
            "user_daily": users,
            "feature_cap_daily": self.caps_of(day, held),
            "tier_metrics_daily": metrics,
            "user_price_daily": user_price_daily(day),
            "offer_availability_daily": offer_availability_daily(day),
            "rejected_row": rejected_rows(day),
        }
        for name, rows in tables.items():
            self.daily[name].extend(rows)
        self.pii = list(user_pii(day))
        self.users_before, self.last_date = users, date

    def caps_of(self, day, held):
        """Of the entitlements that are open after the day; the histories have taken it in."""
        entitlements = defaultdict(list)
        for row in self.histories["user_entitlement_history"].open_rows():
            entitlements[row["user_pid"]].append(row)
        for account in day.users:
            found = entitlements[day.pid(account.account_id)]
            yield from features.caps(day, account, held[account.account_id], found)

    def take_histories(self, day, states):
        forgotten = {day.pid(account_id) for account_id in day.erased}
        for name, state in states.items():
            complete = all(day.snapshots[snapshot].complete for snapshot in histories.INPUTS[name])
            self.histories[name].apply(day.date, state, complete, histories.held_keys(day, name), forgotten)

    def rows(self, name):
        if name in self.histories:
            return list(self.histories[name].rows())
        return self.pii if name == "user_pii" else self.daily[name]


def compute(lake, dates, key):
    engine, connection = Engine(key), snapshots.connect()
    for date in sorted(dates):
        engine.take(date, snapshots.read_day(connection, lake, date))
    return engine
