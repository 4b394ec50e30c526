//! What became of the mails: what waits, what failed, and another attempt.
//!
//! The same lists as `holdpoint mail queue` shows: of who does not see everything, their
//! own; and if they ask for it, also those to others about the requests that they may
//! see, which the history tells them too (the rule is
//! [`Reader`](crate::store::reader::Reader)'s). An admin has one tried again.
//!
//! Promises: the rule holds for each mail of each page, so a place in an address that
//! somebody made up shows nothing but what is theirs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::answer::{Trouble, on_to};
use super::form::Form;
use super::layout::{Here, page as whole_page, token};
use super::tables::table;
use super::who::Who;
use super::{Pages, words};
use crate::call::safe_text::SafeText;
use crate::store::mail::{ListedMail, MailList, MailPlace, MailQuestion};

/// Mails of one list on a page.
const ON_A_PAGE: usize = 50;

/// What failed longer ago is not news.
const RECENTLY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Columns of an answer of a mail server; there are 2,000 bytes of it at most.
const ANSWER: usize = 300;

/// GET /mail
pub async fn page(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    who: Who,
) -> Result<Response, Trouble> {
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let shown = Shown {
        list: List::of(form.text("list")),
        others: who.operator().sees_all() || form.text("whose") == "all",
    };
    let body = html! {
        h1 { "Mail" }
        p { "It goes to " (SafeText::line(&pages.mail)) "." }
        @if !who.operator().sees_all() { (whose(shown)) }
        nav.periods aria-label="Which mails" {
            @for list in List::ALL {
                a href=(Shown { list, ..shown }.path(None)) aria-current=[(list == shown.list).then_some("page")] { (list.words()) }
            }
        }
        @if let Ok(id) = form.text("again").parse::<i64>() {
            p.done role="status" { "Mail " (id) " is tried again now." }
        }
        (list(&pages, &who, shown, form.text("page")).await?)
    };
    Ok(whole_page(&who, Here::Mail, &SafeText::line("Mail"), &body).into_response())
}

/// What of the mails is shown.
#[derive(Debug, Clone, Copy)]
struct Shown {
    list: List,
    /// Also those to others.
    others: bool,
}

/// Whose mails are shown to who does not see everything, and the way to the rest.
fn whose(shown: Shown) -> Markup {
    let other = Shown { others: !shown.others, ..shown };
    html! {
        p.hint {
            @if shown.others { "These are the mails to you, and those about requests that are routed to you. " }
            @else { "These are the mails to you. " }
            a href=(other.path(None)) { @if shown.others { "Only those to you" } @else { "Also those to others" } }
            ". Auditors and admins see all."
        }
    }
}

/// A list of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Waiting,
    Failed,
    All,
}

impl List {
    const ALL: [List; 3] = [List::Waiting, List::Failed, List::All];

    fn of(word: &str) -> List {
        List::ALL.into_iter().find(|list| list.word() == word).unwrap_or(List::Waiting)
    }

    fn word(self) -> &'static str {
        match self {
            List::Waiting => "waiting",
            List::Failed => "failed",
            List::All => "all",
        }
    }

    fn words(self) -> &'static str {
        match self {
            List::Waiting => "Waiting",
            List::Failed => "Failed lately",
            List::All => "All",
        }
    }

    fn nothing(self) -> &'static str {
        match self {
            List::Waiting => "No mail waits.",
            List::Failed => "No mail failed in the last 7 days.",
            List::All => "There is no mail yet.",
        }
    }

    fn kind(self) -> MailList {
        match self {
            List::Waiting => MailList::Waiting,
            List::Failed => MailList::Failed,
            List::All => MailList::All,
        }
    }
}

impl Shown {
    fn path(self, after: Option<&MailPlace>) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("/mail?".to_owned(), 6);
        query.append_pair("list", self.list.word());
        if self.others {
            query.append_pair("whose", "all");
        }
        if let Some(at) = after {
            // The name comes last: it may hold anything.
            query.append_pair("page", &format!("{}.{}.{}", at.at, at.n, at.operator));
        }
        query.finish()
    }
}

fn place(text: &str) -> Option<MailPlace> {
    let mut parts = text.splitn(3, '.');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (at, n) = (number()?, number()?);
    Some(MailPlace { operator: parts.next()?.to_owned(), at, n })
}

