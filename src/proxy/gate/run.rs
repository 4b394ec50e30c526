//! A held call from its question to its outcome.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::wait::{Progress, Waited, wait};
use super::{Gate, OnCancel, Question, Reply};
use crate::client::{boot, reason_of};
use crate::faults;
use crate::hold::{Ending, Hold, Standing, Trouble};
use crate::policy::Action;
use crate::proto::Outcome;
use crate::proxy::answer::{self, words};
use crate::proxy::message::server::Ended;
use crate::proxy::message::{Id, Incoming, ServerMessage, ToolCall, call, client};
use crate::proxy::upstream::{NoAnswer, Outgoing, Upstream};

/// How long a daemon is looked for that was not reached yet. Clients that give up
/// early do so after 60 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the outcome of a call may take to be told. The daemon takes it as
/// unknown once the lease ends, and a report that comes later still counts.
const REPORT_WITHIN: Duration = Duration::from_secs(600);
/// How long a server that was told of a cancellation may still answer.
const AFTER_CANCEL: Duration = Duration::from_secs(10);

impl Gate {
    /// Holds a call until people have answered, runs it if they approved, and
    /// sends the answer. Ends when all of that is done, or the client is gone.
    pub async fn hold(&self, question: Question, reply: Reply, upstream: Arc<dyn Upstream>) {
        let mut hold = self.question(&question);
        let mut progress = question.call.progress_token().map(Progress::to);
        let bound = Some(question.party.hold);
        faults::call_reached("before-request");
        let waited = tokio::select! {
            biased;
            how = upstream.ended() => {
                return self.answer(&question, &reply, &words::server_ended(&how)).await;
            }
            waited = wait(&mut hold, &reply, progress.as_mut(), bound) => waited,
        };
        let said = match waited {
            Waited::Gone => return self.gone(&hold, &reply).await,
            Waited::Bounded => match &*hold.standing().borrow() {
                Standing::Held(held) | Standing::Away(held) => words::waiting(held),
                Standing::Asking => {
                    words::trouble(&Trouble::Away(tonic::Status::unavailable("no answer")))
                }
            },
            Waited::Ended(Ending::Approved) => {
                faults::call_reached("after-approval");
                let ran = self.run(&question, &mut hold, &reply, &*upstream, progress.as_ref());
                match ran.await {
                    Ok(answered) => {
                        // Side by side: a daemon that is away is not to keep from the
                        // client what its call did.
                        let delivered = self.deliver(&question, &reply, &answered);
                        tokio::join!(self.ended(&hold, &answered), delivered);
                        return;
                    }
                    Err(Stopped::Gone) => return self.gone(&hold, &reply).await,
                    Err(Stopped::Said(said)) => said,
                    Err(Stopped::InDoubt(said)) => {
                        self.answer(&question, &reply, &said).await;
                        return self.given_up(&hold, "the daemon did not answer").await;
                    }
                }
            }
            Waited::Ended(ending) => refused(&hold, &ending),
        };
        self.answer(&question, &reply, &said).await;
    }

    fn question(&self, question: &Question) -> Hold {
        let timeout = match question.verdict.action {
            Action::Hold { timeout } => timeout,
            _ => None,
        };
        let digest = question.call.digest(&question.server.name);
        Hold::new(self.service.clone(), question.describe(), digest, timeout, PATIENCE)
    }

    async fn answer(&self, question: &Question, reply: &Reply, said: &str) {
        let result = answer::tool_error(question.call.era, said);
        reply.send(answer::result(&question.call.id, &result)).await;
    }

    async fn deliver(
        &self,
        question: &Question,
        reply: &Reply,
        answered: &Result<ServerMessage, NoAnswer>,
    ) {
        faults::call_reached("before-delivery");
        match answered {
            Ok(answer) => {
                reply.send(answer.under(&question.call.id)).await;
            }
            Err(NoAnswer::NotSent(why)) => {
                self.answer(question, reply, &words::not_sent(why)).await;
            }
            Err(NoAnswer::Lost(why)) => self.answer(question, reply, &words::unknown(why)).await,
        }
    }

