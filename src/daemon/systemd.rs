//! What the daemon and systemd say to each other: readiness, reloads, the
//! watchdog, and sockets that systemd opened before the daemon was there.
//!
//! All of it is nothing where nobody set the variables: `NOTIFY_SOCKET`,
//! `WATCHDOG_USEC`, `LISTEN_FDS`. Must never: keep the daemon from serving. A
//! message that does not arrive is logged once and forgotten.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::CannotStart;
use crate::desk::Desk;
use crate::store::STUCK;

/// Sockets that were passed to this process, used in place of its own.
#[derive(Debug, Default)]
pub struct Sockets {
    /// In place of the one in the state directory.
    pub unix: Vec<UnixListener>,
    /// In place of `listen`.
    pub tcp: Vec<TcpListener>,
}

impl Sockets {
    /// Takes what was passed. To be called once, before anything is opened.
    pub fn passed() -> Result<Self, CannotStart> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Sockets::default();
        for n in 0..passed.len() {
            // Either takes a socket only if it is of its kind.
            if let Ok(Some(listener)) = passed.take_unix_listener(n) {
                sockets.unix.push(listener);
            } else if let Ok(Some(listener)) = passed.take_tcp_listener(n) {
                sockets.tcp.push(listener);
            } else {
                return Err(CannotStart::because(format!(
                    "socket {} of those passed (LISTEN_FDS) is neither a Unix stream socket nor a TCP socket; write ListenStream= in the socket unit",
                    n + 1
                )));
            }
        }
        Ok(sockets)
    }
}

/// A message is not waited for longer. Whoever should take it may not read.
const PATIENCE: Duration = Duration::from_secs(1);

async fn tell(send: impl FnOnce() -> io::Result<()> + Send + 'static) {
    static FAILED: AtomicBool = AtomicBool::new(false);
    // Sending blocks while the other side's queue is full.
    let sent = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(send)).await;
    let failed = match sent {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "nobody takes the message".to_owned(),
    };
    if !FAILED.swap(true, Ordering::Relaxed) {
        tracing::warn!(failed, "systemd cannot be told how the daemon is (NOTIFY_SOCKET)");
    }
}

/// The doors are open, or open again after a reload.
pub async fn ready(status: String) {
    tell(move || sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)])).await;
}

/// The configuration is read again; [`ready`] follows.
pub async fn reloading() {
    // Both in one message: without the time, systemd ends the service.
    tell(|| sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])).await;
}

/// The daemon ends.
pub async fn stopping() {
    let status = NotifyState::Status("stopping: those who wait are told to come back");
    tell(move || sd_notify::notify(&[NotifyState::Stopping, status])).await;
}

/// Says at half of the time that systemd allows that the daemon is alive, for as
/// long as it is: this task is run, and the store's thread has its turns.
pub async fn watchdog(desk: Arc<Desk>) {
    let Some(allowed) = sd_notify::watchdog_enabled().filter(|allowed| !allowed.is_zero()) else {
        return;
    };
    let mut ticks = tokio::time::interval(allowed / 2);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let silent = desk.store().silent_for();
        if silent < STUCK {
            tell(|| sd_notify::notify(&[NotifyState::Watchdog])).await;
        } else {
            tracing::error!(
                ?silent,
                "the store's thread is stuck; the watchdog is not told that all is well"
            );
        }
    }
}
