"""The rows of one day, found by what the rules ask for."""

import hmac
from collections import defaultdict
from datetime import timedelta
from functools import cache, cached_property

import pycountry

from . import calendar


@cache
def is_country(code):
    """R11: an upper-case code of ISO 3166-1, or XK."""
    return code == "XK" or any(country.alpha_2 == code for country in pycountry.countries)


def grouped(rows, *columns):
    """Rows by one column, or by a tuple of several."""
    groups = defaultdict(list)
    for row in rows:
        values = tuple(getattr(row, column) for column in columns)
        groups[values if len(columns) > 1 else values[0]].append(row)
    return dict(groups)


class Day:
    def __init__(self, date, snapshots, key):
        self.date = date
        self.as_of = calendar.as_of(date)
        self.snapshots = snapshots
        self.pid = cache(lambda account_id: pseudonym(key, account_id))

    def rows(self, name):
        return self.snapshots[name].rows

    def live(self, begin, end):
        return calendar.live(begin, end, self.as_of)

    @cached_property
    def accounts(self):
        return {row.account_id: row for row in self.rows("account")}

    @cached_property
    def erased(self):
        """R13: the accounts with a request at or before the day's end."""
        return {row.account_id for row in self.rows("erasure_request") if row.requested_at <= self.as_of}

    @cached_property
    def users(self):
        """The accounts that the user tables have."""
        return [row for row in self.rows("account") if row.account_id not in self.erased]

    @cached_property
    def subscriptions(self):
        return {row.subscription_id: row for row in self.rows("subscription")}

    @cached_property
    def owned(self):
        return grouped(self.rows("subscription"), "account_id")

    @cached_property
    def memberships(self):
        """Live ones, by account."""
        live = (row for row in self.rows("plan_member") if self.live(row.joined_at, row.left_at))
        return grouped(live, "account_id")

    @cached_property
    def phases(self):
        """Phases of a plan's version, in their order."""
        ordered = sorted(self.rows("plan_phase"), key=lambda row: row.phase_seq)
        return grouped(ordered, "plan_id", "plan_version")

    @cached_property
    def features(self):
        return grouped(self.rows("product_feature"), "product_id", "market")

    @cached_property
    def first_feature_rows(self):
        """R6: what a feature that only grants give is: its first row by product, market, role and time."""
        first = {}
        for row in sorted(self.rows("product_feature"), key=lambda r: (r.product_id, r.market, r.role, r.effective_from)):
            first.setdefault(row.feature_id, row)
        return first

    @cached_property
    def prices(self):
        return grouped(self.rows("price"), "plan_id", "plan_version", "phase_seq", "market", "cohort")

    @cached_property
    def offers(self):
        return {row.offer_id: row for row in self.rows("offer")}

    @cached_property
    def live_grants(self):
        """R6: live on [effective_from, expires_at) and before voided_at."""
        return [
            row
            for row in self.rows("account_grant")
            if self.live(row.effective_from, row.expires_at) and (row.voided_at is None or self.as_of < row.voided_at)
        ]

    @cached_property
    def grants(self):
        """Live ones that concern features, by account."""
        of_features = (row for row in self.live_grants if row.kind != "offer_redemption" and row.feature_id is not None)
        return grouped(of_features, "account_id")

    @cached_property
    def redemptions(self):
        return [row for row in self.live_grants if row.kind == "offer_redemption"]

    @cached_property
    def redemptions_on(self):
        return grouped(self.redemptions, "subscription_id")

    @cached_property
    def redemptions_of(self):
        return grouped(self.redemptions, "offer_id")

    @cached_property
    def usage(self):
        """Consumption up to D, by account and feature: pairs of date and amount."""
        found = defaultdict(list)
        for account_id, feature_id, date, consumed in self.rows("feature_usage"):
            if date <= self.date:
                found[account_id, feature_id].append((date, consumed))
        return found

    @property
    def midnight(self):
        return calendar.midnight(self.date)

    @property
    def next_midnight(self):
        return self.midnight + timedelta(days=1)

    def market(self, account):
        """R11: the country, or ZZ. It is the market of the user."""
        return account.country if is_country(account.country) else "ZZ"


def pseudonym(key, account_id):
    """R13."""
    return hmac.new(key, account_id.encode(), "sha256").hexdigest()[:32]
