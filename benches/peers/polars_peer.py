"""A job in Polars: lazy frames on the streaming engine. HMAC comes from the plugin polars-hash."""

import os
import sys

# Read when Polars is imported.
os.environ["POLARS_MAX_THREADS"] = sys.argv[sys.argv.index("--threads") + 1]

from datetime import datetime, time, timedelta, timezone

import polars as pl
import polars_hash as plh

from snapshots import BOOKKEEPING, COUNTRIES, KEYS, Task

# As gatefold writes: the same codec and level, row groups of the same order.
WRITE = {"compression": "zstd", "compression_level": 1, "row_group_size": 524288, "engine": "streaming"}
MANAGER = pl.lit("manager")
col = pl.col


def main():
    task = Task()
    task.start()
    day = Day(task)
    job = {"user_daily": user_daily, "user_entitlement_history": user_entitlement_history, "feature_cap_daily": feature_cap_daily}
    job[task.job](day).sink_parquet(task.into / "rows.parquet", **WRITE)
    task.tell()


class Day:
    """The snapshots of the day, one row per key (R1), and what several tables are made from."""

    def __init__(self, task):
        self.task = task
        self.date = task.date
        self.midnight = datetime.combine(task.date, time(), timezone.utc)
        self.next_midnight = self.midnight + timedelta(days=1)
        self.as_of = self.next_midnight - timedelta(microseconds=1)
        for snapshot in task.inputs:
            setattr(self, snapshot, read(task, snapshot))

    def user_pid(self):
        return plh.col("account_id").chash.hmac_sha256(key=self.task.key).str.head(32)

    def live(self, begin, end):
        return (col(begin) <= self.as_of) & (col(end).is_null() | (col(end) > self.as_of))

    def person(self):
        erased = self.erasure_request.filter(col("requested_at") <= self.as_of)
        country = pl.when(col("country").is_in(COUNTRIES)).then("country").otherwise(pl.lit("ZZ"))
        return self.account.join(erased, on="account_id", how="anti").with_columns(country=country)

    def unblocked(self):
        """What of itself does not keep a subscription from entitling (R3)."""
        allowed = (
            (col("state") == "active")
            | ((col("state") == "grace") & (col("grace_until") > self.as_of))
            | ((col("state") == "cancelled") & (col("paid_through_at") > self.as_of))
        )
        return self.subscription.filter(~col("is_sandbox"), self.live("started_at", "ends_at"), allowed)

    def placed(self):
        """With the phase that it is in (R5): as many phases are over as have their end up to the day's."""
        phases = self.plan_phase.sort("phase_seq").collect()
        plan = ["plan_id", "plan_version"]
        spans = pl.format("{}{}", "length", col("length_unit").replace({"month": "mo", "day": "d", "week": "w", "year": "y"}))
        by_plan = phases.group_by(plan, maintain_order=True).agg(spans=spans.slice(0, pl.len() - 1))
        most = by_plan["spans"].list.len().max()
        wide = by_plan.select(*plan, *(col("spans").list.get(place, null_on_oob=True).alias(f"span_{place}") for place in range(most)))
        begin, over = col("started_at"), pl.lit(0, pl.UInt32)
        for place in range(most):
            begin = begin.dt.offset_by(col(f"span_{place}"))
            over = over + (begin <= self.as_of).fill_null(False).cast(pl.UInt32)
        of_phase = ["product_id", "tier", "tier_rank", "billing_period", "included_addons"]
        numbered = phases.with_columns(place=pl.int_range(pl.len(), dtype=pl.UInt32).over(plan)).select(*plan, "place", *of_phase)
        return (
            self.unblocked()
            .join(wide.lazy(), on=plan, how="left")
            .with_columns(place=over)
            .join(numbered.lazy(), on=[*plan, "place"], how="left")
        )

    def effective_subscription(self):
        """R4: the best of those that an account owns or shares."""
        of_winner = ["subscription_id", "plan_id", "state", "started_at", "anchor_day", "trial_end_at", "product_id", "tier",
                     "tier_rank", "billing_period", "included_addons"]
        base = self.placed().filter(col("category") == "base")
        active = self.account.filter(col("status") == "active").select(owner="account_id")
        shared = (
            self.plan_member.filter(self.live("joined_at", "left_at"))
            .join(base.rename({"account_id": "owner"}), on="subscription_id")
            .join(active, on="owner", how="semi")
        )
        owned = base.select("account_id", MANAGER.alias("role"), *of_winner)
        candidates = pl.concat([owned, shared.select("account_id", "role", *of_winner)])
        order = ["tier_rank", col("role") == "manager", "started_at", "subscription_id"]
        return first_of(candidates, "account_id", order, descending=[True, True, True, False])

    def user_product(self):
        """One row per user, without a known phase with the free product; then no subscription's terms count."""
        winner = self.effective_subscription().with_columns(is_active=pl.lit("active"))
        is_known = col("product_id").is_not_null()
        return (
            self.person()
            .join(winner, left_on=["account_id", "status"], right_on=["account_id", "is_active"], how="left")
            .with_columns(
                started_at=pl.when(is_known).then("started_at"),
                anchor_day=pl.when(is_known).then("anchor_day"),
                product_id=col("product_id").fill_null("free"),
                tier=col("tier").fill_null("free"),
                tier_rank=col("tier_rank").fill_null(0),
            )
        )


