//! Conditions that say the same of every call, and what of them is compared with what it
//! never is.
//!
//! What hangs on the clock and on what the call does alone takes few values: it is simply
//! evaluated for all of them. Of arguments it is only seen that one value cannot be two
//! at once.
//!
//! Promises: what is said is so; not all of it is found. The work is bounded. Must never:
//! be done while a proxy reads its policy: only `policy check` asks.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::Facts;
use super::compile::{Fault, Relation, Tree, Variable};
use super::evaluate::evaluate;
use crate::call::json::Json;
use crate::call::model::{Category, Risk};
use crate::config::names::shortened;
use crate::policy::budget::Budget;
use crate::policy::rules::Doubt;
use crate::policy::{Call, Definition, From};

/// How many evaluations one condition is worth: one that looks at hour and minute has
/// 1440 values.
const MOST_EVALUATIONS: usize = 20_000;

const CATEGORIES: [Category; 5] = [
    Category::Read,
    Category::Write,
    Category::Execute,
    Category::Destructive,
    Category::Financial,
];
const RISKS: [Risk; 4] = [Risk::Low, Risk::Medium, Risk::High, Risk::Critical];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What is odd about a condition, after the word `when`, and what to do.
pub fn doubts(tree: &Tree) -> Vec<Fault> {
    let mut search = Search { found: Vec::new(), evaluations: 0 };
    if let Tree::Bool(value) = tree {
        search.add(format!("{} holds", often(*value)), "take it away, or write a condition");
    } else {
        search.look(tree);
    }
    search.found
}

struct Search {
    found: Vec<Fault>,
    evaluations: usize,
}

fn often(always: bool) -> &'static str {
    if always { "always" } else { "never" }
}

impl Search {
    fn add(&mut self, message: impl Into<String>, remedy: impl Into<String>) {
        self.found.push(Fault { message: message.into(), remedy: remedy.into() });
    }

    /// Looks at the parts first: where one of them is odd, the whole is for that.
    fn look(&mut self, tree: &Tree) {
        let before = self.found.len();
        tree.below().into_iter().for_each(|part| self.look(part));
        if self.found.len() > before {
            return;
        }
        match tree {
            Tree::Relation(relation, both) => self.relation(*relation, both),
            Tree::And(both) => self.chain(true, tree, both),
            Tree::Or(both) => self.chain(false, tree, both),
            _ => {}
        }
        if self.found.len() == before && is_question(tree) {
            self.all_values(tree);
        }
    }

    fn relation(&mut self, relation: Relation, both: &[Tree; 2]) {
        let (variable, other) = match both {
            [Tree::Variable(variable), other] | [other, Tree::Variable(variable)] => {
                (*variable, other)
            }
            _ => return,
        };
        let name = variable.name();
        let equal = matches!(relation, Relation::Equal | Relation::Unequal);
        match (words(variable), other) {
            (Some(words), Tree::Text(_) | Tree::Variable(_))
                if !equal && relation != Relation::In =>
            {
                let mut ordered = words.clone();
                ordered.sort_unstable();
                self.add(
                    format!(
                        "compares `{name}` as text, which goes by the alphabet: {}",
                        ordered.join(", ")
                    ),
                    format!(
                        "name the words that are meant: {name} in [{}]",
                        words[words.len() - 2..]
                            .iter()
                            .map(|word| format!("\"{word}\""))
                            .collect::<Vec<_>>()
                            .join(", ")
                    ),
                );
            }
            (_, Tree::List(items)) if relation == Relation::In => {
                for item in items {
                    self.never(variable, item);
                }
            }
            _ if equal => self.never(variable, other),
            _ => {}
        }
    }

    /// Says so if a variable is never what it is compared with.
    fn never(&mut self, variable: Variable, other: &Tree) {
        let Some(literal) = literal(other) else { return };
        let is_number = matches!(variable, Variable::Hour | Variable::Minute);
        let fits = match (other, words(variable)) {
            (Tree::Text(text), Some(words)) => words.contains(&text.as_str()),
            (Tree::Text(_), None) => !is_number && variable != Variable::Now,
            (Tree::Int(number), _) if is_number => {
                (0..=if variable == Variable::Hour { 23 } else { 59 }).contains(number)
            }
            _ => false,
        };
        if !fits {
            let message =
                format!("compares `{}` with {literal}, which it never is", variable.name());
            self.add(message, values(variable));
        }
    }

