//! Names of people, programs, groups and routes: which are allowed, and when
//! two spellings mean the same person.

use crate::call::safe_text::{SafeText, is_hidden};

/// A name as it is compared: without surrounding space and invisible
/// characters, and without case.
///
/// Errs on the side of taking two spellings for the same: a person who is
/// taken for the one on whose behalf a call is made may not decide it, and
/// the other mistake would let somebody sign for themselves.
pub fn fold(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let seen = spaced.filter(|c| !is_hidden(*c));
    // Up and down again is close to Unicode's full case folding: it unites
    // ß with SS and both small sigmas.
    let folded: String = seen.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    folded.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What is wrong with a name of a caller, operator, group or route, if anything.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_alphanumeric() || " .-_@+'".contains(c);
    if name.trim().is_empty() {
        Some("is empty")
    } else if name.len() > 100 {
        Some("is longer than 100 bytes")
    } else if name.trim() != name {
        Some("begins or ends with space")
    } else if !name.chars().all(allowed) || name.contains(is_hidden) {
        Some("has characters other than letters, digits, spaces and . - _ @ + '")
    } else {
        None
    }
}

/// What is wrong with an alias or a person a caller acts for, if anything.
/// These are only compared and shown, so more is allowed than in a name.
pub(crate) fn alias_fault(alias: &str) -> Option<&'static str> {
    if fold(alias).is_empty() {
        Some("is empty")
    } else if alias.len() > 320 {
        Some("is longer than 320 bytes")
    } else if alias.trim() != alias || alias.contains(is_hidden) {
        Some("has control or invisible characters, or space at an end")
    } else {
        None
    }
}

/// What a name in a certificate is. Its text tells: a URI has a colon, a mail
/// address an `@`, and a DNS name neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// `proxy-1.example.com`
    Dns,
    /// `spiffe://corp/proxy-1`
    Uri,
    /// `ops@example.com`
    Email,
}

impl NameKind {
    /// Of this text; `None` if it is no name at all.
    pub fn of(text: &str) -> Option<NameKind> {
        let allowed = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        if text.is_empty() || text.len() > LONGEST_CERTIFICATE_NAME || !text.chars().all(allowed) {
            return None;
        }
        let in_dns = |c: char| c.is_ascii_alphanumeric() || "-._*".contains(c);
        if text.contains(':') {
            Some(NameKind::Uri)
        } else if text.contains('@') {
            Some(NameKind::Email)
        } else {
            text.chars().all(in_dns).then_some(NameKind::Dns)
        }
    }
}

/// What SPIFFE allows, which is the longest that is in use.
const LONGEST_CERTIFICATE_NAME: usize = 2048;

/// What is wrong with an entry of `certificate_names`, if anything.
pub(crate) fn certificate_name_fault(name: &str) -> Option<&'static str> {
    match NameKind::of(name) {
        None => Some("is neither a DNS name, a URI nor a mail address"),
        // A certificate may have it, for servers; it is nobody's name.
        Some(NameKind::Dns) if name.contains('*') => Some("is a pattern, and names match exactly"),
        Some(_) => None,
    }
}

/// A value as it is quoted in a message: safe to look at, and not pages long.
pub(crate) fn shortened(text: &str) -> String {
    let (shown, cut) = SafeText::cut_line(text, 80);
    if cut == 0 { shown.to_string() } else { format!("{shown}…") }
}

/// The word of `known` that was probably meant.
pub(crate) fn meant<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    let nearest = known.into_iter().map(|word| (distance(&wrong, word), word)).min()?;
    // A third of the letters may be wrong; more than that is another word.
    (nearest.0 <= nearest.1.len().div_ceil(3)).then_some(nearest.1)
}

/// Levenshtein's edit distance.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_to_one() {
        for text in ["Alice", " ALICE ", "ali\u{200b}ce", "\u{202e}alice\u{feff}", "alice\r\n"] {
            assert_eq!(fold(text), "alice", "{text:?}");
        }
        assert_eq!(fold("Alice\u{a0} \u{3000}Liddell"), "alice liddell");
        assert_eq!(fold("STRASSE"), fold("straße"));
        assert_eq!(fold("ΟΔΥΣΣΕΥΣ"), fold("οδυσσευς"));
        assert_ne!(fold("alice"), fold("alicia"));
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in [
            "",
            " ",
            "a\r\nBcc: x",
            "a\u{1b}[31m",
            "a\u{202e}b",
            "a\u{200b}b",
            "<b>",
            "a\"b",
            " a",
            "a;b",
            "a\u{0}",
            "=1+1",
            "a\tb",
            "a/b",
            "x\u{2028}y",
        ] {
            assert!(name_fault(name).is_some(), "{name:?}");
        }
        assert!(name_fault(&"a".repeat(101)).is_some());
        for name in ["alice", "proxy-1", "Zoë O'Neill", "李雷", "a.liddell@example.com", "आलिया"]
        {
            assert_eq!(name_fault(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_certificate_s_name_is_of_the_kind_that_its_text_has() {
        assert_eq!(NameKind::of("proxy-1.example.com"), Some(NameKind::Dns));
        assert_eq!(NameKind::of("spiffe://corp/proxy-1"), Some(NameKind::Uri));
        assert_eq!(NameKind::of("urn:corp:ops@example.com"), Some(NameKind::Uri));
        assert_eq!(NameKind::of("ops@example.com"), Some(NameKind::Email));
        for name in ["", "a b", "proxy\n", "prøxy", "a/b", "a\"b", &"a".repeat(2049)] {
            assert_eq!(NameKind::of(name), None, "{name:?}");
            assert!(certificate_name_fault(name).is_some(), "{name:?}");
        }
        assert!(certificate_name_fault("*.example.com").is_some());
        assert_eq!(certificate_name_fault("proxy-1.example.com"), None);
    }

    #[test]
    fn the_word_that_was_meant_is_suggested() {
        let known = ["listen", "lease", "lapse_after", "default_timeout"];
        assert_eq!(meant("listn", known), Some("listen"));
        assert_eq!(meant("Default-Timeout", known), Some("default_timeout"));
        assert_eq!(meant("lapseafter", known), Some("lapse_after"));
        assert_eq!(meant("lees", known), Some("lease"));
        assert_eq!(meant("bananas", known), None);
        assert_eq!(meant("x", []), None);
    }
}