def read(task, snapshot):
    """R1. Nearly every key has one row, so that only keys of which the hash occurs again are looked at column by column."""
    keys = KEYS[snapshot]
    key_hash = col(keys[0]).hash() if len(keys) == 1 else pl.struct(keys).hash()
    rows = pl.scan_parquet(task.files(snapshot), hive_partitioning=False).filter(pl.all_horizontal(col(key).is_not_null() for key in keys))
    hashed = rows.with_columns(key_hash=key_hash)
    repeated = hashed.group_by("key_hash").len().filter(col("len") > 1).select("key_hash").collect(engine="streaming")
    if repeated.is_empty():
        return rows.drop(BOOKKEEPING)
    latest = (
        hashed.join(repeated.lazy(), on="key_hash", how="semi")
        .collect(engine="streaming")
        .filter(col("source_seq") == col("source_seq").max().over(keys))
        .drop("key_hash", *BOOKKEEPING)
        .unique()
    )
    kept = latest.filter(pl.len().over(keys) == 1)
    return pl.concat([hashed.join(repeated.lazy(), on="key_hash", how="anti").drop("key_hash", *BOOKKEEPING), kept.lazy()])


def first_of(rows, key, order, descending):
    """The first row of each key. Few keys have several, and only those are sorted."""
    several = rows.group_by(key).len().filter(col("len") > 1)
    sorted_ones = rows.join(several, on=key, how="semi").sort(order, descending=descending, nulls_last=True)
    return pl.concat([rows.join(several, on=key, how="anti"), sorted_ones.unique(key, keep="first", maintain_order=True)])


def months_apart(earlier, later):
    return (later.year - earlier.dt.year()) * 12 + later.month - earlier.dt.month().cast(pl.Int32)


