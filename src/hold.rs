//! Holding one call from the caller's side: ask, wait, take the use, once.
//!
//! ```text
//!   ask ──> wait ──────> approved ──> take ──> run it, renew, report
//!    └──<── daemon away ──┘             │
//!    └── patience ──> refused           └─> refused, never run
//! ```
//!
//! One [`Hold`] has one call id, and only this process knows it. Asking again
//! with it continues the same request, through restarts of the daemon too. What
//! is known of the request while it is held is told through [`Standing`].
//!
//! Promises: [`Hold::take`] says yes at most once, and only for the digest of
//! the call that is about to run. Dropping a [`Hold`] leaves the request pending,
//! for the same call to continue. Must never: take `approved` for permission.

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
/// How often it is looked up how the request stands while it is held. Whoever
/// waits is told who has looked, and half a minute is soon enough for that.
const GLANCE_EVERY: Duration = Duration::from_secs(30);
/// The daemon's own "expired" is waited for a little longer than our deadline.
const GRACE: Duration = Duration::from_secs(2);
/// How long a taking goes on asking a daemon that does not answer, where the
/// deadline leaves less.
const TAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long a withdrawal may take.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(5);

/// The daemon's service for callers, as every program of ours reaches it.
pub type Service = CallerServiceClient<Authenticated>;

/// A question that does not wait for people, while another one does.
type Glance = Pin<Box<dyn Future<Output = Result<proto::ApprovalAnswer, Answer>> + Send>>;

