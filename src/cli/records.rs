//! What `--json` prints: one object a line, with these fields. They are stable:
//! fields are added, never renamed or changed in meaning. Times are RFC 3339 in
//! UTC; a field that does not apply is `null` or empty, never left out.
//!
//! A request (`pending`, `show`, `mine`, `withdraw`, `watch`, `approve`, `deny`):
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `id` | string | the full id |
//! | `digest` | string | 64 hex digits: what a decision has to name |
//! | `status` | string | `pending`, `approved`, `denied`, `expired`, `withdrawn` |
//! | `server`, `tool` | string | what is called |
//! | `arguments` | object | as they were sent, numbers exact; values that look like secrets are masked |
//! | `hidden_values` | number | how many values were masked, in whole or in part |
//! | `category`, `risk` | string | words of the contract, or `unspecified` |
//! | `caller`, `client` | string | who holds the call here, and whom it serves |
//! | `agent` | object | `name`, `version`, `session`, `on_behalf_of`: claims of the agent |
//! | `explanation` | string | the agent's own words |
//! | `rule`, `policy_revision` | string | what asked for approval |
//! | `labels` | object | the caller's labels |
//! | `not_covered` | array of strings | what the digest does not cover |
//! | `evidence` | array of strings | why category and risk are what they are |
//! | `definition_changed` | string | not empty: that the tool's definition changed and nobody had accepted it |
//! | `created_at`, `deadline`, `ended_at` | string or null | |
//! | `time_left_ms` | number | until the deadline when this was printed; 0 once ended |
//! | `asked` | array of strings | operators who are asked |
//! | `required` | array | `route`, `groups`, `approvals`, `approved` of each clause |
//! | `decisions` | array | `operator`, `verdict`, `reason`, `decided_at`, `digest`, `strength`, `own_call`, `on_screen_ms` |
//! | `use` | string | `none`, `unused`, `taken`, `lapsed` |
//! | `lapses_at`, `used_at` | string or null | |
//! | `outcome` | string | `none`, `succeeded`, `failed`, `unknown` |
//! | `outcome_detail`, `outcome_at` | string, string or null | |
//! | `asked_again`, `resumed` | number | how often it was asked again after a denial, and continued |
//! | `identical_to` | string or null | a live request for the same call |
//! | `may_have_run` | array of strings | the same call, when it was not known how it ended |
//! | `denial_lifted`, `waited_on` | bool | |
//! | `looked` | array | `operator`, `at` of each who may decide and has read it; not told to callers |
//! | `unreached_at`, `unreached_why` | string or null, string | when and why nobody could be reached by mail; the reason is not told to callers |
//! | `notices` | array | `operator`, `kind`, `state`, `detail`, `attempts`, `at`, `in_summary`, `next_attempt_at` of each mail |
//!
//! `watch` adds `event` (`pending` for what was there at the start, else what
//! happened, as in the history's `kind`) and `sequence` to each request, and
//! prints `{"event":"ready"}` and `{"event":"reset"}` in between.
//!
//! The answer of `request` and of an `exec` that did not run:
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `id`, `digest` | string or null | null if the daemon never took it |
//! | `status` | string | as above, or `refused` |
//! | `granted` | bool | true: run it now, once |
//! | `exit` | number | the exit code |
//! | `server`, `tool` | string | |
//! | `deadline` | string or null | |
//! | `decisions` | array | as above |
//! | `resumed`, `remembered` | bool | continued an earlier request; told a remembered denial |
//! | `looked_count` | number | how many of those who are asked looked at it |
//! | `nobody_reached` | bool | nobody could be reached by mail, and nobody looked |
//! | `error`, `reason` | string or null | what was wrong, and the daemon's reason |
//!
//! A mail (`mail queue`): `id`, `request_id`, `gathers` (how many mails a summary
//! stands for), and what stands in `notices` above.
//!
//! A copy (`backup`): `file`, `copy` (random, tells copies apart), `taken_at`, `log`,
//! `entries`, `head`, `pending`, `unused` and `running` (what ends at the first start
//! from it), `bytes`, `took_ms`.
//!
//! A change of a tool's definition (`policy accept`): `caller`, `server`, `tool`,
//! `hash_before`, `hash_now`, `before` and `now` (the definitions, null where they are
//! not known), `before_cut`, `now_cut`, `changed` (where they differ), `status`
//! (`waiting`, `accepted`, `superseded`), `reported_at`, `accepted_by`, `accepted_at`,
//! `reason`, `not_written`, `may_accept`.
//!
//! A line of the table (`bench`): `section`, `what`, `unit`; `baseline`, `ours` and
//! `ratio`, each null or with `median`, `least` and `most` of the rounds; `rounds`,
//! `cores`, and `load` (the load average, in the same form).
//!
//! An entry of the history (`audit`): `sequence`, `at`, `kind`, `request_id`,
//! `caller`, `client`, `agent`, `session`, `server`, `tool`, `category`,
//! `status`, `operator`, `payload` (object), `hash`, `previous_hash`.

