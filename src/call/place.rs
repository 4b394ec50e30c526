//! Where in the arguments something stands, and a walk over all that stands there.
//!
//! Promises: a place reads the same wherever it is told; a name in it that is not a
//! plain one stands in quotes, so that none passes for several steps or for our words.
//! To tell a place costs the same for each step, however long a name is; still, who
//! finds many tells only those that are shown.

use super::json::Json;
use super::present::name_start;
use super::safe_text::SafeText;

/// Columns of one step.
const COLUMNS: usize = 60;

/// One step into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// The member of this name.
    Member(&'a str),
    /// The item at this place, from 0.
    Item(usize),
}

/// `options › limit`, `rows › item 3`
pub fn told(steps: &[Step<'_>]) -> SafeText {
    let mut place = SafeText::default();
    for (n, step) in steps.iter().enumerate() {
        place.push_ours(if n > 0 { " › " } else { "" });
        place.push(&match step {
            Step::Member(name) => name_start(name, COLUMNS),
            Step::Item(n) => SafeText::line(&format!("item {}", n + 1)),
        });
    }
    place
}

/// The name that a value goes by: of the nearest member around it.
pub fn name<'a>(steps: &[Step<'a>]) -> &'a str {
    let named = steps.iter().rev().find_map(|step| match step {
        Step::Member(name) => Some(*name),
        Step::Item(_) => None,
    });
    named.unwrap_or_default()
}

/// Gives `look` every value with its place, in the order that was sent, containers
/// before what is in them, until it says that this is enough.
pub fn walk<'a>(value: &'a Json, mut look: impl FnMut(&[Step<'a>], &'a Json) -> bool) {
    let mut steps = Vec::new();
    step(value, &mut steps, &mut look);
}

/// Whether to go on. As deep as arguments may be nested, no deeper.
fn step<'a>(
    value: &'a Json,
    steps: &mut Vec<Step<'a>>,
    look: &mut impl FnMut(&[Step<'a>], &'a Json) -> bool,
) -> bool {
    if !look(steps, value) {
        return false;
    }
    let mut into = |at, inner| {
        steps.push(at);
        let goes_on = step(inner, steps, look);
        steps.pop();
        goes_on
    };
    match value {
        Json::Object(members) => members.iter().all(|(name, v)| into(Step::Member(name), v)),
        Json::Array(items) => items.iter().enumerate().all(|(n, v)| into(Step::Item(n), v)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::parse;

    #[test]
    fn every_value_is_seen_with_its_place_and_hostile_names_stay_one_step() {
        let json = parse(r#"{"a":[1,{"b › c":null}],"d":2}"#.as_bytes()).expect("JSON");
        let mut places = Vec::new();
        walk(&json, |steps, _| {
            places.push(told(steps).to_string());
            true
        });
        let all = ["", "a", "a › item 1", "a › item 2", "a › item 2 › \"b › c\"", "d"];
        assert_eq!(places, all);
        let mut seen = 0;
        walk(&json, |_, _| {
            seen += 1;
            seen < 3
        });
        assert_eq!(seen, 3);
    }
}
