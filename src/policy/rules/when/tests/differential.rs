//! What our evaluation makes of a condition, against what the `cel` crate's own
//! evaluator makes of it: the same expressions, over the same arguments.
//!
//! Compared is what a rule asks: true, false, or no answer. The expressions are made
//! by kind, so that many of them have an answer, with parts of a wrong kind now and
//! then. Where the two are meant to differ stands in [`DEPARTURES`], and is not among
//! the expressions.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cel::{Context, Value};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;

/// How long expressions are compared, and how many have to be by then, on the slowest
/// of machines.
const FOR: Duration = Duration::from_secs(3);
const LEAST: usize = 500;

/// How deep an expression goes.
const LEVELS: u32 = 4;

/// A condition's answer, if it has one.
type Answer = Option<bool>;

/// Where the two differ on purpose: a condition and its arguments, our answer and
/// theirs, and why.
const DEPARTURES: [(&str, &str, Answer, Answer, &str); 10] = [
    (
        "args.x > 0.0",
        r#"{"x":9007199254740992.5}"#,
        None,
        Some(true),
        "a number that no double is exactly cannot be told from its neighbours",
    ),
    (
        "args.n > 0",
        r#"{"n":9223372036854775808}"#,
        None,
        Some(true),
        "nor can a whole number beyond 64 bits",
    ),
    (
        "args.n == 9223372036854775807.0",
        r#"{"n":9223372036854775807}"#,
        Some(false),
        Some(true),
        "whole numbers and doubles are compared as they are, not as doubles both",
    ),
    (
        "args.n < 9007199254740992.0 + 1.0 || args.n <= 9007199254740992.0",
        r#"{"n":9007199254740993}"#,
        Some(false),
        Some(true),
        "the same with an order",
    ),
    (
        "size(args.list + args.deep) == 2",
        r#"{"list":[1],"deep":{"a":1}}"#,
        None,
        Some(true),
        "CEL adds lists to lists only",
    ),
    (
        "double('1e400') > 1.0",
        "{}",
        None,
        Some(true),
        "a text that no double can say is no number, as it is none in arguments",
    ),
    ("args.t.matches('^a')", r#"{"t":"ab"}"#, Some(true), None, "theirs by a feature we leave out"),
    (
        "timestamp('2026-11-22T18:00:00Z') < timestamp(args.t)",
        r#"{"t":"2027-01-01T00:00:00Z"}"#,
        Some(true),
        None,
        "the same",
    ),
    ("args.t.lowerAscii() == 'a'", r#"{"t":"A"}"#, Some(true), None, "the same"),
    (
        "args.list.all(i, args.list.all(j, args.list.all(k, i + j + k < 1000)))",
        LONG_LIST,
        None,
        Some(true),
        "more work than a condition may be",
    ),
];

/// Sixty numbers.
const LONG_LIST: &str = "{\"list\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,\
    23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,\
    53,54,55,56,57,58,59,60]}";

#[test]
fn where_conditions_mean_something_else_it_is_meant_so() {
    for (source, text, expected, departs, why) in DEPARTURES {
        let arguments = parse(text.as_bytes()).expect("JSON");
        assert_eq!(ours(source, &arguments), expected, "{source}: {why}");
        assert_eq!(theirs(source, &arguments), departs, "{source}: {why}");
    }
}

fn ours(source: &str, arguments: &Json) -> Answer {
    asked(source, arguments).ok()
}

fn theirs(source: &str, arguments: &Json) -> Answer {
    let parsed = cel::parser::PrattParser::new().parse(source).expect(source);
    let mut context = Context::default();
    context.add_variable_from_value("args", value(arguments));
    let call = [("server", "kv"), ("tool", "kv_del"), ("category", "destructive")];
    context.add_variable_from_value("call", texts(&call));
    match Value::resolve(&parsed, &context) {
        Ok(Value::Bool(value)) => Some(value),
        _ => None,
    }
}

fn texts(members: &[(&str, &str)]) -> Value {
    let members = members.iter().map(|(name, text)| (name.to_string(), text.to_string()));
    members.collect::<HashMap<String, String>>().into()
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().expect("a double")),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, json)| (name.clone(), value(json)));
            members.collect::<HashMap<String, Value>>().into()
        }
    }
}

/// What a part of an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Truth,
    Int,
    Double,
    Text,
    Ints,
    Texts,
    Object,
    Null,
}
use Kind::*;

const KINDS: [Kind; 8] = [Truth, Int, Double, Text, Ints, Texts, Object, Null];

/// The arguments have each of these, or something else in its place, or nothing.
fn name(kind: Kind) -> &'static str {
    match kind {
        Truth => "yes",
        Int => "n",
        Double => "x",
        Text => "t",
        Ints => "list",
        Texts => "words",
        Object => "deep",
        Null => "none",
    }
}

