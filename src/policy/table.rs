//! Tables of calls and expected verdicts: a team's tests of its policy.
//!
//! The calls come one after the other, with counters in memory: what passes takes of
//! limits, so that a table can show how they fill and recover.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::call::{Action, Call, Definition, From, Ruling};
use super::judging::Tool;
use super::memory::Memory;
use super::problem::{PolicyError, Problems};
use super::values::{Map, list, one_line, switch, text, unambiguous, whole, word};
use super::yaml::{self, Entry, Node, Scalar, Value};
use super::{Policy, judging};
use crate::call::json::{Json, Number};
use crate::config::names::shortened;

/// A table, as it is read.
#[derive(Debug, Clone)]
pub struct Table {
    /// Where the policy is, as seen from the table.
    pub policy: String,
    /// The calls, in order.
    pub calls: Vec<Expected>,
}

/// A call, and what is expected to happen to it.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What the table calls it.
    pub name: String,
    /// Where it stands.
    pub line: usize,
    server: String,
    tool: String,
    arguments: Json,
    client: String,
    session: String,
    user: String,
    agent: String,
    trusted: bool,
    definition: Option<Json>,
    at: Option<DateTime<Utc>>,
    after: Option<Duration>,
    verdict: String,
    rule: Option<String>,
    reason: Option<String>,
    category: Option<String>,
    risk: Option<String>,
}

/// What happened to a call.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the policy says.
    pub ruling: Ruling,
    /// What is otherwise than expected; empty: nothing.
    pub differs: Vec<String>,
}

const CALL_KEYS: [&str; 18] = [
    "name",
    "server",
    "tool",
    "args",
    "client",
    "session",
    "user",
    "agent",
    "trusted",
    "definition",
    "annotations",
    "at",
    "after",
    "expect",
    "rule",
    "reason",
    "category",
    "risk",
];

const VERDICTS: [&str; 4] = ["allow", "deny", "limited", "require_approval"];

/// The time of the first call, where the table does not say: a Monday at noon, so that
/// a table says the same on every day.
const FIRST: &str = "2026-01-05T12:00:00Z";

/// The longest text of a table, in characters.
const LONGEST_TEXT: usize = 1000;

impl Table {
    /// Reads and checks a table, at most [`super::LONGEST`] bytes of UTF-8.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Table, PolicyError> {
        let mut problems = Problems::default();
        let root = yaml::read(bytes, &mut problems);
        let table = root.and_then(|root| table(&root, &mut problems));
        problems.finish(table)
    }

    /// What the policy says of each call.
    pub fn run(&self, policy: &Policy) -> Vec<Outcome> {
        let mut memory = Memory::default();
        let mut now = FIRST.parse().unwrap_or_default();
        self.calls.iter().map(|expected| expected.run(policy, &mut memory, &mut now)).collect()
    }
}

impl Expected {
    fn run(&self, policy: &Policy, memory: &mut Memory, now: &mut DateTime<Utc>) -> Outcome {
        let after = self.after.and_then(|after| TimeDelta::from_std(after).ok());
        *now = self.at.unwrap_or(*now) + after.unwrap_or_default();
        memory.set_time(*now);
        let definition = self.definition.as_ref().map(Tool::of);
        let call = Call {
            server: &self.server,
            tool: &self.tool,
            definition: definition.as_ref().map_or(Definition::NotListed, Definition::Is),
            arguments: &self.arguments,
            from: From {
                client: &self.client,
                session: &self.session,
                user: &self.user,
                agent: &self.agent,
                agent_version: "",
            },
            at: *now,
        };
        let trusting = self.trusted.then(|| policy.clone().trusting(&self.server));
        let ruling = trusting.as_ref().unwrap_or(policy).judge(&call, memory);
        if ruling.action == Action::Allow {
            memory.take(&ruling.takes);
        }
        Outcome { differs: self.differs(&ruling), ruling }
    }

    fn differs(&self, ruling: &Ruling) -> Vec<String> {
        let judging::Judgement { category, risk, .. } = ruling.judgement;
        let told = match &ruling.action {
            Action::Allow => String::new(),
            Action::Deny { reason } => reason.clone(),
            Action::Limited { reason, again_in: None } => format!("{reason} It may pass later."),
            Action::Limited { reason, again_in: Some(wait) } => {
                // Whoever comes back at the second that was named finds a place.
                let wait = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                format!("{reason} It may pass in {} s.", wait.max(1))
            }
            Action::Hold(hold) => hold.told.clone().unwrap_or_default(),
        };
        let mut differs = Vec::new();
        let mut compare = |what: &str, expected: Option<&str>, found: &str, same: bool| {
            if let Some(expected) = expected.filter(|_| !same) {
                differs.push(format!("{what}: expected {expected}, found {found}"));
            }
        };
        let verdict = ruling.action.word();
        compare("verdict", Some(&self.verdict), verdict, self.verdict == verdict);
        let within =
            |part: &Option<String>, text: &str| part.as_ref().is_none_or(|p| text.contains(p));
        compare("rule", self.rule.as_deref(), &ruling.rule, within(&self.rule, &ruling.rule));
        compare("reason", self.reason.as_deref(), &told, within(&self.reason, &told));
        let same =
            |expected: &Option<String>, found| expected.as_deref().is_none_or(|e| e == found);
        let (category, risk) = (category.word(), risk.word());
        compare("category", self.category.as_deref(), category, same(&self.category, category));
        compare("risk", self.risk.as_deref(), risk, same(&self.risk, risk));
        differs
    }
}

