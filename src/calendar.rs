//! Calendar arithmetic in plain integers: days and microseconds since 1970-01-01, UTC, proleptic Gregorian.
//!
//! Phases, ages and windows are computed for every row of every snapshot, so nothing here allocates, parses or
//! panics: a result that a BigQuery TIMESTAMP cannot hold is `None`.

pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// 0001-01-01 00:00:00 and 9999-12-31 23:59:59.999999: what a BigQuery TIMESTAMP can hold.
const FIRST_MICROS: i64 = -719_162 * MICROS_PER_DAY;
const LAST_MICROS: i64 = 2_932_897 * MICROS_PER_DAY - 1;

/// 400 Gregorian years repeat to the day.
const DAYS_PER_ERA: i64 = 146_097;

/// From 0000-03-01 to 1970-01-01. Years that begin in March put the leap day last, where it disturbs no month.
const DAYS_FROM_MARCH_0000: i64 = 719_468;

/// What a length counts, as `plan_phase.length_unit` and `billing_period` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthUnit {
    Day,
    Week,
    Month,
    Year,
}

impl LengthUnit {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "day" => Some(LengthUnit::Day),
            "week" => Some(LengthUnit::Week),
            "month" => Some(LengthUnit::Month),
            "year" => Some(LengthUnit::Year),
            _ => None,
        }
    }
}

/// A date by its parts: `month` from 1 to 12, `day` from 1 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