    /// `a && b && ...`, of which one value is asked to be two things at once, and
    /// `a || b || ...`, of which one thing or the other always is so.
    fn chain(&mut self, and: bool, tree: &Tree, both: &[Tree; 2]) {
        if let Some(Tree::Bool(value)) = both.iter().find(|part| matches!(part, Tree::Bool(_))) {
            let sign = if and { "&&" } else { "||" };
            let message = match *value == and {
                true => format!("has `{value}` beside {sign}, which changes nothing"),
                false => format!("{} holds: `{value}` beside {sign} decides it", often(*value)),
            };
            return self.add(message, "take it away");
        }
        let mut parts = Vec::new();
        flattened(and, tree, &mut parts);
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        for part in parts {
            if let Some((key, name, relation, value)) = asks(part) {
                asked.entry(key).or_insert_with(|| Asked::of(name)).hear(and, relation, value);
            }
        }
        for asked in asked.into_values().filter(|asked| asked.is_odd(and)) {
            let Asked { name, .. } = asked;
            match and {
                true => self.add(
                    format!("never holds: {name} cannot be all of this at once"),
                    "write || where either is enough",
                ),
                false => self.add(
                    format!("always holds: one or the other is so, whatever {name} is"),
                    "write && where both are meant",
                ),
            }
        }
    }

    /// Evaluates what takes few values for each of them.
    fn all_values(&mut self, tree: &Tree) {
        let mut variables = BTreeSet::new();
        if !only_of_few(tree, &mut variables) {
            return;
        }
        let has = |variable: Variable| variables.contains(variable.name());
        let categories = if has(Variable::Category) { &CATEGORIES[..] } else { &CATEGORIES[..1] };
        let risks = if has(Variable::Risk) { &RISKS[..] } else { &RISKS[..1] };
        let days = if has(Variable::Weekday) { 7 } else { 1 };
        let hours = if has(Variable::Hour) { 24 } else { 1 };
        let minutes = if has(Variable::Minute) { 60 } else { 1 };
        let product = categories.len() * risks.len() * days * hours * minutes;
        self.evaluations += product;
        if self.evaluations > MOST_EVALUATIONS {
            return;
        }
        let (mut held, mut failed) = (BTreeSet::new(), false);
        for moment in 0..days * hours * minutes {
            let (day, rest) = (moment / (hours * minutes), moment % (hours * minutes));
            let minutes = day * 24 * 60 + rest / minutes * 60 + rest % minutes;
            let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minutes as i64);
            for category in categories {
                for risk in risks {
                    match holds(tree, at, *category, *risk) {
                        Some(value) => drop(held.insert(value)),
                        None => failed = true,
                    }
                }
            }
        }
        let names: Vec<String> = variables.iter().map(|name| format!("`{name}`")).collect();
        let of = match names.as_slice() {
            [] => "looks at nothing of the call".to_owned(),
            names => {
                format!("asks of {} what is the same for all of its values", names.join(" and "))
            }
        };
        match (held.first(), held.len(), failed) {
            (Some(value), 1, false) => {
                self.add(format!("{of}: this {} holds", often(*value)), MEND);
            }
            (None, _, true) => self.add(format!("{of}: this can never be evaluated"), MEND),
            _ => {}
        }
    }
}

const MEND: &str = "mend it, or take it away";

/// What one value is asked to be, by one side of a chain or another.
struct Asked {
    name: String,
    /// The values that it is to be equal (or, of `||`, unequal) to.
    values: BTreeSet<String>,
    /// The largest and the smallest number that bounds it, and whether it may be that.
    above: Option<(f64, bool)>,
    below: Option<(f64, bool)>,
}

impl Asked {
    fn of(name: String) -> Asked {
        Asked { name, values: BTreeSet::new(), above: None, below: None }
    }

    fn hear(&mut self, and: bool, relation: Relation, value: &Tree) {
        let number = match value {
            Tree::Int(number) => Some(*number as f64),
            Tree::Double(number) => Some(*number),
            _ => None,
        };
        // Of `&&` the narrowest bounds count, of `||` the widest.
        let keeps = |old: f64, new: f64, up: bool| if up == and { new > old } else { new < old };
        let bound = |slot: &mut Option<(f64, bool)>, up: bool, may_be: bool| {
            if let Some(new) = number
                && slot.is_none_or(|(old, _)| keeps(old, new, up))
            {
                *slot = Some((new, may_be));
            }
        };
        match relation {
            Relation::Equal if and => drop(self.values.insert(format!("{value:?}"))),
            Relation::Unequal if !and => drop(self.values.insert(format!("{value:?}"))),
            Relation::More => bound(&mut self.above, true, false),
            Relation::AtLeast => bound(&mut self.above, true, true),
            Relation::Less => bound(&mut self.below, false, false),
            Relation::AtMost => bound(&mut self.below, false, true),
            _ => {}
        }
    }

