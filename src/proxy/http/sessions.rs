//! Who is who at one server behind a URL: what a client's sessions have said of
//! themselves, and which of their calls are held.
//!
//! The sessions themselves are the server's, and their ids are sealed, so nothing
//! here has to survive: a session that was forgotten, by a restart say, is known
//! again by its id, and lacks only what its agent called itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::who::Client;
use crate::call::hex::hex;
use crate::proxy::gate::{Party, Server};
use crate::proxy::message::Id;

/// Sessions that are remembered at one server. Each is some hundred bytes.
const MOST: usize = 10_000;

/// What is known at one server.
#[derive(Debug)]
pub struct Sessions {
    server: String,
    idle: Duration,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By scope.
    parties: HashMap<String, (Arc<Party>, Instant)>,
    /// What each client has seen of the server; as many as there are clients.
    servers: HashMap<Arc<str>, Arc<Server>>,
    /// Calls that are held, by scope and id.
    held: HashMap<(String, Id), (u64, CancellationToken)>,
    next: u64,
}

/// A call that is held; forgotten when this is dropped.
#[derive(Debug)]
pub struct HeldCall {
    sessions: Arc<Sessions>,
    key: (String, Id),
    number: u64,
}

impl Drop for HeldCall {
    fn drop(&mut self) {
        let mut known = self.sessions.known();
        // Another call may have taken the id since.
        if known.held.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            known.held.remove(&self.key);
        }
    }
}

impl Sessions {
    /// None yet, at the server of this name.
    pub fn new(server: String, idle: Duration) -> Arc<Sessions> {
        Arc::new(Sessions { server, idle, known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scope of a client's calls: its session where there is one, else the
    /// client itself. An id opens a session, so only its hash is told.
    pub fn scope(&self, client: &Client, session: Option<&str>) -> String {
        match session {
            None => format!("client {}", client.name),
            Some(id) => {
                let parts = [self.server.as_bytes(), b"\0", client.name.as_bytes(), b"\0"];
                let hash = Sha256::new_with_prefix(parts.concat()).chain_update(id).finalize();
                hex(&hash[..16])
            }
        }
    }

    /// Who calls in this scope.
    pub fn party(&self, client: &Client, scope: &str) -> Arc<Party> {
        let now = Instant::now();
        let mut known = self.known();
        if let Some((party, used)) = known.parties.get_mut(scope) {
            *used = now;
            return party.clone();
        }
        if known.parties.len() >= MOST {
            known.parties.retain(|_, (_, used)| now - *used < self.idle);
            let oldest = known.parties.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(scope, _)| scope.clone());
            if let Some(oldest) = oldest.filter(|_| known.parties.len() >= MOST) {
                known.parties.remove(&oldest);
            }
        }
        let party = Party::new(client.name.to_string(), scope.to_owned(), client.hold);
        let party = Arc::new(party.for_user(client.user.to_string()));
        known.parties.insert(scope.to_owned(), (party.clone(), now));
        party
    }

    /// Forgets a session that has ended.
    pub fn end(&self, scope: &str) {
        self.known().parties.remove(scope);
    }

    /// The server as this client has seen it.
    pub fn server(&self, client: &Client) -> Arc<Server> {
        let mut known = self.known();
        let server = known.servers.entry(client.name.clone());
        server.or_insert_with(|| Arc::new(Server::new(self.server.clone()))).clone()
    }

    /// Notes that a call is held, so that it can be cancelled by its id.
    pub fn hold(self: &Arc<Self>, scope: &str, id: &Id, cancelled: CancellationToken) -> HeldCall {
        let key = (scope.to_owned(), id.clone());
        let mut known = self.known();
        known.next += 1;
        let number = known.next;
        known.held.insert(key.clone(), (number, cancelled));
        HeldCall { sessions: self.clone(), key, number }
    }

    /// Cancels a call that is held. False: none is, by this id.
    pub fn cancel(&self, scope: &str, id: &Id) -> bool {
        let held = self.known().held.get(&(scope.to_owned(), id.clone())).cloned();
        held.is_some_and(|(_, cancelled)| {
            cancelled.cancel();
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> Client {
        Client { name: name.into(), user: "".into(), hold: Duration::from_secs(1) }
    }

    #[test]
    fn a_scope_is_one_session_of_one_client_and_does_not_tell_its_id() {
        let sessions = Sessions::new("files".to_owned(), Duration::from_secs(60));
        let (a, b) = (client("a"), client("b"));
        let scope = sessions.scope(&a, Some("secret"));
        assert_eq!(scope, sessions.scope(&a, Some("secret")));
        assert_ne!(scope, sessions.scope(&b, Some("secret")));
        assert_ne!(scope, sessions.scope(&a, Some("other")));
        assert_ne!(sessions.scope(&a, None), sessions.scope(&b, None));
        assert!(!scope.contains("secret"));
    }

    #[test]
    fn a_session_keeps_what_its_agent_said_and_forgets_it_at_its_end() {
        let sessions = Sessions::new("files".to_owned(), Duration::from_secs(60));
        let party = sessions.party(&client("a"), "s");
        assert!(Arc::ptr_eq(&party, &sessions.party(&client("a"), "s")));
        sessions.end("s");
        assert!(!Arc::ptr_eq(&party, &sessions.party(&client("a"), "s")));
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::new("files".to_owned(), Duration::from_secs(60));
        for n in 0..=MOST {
            sessions.party(&client("a"), &n.to_string());
        }
        assert_eq!(sessions.known().parties.len(), MOST);
    }

    #[test]
    fn a_held_call_is_cancelled_by_its_id_in_its_own_scope_alone() {
        let sessions = Sessions::new("files".to_owned(), Duration::from_secs(60));
        let id = Id::read(b"1").expect("an id");
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let held = sessions.hold("a", &id, first.clone());
        assert!(!sessions.cancel("b", &id) && !first.is_cancelled());
        assert!(sessions.cancel("a", &id) && first.is_cancelled());
        let again = sessions.hold("a", &id, second.clone());
        drop(held);
        assert!(sessions.cancel("a", &id) && second.is_cancelled());
        drop(again);
        assert!(!sessions.cancel("a", &id));
    }
}
