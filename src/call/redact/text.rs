//! Where the secrets are in a free text: by shape, and after a secret name
//! (`password=…`, `"token": "…"`, `--api-key …`, `Cookie: …`).

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::keys::is_secret_name;
use super::patterns;

/// The longest name looked for before a `=` or `:`. Bounds the time, too.
const MAX_NAME: usize = 64;

/// A marker as this part writes it, or as it shows an older one.
static MARKER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:«|<<)hidden: (?:text|number) of [0-9]{1,10} (?:character|digit)s?(?:»|>>)")
        .expect("a constant")
});

/// A flag with its value in the next word.
static FLAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"--?([A-Za-z][A-Za-z0-9_-]{1,63})[ \t]{1,8}").expect("a constant")
});

/// A scheme that stands between `Authorization:` and the secret.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?i:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)[ \t]{1,8}")
        .expect("a constant")
});

/// A value that stands for another one, or for none.
static NO_SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:\$\{?[A-Z_][A-Z0-9_]*\}?|true|false|null|nil|none|None|undefined)$")
        .expect("a constant")
});

/// What follows a delimiter when the value before it has ended: another assignment.
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^[ \t]?["']?[A-Za-z_][A-Za-z0-9_.-]{0,40}(?: [A-Za-z]{1,20}){0,2}["']?[=:]"#)
        .expect("a constant")
});

/// The secret parts of `text`: in order, apart, none empty.
pub(super) fn secret_parts(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    // Nothing that short has a secret in it that has a shape or a name.
    if text.len() < 5 {
        return parts;
    }
    patterns::find(text, &mut parts);
    let mut named = Vec::new();
    find_assignments(text, &mut named);
    find_flags(text, &mut named);
    parts.extend(named.into_iter().filter(|part| !is_code(text, part)));
    // What starts with a marker has been masked before. (Who writes a marker in
    // front of a secret of their own could as well have called it otherwise.)
    parts.retain(|part| !part.is_empty() && marker_length(&text[part.start..]).is_none());
    parts.sort_by_key(|part| (part.start, part.end));
    parts.dedup_by(|later, earlier| {
        // Neighbours too: one marker, where the end of the first is not seen.
        let joined = later.start <= earlier.end;
        if joined {
            earlier.end = earlier.end.max(later.end);
        }
        joined
    });
    parts
}

/// Whether a shell would run something in this value: that is what an operator
/// has to see, and no secret is written so. A secret with a shape of its own
/// inside it is hidden all the same. Backticks around a plain word are how people
/// quote one; around more than a word they are a command.
fn is_code(text: &str, part: &Range<usize>) -> bool {
    let value = &text[part.clone()];
    let substitutes = ["$(", "${", "<(", ">("].iter().any(|sign| value.contains(sign));
    let quoted = text[..part.start].ends_with('`') || value.contains('`');
    substitutes || (quoted && value.contains([' ', '\t', '>', '<', '|', ';', '&', '$']))
}

/// Whether `text` is a marker and nothing else.
pub(super) fn is_marker(text: &str) -> bool {
    marker_length(text) == Some(text.len())
}

fn marker_length(text: &str) -> Option<usize> {
    MARKER.find(text).map(|m| m.end())
}

/// Finds `name=value` and `name: value` in the forms that people and programs write.
fn find_assignments(text: &str, parts: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|b| matches!(b, b'=' | b':')) {
        let sign = at + found;
        at = sign + 1;
        if text[sign..].starts_with("://") {
            continue;
        }
        let Some(name) = name_before(text, sign) else {
            continue;
        };
        let mut start = sign + 1;
        start += count(&bytes[start..], |b| matches!(b, b'=' | b'>'));
        let spaces = count(&bytes[start..], |b| matches!(b, b' ' | b'\t'));
        if bytes[sign] == b':' && spaces == 0 && is_a_path(text, &name, start) {
            continue;
        }
        start += spaces;
        let cookie = text[name].to_ascii_lowercase().contains("cookie");
        let part = value_at(text, start, cookie);
        at = at.max(part.end);
        parts.push(part);
    }
}

