"""Random snapshots that are unkind on purpose: every rule and every kind of null comes up often, days change a little,
keys vanish and come back, rows are repeated, outdated or in conflict, some days are not complete. What the contracts of
the catalogue refuse is left out: such a day has no tables to compare.

The same seed gives the same rows. It is no picture of a real service; it is a way to find what two implementations
of the rules do not agree on."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow
import pyarrow.parquet

from .compare import ARROW
from .snapshots import COLUMNS, KEYS

COUNTRIES = ["US", "DE", "JP", "KW", "NO", "NA", "XK", "no", "UK", ""]
CURRENCIES = {"US": "USD", "DE": "EUR", "JP": "JPY", "KW": "KWD"}
TIERS = {"free": ("free", 0), "mid": ("mid", 1), "premium": ("premium", 2), "family": ("premium", 2)}
ADDONS = ["extra_a", "extra_b", "extra_c"]
FEATURES = {
    "hours": ("metered", "billing"),
    "skips": ("metered", "day"),
    "downloads": ("metered", "calendar_month"),
    "lifetime": ("metered", "none"),
    "hd": ("bool", "none"),
    "quality": ("enum", "none"),
    "devices": ("int", "none"),
}
METERED = [feature for feature, (kind, _) in FEATURES.items() if kind == "metered"]
STATES = ["active"] * 6 + ["pending", "grace", "grace", "on_hold", "paused", "cancelled", "cancelled", "expired"]
EARLY, LATE = -900, 40


class World:
    def __init__(self, seed, accounts, first):
        self.random = Random(seed)
        self.first = first
        self.accounts = [f"acct-{number:06}" for number in range(accounts)]
        self.rows = {"plan_phase": list(self.phases()), "product_feature": list(self.product_features())}
        self.rows["price"] = list(self.prices())
        self.rows["offer"] = [self.offer(number) for number in range(20)]
        self.rows["account"] = [self.account(account_id) for account_id in self.accounts]
        self.currency_of = {row["account_id"]: CURRENCIES.get(row["country"], "USD") for row in self.rows["account"]}
        self.rows["subscription"] = [row for account_id in self.accounts for row in self.subscriptions(account_id)]
        self.rows["plan_member"] = list(self.members())
        self.rows["account_grant"] = [self.grant(number) for number in range(2 * accounts)]
        self.rows["erasure_request"] = [self.erasure(number) for number in range(accounts // 100)]

    def chance(self, share):
        return self.random.random() < share

    def maybe(self, make, share=0.5):
        return make() if self.chance(share) else None

    def pick(self, *choices):
        return self.random.choice(choices)

    def moment(self, first=EARLY, last=LATE):
        """Midnights are frequent: that is where half-open intervals are read wrongly."""
        day = datetime.combine(self.first, datetime.min.time()) + timedelta(days=self.random.randint(first, last))
        return day + timedelta(seconds=self.pick(0, 0, 86399, self.random.randint(0, 86399)))

    def soon(self):
        return self.moment(-6, 10)

    def cents(self, most):
        return Decimal(self.random.randint(1, most)).scaleb(-2)

    def phases(self):
        for plan in [*TIERS, *ADDONS]:
            tier, rank = TIERS.get(plan, ("free", 0))
            for version in (1, 2):
                last = self.random.randint(1, 3)
                for seq in range(1, last + 1):
                    yield dict(
                        plan_id=plan,
                        plan_version=version,
                        phase_seq=seq,
                        product_id="premium" if plan == "family" else plan,
                        tier=tier,
                        tier_rank=rank,
                        status=self.pick("active", "active", "active", "retired", "draft"),
                        phase_type="evergreen" if seq == last else "discount",
                        length=None if seq == last else self.random.randint(1, 14),
                        length_unit=None if seq == last else self.pick("day", "week", "month", "year"),
                        billing_period=self.pick("none", "day", "week", "month", "month", "month", "year"),
                        max_members=6,
                        included_addons=self.random.sample(ADDONS, self.random.randint(0, 2)) if rank == 2 else [],
                        effective_from=self.moment(EARLY, -500),
                        effective_to=self.maybe(self.soon, 0.1),
                    )

    def versions(self):
        """Two or three intervals that follow each other under one key: they meet, leave a gap, or never hold at all."""
        starts = sorted({self.moment(EARLY, -700), self.moment(-300, -1), self.soon()})
        for start, following in zip(starts, [*starts[1:], None]):
            end = self.pick(following, following, following, start + timedelta(days=self.random.randint(0, 30)))
            if following and end > following:
                end = following
            yield dict(effective_from=start, effective_to=end, existing_from=self.maybe(lambda: self.moment(-300, LATE)))

    def product_features(self):
        for product in ["free", "mid", "premium", *ADDONS]:
            for feature, (kind, reset) in FEATURES.items():
                for market in ("*", "US", "DE"):
                    for role in ("*", "manager", "member"):
                        if self.chance(0.7):
                            continue
                        for interval in self.versions():
                            yield dict(
                                product_id=product,
                                feature_id=feature,
                                market=market,
                                role=role,
                                value_type=kind,
                                v_bool=self.maybe(lambda: self.chance(0.5), 0.9) if kind == "bool" else None,
                                v_int=self.maybe(lambda: self.random.randint(0, 40), 0.9) if kind in ("metered", "int") else None,
                                v_enum=self.pick("sd", "hd") if kind == "enum" else None,
                                unlimited=self.chance(0.08),
                                unit=self.maybe(lambda: "piece"),
                                reset=reset,
                                merge=self.pick("or", "max", "sum", "sum", "override"),
                                **interval,
                            )

    def prices(self):
        for phase in self.rows["plan_phase"]:
            for market in ("*", *CURRENCIES):
                for cohort in ("standard", "early"):
                    if self.chance(0.3):
                        continue
                    for interval in self.versions():
                        yield dict(
                            {name: phase[name] for name in ("plan_id", "plan_version", "phase_seq")},
                            market=market,
                            cohort=cohort,
                            currency=CURRENCIES.get(market, "USD"),
                            amount=self.cents(3000),
                            tax_inclusive=self.chance(0.5),
                            **interval,
                        )

    def offer(self, number):
        discount, frequency = self.pick("percent", "percent", "fixed", "replace"), self.pick("once", "repeating", "forever")
        starts_at = self.pick(self.moment(), self.soon())
        return dict(
            offer_id=f"offer-{number}",
            kind=self.pick("intro", "winback", "upgrade", "code"),
            discount_type=discount,
            value=self.cents(7000),
            currency=self.pick("USD", "USD", "EUR", "USD" if discount != "percent" else None),
            frequency=frequency,
            cycles=self.maybe(lambda: self.random.randint(1, 9), 1.0 if frequency == "repeating" else 0.5),
            plan_ids=self.random.sample([*TIERS, "unknown"], 3),
            markets=self.random.choice([["*"], ["US", "DE"], ["FR"], []]),
            starts_at=starts_at,
            redeem_by=self.maybe(lambda: max(self.soon(), starts_at)),
            max_redemptions=self.maybe(lambda: self.random.randint(0, 60)),
            stackable=self.chance(0.6),
            priority=self.random.randint(1, 3),
        )

    def account(self, account_id):
        return dict(
            account_id=account_id,
            status=self.pick(*["active"] * 8, "disabled", "closing", "closed"),
            created_at=self.moment(-2000, 5),
            country=self.random.choice(COUNTRIES[:4] * 3 + COUNTRIES),
            birth_date=self.maybe(lambda: self.first - timedelta(days=self.random.randint(-500, 46000)), 0.9),
            email=self.maybe(lambda: f'"{account_id}"\n@exämple.org'),
            email_verified=self.chance(0.5),
            locale=self.maybe(lambda: "pt-BR"),
        )

    def terms(self):
        """What of a subscription changes in its life."""
        return dict(
            state=self.random.choice(STATES),
            paid_through_at=self.maybe(self.soon, 0.7),
            grace_until=self.maybe(self.soon, 0.7),
            trial_end_at=self.maybe(self.soon, 0.2),
            ends_at=self.maybe(self.soon, 0.2),
        )

    def subscription(self, subscription_id, account_id, plan_id, **more):
        return dict(
            subscription_id=subscription_id,
            account_id=account_id if self.chance(0.99) else "nobody",
            plan_id=plan_id if self.chance(0.97) else "unknown",
            plan_version=self.pick(1, 2),
            category="base",
            quantity=1,
            started_at=self.pick(self.moment(), self.moment(), self.soon()),
            anchor_day=self.maybe(lambda: self.pick(1, 15, 28, 29, 30, 31)),
            price_cohort=self.maybe(lambda: "early", 0.2),
            locked_price=self.maybe(lambda: self.cents(999), 0.1),
            currency=self.pick(*[self.currency_of[account_id]] * 6, "USD", "EUR", "JPY", "KWD", "XXX"),
            store=self.pick("web", "app"),
            is_sandbox=self.chance(0.04),
            **more,
            **self.terms(),
        )

    def subscriptions(self, account_id):
        for number in range(self.random.randint(0, 2)):
            base = f"{account_id}-{number}"
            yield self.subscription(base, account_id, self.pick(*TIERS, "mid", "premium", "family"))
            for addon in self.random.sample(ADDONS, self.pick(0, 0, 1, 2)):
                carrier = self.pick(base, base, base, "unknown", None)
                row = self.subscription(f"{base}-{addon}", account_id, addon, base_subscription_id=carrier)
                yield row | dict(category="addon", quantity=self.random.randint(1, 3), state=self.pick("active", row["state"]))

    def members(self):
        for row in self.rows["subscription"]:
            if row["plan_id"] == "family":
                for account_id in self.random.sample(self.accounts, min(3, len(self.accounts))):
                    left = self.maybe(self.soon, 0.3)
                    role = self.pick("member", "member", "member", "manager")
                    joined = self.moment(-300, 3)
                    yield dict(
                        subscription_id=row["subscription_id"], account_id=account_id, role=role, joined_at=joined, left_at=left
                    )

    def grant(self, number):
        kind = self.pick("grant", "override", "removal", "topup", "topup", *["offer_redemption"] * 4)
        subscription = self.random.choice(self.rows["subscription"])
        redeems = kind == "offer_redemption"
        return dict(
            grant_id=f"grant-{number}",
            account_id=subscription["account_id"] if redeems else self.random.choice(self.accounts),
            kind=kind,
            feature_id=None if redeems else self.random.choice([*FEATURES, "nobody_has_it"]),
            offer_id=f"offer-{self.random.randint(0, 20)}" if redeems else None,
            subscription_id=subscription["subscription_id"] if redeems else None,
            v_bool=self.maybe(lambda: self.chance(0.5), 0.3),
            v_int=self.maybe(lambda: self.random.randint(0, 60), 0.7),
            v_enum=self.maybe(lambda: self.pick("sd", "hd", "uhd"), 0.3),
            unlimited=self.chance(0.05),
            priority=self.random.randint(1, 2),
            effective_from=self.pick(self.moment(-90, 3), self.soon()),
            expires_at=self.maybe(lambda: self.moment(-2, 90)),
            voided_at=self.maybe(self.soon, 0.1),
        )

    def erasure(self, number):
        account_id = self.random.choice(self.accounts)
        return dict(request_id=f"request-{number}", account_id=account_id, requested_at=self.soon(), deadline=self.first)

    def usage(self, day):
        for number, account_id in enumerate(self.accounts):
            for feature in METERED:
                for back in range(number % 3, 62, 5):
                    used = day - timedelta(days=back)
                    yield dict(
                        account_id=account_id, feature_id=feature, usage_date=used, consumed=(used.toordinal() + number) % 7
                    )

    def evolve(self):
        """A few rows change from one day to the next."""
        for name, fresh in {
            "subscription": lambda row: self.terms(),
            "account": lambda row: {name: self.account("")[name] for name in ("status", "country")},
            "price": lambda row: {"amount": self.cents(3000)},
            "product_feature": lambda row: {"unlimited": not row["unlimited"]},
            "account_grant": lambda row: {"voided_at": self.soon()},
        }.items():
            self.rows[name] = [row | fresh(row) if self.chance(0.04) else row for row in self.rows[name]]

    def delivered(self, name, rows):
        """Rows as a source delivers them: some missing, repeated, outdated, in conflict, without a key."""
        # A phase that is missing would be a hole in its plan, and prices of it would be prices of nothing.
        whole = name == "plan_phase"
        rows = [row | {"source_seq": 10} for row in rows if whole or not self.chance(0.01)]
        other = {"account": "country", "subscription": "store"}.get(name)
        for row in self.random.sample(rows, min(len(rows), 6)):
            rows.append(dict(row))
            if other:
                rows.append(row | {"source_seq": 3, other: "old"})
        for row in self.random.sample(rows, min(len(rows), 2)) if other else []:
            rows.append(row | {other: "conflict"})
            rows.append(row | {KEYS[name][0]: None})
        self.random.shuffle(rows)
        return rows


def write_snapshot(folder, name, rows, complete):
    kinds = {column: ARROW[kind] for column, kind in COLUMNS[name].items()}
    kinds |= {"source_seq": pyarrow.int64(), "updated_at": ARROW["TIMESTAMP"]}
    rows = [row | {"updated_at": datetime(2026, 1, 1, microsecond=number)} for number, row in enumerate(rows)]
    folder.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(list(kinds.items())))
    pyarrow.parquet.write_table(table, folder / "part-00000.parquet")
    (folder / ("_SUCCESS" if complete else "_PARTIAL")).touch()


def write(lake, dates, accounts, seed):
    world = World(seed, accounts, dates[0])
    for day in dates:
        for name in KEYS:
            rows = world.usage(day) if name == "feature_usage" else world.rows[name]
            folder = Path(lake) / "snapshots" / name / f"snapshot_date={day}"
            write_snapshot(folder, name, world.delivered(name, rows), complete=not world.chance(0.1))
        world.evolve()
