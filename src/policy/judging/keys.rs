//! What the names of arguments mean, in a schema and in a call alike.

use super::lexicon::{self, When};
use super::words;
use crate::call::model::{Category, Risk};

/// The name of an argument. What it means its last word says: `sql`, `raw_sql`.
pub struct Key<'a> {
    /// As it is written.
    pub name: &'a str,
    last: String,
}

impl<'a> Key<'a> {
    /// Of an argument of this name.
    pub fn of(name: &'a str) -> Key<'a> {
        Key { name, last: words::of(words::start(name, words::LONGEST)).pop().unwrap_or_default() }
    }

    /// As much of the name as is looked at.
    pub fn start(&self) -> &'a str {
        words::start(self.name, words::LONGEST)
    }

    /// Whether it chooses what is done: `action`, `operation`, `command`.
    pub fn chooses(&self) -> bool {
        matches!(
            self.last.as_str(),
            "action"
                | "actions"
                | "operation"
                | "operations"
                | "op"
                | "ops"
                | "method"
                | "verb"
                | "command"
                | "commands"
                | "cmd"
                | "subcommand"
                | "mode"
        )
    }

    /// Whether it may be a whole command line.
    pub fn may_be_a_command(&self) -> bool {
        matches!(self.last.as_str(), "command" | "commands" | "cmd" | "shell" | "script" | "bash")
    }

    /// Whether it is a statement of a query language.
    pub fn is_a_statement(&self) -> bool {
        matches!(
            self.last.as_str(),
            "sql" | "query" | "queries" | "statement" | "statements" | "q" | "cypher"
        )
    }

    /// Whether it is SQL, and certainly no text to search for.
    pub fn is_sql(&self) -> bool {
        self.last == "sql"
    }

    /// Whether it takes code, by its name alone. `command` and `code` are too often
    /// something else; what they are in a call, the call shows.
    pub fn takes_code(&self) -> bool {
        matches!(self.last.as_str(), "sql" | "shell" | "script" | "bash" | "javascript" | "python")
    }
}

/// What a value says that chooses what is done: that it looks, or what it does.
/// `None`: it cannot be told.
pub fn chosen(key: &Key<'_>, value: &str) -> Option<(Category, Risk)> {
    let words = words::of(value);
    let first = words.first()?;
    if key.name.eq_ignore_ascii_case("mode") {
        return match first.as_str() {
            "r" | "rb" | "read" | "readonly" => Some((Category::Read, Risk::Low)),
            "w" | "wb" | "a" | "ab" | "x" | "rw" | "write" | "append" => {
                Some((Category::Write, Risk::Medium))
            }
            "overwrite" | "replace" | "truncate" => Some((Category::Destructive, Risk::High)),
            _ => None,
        };
    }
    if words.len() == 1 && lexicon::is_looked_at(first) {
        return Some((Category::Read, Risk::Low));
    }
    // A key-value store's, which has words of its own.
    let commands = key.may_be_a_command();
    let mut found: Option<(Category, Risk)> = None;
    for (at, word) in words.iter().take(3).enumerate() {
        let said = store_command(word).filter(|_| commands).or_else(|| {
            let verb = lexicon::verb(word)?;
            let counts = at == 0 || (verb.when == When::Always && verb.category != Category::Read);
            counts.then_some((verb.category, verb.risk))
        });
        found = match (found, said) {
            (Some(found), Some(said)) => Some(found.max(said)),
            (found, said) => found.or(said),
        };
    }
    found
}

/// Whether a command line is a key-value store's.
pub fn is_of_a_store(line: &str) -> bool {
    words::of(line).first().is_some_and(|word| store_command(word).is_some())
}

/// What a word is as a command of Redis and its like, where that is more than the
/// word says anywhere, or something else.
fn store_command(word: &str) -> Option<(Category, Risk)> {
    const READS: &str = "get info keys ttl type exists echo ping time scan";
    const WRITES: &str = "set incr decr append expire persist rename copy touch";
    const ALL_OF_IT: &str = "flushall flushdb";
    const EXECUTES: &str = "eval evalsha fcall script function config debug module replicaof \
        slaveof shutdown acl client cluster failover save bgsave bgrewriteaof monitor migrate";
    let is_in = |list: &str| list.split_whitespace().any(|known| known == word);
    match word {
        _ if is_in(READS) => Some((Category::Read, Risk::Low)),
        _ if is_in(WRITES) => Some((Category::Write, Risk::Medium)),
        _ if is_in(ALL_OF_IT) => Some((Category::Destructive, Risk::Critical)),
        _ if is_in(EXECUTES) => Some((Category::Execute, Risk::High)),
        _ => lexicon::store_command(word).map(|verb| (verb.category, verb.risk)),
    }
}

/// Names of arguments by which money is moved: an amount, and a currency or somebody
/// who gets it.
pub fn money<'a>(keys: impl Iterator<Item = &'a str>) -> Option<String> {
    let (mut amount, mut to) = (false, false);
    for key in keys.take(1000) {
        match words::of(key).pop().unwrap_or_default().as_str() {
            "amount" => amount = true,
            "currency" | "recipient" | "payee" | "iban" | "beneficiary" => to = true,
            _ => {}
        }
    }
    (amount && to).then(|| "an amount, and a currency or a recipient".to_owned())
}
