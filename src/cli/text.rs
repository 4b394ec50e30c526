//! Text from outside, on its way to the terminal. Everything that the daemon,
//! an agent or a file said passes through here; JSON output does not need it,
//! because [`Json::to_text`](crate::call::json::Json::to_text) escapes by itself.

use crate::call::safe_text::SafeText;

/// On one line.
pub fn safe(text: &str) -> String {
    SafeText::line(text).to_string()
}

/// With its own line ends, each line indented.
pub fn indented(text: &str, indent: &str) -> String {
    let safe = SafeText::block(text).to_string();
    let lines = safe.lines().map(|line| format!("{indent}{line}").trim_end().to_owned() + "\n");
    lines.collect()
}

/// The end of an id, as tables and refusals show it: its last eight hex digits,
/// hyphens left out. Empty if there is no such thing in it.
pub fn short(id: &str) -> String {
    let digits: Vec<char> = id.chars().filter(char::is_ascii_hexdigit).collect();
    digits[digits.len().saturating_sub(8)..].iter().collect()
}

/// `word` for a shell: as it is where that is harmless, else in single quotes.
pub fn shell_word(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// "1 person", "2 people".
pub fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_id_is_the_end_of_the_long_one() {
        assert_eq!(short("019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f"), "2b4d5e6f");
        assert_eq!(short("abc"), "abc");
        assert_eq!(short(""), "");
    }

    #[test]
    fn a_word_for_a_shell_means_itself() {
        assert_eq!(shell_word("/tmp/a-b_1"), "/tmp/a-b_1");
        assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell_word(""), "''");
    }
}
