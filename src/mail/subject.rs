//! What a letter is called in a list of mails.

use super::letter::{FollowUp, Matter};
use super::limits::cut_line;
use crate::call::model::Request;
use crate::call::safe_text::SafeText;

/// Columns of a subject. Phones show half of it, so what matters comes first.
const COLUMNS: usize = 90;

/// Columns of one name in a subject.
const NAME: usize = 24;

/// The subject of a letter.
pub(super) fn subject(matter: &Matter<'_>) -> SafeText {
    match matter {
        Matter::Asked(request) => base(request),
        Matter::Reminder(request) => base(request),
        Matter::FollowUp(how, request) => {
            let mut subject = SafeText::line(&format!("Re: [{}] ", how.word()));
            subject.push(&base(request));
            subject
        }
        Matter::Summary(summary) => SafeText::line(&format!("{} calls", summary.items.len())),
    }
}

/// `Approve? destructive: delete_broker on amazon-mq, for jane@example.com [1a2b3c4d]`
fn base(request: &Request) -> SafeText {
    let call = &request.call;
    let id = format!(" [{}]", request.id.short());
    let mut subject = SafeText::line(&format!("Approve? {}: ", call.category));
    subject.push(&name(&call.tool));
    subject.push_ours(" on ");
    subject.push(&name(&call.server));
    let who = [("for", &call.agent.on_behalf_of), ("by", &call.client), ("by", &call.caller)];
    if let Some((how, who)) = who.into_iter().find(|(_, who)| !who.is_empty()) {
        let mut more = SafeText::default();
        more.push_ours(if how == "for" { ", for " } else { ", by " });
        more.push(&name(who));
        if subject.columns() + more.columns() + id.len() <= COLUMNS {
            subject.push(&more);
        }
    }
    subject.push(&SafeText::line(&id));
    subject
}

/// A name among words of ours: in quotes unless it is one plain word, so that a
/// tool named `x on y [00000000]` is seen to be a name.
pub(super) fn name(text: &str) -> SafeText {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/@+".contains(c);
    let is_plain = !text.is_empty() && text.chars().all(plain);
    let (mut shown, cut) = cut_line(&header_text(text), NAME);
    if cut > 0 {
        shown.push_ours("...");
    }
    if is_plain {
        return shown;
    }
    let quote = SafeText::line("\"");
    SafeText::join([&quote, &shown, &quote], "")
}

/// Text for a header: what readers would decode (`=?UTF-8?B?...?=`) is taken
/// apart, since what it hides has not been made safe.
pub(super) fn header_text(text: &str) -> String {
    text.replace('"', "'").replace("=?", "= ?")
}

impl FollowUp {
    /// The word for it, in message ids, file names and headers.
    pub fn word(self) -> &'static str {
        match self {
            FollowUp::Approved => "approved",
            FollowUp::Denied => "denied",
            FollowUp::Expired => "expired",
            FollowUp::Withdrawn => "withdrawn",
            FollowUp::OutcomeUnknown => "outcome-unknown",
        }
    }
}
