//! One request: everything to decide in ten seconds, the forms that decide it, and
//! what became of it.
//!
//! ```text
//!   who looks (sign-in or link) ──> Viewer ──> view ── sentence, warnings, what is unusual
//!                                     │              ── arguments, page by page ──> served (proof)
//!                                     │              ── the agent's words, who is asked
//!                                     └──> decide <── forms (digest, proof, what was typed)
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`view`] | the page, top to bottom |
//! | [`arguments`] | the arguments as a tree in pages |
//! | [`served`] | the proof that every page was served |
//! | [`unusual`] | what is unlike earlier calls of the same client |
//! | [`facts`] | who asks, what held it, who may decide |
//! | [`forms`] | approve and deny |
//! | [`decide`] | a form that came back |
//! | [`afterwards`] | who decided, what ran, how it ended |
//!
//! Promises: who decides by a link sees the same page and passes the same checks as
//! who is signed in. Must never: approve what was not served whole to the one who
//! approves, or take what was typed away without showing it again.

mod afterwards;
mod arguments;
pub mod decide;
mod facts;
mod forms;
mod served;
mod unusual;
pub mod view;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::Markup;

use super::Pages;
use super::answer::{Trouble, on_to};
use super::form::Form;
use super::layout::{Here, page as whole_page, token};
use super::who::Who;
use crate::call::clock::Clock;
use crate::call::ids::RequestId;
use crate::call::model::{Request, Strength};
use crate::desk::people::Operator;
use decide::Decided;
use view::{Turn, View};

/// Who looks at a request, and by what right: a sign-in, or the link of a mail.
#[derive(Debug)]
pub struct Viewer {
    /// Who.
    pub operator: Arc<Operator>,
    /// The sign-in's id, or the hash of the link: what was served to one of them was
    /// not served to another.
    pub seen_by: [u8; 32],
    /// Now, on their clock.
    pub clock: Clock,
    /// The hidden fields that their forms have besides our own.
    pub form: Markup,
    /// Where this page is, and where its forms go.
    pub action: String,
    /// Whether their decision would count, or why not. Whether it is still needed is
    /// the request's matter.
    pub may_decide: Result<(), String>,
}

impl Viewer {
    fn signed_in(pages: &Pages, who: &Who, request: &Request) -> Viewer {
        let operator = who.operator().clone();
        let on_behalf_of = &request.call.agent.on_behalf_of;
        let people = pages.desk.people();
        let entitled = people.entitled(&operator.name, &request.requirement, on_behalf_of);
        Viewer {
            operator,
            seen_by: who.signed_in.id,
            clock: who.clock,
            form: token(who),
            action: format!("/requests/{}", request.id),
            may_decide: entitled.map_err(|no| no.to_string()),
        }
    }

    /// Whether they are known by a link alone, which opens no other page.
    fn by_link(&self) -> bool {
        self.operator.strength == Strength::Link
    }
}

/// GET /requests/{id}
pub async fn page(
    State(pages): State<Arc<Pages>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    who: Who,
) -> Result<Response, Trouble> {
    let request = found(&pages, &who, &id).await?;
    let turn = Turn::of(&Form::read(query.unwrap_or_default().as_bytes()));
    let viewer = Viewer::signed_in(&pages, &who, &request);
    let view = view::render(&pages, &viewer, &request, &turn, None).await?;
    // What an open page fetches anew was looked at when somebody opened it.
    if view.whole && who.in_person {
        pages.desk.looked(who.operator(), &request);
    }
    Ok(answer(&who, StatusCode::OK, &view))
}

/// POST /requests/{id}
pub async fn decide(
    State(pages): State<Arc<Pages>>,
    Path(id): Path<String>,
    who: Who,
    body: Bytes,
) -> Result<Response, Trouble> {
    let form = Form::of(&who, &body)?;
    let request = found(&pages, &who, &id).await?;
    let viewer = Viewer::signed_in(&pages, &who, &request);
    let decided = decide::decide(&pages, &viewer, request, &form).await?;
    Ok(said(&who, &viewer, decided))
}

/// POST /requests/{id}/lift
pub async fn lift(
    State(pages): State<Arc<Pages>>,
    Path(id): Path<String>,
    who: Who,
    body: Bytes,
) -> Result<Response, Trouble> {
    let form = Form::of(&who, &body)?;
    let request = found(&pages, &who, &id).await?;
    let viewer = Viewer::signed_in(&pages, &who, &request);
    let decided = decide::lift(&pages, &viewer, request, &form).await?;
    Ok(said(&who, &viewer, decided))
}

/// What became of a form.
fn said(who: &Who, viewer: &Viewer, decided: Decided) -> Response {
    match decided {
        Decided::Recorded => on_to(&viewer.action),
        Decided::Not(status, view) => answer(who, status, &view),
    }
}

async fn found(pages: &Pages, who: &Who, id: &str) -> Result<Request, Trouble> {
    let id: RequestId = id.parse().map_err(|_| Trouble::not_found())?;
    Ok(pages.desk.visible(who.operator(), id).await?)
}

fn answer(who: &Who, status: StatusCode, view: &View) -> Response {
    (status, whole_page(who, Here::Elsewhere, &view.title, &view.body)).into_response()
}
