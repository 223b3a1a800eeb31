"""Who is entitled to what: subscriptions (R3), the effective product (R4), phases and grandfathering (R5)."""

from datetime import datetime
from typing import NamedTuple

from . import calendar

FREE_PRODUCT, FREE_TIER, FREE_RANK = "free", "free", 0


def state_allows(subscription, as_of):
    """R3: a null limit does not allow it; states that are not named do not."""
    limit = {"grace": subscription.grace_until, "cancelled": subscription.paid_through_at}.get(subscription.state)
    return subscription.state == "active" or (limit is not None and as_of < limit)


def owner_is_active(day, account_id):
    """An owner that the account snapshot does not know is not active."""
    account = day.accounts.get(account_id)
    return account is not None and account.status == "active"


def base_is_entitled(day, addon):
    """Only an entitled subscription of category `base` carries an add-on; nothing is asked about who owns it."""
    base = day.subscriptions.get(addon.base_subscription_id)
    return base is not None and base.category == "base" and blocked_by(day, base) is None


def blocked_by(day, subscription):
    """R3: the first condition that fails; None when the subscription is entitled."""
    if subscription.is_sandbox:
        return "sandbox"
    if subscription.started_at > day.as_of:
        return "not_started"
    if subscription.ends_at is not None and subscription.ends_at <= day.as_of:
        return "ended"
    if not state_allows(subscription, day.as_of):
        return "state"
    if not owner_is_active(day, subscription.account_id):
        return "account"
    if subscription.category == "addon" and not base_is_entitled(day, subscription):
        return "base"
    return None


def phase_of(day, subscription):
    """R5: its phase at the day's end; None before the start and for a plan's version that the catalogue does not know."""
    phases = day.phases.get((subscription.plan_id, subscription.plan_version))
    return calendar.phase_at(phases, subscription.started_at, day.as_of)


class Terms(NamedTuple):
    """What of a subscription decides which rows of the catalogue apply to it."""

    started_at: datetime
    latest_boundary: datetime


def terms_of(day, subscription, phase):
    """R5: the billing period is that of the phase at the day's end."""
    period = phase.billing_period if phase else "none"
    start = subscription.started_at
    return Terms(start, calendar.latest_boundary(start, subscription.anchor_day, period, day.as_of))


def applies(row, terms, as_of):
    """R5 for a row of `product_feature` or `price`. Without a subscription, the row that is live applies.

    "The first billing boundary at or after `existing_from` is at or before `as_of`" says the same as "the latest
    boundary at or before `as_of` is at or after `existing_from`"."""
    if row.effective_from > as_of:
        return False
    if terms is None:
        return calendar.live(row.effective_from, row.effective_to, as_of)
    if calendar.live(row.effective_from, row.effective_to, terms.started_at):
        return True
    return row.existing_from is not None and row.existing_from <= terms.latest_boundary


class Candidate(NamedTuple):
    subscription: object
    role: str
    phase: object


class Holding(NamedTuple):
    """What an account effectively has (R4). `winner` is None without an entitled base subscription."""

    product_id: str
    tier: str
    tier_rank: int
    winner: Candidate | None

    @property
    def subscription(self):
        return self.winner.subscription if self.winner else None

    @property
    def role(self):
        return self.winner.role if self.winner else None

    @property
    def known(self):
        """R5: the winner, unless its plan or phase is unknown; "no subscription" is otherwise."""
        return self.winner if self.winner and self.winner.phase else None

    @property
    def above_free(self):
        return self.tier != FREE_TIER


def candidates(day, account):
    """R4: entitled base subscriptions that the account owns or is a member of; none unless its own status is active."""
    if account.status != "active":
        return []
    roles = [(row, "manager") for row in day.owned.get(account.account_id, [])]
    for membership in day.memberships.get(account.account_id, []):
        if membership.subscription_id in day.subscriptions:
            roles.append((day.subscriptions[membership.subscription_id], membership.role))
    return [
        Candidate(subscription, role, phase_of(day, subscription))
        for subscription, role in roles
        if subscription.category == "base" and blocked_by(day, subscription) is None
    ]


def preference(candidate):
    """R4 as a sort key, the best first: greatest rank (an unknown phase last), manager, latest start, smallest id."""
    subscription, role, phase = candidate
    since = subscription.started_at - datetime.min
    return (phase is None, -phase.tier_rank if phase else 0, role != "manager", -since, subscription.subscription_id)


def holding(day, account):
    """R4: the effective product, that of the phase of R5; the project's default is `free`."""
    winner = min(candidates(day, account), key=preference, default=None)
    if winner is None or winner.phase is None:
        return Holding(FREE_PRODUCT, FREE_TIER, FREE_RANK, winner)
    return Holding(winner.phase.product_id, winner.phase.tier, winner.phase.tier_rank, winner)
