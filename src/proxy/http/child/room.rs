//! How many processes there may be, over all servers; and that all of them end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::process::Signal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::process::Group;
use crate::proxy::config::ProxyLimits;

/// Room for processes.
#[derive(Debug)]
pub struct Room {
    children: Arc<Semaphore>,
    sessions_per_client: usize,
    /// Sessions of each client that has any.
    sessions: Mutex<HashMap<Arc<str>, usize>>,
    /// What runs.
    groups: Mutex<Vec<Weak<Group>>>,
    keepers: TaskTracker,
    stopping: CancellationToken,
}

/// There is no room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// This client has all that one may have.
    #[error(
        "this client has {0} sessions open already (`limits.sessions_per_client`): end one, or wait until one that is not used has ended"
    )]
    Sessions(usize),
    /// All together have.
    #[error(
        "as many servers run already as may (`limits.children`): wait until one that is not used has ended"
    )]
    Children,
}

/// The place of one process, free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _child: OwnedSemaphorePermit,
    _session: Option<Counted>,
}

impl Room {
    /// As much as is configured.
    pub fn new(limits: &ProxyLimits) -> Arc<Room> {
        Arc::new(Room {
            children: Arc::new(Semaphore::new(limits.children)),
            sessions_per_client: limits.sessions_per_client,
            sessions: Mutex::default(),
            groups: Mutex::default(),
            keepers: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// A place for all requests of one client.
    pub fn for_client(&self) -> Result<Place, NoRoom> {
        let child = self.children.clone().try_acquire_owned();
        Ok(Place { _child: child.map_err(|_| NoRoom::Children)?, _session: None })
    }

    /// A place for a session of this client.
    pub fn for_session(self: &Arc<Self>, client: &Arc<str>) -> Result<Place, NoRoom> {
        {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let count = sessions.entry(client.clone()).or_default();
            if *count >= self.sessions_per_client {
                return Err(NoRoom::Sessions(self.sessions_per_client));
            }
            *count += 1;
        }
        // From here on the session is counted, and dropping this uncounts it.
        let session = Counted(self.clone(), client.clone());
        let child = self.children.clone().try_acquire_owned();
        Ok(Place { _child: child.map_err(|_| NoRoom::Children)?, _session: Some(session) })
    }

    /// Runs what keeps a process.
    pub fn keep(&self, group: &Arc<Group>, keeper: impl Future<Output = ()> + Send + 'static) {
        let mut groups = self.groups();
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(group));
        self.keepers.spawn(keeper);
    }

    fn groups(&self) -> MutexGuard<'_, Vec<Weak<Group>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled when all processes are to end.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }
}

/// All processes: when this is dropped, what is left of them ends by force.
#[derive(Debug)]
pub struct Processes(pub Arc<Room>);

impl Processes {
    /// Ends all of them, and returns when they have ended.
    pub async fn stop(self) {
        self.0.stopping.cancel();
        self.0.keepers.close();
        self.0.keepers.wait().await;
    }
}

/// Nobody waits for the tasks that keep them, where the proxy ends at once.
impl Drop for Processes {
    fn drop(&mut self) {
        let groups = self.0.groups();
        groups.iter().filter_map(Weak::upgrade).for_each(|group| group.signal(Signal::KILL));
    }
}

/// One session that is counted.
#[derive(Debug)]
struct Counted(Arc<Room>, Arc<str>);

impl Drop for Counted {
    fn drop(&mut self) {
        let Counted(room, client) = self;
        let mut sessions = room.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sessions.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(sessions_per_client: usize, children: usize) -> Arc<Room> {
        let limits = ProxyLimits { sessions_per_client, children, ..ProxyLimits::default() };
        Room::new(&limits)
    }

    #[test]
    fn each_client_has_its_sessions_and_all_together_their_processes() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let room = room(2, 3);
        let first = room.for_session(&a).expect("room");
        let _second = room.for_session(&a).expect("room");
        assert_eq!(room.for_session(&a).expect_err("two"), NoRoom::Sessions(2));
        let third = room.for_session(&b).expect("room");
        assert_eq!(room.for_session(&b).expect_err("three"), NoRoom::Children);
        assert_eq!(room.for_client().expect_err("three"), NoRoom::Children);
        drop(first);
        let _client = room.for_client().expect("room again");
        drop(third);
        let _again = room.for_session(&b).expect("what had no room is not counted");
    }
}
