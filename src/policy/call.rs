//! A call as the policy sees it, and what the policy says of it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::judging::{Judgement, Tool};
use crate::call::json::Json;

/// A call of a tool, with everything that a policy may look at.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The server, by its name in the proxy's configuration.
    pub server: &'a str,
    /// The tool, as the agent named it.
    pub tool: &'a str,
    /// What the server says the tool is.
    pub definition: Definition<'a>,
    /// The arguments: an object, or what the agent sent in its place.
    pub arguments: &'a Json,
    /// Who calls.
    pub from: From<'a>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What is known of what a server says a tool is.
#[derive(Debug, Clone, Copy)]
pub enum Definition<'a> {
    /// This.
    Is(&'a Tool),
    /// It lists its tools, and this is none of them.
    NotListed,
    /// Its list cannot be had.
    Unknown,
}

impl<'a> Definition<'a> {
    /// The tool, if it is known.
    pub fn tool(self) -> Option<&'a Tool> {
        match self {
            Definition::Is(tool) => Some(tool),
            Definition::NotListed | Definition::Unknown => None,
        }
    }
}

/// Who makes a call. What is not known is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct From<'a> {
    /// The client, as the proxy authenticated it.
    pub client: &'a str,
    /// The session.
    pub session: &'a str,
    /// On whose behalf, as the proxy's configuration says.
    pub user: &'a str,
    /// What the agent calls itself.
    pub agent: &'a str,
    /// Its version, in its own words.
    pub agent_version: &'a str,
}

/// What happens to a call, why, and what it takes from limits and counters if it passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What happens.
    pub action: Action,
    /// The rule that says so, for example `rules[3] "no deletes" (line 12)`:
    /// safe text on one line, at most 200 bytes.
    pub rule: String,
    /// What the call does and how bad a mistake would be, with the evidence.
    pub judgement: Judgement,
    /// What it takes, all or nothing, when it is let pass or its use is taken. Empty
    /// where it is denied.
    pub takes: Vec<Take>,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It passes.
    Allow,
    /// It does not.
    Deny {
        /// Why, for the agent: one line.
        reason: String,
    },
    /// It does not just now: a limit is used up.
    Limited {
        /// Why, for the agent: one line.
        reason: String,
        /// When the same call may pass; `None`: it cannot be told, or never.
        again_in: Option<Duration>,
    },
    /// A person is asked.
    Hold(Hold),
}

/// How a person is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hold {
    /// How long people have; `None`: the policy does not say.
    pub timeout: Option<Duration>,
    /// What the agent is told while it waits or is refused, beside our own words.
    pub told: Option<String>,
    /// Labels for the request: routes may look at them.
    pub labels: Vec<(String, String)>,
    /// A route of the daemon that has to be satisfied too: it can only tighten.
    pub route: Option<String>,
}

impl Action {
    /// The word for it in a document and in a table of expected verdicts.
    pub fn word(&self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Deny { .. } => "deny",
            Action::Limited { .. } => "limited",
            Action::Hold(_) => "require_approval",
        }
    }

    /// The more, the less may happen: allow, hold, limited, deny.
    pub(crate) fn strictness(&self) -> u8 {
        match self {
            Action::Allow => 0,
            Action::Hold(_) => 1,
            Action::Limited { .. } => 2,
            Action::Deny { .. } => 3,
        }
    }

    /// Whether a call that was let pass under `other` may not run any more under this
    /// one.
    ///
    /// Two holds are equally strict whatever their timeouts. A timeout says how long
    /// people have to answer; once they have, an approval is worth the same.
    pub fn is_stricter_than(&self, other: &Action) -> bool {
        self.strictness() > other.strictness()
    }
}

/// What one call takes from one limit or counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// One place among the last `max` within a window that slides.
    Sliding {
        /// Which limit, and whose.
        key: LimitKey,
        /// How many places there are.
        max: u32,
        /// How long a place stays taken.
        window: Duration,
    },
    /// An amount of a counter that begins again at each calendar window, in UTC.
    Counter {
        /// Which counter.
        key: CounterKey,
        /// What is added; may be less than nothing.
        amount: i64,
        /// What the counter may not exceed afterwards; `None`: anything goes.
        limit: Option<i64>,
    },
}

/// Which sliding limit, and whose: text of both, at most 1 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitKey(pub String);

/// Which counter: PolicyLayer Intercept's `state.SCOPE.NAME`, on one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey {
    /// The server whose tools it counts.
    pub server: String,
    /// The tool, or `_global`.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// When it begins again.
    pub window: Window,
}

/// A window that begins at the calendar's minute, hour or day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// What was taken so far, as of the moment at which the call is judged.
pub trait Counters {
    /// How many places are taken within the window that ends now, and how long it
    /// takes until fewer than `max` are.
    ///
    /// # Errors
    /// It cannot be told.
    fn recent(&self, key: &LimitKey, max: u32, window: Duration) -> Result<Recent, Untold>;

    /// What the counter has reached in the present window.
    ///
    /// # Errors
    /// It cannot be told.
    fn value(&self, key: &CounterKey) -> Result<i64, Untold>;
}

/// How full a sliding limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recent {
    /// Places taken, counted up to the limit.
    pub count: u32,
    /// Until one is free again; zero if one is.
    pub free_in: Duration,
}

/// What counters say cannot be had. Nothing is allowed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was counted so far cannot be read")]
pub struct Untold;

/// Counters of which nothing was ever taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fresh;

impl Counters for Fresh {
    fn recent(&self, _: &LimitKey, _: u32, _: Duration) -> Result<Recent, Untold> {
        Ok(Recent::default())
    }

    fn value(&self, _: &CounterKey) -> Result<i64, Untold> {
        Ok(0)
    }
}
