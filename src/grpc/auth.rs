//! Who is calling: from the bearer token, and from nothing else.

use std::sync::Arc;

use tonic::{Code, Request, Status};

use super::errors::{refuse, wrong_role};
use crate::desk::Desk;
use crate::desk::people::{Caller, Identity, Operator};
use crate::desk::visitor::Visitor;

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

/// The identity whose token a request carries.
fn visitor<T>(desk: &Desk, request: &Request<T>) -> Result<Visitor, Status> {
    let refuse = |reason, message| Err(refuse(Code::Unauthenticated, reason, message));
    let mut headers = request.metadata().get_all("authorization").iter();
    let (header, more) = (headers.next(), headers.next());
    let Some(header) = header else {
        return refuse("NO_TOKEN", "no token; send the metadata \"authorization: Bearer TOKEN\"");
    };
    if more.is_some() {
        return refuse("BAD_TOKEN", "more than one authorization header; send exactly one token");
    }
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let Some(token) = token.filter(|t| !t.is_empty() && t.len() <= LONGEST_TOKEN) else {
        return refuse("BAD_TOKEN", "the authorization header is not \"Bearer TOKEN\"");
    };
    match desk.authenticate(token) {
        Some(visitor) => Ok(visitor),
        None => Err(not_valid()),
    }
}

fn not_valid() -> Status {
    refuse(
        Code::Unauthenticated,
        "BAD_TOKEN",
        "this token is not known here, or has expired; ask whoever runs the daemon for a new one",
    )
}

/// Sends who is not known away before any of their message is read (what is read
/// is kept in memory until it is whole), and notes down who it is for the method.
pub fn known(
    desk: &Arc<Desk>,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
    let desk = desk.clone();
    move |mut request| {
        let visitor = visitor(&desk, &request)?;
        request.extensions_mut().insert(visitor);
        Ok(request)
    }
}

/// Whom [`known`] noted down. A service that is served without it knows nobody.
pub fn noted<T>(request: &Request<T>) -> Result<&Visitor, Status> {
    let nobody = || refuse(Code::Unauthenticated, "NO_TOKEN", "nobody asked who this is");
    request.extensions().get().ok_or_else(nobody)
}

/// Waits for as long as the token that a call came with is valid: one that is
/// removed, or whose time runs out, ends the wait.
pub async fn while_valid<T>(
    desk: &Desk,
    visitor: Visitor,
    wait: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    tokio::select! {
        // What is decided is told even if the token goes at the same time.
        biased;
        done = wait => done,
        () = desk.revoked(&visitor) => Err(not_valid()),
    }
}

/// A stream's operator as they are known now, once that has changed.
pub fn still_operator(desk: &Desk, visitor: &Visitor) -> Result<Arc<Operator>, Status> {
    match desk.still(visitor) {
        Some(Identity::Operator(operator)) => Ok(operator),
        _ => Err(not_valid()),
    }
}

/// The caller whose token a request carries; operators cannot ask.
pub fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
    match &noted(request)?.identity {
        Identity::Caller(caller) => Ok(caller.clone()),
        Identity::Operator(_) => Err(wrong_role("an operator's token cannot hold calls")),
    }
}

/// The operator whose token a request carries; callers cannot decide.
pub fn operator<T>(request: &Request<T>) -> Result<Arc<Operator>, Status> {
    match &noted(request)?.identity {
        Identity::Operator(operator) => Ok(operator.clone()),
        Identity::Caller(_) => {
            Err(wrong_role("a caller's token cannot see or decide other callers' requests"))
        }
    }
}
