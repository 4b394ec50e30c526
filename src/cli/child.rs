//! Running the approved command: signals go on to it, and how it ended comes back.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

use super::errors::{Done, Failure, exit};

/// The signals that go on to the command.
const FORWARDED: [(SignalKind, Signal); 6] = [
    (SignalKind::interrupt(), Signal::INT),
    (SignalKind::quit(), Signal::QUIT),
    (SignalKind::terminate(), Signal::TERM),
    (SignalKind::hangup(), Signal::HUP),
    (SignalKind::user_defined1(), Signal::USR1),
    (SignalKind::user_defined2(), Signal::USR2),
];

/// Signals on their way to the command. Listening begins before it starts, so
/// that none is lost in between.
#[derive(Debug)]
pub struct Forward {
    coming: mpsc::UnboundedReceiver<Signal>,
}

impl Forward {
    /// Listens from now on.
    pub fn listen() -> Done<Self> {
        let (tell, coming) = mpsc::unbounded_channel();
        for (kind, signal) in FORWARDED {
            let mut listener = unix::signal(kind)
                .map_err(|error| Failure::new(format!("cannot listen for signals: {error}"), ""))?;
            let tell = tell.clone();
            tokio::spawn(async move {
                while listener.recv().await.is_some() {
                    if tell.send(signal).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Forward { coming })
    }

    /// Waits for the command, passing signals on.
    pub async fn until_ended(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            let signal = tokio::select! {
                status = child.wait() => return status,
                Some(signal) = self.coming.recv() => signal,
            };
            // A Ctrl-C at the terminal reaches the whole foreground group, the
            // command included; passing it on would be a second one.
            let from_keyboard = matches!(signal, Signal::INT | Signal::QUIT) && in_foreground();
            // No id: it has ended and its id may be another process's by now.
            let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            if let Some(pid) = pid.filter(|_| !from_keyboard) {
                // It may have ended just now: then there is nothing to tell.
                let _ = kill_process(pid, signal);
            }
        }
    }
}

fn in_foreground() -> bool {
    let Ok(terminal) = File::open("/dev/tty") else {
        return false;
    };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp())
}

/// Starts the command; the failure has the exit code that a shell would give.
pub fn start(command: std::process::Command) -> Result<Child, (String, u8)> {
    Command::from(command).spawn().map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => exit::NOT_FOUND,
            _ => exit::CANNOT_RUN,
        };
        (error.to_string(), code)
    })
}

/// How it ended: whether it succeeded, in words, and our own exit code.
pub fn ended(status: ExitStatus) -> (bool, String, u8) {
    if let Some(code) = status.code() {
        // Unix exit codes have eight bits.
        return (code == 0, format!("exit code {code}"), (code & 0xff) as u8);
    }
    let signal = status.signal().unwrap_or_default();
    let core = if status.core_dumped() { ", core dumped" } else { "" };
    let code = exit::SIGNALLED.saturating_add((signal & 0x7f) as u8);
    (false, format!("ended by signal {signal}{core}"), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_signals_come_back_as_a_shell_gives_them() {
        assert_eq!(ended(ExitStatus::from_raw(0)), (true, "exit code 0".to_owned(), 0));
        assert_eq!(ended(ExitStatus::from_raw(3 << 8)), (false, "exit code 3".to_owned(), 3));
        assert_eq!(ended(ExitStatus::from_raw(15)), (false, "ended by signal 15".to_owned(), 143));
    }
}
