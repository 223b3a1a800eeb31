"""Exact money (R9): fractions until the end, then one rounding, half to even, to the minor unit of ISO 4217."""

from decimal import Decimal
from fractions import Fraction
from functools import cache

from iso4217 import Currency


@cache
def minor_unit(currency):
    """Decimals of the currency; None for one that ISO 4217 does not know or that has no minor unit there."""
    try:
        return Currency(currency).exponent
    except ValueError:
        return None


def rounded(amount, currency):
    """Half-even to the minor unit; None where the currency has none."""
    unit = minor_unit(currency)
    if unit is None:
        return None
    return Decimal(round(Fraction(amount) * 10**unit)).scaleb(-unit)
