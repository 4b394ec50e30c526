//! Answers that are not the page that was asked for.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout;
use crate::call::safe_text::SafeText;
use crate::desk::error::DeskError;
use crate::store::{Refusal, StoreError};

/// Why there is no such page now, and what to do.
#[derive(Debug)]
pub struct Trouble {
    status: StatusCode,
    title: &'static str,
    words: String,
    retry_after: Option<u64>,
}

impl Trouble {
    /// In our words; names in them are made safe.
    pub fn new(status: StatusCode, title: &'static str, words: impl Into<String>) -> Self {
        Trouble { status, title, words: words.into(), retry_after: None }
    }

    /// The same, worth trying again after so many seconds.
    pub fn after(self, seconds: u64) -> Self {
        Trouble { retry_after: Some(seconds), ..self }
    }

    /// A page or request that is not there, or not theirs: nobody learns which.
    pub fn not_found() -> Self {
        let words = "There is no such page or request, or it is not yours to see.";
        Trouble::new(StatusCode::NOT_FOUND, "Not found", words)
    }
}

impl From<DeskError> for Trouble {
    fn from(error: DeskError) -> Self {
        let (status, title) = match &error {
            DeskError::Store(StoreError::Refused(Refusal::NotFound)) => {
                return Trouble::not_found();
            }
            DeskError::Store(StoreError::Refused(_)) => {
                (StatusCode::CONFLICT, "Nothing was changed")
            }
            DeskError::BadFields(_) | DeskError::BadArguments { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "Something is missing")
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, "Not now"),
        };
        Trouble::new(status, title, error.to_string())
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        DeskError::from(error).into()
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let words = SafeText::line(&self.words);
        let body = html! {
            h1 { (self.title) }
            p { (words) }
            p { a href="/" { "What waits" } }
        };
        let mut response = (self.status, layout::bare(self.title, &body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Nothing has this path.
pub async fn no_such_page() -> Trouble {
    Trouble::not_found()
}

/// It has this path, but not by this method.
pub async fn not_this_way() -> Trouble {
    let words = "This address is not used in this way.";
    Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "Not this way", words)
}

/// The same answer, unless it says in the words of what routes and reads requests for us
/// that it cannot be given.
pub fn in_our_words(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let ours = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (title, words) = match status {
        StatusCode::NOT_FOUND => return Trouble::not_found().into_response(),
        _ if status.is_client_error() => {
            ("Not understood", "This address or form cannot be read, so nothing was done.")
        }
        _ => ("Something went wrong", "This page could not be made. Try again."),
    };
    Trouble::new(status, title, words).into_response()
}

/// On to another page, by GET.
pub fn on_to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_owned())]).into_response()
}