def months_later(start, months, anchor_day):
    """On the anchor day, or on the last day of a month that is shorter; 0 months later is the start itself."""
    month = start.dt.year() * 12 + start.dt.month().cast(pl.Int32) - 1 + months
    first = pl.datetime(month // 12, month % 12 + 1, 1, time_zone="UTC")
    day = pl.min_horizontal(anchor_day.fill_null(start.dt.day().cast(pl.Int64)).clip(1, 31), first.dt.month_end().dt.day().cast(pl.Int64))
    moved = first + pl.duration(days=day - 1) + (start - start.dt.truncate("1d"))
    return pl.when(months == 0).then(start).otherwise(moved)


def latest_months(start, anchor_day, step, moment):
    """Months from the start to the latest boundary up to an instant."""
    apart = months_apart(start, moment)
    months = apart - apart % step
    return months - pl.when(months_later(start, months, anchor_day) > moment).then(step).otherwise(0)


def completed_years(born, day):
    had_birthday = (born.dt.month().cast(pl.Int32) * 100 + born.dt.day().cast(pl.Int32)) <= day.month * 100 + day.day
    return day.year - born.dt.year() - 1 + had_birthday.cast(pl.Int32)


def user_daily(day):
    """Rules R2 to R5, R10, R11 and R13."""
    held = (
        day.subscription.filter(
            col("category") == "base", ~col("is_sandbox"), col("started_at") <= day.as_of, col("state") != "pending"
        )
        .group_by("account_id")
        .agg(on_hold=(col("state") == "on_hold").any(), paused=(col("state") == "paused").any(), is_held=pl.lit(True))
    )
    lifecycle = (
        pl.when(col("status") != "active").then("status")
        .when(col("state") == "grace").then(pl.lit("grace"))
        .when(col("state") == "cancelled").then(pl.lit("cancelled_paid_through"))
        .when(col("trial_end_at") > day.as_of).then(pl.lit("trial"))
        .when(col("tier") != "free").then(pl.lit("paid"))
        .when(col("subscription_id").is_not_null()).then(pl.lit("free"))
        .when("on_hold").then(pl.lit("on_hold"))
        .when("paused").then(pl.lit("paused"))
        .when("is_held").then(pl.lit("lapsed"))
        .otherwise(pl.lit("free"))
    )
    born, years = col("birth_date"), completed_years(col("birth_date"), day.date)
    is_implausible = ((born > day.date) | (years > 120)).fill_null(False)
    band = pl.when(born.is_null() | col("is_implausible")).then(pl.lit("unknown"))
    for below, name in {13: "under_13", 16: "13_15", 18: "16_17", 25: "18_24", 35: "25_34", 45: "35_44", 55: "45_54", 65: "55_64"}.items():
        band = band.when(col("years") < below).then(pl.lit(name))
    is_unknown = col("country") == "ZZ"
    flags = (
        pl.when(col("is_implausible") & is_unknown).then(pl.lit(["implausible_birth_date", "unknown_country"]))
        .when("is_implausible").then(pl.lit(["implausible_birth_date"]))
        .when(is_unknown).then(pl.lit(["unknown_country"]))
        .otherwise(pl.lit([], dtype=pl.List(pl.String)))
    )
    return (
        day.user_product()
        .join(held, on="account_id", how="left")
        .with_columns(lifecycle_state=lifecycle, years=years, is_implausible=is_implausible)
        .select(
            pl.lit(day.date).alias("snapshot_date"),
            day.user_pid().alias("user_pid"),
            "country",
            "lifecycle_state",
            band.otherwise(pl.lit("65_plus")).alias("age_band"),
            col("created_at").dt.month_start().dt.date().alias("signup_month"),
            "email_verified",
            col("product_id").alias("effective_product"),
            col("plan_id").alias("effective_plan"),
            "tier",
            "tier_rank",
            "role",
            ((col("tier") != "free") & (col("lifecycle_state") != "trial")).alias("is_paid"),
            (col("lifecycle_state") == "trial").alias("is_trial"),
            flags.alias("quality_flags"),
        )
    )


def feature_cap_daily(day):
    """Rules R7 and R8."""
    history = pl.scan_parquet(day.task.history_files(), hive_partitioning=False)
    metered = history.filter(col("value_type") == "metered", day.live("valid_from", "valid_to")).select(
        "user_pid", "feature_id", "product_id", "unit", "reset", "v_int", "unlimited"
    )
    latest = latest_months(col("start"), col("anchor_day"), 1, day.as_of)
    has_begun = col("start") <= day.as_of
    billed = (
        day.user_product()
        .select("account_id", day.user_pid().alias("user_pid"), "country", "anchor_day", start=pl.coalesce("started_at", "created_at"))
        .with_columns(latest=latest)
        .select(
            "account_id", "user_pid", "country",
            window_start=pl.when(has_begun).then(months_later(col("start"), col("latest"), col("anchor_day"))),
            window_end=pl.when(has_begun).then(months_later(col("start"), col("latest") + 1, col("anchor_day"))),
        )
    )
    month = day.midnight.replace(day=1)
    next_month = (month + timedelta(days=31)).replace(day=1)
    instant = pl.Datetime("us", "UTC")
    is_reset = lambda name: col("reset") == name
    windowed = metered.join(billed, on="user_pid").with_columns(
        window_start=pl.when(is_reset("billing")).then("window_start").when(is_reset("calendar_month")).then(pl.lit(month, instant))
        .when(is_reset("day")).then(pl.lit(day.midnight, instant)),
        window_end=pl.when(is_reset("billing")).then("window_end").when(is_reset("calendar_month")).then(pl.lit(next_month, instant))
        .when(is_reset("day")).then(pl.lit(day.next_midnight, instant)),
    )
    # A day belongs to the window that holds its last instant.
    day_end = col("usage_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(days=1)
    used = (
        day.feature_usage.filter(col("usage_date") <= day.date)
        .join(windowed.select("account_id", "feature_id", "reset", "window_start"), on=["account_id", "feature_id"])
        .filter(is_reset("none") | (col("window_start") < day_end))
        .group_by("account_id", "feature_id")
        .agg(col("consumed").sum())
    )
    return (
        windowed.join(used, on=["account_id", "feature_id"], how="left")
        .with_columns(cap=pl.when(~col("unlimited")).then("v_int"), consumed=col("consumed").fill_null(0))
        .select(
            pl.lit(day.date).alias("snapshot_date"), "user_pid", "feature_id", "product_id", "country", "unit", "reset",
            "window_start", "window_end", "cap", "unlimited", "consumed",
            (col("cap") - col("consumed")).clip(lower_bound=0).alias("remaining"),
            (col("consumed") >= col("cap")).fill_null(False).alias("exhausted"),
        )
    )


CLASS = ["product_id", "market", "role", "since", "bound"]
VALUE = ["v_bool", "v_int", "v_enum", "unlimited"]
SHAPE = ["value_type", "unit", "reset"]


def user_entitlement_history(day):
    """The first day of a history. Rules R5 to R7 and R13.

    `since` and `bound` are the number of instants up to one at which anything in the catalogue begins or ends, or begins to
    hold for who is there already: users of one product, market and role who agree in both have the same rows. So a row is
    picked for each class, of which there are some hundreds, and users are joined to the rows of their class.
    """
    catalogue = day.product_feature.collect()
    since = step_function(catalogue["effective_from"], catalogue["effective_to"])
    bound = step_function(catalogue["existing_from"])
    product = products(day, catalogue, since, bound).collect(engine="streaming")
    addon = addons(day, product.lazy(), since, bound).collect(engine="streaming")
    classes = pl.concat([product.select(CLASS), addon.select(CLASS)]).unique()
    class_feature = features_of(classes, catalogue, since, bound, day.as_of)
    by_addon = folded_addons(addon.lazy().join(class_feature.lazy(), on=CLASS))
    first = catalogue.sort("product_id", "market", "role", "effective_from").unique("feature_id", keep="first", maintain_order=True)
    by_grant = folded_grants(day).join(first.lazy().select("feature_id", *(col(name).alias(f"f_{name}") for name in SHAPE)), on="feature_id")
    both = by_addon.join(by_grant, on=["account_id", "feature_id"], how="full", coalesce=True).collect(engine="streaming")
    touched = layered(
        both.lazy()
        .join(product.lazy(), on="account_id")
        .join(class_feature.lazy().rename({name: f"b_{name}" for name in [*VALUE, *SHAPE, "merge"]}).with_columns(has_base=True),
              on=[*CLASS, "feature_id"], how="left")
    )
    columns = ["user_pid", "feature_id", "value_type", *VALUE, "source", "product_id", "unit", "reset"]
    plain = (
        product.lazy()
        .join(class_feature.lazy(), on=CLASS)
        .join(both.lazy().select("account_id", "feature_id"), on=["account_id", "feature_id"], how="anti")
        .with_columns(source=pl.lit("product"))
    )
    instant = pl.Datetime("us", "UTC")
    return (
        pl.concat([plain.select(columns), touched.select(columns)])
        .sort("user_pid", "feature_id")
        .with_columns(valid_from=pl.lit(day.midnight, instant), valid_to=pl.lit(None, instant), is_current=pl.lit(True))
    )


def step_function(*columns):
    instants = pl.concat(columns).drop_nulls().unique().sort().to_list()
    return lambda moment: pl.sum_horizontal((moment >= at).fill_null(False).cast(pl.Int32) for at in instants)


def latest_boundary(day):
    """R5: of a subscription with the billing period of its phase."""
    start, anchor_day, period = col("started_at"), col("anchor_day"), col("billing_period")

    def months(step):
        return months_later(start, latest_months(start, anchor_day, step, day.as_of), anchor_day)

    def days(step):
        length = 86_400_000_000 * step
        since_start = pl.lit(day.as_of).dt.timestamp("us") - start.dt.timestamp("us")
        return start + pl.duration(microseconds=since_start // length * length)

    return (
        pl.when(period == "month").then(months(1))
        .when(period == "year").then(months(12))
        .when(period == "week").then(days(7))
        .when(period == "day").then(days(1))
        .otherwise(start)
    )


def products(day, catalogue, since, bound):
    known_markets = catalogue["market"].unique().implode()
    return (
        day.user_product()
        .with_columns(boundary=latest_boundary(day))
        .select(
            "account_id",
            day.user_pid().alias("user_pid"),
            "product_id",
            pl.when(col("country").is_in(known_markets)).then("country").otherwise(pl.lit("*")).alias("market"),
            col("role").fill_null("*"),
            (col("tier") != "free").alias("above_free"),
            since(col("started_at").fill_null(day.as_of)).alias("since"),
            bound(col("boundary")).alias("bound"),
            "included_addons",
        )
    )


def addons(day, product, since, bound):
    """R6: those that the subscription includes go by its terms, those that the account bought by their own."""
    included = (
        product.select("account_id", "market", "role", "product_id", "since", "bound", addon_id=col("included_addons").list.unique())
        .explode("addon_id")
        .filter(col("addon_id") != col("product_id"))
        .select("account_id", "market", "role", product_id="addon_id", subscription_id=pl.lit(None, pl.String),
                quantity=pl.lit(1, pl.Int64), since="since", bound="bound")
    )
    active = day.account.filter(col("status") == "active").select("account_id")
    base = (
        day.unblocked().filter(col("category") == "base").join(active, on="account_id", how="semi")
        .select(base_subscription_id="subscription_id")
    )
    bought = (
        day.placed()
        .filter(col("category") == "addon", col("product_id").is_not_null())
        .join(active, on="account_id", how="semi")
        .join(base, on="base_subscription_id", how="semi")
        .with_columns(boundary=latest_boundary(day))
        .select("account_id", "product_id", "subscription_id", "quantity", since(col("started_at")).alias("since"), bound(col("boundary")).alias("bound"))
        .join(product.select("account_id", "market", "role"), on="account_id")
        .select(included.collect_schema().names())
    )
    return pl.concat([included, bought])


def features_of(classes, catalogue, since, bound, as_of):
    """The row of each feature for each class: the most specific, then the latest."""
    rows = catalogue.filter(col("effective_from") <= as_of).select(
        "product_id", "feature_id", *VALUE, *SHAPE, "merge", "effective_from",
        row_market="market", row_role="role",
        row_from=since(col("effective_from")),
        row_to=pl.when(col("effective_to").is_not_null()).then(since(col("effective_to"))),
        row_bound=pl.when(col("existing_from").is_not_null()).then(bound(col("existing_from"))),
    )
    is_live = (col("row_from") <= col("since")) & (col("row_to").is_null() | (col("since") < col("row_to")))
    return (
        classes.join(rows, on="product_id")
        .filter(
            (col("row_market") == "*") | (col("row_market") == col("market")),
            (col("row_role") == "*") | (col("row_role") == col("role")),
            is_live | (col("row_bound") <= col("bound")).fill_null(False),
        )
        .sort(col("row_market") != "*", col("row_role") != "*", "effective_from", descending=True)
        .unique([*CLASS, "feature_id"], keep="first", maintain_order=True)
        .select(*CLASS, "feature_id", *VALUE, *SHAPE, "merge")
    )


def more_generous(rows, prefix):
    """R6: what comes after an unlimited value adds no number to it. For rows in their order, of one user and feature."""
    counts = rows("unlimited").cast(pl.UInt32).cum_sum() - rows("unlimited").cast(pl.UInt32) == 0
    return [
        pl.when(rows("v_bool").count() > 0).then(rows("v_bool").any()).alias(f"{prefix}v_bool"),
        rows("v_int").filter(counts).max().alias(f"{prefix}v_int"),
        rows("v_enum").drop_nulls().first().alias(f"{prefix}v_enum"),
        rows("unlimited").any().alias(f"{prefix}unlimited"),
    ]


def folded_addons(rows):
    ordered = rows.sort("product_id", "subscription_id", nulls_last=False)
    return ordered.group_by("account_id", "feature_id", maintain_order=True).agg(
        *(col(name).first().alias(f"first_{name}") for name in [*VALUE, *SHAPE, "merge"]),
        *more_generous(col, "a_"),
        pl.when(col("v_int").count() > 0).then((col("v_int") * col("quantity")).sum()).alias("total"),
        pl.lit(True).alias("has_addon"),
    )


def folded_grants(day):
    live = day.account_grant.filter(col("kind") != "offer_redemption", day.live("effective_from", "expires_at"),
                                    col("voided_at").is_null() | (col("voided_at") > day.as_of))
    ordered = live.sort("priority", "effective_from", "grant_id", descending=[False, True, False])

    def of(kind):
        return lambda name: col(name).filter(col("kind") == kind)

    override, grant, topup = of("override"), of("grant"), of("topup")
    return ordered.group_by("account_id", "feature_id", maintain_order=True).agg(
        (col("kind") == "removal").any().alias("is_removed"),
        (col("kind") == "override").any().alias("is_overridden"),
        (col("kind") == "grant").any().alias("is_granted"),
        *(override(name).first().alias(f"o_{name}") for name in VALUE),
        *more_generous(grant, "g_"),
        topup("v_int").sum().alias("topup"),
        topup("unlimited").any().alias("topup_unlimited"),
    )


def either(one, other):
    """The more generous flag; null is nothing."""
    return pl.coalesce(one | other, one, other)


def same(one, other):
    return pl.all_horizontal(col(f"{one}{name}").eq_missing(col(f"{other}{name}")) for name in VALUE)


def layered(rows):
    """R6 and R7: the product's row, add-ons, an override, grants, top-ups, each over what is there."""
    has_base, has_addon = col("has_base").fill_null(False), col("has_addon").fill_null(False)
    merge = pl.coalesce("b_merge", "first_merge")
    is_first = merge == "override"
    merged = {
        "v_bool": either(col("b_v_bool"), col("a_v_bool")),
        "v_int": pl.when("b_unlimited").then("b_v_int")
        .when(merge == "sum").then(pl.coalesce(col("b_v_int") + col("total"), "b_v_int", "total"))
        .otherwise(pl.max_horizontal("b_v_int", "a_v_int")),
        "v_enum": pl.coalesce("b_v_enum", "a_v_enum"),
        "unlimited": col("b_unlimited").fill_null(False) | col("a_unlimited"),
    }
    is_overridden, is_granted = col("is_overridden").fill_null(False), col("is_granted").fill_null(False)
    takes_topup = (
        (col("value_type") == "metered") & col("above_free") & col("v_int").is_not_null() & ~col("unlimited")
        & ((col("topup") != 0) | col("topup_unlimited"))
    ).fill_null(False)
    return (
        rows.filter(~col("is_removed").fill_null(False), has_base | has_addon | is_overridden | is_granted)
        .with_columns(
            *(pl.coalesce(f"b_{name}", f"first_{name}", f"f_{name}").alias(name) for name in ["value_type", "reset"]),
            pl.when(has_base).then("b_unit").when(has_addon).then("first_unit").otherwise("f_unit").alias("unit"),
            *(pl.when(~has_addon).then(f"b_{name}").when(is_first).then(f"first_{name}").otherwise(value).alias(f"m_{name}")
              for name, value in merged.items()),
            is_had=has_base | has_addon | is_overridden,
        )
        .with_columns(
            *(pl.when(is_overridden).then(f"o_{name}").otherwise(f"m_{name}").alias(f"l_{name}") for name in VALUE),
            source=pl.when(is_overridden).then(pl.lit("override"))
            .when(has_base & (~has_addon | same("m_", "b_"))).then(pl.lit("product"))
            .otherwise(pl.lit("addon")),
        )
        .with_columns(
            v_bool=either(col("l_v_bool"), col("g_v_bool")),
            v_int=pl.when(col("is_had") & col("l_unlimited")).then("l_v_int").otherwise(pl.max_horizontal("l_v_int", "g_v_int")),
            v_enum=pl.coalesce("l_v_enum", "g_v_enum"),
            unlimited=(col("is_had") & col("l_unlimited")).fill_null(False) | col("g_unlimited").fill_null(False),
        )
        .with_columns(
            source=pl.when(~is_granted | (col("is_had") & same("", "l_"))).then("source").otherwise(pl.lit("grant"))
        )
        .with_columns(
            v_int=pl.when(takes_topup).then(col("v_int") + col("topup")).otherwise("v_int"),
            unlimited=col("unlimited") | (takes_topup & col("topup_unlimited").fill_null(False)),
            source=pl.when(takes_topup).then(pl.lit("topup")).otherwise("source"),
        )
    )


if __name__ == "__main__":
    main()
