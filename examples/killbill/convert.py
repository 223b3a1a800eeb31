"""Turns Kill Bill's catalogues into the snapshots `plan_phase` and `price`, one day per date on which a version takes effect.

    python3 convert.py <folder of catalogues> <folder of snapshots>

How a catalogue is read:

- A catalogue is all files of one folder that bear the same name; its id is folder and name, and stands before every plan and
  product, since a plan `standard-monthly` of one catalogue has nothing to do with that of another. Each file is a version,
  numbered by effective date. A version is on sale until the next one takes effect; its rows stay in the snapshots, ended.
- A snapshot of a day knows the versions that have taken effect by the end of the day, and no later ones.
- A phase's place in its plan, from 1, is its `phase_seq`. A duration without a limit or without a number is null.
- A billing period keeps its unit: QUARTERLY becomes month, BIENNIAL year. `source_billing_period` has the word itself.
- Kill Bill asks a price in the currency of the customer's account, whatever their country: the market is `*`, and customers of
  a currency are a cohort. A phase may ask a price once and another every period, so there are cohorts such as `usd_fixed` and
  `usd_recurring`. What is billed by use has no price of this kind.
- `effectiveDateForExistingSubscriptions` of a plan is `existing_from` of its prices.
- An instant without a zone is UTC, as Kill Bill reads it.
- Kill Bill has no tiers and shares no subscription: every product is `mid`, for one member.
"""

import csv
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

PHASE_TYPES = {"TRIAL": "trial", "DISCOUNT": "discount", "FIXEDTERM": "fixed_term", "EVERGREEN": "evergreen"}
LENGTH_UNITS = {"DAYS": "day", "WEEKS": "week", "MONTHS": "month", "YEARS": "year"}
BILLING_PERIODS = {
    "NO_BILLING_PERIOD": "none",
    "DAILY": "day",
    "WEEKLY": "week",
    "BIWEEKLY": "week",
    "THIRTY_DAYS": "day",
    "THIRTY_ONE_DAYS": "day",
    "SIXTY_DAYS": "day",
    "NINETY_DAYS": "day",
    "MONTHLY": "month",
    "BIMESTRIAL": "month",
    "QUARTERLY": "month",
    "TRIANNUAL": "month",
    "BIANNUAL": "month",
    "ANNUAL": "year",
    "SESQUIENNIAL": "month",
    "BIENNIAL": "year",
    "TRIENNIAL": "year",
}
PRICE_COLUMNS = [
    "plan_id", "plan_version", "phase_seq", "market", "cohort", "currency", "amount", "tax_inclusive",
    "effective_from", "effective_to", "existing_from",
]  # fmt: skip


@dataclass
class Version:
    """One file: a catalogue from an instant on."""

    catalogue: str
    effective_from: datetime
    root: Element


def text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def instant(written: str) -> datetime:
    at = datetime.fromisoformat(written)
    return at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)


