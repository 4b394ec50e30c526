//! Holding one call from the caller's side: ask, wait, take the use, once.
//!
//! ```text
//!   ask ──> wait ──────> approved ──> take ──> run it, renew, report
//!    └──<── daemon away ──┘             │
//!    └── patience ──> refused           └─> refused, never run
//! ```
//!
//! One [`Hold`] has one call id, and only this process knows it. Asking again
//! with it continues the same request, through restarts of the daemon too; so
//! does another [`Hold`] that is given the call id of one that was dropped before
//! it took anything. What is known of the request while it is held is told
//! through [`Standing`].
//!
//! Promises: [`Hold::take`] says yes at most once, and only for the digest of
//! the call that is about to run. Dropping a [`Hold`] leaves the request pending,
//! for the same call to continue. Must never: take `approved` for permission.

mod using;

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tonic::Status as Answer;

use crate::call::digest::Digest;
use crate::call::model::Status;
use crate::client::{Authenticated, boot, brief, certainly_not_done, reason_of, worth_retrying};
use crate::faults;
use crate::proto;
use crate::proto::caller_service_client::CallerServiceClient;

/// Between attempts: doubled each time, from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// Blocking for this long is not waiting.
const GLANCE_MS: i64 = 1;
/// How long after the question that waits the one that does not is asked: they
/// travel side by side, and it must not arrive first.
const FIRST_GLANCE: Duration = Duration::from_millis(10);
/// How often it is looked up how the request stands while it is held. Whoever
/// waits is told who has looked, and half a minute is soon enough for that.
const GLANCE_EVERY: Duration = Duration::from_secs(30);
/// How long a daemon is asked again that says that it recorded nothing.
const NOT_DONE: Duration = Duration::from_secs(10);
/// When the daemon knows whether anybody was reached: after this part of the time
/// that people have, and a moment more.
const REACHED: (u32, Duration) = (5, Duration::from_millis(500));
/// The daemon's own "expired" is waited for a little longer than our deadline.
const GRACE: Duration = Duration::from_secs(2);

/// How often one wait goes on under another call id, because an identical call
/// took its request over.
const AFRESH: u32 = 5;

/// The daemon's service for callers, as every program of ours reaches it.
pub type Service = CallerServiceClient<Authenticated>;

/// A question that does not wait for people, while another one does.
type Glance = Pin<Box<dyn Future<Output = Result<proto::ApprovalAnswer, Answer>> + Send>>;

/// How a held call stands.
#[derive(Debug, Clone, Default)]
pub enum Standing {
    /// The daemon was not heard of yet, or cannot be reached.
    #[default]
    Asking,
    /// It holds the call.
    Held(Held),
    /// It holds the call, and cannot be reached just now.
    Away(Held),
}

/// A request that is held.
#[derive(Debug, Clone)]
pub struct Held {
    /// What the daemon last said of it.
    pub answer: proto::ApprovalAnswer,
    /// When it expires, on [`boot`]'s clock.
    pub until: Duration,
}

impl Held {
    /// How long people still have.
    pub fn left(&self) -> Duration {
        self.until.saturating_sub(boot())
    }
}

/// How a held call ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Approved: now the use can be taken. Not a permission.
    Approved,
    /// An operator said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Taken back.
    Withdrawn,
    /// It is not known, or was never asked.
    Refused(Trouble),
}

/// Why nothing can be said of a call but that it does not run.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// The daemon cannot be reached, or cannot write.
    Away(Answer),
    /// It refused, and would again.
    Refused(Answer),
    /// It answered for another call, or what no daemon answers.
    Strange(&'static str),
}

/// One attempt at one call.
#[derive(Debug)]
pub struct Hold {
    service: Service,
    question: proto::RequestApprovalRequest,
    digest: Digest,
    /// The call id is that of an earlier attempt, and the daemon did not yet say
    /// that it still holds a request.
    inherited: bool,
    /// The newest answer; none until the daemon took the call.
    pub answer: Option<proto::ApprovalAnswer>,
    /// Whether it was an earlier request's from the start. Every answer but the
    /// first says so, because asking again continues; the first knows.
    pub continued: bool,
    /// When the request expires, on [`boot`]'s clock; none until the daemon said.
    until: Option<Duration>,
    /// Whether the daemon may have heard of the call.
    asked: bool,
    /// How long a daemon that took nothing yet is looked for.
    patience: Duration,
    next_glance: Duration,
    told: watch::Sender<Standing>,
}

