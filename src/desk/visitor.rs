//! Who came in by which token, and for how long that lets them stay.
//!
//! A call that waits and a stream that is open were let in by a token that was
//! valid then. A reload may take it away, and its time may run out: whoever stays
//! hears of both.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as state;

use super::Desk;
use super::people::Identity;
use crate::config::token::TokenHash;

/// How often is looked whether a token's time has run out. A minute would do; to
/// look costs microseconds.
const EXPIRY_CHECK: Duration = Duration::from_secs(10);

/// Somebody who came in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who, as they were known then.
    pub identity: Identity,
    /// By which token.
    pub(super) token: TokenHash,
}

impl Desk {
    /// Who a token belongs to.
    pub fn authenticate(&self, token: &str) -> Option<Visitor> {
        let token = TokenHash::of(token);
        let identity = self.people().known(&token, self.store().now())?;
        Some(Visitor { identity, token })
    }

    /// The same person or program as they are known now; `None` if their token is
    /// not valid any more.
    pub fn still(&self, visitor: &Visitor) -> Option<Identity> {
        let now = self.people().known(&visitor.token, self.store().now());
        let same = |now: &Identity| match (now, &visitor.identity) {
            (Identity::Caller(now), Identity::Caller(then)) => now.name == then.name,
            (Identity::Operator(now), Identity::Operator(then)) => now.name == then.name,
            _ => false,
        };
        now.filter(same)
    }

    /// Changes when people have, or when a token's time has run out.
    pub fn changes(&self) -> state::Receiver<()> {
        self.changes.subscribe()
    }

    /// Returns when this visitor's token is not valid any more.
    pub async fn revoked(&self, visitor: &Visitor) {
        // Subscribed first, looked at second: no exchange in between is missed.
        let mut changes = self.changes();
        while self.still(visitor).is_some() {
            if changes.changed().await.is_err() {
                return;
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
