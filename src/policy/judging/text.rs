//! What a tool's description says.
//!
//! It is the server's own text. So it is believed where it makes a tool look worse,
//! and only on a trusted server where it makes one look better.
//!
//! Counted is what the first sentences *begin* with, and what stands behind "and"
//! or "or" in the first of them: "Creates an issue", "Read a message and delete it".
//! Elsewhere texts speak of other tools ("use this before deleting"); there only
//! plain warnings count. Verbs that are often something else do not count at all.
//!
//! Promises: looks at the first [`LONGEST`] bytes.

use super::lexicon::{self, Verb, When};
use super::{Evidence, Finding, Source, words};
use crate::call::model::{Category, Risk};
use crate::call::safe_text::SafeText;

/// How much of a description is looked at: what is of use stands in front.
const LONGEST: usize = 4096;

/// How many of its sentences may tell what the tool does.
const SENTENCES: usize = 3;

/// How many words of a sentence may be in front of the verb.
const LEAD: usize = 8;

/// How many words behind "run" may say that it is code which is run.
const CODE_WITHIN: usize = 4;

/// Words in front of the verb of a sentence: "This tool allows you to delete".
const BEFORE: &str = "this tool function api action endpoint operation allows allow lets let you \
    to the a an can will be used use for users user safely quickly automatically programmatically \
    directly it agents i simply just then also and or please easily immediately permanently \
    bulk batch selectively recursively tries attempts";

/// Behind a verb these begin what it is done to.
const ON: &str = "it them the a an all any its their this these that those each one new old \
    existing in on to from";

/// Warnings, wherever they stand.
const WARNINGS: &[&str] = &[
    "cannot be undone",
    "can't be undone",
    "can not be undone",
    "irreversible",
    "irreversibly",
    "permanently delete",
    "permanently remove",
    "permanently erase",
    "destructive operation",
    "destructive action",
];

/// In front of a warning these turn it round.
const NEGATIONS: &[&str] = &["not ", "non-", "never ", "without ", "no "];

/// What a description says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// That it does something.
    pub finding: Option<Finding>,
    /// That it reads, and nothing else: the verb.
    pub reads: Option<String>,
}

impl Text {
    /// Of a description.
    pub fn of(description: &str) -> Text {
        let text = words::start(description, LONGEST).to_ascii_lowercase();
        let mut said = Text::default();
        let mut worst: Option<(Verb, String)> = None;
        let sentences = text.split(['.', '\n', '!', ';', ':']);
        let sentences = sentences.map(str::trim).filter(|sentence| !sentence.is_empty());
        for (number, sentence) in sentences.take(SENTENCES).enumerate() {
            for (verb, word) in leads(sentence, number == 0) {
                if verb.category == Category::Read {
                    said.reads.get_or_insert(word);
                } else if worst.as_ref().is_none_or(|(w, _)| rank(&verb) > rank(w)) {
                    worst = Some((verb, word));
                }
            }
        }
        let acts = worst.map(|(verb, word)| (verb.category, verb.risk, word));
        let warns = warning(&text).map(|w| (Category::Destructive, Risk::High, w.to_owned()));
        let strongest = [acts, warns].into_iter().flatten().max_by_key(|(c, r, _)| (*c, *r));
        said.finding = strongest.map(|(category, risk, word)| Finding {
            category,
            risk,
            evidence: Evidence {
                source: Source::Description,
                found: format!("\"{}\"", SafeText::cut_line(&word, 60).0),
                says: Some(category),
            },
        });
        if said.finding.is_some() {
            said.reads = None;
        }
        said
    }
}

fn rank(verb: &Verb) -> (i32, i32) {
    (verb.category.number(), verb.risk.number())
}

/// The verbs that say what the sentence's tool does.
fn leads(sentence: &str, first: bool) -> Vec<(Verb, String)> {
    let words: Vec<&str> = sentence
        .split(|c: char| !c.is_ascii_alphabetic() && c != '\'')
        .filter(|word| !word.is_empty())
        .take(40)
        .collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len().min(LEAD) && BEFORE.split_whitespace().any(|b| b == words[at]) {
        at += 1;
    }
    if let Some(verb) = words.get(at).and_then(|word| told(word)) {
        found.push((verb, words[at].to_owned()));
    } else if let Some(verb) = words.get(at).and_then(|word| lexicon::verb_of_a_text(word)) {
        // To run a query is said of every search, to run code of what runs code.
        let code = words[at + 1..].iter().take(CODE_WITHIN).find(|word| lexicon::is_code(word));
        if let Some(code) = code.filter(|_| verb.category == Category::Execute) {
            found.push((verb, format!("{} {code}", words[at])));
        }
    }
    if first && !found.is_empty() {
        for (here, pair) in words[at..].windows(2).enumerate() {
            let joins = matches!(pair[0], "and" | "or" | "then");
            // In "view and edit restrictions" nothing is edited.
            let on = words.get(at + here + 2).copied().unwrap_or_default();
            let has_object = ON.split_whitespace().any(|word| word == on);
            let counts =
                |verb: &Verb| has_object || here == 1 || verb.category >= Category::Destructive;
            if joins && let Some(verb) = told(pair[1]).filter(counts) {
                found.push((verb, pair[1].to_owned()));
            }
        }
    }
    found
}

/// What a verb of a text says. Nouns, and what runs something, say nothing: "run a
/// query" is said of every search.
fn told(word: &str) -> Option<Verb> {
    let verb = lexicon::verb_of_a_text(word)?;
    (verb.when == When::Always && verb.category != Category::Execute).then_some(verb)
}

fn warning(text: &str) -> Option<&'static str> {
    WARNINGS.iter().copied().find(|warning| {
        text.match_indices(warning).any(|(at, _)| {
            let before = text[..at].trim_end_matches("a ").trim_end_matches("an ");
            !NEGATIONS.iter().any(|negation| before.ends_with(negation))
        })
    })
}
