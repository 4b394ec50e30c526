//! Calls that a server answered with "input required": the client repeats such a
//! call with answers to what was asked, and the repeat is the same call, under the
//! use that was taken for the first.
//!
//! Promises: a repeat continues a use only if everything agrees: the party, the
//! server, the tool, the arguments, exactly the state that the server just gave
//! (or its absence), and answers only to what it asked. Each round is continued
//! once, and not later than [`WITHIN`]. Must never: let what a person did not see
//! run for anything but the questions of the server that they let the call go to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::changed::Changed;
use super::judge::Unfit;
use super::send::{Towards, next_round};
use super::using::Using;
use super::{Definition, Gate, Party, Question, Reply, Server};
use crate::call::digest::Digest;
use crate::client::boot;
use crate::policy::{Ruling, Take};
use crate::proto::Outcome;
use crate::proxy::answer::words;
use crate::proxy::locked;
use crate::proxy::message::ToolCall;
use crate::proxy::upstream::Upstream;

/// How long a client may take to answer. People answer some of the questions.
pub const WITHIN: Duration = Duration::from_secs(15 * 60);
/// The most rounds of one client that are open at once. With more, its oldest ends.
pub const MOST: usize = 64;
/// The most that a server may ask at once.
pub const ASKED: usize = 100;

/// What the daemon is told of a call that stays where the server asked.
const NOT_BACK: &str = "the server asked for input and the client did not come back";

/// What tells one open round from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    client: String,
    session: String,
    /// Covers the server, the tool and the arguments, but no answers and no state.
    call: Digest,
    /// SHA-256 of the state that the server gave: it may be long.
    state: Option<[u8; 32]>,
}

impl Place {
    /// Of this call, where this is the state that the server gave.
    pub fn of(call: &ToolCall, party: &Party, server: &Server, state: Option<&str>) -> Place {
        let mut place = Place {
            client: party.client.clone(),
            session: party.session.clone(),
            call: call.first_digest(&server.name),
            state: None,
        };
        place.gives(state);
        place
    }

    /// The server gave this state.
    pub fn gives(&mut self, state: Option<&str>) {
        self.state = state.map(|state| Sha256::digest(state).into());
    }

    /// Whether both are of one client.
    pub fn is_of(&self, other: &Place) -> bool {
        self.client == other.client
    }
}

/// What a server asked, and until when that may be answered.
#[derive(Debug)]
pub struct Asked {
    names: HashSet<String>,
    /// On [`boot`]'s clock.
    until: Duration,
}

impl Asked {
    /// It asked this just now.
    pub fn now(names: Vec<String>) -> Asked {
        Asked { names: names.into_iter().collect(), until: boot() + WITHIN }
    }

    /// Whether nobody may answer any more.
    pub fn is_over(&self) -> bool {
        self.until <= boot()
    }

    /// Whether this call answers it, and nothing else.
    pub fn fits(&self, call: &ToolCall) -> bool {
        let answered = call.answered();
        !self.is_over()
            && answered.iter().all(|name| self.names.contains(*name))
            && (self.names.is_empty() || !answered.is_empty())
    }
}

/// A use that stays granted while the client gathers what the server asked for.
#[derive(Debug)]
pub struct Round {
    place: Place,
    asked: Asked,
    using: Using,
    /// What was approved, and by which rule it was held.
    ruling: Ruling,
    definition: Option<Definition>,
    /// What people were told of a change of the tool.
    changed: Option<Changed>,
}

/// Rounds that wait for their clients, oldest first.
#[derive(Debug, Default)]
pub struct Rounds(Mutex<Vec<Round>>);

impl Rounds {
    /// The round that this call continues, if it does. It is open no more.
    fn take(&self, question: &Question) -> Option<Round> {
        let Question { call, party, server, .. } = question;
        let place = Place::of(call, party, server, call.request_state());
        let mut rounds = self.rounds();
        let is_it = |round: &Round| round.place == place && round.asked.fits(call);
        let at = rounds.iter().position(is_it)?;
        Some(rounds.remove(at))
    }