/// How a held call stands.
#[derive(Debug, Clone, Default)]
pub enum Standing {
    /// The daemon was not heard of yet.
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
    /// The newest answer; none until the daemon took the call.
    pub answer: Option<proto::ApprovalAnswer>,
    /// When the request expires, on [`boot`]'s clock; none until the daemon said.
    until: Option<Duration>,
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
            call_id: uuid::Uuid::new_v4().to_string(),
            call: Some(call),
            timeout_ms,
            // Until the request ends.
            max_wait_ms: 0,
            ..Default::default()
        };
        Hold {
            service,
            question,
            digest,
            answer: None,
            until: None,
            patience,
            next_glance: Duration::ZERO,
            told: watch::Sender::default(),
        }
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
        loop {
            let status = match self.ask().await {
                Ok(answer) => match self.heard(answer) {
                    Some(ending) => return ending,
                    None => {
                        pause = BACK_OFF.0;
                        continue;
                    }
                },
                Err(status) => status,
            };
            if !worth_retrying(&status) {
                return Ending::Refused(Trouble::Refused(status));
            }
            let last = self.until.map_or(begun + self.patience, |until| until + GRACE);
            if boot() > last {
                return Ending::Refused(Trouble::Away(status));
            }
            self.tell(true);
            back_off(&mut pause, last).await;
        }
    }

    /// Asks, looking now and then how the request stands while the daemon holds it.
    ///
    /// The answer comes only when the request has ended, and whoever waits needs
    /// to know at once what is waited for. So the first time it is asked twice,
    /// the second time without waiting. One question after the other would leave
    /// a moment in which nobody waits, and in that moment an identical call of
    /// the same session may take the request over.
    async fn ask(&mut self) -> Result<proto::ApprovalAnswer, Answer> {
        let mut service = self.service.clone();
        let asking = service.request_approval(self.question.clone());
        tokio::pin!(asking);
        let mut glance = self.answer.is_none().then(|| self.glance());
        loop {
            let wake = self.next_glance.saturating_sub(boot()).max(BACK_OFF.0);
            tokio::select! {
                answer = &mut asking => return answer.map(tonic::Response::into_inner),
                answer = seen(&mut glance) => {
                    glance = None;
                    self.next_glance = boot() + GLANCE_EVERY;
                    // Whatever else it says, the other answer says too.
                    if let Ok(answer) = answer
                        && answer.status == Status::Pending.number()
                        && answer.digest == self.digest.to_string()
                    {
                        self.heard(answer);
                    }
                }
                () = sleep(wake), if glance.is_none() => {
                    if self.next_glance <= boot() {
                        glance = Some(self.glance());
                    }
                }
            }
        }
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
            faults::call_reached("after-request");
        }
        self.answer = Some(answer);
        self.tell(false);
        ending
    }

    fn tell(&self, away: bool) {
        let (Some(answer), Some(until)) = (&self.answer, self.until) else {
            return;
        };
        let held = Held { answer: answer.clone(), until };
        self.told.send_replace(if away { Standing::Away(held) } else { Standing::Held(held) });
    }

    /// Takes the use. `Ok` is the permission to run the call now, once; it
    /// carries the length of the lease.
    ///
    /// An attempt whose answer was lost may have taken the use. When the daemon
    /// then says ALREADY_GRANTED, it was granted to this call id, which only
    /// this process has, and this process has not begun the call: that is a yes.
    ///
    /// # Errors
    /// Whatever it is: the call must not run.
    pub async fn take(&mut self) -> Result<Duration, Trouble> {
        let last = boot() + TAKE_WITHIN;
        let mut pause = BACK_OFF.0;
        let mut may_be_taken = false;
        let message = proto::TakeUseRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
            digest: self.digest.to_string(),
            expect_outcome: true,
        };
        loop {
            let status = match self.service.take_use(brief(message.clone())).await {
                Ok(granted) => return Ok(lease(granted.into_inner().lease_ms)),
                Err(status) => status,
            };
            if may_be_taken && reason_of(&status).as_deref() == Some("ALREADY_GRANTED") {
                return Ok(Duration::ZERO);
            }
            if !worth_retrying(&status) {
                return Err(Trouble::Refused(status));
            }
            if boot() >= last {
                return Err(Trouble::Away(status));
            }
            may_be_taken |= !certainly_not_done(&status);
            back_off(&mut pause, last).await;
        }
    }

    /// Keeps the lease of a use whose call runs, granted at `since` (on [`boot`]'s
    /// clock). Never returns: drop it when the call has ended.
    pub async fn keep_lease(&self, mut lease: Duration, mut since: Duration) {
        let message = proto::RenewUseRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
        };
        let mut service = self.service.clone();
        loop {
            // A third of it counts from the grant. A lease that we did not hear the
            // length of (its answer was lost) is renewed at once.
            let next = (since + lease / 3).saturating_sub(boot());
            sleep(next.max(if lease.is_zero() { Duration::ZERO } else { BACK_OFF.0 })).await;
            since = boot();
            lease = match service.renew_use(brief(message.clone())).await {
                Ok(renewed) => self::lease(renewed.into_inner().lease_ms).max(3 * BACK_OFF.0),
                // Sooner than usual, so that a short lease is not lost to one failure.
                Err(status) if worth_retrying(&status) => {
                    (lease / 3).clamp(3 * BACK_OFF.0, 3 * BACK_OFF.1)
                }
                Err(status) => {
                    let reason = reason_of(&status).unwrap_or_default();
                    tracing::warn!(
                        request = message.id,
                        reason,
                        "the lease of a running call is lost"
                    );
                    return std::future::pending().await;
                }
            };
        }
    }

    /// Tells the daemon how the call ended, for at most `within`.
    ///
    /// # Errors
    /// It was not told: the outcome becomes unknown when the lease ends.
    pub async fn report(
        &self,
        outcome: proto::Outcome,
        detail: &str,
        within: Duration,
    ) -> Result<(), Answer> {
        let last = boot() + within;
        let mut pause = BACK_OFF.0;
        let message = proto::ReportOutcomeRequest {
            id: self.id().unwrap_or_default().to_owned(),
            call_id: self.question.call_id.clone(),
            outcome: outcome.into(),
            detail: detail.to_owned(),
        };
        let mut service = self.service.clone();
        loop {
            let status = match service.report_outcome(brief(message.clone())).await {
                Ok(_) => return Ok(()),
                Err(status) => status,
            };
            if !worth_retrying(&status) || boot() > last {
                return Err(status);
            }
            back_off(&mut pause, last).await;
        }
    }

    /// Takes the request back, so that nobody decides what nobody will run.
    ///
    /// # Errors
    /// It may still be pending.
    pub async fn withdraw(&self, reason: &str) -> Result<(), Answer> {
        let Some(id) = self.id() else {
            return Ok(());
        };
        let message =
            proto::WithdrawApprovalRequest { id: id.to_owned(), reason: reason.to_owned() };
        let mut service = self.service.clone();
        let withdrawn = service.withdraw_approval(brief(message));
        match tokio::time::timeout(WITHDRAW_WITHIN, withdrawn).await {
            Ok(done) => done.map(|_| ()),
            Err(_) => Err(Answer::deadline_exceeded("the daemon did not answer")),
        }
    }
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

fn lease(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}
