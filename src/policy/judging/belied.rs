//! What the arguments of a held call say by themselves: those that are dangerous, told
//! first with their places, and whether they say worse than the caller does: a
//! `FLUSHALL` within what is called a write.
//!
//! Only the arguments are asked, and only what they plainly say counts: the name and
//! what a server says of its tool have been judged where they are known whole, and a
//! warning that comes with every other call is none.
//!
//! Promises: looks at [`VALUES`] values and says so where there are more. What is told
//! of an argument is its masked text, cut with a word about it. While it looks it only
//! remembers places: told are the few that are shown, so that many dangerous values
//! below long names cost no more than their bytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::arguments::{Alone, Arguments, BYTES};
use super::statement;
use crate::call::breadth;
use crate::call::json::{self, Json};
use crate::call::model::{Call, Category, Risk};
use crate::call::place::{self, Step};
use crate::call::safe_text::SafeText;
use crate::call::warnings::fitting;

/// The most values that are looked at: more than four times what a proxy looks at for
/// each call, since only what is held comes here.
const VALUES: usize = 20_000;

/// Arguments of so few values and bytes stand in sight as they are: what is dangerous
/// in them needs no place of its own, unless it belies the call.
const IN_SIGHT: (usize, usize) = (8, 300);

/// Dangerous arguments that are told; more are counted.
const TOLD: usize = 4;

/// Columns of one.
const COLUMNS: usize = 100;

/// Characters in front of the word for which an argument is told.
const BEFORE: usize = 30;

/// What the arguments of a call say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Says {
    /// Those that are dangerous, the worst first: `then: DROP TABLE orders`. At most
    /// [`TOLD`].
    dangerous: Vec<SafeText>,
    /// How many there are beside.
    more: usize,
    /// The worst that was found, if it is worse than what the caller states.
    belies: Option<Category>,
    /// There is more than was looked at.
    unlooked: bool,
}

/// A dangerous value, found and not told yet.
struct Dangerous<'a> {
    rank: Rank,
    steps: Vec<Step<'a>>,
    value: &'a Json,
    found: Alone,
}

/// Which are told first: of the gravest category those that destroy whole things or
/// pay, before those that take rows out of them. Among equals the first of every kind
/// before the second of any, so that many small ones do not hide another: then the
/// higher risk, then as the caller ordered them.
type Rank = (Reverse<u8>, bool, usize, Reverse<Risk>);

/// The dangerous values of a call, of each kind as many as could be told.
#[derive(Default)]
struct Gravest<'a> {
    kept: Vec<Dangerous<'a>>,
    /// How many there are of each.
    kinds: BTreeMap<(Category, Risk, String), usize>,
    all: usize,
}

impl<'a> Gravest<'a> {
    fn add(&mut self, grave: u8, steps: &[Step<'a>], value: &'a Json, found: Alone) {
        self.all += 1;
        let (category, risk) = (found.finding.category, found.finding.risk);
        let of_its_kind = self.kinds.entry((category, risk, found.spot.word.clone())).or_default();
        let before = *of_its_kind;
        *of_its_kind += 1;
        if before < TOLD {
            let rows = category == Category::Destructive && !takes_the_whole(&found);
            let rank = (Reverse(grave), rows, before, Reverse(risk));
            self.kept.push(Dangerous { rank, steps: steps.to_vec(), value, found });
        }
    }

    /// The few to tell.
    fn first(mut self) -> Vec<Dangerous<'a>> {
        self.kept.sort_by_key(|dangerous| dangerous.rank);
        self.kept.truncate(TOLD);
        self.kept
    }
}

/// `rm` takes one file or, with all that is below, whole trees.
fn takes_the_whole(found: &Alone) -> bool {
    let tree = found.spot.word == "rm" && found.finding.risk == Risk::Critical;
    tree || statement::takes_the_whole(&found.spot.word)
}

/// How dangerous a call looks: by what is stated of it, and by its arguments where
/// they say worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// It looks, and a mistake would hardly matter.
    Little,
    /// It changes something.
    Some,
    /// It runs something, or a mistake would be bad, or takes in everything.
    Much,
    /// It destroys or pays, or nobody says what it does.
    Great,
    /// A mistake would be beyond repair.
    Greatest,
}

impl Says {
    /// Of a call. Where no category is stated nothing is belied: that is warned of
    /// anyway.
    pub fn of(call: &Call) -> Says {
        match json::parse_envelope(call.arguments.as_bytes()) {
            Ok(arguments) => Says::by(&arguments, grave(call.category)),
            Err(_) => Says::default(),
        }
    }

