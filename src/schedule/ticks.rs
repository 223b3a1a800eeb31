//! When a schedule starts, and which day it runs then.
//!
//! A cron expression speaks of the clock on the wall. Its times are found on that clock, as if it never changed, and each is then
//! put to an instant: a time that a change of the clock skips is the first instant after it, and one that comes
//! twice is the first of both. So every day has its tick, and none has two.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};

use crate::error::{Error, Result};
use crate::names::SnapshotDate;

/// The first years that are searched for a day on which an expression fires: the calendar repeats after four hundred.
const CALENDAR: (i32, i32) = (2000, 2400);
/// No clock was ever put on or back by more than this.
const GREATEST_CHANGE: TimeDelta = TimeDelta::hours(25);
/// The places of the fields that may hold names.
const DAY_OF_MONTH: usize = 2;
const MONTH: usize = 3;
const DAY_OF_WEEK: usize = 4;
const FORM: &str = "five fields, minute, hour, day of the month, month and day of the week: \"30 3 * * *\"";

/// A cron expression that fires once a day at most.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    text: String,
    parsed: croner::Cron,
}

impl Cron {
    /// Reads an expression of five fields, in the notation that cron, Kubernetes and Airflow have in common.
    ///
    /// # Errors
    /// `Project`: it is none, it fires twice on a day, or never.
    pub fn parse(text: &str) -> Result<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != 5 {
            return Err(Error::project(format!("'{text}' is not a cron expression")).hint(FORM));
        }
        refuse_dialects(text, &fields)?;
        let text = fields.join(" ");
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser
            .parse(&text)
            .map_err(|error| Error::project(format!("'{text}' is not a cron expression")).hint(FORM).source(error))?;
        let cron = Cron { text, parsed };
        cron.refuse_twice_a_day()?;
        cron.refuse_never()?;
        Ok(cron)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The day that has ended is run; a second tick on a day would run the day that still goes on.
    fn refuse_twice_a_day(&self) -> Result<()> {
        let pattern = &self.parsed.pattern;
        let minutes = (0..60).filter(|minute| pattern.minute_match(*minute).unwrap_or_default()).count();
        let hours = (0..24).filter(|hour| pattern.hour_match(*hour).unwrap_or_default()).count();
        if minutes * hours == 1 {
            return Ok(());
        }
        Err(Error::project(format!("'{self}' starts {} times a day", minutes * hours)).hint(
            "name one minute and one hour, as in \"30 3 * * *\"; 'wait' and 'retries' say how often a day is tried",
        ))
    }

    fn refuse_never(&self) -> Result<()> {
        let first = NaiveDate::from_ymd_opt(CALENDAR.0, 1, 1);
        let mut days = std::iter::successors(first, NaiveDate::succ_opt).take_while(|day| day.year() < CALENDAR.1);
        if days.any(|day| self.has(day)) {
            return Ok(());
        }
        Err(Error::project(format!("'{self}' never starts"))
            .hint("no year has such a day: look at the third and fourth field"))
    }

    fn has(&self, day: NaiveDate) -> bool {
        let pattern = &self.parsed.pattern;
        pattern.month_match(day.month()).unwrap_or_default()
            && pattern.day_match(day.year(), day.month(), day.day()).unwrap_or_default()
    }

