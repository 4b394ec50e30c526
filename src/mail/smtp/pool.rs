//! Connections to one mail server: never more than so many, used again while
//! they live, and given back when nobody needs them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::session::Session;
use crate::mail::back_off;
use crate::mail::transport::Failure;

/// How many letters a connection carries. Many servers stop at a hundred.
const LETTERS_EACH: u32 = 100;

/// The right to have one connection.
pub(super) type Slot = OwnedSemaphorePermit;

/// The connections. Idle ones and those in use are together never more than
/// there are slots: who has a slot takes an idle one before opening another.
pub(super) struct Pool {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    /// How long a connection may be idle.
    idle_limit: Duration,
}

#[derive(Default)]
struct State {
    /// The one used last is last, and is used next: the others grow old and go.
    idle: Vec<(Session, Instant)>,
    /// Whether somebody closes what has been idle too long.
    closer: bool,
    /// While no connection is opened: until when, and why.
    rest: Option<(Instant, Failure)>,
    /// How often in a row none could be opened.
    failures: u32,
}

impl Pool {
    pub fn new(connections: usize, idle_limit: Duration) -> Pool {
        let slots = Arc::new(Semaphore::new(connections));
        Pool { slots, state: Mutex::default(), idle_limit }
    }

    /// Waits for the right to have a connection; those who wait longest come first.
    pub async fn slot(&self) -> Slot {
        self.slots.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// A connection that was used before.
    pub fn take(&self) -> Option<Session> {
        Some(self.state().idle.pop()?.0)
    }

    /// Keeps a connection for the next letter. The slot becomes free once it is kept.
    pub fn put(self: &Arc<Self>, session: Session, slot: Slot) {
        if session.letters >= LETTERS_EACH {
            tokio::spawn(async move {
                session.quit().await;
                drop(slot);
            });
            return;
        }
        let mut state = self.state();
        state.idle.push((session, Instant::now()));
        if !state.closer {
            state.closer = true;
            tokio::spawn(close_idle(Arc::downgrade(self)));
        }
        drop(state);
        drop(slot);
    }

    /// Closes what is idle.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut self.state().idle);
        let mut goodbyes = tokio::task::JoinSet::new();
        for (session, _) in idle {
            goodbyes.spawn(session.quit());
        }
        goodbyes.join_all().await;
    }

    /// While the server cannot be used, every letter would find that out anew:
    /// a thousand refused log-ins get an account locked, and a thousand
    /// time-outs take hours. So one failure to open a connection speaks for all
    /// for a while.
    pub fn rest(&self) -> Option<Failure> {
        let state = self.state();
        let (until, failure) = state.rest.as_ref()?;
        let left = until.checked_duration_since(Instant::now())?;
        let wait = failure.wait.map_or(left, |wait| wait.max(left));
        Some(Failure { wait: Some(wait), ..failure.clone() })
    }

    /// The server cannot be used. The wait grows with each failure in a row.
    pub fn failed(&self, failure: &Failure) {
        let mut state = self.state();
        let now = Instant::now();
        if state.rest.as_ref().is_some_and(|(until, _)| *until > now) {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        let wait = back_off::delay(state.failures, getrandom::u32().unwrap_or_default());
        state.rest = Some((now + wait, failure.clone()));
    }

    /// The server can be used.
    pub fn worked(&self) {
        let mut state = self.state();
        (state.rest, state.failures) = (None, 0);
    }

    /// Nothing panics while it holds the state.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that has been idle longest, if that is too long;
    /// else says when to look again. `None`: nothing is idle.
    fn too_old(&self) -> Option<Result<Session, Instant>> {
        let mut state = self.state();
        let Some((_, since)) = state.idle.first() else {
            state.closer = false;
            return None;
        };
        let due = *since + self.idle_limit;
        Some(if due <= Instant::now() { Ok(state.idle.remove(0).0) } else { Err(due) })
    }
}

/// Closes connections that have been idle too long, until none is left or the
/// pool is gone.
async fn close_idle(pool: Weak<Pool>) {
    while let Some(held) = pool.upgrade() {
        // With a slot, since a connection that is being closed still counts.
        let slot = held.slot().await;
        let Some(found) = held.too_old() else {
            return;
        };
        drop(held);
        match found {
            Ok(session) => session.quit().await,
            Err(due) => {
                drop(slot);
                tokio::time::sleep_until(due).await;
            }
        }
    }
}
