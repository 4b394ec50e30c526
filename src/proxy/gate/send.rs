//! One approved call on its way to the server and back.
//!
//! Promises: before anything is sent, the policy and the tool's definition are
//! looked at once more, the use is taken, and what goes out is read again and is
//! what was approved.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::judge::Unfit;
use super::taking::give_back;
use super::tasks::Task;
use super::using::{Using, sent_as};
use super::{Gate, Question, Reply};
use crate::client::reason_of;
use crate::faults;
use crate::hold::{Hold, Trouble};
use crate::proto::Outcome;
use crate::proxy::answer::words;
use crate::proxy::message::{Id, Incoming, ServerMessage, ToolCall, call, client};
use crate::proxy::out_of;
use crate::proxy::upstream::{NoAnswer, Outgoing, Upstream};

/// How long a server that was told of a cancellation may still answer.
const AFTER_CANCEL: Duration = Duration::from_secs(10);

/// Where the answer of a call goes.
#[derive(Debug, Clone, Copy)]
pub enum Towards<'a> {
    /// To the client that waits for it.
    Client(&'a Reply),
    /// Into a task of ours, where the client fetches it.
    Task(&'a Task),
}

impl<'a> Towards<'a> {
    fn is_open(self) -> bool {
        match self {
            Towards::Client(reply) => reply.is_open(),
            Towards::Task(task) => !task.is_gone(),
        }
    }

    fn cancelled(self) -> CancellationToken {
        match self {
            Towards::Client(reply) => reply.cancelled(),
            Towards::Task(task) => task.cancelled(),
        }
    }

    fn relay(self) -> Option<&'a Reply> {
        match self {
            Towards::Client(reply) => Some(reply),
            Towards::Task(_) => None,
        }
    }

    /// Whether the server is to answer this call by itself, with no word before.
    fn is_task(self) -> bool {
        matches!(self, Towards::Task(_))
    }
}

/// Why an approved call does not run.
#[derive(Debug)]
pub enum Stopped {
    /// Nobody would hear the answer; the approval stays for who comes back.
    Gone(Box<Hold>),
    /// Not now; the approval stays for who asks again.
    NotNow(Box<Hold>, String),
    /// What the agent is told.
    Said(String),
}

impl Gate {
    /// Takes the use of an approved call, if it may still run and its answer can
    /// still be delivered. Returns what is to be sent, now.
    pub(super) async fn begin(
        &self,
        question: &Question,
        hold: Hold,
        towards: Towards<'_>,
        upstream: &dyn Upstream,
    ) -> Result<(Using, Outgoing), Stopped> {
        faults::call_reached("after-approval");
        let id = sent_as(&hold, 1);
        let bytes = question.call.outgoing(&id, towards.is_task());
        let digest = read(&bytes).map(|call| call.digest(&question.server.name));
        if digest != Some(hold.digest()) {
            return Err(Stopped::Said(words::changed(&own_bytes())));
        }
        let ticket = match self.checked_again(question, upstream, None).await {
            Ok(ticket) => ticket,
            Err(Unfit::Changed(what)) => {
                // What was approved is not what would run: nobody is to use it later.
                if let Err(status) = hold.withdraw(&what.to_string()).await {
                    let reason = reason_of(&status).unwrap_or_default();
                    tracing::warn!(
                        request = hold.id(),
                        reason,
                        "an approval could not be given up"
                    );
                }
                return Err(Stopped::Said(words::changed(&what)));
            }
            Err(Unfit::NotNow(said)) => return Err(Stopped::NotNow(Box::new(hold), said)),
        };
        if !towards.is_open() {
            give_back(ticket).await;
            return Err(Stopped::Gone(Box::new(hold)));
        }
        let mut using = match Using::take(hold).await {
            Ok(using) => using,
            Err((trouble, hold)) => {
                give_back(ticket).await;
                if let Trouble::Away(_) = trouble {
                    // It may have been granted, or still be.
                    self.not_run(hold, "the daemon did not answer");
                }
                return Err(Stopped::Said(words::trouble(&trouble)));
            }
        };
        faults::call_reached("after-use");
        if !towards.is_open() {
            give_back(ticket).await;
            // Its client went away meanwhile, and would not hear of what it did.
            let detail = "not run: nobody waited for its answer any more";
            self.report(using, Outcome::Failed, detail.to_owned()).await;
            return Err(Stopped::Said(words::NOBODY_WAITED.to_owned()));
        }
        using.takes = ticket.as_ref().map(|ticket| ticket.takes.clone()).unwrap_or_default();
        using.ticket = ticket;
        if faults::planted("twice") {
            let id = Id::minted("again");
            let bytes = question.call.outgoing(&id, towards.is_task());
            let _ = self.send(outgoing(question, towards, id, bytes), towards, upstream).await;
        }
        Ok((using, outgoing(question, towards, id, bytes)))
    }

    /// Sends a call whose use was taken and waits for its answer, as long as that
    /// may take.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
        towards: Towards<'_>,
        upstream: &dyn Upstream,
    ) -> Result<ServerMessage, NoAnswer> {
        let (cancelled, late) = (towards.cancelled(), CancellationToken::new());
        let asking = upstream.ask(outgoing, towards.relay(), late.clone());
        tokio::pin!(asking);
        let why = tokio::select! {
            answered = &mut asking => {
                faults::call_reached("after-result");
                return answered;
            }
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
}

/// What continues a call whose use was taken: the same call, whatever it answers
/// to what the server asked. `None` if it is another.
pub fn next_round(
    question: &Question,
    using: &mut Using,
    towards: Towards<'_>,
    message: impl FnOnce(&Id) -> Option<Bytes>,
) -> Option<Outgoing> {
    let id = using.next_id();
    let bytes = message(&id)?;
    let server = &question.server.name;
    let same = read(&bytes)?.first_digest(server) == question.call.first_digest(server);
    same.then(|| outgoing(question, towards, id, bytes))
}

fn outgoing(question: &Question, towards: Towards<'_>, id: Id, bytes: Bytes) -> Outgoing {
    let token = question.call.progress_token().filter(|_| !towards.is_task());
    Outgoing {
        id,
        bytes,
        method: call::METHOD,
        tool: Some(question.call.tool.clone()),
        era: question.call.era,
        progress_token: token.and_then(|token| Id::read(token.as_bytes())),
    }
}

/// What goes out is read once more, as strictly as what came in.
fn read(bytes: &Bytes) -> Option<ToolCall> {
    match client::read(bytes.clone()).ok()? {
        Incoming::One(message) => ToolCall::read(message).ok(),
        Incoming::Batch(_) => None,
    }
}

/// What is about to be sent is not what was approved: a fault of this program.
fn own_bytes() -> words::Since {
    words::Since::Other("its own bytes differ".to_owned())
}
