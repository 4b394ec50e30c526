//! One call of the history, judged again by a policy, at the time at which it was made.
//!
//! Promises: what cannot be told is said to be so, with why, and never guessed. Limits
//! and counters are taken to have room, and it is said where they matter. It cannot be
//! told
//!
//! - where only the digest of the arguments was kept, and a rule that may match looks at
//!   arguments, or what the call does may hang on them;
//! - where the call was limited then, and limits matter today: whether there was room is
//!   not in the history;
//! - where a value that is hidden may be looked at: the document names the argument
//!   that it is in, or uses `args` as a whole, or the verdict is another one with the
//!   value left out or in a form that no condition can evaluate;
//! - where it hangs on what the server said of the tool: of that the history has the
//!   hash. The call is judged with each kind of thing that a server may say; of these
//!   the ones stand that lead to the category and risk that are recorded, if any do.

use chrono::Utc;

use super::hidden::{beyond, hidden_in, may_look_at, of_the_agent, with_hidden};
use super::{Fate, Judged, Today};
use crate::call::json::{Json, parse, parse_envelope};
use crate::call::time::Time;
use crate::policy::judging::Tool;
use crate::policy::{Call, Definition, Fresh, From, Policy, Ruling};
use crate::proto::AuditEntry;

/// A policy and the text that it was read from.
pub struct Judge<'a> {
    policy: &'a Policy,
    text: &'a str,
    /// What a server may have said of a tool.
    tools: Vec<Tool>,
    /// What the arguments of a call may have been.
    arguments: Vec<Json>,
}

impl<'a> Judge<'a> {
    pub fn new(policy: &'a Policy, text: &'a str) -> Self {
        Judge { policy, text, tools: said_of_a_tool(), arguments: of_each_kind() }
    }

    /// The call of this entry; `None`: no policy judged it.
    pub fn again(&self, entry: &AuditEntry, was: Fate) -> Option<Judged> {
        let payload = parse_envelope(entry.payload.as_bytes()).ok()?;
        let text = |name| payload.get(name).and_then(Json::as_str).unwrap_or_default();
        if text("policy_revision").is_empty() {
            return None;
        }
        let today = self.today(entry, &payload, was);
        let today = match today {
            // The changed definition holds it whatever the policy says.
            Today::Would { fate: Fate::Allowed, unless_limited, .. }
                if !text("definition_changed").is_empty() =>
            {
                let rule = "the tool's definition changed".to_owned();
                Today::Would { fate: Fate::Held, rule, unless_limited }
            }
            other => other,
        };
        Some(Judged {
            sequence: entry.sequence,
            at: entry.at.clone(),
            request: entry.request_id.clone(),
            server: entry.server.clone(),
            tool: entry.tool.clone(),
            was,
            today,
        })
    }

