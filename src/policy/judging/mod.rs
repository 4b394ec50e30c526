//! What a tool does, and how bad a mistake would be.
//!
//! No list of tools: a lexicon of verbs and nouns judges names that it has never seen.
//! The evidence, the strongest first:
//!
//! | from | what it can do |
//! |---|---|
//! | the operator's word | is the last |
//! | the arguments of the call | raise; lower where the name leaves it to them (see `arguments`) |
//! | annotations | raise; lower only on a trusted server |
//! | the name | tells; of several acts the most dangerous |
//! | the description | raise; on a trusted server it may tell a read where nothing else tells |
//! | the schema | raise |
//!
//! Of all that is found the most dangerous category and the highest risk stand. Where
//! nothing tells, `told` is false and the category is a guess on the dangerous side.
//!
//! What this protects from: an agent that calls, in error or led astray, what changes
//! the world. What it does *not* protect from: a server that lies. Its tools' names
//! are its own choice, and one that calls its shell `get_weather` is judged a read.
//! That is why the description cannot help a tool that nothing else tells of, and why
//! names with characters that only look like letters never tell of a read; more can
//! nobody do who sees only what the server says. Do not connect servers that you would
//! not run; for those in between, hold everything (`default: require_approval`).
//!
//! Promises: pure; what can be read once per definition is read by [`Tool::of`], and
//! [`judge`] looks at the arguments alone, up to a bound. Must never: panic, or repeat
//! a value of the arguments.

mod arguments;
mod belied;
pub mod care;
mod command;
mod keys;
mod lexicon;
mod name;
mod schema;
mod statement;
#[cfg(test)]
mod tests;
mod text;

pub use belied::{Danger, Says};

use super::annotations::Annotations;
use crate::call::json::Json;
use crate::call::model::{Category, Risk};
use crate::call::safe_text::SafeText;
use crate::call::words;
use arguments::Arguments;
use name::{Decides, Name};
use schema::Schema;
use text::Text;

/// A tool as its server defines it, read once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tool {
    /// What it says of itself.
    pub annotations: Annotations,
    /// Its name, and what that says.
    named: Option<(String, Name)>,
    text: Text,
    schema: Schema,
}

impl Tool {
    /// Of an entry of a `tools/list` result.
    pub fn of(definition: &Json) -> Tool {
        let text = |member| definition.get(member).and_then(Json::as_str);
        let schema = definition.get("inputSchema").or_else(|| definition.get("input_schema"));
        Tool {
            annotations: Annotations::of(definition),
            named: text("name").map(|name| (name.to_owned(), Name::of(name))),
            text: text("description").map(Text::of).unwrap_or_default(),
            schema: schema.map(Schema::of).unwrap_or_default(),
        }
    }

    /// Of which nothing but these annotations is known.
    pub fn saying(annotations: Annotations) -> Tool {
        Tool { annotations, ..Tool::default() }
    }
}

/// What the operator says of a tool in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word {
    /// Its category, if that is said.
    pub category: Option<Category>,
    /// Its risk, if that is said.
    pub risk: Option<Risk>,
}

/// How many lines of evidence operators are shown, and how long one may be, in bytes:
/// what the daemon takes.
const MOST_LINES: usize = 8;
const LONGEST_LINE: usize = 200;

/// What a call does, how bad a mistake would be, and why we think so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Never unspecified.
    pub category: Category,
    /// Never unspecified.
    pub risk: Risk,
    /// Whether something tells what it does. Where nothing does, the category is
    /// the more dangerous guess.
    pub told: bool,
    /// What was found, the strongest first.
    pub evidence: Vec<Evidence>,
}

