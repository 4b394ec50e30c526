//! Who asks, what held the call, and who may decide it.

use maud::{Markup, Render, html};

use super::view::{Context, quote};
use crate::call::model::Request;
use crate::call::requirement::Clause;
use crate::call::safe_text::SafeText;
use crate::desk::people::who_is_asked;
use crate::web::words;

/// The agent's own words, marked as such.
pub fn agents_words(request: &Request) -> Markup {
    let said = &request.call.explanation;
    html! {
        @if said.is_empty() { p.hint { "The agent gave no words of its own." } } @else {
            section aria-labelledby="said" {
                h2 #said { "The agent's own words" }
                p.hint { "They explain, they prove nothing." }
                (quote(said))
            }
        }
    }
}

/// The rest, each as a name and a value.
pub fn facts(context: &Context<'_>) -> Markup {
    html! {
        section aria-labelledby="asks" {
            h2 #asks { "Who asks" }
            p.hint { "Only the caller is proven; the rest is as the caller and the agent say." }
            (who_asks(context.request))
        }
        section aria-labelledby="decides" {
            h2 #decides { "Who decides" }
            (who_decides(context))
        }
        section aria-labelledby="held" {
            h2 #held { "What held it" }
            (what_held_it(context))
        }
    }
}

/// A name and its value; nothing where there is none.
fn fact(label: &str, value: &str) -> Markup {
    html! { @if !value.is_empty() { (row(label, &words::unbroken(&SafeText::line(value)))) } }
}

fn row(label: impl Render, value: &impl Render) -> Markup {
    html! { div { dt { (label) } dd { (value) } } }
}

fn who_asks(request: &Request) -> Markup {
    let call = &request.call;
    let agent = format!("{} {}", call.agent.name, call.agent.version);
    html! {
        dl.facts {
            (fact("Caller (proven)", &call.caller))
            (fact("Client", &call.client))
            (fact("Agent", agent.trim()))
            (fact("On behalf of", &call.agent.on_behalf_of))
            (fact("Session", &call.agent.session))
        }
    }
}

fn who_decides(context: &Context<'_>) -> Markup {
    let request = context.request;
    let have = context.pages.desk.people().counted(context.request);
    let clock = &context.viewer.clock;
    html! {
        dl.facts {
            @for (clause, have) in request.requirement.clauses.iter().zip(have) {
                (row(SafeText::line(&format!("Route {}", clause.route)), &needed(context, clause, have)))
            }
            @for decision in &request.decisions {
                (row("Decided", &html! {
                    (SafeText::line(&decision.operator)) " " (super::view::verdict(decision.verdict)) " "
                    (words::at(clock, decision.at))
                }))
            }
            (row("Looked", &html! {
                // Who decided has looked, and is named above.
                @if request.looked.is_empty() {
                    @if request.decisions.is_empty() { "nobody yet" } @else { "nobody else" }
                }
                @for (n, look) in request.looked.iter().enumerate() {
                    @if n > 0 { "; " }
                    (SafeText::line(&look.operator)) " " (words::at(clock, look.at))
                }
            }))
            @if let Some(unreached) = &request.unreached {
                (row("Mail", &html! { "nobody could be reached: " (SafeText::line(&unreached.why)) }))
            }
        }
    }
}

/// `1 of 2 approvals by ops or security: ann, bob`
fn needed(context: &Context<'_>, clause: &Clause, have: u32) -> Markup {
    let request = context.request;
    let people = context.pages.desk.people();
    let asked = people.asked(&request.requirement, &request.call.agent.on_behalf_of);
    let names: Vec<&str> = asked
        .iter()
        .filter(|operator| clause.counts(&operator.groups))
        .map(|operator| operator.name.as_str())
        .collect();
    html! {
        (have) " of " (words::count(clause.approvals as usize, "approval")) " by "
        (SafeText::line(&who_is_asked(clause)))
        @if names.is_empty() { ": nobody could now" } @else { ": " (SafeText::line(&names.join(", "))) }
        @if clause.sign_in { "; only signed in" }
    }
}

fn what_held_it(context: &Context<'_>) -> Markup {
    let (request, call) = (context.request, &context.request.call);
    let clock = &context.viewer.clock;
    let digest = call.digest.to_string();
    html! {
        dl.facts {
            (fact("Because", &call.evidence.join("; ")))
            (fact("Rule", &call.rule))
            (fact("Policy", &call.policy_revision))
            @for (key, value) in &call.labels { (fact("Label", &format!("{key}={value}"))) }
            (row("Asked", &words::at(clock, request.created)))
            (row("Until", &words::at(clock, request.deadline)))
            @if request.resumed > 0 {
                (row("Resumed", &html! { (words::count(request.resumed as usize, "time")) ", by the same call made again" }))
            }
            (row("Digest", &html! {
                details { summary { code { (call.digest.short()) } } code { (digest) } }
            }))
            (row("Request", &html! { code { (request.id) } }))
        }
    }
}
