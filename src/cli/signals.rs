//! Signals that ask this process to stop, or the daemon to look at its
//! configuration again.

use std::io::{self, IsTerminal};

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

/// What a signal asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To stop.
    Stop,
    /// To read its configuration again.
    Reload,
}

/// The daemon's signals: a hangup is a wish to reload, unless it says that the
/// terminal is gone that the daemon was started from.
#[derive(Debug)]
pub struct DaemonSignals {
    stop: Stop,
    on_terminal: bool,
}

impl DaemonSignals {
    /// Listens from now on.
    pub fn listen() -> Done<Self> {
        Ok(DaemonSignals { stop: Stop::listen()?, on_terminal: io::stderr().is_terminal() })
    }

    /// Returns what the next one asks.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.stop.interrupt.recv() => Asked::Stop,
            _ = self.stop.terminate.recv() => Asked::Stop,
            _ = self.stop.hangup.recv() => {
                let gone = self.on_terminal && !io::stderr().is_terminal();
                if gone { Asked::Stop } else { Asked::Reload }
            }
        }
    }

    /// Returns when one asks to stop; what else is asked meanwhile is not heard.
    pub async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}
