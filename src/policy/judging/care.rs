//! Which approvals must not be given by one key or one tap, and what has to be
//! typed instead: the same on a terminal and on a page.
//!
//! | a word is typed for | which |
//! |---|---|
//! | what destroys, pays, or does not say what it does | the first of these that the call plainly has: |
//! | risk that is high, critical or not stated | 1. the one argument that names what is acted on |
//! | a command of which a part is hidden | 2. the one argument that says what is done |
//! | arguments that take in everything: see [`breadth`] | 3. the tool's name; else the request's short id |
//! | arguments that say worse than the call is called, or that are too many to look at | |
//!
//! Promises: the word is decided from the masked call alone, so it is the same at every
//! door; it is 30 characters at most that every phone's keyboard has. Must
//! never: ask for anything that is hidden, even in part.

use super::belied::Says;
use crate::call::breadth;
use crate::call::json::{self, Json};
use crate::call::model::{Call, Category, Request, Risk};
use crate::call::safe_text::SafeText;
use crate::call::words;

/// The longest and the shortest word that is asked for: what is longer is mistyped, and
/// what is shorter is typed without a thought.
const LONGEST: usize = 30;
const SHORTEST: usize = 3;

/// Last words of names of arguments that name one thing.
const NAMING: &[&str] = &[
    "id",
    "identifier",
    "name",
    "key",
    "uri",
    "url",
    "path",
    "file",
    "filename",
    "target",
    "resource",
    "arn",
    "host",
    "bucket",
    "table",
    "database",
    "db",
    "queue",
    "topic",
    "stream",
    "exchange",
    "namespace",
    "repo",
    "repository",
    "branch",
    "cluster",
    "instance",
    "service",
    "user",
    "username",
    "account",
    "customer",
    "contact",
    "broker",
    "domain",
    "index",
    "collection",
    "volume",
    "project",
    "order",
    "invoice",
    "list",
    "environment",
    "device",
    "directory",
    "folder",
    "tenant",
    "organization",
];

/// Words that soothe, or are our own: an agent would like them to be typed.
const NEVER: &[&str] = &[
    "approve", "approved", "cancel", "deny", "denied", "dry-run", "dry_run", "dryrun", "fake",
    "harmless", "no", "none", "nothing", "noop", "no-op", "ok", "safe", "sandbox", "skip", "test",
    "yes",
];

/// Last words of names of arguments that say what is done.
const DOING: &[&str] = &["command", "cmd", "action", "operation"];

/// What is known of a call, at whichever door.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// `None`: one that is not known here.
    pub category: Option<Category>,
    /// `None`: one that is not known here.
    pub risk: Option<Risk>,
    /// How many values are hidden.
    pub hidden_values: u32,
    /// The tool's name.
    pub tool: &'a str,
    /// The masked arguments; `None`: they cannot be read.
    pub arguments: Option<&'a Json>,
}

impl Known<'_> {
    /// Whether one key must not be enough. What is unsaid counts as the most
    /// dangerous, and so does a command of which a part is hidden: nobody can see
    /// what that part does.
    pub fn is_grave(&self) -> bool {
        use Category::{Execute, Read, Write};
        let does = match self.category {
            Some(Read | Write) => false,
            Some(Execute) => self.hidden_values > 0,
            _ => true,
        };
        let risks = !matches!(self.risk, Some(Risk::Low | Risk::Medium));
        does || risks || self.arguments.is_none_or(|arguments| self.is_worse(arguments))
    }

    fn is_worse(&self, arguments: &Json) -> bool {
        breadth::takes_in_everything(arguments)
            || Says::of_arguments(arguments, self.category).asks_for_care()
    }
}

/// Whether approving this call takes more than a tap.
pub fn is_grave(call: &Call) -> bool {
    let arguments = json::parse_envelope(call.arguments.as_bytes()).ok();
    known(call, arguments.as_ref()).is_grave()
}

fn known<'a>(call: &'a Call, arguments: Option<&'a Json>) -> Known<'a> {
    Known {
        category: Some(call.category),
        risk: Some(call.risk),
        hidden_values: call.hidden_values,
        tool: &call.tool,
        arguments,
    }
}

/// What somebody types who approves with care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToType {
    /// What it is: `the tool's name`, `its broker_id`.
    pub what: String,
    /// The word itself.
    pub word: String,
}

impl ToType {
    /// The word for a call, if it needs that care.
    pub fn of(known: &Known<'_>, short_id: &str) -> Option<ToType> {
        known.is_grave().then(|| {
            let members = known.arguments.and_then(Json::as_object).unwrap_or_default();
            the_target(known.tool, members)
                .or_else(|| only(members, |name| last_of(name, DOING)))
                .or_else(|| typable(known.tool).then(|| ToType::new("the tool's name", known.tool)))
                .unwrap_or_else(|| ToType::new("the short id", short_id))
        })
    }

