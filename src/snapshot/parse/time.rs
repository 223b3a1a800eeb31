//! Texts as dates, instants and wall-clock times. Years are 0001 to 9999, which is what BigQuery holds.

use chrono::NaiveDate;

use super::text::Read;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

const NOT_DATE: &str = "not a DATE: YYYY-MM-DD";
const NOT_TIMESTAMP: &str = "not a TIMESTAMP: YYYY-MM-DD HH:MM:SS with a time zone";
const NOT_DATETIME: &str = "not a DATETIME: YYYY-MM-DD HH:MM:SS";
const TOO_FINE: &str = "finer than a microsecond";

/// Days since 1970-01-01.
pub fn date(text: &str) -> Read<i32> {
    match days(text.as_bytes()) {
        Some((days, [])) => Ok(days),
        _ => Err(NOT_DATE),
    }
}

/// Microseconds since 1970-01-01 00:00 UTC of a time with a zone.
pub fn timestamp(text: &str) -> Read<i64> {
    let (local, zone) = wall_clock(text.as_bytes()).ok_or(NOT_TIMESTAMP)?;
    if zone.is_empty() {
        return Err("a TIMESTAMP without a time zone: write Z or an offset after it, or make the column a DATETIME");
    }
    let offset_minutes = offset_minutes(zone).ok_or(NOT_TIMESTAMP)?;
    let instant = local? - offset_minutes * 60 * MICROS_PER_SECOND;
    if super::range::MICROS.contains(&instant) { Ok(instant) } else { Err("outside the years 1 to 9999 UTC") }
}

/// Microseconds since 1970-01-01 00:00 on the same clock, of a time without a zone.
pub fn datetime(text: &str) -> Read<i64> {
    let (local, zone) = wall_clock(text.as_bytes()).ok_or(NOT_DATETIME)?;
    match zone {
        [] => local,
        zone if offset_minutes(zone).is_some() => Err("a DATETIME with a time zone: make the column a TIMESTAMP"),
        _ => Err(NOT_DATETIME),
    }
}

/// A date at the start of the text, and the rest.
fn days(text: &[u8]) -> Option<(i32, &[u8])> {
    let (shape, rest) = text.split_at_checked(10)?;
    if shape[4] != b'-' || shape[7] != b'-' {
        return None;
    }
    let year = number(&shape[..4])?;
    let date = NaiveDate::from_ymd_opt(year as i32, number(&shape[5..7])?, number(&shape[8..])?)?;
    (year > 0).then_some((date.to_epoch_days(), rest))
}

/// Date and time of day at the start of the text in microseconds, and the rest. Too fine a fraction is the inner error.
fn wall_clock(text: &[u8]) -> Option<(Read<i64>, &[u8])> {
    let (days, rest) = days(text)?;
    let (time, rest) = rest.split_at_checked(9)?;
    if !matches!(time[0], b'T' | b't' | b' ') || time[3] != b':' || time[6] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(&time[1..3])?, number(&time[4..6])?, number(&time[7..])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(days) * SECONDS_PER_DAY + i64::from(hour * 3600 + minute * 60 + second);
    let (fraction, rest) = fraction_micros(rest)?;
    Some((fraction.map(|micros| seconds * MICROS_PER_SECOND + micros), rest))
}

/// `.ffffff` at the start of the text in microseconds, and the rest; digits after the sixth must be zeros.
fn fraction_micros(text: &[u8]) -> Option<(Read<i64>, &[u8])> {
    let Some(after_point) = text.strip_prefix(b".") else {
        return Some((Ok(0), text));
    };
    let length = after_point.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = after_point.split_at(length);
    if digits.is_empty() {
        return None;
    }
    if digits.iter().skip(6).any(|digit| *digit != b'0') {
        return Some((Err(TOO_FINE), rest));
    }
    let micros = (0..6).fold(0, |micros, place| micros * 10 + i64::from(digits.get(place).map_or(0, |d| d - b'0')));
    Some((Ok(micros), rest))
}

