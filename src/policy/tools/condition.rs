//! A condition: a path into the arguments or to a counter, and what is asked of
//! the value there.
//!
//! Promises: `args.a.b` is the member `b` of the object that is the member `a`,
//! and nothing else; a list has no members. A condition that holds for now and
//! one that will only hold later are told apart, for a call that comes too soon
//! is not a call that may never be made.

use std::time::Duration;

use super::counter::{Counter, Declared};
use super::operator::{Test, Truth};
use super::pattern::Patterns;
use super::read::text;
use crate::call::json::Json;
use crate::config::names::shortened;
use crate::policy::budget::Budget;
use crate::policy::call::{Call, Counters};
use crate::policy::problem::{Place, Problems};
use crate::policy::values::Map;
use crate::policy::yaml::Node;

/// One item under `conditions:`.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    source: Source,
    test: Test,
}

/// Where its value is.
#[derive(Debug, Clone)]
enum Source {
    Argument(Argument),
    Counter(Counter),
}

/// A place in the arguments: the name of a member for each level.
#[derive(Debug, Clone)]
pub(super) struct Argument(Vec<String>);

/// What a condition says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Holds,
    Fails,
    /// It fails, and will hold once its counter has begun again, after this time.
    Later(Duration),
    /// The argument is missing, or of a kind that cannot be compared so.
    Unknown,
    /// What was counted cannot be read.
    Untold,
}

impl From<Truth> for Look {
    fn from(truth: Truth) -> Look {
        match truth {
            Truth::Holds => Look::Holds,
            Truth::Fails => Look::Fails,
            Truth::Unknown => Look::Unknown,
        }
    }
}

impl Condition {
    /// What it says of these arguments; `None`: it looks at a counter.
    pub fn of_arguments(&self, arguments: &Json, budget: &mut Budget) -> Option<Look> {
        match &self.source {
            Source::Argument(argument) => {
                Some(self.test.of(argument.in_object(arguments), budget).into())
            }
            Source::Counter(_) => None,
        }
    }

    /// What it says of its counter.
    pub fn of_counters(&self, call: &Call<'_>, counters: &dyn Counters) -> Look {
        let Source::Counter(counter) = &self.source else { return Look::Unknown };
        let Ok(value) = counters.value(&counter.key(call.server)) else { return Look::Untold };
        let on = |value: i64| self.test.of_number(value);
        if on(value) == Truth::Fails && on(0) == Truth::Holds {
            return Look::Later(counter.begins_again_in(call.at));
        }
        on(value).into()
    }

    /// Whether it looks at a counter.
    pub fn counts(&self) -> bool {
        matches!(self.source, Source::Counter(_))
    }

    /// The most that this counter may reach, as far as this condition goes.
    pub fn limit_of(&self, counter: &Counter) -> Option<i64> {
        match &self.source {
            Source::Counter(mine) if mine == counter => self.test.limit(),
            _ => None,
        }
    }

    /// An item of a list under `conditions:`.
    pub fn read(
        node: &Node,
        declared: &Declared,
        patterns: &mut Patterns,
        problems: &mut Problems,
    ) -> Option<Condition> {
        let remedy = "write for example: path: args.amount, op: lte, value: 50000";
        let map = Map::of(node, "an item of `conditions`", remedy, problems)?;
        map.only(&["path", "op", "value"], "in an item of `conditions`", problems);
        let source = match map.get("path") {
            Some(entry) => text(entry, problems)
                .and_then(|path| Source::read(path, entry.node.place, declared, problems)),
            None => Source::read("", map.place, declared, problems),
        };
        let (op, place) = match map.get("op") {
            Some(entry) => (text(entry, problems), entry.node.place),
            None => (Some(""), map.place),
        };
        let test = op.and_then(|op| Test::read(op, place, map.get("value"), patterns, problems));
        Some(Condition { source: source?, test: test? })
    }
}

impl Source {
    fn read(
        path: &str,
        place: Place,
        declared: &Declared,
        problems: &mut Problems,
    ) -> Option<Source> {
        if let Some(rest) = path.strip_prefix("args.") {
            return Argument::read(rest, "path", place, problems).map(Source::Argument);
        }
        let shown = shortened(path);
        let Some(rest) = path.strip_prefix("state.") else {
            problems.add(
                place,
                format!("path must start with args. or state., and is \"{shown}\""),
                "write args.FIELD or state.TOOL.COUNTER",
            );
            return None;
        };
        match declared.find(rest).as_slice() {
            [counter] => return Some(Source::Counter(counter.clone())),
            [] => {
                let remedy = "add a `state` block with this counter to a rule of that tool; the scope of rules under \"*\" is _global: state._global.COUNTER";
                let message = format!(
                    "the condition references {shown} but no matching state block is found"
                );
                problems.add(place, message, remedy);
            }
            _ => problems.add(
                place,
                format!("{shown} may be read in two ways, as names with dots in them allow it"),
                "give the counter another name",
            ),
        }
        None
    }
}

impl Argument {
    /// The path that follows `args.`.
    pub fn read(path: &str, key: &str, place: Place, problems: &mut Problems) -> Option<Argument> {
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            let message = format!("{key} has an empty part: \"args.{}\"", shortened(path));
            problems.add(place, message, "write names with one dot between them: args.amount");
            return None;
        }
        Some(Argument(parts))
    }

    pub fn in_object<'a>(&self, arguments: &'a Json) -> Option<&'a Json> {
        self.0.iter().try_fold(arguments, |value, name| value.get(name))
    }
}
