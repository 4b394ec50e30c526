//! `holdpoint policy replay`: what a policy would have decided for the calls in the
//! history.
//!
//! Each call that a policy once judged is judged again by this one, at the time at
//! which it was made. Promises: what cannot be told is said to be so, with why, and
//! never guessed. It cannot be told
//!
//! - where only the digest was kept;
//! - where limits or counters matter: what was taken then is not in the history;
//! - where a value that is hidden may be looked at: the document names the argument
//!   that it is in, or uses `args` as a whole, or the verdict is another one with the
//!   value left out or in a form that no condition can evaluate;
//! - where it hangs on what the server said of the tool: of that the history has the
//!   hash. The call is judged with each kind of thing that a server may say; of these
//!   the ones stand that lead to the category and risk that are recorded, if any do.
//!
//! What was: a call that became a request was held, whatever people said then, and so
//! was one that a dry run let pass. A call that was held because its tool's definition
//! changed would be held for that again, unless the policy denies it. Calls that no
//! policy judged (`request`, `exec`) are left out, and so are repetitions of a request.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::Utc;
use clap::Args;

use super::super::audit::moment;
use super::super::client::{Client, Role, brief};
use super::super::errors::Done;
use super::super::output::{Output, Tone, View, note};
use super::super::records;
use super::super::state::Globals;
use super::super::table::{self, Cell, cell, fixed, flexible, toned};
use super::super::text::{count, safe};
use super::super::when;
use crate::call::json::{Json, parse, parse_envelope};
use crate::call::time::Time;
use crate::policy::judging::Tool;
use crate::policy::{Action, Call, Definition, Fresh, From, Policy, Ruling};
use crate::proto::{AuditEntry, AuditFilter, QueryAuditRequest};
use crate::store::audit::Kind;

/// Entries asked for at once.
const PAGE: u32 = 500;

/// Judge the calls in the history by this policy: what would be otherwise.
#[derive(Debug, Clone, Args)]
#[command(after_help = PLAIN_COLUMNS)]
pub struct ReplayArgs {
    /// The policy
    file: PathBuf,
    /// From then on: an RFC 3339 time, a day (its midnight here), or how long
    /// ago (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Time>,
    /// Before then: likewise
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Time>,
    /// Only calls of this server
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    server: String,
    /// Only calls of whom the proxy served
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    client: String,
    /// As if the proxy's configuration trusts this server; may be given several times
    #[arg(long, value_name = "NAME")]
    trusted: Vec<String>,
    /// At most so many calls, the newest
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    /// One JSON object per line: each call that would be decided otherwise or of which
    /// that cannot be told (would_be null, with why), then {"calls", "same",
    /// "different", "untold", "left_out"}
    #[arg(long)]
    json: bool,
}

const PLAIN_COLUMNS: &str = "\
Off a terminal: columns with tabs between them: when (the newest), server, tool, was,
would be (cannot tell), rule or why not, how many calls.";

/// What became of a call, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Allowed,
    Held,
    Limited,
    Denied,
}

impl Fate {
    const ALL: [Fate; 4] = [Fate::Allowed, Fate::Held, Fate::Limited, Fate::Denied];

    fn word(self) -> &'static str {
        match self {
            Fate::Allowed => "allowed",
            Fate::Held => "held",
            Fate::Limited => "limited",
            Fate::Denied => "denied",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Fate::Allowed => Tone::Good,
            Fate::Held => Tone::Caution,
            Fate::Limited | Fate::Denied => Tone::Alarm,
        }
    }

    fn of(action: &Action) -> Fate {
        match action {
            Action::Allow => Fate::Allowed,
            Action::Hold(_) => Fate::Held,
            Action::Limited { .. } => Fate::Limited,
            Action::Deny { .. } => Fate::Denied,
        }
    }

    /// The kinds of entries with which a call comes into the history.
    fn recorded() -> [(Kind, Fate); 5] {
        [
            (Kind::Requested, Fate::Held),
            (Kind::CallAllowed, Fate::Allowed),
            (Kind::CallDenied, Fate::Denied),
            (Kind::CallLimited, Fate::Limited),
            (Kind::CallWouldBeHeld, Fate::Held),
        ]
    }
}

/// What the policy says of a call today.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Today {
    /// What, and by which rule.
    Would(Fate, String),
    /// Why it cannot be told.
    Untold(&'static str),
}