    fn is_odd(&self, and: bool) -> bool {
        let apart = match (self.above, self.below) {
            (Some((above, may)), Some((below, might))) if and => {
                above > below || (above == below && !(may && might))
            }
            (Some((above, may)), Some((below, might))) => {
                above < below || (above == below && (may || might))
            }
            _ => false,
        };
        self.values.len() > 1 || apart
    }
}

/// A part that compares something of the call with a literal: what tells that something
/// from others, what it is called, how it is compared, and with what.
fn asks(part: &Tree) -> Option<(String, String, Relation, &Tree)> {
    let Tree::Relation(relation, both) = part else { return None };
    let (of, relation, value) = match &**both {
        [of, value] if literal(value).is_some() => (of, *relation, value),
        [value, of] if literal(value).is_some() => (of, turned(*relation)?, value),
        _ => return None,
    };
    let name = match of {
        Tree::Variable(variable) => format!("`{}`", variable.name()),
        of => match of.path() {
            Some(path) if !path.is_empty() => format!("`args.{}`", shortened(&path.join("."))),
            _ => "what it looks at".to_owned(),
        },
    };
    Some((format!("{of:?}"), name, relation, value))
}

/// The same the other way round: `5 < x` is `x > 5`.
fn turned(relation: Relation) -> Option<Relation> {
    Some(match relation {
        Relation::Less => Relation::More,
        Relation::AtMost => Relation::AtLeast,
        Relation::More => Relation::Less,
        Relation::AtLeast => Relation::AtMost,
        Relation::Equal | Relation::Unequal => relation,
        Relation::In => return None,
    })
}

fn flattened<'a>(and: bool, tree: &'a Tree, parts: &mut Vec<&'a Tree>) {
    match tree {
        Tree::And(both) if and => both.iter().for_each(|part| flattened(and, part, parts)),
        Tree::Or(both) if !and => both.iter().for_each(|part| flattened(and, part, parts)),
        part => parts.push(part),
    }
}

/// Whether it is true or false.
fn is_question(tree: &Tree) -> bool {
    matches!(
        tree,
        Tree::Relation(..) | Tree::And(_) | Tree::Or(_) | Tree::Not(_) | Tree::Matches(..)
    )
}

/// Whether it looks at nothing but variables of few values, whose names are collected.
fn only_of_few(tree: &Tree, variables: &mut BTreeSet<&'static str>) -> bool {
    match tree {
        Tree::Arguments | Tree::Local(_) => false,
        Tree::Variable(variable) => {
            variables.insert(variable.name());
            words(*variable).is_some() || matches!(variable, Variable::Hour | Variable::Minute)
        }
        tree => tree.below().into_iter().all(|part| only_of_few(part, variables)),
    }
}

fn holds(tree: &Tree, at: DateTime<Utc>, category: Category, risk: Risk) -> Option<bool> {
    let (arguments, from) = (Json::Object(Vec::new()), From::default());
    let call = Call {
        server: "",
        tool: "",
        definition: Definition::Unknown,
        arguments: &arguments,
        from,
        at,
    };
    let facts = Facts { call: &call, category, risk, doubt: Doubt::default(), zone: Tz::UTC };
    evaluate(tree, &facts, &mut Budget::default()).ok()
}

/// The words that a variable may be.
fn words(variable: Variable) -> Option<Vec<&'static str>> {
    match variable {
        Variable::Category => Some(CATEGORIES.iter().map(|category| category.word()).collect()),
        Variable::Risk => Some(RISKS.iter().map(|risk| risk.word()).collect()),
        Variable::Weekday => Some(DAYS.to_vec()),
        _ => None,
    }
}

/// What a variable may be, for who wrote something else.
fn values(variable: Variable) -> String {
    let name = variable.name();
    match (variable, words(variable)) {
        (_, Some(words)) => {
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{name} is one of {}", words.join(", "))
        }
        (Variable::Hour, _) => format!("{name} is a number from 0 to 23, without quotes"),
        (Variable::Minute, _) => format!("{name} is a number from 0 to 59, without quotes"),
        (Variable::Now, _) => {
            format!("{name} is a time: compare it with timestamp(\"2026-11-22T18:00:00Z\")")
        }
        _ => format!("{name} is a text: write it in double quotes"),
    }
}

