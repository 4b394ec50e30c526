//! What calls take from limits and counters, and give back.
//!
//! Promises: a call is judged and what it takes is taken in one step, so that of two
//! calls at a limit one passes. A call that does not pass takes nothing. Where what
//! was counted cannot be read or written, the call is refused.

use std::sync::Arc;

use super::admitted::{Admission, Admissions, Without};
use super::{Gate, Party, Server};
use crate::policy::{self, Action, Counters, Fresh, Policy, Ruling, Take};
use crate::proxy::message::scan::find;
use crate::proxy::message::{ServerMessage, ToolCall};
use crate::proxy::state::{Clocks, State, Taken};
use crate::proxy::upstream::NoAnswer;

/// JSON-RPC's codes for what cannot have run: no JSON, no request, no such method,
/// wrong parameters (JSON-RPC 2.0, section 5.1).
const NOT_RUN: [&[u8]; 4] = [b"-32700", b"-32600", b"-32601", b"-32602"];

/// What a call took from counters, until its answer is known.
#[derive(Debug)]
pub struct Ticket {
    state: State,
    /// `None`: it continues a call that took before.
    taken: Option<Taken>,
    /// What it took, or the call took that it continues.
    pub(super) takes: Vec<Take>,
    /// For a call that may be asked something by its server.
    admission: Option<Box<(Arc<Admissions>, Admission)>>,
}

impl Ticket {
    /// The server has answered. An error that says the call did not run gives back
    /// what it took of counters, as Intercept's policies have it. Any other may come
    /// of a call that did something, or was cancelled: who cancels each call is not to
    /// get around a limit.
    pub fn answered(self, answer: &ServerMessage) {
        let code = find(&answer.bytes, &["error", "code"]);
        if code.is_some_and(|place| NOT_RUN.contains(&&answer.bytes[place])) {
            let taken = self.taken.map(Taken::amounts);
            tokio::spawn(Ticket { taken, ..self }.give_back());
        } else if let Some((admissions, admission)) = self.admission.map(|admission| *admission) {
            admissions.answered(admission, answer);
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
        let Some(taken) = self.taken else { return };
        if let Err(error) = self.state.give_back(taken).await {
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
        let ticket = taken.map(|taken| Ticket {
            state: self.state.clone(),
            taken: Some(taken),
            takes: ruling.takes.clone(),
            admission: None,
        });
        Ok((ruling, ticket))
    }

    /// What `judge` says of a call that nothing is known of but what its client says:
    /// where it continues a call that took its places, it takes none.
    ///
    /// # Errors
    /// As for [`Gate::ruled`].
    pub(super) async fn ruled_first(
        &self,
        policy: &Policy,
        (call, party, server): (&ToolCall, &Party, &Server),
        facts: &policy::Call<'_>,
        judge: impl Fn(&dyn Counters) -> Ruling + Send + Sync,
    ) -> Result<(Ruling, Option<Ticket>), String> {
        let passes = |ruling: &Ruling| self.passes(ruling);
        if policy.counts(facts.server, facts.tool) {
            let without = async |takes: &[Take]| {
                let judge = |counters: &dyn Counters| judge(&Without { counters, takes });
                self.ruled(policy, facts, judge, |_| false).await.map(|(ruling, _)| ruling)
            };
            // It is held, and goes on where it is; anything else is for a new call.
            if let Some(takes) = self.rounds.took(call, party, server)
                && let ruling = without(&takes).await?
                && let Action::Hold(_) = ruling.action
                && !passes(&ruling)
            {
                return Ok((ruling, None));
            }
            if let Some(open) = self.admissions.take(call, party, server) {
                let ruling = without(open.admission.takes()).await;
                if !ruling.as_ref().is_ok_and(passes) {
                    self.admissions.open(open);
                    return ruling.map(|ruling| (ruling, None));
                }
                let admission = open.admission;
                let ticket = Ticket {
                    state: self.state.clone(),
                    taken: None,
                    takes: admission.takes().to_vec(),
                    admission: Some(Box::new((self.admissions.clone(), admission))),
                };
                return ruling.map(|ruling| (ruling, Some(ticket)));
            }
        }
        let (ruling, mut ticket) = self.ruled(policy, facts, judge, passes).await?;
        if let Some(ticket) = &mut ticket {
            let admission = Admission::of(call, party, server, ticket.takes.clone());
            ticket.admission =
                admission.map(|admission| Box::new((self.admissions.clone(), admission)));
        }
        Ok((ruling, ticket))
    }
}
