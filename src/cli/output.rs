//! Where output goes: a checked writer, and what the terminal can take.
//!
//! Rust's `println!` panics when the reader of a pipe has gone
//! (`holdpoint audit | head`), so everything goes through [`Output`], which
//! ends the command quietly instead.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::{Command, Stdio};

use super::errors::{Done, Failure, exit};
use super::zone::Zone;
use crate::call::time::Time;

/// What a rendering needs to know of the world, and nothing else: with a fixed
/// view, the same input gives the same text.
#[derive(Debug, Clone)]
pub struct View {
    /// Now, for "in 12 min".
    pub now: Time,
    /// The zone that times are shown in.
    pub zone: Zone,
    /// Whether a person reads it on a terminal: tables and local times there,
    /// plain lines and RFC 3339 elsewhere.
    pub terminal: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Whether colours may be used.
    pub colour: bool,
}

impl View {
    /// A time of the contract: "in 12 min, 14:05 CET" for a person, as it is
    /// for a program.
    pub fn time(&self, rfc3339: &str) -> String {
        if self.terminal {
            return super::when::relative_text(rfc3339, self.now, &self.zone);
        }
        super::text::safe(rfc3339)
    }

    /// A deadline. A person's is counted from the time left, because the clocks
    /// of two machines differ.
    pub fn deadline(&self, rfc3339: &str, left_ms: i64) -> String {
        if self.terminal && left_ms > 0 {
            let at = self.now + std::time::Duration::from_millis(left_ms.cast_unsigned());
            return super::when::relative(at, self.now, &self.zone);
        }
        self.time(rfc3339)
    }

    /// `text` in a tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        tone.paint(text, self.colour)
    }
}

/// Standard output.
#[derive(Debug)]
pub struct Output {
    writer: BufWriter<io::Stdout>,
    /// Whether a person reads it.
    pub terminal: bool,
}

/// Columns that tables are fitted to where the terminal does not say.
const DEFAULT_WIDTH: usize = 80;

/// Colours by meaning; the word itself always stands there too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Of second order.
    Faint,
    /// A heading.
    Strong,
    /// Went well.
    Good,
    /// Look here.
    Caution,
    /// Look here twice.
    Alarm,
}

impl Tone {
    /// `text` in this tone.
    pub fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            Tone::Plain => return text.to_owned(),
            Tone::Faint => "2",
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Caution => "33",
            Tone::Alarm => "1;31",
        };
        if colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Output {
    /// Standard output as it is now.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Output { writer: BufWriter::new(stdout), terminal }
    }

    /// How to render for it.
    pub fn view(&self) -> View {
        View {
            now: super::when::now(),
            zone: Zone::local(),
            terminal: self.terminal,
            width: if self.terminal { width() } else { DEFAULT_WIDTH },
            colour: self.terminal && colours_wanted(),
        }
    }

    /// Writes one line. A reader that has gone ends the command quietly.
    pub fn line(&mut self, text: &str) -> Done {
        writeln!(self.writer, "{text}").map_err(gone)
    }

    /// Writes text as it is.
    pub fn text(&mut self, text: &str) -> Done {
        self.writer.write_all(text.as_bytes()).map_err(gone)
    }

    /// Writes bytes as they are (exports).
    pub fn bytes(&mut self, bytes: &[u8]) -> Done {
        self.writer.write_all(bytes).map_err(gone)
    }

    /// Pushes out what was written. Every command ends with it: what is left in
    /// the buffer at the end of the process would fail in silence.
    pub fn flush(&mut self) -> Done {
        self.writer.flush().map_err(gone)
    }

    /// Writes text through a pager if it is longer than the terminal.
    pub fn paged(&mut self, text: &str) -> Done {
        if self.terminal && text.lines().count() >= height() {
            self.flush()?;
            if page(text) {
                return Ok(());
            }
        }
        self.text(text)?;
        self.flush()
    }
}

fn gone(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::quiet(exit::OK);
    }
    Failure::new(format!("cannot write the output: {error}"), "Is the disk full?")
}

/// Runs the pager; false if there is none that works.
fn page(text: &str) -> bool {
    let wanted = std::env::var("PAGER").unwrap_or_default();
    let mut pager = match wanted.as_str() {
        "" => {
            let mut less = Command::new("less");
            less.arg("-FRX");
            less
        }
        "cat" => return false,
        // PAGER may hold options ("less -R"): the shell reads it, as git does.
        other => {
            let mut shell = Command::new("sh");
            shell.args(["-c", other]);
            if std::env::var_os("LESS").is_none() {
                shell.env("LESS", "FRX");
            }
            shell
        }
    };
    let Ok(mut child) = pager.stdin(Stdio::piped()).spawn() else {
        return false;
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A pager that was left early has closed its end; that is fine.
        let _ = stdin.write_all(text.as_bytes());
    }
    child.wait().is_ok_and(|status| status.code() != Some(127))
}

/// `NO_COLOR` (anything but empty) and `TERM=dumb` turn colours off.
pub fn colours_wanted() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_colour && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of the terminal on standard output, else on standard error.
pub fn width() -> usize {
    size().map_or(DEFAULT_WIDTH, |(columns, _)| columns.max(20))
}

fn height() -> usize {
    size().map_or(24, |(_, rows)| rows.max(2))
}

fn size() -> Option<(usize, usize)> {
    let of = |size: rustix::termios::Winsize| (size.ws_col.into(), size.ws_row.into());
    let size = rustix::termios::tcgetwinsize(io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(io::stderr()))
        .map(of)
        .ok()?;
    (size.0 > 0).then_some(size)
}

/// One line on standard error; if nobody can read it, nothing is lost that
/// could be helped (`eprintln!` would panic).
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_ends_the_command_quietly() {
        let failure = gone(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure, Failure::quiet(exit::OK));
        assert!(gone(io::Error::from(io::ErrorKind::StorageFull)).what.contains("output"));
    }

    #[test]
    fn a_tone_adds_colour_only_where_it_is_wanted() {
        assert_eq!(Tone::Alarm.paint("destructive", false), "destructive");
        assert_eq!(Tone::Alarm.paint("destructive", true), "\x1b[1;31mdestructive\x1b[0m");
    }
}
