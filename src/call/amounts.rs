//! Amounts, so that nobody misreads one: digits in groups, and a word where money has
//! no unit.
//!
//! Promises: what is said stands beside the exact text and never in its place; a unit
//! is never guessed. Must never: call a number an amount for anything but its name.

use super::json::{Json, Number};
use super::place::{self, Step};
use super::safe_text::SafeText;
use super::thousands::apart;
use super::words;

/// Last words of names of what is paid.
const MONEY: &[&str] = &[
    "amount",
    "price",
    "cost",
    "fee",
    "payment",
    "payout",
    "refund",
    "charge",
    "balance",
    "budget",
    "salary",
    "deposit",
    "withdrawal",
    "donation",
    "credit",
    "debit",
];

/// Last words of names of how much, of whatever.
const COUNTS: &[&str] =
    &["total", "sum", "count", "quantity", "qty", "limit", "size", "value", "discount", "tax"];

/// Last words of names that say in what.
const UNITS: &[&str] = &["currency", "ccy", "unit", "units", "denomination", "asset", "coin"];

/// Last words of an amount's name that say it there: `amount_cents`, `priceUsd`.
const IN_THE_NAME: &[&str] = &[
    "cents", "cent", "pence", "minor", "eur", "usd", "gbp", "chf", "jpy", "cny", "inr", "sek",
    "nok", "dkk", "pln", "czk", "aud", "cad", "brl", "btc", "eth", "usdc", "usdt", "sats", "euros",
    "dollars", "pounds",
];

/// Digits from which on nobody counts them at a glance.
const MANY: usize = 5;

/// Whether these members say in what amounts among and below them are.
pub fn states_unit(members: &[(String, Json)]) -> bool {
    let stated = |value: &Json| value.as_str().is_some_and(|unit| !unit.trim().is_empty());
    members.iter().any(|(name, value)| last_is(name, UNITS) && stated(value))
}

/// `1 200 000; no unit stated`: what to say beside a member, if anything.
pub fn note(name: &str, value: &Json, unit_stated: bool) -> Option<SafeText> {
    let said = [grouped(name, value), unitless(name, value, unit_stated)];
    let said: Vec<SafeText> = said.into_iter().flatten().collect();
    (!said.is_empty()).then(|| SafeText::join(&said, "; "))
}

/// `1 200 000`, where these are many digits of an amount.
pub fn grouped(name: &str, value: &Json) -> Option<SafeText> {
    if !(is_money(name) || last_is(name, COUNTS)) {
        return None;
    }
    let digits = digits(value)?;
    let (sign, rest) = digits.split_at(usize::from(digits.starts_with('-')));
    let (whole, part) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    if whole.len() < MANY || !whole.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(SafeText::line(&format!("{sign}{}{part}", apart(whole, ' '))))
}

fn unitless(name: &str, value: &Json, unit_stated: bool) -> Option<SafeText> {
    let missing = !unit_stated && last_is(name, MONEY) && digits(value).is_some();
    missing.then(|| SafeText::line("no unit stated"))
}

/// Amounts of money of which nothing says in what they are: `amount: 1200000 (1 200 000)`.
/// The first `most` of them, and how many there are beside.
pub fn without_unit(masked: &Json, most: usize) -> (Vec<SafeText>, usize) {
    let (mut found, mut more) = (Vec::new(), 0);
    let mut stated: Vec<usize> = Vec::new();
    place::walk(masked, |steps, value| {
        stated.retain(|depth| *depth < steps.len());
        if let Json::Object(members) = value
            && states_unit(members)
        {
            stated.push(steps.len());
        }
        if let Some(Step::Member(name)) = steps.last()
            && unitless(name, value, !stated.is_empty()).is_some()
        {
            match found.len() < most {
                true => found.push(told(steps, name, value)),
                false => more += 1,
            }
        }
        true
    });
    (found, more)
}

fn told(steps: &[Step<'_>], name: &str, value: &Json) -> SafeText {
    let mut text = place::told(steps);
    text.push_ours(": ");
    text.push(&super::warnings::fitting(&value.to_text(), 40));
    if let Some(grouped) = grouped(name, value) {
        text.push_ours(" (");
        text.push(&grouped);
        text.push_ours(")");
    }
    text
}

/// The exact digits of a number, or of a text that is one; `None` with an exponent.
fn digits(value: &Json) -> Option<String> {
    let digits = match value {
        Json::Number(number) => number.canonical(),
        Json::String(text) => Number::new(text)?.canonical(),
        _ => return None,
    };
    (!digits.contains('e')).then_some(digits)
}

fn is_money(name: &str) -> bool {
    let words = words_of(name);
    match words.split_last() {
        Some((last, _)) if MONEY.contains(&last.as_str()) => true,
        Some((last, before)) if IN_THE_NAME.contains(&last.as_str()) => {
            before.iter().any(|word| [MONEY, COUNTS].concat().contains(&word.as_str()))
        }
        _ => false,
    }
}

fn last_is(name: &str, known: &[&str]) -> bool {
    words_of(name).last().is_some_and(|last| known.contains(&last.as_str()))
}

fn words_of(name: &str) -> Vec<String> {
    words::of(words::start(name, words::LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::parse;

    fn said(name: &str, value: &str, unit: bool) -> String {
        let value = parse(value.as_bytes()).expect("JSON");
        note(name, &value, unit).map(|note| note.to_string()).unwrap_or_default()
    }

    #[test]
    fn digits_are_grouped_and_a_missing_unit_is_said() {
        for (name, value, unit, expected) in [
            ("amount", "1200000", false, "1 200 000; no unit stated"),
            ("amount", "\"1200000.50\"", true, "1 200 000.5"),
            ("amount", "12e5", true, "1 200 000"),
            ("refundAmount", "-48000", true, "-48 000"),
            ("amount_cents", "48000", false, "48 000"),
            ("price", "12", false, "no unit stated"),
            ("count", "184223", false, "184 223"),
            ("count", "1842", false, ""),
            ("amount", "1842", true, ""),
            ("id", "20261123", false, ""),
            ("amount", "1e300", false, ""),
            ("amount", "\"12 EUR\"", false, ""),
            ("amount", "null", false, ""),
        ] {
            assert_eq!(said(name, value, unit), expected, "{name} {value}");
        }
    }

    #[test]
    fn a_unit_beside_or_above_an_amount_is_its_own() {
        let of = |text: &str| {
            let (found, _) = without_unit(&parse(text.as_bytes()).expect("JSON"), usize::MAX);
            found.iter().map(SafeText::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(r#"{"amount":1200000}"#), ["amount: 1200000 (1 200 000)"]);
        assert_eq!(of(r#"{"amount":1,"currency":"EUR"}"#), [""; 0]);
        assert_eq!(of(r#"{"currency":"EUR","items":[{"price":1}]}"#), [""; 0]);
        assert_eq!(
            of(r#"{"a":{"currency":"EUR"},"items":[{"price":1}]}"#),
            ["items › item 1 › price: 1"]
        );
        assert_eq!(of(r#"{"amount":1,"currency":""}"#), ["amount: 1"]);
    }
}
