//! The daemon dies at each named step of a commit, for each transition: what was
//! acknowledged is there, what was not is there exactly if the commit was over,
//! and asking again with the same call id gives the one right answer.
//!
//! Needs the feature `faults`.

use std::os::unix::process::ExitStatusExt;

use holdpoint::proto::{self, Outcome, Status, Verdict};

use super::crash::{learn, team};
use super::model::{Step, Truth, violations};
use super::support::clients::{self, Caller, Clients, Operator};
use super::support::{Ask, Home, approve, call, reason_of, submit, take_use, wait_for};

const BEFORE: [&str; 2] = ["after-transition", "before-commit"];
const AFTER: [&str; 3] = ["after-commit", "after-events", "after-answer"];
const SIGABRT: i32 = 6;

/// Everybody who takes part, and what they know.
struct Scene {
    clients: Clients,
    caller: Caller,
    alice: Operator,
    id: String,
    digest: String,
    steps: Vec<Step>,
}

impl Scene {
    fn new(home: &Home) -> Self {
        let clients = home.clients();
        let (caller, alice) = (clients.caller_named("proxy"), clients.operator_named("alice"));
        let (id, digest) = (String::new(), String::new());
        Scene { clients, caller, alice, id, digest, steps: Vec::new() }
    }

    /// Up to the transition that is looked at.
    async fn prepare(&mut self, upto: Transition) {
        if upto == Transition::Submit {
            return;
        }
        let mut asked = Ask::new("one", call("write", "{}")).timeout_ms(upto.timeout_ms());
        // Longer than a planted bug delays the commit.
        asked.0.max_wait_ms = 200;
        let answer = asked.send(&mut self.caller).await.expect("submitted");
        (self.id, self.digest) = (answer.id, answer.digest);
        self.knows(|id| Step::Submitted { id, call_id: "one".to_owned() });
        if matches!(upto, Transition::Take | Transition::Report) {
            approve(&mut self.alice, &self.id, &self.digest).await.expect("approved");
            self.decided();
        }
        if upto == Transition::Report {
            self.take().await.expect("granted");
            self.granted();
        }
    }

    fn knows(&mut self, step: impl FnOnce(String) -> Step) {
        self.steps.push(step(self.id.clone()));
    }

    fn decided(&mut self) {
        let (operator, verdict) = ("alice".to_owned(), Verdict::Approve);
        self.knows(|id| Step::Decided { id, operator, verdict });
        self.knows(|id| Step::Told { id, status: Status::Approved });
    }

    fn granted(&mut self) {
        self.knows(|id| Step::Granted { id });
    }

    async fn take(&mut self) -> Result<proto::TakeUseResponse, tonic::Status> {
        take_use(&mut self.caller, &self.id, "one", &self.digest).await
    }

    async fn report(&mut self) -> Result<(), tonic::Status> {
        clients::report(&mut self.caller, &self.id, "one", Outcome::Succeeded).await
    }