def written(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def read_versions(folder: Path) -> dict[str, list[Version]]:
    """The versions of every catalogue, in the order in which they take effect."""
    catalogues = defaultdict(list)
    for file in sorted(folder.rglob("*.xml")):
        root = ElementTree.parse(file).getroot()
        if root.tag != "catalog":
            continue
        # A build tool's folders say nothing of a catalogue.
        place = [part for part in file.parent.relative_to(folder).parts if part not in ("src", "test", "main", "resources")]
        catalogue = "/".join([*place, text(root, "catalogName")])
        catalogues[catalogue].append(Version(catalogue, instant(text(root, "effectiveDate")), root))
    for catalogue, versions in catalogues.items():
        versions.sort(key=lambda version: version.effective_from)
        if len({version.effective_from for version in versions}) < len(versions):
            raise SystemExit(f"{catalogue}: two versions take effect at once")
    return catalogues


def phases(plan: Element) -> list[Element]:
    return [*plan.findall("initialPhases/phase"), *plan.findall("finalPhase")]


def length(phase: Element) -> tuple[int | None, str | None]:
    unit, number = text(phase, "duration/unit"), text(phase, "duration/number")
    if unit in LENGTH_UNITS and number and int(number) > 0:
        return int(number), LENGTH_UNITS[unit]
    return None, None


def plan_phases(version: Version, number: int, effective_to: datetime | None) -> list[dict]:
    """The rows of `plan_phase` of a version."""
    own = lambda name: f"{version.catalogue}/{name}"
    included = {
        product.get("name"): [own(addon.text.strip()) for addon in product.findall("included/addonProduct")]
        for product in version.root.findall("products/product")
    }
    rows = []
    for plan in version.root.findall("plans/plan"):
        product = text(plan, "product")
        for place, phase in enumerate(phases(plan), start=1):
            count, unit = length(phase)
            billed = text(phase, "recurring/billingPeriod") or "NO_BILLING_PERIOD"
            rows.append({
                "plan_id": own(plan.get("name")),
                "plan_version": number,
                "phase_seq": place,
                "product_id": own(product),
                "tier": "mid",
                "tier_rank": 1,
                "status": "retired" if effective_to else "active",
                "phase_type": PHASE_TYPES[phase.get("type")],
                "length": count,
                "length_unit": unit,
                "billing_period": BILLING_PERIODS[billed],
                "source_billing_period": billed,
                "max_members": 1,
                "included_addons": included.get(product, []),
                "effective_from": written(version.effective_from),
                "effective_to": written(effective_to),
            })
    return rows


def prices(version: Version, number: int, effective_to: datetime | None) -> list[dict]:
    """The rows of `price` of a version."""
    rows = []
    for plan in version.root.findall("plans/plan"):
        existing = text(plan, "effectiveDateForExistingSubscriptions")
        for place, phase in enumerate(phases(plan), start=1):
            # Directly below the phase: what lies below its usages is a price of use.
            for kind, path in (("fixed", "fixed/fixedPrice/price"), ("recurring", "recurring/recurringPrice/price")):
                for price in phase.findall(path):
                    currency = text(price, "currency")
                    rows.append({
                        "plan_id": f"{version.catalogue}/{plan.get('name')}",
                        "plan_version": number,
                        "phase_seq": place,
                        "market": "*",
                        "cohort": f"{currency.lower()}_{kind}",
                        "currency": currency,
                        "amount": text(price, "value"),
                        "tax_inclusive": "false",
                        "effective_from": written(version.effective_from),
                        "effective_to": written(effective_to),
                        "existing_from": written(instant(existing)) if existing else None,
                    })
    return rows


def write_day(snapshots: Path, name: str, day: date, file: str, write) -> None:
    folder = snapshots / name / f"snapshot_date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / file, "w", encoding="utf-8", newline="") as out:
        write(out)
    (folder / "_SUCCESS").touch()


def write_phases(rows: list[dict], out) -> None:
    out.writelines(json.dumps(row) + "\n" for row in rows)


def write_prices(rows: list[dict], out) -> None:
    writer = csv.DictWriter(out, PRICE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def convert(folder: Path, snapshots: Path) -> list[date]:
    """Writes the snapshots of every day on which a version takes effect, and gives the days."""
    catalogues = read_versions(folder)
    days = sorted({version.effective_from.date() for versions in catalogues.values() for version in versions})
    for day in days:
        phase_rows, price_rows = [], []
        for versions in catalogues.values():
            known = [version for version in versions if version.effective_from.date() <= day]
            ends = [version.effective_from for version in known[1:]] + [None]
            for number, (version, effective_to) in enumerate(zip(known, ends), start=1):
                phase_rows += plan_phases(version, number, effective_to)
                price_rows += prices(version, number, effective_to)
        write_day(snapshots, "plan_phase", day, "phases.jsonl", lambda out: write_phases(phase_rows, out))
        write_day(snapshots, "price", day, "prices.csv", lambda out: write_prices(price_rows, out))
    return days


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    for day in convert(Path(sys.argv[1]), Path(sys.argv[2])):
        print(day)
