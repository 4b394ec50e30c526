//! What one rule says of a call.

use std::time::Duration;

use super::condition::{Condition, Look};
use super::counter::State;
use crate::policy::budget::Budget;
use crate::policy::call::{Action, Call, Counters, Hold, Take};

/// An item under `rules:` of a tool.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// What the history calls it.
    pub label: String,
    /// What the document calls it: safe text on one line.
    pub name: String,
    pub kind: Kind,
    /// What the agent is told where the call does not pass.
    pub on_deny: Option<String>,
    pub conditions: Vec<Condition>,
    pub state: Option<State>,
}

/// `action:` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call passes if every condition holds.
    Evaluate,
    /// No call passes.
    Deny,
    /// A person is asked, if every condition holds.
    Hold { timeout: Option<Duration> },
}

impl Rule {
    /// What its conditions see in the arguments, in their order, up to one that settles
    /// it; `None` for one that looks at a counter.
    pub fn looks(&self, call: &Call<'_>, budget: &mut Budget) -> Vec<Option<Look>> {
        let mut looks = Vec::with_capacity(self.conditions.len());
        for condition in &self.conditions {
            let look = condition.of_arguments(call.arguments, budget);
            looks.push(look);
            if look == Some(Look::Fails) || self.denies(&looks[looks.len() - 1..]) {
                break;
            }
        }
        looks
    }

    /// Whether no call passes where its conditions see this, whatever was counted.
    pub fn denies(&self, looks: &[Option<Look>]) -> bool {
        match self.kind {
            Kind::Deny => true,
            Kind::Evaluate => {
                looks.iter().any(|look| matches!(look, Some(Look::Fails | Look::Unknown)))
            }
            Kind::Hold { .. } => false,
        }
    }

    /// What it says where its conditions see this, and what the call takes if it passes.
    pub fn on(
        &self,
        looks: &[Option<Look>],
        call: &Call<'_>,
        counters: &dyn Counters,
    ) -> (Action, Option<Take>) {
        let looks = self.conditions.iter().zip(looks).map(|(condition, look)| match look {
            Some(look) => *look,
            None => condition.of_counters(call, counters),
        });
        let action = match self.kind {
            Kind::Deny => self.denied(None),
            Kind::Evaluate => self.evaluated(looks),
            Kind::Hold { timeout } => self.held(looks, timeout),
        };
        match (action, &self.state) {
            (action @ Action::Deny { .. }, _) | (action, None) => (action, None),
            (action, Some(state)) => self.counted(action, state, call, counters),
        }
    }

    /// Whether counters matter to it.
    pub fn counts(&self) -> bool {
        self.state.is_some() || self.conditions.iter().any(Condition::counts)
    }

    /// Whether what it says hangs on the arguments.
    pub fn looks_at_arguments(&self) -> bool {
        self.state.as_ref().is_some_and(State::looks_at_arguments)
            || self.conditions.iter().any(|condition| !condition.counts())
    }

    /// Whether it lets no call pass.
    pub fn denies_all(&self) -> bool {
        self.kind == Kind::Deny
    }

    /// Every condition must hold. One that fails for good outranks those that
    /// only fail for now: it is useless to come back.
    fn evaluated(&self, looks: impl Iterator<Item = Look>) -> Action {
        let (mut untold, mut wait) = (false, None);
        for look in looks {
            match look {
                Look::Holds => {}
                Look::Fails | Look::Unknown => return self.denied(None),
                Look::Untold => untold = true,
                Look::Later(after) => wait = wait.max(Some(after)),
            }
        }
        match wait {
            _ if untold => self.denied(Some(UNTOLD)),
            Some(_) => self.limited(wait),
            None => Action::Allow,
        }
    }

    /// Held if every condition holds or cannot be told; one that fails settles it.
    fn held(&self, looks: impl Iterator<Item = Look>, timeout: Option<Duration>) -> Action {
        let mut untold = false;
        for look in looks {
            match look {
                Look::Holds | Look::Unknown => {}
                Look::Fails | Look::Later(_) => return Action::Allow,
                Look::Untold => untold = true,
            }
        }
        if untold {
            return self.denied(Some(UNTOLD));
        }
        Action::Hold(Hold { timeout, told: self.on_deny.clone(), ..Hold::default() })
    }

    /// The same with its counter: what the call adds has to fit.
    fn counted(
        &self,
        action: Action,
        state: &State,
        call: &Call<'_>,
        counters: &dyn Counters,
    ) -> (Action, Option<Take>) {
        let amount = match state.amount(call.arguments) {
            Ok(amount) => amount,
            Err(no_amount) => return (self.denied(Some(&no_amount.0)), None),
        };
        if let Some(limit) = state.limit {
            let Ok(value) = counters.value(&state.counter.key(call.server)) else {
                return (self.denied(Some(UNTOLD)), None);
            };
            if value.checked_add(amount).is_none_or(|after| after > limit) {
                let again = state.counter.begins_again_in(call.at);
                let wait = (amount <= limit).then_some(again);
                let wait = match (&action, wait) {
                    (Action::Limited { again_in, .. }, Some(wait)) => (*again_in).max(Some(wait)),
                    (_, wait) => wait,
                };
                return (self.limited(wait), None);
            }
        }
        match action {
            Action::Limited { .. } => (action, None),
            action => (action, Some(state.take(call.server, amount))),
        }
    }

    fn denied(&self, because: Option<&str>) -> Action {
        let reason = match (because, &self.on_deny) {
            (Some(because), _) => format!("Denied by rule \"{}\": {because}", self.name),
            (None, Some(told)) => told.clone(),
            (None, None) => format!("Denied by rule \"{}\"", self.name),
        };
        Action::Deny { reason }
    }

    fn limited(&self, again_in: Option<Duration>) -> Action {
        let exceeded = || format!("Rate limit exceeded for {}", self.name);
        Action::Limited { reason: self.on_deny.clone().unwrap_or_else(exceeded), again_in }
    }
}

/// What an agent is told where counters cannot be read.
const UNTOLD: &str = "what was counted so far cannot be read";
