"""The features of a user: product, add-ons, grants (R6, R7), and the windows of metered ones (R8)."""

from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from . import calendar
from .entitled import applies, blocked_by, phase_of, terms_of


class Value(NamedTuple):
    """Null, 0 and unlimited are three different things (R7)."""

    v_bool: bool | None
    v_int: int | None
    v_enum: str | None
    unlimited: bool


@dataclass(frozen=True)
class Entitlement:
    value: Value
    source: str
    value_type: str
    unit: str | None
    reset: str

    def changed_to(self, value, source):
        """A layer that leaves the value as it was is not its source."""
        return self if value == self.value else replace(self, value=value, source=source)


class Layer(NamedTuple):
    """A row of an add-on's product, and how many of the add-on there are."""

    row: object
    quantity: int


def value_of(row):
    return Value(row.v_bool, row.v_int, row.v_enum, row.unlimited)


def no_nulls(values):
    return [value for value in values if value is not None]


def product_rows(day, product_id, market, role, terms):
    """R5 and R6: of each feature of the product the row that wins among those that apply: the most specific one by
    market, then by role, then the latest. Without a role only rows for `*` count."""
    best = {}
    for row in day.features.get((product_id, market), []) + day.features.get((product_id, "*"), []):
        if row.role not in ("*", role) or not applies(row, terms, day.as_of):
            continue
        rank = (row.market != "*", row.role != "*", row.effective_from)
        if row.feature_id not in best or rank > best[row.feature_id][0]:
            best[row.feature_id] = (rank, row)
    return {feature_id: row for feature_id, (_, row) in best.items()}


def bought_addons(day, account):
    """R6: entitled add-ons that the account itself bought, with their phases, by product and subscription. One of an
    unknown plan has no product, and gives nothing."""
    found = []
    for subscription in day.owned.get(account.account_id, []):
        phase = phase_of(day, subscription)
        if subscription.category == "addon" and phase and blocked_by(day, subscription) is None:
            found.append((phase.product_id, subscription.subscription_id, subscription, phase))
    return [(subscription, phase) for _, _, subscription, phase in sorted(found, key=lambda entry: entry[:2])]


def addon_layers(day, account, holding):
    """R6: for each feature the rows of add-ons in their order: the included products of the phase, then what was bought.
    Included ones go by the subscription that includes them, bought ones by their own."""
    market, layers = day.market(account), {}

    def add(product_id, terms, quantity):
        for feature_id, row in product_rows(day, product_id, market, holding.role, terms).items():
            layers.setdefault(feature_id, []).append(Layer(row, quantity))

    if holding.known:
        subscription, _, phase = holding.known
        for product_id in sorted(set(no_nulls(phase.included_addons)) - {holding.product_id}):
            add(product_id, terms_of(day, subscription, phase), 1)
    for subscription, phase in bought_addons(day, account):
        add(phase.product_id, terms_of(day, subscription, phase), subscription.quantity)
    return layers


def or_more(value, other):
    """R6: the more generous of both; null is nothing. An enum stays as the first is. R7: unlimited absorbs everything, so to
    what is unlimited already a number adds nothing."""
    bools, numbers = no_nulls([value.v_bool, other.v_bool]), no_nulls([value.v_int, other.v_int])
    return Value(
        any(bools) if bools else None,
        value.v_int if value.unlimited else max(numbers, default=None),
        value.v_enum if value.v_enum is not None else other.v_enum,
        value.unlimited or other.unlimited,
    )


def merged(base, layers):
    """R6 and R7: the base product's row (or None) and the add-ons' by the `merge` of the base, else of the first add-on.
    All null stays null; unlimited anywhere makes it unlimited, but `override` takes the first add-on as it is."""
    merge = (base or layers[0].row).merge
    if layers and merge == "override":
        return value_of(layers[0].row)
    rows = ([base] if base else []) + [layer.row for layer in layers]
    value = reduce(or_more, map(value_of, rows))
    if merge == "sum" and not (base and base.unlimited):
        quantities = ([1] if base else []) + [layer.quantity for layer in layers]
        numbers = [row.v_int * times for row, times in zip(rows, quantities) if row.v_int is not None]
        value = value._replace(v_int=sum(numbers) if numbers else None)
    return value


def with_addons(base, layers):
    shape = base or layers[0].row
    value = merged(base, layers)
    source = "product" if base and value == value_of(base) else "addon"
    return Entitlement(value, source, shape.value_type, shape.unit, shape.reset)


def by_priority(grants):
    """Smallest priority, then latest start, then smallest id, the best first."""
    ordered = sorted(grants, key=lambda grant: grant.grant_id)
    ordered.sort(key=lambda grant: grant.effective_from, reverse=True)
    return sorted(ordered, key=lambda grant: grant.priority)


