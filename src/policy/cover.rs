//! Whether one glob matches all that another matches.
//!
//! Promises: says yes only where it is so; of some that are written in different ways
//! it does not see it. Braces are written out, up to a bound. Must never: take longer
//! than the product of two lengths.

/// Braces may be written out to so many globs.
const MOST_WRITTEN_OUT: usize = 32;

/// Longer ones are not compared. Names of tools have at most 128 characters, and
/// patterns for them are shorter.
const LONGEST: usize = 100;

/// A glob as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Vec<Vec<Token>>);

/// One thing in a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`, one byte.
    One,
    /// `*`
    Any,
    /// `[abc]`, as it is written.
    Class(String),
}

impl Shape {
    /// Of a glob that is valid; `None`: it is too long or too odd to compare.
    pub fn of(glob: &str) -> Option<Shape> {
        // A bracket that stands first among others is one of them.
        let odd = ["[]", "[!]", "[^]"].iter().any(|odd| glob.contains(odd));
        if glob.len() > LONGEST || odd {
            return None;
        }
        let written_out = written_out(glob)?;
        Some(Shape(written_out.iter().map(|glob| tokens(glob)).collect()))
    }

    /// Whether this one matches all that `other` matches.
    pub fn covers(&self, other: &Shape) -> bool {
        let covered = |narrow: &Vec<Token>| self.0.iter().any(|wide| matches(wide, narrow));
        other.0.iter().all(covered)
    }
}

/// The same without braces: `{a,b}_x` is `a_x` or `b_x`.
fn written_out(glob: &str) -> Option<Vec<String>> {
    let (mut done, mut open) = (Vec::new(), vec![glob.to_owned()]);
    while let Some(glob) = open.pop() {
        let Some((before, choices, behind)) = first_braces(&glob) else {
            done.push(glob);
            continue;
        };
        open.extend(choices.iter().map(|choice| format!("{before}{choice}{behind}")));
        if done.len() + open.len() > MOST_WRITTEN_OUT {
            return None;
        }
    }
    Some(done)
}

/// What stands before the first braces, in them, and behind.
fn first_braces(glob: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (mut begun, mut depth, mut start) = (None, 0, 0);
    let (mut choices, mut in_class) = (Vec::new(), false);
    let mut letters = glob.char_indices();
    while let Some((at, c)) = letters.next() {
        match c {
            '\\' => {
                letters.next();
            }
            ']' => in_class = false,
            '[' => in_class = true,
            _ if in_class => {}
            '{' => {
                depth += 1;
                if depth == 1 {
                    (begun, start) = (Some(at), at + 1);
                }
            }
            ',' if depth == 1 => {
                choices.push(glob.get(start..at)?);
                start = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(glob.get(start..at)?);
                return Some((glob.get(..begun?)?, choices, glob.get(at + 1..)?));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn tokens(glob: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut letters = glob.chars();
    while let Some(c) = letters.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Literal(letters.next().unwrap_or('\\')),
            '[' => Token::Class(letters.by_ref().take_while(|c| *c != ']').collect()),
            c => Token::Literal(c),
        });
    }
    tokens
}

/// Matches the narrow glob as if it were a name, in which only `*` goes over `*`.
fn matches(wide: &[Token], narrow: &[Token]) -> bool {
    let (mut w, mut n) = (0, 0);
    // Where to go on if what follows the last `*` does not fit.
    let mut again: Option<(usize, usize)> = None;
    while let Some(token) = narrow.get(n) {
        match wide.get(w) {
            Some(Token::Any) => {
                again = Some((w + 1, n));
                w += 1;
            }
            Some(one) if takes(one, token) => (w, n) = (w + 1, n + 1),
            _ => match again {
                Some((behind, from)) => {
                    again = Some((behind, from + 1));
                    (w, n) = (behind, from + 1);
                }
                None => return false,
            },
        }
    }
    wide.get(w..).unwrap_or_default().iter().all(|token| *token == Token::Any)
}

fn takes(wide: &Token, narrow: &Token) -> bool {
    match (wide, narrow) {
        (_, Token::Any) => false,
        // A letter beyond ASCII has several bytes.
        (Token::One, Token::Literal(c)) => c.is_ascii(),
        (Token::One, Token::One | Token::Class(_)) => true,
        (wide, narrow) => wide == narrow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(wide: &str, narrow: &str) -> bool {
        Shape::of(wide).expect("short").covers(&Shape::of(narrow).expect("short"))
    }

    #[test]
    fn a_glob_that_matches_all_that_another_matches_covers_it() {
        for (wide, narrow) in [
            ("*", "anything"),
            ("*", "get_*"),
            ("get_*", "get_user"),
            ("get_*", "get_user_*"),
            ("get_*", "get_*_by_*"),
            ("*_user", "get_*_user"),
            ("*a*b*", "xaybz*"),
            ("get_?", "get_a"),
            ("get_?", "get_[ab]"),
            ("{get,list}_*", "list_users"),
            ("{get,list}_*", "{list,get}_a*"),
            ("get_{,all_}*", "get_*"),
            ("get_[ab]", "get_[ab]"),
            ("a\\*b", "a\\*b"),
            ("*", "{a,b}[c]?*"),
        ] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("get_user", "get_*"),
            ("get_*", "*"),
            ("get_*", "{get,put}_x"),
            ("get_?", "get_*"),
            ("get_?", "get_ä"),
            ("a\\*b", "a*b"),
            ("a*b", "a*c"),
            ("get_[ab]", "get_a*"),
            ("", "a"),
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }

    #[test]
    fn what_is_too_much_to_compare_is_not_compared() {
        assert_eq!(Shape::of("[]a]"), None);
        assert_eq!(Shape::of(&"{a,b}".repeat(10)), None);
        assert_eq!(Shape::of(&"a".repeat(101)), None);
        let stars = "*a".repeat(50);
        assert!(covers(&stars, &stars));
        assert!(!covers(&stars, &"a".repeat(49)));
    }
}