    /// Of arguments alone, of a call that is called so.
    pub fn of_arguments(arguments: &Json, called: Option<Category>) -> Says {
        Says::by(arguments, called.and_then(grave))
    }

    /// Whether one key must not be enough: it is worse than it is called, or nobody looked
    /// at all of it.
    pub fn asks_for_care(&self) -> bool {
        self.belies.is_some() || self.unlooked
    }

    fn by(arguments: &Json, stated: Option<u8>) -> Says {
        let mut says = Says::default();
        let (mut values, mut bytes, mut gravest) = (0, 0, Gravest::default());
        place::walk(arguments, |steps, value| {
            values += 1;
            let length = value.as_str().map_or(0, str::len);
            bytes += length;
            says.unlooked |= length > BYTES || values > VALUES;
            if let Some(found) = found(steps, value)
                && let Some(rank) = grave(found.finding.category)
            {
                let most = match value {
                    // What members say together is told where it belies the call.
                    Json::Object(_) => stated.unwrap_or(u8::MAX),
                    _ => stated.unwrap_or(WRITES).min(EXECUTES),
                };
                if rank > most {
                    gravest.add(rank, steps, value, found);
                }
            }
            values <= VALUES
        });
        let all = gravest.all;
        let first = gravest.first();
        // What is worse than is stated is among the dangerous, and the worst is first.
        says.belies = first
            .first()
            .map(|dangerous| dangerous.found.finding.category)
            .filter(|category| stated.is_some_and(|stated| grave(*category) > Some(stated)));
        if says.belies.is_some() || values > IN_SIGHT.0 || bytes > IN_SIGHT.1 {
            says.dangerous = first.iter().map(Dangerous::told).collect();
            says.more = all - first.len();
        }
        says
    }

    /// What it looks like, if its caller says less of it.
    pub fn belies(&self) -> Option<Category> {
        self.belies
    }

    /// As warnings: that the call is belied, the dangerous arguments, and that not all
    /// was looked at.
    pub fn warnings(&self, call: &Call) -> Vec<SafeText> {
        let mut all: Vec<SafeText> = Vec::new();
        let mut told = self.dangerous.iter();
        if let Some(looks) = self.belies {
            let words = format!("called {}, but looks {looks} by its argument ", call.category);
            let first = told.next();
            all.push(SafeText::join(std::iter::once(&SafeText::line(&words)).chain(first), ""));
        }
        all.extend(told.map(|told| {
            let mut text = SafeText::line("dangerous argument ");
            text.push(told);
            text
        }));
        let more = self.more;
        if more > 0 {
            all.push(SafeText::line(&format!("and {more} more arguments like these")));
        }
        if self.unlooked {
            all.push(SafeText::line(
                "its arguments are so long that not all were looked through for what is dangerous",
            ));
        }
        all
    }
}

impl Danger {
    /// Of a call.
    pub fn of(call: &Call, says: &Says) -> Danger {
        Danger::of_what_it_does(call, says).max(Danger::of_risk(call.risk))
    }

    /// Of a risk alone.
    pub fn of_risk(risk: Risk) -> Danger {
        match risk {
            Risk::Low => Danger::Little,
            Risk::Medium => Danger::Some,
            Risk::High => Danger::Much,
            Risk::Unspecified => Danger::Great,
            Risk::Critical => Danger::Greatest,
        }
    }

    /// Of what it does, whatever its risk is said to be.
    pub fn of_what_it_does(call: &Call, says: &Says) -> Danger {
        let by_category = |category| match category {
            Category::Read => Danger::Little,
            Category::Write => Danger::Some,
            Category::Execute => Danger::Much,
            Category::Destructive | Category::Financial | Category::Unspecified => Danger::Great,
        };
        let by_breadth = match json::parse_envelope(call.arguments.as_bytes()) {
            Ok(arguments) if breadth::takes_in_everything(&arguments) => Danger::Much,
            Ok(arguments) if breadth::takes_in_many(&arguments) => Danger::Some,
            _ => Danger::Little,
        };
        let by_arguments = [
            says.belies.map_or(Danger::Little, by_category),
            by_breadth,
            if says.unlooked { Danger::Much } else { Danger::Little },
        ];
        by_arguments.into_iter().fold(by_category(call.category), Danger::max)
    }

    /// The word for it, of which pages and letters make the same colours.
    pub fn word(self) -> &'static str {
        match self {
            Danger::Little => "little",
            Danger::Some => "some",
            Danger::Much => "much",
            Danger::Great => "great",
            Danger::Greatest => "greatest",
        }
    }
}