    /// For this request, if it needs that care.
    pub fn for_request(request: &Request) -> Option<ToType> {
        let arguments = json::parse_envelope(request.call.arguments.as_bytes()).ok();
        ToType::of(&known(&request.call, arguments.as_ref()), &request.id.short())
    }

    fn new(what: &str, word: &str) -> ToType {
        ToType { what: what.to_owned(), word: word.to_owned() }
    }

    /// Whether this is what was typed.
    pub fn is(&self, typed: &str) -> bool {
        typed.trim() == self.word
    }

    /// What it is, as it is shown.
    pub fn named(&self) -> SafeText {
        SafeText::line(&self.what)
    }

    /// The word as it is shown.
    pub fn shown(&self) -> SafeText {
        SafeText::line(&self.word)
    }
}

/// The one argument that names what is acted on: of several the one that is called as
/// the tool calls it (`broker_id` of `delete_broker`). Where that one cannot be typed, no
/// other stands for it.
fn the_target(tool: &str, members: &[(String, Json)]) -> Option<ToType> {
    let noun = words_of(tool).pop().map(singular);
    let as_the_tool = |name: &str| {
        let words = words_of(name);
        let nouns = match words.split_last() {
            Some((last, before)) if !before.is_empty() && is_label(last) => before,
            _ => words.as_slice(),
        };
        nouns.last().is_some() && nouns.last().cloned().map(singular) == noun
    };
    match members.iter().any(|(name, _)| as_the_tool(name)) {
        true => only(members, as_the_tool),
        false => only(members, |name| last_of(name, NAMING)),
    }
}

/// `broker_id`, `brokerName`: it is the broker that is named.
fn is_label(word: &str) -> bool {
    matches!(word, "id" | "identifier" | "name" | "key" | "arn" | "uri" | "url")
}

/// `databases` is of what `database` is of.
fn singular(word: String) -> String {
    match word.strip_suffix('s') {
        Some(one) if one.len() >= SHORTEST => one.to_owned(),
        _ => word,
    }
}

/// The word of the only member whose name is like that, if it can be typed.
fn only(members: &[(String, Json)], is_like: impl Fn(&str) -> bool) -> Option<ToType> {
    let mut found = members.iter().filter(|(name, _)| is_like(name));
    let ((name, value), None) = (found.next()?, found.next()) else { return None };
    let word = match value {
        Json::String(text) => text.as_str(),
        Json::Number(number) => number.as_str(),
        _ => return None,
    };
    let soothes = NEVER.iter().any(|never| never.eq_ignore_ascii_case(word));
    let asked = typable(name) && typable(word) && !soothes;
    asked.then(|| ToType::new(&format!("its {name}"), word))
}

/// Whether a phone's keyboard has all of it, and it is neither long nor too short.
/// Nothing that is hidden passes: our markers have guillemets.
fn typable(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    (SHORTEST..=LONGEST).contains(&word.len()) && word.bytes().all(plain)
}

fn last_of(name: &str, known: &[&str]) -> bool {
    let is_known = |word: &str| known.contains(&word);
    words_of(name).pop().is_some_and(|last| is_known(&last) || is_known(&singular(last)))
}

