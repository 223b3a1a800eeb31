//! Billing boundaries, rule R5: a subscription's start, and then every so many periods, all counted from that start.
//!
//! Boundary 0 is the start itself. Boundary k of months and years lies k periods after the month of the start, on the
//! anchor day or, where the month is too short, on its last day, at the time of day of the start. Counting each from
//! the start keeps them from drifting: 31 January, 28 February, 31 March. Days and weeks are counted from the start.
//!
//! A question about an instant is answered by a division and one step beside it, never by walking from the start.

use crate::calendar::{InMonth, LengthUnit, MICROS_PER_DAY, in_range};

const MONTH_DAYS: std::ops::RangeInclusive<i64> = 1..=31;

/// The boundaries of one subscription. Instants are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy)]
pub struct BillingCycle {
    started_at: i64,
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// No billing period: the start is the only boundary.
    Never,
    Micros(i64),
    /// So many months, from a month, day and time of day.
    Months(i64, InMonth),
}

impl BillingCycle {
    /// `anchor_day` is taken into 1 to 31; without one it is the day of the start. `None` for a start that a BigQuery
    /// TIMESTAMP cannot hold.
    pub fn new(started_at: i64, anchor_day: Option<i64>, period: Option<LengthUnit>) -> Option<Self> {
        let started_at = in_range(started_at)?;
        let months = |count| {
            let start = InMonth::from_micros(started_at);
            let day = anchor_day.map_or(start.day, |day| day.clamp(*MONTH_DAYS.start(), *MONTH_DAYS.end()));
            Step::Months(count, InMonth { day, ..start })
        };
        let step = match period {
            None => Step::Never,
            Some(LengthUnit::Day) => Step::Micros(MICROS_PER_DAY),
            Some(LengthUnit::Week) => Step::Micros(7 * MICROS_PER_DAY),
            Some(LengthUnit::Month) => months(1),
            Some(LengthUnit::Year) => months(12),
        };
        Some(BillingCycle { started_at, step })
    }

    /// The first boundary at or after an instant.
    pub fn first_from(&self, at: i64) -> Option<i64> {
        let Some(place) = self.place_at(in_range(at)?) else { return Some(self.started_at) };
        self.boundary(place).filter(|boundary| *boundary == at).or_else(|| self.boundary(place + 1))
    }

    /// The last boundary at or before an instant; `None` before the start.
    pub fn window_start(&self, at: i64) -> Option<i64> {
        self.boundary(self.place_at(in_range(at)?)?)
    }

    /// The first boundary after an instant; `None` before the start, and where no boundary follows.
    pub fn window_end(&self, at: i64) -> Option<i64> {
        self.boundary(self.place_at(in_range(at)?)? + 1)
    }

    fn boundary(&self, place: i64) -> Option<i64> {
        if place == 0 {
            return Some(self.started_at);
        }
        match self.step {
            Step::Never => None,
            Step::Micros(step) => in_range(self.started_at + place * step),
            Step::Months(count, anchor) => {
                InMonth { month_index: anchor.month_index + place * count, ..anchor }.to_micros()
            }
        }
    }