/// How a literal is written.
fn literal(tree: &Tree) -> Option<String> {
    match tree {
        Tree::Null => Some("null".to_owned()),
        Tree::Bool(value) => Some(value.to_string()),
        Tree::Int(number) => Some(number.to_string()),
        Tree::Double(number) => Some(number.to_string()),
        Tree::Text(text) => Some(format!("\"{}\"", shortened(text))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile;
    use super::*;

    fn said(source: &str) -> String {
        let tree = compile(source).unwrap_or_else(|fault| panic!("{source}: {fault:?}"));
        let said = doubts(&tree).into_iter().map(|f| format!("{}; {}", f.message, f.remedy));
        said.collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn what_never_or_always_holds_is_told() {
        for (source, expected) in [
            (
                r#"time.weekday == "monday""#,
                r#"compares `time.weekday` with "monday", which it never is; time.weekday is one of "mon", "tue""#,
            ),
            ("time.weekday == 1", "compares `time.weekday` with 1, which it never is"),
            ("time.weekday in ['Sat', 'sun']", "with \"Sat\", which it never is"),
            ("time.hour == '9'", "with \"9\", which it never is; time.hour is a number from 0"),
            ("time.hour == 24", "compares `time.hour` with 24, which it never is"),
            ("time.now == '2026-11-22'", "time.now is a time: compare it with timestamp("),
            ("time.hour < 9 && time.hour >= 17", "never holds: `time.hour` cannot be all of this"),
            (
                "time.hour >= 0",
                "asks of `time.hour` what is the same for all of its values: this always holds",
            ),
            ("time.hour > 23 && args.x == 1", "this never holds"),
            (
                r#"call.category == "reads""#,
                "compares `call.category` with \"reads\", which it never is; call.category is one of \"read\"",
            ),
            (r#"call.risk != "severe""#, "compares `call.risk` with \"severe\", which it never is"),
            (
                r#"call.risk >= "high""#,
                "compares `call.risk` as text, which goes by the alphabet: critical, high, low, medium; name the words that are meant: call.risk in [\"high\", \"critical\"]",
            ),
            (r#""low" < call.risk"#, "compares `call.risk` as text"),
            (
                "call.category.startsWith('x') || false",
                "has `false` beside ||, which changes nothing",
            ),
            (
                "agent.version == 2",
                "compares `agent.version` with 2, which it never is; agent.version is a text",
            ),
            ("true", "always holds"),
            ("args.n > 1 || true", "always holds: `true` beside || decides it"),
            ("1 == 2", "looks at nothing of the call: this never holds"),
            ("'a'.matches('b') == true", "looks at nothing of the call: this never holds"),
            ("1 / 0 == 1", "looks at nothing of the call: this can never be evaluated"),
            (
                "args.n == 1 && args.n == 2",
                "never holds: `args.n` cannot be all of this at once; write ||",
            ),
            ("args.a.b == 'x' && args.q && args.a.b == 'y'", "never holds: `args.a.b`"),
            (
                "call.tool != 'a' || call.tool != 'b'",
                "always holds: one or the other is so, whatever `call.tool` is; write &&",
            ),
            ("args.n > 10 && args.n < 5", "never holds: `args.n`"),
            ("args.n >= 5 && 5 > args.n", "never holds: `args.n`"),
            ("args.n > 5 || args.n < 10", "always holds"),
            ("args.list.exists(x, x == 1 && x == 2)", "never holds: what it looks at"),
        ] {
            assert!(said(source).contains(expected), "{source}: {}", said(source));
        }
    }

    #[test]
    fn what_may_hold_and_may_not_is_not_doubted() {
        for source in [
            r#"time.weekday in ["sat", "sun"] || time.hour < 9 || time.hour >= 17"#,
            "time.hour >= 9 && time.hour < 17 && time.minute != 30",
            r#"call.category == "read" && call.risk in ["low", "medium"]"#,
            "args.n > 5 && args.n < 10",
            "args.n < 5 || args.n > 10",
            "args.n >= 5 && args.n <= 5",
            "args.n == 1 || args.n == 2",
            "args.n != 1 && args.n != 2",
            "args.n == 1 && args.m == 2",
            "args.n > 5 && args.n > 10 && args.n < 20",
            "call.server == 'a' && call.tool == 'b'",
            "!args.path.startsWith('/home') || args.path.contains('..')",
            "has(args.limit) && args.limit > 100",
            "args.people.exists(p, !p.mail.endsWith('@example.com'))",
        ] {
            assert_eq!(said(source), "", "{source}");
        }
    }

    #[test]
    fn the_work_for_one_condition_is_bounded() {
        let one = "time.hour * 60 + time.minute > 9 * 60 && time.weekday != 'sun'";
        let many = vec![one; 50].join(" && ");
        let began = std::time::Instant::now();
        assert_eq!(said(&many), "");
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
