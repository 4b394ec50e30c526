//! The page of one request, top to bottom: what will happen, what warns, what is
//! unusual, the arguments, the agent's words, the forms, and the rest.

use std::time::Duration;

use maud::{Markup, html};

use super::arguments::{self, Leaf};
use super::served::{About, PROOF, Served};
use super::{Viewer, afterwards, facts, forms, unusual};
use crate::call::json;
use crate::call::model::{Decision, Request, Status, Use, Verdict};
use crate::call::present;
use crate::call::safe_text::SafeText;
use crate::call::warnings::{Room, warnings};
use crate::policy::judging::{Danger, Says};
use crate::web::answer::Trouble;
use crate::web::form::Form;
use crate::web::queue::asker;
use crate::web::{Pages, words};

/// Which page of the arguments is asked for, and what proves those before it.
#[derive(Debug, Clone)]
pub struct Turn {
    page: usize,
    proof: String,
}

impl Turn {
    /// As a query, or a form, says it.
    pub fn of(form: &Form) -> Turn {
        Turn { page: form.text("page").parse().unwrap_or(1), proof: form.text(PROOF).to_owned() }
    }
}

/// What is said above a page that answers a form.
#[derive(Debug)]
pub struct Said {
    /// What happened, in our words.
    pub words: SafeText,
    /// What they had written, so that it is not lost, and for which decision.
    pub reason: String,
    pub verdict: Option<Verdict>,
    /// Whether it is what they typed that was wrong.
    pub typed: bool,
}

/// A page.
#[derive(Debug)]
pub struct View {
    /// Its title.
    pub title: SafeText,
    /// What stands on it: `#live`.
    pub body: Markup,
    /// Whether all of the request has been served to this viewer now.
    pub whole: bool,
    /// Whether it has forms that decide.
    pub decides: bool,
}

/// What the parts of a page are made from.
pub(super) struct Context<'a> {
    pub pages: &'a Pages,
    pub viewer: &'a Viewer,
    pub request: &'a Request,
    /// Which page of the arguments, and of how many.
    pub page: usize,
    pub of: usize,
    /// What was served, this page included, and the proof of it.
    pub served: Served,
    pub proof: String,
    /// What became of the form that they sent.
    said: Option<&'a Said>,
}

impl Context<'_> {
    /// Whether it waits for anybody's decision.
    pub fn is_open(&self) -> bool {
        is_open(self.viewer, self.request)
    }

    /// Whether there are forms, in which what was written stands.
    fn has_forms(&self) -> bool {
        self.is_open() && self.viewer.may_decide.is_ok()
    }

    /// Whether every page was served.
    pub fn is_whole(&self) -> bool {
        self.of > 0 && self.served.upto >= self.of
    }

    /// This viewer's own decision.
    pub fn own(&self) -> Option<&Decision> {
        own_decision(self.viewer, self.request)
    }

    /// What they had written as the reason of this decision; `None`: of neither.
    pub fn written(&self, verdict: Option<Verdict>) -> &str {
        self.said.filter(|said| said.verdict == verdict).map_or("", |said| &said.reason)
    }

    /// Whether they typed another word than was asked for.
    pub fn mistyped(&self) -> bool {
        self.said.is_some_and(|said| said.typed)
    }

    /// Another page of the arguments.
    pub fn path(&self, page: usize) -> String {
        format!("{}?page={page}&{PROOF}={}#arguments", self.viewer.action, self.proof)
    }
}

/// Whether a request waits for anybody's decision, at this viewer's now.
pub(super) fn is_open(viewer: &Viewer, request: &Request) -> bool {
    request.status == Status::Pending && request.deadline > viewer.clock.now
}

/// The newest decision of this viewer.
pub(super) fn own_decision<'a>(viewer: &Viewer, request: &'a Request) -> Option<&'a Decision> {
    request.decisions.iter().rev().find(|d| d.operator == viewer.operator.name)
}

/// The pages of a request's arguments; none if they cannot be read.
pub(super) fn leaves(request: &Request) -> Vec<Leaf> {
    let masked = json::parse_envelope(request.call.arguments.as_bytes());
    masked.map(|masked| arguments::leaves(&masked)).unwrap_or_default()
}

/// The page for this viewer.
pub async fn render(
    pages: &Pages,
    viewer: &Viewer,
    request: &Request,
    turn: &Turn,
    said: Option<&Said>,
) -> Result<View, Trouble> {
    let leaves = leaves(request);
    let about = About { seal: &pages.seal, seen_by: &viewer.seen_by, request, pages: leaves.len() };
    let page = turn.page.clamp(1, leaves.len().max(1));
    let served = Served::read(&about, &turn.proof, viewer.clock.now).and(page);
    let context = Context {
        pages,
        viewer,
        request,
        page,
        of: leaves.len(),
        served,
        proof: served.proof(&about),
        said,
    };
    let unusual = unusual::unusual(&context).await?;
    let says = Says::of(&request.call);
    let title = present::sentence_of(&request.call, says.belies());
    let body = html! {
        // What follows changes needs a sign-in.
        @let follows = (!viewer.by_link()).then_some(request.id);
        // Who came by a link is told once more how it went, without a stream.
        @let again = (viewer.by_link() && is_under_way(&context)).then_some("");
        div #live.request data-live=[follows] data-again=[again] data-state=(state(&context)) {
            (notice(&context, said))
            (head(&context, &says, &title))
            @if request.status != Status::Pending { (afterwards::afterwards(&context)) }
            (warned(request, &says))
            (unusual)
            (arguments_section(&context, &leaves))
            (facts::agents_words(request))
            @if context.is_open() { (forms::forms(&context)) }
            (facts::facts(&context))
        }
    };
    Ok(View { title, body, whole: context.is_whole(), decides: context.has_forms() })
}