    /// The client went away while its call was held.
    async fn gone(&self, hold: &Hold, reply: &Reply) {
        if reply.is_cancelled()
            && self.settings.on_cancel == OnCancel::Withdraw
            && let Err(status) = hold.withdraw("cancelled by the client").await
        {
            let reason = reason_of(&status).unwrap_or_default();
            tracing::warn!(request = hold.id(), reason, "a cancelled call could not be withdrawn");
        }
    }

    /// A use that was or may have been taken will not be used, and that is known.
    async fn given_up(&self, hold: &Hold, why: &str) {
        let detail = format!("not run: {why}");
        match hold.report(Outcome::Failed, &detail, REPORT_WITHIN).await {
            Ok(()) => {}
            // It was not taken, and is there for the same call.
            Err(status) if reason_of(&status).as_deref() == Some("NOT_TAKEN") => {}
            Err(status) => self.not_told(hold, &status),
        }
    }

    fn not_told(&self, hold: &Hold, status: &tonic::Status) {
        let reason = reason_of(status).unwrap_or_default();
        tracing::warn!(request = hold.id(), reason, "an outcome could not be told");
    }

    /// Runs an approved call, once.
    async fn run(
        &self,
        question: &Question,
        hold: &mut Hold,
        reply: &Reply,
        upstream: &dyn Upstream,
        progress: Option<&Progress>,
    ) -> Result<Result<ServerMessage, NoAnswer>, Stopped> {
        let outgoing = self.ready(question, hold, upstream).await?;
        if !reply.is_open() {
            return Err(Stopped::Gone);
        }
        let since = boot();
        let lease = take(hold).await?;
        faults::call_reached("after-use");
        if !reply.is_open() {
            // It went away meanwhile. Nobody would hear of what it did.
            self.given_up(hold, "the client went away").await;
            return Err(Stopped::Gone);
        }
        if faults::planted("twice") {
            let _ = self.ask(upstream, again(question), reply).await;
        }
        let relay = reply.after(progress.map_or(0, |progress| progress.count));
        let asking = self.ask(upstream, outgoing, &relay);
        let answered = tokio::select! {
            answered = asking => answered,
            // Never ends: it is dropped with the call's end.
            () = hold.keep_lease(lease, since) => unreachable!("a lease is kept until it is dropped"),
        };
        faults::call_reached("after-result");
        Ok(answered)
    }

    /// The message as it goes out, if it may still.
    async fn ready(
        &self,
        question: &Question,
        hold: &Hold,
        upstream: &dyn Upstream,
    ) -> Result<Outgoing, Stopped> {
        match self.changed_since(question, upstream).await {
            Ok(None) => {}
            Ok(Some(what)) => {
                // What was approved is not what would run: nobody is to use it later.
                if let Err(status) = hold.withdraw(&what).await {
                    let reason = reason_of(&status).unwrap_or_default();
                    tracing::warn!(
                        request = hold.id(),
                        reason,
                        "an approval could not be given up"
                    );
                }
                return Err(words::changed(&what).into());
            }
            Err(why) => return Err(words::cannot_check(&why).into()),
        }
        let id = Id::ours(&format!("holdpoint-{}", hold.id().unwrap_or_default()));
        let bytes = question.call.outgoing(&id, false);
        // What goes out is read once more: it has the digest that was approved.
        if digest(&bytes, &question.server.name) != Some(hold.digest()) {
            return Err(words::changed("its own bytes differ").into());
        }
        Ok(Outgoing {
            id,
            bytes,
            method: call::METHOD,
            tool: Some(question.call.tool.clone()),
            era: question.call.era,
            progress_token: question.call.progress_token().and_then(|t| Id::read(t.as_bytes())),
        })
    }

