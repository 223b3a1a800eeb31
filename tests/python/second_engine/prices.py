"""What a subscription costs (R9): `user_price_daily`."""

from fractions import Fraction

from . import calendar, money
from .entitled import applies, blocked_by, phase_of, terms_of

STANDARD = "standard"


def price_row(day, plan_id, plan_version, phase_seq, market, cohort, terms):
    """R9: the applying row of the market, else of `*`; among those of one market the latest."""
    for where in (market, "*"):
        rows = day.prices.get((plan_id, plan_version, phase_seq, where, cohort), [])
        applying = [row for row in rows if applies(row, terms, day.as_of)]
        if applying:
            return max(applying, key=lambda row: row.effective_from)
    return None


def cohort_of(subscription):
    return STANDARD if subscription.price_cohort is None else subscription.price_cohort


def list_price(day, subscription, phase, market):
    """R9: the price of one, and the flag that says why there is none."""
    if subscription.locked_price is not None:
        known = money.minor_unit(subscription.currency) is not None
        return subscription.locked_price, None if known else "unknown_currency"
    if phase is None:
        return None, "no_price"
    terms = terms_of(day, subscription, phase)
    row = price_row(
        day, subscription.plan_id, subscription.plan_version, phase.phase_seq, market, cohort_of(subscription), terms
    )
    if row is None:
        return None, "no_price"
    if row.currency != subscription.currency:
        return None, "currency_mismatch"
    return row.amount, None if money.minor_unit(row.currency) is not None else "unknown_currency"


def in_its_time(offer, redeemed_at, phase, as_of):
    """R9: `once` counts for one billing period of the phase from the redemption on, `repeating` for `cycles` of them,
    `forever` always."""
    if offer.frequency == "forever":
        return True
    periods = 1 if offer.frequency == "once" else offer.cycles
    if periods is None or phase is None or phase.billing_period == "none":
        return False
    return as_of < calendar.add_periods(redeemed_at, periods, phase.billing_period)


def in_currency(offer, currency):
    """R9: a percentage has none; `fixed` and `replace` count only in the price's."""
    return offer.discount_type == "percent" or offer.currency == currency


def counting_offers(day, subscription, phase):
    """R9: offers of live redemptions on the subscription, in their time; redeemed twice counts once."""
    found = {}
    for grant in day.redemptions_on.get(subscription.subscription_id, []):
        offer = day.offers.get(grant.offer_id)
        if offer and in_currency(offer, subscription.currency) and in_its_time(offer, grant.effective_from, phase, day.as_of):
            found[offer.offer_id] = offer
    return [found[offer_id] for offer_id in sorted(found)]


def less_percent(price, offer):
    return price * (1 - Fraction(offer.value) / 100)


def alone(price, offer):
    """R9: the price with this offer only, never below 0."""
    if offer.discount_type == "percent":
        return max(less_percent(price, offer), 0)
    return max(Fraction(offer.value) if offer.discount_type == "replace" else price - Fraction(offer.value), 0)


def stacked(price, offers):
    """R9: the smallest `replace` in place of the price, every percentage, every fixed amount; never below 0 in the end."""
    of_type = {kind: [offer for offer in offers if offer.discount_type == kind] for kind in ("replace", "percent", "fixed")}
    price = min((Fraction(offer.value) for offer in of_type["replace"]), default=price)
    for offer in sorted(of_type["percent"], key=lambda offer: offer.priority):
        price = less_percent(price, offer)
    for offer in of_type["fixed"]:
        price -= Fraction(offer.value)
    return max(price, 0)


def net_price(price, offers, currency):
    """R9: the lower of the best single offer and all stackable ones together; nothing is rounded before the end."""
    price = Fraction(price)
    stackable = [offer for offer in offers if offer.stackable]
    results = [alone(price, offer) for offer in offers] + ([stacked(price, stackable)] if stackable else [])
    return money.rounded(min(results, default=price), currency)


def user_price_daily(day):
    """R9: every entitled subscription, add-ons too, whose owner is not erased."""
    for subscription in day.rows("subscription"):
        if subscription.account_id in day.erased or blocked_by(day, subscription) is not None:
            continue
        phase = phase_of(day, subscription)
        market = day.market(day.accounts[subscription.account_id])
        price, flag = list_price(day, subscription, phase, market)
        offers = [] if price is None else counting_offers(day, subscription, phase)
        yield {
            "snapshot_date": day.date,
            "subscription_id": subscription.subscription_id,
            "user_pid": day.pid(subscription.account_id),
            "plan_id": subscription.plan_id,
            "market": market,
            "list_price": price,
            "cohort": cohort_of(subscription),
            "offer_ids": [offer.offer_id for offer in offers],
            "net_price": None if price is None else net_price(price, offers, subscription.currency),
            "currency": subscription.currency,
            "price_flag": flag,
        }
