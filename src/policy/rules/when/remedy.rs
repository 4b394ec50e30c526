//! What to do about a condition that is no CEL: most are another language's.
//!
//! Promises: a remedy is for something that stands in the condition, outside of its
//! texts. Must never: decide whether it is CEL.

use std::str::CharIndices;

/// What conditions look like, where nothing better can be said.
pub const HOW: &str = "conditions look like: args.amount > 100 && call.tool.startsWith(\"pay_\")";

/// What may follow a backslash in a text of CEL.
const ESCAPES: &str = "abfnrtvxuU\\?\"'`01234567";

/// What to do about this condition.
pub fn remedy(source: &str) -> String {
    let code = match outside_of_texts(source) {
        Ok(code) => code,
        Err(remedy) => return remedy.to_owned(),
    };
    let words: Vec<&str> =
        code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let has = |word: &str| words.iter().any(|one| one.eq_ignore_ascii_case(word));
    let pair = |first: &str, second: &str| {
        words
            .windows(2)
            .any(|w| w[0].eq_ignore_ascii_case(first) && w[1].eq_ignore_ascii_case(second))
    };
    let signs = signs(&code);
    let sign = |sign: &str| signs.iter().any(|one| one == sign);
    let found = if code.contains(['“', '”', '‘', '’', '„']) {
        "write straight quotes: \"a\""
    } else if sign("=~") || sign("~") || sign("~=") {
        "write .matches(...) with the pattern: args.path.matches(\"^/tmp/\")"
    } else if sign("===") || sign("!==") || sign("=") {
        "write == to compare, and != for unequal: args.key == \"a\""
    } else if sign("<>") {
        "write != for unequal"
    } else if sign("&") || sign("|") {
        "write && for and, || for or"
    } else if pair("not", "in") {
        "write ! in front of the whole, in brackets: !(args.currency in [\"EUR\", \"USD\"])"
    } else if has("and") || has("or") || has("not") {
        "write && for and, || for or, ! for not"
    } else if has("if") || has("else") || has("then") {
        "write CONDITION ? THIS : THAT, or && and ||"
    } else if let Some(name) = function_between(&code) {
        return format!("write it as a function of the text before it: args.key.{name}(\"a\")");
    } else if has("in") && code.replace(' ', "").contains("in(") {
        "write a list in [ ]: args.currency in [\"EUR\", \"USD\"]"
    } else if sign("$") || sign("$.") {
        "arguments begin with args.: args.amount"
    } else if code.contains(';') {
        "take the semicolon away: a condition is one expression"
    } else if code.matches('(').count() != code.matches(')').count() {
        "each ( ends with a )"
    } else if code.matches('[').count() != code.matches(']').count() {
        "each [ ends with a ]"
    } else {
        HOW
    };
    found.to_owned()
}

/// A name of a function of texts that stands between two things, as in `a contains b`.
fn function_between(code: &str) -> Option<&'static str> {
    ["contains", "startsWith", "endsWith", "matches"].into_iter().find(|name| {
        code.match_indices(name).any(|(at, _)| {
            let (before, behind) = (&code[..at], &code[at + name.len()..]);
            before.ends_with(' ') && behind.starts_with(' ')
        })
    })
}

/// The runs of signs that operators are made of.
fn signs(code: &str) -> Vec<String> {
    let is_sign = |c: char| "=!<>&|~$".contains(c);
    let runs = code.split(|c: char| !is_sign(c)).filter(|run| !run.is_empty());
    // A sign that turns something round may stand behind any other.
    runs.map(|run| match run {
        "!=" | "!==" => run.to_owned(),
        run => run.trim_end_matches('!').to_owned(),
    })
    .collect()
}

/// The condition without what stands in its texts, or what is wrong with one of those.
fn outside_of_texts(source: &str) -> Result<String, &'static str> {
    let (mut code, mut before) = (String::new(), ' ');
    let mut letters = source.char_indices();
    while let Some((_, c)) = letters.next() {
        code.push(c);
        if c == '"' || c == '\'' {
            text(c, matches!(before, 'r' | 'R'), &mut letters)?;
            code.push(c);
        }
        before = c;
    }
    Ok(code)
}

/// Goes over the rest of a text that ends with this quote.
fn text(quote: char, raw: bool, letters: &mut CharIndices<'_>) -> Result<(), &'static str> {
    while let Some((_, c)) = letters.next() {
        if c == quote {
            return Ok(());
        }
        if c == '\\' && !raw {
            let next = letters.next().map(|(_, c)| c);
            if next.is_none_or(|next| !ESCAPES.contains(next)) {
                return Err(
                    "write a raw text, in which \\ is nothing special: r\"\\w+\", or each \\ twice",
                );
            }
        }
    }
    Err("close the quotes of the text; where # follows a space, YAML takes the rest for a \
         comment: put the whole condition in single quotes")
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile;

    #[test]
    fn what_is_written_as_in_other_languages_says_how_it_is_written_here() {
        for (source, remedy) in [
            ("args.a = 1", "write == to compare"),
            ("args.a === 1", "write == to compare"),
            ("args.a <> 1", "write != for unequal"),
            ("args.a and args.b", "write && for and, || for or, ! for not"),
            ("args.a OR args.b", "write && for and, || for or, ! for not"),
            ("not args.a", "write && for and, || for or, ! for not"),
            ("args.a & args.b", "write && for and"),
            ("args.a not in [1]", "!(args.currency in"),
            ("args.a in (1, 2)", "write a list in [ ]"),
            ("args.a contains \"x\"", "args.key.contains(\"a\")"),
            ("args.a =~ \"x\"", "args.path.matches"),
            ("args.a == “x”", "write straight quotes"),
            (r#"args.a.matches("\w+")"#, r#"r"\w+", or each \ twice"#),
            (r#"args.a.matches("^\d+$")"#, r#"r"\w+", or each \ twice"#),
            ("args.a == \"x", "close the quotes of the text"),
            ("if args.a", "CONDITION ? THIS : THAT"),
            ("(args.a == 1", "each ( ends with a )"),
            ("args.a == 1;", "take the semicolon away"),
            ("$.a == 1", "arguments begin with args."),
            ("args.a == True", "write true"),
            ("args.a == None", "write null"),
        ] {
            let fault = compile(source).expect_err(source);
            assert!(fault.remedy.contains(remedy), "{source}: {fault:?}");
        }
        // Of words within texts nothing is said.
        let fault = compile("args.a == \"this and that\" \"= or\"").expect_err("two texts");
        assert_eq!(fault.remedy, super::HOW);
    }
}
