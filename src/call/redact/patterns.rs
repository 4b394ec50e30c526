//! What secrets look like, whatever they are called.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// One shape. Where the pattern has a group, the group is the secret; else all of it is.
struct Shape {
    pattern: Regex,
    /// Whether what was found is no secret after all.
    unless: fn(&str) -> bool,
}

/// The issuer's own form of a token: no context needed. The `(?:^|[^…])` stands
/// for a word boundary that also counts `_`.
const TOKENS: &[&str] = &[
    // AWS access key ids
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    // private keys; without an end, all that follows is the key
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)",
    // JWT, signed or encrypted
    r"eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}",
    // GitHub, GitLab
    r"gh[pousr]_[A-Za-z0-9]{16,}",
    r"github_pat_[A-Za-z0-9_]{16,}",
    r"glpat-[A-Za-z0-9_-]{16,}",
    // Slack
    r"xox[a-z]-[A-Za-z0-9-]{8,}",
    r"xapp-[A-Za-z0-9-]{8,}",
    r"hooks\.slack\.com/services/([A-Za-z0-9/]{8,})",
    // Stripe
    r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{8,}",
    r"whsec_[A-Za-z0-9+/=]{16,}",
    // Google
    r"AIza[A-Za-z0-9_-]{30,}",
    r"ya29\.[A-Za-z0-9_-]{16,}",
    // OpenAI, Anthropic and who writes keys like them
    r"(?:^|[^A-Za-z0-9])(sk-[A-Za-z0-9_-]{16,})",
    // Holdpoint's own
    r"(?:^|[^A-Za-z0-9])(hp_(?:[a-z]{1,16}_)?[A-Za-z0-9]{32,})",
    // npm, PyPI, SendGrid, DigitalOcean, Hugging Face
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{30,}",
    r"(?:^|[^A-Za-z0-9])(SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})",
    r"do[opr]_v1_[a-f0-9]{32,}",
    r"(?:^|[^A-Za-z0-9])(hf_[A-Za-z0-9]{30,})",
];

/// What every shape has in it, the cards apart: one look for all of these costs less
/// than one for each shape, and nearly always none of them is there.
static HINTS: LazyLock<Regex> = LazyLock::new(|| {
    let hints = [
        "AKIA|ASIA|ABIA|ACCA|-----BEGIN|eyJ|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|xapp-",
        r"hooks\.slack|[sr]k_(?:live|test)_|whsec_|AIza|ya29\.|sk-|hp_|npm_|pypi-|SG\.",
        "do[opr]_v1_|hf_|://|(?i:bearer|basic|identified|password|requirepass|masterauth|curl)",
    ];
    Regex::new(&hints.join("|")).expect("a constant")
});

