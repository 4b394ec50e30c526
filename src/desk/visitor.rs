//! Who came in by what credential, and for how long that lets them stay.
//!
//! A call that waits and a stream that is open were let in by a token or a client
//! certificate that was known then. A reload may take it away, and a token's time
//! may run out: whoever stays hears of both. (A certificate's connection ends
//! with it.) Must never: take one of two credentials for enough when the other
//! says something else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as state;

use super::Desk;
use super::people::{Identity, People, SeveralIdentities};
use crate::call::time::Time;
use crate::config::token::TokenHash;

/// How often is looked whether a token's time has run out. A minute would do; to
/// look costs microseconds.
const EXPIRY_CHECK: Duration = Duration::from_secs(10);

/// What somebody shows to say who they are.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// A bearer token.
    pub token: Option<TokenHash>,
    /// The names in a client certificate that was verified.
    pub names: Option<Arc<[String]>>,
}

/// Somebody who came in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who, as they were known then.
    pub identity: Identity,
    /// By what.
    pub(super) shown: Shown,
}

/// Nobody is known by what was shown. Says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    /// Nothing was shown.
    #[error(
        "no token; send the metadata \"authorization: Bearer TOKEN\", or connect with a client certificate"
    )]
    Nothing,
    /// Nobody's token.
    #[error(
        "this token is not known here, or has expired; ask whoever runs the daemon for a new one"
    )]
    Token,
    /// Nobody's certificate. Refused even beside a good token.
    #[error(
        "nobody here has a name of this client certificate ({0}); have one added to their certificate_names, or connect without it"
    )]
    Certificate(String),
    /// Two identities' certificate.
    #[error("{0}; use one whose names belong to one identity")]
    Several(#[from] SeveralIdentities),
    /// Two identities.
    #[error(
        "the token is \"{token}\" and the client certificate is \"{certificate}\"; send only one of them, or two of the same identity"
    )]
    Different {
        /// Whose token it is.
        token: String,
        /// Whose certificate it is.
        certificate: String,
    },
    /// What was shown has come to stand for another identity.
    #[error("this token or client certificate is not yours any more; make the call again")]
    Another,
}

impl People {
    /// Who is known by this. Who shows both a token and a certificate has to be
    /// the same by both, and is known by the certificate then.
    pub fn known_by(&self, shown: &Shown, now: Time) -> Result<Identity, NotKnown> {
        let token = shown.token.map(|token| self.known(&token, now).ok_or(NotKnown::Token));
        let certificate = shown.names.as_ref().map(|names| {
            let found = self.certified(names)?;
            found.ok_or_else(|| NotKnown::Certificate(listed(names)))
        });
        match (token, certificate) {
            (None, None) => Err(NotKnown::Nothing),
            (Some(token), None) => token,
            (None, Some(certificate)) => certificate,
            (Some(token), Some(certificate)) => {
                let (token, certificate) = (token?, certificate?);
                if token.is_same(&certificate) {
                    return Ok(certificate);
                }
                let (token, certificate) = (token.name().into(), certificate.name().into());
                Err(NotKnown::Different { token, certificate })
            }
        }
    }
}

/// The first few names, as a person reads them.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "it has no DNS name, URI or mail address".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

impl Desk {
    /// Lets somebody in, if they are known.
    pub fn visitor(&self, shown: Shown) -> Result<Visitor, NotKnown> {
        let identity = self.people().known_by(&shown, self.store().now())?;
        Ok(Visitor { identity, shown })
    }

    /// The same person or program as they are known now, if they still are.
    pub fn still(&self, visitor: &Visitor) -> Result<Identity, NotKnown> {
        let now = self.people().known_by(&visitor.shown, self.store().now())?;
        if now.is_same(&visitor.identity) { Ok(now) } else { Err(NotKnown::Another) }
    }

    /// Changes when people have, or when a token's time has run out.
    pub fn changes(&self) -> state::Receiver<()> {
        self.changes.subscribe()
    }

    /// Returns why, when this visitor is not known any more.
    pub async fn revoked(&self, visitor: &Visitor) -> NotKnown {
        // Subscribed first, looked at second: no exchange in between is missed.
        let mut changes = self.changes();
        loop {
            if let Err(why) = self.still(visitor) {
                return why;
            }
            if changes.changed().await.is_err() {
                // The desk is gone, and its doors before it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Tells those who stay when a token's time has run out; until the end.
    pub async fn watch_expiry(self: Arc<Self>) {
        let expired = || self.people().expired(self.store().now());
        let mut before = expired();
        loop {
            tokio::time::sleep(EXPIRY_CHECK).await;
            let now = expired();
            if now != before {
                before = now;
                self.changes.send_replace(());
            }
        }
    }
}
