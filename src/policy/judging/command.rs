//! What a command line does, as far as its words tell: only ever something worse.
//!
//! A shell has too many ways to say a thing for any text of it to be called harmless.

use crate::call::model::{Category, Risk};

/// How much of a command is looked at.
const LONGEST: usize = 16 * 1024;

/// Words that destroy, wherever they stand.
const DESTROYS: &str = "rm rmdir unlink shred truncate dd mkfs wipefs fdisk kill pkill killall \
    shutdown reboot halt poweroff userdel deluser groupdel dropdb dropuser del erase format \
    remove-item delete destroy purge uninstall prune drop flushall flushdb terminate";

/// Of these the whole system may go.
const ALL_OF_IT: &str = "mkfs wipefs shred dd fdisk flushall";

/// What a command destroys, if it does: how bad it is, the word, and its place.
pub fn destroys(text: &str) -> Option<(Category, Risk, String, usize)> {
    let text = super::words::start(text, LONGEST).to_ascii_lowercase();
    let is_kept = |c: char| !"\\'\"`$".contains(c);
    // What quotes and backslashes hide is said all the same: r\m, "rm", $'rm'.
    let plain: String = text.chars().filter(|c| is_kept(*c)).collect();
    let parts = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let words = || plain.split(parts);
    let is_in = |list: &str, word: &str| list.split_ascii_whitespace().any(|known| known == word);
    let mut end = 0;
    let (word, at) = plain.split_inclusive(parts).find_map(|piece| {
        let at = end;
        end += piece.len();
        let word = piece.trim_end_matches(parts);
        is_in(DESTROYS, word).then_some((word, at))
    })?;
    let flags = || words().filter(|word| word.starts_with('-'));
    let recursive = word == "rm" && flags().any(|flag| flag.contains('r') && !flag.contains("dry"));
    let risk = if recursive || is_in(ALL_OF_IT, word) { Risk::Critical } else { Risk::High };
    let before = plain[..at].chars().count();
    let at = text.char_indices().filter(|(_, c)| is_kept(*c)).nth(before).map_or(0, |(at, _)| at);
    Some((Category::Destructive, risk, word.to_owned(), at))
}
