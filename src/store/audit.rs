//! The audit chain: what an entry is, how it is hashed, how it is appended.
//!
//! ```text
//! body  = SHA-256("holdpoint-audit-payload-v1" 0x00 salt[16] payload)
//! entry = SHA-256("holdpoint-audit-entry-v1"   0x00 log-id[16] sequence[u64 BE]
//!                 previous[32] at[i64 BE, ms] length-of-kind[u8] kind body[32])
//! ```
//!
//! The payload lies beside the entry, and its hash is salted, so that it can be
//! erased later without breaking the chain and without leaving a hash that can
//! be guessed. A chain without signatures can be rebuilt by who can write the
//! database; keep a head elsewhere (`holdpoint audit verify`) to notice that.

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::tx::{Head, State};
use crate::call::ids::RequestId;
use crate::call::json::Json;
use crate::call::model::{Call, Category, Decision, Request, Status};
use crate::call::time::Time;

/// Hash of a payload with its salt.
pub fn body_hash(salt: &[u8], payload: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"holdpoint-audit-payload-v1\0");
    hash.update(salt);
    hash.update(payload.as_bytes());
    hash.finalize().into()
}

/// Hash of an entry: covers all of it and, through `previous`, all before it.
pub fn entry_hash(
    log_id: &[u8; 16],
    sequence: u64,
    previous: &[u8; 32],
    at: Time,
    kind: &str,
    body: &[u8; 32],
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"holdpoint-audit-entry-v1\0");
    hash.update(log_id);
    hash.update(sequence.to_be_bytes());
    hash.update(previous);
    hash.update(at.0.to_be_bytes());
    hash.update([kind.len() as u8]);
    hash.update(kind.as_bytes());
    hash.update(body);
    hash.finalize().into()
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $word:literal),+ $(,)?) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $variant),+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            /// The word that the contract uses.
            pub fn word(self) -> &'static str {
                match self { $(Kind::$variant => $word),+ }
            }
        }
    };
}

kinds! {
    /// A new request.
    Requested "requested",
    /// A new call id took over a request that nobody waited on.
    Resumed "resumed",
    /// An approval that is not the last one needed.
    ApprovalCounted "approval_counted",
    /// The last approval needed.
    Approved "approved",
    /// A denial.
    Denied "denied",
    /// A remembered denial was told again.
    DenialRepeated "denial_repeated",
    /// A remembered denial was lifted.
    DenialLifted "denial_lifted",
    /// Nobody answered in time.
    Expired "expired",
    /// The caller took it back.
    Withdrawn "withdrawn",
    /// The one use was handed over.
    UseGranted "use_granted",
    /// The approval was not used in time.
    UseLapsed "use_lapsed",
    /// The caller reported how it ended.
    OutcomeReported "outcome_reported",
    /// Nobody knows whether it ran.
    OutcomeUnknown "outcome_unknown",
    /// A call that was allowed without holding.
    CallAllowed "call_allowed",
    /// A call that was denied without holding.
    CallDenied "call_denied",
    /// A call that was refused because a limit was used up.
    CallLimited "call_limited",
    /// A call that a dry run let pass, and that would have been held without it.
    CallWouldBeHeld "call_would_be_held",
    /// A tool's definition is not what it was.
    DefinitionChanged "tool_definition_changed",
    /// An operator accepted a tool's new definition.
    DefinitionAccepted "tool_definition_accepted",
    /// A mail was taken by its server.
    MailSent "mail_sent",
    /// A mail could not be delivered for now; said once of each.
    MailDeferred "mail_deferred",
    /// A mail will not be delivered.
    MailFailed "mail_failed",
    /// An admin wanted a mail to be tried again.
    MailRetried "mail_retried",
    /// Somebody who may decide looked at it for the first time.
    Looked "looked",
    /// No mail about it could be delivered in time, and nobody looked.
    NobodyReached "nobody_reached",
    /// Somebody was reached after all.
    Reached "reached",
    /// The wall clock was stepped.
    ClockStepped "clock_stepped",
    /// An admin vouched for the clock.
    ClockConfirmed "clock_confirmed",
    /// An operator signed in to the pages.
    SignedIn "signed_in",
    /// An operator signed out of the pages, here or everywhere.
    SignedOut "signed_out",
    /// An operator turned summaries off, by the link in one.
    SummariesOff "summaries_off",
    /// An operator turned summaries on again.
    SummariesOn "summaries_on",
    /// The configuration was read again and is in force.
    ConfigReloaded "config_reloaded",
    /// The daemon began to serve.
    DaemonStarted "daemon_started",
    /// The daemon stopped in good order.
    DaemonStopped "daemon_stopped",
    /// What old entries said is erased.
    Erased "erased",
    /// The daemon began from a copy; what was open in it ended.
    Restored "restored",
}

