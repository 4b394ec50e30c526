//! Values that the history hides, and whether a policy can look at them.
//!
//! Promises: what may be looked at is said to be; a document that only mentions the
//! argument's name counts as one that looks.

use crate::call::json::{Json, parse};

/// The arguments without what operators are shown beside them.
pub fn of_the_agent(shown: &Json) -> Json {
    let Json::Object(members) = shown else { return shown.clone() };
    let beside = |name: &str| matches!(name, "(input responses)" | "(request state)");
    Json::Object(members.iter().filter(|(name, _)| !beside(name)).cloned().collect())
}

/// A part of it is hidden. No agent can write such a mark.
fn is_hidden(value: &Json) -> bool {
    value.as_str().is_some_and(|text| text.contains('«'))
}

fn holds_hidden(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(holds_hidden),
        Json::Object(members) => {
            members.iter().any(|(name, value)| name.contains('«') || holds_hidden(value))
        }
        value => is_hidden(value),
    }
}

/// Names of the arguments in which something is hidden.
pub fn hidden_in(arguments: &Json) -> Vec<String> {
    let members = arguments.as_object().unwrap_or_default();
    let hidden = |(name, value): &&(String, Json)| name.contains('«') || holds_hidden(value);
    members.iter().filter(hidden).map(|(name, _)| name.clone()).collect()
}

/// Whether a condition of this document can look at an argument: it names it, or it
/// uses `args` in another way than `args.name`.
pub fn may_look_at(document: &str, argument: &str) -> bool {
    let of_all = ["exists", "exists_one", "all", "map", "filter", "size", "transformList"];
    words(document, argument).next().is_some()
        || words(document, "args").any(|behind| {
            let member = behind.strip_prefix('.').unwrap_or_default();
            let end = member.find(|c| !in_a_word(c)).unwrap_or(member.len());
            end == 0 || of_all.contains(&&member[..end])
        })
}

/// What stands behind each place where this is a word of its own.
fn words<'a>(document: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    document.match_indices(word).filter_map(move |(at, _)| {
        let (before, behind) = (&document[..at], &document[at + word.len()..]);
        let goes_on = word.ends_with(in_a_word) && behind.starts_with(in_a_word);
        let went_on = word.starts_with(in_a_word) && before.ends_with(in_a_word);
        (!goes_on && !went_on).then_some(behind)
    })
}

fn in_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The same with something else, or nothing, in place of what is hidden.
pub fn with_hidden(value: &Json, other: &dyn Fn() -> Option<Json>) -> Json {
    let inside = |value: &Json| match is_hidden(value) {
        true => other(),
        false => Some(with_hidden(value, other)),
    };
    match value {
        Json::Array(items) => Json::Array(items.iter().filter_map(inside).collect()),
        Json::Object(members) => Json::Object(
            members
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), inside(value)?)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// A number that no condition can evaluate.
pub fn beyond() -> Json {
    parse(b"123456789012345678901234567890.5").unwrap_or(Json::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_may_look_at_what_it_names_and_at_all_where_it_takes_all() {
        for (document, looks) in [
            ("when: args.token == 'x'", true),
            ("path: \"args.token\"", true),
            ("when: args.key == 'x'", false),
            ("when: args.tokens == 'x'", false),
            ("when: args.exists_one(k, true)", true),
            ("when: size(args) > 2", true),
            ("when: args['to' + 'ken'] == 'x'", true),
            ("when: args.exists(k, k == 'x')", true),
            ("when: '\"x\" in args'", true),
            ("match: [start, largs, args_of]", false),
            ("", false),
        ] {
            assert_eq!(may_look_at(document, "token"), looks, "{document}");
        }
        assert!(may_look_at("when: args['a b'] == 1", "a b"));
        assert!(may_look_at("# -x-", "-x") && may_look_at("any", ""));
    }
}
