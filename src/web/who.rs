//! Who asks for a page: the cookie, and what is known of its owner now.
//!
//! The cookie is `__Host-holdpoint` where browsers speak TLS with us: no other
//! host, and no unencrypted page of ours, can set it. On loopback without TLS it
//! has no prefix, since browsers would refuse it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Pages;
use super::answer::{Trouble, on_to};
use crate::call::clock::Clock;
use crate::call::hex::hex;
use crate::desk::Desk;
use crate::desk::people::Operator;
use crate::desk::sign_ins::SignedIn;
use crate::doors::Peer;

/// What the script's own requests have: they are no sign that somebody is there.
const BY_SCRIPT: &str = "x-holdpoint-live";

/// What an open page follows.
const STREAM: &str = "/live";

/// Somebody who is signed in, as a page's argument. Others are sent to sign in.
#[derive(Debug, Clone)]
pub struct Who {
    /// The sign-in.
    pub signed_in: SignedIn,
    /// What their forms bring back; see [`super::form`].
    pub form_token: String,
    /// Now, on their clock.
    pub clock: Clock,
    /// Whether they asked for it themselves, and were shown it: not the script of an open
    /// page, which asks whenever something has changed, and not a HEAD.
    pub in_person: bool,
}

impl Who {
    /// Who they are now.
    pub fn operator(&self) -> &Arc<Operator> {
        &self.signed_in.operator
    }
}

impl FromRequestParts<Arc<Pages>> for Who {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        pages: &Arc<Pages>,
    ) -> Result<Self, Self::Rejection> {
        let found = match pages.cookie(&parts.headers) {
            Some(secret) => pages.desk.signed_in(secret).await,
            None => Ok(None),
        };
        match found.map_err(|error| Trouble::from(error).into_response())? {
            Some(signed_in) => {
                if let Some(peer) = parts.extensions.get::<Peer>() {
                    peer.known(&signed_in.visitor);
                }
                let by_script = parts.headers.contains_key(BY_SCRIPT) || parts.uri.path() == STREAM;
                let in_person = !by_script && parts.method != Method::HEAD;
                if in_person {
                    pages.desk.sign_in_used(&signed_in);
                }
                Ok(Who { in_person, ..pages.who(signed_in) })
            }
            // By which a browser ends a stream, and asks for it no more.
            None if parts.uri.path() == STREAM => Err(StatusCode::NO_CONTENT.into_response()),
            None if matches!(parts.method, Method::GET | Method::HEAD) => {
                let next = parts.uri.path_and_query().map_or("/", |path| path.as_str());
                Err(on_to(&super::sign_in::path_to(next)))
            }
            None => {
                let words =
                    "Your sign-in has ended, so nothing was done. Sign in and decide again.";
                let trouble = Trouble::new(StatusCode::UNAUTHORIZED, "Sign in again", words);
                let back = super::sign_in::path_to(parts.uri.path());
                Err(trouble.go_on(back, "Sign in, and back to where you were").into_response())
            }
        }
    }
}

impl Pages {
    fn who(&self, signed_in: SignedIn) -> Who {
        Who {
            in_person: false,
            form_token: hex(&self.seal.of("form", &[&signed_in.id])),
            clock: clock(&self.desk, &signed_in.operator),
            signed_in,
        }
    }

    /// Who is signed in, for a page that anybody may open.
    pub(super) async fn perhaps(&self, headers: &HeaderMap) -> Option<Who> {
        let signed_in = self.desk.signed_in(self.cookie(headers)?).await.ok()??;
        Some(self.who(signed_in))
    }

    fn cookie_name(&self) -> &'static str {
        if self.url.is_secure() { "__Host-holdpoint" } else { "holdpoint" }
    }

    /// What the browser keeps, if it shows it. Of two of that name, which a browser
    /// does not send unless something is wrong, neither counts.
    pub(super) fn cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';'));
        let mut found = pairs.filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie_name()).then_some(value)
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// What makes a browser keep a secret, or forget it.
    pub(super) fn set_cookie(&self, secret: Option<&str>) -> String {
        let secure = if self.url.is_secure() { "; Secure" } else { "" };
        let (value, age) = match secret {
            Some(secret) => (secret, crate::store::sign_ins::LASTS.as_secs()),
            None => ("", 0),
        };
        let name = self.cookie_name();
        // Lax: who comes by the link of a mail is still signed in.
        format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
    }
}

/// Now, on this person's clock.
pub fn clock(desk: &Desk, operator: &Operator) -> Clock {
    Clock { now: desk.store().now(), zone: operator.time_zone }
}
