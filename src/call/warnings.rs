//! What to know of a request before anything else: the same in a mail and on a page.

use super::json;
use super::model::{Call, Request};
use super::safe_text::{SafeText, name_notice};
use super::{amounts, breadth, present};

/// Earlier requests that are named; nobody looks at more.
const NAMED: usize = 8;

/// Arguments of one kind that are named: a screen has room for few.
const FEW: usize = 2;

/// How much of it there is room for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Things of one kind; more are counted.
    pub listed: usize,
    /// Columns of what the caller says.
    pub columns: usize,
    /// Columns of a sentence of the caller's that ends with a command to type.
    pub sentence: usize,
}

impl Room {
    /// As much as there is: all of it is bounded where it comes in.
    pub const ALL: Room = Room { listed: usize::MAX, columns: usize::MAX, sentence: usize::MAX };
}

/// The warnings, gravest kind first.
pub fn warnings(request: &Request, room: Room) -> Vec<SafeText> {
    let call = &request.call;
    let mut warnings = Vec::new();
    let unstated = present::unstated(call.category.word(), call.risk.word());
    warnings.extend(unstated.map(SafeText::line));
    warnings.extend(may_have_run(request));
    let hidden = hidden(call.hidden_values);
    warnings.extend(hidden.map(|words| line(format!("{words}, and what is hidden runs too"))));
    warnings.extend(of_arguments(call));
    if let Some(other) = request.identical_to {
        let other = other.short();
        warnings.push(line(format!("an identical call is already waiting: [{other}]")));
    }
    if !call.definition_changed.is_empty() {
        warnings.push(fitting(&call.definition_changed, room.sentence));
    }
    warnings.extend(not_covered(request, room));
    for (whose, name) in [
        ("the tool's", &call.tool),
        ("the server's", &call.server),
        ("the caller's", &call.caller),
        ("the client's", &call.client),
        ("the agent's", &call.agent.name),
        ("for whom it works: the", &call.agent.on_behalf_of),
    ] {
        if let Some(notice) = name_notice(name) {
            warnings.push(line(format!("{whose} {notice}")));
        }
    }
    warnings
}

/// `1 value is hidden (masked by a rule): what it is cannot be seen here`, if one is.
pub fn hidden(values: u32) -> Option<String> {
    let (values, what) = match values {
        0 => return None,
        1 => ("1 value is".to_owned(), "it is"),
        n => (format!("{n} values are"), "they are"),
    };
    Some(format!("{values} hidden (masked by a rule): what {what} cannot be seen here"))
}

/// What the arguments themselves say: that they take in more than they name, or an
/// amount of nobody knows what.
fn of_arguments(call: &Call) -> Vec<SafeText> {
    let Ok(masked) = json::parse_envelope(call.arguments.as_bytes()) else { return Vec::new() };
    let (broad, more_broad) = breadth::broad(&masked, FEW);
    let broad = broad.iter().map(breadth::Broad::warning).collect();
    let (unitless, more_unitless) = amounts::without_unit(&masked, FEW);
    let unitless = unitless.into_iter().map(|amount| {
        let mut warning = SafeText::default();
        warning.push_ours("no unit stated for its argument ");
        warning.push(&amount);
        warning
    });
    let unitless = and_more(unitless.collect(), more_unitless);
    and_more(broad, more_broad).into_iter().chain(unitless).collect()
}

/// The first few of them, and with the last how many there are beside.
fn and_more(mut few: Vec<SafeText>, more: usize) -> Vec<SafeText> {
    if let (Some(last), 1..) = (few.last_mut(), more) {
        last.push(&line(format!(" … and {more} more like this")));
    }
    few
}

fn may_have_run(request: &Request) -> Option<SafeText> {
    if request.may_have_run.is_empty() {
        return None;
    }
    let ids = request.may_have_run.iter().take(NAMED);
    let mut ids = ids.map(|id| format!("[{}]", id.short())).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = request.may_have_run.len().checked_sub(NAMED) {
        ids.push_str(&format!(" and {more} more"));
    }
    Some(line(format!(
        "this call may have run already: nobody knows how {ids} ended; look before you approve"
    )))
}

fn not_covered(request: &Request, room: Room) -> Vec<SafeText> {
    let all = &request.call.not_covered;
    let shown = all.iter().take(room.listed).map(|text| {
        let mut warning = SafeText::default();
        warning.push_ours("not covered by the digest: ");
        warning.push(&fitting(text, room.columns));
        warning
    });
    let mut warnings: Vec<SafeText> = shown.collect();
    let rest = all.len().saturating_sub(room.listed);
    if rest > 0 {
        let more = if room.listed == 0 { "" } else { "more " };
        let things = if rest == 1 { "thing" } else { "things" };
        warnings.push(line(format!("not covered by the digest: {rest} {more}{things}")));
    }
    warnings
}

fn line(words: String) -> SafeText {
    SafeText::line(&words)
}

/// `text` on one line, cut with a word about it.
pub fn fitting(text: &str, columns: usize) -> SafeText {
    let (mut shown, cut) = cut_line(text, columns);
    if cut > 0 {
        shown.push(&SafeText::line(&format!("… ({cut} more characters)")));
    }
    shown
}

/// [`SafeText::cut_line`], bounded in characters too: marks take no columns.
pub fn cut_line(text: &str, columns: usize) -> (SafeText, usize) {
    let most = text.char_indices().nth(columns.saturating_mul(2));
    let (start, rest) = text.split_at(most.map_or(text.len(), |(at, _)| at));
    let (shown, cut) = SafeText::cut_line(start, columns);
    (shown, cut + rest.chars().count())
}
