//! Durations as schedules write them: `90s`, `5m`, `2h`, `1d`.

use std::time::Duration;

use crate::error::{Error, Result};

/// The units and their seconds, the greatest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
/// A schedule that waits longer than a year is a slip of the pen, and what is far longer fits no scheduler's numbers.
const LONGEST: u64 = 366 * 86_400;

/// Reads a whole number above 0 and its unit, at most 366 days.
///
/// # Errors
/// `Project`: it is no such duration.
pub fn parse(text: &str) -> Result<Duration> {
    let refuse = || {
        Error::project(format!("'{text}' is not a duration"))
            .hint("a whole number above 0 and s, m, h or d, at most 366d: \"90s\", \"5m\", \"2h\"")
    };
    let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(refuse)?;
    let number = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let number: u64 = number.and_then(|digits| digits.parse().ok()).ok_or_else(refuse)?;
    let total = number.checked_mul(*seconds).filter(|total| (1..=LONGEST).contains(total)).ok_or_else(refuse)?;
    Ok(Duration::from_secs(total))
}

/// The duration in the greatest unit that it is a multiple of; parts of a second are left out.
pub fn text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let fits = |(_, unit): &&(&str, u64)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (unit, length) = UNITS.iter().find(fits).unwrap_or(&("s", 1));
    format!("{}{unit}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_in_their_greatest_unit() {
        for (written, seconds, read_back) in [
            ("90s", 90, "90s"),
            ("5m", 300, "5m"),
            ("120m", 7_200, "2h"),
            ("1d", 86_400, "1d"),
            ("366d", LONGEST, "366d"),
        ] {
            let duration = parse(written).unwrap();
            assert_eq!((duration.as_secs(), text(duration).as_str()), (seconds, read_back), "{written}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for bad in
            ["", "5", "m", "0s", "-1m", "+5m", "1.5h", "5 m", "5min", "367d", "99999999999999999999d", "5M", "٥m"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
