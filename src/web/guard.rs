//! What every request passes, and every answer leaves with.
//!
//! | header | why |
//! |---|---|
//! | `Content-Security-Policy` | nothing from elsewhere, no inline script or style, no frame, forms only to us |
//! | `Referrer-Policy: same-origin` | a link's token never leaves by a click (and not `no-referrer`, by which a browser's own forms come from nowhere) |
//! | `Cache-Control: no-store` | what was shown to one person is not found by the next |
//! | `Cross-Origin-*`, `X-Frame-Options` | other sites cannot look in or click through |
//!
//! Promises: a request for a host that is not ours is refused before anything else, so
//! that a name that was pointed here (DNS rebinding) reaches nothing, and so is one that
//! names two; a form that another site sent is refused before it is read; a form is read
//! whole here, within a size and a time, so that no page waits for a slow one. A token in
//! the form is asked for besides, see [`super::form`].

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::Pages;
use super::answer::{Trouble, in_our_words, not_this_way};
use super::unsubscribe;

/// A form is a reason, a name that was typed, and some seals.
const LONGEST_FORM: usize = 64 * 1024;

/// How long it may take to come in, from its first byte to its last. One that is typed
/// by hand is a packet or two.
const FORM_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an address: every filter of the history, each as long as it may be.
const LONGEST_ADDRESS: usize = 16 * 1024;

/// What forms of ours are sent as.
const FORM: &str = "application/x-www-form-urlencoded";

/// No source but ourselves, for anything. No `unsafe-*`.
const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 8] = [
    ("content-security-policy", CSP),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=()"),
    ("x-robots-tag", "noindex, nofollow"),
];

/// A year: browsers do not try it unencrypted again.
const HSTS: &str = "max-age=31536000";

/// Lets a request in, or not, and puts the headers on its answer.
pub async fn guard(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let mut response = match admitted(&pages, request).await {
        Ok(request) => in_our_words(next.run(request).await),
        Err(trouble) => trouble.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if pages.url.is_secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

/// The same request with its form read, if it may come in.
async fn admitted(pages: &Pages, request: Request) -> Result<Request, Trouble> {
    to_us(pages, &request)?;
    let method = request.method();
    if ![Method::GET, Method::HEAD, Method::POST].contains(method) {
        return Err(not_this_way().await);
    }
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    if address > LONGEST_ADDRESS {
        let words = "This address is longer than any of ours.";
        return Err(Trouble::new(StatusCode::URI_TOO_LONG, "Too long", words));
    }
    if is_ahead_of_time(request.headers()) {
        let words = "This page is shown when somebody opens it, and not before.";
        return Err(Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "Not in advance", words));
    }
    if *method != Method::POST {
        return Ok(request);
    }
    // Mail providers unsubscribe for people; whatever they send, the token says what it
    // may do, and no cookie counts there without a form's own.
    if !request.uri().path().starts_with(unsubscribe::PLACE) {
        from_us(pages, request.headers())?;
        is_a_form(request.headers())?;
    }
    read_whole(request).await
}

/// Whether it is for us, by every name that it says: a proxy before us may have gone by
/// another than we do.
fn to_us(pages: &Pages, request: &Request) -> Result<(), Trouble> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() {
        let words = "A request names one host.";
        return Err(Trouble::new(StatusCode::BAD_REQUEST, "Two hosts", words));
    }
    // A whole address may stand in the first line (RFC 9112, 3.2.2).
    let target = request.uri().authority().map(|authority| authority.as_str());
    if host.is_some_and(|host| pages.is_ours(host)) && target.is_none_or(|t| pages.is_ours(t)) {
        return Ok(());
    }
    let words = format!("These pages are at {}.", pages.url);
    Err(Trouble::new(StatusCode::MISDIRECTED_REQUEST, "Not this address", words))
}

/// Whether a browser only guesses that somebody will want it. It would be taken for
/// looked at, and the time on the screen would begin too early.
fn is_ahead_of_time(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-moz"].into_iter().any(|name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.contains("prefetch"))
    })
}

fn is_a_form(headers: &HeaderMap) -> Result<(), Trouble> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case(FORM) {
        return Ok(());
    }
    let words = "Only the forms of these pages are taken here, and this is none of them.";
    Err(Trouble::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not a form", words))
}

async fn read_whole(request: Request) -> Result<Request, Trouble> {
    let (parts, body) = request.into_parts();
    match timeout(FORM_WITHIN, to_bytes(body, LONGEST_FORM)).await {
        Ok(Ok(form)) => Ok(Request::from_parts(parts, Body::from(form))),
        Ok(Err(error)) if error.source().is_some_and(|why| why.is::<LengthLimitError>()) => {
            let words = "This form is longer than any of ours, so nothing was done.";
            Err(Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "Too long", words))
        }
        Ok(Err(_)) => {
            let words = "This form broke off, so nothing was done. Send it again.";
            Err(Trouble::new(StatusCode::BAD_REQUEST, "Broken off", words))
        }
        Err(_) => {
            let words = "This form did not come in within ten seconds, so nothing was done. \
                         Send it again.";
            Err(Trouble::new(StatusCode::REQUEST_TIMEOUT, "Too slow", words))
        }
    }
}

/// Whether a form comes from our own pages.
fn from_us(pages: &Pages, headers: &HeaderMap) -> Result<(), Trouble> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // Browsers say where a form comes from, in one of two headers that no page can
    // set: the older one is "null" where a page keeps its address to itself.
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let elsewhere = match (site, text(header::ORIGIN)) {
        (Some(site), origin) => {
            let other = origin.is_some_and(|o| o != "null" && !pages.is_our_origin(o));
            other || !matches!(site, "same-origin" | "none")
        }
        (None, Some(origin)) => !pages.is_our_origin(origin),
        // curl, and nothing that another site could make a browser do.
        (None, None) => false,
    };
    if !elsewhere {
        return Ok(());
    }
    let words = "This form was sent by another site, so nothing was done. Open the request \
                 here and decide again.";
    Err(Trouble::new(StatusCode::FORBIDDEN, "Not from here", words))
}

impl Pages {
    /// Whether a `Host` is one of ours. On loopback this machine's names for itself
    /// are as good as the address that was configured.
    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let ours = self.url.authority();
        if host == ours {
            return true;
        }
        let port = |authority: &str| authority.rsplit_once(':').map(|(_, port)| port.to_owned());
        let names = ["localhost", "127.0.0.1", "[::1]"];
        self.url.is_loopback()
            && port(&host) == port(ours)
            && host.rsplit_once(':').is_some_and(|(name, _)| names.contains(&name))
    }

    fn is_our_origin(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let secure = if self.url.is_secure() { "https" } else { "http" };
        scheme == secure && self.is_ours(authority)
    }
}
