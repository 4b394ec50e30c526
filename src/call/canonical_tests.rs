//! The canonical form against RFC 8785, and against itself.

use proptest::prelude::*;

use super::canonical;
use crate::call::json::tests::{any_json, any_number};
use crate::call::json::{Json, Number, parse};

fn of(text: &str) -> String {
    canonical(&parse(text.as_bytes()).expect(text))
}

/// The layout of a double: its shortest digits are an exact decimal value.
fn of_double(bits: u64) -> String {
    of(&format!("{:e}", f64::from_bits(bits)))
}

#[test]
fn doubles_are_written_as_in_appendix_b_of_rfc_8785() {
    for (bits, text) in [
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7fefffffffffffff, "1.7976931348623157e+308"),
        (0xffefffffffffffff, "-1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0xc340000000000000, "-9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44b52d02c7e14af5, "9.999999999999997e+22"),
        (0x44b52d02c7e14af6, "1e+23"),
        (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
        (0x444b1ae4d6e2ef4e, "999999999999999700000"),
        (0x444b1ae4d6e2ef4f, "999999999999999900000"),
        (0x444b1ae4d6e2ef50, "1e+21"),
        (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
        (0x3eb0c6f7a0b5ed8d, "0.000001"),
        (0x41b3de4355555553, "333333333.3333332"),
        (0x41b3de4355555554, "333333333.33333325"),
        (0x41b3de4355555555, "333333333.3333333"),
        (0x41b3de4355555556, "333333333.3333334"),
        (0x41b3de4355555557, "333333333.33333343"),
        (0xbecbf647612f3696, "-0.0000033333333333333333"),
    ] {
        assert_eq!(of_double(bits), text, "{bits:016x}");
    }
    // The table's last row, "round to even": …206.2 and …206.3 are equally short
    // and equally near. Rust's formatter takes the odd one, so the digits that
    // ECMAScript takes are fed as text.
    let tie = "1424953923781206.2";
    assert_eq!(of(tie), tie);
    assert_eq!(tie.parse::<f64>().map(f64::to_bits), Ok(0x43143ff3c1cb0959));
}

#[test]
fn the_examples_of_rfc_8785_come_out_as_printed_there_but_for_exact_digits() {
    assert_eq!(
        of(r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#),
        // The RFC prints the first number as the double it is not: 333333333.3333333.
        r#"{"literals":[null,true,false],"numbers":[333333333.33333329,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    let sorted =
        of(r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#);
    let values: Vec<char> = sorted.chars().filter(char::is_ascii_digit).collect();
    // The emoji comes before U+FB33: its first UTF-16 unit is D83D.
    assert_eq!(sorted, "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}");
    assert_eq!(values, ['2', '1', '4', '6', '7', '1', '5', '3']);
}

#[test]
fn numbers_keep_every_digit_and_lose_every_spelling() {
    for (spellings, canonical) in [
        (&["0", "-0", "0.0", "-0e5", "0E-9999"][..], "0"),
        (&["100", "1e2", "100.0", "1000E-1", "0.001e+5", "1.00e02"], "100"),
        (&["9007199254740993", "9007199254740993.0", "9.007199254740993e15"], "9007199254740993"),
        (&["333333333.33333329", "33333333333333329e-8"], "333333333.33333329"),
        (&["123456789012345678901", "1.23456789012345678901e20"], "123456789012345678901"),
        (&["1234567890123456789012"], "1.234567890123456789012e+21"),
        (&["100000000000000000000", "1e20"], "100000000000000000000"),
        (&["1000000000000000000000"], "1e+21"),
        (&["0.000001", "1e-6"], "0.000001"),
        (&["0.0000012345678901234567890"], "0.000001234567890123456789"),
        (&["0.0000001", "1e-7"], "1e-7"),
        (&["1e9999", "10e9998"], "1e+9999"),
        (&["-12.50"], "-12.5"),
    ] {
        for spelling in spellings {
            assert_eq!(of(spelling), canonical, "{spelling}");
        }
    }
}

#[test]
fn strings_are_escaped_as_little_as_json_allows() {
    let text = "\u{0}\u{8}\t\n\u{b}\u{c}\r\u{1f}\"\\/\u{7f}\u{202e}\u{2028}\u{e000}";
    assert_eq!(
        canonical(&Json::from(text)),
        "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\\"\\\\/\u{7f}\u{202e}\u{2028}\u{e000}\""
    );
}

/// A value and the same in another order and with other spellings of its numbers.
fn respelled(value: &Json) -> Json {
    match value {
        Json::Number(number) => {
            let text = number.as_str();
            let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
            let dot = if mantissa.contains('.') { "00" } else { ".00" };
            Json::Number(Number::new(&format!("{mantissa}{dot}E{exponent}")).expect("a number"))
        }
        Json::Array(items) => Json::Array(items.iter().map(respelled).collect()),
        Json::Object(members) => {
            Json::object(members.iter().rev().map(|(n, v)| (n.clone(), respelled(v))))
        }
        other => other.clone(),
    }
}

/// The same, as plainly as possible: an exact fraction of big decimal strings.
fn same_value(a: &str, b: &str) -> bool {
    // All exponents below are within ±999, digits within 49: align by padding.
    fn aligned(text: &str) -> (bool, String) {
        let negative = text.starts_with('-');
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().expect("small");
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let zeros = (1100 + exponent - fraction.len() as i32) as usize;
        let digits = format!("{whole}{fraction}{}", "0".repeat(zeros));
        let digits = digits.trim_start_matches('0').to_owned();
        (negative && !digits.is_empty(), digits)
    }
    aligned(a) == aligned(b)
}

proptest! {
    #[test]
    fn other_spellings_have_the_same_canonical_form(value in any_json()) {
        prop_assert_eq!(canonical(&respelled(&value)), canonical(&value));
    }

    #[test]
    fn the_canonical_form_is_its_own(value in any_json()) {
        let text = canonical(&value);
        prop_assert_eq!(of(&text), text);
    }

    #[test]
    fn numbers_have_one_form_exactly_when_they_are_equal(a in any_number(), b in any_number()) {
        prop_assert!(same_value(a.as_str(), &a.canonical()));
        prop_assert_eq!(a.canonical() == b.canonical(), same_value(a.as_str(), b.as_str()));
    }

    #[test]
    fn neighbours_of_a_number_have_another_form(n in 1u64..u64::MAX) {
        prop_assert_ne!(of(&n.to_string()), of(&(n - 1).to_string()));
    }

    #[test]
    fn a_double_reads_back_as_itself(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        prop_assume!(double.is_finite());
        prop_assert_eq!(of_double(bits).parse::<f64>().unwrap(), double);
    }

    #[test]
    fn different_values_have_different_forms(a in any_json(), b in any_json()) {
        // The parser's tree of the canonical text is the meaning of a value.
        let (ta, tb) = (canonical(&a), canonical(&b));
        prop_assert_eq!(ta == tb, parse(ta.as_bytes()).unwrap() == parse(tb.as_bytes()).unwrap());
        prop_assert_eq!(leaves(&a), leaves(&parse(ta.as_bytes()).unwrap()));
    }
}

/// Every string and literal with its path, sorted: what the canonical form must keep.
fn leaves(value: &Json) -> Vec<String> {
    fn walk(value: &Json, path: &str, out: &mut Vec<String>) {
        match value {
            Json::Array(items) => {
                out.push(format!("{path} []"));
                items.iter().enumerate().for_each(|(i, v)| walk(v, &format!("{path}/{i}"), out));
            }
            Json::Object(members) => {
                out.push(format!("{path} {{}}"));
                members.iter().for_each(|(n, v)| walk(v, &format!("{path}/{n:?}"), out));
            }
            Json::Number(_) => out.push(format!("{path} number")),
            other => out.push(format!("{path} {other:?}")),
        }
    }
    let mut out = Vec::new();
    walk(value, "", &mut out);
    out.sort();
    out
}
