//! The history: what happened, filtered and in pages; its export; the chain.
//!
//! The same questions as `holdpoint audit` asks, with the same rights: who sees
//! everything sees all entries, others those about what is routed to them; exports
//! and the chain are for auditors and admins.

mod entry;
pub mod filter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use tokio_stream::wrappers::ReceiverStream;

use super::answer::{Trouble, on_to};
use super::form::Form;
use super::layout::{Here, page as whole_page, token};
use super::tables::thousands;
use super::who::Who;
use super::{Pages, words};
use crate::call::hex::hex;
use crate::call::model::{Category, Status};
use crate::call::safe_text::SafeText;
use crate::desk::history::{ExportEnded, Right, Verified};
use crate::store::audit::Kind;
use crate::store::chain::Chain;
use crate::store::query::{Page, Question};
use filter::{Asked, NAMES, ON_A_PAGE};

/// A page on which few entries fit is filled up for so long, each time by some 2,000
/// that are looked at: short enough that nobody waits, and the next page goes on.
const FILL_FOR: Duration = Duration::from_millis(25);

/// GET /history
pub async fn page(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    who: Who,
) -> Result<Response, Trouble> {
    let asked = Asked::of(Form::read(query.unwrap_or_default().as_bytes()), &who.clock);
    let fine = asked.wrong.is_empty();
    let found = if fine { entries(&pages, &who, &asked.question).await? } else { Page::default() };
    let chain = match who.operator().sees_all() {
        true => Some((pages.desk.chain().await?, pages.desk.last_verified())),
        false => None,
    };
    let body = html! {
        h1 { "History" }
        @if let Some((_, verified)) = &chain {
            (broken(verified.as_ref()))
            p.links {
                a href="/history/charts" { "Charts" } " "
                a href="#chain" { "Export and verify" }
            }
        } @else {
            p.hint { "What is routed to you, and the mails to you. Auditors and admins see everything." }
        }
        (filters(&asked))
        (chosen(&asked, &who))
        @if fine { (list(&asked, &found, &who)) }
        @if let Some((chain, verified)) = &chain { (chain_state(chain, verified.as_ref(), &who)) }
    };
    let status = if fine { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let title = SafeText::line("History");
    Ok((status, whole_page(&who, Here::History, &title, &body)).into_response())
}

/// A page of entries, filled up for a bounded while.
async fn entries(pages: &Pages, who: &Who, question: &Question) -> Result<Page, Trouble> {
    let mut found = Page { next: question.after, ..Page::default() };
    let began = Instant::now();
    loop {
        let most = ON_A_PAGE - found.entries.len();
        let further = Question { after: found.next, most, ..question.clone() };
        let page = pages.desk.history(who.operator(), further).await?;
        found.entries.extend(page.entries);
        (found.next, found.reached) = (page.next, page.reached);
        let full = found.next.is_none() || found.entries.len() >= ON_A_PAGE;
        if full || began.elapsed() >= FILL_FOR {
            return Ok(found);
        }
    }
}

fn list(asked: &Asked, found: &Page, who: &Who) -> Markup {
    html! {
        @if found.entries.is_empty() {
            div.empty {
                @if found.next.is_some() {
                    p { strong { "Nothing so far." } }
                    p.hint {
                        "Many entries were looked at"
                        @if let Some(at) = found.reached { ", " (searched(asked)) " " (words::at(&who.clock, at)) }
                        ", and none of them fits. There are more."
                    }
                } @else {
                    p { strong { "No entry fits." } }
                    @if asked.question.after.is_some() { p { a href=(asked.path(None)) { "Back to the first page" } } }
                }
            }
        } @else {
            ol.entries role="list" {
                @for told in &found.entries { (entry::entry(told, &who.clock)) }
            }
            @if let Some(at) = found.reached.filter(|_| found.entries.len() < ON_A_PAGE) {
                p.hint { "Looked for " (searched(asked)) " " (words::at(&who.clock, at)) ". There are more." }
            }
        }
        nav.pager aria-label="More of the history" {
            @if asked.question.after.is_some() { a href=(asked.path(None)) { "First page" } }
            @if found.next.is_some() {
                a rel="next" href=(asked.path(found.next)) {
                    @if asked.question.ascending { "Newer" } @else { "Older" }
                }
            }
        }
    }
}

/// Which way a page has looked, before the time up to which it has.
fn searched(asked: &Asked) -> &'static str {
    if asked.question.ascending { "up to" } else { "back to" }
}