    /// Sends it and waits for its answer, as long as that may take.
    async fn ask(
        &self,
        upstream: &dyn Upstream,
        outgoing: Outgoing,
        reply: &Reply,
    ) -> Result<ServerMessage, NoAnswer> {
        let cancelled = reply.cancelled();
        let late = CancellationToken::new();
        let asking = upstream.ask(outgoing, Some(reply), late.clone());
        tokio::pin!(asking);
        let why = tokio::select! {
            answered = &mut asking => return answered,
            () = cancelled.cancelled() => "the client cancelled it while it ran, and the server did not answer any more".to_owned(),
            within = out_of(self.settings.answer_within) => {
                format!("the server did not answer within {} s", within.as_secs())
            }
        };
        late.cancel();
        match tokio::time::timeout(AFTER_CANCEL, asking).await {
            Ok(answered) => answered,
            Err(_) => Err(NoAnswer::Lost(why)),
        }
    }

    /// Tells the daemon how it ended.
    async fn ended(&self, hold: &Hold, answered: &Result<ServerMessage, NoAnswer>) {
        let (outcome, detail) = match answered {
            Ok(answer) => match answer.ended() {
                Ended::Succeeded => (Outcome::Succeeded, String::new()),
                Ended::Failed(None) => {
                    (Outcome::Failed, "the tool answered that it failed".to_owned())
                }
                Ended::Failed(Some(code)) => (Outcome::Failed, format!("JSON-RPC error {code}")),
                Ended::InputRequired { .. } => {
                    (Outcome::Unknown, "the server wants input first".to_owned())
                }
                Ended::Task => (Outcome::Succeeded, "the server made a task of it".to_owned()),
            },
            Err(NoAnswer::NotSent(why)) => (Outcome::Failed, format!("not sent: {why}")),
            Err(NoAnswer::Lost(why)) => (Outcome::Unknown, why.clone()),
        };
        if let Err(status) = hold.report(outcome, &detail, REPORT_WITHIN).await {
            self.not_told(hold, &status);
        }
        faults::call_reached("after-report");
    }
}

/// Why an approved call did not run.
enum Stopped {
    /// The client went away.
    Gone,
    /// What the agent is told.
    Said(String),
    /// The same, where the use may have been taken.
    InDoubt(String),
}

impl From<String> for Stopped {
    fn from(said: String) -> Stopped {
        Stopped::Said(said)
    }
}

async fn take(hold: &mut Hold) -> Result<Duration, Stopped> {
    if faults::planted("no-use") {
        return Ok(REPORT_WITHIN);
    }
    hold.take().await.map_err(|trouble| match trouble {
        Trouble::Away(_) => Stopped::InDoubt(words::trouble(&trouble)),
        _ => Stopped::Said(words::trouble(&trouble)),
    })
}

/// For a planted bug: the same call under another id.
fn again(question: &Question) -> Outgoing {
    let id = Id::ours(&format!("holdpoint-again-{}", question.call.id));
    Outgoing {
        bytes: question.call.outgoing(&id, false),
        id,
        method: call::METHOD,
        tool: Some(question.call.tool.clone()),
        era: question.call.era,
        progress_token: None,
    }
}

async fn out_of(within: Option<Duration>) -> Duration {
    match within {
        Some(within) => {
            tokio::time::sleep(within).await;
            within
        }
        None => std::future::pending().await,
    }
}

fn digest(bytes: &Bytes, server: &str) -> Option<crate::call::digest::Digest> {
    match client::read(bytes.clone()).ok()? {
        Incoming::One(message) => Some(ToolCall::read(message).ok()?.digest(server)),
        Incoming::Batch(_) => None,
    }
}

/// What the agent is told of a request that ended without an approval.
fn refused(hold: &Hold, ending: &Ending) -> String {
    match (ending, &hold.answer) {
        (Ending::Denied, Some(answer)) => words::denied(answer),
        (Ending::Refused(trouble), _) => words::trouble(trouble),
        (Ending::Withdrawn, _) => words::WITHDRAWN.to_owned(),
        (_, answer) => words::expired(answer.as_ref()),
    }
}
