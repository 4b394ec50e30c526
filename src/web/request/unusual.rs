//! What is unlike earlier calls of the same client, told before what is usual.
//!
//! Promises: what is called the same has the same digest. Must never: call the same
//! what only looks it, as all that is hidden does.

use maud::{Markup, html};

use super::afterwards::span;
use super::view::Context;
use crate::call::difference::{Change, Difference, Side, difference};
use crate::call::json;
use crate::call::model::{Call, Outcome, Request, Status, Use, Verdict};
use crate::call::safe_text::SafeText;
use crate::call::time::Time;
use crate::desk::sees;
use crate::store::decide::how_it_ended;
use crate::store::earlier::{self, Earlier};
use crate::web::answer::Trouble;
use crate::web::words;

/// The section, while it matters: what is to be decided still.
pub async fn unusual(context: &Context<'_>) -> Result<Markup, Trouble> {
    if !context.is_open() {
        return Ok(Markup::default());
    }
    let (request, operator) = (context.request.clone(), context.viewer.operator.clone());
    let (store, by_link) = (context.pages.desk.store(), context.viewer.by_link());
    let visible = move |other: &Request| match by_link {
        false => sees(&operator, other),
        // Who has the link has a mail, and sees no more than mails say: what was put
        // before the same operator, and nothing that takes a sign-in to decide.
        true => {
            let requirement = &other.requirement;
            requirement.asks(&operator.groups) && requirement.sign_in_for().is_none()
        }
    };
    let earlier = store.read(move |conn| earlier::than(conn, &request, visible)).await?;
    Ok(told(context, &earlier))
}

fn told(context: &Context<'_>, earlier: &Earlier) -> Markup {
    let whose = if context.request.call.client.is_empty() { "caller" } else { "client" };
    if !earlier.any {
        // Said of every new tool, so it takes a line and no more.
        return html! {
            details.first {
                summary { "The first time by this " (whose) }
                p.hint {
                    "No earlier call of this tool by this " (whose)
                    " was held here, so there is nothing to compare it with."
                }
            }
        };
    }
    html! {
        section.unusual aria-labelledby="unusual" {
            h2 #unusual { "Compared with earlier calls" }
            @if let Some(other) = &earlier.identical { (identical(context, other)) }
            @match &earlier.approved {
                Some(other) => (compared(context, other)),
                None => p { "No call of this tool by this " (whose) " was approved lately, as far as you may see." },
            }
            (left_out(context, earlier.hidden, whose))
        }
    }
}

/// How many earlier calls this viewer is not told of, and why; not what they are.
fn left_out(context: &Context<'_>, hidden: usize, whose: &str) -> Markup {
    html! {
        @if hidden > 0 {
            p.hint {
                "Left out here: " (words::count(hidden, "earlier call")) " of this tool by this " (whose)
                @if context.viewer.by_link() {
                    ". A link shows only what was put before you, and nothing that takes a sign-in."
                } @else {
                    ". Other people decide those, so they are not yours to see."
                }
            }
        }
    }
}

/// The same call, some time ago, and what became of it.
fn identical(context: &Context<'_>, other: &Request) -> Markup {
    let ago = context.request.created.left(other.created);
    html! {
        p {
            strong {
                @if other.status == Status::Denied { "Asked again after a denial: " }
                "the identical call was made " (span(ago)) " before this one"
            }
            " " (reference(context, other)) ": " (SafeText::line(&ended(other))) "."
        }
    }
}

/// How it ended, and what became of its use.
fn ended(other: &Request) -> String {
    let ran = match (other.use_, other.outcome) {
        (Use::None, _) => "",
        (Use::Unused, _) => "; not handed out yet",
        (Use::Lapsed, _) => "; it lapsed and did not run",
        (Use::Taken, Outcome::Succeeded) => "; it ran and succeeded",
        (Use::Taken, Outcome::Failed) => "; it ran and failed",
        (Use::Taken, Outcome::Unknown) => "; it was handed out, and nobody knows whether it ran",
        (Use::Taken, Outcome::None) => "; it was handed out, and may have run",
    };
    format!("{}{ran}", how_it_ended(other))
}

/// `[2b4d5e6f]`, as a link where the viewer may follow it.
fn reference(context: &Context<'_>, other: &Request) -> Markup {
    html! {
        @if context.viewer.by_link() { "[" (other.id.short()) "]" } @else {
            a href=(format!("/requests/{}", other.id)) { "[" (other.id.short()) "]" }
        }
    }
}

