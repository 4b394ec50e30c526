//! Who may decide, asked at the instant of the transition.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::people::{self, People};
use crate::call::model::Request;
use crate::store::decide::{Entitled, NotEntitled};

/// The people of whichever configuration holds when the store asks: one who was
/// removed between opening a request and deciding it does not count.
pub struct Entitlement {
    people: Arc<RwLock<Arc<People>>>,
}

impl Entitlement {
    /// Looks at these people.
    pub fn new(people: Arc<RwLock<Arc<People>>>) -> Self {
        Entitlement { people }
    }
}

impl fmt::Debug for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entitlement").finish_non_exhaustive()
    }
}

impl Entitled for Entitlement {
    fn groups(&self, operator: &str, request: &Request) -> Result<BTreeSet<String>, NotEntitled> {
        let people = self.people.read().unwrap_or_else(PoisonError::into_inner).clone();
        people
            .entitled(operator, &request.requirement, &request.call.agent.on_behalf_of)
            .map_err(|no| NotEntitled {
                own_call: no == people::NotEntitled::OwnCall,
                why: no.to_string(),
            })?;
        Ok(people.operator(operator).map(|o| o.groups.clone()).unwrap_or_default())
    }
}
