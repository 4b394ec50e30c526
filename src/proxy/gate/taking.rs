//! What calls take from limits and counters, and give back.
//!
//! Promises: a call is judged and what it takes is taken in one step, so that of two
//! calls at a limit one passes. A call that does not pass takes nothing. Where what
//! was counted cannot be read or written, the call is refused.

use super::Gate;
use crate::policy::{self, Counters, Fresh, Policy, Ruling};
use crate::proxy::message::ServerMessage;
use crate::proxy::message::scan::find;
use crate::proxy::state::{Clocks, State, Taken};
use crate::proxy::upstream::NoAnswer;

/// JSON-RPC's codes for what cannot have run: no JSON, no request, no such method,
/// wrong parameters (JSON-RPC 2.0, section 5.1).
const NOT_RUN: [&[u8]; 4] = [b"-32700", b"-32600", b"-32601", b"-32602"];

/// What a call took from counters, until its answer is known.
#[derive(Debug)]
pub struct Ticket {
    state: State,
    taken: Taken,
}

impl Ticket {
    /// The server has answered. An error that says the call did not run gives back
    /// what it took of counters, as Intercept's policies have it. Any other may come
    /// of a call that did something, or was cancelled: who cancels each call is not to
    /// get around a limit.
    pub fn answered(self, answer: &ServerMessage) {
        let code = find(&answer.bytes, &["error", "code"]);
        if code.is_some_and(|place| NOT_RUN.contains(&&answer.bytes[place])) {
            let Ticket { state, taken } = self;
            tokio::spawn(Ticket { state, taken: taken.amounts() }.give_back());
        }
    }

    /// The server has answered, or will not: what cannot have run gives back, too.
    pub fn ended(self, answered: &Result<ServerMessage, NoAnswer>) {
        match answered {
            Ok(answer) => self.answered(answer),
            Err(NoAnswer::NotSent(_)) => drop(tokio::spawn(self.give_back())),
            Err(NoAnswer::Lost(_)) => {}
        }
    }

    /// Gives back what a call took that did not run.
    pub async fn give_back(self) {
        if let Err(error) = self.state.give_back(self.taken).await {
            tracing::warn!(%error, "what a call took from a limit could not be given back");
        }
    }
}

/// Gives back what a call took, if anything, that did not run.
pub async fn give_back(ticket: Option<Ticket>) {
    if let Some(ticket) = ticket {
        ticket.give_back().await;
    }
}

impl Gate {
    /// Counts a session that this client is about to open: a limit per session is
    /// worth no more than the number of sessions.
    ///
    /// # Errors
    /// It opened too many, or that cannot be told: why, as a sentence.
    pub async fn may_open_session(&self, client: &str) -> Result<(), String> {
        let Some(most) = self.settings.sessions_per_hour else { return Ok(()) };
        match self.state.session_opened(client, Clocks::now()).await {
            Ok(opened) if opened <= most => Ok(()),
            Ok(opened) => {
                tracing::warn!(client, opened, most, "a client opens too many sessions");
                Err(format!(
                    "this client opened more than {most} sessions within an hour \
                     (`limits.sessions_per_hour`): go on in one of them"
                ))
            }
            Err(error) => {
                tracing::error!(%error, "sessions cannot be counted");
                Err("sessions cannot be counted just now: whoever runs the proxy has to mend it"
                    .to_owned())
            }
        }
    }

    /// What `judge` says of a call; what that takes is taken if it `fits`.
    ///
    /// # Errors
    /// What was counted so far cannot be read or written: why, as a sentence.
    pub(super) async fn ruled(
        &self,
        policy: &Policy,
        call: &policy::Call<'_>,
        judge: impl Fn(&dyn Counters) -> Ruling + Send + Sync,
        fits: impl Fn(&Ruling) -> bool + Send + Sync,
    ) -> Result<(Ruling, Option<Ticket>), String> {
        if !policy.counts(call.server, call.tool) {
            return Ok((judge(&Fresh), None));
        }
        let counted = self.state.count(Clocks::now(), true, |counters| {
            let ruling = judge(counters);
            let takes = if fits(&ruling) { ruling.takes.clone() } else { Vec::new() };
            (ruling, takes)
        });
        let (ruling, taken) = counted.await.map_err(|error| error.to_string())?;
        Ok((ruling, taken.map(|taken| Ticket { state: self.state.clone(), taken })))
    }
}