impl Hold {
    /// A new attempt, under a call id of its own. `patience` is how long a daemon
    /// is looked for that was not reached yet.
    pub fn new(
        service: Service,
        call: proto::Call,
        digest: Digest,
        timeout: Option<Duration>,
        patience: Duration,
    ) -> Self {
        let timeout_ms = timeout.map_or(0, |t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX));
        let question = proto::RequestApprovalRequest {
            call_id: fresh_call_id(),
            call: Some(Box::new(call)),
            timeout_ms,
            // Until the request ends.
            max_wait_ms: 0,
            ..Default::default()
        };
        Hold {
            service,
            question,
            digest,
            inherited: false,
            answer: None,
            continued: true,
            until: None,
            asked: false,
            patience,
            next_glance: Duration::ZERO,
            told: watch::Sender::default(),
        }
    }

    /// The same under the call id of an earlier attempt at this very call, which was
    /// dropped before it took the use: this one goes on waiting where that one was.
    /// Where the call id holds nothing any more, it is asked anew under a fresh one.
    #[must_use]
    pub fn continuing(mut self, call_id: String) -> Self {
        self.question.call_id = call_id;
        self.inherited = true;
        self
    }

    /// The same with a name under which the daemon finds the request again.
    #[must_use]
    pub fn with_handle(mut self, handle: String) -> Self {
        self.question.handle = handle;
        self
    }

    /// What another attempt needs to go on where this one is.
    pub fn call_id(&self) -> &str {
        &self.question.call_id
    }

    /// How it stands, as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.told.subscribe()
    }

    /// The request's id, once the daemon told it.
    pub fn id(&self) -> Option<&str> {
        self.answer.as_ref().map(|answer| answer.id.as_str())
    }

    /// The digest of the call that is held.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Asks, and waits until people have answered or time is up. May be dropped
    /// at any moment, and called again.
    pub async fn wait(&mut self) -> Ending {
        let begun = boot();
        let mut pause = BACK_OFF.0;
        let mut afresh = 0;
        loop {
            let status = match self.ask().await {
                Ok(answer) if self.inherited && is_spent(&answer) => {
                    self.ask_afresh();
                    continue;
                }
                Ok(answer) => match self.heard(answer) {
                    Some(ending) => return ending,
                    None => {
                        pause = BACK_OFF.0;
                        continue;
                    }
                },
                // Nothing was taken under this call id: another begins anew.
                Err(status) if is_anothers(&status) && afresh < AFRESH => {
                    afresh += 1;
                    self.ask_afresh();
                    continue;
                }
                Err(status) => status,
            };
            if !worth_retrying(&status) {
                return Ending::Refused(Trouble::Refused(status));
            }
            let last = match self.until {
                Some(until) => until + GRACE,
                // Nothing of it was recorded, so nobody was asked: to wait for an
                // answer would be waiting for nothing.
                None if certainly_not_done(&status) => begun + self.patience.min(NOT_DONE),
                None => begun + self.patience,
            };
            if boot() > last {
                return Ending::Refused(Trouble::Away(status));
            }
            self.tell(true);
            back_off(&mut pause, last).await;
        }
    }

    fn ask_afresh(&mut self) {
        self.question.call_id = fresh_call_id();
        self.inherited = false;
        (self.answer, self.until) = (None, None);
    }

    /// Asks, looking now and then how the request stands while the daemon holds it.
    ///
    /// The answer comes only when the request has ended, and whoever waits needs
    /// to know at once what is waited for. So the first time it is asked twice,
    /// the second time a moment later and without waiting. Without the question
    /// that waits beside it, and before it, there would be a moment in which nobody
    /// waits, and in that moment an identical call of the same session may take the
    /// request over.
    async fn ask(&mut self) -> Result<proto::ApprovalAnswer, Answer> {
        self.asked = true;
        let mut service = self.service.clone();
        let asking = service.request_approval(self.question.clone());
        tokio::pin!(asking);
        let mut glance = None;
        if self.answer.is_none() {
            self.next_glance = boot() + FIRST_GLANCE;
        }
        loop {
            let wake = self.next_glance.saturating_sub(boot());
            tokio::select! {
                // In this order: the question that waits goes out first.
                biased;
                answer = &mut asking => return answer.map(tonic::Response::into_inner),
                answer = seen(&mut glance) => {
                    glance = None;
                    // Whatever else it says, the other answer says too.
                    if let Ok(answer) = answer
                        && answer.status == Status::Pending.number()
                        && answer.digest == self.digest.to_string()
                    {
                        self.heard(answer);
                    }
                    self.next_glance = boot() + self.glance_in();
                }
                () = sleep(wake), if glance.is_none() => glance = Some(self.glance()),
            }
        }
    }

    /// When to look next how the request stands: now and then, and the first time
    /// as soon as the daemon knows whether anybody was reached.
    fn glance_in(&self) -> Duration {
        let left = self.until.map_or(GLANCE_EVERY, |until| until.saturating_sub(boot()));
        (left / REACHED.0 + REACHED.1).min(GLANCE_EVERY)
    }

    /// Asks how the request stands.
    fn glance(&self) -> Glance {
        let mut service = self.service.clone();
        let Some(id) = self.id() else {
            let question =
                proto::RequestApprovalRequest { max_wait_ms: GLANCE_MS, ..self.question.clone() };
            return Box::pin(async move {
                service.request_approval(brief(question)).await.map(tonic::Response::into_inner)
            });
        };
        let question = proto::AwaitApprovalRequest { id: id.to_owned(), max_wait_ms: GLANCE_MS };
        Box::pin(async move {
            service.await_approval(brief(question)).await.map(tonic::Response::into_inner)
        })
    }

    /// Takes note of an answer; the ending, if it is one.
    fn heard(&mut self, answer: proto::ApprovalAnswer) -> Option<Ending> {
        if answer.digest != self.digest.to_string() {
            let what = "the daemon holds another call under this id: its digest differs";
            return Some(Ending::Refused(Trouble::Strange(what)));
        }
        let ending = match Status::from_number(answer.status) {
            Some(Status::Pending) => None,
            Some(Status::Approved) => Some(Ending::Approved),
            Some(Status::Denied) => Some(Ending::Denied),
            Some(Status::Expired) => Some(Ending::Expired),
            Some(Status::Withdrawn) => Some(Ending::Withdrawn),
            None => {
                let what = "the daemon answered with a status that is not known here";
                Some(Ending::Refused(Trouble::Strange(what)))
            }
        };
        if ending.is_none() {
            let left = Duration::from_millis(answer.time_left_ms.max(0).cast_unsigned());
            self.until = Some(boot() + left);
        }
        if self.answer.is_none() {
            tracing::debug!(request = answer.id, "the daemon holds the call");
            faults::call_reached("after-request");
        }
        self.inherited = false;
        self.continued &= answer.resumed;
        self.answer = Some(answer);
        self.tell(false);
        ending
    }

    fn tell(&self, away: bool) {
        let (Some(answer), Some(until)) = (&self.answer, self.until) else {
            if away {
                self.told.send_replace(Standing::Asking);
            }
            return;
        };
        let held = Held { answer: answer.clone(), until };
        self.told.send_replace(if away { Standing::Away(held) } else { Standing::Held(held) });
    }
}

fn fresh_call_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Whether a request has ended in a way that asking again begins a new one.
fn is_spent(answer: &proto::ApprovalAnswer) -> bool {
    match Status::from_number(answer.status) {
        Some(Status::Expired | Status::Withdrawn) => true,
        Some(Status::Approved) => answer.r#use() != proto::Use::Unused,
        _ => false,
    }
}

/// Whether the daemon says that the call id's request is continued by another, or
/// was another's all along.
fn is_anothers(status: &Answer) -> bool {
    matches!(reason_of(status).as_deref(), Some("USED" | "CALL_ID_REUSED"))
}

/// What a glance shows; never, if there is none.
async fn seen(glance: &mut Option<Glance>) -> Result<proto::ApprovalAnswer, Answer> {
    match glance {
        Some(glance) => glance.await,
        None => std::future::pending().await,
    }
}

/// Waits before the next attempt, but not beyond `end` (on [`boot`]'s clock),
/// where the last one is made.
async fn back_off(pause: &mut Duration, end: Duration) {
    let left = end.saturating_sub(boot()).max(BACK_OFF.0);
    sleep((*pause).min(left)).await;
    *pause = (*pause * 2).min(BACK_OFF.1);
}