/// What has to change before an open page is replaced: while somebody may be typing,
/// only what ends that.
fn state(context: &Context<'_>) -> String {
    let request = context.request;
    let decisions = if context.has_forms() { 0 } else { request.decisions.len() };
    format!(
        "{}-{decisions}-{}-{}-{}-{}-{}",
        if context.is_open() { "open" } else { request.status.word() },
        context.own().map_or("", |own| own.verdict.word()),
        request.use_.word(),
        request.outcome.word(),
        request.denial_lifted,
        is_under_way(context),
    )
}

/// What became of a form, above everything else.
fn notice(context: &Context<'_>, said: Option<&Said>) -> Markup {
    let Some(said) = said else { return Markup::default() };
    html! {
        div.wrong role="alert" {
            p { strong { (said.words) } }
            @if !said.reason.is_empty() && !context.has_forms() {
                p { "You had written:" }
                (quote(&said.reason))
            }
        }
    }
}

/// Somebody's words, and nothing but that.
pub(super) fn quote(text: &str) -> Markup {
    html! { blockquote { (SafeText::block(text)) } }
}

fn head(context: &Context<'_>, says: &Says, title: &SafeText) -> Markup {
    let (request, call) = (context.request, &context.request.call);
    let hidden = call.hidden_values as usize;
    html! {
        div.badges {
            (words::does(call, says)) (words::risk(call.risk))
            // While it waits, the time left says so.
            @if request.status != Status::Pending {
                (words::status(request.status))
            } @else if !context.is_open() {
                span.badge.status-expired { "expired" }
            }
            @if hidden > 0 { span.badge.is-hidden { (words::count(hidden, "value")) " hidden" } }
            (needed(context))
            @if context.of > 1 { span.badge { (context.of) " pages of arguments" } }
            span.grow {}
            @if context.is_open() { span { (words::left(&context.viewer.clock, request.deadline)) " left" } }
        }
        h1.{ "of-danger " (words::danger(Danger::of(call, says))) } { (words::unbroken(title)) }
        p.who { "Asked by " (asker(request)) }
        @if may_run(context) && !is_under_way(context) && !context.pages.desk.waited_on(request.id) {
            p.hint { "Nobody waits for it just now: it runs only if the same call is made again in its session." }
        }
    }
}

/// How many people have to agree, where one is not enough, and how many of those who
/// did still count. Of several routes, the one that lacks the most.
fn needed(context: &Context<'_>) -> Markup {
    let request = context.request;
    let have = context.pages.desk.people().counted(request);
    let clauses = request.requirement.clauses.iter().zip(have);
    let many = clauses.filter(|(clause, _)| clause.approvals > 1);
    let most = many.max_by_key(|(clause, have)| clause.approvals.saturating_sub(*have));
    html! {
        @if let Some((clause, have)) = most.filter(|_| context.is_open()) {
            span.badge.is-hidden { "needs " (clause.approvals) " people, " (have) " so far" }
        }
    }
}

/// How long its caller has to take what was approved before that is said: it was told
/// in the same moment, and takes it by a call of its own.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// Whether it was approved just now, and is on its way to its caller.
pub(super) fn is_under_way(context: &Context<'_>) -> bool {
    let now = context.viewer.clock.now;
    context.request.use_ == Use::Unused
        && context.request.decisions.iter().any(|d| now.left(d.at) < UNDER_WAY)
}

/// Whether it has still to be decided, or to run.
fn may_run(context: &Context<'_>) -> bool {
    context.is_open() || context.request.use_ == Use::Unused
}

fn warned(request: &Request, says: &Says) -> Markup {
    let rest = warnings(request, Room::ALL);
    let warnings: Vec<SafeText> = says.warnings(&request.call).into_iter().chain(rest).collect();
    html! {
        @if !warnings.is_empty() {
            section.warns aria-labelledby="warns" {
                h2 #warns { "Look out" }
                ul { @for warning in &warnings { li { (words::unbroken(warning)) } } }
            }
        }
    }
}

fn arguments_section(context: &Context<'_>, leaves: &[Leaf]) -> Markup {
    let hidden = context.request.call.hidden_values as usize;
    html! {
        section.card aria-labelledby="arguments" {
            h2 #arguments {
                "Arguments"
                @if context.of > 1 { ", page " (context.page) " of " (context.of) }
            }
            @match leaves.get(context.page - 1) {
                None => p.wrong { "They cannot be read back, so nobody can approve them." },
                Some(leaf) => {
                    p.hint {
                        @if hidden == 0 {
                            "Nothing is hidden"
                            @if context.of == 1 { "; this is all that was sent." } @else { "." }
                        } @else {
                            strong { (words::count(hidden, "value")) " hidden" } ", marked "
                            mark { "«hidden: …»" } "."
                            @if context.of == 1 { " All the rest is as it was sent." }
                        }
                        @if context.page < context.of {
                            " " strong { "More is on page " (context.page + 1) "." }
                        }
                    }
                    @if context.page == 1 { (arguments::contents(leaves)) }
                    (arguments::leaf(leaf))
                    (turning(context))
                }
            }
        }
    }
}

fn turning(context: &Context<'_>) -> Markup {
    html! {
        @if context.of > 1 {
            nav.pager aria-label="Pages of the arguments" {
                @if context.page > 1 { a href=(context.path(context.page - 1)) { "Page " (context.page - 1) } }
                span { (context.page) " of " (context.of) }
                @if context.page < context.of {
                    a href=(context.path(context.page + 1)) { "Page " (context.page + 1) }
                }
            }
        }
    }
}

/// `approved`, `denied`
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approved",
        Verdict::Deny => "denied",
    }
}
