//! What a statement of SQL does, or an operation of GraphQL.
//!
//! Two questions, and neither is answered by understanding the dialect. Does it look
//! as if it changes something? Then it counts as that, even where the words may be in
//! a string. Does it certainly change nothing? Only if it is one statement that begins
//! like a read, holds no word that changes anything, calls no function but well-known
//! ones, and leaves no doubt where its strings end.
//!
//! Promises: linear time; what is longer than [`LONGEST`] certainly changes something.

use crate::call::model::{Category, Risk};

/// The longest statement that is read. Agents write some hundred bytes.
const LONGEST: usize = 16 * 1024;

/// Words of what destroys whole things, of whatever language: a table, a store, a disk.
const WHOLE: &str = "drop dropdb truncate flush flushall flushdb purge wipe wipefs destroy mkfs \
    fdisk shred dd";

/// How much of a mutation is looked through for what it does.
const FIELDS: usize = 2048;

/// Words with which statements that only look begin.
const READS: &[&str] = &["SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "VALUES"];

/// Words that no statement has which only looks.
const ACTS: &str = "INSERT UPDATE DELETE MERGE UPSERT REPLACE DROP TRUNCATE ALTER CREATE RENAME \
    GRANT REVOKE CALL EXEC EXECUTE DO INTO OUTFILE DUMPFILE COPY LOAD UNLOAD IMPORT EXPORT LOCK \
    UNLOCK SET RESET BEGIN COMMIT ROLLBACK SAVEPOINT PREPARE DEALLOCATE DECLARE VACUUM REINDEX \
    CLUSTER REFRESH ATTACH DETACH PRAGMA KILL SYSTEM OPTIMIZE HANDLER NOTIFY LISTEN ANALYZE \
    COMMENT SHUTDOWN BACKUP RESTORE DISCARD REASSIGN SECURITY INSTALL USE PURGE FLUSH";

/// What may stand in front of a parenthesis: words of the language, and functions
/// that compute from their arguments alone or read the clock.
const BEFORE_PAREN: &str = "SELECT FROM WHERE AND OR NOT IN EXISTS ANY ALL SOME AS ON USING OVER \
    JOIN BY HAVING UNION INTERSECT EXCEPT WHEN THEN ELSE CASE BETWEEN LIKE VALUES PARTITION \
    FILTER WITHIN GROUP DISTINCT LIMIT OFFSET LATERAL INTERVAL CAST \
    COUNT SUM AVG MIN MAX ABS ROUND FLOOR CEIL CEILING MOD POWER SQRT SIGN GREATEST LEAST \
    COALESCE NULLIF IFNULL NVL IF IIF LOWER UPPER LENGTH CHAR_LENGTH TRIM LTRIM RTRIM SUBSTR \
    SUBSTRING REPLACE_ CONCAT CONCAT_WS LEFT RIGHT POSITION STRPOS SPLIT_PART NOW CURRENT_DATE \
    CURRENT_TIMESTAMP DATE TIME TIMESTAMP DATE_TRUNC DATE_PART EXTRACT YEAR MONTH DAY HOUR MINUTE \
    TO_CHAR TO_DATE STRFTIME DATE_FORMAT DATEDIFF DATE_ADD DATE_SUB ROW_NUMBER RANK DENSE_RANK \
    NTILE LAG LEAD FIRST_VALUE LAST_VALUE PERCENTILE_CONT PERCENTILE_DISC STDDEV VARIANCE MEDIAN \
    ARRAY_AGG STRING_AGG GROUP_CONCAT JSON_AGG JSON_EXTRACT VARCHAR CHAR NUMERIC DECIMAL \
    VERSION DATABASE CURRENT_DATABASE CURRENT_SCHEMA";

/// What is dropped, created, altered.
const OBJECTS: &str = "TABLE TABLES DATABASE SCHEMA INDEX VIEW MATERIALIZED COLUMN USER ROLE \
    FUNCTION PROCEDURE TRIGGER SEQUENCE TYPE EXTENSION POLICY CONSTRAINT TABLESPACE KEYSPACE \
    TEMP TEMPORARY UNIQUE OR GLOBAL EXTERNAL STREAM TASK WAREHOUSE LOGIN NODE RELATIONSHIP";

/// Something that a text does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Does {
    /// What is done.
    pub category: Category,
    /// How bad a mistake would be.
    pub risk: Risk,
    /// The word that says so.
    pub word: &'static str,
    /// The byte of the text where what does it begins.
    pub at: usize,
}

