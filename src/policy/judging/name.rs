//! What a tool's name says.
//!
//! The words of the name are looked up; those that act count, wherever they stand.
//! A word that is also a noun counts where it stands like a verb: before any verb
//! that reads, or behind "and", "or", "then". So `get_build` reads, `build_image`
//! does not, and `get_or_create` creates. Of several the most dangerous stands.
//!
//! Promises: a name with characters that MCP does not have in names is never told
//! to be a read, since it may only look like one; nor is one that is too long.

use super::lexicon::{self, Verb, When};
use super::words;
use super::{Evidence, Finding, Source};
use crate::call::model::{Category, Risk};
use crate::call::safe_text::SafeText;

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Name {
    /// What it says, if anything.
    pub finding: Option<Finding>,
    /// Who has the last word.
    pub decides: Decides,
    /// Why it is not believed where it says that it reads.
    pub odd: Option<&'static str>,
}

/// Who has the last word on what a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decides {
    /// The name has said it.
    #[default]
    Name,
    /// The statement that is run: `execute_sql`.
    Statement,
    /// The action that is chosen: `manage_index`.
    Selector,
}

/// Verbs that leave it to the arguments what is done.
const GENERIC: &[&str] = &["manage", "handle", "control", "perform", "process", "operate", "use"];

/// What a statement may be called in a name.
const STATEMENT: &[&str] = &["query", "queries", "sql", "statement", "cypher"];

/// One word, or two, that act.
struct Act {
    at: usize,
    word: String,
    verb: Verb,
}

impl Name {
    /// Of a tool of this name.
    pub fn of(name: &str) -> Name {
        if name.len() > words::LONGEST {
            return Name { odd: Some("a name of more than 200 bytes"), ..Name::default() };
        }
        let odd = is_odd(name).then_some("characters that names of tools do not have");
        let words = words::of(name);
        let (acts, nouns) = acts(name, &words);
        if leaves_it_to_the_statement(&words, &acts) {
            let found = format!("{} runs what it is given", quoted(&words.join(" ")));
            let finding = finding(Category::Execute, Risk::High, found);
            return Name { finding: Some(finding), decides: Decides::Statement, odd };
        }
        let counted = counted(&words, &acts);
        let finding = match strongest(&counted) {
            Some(act) => Some(aimed(act, &words, &acts)),
            None => looks(&words, &acts, &nouns),
        };
        // Behind it, `index` in `manage_index` is what is managed.
        let is_generic = |act: &&Act| GENERIC.contains(&act.word.as_str());
        let generic = counted.first().is_some_and(is_generic)
            && counted.iter().all(|act| is_generic(act) || act.verb.when != When::Always);
        let decides = if generic { Decides::Selector } else { Decides::Name };
        Name { finding, decides, odd }
    }
}

/// Whether it has characters beyond those of MCP (2026-07-28, "Tool Names").
fn is_odd(name: &str) -> bool {
    !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b))
}

fn quoted(words: &str) -> String {
    format!("\"{}\"", SafeText::cut_line(words, 60).0)
}

fn finding(category: Category, risk: Risk, found: String) -> Finding {
    Finding {
        category,
        risk,
        evidence: Evidence { source: Source::Name, found, says: Some(category) },
    }
}

/// The words that act, and the places of those that are plainly nouns.
fn acts(name: &str, words: &[String]) -> (Vec<Act>, Vec<usize>) {
    let (mut acts, mut nouns) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < words.len() {
        let word = &words[at];
        let next = words.get(at + 1).map(String::as_str).unwrap_or_default();
        if let Some(verb) = lexicon::pair(word, next) {
            acts.push(Act { at, word: format!("{word} {next}"), verb });
            at += 2;
        } else if lexicon::compound(word, next) {
            nouns.extend([at, at + 1]);
            at += 2;
        } else {
            // At the end it is what there is: `git_log`, and not `log_event`.
            let is_noun = at > 0 && next.is_empty() && lexicon::is_looked_at(word);
            let is_verb = |verb: &Verb| !is_noun || verb.category == Category::Read;
            match lexicon::verb(word).filter(is_verb) {
                Some(verb) => acts.push(Act { at, word: word.clone(), verb }),
                None if lexicon::is_a_thing(word) => nouns.push(at),
                None => {}
            }
            at += 1;
        }
    }
    // Case pulled these apart: `dELETE_user`.
    for part in words::parts(name).filter(|part| !words.contains(part)) {
        let verb = lexicon::verb_as_it_stands(&part);
        if let Some(verb) = verb.filter(|verb| verb.category != Category::Read) {
            acts.push(Act { at: 0, word: part, verb });
        }
    }
    (acts, nouns)
}