/// What is the same in JSON and in CEL; an object is in the arguments only, as
/// conditions cannot write one.
fn literals(kind: Kind) -> &'static [&'static str] {
    match kind {
        Truth => &["true", "false"],
        Int => &["0", "1", "2", "3", "-1", "7"],
        // So large that products have no end, and texts of it one that a double can say.
        Double => &["0.5", "1.5", "-2.5", "1e60"],
        Text => &[r#""""#, r#""a""#, r#""ab""#, r#""kv""#, r#""é€""#, r#""5""#, r#""-0.5""#],
        Ints => &["[]", "[1]", "[1, 2, 3]", "[3, 1]", "[2, 2]"],
        Texts => &["[]", r#"["a"]"#, r#"["a", "kv"]"#, r#"["n", "t", "ab"]"#],
        Object => &["{}", r#"{"a":1}"#, r#"{"a":{"b":[1]}}"#, r#"{"n":2,"t":"a"}"#],
        Null => &["null"],
    }
}

/// These are not exactly doubles, nor is what is computed of them.
const LARGE: [&str; 3] = ["9223372036854775807", "-9223372036854775808", "9007199254740993"];

/// How expressions of a kind are made: the first part takes the place of `A`, the
/// second that of `B`.
type Form = (&'static str, Kind, Kind);

/// As what the items of a list or the names of an object go by.
const ITEMS: [(&str, Kind); 2] = [("i", Int), ("s", Text)];

fn forms(kind: Kind) -> &'static [Form] {
    match kind {
        Truth => &[
            ("(A && B)", Truth, Truth),
            ("(A || B)", Truth, Truth),
            ("!A", Truth, Null),
            ("(A == B)", Truth, Truth),
            ("(A == B)", Int, Int),
            ("(A == B)", Double, Double),
            ("(A == B)", Int, Double),
            ("(A != B)", Double, Int),
            ("(A == B)", Text, Text),
            ("(A != B)", Text, Text),
            ("(A == B)", Ints, Ints),
            ("(A == B)", Texts, Texts),
            ("(A == B)", Object, Object),
            ("(A == B)", Object, Null),
            ("(A < B)", Int, Int),
            ("(A >= B)", Int, Int),
            ("(A <= B)", Double, Double),
            ("(A > B)", Int, Double),
            ("(A < B)", Double, Int),
            ("(A < B)", Text, Text),
            ("(A <= B)", Truth, Truth),
            ("A.startsWith(B)", Text, Text),
            ("A.endsWith(B)", Text, Text),
            ("A.contains(B)", Text, Text),
            ("(A in B)", Int, Ints),
            ("(A in B)", Double, Ints),
            ("(A in B)", Text, Texts),
            ("(A in B)", Text, Object),
            ("has(A.a)", Object, Null),
            ("has(A.a.b)", Object, Null),
            ("has(args.n)", Null, Null),
            ("has(args.deep.a)", Null, Null),
            ("A.all(i, B)", Ints, Truth),
            ("A.exists(i, B)", Ints, Truth),
            ("A.exists_one(i, B)", Ints, Truth),
            ("A.all(s, B)", Texts, Truth),
            ("A.exists(s, B)", Texts, Truth),
            ("A.exists_one(s, B)", Texts, Truth),
            ("A.all(s, B)", Object, Truth),
            ("A.exists(s, B)", Object, Truth),
        ],
        Int => &[
            ("(A + B)", Int, Int),
            ("(A - B)", Int, Int),
            ("(A * B)", Int, Int),
            ("(A / B)", Int, Int),
            ("(A % B)", Int, Int),
            ("-A", Int, Null),
            ("size(A)", Text, Null),
            ("A.size()", Ints, Null),
            ("size(A)", Object, Null),
            ("A[B]", Ints, Int),
            ("A.a", Object, Null),
            ("A['n']", Object, Null),
            ("int(A)", Text, Null),
            ("int(A)", Double, Null),
            ("int(A)", Int, Null),
        ],
        Double => &[
            ("(A + B)", Double, Double),
            ("(A - B)", Double, Double),
            ("(A * B)", Double, Double),
            ("(A / B)", Double, Double),
            ("-A", Double, Null),
            ("double(A)", Int, Null),
            ("double(A)", Text, Null),
        ],
        Text => &[
            ("(A + B)", Text, Text),
            ("string(A)", Int, Null),
            ("string(A)", Double, Null),
            ("string(A)", Text, Null),
            ("A[B]", Texts, Int),
            ("A.t", Object, Null),
        ],
        Ints => &[
            ("(A + [B])", Ints, Int),
            ("(A + args.list)", Ints, Null),
            ("[A, B]", Int, Int),
            ("A.a.b", Object, Null),
            ("A.filter(i, B)", Ints, Truth),
            ("A.map(i, B)", Ints, Int),
            ("A.map(i, i > 1, B)", Ints, Int),
        ],
        Texts => &[
            ("(A + [B])", Texts, Text),
            ("(A + args.words)", Texts, Null),
            ("[A, B]", Text, Text),
            ("A.filter(s, B)", Texts, Truth),
            ("A.map(s, B)", Texts, Text),
        ],
        Object => &[("A.a", Object, Null), ("args", Null, Null)],
        Null => &[("args.none", Null, Null)],
    }
}

/// Makes expressions and arguments.
struct Maker {
    random: TestRng,
    /// With large whole numbers, and then without doubles: compared with each other
    /// they are one of the departures.
    large: bool,
}

impl Maker {
    fn below(&mut self, n: usize) -> usize {
        self.random.next_u64() as usize % n
    }

    fn any_kind(&mut self) -> Kind {
        match KINDS[self.below(KINDS.len())] {
            Double if self.large => Int,
            kind => kind,
        }
    }

    fn literal(&mut self, kind: Kind) -> &'static str {
        match kind {
            Double if self.large => self.one_of(&LARGE),
            Int if self.large && self.one_in(3) => self.one_of(&LARGE),
            kind => self.one_of(literals(kind)),
        }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn one_of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn arguments(&mut self) -> String {
        let mut members = Vec::new();
        for kind in KINDS {
            let of = match if self.one_in(12) { self.any_kind() } else { kind } {
                // Added to a list it is one of the departures.
                Object if kind == Ints || kind == Texts => Truth,
                of => of,
            };
            let json = self.literal(of);
            if !self.one_in(8) {
                members.push(format!(r#""{}":{json}"#, name(kind)));
            }
        }
        format!("{{{}}}", members.join(","))
    }

    /// An expression of this kind; `items` are those that it may name.
    fn expression(&mut self, kind: Kind, levels: u32, items: &[(&str, Kind)]) -> String {
        // Now and then it is of another kind.
        let kind = if self.one_in(25) { self.any_kind() } else { kind };
        let Some(below) = levels.checked_sub(1).filter(|_| !self.one_in(5)) else {
            return self.leaf(kind, items);
        };
        if self.one_in(10) {
            let [a, b, c] = [Truth, kind, kind].map(|kind| self.expression(kind, below, items));
            return format!("({a} ? {b} : {c})");
        }
        let forms = forms(kind);
        let (form, first, second) = forms[self.below(forms.len())];
        if self.large && (first == Double || second == Double) {
            return self.leaf(kind, items);
        }
        let item = ITEMS.iter().find(|(item, _)| form.contains(&format!("({item},")));
        let inside: Vec<_> = items.iter().chain(item).copied().collect();
        let mut made = String::new();
        for c in form.chars() {
            match c {
                'A' => made += &self.expression(first, below, items),
                'B' => made += &self.expression(second, below, &inside),
                c => made.push(c),
            }
        }
        made
    }

    fn leaf(&mut self, kind: Kind, items: &[(&str, Kind)]) -> String {
        let items: Vec<_> =
            items.iter().filter(|(_, k)| *k == kind).map(|(item, _)| *item).collect();
        match self.below(4) {
            0 | 1 if !items.is_empty() => self.one_of(&items).to_owned(),
            2 if kind == Text => "call.server".to_owned(),
            _ if kind == Object || self.one_in(2) => format!("args.{}", name(kind)),
            // So that a sign is part of the number and of nothing before it.
            _ => format!("({})", self.literal(kind)),
        }
    }
}

#[test]
fn conditions_mean_what_the_crate_s_own_evaluator_makes_of_them() {
    let seed = uuid::Uuid::new_v4();
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[*seed.as_bytes(); 2].concat());
    let mut maker = Maker { random, large: false };
    let (began, mut compared, mut answered, mut differ) = (Instant::now(), 0, 0, Vec::new());
    while began.elapsed() < FOR {
        maker.large = !maker.large;
        let (source, text) = (maker.expression(Truth, LEVELS, &[]), maker.arguments());
        // One that is never true or false is refused when it is read.
        if compile::compile(&source).is_err() {
            continue;
        }
        let arguments = parse(text.as_bytes()).expect("JSON");
        let (ours, theirs) = (ours(&source, &arguments), theirs(&source, &arguments));
        compared += 1;
        answered += usize::from(ours.is_some());
        if ours != theirs {
            differ.push((source.len(), format!("{source} of {text}: {ours:?}, not {theirs:?}")));
        }
    }
    println!("seed {seed}: {compared} compared, {answered} with an answer");
    // The shortest say most.
    differ.sort();
    let shown: Vec<_> = differ.iter().take(10).map(|(_, said)| said).collect();
    assert!(differ.is_empty(), "seed {seed}: {} of {compared} differ: {shown:#?}", differ.len());
    assert!(compared >= LEAST && answered * 3 > compared, "{answered} of {compared}");
}
