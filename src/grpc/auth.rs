//! Who is calling: from the bearer token or the verified client certificate, and
//! from nothing else.

use std::sync::Arc;

use tonic::{Code, Request, Status};

use super::doors::Peer;
use super::errors::{refuse, wrong_role};
use crate::desk::Desk;
use crate::desk::people::{Caller, Identity, Operator};

/// What every service needs.
#[derive(Debug, Clone)]
pub struct Door {
    /// Everything behind it.
    pub desk: Arc<Desk>,
    /// Where mails go, in words, for `WhoAmI`.
    pub mail: Arc<str>,
}

/// Longest token that is even hashed.
const LONGEST_TOKEN: usize = 512;

fn unknown(reason: &str, message: impl AsRef<str>) -> Status {
    refuse(Code::Unauthenticated, reason, message)
}

/// The identity that a request comes from. Asked for each one: who is taken out
/// of the configuration is out, whatever connection they are on.
fn identity<T>(desk: &Desk, request: &Request<T>) -> Result<Identity, Status> {
    let names = request.extensions().get::<Peer>().and_then(Peer::names);
    match (names, token(request)?) {
        (None, None) => {
            Err(unknown("NO_TOKEN", "no token; send the metadata \"authorization: Bearer TOKEN\""))
        }
        (None, Some(token)) => by_token(desk, token),
        (Some(names), None) => by_certificate(desk, names),
        (Some(names), Some(token)) => {
            let (by_token, by_certificate) = (by_token(desk, token)?, by_certificate(desk, names)?);
            if by_token.is_same(&by_certificate) {
                return Ok(by_certificate);
            }
            Err(unknown(
                "BAD_TOKEN",
                format!(
                    "the token is \"{}\" and the client certificate is \"{}\"; send only one of \
                     them, or two of the same identity",
                    by_token.name(),
                    by_certificate.name()
                ),
            ))
        }
    }
}

/// The token that a request carries, if it carries one.
fn token<T>(request: &Request<T>) -> Result<Option<&str>, Status> {
    let mut headers = request.metadata().get_all("authorization").iter();
    let (header, more) = (headers.next(), headers.next());
    let Some(header) = header else { return Ok(None) };
    if more.is_some() {
        let message = "more than one authorization header; send exactly one token";
        return Err(unknown("BAD_TOKEN", message));
    }
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    match token.filter(|t| !t.is_empty() && t.len() <= LONGEST_TOKEN) {
        Some(token) => Ok(Some(token)),
        None => Err(unknown("BAD_TOKEN", "the authorization header is not \"Bearer TOKEN\"")),
    }
}

fn by_token(desk: &Desk, token: &str) -> Result<Identity, Status> {
    desk.authenticate(token).ok_or_else(|| {
        unknown(
            "BAD_TOKEN",
            "this token is not known here, or has expired; ask whoever runs the daemon for a new one",
        )
    })
}

/// Whom a certificate stands for. One that stands for nobody is refused even
/// beside a good token: who shows both has to be the same by both.
fn by_certificate(desk: &Desk, names: &[String]) -> Result<Identity, Status> {
    match desk.certified(names) {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(unknown(
            "BAD_TOKEN",
            format!(
                "nobody here has a name of this client certificate ({}); have one added to their \
                 certificate_names, or connect without it",
                shown(names)
            ),
        )),
        Err(several) => Err(unknown(
            "BAD_TOKEN",
            format!("{several}; use one whose names belong to one identity"),
        )),
    }
}

/// The first few names, as a person reads them.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names {
        [] => "it has no DNS name, URI or mail address".to_owned(),
        [.., _] if names.len() <= SHOWN => names.join(", "),
        _ => format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN),
    }
}

/// Sends who is not known away before any of their message is read (what is read
/// is kept in memory until it is whole), and notes down who it is for the method.
pub fn known(
    desk: &Arc<Desk>,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
    let desk = desk.clone();
    move |mut request| {
        let found = identity(&desk, &request);
        if let Some(peer) = request.extensions().get::<Peer>() {
            match &found {
                Ok(_) => peer.known(),
                Err(_) => peer.refused(),
            }
        }
        let identity = found?;
        request.extensions_mut().insert(identity);
        Ok(request)
    }
}

/// Whom [`known`] noted down. A service that is served without it knows nobody.
pub fn noted<T>(request: &Request<T>) -> Result<&Identity, Status> {
    let nobody = || refuse(Code::Unauthenticated, "NO_TOKEN", "nobody asked who this is");
    request.extensions().get().ok_or_else(nobody)
}

/// The caller whose token a request carries; operators cannot ask.
pub fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
    match noted(request)? {
        Identity::Caller(caller) => Ok(caller.clone()),
        Identity::Operator(_) => Err(wrong_role("an operator's token cannot hold calls")),
    }
}

/// The operator whose token a request carries; callers cannot decide.
pub fn operator<T>(request: &Request<T>) -> Result<Arc<Operator>, Status> {
    match noted(request)? {
        Identity::Operator(operator) => Ok(operator.clone()),
        Identity::Caller(_) => {
            Err(wrong_role("a caller's token cannot see or decide other callers' requests"))
        }
    }
}