/// The acts that count, but for those that only look.
fn counted<'a>(words: &[String], acts: &'a [Act]) -> Vec<&'a Act> {
    let mut looked = false;
    let mut counted = Vec::new();
    for act in acts {
        let joined = act.at > 0 && lexicon::joins(&words[act.at - 1]);
        let leading = !looked || joined;
        let counts = match (act.verb.category, act.verb.when) {
            (Category::Read, _) => {
                looked = true;
                false
            }
            (_, When::Always) => true,
            (_, When::Leading) => leading,
            (_, When::Event) => leading && !is_its_status(words, act),
            (_, When::Alone) => {
                act.at == 0
                    && acts.iter().all(|act| act.verb.when == When::Alone)
                    && !ends_in_what_is_looked_at(words)
            }
        };
        if counts {
            counted.push(act);
        }
    }
    counted
}

/// `build_status` builds nothing.
fn is_its_status(words: &[String], act: &Act) -> bool {
    act.at + 2 == words.len() && matches!(words[act.at + 1].as_str(), "status" | "statuses")
}

fn ends_in_what_is_looked_at(words: &[String]) -> bool {
    words.len() > 1 && words.last().is_some_and(|word| lexicon::is_looked_at(word))
}

/// The most dangerous; of equal ones the first.
fn strongest<'a>(acts: &[&'a Act]) -> Option<&'a Act> {
    acts.iter().copied().reduce(|best, act| {
        let rank = |act: &Act| (act.verb.category.number(), act.verb.risk.number());
        if rank(act) > rank(best) { act } else { best }
    })
}

/// An act on what the other words name.
fn aimed(act: &Act, words: &[String], acts: &[Act]) -> Finding {
    let Verb { mut category, mut risk, when } = act.verb;
    let others =
        |is: fn(&str) -> bool| words.iter().filter(|word| **word != act.word).find(|word| is(word));
    let named_only = acts.iter().all(|act| act.verb.when == When::Alone);
    let with = match category {
        Category::Financial => {
            // To move money, not to write of it.
            risk = if when == When::Alone { risk } else { Risk::Critical };
            None
        }
        // What is done to money is taken for moving it.
        _ if !named_only && others(lexicon::is_money).is_some() => {
            (category, risk) = (Category::Financial, Risk::High);
            others(lexicon::is_money)
        }
        Category::Destructive => {
            let whole = others(lexicon::is_a_whole);
            risk = if whole.is_some() { Risk::Critical } else { risk };
            whole
        }
        Category::Write => {
            let right = others(lexicon::is_a_right);
            risk = if right.is_some() { Risk::High } else { risk };
            right
        }
        _ => None,
    };
    let with = with.map(|word| format!(" with {}", quoted(word))).unwrap_or_default();
    finding(category, risk, format!("verb {}{with}", quoted(&act.word)))
}

/// Nothing is done: whether something is looked at.
fn looks(words: &[String], acts: &[Act], nouns: &[usize]) -> Option<Finding> {
    let secret = words.iter().any(|word| lexicon::is_secret(word));
    let risk = if secret { Risk::Medium } else { Risk::Low };
    if let Some(act) = acts.iter().find(|act| act.verb.category == Category::Read) {
        return Some(finding(Category::Read, risk, format!("verb {}", quoted(&act.word))));
    }
    // No verb at all. A word that we do not know may be one.
    let last = words.last()?;
    let known = |at| nouns.contains(&at) || acts.iter().any(|act| act.at == at);
    let only_state = acts.iter().all(|act| act.verb.when == When::Event);
    if !lexicon::is_looked_at(last) || !only_state || !(0..words.len()).all(known) {
        return None;
    }
    Some(finding(Category::Read, risk, format!("noun {} and no verb", quoted(last))))
}

/// Whether a name says no more than that a statement is run: `query`,
/// `execute_sql`. One word in front may be the server's.
fn leaves_it_to_the_statement(words: &[String], acts: &[Act]) -> bool {
    let only_that = |words: &[String]| {
        words.iter().all(|word| lexicon::is_of_statements(word))
            && words.iter().any(|word| STATEMENT.contains(&word.as_str()))
    };
    let rest = words.get(1..).unwrap_or_default();
    let server_in_front = words.first().is_some_and(|first| lexicon::verb(first).is_none());
    (only_that(words) || (server_in_front && only_that(rest)))
        && acts.iter().all(|act| lexicon::is_of_statements(&act.word))
}