impl Judgement {
    /// Why, for who decides: the strongest first.
    pub fn lines(&self) -> Vec<String> {
        let short = |line: &String| line.len() <= LONGEST_LINE;
        let line = |evidence: &Evidence| {
            let line = evidence.to_string();
            let cut = |columns| SafeText::cut_line(&line, columns).0.to_string();
            // What is not ASCII takes up to four bytes for each column.
            [LONGEST_LINE, LONGEST_LINE / 4].map(cut).into_iter().find(short).unwrap_or_default()
        };
        self.evidence.iter().take(MOST_LINES).map(line).collect()
    }
}

/// One thing that was found, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it was found.
    pub source: Source,
    /// What was found: safe text on one line.
    pub found: String,
    /// What it speaks for; `None`: against none.
    pub says: Option<Category>,
}

/// Something that was found, and all that it says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    category: Category,
    risk: Risk,
    evidence: Evidence,
}

/// Where evidence was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The policy's own word.
    Operator,
    /// The arguments of this call.
    Arguments,
    /// The tool's annotations.
    Annotations,
    /// The tool's name.
    Name,
    /// Its description or title.
    Description,
    /// The schema of its arguments.
    Schema,
    /// Nothing was found that tells.
    Doubt,
}

impl Source {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Source::Operator => "operator",
            Source::Arguments => "arguments",
            Source::Annotations => "annotations",
            Source::Name => "name",
            Source::Description => "description",
            Source::Schema => "schema",
            Source::Doubt => "doubt",
        }
    }
}

/// `name: verb "delete"`
impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.source.word(), self.found)
    }
}

/// Judges a call of a tool by everything that is known; without arguments, the tool
/// itself. `trusted`: whether what the server says of its tools may make them look
/// better.
pub fn judge(
    name: &str,
    tool: Option<&Tool>,
    word: Word,
    trusted: bool,
    arguments: Option<&Json>,
) -> Judgement {
    let read;
    let named = match tool.and_then(|tool| tool.named.as_ref()) {
        Some((known, said)) if known == name => said,
        _ => {
            read = Name::of(name);
            &read
        }
    };
    let said = arguments.map(|arguments| Arguments::of(arguments, tool.map(|tool| &tool.schema)));
    let case = Case { named, tool, trusted, said: said.unwrap_or_default() };
    let judgement = case.judged();
    match word {
        Word { category: None, risk: None } => judgement,
        word => worded(word, judgement),
    }
}

/// What the operator says stands, and beside it what was found.
fn worded(word: Word, mut judgement: Judgement) -> Judgement {
    let found = [word.category.map(Category::word), word.risk.map(Risk::word)];
    let found = found.into_iter().flatten().collect::<Vec<_>>().join(", risk ");
    let found = if word.category.is_none() { format!("risk {found}") } else { found };
    let evidence = Evidence { source: Source::Operator, found, says: word.category };
    judgement.evidence.insert(0, evidence);
    if let Some(category) = word.category {
        if word.risk.is_none() && category == Category::Read {
            judgement.risk = Risk::Low;
        }
        (judgement.category, judgement.told) = (category, true);
        judgement.evidence.retain(|evidence| evidence.source != Source::Doubt);
    }
    judgement.risk = word.risk.unwrap_or(judgement.risk);
    judgement
}

/// All that is known of one call.
struct Case<'a> {
    named: &'a Name,
    tool: Option<&'a Tool>,
    trusted: bool,
    said: Arguments,
}

