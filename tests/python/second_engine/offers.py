"""What can be redeemed where (R9): `offer_availability_daily`."""

from functools import cache

from .prices import STANDARD, in_currency, net_price, price_row


def markets(day):
    """All markets that a price, a feature or an offer names, without `*`."""
    named = {row.market for name in ("price", "product_feature") for row in day.rows(name)}
    named.update(market for offer in day.rows("offer") for market in offer.markets)
    return sorted(named - {"*", None})


def phases_on_sale(day, plan_id):
    """Active and live phases of the greatest version that has any, in their order."""
    on_sale = [
        phase
        for (plan, _), phases in day.phases.items()
        for phase in phases
        if plan == plan_id and phase.status == "active" and day.live(phase.effective_from, phase.effective_to)
    ]
    version = max((phase.plan_version for phase in on_sale), default=None)
    return [phase for phase in on_sale if phase.plan_version == version]


def price_on_sale(day, phases, market):
    """The live `standard` price of the first phase that is billed."""
    billed = next((phase for phase in phases if phase.billing_period != "none"), None)
    if billed is None:
        return None
    return price_row(day, billed.plan_id, billed.plan_version, billed.phase_seq, market, STANDARD, None)


def reason(day, offer, market, phases, price):
    """R9: the first that holds."""
    if day.as_of < offer.starts_at:
        return "not_started"
    if offer.redeem_by is not None and offer.redeem_by <= day.as_of:
        return "ended"
    if market not in offer.markets and "*" not in offer.markets:
        return "market_excluded"
    if not phases:
        return "plan_retired"
    if price is None:
        return "no_price"
    if not in_currency(offer, price.currency):
        return "currency_mismatch"
    redeemed = len(day.redemptions_of.get(offer.offer_id, []))
    if offer.max_redemptions is not None and redeemed >= offer.max_redemptions:
        return "sold_out"
    return "available"


def offer_availability_daily(day):
    """R9: one row per offer, plan and market."""
    on_sale = cache(lambda plan_id: phases_on_sale(day, plan_id))
    for offer in day.rows("offer"):
        for plan_id in sorted({plan_id for plan_id in offer.plan_ids if plan_id is not None}):
            for market in markets(day):
                price = price_on_sale(day, on_sale(plan_id), market)
                why = reason(day, offer, market, on_sale(plan_id), price)
                has_net = price is not None and in_currency(offer, price.currency)
                yield {
                    "snapshot_date": day.date,
                    "offer_id": offer.offer_id,
                    "plan_id": plan_id,
                    "market": market,
                    "available": why == "available",
                    "reason": why,
                    "list_price": price.amount if price else None,
                    "net_price": net_price(price.amount, [offer], price.currency) if has_net else None,
                    "currency": price.currency if price else None,
                }