impl Does {
    fn further_on(self, by: usize) -> Does {
        Does { at: self.at + by, ..self }
    }
}

fn does(category: Category, risk: Risk, word: &'static str) -> Option<Does> {
    Some(Does { category, risk, word, at: 0 })
}

/// Of several the one to tell, with the highest risk among those of its category: the
/// first of those that destroy whole things before rows.
fn worst(found: impl Iterator<Item = Does>) -> Option<Does> {
    let mut worst: Option<Does> = None;
    for does in found {
        worst = Some(match worst {
            Some(known) if known.category > does.category => known,
            Some(known) if known.category == does.category => {
                let rank = |does: &Does| (takes_the_whole(does.word), does.risk);
                let told = if rank(&does) > rank(&known) { does } else { known };
                Does { risk: known.risk.max(does.risk), ..told }
            }
            _ => does,
        });
    }
    worst
}

/// Whether what this word says destroys whole things, and not what is in them.
pub fn takes_the_whole(word: &str) -> bool {
    is_in(WHOLE, word)
}

fn is_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether a text certainly is one statement that changes nothing.
pub fn only_reads(text: &str) -> bool {
    if text.len() > LONGEST || !text.is_ascii() {
        return false;
    }
    let text = text.trim().trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace());
    // Dialects differ in what these do to the end of a string or of a comment.
    let in_doubt =
        ["\\", "$", "`", "#", "--", "/*", "[", "{"].iter().any(|sign| text.contains(sign));
    let text = match in_doubt {
        true => text.to_owned(),
        false => match without_strings(text) {
            Some(text) => text,
            None => return false,
        },
    };
    let mut words = words(&text);
    let begins =
        words.next().is_some_and(|(_, first)| READS.iter().any(|r| first.eq_ignore_ascii_case(r)));
    begins
        && !text.contains(';')
        && words.all(|(_, word)| !is_in(ACTS, word))
        && calls_known_functions_only(&text)
        // A comment may stand between a function and its parenthesis.
        && !(text.contains('(') && ["--", "/*", "#"].iter().any(|sign| text.contains(sign)))
}

/// The text with every string and quoted name as one `'`; `None`: one has no end.
fn without_strings(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(['\'', '"']) {
        let quote = &rest[begin..=begin];
        let length = rest[begin + 1..].find(quote)?;
        out.push_str(&rest[..begin]);
        out.push('\'');
        rest = &rest[begin + 1 + length + 1..];
    }
    Some(out + rest)
}

fn calls_known_functions_only(text: &str) -> bool {
    text.match_indices('(').all(|(at, _)| {
        let before = text[..at].trim_end();
        match before.bytes().last() {
            None => true,
            Some(last) if is_of_word(last) => {
                let begin = before.bytes().rposition(|b| !is_of_word(b)).map_or(0, |b| b + 1);
                // `schema.function(` is a function that somebody made.
                let qualified = before[..begin].trim_end().ends_with('.');
                let word = &before[begin..];
                // A name in `WITH name (columns) AS` is none that is known: in doubt not.
                !qualified && is_in(BEFORE_PAREN, word)
            }
            Some(last) => b"(,=<>+-*/|".contains(&last),
        }
    })
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The words of a text, with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + text.as_bytes()[at..].iter().position(|b| is_of_word(*b))?;
        let bytes = &text.as_bytes()[begin..];
        let length = bytes.iter().position(|b| !is_of_word(*b)).unwrap_or(bytes.len());
        at = begin + length;
        Some((begin, &text[begin..at]))
    })
}

/// What a text does as a statement, the most dangerous of several. `sure`: it stands
/// where nothing but a statement can.
pub fn acts(text: &str, sure: bool) -> Option<Does> {
    let text = &text.as_bytes()[..text.len().min(LONGEST)];
    // Whatever its length, its beginning shows what it is.
    let text = String::from_utf8_lossy(text);
    let mut end = 0;
    let found = text.split(';').filter_map(|statement| {
        let begin = end;
        end += statement.len() + 1;
        act(statement, sure).map(|does| does.further_on(begin))
    });
    worst(found).or_else(|| mutation(&text))
}