/// One call of the history, judged again.
#[derive(Debug, Clone)]
struct Judged {
    sequence: u64,
    at: String,
    request: String,
    server: String,
    tool: String,
    was: Fate,
    today: Today,
}

impl Judged {
    fn is_same(&self) -> bool {
        matches!(self.today, Today::Would(fate, _) if fate == self.was)
    }
}

/// Runs the command.
pub async fn run(globals: &Globals, args: ReplayArgs) -> Done {
    let (text, policy) = super::read_with_text(&args.file)?;
    let policy = args.trusted.iter().fold(policy, |policy, server| policy.trusting(server));
    let judge = Judge::new(&policy, &text);
    let client = Client::new(globals, Role::Operator)?;
    let (judged, left_out) = judged(&client, &args, &judge).await?;
    let mut out = Output::stdout();
    let view = out.view();
    if args.json {
        let different = judged.iter().filter(|call| !call.is_same());
        different.map(line).try_for_each(|line| out.line(&line.to_text()))?;
        out.line(&totals(&judged, left_out).to_text())?;
    } else {
        let groups = groups(&judged);
        if view.terminal {
            out.paged(&rendered(&groups, &view))?;
        } else {
            groups.iter().try_for_each(|group| out.line(&plain(group)))?;
        }
        note(&summary(&judged, left_out));
    }
    out.flush()?;
    if judged.len() >= args.limit {
        note(&format!("there may be more: --limit {} looks further back", args.limit * 2));
    }
    Ok(())
}

