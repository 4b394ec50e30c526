//! Random takes, give-backs, restarts and steps of clocks, against a model that
//! keeps a list of everything and knows the true time.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// The limits that there are: name, window.
const LIMITS: [(&str, Duration); 3] = [("a", SECOND), ("b", MINUTE), ("c", HOUR)];
const WINDOWS: [Window; 3] = [Window::Minute, Window::Hour, Window::Day];

#[derive(Debug, Clone)]
enum Op {
    Take(Vec<Take>),
    GiveBack(prop::sample::Index),
    Pass(Duration),
    /// The wall clock is put forward or back by so many milliseconds.
    Step(i64),
    /// The proxy is started again.
    Reopen,
    /// The machine is off for so long.
    Restart(Duration),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    number: i64,
    opened: u128,
    value: i64,
}

/// What is taken, and for giving back: the numbers of the places, and of which
/// counter how much in which window.
type Receipt = (Vec<usize>, Vec<(Window, Count, i64)>);

#[derive(Debug, Clone, Default)]
struct Model {
    /// Nanoseconds that have truly passed.
    now: u128,
    /// Limit, when it was taken; given back ones are none.
    places: Vec<Option<(String, u128)>>,
    counts: HashMap<Window, Count>,
}

fn millis(window: Window) -> i64 {
    match window {
        Window::Minute => 60_000,
        Window::Hour => 3_600_000,
        Window::Day => 86_400_000,
    }
}

impl Model {
    /// When the places of a limit were taken that still are, newest first.
    fn recent(&self, name: &str, window: Duration) -> Vec<u128> {
        let mine = self.places.iter().flatten().filter(|(limit, _)| limit == name);
        let held = mine.filter(|(_, at)| at + window.as_nanos() > self.now);
        let mut held: Vec<u128> = held.map(|(_, at)| *at).collect();
        held.sort_by(|a, b| b.cmp(a));
        held
    }

    fn count(&self, window: Window, wall: Time) -> Count {
        let number = wall.0.div_euclid(millis(window));
        let fresh = Count { number, opened: self.now, value: 0 };
        match self.counts.get(&window) {
            Some(count) if number == count.number => *count,
            Some(count) if number < count.number => {
                let open = (self.now - count.opened) / 1_000_000;
                if open < millis(window) as u128 { *count } else { fresh }
            }
            _ => fresh,
        }
    }

    fn take(&mut self, take: &Take, wall: Time, receipt: &mut Receipt) -> bool {
        match take {
            Take::Sliding { key, max, window } => {
                if self.recent(&key.0, *window).len() >= *max as usize {
                    return false;
                }
                self.places.push(Some((key.0.clone(), self.now)));
                receipt.0.push(self.places.len() - 1);
            }
            Take::Counter { key, amount, limit } => {
                let mut count = self.count(key.window, wall);
                count.value += amount;
                if limit.is_some_and(|limit| count.value > limit) {
                    return false;
                }
                self.counts.insert(key.window, count);
                receipt.1.push((key.window, count, *amount));
            }
        }
        true
    }

    fn give_back(&mut self, (places, amounts): Receipt) {
        places.into_iter().for_each(|n| self.places[n] = None);
        for (window, then, amount) in amounts {
            let count = self.counts.get_mut(&window).expect("counted");
            // Two windows may be opened at one moment, if the wall clock is set there.
            if (count.number, count.opened) == (then.number, then.opened) {
                count.value -= amount;
            }
        }
    }
}

fn a_take() -> impl Strategy<Value = Take> {
    prop_oneof![
        (0..LIMITS.len(), 1..5_u32).prop_map(|(n, max)| sliding(LIMITS[n].0, max, LIMITS[n].1)),
        (0..WINDOWS.len(), -3..6_i64, prop::option::of(0..12_i64))
            .prop_map(|(n, by, limit)| amount(WINDOWS[n], by, limit)),
    ]
}

/// Whole milliseconds: over a restart the wall clock counts, which has no more.
fn a_while() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::from_millis(1)),
        Just(SECOND),
        Just(Duration::from_millis(59_999)),
        Just(MINUTE),
        Just(HOUR),
        Just(DAY),
        (0..100_000_u64).prop_map(Duration::from_millis),
    ]
}