    /// The first tick after an instant; none after the year 5000.
    pub fn next(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Tz>> {
        let mut wall = wall_of(after, zone)?.checked_sub_signed(GREATEST_CHANGE)?;
        loop {
            wall = self.parsed.find_next_occurrence(&wall.and_utc(), false).ok()?.naive_utc();
            let tick = instant(wall, zone)?;
            if tick > after {
                return Some(tick);
            }
        }
    }

    /// The last tick before an instant; none before the year 1.
    pub fn previous(&self, before: DateTime<Utc>, zone: Tz) -> Option<DateTime<Tz>> {
        let mut wall = wall_of(before, zone)?.checked_add_signed(GREATEST_CHANGE)?;
        loop {
            wall = self.parsed.find_previous_occurrence(&wall.and_utc(), false).ok()?.naive_utc();
            let tick = instant(wall, zone)?;
            if tick < before {
                return Some(tick);
            }
        }
    }

    /// The day that a tick runs: the date, in the schedule's time zone, of the tick before it.
    pub fn day(&self, tick: DateTime<Utc>, zone: Tz) -> Option<SnapshotDate> {
        self.previous(tick, zone).map(|before| SnapshotDate::new(before.date_naive()))
    }
}

impl std::fmt::Display for Cron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The time on the wall, without the parts of a second, which a search would carry into what it finds.
fn wall_of(at: DateTime<Utc>, zone: Tz) -> Option<NaiveDateTime> {
    at.with_timezone(&zone).naive_local().with_nanosecond(0)
}

/// The instant of a time on the wall, and of one that the wall skips the first after it.
fn instant(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Tz>> {
    let limit = wall.checked_add_days(Days::new(2))?;
    let minutes = std::iter::successors(Some(wall), |minute| minute.checked_add_signed(TimeDelta::minutes(1)));
    minutes.take_while(|minute| *minute < limit).find_map(|minute| zone.from_local_datetime(&minute).earliest())
}

/// Schedulers differ in what they read beyond the plain notation, and a schedule means the same in all of them.
fn refuse_dialects(text: &str, fields: &[&str]) -> Result<()> {
    let refuse = |found: &str| {
        Err(Error::project(format!("not every scheduler knows '{found}' in '{text}'"))
            .hint("write numbers, JAN to DEC, SUN to SAT, and * , - /; Sunday is 0"))
    };
    // cron takes a day of the month that begins with '*' for any day, and others run on either of both days.
    if fields[DAY_OF_MONTH].starts_with("*/") && fields[DAY_OF_WEEK] != "*" {
        return refuse(&format!("{} beside a day of the week", fields[DAY_OF_MONTH]));
    }
    for (place, field) in fields.iter().enumerate() {
        let from_one = |part: &str| part.split_once('/').is_some_and(|(start, _)| start != "*" && !start.contains('-'));
        if let Some(part) = field.split(',').find(|part| from_one(part)) {
            return refuse(part);
        }
        if let Some(sign) = field.chars().find(|sign| !sign.is_ascii_alphanumeric() && !"*,-/".contains(*sign)) {
            return refuse(&sign.to_string());
        }
        for word in field.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            let number = word.bytes().all(|digit| digit.is_ascii_digit()) && !(place == DAY_OF_WEEK && word == "7");
            if !number && !names(place).contains(&word.to_ascii_uppercase().as_str()) {
                return refuse(word);
            }
        }
    }
    Ok(())
}

fn names(place: usize) -> &'static [&'static str] {
    match place {
        MONTH => &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
        DAY_OF_WEEK => &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant_of(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn following(cron: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(cron).unwrap();
        let first = cron.next(instant_of(after), zone);
        std::iter::successors(first, |tick| cron.next(tick.with_timezone(&Utc), zone))
            .take(count)
            .map(|tick| tick.format("%dT%H:%M%:z").to_string())
            .collect()
    }

    #[test]
    fn a_time_that_the_clock_skips_is_the_first_after_it() {
        let ticks = following("30 2 * * *", Tz::Europe__Oslo, "2026-03-27T12:00:00Z", 3);
        assert_eq!(ticks, ["28T02:30+01:00", "29T03:00+02:00", "30T02:30+02:00"]);
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        let ticks = following("30 2 * * *", Tz::Europe__Oslo, "2026-10-24T00:00:00Z", 3);
        assert_eq!(ticks, ["24T02:30+02:00", "25T02:30+02:00", "26T02:30+01:00"]);
        // Between both, when the clock shows an earlier time than at the tick that has passed.
        let cron = Cron::parse("30 2 * * *").unwrap();
        let between = instant_of("2026-10-25T01:10:00Z");
        assert_eq!(cron.previous(between, Tz::Europe__Oslo).unwrap().to_rfc3339(), "2026-10-25T02:30:00+02:00");
        assert_eq!(cron.next(between, Tz::Europe__Oslo).unwrap().to_rfc3339(), "2026-10-26T02:30:00+01:00");
    }

    #[test]
    fn every_day_is_run_once_whatever_the_clock_does() {
        let zones =
            [Tz::UTC, Tz::Europe__Oslo, Tz::America__Sao_Paulo, Tz::Africa__Casablanca, Tz::Australia__Lord_Howe];
        for (zone, cron) in
            zones.iter().flat_map(|zone| ["0 0 * * *", "30 1 * * *", "30 2 * * *"].map(|cron| (*zone, cron)))
        {
            let cron = Cron::parse(cron).unwrap();
            let mut at = instant_of("2016-12-31T23:59:59Z");
            let mut day = None;
            for _ in 0..800 {
                let tick = cron.next(at, zone).unwrap();
                at = tick.with_timezone(&Utc);
                let runs = cron.day(at, zone).unwrap();
                assert_eq!(Some(runs.date()), tick.date_naive().pred_opt(), "{zone} {cron} {tick}");
                assert!(day.is_none_or(|before: SnapshotDate| before.next() == Some(runs)), "{zone} {cron} {tick}");
                assert_eq!(cron.previous(at + TimeDelta::seconds(1), zone), Some(tick), "{zone} {cron} {tick}");
                day = Some(runs);
            }
        }
    }

    #[test]
    fn the_day_is_that_of_the_tick_before_on_the_schedules_clock() {
        let cron = Cron::parse("0 1 * * MON-FRI").unwrap();
        let day = |tick, zone| cron.day(instant_of(tick), zone).unwrap().to_string();
        assert_eq!(day("2026-11-23T01:00:00Z", Tz::UTC), "2026-11-20");
        // Eight hours before, in Tokyo, it was Tuesday already.
        assert_eq!(day("2026-11-24T16:00:00Z", Tz::Asia__Tokyo), "2026-11-24");
    }

    #[test]
    fn a_tick_is_a_whole_minute_whenever_it_is_asked_for() {
        let cron = Cron::parse("30 3 * * *").unwrap();
        let now = instant_of("2026-11-22T07:58:58.051002Z");
        assert_eq!(cron.previous(now, Tz::UTC).unwrap().to_rfc3339(), "2026-11-22T03:30:00+00:00");
        assert_eq!(cron.next(now, Tz::UTC).unwrap().to_rfc3339(), "2026-11-23T03:30:00+00:00");
        let tick = instant_of("2026-11-22T03:30:00Z");
        assert_eq!(cron.previous(tick + TimeDelta::nanoseconds(1), Tz::UTC).unwrap(), tick);
        assert_eq!(cron.next(tick - TimeDelta::nanoseconds(1), Tz::UTC).unwrap(), tick);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for (text, expected) in [
            ("", "is not a cron expression"),
            ("30 3 * *", "is not a cron expression"),
            ("0 30 3 * * *", "is not a cron expression"),
            ("@daily", "is not a cron expression"),
            ("60 3 * * *", "is not a cron expression"),
            ("30 24 * * *", "is not a cron expression"),
            ("30 3 0 * *", "is not a cron expression"),
            ("a 3 * * *", "not every scheduler knows 'a'"),
            ("30 3 L * *", "not every scheduler knows 'L'"),
            ("30 3 * * 5L", "not every scheduler knows '5L'"),
            ("30 3 * * 5#1", "not every scheduler knows '#'"),
            ("30 3 * * 7", "not every scheduler knows '7'"),
            ("30 3 * JAN FEB", "not every scheduler knows 'FEB'"),
            ("30 3 5/10 * *", "not every scheduler knows '5/10'"),
            ("30 3 */2 * MON", "not every scheduler knows '*/2 beside a day of the week'"),
            ("30 3,9 * * *", "starts 2 times a day"),
            ("* * * * *", "starts 1440 times a day"),
            ("30 3 30 2 *", "never starts"),
            ("30 3 31 4,6 *", "never starts"),
        ] {
            let error = Cron::parse(text).expect_err(text);
            assert!(error.message().contains(expected), "{text}: {error}");
            assert!(error.hint_text().is_some(), "{text}: {error}");
        }
        for good in ["30 3 29 2 *", "5 4 * jan-mar mon,WED", " 30  3 * * * ", "0 0 31 */2 *", "30 3 30 2 MON"] {
            Cron::parse(good).unwrap();
        }
    }
}
