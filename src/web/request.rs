//! One request: what will run, and the forms that decide it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use maud::html;

use super::answer::{Trouble, on_to};
use super::form::Form;
use super::layout::{Here, page as whole_page, token};
use super::queue::sentence;
use super::who::Who;
use super::{Pages, words};
use crate::call::ids::RequestId;
use crate::call::json;
use crate::call::model::Verdict;
use crate::call::present::{self, Limits};

/// GET /requests/{id}
pub async fn page(
    State(pages): State<Arc<Pages>>,
    Path(id): Path<String>,
    who: Who,
) -> Result<Response, Trouble> {
    let id: RequestId = id.parse().map_err(|_| Trouble::not_found())?;
    let request = pages.desk.visible(who.operator(), id).await?;
    pages.desk.looked(who.operator(), &request);
    let sentence = sentence(&request);
    let call = &request.call;
    let arguments = json::parse_envelope(call.arguments.as_bytes()).ok();
    let lines = arguments.map(|tree| present::arguments(&tree, &Limits::FULL).lines);
    let body = html! {
        div #live data-live=(id) {
            div.badges {
                (words::category(call.category)) (words::risk(call.risk)) (words::status(request.status))
                span.grow {}
                (words::left(&who.clock, request.deadline))
            }
            h1 { (sentence) }
            pre.arguments { @for line in lines.unwrap_or_default() { (line) "\n" } }
            form method="post" {
                (token(&who))
                input type="hidden" name="digest" value=(call.digest.to_string());
                label for="reason" { "Reason" }
                textarea #reason name="reason" {}
                button.approve name="verdict" value="approve" { "Approve" }
                button.deny name="verdict" value="deny" { "Deny" }
            }
        }
    };
    Ok(whole_page(&who, Here::Elsewhere, &sentence, &body).into_response())
}

/// POST /requests/{id}
pub async fn decide(
    State(pages): State<Arc<Pages>>,
    Path(id): Path<String>,
    who: Who,
    body: Bytes,
) -> Result<Response, Trouble> {
    let id: RequestId = id.parse().map_err(|_| Trouble::not_found())?;
    let form = Form::of(&who, &body)?;
    let verdict = Verdict::from_word(form.text("verdict")).ok_or_else(Trouble::not_found)?;
    let digest = form.text("digest").to_owned();
    pages.desk.decide(who.operator(), id, verdict, form.text("reason"), digest, None).await?;
    Ok(on_to(&format!("/requests/{id}")))
}
