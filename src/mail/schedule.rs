//! What goes next to one operator: alone, gathered into a summary, or later.
//!
//! Promises: within any minute an operator gets no more mails than agreed, except
//! one every ten seconds of which something cannot wait any longer; nothing is
//! dropped; what may have left us before goes in no other letter. Pure: everything
//! it needs to know comes in as values, so that tests reach every corner.

use std::time::Duration;

use crate::call::model::MailKind;
use crate::call::time::Time;
use crate::store::mail::{Begin, Queue, Waiting};

/// How many mails one summary gathers at most: as many as a letter lists with
/// their commands before mail readers hide its end.
pub const MOST_GATHERED: usize = 80;

/// How much of what waits is looked at: enough for a handful of summaries.
pub const LOOKED_AT: usize = 5 * MOST_GATHERED + 1;

/// Beyond the agreed number, what cannot wait longer goes as often as this.
pub const URGENT_EVERY: Duration = Duration::from_secs(10);

/// In quiet hours summaries come as often as this.
pub const QUIET_EVERY: Duration = Duration::from_secs(15 * 60);

/// What becomes of more mails than go alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gathering {
    /// They are gathered into summaries.
    On,
    /// These are quiet hours: summaries are rare.
    Quiet,
    /// This operator wants no summaries: they wait and go one by one.
    Off,
}

/// What may begin now, in this order. `per_minute` is the agreed number of mails
/// in a minute.
pub fn plan(queue: &Queue, now: Time, per_minute: u32, gathering: Gathering) -> Vec<Begin> {
    // Those are within the number already.
    let mut plan: Vec<Begin> = queue.again.iter().map(|one| Begin::One(one.id)).collect();
    let left = per_minute.saturating_sub(queue.tried) as usize;
    let waiting = queue.waiting.as_slice();
    let urgent = waiting.first().is_some_and(|first| first.go_by <= now);
    if waiting.len() <= left {
        plan.extend(waiting.iter().map(|one| Begin::One(one.id)));
    } else if gathering == Gathering::Off {
        let patient = queue.newest.is_none_or(|at| at + URGENT_EVERY <= now);
        let left = if left == 0 && urgent && patient { 1 } else { left };
        plan.extend(waiting.iter().take(left).map(|one| Begin::One(one.id)));
    } else if left > 0 {
        let lately = queue.newest_summary.is_some_and(|at| at + QUIET_EVERY > now);
        if gathering == Gathering::Quiet && lately && !urgent {
            let asked = waiting.iter().filter(|one| one.kind == MailKind::Asked);
            plan.extend(asked.take(left).map(|one| Begin::One(one.id)));
        } else {
            share(waiting, left, &mut plan);
        }
    } else if urgent && queue.newest.is_none_or(|at| at + URGENT_EVERY <= now) {
        share(waiting, 1, &mut plan);
    }
    plan
}

/// Shares `left` letters among more mails than that: the most urgent ones go
/// alone, the others gathered, so that as few as possible have to wait.
fn share(waiting: &[Waiting], left: usize, plan: &mut Vec<Begin>) {
    let alone = |one: &&Waiting| one.perhaps_sent || one.kind == MailKind::Summary;
    let first_is_alone = waiting.first().is_some_and(|one| alone(&one));
    let (single, loose): (Vec<&Waiting>, Vec<&Waiting>) = waiting.iter().partition(alone);
    // Something of both, if there is both; with one letter left, what comes first.
    let kept = usize::from(!loose.is_empty() && (left > 1 || !first_is_alone));
    let singles = single.len().min(left - kept);
    let left = left - singles;
    let fits = left.saturating_sub(summaries(loose.len(), left));
    let (first, rest) = loose.split_at(fits.min(loose.len()));
    plan.extend(single[..singles].iter().chain(first).map(|one| Begin::One(one.id)));
    let letters = left - first.len();
    if rest.is_empty() || letters == 0 {
        return;
    }
    let each = rest.len().div_ceil(letters).clamp(1, MOST_GATHERED);
    for some in rest.chunks(each).take(letters) {
        plan.push(match some {
            [one] => Begin::One(one.id),
            some => Begin::Gathered(some.iter().map(|one| one.id).collect()),
        });
    }
}

