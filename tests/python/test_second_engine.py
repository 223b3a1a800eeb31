"""The second engine on hand-made rows: the cases of the domain by their numbers, and properties of its calendar."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count, takewhile

import pyarrow
import pytest

from second_engine import calendar, money, snapshots, worlds
from second_engine.compare import ARROW, compared
from second_engine.day import pseudonym
from second_engine.engine import Engine, compute
from second_engine.histories import INPUTS, History
from second_engine.prices import net_price
from second_engine.tables import TABLES
from second_engine.users import age_band

KEY = b"gatefold-test-key"
D = date(2026, 2, 10)
BEFORE = datetime(2026, 1, 1)

DEFAULTS = {
    "account": dict(account_id="a", status="active", created_at=datetime(2020, 1, 5), country="US", email_verified=True),
    "subscription": dict(
        subscription_id="s",
        account_id="a",
        plan_id="mid",
        plan_version=1,
        category="base",
        quantity=1,
        state="active",
        started_at=BEFORE,
        currency="USD",
        store="web",
        is_sandbox=False,
    ),
    "plan_member": dict(subscription_id="s", account_id="m", role="member", joined_at=BEFORE),
    "plan_phase": dict(
        plan_id="mid",
        plan_version=1,
        phase_seq=1,
        product_id="mid",
        tier="mid",
        tier_rank=1,
        status="active",
        phase_type="evergreen",
        billing_period="month",
        max_members=1,
        included_addons=[],
        effective_from=datetime(2020, 1, 1),
    ),
    "product_feature": dict(
        product_id="mid",
        feature_id="hours",
        market="*",
        role="*",
        value_type="metered",
        unlimited=False,
        reset="billing",
        merge="sum",
        effective_from=datetime(2020, 1, 1),
    ),
    "price": dict(
        plan_id="mid",
        plan_version=1,
        phase_seq=1,
        market="*",
        cohort="standard",
        currency="USD",
        amount=Decimal(10),
        tax_inclusive=True,
        effective_from=datetime(2020, 1, 1),
    ),
    "offer": dict(
        offer_id="o",
        kind="code",
        discount_type="percent",
        value=Decimal(50),
        frequency="forever",
        plan_ids=["mid"],
        markets=["*"],
        starts_at=BEFORE,
        stackable=False,
        priority=1,
    ),
    "account_grant": dict(grant_id="g", account_id="a", kind="grant", unlimited=False, priority=1, effective_from=BEFORE),
    "feature_usage": dict(account_id="a", feature_id="hours", usage_date=D, consumed=1),
    "erasure_request": dict(request_id="e", account_id="a", requested_at=BEFORE, deadline=D),
}
MID = DEFAULTS["plan_phase"]
PREMIUM = MID | dict(plan_id="premium", product_id="premium", tier="premium", tier_rank=2)
ADDON = MID | dict(plan_id="extra", product_id="extra", tier="free", tier_rank=0)
CONNECTION = snapshots.connect()


def deduplicated(name, rows):
    kinds = {column: ARROW[kind] for column, kind in snapshots.COLUMNS[name].items()} | {"source_seq": pyarrow.int64()}
    rows = [{"source_seq": 1} | DEFAULTS[name] | row for row in rows]
    CONNECTION.register("source", pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(list(kinds.items()))))
    return snapshots.deduplicate(CONNECTION, name, "source")


def day_of(given, partial=()):
    """Snapshots of one day: of those that are named the rows, with defaults for what they leave out."""
    return {
        name: snapshots.Snapshot(*(deduplicated(name, given[name]) if name in given else ([], [])), name not in partial)
        for name in snapshots.CONTRACTS
    }


def run(first=D, *days, partial=None, **given):
    """Takes one day with the given rows, or each of `days` in order."""
    engine = Engine(KEY)
    for number, rows in enumerate(days or [given]):
        engine.take(first + timedelta(days=number), day_of(rows, (partial or {}).get(number, ())))
    return engine


def only(engine, table, **where):
    rows = [row for row in engine.rows(table) if all(row[column] == value for column, value in where.items())]
    assert len(rows) == 1, rows
    return rows[0]


def pid(account_id):
    return pseudonym(KEY, account_id)


def user(engine, account_id="a"):
    return only(engine, "user_daily", user_pid=pid(account_id))


def subscription(engine, subscription_id="s"):
    row = only(engine, "user_subscription_history", subscription_id=subscription_id)
    return row["entitled"], row["blocked_by"]


def cap(engine, account_id="a"):
    return only(engine, "feature_cap_daily", user_pid=pid(account_id), feature_id="hours")


def with_subscription(on=D, **changed):
    return run(on, account=[{}], plan_phase=[MID, PREMIUM], subscription=[changed])


def test_the_pseudonym_of_the_page():
    assert pid("acct-000001") == "9fc803773667e69d554afa96635885fd"


def test_01_free_and_premium_at_once():
    free = MID | dict(plan_id="free", product_id="free", tier="free", tier_rank=0)
    engine = run(
        account=[{}], plan_phase=[free, PREMIUM], subscription=[dict(plan_id="free"), dict(plan_id="premium", subscription_id="t")]
    )
    assert user(engine)["tier"] == "premium"


def test_02_a_lower_tier_inside_a_higher_one():
    both = [dict(plan_id="premium", subscription_id="p", ends_at=datetime(2026, 2, 11)), dict(subscription_id="m")]
    given = dict(account=[{}], plan_phase=[MID, PREMIUM], subscription=both)
    assert user(run(D, **given))["tier"] == "premium"
    assert user(run(D + calendar.DAY, **given))["tier"] == "mid"


def test_03_cancelled_and_paid_through_tomorrow():
    engine = with_subscription(state="cancelled", paid_through_at=datetime(2026, 2, 11, 12))
    assert subscription(engine) == (True, None)
    assert user(engine)["lifecycle_state"] == "cancelled_paid_through"


def test_04_expired_with_a_stale_paid_through():
    engine = with_subscription(state="expired", paid_through_at=datetime(2027, 1, 1))
    assert subscription(engine) == (False, "state")
    assert user(engine)["lifecycle_state"] == "lapsed"


@pytest.mark.parametrize("until, entitled", [(datetime(2026, 2, 11), True), (datetime(2026, 2, 10), False), (None, False)])
def test_05_grace(until, entitled):
    assert subscription(with_subscription(state="grace", grace_until=until))[0] is entitled


@pytest.mark.parametrize("state", ["on_hold", "paused"])
def test_06_on_hold_or_paused(state):
    engine = with_subscription(state=state)
    assert (user(engine)["tier"], user(engine)["lifecycle_state"]) == ("free", state)
    assert subscription(engine) == (False, "state")


def test_07_started_as_it_ended():
    assert subscription(with_subscription(ends_at=BEFORE)) == (False, "ended")


def test_08_an_addon_without_its_base():
    ended = dict(subscription_id="b", ends_at=BEFORE)
    addons = [dict(category="addon", subscription_id=i, base_subscription_id=b) for i, b in [("x", "b"), ("y", "?"), ("z", None)]]
    engine = run(account=[{}], plan_phase=[MID], subscription=[ended, *addons])
    assert {subscription(engine, i) for i in "xyz"} == {(False, "base")}


def priced(on, started_at, prices, **more):
    engine = run(on, account=[{}], plan_phase=[MID], subscription=[dict(started_at=started_at, **more)], price=prices)
    return only(engine, "user_price_daily")


def test_09_a_price_on_the_day_of_the_start():
    old = dict(amount=Decimal(10), effective_to=datetime(2026, 1, 15, 12))
    new = dict(amount=Decimal(12), effective_from=datetime(2026, 1, 15, 12), existing_from=datetime(2026, 1, 15, 12))
    start = datetime(2026, 1, 15, 8)
    assert priced(date(2026, 2, 14), start, [old, new])["list_price"] == 10
    assert priced(date(2026, 2, 15), start, [old, new])["list_price"] == 12


def test_10_a_new_price_for_existing_subscribers():
    old = dict(amount=Decimal(10), effective_to=datetime(2026, 4, 1))
    new = dict(amount=Decimal(12), effective_from=datetime(2026, 4, 1), existing_from=datetime(2026, 5, 1))
    assert priced(date(2026, 5, 14), datetime(2026, 1, 15), [old, new])["list_price"] == 10
    assert priced(date(2026, 5, 15), datetime(2026, 1, 15), [old, new])["list_price"] == 12
    assert priced(date(2026, 4, 15), datetime(2026, 4, 10), [old, new])["list_price"] == 12
    assert priced(date(2027, 5, 15), datetime(2026, 1, 15), [old, new | dict(existing_from=None)])["list_price"] == 10


def availability(**given):
    rows = dict(plan_phase=[{}], price=[dict(market="US")], offer=[{}]) | given
    return only(run(**rows), "offer_availability_daily", market="US")


def test_11_a_retired_plan():
    retired = MID | dict(status="retired")
    assert availability(plan_phase=[retired])["reason"] == "plan_retired"
    assert user(run(account=[{}], plan_phase=[retired], subscription=[{}]))["tier"] == "mid"


def test_12_anchor_day_31():
    start = datetime(2026, 7, 31, 9)
    starts = [calendar.boundary(start, 31, "month", k).date() for k in range(4)]
    assert starts == [date(2026, 7, 31), date(2026, 8, 31), date(2026, 9, 30), date(2026, 10, 31)]
    engine = run(date(2026, 9, 30), account=[{}], plan_phase=[{}], subscription=[dict(started_at=start)], product_feature=[{}])
    assert (cap(engine)["window_start"], cap(engine)["window_end"]) == (datetime(2026, 9, 30, 9), datetime(2026, 10, 31, 9))


def test_13_started_30_january():
    dates = [calendar.boundary(datetime(2026, 1, 30), None, "month", k).date() for k in (1, 2)]
    assert dates == [date(2026, 2, 28), date(2026, 3, 30)]


METERED = [dict(v_int=20)]


def metered(on=D, features=METERED, grants=(), subscriptions=({},), **more):
    given = dict(account=[{}], plan_phase=[MID, ADDON], subscription=list(subscriptions), product_feature=features)
    return run(on, **given, account_grant=[dict(feature_id="hours") | grant for grant in grants], **more)


def test_14_a_grant_that_starts_at_the_reset():
    reset = datetime(2026, 2, 10)
    topup = dict(kind="topup", v_int=5, effective_from=reset, expires_at=datetime(2026, 3, 10))
    start = [dict(started_at=datetime(2026, 1, 10))]
    assert cap(metered(date(2026, 2, 9), grants=[topup], subscriptions=start))["cap"] == 20
    engine = metered(date(2026, 2, 10), grants=[topup], subscriptions=start)
    assert (cap(engine)["cap"], cap(engine)["window_start"]) == (25, reset)


def test_15_only_the_manager_has_hours():
    rows = [dict(v_int=15, role="manager"), dict(v_int=0, role="member")]
    engine = run(
        account=[{}, dict(account_id="m")], plan_phase=[{}], subscription=[{}], plan_member=[{}], product_feature=rows
    )
    assert (cap(engine)["cap"], cap(engine, "m")["cap"]) == (15, 0)
    assert cap(engine, "m")["exhausted"] and user(engine, "m")["role"] == "member"


def test_16_a_topup_with_a_lapsed_plan():
    features = [*METERED, dict(product_id="free", v_int=1)]
    topup = [dict(kind="topup", v_int=5)]
    assert cap(metered(features=features, grants=topup, subscriptions=[dict(state="expired")]))["cap"] == 1
    assert cap(metered(features=features, grants=topup))["cap"] == 25


def test_17_overrides():
    override = dict(kind="override", v_int=99)
    entitled = only(metered(grants=[override]), "user_entitlement_history")
    assert (entitled["v_int"], entitled["source"]) == (99, "override")
    assert cap(metered(grants=[override | dict(voided_at=datetime(2026, 2, 9))]))["cap"] == 20
    removed = metered(grants=[override, dict(grant_id="h", kind="removal")])
    assert removed.rows("user_entitlement_history") == []
    first = [override | dict(grant_id="h", v_int=7), override, override | dict(grant_id="0", priority=2)]
    assert cap(metered(grants=first))["cap"] == 99


def test_18_a_member_who_left():
    given = dict(account=[{}, dict(account_id="m")], plan_phase=[{}], subscription=[{}])
    left = [dict(left_at=datetime(2026, 2, 10, 18))]
    assert user(run(D - calendar.DAY, **given, plan_member=left), "m")["tier"] == "mid"
    assert user(run(D, **given, plan_member=left), "m")["tier"] == "free"


def test_19_a_member_of_two_families():
    accounts = [{}, dict(account_id="b"), dict(account_id="m")]
    members = [dict(subscription_id="s"), dict(subscription_id="t")]
    higher = [dict(started_at=datetime(2026, 2, 1)), dict(subscription_id="t", account_id="b", plan_id="premium")]
    later = [dict(), dict(subscription_id="t", account_id="b", started_at=datetime(2026, 1, 2), plan_id="mid2")]
    phases = [MID, PREMIUM, MID | dict(plan_id="mid2")]
    assert user(run(account=accounts, plan_phase=phases, subscription=higher, plan_member=members), "m")["tier"] == "premium"
    assert user(run(account=accounts, plan_phase=phases, subscription=later, plan_member=members), "m")["effective_plan"] == "mid2"


def test_20_a_fixed_offer_in_another_currency():
    fixed = dict(discount_type="fixed", value=Decimal(1), currency="EUR")
    found = availability(offer=[fixed])
    assert (found["reason"], found["list_price"], found["net_price"]) == ("currency_mismatch", 10, None)
    redeemed = dict(kind="offer_redemption", offer_id="o", subscription_id="s")
    engine = run(account=[{}], plan_phase=[{}], subscription=[{}], price=[{}], offer=[fixed], account_grant=[redeemed])
    row = only(engine, "user_price_daily")
    assert (row["offer_ids"], row["net_price"]) == ([], 10)


def offer(**changed):
    blank = dict.fromkeys(snapshots.COLUMNS["offer"])
    return snapshots.ROWS["offer"](**(blank | DEFAULTS["offer"] | changed))


def test_21_stacked_offers():
    stack = [offer(value=Decimal(60), stackable=True)] * 2 + [offer(discount_type="fixed", value=Decimal(5), stackable=True)]
    assert net_price(Decimal(100), stack, "USD") == Decimal(11)
    assert net_price(Decimal(20), stack, "USD") == 0
    half = [offer()]
    assert net_price(Decimal(105), half, "JPY") == 52
    assert net_price(Decimal("1.235"), half, "KWD") == Decimal("0.618")
    assert money.rounded(Decimal("0.125"), "USD") == Decimal("0.12")
    assert [money.minor_unit(code) for code in ("JPY", "KWD", "USD", "XAU", "???")] == [0, 3, 2, None, None]


def test_22_a_conflicting_duplicate_that_vanishes():
    fine = dict(account=[{}], plan_phase=[{}], subscription=[{}])
    conflict = fine | dict(subscription=[{}, dict(store="app")])
    engine = run(D, fine, conflict, fine)
    rejected = only(engine, "rejected_row")
    assert (rejected["rule"], rejected["key"], rejected["rows"]) == ("conflicting_duplicate", ["s"], 2)
    assert subscription(engine) == (True, None)


def test_22_what_counts_as_a_conflict():
    rows, rejected = deduplicated("account", [{}, dict(source_seq=2, country="DE"), dict(source_seq=2, country="DE")])
    assert [row.country for row in rows] == ["DE"] and rejected == []
    older = [dict(country="DE"), dict(country="FR"), dict(source_seq=2, country="US")]
    assert [row.country for row in deduplicated("account", older)[0]] == ["US"]
    conflict = [dict(source_seq=2, email=None), dict(source_seq=2, email=""), {}]
    assert deduplicated("account", conflict) == ([], [("conflicting_duplicate", ("a",), 3)])
    nulls = [dict(account_id=None), dict(account_id=None)]
    assert deduplicated("account", nulls) == ([], [("null_key", (None,), 2)])
    with pytest.raises(snapshots.ContractBroken):
        deduplicated("account", nulls * 51)


def test_23_a_market_missing_from_a_partial_snapshot():
    both = dict(product_feature=[dict(market="US"), dict(market="DE")])
    one = dict(product_feature=[dict(market="US")])
    partial = run(D, both, one, both, partial={1: ["product_feature"]})
    assert [row["valid_to"] for row in partial.rows("product_feature_history")] == [None, None]
    complete = run(D, both, one, both).rows("product_feature_history")
    german = sorted((row["valid_from"].day, row["valid_to"], row["is_current"]) for row in complete if row["market"] == "DE")
    assert german == [(10, datetime(2026, 2, 11), False), (12, None, True)]


def test_24_an_erased_account():
    given = dict(account=[{}], plan_phase=[{}], subscription=[{}], product_feature=METERED, price=[{}])
    engine = run(D, given, given | dict(erasure_request=[dict(requested_at=datetime(2026, 2, 11, 5))]))
    for table in ("user_subscription_history", "user_entitlement_history", "user_pii"):
        assert engine.rows(table) == []
    for table in ("user_daily", "user_price_daily", "feature_cap_daily"):
        assert [row["snapshot_date"] for row in engine.rows(table)] == [D]


def test_25_a_disabled_owner():
    accounts = [dict(status="disabled"), dict(account_id="m")]
    engine = run(account=accounts, plan_phase=[{}], subscription=[{}], plan_member=[{}])
    assert subscription(engine) == (False, "account")
    assert (user(engine)["lifecycle_state"], user(engine, "m")["lifecycle_state"]) == ("disabled", "free")


def test_26_countries():
    codes = {"NO": "NO", "NA": "NA", "XK": "XK", "no": "ZZ", "UK": "ZZ", "": "ZZ", "DEU": "ZZ"}
    engine = run(account=[dict(account_id=code, country=code) for code in codes])
    for code, expected in codes.items():
        row = user(engine, code)
        assert (row["country"], row["quality_flags"]) == (expected, ["unknown_country"] if expected == "ZZ" else [])


def test_27_text_passes_unchanged():
    odd = 'ä"\'\n,☃'
    assert only(run(account=[dict(account_id=odd, email=odd)]), "user_pii")["email"] == odd


def test_28_born_on_29_february():
    born = date(2008, 2, 29)
    assert age_band(born, date(2026, 2, 28)) == ("16_17", False)
    assert age_band(born, date(2026, 3, 1)) == ("18_24", False)
    assert age_band(date(1905, 3, 2), date(2026, 3, 1)) == ("65_plus", False)
    assert age_band(date(1905, 3, 1), date(2026, 3, 1)) == ("unknown", True)
    assert age_band(date(2026, 3, 2), date(2026, 3, 1)) == ("unknown", True)


def test_addons_and_quantities():
    extra = dict(product_id="extra", v_int=5)
    bought = dict(subscription_id="x", category="addon", plan_id="extra", base_subscription_id="s", quantity=3)
    engine = metered(features=[*METERED, extra], subscriptions=[{}, bought])
    assert (cap(engine)["cap"], only(engine, "user_entitlement_history")["source"]) == (35, "addon")
    most = metered(features=[dict(v_int=20, merge="max"), extra], subscriptions=[{}, bought])
    assert (cap(most)["cap"], only(most, "user_entitlement_history")["source"]) == (20, "product")


def test_consumption_of_a_window():
    usage = [dict(usage_date=date(2026, 2, 8), consumed=4), dict(usage_date=date(2026, 2, 9), consumed=12), dict(consumed=5)]
    row = cap(metered(subscriptions=[dict(started_at=datetime(2026, 1, 9, 12))], feature_usage=usage))
    assert (row["consumed"], row["remaining"], row["exhausted"]) == (17, 3, False)


def test_a_changed_value_opens_a_row():
    one, other = dict(price=[{}]), dict(price=[dict(amount=Decimal(11))])
    rows = run(D, one, one, other, {}).rows("plan_price_history")
    assert [(row["amount"], row["valid_from"].day, row["valid_to"].day) for row in rows] == [(10, 10, 12), (11, 12, 13)]


def test_metrics_add_up():
    paid = dict(account=[{}], plan_phase=[{}], subscription=[{}])
    free = paid | dict(subscription=[])
    rows = run(D, paid, free, paid).rows("tier_metrics_daily")
    told = [(row["snapshot_date"].day, row["tier"], row["accounts"], row["conversions"], row["churned"]) for row in rows]
    assert told == [(10, "mid", 1, 0, 0), (11, "free", 1, 0, 0), (11, "mid", 0, 0, 1), (12, "mid", 1, 1, 0)]
    for day in (11, 12):
        change = {d: sum(row["paid"] for row in rows if row["snapshot_date"].day == d) for d in (day - 1, day)}
        moved = sum(row["conversions"] - row["churned"] for row in rows if row["snapshot_date"].day == day)
        assert change[day] == change[day - 1] + moved


STARTS = [datetime(2023, 12, 31, 23, 59), datetime(2024, 1, 30, 1), datetime(2024, 2, 29), datetime(2025, 5, 15, 12)]


@pytest.mark.parametrize("period", ["day", "week", "month", "year"])
@pytest.mark.parametrize("anchor", [None, 1, 15, 28, 31])
@pytest.mark.parametrize("start", STARTS)
def test_boundaries(start, anchor, period):
    boundaries = [calendar.boundary(start, anchor, period, k) for k in range(60)]
    assert boundaries[0] == start
    assert all(early < late for early, late in zip(boundaries, boundaries[1:]))
    if period in calendar.MONTHS_OF:
        last = {31: 31}.get(anchor or start.day)
        ends = [found + calendar.DAY for found in boundaries[1:]]
        assert all(found.day == (anchor or start.day) or end.day == 1 for found, end in zip(boundaries[1:], ends))
        assert not last or all(end.day == 1 for end in ends)
    for moment in (start + timedelta(hours=hours) for hours in range(0, 24 * 50, 7)):
        before = list(takewhile(lambda found: found <= moment, boundaries))
        assert calendar.latest_boundary(start, anchor, period, moment) == before[-1]


@pytest.mark.parametrize("start", STARTS)
def test_first_boundary_at_or_after_says_the_same_as_the_latest(start):
    moment = start + timedelta(days=77, hours=5)
    for existing_from in (start + timedelta(hours=hours) for hours in range(-240, 24 * 80, 11)):
        first = next(b for b in (calendar.boundary(start, 31, "month", k) for k in count()) if b >= existing_from)
        assert (first <= moment) == (existing_from <= calendar.latest_boundary(start, 31, "month", moment))


def test_phases_follow_each_other():
    def phase(seq, length, unit):
        blank = dict.fromkeys(snapshots.COLUMNS["plan_phase"])
        return snapshots.ROWS["plan_phase"](**(blank | MID | dict(phase_seq=seq, length=length, length_unit=unit)))

    phases = [phase(1, 1, "month"), phase(2, 1, "month"), phase(3, 2, "week")]
    start = datetime(2026, 1, 31)
    found = {day: calendar.phase_at(phases, start, datetime(2026, *day)) for day in [(2, 27), (2, 28), (3, 27), (3, 28), (12, 1)]}
    assert [found[day].phase_seq for day in found] == [1, 2, 2, 3, 3]
    assert calendar.phase_at(phases, start, datetime(2026, 1, 30)) is None


def test_a_difference_is_told():
    engine = run(account=[{}])
    ours = engine.rows("user_daily")
    schema = pyarrow.schema([(column, ARROW[kind]) for column, kind in TABLES["user_daily"].columns.items()])
    theirs = pyarrow.Table.from_pylist([ours[0] | dict(tier="mid")], schema=schema)
    rows, differences = compared("user_daily", ours, theirs, {D})
    assert rows == 1 and len(differences) == 1 and "tier: ours 'free', theirs 'mid'" in differences[0]
    assert compared("user_daily", ours, pyarrow.Table.from_pylist(ours, schema=schema), {D}) == (1, [])


@pytest.fixture(scope="module")
def invented(tmp_path_factory):
    lake, dates = tmp_path_factory.mktemp("lake"), [D + timedelta(days=n) for n in range(4)]
    worlds.write(lake, dates, accounts=60, seed=7)
    return compute(lake, dates, KEY)


@pytest.mark.parametrize("name", INPUTS)
def test_intervals_of_a_history_do_not_overlap(invented, name):
    key = [column for column in TABLES[name].key if column != "valid_from"]
    rows = sorted(invented.rows(name), key=lambda row: ([str(row[column]) for column in key], row["valid_from"]))
    for early, late in zip(rows, rows[1:]):
        assert early["valid_to"] is None or early["valid_from"] < early["valid_to"]
        if [early[column] for column in key] == [late[column] for column in key]:
            assert early["valid_to"] is not None and early["valid_to"] <= late["valid_from"]


def test_a_day_taken_twice_changes_nothing():
    history = History("user_entitlement_history")
    columns = dict.fromkeys(TABLES["user_entitlement_history"].columns)
    for _ in range(2):
        history.apply(D, [columns | dict(user_pid="p", feature_id="f")], complete=True)
    assert len(list(history.rows())) == 1


def test_properties_of_invented_days(invented):
    for row in invented.rows("user_price_daily"):
        assert (row["list_price"] is None) <= (row["net_price"] is None)
        assert row["net_price"] is None or row["net_price"] >= 0
        assert row["list_price"] is not None or not row["offer_ids"]
    for row in invented.rows("feature_cap_daily"):
        assert row["exhausted"] == (row["remaining"] == 0)
        assert row["window_start"] is None or row["window_start"] <= calendar.as_of(row["snapshot_date"]) < row["window_end"]
    gone = {row["user_pid"] for row in invented.rows("user_entitlement_history") if not row["is_current"]}
    assert gone and invented.rows("rejected_row")
