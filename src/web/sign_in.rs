//! Signing in by an operator's token, and out again.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::answer::{Trouble, on_to};
use super::form::Form;
use super::who::Who;
use super::{Pages, layout};
use crate::call::safe_text::SafeText;
use crate::desk::sign_ins::NotSignedIn;

/// Where to sign in and be sent on from.
pub fn path_to(next: &str) -> String {
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("/sign-in?next={next}")
}

/// The page of ours that this names. Nothing else: `//evil.example` is another host.
fn ours(next: &str) -> &str {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if next.starts_with('/') && !next.starts_with("//") && plain { next } else { "/" }
}

/// GET /sign-in
pub async fn page(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let form = Form::read(query.unwrap_or_default().as_bytes());
    let next = ours(form.text("next"));
    if pages.perhaps(&headers).await.is_some() {
        return on_to(next);
    }
    layout::bare("Sign in", &sign_in_form(next, None)).into_response()
}

fn sign_in_form(next: &str, wrong: Option<&str>) -> Markup {
    html! {
        h1 { "Sign in" }
        @if let Some(wrong) = wrong {
            p.wrong #wrong role="alert" { (SafeText::line(wrong)) }
        }
        form.card method="post" action="/sign-in" {
            input type="hidden" name="next" value=(next);
            label for="token" { "Your operator token" }
            input #token type="password" name="token" autocomplete="current-password"
                required autofocus spellcheck="false"
                aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")];
            p.hint { "It begins with " code { "hp_" } ". Whoever runs the daemon makes one with " code { "holdpoint token new" } "." }
            button.main type="submit" { "Sign in" }
        }
    }
}

/// POST /sign-in
///
/// Not a form of somebody who is signed in, so it has no token of ours; that another
/// site could sign a browser in as somebody is prevented by the guard alone.
pub async fn sign_in(State(pages): State<Arc<Pages>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::read(&body);
    let next = ours(form.text("next"));
    match pages.desk.sign_in(form.text("token").trim(), pages.cookie(&headers)).await {
        Ok((secret, operator)) => {
            tracing::info!(operator = operator.name, "signed in to the pages");
            let mut response = on_to(next);
            if let Ok(cookie) = pages.set_cookie(Some(&secret)).parse() {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(error @ (NotSignedIn::NotKnown(_) | NotSignedIn::Caller)) => {
            if let Err(wait) = pages.attempts.failed(Instant::now()) {
                let words = "Too many sign-ins have failed. Wait a minute and try again.";
                let title = "Too many attempts";
                return Trouble::new(StatusCode::TOO_MANY_REQUESTS, title, words)
                    .after(wait.as_secs() + 1)
                    .into_response();
            }
            tracing::warn!("a sign-in to the pages failed");
            let wrong = match error {
                NotSignedIn::Caller => error.to_string(),
                _ => "This token is not known, or has expired.".to_owned(),
            };
            let form = sign_in_form(next, Some(&wrong));
            (StatusCode::UNAUTHORIZED, layout::bare("Sign in", &form)).into_response()
        }
        Err(NotSignedIn::Desk(error)) => Trouble::from(error).into_response(),
        Err(error @ NotSignedIn::NoRandomness(_)) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Trouble::new(status, "Not now", error.to_string()).into_response()
        }
    }
}

/// POST /sign-out
pub async fn sign_out(State(pages): State<Arc<Pages>>, who: Who, body: Bytes) -> Response {
    let everywhere = match Form::of(&who, &body) {
        Ok(form) => form.text("where") == "everywhere",
        Err(trouble) => return trouble.into_response(),
    };
    if let Err(error) = pages.desk.sign_out(&who.signed_in, everywhere).await {
        return Trouble::from(error).into_response();
    }
    let mut response = on_to("/sign-in");
    if let Ok(cookie) = pages.set_cookie(None).parse() {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_gone_on_to() {
        for (next, to) in [
            ("/requests/1?page=2", "/requests/1?page=2"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("", "/"),
        ] {
            assert_eq!(ours(next), to);
        }
    }
}
