//! Texts as decimals of a precision and scale, digit by digit: nothing passes through a float, nothing is rounded.

use arrow::array::ArrowNativeTypeOp;
use arrow::datatypes::{ArrowNativeType, DecimalType};

use super::text::Read;

const NOT_DECIMAL: &str = "not a NUMERIC";
const TOO_FINE: &str = "more digits after the point than the type holds";
const TOO_LARGE: &str = "more digits before the point than the type holds";

/// Exponents beyond this are absurd, and their sums could overflow.
const EXPONENT_LIMIT: i64 = 10_000;

/// Reads `[sign] digits [. digits] [e exponent]` as the unscaled value of `T`.
pub fn decimal<T: DecimalType>(text: &str, precision: u8, scale: i8) -> Read<T::Native> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], read_exponent(&unsigned[at + 1..])?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &mantissa[..0]),
    };
    let mut digits = whole.iter().chain(fraction).map(|byte| byte.wrapping_sub(b'0'));
    if whole.is_empty() && fraction.is_empty() || digits.clone().any(|digit| digit > 9) {
        return Err(NOT_DECIMAL);
    }
    let length = whole.len() + fraction.len();
    // The digits are kept up to `scale` places after the point, wherever the exponent has put that.
    let kept = whole.len() as i64 + exponent + i64::from(scale);
    let split = kept.clamp(0, length as i64) as usize;
    let leading_zeros = digits.clone().take_while(|digit| *digit == 0).count();
    if leading_zeros == length {
        return Ok(T::Native::ZERO);
    }
    if digits.clone().skip(split).any(|digit| digit != 0) {
        return Err(TOO_FINE);
    }
    if kept - leading_zeros as i64 > i64::from(precision) {
        return Err(TOO_LARGE);
    }
    let mut value = T::Native::ZERO;
    for digit in digits.by_ref().take(split).chain(std::iter::repeat_n(0, (kept - split as i64).max(0) as usize)) {
        value = value.mul_wrapping(native::<T>(10)).add_wrapping(native::<T>(digit));
    }
    Ok(if negative { value.neg_wrapping() } else { value })
}

fn read_exponent(text: &[u8]) -> Read<i64> {
    let text = std::str::from_utf8(text).map_err(|_| NOT_DECIMAL)?;
    // An exponent too large for the type is still a number; which of the limits it breaks is seen from the digits.
    let exponent = text.parse::<i64>().map_err(|_| NOT_DECIMAL)?;
    Ok(exponent.clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT))
}

fn native<T: DecimalType>(digit: u8) -> T::Native {
    T::Native::from_usize(usize::from(digit)).expect("every decimal type holds a digit")
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Decimal128Type, Decimal256Type, i256};
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Read<i128> {
        decimal::<Decimal128Type>(text, 5, 2)
    }

    #[test]
    fn decimals_are_read_without_rounding() {
        let good = [
            ("0", 0),
            ("-0.00", 0),
            ("1", 100),
            ("+1.5", 150),
            ("-999.99", -99999),
            (".5", 50),
            ("5.", 500),
            ("00001.10000", 110),
            ("1e2", 10000),
            ("12.5E-1", 125),
            ("1500e-3", 150),
            ("0e9999", 0),
            ("0.0001e4", 100),
        ];
        for (text, value) in good {
            assert_eq!(read(text), Ok(value), "{text}");
        }
        for text in
            ["", ".", "-", "e5", "1e", "1e1.5", "1.2.3", " 1", "1 ", "1,5", "NaN", "inf", "0x1", "--1", "1-", "٣"]
        {
            assert_eq!(read(text), Err(NOT_DECIMAL), "{text:?}");
        }
        for text in ["1.005", "0.001", "1e-3", "1e-99999999", "999999.001"] {
            assert_eq!(read(text), Err(TOO_FINE), "{text}");
        }
        for text in ["1000", "-1000.00", "1e3", "1e9999999999", "123456789012345678901234567890123456789012345"] {
            assert_eq!(read(text), Err(TOO_LARGE), "{text}");
        }
    }

    #[test]
    fn the_largest_decimals_fit() {
        let nines = "9".repeat(38);
        assert_eq!(decimal::<Decimal128Type>(&nines, 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal::<Decimal128Type>(&format!("{nines}9"), 38, 0), Err(TOO_LARGE));
        let nines = "9".repeat(76);
        assert_eq!(decimal::<Decimal256Type>(&nines, 76, 0), Ok(i256::from_string(&nines).unwrap()));
    }

    proptest! {
        /// The oracle moves the point in the text itself.
        #[test]
        fn a_decimal_is_its_digits(negative: bool, whole in "[0-9]{0,12}", fraction in "[0-9]{0,12}", shift in -6_i32..6) {
            prop_assume!(!whole.is_empty() || !fraction.is_empty());
            let sign = if negative { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction}e{shift}");
            let padded = format!("{:0>20}{whole}{fraction}{:0<20}", "", "");
            let point = (20 + whole.len() as i32 + shift) as usize;
            let (before, after) = (padded[..point].trim_start_matches('0'), padded[point..].trim_end_matches('0'));
            let expected = match () {
                () if after.len() > 4 => Err(TOO_FINE),
                () if before.len() > 10 => Err(TOO_LARGE),
                () => Ok(format!("{sign}0{before}{after:0<4}").parse::<i128>().unwrap()),
            };
            prop_assert_eq!(decimal::<Decimal128Type>(&text, 14, 4), expected, "{}", text);
        }
    }
}
