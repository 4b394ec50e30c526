//! Signals that ask this process to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::errors::{Done, Failure};

/// Ctrl-C, a polite kill, or a terminal that was closed.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    /// Listens from now on; these signals no longer end the process by themselves.
    pub fn listen() -> Done<Self> {
        let listen = || -> io::Result<Self> {
            Ok(Stop {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
            })
        };
        listen().map_err(|error| Failure::new(format!("cannot listen for signals: {error}"), ""))
    }

    /// Returns when one of them comes.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
