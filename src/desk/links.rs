//! Links in mails: what lets an operator open one request, and perhaps decide it,
//! from the mail that told them of it.
//!
//! ```text
//! token = base64url( version[1] request[16] ends[u64 BE, ms] operator seal[16] )
//! seal over version, request, ends, operator, the operator's address, digest
//! ```
//!
//! Promises: a token stands for one operator, one request, one digest, until a
//! time; nobody can make one or turn one into another. All tokens of one operator
//! for one request are the same authority: the store lets it decide once, and lets
//! nobody decide by it where a route demands a sign-in (see `store::decide`).
//! Must never: be enough where the operator is not known any more; be logged.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::people::Operator;
use super::seal::{self, Seal};
use super::{Desk, sees};
use crate::call::ids::RequestId;
use crate::call::model::{Request, Status};
use crate::call::time::Time;
use crate::config::PublicUrl;
use crate::store::{StoreError, read};

/// How long a link decides: a mail that lies around for longer has no authority.
/// It never outlives its request.
pub const LASTS: Duration = Duration::from_secs(24 * 3600);

/// How long afterwards it still shows what became of its request.
const SHOWS: Duration = Duration::from_secs(7 * 24 * 3600);

const VERSION: u8 = 1;
const PURPOSE: &str = "review link";

/// What a token has before and after the operator's name.
const HEAD: usize = 1 + 16 + 8;

/// A token that is longer is not looked at. Names have at most 200 bytes.
const LONGEST: usize = 400;

/// Makes links.
#[derive(Debug, Clone)]
pub struct Links {
    pub(super) seal: Seal,
    pub(super) url: PublicUrl,
}

/// What a link stands for.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Whose it is, known by the link alone.
    pub operator: std::sync::Arc<Operator>,
    /// Which request, as it stands.
    pub request: Request,
    /// Until when it decides.
    pub ends: Time,
}

/// Why a link opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// It is not one of ours, or its operator or request is gone. Nobody learns which.
    #[error("this link is not valid")]
    NotValid,
    /// Its time is up.
    #[error("this link's time was up at {}", .ends.rfc3339())]
    Late {
        /// When.
        ends: Time,
        /// For whom a sign-in may still do.
        request: RequestId,
    },
    /// The store cannot say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Links {
    /// Links that lead to these pages.
    pub fn new(seal: Seal, url: PublicUrl) -> Self {
        Links { seal, url }
    }

    /// Where the pages are.
    pub fn url(&self) -> &PublicUrl {
        &self.url
    }

    /// The link by which this operator reviews this request. It decides until its
    /// time is up, unless a route demands a sign-in.
    pub fn review(&self, operator: &str, address: &str, request: &Request, now: Time) -> String {
        let ends = request.deadline.min(now + LASTS);
        format!("{}/l/{}", self.url, token(&self.seal, (operator, address), request, ends))
    }

    /// The page of a request, for who is signed in.
    pub fn page(&self, request: RequestId) -> String {
        format!("{}/requests/{request}", self.url)
    }
}

/// What stands in a link.
fn token(seal: &Seal, (operator, address): (&str, &str), request: &Request, ends: Time) -> String {
    let mut bytes = Vec::with_capacity(HEAD + operator.len() + seal::BYTES);
    bytes.push(VERSION);
    bytes.extend(request.id.as_bytes());
    bytes.extend(ends.0.max(0).to_be_bytes());
    bytes.extend(operator.as_bytes());
    let made = seal.of(PURPOSE, &sealed(&bytes, address, request));
    bytes.extend(made);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a seal is over: the address too, so that a mail that went to a mailbox which is
/// not the operator's any more has no authority.
fn sealed<'a>(claim: &'a [u8], address: &'a str, request: &'a Request) -> [&'a [u8]; 3] {
    [claim, address.as_bytes(), request.call.digest.as_bytes()]
}

/// A token taken apart; nothing of it is believed yet.
struct Claimed {
    bytes: Vec<u8>,
    request: RequestId,
    ends: Time,
    operator: String,
}

impl Claimed {
    fn read(token: &str) -> Option<Claimed> {
        if token.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        if bytes.len() <= HEAD + seal::BYTES || bytes[0] != VERSION {
            return None;
        }
        let request = RequestId::from_bytes(bytes[1..17].try_into().ok()?);
        let ends = i64::from_be_bytes(bytes[17..HEAD].try_into().ok()?);
        let operator = std::str::from_utf8(&bytes[HEAD..bytes.len() - seal::BYTES]).ok()?;
        Some(Claimed { request, ends: Time(ends), operator: operator.to_owned(), bytes })
    }

    fn is_sealed(&self, seal: &Seal, operator: &Operator, request: &Request) -> bool {
        let (claim, made) = self.bytes.split_at(self.bytes.len() - seal::BYTES);
        seal.holds(PURPOSE, &sealed(claim, operator.address(), request), made)
    }
}

impl Desk {
    /// What a link's token stands for. Changes nothing: scanners follow links.
    pub async fn open_link(&self, seal: &Seal, token: &str) -> Result<Opened, NotOpened> {
        let claimed = Claimed::read(token).ok_or(NotOpened::NotValid)?;
        let id = claimed.request;
        let request = self.store.read(move |conn| read::request(conn, id)).await?;
        let people = self.people();
        let known = people.operator(&claimed.operator).ok_or(NotOpened::NotValid)?;
        let theirs = |r: &Request| claimed.is_sealed(seal, known, r) && sees(known, r);
        let request = request.filter(theirs).ok_or(NotOpened::NotValid)?;
        let (now, ends) = (self.store.now(), claimed.ends);
        let open = request.status == Status::Pending && request.deadline > now;
        if (open && ends <= now) || ends + SHOWS <= now {
            return Err(NotOpened::Late { ends, request: id });
        }
        Ok(Opened { operator: known.known_by_link().into(), request, ends })
    }
}