/// The newest calls that fit, newest first, each judged as it comes: only what became
/// of them is kept. And how many no policy had judged.
async fn judged(client: &Client, args: &ReplayArgs, judge: &Judge<'_>) -> Done<(Vec<Judged>, u64)> {
    let time = |time: Option<Time>| time.map(Time::rfc3339).unwrap_or_default();
    let (mut all, mut left_out) = (Vec::new(), 0);
    for (kind, was) in Fate::recorded() {
        let (mut page_token, mut left) = (String::new(), args.limit);
        while left > 0 {
            let filter = AuditFilter {
                since: time(args.since),
                until: time(args.until),
                server: args.server.clone(),
                client: args.client.clone(),
                kind: kind.word().to_owned(),
                ..AuditFilter::default()
            };
            let page_size = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
            let message =
                QueryAuditRequest { filter: Some(filter), ascending: false, page_size, page_token };
            let answer = client.history().query_audit(brief(message)).await;
            let answer = answer.map_err(|status| client.failure(status))?.into_inner();
            left -= answer.entries.len().min(left);
            for entry in &answer.entries {
                match judge.again(entry, was) {
                    Some(call) => all.push(call),
                    None => left_out += 1,
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    all.sort_by_key(|call| std::cmp::Reverse(call.sequence));
    all.truncate(args.limit);
    Ok((all, left_out))
}

/// A policy and the text that it was read from.
struct Judge<'a> {
    policy: &'a Policy,
    text: &'a str,
    /// What a server may have said of a tool.
    tools: Vec<Tool>,
}

impl<'a> Judge<'a> {
    fn new(policy: &'a Policy, text: &'a str) -> Self {
        Judge { policy, text, tools: said_of_a_tool() }
    }

    /// The call of this entry; `None`: no policy judged it.
    fn again(&self, entry: &AuditEntry, was: Fate) -> Option<Judged> {
        let payload = parse_envelope(entry.payload.as_bytes()).ok()?;
        let text = |name| payload.get(name).and_then(Json::as_str).unwrap_or_default();
        if text("policy_revision").is_empty() {
            return None;
        }
        let today = self.today(entry, &payload);
        let today = match today {
            // The changed definition holds it whatever the policy says.
            Today::Would(Fate::Allowed, _) if !text("definition_changed").is_empty() => {
                Today::Would(Fate::Held, "the tool's definition changed".to_owned())
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

    fn today(&self, entry: &AuditEntry, payload: &Json) -> Today {
        let Some(arguments) = payload.get("arguments") else {
            return Today::Untold("only the digest was kept");
        };
        if self.policy.counts(&entry.server, &entry.tool) {
            return Today::Untold("limits or counters matter");
        }
        let arguments = of_the_agent(arguments);
        let hidden = hidden_in(&arguments);
        if hidden.iter().any(|name| may_look_at(self.text, name)) {
            return Today::Untold("it may hang on a value that is hidden");
        }
        let mut forms = vec![arguments.clone()];
        if !hidden.is_empty() {
            forms.push(with_hidden(&arguments, &|| None));
            forms.push(with_hidden(&arguments, &|| Some(beyond())));
        }
        let text = |name| payload.get(name).and_then(Json::as_str).unwrap_or_default();
        let tools: Vec<Definition<'_>> = match text("tool_definition_hash") {
            "" => vec![Definition::NotListed, Definition::Unknown],
            _ => self.tools.iter().map(Definition::Is).collect(),
        };
        let ruling = |tool: Definition<'_>, arguments: &Json| {
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
                at: Time::parse(&entry.at).map_or_else(Utc::now, Time::utc),
            };
            self.policy.judge(&call, &Fresh)
        };
        let rulings: Vec<Ruling> = tools
            .iter()
            .flat_map(|tool| forms.iter().map(|form| ruling(*tool, form)).collect::<Vec<_>>())
            .collect();
        let as_recorded = |ruling: &&Ruling| {
            let judgement = &ruling.judgement;
            judgement.category.number() == entry.category && judgement.risk.word() == text("risk")
        };
        let alike: Vec<&Ruling> = rulings.iter().filter(as_recorded).collect();
        if alike.is_empty() && !hidden.is_empty() {
            return Today::Untold("it may hang on a value that is hidden");
        }
        let stand = if alike.is_empty() { rulings.iter().collect() } else { alike };
        let mut fates = stand.iter().map(|ruling| Fate::of(&ruling.action));
        match (stand.first(), fates.next()) {
            (Some(ruling), Some(fate)) if fates.all(|other| other == fate) => {
                Today::Would(fate, ruling.rule.clone())
            }
            _ if !hidden.is_empty() => Today::Untold("it may hang on a value that is hidden"),
            _ => Today::Untold("it hangs on what the server said of the tool"),
        }
    }
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

/// The arguments without what operators are shown beside them.
fn of_the_agent(shown: &Json) -> Json {
    let Json::Object(members) = shown else { return shown.clone() };
    let beside = |name: &str| matches!(name, "(input responses)" | "(request state)");
    Json::Object(members.iter().filter(|(name, _)| !beside(name)).cloned().collect())
}

/// A part of it is hidden. No agent can write such a mark.
fn is_hidden(value: &Json) -> bool {
    value.as_str().is_some_and(|text| text.contains('«'))
}

fn holds_hidden(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(holds_hidden),
        Json::Object(members) => {
            members.iter().any(|(name, value)| name.contains('«') || holds_hidden(value))
        }
        value => is_hidden(value),
    }
}

/// Names of the arguments in which something is hidden.
fn hidden_in(arguments: &Json) -> Vec<String> {
    let members = arguments.as_object().unwrap_or_default();
    let hidden = |(name, value): &&(String, Json)| name.contains('«') || holds_hidden(value);
    members.iter().filter(hidden).map(|(name, _)| name.clone()).collect()
}

/// Whether a condition of this document can look at an argument: it names it, or it
/// uses `args` in another way than `args.name`.
fn may_look_at(document: &str, argument: &str) -> bool {
    let of_all = ["exists", "exists_one", "all", "map", "filter", "size", "transformList"];
    words(document, argument).next().is_some()
        || words(document, "args").any(|behind| {
            let member = behind.strip_prefix('.').unwrap_or_default();
            let end = member.find(|c| !in_a_word(c)).unwrap_or(member.len());
            end == 0 || of_all.contains(&&member[..end])
        })
}

/// What stands behind each place where this is a word of its own.
fn words<'a>(document: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    document.match_indices(word).filter_map(move |(at, _)| {
        let (before, behind) = (&document[..at], &document[at + word.len()..]);
        let goes_on = word.ends_with(in_a_word) && behind.starts_with(in_a_word);
        let went_on = word.starts_with(in_a_word) && before.ends_with(in_a_word);
        (!goes_on && !went_on).then_some(behind)
    })
}