/// What one value says where it stands.
fn found(steps: &[Step<'_>], value: &Json) -> Option<Alone> {
    let first = !matches!(steps.last(), Some(Step::Item(1..)));
    Arguments::alone(place::name(steps), value, first)
}

impl Dangerous<'_> {
    fn told(&self) -> SafeText {
        let mut text = place::told(&self.steps);
        text.push_ours(if self.steps.is_empty() { "" } else { ": " });
        text.push(&match self.value {
            Json::Object(_) => SafeText::line(&self.found.finding.evidence.found),
            Json::String(value) => around(value, self.found.spot.at),
            value => fitting(&value.to_text(), COLUMNS),
        });
        text
    }
}

/// The text from a little before the place for which it was found: that may stand far
/// behind what is harmless.
fn around(text: &str, place: usize) -> SafeText {
    let before = text.get(..place).unwrap_or_default().chars().count();
    if text.chars().count() <= COLUMNS || before <= BEFORE {
        return fitting(text, COLUMNS);
    }
    let from = text.char_indices().nth(before - BEFORE).map_or(0, |(at, _)| at);
    let mut shown = SafeText::line(&format!("({} characters before) … ", before - BEFORE));
    shown.push(&fitting(&text[from..], COLUMNS));
    shown
}

/// How bad each is beside the others; to pay is as bad as to destroy.
fn grave(category: Category) -> Option<u8> {
    match category {
        Category::Unspecified => None,
        Category::Read => Some(0),
        Category::Write => Some(WRITES),
        Category::Execute => Some(EXECUTES),
        Category::Destructive | Category::Financial => Some(3),
    }
}

