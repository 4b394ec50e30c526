//! Connections to one server that no call uses just now.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use crate::proxy::locked;

/// How long a connection that nobody uses is kept: servers close theirs after 5 s
/// (Node) to 75 s (nginx), and a request on one that is just being closed is lost.
const KEPT_FOR: Duration = Duration::from_secs(4);

/// How many are kept. As many calls at once find one waiting; more begin their own.
const MOST: usize = 256;

/// Connections that wait for the next call.
#[derive(Default)]
pub struct Idle(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Since when, the oldest first.
    connections: Vec<(Instant, Box<Connection>)>,
    /// Whether somebody closes those that wait for too long.
    watched: bool,
}

impl Idle {
    /// The one that was used last.
    pub fn take(&self) -> Option<Box<Connection>> {
        let (since, connection) = locked(&self.0).connections.pop()?;
        (since.elapsed() < KEPT_FOR).then_some(connection)
    }

    /// Keeps one for a while. Within a tokio runtime.
    pub fn put(self: &Arc<Self>, connection: Box<Connection>) {
        let mut waiting = locked(&self.0);
        if waiting.connections.len() >= MOST {
            return;
        }
        waiting.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut waiting.watched, true) {
            tokio::spawn(watch(Arc::downgrade(self)));
        }
    }

    /// Closes those that have waited for too long. When the next will have; `None`:
    /// there is none, and nobody watches from now on.
    fn close_old(&self) -> Option<Instant> {
        let mut waiting = locked(&self.0);
        let old = waiting.connections.partition_point(|(since, _)| since.elapsed() >= KEPT_FOR);
        waiting.connections.drain(..old);
        let next = waiting.connections.first().map(|(since, _)| *since + KEPT_FOR);
        waiting.watched = next.is_some();
        next
    }
}

/// Closes connections that wait for too long, as long as there are any.
async fn watch(idle: Weak<Idle>) {
    while let Some(next) = idle.upgrade().and_then(|idle| idle.close_old()) {
        tokio::time::sleep_until(next).await;
    }
}
