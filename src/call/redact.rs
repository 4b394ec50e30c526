//! Masking: what looks like a secret is replaced before it rests anywhere.
//!
//! A value is masked for its *name* (it stands under `password`, `apiKey`,
//! `AWS_SECRET_ACCESS_KEY`, after `--token`, beside `"name": "DB_PASSWORD"`) or
//! for its *shape* (a private key, a JWT, a card number, `Bearer …`). Under a
//! secret name every scalar is masked whole; elsewhere only the part that has
//! the shape. The marker tells type and length: `«hidden: text of 12
//! characters»`. `null`, `true`, `false` and `""` stay: they hold nothing.
//!
//! Promises: markers are ours alone. `«` and `»` in what an agent sent become
//! `<<` and `>>`, so that text such as `«hidden: text of 4 characters»` cannot
//! pass for one. Masking what is masked hides nothing more (it only shows the
//! older markers in that second form). Time is close to linear. Must never:
//! hide a container, drop or join members, or be the only protection: no list
//! of shapes is complete, and the guarantees say so.

mod keys;
mod patterns;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod text_tests;

use std::collections::HashMap;
use std::ops::Range;

use super::json::Json;
use keys::{is_secret_name, is_secret_pair_name};

/// How often a text in which something was hidden is looked at again.
const MAX_ROUNDS: usize = 4;

/// A value whose secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    /// What may be stored and shown.
    pub value: Json,
    /// How many values were hidden, wholly or in part (a member name counts as one).
    pub hidden: u32,
}

/// Masks the secrets in `args`.
pub fn mask(args: &Json) -> Masked {
    let mut hidden = 0;
    let value = walk(args, Secrecy::Shape, &mut hidden);
    Masked { value, hidden }
}

/// Masks what has the shape of a secret, whatever stands above it: in a schema a
/// member is called `password` because it describes one.
pub fn mask_by_shape(value: &Json) -> Masked {
    let mut hidden = 0;
    let value = walk(value, Secrecy::ShapeAlone, &mut hidden);
    Masked { value, hidden }
}

/// Masks the secrets in a free text (an error, an explanation, a command line),
/// and says how many parts were hidden.
pub fn mask_text(text: &str) -> (String, u32) {
    let mut parts = text::secret_parts(text);
    let mut hidden = parts.len();
    let mut shown = replaced(text, &parts, plain);
    // What is hidden can lay bare what stood against it: `AKIA…sk-…` is one word
    // until its first half is gone. The bound is for the time; the second round
    // finds nothing in all but contrived texts.
    for _ in 0..MAX_ROUNDS {
        if parts.is_empty() {
            break;
        }
        parts = text::secret_parts(&shown);
        hidden += parts.len();
        shown = replaced(&shown, &parts, str::to_owned);
    }
    (shown, u32::try_from(hidden).unwrap_or(u32::MAX))
}

/// Why a value may be masked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    /// It stands under a secret name: mask every scalar.
    Name,
    /// Mask what has the shape of a secret.
    Shape,
    /// The same, and no name changes that.
    ShapeAlone,
}

impl Secrecy {
    /// What holds below a name.
    fn under(self, secret: bool) -> Secrecy {
        match self {
            Secrecy::Shape if secret => Secrecy::Name,
            other => other,
        }
    }
}

fn walk(value: &Json, secrecy: Secrecy, hidden: &mut u32) -> Json {
    match value {
        Json::Null | Json::Bool(_) => value.clone(),
        Json::Number(number) => {
            let digits = number.canonical();
            if secrecy == Secrecy::Name || patterns::is_card_number(&digits) {
                *hidden += 1;
                let count = number.as_str().bytes().filter(u8::is_ascii_digit).count();
                Json::String(marker("number", count, "digit"))
            } else {
                value.clone()
            }
        }
        Json::String(text) => Json::String(walk_text(text, secrecy, hidden)),
        Json::Array(items) => Json::Array(walk_items(items, secrecy, hidden)),
        Json::Object(members) => Json::Object(walk_members(members, secrecy, hidden)),
    }
}

