//! What a letter is called in a list of mails and on a lock screen.
//!
//! All letters about one request have the same *base*, so that readers show
//! them as one conversation, and say before it, in brackets, what is new:
//!
//! ```text
//! [Approve?] destructive: delete_broker on amazon-mq, for jane@example.com [2b4d5e6f]
//! Re: [Denied by bob] destructive: delete_broker on amazon-mq, for jane@example.com [2b4d5e6f]
//! ```
//!
//! What readers need for one conversation, beside `References`:
//! - Gmail: the same subject but for `Re:` (<https://developers.google.com/workspace/gmail/api/guides/threads>),
//!   and it ignores what stands in brackets at the beginning
//!   (<https://github.com/getsentry/sentry/issues/4374>), as RFC 5256, 2.1 has
//!   IMAP servers do (`subj-blob`).
//! - Outlook and Exchange: the same `Thread-Topic`, which is read before the
//!   subject if it stands before it ([MS-OXCMAIL] 2.2.3.2.7); brackets count there.
//! - Apple Mail: `Re:` on what continues.
//!
//! A conversation shows the subject of its first letter, so what is new is the
//! first line of the letter too, which previews show.

use super::content::{Clock, Waiting, approvers, denier, ended, number, wait};
use super::letter::{FollowUp, Matter};
use super::limits::cut_line;
use crate::call::model::{Category, Request};
use crate::call::safe_text::SafeText;

/// Columns of the base. Phones show half of it, so what matters comes first.
const COLUMNS: usize = 80;

/// Columns of one name in a subject.
const NAME: usize = 24;

/// The subject of a letter.
pub(super) fn subject(matter: &Matter<'_>, clock: &Clock) -> SafeText {
    let (re, news, request) = match matter {
        Matter::Asked(request) => ("", SafeText::line("Approve?"), request),
        Matter::Reminder(request) => {
            let until = clock.short(request.deadline);
            ("Re: ", SafeText::line(&format!("Still waiting, until {until}")), request)
        }
        Matter::FollowUp(how, request) => ("Re: ", news(*how, request), request),
        Matter::Summary(summary) => {
            let over = ended(summary, clock.now).len();
            return of_many(&Waiting::of(summary, clock.now), over, clock);
        }
    };
    let mut subject = SafeText::line(&format!("{re}["));
    subject.push(&news);
    subject.push_ours("] ");
    subject.push(&base(request));
    subject
}

/// What all letters about a request are called.
pub(super) fn base(request: &Request) -> SafeText {
    let call = &request.call;
    let id = format!(" [{}]", request.id.short());
    let mut subject = match call.category {
        Category::Unspecified => SafeText::default(),
        category => SafeText::line(&format!("{category}: ")),
    };
    subject.push(&named(&call.tool, NAME));
    subject.push_ours(" on ");
    subject.push(&named(&call.server, NAME));
    let who = [("for", &call.agent.on_behalf_of), ("by", &call.client), ("by", &call.caller)];
    if let Some((how, who)) = who.into_iter().find(|(_, who)| !who.is_empty()) {
        let mut more = SafeText::default();
        more.push_ours(if how == "for" { ", for " } else { ", by " });
        more.push(&named(who, NAME));
        if subject.columns() + more.columns() + id.len() <= COLUMNS {
            subject.push(&more);
        }
    }
    subject.push(&SafeText::line(&id));
    subject
}

/// What became of it, without brackets of somebody else's.
fn news(how: FollowUp, request: &Request) -> SafeText {
    let by = |word: &str, by: Option<SafeText>| match by {
        None => SafeText::line(word),
        Some(by) => {
            // Safe already, and without what a safe text would escape again.
            let by = by.as_str().replace('[', "(").replace(']', ")");
            SafeText::line(&format!("{word} by {by}"))
        }
    };
    match how {
        FollowUp::Approved => by("Approved", approvers(request, NAME)),
        FollowUp::Denied => {
            by("Denied", denier(request).map(|decision| named(&decision.operator, NAME)))
        }
        FollowUp::Expired => SafeText::line("Expired, did not run"),
        FollowUp::Withdrawn => SafeText::line("Withdrawn"),
        FollowUp::OutcomeUnknown => SafeText::line("Outcome unknown, please look"),
    }
}

/// `12 calls wait for you, first until 14:05 UTC: delete_broker on amazon-mq`
fn of_many(waiting: &Waiting<'_>, ended: usize, clock: &Clock) -> SafeText {
    let Some(first) = waiting.first() else {
        return match waiting.count {
            0 => SafeText::line(&format!("{} ended", number(ended, "request"))),
            n => SafeText::line(&format!("{} for you", wait(n))),
        };
    };
    let first_of = if waiting.count == 1 { "" } else { "first " };
    let until = clock.short(first.deadline);
    let many = format!("{} for you, {first_of}until {until}: ", wait(waiting.count));
    let mut subject = SafeText::line(&many);
    subject.push(&named(&first.call.tool, NAME));
    subject.push_ours(" on ");
    subject.push(&named(&first.call.server, NAME));
    subject
}

/// A name among words of ours: in quotes unless it is one plain word, so that a
/// tool named `x on y [00000000]` is seen to be a name.
pub(super) fn named(text: &str, columns: usize) -> SafeText {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/@+".contains(c);
    let is_plain = !text.is_empty() && text.chars().all(plain);
    let (mut shown, cut) = cut_line(&header_text(text), columns);
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