fn shape(pattern: &str, unless: fn(&str) -> bool) -> Shape {
    let pattern = Regex::new(pattern).expect("the patterns are constants, and tests compile them");
    Shape { pattern, unless }
}

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let mut shapes: Vec<Shape> = TOKENS.iter().map(|p| shape(p, |_| false)).collect();
    shapes.extend([
        shape(r"(?i)\b(?:bearer)[ \t]+([A-Za-z0-9._~+/=-]{6,})", is_a_word),
        shape(r"(?i)\b(?:basic)[ \t]+([A-Za-z0-9+/=_-]{8,})", is_a_word),
        // The password in a URL. First as the RFC has it, up to the last @ before
        // the path; then with the characters that should have been encoded.
        shape(r#"://[^\s/?#@:"'<>]*:([^\s/?#"'<>]{1,256})@"#, |_| false),
        shape(r#"://[^\s/?#@:"'<>]*:([^\s@"'<>]{1,256})@"#, starts_with_a_port),
        // SQL that sets a password.
        shape(r"(?i)\b(?:identified\s{1,9}by|password)\s{1,9}'([^']+)'", |_| false),
        shape(r#"(?i)\b(?:identified\s{1,9}by|password)\s{1,9}"([^"]+)""#, |_| false),
        // .netrc
        shape(r"\blogin\s{1,9}\S{1,128}\s{1,9}password\s{1,9}([^\s«]+)", |_| false),
        // Settings and flags that take a bare argument.
        shape(r"(?i)\b(?:requirepass|masterauth)\s{1,9}([^\s«]+)", |_| false),
        shape(
            r#"\bcurl\b[^\n]*?\s(?:-u|--user)[ =]{0,3}["']?[^\s:"']{1,128}:([^\s"'«]+)"#,
            |_| false,
        ),
    ]);
    shapes
});

/// The parts of `text` that have the shape of a secret, in no order.
pub(super) fn find(text: &str, parts: &mut Vec<Range<usize>>) {
    if HINTS.is_match(text) {
        find_shapes(text, parts);
    }
    find_cards(text, parts);
}

fn find_shapes(text: &str, parts: &mut Vec<Range<usize>>) {
    // To look whether a shape is there takes no memory; to look where it is does.
    for shape in SHAPES.iter().filter(|shape| shape.pattern.is_match(text)) {
        for found in shape.pattern.captures_iter(text) {
            let secret = found.get(1).or_else(|| found.get(0));
            parts.extend(secret.filter(|s| !(shape.unless)(s.as_str())).map(|s| s.range()));
        }
    }
}

/// "Bearer tokens", "basic authentication": prose and no credential. Those
/// have a digit, a sign, or capitals after the first letter.
fn is_a_word(credential: &str) -> bool {
    credential.len() < 20
        && credential.trim_end_matches('.').chars().skip(1).all(|c| c.is_ascii_lowercase())
}

/// `http://host:80/path?to=a@b` has a port where others have a password.
fn starts_with_a_port(password: &str) -> bool {
    let after = password.trim_start_matches(|c: char| c.is_ascii_digit());
    after.len() < password.len() && after.starts_with(['/', '?', '#'])
}

/// Finds card numbers: groups of digits with at most one space or dash between.
fn find_cards(text: &str, parts: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let groups = digit_groups(bytes, at);
        at = groups.last().map_or(at + 1, |last| last.end);
        let mut first = 0;
        while first < groups.len() {
            match card_at(text, &groups[first..]) {
                Some(taken) => {
                    parts.push(groups[first].start..groups[first + taken - 1].end);
                    first += taken;
                }
                None => first += 1,
            }
        }
    }
}

/// The groups of digits from `at` on that single spaces or dashes hold together.
fn digit_groups(bytes: &[u8], at: usize) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut start = at;
    loop {
        let digits = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return groups;
        }
        let end = start + digits;
        groups.push(start..end);
        if !matches!(bytes.get(end), Some(b' ' | b'-')) {
            return groups;
        }
        start = end + 1;
    }
}

/// How many of the groups, from the first on, make a card number.
fn card_at(text: &str, groups: &[Range<usize>]) -> Option<usize> {
    let mut digits = String::new();
    for (i, group) in groups.iter().enumerate() {
        digits.push_str(&text[group.clone()]);
        if digits.len() > 19 {
            return None;
        }
        if is_card_number(&digits) {
            return Some(i + 1);
        }
    }
    None
}

/// Whether these are the digits of a card: a length and start that an issuer
/// uses, and Luhn's check digit. The check alone is met by every tenth number,
/// timestamps in milliseconds among them.
pub(super) fn is_card_number(digits: &str) -> bool {
    let length = digits.len();
    if !(13..=19).contains(&length) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let start: u32 = digits[..4].parse().unwrap_or(0);
    let issued = match start {
        4000..=4999 => matches!(length, 13 | 16 | 19),
        5000..=5999 | 2221..=2720 => length == 16,
        3400..=3499 | 3700..=3799 => length == 15,
        3000..=3099 | 3600..=3699 | 3800..=3999 => matches!(length, 14 | 16),
        3528..=3589 => length == 16,
        6000..=6999 => length >= 16,
        _ => false,
    };
    issued && luhn(digits)
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0');
            let doubled = if i % 2 == 1 { digit * 2 } else { digit };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::strategy::{Strategy as _, ValueTree as _};
    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn whatever_has_a_shape_has_a_hint() {
        let mut runner = TestRunner::deterministic();
        for shape in SHAPES.iter() {
            // Borders and ends match nothing, and cannot be generated.
            let pattern = shape.pattern.as_str().replace(r"\b", "").replace(r"|\z)", "|)");
            let pattern = pattern.replace("(?:^|", "(?:|");
            let texts = proptest::string::string_regex(&pattern).expect(&pattern);
            for _ in 0..200 {
                let text = texts.new_tree(&mut runner).expect("a text").current();
                assert!(HINTS.is_match(&text), "{pattern}: {text:?}");
            }
        }
    }
}