fn walk_text(text: &str, secrecy: Secrecy, hidden: &mut u32) -> String {
    // A whole value of nothing but our own words hides nothing, whoever wrote it.
    if secrecy == Secrecy::Name && !text.is_empty() && !text::is_marker(text) {
        *hidden += 1;
        return hidden_text(text);
    }
    let (shown, parts) = mask_text(text);
    *hidden += u32::from(parts > 0);
    shown
}

/// An array may be a command line (`["--password", "x"]`) or a header
/// (`["Authorization", "x"]`), where one item names the next.
fn walk_items(items: &[Json], secrecy: Secrecy, hidden: &mut u32) -> Vec<Json> {
    let pair = items.len() == 2;
    let names_next = |item: &Json| match item {
        Json::String(s) if s.starts_with('-') => is_secret_name(s),
        Json::String(s) => (pair && is_secret_pair_name(s)) || keys::is_setting(s),
        _ => false,
    };
    let mut masked = Vec::with_capacity(items.len());
    let mut named = false;
    for item in items {
        let scalar = !matches!(item, Json::Array(_) | Json::Object(_));
        let secret = named && scalar && !item.as_str().is_some_and(|s| s.starts_with("--"));
        masked.push(walk(item, secrecy.under(secret), hidden));
        named = names_next(item);
    }
    masked
}

fn walk_members(
    members: &[(String, Json)],
    secrecy: Secrecy,
    hidden: &mut u32,
) -> Vec<(String, Json)> {
    // `{"name": "DB_PASSWORD", "value": "x"}`, as environments and headers are
    // often written: the name is a value here.
    let named_beside = members.iter().any(|(name, value)| {
        keys::names_a_value(name) && value.as_str().is_some_and(is_secret_pair_name)
    });
    let mut renamed = false;
    let mut masked = Vec::with_capacity(members.len());
    for (name, value) in members {
        let secret = is_secret_name(name)
            || (named_beside && keys::is_the_value(name))
            || keys::is_pin(name, value);
        let inside = secrecy.under(secret);
        let (shown, parts) = mask_text(name);
        *hidden += u32::from(parts > 0);
        renamed |= shown != *name;
        masked.push((shown, walk(value, inside, hidden)));
    }
    if renamed {
        keep_apart(&mut masked);
    }
    masked
}

/// Numbers the members whose masked names became the same, so that none is
/// taken for a duplicate.
fn keep_apart(members: &mut [(String, Json)]) {
    let mut taken: HashMap<String, u32> =
        members.iter().map(|(name, _)| (name.clone(), 0)).collect();
    let mut seen = std::collections::HashSet::new();
    for (name, _) in members {
        if seen.insert(name.clone()) {
            continue;
        }
        let mut count = taken.get(name).copied().unwrap_or(0).max(1);
        let apart = loop {
            count += 1;
            let candidate = format!("{name} ({count})");
            if !taken.contains_key(&candidate) {
                break candidate;
            }
        };
        taken.insert(name.clone(), count);
        taken.insert(apart.clone(), 0);
        seen.insert(apart.clone());
        *name = apart;
    }
}

/// `text` with a marker in place of each part, and the rest as `show` has it.
fn replaced(text: &str, parts: &[Range<usize>], show: fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for part in parts {
        out.push_str(&show(&text[at..part.start]));
        out.push_str(&hidden_text(&text[part.clone()]));
        at = part.end;
    }
    out.push_str(&show(&text[at..]));
    out
}

/// An agent's own guillemets, which must not look like a marker's.
fn plain(text: &str) -> String {
    text.replace('«', "<<").replace('»', ">>")
}

/// What stands in place of a text that is hidden whole.
pub fn hidden_text(text: &str) -> String {
    marker("text", text.chars().count(), "character")
}

fn marker(what: &str, count: usize, unit: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("«hidden: {what} of {count} {unit}{s}»")
}