impl Civil {
    /// Right for every `i32` of days, and for every day that an `i64` of microseconds can name.
    pub fn from_days(days: i64) -> Civil {
        let shifted = days + DAYS_FROM_MARCH_0000;
        let era = shifted.div_euclid(DAYS_PER_ERA);
        let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Civil {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    /// The inverse of [`Civil::from_days`].
    pub fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        year.div_euclid(400) * DAYS_PER_ERA + day_of_era - DAYS_FROM_MARCH_0000
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// An instant that a BigQuery TIMESTAMP can hold, or `None`.
pub fn in_range(micros: i64) -> Option<i64> {
    (FIRST_MICROS..=LAST_MICROS).contains(&micros).then_some(micros)
}

/// An instant as months count: which month since January of the year 0, which day in it, which microsecond of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InMonth {
    pub month_index: i64,
    pub day: i64,
    pub time_micros: i64,
}

impl InMonth {
    pub fn from_micros(micros: i64) -> InMonth {
        let date = Civil::from_days(micros.div_euclid(MICROS_PER_DAY));
        InMonth {
            month_index: date.year * 12 + date.month - 1,
            day: date.day,
            time_micros: micros.rem_euclid(MICROS_PER_DAY),
        }
    }

    /// The instant; where the month is too short for `day`, on its last one. `None` outside of the years 1 to 9999.
    pub fn to_micros(self) -> Option<i64> {
        let (year, month) = (self.month_index.div_euclid(12), self.month_index.rem_euclid(12) + 1);
        if !(1..=9999).contains(&year) {
            return None;
        }
        let day = self.day.min(days_in_month(year, month));
        Some(Civil { year, month, day }.to_days() * MICROS_PER_DAY + self.time_micros)
    }
}

/// The same day of the month and time of day, `months` later; where the month is too short, its last day.
pub fn add_months(micros: i64, months: i64) -> Option<i64> {
    let from = InMonth::from_micros(micros);
    InMonth { month_index: from.month_index.checked_add(months)?, ..from }.to_micros()
}

/// `length` units later; months and years as [`add_months`] counts them.
pub fn add_length(micros: i64, length: i64, unit: LengthUnit) -> Option<i64> {
    let add_days = |days: i64| in_range(micros.checked_add(days.checked_mul(MICROS_PER_DAY)?)?);
    match unit {
        LengthUnit::Day => add_days(length),
        LengthUnit::Week => add_days(length.checked_mul(7)?),
        LengthUnit::Month => add_months(micros, length),
        LengthUnit::Year => add_months(micros, length.checked_mul(12)?),
    }
}

/// Birthdays since the birth, both in days since 1970-01-01; -1 for a birth in the future. Rule R11: who is born on
/// 29 February has the birthday on 1 March in other years, which is what comparing month and day says by itself.
pub fn completed_years(birth_days: i32, on_days: i32) -> i64 {
    if birth_days > on_days {
        return -1;
    }
    let (birth, on) = (Civil::from_days(birth_days.into()), Civil::from_days(on_days.into()));
    let birthday_is_ahead = (on.month, on.day) < (birth.month, birth.day);
    on.year - birth.year - i64::from(birthday_is_ahead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike, Days, Months, NaiveDate};
    use proptest::prelude::*;

    fn micros(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    fn days(text: &str) -> i32 {
        (text.parse::<NaiveDate>().unwrap() - NaiveDate::default()).num_days() as i32
    }

    fn date(days: i64) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(i32::try_from(days + 719_163).unwrap()).unwrap()
    }

    /// chrono's own answer, with the same limits.
    fn oracle_add_months(at: i64, months: i64) -> Option<i64> {
        let months = i32::try_from(months).ok()?;
        let at = DateTime::from_timestamp_micros(at)?;
        let size = Months::new(months.unsigned_abs());
        let then = if months < 0 { at.checked_sub_months(size) } else { at.checked_add_months(size) }?;
        (1..=9999).contains(&then.year()).then(|| then.timestamp_micros())
    }

    #[test]
    fn months_end_where_the_month_ends() {
        let from = micros("2026-01-31T10:20:30.000005Z");
        assert_eq!(add_months(from, 1), Some(micros("2026-02-28T10:20:30.000005Z")));
        assert_eq!(add_months(from, 2), Some(micros("2026-03-31T10:20:30.000005Z")));
        assert_eq!(add_months(from, 25), Some(micros("2028-02-29T10:20:30.000005Z")));
        assert_eq!(add_months(from, -2), Some(micros("2025-11-30T10:20:30.000005Z")));
        assert_eq!(add_months(from, 4_489), Some(micros("2400-02-29T10:20:30.000005Z")));
        assert_eq!(add_months(from, -1511), Some(micros("1900-02-28T10:20:30.000005Z")));
        assert_eq!(
            add_length(micros("2028-02-29T00:00:00Z"), 1, LengthUnit::Year),
            Some(micros("2029-02-28T00:00:00Z"))
        );
    }

    #[test]
    fn nothing_leaves_the_years_1_to_9999() {
        let (first, last) = (micros("0001-01-01T00:00:00Z"), micros("9999-12-31T23:59:59.999999Z"));
        assert_eq!((first, last), (FIRST_MICROS, LAST_MICROS));
        assert_eq!(add_months(last, 1), None);
        assert_eq!(add_months(first, -1), None);
        assert_eq!(add_length(last, 1, LengthUnit::Day), None);
        assert_eq!(add_length(first, -1, LengthUnit::Week), None);
        for length in [i64::MIN, i64::MAX] {
            for unit in [LengthUnit::Day, LengthUnit::Week, LengthUnit::Month, LengthUnit::Year] {
                for at in [i64::MIN, first, 0, last, i64::MAX] {
                    assert_eq!(add_length(at, length, unit), None, "{at} {length} {unit:?}");
                }
            }
        }
    }

    #[test]
    fn who_is_born_on_a_leap_day_has_the_birthday_on_1_march() {
        let born = days("2008-02-29");
        assert_eq!(completed_years(born, days("2026-02-28")), 17);
        assert_eq!(completed_years(born, days("2026-03-01")), 18);
        assert_eq!(completed_years(born, days("2028-02-28")), 19);
        assert_eq!(completed_years(born, days("2028-02-29")), 20);
    }

    #[test]
    fn ages_are_total() {
        let today = days("2026-11-20");
        assert_eq!(completed_years(today, today), 0);
        assert_eq!(completed_years(today + 1, today), -1);
        assert_eq!(completed_years(days("2030-01-01"), today), -1);
        assert_eq!(completed_years(i32::MIN, i32::MAX), 11_759_221);
        assert_eq!(completed_years(i32::MAX, i32::MIN), -1);
    }

    proptest! {
        #[test]
        fn parts_read_back(days in -90_000_000i64..90_000_000) {
            let civil = Civil::from_days(days);
            let oracle = date(days);
            prop_assert_eq!(
                (civil.year, civil.month, civil.day),
                (oracle.year().into(), oracle.month().into(), oracle.day().into())
            );
            prop_assert_eq!(civil.to_days(), days);
        }

        #[test]
        fn months_are_chrono_s(at in FIRST_MICROS..=LAST_MICROS, months in -130_000i64..130_000) {
            prop_assert_eq!(add_months(at, months), oracle_add_months(at, months));
        }

        #[test]
        fn months_near_the_end_of_a_month_are_chrono_s(day in -20_000i64..20_000, months in -50i64..50) {
            let at = day * MICROS_PER_DAY + 1;
            prop_assert_eq!(add_months(at, months), oracle_add_months(at, months));
        }

        #[test]
        fn no_length_panics(at: i64, length: i64) {
            for unit in [LengthUnit::Day, LengthUnit::Week, LengthUnit::Month, LengthUnit::Year] {
                if let Some(end) = add_length(at, length, unit) {
                    prop_assert!((FIRST_MICROS..=LAST_MICROS).contains(&end));
                }
            }
        }

        #[test]
        fn days_and_weeks_are_chrono_s(at in FIRST_MICROS..=LAST_MICROS, length in 0i64..600_000) {
            let oracle = |days: i64| {
                let then = DateTime::from_timestamp_micros(at)?.checked_add_days(Days::new(days as u64))?;
                (then.year() <= 9999).then(|| then.timestamp_micros())
            };
            prop_assert_eq!(add_length(at, length, LengthUnit::Day), oracle(length));
            prop_assert_eq!(add_length(at, length, LengthUnit::Week), oracle(length * 7));
        }

        /// The oracle walks birthday by birthday instead of comparing parts.
        #[test]
        fn ages_count_birthdays(birth in -60_000i32..30_000, lived in 0i32..60_000) {
            let (born, on) = (date(birth.into()), date(i64::from(birth) + i64::from(lived)));
            let birthday = |year: i32| born.with_year(year).or_else(|| NaiveDate::from_ymd_opt(year, 3, 1)).unwrap();
            let years = (born.year() + 1..).take_while(|year| birthday(*year) <= on).count();
            prop_assert_eq!(completed_years(birth, birth + lived), years as i64);
        }
    }
}