fn in_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The same with something else, or nothing, in place of what is hidden.
fn with_hidden(value: &Json, other: &dyn Fn() -> Option<Json>) -> Json {
    let inside = |value: &Json| match is_hidden(value) {
        true => other(),
        false => Some(with_hidden(value, other)),
    };
    match value {
        Json::Array(items) => Json::Array(items.iter().filter_map(inside).collect()),
        Json::Object(members) => Json::Object(
            members
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), inside(value)?)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// A number that no condition can evaluate.
fn beyond() -> Json {
    parse(b"123456789012345678901234567890.5").unwrap_or(Json::Null)
}

/// Calls of one tool of which the same is to be said.
struct Group {
    newest: String,
    server: String,
    tool: String,
    was: Fate,
    today: Today,
    calls: u64,
}

/// What differs or cannot be told, the newest first.
fn groups(judged: &[Judged]) -> Vec<Group> {
    let mut places = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for call in judged.iter().filter(|call| !call.is_same()) {
        let said = match &call.today {
            Today::Would(fate, rule) => (fate.word(), rule.as_str()),
            Today::Untold(why) => ("", *why),
        };
        let place = *places
            .entry((call.server.as_str(), call.tool.as_str(), call.was, said))
            .or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.calls += 1,
            None => groups.push(Group {
                newest: call.at.clone(),
                server: call.server.clone(),
                tool: call.tool.clone(),
                was: call.was,
                today: call.today.clone(),
                calls: 1,
            }),
        }
    }
    groups
}

fn rendered(groups: &[Group], view: &View) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let columns = [
        fixed("NEWEST", 2),
        flexible("TOOL", 0, 12),
        flexible("SERVER", 1, 6),
        fixed("WAS", 0),
        fixed("WOULD BE", 0),
        flexible("RULE", 3, 12),
        fixed("CALLS", 0),
    ];
    let rows: Vec<Vec<Cell>> = groups
        .iter()
        .map(|group| {
            let (would, rule) = match &group.today {
                Today::Would(fate, rule) => (toned(fate.word(), fate.tone()), safe(rule)),
                Today::Untold(why) => (toned("?", Tone::Faint), (*why).to_owned()),
            };
            vec![
                cell(when::clock_text(&group.newest, view.now, &view.zone)),
                toned(safe(&group.tool), Tone::Strong),
                cell(safe(&group.server)),
                cell(group.was.word()),
                would,
                cell(rule),
                cell(group.calls.to_string()),
            ]
        })
        .collect();
    table::fitted(&columns, &rows, view.width, view.colour)
}

/// Columns with tabs between them; see the help.
fn plain(group: &Group) -> String {
    let (would, rule) = match &group.today {
        Today::Would(fate, rule) => (fate.word(), safe(rule)),
        Today::Untold(why) => ("cannot tell", (*why).to_owned()),
    };
    table::plain(&[
        safe(&group.newest),
        safe(&group.server),
        safe(&group.tool),
        group.was.word().to_owned(),
        would.to_owned(),
        rule,
        group.calls.to_string(),
    ])
}

/// "412 calls: 398 the same, 9 would be held that were allowed, 2 cannot tell".
fn summary(judged: &[Judged], left_out: u64) -> String {
    let same = judged.iter().filter(|call| call.is_same()).count();
    let mut said = format!("{}: {same} the same", count(judged.len() as u64, "call", "calls"));
    for would in Fate::ALL.iter().rev() {
        for was in Fate::ALL {
            let so = |call: &&Judged| {
                call.was == was
                    && was != *would
                    && matches!(call.today, Today::Would(fate, _) if fate == *would)
            };
            match judged.iter().filter(so).count() {
                0 => {}
                n => {
                    let (would, was, verb) =
                        (would.word(), was.word(), if n == 1 { "was" } else { "were" });
                    said.push_str(&format!(", {n} would be {would} that {verb} {was}"));
                }
            }
        }
    }
    let untold = judged.iter().filter(|call| matches!(call.today, Today::Untold(_))).count();
    if untold > 0 {
        said.push_str(&format!(", {untold} cannot tell"));
    }
    if left_out > 0 {
        said.push_str(&format!("; {left_out} that no policy had judged left out"));
    }
    said
}

/// One call, for a program.
fn line(call: &Judged) -> Json {
    let (would, rule, why) = match &call.today {
        Today::Would(fate, rule) => (fate.word().into(), rule.as_str().into(), Json::Null),
        Today::Untold(why) => (Json::Null, Json::Null, (*why).into()),
    };
    Json::object([
        ("sequence", call.sequence.into()),
        ("at", call.at.as_str().into()),
        ("request_id", records::or_null(&call.request)),
        ("server", call.server.as_str().into()),
        ("tool", call.tool.as_str().into()),
        ("was", call.was.word().into()),
        ("would_be", would),
        ("rule", rule),
        ("why", why),
    ])
}

