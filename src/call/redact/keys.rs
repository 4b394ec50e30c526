//! Which names announce a secret.
//!
//! A name is read as words (`AWS_SECRET_ACCESS_KEY`, `secretAccessKey` and
//! `secret-access-key` are the same three), so that `max_tokens`, `author` and
//! `primary_key` are not caught by what they merely contain. In doubt a name is
//! secret: a value masked for nothing costs a question, one shown for nothing
//! costs the secret.

use crate::call::json::Json;
use crate::call::safe_text::is_hidden;

/// Words that make a name secret wherever they stand in it.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "token",
    "auth",
    "authorization",
    "authentication",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "creds",
    "cvv",
    "cvc",
    "otp",
    "totp",
    "jwt",
    "bearer",
    "mnemonic",
    "apikey",
    "apikeys",
    "ssn",
    "requirepass",
    "masterauth",
    "connstr",
    "accesskey",
    "privatekey",
];

/// Ends of a word that was written without any boundary: `dbpassword`, `authtoken`.
const SECRET_ENDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "connectionstring",
    "credential",
    "credentials",
];

/// A `key` is secret after one of these: `api_key`, but not `primary_key`.
const SECRET_KEYS: &[&str] = &[
    "api",
    "access",
    "private",
    "secret",
    "encryption",
    "encrypt",
    "decryption",
    "signing",
    "master",
    "account",
    "session",
    "service",
    "license",
    "deploy",
    "webhook",
    "auth",
    "admin",
    "shared",
    "storage",
    "client",
    "app",
    "application",
    "role",
    "hmac",
    "aes",
    "consumer",
];

/// `tokens` count something (`max_tokens`) unless one of these says whose they are.
const SECRET_TOKENS: &[&str] =
    &["access", "api", "auth", "bearer", "refresh", "session", "id", "device", "security"];

/// What follows the secret word when the name speaks *about* a secret: `token_count`.
const ABOUT: &[&str] = &[
    "count",
    "counts",
    "limit",
    "limits",
    "type",
    "types",
    "length",
    "size",
    "policy",
    "method",
    "methods",
    "mode",
    "expires",
    "expiry",
    "expiration",
    "ttl",
    "name",
    "names",
    "endpoint",
    "url",
    "uri",
    "budget",
    "usage",
    "used",
    "enabled",
    "required",
    "scheme",
    "provider",
];

/// What stands before `token` when it only marks a place in a list: `next_page_token`.
const PAGING: &[&str] = &["next", "page", "continuation", "paging", "cursor", "sync"];

/// Whether the value called `name` is a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    // A name far longer than any secret's is text, and is judged by its shape.
    if name.len() > 256 {
        return false;
    }
    let words = words(name);
    let last = words.len().saturating_sub(1);
    let last_secret = (0..words.len()).rev().find(|&i| {
        let before = i.checked_sub(1).map_or("", |b| words[b].as_str());
        is_secret_word(&words[i], before, i == last)
    });
    match last_secret {
        None => false,
        Some(i) => !words[i + 1..].iter().any(|w| ABOUT.contains(&w.as_str())),
    }
}

fn is_secret_word(word: &str, before: &str, last: bool) -> bool {
    match word {
        "token" => !PAGING.contains(&before),
        "tokens" => SECRET_TOKENS.contains(&before),
        "key" | "keys" => SECRET_KEYS.contains(&before),
        "string" => before == "connection",
        "phrase" => matches!(before, "pass" | "seed" | "recovery"),
        "code" => matches!(before, "security" | "verification"),
        "pass" => last && !matches!(before, "boarding" | "by"),
        word => SECRET_WORDS.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end)),
    }
}

/// Whether `text`, found where a name may stand among values, is a secret's
/// name: as [`is_secret_name`], but never a sentence.
pub(super) fn is_secret_pair_name(text: &str) -> bool {
    text.len() <= 64 && !text.contains(char::is_whitespace) && is_secret_name(text)
}

/// Settings that programs take as two arguments: `CONFIG SET requirepass x`.
pub(super) fn is_setting(text: &str) -> bool {
    ["requirepass", "masterauth"].iter().any(|s| text.eq_ignore_ascii_case(s))
}

/// Members whose value is the name of what stands beside them.
pub(super) fn names_a_value(member: &str) -> bool {
    ["name", "key", "header", "variable", "var", "field", "param", "parameter"]
        .iter()
        .any(|m| member.eq_ignore_ascii_case(m))
}

/// Members that hold what the member beside them names.
pub(super) fn is_the_value(member: &str) -> bool {
    ["value", "values", "val"].iter().any(|m| member.eq_ignore_ascii_case(m))
}

/// `pin` is a secret where the value looks like one; elsewhere it pins a message.
pub(super) fn is_pin(name: &str, value: &Json) -> bool {
    let digits = match value {
        Json::String(s) => s.as_str(),
        Json::Number(n) => n.as_str(),
        _ => return false,
    };
    (4..=12).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && name.len() <= 256
        && words(name).last().is_some_and(|w| w == "pin")
}

/// The words of a name, in lower case and without the digits at their ends:
/// split at anything that is no letter or digit, and where case says so
/// (`userPassword`, `APIKey`). What cannot be seen does not split.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().filter(|c| !is_hidden(*c)).collect();
    let mut words = vec![String::new()];
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = i.checked_sub(1).map(|b| chars[b]);
        let after = chars.get(i + 1);
        let hump = c.is_uppercase() && before.is_some_and(|b| b.is_lowercase() || b.is_numeric());
        let acronym_ends = c.is_uppercase()
            && before.is_some_and(|b| b.is_uppercase())
            && after.is_some_and(|a| a.is_lowercase())
            // `APIs`, `JWTs`: a plural is no new word.
            && !(after == Some(&'s') && chars.get(i + 2).is_none_or(|c| !c.is_lowercase()));
        if hump || acronym_ends {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words
        .iter()
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}
