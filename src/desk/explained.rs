//! Who would be asked for a call, and why: for admins, before it is made.
//!
//! Promises: the answer is what a call like it would get at this moment, by the same
//! functions. Must never: be asked by callers, who need not know the people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Desk;
use super::error::DeskError;
use super::people::{NotEntitled, Operator};
use super::routes::{Facts, ToldRoute};
use crate::call::model::{Category, Risk};
use crate::call::requirement::Requirement;

/// A call that nobody makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeUp {
    /// The server's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// What the tool does.
    pub category: Option<Category>,
    /// How bad a mistake would be.
    pub risk: Option<Risk>,
    /// What a policy would say of it besides.
    pub labels: BTreeMap<String, String>,
    /// The route that the caller would name; empty: none.
    pub route: String,
    /// The person for whom it would be made; empty: nobody.
    pub on_behalf_of: String,
}

/// What would become of it.
#[derive(Debug)]
pub struct Explained {
    /// Every route, and whether it applies.
    pub routes: Vec<ToldRoute>,
    /// Who would have to agree.
    pub requirement: Requirement,
    /// How long they would have.
    pub timeout: Duration,
    /// Whose decision would count.
    pub asked: Vec<Arc<Operator>>,
    /// Whose would not, and why.
    pub left_out: Vec<(Arc<Operator>, NotEntitled)>,
    /// Why it would be refused at once, if it would.
    pub refused: Option<String>,
}

impl MadeUp {
    fn facts(&self) -> Facts<'_> {
        Facts {
            server: &self.server,
            tool: &self.tool,
            category: self.category.unwrap_or(Category::Unspecified),
            risk: self.risk.unwrap_or(Risk::Unspecified),
            labels: &self.labels,
            also: &self.route,
        }
    }
}

impl Desk {
    /// The routes in force, in order.
    pub fn told_routes(&self) -> Vec<ToldRoute> {
        self.current.get().routes.told(None)
    }

    /// Who would be asked.
    ///
    /// # Errors
    /// It names a route that there is not.
    pub fn explain(&self, call: &MadeUp) -> Result<Explained, DeskError> {
        let in_force = self.current.get();
        let (people, facts) = (&in_force.people, call.facts());
        let (requirement, timeout) = in_force.routes.requirement(&facts, None)?;
        let on_behalf_of = call.on_behalf_of.as_str();
        let entitled = |operator: &Arc<Operator>| {
            people.entitled(&operator.name, &requirement, on_behalf_of).err()
        };
        let left_out = people.operators().filter_map(|o| Some((o.clone(), entitled(o)?))).collect();
        Ok(Explained {
            routes: in_force.routes.told(Some(&facts)),
            timeout: timeout.clamp(*super::TIMEOUT.start(), *super::TIMEOUT.end()),
            asked: people.asked(&requirement, on_behalf_of),
            left_out,
            refused: people.can_be_satisfied(&requirement, on_behalf_of).err(),
            requirement,
        })
    }
}
