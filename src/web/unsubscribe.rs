//! Leaving the summaries, and coming back: RFC 8058.
//!
//! ```text
//! mail provider ── POST List-Unsubscribe=One-Click ──> off     no cookie, no Origin
//! person ── GET ──> what it means, and a button ── POST ──> off
//! person, signed in ── GET ──> a button ── POST, form token ──> on again
//! ```
//!
//! Promises: a GET changes nothing; what a POST can do is what the token says, so it
//! needs no sign-in and may come from anywhere; an answer never redirects, since
//! providers do not follow. A token turns in one direction, off: it never ends and is
//! passed on with each forwarded mail, and who could turn both ways by it could fill
//! the history, and undo what its owner wanted. Coming back takes a sign-in.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::answer::Trouble;
use super::form::Form;
use super::layout::token;
use super::sign_in::path_to;
use super::who::{Who, clock};
use super::{Pages, layout, words};
use crate::call::safe_text::SafeText;
use crate::desk::unsubscribe::Subscription;

/// Where such pages are. The guard lets their forms in from anywhere.
pub const PLACE: &str = "/u/";

/// What the form of RFC 8058 says.
const FIELD: &str = "List-Unsubscribe";
const ONE_CLICK: &str = "One-Click";

/// GET /u/{token}
pub async fn page(
    State(pages): State<Arc<Pages>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let subscription = find(&pages, &token).await?;
    let who = themselves(&pages, &headers, &subscription).await;
    Ok(shown(&pages, &token, &subscription, who.as_ref()))
}

/// POST /u/{token}
pub async fn turn(
    State(pages): State<Arc<Pages>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Trouble> {
    let subscription = find(&pages, &token).await?;
    let who = themselves(&pages, &headers, &subscription).await;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let on = match kind.unwrap_or_default() {
        kind if kind.starts_with("multipart/form-data") && is_one_click(&body) => false,
        _ => match Form::read(&body) {
            form if form.text(FIELD) == ONE_CLICK => false,
            form if form.text("summaries") == "on" => match &who {
                Some(who) => {
                    Form::of(who, &body)?;
                    true
                }
                None => return Err(sign_in_first()),
            },
            _ => {
                let words = "This form says neither on nor off, so nothing was changed.";
                return Err(Trouble::new(StatusCode::BAD_REQUEST, "Nothing was changed", words));
            }
        },
    };
    pages.desk.turn_summaries(&subscription.operator, on).await?;
    Ok(shown(&pages, &token, &find(&pages, &token).await?, who.as_ref()))
}

/// The operator whose subscription it is, if they are the one who is signed in here.
async fn themselves(pages: &Pages, headers: &HeaderMap, of: &Subscription) -> Option<Who> {
    pages.perhaps(headers).await.filter(|who| who.operator().name == of.operator.name)
}

fn sign_in_first() -> Trouble {
    let words = "Nothing was changed: a link of a mail turns summaries off. To have them again, \
                 sign in, and open it once more.";
    Trouble::new(StatusCode::UNAUTHORIZED, "Sign in first", words)
}

/// Whether a multipart body has the field of RFC 8058. Nothing else of it matters.
fn is_one_click(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    let field = format!("name=\"{FIELD}\"");
    body.split_once(field.as_str())
        .and_then(|(_, after)| after.split_once("\r\n\r\n"))
        .is_some_and(|(_, value)| value.lines().next() == Some(ONE_CLICK))
}

async fn find(pages: &Pages, token: &str) -> Result<Subscription, Trouble> {
    pages.desk.subscription(&pages.seal, token).await?.ok_or_else(|| {
        let words = "This address may not be complete, or the operator it was made for has \
                     another mail address now. Nothing was changed.";
        Trouble::new(StatusCode::NOT_FOUND, "This link opens nothing", words)
    })
}

fn shown(
    pages: &Pages,
    link: &str,
    Subscription { operator, off }: &Subscription,
    who: Option<&Who>,
) -> Response {
    let title = if off.is_some() { "Summaries are off" } else { "Summaries" };
    let body = html! {
        h1 { (title) }
        @match off {
            Some(since) => {
                p {
                    strong { (SafeText::line(&operator.name)) } " gets no summaries since "
                    (words::at(&clock(&pages.desk, operator), *since)) "."
                }
                @match who {
                    Some(who) => (form("summaries", "on", "Send summaries again", &token(who))),
                    None => p {
                        a href=(path_to(&format!("{PLACE}{link}"))) { "Sign in" } " to have them again."
                    },
                }
            }
            None => {
                p {
                    "When many calls wait at once, Holdpoint gathers them into one mail for "
                    strong { (SafeText::line(&operator.name)) } "."
                }
                (form(FIELD, ONE_CLICK, "Send me no summaries", &Markup::default()))
            }
        }
        p.hint {
            "Without summaries, each call that waits is still mailed by itself, a few a minute, \
             the most urgent first. In a storm a mail may come late, or not at all if its call \
             has ended by then. All that waits is always in " a href="/" { "the queue" } "."
        }
    };
    layout::bare(title, &body).into_response()
}

fn form(name: &str, value: &str, words: &str, hidden: &Markup) -> Markup {
    html! {
        form.card method="post" {
            (hidden)
            button.main name=(name) value=(value) { (words) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_click_of_a_multipart_form_is_found() {
        let of = |name: &str, value: &str| {
            format!(
                "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--x--\r\n"
            )
        };
        assert!(is_one_click(of(FIELD, ONE_CLICK).as_bytes()));
        for other in [of(FIELD, "no"), of("other", ONE_CLICK), String::new(), FIELD.to_owned()] {
            assert!(!is_one_click(other.as_bytes()), "{other}");
        }
    }
}
