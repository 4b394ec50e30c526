//! What became of a request: who, when, why, on one screen.
//!
//! Must never: suggest that there is something left to decide.

use super::asked::arguments_section;
use super::{
    Body, Clock, Command, Content, Section, Tone, joined, link, number, ours, sentence, what, who,
};
use crate::call::json;
use crate::call::model::{Decision, Outcome, Request, Use, Verdict};
use crate::call::safe_text::SafeText;
use crate::mail::letter::{About, FollowUp};
use crate::mail::limits;
use crate::mail::subject::named;

/// Columns of a reason in the headline; a longer one is quoted below it.
const REASON: usize = 120;

pub(super) fn follow_up(how: FollowUp, request: &Request, about: &About, clock: &Clock) -> Content {
    let at = match how {
        FollowUp::OutcomeUnknown => request.outcome_at,
        _ => request.ended,
    };
    let at = at.map(|at| format!("At {}. ", clock.at(at))).unwrap_or_default();
    let mut sections = Vec::new();
    if how == FollowUp::OutcomeUnknown {
        sections.push(what_to_look_for());
    }
    sections.extend(reasons(how, request));
    sections.push(what_was_asked(request, clock));
    if how == FollowUp::OutcomeUnknown {
        let arguments = json::parse_envelope(request.call.arguments.as_bytes()).ok();
        sections.push(arguments_section(request, arguments.as_ref(), about));
        sections.extend(callers_words(request));
    }
    let show = vec![("To see all of it".to_owned(), Command::show(about, request))];
    sections.push(Section { heading: "More", note: String::new(), body: Body::Commands(show) });
    Content {
        title: title(how),
        tone: tone(how),
        headline: headline(how, request),
        marks: Vec::new(),
        asked_by: None,
        under: vec![ours(&format!("{at}{}", consequence(how)))],
        warnings: Vec::new(),
        button: link::see(request, about),
        sections,
        leave: None,
        last: link::whose_words(about),
    }
}

fn title(how: FollowUp) -> &'static str {
    match how {
        FollowUp::Approved => "Approved",
        FollowUp::Denied => "Denied",
        FollowUp::Expired => "Expired",
        FollowUp::Withdrawn => "Withdrawn",
        FollowUp::OutcomeUnknown => "Outcome unknown",
    }
}

fn tone(how: FollowUp) -> Tone {
    match how {
        FollowUp::Approved => Tone::Good,
        FollowUp::Denied => Tone::Refused,
        FollowUp::Expired | FollowUp::Withdrawn => Tone::Over,
        FollowUp::OutcomeUnknown => Tone::Unsure,
    }
}

/// The result, with a reason where somebody gave one.
fn headline(how: FollowUp, request: &Request) -> SafeText {
    let by = |word: &str, by: Option<SafeText>, decision: Option<&Decision>| {
        let mut text = ours(word);
        if let Some(by) = by {
            text = joined(&[&text, &ours(" by "), &by]);
        }
        if let Some(reason) = decision.and_then(reason_in_short) {
            text = joined(&[&text, &ours(": "), &reason.text]);
        }
        text
    };
    match how {
        FollowUp::Approved => {
            by("Approved", approvers(request, limits::NAME), only_approval(request))
        }
        FollowUp::Denied => {
            by("Denied", denier(request).map(|d| name(&d.operator)), denier(request))
        }
        FollowUp::Expired => match approvers(request, limits::NAME) {
            None => ours("Expired: nobody answered in time; it did not run"),
            Some(some) => joined(&[
                &ours("Expired: only "),
                &some,
                &ours(" approved in time; it did not run"),
            ]),
        },
        FollowUp::Withdrawn => ours("Withdrawn by its caller; it did not run"),
        FollowUp::OutcomeUnknown => joined(&[
            &ours("Outcome unknown, please look: nobody knows whether "),
            &what(request),
            &ours(" ran"),
        ]),
    }
}

/// What it means for whoever reads it.
fn consequence(how: FollowUp) -> &'static str {
    match how {
        FollowUp::Approved => "It may run, once. Nothing is left for you to do.",
        FollowUp::Denied => "It does not run. Nothing is left for you to do.",
        FollowUp::Withdrawn => "Nothing is left for you to do.",
        FollowUp::Expired => "Nothing is left for you to do; its agent is told.",
        FollowUp::OutcomeUnknown => {
            "It was approved and handed to its caller, and no result came back."
        }
    }
}

fn what_to_look_for() -> Section {
    let words = [
        "1. Look where the call works whether it took effect: wholly, in part or not at all.",
        "2. If it did, or did in part, mend what needs mending by hand.",
        "3. If it did not and is still wanted, let its agent ask again. The new request will say \
         that this one may have run.",
    ];
    let words = words.into_iter().map(ours).collect();
    Section { heading: "What to do", note: String::new(), body: Body::Words(words) }
}

fn what_was_asked(request: &Request, clock: &Clock) -> Section {
    let mut facts = vec![
        ("Call".to_owned(), sentence(request)),
        ("Asked by".to_owned(), who(request)),
        ("Asked at".to_owned(), ours(&clock.at(request.created))),
    ];
    for decision in request.decisions.iter().take(limits::LISTED) {
        let label = match decision.verdict {
            Verdict::Approve => "Approved by",
            Verdict::Deny => "Denied by",
        };
        let at = ours(&format!(", {}", clock.at(decision.at)));
        facts.push((label.to_owned(), joined(&[&name(&decision.operator), &at])));
    }
    let more = request.decisions.len().saturating_sub(limits::LISTED);
    if more > 0 {
        facts.push(("And".to_owned(), ours(&number(more, "more decision"))));
    }
    facts.extend(since(request, clock).map(|words| ("Since then".to_owned(), ours(&words))));
    Section { heading: "What was asked", note: String::new(), body: Body::Facts(facts) }
}

