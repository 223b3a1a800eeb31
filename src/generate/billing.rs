//! When a subscription falls due: its trial's end, then every billing boundary of rule R5.

use super::calendar::{DAY, Instant, add_months, months_between};
use super::catalog::Unit;

#[derive(Debug, Clone, Copy)]
pub struct Billing {
    pub started_at: Instant,
    /// The day of the month that boundaries fall on, clamped to the month's end.
    pub anchor_day: u32,
    pub unit: Unit,
    /// Never after the first boundary.
    pub trial_end_at: Option<Instant>,
}

impl Billing {
    /// `started_at` plus `k` periods, each counted from the anchor, so that a short month leaves no drift.
    pub fn boundary(&self, k: i64) -> Instant {
        match self.unit {
            _ if k == 0 => self.started_at,
            Unit::Day => self.started_at + k * DAY,
            Unit::Week => self.started_at + k * 7 * DAY,
            Unit::Month => add_months(self.started_at, k, self.anchor_day),
            Unit::Year => add_months(self.started_at, 12 * k, self.anchor_day),
        }
    }

    /// The smallest `k` whose boundary lies after `at`.
    pub fn index_after(&self, at: Instant) -> i64 {
        if at < self.started_at {
            return 0;
        }
        let elapsed = at - self.started_at;
        let mut k = match self.unit {
            Unit::Day => return elapsed / DAY + 1,
            Unit::Week => return elapsed / (7 * DAY) + 1,
            Unit::Month => months_between(self.started_at, at),
            Unit::Year => months_between(self.started_at, at) / 12,
        };
        // The month's number alone does not say on which side of that month's boundary the instant lies.
        while self.boundary(k) <= at {
            k += 1;
        }
        k
    }

    /// The next instant after `at` at which a payment is due: until then the subscription is paid.
    pub fn next_due(&self, at: Instant) -> Instant {
        match self.trial_end_at {
            Some(end) if at < end => end,
            _ => self.boundary(self.index_after(at)),
        }
    }

    /// The last instant at or before `at` at which a payment was due; for an instant not before `started_at`.
    pub fn last_due(&self, at: Instant) -> Instant {
        let boundary = self.boundary((self.index_after(at) - 1).max(0));
        self.trial_end_at.filter(|end| *end <= at).map_or(boundary, |end| end.max(boundary))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::calendar::{HOUR, midnight};
    use super::*;

    fn monthly(started_at: Instant, anchor_day: u32, trial_end_at: Option<Instant>) -> Billing {
        Billing { started_at, anchor_day, unit: Unit::Month, trial_end_at }
    }

    #[test]
    fn a_trial_falls_due_before_the_first_boundary() {
        let start = midnight(2026, 1, 30) + HOUR;
        let billing = monthly(start, 30, Some(start + 7 * DAY));
        assert_eq!(billing.next_due(start), start + 7 * DAY);
        assert_eq!(billing.next_due(start + 7 * DAY), midnight(2026, 2, 28) + HOUR);
        assert_eq!(billing.next_due(midnight(2026, 3, 1)), midnight(2026, 3, 30) + HOUR);
        assert_eq!(billing.last_due(start + 8 * DAY), start + 7 * DAY);
        assert_eq!(billing.last_due(midnight(2026, 3, 1)), midnight(2026, 2, 28) + HOUR);
    }

    proptest! {
        #[test]
        fn the_boundary_found_is_the_first_one_after(
            start in 0..5_000_i64, hours in 0..60_000_i64, anchor_day in 1..=31_u32,
            unit in prop::sample::select(vec![Unit::Day, Unit::Week, Unit::Month, Unit::Year]),
        ) {
            let started_at = midnight(2023, 1, 1) + start * 5 * HOUR;
            let billing = Billing { started_at, anchor_day, unit, trial_end_at: None };
            let at = started_at + hours * HOUR;
            let k = billing.index_after(at);
            prop_assert!(billing.boundary(k) > at);
            prop_assert!(billing.boundary(k - 1) <= at);
            prop_assert!(billing.last_due(at) <= at && at < billing.next_due(at));
        }
    }
}
