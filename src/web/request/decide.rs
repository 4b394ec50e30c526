//! A form that came back: everything is checked again here, since a form is only
//! what somebody sent.

use axum::http::StatusCode;

use super::Viewer;
use super::forms::TYPED;
use super::served::{About, PROOF, Served};
use super::view::{self, Said, Turn, View, is_open, leaves, own_decision, render};
use crate::call::model::{Request, Verdict};
use crate::call::safe_text::SafeText;
use crate::desk::error::DeskError;
use crate::desk::intake::REASON;
use crate::policy::judging::care::ToType;
use crate::store::decide::how_it_ended_at;
use crate::store::{Refusal, StoreError};
use crate::web::Pages;
use crate::web::answer::Trouble;
use crate::web::form::Form;

/// What became of a form.
#[derive(Debug)]
pub enum Decided {
    /// It is on disk.
    Recorded,
    /// It is not, and this page says why and shows how things are.
    Not(StatusCode, Box<View>),
}

/// Why nothing was recorded.
struct No {
    status: StatusCode,
    words: String,
    /// Whether it is what was typed that was wrong.
    typed: bool,
}

impl No {
    fn new(status: StatusCode, words: impl Into<String>) -> No {
        No { status, words: words.into(), typed: false }
    }

    fn conflict(words: impl Into<String>) -> No {
        No::new(StatusCode::CONFLICT, words)
    }

    fn incomplete(words: impl Into<String>) -> No {
        No::new(StatusCode::UNPROCESSABLE_ENTITY, words)
    }
}

/// Records the decision that a form brings, if it is one on this request as it was
/// shown, whole, to this viewer.
pub async fn decide(
    pages: &Pages,
    viewer: &Viewer,
    request: Request,
    form: &Form,
) -> Result<Decided, Trouble> {
    let Some(verdict) = Verdict::from_word(form.text("verdict")) else {
        return Err(Trouble::not_found());
    };
    let checked = check(pages, viewer, &request, verdict, form);
    let no = match checked {
        Err(no) => no,
        Ok(served) => {
            let now = pages.desk.store().now();
            let on_screen = (served.upto > 0).then(|| now.left(served.first));
            let (id, shown) = (request.id, form.text("digest").to_owned());
            let reason = form.text("reason").trim();
            let decided =
                pages.desk.decide(&viewer.operator, id, verdict, reason, shown, on_screen).await;
            match decided {
                Ok(_) => return Ok(Decided::Recorded),
                Err(error) => refused(error)?,
            }
        }
    };
    not(pages, viewer, request, form, no).await
}

/// Everything that can be said before the store is asked.
fn check(
    pages: &Pages,
    viewer: &Viewer,
    request: &Request,
    verdict: Verdict,
    form: &Form,
) -> Result<Served, No> {
    if let Some(own) = own_decision(viewer, request)
        && own.verdict == verdict
    {
        let word = view::verdict(verdict);
        return Err(No::conflict(format!("Already {word} so by you; nothing was changed.")));
    }
    if !is_open(viewer, request) {
        let how = match request.status {
            crate::call::model::Status::Pending => "its time is up".to_owned(),
            _ => how_it_ended_at(request, |time| viewer.clock.at(time)),
        };
        return Err(No::conflict(format!(
            "Your decision came too late, and was not recorded: {how}."
        )));
    }
    if let Err(why) = &viewer.may_decide {
        return Err(No::new(StatusCode::FORBIDDEN, format!("Nothing was recorded: {why}.")));
    }
    if form.text("digest") != request.call.digest.to_string() {
        let words =
            "What you decided is not what is shown here, so nothing was recorded. Read it again.";
        return Err(No::conflict(words));
    }
    let reason = form.text("reason").trim();
    if reason.len() > REASON {
        return Err(No::incomplete(format!(
            "The reason is too long: {} bytes; at most {REASON} are taken.",
            reason.len()
        )));
    }
    if verdict == Verdict::Deny && reason.is_empty() {
        return Err(No::incomplete(
            "A denial needs a reason: the agent is told why. Nothing was recorded.",
        ));
    }
    let pages_of = leaves(request).len();
    let about = About { seal: &pages.seal, seen_by: &viewer.seen_by, request, pages: pages_of };
    let served = Served::read(&about, form.text(PROOF), viewer.clock.now);
    if verdict == Verdict::Deny {
        return Ok(served);
    }
    if pages_of == 0 || !served.all(&about) {
        let words =
            "Not approved: not all of its arguments were shown to you. Read every page first.";
        return Err(No::conflict(words));
    }
    match ToType::for_request(request) {
        Some(word) if !word.is(form.text(TYPED)) => {
            let words = format!("Not approved: type \"{}\" exactly ({}).", word.word, word.what);
            Err(No { typed: true, ..No::incomplete(words) })
        }
        _ => Ok(served),
    }
}

/// A refusal is told on the page; what only concerns this daemon is told there too,
/// since what was typed must not be lost. Only what is not theirs to see is nothing.
fn refused(error: DeskError) -> Result<No, Trouble> {
    match &error {
        DeskError::Store(StoreError::Refused(Refusal::NotFound)) => Err(error.into()),
        DeskError::Store(StoreError::Refused(_)) => {
            Ok(No::conflict(format!("Nothing was recorded: {error}.")))
        }
        _ => Ok(No::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}."))),
    }
}

/// The page as it is now, with what was wrong above it.
async fn not(
    pages: &Pages,
    viewer: &Viewer,
    request: Request,
    form: &Form,
    no: No,
) -> Result<Decided, Trouble> {
    // What somebody else did meanwhile is shown.
    let id = request.id;
    let request = pages.desk.visible(&viewer.operator, id).await?;
    let verdict = Verdict::from_word(form.text("verdict"));
    let reason = form.text("reason").to_owned();
    let said = Said { words: SafeText::line(&no.words), reason, verdict, typed: no.typed };
    let view = render(pages, viewer, &request, &Turn::of(form), Some(&said)).await?;
    Ok(Decided::Not(no.status, Box::new(view)))
}

/// Lifts the denial that is remembered.
pub async fn lift(
    pages: &Pages,
    viewer: &Viewer,
    request: Request,
    form: &Form,
) -> Result<Decided, Trouble> {
    let reason = form.text("reason").trim();
    if reason.len() > REASON {
        let no =
            No::incomplete(format!("The reason is too long; at most {REASON} bytes are taken."));
        return not(pages, viewer, request, form, no).await;
    }
    match pages.desk.lift_denial(&viewer.operator, request.id, reason).await {
        Ok(_) => Ok(Decided::Recorded),
        Err(error) => {
            let no = refused(error)?;
            not(pages, viewer, request, form, no).await
        }
    }
}
