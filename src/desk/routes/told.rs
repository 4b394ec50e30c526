//! The routes in words, and which of them a call meets: for admins who ask why.

use globset::{Candidate, GlobMatcher};

use super::{Facts, Route, Routes, any};
use crate::call::requirement::Clause;
use std::time::Duration;

/// A route as it stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldRoute {
    /// What it looks at: which part of a call, and what fits. Empty: every call.
    pub filters: Vec<(&'static str, Vec<String>)>,
    /// Whom it asks.
    pub clause: Clause,
    /// How long they have, where it says.
    pub timeout: Option<Duration>,
    /// The parts of the call that do not fit; `None` where no call was given.
    pub misses: Option<Vec<&'static str>>,
}

impl ToldRoute {
    /// Whether it applies to the call that was given.
    pub fn applies(&self) -> bool {
        self.misses.as_ref().is_some_and(Vec::is_empty)
    }
}

impl Routes {
    /// All of them, in order, beside a call if there is one.
    pub fn told(&self, facts: Option<&Facts<'_>>) -> Vec<ToldRoute> {
        let told = |route: &Route| ToldRoute {
            filters: route.filters(),
            clause: route.clause.clone(),
            timeout: route.timeout,
            misses: facts.map(|facts| route.misses(facts)),
        };
        self.routes.iter().map(told).collect()
    }
}

impl Route {
    fn filters(&self) -> Vec<(&'static str, Vec<String>)> {
        let globs =
            |globs: &[GlobMatcher]| globs.iter().map(|g| g.glob().glob().to_owned()).collect();
        let labels =
            self.labels.iter().map(|(key, value)| format!("{key}={}", value.glob().glob()));
        let all: [(&'static str, Vec<String>); 5] = [
            ("server", globs(&self.servers)),
            ("tool", globs(&self.tools)),
            ("category", self.categories.iter().map(|c| c.word().to_owned()).collect()),
            ("risk", self.risks.iter().map(|r| r.word().to_owned()).collect()),
            ("labels", labels.collect()),
        ];
        all.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Which parts of a call this route does not match.
    pub(super) fn misses(&self, facts: &Facts<'_>) -> Vec<&'static str> {
        let fits = [
            ("server", any(&self.servers, &Candidate::new(facts.server))),
            ("tool", any(&self.tools, &Candidate::new(facts.tool))),
            ("category", self.has_category(facts)),
            ("risk", self.has_risk(facts)),
            ("labels", self.has_labels(facts)),
        ];
        fits.into_iter().filter(|(_, fits)| !fits).map(|(part, _)| part).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{facts, globs, route};
    use super::*;
    use crate::call::model::{Category, Risk};
    use crate::config::RouteConfig;

    proptest! {
        #[test]
        fn a_route_is_said_to_apply_exactly_when_it_does(
            server in "[ab]", tool in "[ab]", category in 0..6_i32, risk in 0..5_i32,
        ) {
            let some = RouteConfig {
                servers: globs(&["a"]),
                categories: vec![Category::Write, Category::Destructive],
                ..route("some")
            };
            let other = RouteConfig { tools: globs(&["b*"]), risks: vec![Risk::High], ..route("other") };
            let routes = Routes::new(&[some, other], Duration::from_secs(1));
            let mut asked = facts(&server, &tool);
            asked.category = Category::from_number(category).expect("one");
            asked.risk = Risk::from_number(risk).expect("one");
            let (server, tool) = (Candidate::new(&server), Candidate::new(&tool));
            for (route, told) in routes.routes.iter().zip(routes.told(Some(&asked))) {
                prop_assert_eq!(route.matches(&server, &tool, &asked), told.applies(), "{:?}", told);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let some = RouteConfig { servers: globs(&["x"]), tools: globs(&["t*"]), ..route("some") };
        let routes = Routes::new(&[some], Duration::from_secs(1));
        let told = routes.told(Some(&facts("s", "t"))).remove(0);
        assert_eq!(told.misses, Some(vec!["server"]));
        assert_eq!(
            told.filters,
            [("server", vec!["x".to_owned()]), ("tool", vec!["t*".to_owned()])]
        );
        assert!(!routes.told(None).remove(0).applies());
    }
}
