//! Who is calling: from the bearer token or the verified client certificate, and
//! from nothing else.

use std::pin::Pin;
use std::sync::Arc;

use tonic::{Code, Request, Status};

use super::errors::{refuse, status, wrong_role};
use crate::config::token::TokenHash;
use crate::desk::Desk;
use crate::desk::error::DeskError;
use crate::desk::people::{Caller, Identity, Operator};
use crate::desk::visitor::{NotKnown, Shown, Visitor};
use crate::doors::Peer;

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

/// Who a request comes from. Asked for each one: who is taken out of the
/// configuration is out, whatever connection they are on.
fn visitor<T>(desk: &Desk, request: &Request<T>) -> Result<Visitor, Status> {
    let names = request.extensions().get::<Peer>().and_then(Peer::names);
    let token = token(request)?.map(TokenHash::of);
    desk.visitor(Shown { token, names: names.cloned() }).map_err(|why| not_known(&why))
}

/// The token that a request carries, if it carries one.
fn token<T>(request: &Request<T>) -> Result<Option<&str>, Status> {
    let bad = |message| Err(refuse(Code::Unauthenticated, "BAD_TOKEN", message));
    let mut headers = request.metadata().get_all("authorization").iter();
    let (header, more) = (headers.next(), headers.next());
    let Some(header) = header else { return Ok(None) };
    if more.is_some() {
        return bad("more than one authorization header; send exactly one token");
    }
    let token = header.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    match token.filter(|t| !t.is_empty() && t.len() <= LONGEST_TOKEN) {
        Some(token) => Ok(Some(token)),
        None => bad("the authorization header is not \"Bearer TOKEN\""),
    }
}

pub(super) fn not_known(why: &NotKnown) -> Status {
    let reason = if *why == NotKnown::Nothing { "NO_TOKEN" } else { "BAD_TOKEN" };
    refuse(Code::Unauthenticated, reason, why.to_string())
}

/// Sends who is not known away before any of their message is read (what is read
/// is kept in memory until it is whole), and notes down who it is for the method.
pub fn known(
    desk: &Arc<Desk>,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + use<> {
    let desk = desk.clone();
    move |mut request| {
        let found = visitor(&desk, &request);
        if let Some(peer) = request.extensions().get::<Peer>() {
            match &found {
                Ok(visitor) => peer.known(visitor),
                Err(_) => peer.refused(),
            }
        }
        request.extensions_mut().insert(found?);
        Ok(request)
    }
}

/// Whom [`known`] noted down. A service that is served without it knows nobody.
pub fn noted<T>(request: &Request<T>) -> Result<&Visitor, Status> {
    let nobody = || refuse(Code::Unauthenticated, "NO_TOKEN", "nobody asked who this is");
    request.extensions().get().ok_or_else(nobody)
}

/// Waits for as long as the token or certificate that a call came with is known:
/// one that is removed, or whose time runs out, ends the wait. The wait stays where
/// it is: a future that is handed over is kept twice, and here for each held call.
pub async fn while_valid<T>(
    desk: &Desk,
    visitor: Visitor,
    wait: Pin<&mut impl Future<Output = Result<T, DeskError>>>,
) -> Result<T, Status> {
    tokio::select! {
        // What is decided is told even if the token goes at the same time.
        biased;
        done = wait => done.map_err(status),
        why = desk.revoked(&visitor) => Err(not_known(&why)),
    }
}

/// A stream's operator as they are known now, once that has changed.
pub fn still_operator(desk: &Desk, visitor: &Visitor) -> Result<Arc<Operator>, Status> {
    match desk.still(visitor) {
        Ok(Identity::Operator(operator)) => Ok(operator),
        Ok(Identity::Caller(_)) => Err(not_known(&NotKnown::Another)),
        Err(why) => Err(not_known(&why)),
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
