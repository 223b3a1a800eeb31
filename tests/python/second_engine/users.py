"""Users: lifecycle (R10), age (R11), what is told about them (R13), and the counts over all of them."""

from collections import Counter

from . import calendar

BANDS = {13: "under_13", 16: "13_15", 18: "16_17", 25: "18_24", 35: "25_34", 45: "35_44", 55: "45_54", 65: "55_64"}
OLDEST = 120


def age_band(born, day):
    """R11: the band, and whether the date of birth is implausible."""
    if born is None:
        return "unknown", False
    years = calendar.completed_years(born, day)
    if born > day or years > OLDEST:
        return "unknown", True
    return next((band for below, band in BANDS.items() if years < below), "65_plus"), False


def winner_lifecycle(subscription, tier, as_of):
    if subscription.state == "grace":
        return "grace"
    if subscription.state == "cancelled":
        return "cancelled_paid_through"
    if subscription.trial_end_at is not None and as_of < subscription.trial_end_at:
        return "trial"
    return "free" if tier == "free" else "paid"


def lifecycle(day, account, holding):
    """R10: the first that holds. Without a winner, the account's own base subscriptions say what became of it."""
    if account.status in ("closed", "closing", "disabled"):
        return account.status
    if holding.winner:
        return winner_lifecycle(holding.subscription, holding.tier, day.as_of)
    states = {
        row.state
        for row in day.owned.get(account.account_id, [])
        if row.category == "base" and not row.is_sandbox and row.started_at <= day.as_of
    }
    for state in ("on_hold", "paused"):
        if state in states:
            return state
    return "lapsed" if states - {"pending"} else "free"


def quality_flags(implausible, known_country):
    flags = ["implausible_birth_date"] if implausible else []
    return flags if known_country else flags + ["unknown_country"]


def user_row(day, account, holding):
    """R4, R10, R11: a row of `user_daily`."""
    stage = lifecycle(day, account, holding)
    band, implausible = age_band(account.birth_date, day.date)
    country = day.market(account)
    is_trial = stage == "trial"
    return {
        "snapshot_date": day.date,
        "user_pid": day.pid(account.account_id),
        "country": country,
        "lifecycle_state": stage,
        "age_band": band,
        "signup_month": calendar.month_of(account.created_at),
        "email_verified": account.email_verified,
        "effective_product": holding.product_id,
        "effective_plan": holding.subscription.plan_id if holding.winner else None,
        "tier": holding.tier,
        "tier_rank": holding.tier_rank,
        "role": holding.role,
        "is_paid": holding.above_free and not is_trial,
        "is_trial": is_trial,
        "quality_flags": quality_flags(implausible, country != "ZZ"),
    }


def user_pii(day):
    """R13: the restricted table that leads back from `user_pid` to a person."""
    for account in day.users:
        yield {
            "user_pid": day.pid(account.account_id),
            "account_id": account.account_id,
            "email": account.email,
            "birth_date": account.birth_date,
            "locale": account.locale,
        }


def cell(row):
    return row["country"], row["tier"], row["effective_product"]


def tier_metrics_daily(date, users, users_before):
    """Counts by country, tier and product. Who became paid counts in the cell of today, who stopped in the cell of the
    day before; without a table of the day before (None) both are 0."""
    before = {row["user_pid"]: row for row in users_before or []}
    today = {row["user_pid"]: row for row in users}
    paid_before = {pid for pid, row in before.items() if row["is_paid"]}
    paid_today = {pid for pid, row in today.items() if row["is_paid"]}
    gained = set() if users_before is None else paid_today - paid_before
    counts = {
        "accounts": Counter(map(cell, users)),
        "paid": Counter(cell(today[pid]) for pid in paid_today),
        "trial": Counter(cell(row) for row in users if row["is_trial"]),
        "grace": Counter(cell(row) for row in users if row["lifecycle_state"] == "grace"),
        "conversions": Counter(cell(today[pid]) for pid in gained),
        "churned": Counter(cell(before[pid]) for pid in paid_before - paid_today),
    }
    for market, tier, product_id in sorted(set().union(*counts.values())):
        row = {"snapshot_date": date, "market": market, "tier": tier, "product_id": product_id}
        yield row | {name: count[market, tier, product_id] for name, count in counts.items()}
