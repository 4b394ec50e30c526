//! What to know of a request before anything else: the same in a mail and on a page.

use super::model::Request;
use super::present;
use super::safe_text::{SafeText, name_notice};

/// Earlier requests that are named; nobody looks at more.
const NAMED: usize = 8;

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