use crate::call::json::{self, Json};
use crate::call::model::{
    Category, DefinitionStatus, Outcome, Risk, Status, Strength, Use, Verdict,
};
use crate::proto;

/// A request as one JSON object.
pub fn request(r: &proto::Request) -> Json {
    Json::Object(request_members(r))
}

/// An event of `watch`: the request with what happened to it.
pub fn event(kind: &str, sequence: u64, r: &proto::Request) -> Json {
    let kind = if kind.is_empty() { "pending" } else { kind };
    let mut members = request_members(r);
    members.insert(0, ("event".to_owned(), kind.into()));
    members.insert(1, ("sequence".to_owned(), sequence.into()));
    Json::Object(members)
}

fn request_members(r: &proto::Request) -> Vec<(String, Json)> {
    let agent = r.agent.clone().unwrap_or_default();
    let members = [
        ("id", r.id.as_str().into()),
        ("digest", r.digest.as_str().into()),
        ("status", status(r.status).into()),
        ("server", r.server.as_str().into()),
        ("tool", r.tool.as_str().into()),
        ("arguments", embedded(&r.arguments)),
        ("hidden_values", r.hidden_values.into()),
        ("category", category(r.category).into()),
        ("risk", risk(r.risk).into()),
        ("caller", r.caller.as_str().into()),
        ("client", r.client.as_str().into()),
        (
            "agent",
            Json::object([
                ("name", agent.name.as_str().into()),
                ("version", agent.version.as_str().into()),
                ("session", agent.session.as_str().into()),
                ("on_behalf_of", agent.on_behalf_of.as_str().into()),
            ]),
        ),
        ("explanation", r.explanation.as_str().into()),
        ("rule", r.rule.as_str().into()),
        ("policy_revision", r.policy_revision.as_str().into()),
        ("labels", labels(r)),
        ("not_covered", Json::array(r.not_covered.iter().map(String::as_str))),
        ("evidence", Json::array(r.evidence.iter().map(String::as_str))),
        ("definition_changed", r.definition_changed.as_str().into()),
        ("created_at", or_null(&r.created_at)),
        ("deadline", or_null(&r.deadline)),
        ("ended_at", or_null(&r.ended_at)),
        ("time_left_ms", r.time_left_ms.into()),
        ("asked", Json::array(r.asked.iter().map(String::as_str))),
        ("required", Json::array(r.clauses.iter().map(clause))),
        ("decisions", decisions(&r.decisions)),
        ("use", use_(r.r#use).into()),
        ("lapses_at", or_null(&r.lapses_at)),
        ("used_at", or_null(&r.used_at)),
        ("outcome", outcome(r.outcome).into()),
        ("outcome_detail", r.outcome_detail.as_str().into()),
        ("outcome_at", or_null(&r.outcome_at)),
        ("asked_again", r.asked_again.into()),
        ("resumed", r.resumed.into()),
        ("identical_to", or_null(&r.identical_to)),
        ("may_have_run", Json::array(r.may_have_run.iter().map(String::as_str))),
        ("denial_lifted", r.denial_lifted.into()),
        ("waited_on", r.waited_on.into()),
        ("looked", Json::array(r.looked.iter().map(look))),
        ("unreached_at", or_null(&r.unreached_at)),
        ("unreached_why", r.unreached_why.as_str().into()),
        ("notices", Json::array(r.notices.iter().map(notice))),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn labels(r: &proto::Request) -> Json {
    // A map on the wire has no order: sorted, so that the same request reads the same.
    let mut labels: Vec<(&String, &String)> = r.labels.iter().collect();
    labels.sort();
    Json::object(labels.into_iter().map(|(name, value)| (name.as_str(), value.as_str().into())))
}

fn clause(c: &proto::Clause) -> Json {
    Json::object([
        ("route", c.route.as_str().into()),
        ("groups", Json::array(c.groups.iter().map(String::as_str))),
        ("approvals", c.approvals.into()),
        ("approved", c.approved.into()),
    ])
}

fn look(l: &proto::Look) -> Json {
    Json::object([("operator", l.operator.as_str().into()), ("at", or_null(&l.at))])
}

/// A mail of the outbox.
pub fn mail(m: &proto::Mail) -> Json {
    let mut members = vec![
        ("id".to_owned(), m.id.into()),
        ("request_id".to_owned(), or_null(&m.request_id)),
        ("gathers".to_owned(), m.gathers.into()),
    ];
    if let Json::Object(went) = notice(&m.notice.clone().unwrap_or_default()) {
        members.extend(went);
    }
    Json::Object(members)
}

fn notice(n: &proto::Notice) -> Json {
    Json::object([
        ("operator", n.operator.as_str().into()),
        ("kind", n.kind.as_str().into()),
        ("state", n.state.as_str().into()),
        ("detail", n.detail.as_str().into()),
        ("attempts", n.attempts.into()),
        ("at", or_null(&n.at)),
        ("in_summary", n.in_summary.into()),
        ("next_attempt_at", or_null(&n.next_attempt_at)),
    ])
}

/// Decisions, oldest first.
pub fn decisions(all: &[proto::Decision]) -> Json {
    Json::array(all.iter().map(|d| {
        Json::object([
            ("operator", d.operator.as_str().into()),
            ("verdict", verdict(d.verdict).into()),
            ("reason", d.reason.as_str().into()),
            ("decided_at", or_null(&d.decided_at)),
            ("digest", d.digest.as_str().into()),
            ("strength", strength(d.strength).into()),
            ("own_call", d.own_call.into()),
            ("on_screen_ms", d.on_screen_ms.map_or(Json::Null, Json::from)),
        ])
    }))
}

/// A change of a tool's definition.
pub fn definition_change(c: &proto::DefinitionChange) -> Json {
    let definition = |text: &str| if text.is_empty() { Json::Null } else { embedded(text) };
    Json::object([
        ("caller", c.caller.as_str().into()),
        ("server", c.server.as_str().into()),
        ("tool", c.tool.as_str().into()),
        ("hash_before", c.hash_before.as_str().into()),
        ("hash_now", c.hash_now.as_str().into()),
        ("before", definition(&c.definition_before)),
        ("now", definition(&c.definition_now)),
        ("before_cut", c.before_cut.into()),
        ("now_cut", c.now_cut.into()),
        ("changed", Json::array(c.changed.iter().map(String::as_str))),
        ("status", definition_status(c.status).into()),
        ("reported_at", or_null(&c.reported_at)),
        ("accepted_by", c.accepted_by.as_str().into()),
        ("accepted_at", or_null(&c.accepted_at)),
        ("reason", c.reason.as_str().into()),
        ("not_written", c.not_written.into()),
        ("may_accept", c.may_accept.into()),
    ])
}

/// An entry of the history.
pub fn entry(e: &proto::AuditEntry) -> Json {
    let status = if e.status == 0 { Json::Null } else { status(e.status).into() };
    Json::object([
        ("sequence", e.sequence.into()),
        ("at", or_null(&e.at)),
        ("kind", e.kind.as_str().into()),
        ("request_id", or_null(&e.request_id)),
        ("caller", e.caller.as_str().into()),
        ("client", e.client.as_str().into()),
        ("agent", e.agent.as_str().into()),
        ("session", e.session.as_str().into()),
        ("server", e.server.as_str().into()),
        ("tool", e.tool.as_str().into()),
        ("category", category(e.category).into()),
        ("status", status),
        ("operator", e.operator.as_str().into()),
        ("payload", embedded(&e.payload)),
        ("hash", e.hash.as_str().into()),
        ("previous_hash", e.previous_hash.as_str().into()),
    ])
}

/// JSON that arrived as text, embedded as what it is. What cannot be parsed
/// (from a daemon that is newer or broken) stays text.
fn embedded(text: &str) -> Json {
    if text.is_empty() {
        return Json::object::<&str>([]);
    }
    json::parse_envelope(text.as_bytes()).unwrap_or_else(|_| text.into())
}

/// `null` for what is not there.
pub fn or_null(text: &str) -> Json {
    if text.is_empty() { Json::Null } else { text.into() }
}

/// The word for a number of the contract. A number from a newer daemon reads
/// `unspecified`, and so never as an approval.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        pub fn $name(number: i32) -> &'static str {
            $kind::from_number(number).map_or("unspecified", $kind::word)
        }
    };
}

word!(
    /// `pending`, `approved`, ...
    status, Status
);
word!(
    /// `read`, `write`, ...
    category, Category
);
word!(
    /// `low`, `medium`, ...
    risk, Risk
);
word!(
    /// `none`, `unused`, ...
    use_, Use
);
word!(
    /// `none`, `succeeded`, ...
    outcome, Outcome
);
word!(
    /// `waiting`, `accepted` or `superseded`.
    definition_status, DefinitionStatus
);
word!(
    /// `approve` or `deny`.
    verdict, Verdict
);
word!(
    /// `local`, `token` or `certificate`.
    strength, Strength
);

/// The number of a status, from its word; 0 for what is none.
pub fn status_number(word: &str) -> i32 {
    Status::from_word(word).map_or(0, Status::number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_embedded_with_their_numbers_exact() {
        let r = proto::Request {
            arguments: r#"{"amount":9007199254740993,"rate":1.10,"note":"\u202e"}"#.to_owned(),
            status: 1,
            ..Default::default()
        };
        let line = request(&r).to_text();
        assert!(line.contains(r#""arguments":{"amount":9007199254740993,"rate":1.10,"#), "{line}");
        assert!(line.is_ascii() && !line.contains('\n'));
    }

    #[test]
    fn a_status_that_is_not_known_is_never_an_approval() {
        assert_eq!(status(2), "approved");
        assert_eq!(status(9), "unspecified");
    }
}