/// `Z`, `UTC`, `+02:00`, `+0200` or `+02`; a space may stand before all but `Z`, as BigQuery and PostgreSQL print it.
fn offset_minutes(zone: &[u8]) -> Option<i64> {
    let trimmed = zone.strip_prefix(b" ").unwrap_or(zone);
    let (sign, digits) = match trimmed {
        b"Z" | b"z" if trimmed.len() == zone.len() => return Some(0),
        b"UTC" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [a, b] => (number(&[*a, *b])?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (number(&[*a, *b])?, number(&[*c, *d])?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * i64::from(hours * 60 + minutes))
}

/// Digits alone: no sign, no space.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeZone};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_ten_characters_of_the_calendar() {
        assert_eq!(date("1970-01-01"), Ok(0));
        assert_eq!(date("2008-02-29"), Ok(13938));
        assert_eq!((date("0001-01-01"), date("9999-12-31")), (Ok(-719_162), Ok(2_932_896)));
        let bad = [
            "",
            "20226-01-01",
            "0000-01-01",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026/01/01",
            "20260101",
            " 2026-01-01",
            "2026-01-01 ",
            "2026-01-01T00:00:00Z",
            "+026-01-01",
            "2026-01-0é",
        ];
        for text in bad {
            assert_eq!(date(text), Err(NOT_DATE), "{text:?}");
        }
    }

    #[test]
    fn a_timestamp_needs_a_zone_and_a_datetime_has_none() {
        for text in [
            "1970-01-01T00:00:01Z",
            "1970-01-01 00:00:01 UTC",
            "1970-01-01 00:00:01UTC",
            "1970-01-01t02:00:01+02:00",
            "1969-12-31 22:30:01-0130",
            "1970-01-01 00:00:01+00",
            "1970-01-01 00:00:01.000000000 +00:00",
        ] {
            assert_eq!(timestamp(text), Ok(1_000_000), "{text}");
            assert!(datetime(text).unwrap_err().contains("make the column a TIMESTAMP"), "{text}");
        }
        for text in ["1970-01-01T00:00:01", "1970-01-01 00:00:01.0"] {
            assert_eq!(datetime(text), Ok(1_000_000), "{text}");
            assert!(timestamp(text).unwrap_err().contains("without a time zone"), "{text}");
        }
    }

    #[test]
    fn times_are_read_strictly() {
        assert_eq!(timestamp("2026-11-20T23:59:59.999999Z"), Ok(1_795_219_199_999_999));
        assert_eq!(timestamp("1969-12-31T23:59:59.9Z"), Ok(-100_000));
        assert_eq!(timestamp("1970-01-01T00:00:00.0000001Z"), Err(TOO_FINE));
        assert_eq!(timestamp("9999-12-31T23:59:59-01:00"), Err("outside the years 1 to 9999 UTC"));
        let bad = [
            "",
            "1970-01-01",
            "1970-01-01 00:00Z",
            "1970-01-01 24:00:00Z",
            "1970-01-01 00:00:60Z",
            "1970-01-01  00:00:00Z",
            "1970-01-01 00:00:00.Z",
            "1970-01-01 00:00:00,5Z",
            "1970-01-01 00:00:00 Z",
            "1970-01-01 00:00:00Zulu",
            "1970-01-01 00:00:00+24:00",
            "1970-01-01 00:00:00+1",
            "1970-01-01 00:00:00 Europe/Oslo",
            "0",
            "1700000000",
            "1970-01-01 00:00:00 ",
            "1970-01-01_00:00:00Z",
        ];
        for text in bad {
            assert_eq!(timestamp(text), Err(NOT_TIMESTAMP), "{text:?}");
            assert!(datetime(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn times_read_as_chrono_prints_them(
            micros in super::super::range::MICROS, offset_minutes in -14 * 60..=14 * 60
        ) {
            let instant = DateTime::from_timestamp_micros(micros).unwrap();
            prop_assert_eq!(timestamp(&instant.to_rfc3339()), Ok(micros));
            prop_assert_eq!(timestamp(&instant.to_string()), Ok(micros));
            prop_assert_eq!(datetime(&instant.naive_utc().format("%FT%T%.6f").to_string()), Ok(micros));
            prop_assert_eq!(date(&instant.date_naive().to_string()), Ok(micros.div_euclid(86_400_000_000) as i32));
            let zone = FixedOffset::east_opt(offset_minutes * 60).unwrap();
            let local = zone.from_utc_datetime(&instant.naive_utc()).to_rfc3339();
            if local.len() >= 25 && local.as_bytes()[0].is_ascii_digit() && !local.starts_with("0000") {
                prop_assert_eq!(timestamp(&local), Ok(micros), "{}", local);
            }
        }

        #[test]
        fn what_is_read_is_what_chrono_reads(text in "[0-9]{4}-[0-1][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,6})?") {
            let expected = NaiveDateTime::parse_from_str(&text.replace('T', " "), "%F %T%.f").ok()
                .filter(|_| &text[17..19] != "60" && !text.starts_with("0000"))
                .map(|time| time.and_utc().timestamp_micros());
            prop_assert_eq!(datetime(&text).ok(), expected, "{}", text);
        }
    }
}
