//! One sentence that says what will happen.

use super::value::{inline, is_literal, is_masked, item_text, quoted};
use super::{ours, s};
use crate::call::amounts;
use crate::call::json::{self, Json};
use crate::call::model::{Call, Category};
use crate::call::safe_text::SafeText;

/// The width to stay within: the subject of a mail, a line of a wide terminal.
const COLUMNS: usize = 150;

/// Columns of a tool's or a server's name.
const NAME_COLUMNS: usize = 40;

/// Columns of one value.
const VALUE_COLUMNS: usize = 48;

/// Columns of a command line: it says what is done.
const COMMAND_COLUMNS: usize = 72;

/// Member names that say what is acted on or how much of it, the most telling first.
const TELLING: &[&str] = &[
    "argv",
    "command",
    "cmd",
    "cwd",
    "sql",
    "query",
    "statement",
    "action",
    "operation",
    "method",
    "amount",
    "currency",
    "to",
    "recipient",
    "recipients",
    "path",
    "file",
    "filename",
    "url",
    "uri",
    "key",
    "keys",
    "name",
    "id",
    "queue",
    "exchange",
    "topic",
    "stream",
    "table",
    "database",
    "db",
    "bucket",
    "namespace",
    "repo",
    "repository",
    "branch",
    "owner",
    "user",
    "account",
    "customer",
    "resource",
    "target",
    "broker",
    "host",
    "args",
    "arguments",
    "subject",
    "title",
];

/// [`sentence`] for a call as the store keeps it, which may look worse than it is
/// called. Arguments that cannot be read back are left out of it.
pub fn sentence_of(call: &Call, looks: Option<Category>) -> SafeText {
    let arguments = json::parse_envelope(call.arguments.as_bytes());
    let arguments = arguments.unwrap_or(Json::Object(Vec::new()));
    let class = class(call.category.word(), call.risk.word(), looks);
    ending(&class, &call.server, &call.tool, &arguments)
}

/// What will happen, in one sentence of about 150 columns at most: `Run
/// valkey_write on valkey with command DEL, args ["user:1"] — destructive, high risk`.
///
/// The arguments are the masked ones. Those that say most come first; the
/// others are counted when there is no room for them. It claims nothing of what
/// the tool does: only its name, what it is given, and how the policy classes it.
pub fn sentence(category: &str, risk: &str, server: &str, tool: &str, masked: &Json) -> SafeText {
    ending(&class(category, risk, None), server, tool, masked)
}

/// The sentence that ends with these words.
fn ending(class: &SafeText, server: &str, tool: &str, masked: &Json) -> SafeText {
    let mut text = ours("Run ");
    text.push(&word(tool, NAME_COLUMNS));
    text.push_ours(" on ");
    text.push(&word(server, NAME_COLUMNS));
    let room = COLUMNS.saturating_sub(text.columns() + class.columns());
    text.push(&given(masked, room));
    text.push(class);
    text
}

/// The warning about a category or a risk that nobody stated, if it is so.
pub fn unstated(category: &str, risk: &str) -> Option<&'static str> {
    match (category == UNSAID, risk == UNSAID) {
        (true, true) => Some("category and risk not stated: treated as the most dangerous"),
        (true, false) => Some("category not stated: treated as the most dangerous"),
        (false, true) => Some("risk not stated: treated as the most dangerous"),
        (false, false) => None,
    }
}

/// The word of a category or a risk that nobody stated.
const UNSAID: &str = "unspecified";

/// How the policy classes it, or that it does not.
fn class(category: &str, risk: &str, looks: Option<Category>) -> SafeText {
    let mut class = ours(" — ");
    match (category == UNSAID, risk == UNSAID) {
        (true, true) => class.push_ours("category and risk not stated"),
        (true, false) => class.push_ours("category not stated, "),
        (false, _) => {
            class.push_ours(if looks.is_some() { "called " } else { "" });
            class.push(&word(category, NAME_COLUMNS));
            class.push_ours(", ");
            if let Some(looks) = looks {
                class.push(&SafeText::line(&format!("looks {looks}, ")));
            }
        }
    }
    match (category == UNSAID, risk == UNSAID) {
        (true, true) => {}
        (false, true) => class.push_ours("risk not stated"),
        (_, false) => {
            class.push(&word(risk, NAME_COLUMNS));
            class.push_ours(" risk");
        }
    }
    class
}