fn table(root: &Node, problems: &mut Problems) -> Option<Table> {
    let remedy = "write policy: FILE, and calls: with a list of calls";
    let top = Map::of(root, "the table", remedy, problems)?;
    top.only(&["policy", "calls"], "at the top of the table", problems);
    for key in ["policy", "calls"].into_iter().filter(|key| top.get(key).is_none()) {
        problems.add(top.place, format!("the table has no `{key}`"), remedy);
    }
    let policy = top.get("policy").and_then(|entry| one_line(entry, LONGEST_TEXT, problems));
    let how = "write for each: - {server: s, tool: t, expect: deny}";
    let nodes = top.get("calls").map(|entry| list(entry, how, problems)).unwrap_or_default();
    let calls: Vec<_> =
        nodes.iter().enumerate().map(|(number, node)| expected(number, node, problems)).collect();
    Some(Table { policy: policy?, calls: calls.into_iter().collect::<Option<_>>()? })
}

fn expected(number: usize, node: &Node, problems: &mut Problems) -> Option<Expected> {
    let how = "write for each: {server: s, tool: t, expect: deny}";
    let map = Map::of(node, "a call", how, problems)?;
    map.only(&CALL_KEYS, "in a call", problems);
    for key in ["server", "tool", "expect"].into_iter().filter(|key| map.get(key).is_none()) {
        problems.add(map.place, format!("this call has no `{key}`"), how);
    }
    let verdict = map.get("expect").and_then(|entry| word(entry, &VERDICTS, "verdict", problems));
    let mut written = |key: &str| match map.get(key) {
        Some(entry) => text(entry, "write it in double quotes", problems).map(str::to_owned),
        None => Some(String::new()),
    };
    let (server, tool, client) = (written("server"), written("tool"), written("client"));
    let (session, user, agent) = (written("session"), written("user"), written("agent"));
    let (name, rule, reason) = (written("name"), written("rule"), written("reason"));
    let (category, risk, at) = (written("category"), written("risk"), written("at"));
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let name = given(name).unwrap_or_else(|| format!("call {}", number + 1));
    let arguments = match map.get("args") {
        Some(entry) => json(&entry.node, problems),
        None => Some(Json::Object(Vec::new())),
    };
    let trusted = map.get("trusted").and_then(|entry| switch(entry, problems)).unwrap_or_default();
    let after =
        map.get("after").and_then(|entry| whole(entry, 0, 10 * 366 * 86_400, None, problems));
    let definition = definition(&map, tool.as_deref().unwrap_or_default(), problems);
    let at = match (given(at), map.get("at")) {
        (Some(text), Some(entry)) => Some(time(&text, entry, problems)?),
        _ => None,
    };
    Some(Expected {
        name,
        line: map.place.line,
        server: server?,
        tool: tool?,
        arguments: arguments?,
        client: client?,
        session: session?,
        user: user?,
        agent: agent?,
        trusted,
        definition,
        at,
        after: after.map(Duration::from_secs),
        verdict: verdict?.to_owned(),
        rule: given(rule),
        reason: given(reason),
        category: given(category),
        risk: given(risk),
    })
}

fn time(text: &str, entry: &Entry, problems: &mut Problems) -> Option<DateTime<Utc>> {
    let found = DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc));
    if found.is_none() {
        let message = format!("`at` is no time: \"{}\"", shortened(text));
        problems.add(
            entry.node.place,
            message,
            "write it like \"2026-11-22T18:00:00Z\", in quotes",
        );
    }
    found
}

/// The tool as its server would define it: whole, or its annotations alone. One that
/// says nothing of itself is known too.
fn definition(map: &Map<'_>, tool: &str, problems: &mut Problems) -> Option<Json> {
    if let Some(entry) = map.get("definition") {
        return json(&entry.node, problems);
    }
    let mut members = vec![("name", Json::from(tool))];
    if let Some(entry) = map.get("annotations") {
        members.push(("annotations", json(&entry.node, problems)?));
    }
    Some(Json::object(members))
}

/// A value as JSON: what stands in quotes is text, and what does not is what YAML and
/// JSON both take it for.
fn json(node: &Node, problems: &mut Problems) -> Option<Json> {
    Some(match &node.value {
        Value::Refused => return None,
        Value::List(nodes) => {
            let items: Vec<_> = nodes.iter().map(|node| json(node, problems)).collect();
            Json::Array(items.into_iter().collect::<Option<_>>()?)
        }
        Value::Map(entries) => {
            let member = |entry: &Entry, problems: &mut Problems| {
                Some((entry.key.text.clone(), json(&entry.node, problems)?))
            };
            let members: Vec<_> = entries.iter().map(|entry| member(entry, problems)).collect();
            Json::Object(members.into_iter().collect::<Option<_>>()?)
        }
        Value::Scalar(Scalar { text, plain: false, .. }) => Json::String(text.clone()),
        Value::Scalar(scalar) => match scalar.text.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "null" => Json::Null,
            text => match Number::new(text) {
                Some(number) => Json::Number(number),
                None => unambiguous(scalar, node.place, problems)
                    .then(|| Json::String(text.to_owned()))?,
            },
        },
    })
}