fn words_of(name: &str) -> Vec<String> {
    words::of(words::start(name, words::LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::redact::mask;

    const PLAIN: Known<'_> = Known {
        category: Some(Category::Write),
        risk: Some(Risk::Low),
        hidden_values: 0,
        tool: "write_key",
        arguments: Some(&Json::Object(Vec::new())),
    };

    /// What is typed for a call of this tool that destroys.
    fn typed(tool: &str, arguments: &str) -> String {
        let arguments = mask(&json::parse(arguments.as_bytes()).expect("JSON")).value;
        let known = Known {
            category: Some(Category::Destructive),
            tool,
            arguments: Some(&arguments),
            ..PLAIN
        };
        let typed = ToType::of(&known, "2b4d5e6f").expect("it destroys");
        format!("{}: {}", typed.what, typed.word)
    }

    #[test]
    fn what_destroys_or_pays_or_is_not_stated_is_typed() {
        let grave = |hidden_values| -> Vec<i32> {
            let of = |n| Known { category: Category::from_number(n), hidden_values, ..PLAIN };
            (0..8).filter(|n| of(*n).is_grave()).collect()
        };
        assert_eq!(grave(0), [0, 4, 5, 6, 7]);
        assert_eq!(grave(1), [0, 3, 4, 5, 6, 7], "nor is a command with a hidden part");
    }

    #[test]
    fn high_and_critical_and_unstated_risks_are_typed_whatever_the_category() {
        let of = |n| Known { risk: Risk::from_number(n), ..PLAIN };
        let grave: Vec<i32> = (0..8).filter(|n| of(*n).is_grave()).collect();
        assert_eq!(grave, [0, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn arguments_that_take_in_everything_are_typed_and_unreadable_ones_too() {
        for (arguments, grave) in [
            (r#"{"key":"user:1"}"#, false),
            (r#"{"key":"*"}"#, true),
            (r#"{"users":["a","all"]}"#, true),
            (r#"{"filter":{}}"#, true),
            (r#"{"path":"customers/*"}"#, false),
            (r#"{"where":"1=1"}"#, true),
            (r#"{"filter":"{}"}"#, true),
            (r#"{"filter":[{}]}"#, true),
            (r#"{"keys":["*/*"]}"#, true),
            // What says worse than the call is called.
            (r#"{"sql":"DROP TABLE orders"}"#, true),
            (r#"{"command":"rm -rf /srv"}"#, true),
            (r#"{"sql":"UPDATE a SET b = 1 WHERE c = 2"}"#, false),
        ] {
            let parsed = json::parse(arguments.as_bytes()).expect("JSON");
            let known = Known { arguments: Some(&parsed), ..PLAIN };
            assert_eq!(known.is_grave(), grave, "{arguments}");
        }
        assert!(Known { arguments: None, ..PLAIN }.is_grave());
        assert_eq!(ToType::of(&PLAIN, "2b4d5e6f"), None);
    }

    #[test]
    fn the_thing_that_is_acted_on_is_typed_where_one_argument_plainly_names_it() {
        for (tool, arguments, word) in [
            (
                "delete_broker",
                r#"{"broker_id":"b-prod-1","region":"eu-1"}"#,
                "its broker_id: b-prod-1",
            ),
            ("deleteBroker", r#"{"id":"x-99","brokerName":"orders"}"#, "its brokerName: orders"),
            ("delete_key", r#"{"key":"user:1"}"#, "its key: user:1"),
            ("drop", r#"{"force":true,"table_name":"orders"}"#, "its table_name: orders"),
            ("delete_user", r#"{"user_id":8812}"#, "its user_id: 8812"),
            // Two of them, and neither is called as the tool calls it.
            ("purge", r#"{"queue":"orders","exchange":"events"}"#, "the tool's name: purge"),
            ("run_update", r#"{"command":"FLUSHALL","mode":"refresh"}"#, "its command: FLUSHALL"),
            ("delete_rows", r#"{"rows":[1,2]}"#, "the tool's name: delete_rows"),
            (
                "delete_db_instance",
                r#"{"DBInstanceIdentifier":"prod-main","user":"scratch"}"#,
                "its DBInstanceIdentifier: prod-main",
            ),
            // What is acted on cannot be typed, and nothing else stands for it.
            (
                "delete_database",
                r#"{"databases":["prod-main"],"name":"scratch-1"}"#,
                "the tool's name: delete_database",
            ),
            ("erase", r#"{"tables":["orders"],"target":"scratch"}"#, "the tool's name: erase"),
            // Words that an agent would like to be typed.
            ("erase", r#"{"target":"deny"}"#, "the tool's name: erase"),
            ("erase", r#"{"user":"Dry-Run"}"#, "the tool's name: erase"),
        ] {
            assert_eq!(typed(tool, arguments), word, "{tool} {arguments}");
        }
    }

    #[test]
    fn what_is_hidden_or_long_or_hard_to_type_is_never_asked_for() {
        let long = format!(r#"{{"key":"{}"}}"#, "x".repeat(LONGEST + 1));
        for arguments in [
            r#"{"key":"ghp_abcdefghijklmnop1234"}"#,
            r#"{"name":"AKIAIOSFODNN7EXAMPLE"}"#,
            r#"{"key":"two words"}"#,
            r#"{"key":"us\u200ber"}"#,
            r#"{"key":"us\u0435r"}"#,
            r#"{"key":"1"}"#,
            r#"{"key":""}"#,
            r#"{"key":["user:1"]}"#,
            r#"{"k\u0435y":"user:1"}"#,
            r#"{"key (harmless)":"user:1"}"#,
            &long,
        ] {
            assert_eq!(typed("erase", arguments), "the tool's name: erase", "{arguments}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_typed_is_not_asked_for() {
        let long = "delete_".repeat(5);
        for tool in ["d\u{435}lete", "delete\u{200b}", "delete ", "", "rm", &long] {
            assert_eq!(typed(tool, "{}"), "the short id: 2b4d5e6f", "{tool:?}");
        }
        let typed = ToType::new("the tool's name", "delete_key");
        assert!(typed.is(" delete_key\n") && !typed.is("Delete_key") && !typed.is(""));
    }
}