/// An entry about to be appended: the columns that can be filtered, and more.
#[derive(Debug, Clone)]
pub struct Entry {
    kind: Kind,
    request: Option<RequestId>,
    caller: Option<String>,
    client: Option<String>,
    agent: Option<String>,
    session: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    category: Option<Category>,
    status: Option<Status>,
    /// Who decided, lifted, or confirmed.
    pub operator: Option<String>,
    /// Further members as they are written, each with a comma before it.
    more: String,
}

fn put_name(members: &mut String, name: &str) {
    members.push(',');
    Json::from(name).write_text(members);
    members.push(':');
}

fn put(members: &mut String, name: &str, value: &str) {
    put_name(members, name);
    Json::from(value).write_text(members);
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Entry {
    /// About the daemon itself.
    pub fn new(kind: Kind) -> Self {
        Entry {
            kind,
            request: None,
            caller: None,
            client: None,
            agent: None,
            session: None,
            server: None,
            tool: None,
            category: None,
            status: None,
            operator: None,
            more: String::new(),
        }
    }

    /// About a call, held or not.
    pub fn about_call(kind: Kind, call: &Call) -> Self {
        Entry {
            caller: said(&call.caller),
            client: said(&call.client),
            agent: said(&call.agent.name),
            session: said(&call.agent.session),
            server: said(&call.server),
            tool: said(&call.tool),
            category: Some(call.category),
            ..Entry::new(kind)
        }
    }

    /// About a tool of a server behind a caller.
    pub fn about_tool(kind: Kind, caller: &str, server: &str, tool: &str) -> Self {
        Entry { caller: said(caller), server: said(server), tool: said(tool), ..Entry::new(kind) }
    }

    /// About a request, as it is after what happened.
    pub fn about(kind: Kind, request: &Request) -> Self {
        Entry {
            request: Some(request.id),
            status: Some(request.status),
            ..Entry::about_call(kind, &request.call)
        }
    }

    /// About a request, or about the daemon itself where there is none.
    pub fn about_any(kind: Kind, request: Option<&Request>) -> Self {
        request.map_or_else(|| Entry::new(kind), |request| Entry::about(kind, request))
    }

    /// Adds a member to the payload; an empty text is left out.
    pub fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            put(&mut self.more, name, value);
        }
    }

    /// Adds a list of texts to the payload; an empty one is left out.
    pub fn texts(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.member(name, &Json::array(values.iter().map(String::as_str)));
        }
    }

    /// Adds any member to the payload.
    pub fn member(&mut self, name: &str, value: &Json) {
        put_name(&mut self.more, name);
        value.write_text(&mut self.more);
    }

    /// Adds what a call is, whole; masked values stay masked.
    pub fn whole_call(&mut self, call: &Call, with_arguments: bool) {
        self.text("agent_version", &call.agent.version);
        self.text("on_behalf_of", &call.agent.on_behalf_of);
        self.text("digest", &call.digest.to_string());
        self.text("risk", call.risk.word());
        if with_arguments {
            // JSON in our own writing already: parsed and written again it is the same.
            put_name(&mut self.more, "arguments");
            self.more.push_str(&call.arguments);
            self.member("hidden_values", &Json::from(u64::from(call.hidden_values)));
        }
        self.text("rule", &call.rule);
        self.text("policy_revision", &call.policy_revision);
        self.text("tool_definition_hash", &call.tool_definition_hash);
        self.text("explanation", &call.explanation);
        if !call.labels.is_empty() {
            let labels = call.labels.iter();
            self.member("labels", &Json::object(labels.map(|(k, v)| (k, Json::from(v.as_str())))));
        }
        self.texts("not_covered", &call.not_covered);
        self.texts("evidence", &call.evidence);
        self.text("definition_changed", &call.definition_changed);
    }

    /// Adds a decision, and names the operator in the column.
    pub fn decision(&mut self, decision: &Decision) {
        self.operator = Some(decision.operator.clone());
        self.text("reason", &decision.reason);
        self.text("digest", &decision.digest.to_string());
        self.text("strength", decision.strength.word());
        if decision.own_call {
            self.member("own_call", &Json::Bool(true));
        }
        if let Some(shown) = decision.on_screen {
            let ms = u64::try_from(shown.as_millis()).unwrap_or(u64::MAX);
            self.member("on_screen_ms", &Json::from(ms));
        }
    }

    /// Adds for whom a queued mail has become pointless, if for anyone.
    pub fn not_mailed(&mut self, operators: &[String]) {
        self.texts("mail_not_needed", operators);
    }

    /// Everything that the entry says, as it is hashed.
    fn payload(&self) -> String {
        let mut members = String::with_capacity(512 + self.more.len());
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                put(&mut members, name, value);
            }
        };
        add("request", self.request.map(|id| id.to_string()).as_deref());
        add("caller", self.caller.as_deref());
        add("client", self.client.as_deref());
        add("agent", self.agent.as_deref());
        add("session", self.session.as_deref());
        add("server", self.server.as_deref());
        add("tool", self.tool.as_deref());
        add("category", self.category.map(Category::word));
        add("status", self.status.map(Status::word));
        add("operator", self.operator.as_deref());
        members.push_str(&self.more);
        // In place of the first comma, if there is any member.
        members.replace_range(..members.len().min(1), "{");
        members.push('}');
        members
    }

    /// Writes the entry behind the head, and returns the new head.
    pub(super) fn append(
        &self,
        conn: &Connection,
        state: &State,
        now: Time,
    ) -> Result<Head, StoreError> {
        let payload = self.payload();
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)
            .map_err(|e| StoreError::Unavailable(format!("no random numbers: {e}")))?;
        let body = body_hash(&salt, &payload);
        let sequence = state.head.sequence + 1;
        let hash =
            entry_hash(&state.log_id, sequence, &state.head.hash, now, self.kind.word(), &body);
        let high = if state.head.sequence == 0 { now } else { state.head.high.max(now) };
        conn.prepare_cached(
            "INSERT INTO audit (seq, at, high, kind, body, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            sequence as i64,
            now.0,
            high.0,
            self.kind.word(),
            body,
            state.head.hash,
            hash
        ])?;
        conn.prepare_cached(
            "INSERT INTO audit_body (seq, salt, payload, request, caller, client, agent, session,
               server, tool, category, status, operator)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            sequence as i64,
            salt,
            payload,
            self.request.map(|id| *id.as_bytes()),
            self.caller,
            self.client,
            self.agent,
            self.session,
            self.server,
            self.tool,
            self.category.map(Category::number),
            self.status.map(Status::number),
            self.operator,
        ])?;
        Ok(Head { sequence, hash, at: now, high })
    }
}

