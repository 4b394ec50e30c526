//! `rate_limit:`, so many calls within a window that slides.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::Rule;
use crate::call::hex::hex;
use crate::call::safe_text::SafeText;
use crate::policy::call::{Action, Call, Counters, From, LimitKey, Take};

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub max: u32,
    pub window: Duration,
    pub per: Per,
    /// Words to put before ours when it is used up.
    pub reason: Option<String>,
    /// What tells it from other limits: its rule's name, or a hash of what it matches.
    pub id: String,
}

/// Who has a limit of his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    Session,
    Client,
    User,
    Server,
    All,
}

impl Per {
    /// With the words for them.
    pub const ALL: [(&'static str, Per); 5] = [
        ("session", Per::Session),
        ("client", Per::Client),
        ("user", Per::User),
        ("server", Per::Server),
        ("all", Per::All),
    ];
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Per::ALL.iter().find(|(_, per)| per == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// The longest identity that stands in a key as it is, in bytes.
const LONGEST_IDENTITY: usize = 200;

impl Limit {
    /// The place that a call takes.
    ///
    /// # Errors
    /// None is free, or it cannot be told: what happens then.
    pub fn room(
        &self,
        call: &Call<'_>,
        rule: &Rule,
        counters: &dyn Counters,
    ) -> Result<Take, Action> {
        let key = self.key(call);
        let Ok(recent) = counters.recent(&key, self.max, self.window) else {
            let reason = "What was counted so far cannot be read, so this call cannot be \
                          allowed now; try again later."
                .to_owned();
            return Err(Action::Limited { reason, again_in: None });
        };
        if recent.count >= self.max {
            return Err(Action::Limited {
                reason: self.used_up(rule),
                again_in: Some(recent.free_in),
            });
        }
        Ok(Take::Sliding { key, max: self.max, window: self.window })
    }

    /// When there is room again is told beside it, by whoever tells the agent.
    fn used_up(&self, rule: &Rule) -> String {
        let own = self.reason.as_ref().map(|reason| format!("{reason} ")).unwrap_or_default();
        let name = match &rule.name {
            Some(name) => format!("the rule \"{}\"", SafeText::line(name)),
            None => rule.label.clone(),
        };
        let calls = if self.max == 1 { "call in" } else { "calls in" };
        let window = self.window.as_secs();
        let verb = if self.max == 1 { "is" } else { "are" };
        format!("{own}At most {} {calls} {window} s {verb} allowed by {name}.", self.max)
    }

    /// Whose limit this is. What is not known falls back to what is, and never to
    /// having no limit.
    fn key(&self, call: &Call<'_>) -> LimitKey {
        let From { client, session, user, .. } = call.from;
        let by_client = || match client {
            "" => format!("server {}", identity(call.server)),
            client => format!("client {}", identity(client)),
        };
        let whose = match self.per {
            // Another client's session of the same name is another session.
            Per::Session if !session.is_empty() => {
                format!("session {} of client {}", identity(session), identity(client))
            }
            Per::User if !user.is_empty() => format!("user {}", identity(user)),
            Per::Session | Per::Client | Per::User => by_client(),
            Per::Server => format!("server {}", identity(call.server)),
            Per::All => "all".to_owned(),
        };
        LimitKey(format!("{} {whose}", self.id))
    }
}

/// A name in quotes, so that none can pass for two; a long one as its hash.
fn identity(name: &str) -> String {
    if name.len() > LONGEST_IDENTITY {
        format!("sha256:{}", hex(&Sha256::digest(name)))
    } else {
        format!("{name:?}")
    }
}

/// What tells a limit from others, where its rule has a name.
pub fn named(name: &str) -> String {
    format!("rule {}", identity(name))
}

/// The same by what its rule matches: a rule that moves keeps its count.
pub fn unnamed(matches: &str) -> String {
    format!("match {}", &hex(&Sha256::digest(matches))[..32])
}
