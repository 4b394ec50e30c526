//! One request by the link of a mail, without a sign-in.
//!
//! Promises: a GET changes nothing, not even that somebody looked, since scanners,
//! previews and prefetching browsers follow links; what the link may do is decided
//! where it is used up, in the store's transaction; a form of this page counts for
//! the link that it was made for and for no other. Must never: show a form to
//! somebody who is signed in as another person, or put a token into a log.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use sha2::{Digest as _, Sha256};

use super::answer::{Trouble, on_to};
use super::form::{Form, TOKEN};
use super::queue::sentence;
use super::who::{Who, clock};
use super::{Pages, layout, sign_in, words};
use crate::call::hex::hex;
use crate::call::json;
use crate::call::model::{Request, Status, Verdict};
use crate::call::present::{self, Limits};
use crate::call::safe_text::SafeText;
use crate::desk::links::{NotOpened, Opened};

/// GET /l/{token}
pub async fn page(
    State(pages): State<Arc<Pages>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let opened = open(&pages, &token).await?;
    if let Some(who) = pages.perhaps(&headers).await {
        if who.operator().name == opened.operator.name {
            return Ok(on_to(&path_to(&opened.request)));
        }
        return Err(somebody_elses(&opened, &who));
    }
    let title = sentence(&opened.request);
    Ok(layout::bare(title.as_str(), &shown(&pages, &opened, &token)).into_response())
}

/// POST /l/{token}
pub async fn decide(
    State(pages): State<Arc<Pages>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let opened = open(&pages, &token).await?;
    if let Some(who) = pages.perhaps(&headers).await
        && who.operator().name != opened.operator.name
    {
        return Err(somebody_elses(&opened, &who));
    }
    let decided = decided(&pages, &opened, &token, &body).await;
    decided.map_err(Trouble::into_response)?;
    Ok(on_to(&format!("/l/{token}")))
}

async fn decided(pages: &Pages, opened: &Opened, token: &str, body: &Bytes) -> Result<(), Trouble> {
    let form = Form::sealed(&form_token(pages, token), body)?;
    let verdict = Verdict::from_word(form.text("verdict")).ok_or_else(Trouble::not_found)?;
    let (id, digest) = (opened.request.id, form.text("digest").to_owned());
    pages.desk.decide(&opened.operator, id, verdict, form.text("reason"), digest, None).await?;
    Ok(())
}

/// What a link of ours stands for, or the page that says why it opens nothing.
async fn open(pages: &Pages, token: &str) -> Result<Opened, Response> {
    pages.desk.open_link(&pages.seal, token).await.map_err(|error| match error {
        NotOpened::Store(error) => Trouble::from(error).into_response(),
        NotOpened::NotValid => {
            let words = "It may not be complete: some mail programs break long addresses. Or you \
                         are not asked about its request any more.";
            closed(StatusCode::NOT_FOUND, "This link opens nothing", words, "/")
        }
        NotOpened::Late { ends, request } => {
            let words = format!("Its time was up at {}.", ends.rfc3339());
            let next = format!("/requests/{request}");
            closed(StatusCode::GONE, "This link is too old", &words, &next)
        }
    })
}

fn closed(status: StatusCode, title: &str, words: &str, next: &str) -> Response {
    let body = html! {
        h1 { (title) }
        p { (SafeText::line(words)) }
        p { "With a sign-in you see all that waits for you." }
        p { a.main href=(sign_in::path_to(next)) { "Sign in" } }
    };
    (status, layout::bare(title, &body)).into_response()
}

/// A forwarded mail, or two people at one browser.
fn somebody_elses(opened: &Opened, who: &Who) -> Response {
    let title = "This link is somebody else's";
    let name = |name: &str| SafeText::cut_line(name, 80).0;
    let body = html! {
        h1 { (title) }
        p {
            "It was mailed to " strong { (name(&opened.operator.name)) }
            ", and you are signed in as " strong { (name(&who.operator().name)) }
            ". Nothing was decided."
        }
        p { a href=(path_to(&opened.request)) { "See whether this request is yours too" } }
        p.hint { "To use the link, sign out here first, or open it in another browser." }
    };
    (StatusCode::FORBIDDEN, layout::bare(title, &body)).into_response()
}

fn path_to(request: &Request) -> String {
    format!("/requests/{}", request.id)
}

/// What makes a form this link's own.
fn form_token(pages: &Pages, token: &str) -> String {
    hex(&pages.seal.of("link form", &[&Sha256::digest(token.as_bytes())]))
}

fn shown(pages: &Pages, opened: &Opened, token: &str) -> Markup {
    let (request, clock) = (&opened.request, clock(&pages.desk, &opened.operator));
    let call = &request.call;
    let arguments = json::parse_envelope(call.arguments.as_bytes()).ok();
    let lines = arguments.map(|tree| present::arguments(&tree, &Limits::FULL).lines);
    html! {
        div.badges {
            (words::category(call.category)) (words::risk(call.risk)) (words::status(request.status))
            span.grow {}
            (words::left(&clock, request.deadline))
        }
        h1 { (sentence(request)) }
        pre.arguments { @for line in lines.unwrap_or_default() { (line) "\n" } }
        p.hint {
            "You are here by the link of a mail to "
            strong { (SafeText::line(&opened.operator.name)) } "."
        }
        @if request.status != Status::Pending {
            p { "Nothing is left to decide." }
        } @else if request.requirement.sign_in_for().is_some() {
            p { a.main href=(sign_in::path_to(&path_to(request))) { "Sign in to decide" } }
        } @else {
            form method="post" {
                input type="hidden" name=(TOKEN) value=(form_token(pages, token));
                input type="hidden" name="digest" value=(call.digest.to_string());
                label for="reason" { "Reason" }
                textarea #reason name="reason" {}
                button.approve name="verdict" value="approve" { "Approve" }
                button.deny name="verdict" value="deny" { "Deny" }
            }
        }
    }
}