/// What became of the approval up to now.
fn since(request: &Request, clock: &Clock) -> Option<String> {
    let used = request.used.map(|at| clock.at(at)).unwrap_or_default();
    match (request.use_, request.outcome) {
        (Use::None, _) => None,
        (Use::Unused, _) => Some("not handed to its caller yet when this was sent".to_owned()),
        (Use::Lapsed, _) => Some("not fetched by its caller in time: it does not run".to_owned()),
        (Use::Taken, Outcome::Succeeded) => Some(format!("handed over at {used}; it succeeded")),
        (Use::Taken, Outcome::Failed) => Some(format!("handed over at {used}; it failed")),
        (Use::Taken, _) => Some(format!("handed to its caller at {used}")),
    }
}

/// The reasons that the headline does not say in full, quoted as theirs, the
/// last one first: it is the one that decided.
fn reasons(how: FollowUp, request: &Request) -> impl Iterator<Item = Section> {
    let said = match how {
        FollowUp::Approved => only_approval(request),
        FollowUp::Denied => denier(request),
        _ => None,
    };
    let in_full = |d: &&Decision| reason_in_short(d).is_some_and(|reason| reason.in_full);
    let said = said.filter(in_full);
    let unsaid = move |d: &&Decision| !d.reason.trim().is_empty() && said != Some(*d);
    request.decisions.iter().rev().filter(unsaid).take(limits::LISTED).map(|decision| {
        let (lines, cut) = limits::quoted(&decision.reason);
        let cut = match cut {
            0 => String::new(),
            cut => format!(" {cut} characters are cut."),
        };
        let did = match decision.verdict {
            Verdict::Approve => "approved",
            Verdict::Deny => "denied",
        };
        let note = format!("By {}, who {did}.{cut}", name(&decision.operator));
        Section { heading: "Reason", note, body: Body::Quote(lines) }
    })
}

/// The approval, if it was one alone: of several reasons none stands for all.
fn only_approval(request: &Request) -> Option<&Decision> {
    let mut approvals = request.decisions.iter().filter(|d| d.verdict == Verdict::Approve);
    approvals.next().filter(|_| approvals.next().is_none())
}

/// A reason as the headline says it, in quotes.
struct Reason {
    text: SafeText,
    /// Whether that is all of it.
    in_full: bool,
}

/// The first line of a reason, if there is one.
fn reason_in_short(decision: &Decision) -> Option<Reason> {
    let reason = decision.reason.trim().replace('"', "'");
    let line = reason.lines().next()?;
    let (shown, cut) = limits::cut_line(line, REASON);
    let in_full = cut == 0 && line.len() == reason.len();
    let end = match (in_full, cut) {
        (true, _) => "\"",
        (false, 0) => " …\"",
        (false, _) => "…\"",
    };
    Some(Reason { text: joined(&[&ours("\""), &shown, &ours(end)]), in_full })
}

fn callers_words(request: &Request) -> Option<Section> {
    let (lines, cut) = limits::quoted(&request.outcome_detail);
    let note = match cut {
        0 => String::new(),
        cut => format!("{cut} characters are cut."),
    };
    let heading = "What is known of the outcome";
    (!lines.is_empty()).then_some(Section { heading, note, body: Body::Quote(lines) })
}

/// `alice`, `alice and bob`, `alice and 2 more`
pub(in crate::mail) fn approvers(request: &Request, columns: usize) -> Option<SafeText> {
    let approvals = request.decisions.iter().filter(|d| d.verdict == Verdict::Approve);
    let names: Vec<SafeText> =
        approvals.map(|decision| named(&decision.operator, columns)).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [one, two] => Some(joined(&[one, &ours(" and "), two])),
        [one, more @ ..] => Some(joined(&[one, &ours(&format!(" and {} more", more.len()))])),
    }
}

/// The decision that ended it with a no.
pub(in crate::mail) fn denier(request: &Request) -> Option<&Decision> {
    request.decisions.iter().rfind(|decision| decision.verdict == Verdict::Deny)
}

fn name(operator: &str) -> SafeText {
    named(operator, limits::NAME)
}

/// The result in a few words, for a line of a summary.
pub(super) fn in_short(how: FollowUp, request: &Request) -> SafeText {
    let words = match how {
        FollowUp::Approved | FollowUp::Denied => headline(how, request),
        FollowUp::Expired => ours("Expired, did not run"),
        FollowUp::Withdrawn => ours("Withdrawn by its caller, did not run"),
        FollowUp::OutcomeUnknown => ours("Outcome unknown, please look"),
    };
    let line = joined(&[&what(request), &ours(": "), &words]);
    // Safe already; cut again, since reasons are long and this is one line of many.
    match line.columns() > limits::VALUE {
        true => {
            let short = match how {
                FollowUp::Approved => ours("Approved"),
                FollowUp::Denied => ours("Denied"),
                _ => words,
            };
            joined(&[&what(request), &ours(": "), &short])
        }
        false => line,
    }
}
