//! Calls that passed, took their places in limits, and were answered with questions:
//! what continues such a call is the same call, and takes no second place.
//!
//! Promises: a repeat continues a call only if the party, the server, the tool, the
//! arguments and exactly the state that the server just gave agree, and it answers
//! only what was asked; each round of questions is continued once, and within the same
//! time as one of a call that was approved. Whatever else the policy says of the repeat
//! holds as for any call. Must never: let a call pass that was not asked anything by
//! the server it went to.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::rounds::{ASKED, Asked, MOST, Place};
use super::{Party, Server};
use crate::policy::{CounterKey, Counters, LimitKey, Recent, Take, Untold};
use crate::proxy::locked;
use crate::proxy::message::server::Ended;
use crate::proxy::message::{Era, ServerMessage, ToolCall};

/// A call that took places, until its answer is known.
#[derive(Debug, Clone)]
pub struct Admission {
    place: Place,
    takes: Vec<Take>,
}

impl Admission {
    /// Of this call, which took this; `None`: in its protocol no server asks so.
    pub fn of(
        call: &ToolCall,
        party: &Party,
        server: &Server,
        takes: Vec<Take>,
    ) -> Option<Admission> {
        let place = Place::of(call, party, server, None);
        (call.era == Era::Modern).then_some(Admission { place, takes })
    }

    /// What it took.
    pub fn takes(&self) -> &[Take] {
        &self.takes
    }
}

/// An admitted call whose server waits for answers.
#[derive(Debug)]
pub struct Open {
    asked: Asked,
    /// The call.
    pub admission: Admission,
}

/// Admitted calls that wait for their clients' answers, oldest first.
#[derive(Debug, Default)]
pub struct Admissions(Mutex<Vec<Open>>);

impl Admissions {
    /// The server has answered a call: perhaps with questions.
    pub fn answered(&self, mut admission: Admission, answer: &ServerMessage) {
        let Ended::InputRequired { asked, state } = answer.ended() else { return };
        if asked.len() <= ASKED {
            admission.place.gives(state.as_deref());
            let asked = Asked::now(asked);
            self.open(Open { asked, admission });
        }
    }

    /// What this call continues, if it does. It is open no more.
    pub fn take(&self, call: &ToolCall, party: &Party, server: &Server) -> Option<Open> {
        if self.calls().is_empty() {
            return None;
        }
        let place = Place::of(call, party, server, call.request_state());
        let mut calls = self.calls();
        let is_it = |open: &Open| open.admission.place == place && open.asked.fits(call);
        let at = calls.iter().position(is_it)?;
        Some(calls.remove(at))
    }

    /// It is open, also once more where what continues it did not pass just now.
    pub fn open(&self, open: Open) {
        let mut calls = self.calls();
        let of_client = |other: &&Open| other.admission.place.is_of(&open.admission.place);
        if calls.iter().filter(of_client).count() >= MOST {
            let oldest = calls.iter().position(|other| of_client(&other));
            oldest.map(|at| calls.remove(at));
        }
        calls.push(open);
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Open>> {
        let mut calls = locked(&self.0);
        calls.retain(|open| !open.asked.is_over());
        calls
    }
}

/// What was counted, as a call finds it that took its part already.
pub struct Without<'a> {
    /// What was counted in all.
    pub counters: &'a dyn Counters,
    /// What the call took.
    pub takes: &'a [Take],
}

impl Counters for Without<'_> {
    fn recent(&self, key: &LimitKey, max: u32, window: Duration) -> Result<Recent, Untold> {
        // It needs no place, even where its own is free again and another's meanwhile.
        let has = |take: &Take| matches!(take, Take::Sliding { key: taken, .. } if taken == key);
        if self.takes.iter().any(has) {
            return Ok(Recent::default());
        }
        self.counters.recent(key, max, window)
    }

    fn value(&self, key: &CounterKey) -> Result<i64, Untold> {
        let mut value = self.counters.value(key)?;
        for take in self.takes {
            if let Take::Counter { key: taken, amount, .. } = take
                && taken == key
            {
                value = value.saturating_sub(*amount);
            }
        }
        Ok(value)
    }
}
