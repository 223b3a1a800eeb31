"""Time (R2), billing boundaries and phases (R5), windows (R8). Moments are naive datetimes in UTC."""

from calendar import monthrange
from datetime import date, datetime, time, timedelta

INSTANT = timedelta(microseconds=1)
DAY = timedelta(days=1)
DAYS_OF = {"day": 1, "week": 7}
MONTHS_OF = {"month": 1, "year": 12}
BEYOND = datetime.max


def midnight(day):
    return datetime.combine(day, time())


def as_of(day):
    """R2: a snapshot for D describes D as it ended, its last microsecond."""
    return midnight(day) + DAY - INSTANT


def live(begin, end, moment):
    """R2: intervals are half-open; a null end is open."""
    return begin <= moment and (end is None or moment < end)


def add_months(moment, months, on_day=None):
    """As many months later on the given day (or the moment's own), clamped to the end of the month."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if year > BEYOND.year:
        return BEYOND
    day = min(on_day or moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def add_periods(moment, count, unit):
    """`count` days, weeks, months or years later."""
    if unit in MONTHS_OF:
        return add_months(moment, count * MONTHS_OF[unit])
    try:
        return moment + timedelta(days=count * DAYS_OF[unit])
    except OverflowError:
        return BEYOND


def boundary(started_at, anchor_day, period, k):
    """R5: billing boundary k. Boundary 0 is the start; the others are each counted from the anchor, without drift.
    The anchor day matters to months and years alone."""
    if k == 0:
        return started_at
    if period in MONTHS_OF:
        return add_months(started_at, k * MONTHS_OF[period], anchor_day)
    return add_periods(started_at, k, period)


def latest_boundary_number(started_at, anchor_day, period, moment):
    """The greatest k whose boundary is at or before the moment; the moment is not before the start."""
    if period == "none":
        return 0
    if period in DAYS_OF:
        return (moment - started_at) // timedelta(days=DAYS_OF[period])
    months = (moment.year - started_at.year) * 12 + moment.month - started_at.month
    k = months // MONTHS_OF[period]
    return k if boundary(started_at, anchor_day, period, k) <= moment else k - 1


def latest_boundary(started_at, anchor_day, period, moment):
    k = latest_boundary_number(started_at, anchor_day, period, moment)
    return boundary(started_at, anchor_day, period, k)


def phase_at(phases, started_at, moment):
    """R5: phases run in their order from the start, each for its length. One with no length runs for ever, and so does
    the last one. None before the start, and where there are no phases."""
    if not phases or moment < started_at:
        return None
    begin = started_at
    for phase in phases[:-1]:
        if phase.length is None:
            return phase
        begin = add_periods(begin, phase.length, phase.length_unit)
        if moment < begin:
            return phase
    return phases[-1]


def monthly_window(started_at, anchor_day, moment):
    """R8: the window between two monthly boundaries that holds the moment."""
    k = latest_boundary_number(started_at, anchor_day, "month", moment)
    return (
        boundary(started_at, anchor_day, "month", k),
        boundary(started_at, anchor_day, "month", k + 1),
    )


def month_of(day):
    return date(day.year, day.month, 1)


def completed_years(born, day):
    """R11. Whoever is born on 29 February has the birthday on 1 March in other years, as the comparison has it."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
