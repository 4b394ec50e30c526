//! Who may decide, asked at the instant of the transition.

use std::fmt;

use super::in_force::Current;
use super::people;
use super::sees;
use crate::call::model::Request;
use crate::store::decide::{Counts, Entitled, NotEntitled};

/// The people of whichever configuration holds when the store asks: one who was
/// removed between opening a request and deciding it does not count.
pub struct Entitlement {
    current: Current,
}

impl Entitlement {
    /// Looks at the people who stand here.
    pub fn new(current: Current) -> Self {
        Entitlement { current }
    }
}

impl fmt::Debug for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entitlement").finish_non_exhaustive()
    }
}

impl Entitled for Entitlement {
    fn counts(&self, operator: &str, request: &Request) -> Result<Counts, NotEntitled> {
        let people = &self.current.get().people;
        let on_behalf_of = request.call.agent.on_behalf_of.as_str();
        let known = people.operator(operator);
        people.entitled(operator, &request.requirement, on_behalf_of).map_err(|no| {
            NotEntitled {
                hidden: known.is_some_and(|operator| !sees(operator, request)),
                own_call: no == people::NotEntitled::OwnCall,
                why: no.to_string(),
            }
        })?;
        let Some(operator) = known else { return Ok(Counts::default()) };
        Ok(Counts {
            groups: operator.groups.clone(),
            // Nobody else gets here with a call of their own.
            own_call: operator.sole_local && (on_behalf_of.is_empty() || operator.is(on_behalf_of)),
        })
    }
}