async fn list(pages: &Pages, who: &Who, shown: Shown, after: &str) -> Result<Markup, Trouble> {
    let (operator, which) = (who.operator(), shown.list);
    let question = MailQuestion {
        list: which.kind(),
        operator: (!shown.others).then(|| operator.name.clone()),
        since: (which == List::Failed).then(|| who.clock.now - RECENTLY),
        after: place(after),
        most: ON_A_PAGE,
    };
    let (mails, next) = pages.desk.mails(operator, question).await?;
    let admin = operator.roles.admin;
    let headings =
        ["to", "about", "state", "attempts", "answer or error", "next attempt", "by hand"];
    let headings = if admin { &headings[..] } else { &headings[..6] };
    let rows: Vec<Vec<Markup>> = mails.iter().map(|mail| row(mail, who, admin)).collect();
    Ok(html! {
        @if rows.is_empty() {
            div.empty { p { strong { @if next.is_some() { "None so far; there are more." } @else { (which.nothing()) } } } }
        } @else {
            section.card { (table(which.words(), headings, &rows)) }
        }
        nav.pager aria-label="More mails" {
            @if !after.is_empty() { a href=(shown.path(None)) { "First page" } }
            @if let Some(next) = &next { a rel="next" href=(shown.path(Some(next))) { "More" } }
        }
    })
}

fn row(mail: &ListedMail, who: &Who, admin: bool) -> Vec<Markup> {
    let notice = &mail.notice;
    let (detail, left_out) = SafeText::cut_line(&notice.detail, ANSWER);
    let kind = notice.kind.word().replace('_', " ");
    let about = match mail.request {
        Some(id) => html! { a href=(format!("/requests/{id}")) { (kind) } },
        None => html! { "summary of " (mail.gathers) },
    };
    let mut cells = vec![
        html! { (SafeText::line(&notice.operator)) },
        html! { (about) @if notice.in_summary { span.hint { " within a summary" } } },
        html! { (state(&notice.state)) },
        html! { (notice.attempts) @if let Some(at) = notice.at { span.hint { ", newest " (words::at(&who.clock, at)) } } },
        html! { @if detail.is_empty() { "–" } @else { (detail) @if left_out > 0 { "…" } } },
        html! { @match notice.next_attempt { Some(at) => { (words::at(&who.clock, at)) } None => { "–" } } },
    ];
    if admin {
        cells.push(retry_form(mail, who));
    }
    cells
}

/// A mail's state: a word, and a colour beside it.
fn state(word: &str) -> Markup {
    let class = match word {
        "sent" => "status-approved",
        "failed" => "status-denied",
        "deferred" => "mail-deferred",
        _ => "mail-other",
    };
    html! { span.badge.(class) { (word) } }
}

/// What `mail retry` would take.
fn retry_form(mail: &ListedMail, who: &Who) -> Markup {
    let retryable =
        matches!(mail.notice.state.as_str(), "deferred" | "failed") && !mail.notice.in_summary;
    html! {
        @if retryable {
            form method="post" action=(format!("/mail/{}/retry", mail.id)) {
                (token(who))
                button.quiet aria-label=(format!("Try mail {} again", mail.id)) { "Try again" }
            }
        } @else { "–" }
    }
}

/// POST /mail/{id}/retry
pub async fn retry(
    State(pages): State<Arc<Pages>>,
    Path(id): Path<String>,
    who: Who,
    body: Bytes,
) -> Result<Response, Trouble> {
    Form::of(&who, &body)?;
    if !who.operator().roles.admin {
        let words = "Only an admin has mails tried again.";
        return Err(Trouble::new(StatusCode::FORBIDDEN, "Not for your role", words));
    }
    let id: i64 = id.parse().map_err(|_| Trouble::not_found())?;
    pages.desk.retry_mail(who.operator(), id).await?;
    Ok(on_to(&format!("/mail?again={id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_mails_comes_back_from_its_address() {
        let at = MailPlace { operator: "a.b&c".to_owned(), at: -5, n: i64::MAX };
        let path = Shown { list: List::Failed, others: true }.path(Some(&at));
        let form = Form::read(path.split_once('?').expect("a query").1.as_bytes());
        assert_eq!(place(form.text("page")), Some(at));
        assert_eq!((List::of(form.text("list")), form.text("whose")), (List::Failed, "all"));
        assert_eq!((place("zz"), place("")), (None, None));
    }
}