fn act(statement: &str, sure: bool) -> Option<Does> {
    let begin = past_comments(statement);
    let before = statement.len() - begin.len();
    let (places, words): (Vec<usize>, Vec<&str>) = words(begin).take(2000).unzip();
    let first = words.first()?;
    if READS.iter().any(|read| read.eq_ignore_ascii_case(first)) {
        // `WITH gone AS (DELETE FROM ...)`, `EXPLAIN ANALYZE UPDATE ...`, `SELECT ... INTO OUTFILE`
        return worst((1..words.len()).filter_map(|at| {
            begun(&words[at..], false).map(|does| does.further_on(before + places[at]))
        }));
    }
    begun(&words, sure).map(|does| does.further_on(before + places[0]))
}

/// What a statement does that begins with these words.
fn begun(words: &[&str], sure: bool) -> Option<Does> {
    use Category::{Destructive, Execute, Write};
    use Risk::{Critical, High, Medium};
    let first = words.first()?.to_ascii_uppercase();
    let second = words.get(1).copied().unwrap_or_default();
    let is = |word: &str| second.eq_ignore_ascii_case(word);
    let has = |word: &str| words.iter().any(|w| w.eq_ignore_ascii_case(word));
    let object = sure || is_in(OBJECTS, second);
    match first.as_str() {
        "DELETE" if sure || is("FROM") || (is("DETACH") && has("MATCH")) => {
            does(Destructive, if has("WHERE") { High } else { Critical }, "DELETE")
        }
        "DROP" if object => {
            let whole = ["DATABASE", "SCHEMA", "KEYSPACE"].iter().any(|word| is(word));
            does(Destructive, if whole { Critical } else { High }, "DROP")
        }
        "TRUNCATE" if sure || is("TABLE") || words.len() == 2 => {
            does(Destructive, Critical, "TRUNCATE")
        }
        "DETACH" if sure && is("DELETE") => does(Destructive, High, "DELETE"),
        "UPDATE" if words.iter().take(8).any(|w| w.eq_ignore_ascii_case("SET")) => {
            does(Write, if has("WHERE") { Medium } else { High }, "UPDATE")
        }
        "INSERT" | "REPLACE" | "MERGE" if is("INTO") || (sure && first != "REPLACE") => {
            does(Write, Medium, "INSERT")
        }
        "ALTER" if object && has("DROP") => does(Destructive, High, "ALTER"),
        "ALTER" if object => does(Write, High, "ALTER"),
        "CREATE" if object => does(Write, Medium, "CREATE"),
        "GRANT" if has("TO") && (sure || has("ON")) => does(Write, High, "GRANT"),
        "REVOKE" if has("FROM") && (sure || has("ON")) => does(Destructive, High, "REVOKE"),
        "INTO" if is("OUTFILE") || is("DUMPFILE") => does(Write, High, "INTO OUTFILE"),
        "CALL" | "EXEC" | "EXECUTE" | "DO" | "KILL" | "SHUTDOWN" | "LOAD" | "COPY" | "ATTACH"
            if sure =>
        {
            does(Execute, High, "EXECUTE")
        }
        "RENAME" | "SET" | "RESET" | "VACUUM" | "COMMENT" | "LOCK" | "REINDEX" | "OPTIMIZE"
            if sure =>
        {
            does(Write, Medium, "SET")
        }
        _ => None,
    }
}

/// Past white space, comments and parentheses.
fn past_comments(mut text: &str) -> &str {
    loop {
        let begin = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        let after = if let Some(comment) = begin.strip_prefix("/*!") {
            // MySQL runs what stands in these.
            comment.trim_start_matches(|c: char| c.is_ascii_digit())
        } else if let Some(comment) = begin.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else if begin.starts_with("--") || begin.starts_with('#') {
            begin.split_once('\n').map_or("", |(_, after)| after)
        } else {
            return begin;
        };
        text = after;
    }
}

/// A GraphQL document that changes something.
fn mutation(text: &str) -> Option<Does> {
    let found = text.match_indices("mutation").find(|(at, _)| {
        let before = text[..*at].trim_end().chars().next_back();
        let line = text[..*at].ends_with('\n');
        let after = text[at + "mutation".len()..].chars().next();
        (line || before.is_none_or(|c| c == '}'))
            && after.is_some_and(|c| c.is_whitespace() || c == '{' || c == '(')
            && text[*at..].contains('{')
    })?;
    let fields = super::words::of(super::words::start(&text[found.0..], FIELDS));
    let destroys = fields.iter().any(|word| {
        let verb = super::lexicon::verb_as_it_stands(word);
        verb.is_some_and(|verb| verb.category == Category::Destructive)
    });
    let category = if destroys { Category::Destructive } else { Category::Write };
    does(category, Risk::High, "mutation").map(|does| does.further_on(found.0))
}