/// With steps of the wall clock or with restarts of the machine: over a restart the
/// wall clock is believed, whatever it was set to.
fn ops(steps: bool) -> impl Strategy<Value = Vec<Op>> {
    let clocks = match steps {
        true => prop_oneof![
            -200_000..200_000_i64,
            -200_000_000..200_000_000_i64,
            Just(31_536_000_000),
            Just(-31_536_000_000),
        ]
        .prop_map(Op::Step)
        .boxed(),
        false => a_while().prop_map(|off| Op::Restart(off + SECOND)).boxed(),
    };
    let op = prop_oneof![
        6 => prop::collection::vec(a_take(), 0..4).prop_map(Op::Take),
        2 => any::<prop::sample::Index>().prop_map(Op::GiveBack),
        4 => a_while().prop_map(Op::Pass),
        1 => Just(Op::Reopen),
        1 => clocks,
    ];
    prop::collection::vec(op, 1..60)
}

struct Run {
    folder: TempDir,
    state: State,
    machine: Machine,
    model: Model,
    taken: Vec<(Taken, Receipt)>,
}

impl Run {
    async fn take(&mut self, takes: Vec<Take>) {
        let wall = self.machine.clocks.wall;
        let alone = |take| self.model.clone().take(take, wall, &mut Receipt::default());
        let each_fits = takes.iter().all(alone);
        let (mut after, mut receipt) = (self.model.clone(), Receipt::default());
        let all_fit = takes.iter().all(|take| after.take(take, wall, &mut receipt));
        let nothing = takes.is_empty();
        let got = take(&self.state, self.machine.clocks, takes).await;
        match (each_fits, all_fit, got) {
            (true, true, Ok(Some(taken))) => {
                self.model = after;
                self.taken.push((taken, receipt));
            }
            (true, true, Ok(None)) => assert!(nothing),
            (true, false, Err(error)) => assert_eq!(error.why, Why::DoesNotFit),
            (false, _, Ok(None)) => (),
            (each, all, got) => panic!("each fits: {each}, all fit: {all}, but {got:?}"),
        }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Take(takes) => self.take(takes).await,
            Op::GiveBack(which) if !self.taken.is_empty() => {
                let (taken, receipt) = self.taken.remove(which.index(self.taken.len()));
                self.state.give_back(taken).await.expect("given back");
                self.model.give_back(receipt);
            }
            Op::GiveBack(_) => (),
            Op::Pass(by) => {
                self.machine.pass(by);
                self.model.now += by.as_nanos();
            }
            Op::Step(ms) => self.machine.clocks.wall.0 += ms,
            Op::Reopen => self.state = State::open(self.folder.path()).expect("opened again"),
            Op::Restart(off) => {
                self.machine.restart(off);
                self.model.now += off.as_nanos();
            }
        }
    }

    async fn compare(&self) {
        for (name, window) in LIMITS {
            let held = self.model.recent(name, window);
            for max in 1..5_usize {
                let free_in =
                    held.get(max - 1).map_or(0, |at| at + window.as_nanos() - self.model.now);
                let count = held.len().min(max) as u32;
                let expected = Recent { count, free_in: Duration::from_nanos(free_in as u64) };
                let got = recent(&self.state, &self.machine, name, max as u32, window).await;
                assert_eq!(got, expected, "{name}, {max}");
            }
        }
        for window in WINDOWS {
            let expected = self.model.count(window, self.machine.clocks.wall).value;
            assert_eq!(value(&self.state, &self.machine, window).await, expected, "{window:?}");
        }
    }
}

fn run(ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let (folder, state) = fresh();
        let machine = Machine::new();
        // From here on the file's time is the machine's.
        add(&state, &machine, Window::Day, 0).await;
        let mut run = Run { folder, state, machine, model: Model::default(), taken: Vec::new() };
        let number = machine.clocks.wall.0.div_euclid(millis(Window::Day));
        run.model.counts.insert(Window::Day, Count { number, opened: 0, value: 0 });
        for op in ops {
            run.step(op).await;
            run.compare().await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_agrees_with_a_naive_model_while_the_wall_clock_is_set(ops in ops(true)) {
        run(ops);
    }

    #[test]
    fn it_agrees_with_a_naive_model_over_restarts_of_the_machine(ops in ops(false)) {
        run(ops);
    }
}
