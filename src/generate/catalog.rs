//! The plans on sale, their versions and phases. The free product has no plan: an account without one has it.
//!
//! The catalog is small and fixed, but it lives: a version is announced as a draft, goes on sale, and may be retired,
//! and a snapshot shows only what had happened by its day.

use super::calendar::{DAY, Instant, add_months, day_of_month, midnight};

pub const MID_MONTHLY: &str = "mid-monthly";
pub const MID_WEEKLY: &str = "mid-weekly";
pub const PREMIUM_INDIVIDUAL: &str = "premium-individual";
pub const PREMIUM_ANNUAL: &str = "premium-annual";
pub const PREMIUM_STUDENT: &str = "premium-student";
pub const PREMIUM_LEGACY: &str = "premium-legacy";
pub const PREMIUM_FAMILY: &str = "premium-family";
pub const DUO: &str = "duo";
pub const AUDIOBOOKS_PLUS: &str = "audiobooks-plus";
pub const HIFI: &str = "hifi";
pub const DEVICES_PLUS: &str = "devices-plus";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Add-ons too: they add features and never lift the tier.
    Free,
    Mid,
    Premium,
}

impl Tier {
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Free => "free",
            Tier::Mid => "mid",
            Tier::Premium => "premium",
        }
    }

    pub fn rank(self) -> i64 {
        match self {
            Tier::Free => 0,
            Tier::Mid => 10,
            Tier::Premium => 20,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Day => "day",
            Unit::Week => "week",
            Unit::Month => "month",
            Unit::Year => "year",
        }
    }

    /// So many units after an instant, months and years on its own day of the month.
    pub fn after(self, from: Instant, count: i64) -> Instant {
        match self {
            Unit::Day => from + count * DAY,
            Unit::Week => from + count * 7 * DAY,
            Unit::Month => add_months(from, count, day_of_month(from)),
            Unit::Year => add_months(from, 12 * count, day_of_month(from)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseType {
    Trial,
    Discount,
    FixedTerm,
    Evergreen,
}

impl PhaseType {
    /// The part of the full price that a period of the phase costs, in percent.
    pub fn price_percent(self) -> i64 {
        match self {
            PhaseType::Trial => 0,
            PhaseType::Discount | PhaseType::FixedTerm => 50,
            PhaseType::Evergreen => 100,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            PhaseType::Trial => "trial",
            PhaseType::Discount => "discount",
            PhaseType::FixedTerm => "fixed_term",
            PhaseType::Evergreen => "evergreen",
        }
    }
}

#[derive(Debug)]
pub struct Phase {
    pub product_id: &'static str,
    pub tier: Tier,
    pub phase_type: PhaseType,
    /// `None` runs for ever.
    pub length: Option<(i64, Unit)>,
    /// `None` for a phase that is not billed.
    pub billed: Option<Unit>,
}

/// One version of a plan; its key in `plan_phase` is plan, version and the phase's number from 1.
#[derive(Debug)]
pub struct PlanVersion {
    pub plan_id: &'static str,
    pub version: i64,
    pub max_members: i64,
    pub included_addons: &'static [&'static str],
    /// What a period of the last phase cost at first; every price of the version is made of it.
    pub usd_cents: i64,
    pub announced_at: Instant,
    pub effective_from: Instant,
    pub retired_at: Option<Instant>,
    pub phases: &'static [Phase],
}

impl PlanVersion {
    /// The period of the last phase, by which renewals are counted.
    pub fn billing_unit(&self) -> Unit {
        self.phases.last().and_then(|phase| phase.billed).unwrap_or(Unit::Month)
    }

    /// The end of the trial of a subscription that starts at `started_at`.
    pub fn trial_end(&self, started_at: Instant) -> Option<Instant> {
        let first = self.phases.first().filter(|phase| phase.phase_type == PhaseType::Trial)?;
        first.length.map(|(count, unit)| unit.after(started_at, count))
    }

    /// The version's status and its last change by `as_of`; `None` before it was announced.
    pub fn status_at(&self, as_of: Instant) -> Option<(&'static str, Instant)> {
        match self.retired_at {
            Some(at) if at <= as_of => Some(("retired", at)),
            _ if self.effective_from.max(self.announced_at) <= as_of => {
                Some(("active", self.effective_from.max(self.announced_at)))
            }
            _ => (self.announced_at <= as_of).then_some(("draft", self.announced_at)),
        }
    }

    /// Known only once the version is retired.
    pub fn effective_to_at(&self, as_of: Instant) -> Option<Instant> {
        self.retired_at.filter(|at| *at <= as_of)
    }
}

/// The version of a plan that is sold at an instant; the first before any was.
pub fn on_sale(plan_id: &str, at: Instant) -> &'static PlanVersion {
    let mut versions = CATALOG.iter().filter(|version| version.plan_id == plan_id);
    let first = versions.next().expect("the plans that are drawn are in the catalog");
    versions.rfind(|version| version.effective_from <= at).unwrap_or(first)
}

/// The end of the retired plan's sale; who bought it before keeps it.
pub const LEGACY_SALE_ENDS: Instant = midnight(2024, 3, 1);

pub const FOUNDING: Instant = midnight(2022, 1, 1);

const fn trial(product_id: &'static str, tier: Tier, count: i64, unit: Unit) -> Phase {
    Phase { product_id, tier, phase_type: PhaseType::Trial, length: Some((count, unit)), billed: None }
}

const fn months(product_id: &'static str, tier: Tier, phase_type: PhaseType, count: i64) -> Phase {
    Phase { product_id, tier, phase_type, length: Some((count, Unit::Month)), billed: Some(Unit::Month) }
}

const fn evergreen(product_id: &'static str, tier: Tier, billed: Unit) -> Phase {
    Phase { product_id, tier, phase_type: PhaseType::Evergreen, length: None, billed: Some(billed) }
}

/// A first version for one person, on sale from the founding on; the exceptions are spelled out below.
const fn plan(plan_id: &'static str, usd_cents: i64, phases: &'static [Phase]) -> PlanVersion {
    PlanVersion {
        plan_id,
        version: 1,
        max_members: 1,
        included_addons: &[],
        usd_cents,
        announced_at: FOUNDING,
        effective_from: FOUNDING,
        retired_at: None,
        phases,
    }
}

pub static CATALOG: [PlanVersion; 14] = [
    PlanVersion {
        retired_at: Some(midnight(2025, 1, 1)),
        ..plan(MID_MONTHLY, 599, &[trial("mid", Tier::Mid, 1, Unit::Month), evergreen("mid", Tier::Mid, Unit::Month)])
    },
    PlanVersion {
        version: 2,
        announced_at: midnight(2024, 11, 15),
        effective_from: midnight(2025, 1, 1),
        ..plan(
            MID_MONTHLY,
            699,
            &[
                trial("mid", Tier::Mid, 7, Unit::Day),
                months("mid", Tier::Mid, PhaseType::Discount, 3),
                evergreen("mid", Tier::Mid, Unit::Month),
            ],
        )
    },
    plan(MID_WEEKLY, 199, &[evergreen("mid", Tier::Mid, Unit::Week)]),
    PlanVersion {
        retired_at: Some(midnight(2025, 7, 1)),
        ..plan(
            PREMIUM_INDIVIDUAL,
            1_099,
            &[trial("premium", Tier::Premium, 1, Unit::Month), evergreen("premium", Tier::Premium, Unit::Month)],
        )
    },
    PlanVersion {
        version: 2,
        included_addons: &["audiobooks"],
        announced_at: midnight(2025, 5, 20),
        effective_from: midnight(2025, 7, 1),
        ..plan(
            PREMIUM_INDIVIDUAL,
            1_199,
            &[
                trial("premium", Tier::Premium, 1, Unit::Month),
                months("premium", Tier::Premium, PhaseType::Discount, 2),
                evergreen("premium", Tier::Premium, Unit::Month),
            ],
        )
    },
    PlanVersion {
        included_addons: &["audiobooks"],
        ..plan(PREMIUM_ANNUAL, 10_990, &[evergreen("premium", Tier::Premium, Unit::Year)])
    },
    plan(
        PREMIUM_STUDENT,
        1_099,
        &[
            trial("premium-student", Tier::Premium, 1, Unit::Month),
            months("premium-student", Tier::Premium, PhaseType::FixedTerm, 12),
            evergreen("premium", Tier::Premium, Unit::Month),
        ],
    ),
    PlanVersion {
        retired_at: Some(LEGACY_SALE_ENDS),
        included_addons: &["audiobooks", "hifi"],
        ..plan(PREMIUM_LEGACY, 999, &[evergreen("premium", Tier::Premium, Unit::Month)])
    },
    PlanVersion {
        max_members: 6,
        included_addons: &["audiobooks"],
        ..plan(
            PREMIUM_FAMILY,
            1_699,
            &[
                trial("premium-family", Tier::Premium, 1, Unit::Month),
                evergreen("premium-family", Tier::Premium, Unit::Month),
            ],
        )
    },
    PlanVersion {
        max_members: 2,
        included_addons: &["audiobooks"],
        ..plan(DUO, 1_499, &[evergreen("duo", Tier::Premium, Unit::Month)])
    },
    // Announced and not yet on sale: a draft in every snapshot of the years that most samples are about.
    PlanVersion {
        included_addons: &["audiobooks", "hifi"],
        effective_from: midnight(2030, 1, 1),
        ..plan("premium-plus", 1_799, &[evergreen("premium-plus", Tier::Premium, Unit::Month)])
    },
    plan(AUDIOBOOKS_PLUS, 899, &[evergreen("audiobooks-plus", Tier::Free, Unit::Month)]),
    plan(HIFI, 299, &[evergreen("hifi", Tier::Free, Unit::Month)]),
    plan(DEVICES_PLUS, 199, &[evergreen("devices-plus", Tier::Free, Unit::Month)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_sold_changes_on_its_day() {
        let switch = midnight(2025, 1, 1);
        assert_eq!(on_sale(MID_MONTHLY, switch - 1).version, 1);
        assert_eq!(on_sale(MID_MONTHLY, switch).version, 2);
        assert_eq!(on_sale(MID_MONTHLY, midnight(2020, 1, 1)).version, 1);
    }

    #[test]
    fn a_version_is_drafted_sold_and_retired() {
        let (first, second) = (&CATALOG[0], &CATALOG[1]);
        let before = midnight(2024, 11, 1);
        assert_eq!(second.status_at(before), None);
        assert_eq!(second.status_at(midnight(2024, 12, 1)).map(|s| s.0), Some("draft"));
        assert_eq!((first.status_at(before).map(|s| s.0), first.effective_to_at(before)), (Some("active"), None));
        let after = midnight(2025, 2, 1);
        assert_eq!(first.status_at(after), Some(("retired", midnight(2025, 1, 1))));
        assert_eq!(first.effective_to_at(after), Some(midnight(2025, 1, 1)));
        assert_eq!(second.status_at(after).map(|s| s.0), Some("active"));
    }

    #[test]
    fn the_last_phase_runs_for_ever_and_only_a_trial_is_free_of_charge() {
        for version in &CATALOG {
            let (last, earlier) = version.phases.split_last().unwrap();
            assert!(last.length.is_none() && earlier.iter().all(|phase| phase.length.is_some()), "{}", version.plan_id);
            assert!(version.phases.iter().all(|p| p.billed.is_none() == (p.phase_type == PhaseType::Trial)));
        }
        assert_eq!(CATALOG[1].trial_end(midnight(2026, 1, 1)), Some(midnight(2026, 1, 8)));
        assert_eq!(CATALOG[2].trial_end(midnight(2026, 1, 1)), None);
    }

    #[test]
    fn the_sample_has_a_retired_plan_and_a_draft() {
        let day = midnight(2026, 11, 20);
        let with = |wanted| CATALOG.iter().any(|version| version.status_at(day).is_some_and(|s| s.0 == wanted));
        assert!(with("draft") && with("retired") && with("active"));
    }
}
