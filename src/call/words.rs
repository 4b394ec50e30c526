//! The words of a name: `asana_getTaskByID2` is asana, get, task, by, id.
//!
//! Promises: every word is lower-case ASCII letters; no name makes more than
//! [`MOST`]. What is not a letter of ASCII separates words and is not among them.

/// The longest name that is looked at. Public servers stay below 80.
pub const LONGEST: usize = 200;

/// The most words of one name: each has at least one letter and, but for the cases
/// within, a separator.
pub const MOST: usize = LONGEST;

/// Splits a name at everything that is no letter, and where the case says that a
/// word begins: `getURLPath` is get, url, path.
pub fn of(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split(|c: char| !c.is_ascii_alphabetic()).filter(|part| !part.is_empty()) {
        split_by_case(part, &mut words);
        if words.len() >= MOST {
            break;
        }
    }
    words
}

/// The parts between separators, in lower case and otherwise whole. What case pulls
/// apart is one word here: `dELETE`.
pub fn parts(name: &str) -> impl Iterator<Item = String> {
    let parts = name.split(|c: char| !c.is_ascii_alphabetic()).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase)
}

/// The start of a text, at most `longest` bytes of it.
pub fn start(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn split_by_case(part: &str, words: &mut Vec<String>) {
    let letters = part.as_bytes();
    let mut begin = 0;
    for at in 1..letters.len() {
        let (before, here) = (letters[at - 1], letters[at]);
        let humps = before.is_ascii_lowercase() && here.is_ascii_uppercase();
        // The last capital of several belongs to what follows, but for a plural: `IDs`.
        let after = letters.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        let plural = letters.get(at + 1) == Some(&b's') && letters.len() == at + 2;
        let ends_capitals =
            before.is_ascii_uppercase() && here.is_ascii_uppercase() && after && !plural;
        if humps || ends_capitals {
            words.push(part[begin..at].to_ascii_lowercase());
            begin = at;
        }
    }
    words.push(part[begin..].to_ascii_lowercase());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_by_every_convention() {
        for (name, words) in [
            ("asana_get_task", "asana get task"),
            ("atlas-list-db-users", "atlas list db users"),
            ("envGet", "env get"),
            ("ListAllBuckets", "list all buckets"),
            ("repos.delete/file", "repos delete file"),
            ("getHTTPResponse2xx", "get http response xx"),
            ("listDBs", "list dbs"),
            ("DELETE_USER", "delete user"),
            ("v2delete3", "v delete"),
            ("generate_hyper3d_model", "generate hyper d model"),
            ("", ""),
            ("___", ""),
        ] {
            assert_eq!(of(name).join(" "), words, "{name}");
        }
    }
}
