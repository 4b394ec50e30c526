//! Calls, requests and decisions, in the words that the contract uses.

use std::collections::BTreeMap;
use std::time::Duration;

use super::digest::Digest;
use super::ids::RequestId;
use super::requirement::Requirement;
use super::time::Time;

/// Declares an enum whose variants have one fixed word and one fixed number,
/// the same in the store, the contract, the command line and the mails.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant = $number),+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word for it.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// Reads the word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }

            /// Its number in the contract and in the store.
            pub fn number(self) -> i32 {
                self as i32
            }

            /// Reads the number.
            pub fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// What a tool does to the world.
    Category {
        /// Unsaid, which counts as the most dangerous.
        Unspecified = 0 "unspecified",
        /// Looks, changes nothing.
        Read = 1 "read",
        /// Changes data.
        Write = 2 "write",
        /// Runs code or commands.
        Execute = 3 "execute",
        /// Removes or overwrites what cannot easily be had back.
        Destructive = 4 "destructive",
        /// Moves money or commits to pay.
        Financial = 5 "financial",
    }
}

words! {
    /// How bad a mistake would be.
    Risk {
        /// Unsaid, which counts as the most dangerous.
        Unspecified = 0 "unspecified",
        /// Hardly.
        Low = 1 "low",
        /// Somewhat.
        Medium = 2 "medium",
        /// Badly.
        High = 3 "high",
        /// Beyond repair.
        Critical = 4 "critical",
    }
}

words! {
    /// Where a request stands. Pending leads to exactly one of the others.
    Status {
        /// A person has not answered yet.
        Pending = 1 "pending",
        /// Enough people approved.
        Approved = 2 "approved",
        /// An operator said no.
        Denied = 3 "denied",
        /// Nobody answered in time.
        Expired = 4 "expired",
        /// The caller took it back.
        Withdrawn = 5 "withdrawn",
    }
}

words! {
    /// What became of an approved request's one use.
    Use {
        /// The request is not approved.
        None = 0 "none",
        /// Approved and not handed over yet.
        Unused = 1 "unused",
        /// Handed over, once.
        Taken = 2 "taken",
        /// Not taken in time; it never will be.
        Lapsed = 3 "lapsed",
    }
}

words! {
    /// What the caller said of the call after it ran.
    Outcome {
        /// Nothing (yet).
        None = 0 "none",
        /// It ran and succeeded.
        Succeeded = 1 "succeeded",
        /// It ran and failed.
        Failed = 2 "failed",
        /// Nobody knows whether it ran.
        Unknown = 3 "unknown",
    }
}

words! {
    /// Where a change of a tool's definition stands.
    DefinitionStatus {
        /// Nobody accepted it yet.
        Waiting = 1 "waiting",
        /// An operator accepted the new definition.
        Accepted = 2 "accepted",
        /// Another one of the same tool was accepted, or too many newer ones wait.
        Superseded = 3 "superseded",
    }
}

words! {
    /// Approve or deny.
    Verdict {
        /// Let it run.
        Approve = 1 "approve",
        /// Do not let it run.
        Deny = 2 "deny",
    }
}

words! {
    /// How the daemon knew who decided.
    Strength {
        /// Local mode: any program of the same user could have decided.
        Local = 1 "local",
        /// A bearer token of the operator's own.
        Token = 2 "token",
        /// A client certificate of the operator's own.
        Certificate = 3 "certificate",
        /// The link of a mail to the operator: whoever reads that mail could have decided.
        Link = 4 "link",
    }
}

words! {
    /// What a mail is.
    MailKind {
        /// A request waits for a decision.
        Asked = 1 "asked",
        /// It still does, and half of the time has passed.
        Reminder = 2 "reminder",
        /// It was approved.
        Approved = 3 "approved",
        /// It was denied.
        Denied = 4 "denied",
        /// Nobody decided in time.
        Expired = 5 "expired",
        /// Its caller took it back.
        Withdrawn = 6 "withdrawn",
        /// Nobody knows whether the approved call ran.
        OutcomeUnknown = 7 "outcome_unknown",
        /// Several of the others in one.
        Summary = 8 "summary",
    }
}

impl MailKind {
    /// What is told about a request that ended so; `None` while it has not.
    pub fn of_ending(status: Status) -> Option<Self> {
        match status {
            Status::Pending => None,
            Status::Approved => Some(MailKind::Approved),
            Status::Denied => Some(MailKind::Denied),
            Status::Expired => Some(MailKind::Expired),
            Status::Withdrawn => Some(MailKind::Withdrawn),
        }
    }

    /// Whether it asks for something, and so has no point once its request has ended.
    pub fn asks(self) -> bool {
        matches!(self, MailKind::Asked | MailKind::Reminder)
    }
}

/// What the client says of itself: claims, not identities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agent {
    /// For example `claude-code`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its session; part of the scope.
    pub session: String,
    /// The person for whom it works; that person cannot decide.
    pub on_behalf_of: String,
}

/// Where a call comes from, and so which earlier requests it may continue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Scope {
    /// The authenticated caller.
    pub caller: String,
    /// Who the caller serves.
    pub client: String,
    /// For whom the agent works.
    pub on_behalf_of: String,
    /// The agent's session.
    pub session: String,
}

impl Scope {
    /// Without a client and without a session nothing tells one agent from
    /// another, so nothing is resumed and nothing is remembered.
    pub fn tells_agents_apart(&self) -> bool {
        !self.client.is_empty() || !self.session.is_empty()
    }
}

