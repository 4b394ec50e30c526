//! The forms that decide. Approving stands only where every page was served; denying
//! always.

use maud::{Markup, html};

use super::served::PROOF;
use super::view::Context;
use crate::call::model::Verdict;
use crate::call::safe_text::SafeText;
use crate::desk::intake::REASON;
use crate::policy::judging::care::ToType;

/// The name of the field in which a word is typed.
pub const TYPED: &str = "typed";

/// Approve and deny, or why this viewer cannot.
pub fn forms(context: &Context<'_>) -> Markup {
    let own = context.own().map(|own| own.verdict);
    html! {
        @match &context.viewer.may_decide {
            Err(why) => section.card aria-labelledby="cannot" {
                h2 #cannot {
                    @match own {
                        Some(Verdict::Approve) => "You have approved it",
                        _ => "You cannot decide this",
                    }
                }
                @if own == Some(Verdict::Approve) { p { "It waits for others; see below." } }
                p.capital { (SafeText::line(why)) "." }
            },
            Ok(()) => {
                // On a phone both are always in sight.
                nav.jump aria-label="Decide" {
                    @if own == Some(Verdict::Approve) {}
                    @else if context.of > 0 && !context.is_whole() {
                        @let next = context.served.upto + 1;
                        a href=(context.path(next)) { "Read on (" (next) " of " (context.of) ")" }
                    } @else { a.to-approve href="#to-approve" { "Approve…" } }
                    a.to-deny href="#to-deny" { "Deny…" }
                }
                div.decide {
                @if own == Some(Verdict::Approve) {
                    section.card { h2 { "You have approved it" }
                        p { "It waits for others; see below. You can still deny it." } }
                } @else {
                    (approve(context))
                }
                (deny(context))
                }
            },
        }
    }
}

fn approve(context: &Context<'_>) -> Markup {
    let next = context.served.upto + 1;
    html! {
        section.card aria-labelledby="to-approve" {
            h2 #to-approve {
                @match context.request.requirement.several() {
                    None => "Approve: let it run, once",
                    Some(most) => { "Approve: yours is one of " (most) ", then it runs, once" }
                }
            }
            @if context.of == 0 {
                p { "Its arguments cannot be shown, so it cannot be approved." }
            } @else if !context.is_whole() {
                p { "You have read " (context.served.upto) " of " (context.of) " pages of the arguments: read on to approve." }
                p { a.button #approve href=(context.path(next)) { "Read page " (next) " of " (context.of) } }
            } @else {
                (approve_form(context))
            }
        }
    }
}

fn approve_form(context: &Context<'_>) -> Markup {
    let typed = ToType::for_request(context.request);
    let hidden = context.request.call.hidden_values;
    html! {
        form method="post" action=(context.viewer.action) {
            (fields(context))
            @if hidden > 0 {
                p.note { "What is hidden runs too, and you have not seen it." }
            }
            @if let Some(typed) = &typed {
                label for="approve" { "Type " span.word { (typed.shown()) } " to approve " span.note { "(" (typed.named()) ")" } }
                input #approve type="text" name=(TYPED) autocomplete="off" autocapitalize="none"
                    autocorrect="off" spellcheck="false" required
                    autofocus[context.mistyped()]
                    aria-invalid=[context.mistyped().then_some("true")]
                    aria-describedby=[context.mistyped().then_some("mistyped")];
                @if context.mistyped() { p.wrong #mistyped { "That was another word." } }
            }
            label for="approve-reason" { "Reason (optional)" }
            textarea #approve-reason name="reason" rows="1" maxlength=(REASON) { (text(context, Some(Verdict::Approve))) }
            @if typed.is_some() {
                button.approve name="verdict" value="approve" { "Approve" }
            } @else {
                button.approve #approve name="verdict" value="approve" { "Approve" }
            }
        }
    }
}

fn deny(context: &Context<'_>) -> Markup {
    html! {
        section.card aria-labelledby="to-deny" {
            h2 #to-deny { "Deny" }
            form method="post" action=(context.viewer.action) {
                (fields(context))
                label for="deny" { "Why not? The agent is told." }
                textarea #deny name="reason" rows="2" maxlength=(REASON) required { (text(context, Some(Verdict::Deny))) }
                button.deny name="verdict" value="deny" { "Deny" }
            }
        }
    }
}

/// What was written already. A line end right after the tag would be dropped.
fn text(context: &Context<'_>, verdict: Option<Verdict>) -> Markup {
    html! { (maud::PreEscaped("\n")) (SafeText::block(context.written(verdict))) }
}

/// What each of them brings back: whose it is, what was shown, and how much of it.
fn fields(context: &Context<'_>) -> Markup {
    html! {
        (context.viewer.form)
        input type="hidden" name="digest" value=(context.request.call.digest.to_string());
        input type="hidden" name="page" value=(context.page);
        input type="hidden" name=(PROOF) value=(context.proof);
    }
}

/// The form that lifts a denial, for who is signed in and may decide.
pub fn lift(context: &Context<'_>) -> Markup {
    html! {
        section.card aria-labelledby="to-lift" {
            h2 #to-lift { "Lift this denial" }
            p.hint { "Until its time is up, the same call is denied again without asking. Lifted, it is asked again." }
            form method="post" action=(format!("{}/lift", context.viewer.action)) {
                (context.viewer.form)
                label for="lift" { "Reason (optional)" }
                textarea #lift name="reason" rows="1" maxlength=(REASON) { (text(context, None)) }
                button { "Lift the denial" }
            }
        }
    }
}
