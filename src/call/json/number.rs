//! A number as it was sent, and its exact value in one canonical spelling.
//!
//! Promises: the text is kept; two numbers of equal exact value have the same
//! canonical text, two of different value never do. Must never: pass through a
//! double, which cannot tell 9007199254740993 from 9007199254740992.

use std::cmp::Ordering;

/// The furthest exponent accepted, as written and once normalised. JSON sets no
/// limit; without one, twelve bytes (`1e999999999`) would stand for a number
/// that some other reader expands into a gigabyte.
pub(super) const MAX_EXPONENT: i64 = 9999;

/// The text of a valid JSON number.
///
/// Equality is of the text: see [`Number::canonical`] for equality of value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

impl Number {
    /// The number written in `text`, if that is one JSON number and nothing
    /// else, within the accepted exponents.
    pub fn new(text: &str) -> Option<Number> {
        let end = scan(text.as_bytes()).ok()?;
        (end == text.len() && exponent_is_accepted(text)).then(|| Number(text.into()))
    }

    /// The number as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The exact value if it is whole and within `u64`.
    pub fn as_u64(&self) -> Option<u64> {
        self.canonical().parse().ok()
    }

    /// The exact value if it is whole and within `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        self.canonical().parse().ok()
    }

    /// The nearest double, if the value is within the range of one. Not exact.
    pub fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok().filter(|f: &f64| f.is_finite())
    }

    /// Which of two exact values is the larger.
    pub fn compare(&self, other: &Number) -> Ordering {
        let (mine, other) = (Decimal::of(&self.0), Decimal::of(&other.0));
        match (mine.sign(), other.sign()) {
            (-1, -1) => other.size().cmp(&mine.size()),
            (1, 1) => mine.size().cmp(&other.size()),
            (mine, other) => mine.cmp(&other),
        }
    }

    /// The exact decimal value in ECMAScript's number layout.
    ///
    /// RFC 8785 prints the double nearest to the number: its shortest digits
    /// that read back as the same double, in ECMAScript's layout. Our departure
    /// is to do so only where what would be printed *is* the number, and to lay
    /// out the exact digits otherwise. Both cases are this one function. A
    /// decimal value has exactly one spelling as digits without leading or
    /// trailing zeros and a power of ten, ECMAScript's shortest digits never
    /// have either, and its layout is a function of digits and power. So where
    /// the printed value equals the exact one, the digits are the same and so
    /// is the text; no double is needed to find that out.
    pub fn canonical(&self) -> String {
        let exact = Decimal::of(&self.0);
        let (digits, point) = (exact.digits, exact.point);
        let k = digits.len() as i64;
        let mut out = String::with_capacity(digits.len() + 8);
        if digits.is_empty() {
            // Zero has no sign: JCS writes -0 as 0, and so do we.
            return "0".to_owned();
        }
        if exact.negative {
            out.push('-');
        }
        // ECMA-262, Number::toString, steps 6 to 12: k digits, value 0.digits × 10^point.
        if (1..=21).contains(&point) {
            let point = point as usize;
            if k as usize <= point {
                out.push_str(&digits);
                out.extend(std::iter::repeat_n('0', point - digits.len()));
            } else {
                out.push_str(&digits[..point]);
                out.push('.');
                out.push_str(&digits[point..]);
            }
        } else if (-5..=0).contains(&point) {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
            out.push_str(&digits);
        } else {
            out.push_str(&digits[..1]);
            if k > 1 {
                out.push('.');
                out.push_str(&digits[1..]);
            }
            let exponent = point - 1;
            out.push_str(if exponent < 0 { "e-" } else { "e+" });
            out.push_str(&exponent.unsigned_abs().to_string());
        }
        out
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Number {
        Number(n.to_string().into())
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Number {
        Number(n.to_string().into())
    }
}

impl From<u32> for Number {
    fn from(n: u32) -> Number {
        Number(n.to_string().into())
    }
}

/// An exact value: `0.digits × 10^point`, the digits without leading or
/// trailing zeros; no digits is zero.
struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    /// The value of `text`, which is a valid JSON number whose written exponent is accepted.
    fn of(text: &str) -> Decimal {
        let (mantissa, exponent) = split_exponent(text);
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: String = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        let leading = (all.len() - significant.len()) as i64;
        let digits = significant.trim_end_matches('0').to_owned();
        let point = whole.len() as i64 - leading + exponent_value(exponent);
        Decimal { negative, digits, point }
    }
}

impl Decimal {
    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// What orders values other than zero by their distance from it: as digits end
    /// in no zero, of two with the same point the longer text is the larger value.
    fn size(&self) -> (i64, &str) {
        (self.point, &self.digits)
    }
}

/// Mantissa and exponent digits (with sign; empty when there are none).
fn split_exponent(text: &str) -> (&str, &str) {
    text.split_once(['e', 'E']).unwrap_or((text, ""))
}

/// The exponent's value, or a number far beyond what is accepted.
fn exponent_value(text: &str) -> i64 {
    if text.is_empty() {
        return 0;
    }
    let (negative, digits) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    // Leading zeros are allowed in an exponent and any number of them means nothing.
    let value = match digits.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().unwrap_or(i64::from(u32::MAX)).min(i64::from(u32::MAX)),
    };
    if negative { -value } else { value }
}

/// Whether the exponent is within bounds both as written and once the number is
/// normalised to one digit before the point (`1000…` needs no `e` to be large).
pub(super) fn exponent_is_accepted(text: &str) -> bool {
    let written = exponent_value(split_exponent(text).1);
    if written.abs() > MAX_EXPONENT {
        return false;
    }
    let exact = Decimal::of(text);
    exact.digits.is_empty() || (exact.point - 1).abs() <= MAX_EXPONENT
}

/// The end of the JSON number at the start of `bytes`; the error is where it went wrong.
pub(super) fn scan(bytes: &[u8]) -> Result<usize, usize> {
    let digits = |mut at: usize| {
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        if at == start { Err(at) } else { Ok(at) }
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at = match bytes.get(at) {
        // A leading zero stands alone: `01` is not a number.
        Some(b'0') if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => return Err(at + 1),
        _ => digits(at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(at)?;
    }
    Ok(at)
}
