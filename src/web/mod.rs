//! The operators' pages: an address of its own, which `web_listen` opens.
//!
//! ```text
//! browser ──> doors ──> guard: is it our host, our form? ──> who: signed in? ──> page ──> desk
//!                         every answer leaves with the headers that keep a page to itself
//! ```
//!
//! | path | what it is |
//! |---|---|
//! | `/` | what waits |
//! | `/requests/{id}` | one request, and the forms that decide it |
//! | `/history` | what happened; charts, exports and the chain below it |
//! | `/people`, `/mail` | who may decide what; the mail queue |
//! | `/l/{token}` | the same request by the link of a mail, without a sign-in |
//! | `/u/{token}` | leaving the summaries; coming back takes a sign-in |
//! | `/sign-in`, `/sign-out` | |
//! | `/live` | tells an open page that something changed |
//! | `/assets/…` | style and script, named by their content |
//!
//! Promises: everything works without the script; a GET changes nothing but that
//! somebody looked, and a HEAD nothing at all; every answer, also to what cannot be read,
//! is in our words; what is shown to one person was allowed to that person at that
//! moment; nothing is loaded from elsewhere. Must never: print text from outside
//! that is not a [`SafeText`](crate::call::safe_text::SafeText), or decide anything that the form does not name by
//! its digest.

mod answer;
mod assets;
mod attempts;
mod charts;
mod form;
mod guard;
mod history;
mod layout;
mod link;
mod live;
mod mails;
mod people;
mod queue;
mod request;
mod serve;
mod sign_in;
mod tables;
mod unsubscribe;
mod watching;
mod who;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::config::PublicUrl;
use crate::desk::Desk;
use crate::desk::seal::Seal;

pub use serve::serve;

use attempts::Attempts;
use watching::Watching;

/// What all pages are made from.
#[derive(Debug)]
pub struct Pages {
    desk: Arc<Desk>,
    seal: Seal,
    /// Where browsers find them.
    url: PublicUrl,
    /// Where mails go, in words.
    mail: Arc<str>,
    attempts: Attempts,
    /// Places for open pages that follow changes.
    watching: Arc<Watching>,
}

impl Pages {
    /// The pages of this desk.
    pub fn new(desk: Arc<Desk>, seal: Seal, url: PublicUrl, mail: Arc<str>) -> Arc<Self> {
        let (attempts, watching) = (Attempts::default(), Arc::default());
        Arc::new(Pages { desk, seal, url, mail, attempts, watching })
    }
}

/// Every path and what answers it.
fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/", get(queue::page))
        .route("/requests/{id}", get(request::page).post(request::decide))
        .route("/history", get(history::page))
        .route("/history/charts", get(charts::page))
        .route("/history/export", get(history::export))
        .route("/history/verify", post(history::verify))
        .route("/people", get(people::page))
        .route("/mail", get(mails::page))
        .route("/mail/{id}/retry", post(mails::retry))
        .route("/l/{token}", get(link::page).post(link::decide))
        .route("/u/{token}", get(unsubscribe::page).post(unsubscribe::turn))
        .route("/requests/{id}/lift", post(request::lift))
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/live", get(live::stream))
        .route("/assets/{name}", get(assets::asset))
        .fallback(answer::no_such_page)
        .method_not_allowed_fallback(answer::not_this_way)
        .layer(from_fn_with_state(pages.clone(), guard::guard))
        .with_state(pages)
}