    fn today(&self, entry: &AuditEntry, payload: &Json, was: Fate) -> Today {
        let kept = payload.get("arguments").map(of_the_agent);
        let hidden = kept.as_ref().map(hidden_in).unwrap_or_default();
        if hidden.iter().any(|name| may_look_at(self.text, name)) {
            return Today::Untold(HIDDEN);
        }
        let forms = match &kept {
            None => self.arguments.clone(),
            Some(arguments) if hidden.is_empty() => vec![arguments.clone()],
            Some(arguments) => vec![
                arguments.clone(),
                with_hidden(arguments, &|| None),
                with_hidden(arguments, &|| Some(beyond())),
            ],
        };
        let text = |name| payload.get(name).and_then(Json::as_str).unwrap_or_default();
        let tools: Vec<Definition<'_>> = match text("tool_definition_hash") {
            // Whether its server listed other tools is not in the record. One that cannot
            // list any is in trouble, and that is not what is asked here.
            "" => vec![Definition::NotListed],
            _ => self.tools.iter().map(Definition::Is).collect(),
        };
        let at = Time::parse(&entry.at).map_or_else(Utc::now, Time::utc);
        let each = tools.iter().flat_map(|tool| forms.iter().map(move |form| (*tool, form)));
        let rulings: Vec<(Call<'_>, Ruling)> = each
            .map(|(tool, arguments)| {
                let call = Call {
                    server: &entry.server,
                    tool: &entry.tool,
                    definition: tool,
                    arguments,
                    from: From {
                        client: &entry.client,
                        session: &entry.session,
                        user: text("on_behalf_of"),
                        agent: &entry.agent,
                        agent_version: text("agent_version"),
                    },
                    at,
                };
                (call, self.policy.judge(&call, &Fresh))
            })
            .collect();
        let as_recorded = |(_, ruling): &&(Call<'_>, Ruling)| {
            let judgement = &ruling.judgement;
            judgement.category.number() == entry.category && judgement.risk.word() == text("risk")
        };
        let alike: Vec<&(Call<'_>, Ruling)> = rulings.iter().filter(as_recorded).collect();
        if alike.is_empty() && !hidden.is_empty() {
            return Today::Untold(HIDDEN);
        }
        let stand = if alike.is_empty() { rulings.iter().collect() } else { alike };
        let looks = |(call, ruling): &&(Call<'_>, Ruling)| {
            self.policy.may_look_at_arguments(call, &ruling.judgement)
        };
        if kept.is_none() && stand.iter().any(looks) {
            return Today::Untold(DIGEST);
        }
        let unless_limited = self.policy.counts(&entry.server, &entry.tool);
        let mut fates = stand.iter().map(|(_, ruling)| Fate::of(&ruling.action));
        match (stand.first(), fates.next()) {
            (Some((_, ruling)), Some(fate)) if fates.all(|other| other == fate) => {
                let passes = matches!(fate, Fate::Allowed | Fate::Held);
                if unless_limited && passes && was == Fate::Limited {
                    return Today::Untold(LIMITED);
                }
                let unless_limited = unless_limited && passes;
                Today::Would { fate, rule: ruling.rule.clone(), unless_limited }
            }
            _ if !hidden.is_empty() => Today::Untold(HIDDEN),
            _ if kept.is_none() => Today::Untold(DIGEST),
            _ => Today::Untold("it hangs on what the server said of the tool"),
        }
    }
}

/// Why it cannot be told.
pub const DIGEST: &str = "it may hang on arguments, of which only the digest was kept";
const HIDDEN: &str = "it may hang on a value that is hidden";
const LIMITED: &str = "it was limited, and whether a limit has room now hangs on other calls";

/// Arguments that speak for each thing that a call may do, for a call whose own are not
/// known.
fn of_each_kind() -> Vec<Json> {
    let written = [
        "{}",
        r#"{"action":"update"}"#,
        r#"{"action":"delete"}"#,
        r#"{"command":"FLUSHALL"}"#,
        r#"{"command":"EVAL"}"#,
        r#"{"amount":1,"currency":"EUR"}"#,
    ];
    written.iter().filter_map(|text| parse(text.as_bytes()).ok()).collect()
}

/// Kinds of things that a server may say of a tool, by hints and by words.
fn said_of_a_tool() -> Vec<Tool> {
    let hints = [
        "{}",
        r#"{"readOnlyHint":true}"#,
        r#"{"readOnlyHint":false,"destructiveHint":false}"#,
        r#"{"readOnlyHint":false,"destructiveHint":true}"#,
        r#"{"readOnlyHint":true,"destructiveHint":true}"#,
    ];
    let words = ["", "Gets a value.", "Updates a value.", "Deletes everything.", "Runs a command."];
    let one = |hints: &str, words: &str| {
        let annotations = parse(hints.as_bytes()).ok()?;
        Some(Tool::of(&Json::object([("annotations", annotations), ("description", words.into())])))
    };
    hints.iter().flat_map(|hints| words.iter().filter_map(|words| one(hints, words))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::model::Category;

    /// An entry of a call of `tool` on `files` with these arguments (none: only the
    /// digest was kept), judged so when it was made.
    fn entry(tool: &str, arguments: &str, judged: (Category, &str), more: &str) -> AuditEntry {
        let arguments = match arguments {
            "" => String::new(),
            arguments => format!(r#""arguments":{arguments},"#),
        };
        AuditEntry {
            sequence: 7,
            at: "2026-11-22T12:50:00.000Z".to_owned(),
            server: "files".to_owned(),
            tool: tool.to_owned(),
            category: judged.0.number(),
            payload: format!(
                r#"{{{arguments}"risk":"{}","policy_revision":"sha256:1"{more}}}"#,
                judged.1
            ),
            ..AuditEntry::default()
        }
    }

    fn again(policy: &Policy, text: &str, entry: &AuditEntry) -> Today {
        let judge = Judge::new(policy, text);
        judge.again(entry, Fate::Held).expect("a policy judged it").today
    }

    fn read(text: &str) -> Policy {
        Policy::read(text.as_bytes()).expect("a policy")
    }

    fn fate(today: Today) -> Result<Fate, &'static str> {
        match today {
            Today::Would { fate, .. } => Ok(fate),
            Today::Untold(why) => Err(why),
        }
    }

    const WRITE: (Category, &str) = (Category::Write, "medium");

    #[test]
    fn what_is_hidden_or_not_kept_is_not_guessed() {
        let text = "default: allow # args.path\n";
        let policy = read(text);
        let told = |arguments| fate(again(&policy, text, &entry("write_it", arguments, WRITE, "")));
        assert_eq!(told(r#"{"path":"x"}"#), Ok(Fate::Allowed));
        let hidden = Err(HIDDEN);
        assert_eq!(told(r#"{"path":"«hidden: text of 4 characters»"}"#), hidden);
        assert_eq!(told(r#"{"path":{"a":["Bearer «hidden: text of 4 characters»"]}}"#), hidden);
        // The document names this one nowhere, and the call is judged as it was.
        assert_eq!(told(r#"{"note":"«hidden: text of 4 characters»"}"#), Ok(Fate::Allowed));
        let other =
            entry("write_it", r#"{"note":"«hidden: x»"}"#, (Category::Financial, "high"), "");
        assert_eq!(fate(again(&policy, text, &other)), hidden);
    }

    #[test]
    fn what_hangs_on_the_definition_is_told_only_where_the_record_tells() {
        let policy = Policy::without_file().trusting("files");
        let hash = r#","tool_definition_hash":"00ff""#;
        let told = |tool, judged, more| fate(again(&policy, "", &entry(tool, "{}", judged, more)));
        assert_eq!(told("zebra", (Category::Destructive, "high"), hash), Ok(Fate::Held));
        assert_eq!(told("zebra", (Category::Read, "low"), hash), Ok(Fate::Allowed));
        let untold = told("zebra", (Category::Financial, "low"), hash);
        assert_eq!(untold, Err("it hangs on what the server said of the tool"));
        // There was no definition, so it cannot hang on one.
        assert_eq!(told("zebra", (Category::Financial, "low"), ""), Ok(Fate::Held));
    }

    #[test]
    fn a_call_that_no_policy_judged_is_left_out_and_a_changed_tool_stays_held() {
        let policy = read("default: allow\n");
        let mut asked = entry("write_it", "{}", WRITE, "");
        asked.payload = asked.payload.replace(r#","policy_revision":"sha256:1""#, "");
        assert!(Judge::new(&policy, "").again(&asked, Fate::Held).is_none());
        let changed = entry("write_it", "{}", WRITE, r#","definition_changed":"so""#);
        assert_eq!(fate(again(&policy, "", &changed)), Ok(Fate::Held));
        let denies = read("default: deny\n");
        assert_eq!(fate(again(&denies, "", &changed)), Ok(Fate::Denied));
    }

    /// Rules of every sort, on calls that were held.
    #[test]
    fn rules_are_asked_as_the_proxy_would_ask_them() {
        let text = "default: allow
rules:
  - {name: ones, tool: put, when: 'args.n == 1', action: deny, reason: no ones}
  - {name: paid, category: financial, action: require_approval}
  - {name: said, tool: read, annotation: {destructiveHint: true}, action: deny, reason: so it says}
  - {name: few, tool: send, rate_limit: {max: 2, window: 60}}
  - {name: early, tool: late, when: 'time.hour < 13', action: require_approval}
";
        let policy = read(text);
        let told = |tool, arguments, judged, more: &str| {
            fate(again(&policy, text, &entry(tool, arguments, judged, more)))
        };
        let hash = r#","tool_definition_hash":"00ff""#;
        assert_eq!(told("put", r#"{"n":1}"#, WRITE, hash), Ok(Fate::Denied));
        assert_eq!(told("put", r#"{"n":2}"#, WRITE, hash), Ok(Fate::Allowed));
        assert_eq!(told("put", r#"{"m":"«hidden: x»","n":2}"#, WRITE, hash), Ok(Fate::Allowed));
        let hidden = Err(HIDDEN);
        assert_eq!(told("put", r#"{"n":"«hidden: number of 1 digit»"}"#, WRITE, hash), hidden);
        assert_eq!(told("pay_invoice", "{}", (Category::Financial, "high"), ""), Ok(Fate::Held));
        let said = Err("it hangs on what the server said of the tool");
        assert_eq!(told("read", "{}", (Category::Destructive, "high"), hash), said);
        // Whoever says that it destroys is not taken for one that reads.
        assert_eq!(told("read", "{}", (Category::Read, "low"), hash), Ok(Fate::Allowed));
        assert_eq!(told("read", "{}", (Category::Read, "low"), ""), Ok(Fate::Denied));
        // By the clock of the call, not of today.
        assert_eq!(told("late", "{}", WRITE, hash), Ok(Fate::Held));
    }

    #[test]
    fn a_call_of_which_only_the_digest_was_kept_is_judged_where_arguments_do_not_matter() {
        let text = "default: judge
rules:
  - {name: ours, tool: write_it, when: 'client.name == \"ci\"', action: deny, reason: No.}
  - {name: never, tool: drop_it, action: deny, reason: No.}
  - {name: late, tool: drop_it, when: 'args.n > 1', action: allow}
  - {name: large, tool: put_it, when: 'args.n > 1', action: deny, reason: No.}
  - {name: read large, tool: mix_it, category: read, when: 'args.n > 1', action: deny, reason: No.}
";
        let policy = read(text);
        let told = |tool, judged| fate(again(&policy, text, &entry(tool, "", judged, "")));
        let digest = Err(DIGEST);
        assert_eq!(told("write_it", WRITE), Ok(Fate::Held));
        assert_eq!(told("drop_it", (Category::Destructive, "high")), Ok(Fate::Denied));
        assert_eq!(told("put_it", WRITE), digest);
        // That rule is for reads, and this was none.
        assert_eq!(told("mix_it", WRITE), Ok(Fate::Held));
        // A read whose arguments made it more than that, and one whose did not.
        assert_eq!(told("get_it", (Category::Read, "low")), Ok(Fate::Allowed));
        assert_eq!(told("get_it", (Category::Destructive, "high")), Ok(Fate::Held));
        let theirs = "version: \"1\"\ndefault: allow\ntools:\n  a: {rules: [{name: r, conditions: [{path: args.x, op: eq, value: 1}]}]}\n  b: {rules: [{name: r, rate_limit: 5/hour}]}\n";
        let policy = read(theirs);
        let told = |tool| fate(again(&policy, theirs, &entry(tool, "", WRITE, "")));
        assert_eq!(
            (told("a"), told("b"), told("c")),
            (digest, Ok(Fate::Allowed), Ok(Fate::Allowed))
        );
    }

    #[test]
    fn what_limits_matter_to_is_judged_as_if_there_were_room() {
        let text = "default: allow\nrules:\n  - {name: few, tool: send, rate_limit: {max: 2, window: 60}}\n";
        let policy = read(text);
        let judge = Judge::new(&policy, text);
        let today =
            |tool, was| judge.again(&entry(tool, "{}", WRITE, ""), was).expect("judged").today;
        let would = |unless_limited| Today::Would {
            fate: Fate::Allowed,
            rule: "default: allow (line 1)".to_owned(),
            unless_limited,
        };
        assert_eq!(today("send", Fate::Allowed), would(true));
        assert_eq!(today("other", Fate::Allowed), would(false));
        assert_eq!(today("send", Fate::Limited), Today::Untold(LIMITED));
        assert_eq!(today("other", Fate::Limited), would(false));
    }
}
