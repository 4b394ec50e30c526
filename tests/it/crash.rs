//! Kill -9 under load. The daemon dies at a random instant, again and again, on
//! one state directory; callers and operators ask again with the same call ids,
//! as the contract says; after each restart their own log of acknowledged steps
//! is held against the history.
//!
//! `HOLDPOINT_CRASH_ROUNDS` (default 20) and `HOLDPOINT_SEED` set how often and which.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdpoint::proto::{
    AuditFilter, FindRequestRequest, Outcome, Status as Ending, Verdict, VerifyAuditRequest,
};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::model::{Flying, Step, Truth, violations};
use super::support::clients::{self, Clients};
use super::support::{Ask, Home, call, reason_of, submit, take_use, wait_for};

const CALLERS: usize = 12;
/// At most so many are acknowledged before the kill: with a fresh round in every
/// stage, from the first submit to the last report, all kinds are in flight.
const STEPS_A_ROUND: u64 = 120;
const OPERATORS: [&str; 2] = ["alice", "bob"];

/// Random numbers that a seed repeats (SplitMix64).
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What all clients share.
struct World {
    /// Open while the daemon is to be asked.
    gate: watch::Sender<bool>,
    /// The kill has begun: what is asked from now on never reaches the daemon.
    doomed: AtomicBool,
    over: AtomicBool,
    asking: AtomicUsize,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    steps: Vec<Step>,
    /// Asked before this round's kill, and not answered.
    flying: Vec<Flying>,
    /// Answers that nothing explains.
    unexpected: Vec<String>,
}

/// How an RPC went.
enum Said<T> {
    Yes(T),
    /// With this reason.
    No(String),
    /// Nobody answered.
    Lost,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            gate: watch::Sender::new(false),
            doomed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            asking: AtomicUsize::new(0),
            log: Mutex::default(),
        })
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().expect("nobody panics with the log")
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits until the daemon is to be asked; `None` once all is over.
    async fn pass(&self) -> Option<Asking<'_>> {
        let mut gate = self.gate.subscribe();
        loop {
            gate.wait_for(|open| *open).await.ok()?;
            if self.is_over() {
                return None;
            }
            self.asking.fetch_add(1, Ordering::SeqCst);
            let asking = Asking(self);
            // Counted first, looked at second: the gate never closes unnoticed.
            if *self.gate.borrow() {
                return Some(asking);
            }
        }
    }

    /// One RPC. What it would change is noted if the kill leaves it unanswered.
    async fn ask<T>(
        &self,
        flying: Option<Flying>,
        rpc: impl Future<Output = Result<T, Status>>,
    ) -> Option<Said<T>> {
        let _asking = self.pass().await?;
        let doomed = self.doomed.load(Ordering::SeqCst);
        Some(match rpc.await {
            Ok(answer) => Said::Yes(answer),
            Err(status) => {
                let reason = reason_of(&status);
                if !reason.starts_with('?') {
                    return Some(Said::No(reason));
                }
                let mut log = self.log();
                if !self.doomed.load(Ordering::SeqCst) {
                    log.unexpected.push(format!("no answer, and nothing was killed: {status:?}"));
                }
                log.flying.extend(flying.filter(|_| !doomed));
                Said::Lost
            }
        })
    }

    fn acknowledged(&self, step: Step) {
        self.log().steps.push(step);
    }

    fn unexpected(&self, what: String) {
        self.log().unexpected.push(what);
    }
}

struct Asking<'a>(&'a World);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What an operator is asked to decide.
struct Question {
    id: String,
    digest: String,
    verdict: Verdict,
}

