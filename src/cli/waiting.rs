//! What a person at the caller's side sees while a call is held: on a terminal
//! one line that counts down in place, elsewhere a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::output::{self, note};
use super::table::cut;
use super::text::{count, safe, short};
use super::when;
use crate::proto::ApprovalAnswer;

/// How often the line is said again where it cannot be updated in place.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// The waiting line on standard error.
#[derive(Debug)]
pub struct Waiting {
    terminal: bool,
    /// "write_file on fs".
    call: String,
    /// So much time has passed that it is news if nobody has looked yet.
    pub late: bool,
    /// What the line said last, without the time, so that a change is noticed.
    said: String,
    /// On [`when::boot`]'s clock.
    said_at: Duration,
    /// The line that stands on the terminal and has to go before the next;
    /// empty if there is none.
    standing: String,
}

impl Waiting {
    /// For a call to this tool on this server.
    pub fn new(tool: &str, server: &str) -> Self {
        Waiting {
            terminal: io::stderr().is_terminal() && output::colours_wanted(),
            call: format!("{} on {}", safe(tool), safe(server)),
            late: false,
            said: String::new(),
            said_at: Duration::ZERO,
            standing: String::new(),
        }
    }

    /// The call is held; so much time is left.
    pub fn held(&mut self, answer: &ApprovalAnswer, left: Duration) {
        let (call, how) = (holding(&self.call, answer), decide_with(&answer.id));
        let left = format!("{} left", when::duration(left));
        let reach = reach(answer, self.late);
        let comma = if reach.is_empty() { "" } else { ", " };
        let what = format!("{call}{comma}{reach}");
        if self.terminal {
            if self.said != what {
                self.clear();
                note(&how);
            }
            // Time and news first: a narrow terminal cuts the end.
            self.in_place(&format!("{left}{comma}{reach}, {call}"));
        } else if self.said != what || when::boot() > self.said_at + REMIND_EVERY {
            note(&format!("{what}, {left}; {how}"));
            self.said_at = when::boot();
        }
        self.said = what;
    }

    /// The daemon does not answer at the moment.
    pub fn away(&mut self, id: Option<&str>, left: Option<Duration>) {
        let short = id.map(|id| format!(" [{}]", short(id))).unwrap_or_default();
        let what =
            format!("holding: {}{short}: the daemon does not answer; trying again", self.call);
        let left = left.map(|left| format!(", {} left", when::duration(left))).unwrap_or_default();
        if self.terminal {
            self.in_place(&format!("{what}{left}"));
        } else if self.said != what {
            note(&format!("{what}{left}"));
        }
        self.said = what;
    }

    fn in_place(&mut self, line: &str) {
        let line = cut(line, output::width().saturating_sub(1));
        if line != self.standing {
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
            self.standing = line;
        }
    }

    /// Takes the line away, so that what follows begins at the margin.
    pub fn clear(&mut self) {
        if !std::mem::take(&mut self.standing).is_empty() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.clear();
    }
}

/// "holding: write_file on fs [1a2b3c4d] waits for ops (2 people)".
fn holding(call: &str, answer: &ApprovalAnswer) -> String {
    let asked = if answer.asked.is_empty() { "an answer".to_owned() } else { safe(&answer.asked) };
    let people = match answer.asked_count {
        0 => String::new(),
        n => format!(" ({})", count(n.into(), "person", "people")),
    };
    let approved: Vec<String> = answer.decisions.iter().map(|d| safe(&d.operator)).collect();
    let so_far = match &approved[..] {
        [] => String::new(),
        names => format!(", approved so far by {}", names.join(", ")),
    };
    format!("holding: {call} [{}] waits for {asked}{people}{so_far}", short(&answer.id))
}

/// Whether those who are asked know of it: "1 of 2 people has looked". Empty while
/// it is too early to wonder.
fn reach(answer: &ApprovalAnswer, late: bool) -> String {
    match (answer.looked_count, answer.asked_count) {
        (0, _) if answer.nobody_reached => "nobody could be reached by mail yet".to_owned(),
        (0, _) if late => "nobody has looked yet".to_owned(),
        (0, _) => String::new(),
        (1, ..=1) => "1 person has looked".to_owned(),
        (1, asked) => format!("1 of {asked} people has looked"),
        (looked, asked) if looked <= asked => format!("{looked} of {asked} people have looked"),
        // Some who looked may not be asked any more.
        (looked, _) => format!("{looked} people have looked"),
    }
}

fn decide_with(id: &str) -> String {
    format!("decide with: holdpoint approve {}", short(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Decision;

    #[test]
    fn the_waiting_line_says_who_is_asked_and_where_to_decide() {
        let mut answer = ApprovalAnswer {
            id: "019ac5a2-7d5c-7cc3-98a5-3f1c1a2b3c4d".to_owned(),
            asked: "ops".to_owned(),
            asked_count: 2,
            ..Default::default()
        };
        assert_eq!(
            holding("write_file on fs", &answer),
            "holding: write_file on fs [1a2b3c4d] waits for ops (2 people)"
        );
        assert_eq!(decide_with(&answer.id), "decide with: holdpoint approve 1a2b3c4d");
        answer.decisions.push(Decision { operator: "ana".to_owned(), ..Default::default() });
        assert!(holding("x", &answer).ends_with(", approved so far by ana"));
    }

    #[test]
    fn the_waiting_line_says_whether_anybody_knows_of_it() {
        let said = |looked_count, nobody_reached, late| {
            let asked_count = 2;
            let answer =
                ApprovalAnswer { looked_count, nobody_reached, asked_count, ..Default::default() };
            reach(&answer, late)
        };
        assert_eq!(said(0, false, false), "");
        assert_eq!(said(0, false, true), "nobody has looked yet");
        assert_eq!(said(0, true, true), "nobody could be reached by mail yet");
        assert_eq!(said(1, false, true), "1 of 2 people has looked");
        assert_eq!(said(2, false, false), "2 of 2 people have looked");
        assert_eq!(said(3, false, false), "3 people have looked");
        let alone = ApprovalAnswer { looked_count: 1, asked_count: 1, ..Default::default() };
        assert_eq!(reach(&alone, true), "1 person has looked");
    }
}
