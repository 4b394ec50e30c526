//! A held call from its question to its outcome.
//!
//! ```text
//!   continues a round? ── yes ──────────────────────────────────────┐
//!     │ no                                                          │
//!   the client takes tasks? ── yes ──> a task (its own module)      │
//!     │ no                                                          v
//!   wait ──> approved ──> begin (check, take the use) ──> send ──> answered
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::broken::Same;
use super::send::{Stopped, Towards};
use super::using::{Using, outcome};
use super::wait::{Progress, Waited, wait};
use super::{Gate, OnCancel, Question, Reply};
use crate::client::{boot, reason_of};
use crate::faults;
use crate::hold::{Ending, Hold, Standing, Trouble};
use crate::policy::Action;
use crate::proxy::answer::{self, words};
use crate::proxy::message::server::Ended;
use crate::proxy::message::{Era, ServerMessage};
use crate::proxy::upstream::{NoAnswer, Upstream};

/// How long a daemon is looked for that was not reached yet. Clients that give up
/// early do so after 60 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a wait is remembered that was broken off before the daemon said until
/// when: the daemon's own default.
const UNTOLD: Duration = Duration::from_secs(15 * 60);

impl Gate {
    /// Holds a call until people have answered, runs it if they approved, and
    /// sends the answer. Ends when all of that is done, when a task does it
    /// instead, or the client is gone.
    pub async fn hold(
        self: &Arc<Self>,
        question: Question,
        reply: Reply,
        upstream: Arc<dyn Upstream>,
    ) {
        let Some(question) = self.carry_on(question, &reply, &*upstream).await else { return };
        if let Some(task) = self.tasks.place(&question) {
            return self.hold_as_task(question, task, reply, upstream).await;
        }
        let mut hold = self.ask(&question);
        let mut progress =
            question.call.progress_token().map(|token| Progress::to(token, question.told()));
        let bound = Some(question.party.hold);
        faults::call_reached("before-request");
        let said = match wait(&mut hold, &reply, progress.as_mut(), bound).await {
            Waited::Gone => return self.gone(&question, &hold, &reply).await,
            Waited::Bounded => {
                let said = match &*hold.standing().borrow() {
                    Standing::Held(held) | Standing::Away(held) => {
                        words::waiting(held, question.told())
                    }
                    Standing::Asking => {
                        words::trouble(&Trouble::Away(tonic::Status::unavailable("no answer")))
                    }
                };
                self.break_off(&question, &hold);
                said
            }
            Waited::Ended(ending) => {
                let reply = reply.after(progress.map_or(0, |progress| progress.count));
                return self.decided(question, hold, ending, &reply, &*upstream).await;
            }
        };
        self.say(&question, &reply, &said).await;
    }

    /// A question to the daemon, where an earlier one was broken off in its place.
    pub(super) fn ask(&self, question: &Question) -> Hold {
        let timeout = match &question.ruling.action {
            Action::Hold(hold) => hold.timeout,
            _ => None,
        };
        let digest = question.call.digest(&question.server.name);
        let hold = Hold::new(self.service.clone(), question.describe(), digest, timeout, PATIENCE);
        match self.broken.take(&Same::of(question)) {
            Some(call_id) => hold.continuing(call_id),
            None => hold,
        }
    }

    /// The wait has ended while the client waited for the answer itself.
    pub(super) async fn decided(
        self: &Arc<Self>,
        question: Question,
        hold: Hold,
        ending: Ending,
        reply: &Reply,
        upstream: &dyn Upstream,
    ) {
        let said = match ending {
            Ending::Approved => {
                let towards = Towards::Client(reply);
                match self.begin(&question, hold, towards, upstream).await {
                    Ok((using, outgoing)) => {
                        let answered = self.send(outgoing, towards, upstream).await;
                        return self.answered(question, using, answered, reply).await;
                    }
                    Err(Stopped::Gone(hold)) => return self.gone(&question, &hold, reply).await,
                    Err(Stopped::NotNow(hold, said)) => {
                        self.break_off(&question, &hold);
                        said
                    }
                    Err(Stopped::Said(said)) => said,
                }
            }
            ending => self.refused(&question, &hold, &ending),
        };
        self.say(&question, reply, &said).await;
    }

    /// The server has answered, or will not.
    pub(super) async fn answered(
        self: &Arc<Self>,
        question: Question,
        mut using: Using,
        answered: Result<ServerMessage, NoAnswer>,
        reply: &Reply,
    ) {
        using.answered(&answered);
        let (id, era) = (question.call.id.clone(), question.call.era);
        let (told, detail) = outcome(&answered);
        let open = match &answered {
            Ok(answer) if era == Era::Modern => match answer.ended() {
                // Before the client hears of it: it may answer at once.
                Ended::InputRequired { asked, state } => {
                    self.open_round(question, using, asked, state).await
                }
                _ => Err(using),
            },
            _ => Err(using),
        };
        if let Err(using) = open {
            self.report(using, told, detail).await;
        }
        let answer = match answered {
            Ok(answer) => answer.under(&id),
            Err(error) => answer::result(&id, &answer::tool_error(era, &no_answer(&error))),
        };
        faults::call_reached("before-delivery");
        reply.send(answer).await;
    }

    /// Tells the agent why its call has no answer of the server's.
    pub(super) async fn say(&self, question: &Question, reply: &Reply, said: &str) {
        let result = answer::tool_error(question.call.era, said);
        reply.send(answer::result(&question.call.id, &result)).await;
    }

    /// What the agent is told of a request that ended without an approval.
    pub(super) fn refused(&self, question: &Question, hold: &Hold, ending: &Ending) -> String {
        let said = match (ending, &hold.answer) {
            (Ending::Denied, Some(answer)) => words::denied(answer),
            (Ending::Refused(trouble), _) => {
                if let Trouble::Away(_) = trouble {
                    // It may have taken the call all the same.
                    self.break_off(question, hold);
                }
                words::trouble(trouble)
            }
            (Ending::Withdrawn, _) => words::WITHDRAWN.to_owned(),
            (_, answer) => words::expired(answer.as_ref()),
        };
        words::with_told(said, question.told())
    }

    /// The client went away while its call was held.
    async fn gone(&self, question: &Question, hold: &Hold, reply: &Reply) {
        self.given_up(question, hold, reply.is_cancelled()).await;
    }

    /// Nobody waits for a held call any more; perhaps because its client said so.
    pub(super) async fn given_up(&self, question: &Question, hold: &Hold, cancelled: bool) {
        if !cancelled || self.settings.on_cancel == OnCancel::Keep {
            return self.break_off(question, hold);
        }
        if let Err(status) = hold.withdraw("cancelled by the client").await {
            let reason = reason_of(&status).unwrap_or_default();
            tracing::warn!(request = hold.id(), reason, "a cancelled call could not be withdrawn");
        }
    }

    /// The wait ends on our side before its request did.
    pub(super) fn break_off(&self, question: &Question, hold: &Hold) {
        let until = match &*hold.standing().borrow() {
            Standing::Held(held) | Standing::Away(held) => held.until,
            Standing::Asking => boot() + UNTOLD,
        };
        self.broken.remember(Same::of(question), hold.call_id().to_owned(), until);
    }
}

/// What the agent is told where the server does not answer.
pub(super) fn no_answer(error: &NoAnswer) -> String {
    match error {
        NoAnswer::NotSent(why) => words::not_sent(why),
        NoAnswer::Lost(why) => words::unknown(why),
    }
}