/// How many of `left` letters have to be summaries for `count` mails to go.
fn summaries(count: usize, left: usize) -> usize {
    count.saturating_sub(left).div_ceil(MOST_GATHERED - 1).min(left)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time(1_800_000_000_000);
    const LATER: Time = Time(NOW.0 + 60_000);

    fn waiting(ids: impl IntoIterator<Item = i64>, go_by: Time) -> Vec<Waiting> {
        let one = |id| Waiting { id, kind: MailKind::Asked, go_by, perhaps_sent: false };
        ids.into_iter().map(one).collect()
    }

    fn ago(seconds: u64) -> Option<Time> {
        Some(NOW - Duration::from_secs(seconds))
    }

    /// `1 2 [3-7]`: what goes alone, and what is gathered.
    fn words(plan: &[Begin]) -> String {
        let word = |begin: &Begin| match begin {
            Begin::One(id) => id.to_string(),
            Begin::Gathered(ids) => format!("[{}-{}]", ids[0], ids[ids.len() - 1]),
        };
        plan.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_goes_next() {
        let queue = |tried, count: i64, go_by| Queue {
            tried,
            newest: ago(3),
            waiting: waiting(1..=count, go_by),
            ..Queue::default()
        };
        let fresh = |tried, count| queue(tried, count, LATER);
        for (what, queue, gathering, expected) in [
            ("nothing", fresh(0, 0), Gathering::On, ""),
            ("as many as agreed", fresh(0, 5), Gathering::On, "1 2 3 4 5"),
            ("one more than agreed", fresh(0, 6), Gathering::On, "1 2 3 4 [5-6]"),
            ("a storm", fresh(0, 60), Gathering::On, "1 2 3 4 [5-60]"),
            (
                "a storm that takes two summaries",
                fresh(0, 100),
                Gathering::On,
                "1 2 3 [4-52] [53-100]",
            ),
            (
                "more than five summaries hold",
                fresh(0, 401),
                Gathering::On,
                "[1-80] [81-160] [161-240] [241-320] [321-400]",
            ),
            ("the last of the minute", fresh(4, 1), Gathering::On, "1"),
            ("the last of the minute, for many", fresh(4, 7), Gathering::On, "[1-7]"),
            ("the minute is full", fresh(5, 7), Gathering::On, ""),
            (
                "full, and it cannot wait, but the last was just now",
                queue(5, 7, NOW),
                Gathering::On,
                "",
            ),
            (
                "full, and it cannot wait",
                Queue { newest: ago(10), ..queue(5, 7, NOW) },
                Gathering::On,
                "[1-7]",
            ),
            (
                "full, and one cannot wait",
                Queue { newest: ago(10), ..queue(5, 1, NOW) },
                Gathering::On,
                "1",
            ),
            ("full, and it can wait", Queue { newest: ago(10), ..fresh(5, 7) }, Gathering::On, ""),
            ("quiet, few", fresh(0, 5), Gathering::Quiet, "1 2 3 4 5"),
            ("quiet, the first summary", fresh(0, 9), Gathering::Quiet, "1 2 3 4 [5-9]"),
            (
                "quiet, after a summary",
                Queue { newest_summary: ago(899), ..fresh(2, 9) },
                Gathering::Quiet,
                "1 2 3",
            ),
            (
                "quiet, long after one",
                Queue { newest_summary: ago(900), ..fresh(2, 9) },
                Gathering::Quiet,
                "1 2 [3-9]",
            ),
            (
                "quiet, but it cannot wait",
                Queue { newest_summary: ago(30), ..queue(4, 9, NOW) },
                Gathering::Quiet,
                "[1-9]",
            ),
            (
                "not quiet, after a summary",
                Queue { newest_summary: ago(30), ..fresh(4, 9) },
                Gathering::On,
                "[1-9]",
            ),
            ("no summaries, a storm", fresh(0, 60), Gathering::Off, "1 2 3 4 5"),
            ("no summaries, the minute is full", fresh(5, 60), Gathering::Off, ""),
            (
                "no summaries, the minute is full, and it cannot wait",
                Queue { newest: ago(10), ..queue(5, 7, NOW) },
                Gathering::Off,
                "1",
            ),
            (
                "again, in a full minute",
                Queue { again: waiting([7], LATER), ..fresh(5, 2) },
                Gathering::On,
                "7",
            ),
        ] {
            assert_eq!(words(&plan(&queue, NOW, 5, gathering)), expected, "{what}");
        }
    }

    #[test]
    fn what_may_have_left_us_is_not_gathered() {
        let mut queue = Queue { waiting: waiting(1..=9, LATER), ..Queue::default() };
        queue.waiting[3].perhaps_sent = true;
        queue.waiting[5].kind = MailKind::Summary;
        assert_eq!(words(&plan(&queue, NOW, 5, Gathering::On)), "4 6 1 2 [3-9]");
        queue.tried = 4;
        assert_eq!(words(&plan(&queue, NOW, 5, Gathering::On)), "[1-9]");
        let Some(Begin::Gathered(ids)) = plan(&queue, NOW, 5, Gathering::On).pop() else {
            panic!("one")
        };
        assert_eq!(ids, [1, 2, 3, 5, 7, 8, 9]);
        queue.waiting[0].perhaps_sent = true;
        assert_eq!(words(&plan(&queue, NOW, 5, Gathering::On)), "1");
    }

    fn any_waiting() -> impl Strategy<Value = Vec<Waiting>> {
        let one = (0..9usize, -90_000..900_000i64, any::<bool>());
        proptest::collection::vec(one, 0..450).prop_map(|mut all| {
            all.sort_by_key(|(_, go_by, _)| *go_by);
            let one = |(id, (kind, go_by, sent)): (usize, (usize, i64, bool))| Waiting {
                id: id as i64,
                kind: MailKind::ALL[kind % MailKind::ALL.len()],
                go_by: Time(NOW.0 + go_by),
                perhaps_sent: sent && kind == 0,
            };
            all.into_iter().enumerate().map(one).collect()
        })
    }

    proptest! {
        #[test]
        fn no_plan_breaks_the_rules(
            waiting in any_waiting(),
            (tried, per_minute) in (0..12u32, 1..12u32),
            (newest, summary) in (0..70_000i64, 0..1_800_000i64),
            gathering in prop_oneof![Just(Gathering::On), Just(Gathering::Quiet), Just(Gathering::Off)],
        ) {
            let queue = Queue {
                tried,
                newest: (tried > 0).then_some(Time(NOW.0 - newest)),
                newest_summary: Some(Time(NOW.0 - summary)),
                waiting,
                ..Queue::default()
            };
            let plan = plan(&queue, NOW, per_minute, gathering);
            let by_id: BTreeMap<i64, &Waiting> = queue.waiting.iter().map(|w| (w.id, w)).collect();
            let left = per_minute.saturating_sub(tried) as usize;
            let urgent = queue.waiting.first().is_some_and(|w| w.go_by <= NOW);
            prop_assert!(plan.len() <= left.max(usize::from(urgent)), "too many letters");
            let mut seen = BTreeSet::new();
            for begin in &plan {
                let ids = match begin {
                    Begin::One(id) => std::slice::from_ref(id),
                    Begin::Gathered(ids) => {
                        prop_assert!(gathering != Gathering::Off);
                        prop_assert!((2..=MOST_GATHERED).contains(&ids.len()));
                        ids
                    }
                };
                for id in ids {
                    prop_assert!(seen.insert(*id), "twice");
                    let one = by_id[id];
                    let fixed = one.perhaps_sent || one.kind == MailKind::Summary;
                    prop_assert!(!(fixed && ids.len() > 1), "gathered again");
                }
            }
            // Room is used: who could go does, unless the night is quiet.
            let due = if gathering == Gathering::Quiet { 0 } else { queue.waiting.len().min(left) };
            prop_assert!(plan.len() >= due.min(1));
            if queue.waiting.len() <= left {
                prop_assert_eq!(seen.len(), queue.waiting.len());
            }
        }
    }
}
