//! Waits that we broke off ourselves: because the client went away, or would not
//! wait any longer.
//!
//! The daemon takes a moment to notice that nobody waits any more, and a client
//! that repeats its call at once may be quicker; under a new call id the repeat
//! would then be a second request for the same thing. So a repeat takes over the
//! call id of the wait that was broken off.
//!
//! Promises: a call id goes to one repeat, of the same party's very same call of a
//! tool that is still defined as it was. Must never: hold the call id of a wait
//! whose use was, or may have been, taken.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::Question;
use crate::call::digest::Digest;
use crate::client::boot;
use crate::proxy::locked;

/// The most waits that are remembered. Where one is forgotten, the daemon resumes
/// its request all the same, once it has noticed that nobody waits.
const MOST: usize = 1024;

/// What tells one call from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Same {
    client: String,
    session: String,
    /// Covers the server's name too.
    digest: Digest,
    /// People saw the tool as it was defined then.
    definition: Option<String>,
}

impl Same {
    /// What this call is, and who makes it.
    pub fn of(question: &Question) -> Same {
        Same {
            client: question.party.client.clone(),
            session: question.party.session.clone(),
            digest: question.call.digest(&question.server.name),
            definition: question.definition.as_ref().map(|definition| definition.hash.clone()),
        }
    }
}

#[derive(Debug)]
struct Wait {
    same: Same,
    call_id: String,
    /// The request's deadline, on [`boot`]'s clock.
    until: Duration,
}

/// Waits that were broken off, oldest first.
#[derive(Debug, Default)]
pub struct Broken(Mutex<VecDeque<Wait>>);

impl Broken {
    /// Takes note of a wait that was broken off, of a request that has until then.
    pub fn remember(&self, same: Same, call_id: String, until: Duration) {
        let mut waits = self.waits();
        if waits.len() >= MOST {
            waits.pop_front();
        }
        waits.push_back(Wait { same, call_id, until });
    }

    /// The call id under which this call goes on waiting, if it waited before.
    pub fn take(&self, same: &Same) -> Option<String> {
        let mut waits = self.waits();
        let at = waits.iter().position(|wait| wait.same == *same)?;
        waits.remove(at).map(|wait| wait.call_id)
    }

    /// Those whose requests have not ended meanwhile.
    fn waits(&self) -> MutexGuard<'_, VecDeque<Wait>> {
        let mut waits = locked(&self.0);
        let now = boot();
        waits.retain(|wait| wait.until > now);
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(n: u8) -> Same {
        let text = String::new;
        let digest = Digest::from_bytes([n; 32]);
        Same { client: text(), session: text(), digest, definition: None }
    }

    fn soon() -> Duration {
        boot() + Duration::from_secs(60)
    }

    #[test]
    fn a_broken_off_wait_is_continued_once_and_until_its_deadline() {
        let broken = Broken::default();
        broken.remember(same(1), "a".to_owned(), soon());
        broken.remember(same(1), "b".to_owned(), soon());
        broken.remember(same(2), "c".to_owned(), boot());
        let other = Same { definition: Some("d".to_owned()), ..same(1) };
        assert_eq!(broken.take(&other), None);
        assert_eq!(broken.take(&same(1)).as_deref(), Some("a"));
        assert_eq!(broken.take(&same(1)).as_deref(), Some("b"));
        assert_eq!(broken.take(&same(1)), None);
        assert_eq!(broken.take(&same(2)), None);
    }

    #[test]
    fn no_more_waits_are_remembered_than_may_be() {
        let broken = Broken::default();
        for n in 0..=MOST {
            broken.remember(same(1), n.to_string(), soon());
        }
        assert_eq!(broken.take(&same(1)).as_deref(), Some("1"));
        assert_eq!(broken.waits().len(), MOST - 1);
    }
}
