//! Holding one call from the caller's side: ask, wait, take the use, once.
//!
//! ```text
//!   reach ──> ask ──> wait ──────> approved ──> take ──> run it
//!     │        └──<── daemon away ──┘             │
//!     └── 10 s ──> refused      deadline ──> refused, never run
//! ```
//!
//! One [`Hold`] has one call id, and only this process knows it. Asking again
//! with it continues the same request, through restarts of the daemon too.
//!
//! Promises: [`Hold::take`] says yes at most once, and only for the digest of
//! the call that is about to run. Must never: take `approved` for permission.

#[cfg(test)]
mod tests;
mod using;

use std::pin::Pin;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Status as Answer;

use super::client::{Client, brief};
use super::errors::Failure;
use super::signals::Stop;
use super::waiting::Waiting;
use super::when;
use crate::call::digest::Digest;
use crate::call::model::Status;
use crate::client::{certainly_not_done, worth_retrying};
use crate::proto;

/// How long a daemon that was never reached is looked for.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);
/// Between attempts: doubled each time, from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// How often the waiting line counts down.
const TICK: Duration = Duration::from_secs(1);
/// Blocking for this long is not waiting.
const GLANCE_MS: i64 = 1;
/// How often it is looked up how the request stands while it is held.
const GLANCE_EVERY: Duration = Duration::from_secs(60);
/// The first time when the daemon knows whether anybody was reached: after this
/// part of the time that people have, and a moment more.
const REACHED: (u32, Duration) = (5, Duration::from_millis(500));
/// The daemon's own "expired" is waited for a little longer than our deadline.
const GRACE: Duration = Duration::from_secs(2);
/// The contract's default, for a daemon that never told us its deadline.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(900);
/// Signals that come so soon after the first are the same request to stop: a
/// terminal tells a whole group, and a wrapper passes it on once more.
const SAME_MOMENT: Duration = Duration::from_secs(1);
/// How long a withdrawal may take before we give up telling the daemon.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(5);

/// One attempt at one call.
#[derive(Debug)]
pub struct Hold {
    client: Client,
    question: proto::RequestApprovalRequest,
    digest: Digest,
    /// The newest answer; none until the daemon took the call.
    pub answer: Option<proto::ApprovalAnswer>,
    /// When the request expires, on [`when::boot`]'s clock.
    until: Duration,
    /// Whether the daemon may have heard of the call.
    sent: bool,
    /// Whether it was an earlier request's from the start. Every answer but the
    /// first says so, because asking again continues; the first knows.
    pub continued: bool,
    /// When it is next looked up how the request stands, on [`when::boot`]'s clock.
    next_glance: Duration,
    waiting: Waiting,
}

/// A question that does not wait for people, while another one does.
type Glance = Pin<Box<dyn Future<Output = Result<proto::ApprovalAnswer, Answer>> + Send>>;

/// How a held call ended.
#[derive(Debug)]
pub enum Ending {
    /// Approved: now the use can be taken. Not a permission.
    Approved,
    /// An operator said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Taken back, by a signal to this process or otherwise.
    Withdrawn,
    /// The daemon did not take it, or cannot be reached.
    Refused(Failure),
}