fn totals(judged: &[Judged], left_out: u64) -> Json {
    let number = |wanted: &dyn Fn(&Judged) -> bool| {
        Json::from(judged.iter().filter(|call| wanted(call)).count() as u64)
    };
    let untold = |call: &Judged| matches!(call.today, Today::Untold(_));
    Json::object([
        ("calls", (judged.len() as u64).into()),
        ("same", number(&Judged::is_same)),
        ("different", number(&|call| !call.is_same() && !untold(call))),
        ("untold", number(&untold)),
        ("left_out", left_out.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::super::golden::{same, view};
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
            Today::Would(fate, _) => Ok(fate),
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
        assert_eq!(told(""), Err("only the digest was kept"));
        let hidden = Err("it may hang on a value that is hidden");
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
        let hidden = Err("it may hang on a value that is hidden");
        assert_eq!(told("put", r#"{"n":"«hidden: number of 1 digit»"}"#, WRITE, hash), hidden);
        assert_eq!(told("pay_invoice", "{}", (Category::Financial, "high"), ""), Ok(Fate::Held));
        let said = Err("it hangs on what the server said of the tool");
        assert_eq!(told("read", "{}", (Category::Destructive, "high"), hash), said);
        // Whoever says that it destroys is not taken for one that reads.
        assert_eq!(told("read", "{}", (Category::Read, "low"), hash), Ok(Fate::Allowed));
        // Whether the server listed other tools then, or none, nobody wrote down.
        assert_eq!(told("read", "{}", (Category::Read, "low"), ""), said);
        assert_eq!(told("send", "{}", WRITE, hash), Err("limits or counters matter"));
        // By the clock of the call, not of today.
        assert_eq!(told("late", "{}", WRITE, hash), Ok(Fate::Held));
    }

    #[test]
    fn a_document_may_look_at_what_it_names_and_at_all_where_it_takes_all() {
        for (document, looks) in [
            ("when: args.token == 'x'", true),
            ("path: \"args.token\"", true),
            ("when: args.key == 'x'", false),
            ("when: args.tokens == 'x'", false),
            ("when: args.exists_one(k, true)", true),
            ("when: size(args) > 2", true),
            ("when: args['to' + 'ken'] == 'x'", true),
            ("when: args.exists(k, k == 'x')", true),
            ("when: '\"x\" in args'", true),
            ("match: [start, largs, args_of]", false),
            ("", false),
        ] {
            assert_eq!(may_look_at(document, "token"), looks, "{document}");
        }
        assert!(may_look_at("when: args['a b'] == 1", "a b"));
        assert!(may_look_at("# -x-", "-x") && may_look_at("any", ""));
    }

    #[test]
    fn golden_policy_replay() {
        let call = |n: u64, server: &str, tool: &str, was, today| Judged {
            sequence: n,
            at: format!("2026-11-22T12:{:02}:00.000Z", 50 - n),
            request: String::new(),
            server: server.to_owned(),
            tool: tool.to_owned(),
            was,
            today,
        };
        let would = |fate, rule: &str| Today::Would(fate, rule.to_owned());
        let mut calls: Vec<Judged> = (0..12)
            .map(|n| call(n, "files", "list", Fate::Allowed, would(Fate::Allowed, "default")))
            .collect();
        for n in 12..21 {
            let rule = "rules[1] \"no writes\" (line 12)";
            calls.push(call(n, "files", "write_file", Fate::Allowed, would(Fate::Held, rule)));
        }
        let nasty = "re\u{202e}ad\n";
        calls.push(call(21, "mail", nasty, Fate::Held, would(Fate::Denied, "rules[4] (line 30)")));
        calls.push(call(22, "mail", "get", Fate::Limited, would(Fate::Allowed, "default")));
        let counters = Today::Untold("limits or counters matter");
        calls.push(call(23, "mail", "send", Fate::Limited, counters.clone()));
        calls.push(call(24, "mail", "send", Fate::Limited, counters));
        let groups = groups(&calls);
        let mut text = rendered(&groups, &view(100, true, false));
        text.push_str(&summary(&calls, 3));
        text.push_str("\n\n");
        text.push_str(&rendered(&groups, &view(60, true, false)));
        text.push('\n');
        groups.iter().for_each(|group| text.push_str(&(plain(group) + "\n")));
        text.push('\n');
        let lines = calls.iter().filter(|call| !call.is_same()).skip(8).map(line);
        lines.for_each(|line| text.push_str(&(line.to_text() + "\n")));
        text.push_str(&(totals(&calls, 3).to_text() + "\n"));
        same("policy_replay.txt", &text);
        assert_eq!(summary(&calls[..1], 0), "1 call: 1 the same");
    }
}