/// Where it differs from the last one that somebody approved.
fn compared(context: &Context<'_>, other: &Request) -> Markup {
    let Some(likeness) = Likeness::of(&other.call, &context.request.call) else {
        return Markup::default();
    };
    let by = other.decisions.iter().rev().find(|d| d.verdict == Verdict::Approve);
    let at: Time = by.map_or(other.created, |decision| decision.at);
    html! {
        p {
            (likeness.head())
            " the last one that was approved " (reference(context, other)) ", "
            @if let Some(by) = by { "by " (SafeText::line(&by.operator)) " " }
            (words::at(&context.viewer.clock, at))
            (likeness.hidden()) "."
        }
        @if let Likeness::Other(found) = &likeness && !found.changes.is_empty() { (table(found)) }
    }
}

/// What can be said of two calls' arguments.
enum Likeness {
    /// The digests are the same: so is what is hidden.
    Same,
    /// The digests differ, and this is what shows of it.
    Other(Difference),
    /// The digests differ; to find where is too much work.
    TooLarge,
}

impl Likeness {
    /// `None`: what was kept of one cannot be read.
    fn of(before: &Call, now: &Call) -> Option<Likeness> {
        if before.digest == now.digest {
            return Some(Likeness::Same);
        }
        let parse = |call: &Call| json::parse_envelope(call.arguments.as_bytes()).ok();
        let found = difference(&parse(before)?, &parse(now)?);
        Some(found.map_or(Likeness::TooLarge, Likeness::Other))
    }

    fn head(&self) -> Markup {
        html! {
            @match self {
                Likeness::Same => "The same arguments as",
                Likeness::TooLarge => { strong { "Too large to be compared" } " with" },
                Likeness::Other(found) if found.changes.is_empty() => {
                    strong { "No difference shows in the arguments, yet they are not the same" } " as"
                },
                Likeness::Other(found) => {
                    strong { (words::count(found.changes.len() + found.more, "difference")) }
                    " from"
                },
            }
        }
    }

    /// What is hidden in both, and where.
    fn hidden(&self) -> Markup {
        let Likeness::Other(found) = self else { return Markup::default() };
        html! {
            @if found.hidden > 0 {
                "; " (words::count(found.hidden, "part")) " hidden in both, which may differ: "
                @for (n, place) in found.hidden_at.iter().enumerate() {
                    @if n > 0 { ", " } span.mono { (place) }
                }
                @if found.hidden > found.hidden_at.len() { ", and more" }
            }
        }
    }
}

fn table(found: &Difference) -> Markup {
    html! {
        table.compared {
            thead { tr { th scope="col" { "Argument" } th scope="col" { "Approved then" } th scope="col" { "Asked now" } } }
            tbody { @for change in &found.changes { (line(change)) } }
        }
        @if found.more > 0 { p.hint { "And " (words::count(found.more, "more difference")) ", not told here." } }
    }
}

fn line(change: &Change) -> Markup {
    html! {
        tr {
            th scope="row" { (change.path) }
            td.then { (side(change.before.as_ref())) }
            td.now { (side(change.now.as_ref())) }
        }
    }
}

fn side(side: Option<&Side>) -> Markup {
    html! {
        @match side {
            None => span.note { "(nothing)" },
            Some(Side { head, part, tail }) => { (head) b { (part) } (tail) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::digest::Covered;

    use crate::call::redact::mask;
    use crate::store::tests::call;

    fn asked(arguments: &str) -> Call {
        let arguments = json::parse(arguments.as_bytes()).expect("JSON");
        let covered = Covered {
            server: "s",
            tool: "t",
            arguments: &arguments,
            input_responses: None,
            request_state: None,
        };
        let digest = covered.digest();
        Call { arguments: mask(&arguments).value.to_text(), digest, ..call("c", "s", 1) }
    }

    fn told(before: &str, now: &str) -> String {
        let likeness = Likeness::of(&asked(before), &asked(now)).expect("JSON");
        likeness.head().into_string() + &likeness.hidden().into_string()
    }

    #[test]
    fn only_what_has_the_same_digest_is_called_the_same() {
        let named = |letter: &str| format!(r#"{{"map":{{"ghp_{}":"admin"}}}}"#, letter.repeat(36));
        let secret = |value: &str| format!(r#"{{"password":"{value}"}}"#);
        for (before, now, place) in [
            (named("A"), named("B"), "map › «hidden: text of 40 characters»"),
            (secret("correct"), secret("another"), "password"),
        ] {
            let other = told(&before, &now);
            assert!(!other.contains("The same"), "{other}");
            assert!(other.contains("yet they are not the same"), "{other}");
            assert!(other.contains("1 part hidden in both, which may differ"), "{other}");
            assert!(other.contains(place), "{other}");
            assert_eq!(told(&before, &before), "The same arguments as");
        }
        // Masking writes both in one way.
        let other = told(r#"{"a":"«b»"}"#, r#"{"a":"<<b>>"}"#);
        assert!(other.contains("yet they are not the same"), "{other}");
    }
}