    /// Which boundary is the last at or before an instant in range; `None` before the start.
    fn place_at(&self, at: i64) -> Option<i64> {
        if at < self.started_at {
            return None;
        }
        Some(match self.step {
            Step::Never => 0,
            Step::Micros(step) => (at - self.started_at) / step,
            Step::Months(count, anchor) => {
                // The boundary of this place is in the month of `at` or before it, the next one in a later month. Only
                // within the month of `at` can it still be ahead.
                let place = (InMonth::from_micros(at).month_index - anchor.month_index) / count;
                let is_ahead = self.boundary(place).is_none_or(|boundary| boundary > at);
                place - i64::from(is_ahead)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
    use proptest::prelude::*;

    fn micros(text: &str) -> i64 {
        let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        DateTime::parse_from_rfc3339(&text).unwrap().timestamp_micros()
    }

    fn cycle(started_at: &str, anchor_day: Option<i64>, period: LengthUnit) -> BillingCycle {
        BillingCycle::new(micros(started_at), anchor_day, Some(period)).unwrap()
    }

    fn day(at: Option<i64>) -> String {
        at.map_or("none".into(), |at| DateTime::from_timestamp_micros(at).unwrap().date_naive().to_string())
    }

    /// Case 12 of the domain.
    #[test]
    fn an_anchor_day_of_31_is_clamped_and_does_not_drift() {
        let cycle = cycle("2026-07-31", Some(31), LengthUnit::Month);
        for (at, start, end) in [
            ("2026-07-31", "2026-07-31", "2026-08-31"),
            ("2026-08-31", "2026-08-31", "2026-09-30"),
            ("2026-09-29T23:59:59.999999Z", "2026-08-31", "2026-09-30"),
            ("2026-09-30", "2026-09-30", "2026-10-31"),
            ("2026-10-30T23:59:59.999999Z", "2026-09-30", "2026-10-31"),
        ] {
            let at = micros(at);
            assert_eq!((day(cycle.window_start(at)), day(cycle.window_end(at))), (start.into(), end.into()));
        }
    }

    /// Case 13 of the domain.
    #[test]
    fn february_shortens_only_february() {
        let cycle = cycle("2026-01-30", None, LengthUnit::Month);
        let mut at = micros("2026-01-30");
        let days = [(); 3].map(|()| {
            at = cycle.window_end(at).unwrap();
            day(Some(at))
        });
        assert_eq!(days, ["2026-02-28", "2026-03-30", "2026-04-30"]);
    }

    #[test]
    fn the_start_is_a_boundary_whatever_the_anchor_day() {
        // Started on the 20th and billed on the 5th: the first period is a short one.
        let cycle = cycle("2026-03-20T09:30:00Z", Some(5), LengthUnit::Month);
        assert_eq!(cycle.first_from(micros("2026-01-01")), Some(micros("2026-03-20T09:30:00Z")));
        assert_eq!(cycle.first_from(micros("2026-03-20T09:30:00Z")), Some(micros("2026-03-20T09:30:00Z")));
        assert_eq!(cycle.first_from(micros("2026-03-20T09:30:00.000001Z")), Some(micros("2026-04-05T09:30:00Z")));
        assert_eq!(cycle.first_from(micros("2026-04-05T09:30:00Z")), Some(micros("2026-04-05T09:30:00Z")));
        assert_eq!(cycle.window_start(micros("2026-03-20T09:29:59Z")), None);
        assert_eq!(cycle.window_end(micros("2026-03-20T09:29:59Z")), None);
    }

    #[test]
    fn a_leap_day_comes_back_every_fourth_year() {
        let cycle = cycle("2024-02-29", None, LengthUnit::Year);
        assert_eq!(day(cycle.first_from(micros("2025-01-01"))), "2025-02-28");
        assert_eq!(day(cycle.first_from(micros("2027-12-01"))), "2028-02-29");
    }

    #[test]
    fn an_anchor_day_outside_of_a_month_is_taken_into_it() {
        let first =
            |anchor_day| day(cycle("2026-01-15", Some(anchor_day), LengthUnit::Month).window_end(micros("2026-01-15")));
        assert_eq!(first(0), "2026-02-01");
        assert_eq!(first(i64::MIN), "2026-02-01");
        assert_eq!(first(99), "2026-02-28");
    }

    #[test]
    fn without_a_period_there_is_the_start_and_nothing_after_it() {
        let cycle = BillingCycle::new(0, Some(5), None).unwrap();
        assert_eq!((cycle.first_from(-1), cycle.first_from(0), cycle.first_from(1)), (Some(0), Some(0), None));
        assert_eq!((cycle.window_start(99), cycle.window_end(99)), (Some(0), None));
    }

    #[test]
    fn nothing_leaves_the_years_1_to_9999() {
        let last = micros("9999-12-31T23:59:59.999999Z");
        for period in [LengthUnit::Day, LengthUnit::Week, LengthUnit::Month, LengthUnit::Year] {
            let cycle = cycle("9999-12-31T23:59:59Z", None, period);
            assert_eq!((cycle.first_from(last), cycle.window_end(last)), (None, None));
            assert_eq!(cycle.window_start(last), Some(micros("9999-12-31T23:59:59Z")));
            for at in [i64::MIN, i64::MAX, last + 1] {
                assert_eq!((cycle.first_from(at), cycle.window_start(at), cycle.window_end(at)), (None, None, None));
                assert!(BillingCycle::new(at, None, Some(period)).is_none());
            }
            let oldest = self::cycle("0001-01-01", Some(31), period);
            assert!(oldest.window_start(last).is_some(), "{period:?}");
        }
    }

    /// Every boundary of 12 years, written out one after the other with chrono.
    fn boundaries(started_at: i64, anchor_day: Option<i64>, period: LengthUnit) -> Vec<i64> {
        let start: DateTime<Utc> = DateTime::from_timestamp_micros(started_at).unwrap();
        let anchor = anchor_day.unwrap_or(i64::from(start.day())).clamp(1, 31) as u32;
        let first_of_month = start.date_naive().with_day(1).unwrap();
        let on_anchor = |months: u32| {
            let first = first_of_month + Months::new(months);
            let last = (first + Months::new(1)).pred_opt().unwrap().day();
            NaiveDate::from_ymd_opt(first.year(), first.month(), anchor.min(last))
                .unwrap()
                .and_time(start.time())
                .and_utc()
        };
        let later = (1..).map(|place| match period {
            LengthUnit::Day => start + Days::new(u64::from(place)),
            LengthUnit::Week => start + Days::new(u64::from(place) * 7),
            LengthUnit::Month => on_anchor(place),
            LengthUnit::Year => on_anchor(place * 12),
        });
        let end = start + Months::new(12 * 12 + 24);
        [start].into_iter().chain(later.take_while(|at| *at < end)).map(|at| at.timestamp_micros()).collect()
    }

    fn period() -> impl Strategy<Value = LengthUnit> {
        prop::sample::select(vec![LengthUnit::Day, LengthUnit::Week, LengthUnit::Month, LengthUnit::Year])
    }

    proptest! {
        #[test]
        fn every_answer_is_that_of_the_list(
            day in 9_000i64..12_000,
            time in prop_oneof![Just(0), 0..MICROS_PER_DAY],
            anchor_day in prop::option::of(-2i64..35),
            period in period(),
            days_later in prop::collection::vec(-40i64..4_300, 8),
            offset in -1i64..=1,
        ) {
            let started_at = day * MICROS_PER_DAY + time;
            let cycle = BillingCycle::new(started_at, anchor_day, Some(period)).unwrap();
            let listed = boundaries(started_at, anchor_day, period);
            // Any instants, and those right before, at and after the boundary that follows them.
            let near = |at: i64| listed.iter().find(|boundary| **boundary >= at).unwrap() + offset;
            let anywhere = days_later.iter().map(|days| started_at + days * MICROS_PER_DAY + offset * 3_600_000_000);
            for at in anywhere.flat_map(|at| [at, near(at)]) {
                let started = at >= started_at;
                prop_assert_eq!(cycle.first_from(at), listed.iter().copied().find(|boundary| *boundary >= at));
                prop_assert_eq!(cycle.window_start(at), listed.iter().copied().rfind(|boundary| *boundary <= at));
                let after = listed.iter().copied().find(|boundary| started && *boundary > at);
                prop_assert_eq!(cycle.window_end(at), after);
            }
        }

        #[test]
        fn nothing_panics(started_at: i64, anchor_day: Option<i64>, at: i64, period in period()) {
            if let Some(cycle) = BillingCycle::new(started_at, anchor_day, Some(period)) {
                let answers = [cycle.first_from(at), cycle.window_start(at), cycle.window_end(at)];
                prop_assert!(answers.into_iter().flatten().all(|at| in_range(at).is_some()));
            }
        }
    }
}