fn find_flags(text: &str, parts: &mut Vec<Range<usize>>) {
    if !text.contains('-') {
        return;
    }
    for found in FLAG.captures_iter(text) {
        let (Some(all), Some(name)) = (found.get(0), found.get(1)) else {
            continue;
        };
        let joined = text[..all.start()].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        if !joined && !text[all.end()..].starts_with('-') && is_secret_name(name.as_str()) {
            parts.push(value_at(text, all.end(), false));
        }
    }
}

/// The secret name that ends before `sign`, between whatever quotes it stands in.
fn name_before(text: &str, sign: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let decoration = |b: &u8| matches!(b, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'\\' | b']' | b'!');
    let end = sign - bytes[..sign].iter().rev().take(6).take_while(|b| decoration(b)).count();
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let length =
        |end: usize| bytes[..end].iter().rev().take(MAX_NAME).take_while(|b| in_name(b)).count();
    let start = end - length(end);
    let name = &text[start..end];
    if is_secret_name(name) {
        return Some(start..end);
    }
    // "API key: x", "Shared Access Key=x": only such words say nothing alone.
    let general = ["key", "keys", "string", "phrase", "code"];
    if general.iter().any(|word| name.eq_ignore_ascii_case(word)) && text[..start].ends_with(' ') {
        let start = start - 1 - length(start - 1);
        return is_secret_name(&text[start..end]).then_some(start..end);
    }
    None
}

/// `https://auth:8080/`, `registry/auth:1.2`, `session:token:42` and
/// `auth:user:7` have no secret after the colon, but the name of a thing.
fn is_a_path(text: &str, name: &Range<usize>, value: usize) -> bool {
    let before = text[..name.start].chars().next_back();
    let weak = ["auth", "token", "tokens", "otp", "jwt", "cookie", "cookies"]
        .iter()
        .any(|word| text[name.clone()].eq_ignore_ascii_case(word));
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '{' | '}');
    let next = text[value..].chars().take(MAX_NAME).find(|c| !word(*c));
    matches!(before, Some('/' | '@')) || (weak && (before == Some(':') || next == Some(':')))
}

/// The secret in the value that starts at `start`.
fn value_at(text: &str, start: usize, to_line_end: bool) -> Range<usize> {
    let rest = &text[start..];
    let escapes = count(rest.as_bytes(), |b| b == b'\\');
    let inner = match rest[escapes..].chars().next() {
        Some(quote @ ('"' | '\'' | '`')) => {
            let open = start + escapes + 1;
            open..open + quoted_length(&text[open..], quote, escapes)
        }
        _ if to_line_end => start..start + line_length(rest),
        _ => {
            let scheme = SCHEME.find(rest).map_or(0, |m| m.end());
            let start = start + scheme;
            start..start + bare_length(&text[start..])
        }
    };
    let value = &text[inner.clone()];
    if NO_SECRET.is_match(value) || is_marker(value) { start..start } else { inner }
}

/// How much of `rest` stands before the closing quote, or the end of the line.
fn quoted_length(rest: &str, quote: char, escapes: usize) -> usize {
    let mut run = 0;
    for (i, c) in rest.char_indices() {
        if c == quote && run <= escapes {
            return i - run;
        }
        if c == '\n' {
            return i;
        }
        run = if c == '\\' { run + 1 } else { 0 };
    }
    rest.len()
}

/// How much of `rest` is on this line and within these quotes.
fn line_length(rest: &str) -> usize {
    rest.find(['\n', '\r', '"', '\'', '`']).unwrap_or(rest.len())
}

/// How much of `rest` is a value without quotes.
fn bare_length(rest: &str) -> usize {
    let mut end = rest.len();
    for (i, c) in rest.char_indices() {
        let after = &rest[i + c.len_utf8()..];
        let ends = match c {
            c if c.is_whitespace() => true,
            '"' | '\'' | '`' | '\\' => closes(after),
            ';' | '&' | ',' | '|' | ')' | ']' | '}' | '>' => {
                closes(after) || ASSIGNMENT.is_match(after)
            }
            _ => false,
        };
        if ends {
            end = i;
            break;
        }
    }
    // A sentence's own punctuation is no part of the value.
    rest[..end].trim_end_matches([',', ';', '.', ')', '}', ']']).len()
}

/// Whether what comes after a delimiter shows that it was one.
fn closes(after: &str) -> bool {
    after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || "\"'`,;)]}&|".contains(c))
}

fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|b| is(**b)).count()
}
