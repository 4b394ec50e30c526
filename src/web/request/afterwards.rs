//! What became of a request: who decided it and how, whether the call ran, and how
//! that ended.

use std::time::Duration;

use maud::{Markup, html};

use super::forms;
use super::view::{Context, is_under_way};
use crate::call::model::{Decision, Outcome, Status, Strength, Use, Verdict};
use crate::call::safe_text::SafeText;
use crate::policy::judging::care::is_grave;
use crate::store::decide::how_it_ended_at;
use crate::web::words;

/// A grave call that was decided faster than this is shown for what it is: nobody
/// reads one so quickly.
const HASTY: Duration = Duration::from_secs(5);

/// All of it.
pub fn afterwards(context: &Context<'_>) -> Markup {
    let request = context.request;
    let clock = &context.viewer.clock;
    html! {
        section.card.ended aria-labelledby="ended" {
            h2 #ended { "What became of it" }
            @if request.decisions.is_empty() { p.capital { (SafeText::line(&how_it_ended_at(request, |time| clock.at(time)))) } }
            @for decision in &request.decisions { (decided(context, decision)) }
            @if request.status == Status::Expired && !request.decisions.is_empty() {
                p.capital { (SafeText::line(&how_it_ended_at(request, |time| clock.at(time)))) }
            }
            (used(context))
            @if request.asked_again > 0 {
                p { "Asked again " (words::count(request.asked_again as usize, "time")) " after it was denied." }
            }
            @if request.denial_lifted {
                p { "The denial was lifted: the same call may be asked again." }
            } @else if request.status == Status::Denied && request.deadline > clock.now {
                p.hint { "Remembered until " (words::at(clock, request.deadline)) ": the same call is denied again without asking." }
            }
        }
        @if may_lift(context) { (forms::lift(context)) }
    }
}

/// Whether this viewer could lift the denial that is remembered.
fn may_lift(context: &Context<'_>) -> bool {
    let request = context.request;
    request.status == Status::Denied
        && !request.denial_lifted
        && request.deadline > context.viewer.clock.now
        && context.viewer.may_decide.is_ok()
        && !context.viewer.by_link()
}

fn decided(context: &Context<'_>, decision: &Decision) -> Markup {
    let call = &context.request.call;
    let grave = is_grave(call);
    html! {
        p {
            strong { (by(decision.verdict)) " by " (SafeText::line(&decision.operator)) }
            ", " (words::at(&context.viewer.clock, decision.at)) ", " (strength(decision.strength))
            @if decision.own_call { ", on a call of their own" }
            "."
        }
        @if let Some(shown) = decision.on_screen {
            p.hint[true].hasty[grave && shown < HASTY] {
                "It had been on their screen for " (span(shown)) " at most."
            }
        }
        @if decision.reason.is_empty() { p.hint { "No reason was given." } } @else {
            (super::view::quote(&decision.reason))
        }
    }
}

/// A decision, as the first word of a sentence.
fn by(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "Approved",
        Verdict::Deny => "Denied",
    }
}

/// How somebody was known who decided.
fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::Local => "in local mode: any program of the same user could have",
        Strength::Token => "known by a token",
        Strength::Certificate => "known by a client certificate",
        Strength::Link => "by the link of a mail",
    }
}

/// `0.8 s`, `12 s`, `3 min`, `2 h`
pub(super) fn span(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn used(context: &Context<'_>) -> Markup {
    let (request, clock) = (context.request, &context.viewer.clock);
    let at = |time| html! { @if let Some(time) = time { ", " (words::at(clock, time)) } };
    html! {
        @match request.use_ {
            Use::None => {}
            Use::Unused if is_under_way(context) => p { "Its caller is being told." }
            Use::Unused => p { "Not taken yet." @if let Some(lapses) = request.lapses { " It lapses " (words::at(clock, lapses)) "." } }
            Use::Taken => p { "Handed to its caller to run" (at(request.used)) "." }
            Use::Lapsed => p { "Nobody took it in time: it lapsed, and will not run." }
        }
        @match request.outcome {
            Outcome::None if request.outcome_expected => p { "How it ended is not reported yet." }
            Outcome::None => {}
            Outcome::Succeeded => p { strong { "It succeeded" } (at(request.outcome_at)) "." }
            Outcome::Failed => p { strong { "It failed" } (at(request.outcome_at)) "." }
            Outcome::Unknown => p.wrong { strong { "Nobody knows how it ended" } (at(request.outcome_at)) ": look." }
        }
        @if !request.outcome_detail.is_empty() { (super::view::quote(&request.outcome_detail)) }
    }
}