def topped_up(entitlement, topups, above_free):
    """R6, `topup`s: on a metered feature with a cap, and only above the free tier."""
    value = entitlement.value
    has_cap = value.v_int is not None and not value.unlimited
    if entitlement.value_type != "metered" or not has_cap or not above_free:
        return entitlement
    added = sum(grant.v_int or 0 for grant in topups)
    unlimited = any(grant.unlimited for grant in topups)
    return entitlement.changed_to(value._replace(v_int=value.v_int + added, unlimited=unlimited), "topup")


def with_grants(entitlement, grants, shape, above_free):
    """R6: removal, override, grant, topup, in this order. `entitlement` is None for a feature that neither the product
    nor an add-on gives; `shape` is its first row in the catalogue, None if no product has it, and then it stays absent."""
    of_kind = {kind: [grant for grant in grants if grant.kind == kind] for kind in ("removal", "override", "grant", "topup")}
    if of_kind["removal"]:
        return None
    if entitlement is None and (shape is None or not of_kind["override"] + of_kind["grant"]):
        return None
    if of_kind["override"]:
        shape = entitlement or shape
        value = value_of(by_priority(of_kind["override"])[0])
        entitlement = Entitlement(value, "override", shape.value_type, shape.unit, shape.reset)
    if of_kind["grant"]:
        given = reduce(or_more, map(value_of, by_priority(of_kind["grant"])))
        if entitlement is None:
            entitlement = Entitlement(given, "grant", shape.value_type, shape.unit, shape.reset)
        else:
            entitlement = entitlement.changed_to(or_more(entitlement.value, given), "grant")
    return topped_up(entitlement, of_kind["topup"], above_free)


def entitlements(day, account, holding):
    """R6: every feature that the account has."""
    terms = terms_of(day, holding.subscription, holding.known.phase) if holding.known else None
    base = product_rows(day, holding.product_id, day.market(account), holding.role, terms)
    layers = addon_layers(day, account, holding)
    found = {feature: with_addons(base.get(feature), layers.get(feature, [])) for feature in base.keys() | layers.keys()}
    grants = {}
    for grant in day.grants.get(account.account_id, []):
        grants.setdefault(grant.feature_id, []).append(grant)
    for feature, given in grants.items():
        shape = day.first_feature_rows.get(feature)
        found[feature] = with_grants(found.get(feature), given, shape, holding.above_free)
    return {feature: entitlement for feature, entitlement in found.items() if entitlement}


def billing_window(day, account, holding):
    """R8: from the winning subscription's boundaries with a monthly step; for the free product, from `created_at`."""
    if holding.known:
        subscription = holding.subscription
        return calendar.monthly_window(subscription.started_at, subscription.anchor_day, day.as_of)
    if account.created_at > day.as_of:
        return None
    return calendar.monthly_window(account.created_at, None, day.as_of)


def window(day, account, holding, reset):
    """R8: start and end of the window that holds the last instant of D; None for an account that has none yet."""
    if reset == "billing":
        return billing_window(day, account, holding)
    if reset == "calendar_month":
        month = calendar.midnight(calendar.month_of(day.date))
        return month, calendar.add_months(month, 1)
    return (day.midnight, day.next_midnight) if reset == "day" else (None, None)


def consumed_in(usage, bounds):
    """R8: a day's usage belongs to the window that holds the last instant of that day."""
    if bounds is None:
        return 0
    if bounds == (None, None):
        return sum(amount for _, amount in usage)
    return sum(amount for date, amount in usage if calendar.live(*bounds, calendar.as_of(date)))


def caps(day, account, holding, entitlements):
    """`feature_cap_daily` of one user: R7, R8. The entitlements are rows of the user's history that are open on the day: what
    a snapshot leaves out that is not complete, the user still has (R12)."""
    for row in entitlements:
        if row["value_type"] != "metered":
            continue
        feature_id, unlimited = row["feature_id"], row["unlimited"]
        bounds = window(day, account, holding, row["reset"])
        start, end = bounds or (None, None)
        consumed = consumed_in(day.usage.get((account.account_id, feature_id), []), bounds)
        cap = None if unlimited else row["v_int"]
        yield {
            "snapshot_date": day.date,
            "user_pid": row["user_pid"],
            "feature_id": feature_id,
            "product_id": row["product_id"],
            "country": day.market(account),
            "unit": row["unit"],
            "reset": row["reset"],
            "window_start": start,
            "window_end": end,
            "cap": cap,
            "unlimited": unlimited,
            "consumed": consumed,
            "remaining": None if cap is None else max(cap - consumed, 0),
            "exhausted": cap is not None and consumed >= cap,
        }
