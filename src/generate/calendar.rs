//! Instants as the files hold them, microseconds since 1970 UTC, and the fixed calendar that the sample lives in.
//!
//! The calendar does not depend on the days that are asked for: a day made alone is the day made among others.

use chrono::{Datelike, NaiveDate, TimeDelta};

/// Microseconds since 1970-01-01 00:00 UTC. Every drawn instant is a whole millisecond.
pub type Instant = i64;

pub const MILLISECOND: i64 = 1_000;
pub const HOUR: i64 = 3_600_000 * MILLISECOND;
pub const DAY: i64 = 24 * HOUR;

const UNIX_EPOCH: NaiveDate = ymd(1970, 1, 1);

/// The first account may sign up at this instant; nothing but the catalog is older.
pub const OPENING: Instant = midnight(2023, 1, 1);
/// All but one in twenty-five accounts sign up before this instant, the others in the two years after it.
pub const GROWN: Instant = midnight(2026, 1, 1);
pub const FULL: Instant = midnight(2028, 1, 1);

/// The first and the last day that a sample can describe. After the last, ages and lifetimes would be implausible.
pub const FIRST_DAY: NaiveDate = ymd(2023, 1, 1);
pub const LAST_DAY: NaiveDate = ymd(2039, 12, 31);

const fn ymd(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(date) => date,
        None => panic!("the date exists"),
    }
}

/// The first instant of a day that exists.
pub const fn midnight(year: i32, month: u32, day: u32) -> Instant {
    ymd(year, month, day).signed_duration_since(UNIX_EPOCH).num_days() * DAY
}

/// Days since 1970-01-01, as Arrow's Date32 counts them.
pub const fn day_number(instant: Instant) -> i32 {
    instant.div_euclid(DAY) as i32
}

fn date_of(instant: Instant) -> NaiveDate {
    UNIX_EPOCH + TimeDelta::days(i64::from(day_number(instant)))
}

pub fn day_of_month(instant: Instant) -> u32 {
    date_of(instant).day()
}

/// Whole calendar months from one instant's month to the other's, days not looked at.
pub fn months_between(from: Instant, to: Instant) -> i64 {
    let count = |instant| {
        let date = date_of(instant);
        i64::from(date.year()) * 12 + i64::from(date.month0())
    };
    count(to) - count(from)
}

/// So many months after `from`, on `anchor_day` or the month's last day before it, at the same time of day (rule R5).
pub fn add_months(from: Instant, months: i64, anchor_day: u32) -> Instant {
    let start = date_of(from);
    let month = i64::from(start.year()) * 12 + i64::from(start.month0()) + months;
    let (year, month) = (month.div_euclid(12) as i32, month.rem_euclid(12) as u32 + 1);
    let date = (anchor_day.min(28)..=anchor_day)
        .rev()
        .find_map(|day| NaiveDate::from_ymd_opt(year, month, day))
        .expect("every month of the sample's calendar has a 28th");
    date.signed_duration_since(UNIX_EPOCH).num_days() * DAY + from.rem_euclid(DAY)
}

/// A number that grows with every change of a row: the milliseconds from 2020 to the change.
pub fn source_seq(updated_at: Instant) -> i64 {
    (updated_at - midnight(2020, 1, 1)) / MILLISECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_clamped_and_do_not_drift() {
        let start = midnight(2026, 1, 31) + HOUR;
        let on = |months| date_of(add_months(start, months, 31)).to_string();
        assert_eq!(on(1), "2026-02-28");
        assert_eq!(on(2), "2026-03-31");
        assert_eq!(on(25), "2028-02-29");
        assert_eq!(add_months(start, 12, 31), midnight(2027, 1, 31) + HOUR);
        assert_eq!(add_months(start, 1, 5), midnight(2026, 2, 5) + HOUR);
    }

    #[test]
    fn months_between_counts_calendar_months() {
        assert_eq!(months_between(midnight(2025, 11, 30), midnight(2026, 2, 1)), 3);
        assert_eq!(day_number(midnight(2026, 11, 20)), 20_777);
    }
}