/// Reads JSON that the store itself wrote. A payload carries arguments inside,
/// and so nests deeper than they may.
pub(super) fn stored_json(text: &str) -> Result<Json, StoreError> {
    crate::call::json::parse_envelope(text.as_bytes())
        .map_err(|e| StoreError::Corrupt(e.to_string()))
}

/// Reads where the chain stands.
pub(super) fn head(conn: &Connection) -> rusqlite::Result<Head> {
    use rusqlite::OptionalExtension;
    let newest = conn
        .prepare_cached("SELECT seq, hash, at, high FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(Head {
                sequence: row.get::<_, i64>(0)? as u64,
                hash: row.get(1)?,
                at: Time(row.get(2)?),
                high: Time(row.get(3)?),
            })
        })
        .optional()?;
    Ok(newest.unwrap_or(Head { sequence: 0, hash: [0; 32], at: Time(0), high: Time(0) }))
}

/// Sequence number of the newest entry; 0 before the first.
pub fn newest_sequence(conn: &Connection) -> Result<u64, StoreError> {
    Ok(head(conn)?.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::call;

    #[test]
    fn a_payload_is_one_object_in_our_own_writing() {
        let mut held = call("c", "s", 1);
        held.arguments = crate::call::json::parse(
            r#"{"b": 1.50, "a":[1e5, "\u202e\"", {}], "": null}"#.as_bytes(),
        )
        .expect("good JSON")
        .to_text();
        held.labels.insert("k \n".to_owned(), "v\u{7f}".to_owned());
        held.not_covered.push("cwd".to_owned());
        let mut whole = Entry::about_call(Kind::CallAllowed, &held);
        whole.text("reason", "because \"so\"");
        whole.whole_call(&held, true);
        let mut short = Entry::new(Kind::DaemonStarted);
        short.text("version", "1");
        for (entry, begins) in [
            (whole, "{\"caller\":"),
            (short, "{\"version\":\"1\"}"),
            (Entry::new(Kind::DaemonStopped), "{}"),
        ] {
            let payload = entry.payload();
            assert!(payload.starts_with(begins), "{payload}");
            assert_eq!(stored_json(&payload).expect("JSON").to_text(), payload);
        }
    }
}
