//! One request by the link of a mail, without a sign-in.
//!
//! Promises: a GET changes nothing, not even that somebody looked, since scanners,
//! previews and prefetching browsers follow links; what the link may do is decided
//! where it is used up, in the store's transaction; a form of this page counts for
//! the link that it was made for and for no other. Must never: show a form to
//! somebody who is signed in as another person, or put a token into a log.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::html;
use sha2::{Digest as _, Sha256};

use super::answer::{Trouble, on_to};
use super::form::{Form, TOKEN};
use super::request::Viewer;
use super::request::decide::{Decided, decide as record};
use super::request::view::{Turn, View, render};
use super::who::{Who, clock};
use super::{Pages, layout, sign_in};
use crate::call::clock::Clock;
use crate::call::hex::hex;
use crate::call::model::{Decision, Request, Strength};
use crate::call::safe_text::SafeText;
use crate::desk::links::{NotOpened, Opened};

/// GET /l/{token}
pub async fn page(
    State(pages): State<Arc<Pages>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let opened = open(&pages, &token).await?;
    if let Some(who) = pages.perhaps(&headers).await {
        if who.operator().name == opened.operator.name {
            return Ok(on_to(&path_to(&opened.request)));
        }
        return Err(somebody_elses(&opened, &who));
    }
    let turn = Turn::of(&Form::read(query.unwrap_or_default().as_bytes()));
    let viewer = viewer(&pages, &opened, &token);
    let view = render(&pages, &viewer, &opened.request, &turn, None).await;
    let view = view.map_err(Trouble::into_response)?;
    Ok(answer(&opened, StatusCode::OK, &view))
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
    let form = Form::sealed(&form_token(&pages, &token), &body);
    let form = form.map_err(Trouble::into_response)?;
    let viewer = viewer(&pages, &opened, &token);
    let decided = record(&pages, &viewer, opened.request.clone(), &form).await;
    match decided.map_err(Trouble::into_response)? {
        Decided::Recorded => Ok(on_to(&viewer.action)),
        Decided::Not(status, view) => Ok(answer(&opened, status, &view)),
    }
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
            // Whose link it was is not said any more, so neither is their time zone known.
            let clock = Clock { now: pages.desk.store().now(), zone: None };
            let words = format!(
                "The call had to be answered until {}. Nothing can be decided by this link now.",
                clock.at(ends)
            );
            let next = format!("/requests/{request}");
            closed(StatusCode::GONE, "This link is too old", &words, &next)
        }
    })
}

/// Who comes by a link, and what they may do: the same checks are made again, with
/// the last word, where the decision is recorded.
fn viewer(pages: &Pages, Opened { operator, request, .. }: &Opened, token: &str) -> Viewer {
    let on_behalf_of = &request.call.agent.on_behalf_of;
    let entitled = pages.desk.people().entitled(&operator.name, &request.requirement, on_behalf_of);
    let used = |d: &_| is_by_link(d, &operator.name);
    let may_decide = match request.requirement.sign_in_for() {
        Some(_) => Err("a route of this call demands a sign-in, and a link is none".to_owned()),
        None if request.decisions.iter().any(used) => {
            Err("the link has decided once; to change that, sign in and deny it".to_owned())
        }
        None => entitled.map_err(|no| no.to_string()),
    };
    Viewer {
        operator: operator.clone(),
        seen_by: Sha256::digest(token.as_bytes()).into(),
        clock: clock(&pages.desk, operator),
        form: html! { input type="hidden" name=(TOKEN) value=(form_token(pages, token)); },
        action: format!("/l/{token}"),
        may_decide,
    }
}

fn is_by_link(decision: &Decision, operator: &str) -> bool {
    decision.operator == operator && decision.strength == Strength::Link
}

/// What makes a form this link's own.
fn form_token(pages: &Pages, token: &str) -> String {
    hex(&pages.seal.of("link form", &[&Sha256::digest(token.as_bytes())]))
}

fn answer(opened: &Opened, status: StatusCode, view: &View) -> Response {
    let sign_in = sign_in::path_to(&path_to(&opened.request));
    let may = match view.decides {
        true => "decides once, in their name",
        false => "decides nothing more here",
    };
    let page = layout::by_link(&opened.operator.name, may, &sign_in, &view.title, &view.body);
    (status, page).into_response()
}

fn closed(status: StatusCode, title: &str, words: &str, next: &str) -> Response {
    let body = html! {
        h1 { (title) }
        p { (SafeText::line(words)) }
        p.alone { a.button href=(sign_in::path_to(next)) { "Sign in to see what waits for you" } }
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
        p.alone {
            a.button href=(path_to(&opened.request)) { "Open it as " (name(&who.operator().name)) }
        }
        p.hint { "It opens if you are asked about it, too. To use the link itself, sign out here first, or \
             open it in another browser." }
    };
    (StatusCode::FORBIDDEN, layout::bare(title, &body)).into_response()
}

fn path_to(request: &Request) -> String {
    format!("/requests/{}", request.id)
}