fn filters(asked: &Asked) -> Markup {
    let why = |field: &str| asked.wrong.iter().find(|(wrong, _)| *wrong == field);
    let value = |field: &str| SafeText::line(asked.typed.text(field));
    let field = |field: &str, words: &str, hint: &str| {
        html! {
            label { (words)
                input type="text" name=(field) value=(value(field)) placeholder=(hint)
                    autocomplete="off" aria-invalid=[why(field).map(|_| "true")];
                @if let Some((_, why)) = why(field) { span.wrong { (SafeText::line(why)) } }
            }
        }
    };
    let choice = |field: &str, words: &str, all: &[&str]| {
        html! {
            label { (words)
                select name=(field) {
                    option value="" { "any" }
                    @for word in all {
                        option value=(word) selected[asked.typed.text(field) == *word] { (word.replace('_', " ")) }
                    }
                }
                @if let Some((_, why)) = why(field) { span.wrong { (SafeText::line(why)) } }
            }
        }
    };
    let categories: Vec<&str> = Category::ALL.iter().map(|c| c.word()).collect();
    let statuses: Vec<&str> = Status::ALL.iter().map(|s| s.word()).collect();
    let kinds: Vec<&str> = Kind::ALL.iter().map(|k| k.word()).collect();
    html! {
        details.filters open[!asked.wrong.is_empty()] {
            summary { "Filter" }
            form method="get" action="/history" {
                (field("since", "Since", "2h, 7d, 2026-11-22"))
                (field("until", "Before", "2026-11-22 14:05"))
                (field("text", "Words", "all of them occur"))
                (choice("kind", "What happened", &kinds))
                (choice("status", "Status after it", &statuses))
                (choice("category", "Category", &categories))
                @for (name, words) in NAMES { (field(name, &capital(words), "the whole name")) }
                (field("request", "Request", "its id"))
                label { "Order"
                    select name="order" {
                        option value="" { "newest first" }
                        option value="oldest" selected[asked.question.ascending] { "oldest first" }
                    }
                }
                div.go { button.main { "Show" } }
            }
        }
        @if let Some((_, why)) = why("page") { p.wrong role="alert" { (SafeText::line(why)) } }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What is filtered for; each can be taken away.
fn chosen(asked: &Asked, who: &Who) -> Markup {
    let (set, times) = (asked.set(), asked.times());
    html! {
        @if !set.is_empty() || !times.is_empty() {
            ul.chosen role="list" aria-label="Filters that are set" {
                @for (field, words, at) in times {
                    li { a href=(asked.without(field)) {
                        (words) " " (who.clock.at(at)) span.unseen { ": take this filter away" } span aria-hidden="true" { " ×" }
                    } }
                }
                @for (field, words, value) in set {
                    li { a href=(asked.without(field)) {
                        (words) " " strong { (SafeText::cut_line(&value, 40).0) }
                        span.unseen { ": take this filter away" } span aria-hidden="true" { " ×" }
                    } }
                }
            }
        }
    }
}

/// That the chain was found broken stands before everything else.
fn broken(verified: Option<&Verified>) -> Markup {
    html! {
        @if let Some(Err(broken)) = verified.map(|verified| &verified.found) {
            p.wrong role="alert" { strong { "The history is not whole: " } (SafeText::line(&broken.what)) "." }
        }
    }
}

fn chain_state(chain: &Chain, verified: Option<&Verified>, who: &Who) -> Markup {
    html! {
        section.card #chain aria-labelledby="chain-title" {
            h2 #chain-title { "The chain" }
            p {
                (thousands(chain.entries)) " entries, each with the hash of the one before. The newest is of "
                (words::at(&who.clock, chain.newest)) ", and its hash, the head, is"
            }
            p { code { (hex(&chain.head)) } }
            @if chain.erased_up_to > 0 {
                p { "What entries up to " (thousands(chain.erased_up_to)) " said is erased by age; their hashes stay." }
            }
            p { (finding(verified, who)) }
            p.hint {
                "Who can write the database could make the whole chain anew. Note a head elsewhere, and "
                code { "holdpoint audit verify --head HASH" } " finds out whether it is still in it."
            }
            div.actions {
                form method="post" action="/history/verify" { (token(who)) button { "Verify all of it now" } }
                form method="get" action="/history/export" { button { "Export all of it" } }
            }
            details {
                summary { "Export a part" }
                form.part method="get" action="/history/export" {
                    label { "First entry " input type="number" name="first" min="1" max=(chain.entries); }
                    label { "Last entry " input type="number" name="last" min="1" max=(chain.entries); }
                    button { "Export" }
                }
            }
            p.hint {
                "An export is a file of JSON lines that anyone can check without this daemon: "
                code { "holdpoint audit verify FILE" }
            }
        }
    }
}

fn finding(verified: Option<&Verified>, who: &Who) -> Markup {
    html! {
        @match verified {
            None => { "It has not been verified since the daemon began." }
            Some(Verified { at, found: Ok(whole) }) => {
                strong { "Whole" } ", as verified at " (words::at(&who.clock, *at)) ": "
                (thousands(whole.entries)) " entries, " (thousands(whole.erased)) " of them erased by age."
            }
            Some(Verified { at, found: Err(broken) }) => {
                strong { "Not whole" } ", as found at " (words::at(&who.clock, *at)) ": " (SafeText::line(&broken.what)) "."
            }
        }
    }
}

/// POST /history/verify
pub async fn verify(
    State(pages): State<Arc<Pages>>,
    who: Who,
    body: Bytes,
) -> Result<Response, Trouble> {
    Form::of(&who, &body)?;
    if !who.operator().sees_all() {
        return Err(not_an_auditor());
    }
    pages.desk.verify(None).await?.ok();
    Ok(on_to("/history#chain"))
}

/// GET /history/export
pub async fn export(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    who: Who,
) -> Result<Response, Trouble> {
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let number = |field| match form.text(field).trim() {
        "" => Ok(0),
        text => text.parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok()).ok_or_else(|| {
            let words = "First and last entry are whole numbers.";
            Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "Which entries?", words)
        }),
    };
    let (first, last) = (number("first")?, number("last")?);
    if last != 0 && last < first {
        let words = "The last entry is before the first.";
        return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "Which entries?", words));
    }
    let right = Right::SignIn(who.signed_in);
    let export = pages.desk.export(right, first, last).await?;
    let name = format!("holdpoint-audit-{}-{}.jsonl", export.first, export.last);
    // What breaks off ends the connection without an end: browsers say that it failed.
    let body = Body::from_stream(ReceiverStream::new(export.pieces));
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, body).into_response())
}

/// Only who sees everything has this.
pub fn not_an_auditor() -> Trouble {
    let words = "Only auditors and admins see this. The history has what is routed to you.";
    Trouble::new(StatusCode::FORBIDDEN, "Not for your role", words)
}

impl From<ExportEnded> for Trouble {
    fn from(ended: ExportEnded) -> Trouble {
        match ended {
            ExportEnded::NotAnAuditor => not_an_auditor(),
            ExportEnded::Store(error) => error.into(),
            ended @ (ExportEnded::NotKnown(_) | ExportEnded::SignedOut) => {
                Trouble::new(StatusCode::UNAUTHORIZED, "Sign in again", ended.to_string())
            }
        }
    }
}
