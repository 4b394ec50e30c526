//! Runs of things that are the same, shown once and counted.
//!
//! Promises: only neighbours that are equal to the last letter are folded, so that who
//! reads the first has read them all; their number is told. Must never: fold what is
//! hidden in any part, be it a member's name, since that only looks the same.

use crate::call::difference::holds_hidden;
use crate::call::json::Json;
use crate::call::safe_text::SafeText;

/// Of so many in a row the first is shown. Fewer take no more room than the words.
const FOLDED: usize = 4;

/// What stands on lines of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a, T> {
    /// One of them.
    One(&'a T),
    /// So many more that are as the last one.
    Same(usize),
}

impl<T> Part<'_, T> {
    /// How many of them it stands for.
    pub fn count(&self) -> usize {
        match self {
            Part::One(_) => 1,
            Part::Same(more) => *more,
        }
    }
}

/// All of them, with runs folded.
pub(super) fn parts<T>(all: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<Part<'_, T>> {
    let runs = all.chunk_by(same);
    let folded = runs.flat_map(|run| {
        let (ones, more) = if run.len() < FOLDED { (run.len(), 0) } else { (1, run.len() - 1) };
        run[..ones].iter().map(Part::One).chain((more > 0).then_some(Part::Same(more)))
    });
    folded.collect()
}

/// Whether two items are the same, and nothing in them is hidden.
pub(super) fn same_items(a: &Json, b: &Json) -> bool {
    a == b && !holds_hidden(a)
}

/// The same of lines of a text.
pub(super) fn same_lines(a: &&str, b: &&str) -> bool {
    a == b && !a.contains('«')
}

/// `«and 46 more like it»`. An agent cannot write one: masking has made its
/// guillemets plain.
pub(super) fn more_like_it(more: usize) -> SafeText {
    SafeText::line(&format!("«and {more} more like it»"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_runs_of_equals_are_folded_and_every_one_is_counted() {
        let all = [1, 1, 1, 2, 2, 2, 2, 3, 2];
        let found = parts(&all, |a, b| a == b);
        let [one, two, three] = [Part::One(&1), Part::One(&2), Part::One(&3)];
        let (a, b) = (Part::One(&1), Part::One(&1));
        assert_eq!(found, [a, b, one, two, Part::Same(3), three, Part::One(&2)]);
        assert_eq!(found.iter().map(Part::count).sum::<usize>(), all.len());
    }
}
