//! Places for open pages that follow changes, so that no person takes all of them.
//!
//! Promises: never more than [`MOST`] in all, nor [`OF_ONE`] of one person. Who opens one
//! more than that loses the oldest: the newest page is the one that somebody looks at,
//! and the oldest may be a laptop that was shut. Must never: take a place from another
//! person for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Open pages at once, of everybody together.
const MOST: usize = 512;

/// Of one person. All tabs of a browser share one, and nobody has more than twenty
/// sign-ins; the rest is for browsers that cannot share.
const OF_ONE: usize = 24;

/// Who has which.
#[derive(Debug, Default)]
pub struct Watching(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    all: usize,
    /// Of each operator, the oldest first.
    of: HashMap<String, VecDeque<(u64, CancellationToken)>>,
}

/// A place, given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    watching: Arc<Watching>,
    operator: String,
    number: u64,
    ended: CancellationToken,
}

impl Watching {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more page of this operator; `None`: others have all of them.
    pub fn enter(self: &Arc<Self>, operator: &str) -> Option<Place> {
        let mut taken = self.taken();
        let taken = &mut *taken;
        let mine = taken.of.entry(operator.to_owned()).or_default();
        if mine.len() >= OF_ONE
            && let Some((_, oldest)) = mine.pop_front()
        {
            oldest.cancel();
            taken.all -= 1;
        }
        if taken.all >= MOST {
            if mine.is_empty() {
                taken.of.remove(operator);
            }
            return None;
        }
        let (number, ended) = (taken.next, CancellationToken::new());
        mine.push_back((number, ended.clone()));
        taken.next += 1;
        taken.all += 1;
        Some(Place { watching: self.clone(), operator: operator.to_owned(), number, ended })
    }
}

impl Place {
    /// Returns when a newer page of the same person took it.
    pub async fn taken(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.watching.taken();
        let taken = &mut *taken;
        let Some(mine) = taken.of.get_mut(&self.operator) else { return };
        let Some(at) = mine.iter().position(|(number, _)| *number == self.number) else { return };
        mine.remove(at);
        taken.all -= 1;
        if mine.is_empty() {
            taken.of.remove(&self.operator);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_has_so_many_and_the_oldest_makes_room() {
        let watching = Arc::new(Watching::default());
        let enter = |name: &str| watching.enter(name).expect("room");
        let mut places: Vec<Place> = (0..OF_ONE).map(|_| enter("ann")).collect();
        let bobs = enter("bob");
        assert!(places.iter().all(|place| !place.ended.is_cancelled()));
        places.push(enter("ann"));
        let ended: Vec<bool> = places.iter().map(|place| place.ended.is_cancelled()).collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(0));
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert!(!bobs.ended.is_cancelled());
        // What was taken is not given back twice.
        places.clear();
        assert_eq!(watching.taken().all, 1);
        drop(bobs);
        assert!(watching.taken().of.is_empty() && watching.taken().all == 0);
    }

    #[test]
    fn there_are_never_more_than_so_many_in_all() {
        let watching = Arc::new(Watching::default());
        let name = |n: usize| format!("o{}", n / OF_ONE);
        let mut places: Vec<Place> =
            (0..MOST).map(|n| watching.enter(&name(n)).expect("room")).collect();
        assert!(watching.enter("late").is_none());
        assert!(!watching.taken().of.contains_key("late"));
        // Who has all of theirs gives one for another.
        places.push(watching.enter("o0").expect("in place of their oldest"));
        assert_eq!(watching.taken().all, MOST);
        places.truncate(MOST - 1);
        assert!(watching.enter("late").is_some());
    }
}