impl Case<'_> {
    fn judged(mut self) -> Judgement {
        let mut found: Vec<Finding> = self.said.finding.take().into_iter().collect();
        if found.is_empty()
            && let Some(lowered) = self.lowered()
        {
            found.push(lowered);
            found.extend(self.annotations());
            found.extend(self.text());
        } else {
            let annotated = self.annotations();
            let believed = self.trusted
                && annotated.as_ref().is_some_and(|found| found.category == Category::Read);
            found.extend(annotated);
            if !believed {
                found.extend(self.named.finding.clone());
                found.extend(self.text());
                found.extend(self.schema());
                self.pays(&mut found);
            }
        }
        if self.only_adds() {
            for finding in &mut found {
                let lowers = finding.evidence.source > Source::Annotations
                    && finding.category == Category::Destructive;
                if lowers {
                    (finding.category, finding.risk) = (Category::Write, Risk::Medium);
                }
            }
        }
        self.summed(found)
    }

    /// What stands of all that was found.
    fn summed(&self, found: Vec<Finding>) -> Judgement {
        let category = found.iter().map(|finding| finding.category).max();
        let risk = found.iter().map(|finding| finding.risk).max();
        let mut evidence: Vec<Evidence> = found.into_iter().map(|f| f.evidence).collect();
        let doubt = match category {
            None => Some("nothing tells what it does".to_owned()),
            Some(Category::Read) => self.doubt(),
            Some(_) => None,
        };
        evidence.sort_by_key(|evidence| evidence.source);
        let told = doubt.is_none();
        if let Some(found) = doubt {
            evidence.push(Evidence { source: Source::Doubt, found, says: None });
        }
        let guess = (Category::Execute, Risk::High);
        let (category, risk) = match (category, risk) {
            (Some(category), Some(risk)) if told => (category, risk),
            _ => guess,
        };
        Judgement { category, risk, told, evidence }
    }

    /// Why a tool that seems to read is not told to.
    fn doubt(&self) -> Option<String> {
        if let Some(odd) = self.named.odd {
            return Some(format!("its name has {odd}"));
        }
        self.said.too_long.then(|| "its arguments are too long to look through".to_owned())
    }

    /// That the call only looks, where its name leaves that to the arguments.
    fn lowered(&self) -> Option<Finding> {
        let (argument, how) = match self.named.decides {
            Decides::Name => return None,
            Decides::Statement => {
                (self.said.statement.as_ref()?, "is one statement that only reads")
            }
            Decides::Selector => (self.said.looks.as_ref()?, "chooses to look"),
        };
        let argument = crate::call::safe_text::SafeText::cut_line(argument, 40).0;
        Some(reads(Source::Arguments, format!("\"{argument}\" {how}")))
    }

    fn annotations(&self) -> Option<Finding> {
        let annotations = self.tool?.annotations;
        let (category, risk, found) = match (annotations.read_only, annotations.destructive) {
            (_, Some(true)) => (Category::Destructive, Risk::High, "destructiveHint: true"),
            (Some(true), _) if self.trusted => {
                (Category::Read, Risk::Low, "readOnlyHint: true, and the server is trusted")
            }
            (Some(false), _) => (Category::Write, Risk::Medium, "readOnlyHint: false"),
            _ => return None,
        };
        let source = Source::Annotations;
        let evidence = Evidence { source, found: found.to_owned(), says: Some(category) };
        Some(Finding { category, risk, evidence })
    }

    /// Whether a server that is trusted says that its tool destroys nothing.
    fn only_adds(&self) -> bool {
        let says = self.tool.and_then(|tool| tool.annotations.destructive);
        self.trusted && says == Some(false)
    }

    fn text(&self) -> Option<Finding> {
        let text = &self.tool?.text;
        let untold = self.named.finding.is_none() && self.trusted;
        let told = text.reads.as_ref().filter(|_| untold);
        let told = told.map(|verb| reads(Source::Description, format!("\"{verb}\"")));
        text.finding.clone().or(told)
    }

    fn schema(&self) -> Option<Finding> {
        self.tool?.schema.finding.clone()
    }

    /// Money moves where something is done with an amount of it.
    fn pays(&self, found: &mut Vec<Finding>) {
        let acts = found.iter().any(|finding| finding.category != Category::Read);
        let money = self.said.money.as_ref().or(self.tool.and_then(|t| t.schema.money.as_ref()));
        found.extend(money.filter(|_| acts).cloned());
    }
}

fn reads(source: Source, found: String) -> Finding {
    let evidence = Evidence { source, found, says: Some(Category::Read) };
    Finding { category: Category::Read, risk: Risk::Low, evidence }
}