/// Asks, waits, takes the use, reports; over and over.
async fn caller(
    world: Arc<World>,
    clients: Clients,
    number: usize,
    mut random: Random,
    operators: Vec<mpsc::UnboundedSender<Question>>,
) -> Option<()> {
    let mut caller = clients.caller_named("proxy");
    for n in 0.. {
        let call_id = format!("c{number}-{n}");
        let call = call("write", &format!(r#"{{"caller":{number},"n":{n}}}"#));
        let (id, digest) = loop {
            let flying = Flying::Submit { call_id: call_id.clone() };
            let ask = Ask::new(&call_id, call.clone()).handle(&call_id).briefly();
            let rpc = ask.send(&mut caller);
            match world.ask(Some(flying), rpc).await? {
                Said::Yes(answer) => break (answer.id, answer.digest),
                Said::No(reason) => world.unexpected(format!("submit: {reason}")),
                Said::Lost => {}
            }
        };
        world.acknowledged(Step::Submitted { id: id.clone(), call_id: call_id.clone() });
        if random.chance(8) {
            withdraw(&world, &mut caller, &id).await?;
            continue;
        }
        send_to(&operators, &mut random, &id, &digest);
        let ending = loop {
            let rpc = Ask::new(&call_id, call.clone()).send(&mut caller);
            match world.ask(None, rpc).await? {
                Said::Yes(answer) if answer.id == id => break answer.status(),
                Said::Yes(answer) => world.unexpected(format!("{id} has become {}", answer.id)),
                Said::No(reason) => world.unexpected(format!("wait: {reason}")),
                Said::Lost => {}
            }
        };
        world.acknowledged(Step::Told { id: id.clone(), status: ending });
        find(&world, &mut caller, &call_id, &id).await?;
        if ending == Ending::Approved {
            use_it(&world, &caller, &mut random, &id, &call_id, &digest).await?;
        }
    }
    None
}

fn send_to(
    operators: &[mpsc::UnboundedSender<Question>],
    random: &mut Random,
    id: &str,
    digest: &str,
) {
    let ask = |who: usize, verdict| {
        let question = Question { id: id.to_owned(), digest: digest.to_owned(), verdict };
        // An operator who has gone home is not an error.
        let _ = operators[who].send(question);
    };
    let first = random.below(2) as usize;
    let verdict = if random.chance(80) { Verdict::Approve } else { Verdict::Deny };
    ask(first, verdict);
    if random.chance(20) {
        // Two at once, who do not agree.
        let other = if verdict == Verdict::Deny { Verdict::Approve } else { Verdict::Deny };
        ask(1 - first, other);
    }
}

async fn withdraw(world: &World, caller: &mut clients::Caller, id: &str) -> Option<()> {
    loop {
        let flying = Flying::Withdraw { id: id.to_owned() };
        match world.ask(Some(flying), clients::withdraw(caller, id)).await? {
            Said::Yes(_) => {
                world.acknowledged(Step::Withdrawn { id: id.to_owned() });
                return Some(());
            }
            Said::No(reason) => world.unexpected(format!("withdraw: {reason}")),
            Said::Lost => {}
        }
    }
}

/// The handle that was acknowledged with its request finds it.
async fn find(world: &World, caller: &mut clients::Caller, handle: &str, id: &str) -> Option<()> {
    loop {
        let asked = FindRequestRequest { handle: handle.to_owned(), ..Default::default() };
        let rpc = async { Ok(caller.find_request(asked).await?.into_inner()) };
        match world.ask(None, rpc).await? {
            Said::Yes(found) if found.answer.as_ref().is_some_and(|a| a.id == id) => {
                return Some(());
            }
            Said::Yes(found) => world.unexpected(format!("{id} is not found, but {found:?}")),
            Said::No(reason) => world.unexpected(format!("find: {reason}")),
            Said::Lost => continue,
        }
        return Some(());
    }
}

/// Takes the use, sometimes twice at once, and reports.
async fn use_it(
    world: &World,
    caller: &clients::Caller,
    random: &mut Random,
    id: &str,
    call_id: &str,
    digest: &str,
) -> Option<()> {
    let take = || async {
        loop {
            let flying = Flying::Take { id: id.to_owned() };
            let mut caller = caller.clone();
            let rpc = take_use(&mut caller, id, call_id, digest);
            let id = id.to_owned();
            match world.ask(Some(flying), rpc).await? {
                Said::Yes(_) => world.acknowledged(Step::Granted { id }),
                Said::No(reason) if reason == "ALREADY_GRANTED" => {
                    world.acknowledged(Step::AlreadyGranted { id });
                }
                Said::No(reason) => world.unexpected(format!("take: {reason}")),
                Said::Lost => {
                    world.acknowledged(Step::TakeLost { id });
                    continue;
                }
            }
            return Some(());
        }
    };
    if random.chance(30) {
        let (one, two) = tokio::join!(take(), take());
        one.and(two)?;
    } else {
        take().await?;
    }
    let outcome = if random.chance(70) { Outcome::Succeeded } else { Outcome::Failed };
    loop {
        let flying = Flying::Report { id: id.to_owned() };
        let mut caller = caller.clone();
        match world.ask(Some(flying), clients::report(&mut caller, id, call_id, outcome)).await? {
            Said::Yes(()) => {
                world.acknowledged(Step::Reported { id: id.to_owned(), outcome });
                return Some(());
            }
            Said::No(reason) => world.unexpected(format!("report: {reason}")),
            Said::Lost => {}
        }
    }
}

async fn operator(
    world: Arc<World>,
    clients: Clients,
    name: &'static str,
    mut questions: mpsc::UnboundedReceiver<Question>,
) -> Option<()> {
    let mut operator = clients.operator_named(name);
    while let Some(Question { id, digest, verdict }) = questions.recv().await {
        loop {
            let operator_name = name.to_owned();
            let flying =
                Flying::Decide { id: id.clone(), operator: operator_name.clone(), verdict };
            let rpc = clients::decide(&mut operator, &id, verdict, &digest);
            match world.ask(Some(flying), rpc).await? {
                Said::Yes(_) => {
                    let id = id.clone();
                    world.acknowledged(Step::Decided { id, operator: operator_name, verdict });
                }
                // The other one was faster.
                Said::No(reason) if reason == "NOT_PENDING" => {}
                Said::No(reason) => world.unexpected(format!("decide: {reason}")),
                Said::Lost => continue,
            }
            break;
        }
    }
    None
}

/// What a run of the harness found.
#[derive(Debug, Default)]
pub struct Report {
    pub violations: Vec<String>,
    /// Answers that the contract does not explain.
    pub unexpected: Vec<String>,
    pub rounds: u64,
    /// Acknowledged steps of each kind.
    pub steps: BTreeMap<&'static str, usize>,
    /// Kills that left at least one writing RPC unanswered.
    pub kills_in_flight: u64,
    /// What was unanswered then, and found after the restart, or not.
    pub recorded: usize,
    pub not_recorded: usize,
    pub entries: u64,
}

/// Kills the daemon `rounds` times under load; stops at the first violation.
pub async fn run(home: &Home, rounds: u64, seed: u64) -> Report {
    let world = World::new();
    let mut random = Random(seed);
    let mut daemon = home.start().await;
    let (mut tasks, mut operators) = (tokio::task::JoinSet::new(), Vec::new());
    for name in OPERATORS {
        let (sender, questions) = mpsc::unbounded_channel();
        operators.push(sender);
        tasks.spawn(operator(world.clone(), home.clients(), name, questions));
    }
    for number in 0..CALLERS {
        let random = Random(random.next());
        tasks.spawn(caller(world.clone(), home.clients(), number, random, operators.clone()));
    }
    drop(operators);
    let (mut report, mut truth) = (Report::default(), Truth::default());
    let mut checked = 0;
    for _ in 0..rounds {
        world.doomed.store(false, Ordering::SeqCst);
        world.gate.send_replace(true);
        // The instant of the kill is the one thing here that is left to chance:
        // after so many steps, and somewhere within the next ones.
        let wanted = checked + random.below(STEPS_A_ROUND) as usize;
        let progress = || async { (world.log().steps.len() >= wanted).then_some(()) };
        wait_for("some steps to be acknowledged", progress).await;
        tokio::time::sleep(Duration::from_micros(random.below(10_000))).await;
        world.doomed.store(true, Ordering::SeqCst);
        daemon.kill();
        world.gate.send_replace(false);
        wait_for("everyone to notice", || async {
            (world.asking.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await;
        daemon = home.start().await;
        report.rounds += 1;
        let flying = std::mem::take(&mut world.log().flying);
        let steps = world.log().steps.clone();
        let before = truth.entries.len();
        learn(home, &mut truth, &steps[checked..]).await;
        checked = steps.len();
        let new = &truth.entries[before..];
        let recorded = flying.iter().filter(|f| f.was_recorded(new)).count();
        report.recorded += recorded;
        report.not_recorded += flying.len() - recorded;
        report.kills_in_flight += u64::from(!flying.is_empty());
        report.violations = violations(&steps, &truth);
        report.violations.extend(broken_chain(home, &mut report.entries).await);
        if !report.violations.is_empty() {
            break;
        }
    }
    world.over.store(true, Ordering::SeqCst);
    world.gate.send_replace(true);
    while tasks.join_next().await.is_some() {}
    report.unexpected = std::mem::take(&mut world.log().unexpected);
    for step in &world.log().steps {
        *report.steps.entry(step.kind()).or_default() += 1;
    }
    daemon.stop().await;
    report
}

/// Reads what is new in the history, and the requests that anything happened to.
pub async fn learn(home: &Home, truth: &mut Truth, steps: &[Step]) {
    let clients = home.clients();
    let after = truth.entries.last().map_or(0, |entry| entry.sequence);
    let mut history = clients.history_named("auditor");
    let new = clients::entries(&mut history, AuditFilter::default(), after).await;
    let mut touched: HashSet<String> = steps.iter().map(|step| step.id().to_owned()).collect();
    touched.extend(new.iter().map(|entry| entry.request_id.clone()));
    touched.remove("");
    truth.entries.extend(new);
    let mut operator = clients.operator_named("auditor");
    for id in touched {
        let asked = holdpoint::proto::GetRequestRequest { id: id.clone() };
        match operator.get_request(asked).await {
            Ok(answer) => {
                let request = answer.into_inner().request.expect("a request");
                truth.requests.insert(id, request);
            }
            Err(status) => {
                assert_eq!(reason_of(&status), "NOT_FOUND");
                truth.requests.remove(&id);
            }
        }
    }
}

async fn broken_chain(home: &Home, entries: &mut u64) -> Option<String> {
    let mut history = home.clients().history_named("auditor");
    let verified = history.verify_audit(VerifyAuditRequest::default()).await;
    let verified = verified.expect("an answer").into_inner();
    *entries = verified.entries;
    (!verified.whole).then(|| format!("the chain: {}", verified.problem))
}

fn seed() -> u64 {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    variable("HOLDPOINT_SEED").unwrap_or_else(clock)
}

pub fn team() -> Home {
    Home::team(&["proxy"], &OPERATORS, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_at_any_instant() {
    let (rounds, seed) = (variable("HOLDPOINT_CRASH_ROUNDS").unwrap_or(20), seed());
    println!("seed {seed}");
    let report = run(&team(), rounds, seed).await;
    println!(
        "{} rounds; acknowledged: {:?}; {} kills with a commit in flight: of what was unanswered, \
         {} was recorded and {} was not; {} entries in the history; seed {seed}",
        report.rounds,
        report.steps,
        report.kills_in_flight,
        report.recorded,
        report.not_recorded,
        report.entries
    );
    assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
    assert!(report.unexpected.is_empty(), "seed {seed}: {:#?}", report.unexpected);
    for kind in ["submitted", "decided", "granted", "reported"] {
        assert!(report.steps.get(kind).is_some_and(|n| *n > 0), "nothing was {kind}");
    }
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_acknowledges_before_the_commit_is_caught() {
    let mut home = team();
    home.set("HOLDPOINT_PLANT", "early-ack");
    let seed = seed();
    let report = run(&home, 50, seed).await;
    println!("caught in round {}: {:?}; seed {seed}", report.rounds, report.violations.first());
    let lost = |violation: &String| violation.contains("lost");
    assert!(report.violations.iter().any(lost), "seed {seed}: {report:#?}");
}

#[tokio::test]
async fn the_check_itself_notices_what_is_missing() {
    let home = team();
    let daemon = home.start().await;
    let clients = home.clients();
    let mut caller = clients.caller_named("proxy");
    let answer = submit(&mut caller, "one", call("write", "{}")).await;
    let id = answer.id.clone();
    let mut truth = Truth::default();
    let submitted = Step::Submitted { id: id.clone(), call_id: "one".to_owned() };
    learn(&home, &mut truth, std::slice::from_ref(&submitted)).await;
    assert_eq!(violations(std::slice::from_ref(&submitted), &truth), Vec::<String>::new());
    let never = [
        Step::Submitted { id: id.clone(), call_id: "two".to_owned() },
        Step::Decided { id: id.clone(), operator: "alice".to_owned(), verdict: Verdict::Approve },
        Step::Told { id: id.clone(), status: Ending::Denied },
        Step::Granted { id: id.clone() },
        Step::AlreadyGranted { id: id.clone() },
        Step::Reported { id: id.clone(), outcome: Outcome::Failed },
        Step::Withdrawn { id: id.clone() },
    ];
    for step in never {
        let found = violations(std::slice::from_ref(&step), &truth);
        assert!(found.iter().any(|v| v.contains("lost")), "{step:?}: {found:?}");
    }
    let (grant, told) =
        (Step::Granted { id: id.clone() }, |status| Step::Told { id: id.clone(), status });
    let twice = violations(&[grant.clone(), grant], &truth);
    assert!(twice.iter().any(|v| v.contains("OK was answered 2 times")), "{twice:?}");
    let both = violations(&[told(Ending::Approved), told(Ending::Denied)], &truth);
    assert!(both.iter().any(|v| v.contains("ended in several ways")), "{both:?}");
    truth.entries.remove(1);
    assert!(!violations(&[submitted], &truth).is_empty());
    daemon.stop().await;
}