/// A call as the store keeps it: checked, digested, and with secrets masked.
/// The arguments that were hashed are gone by the time one of these exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The authenticated caller.
    pub caller: String,
    /// Who the caller serves.
    pub client: String,
    /// What the client says of itself.
    pub agent: Agent,
    /// The MCP server's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// Masked arguments: a JSON object's text, numbers exact.
    pub arguments: String,
    /// How many values were masked, in whole or in part.
    pub hidden_values: u32,
    /// Binds decisions to the call.
    pub digest: Digest,
    /// What the tool does.
    pub category: Category,
    /// How bad a mistake would be.
    pub risk: Risk,
    /// The rule that asked for approval.
    pub rule: String,
    /// The revision of the policy it stands in.
    pub policy_revision: String,
    /// Hash of the tool's definition.
    pub tool_definition_hash: String,
    /// The agent's own words, secrets masked.
    pub explanation: String,
    /// The caller's labels, secrets masked.
    pub labels: BTreeMap<String, String>,
    /// What the digest does not cover, in the caller's words.
    pub not_covered: Vec<String>,
    /// Why category and risk are what they are, in the caller's words.
    pub evidence: Vec<String>,
    /// That the tool's definition changed and nobody accepted it yet, in the
    /// caller's words; empty: that is not so.
    pub definition_changed: String,
}

impl Call {
    /// The scope that this call belongs to.
    pub fn scope(&self) -> Scope {
        Scope {
            caller: self.caller.clone(),
            client: self.client.clone(),
            on_behalf_of: self.agent.on_behalf_of.clone(),
            session: self.agent.session.clone(),
        }
    }
}

/// One operator's decision on one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The operator's configured name.
    pub operator: String,
    /// Yes or no.
    pub verdict: Verdict,
    /// Why, secrets masked.
    pub reason: String,
    /// When it was recorded.
    pub at: Time,
    /// The digest that was shown.
    pub digest: Digest,
    /// How the operator was known.
    pub strength: Strength,
    /// The only local operator decided what was asked on their own behalf.
    pub own_call: bool,
    /// How long what was decided had been on the operator's screen; `None` where a
    /// door does not know.
    pub on_screen: Option<Duration>,
}

/// One mail to one operator about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is.
    pub kind: MailKind,
    /// To whom.
    pub operator: String,
    /// `queued`, `deferred`, `sent`, `failed` or `pointless`.
    pub state: String,
    /// The server's answer or the last error.
    pub detail: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was sent, or last tried; `None` before the first attempt.
    pub at: Option<Time>,
    /// Not before then it is tried again, while it is deferred.
    pub next_attempt: Option<Time>,
    /// It goes, or went, within a summary.
    pub in_summary: bool,
}

/// Somebody who may decide a request looked at it, whole, while it was pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Who.
    pub operator: String,
    /// The first time.
    pub at: Time,
}

/// Nobody who is asked could be reached by mail in time, and nobody had looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// When that was found.
    pub since: Time,
    /// What stood in the way.
    pub why: String,
}

/// The daemon's durable record of a held call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// Where it stands.
    pub status: Status,
    /// The call it holds.
    pub call: Call,
    /// Who has to agree.
    pub requirement: Requirement,
    /// The call id that holds it now.
    pub call_id: String,
    /// When it was submitted.
    pub created: Time,
    /// When it expires if nobody decides.
    pub deadline: Time,
    /// When it stopped being pending.
    pub ended: Option<Time>,
    /// Every decision made on it, oldest first.
    pub decisions: Vec<Decision>,
    /// How often it was asked again after it was denied.
    pub asked_again: u32,
    /// An operator lifted the remembered denial.
    pub denial_lifted: bool,
    /// How often a new call id took it over.
    pub resumed: u32,
    /// A live identical request, when this one was submitted.
    pub identical_to: Option<RequestId>,
    /// Identical requests of the scope whose use was taken, and of which it was not
    /// known how they ended, when this one was submitted.
    pub may_have_run: Vec<RequestId>,
    /// What became of the use.
    pub use_: Use,
    /// When an unused approval lapses.
    pub lapses: Option<Time>,
    /// When the use was taken.
    pub used: Option<Time>,
    /// Whether an outcome is to be expected.
    pub outcome_expected: bool,
    /// Until when the use is leased; `None` unless an outcome is still expected.
    pub lease_until: Option<Time>,
    /// What was reported.
    pub outcome: Outcome,
    /// The caller's words on it, secrets masked.
    pub outcome_detail: String,
    /// When it was reported or became unknown.
    pub outcome_at: Option<Time>,
    /// Who looked at it, oldest first.
    pub looked: Vec<Look>,
    /// By when somebody should have been reached; `None` once that is settled, or
    /// where nobody is told by a mail server.
    pub reach_by: Option<Time>,
    /// Nobody was reached by then, and nobody has been since.
    pub unreached: Option<Unreached>,
    /// Who was told by mail.
    pub notices: Vec<Notice>,
}

impl Request {
    /// One that was submitted a moment ago: nobody has looked, decided or run anything.
    pub fn pending(
        id: RequestId,
        call_id: String,
        call: Call,
        requirement: Requirement,
        created: Time,
        timeout: Duration,
    ) -> Self {
        Request {
            id,
            status: Status::Pending,
            call,
            requirement,
            call_id,
            created,
            deadline: created + timeout,
            ended: None,
            decisions: Vec::new(),
            asked_again: 0,
            denial_lifted: false,
            resumed: 0,
            identical_to: None,
            may_have_run: Vec::new(),
            use_: Use::None,
            lapses: None,
            used: None,
            outcome_expected: false,
            lease_until: None,
            outcome: Outcome::None,
            outcome_detail: String::new(),
            outcome_at: None,
            looked: Vec::new(),
            reach_by: None,
            unreached: None,
            notices: Vec::new(),
        }
    }
}