    /// What the use took of limits and counters whose round this call would continue;
    /// `None`: it would continue none.
    pub fn took(&self, call: &ToolCall, party: &Party, server: &Server) -> Option<Vec<Take>> {
        if self.rounds().is_empty() {
            return None;
        }
        let place = Place::of(call, party, server, call.request_state());
        let rounds = self.rounds();
        let is_it = |round: &&Round| round.place == place && round.asked.fits(call);
        rounds.iter().find(is_it).map(|round| round.using.takes.clone())
    }

    /// Opens a round. Returns one that has to make room for it.
    fn open(&self, round: Round) -> Option<Round> {
        let mut rounds = self.rounds();
        let of_client = |other: &&Round| other.place.is_of(&round.place);
        let full = rounds.iter().filter(of_client).count() >= MOST;
        let oldest = rounds.iter().position(|other| full && of_client(&other));
        let oldest = oldest.map(|at| rounds.remove(at));
        rounds.push(round);
        oldest
    }

    /// Takes those out that are over; all of them, if `all`.
    fn over(&self, all: bool) -> Vec<Round> {
        self.rounds().extract_if(.., |round| all || round.asked.is_over()).collect()
    }

    fn rounds(&self) -> MutexGuard<'_, Vec<Round>> {
        locked(&self.0)
    }
}

impl Gate {
    /// Keeps the use of a call that the server answered with questions, for the
    /// repeat that answers them.
    ///
    /// # Errors
    /// The use, if the server asked for more than is kept.
    pub(super) async fn open_round(
        self: &Arc<Self>,
        question: Question,
        using: Using,
        asked: Vec<String>,
        state: Option<String>,
    ) -> Result<(), Using> {
        if asked.len() > ASKED {
            return Err(using);
        }
        let round = Round {
            place: Place::of(&question.call, &question.party, &question.server, state.as_deref()),
            asked: Asked::now(asked),
            using,
            ruling: question.ruling,
            definition: question.definition,
            changed: question.changed,
        };
        self.reopen(round).await;
        let gate = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(WITHIN).await;
            if let Some(gate) = gate.upgrade() {
                gate.close_rounds(false).await;
            }
        });
        Ok(())
    }

    async fn reopen(&self, round: Round) {
        if let Some(oldest) = self.rounds.open(round) {
            self.report(oldest.using, Outcome::Unknown, NOT_BACK.to_owned()).await;
        }
    }

    /// Gives up the uses of clients that did not come back; of all, if `all`.
    pub(super) async fn close_rounds(&self, all: bool) {
        for round in self.rounds.over(all) {
            self.report(round.using, Outcome::Unknown, NOT_BACK.to_owned()).await;
        }
    }

    /// Sends a call on that answers what the server asked, under the use that was
    /// taken for it. Returns a call that does not.
    pub(super) async fn carry_on(
        self: &Arc<Self>,
        mut question: Question,
        reply: &Reply,
        upstream: &dyn Upstream,
    ) -> Option<Question> {
        let Some(mut round) = self.rounds.take(&question) else { return Some(question) };
        // Measured by what people approved, not by what holds since.
        question.ruling = round.ruling.clone();
        question.definition = round.definition.clone();
        question.changed = round.changed.clone();
        // What it took it has: it takes nothing more.
        let again = self.checked_again(&question, upstream, Some(&round.using.takes)).await;
        let said = match again {
            Ok(_) if reply.is_open() => {
                let towards = Towards::Client(reply);
                let message = |id: &_| Some(question.call.outgoing(id, false));
                match next_round(&question, &mut round.using, towards, message) {
                    Some(outgoing) => {
                        let answered = self.send(outgoing, towards, upstream).await;
                        self.answered(question, round.using, answered, reply).await;
                        return None;
                    }
                    None => self.not_continued(round, "its own bytes differ").await,
                }
            }
            Ok(_) => {
                self.reopen(round).await;
                return None;
            }
            Err(Unfit::Changed(what)) => self.not_continued(round, &what.to_string()).await,
            Err(Unfit::NotNow(said)) => {
                self.reopen(round).await;
                said
            }
        };
        self.say(&question, reply, &said).await;
        None
    }

    async fn not_continued(&self, round: Round, what: &str) -> String {
        let detail = format!("not continued after the server asked for input: {what}");
        self.report(round.using, Outcome::Unknown, detail).await;
        words::not_continued(what)
    }
}