impl Hold {
    /// A new attempt, under a call id of its own.
    pub fn new(
        client: Client,
        call: proto::Call,
        digest: Digest,
        timeout: Option<Duration>,
    ) -> Self {
        let waiting = Waiting::new(&call.tool, &call.server);
        let timeout_ms = timeout.map_or(0, |t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX));
        let question = proto::RequestApprovalRequest {
            call_id: uuid::Uuid::new_v4().to_string(),
            call: Some(call),
            timeout_ms,
            // Until the request ends.
            max_wait_ms: 0,
            ..proto::RequestApprovalRequest::default()
        };
        let until = when::boot() + timeout.unwrap_or(DEFAULT_TIMEOUT);
        Hold {
            client,
            question,
            digest,
            answer: None,
            until,
            sent: false,
            continued: true,
            next_glance: Duration::MAX,
            waiting,
        }
    }

    /// Asks, and waits until people have answered, time is up or a signal comes.
    pub async fn wait(&mut self, stop: &mut Stop) -> Ending {
        let ending = tokio::select! {
            biased;
            ending = self.until_it_ends() => ending,
            () = stop.asked() => Ending::Withdrawn,
        };
        self.waiting.clear();
        let open = self.answer.as_ref().is_none_or(|a| a.status == Status::Pending.number());
        match ending {
            Ending::Withdrawn if open => self.withdraw("interrupted", stop).await,
            other => other,
        }
    }

    async fn until_it_ends(&mut self) -> Ending {
        if let Err(failure) = self.reach().await {
            return Ending::Refused(failure);
        }
        let mut pause = BACK_OFF.0;
        let begun = when::boot();
        loop {
            match self.ask().await {
                Ok(answer) => {
                    pause = BACK_OFF.0;
                    if let Some(ending) = self.heard(answer) {
                        return ending;
                    }
                }
                Err(status) if worth_retrying(&status) => {
                    // Nothing of it was recorded, so nobody was asked: to wait
                    // for an answer would be waiting for nothing.
                    let nothing_there = self.answer.is_none() && certainly_not_done(&status);
                    let too_long = nothing_there && when::boot() > begun + FIRST_CONNECTION;
                    if too_long {
                        return Ending::Refused(self.client.failure(status));
                    }
                    if when::boot() > self.until + GRACE {
                        let failure = self.client.failure(status);
                        let what = format!(
                            "its time is up, and the daemon cannot be asked how it ended: {}",
                            failure.what
                        );
                        return Ending::Refused(Failure { what, ..failure });
                    }
                    let left = self.left();
                    self.waiting.away(id_of(&self.answer), Some(left));
                    back_off(&mut pause, self.until + GRACE).await;
                }
                Err(status) => return Ending::Refused(self.client.failure(status)),
            }
        }
    }

    /// Tries for a while to reach a daemon that may be about to start. Asking it
    /// who we are tells a daemon from something else that listens there, and a
    /// token that is not valid, before anything is held.
    async fn reach(&mut self) -> Result<(), Failure> {
        let (begun, mut pause) = (when::boot(), BACK_OFF.0);
        loop {
            let mut service = self.client.operator();
            let status = match service.who_am_i(brief(proto::WhoAmIRequest {})).await {
                Ok(_) => return Ok(()),
                Err(status) => status,
            };
            let too_long = when::boot() > begun + FIRST_CONNECTION;
            if too_long || !worth_retrying(&status) {
                return Err(self.client.failure(status));
            }
            if when::boot() > begun + TICK {
                self.waiting.away(None, None);
            }
            back_off(&mut pause, begun + FIRST_CONNECTION).await;
        }
    }

    /// Asks, counting down while the daemon holds the call.
    ///
    /// The answer comes only when the request has ended, and the waiting line
    /// needs to know at once what is waited for. So the first time it is asked
    /// twice, the second time without waiting. One question after the other
    /// would leave a moment in which nobody waits, and in that moment an
    /// identical call of the same session may take the request over. Later ones
    /// tell whether anybody was reached, and has looked.
    async fn ask(&mut self) -> Result<proto::ApprovalAnswer, Answer> {
        self.sent = true;
        let mut service = self.client.caller();
        let asking = service.request_approval(self.question.clone());
        tokio::pin!(asking);
        let mut glance = self.answer.is_none().then(|| self.glance());
        loop {
            tokio::select! {
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
                }
                () = sleep(TICK) => {
                    if glance.is_none() && self.next_glance <= when::boot() {
                        self.next_glance = when::boot() + GLANCE_EVERY;
                        self.waiting.late = true;
                        glance = Some(self.glance());
                    }
                    if let Some(answer) = &self.answer {
                        self.waiting.held(answer, self.until.saturating_sub(when::boot()));
                    }
                }
            }
        }
    }

    /// Asks how the request stands.
    fn glance(&self) -> Glance {
        let mut service = self.client.caller();
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
            return Some(Ending::Refused(Failure::unreachable(
                "the daemon holds another call under this id: its digest differs",
                "Nothing was run. Check that HOLDPOINT_SERVER is a daemon you trust, and report this.",
            )));
        }
        self.continued &= answer.resumed;
        let ending = match Status::from_number(answer.status) {
            Some(Status::Pending) => None,
            Some(Status::Approved) => Some(Ending::Approved),
            Some(Status::Denied) => Some(Ending::Denied),
            Some(Status::Expired) => Some(Ending::Expired),
            Some(Status::Withdrawn) => Some(Ending::Withdrawn),
            None => Some(Ending::Refused(Failure::unreachable(
                "the daemon answered with a status that is not known here",
                "Nothing was run. Bring this program to the daemon's version.",
            ))),
        };
        if ending.is_none() {
            let left = Duration::from_millis(answer.time_left_ms.max(0).cast_unsigned());
            self.until = when::boot() + left;
            if self.next_glance == Duration::MAX {
                self.next_glance = when::boot() + left / REACHED.0 + REACHED.1;
            }
            self.waiting.held(&answer, self.left());
        }
        self.answer = Some(answer);
        ending
    }

    /// Takes the request back, so that nobody decides what nobody will run.
    pub async fn withdraw(&mut self, reason: &str, stop: &mut Stop) -> Ending {
        self.waiting.clear();
        if !self.sent {
            return Ending::Withdrawn;
        }
        let telling = async {
            if self.id().is_none() {
                // The daemon may have it although we never heard of it: the same
                // call id says which request that is.
                let glance = proto::RequestApprovalRequest {
                    max_wait_ms: GLANCE_MS,
                    ..self.question.clone()
                };
                match self.client.caller().request_approval(brief(glance)).await {
                    Ok(answer) => self.answer = Some(answer.into_inner()),
                    Err(status) => return Err(status),
                }
            }
            let id = self.id().unwrap_or_default().to_owned();
            let message = proto::WithdrawApprovalRequest { id, reason: reason.to_owned() };
            self.client.caller().withdraw_approval(brief(message)).await
        };
        let begun = when::boot();
        let insists = async {
            loop {
                stop.asked().await;
                if when::boot() > begun + SAME_MOMENT {
                    break;
                }
            }
        };
        let told = tokio::select! {
            biased;
            told = telling => Some(told),
            () = sleep(WITHDRAW_WITHIN) => None,
            () = insists => {
                return Ending::Refused(Failure::unreachable(
                    "interrupted before the withdrawal was confirmed",
                    "Nothing was run; check with: holdpoint mine",
                ));
            }
        };
        let failure = match told {
            Some(Ok(_)) => {
                if let Some(answer) = &mut self.answer {
                    answer.status = Status::Withdrawn.number();
                }
                return Ending::Withdrawn;
            }
            Some(Err(status)) => self.client.failure(status),
            None => Failure::unreachable("the daemon did not answer", ""),
        };
        let Some(id) = self.id() else {
            return Ending::Withdrawn;
        };
        let what = format!("interrupted, but the request could not be withdrawn: {}", failure.what);
        let next = format!("Nothing was run. Withdraw it with: holdpoint withdraw {id}");
        Ending::Refused(Failure { what, next, ..failure })
    }

    /// The request's id, once the daemon told it.
    pub fn id(&self) -> Option<&str> {
        id_of(&self.answer)
    }

    fn left(&self) -> Duration {
        self.until.saturating_sub(when::boot())
    }
}

fn id_of(answer: &Option<proto::ApprovalAnswer>) -> Option<&str> {
    answer.as_ref().map(|answer| answer.id.as_str())
}

/// What a glance shows; never, if there is none.
async fn seen(glance: &mut Option<Glance>) -> Result<proto::ApprovalAnswer, Answer> {
    match glance {
        Some(glance) => glance.await,
        None => std::future::pending().await,
    }
}

/// Waits before the next attempt, but not beyond `end` (on [`when::boot`]'s
/// clock), where the last one is made.
async fn back_off(pause: &mut Duration, end: Duration) {
    let left = end.saturating_sub(when::boot()).max(BACK_OFF.0);
    sleep((*pause).min(left)).await;
    *pause = (*pause * 2).min(BACK_OFF.1);
}