/// ` with command DEL, args ["user:1"] and 2 more`, within `columns` if at all possible.
fn given(masked: &Json, columns: usize) -> SafeText {
    let members = masked.as_object().unwrap_or_default();
    if members.is_empty() {
        return ours(" with no arguments");
    }
    let mut order: Vec<&(String, Json)> = members.iter().collect();
    // What is hidden tells nothing: last.
    order.sort_by_cached_key(|(name, value)| (value.as_str().is_some_and(is_masked), rank(name)));
    let (mut text, mut width, mut shown) = (SafeText::default(), 0, 0);
    for (name, value) in order {
        // Each one takes eight columns at least: no need to try a thousand.
        if width + 8 > columns {
            break;
        }
        let mut next = ours(if shown == 0 { " with " } else { ", " });
        next.push(&masked_or_word(name, NAME_COLUMNS));
        next.push_ours(" ");
        next.push(&match value {
            Json::Array(items) if name == "argv" => list(value, items, COMMAND_COLUMNS),
            value => short(value),
        });
        if let Some(grouped) = amounts::grouped(name, value) {
            next.push_ours(" (");
            next.push(&grouped);
            next.push_ours(")");
        }
        let rest = others(shown + 1, members.len()).columns();
        // One that is too long does not keep out a shorter one.
        if width + next.columns() + rest <= columns {
            text.push(&next);
            width += next.columns();
            shown += 1;
        }
    }
    text.push(&others(shown, members.len()));
    text
}

/// What is said of the members that are not shown.
fn others(shown: usize, all: usize) -> SafeText {
    SafeText::line(&match (shown, all - shown) {
        (_, 0) => String::new(),
        (0, rest) => format!(" with {rest} argument{}", s(rest)),
        (_, rest) => format!(" and {rest} more"),
    })
}

/// The place of a member: by its whole name, then by its last word (`queue_name`,
/// `userId`), then all the others, each group in the order that was sent.
fn rank(name: &str) -> usize {
    let lower = name.to_lowercase();
    let position = |wanted: &str| TELLING.iter().position(|telling| *telling == wanted);
    let last = lower.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let last = if name.ends_with("Id") { "id" } else { last };
    position(&lower)
        .or_else(|| position(last).map(|at| at + TELLING.len()))
        .unwrap_or(2 * TELLING.len())
}

/// A value in few columns; a cut one ends in `…` outside its quotes.
fn short(value: &Json) -> SafeText {
    match value {
        Json::String(text) if is_literal(text) => quoted_short(text, VALUE_COLUMNS),
        Json::String(text) => masked_or_word(text, VALUE_COLUMNS),
        Json::Number(number) => word(number.as_str(), VALUE_COLUMNS),
        Json::Object(members) => inline_object(members).unwrap_or_else(|| size(value)),
        Json::Array(items) => list(value, items, VALUE_COLUMNS),
        value => inline(value, VALUE_COLUMNS).unwrap_or_else(|| size(value)),
    }
}

/// A list, or as much of it as has room.
fn list(list: &Json, items: &[Json], columns: usize) -> SafeText {
    inline(list, columns).or_else(|| beginning(items, columns)).unwrap_or_else(|| size(list))
}

/// The first items of a list that is too long, and how many follow: a command
/// line tells more by its first words than by their number.
fn beginning(items: &[Json], columns: usize) -> Option<SafeText> {
    let mut text = ours("[");
    let mut shown = 0;
    for item in items {
        let Some(next) = item_text(item, columns) else { break };
        if text.columns() + next.columns() > columns - 12 {
            break;
        }
        text.push(&next);
        text.push_ours(", ");
        shown += 1;
    }
    text.push(&SafeText::line(&format!("… {} more", items.len() - shown)));
    text.push_ours("]");
    (shown > 0).then_some(text)
}

/// `{queue: orders, if_empty: true}`, if it is short and no deeper.
fn inline_object(members: &[(String, Json)]) -> Option<SafeText> {
    let mut text = ours("{");
    for (i, (name, value)) in members.iter().enumerate() {
        if matches!(value, Json::Object(_)) || text.columns() > VALUE_COLUMNS {
            return None;
        }
        text.push_ours(if i > 0 { ", " } else { "" });
        text.push(&masked_or_word(name, NAME_COLUMNS));
        text.push_ours(": ");
        text.push(&short(value));
    }
    text.push_ours("}");
    (text.columns() <= VALUE_COLUMNS).then_some(text)
}

/// What is too large to be shown in a sentence.
fn size(value: &Json) -> SafeText {
    SafeText::line(&match value {
        Json::Array(items) => format!("({} item{})", items.len(), s(items.len())),
        Json::Object(members) => format!("({} member{})", members.len(), s(members.len())),
        _ => String::new(),
    })
}

/// A text that has been through masking, and so may be a marker of ours.
fn masked_or_word(text: &str, columns: usize) -> SafeText {
    if is_masked(text) { SafeText::line(text) } else { word(text, columns) }
}

/// A text as a word of the sentence: in quotes unless it is one plain word, so
/// that a tool named `x — read, low risk` is seen to be a name.
fn word(text: &str, columns: usize) -> SafeText {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/@+$#%=~*?".contains(c);
    if !text.is_empty() && text.len() <= columns && text.chars().all(plain) {
        SafeText::line(text)
    } else {
        quoted_short(text, columns)
    }
}

fn quoted_short(text: &str, columns: usize) -> SafeText {
    let (mut text, cut) = quoted(text, columns);
    if cut > 0 {
        text.push_ours("…");
    }
    text
}
