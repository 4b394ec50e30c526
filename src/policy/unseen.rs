//! What can be said of a call whose arguments nobody has any more.

use std::cell::Cell;

use super::call::Call;
use super::judging::Judgement;
use super::rules::Match;
use super::{Does, Policy};

impl Policy {
    /// Whether a rule that may match this call looks at its arguments. Those that the call
    /// has are not looked at; what they do is in the judgement.
    pub fn may_look_at_arguments(&self, call: &Call<'_>, judgement: &Judgement) -> bool {
        let theirs = self.intercept.stands() && self.intercept.looks_at_arguments(call.tool);
        let budget = Cell::default();
        let known = self.known(call, judgement, &budget);
        let hides = |does: &Option<Does>| *does == Some(Does::Hide);
        for rule in self.rules.about(call.server, call.tool) {
            if hides(&rule.action) || matches!(rule.matches_but_for_when(&known), Match::No(_)) {
                continue;
            }
            let Some(when) = &rule.when else {
                match rule.action {
                    // It decides, and what follows is not looked at.
                    Some(_) => break,
                    None => continue,
                }
            };
            if when.looks_at_arguments() {
                return true;
            }
            if rule.action.is_some() && !matches!(rule.matches(&known), Match::No(_)) {
                break;
            }
        }
        theirs
    }
}