    async fn history(&mut self) -> Vec<String> {
        clients::kinds(&mut self.clients.history_named("auditor"), &self.id).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transition {
    Submit,
    Decide,
    Take,
    Report,
    Withdraw,
    Expire,
}

impl Transition {
    /// What the history calls it.
    fn kind(self) -> &'static str {
        match self {
            Transition::Submit => "requested",
            Transition::Decide => "approved",
            Transition::Take => "use_granted",
            Transition::Report => "outcome_reported",
            Transition::Withdraw => "withdrawn",
            Transition::Expire => "expired",
        }
    }

    fn timeout_ms(self) -> i64 {
        // As short as the contract allows.
        if self == Transition::Expire { 5_000 } else { 0 }
    }

    /// Tries it; an acknowledgement is noted.
    async fn attempt(self, scene: &mut Scene) {
        match self {
            Transition::Submit => {
                let asked = Ask::new("one", call("write", "{}")).handle("handle").briefly();
                if let Ok(answer) = asked.send(&mut scene.caller).await {
                    scene.id = answer.id;
                    scene.knows(|id| Step::Submitted { id, call_id: "one".to_owned() });
                }
            }
            Transition::Decide => {
                if approve(&mut scene.alice, &scene.id, &scene.digest).await.is_ok() {
                    scene.decided();
                }
            }
            Transition::Take => {
                let taken = scene.take().await;
                if taken.is_ok() {
                    scene.granted();
                } else {
                    scene.knows(|id| Step::TakeLost { id });
                }
            }
            Transition::Report => {
                if scene.report().await.is_ok() {
                    scene.knows(|id| Step::Reported { id, outcome: Outcome::Succeeded });
                }
            }
            Transition::Withdraw => {
                if clients::withdraw(&mut scene.caller, &scene.id).await.is_ok() {
                    scene.knows(|id| Step::Withdrawn { id });
                }
            }
            // Time does it.
            Transition::Expire => {}
        }
    }

    /// Asks again after the restart. `recorded`: it had been, before the kill.
    async fn again(self, scene: &mut Scene, recorded: bool) {
        match self {
            Transition::Submit => {
                let asked = proto::FindRequestRequest {
                    handle: "handle".to_owned(),
                    ..proto::FindRequestRequest::default()
                };
                let found = scene.caller.find_request(asked).await;
                assert_eq!(found.is_ok(), recorded, "the handle and its request: {found:?}");
                let answer = submit(&mut scene.caller, "one", call("write", "{}")).await;
                assert!(scene.id.is_empty() || scene.id == answer.id);
                scene.id = answer.id;
            }
            Transition::Decide => {
                let decided = approve(&mut scene.alice, &scene.id, &scene.digest).await;
                let decided = decided.expect("the same decision again is fine");
                assert_eq!((decided.status(), decided.decisions.len()), (Status::Approved, 1));
            }
            Transition::Take => {
                match (scene.take().await, recorded) {
                    (Ok(_), false) => scene.granted(),
                    (Err(no), true) => assert_eq!(reason_of(&no), "ALREADY_GRANTED"),
                    (answer, _) => panic!("{answer:?}, recorded before: {recorded}"),
                }
                let second = scene.take().await.expect_err("a second grant");
                assert_eq!(reason_of(&second), "ALREADY_GRANTED");
            }
            Transition::Report => scene.report().await.expect("the same report again is fine"),
            Transition::Withdraw => {
                let ended = clients::withdraw(&mut scene.caller, &scene.id).await;
                assert_eq!(ended.expect("withdrawing again is fine"), Status::Withdrawn);
            }
            Transition::Expire => {
                let auditor = scene.clients.operator_named("auditor");
                let id = &scene.id;
                wait_for("the request to expire", || async {
                    let request = clients::get(&mut auditor.clone(), id).await;
                    (request.status() == Status::Expired).then_some(())
                })
                .await;
                let refused = scene.take().await.expect_err("expired");
                assert_eq!(reason_of(&refused), "NOT_APPROVED");
            }
        }
    }
}

/// Dies at one step of one transition; what the model then finds wrong.
async fn dies_at(step: &str, transition: Transition, plant: &str) -> Vec<String> {
    let what = format!("{step} of {transition:?}");
    let mut home = team();
    home.before("ulimit -c 0");
    home.set("HOLDPOINT_FAULT", &format!("{step}@{}:1", transition.kind()));
    home.set("HOLDPOINT_PLANT", plant);
    let daemon = home.start().await;
    let mut scene = Scene::new(&home);
    scene.prepare(transition).await;
    transition.attempt(&mut scene).await;
    let status = daemon.ended().await;
    assert_eq!(status.signal(), Some(SIGABRT), "{what}: the step was not reached");
    home.unset();
    let daemon = home.start().await;
    let mut truth = Truth::default();
    learn(&home, &mut truth, &scene.steps).await;
    let found = violations(&scene.steps, &truth);
    if !found.is_empty() {
        return found;
    }
    let recorded = truth.entries.iter().any(|entry| entry.kind == transition.kind());
    if transition != Transition::Expire {
        // What is due is ended right after the restart, too.
        assert_eq!(recorded, AFTER.contains(&step), "{what}");
    }
    transition.again(&mut scene, recorded).await;
    let history = scene.history().await;
    let times = history.iter().filter(|kind| *kind == transition.kind()).count();
    assert_eq!(times, 1, "{what}: {history:?}");
    clients::verify(&mut scene.clients.history_named("auditor")).await;
    daemon.stop().await;
    Vec::new()
}

async fn dies_at_every_step_of(transition: Transition) {
    for step in BEFORE.into_iter().chain(AFTER) {
        assert_eq!(dies_at(step, transition, "").await, Vec::<String>::new(), "{step}");
    }
}

#[tokio::test]
async fn a_submit_survives_death_at_every_step() {
    dies_at_every_step_of(Transition::Submit).await;
}

#[tokio::test]
async fn a_decision_survives_death_at_every_step() {
    dies_at_every_step_of(Transition::Decide).await;
}

#[tokio::test]
async fn a_use_is_granted_once_through_death_at_every_step() {
    dies_at_every_step_of(Transition::Take).await;
}

#[tokio::test]
async fn an_outcome_survives_death_at_every_step() {
    dies_at_every_step_of(Transition::Report).await;
}

#[tokio::test]
async fn a_withdrawal_survives_death_at_every_step() {
    dies_at_every_step_of(Transition::Withdraw).await;
}

#[tokio::test]
async fn a_request_expires_once_through_death_at_every_step() {
    let steps = ["after-ending", "before-commit", "after-commit", "after-events", "after-answer"];
    // Together, for each waits five seconds.
    let mut all = tokio::task::JoinSet::new();
    for step in steps {
        all.spawn(dies_at(step, Transition::Expire, ""));
    }
    for found in all.join_all().await {
        assert_eq!(found, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_grant_that_leaves_before_its_commit_is_caught() {
    // On a busy machine the answer may not get out before the end: then there
    // is nothing to catch.
    for _ in 0..10 {
        let found = dies_at("before-commit", Transition::Take, "early-ack").await;
        println!("found: {found:?}");
        if !found.is_empty() {
            assert!(found.iter().any(|v| v.contains("lost: Granted")), "{found:?}");
            return;
        }
    }
    panic!("nothing was found");
}
