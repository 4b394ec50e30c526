//! Which people have to agree to a call, and how long they have.
//!
//! Promises: every route that matches applies; a category or risk that a call leaves
//! unsaid matches every filter, so that saying less never asks fewer people; a label
//! or a route's name that a caller adds never takes a demand away. Pure: the same
//! call always gets the same requirement from the same routes.

mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use globset::{Candidate, GlobMatcher};

use crate::call::model::{Category, Risk};
use crate::call::requirement::{Clause, Requirement};
use crate::config::{BUILT_IN, RouteConfig};
use crate::desk::error::DeskError;

pub use told::ToldRoute;

/// What routes look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The server's name.
    pub server: &'a str,
    /// The tool's name.
    pub tool: &'a str,
    /// What the tool does.
    pub category: Category,
    /// How bad a mistake would be.
    pub risk: Risk,
    /// What the caller's policy says of it besides.
    pub labels: &'a BTreeMap<String, String>,
    /// The name of a route that counts whether it matches or not; empty: none.
    pub also: &'a str,
}

/// All routes of a configuration, ready to match.
#[derive(Debug, Clone)]
pub struct Routes {
    routes: Vec<Route>,
    default_timeout: Duration,
}

/// An empty filter matches everything.
#[derive(Debug, Clone)]
struct Route {
    // `GlobMatcher` rather than `GlobSet`: a set takes short cuts through file
    // names and extensions, which names of tools do not have.
    servers: Vec<GlobMatcher>,
    tools: Vec<GlobMatcher>,
    categories: Vec<Category>,
    risks: Vec<Risk>,
    labels: Vec<(String, GlobMatcher)>,
    timeout: Option<Duration>,
    clause: Clause,
}

impl Routes {
    /// Makes the routes ready. `default_timeout` holds where neither a route
    /// nor the caller says.
    pub fn new(routes: &[RouteConfig], default_timeout: Duration) -> Routes {
        Routes { routes: routes.iter().map(Route::new).collect(), default_timeout }
    }

    /// Who has to agree to a call, and within which time.
    ///
    /// Each matching route adds a clause; the shortest time-out of them and of
    /// the caller's own holds. No match: one approval by any operator. The route that
    /// the caller names adds to what the call would need without it, also where
    /// that is the one approval; it can shorten the time, and not lengthen it.
    ///
    /// # Errors
    /// The caller names a route that there is not.
    pub fn requirement(
        &self,
        facts: &Facts<'_>,
        asked_timeout: Option<Duration>,
    ) -> Result<(Requirement, Duration), DeskError> {
        let also = match facts.also {
            "" => None,
            name => {
                let named = self.named(name);
                Some(named.ok_or_else(|| DeskError::NoSuchRoute(name.to_owned()))?)
            }
        };
        let (server, tool) = (Candidate::new(facts.server), Candidate::new(facts.tool));
        let mut requirement = Requirement::default();
        let mut timeout = asked_timeout;
        for route in self.routes.iter().filter(|route| route.matches(&server, &tool, facts)) {
            timeout = [timeout, route.timeout].into_iter().flatten().min();
            add(&mut requirement, &route.clause);
        }
        if requirement.clauses.is_empty() {
            requirement.clauses.push(built_in());
        }
        let mut timeout = timeout.unwrap_or(self.default_timeout);
        if let Some(route) = also {
            timeout = timeout.min(route.timeout.unwrap_or(timeout));
            add(&mut requirement, &route.clause);
        }
        Ok((requirement, timeout))
    }

    fn named(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.clause.route == name)
    }
}

impl Route {
    fn new(config: &RouteConfig) -> Route {
        let matchers =
            |globs: &[globset::Glob]| globs.iter().map(|g| g.compile_matcher()).collect();
        Route {
            servers: matchers(&config.servers),
            tools: matchers(&config.tools),
            categories: config.categories.clone(),
            risks: config.risks.clone(),
            labels: config
                .labels
                .iter()
                .map(|(key, value)| (key.clone(), value.compile_matcher()))
                .collect(),
            timeout: config.timeout,
            clause: Clause {
                route: config.name.clone(),
                groups: config.ask.clone(),
                approvals: config.approvals,
                sign_in: config.require_sign_in,
            },
        }
    }

    fn matches(&self, server: &Candidate<'_>, tool: &Candidate<'_>, facts: &Facts<'_>) -> bool {
        self.has_category(facts)
            && self.has_risk(facts)
            && self.has_labels(facts)
            && any(&self.servers, server)
            && any(&self.tools, tool)
    }

    /// What a call leaves unsaid matches every filter.
    fn has_category(&self, facts: &Facts<'_>) -> bool {
        facts.category == Category::Unspecified
            || self.categories.is_empty()
            || self.categories.contains(&facts.category)
    }

    fn has_risk(&self, facts: &Facts<'_>) -> bool {
        facts.risk == Risk::Unspecified || self.risks.is_empty() || self.risks.contains(&facts.risk)
    }

    /// A label has its meaning from whoever puts it there: one that a call does not
    /// have was not left unsaid, and matches no filter.
    fn has_labels(&self, facts: &Facts<'_>) -> bool {
        let has = |(key, value): &(String, GlobMatcher)| {
            facts.labels.get(key).is_some_and(|label| value.is_match(label))
        };
        self.labels.iter().all(has)
    }
}

fn any(globs: &[GlobMatcher], name: &Candidate<'_>) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.is_match_candidate(name))
}

/// The clause for calls that no route matches.
fn built_in() -> Clause {
    Clause { route: BUILT_IN.to_owned(), groups: BTreeSet::new(), approvals: 1, sign_in: false }
}

/// Adds a clause unless the others imply it, and drops those that it implies:
/// an operator should not read the same demand twice.
fn add(requirement: &mut Requirement, clause: &Clause) {
    let one = |clause: &Clause| Requirement { clauses: vec![clause.clone()] };
    let new = one(clause);
    if requirement.is_weaker_than(&new) {
        requirement.clauses.retain(|old| new.is_weaker_than(&one(old)));
        requirement.clauses.extend(new.clauses);
    }
}

#[cfg(test)]
mod tests;
