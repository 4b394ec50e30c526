//! What every request passes, and every answer leaves with.
//!
//! | header | why |
//! |---|---|
//! | `Content-Security-Policy` | nothing from elsewhere, no inline script or style, no frame, forms only to us |
//! | `Referrer-Policy: same-origin` | a link's token never leaves by a click (and not `no-referrer`, by which a browser's own forms come from nowhere) |
//! | `Cache-Control: no-store` | what was shown to one person is not found by the next |
//! | `Cross-Origin-*`, `X-Frame-Options` | other sites cannot look in or click through |
//!
//! Promises: a request for a host that is not ours is refused, so that a name that
//! was pointed here (DNS rebinding) reaches nothing; a form that another site sent
//! is refused before it is read. A token in the form is asked for besides, see
//! [`super::form`].

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Pages;
use super::answer::Trouble;
use super::unsubscribe;

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
    let path = request.uri().path();
    let mut response = match refuse(&pages, request.method(), path, request.headers()) {
        Some(trouble) => trouble.into_response(),
        None => next.run(request).await,
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

fn refuse(pages: &Pages, method: &Method, path: &str, headers: &HeaderMap) -> Option<Trouble> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !pages.is_ours(host) {
        let words = format!("These pages are at {}.", pages.url);
        return Some(Trouble::new(StatusCode::MISDIRECTED_REQUEST, "Not this address", words));
    }
    // Mail providers unsubscribe for people; whatever they send, the token says what it
    // may do, and no cookie counts there.
    let unsubscribes = *method == Method::POST && path.starts_with(unsubscribe::PLACE);
    if matches!(*method, Method::GET | Method::HEAD) || unsubscribes {
        return None;
    }
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
    elsewhere.then(|| {
        let words = "This form was sent by another site, so nothing was done. Open the request \
                     here and decide again.";
        Trouble::new(StatusCode::FORBIDDEN, "Not from here", words)
    })
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