const WRITES: u8 = 1;
const EXECUTES: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::call;

    fn of(category: Category, arguments: &str) -> (Call, Says) {
        let call = Call { category, arguments: arguments.to_owned(), ..call("c", "s", 1) };
        let says = Says::of(&call);
        (call, says)
    }

    fn warned(category: Category, arguments: &str) -> Vec<String> {
        let (call, says) = of(category, arguments);
        says.warnings(&call).iter().map(SafeText::to_string).collect()
    }

    #[test]
    fn arguments_that_say_worse_than_is_stated_are_told() {
        for (category, arguments, says) in [
            (Category::Write, r#"{"command":"FLUSHALL","mode":"refresh"}"#, Category::Destructive),
            (Category::Write, r#"{"sql":"DROP TABLE orders"}"#, Category::Destructive),
            (Category::Read, r#"{"query":"DELETE FROM orders"}"#, Category::Destructive),
            (Category::Read, r#"{"command":"SET","key":"a"}"#, Category::Write),
            (Category::Write, r#"{"amount":5,"currency":"EUR"}"#, Category::Financial),
        ] {
            assert_eq!(of(category, arguments).1.belies(), Some(says), "{arguments}");
        }
    }

    #[test]
    fn what_is_as_bad_as_it_is_said_to_be_is_not() {
        for (category, arguments) in [
            (Category::Destructive, r#"{"command":"FLUSHALL"}"#),
            (Category::Write, r#"{"key":"user:1","value":"delete me not"}"#),
            (Category::Read, r#"{"query":"SELECT 1"}"#),
            (Category::Execute, r#"{"service":"checkout","version":"2.14.0"}"#),
            (Category::Unspecified, r#"{"command":"FLUSHALL"}"#),
        ] {
            assert_eq!(of(category, arguments).1.belies(), None, "{arguments}");
        }
    }

    #[test]
    fn dangerous_arguments_are_told_first_with_their_places() {
        let rows = r#"{"id":1,"sql":"SELECT 1"},"#.repeat(50);
        let arguments = format!(r#"{{"rows":[{rows}{{"id":2,"sql":"DROP TABLE orders"}}],"n":1}}"#);
        let told = "rows › item 51 › sql: DROP TABLE orders";
        assert_eq!(
            warned(Category::Write, &arguments),
            [format!("called write, but looks destructive by its argument {told}")]
        );
        assert_eq!(
            warned(Category::Destructive, &arguments),
            [format!("dangerous argument {told}")]
        );
        assert_eq!(
            warned(Category::Unspecified, &arguments),
            [format!("dangerous argument {told}")]
        );
        let long = format!(r#"{{"sql":"SELECT 1; {} DROP TABLE orders"}}"#, "-- x\\n".repeat(500));
        let [told] = warned(Category::Destructive, &long).try_into().expect("one");
        assert!(
            told.contains("characters before) …") && told.ends_with("DROP TABLE orders"),
            "{told}"
        );
    }

    #[test]
    fn many_dangerous_values_below_a_long_name_are_remembered_no_oftener_than_a_few() {
        let kept = |n: usize| {
            let items = r#""DROP TABLE a","#.repeat(n);
            let text = format!(r#"{{"sql{}":[{items}1]}}"#, "_".repeat(n));
            let json = json::parse_envelope(text.as_bytes()).expect("JSON");
            let mut gravest = Gravest::default();
            place::walk(&json, |steps, value| {
                if let Some(found) = found(steps, value) {
                    gravest.add(3, steps, value, found);
                }
                true
            });
            (gravest.all, gravest.kept.len(), gravest.first().len())
        };
        assert_eq!(kept(500), (500, TOLD, TOLD));
        assert_eq!(kept(2000), (2000, TOLD, TOLD));
    }

    #[test]
    fn an_excerpt_begins_at_the_statement_that_is_dangerous() {
        let harmless = " SELECT 1;".repeat(60);
        for (name, text, end) in [
            ("sql", format!("SELECT 'drop' ;{harmless} DROP TABLE orders"), "DROP TABLE orders"),
            ("sql", format!("SELECT 'drop é';{harmless} /* x */ DROP TABLE o"), "DROP TABLE o"),
            ("sql", format!("DELETE FROM a;{harmless} DROP TABLE orders"), "DROP TABLE orders"),
            (
                "query",
                format!("EXPLAIN 'delete', {} DELETE FROM o", "a, ".repeat(90)),
                "DELETE FROM o",
            ),
            ("shell", format!("echo 'farms é'; {} r\\\\m -rf /", "ls; ".repeat(60)), "r\\m -rf /"),
        ] {
            let [told] = warned(Category::Write, &format!(r#"{{"{name}":"{text}"}}"#))
                .try_into()
                .expect("one");
            assert!(told.contains("characters before) …") && told.ends_with(end), "{told}");
        }
    }

    #[test]
    fn small_ones_do_not_hide_what_takes_the_whole() {
        let rows = |n| (0..n).map(|n| format!(r#""DELETE FROM tmp_{n}","#)).collect::<String>();
        let told = |sql: &str, rest: &str| {
            warned(Category::Destructive, &format!(r#"{{"sql":[{}{sql}]{rest}}}"#, rows(9)))
                .join("\n")
        };
        let all = told(r#""DROP DATABASE main""#, "");
        assert!(all.starts_with("dangerous argument sql › item 10: DROP DATABASE main"), "{all}");
        let tables = r#""TRUNCATE TABLE tmp","#.repeat(5) + r#""DROP TABLE orders""#;
        let all = told(&tables, r#","shell":"rm -rf /srv""#);
        for word in ["TRUNCATE TABLE tmp", "DROP TABLE orders", "rm -rf /srv"] {
            assert_eq!(
                all.matches(word).count(),
                if word.contains("tmp") { 2 } else { 1 },
                "{all}"
            );
        }
        assert!(all.ends_with("and 12 more arguments like these"), "{all}");
    }

    #[test]
    fn what_was_not_looked_at_is_said() {
        let many = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(VALUES));
        let long = format!(r#"{{"sql":"{}"}}"#, "x".repeat(BYTES + 1));
        for arguments in [many, long] {
            let (call, says) = of(Category::Read, &arguments);
            assert!(says.warnings(&call)[0].as_str().contains("not all were looked through"));
            assert_eq!(Danger::of(&call, &says), Danger::Much);
        }
    }

    #[test]
    fn what_looks_harmless_is_not_called_so_when_its_arguments_say_worse() {
        let danger = |category, risk, arguments: &str| {
            let (call, says) = of(category, arguments);
            Danger::of(&Call { risk, ..call }, &says)
        };
        use Category::{Destructive, Execute, Read, Unspecified, Write};
        use Risk::{Critical, High, Low, Medium};
        assert_eq!(danger(Read, Low, "{}"), Danger::Little);
        assert_eq!(danger(Write, Medium, "{}"), Danger::Some);
        assert_eq!(danger(Execute, Low, "{}"), Danger::Much);
        assert_eq!(danger(Read, High, "{}"), Danger::Much);
        assert_eq!(danger(Destructive, Low, "{}"), Danger::Great);
        assert_eq!(danger(Unspecified, Low, "{}"), Danger::Great);
        assert_eq!(danger(Read, Critical, "{}"), Danger::Greatest);
        assert_eq!(danger(Read, Low, r#"{"query":"DELETE FROM orders"}"#), Danger::Great);
        assert_eq!(danger(Read, Low, r#"{"target":"all"}"#), Danger::Much);
        assert_eq!(danger(Read, Low, r#"{"path":"customers/*"}"#), Danger::Some);
    }
}
