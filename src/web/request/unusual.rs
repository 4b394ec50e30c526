//! What is unlike earlier calls of the same client, told before what is usual.

use maud::{Markup, html};

use super::afterwards::span;
use super::view::Context;
use crate::call::difference::{Change, Difference, Side, difference};
use crate::call::json;
use crate::call::model::{Outcome, Request, Status, Use, Verdict};
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
    html! {
        section.unusual aria-labelledby="unusual" {
            h2 #unusual { "Compared with earlier calls" }
            @if !earlier.any {
                p { strong { "The first time: " } "no earlier call of this tool by this " (whose) " was held here." }
            }
            @if let Some(other) = &earlier.identical { (identical(context, other)) }
            @match &earlier.approved {
                Some(other) => (compared(context, other)),
                None if earlier.any => p { "No call of this tool by this " (whose) " was approved lately, as far as you may see." },
                None => {}
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
    let parse = |request: &Request| json::parse_envelope(request.call.arguments.as_bytes());
    let (Ok(before), Ok(now)) = (parse(other), parse(context.request)) else {
        return Markup::default();
    };
    let found = difference(&before, &now);
    let too_much = found.is_none();
    let found = found.unwrap_or_default();
    let by = other.decisions.iter().rev().find(|d| d.verdict == Verdict::Approve);
    let at: Time = by.map_or(other.created, |decision| decision.at);
    html! {
        p {
            @if too_much { strong { "Too large to be compared" } " with" }
            @else if found.changes.is_empty() { "The same arguments as" }
            @else {
                strong { (words::count(found.changes.len() + found.more, "difference")) } " from"
            }
            " the last one that was approved " (reference(context, other)) ", "
            @if let Some(by) = by { "by " (SafeText::line(&by.operator)) " " }
            (words::at(&context.viewer.clock, at))
            @if found.hidden > 0 {
                "; " (words::count(found.hidden, "value")) " hidden in both, which may differ"
            }
            "."
        }
        @if !found.changes.is_empty() { (table(&found)) }
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
