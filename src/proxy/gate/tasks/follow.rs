//! A task from its call to its end, without the client's connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::judge::Unfit;
use super::inputs::Questions;
use super::task::{End, Task};
use crate::hold::{Ending, Hold};
use crate::proto::Outcome;
use crate::proxy::answer::words;
use crate::proxy::gate::rounds::WITHIN;
use crate::proxy::gate::run::no_answer;
use crate::proxy::gate::send::{Stopped, Towards, next_round};
use crate::proxy::gate::using::{Using, outcome};
use crate::proxy::gate::{Gate, Question, Reply};
use crate::proxy::message::server::Ended;
use crate::proxy::message::{Id, ServerMessage};
use crate::proxy::upstream::{NoAnswer, Outgoing, Upstream};

/// How often a server may ask in the middle of one task. The clients that we know
/// stop after ten rounds.
const ROUNDS: usize = 32;
/// Before a server is called once more that asked nothing, but wants to be.
const PAUSE: Duration = Duration::from_secs(1);

/// How a call begins that is to be held as a task.
#[derive(Debug)]
enum Begun {
    /// The daemon has it on disk.
    Held,
    /// It ended before: there is no need for a task.
    Ended(Box<(Question, Hold, Ending)>),
}

/// What a task does.
struct Work {
    task: Arc<Task>,
    question: Question,
    upstream: Arc<dyn Upstream>,
}

impl Gate {
    /// Holds a call as this task. Ends when its client has the id, or the answer.
    pub(in crate::proxy::gate) async fn hold_as_task(
        self: &Arc<Self>,
        question: Question,
        task: Arc<Task>,
        reply: Reply,
        upstream: Arc<dyn Upstream>,
    ) {
        let (begun, beginning) = oneshot::channel();
        let (delivered, delivery) = oneshot::channel();
        let id = question.call.id.clone();
        let hold = self.ask(&question).with_handle(task.handle());
        let work = Work { task: task.clone(), question, upstream: upstream.clone() };
        tokio::spawn(self.clone().follow(work, hold, begun, delivery));
        let begun = tokio::select! {
            biased;
            begun = beginning => begun,
            () = reply.gone() => return self.undelivered(&task, &reply),
        };
        match begun {
            Ok(Begun::Held) if reply.send(task.as_created(&id)).await => {
                let _ = delivered.send(());
            }
            Ok(Begun::Held) => self.undelivered(&task, &reply),
            Ok(Begun::Ended(ended)) => {
                self.tasks.forget(&task);
                let (question, hold, ending) = *ended;
                self.decided(question, hold, ending, &reply, &*upstream).await;
            }
            // The task was cancelled, which nobody could but through us.
            Err(_) => self.tasks.forget(&task),
        }
    }

    /// The client went away before it had the task's id.
    fn undelivered(&self, task: &Task, reply: &Reply) {
        self.tasks.forget(task);
        if reply.is_cancelled() {
            task.cancel();
        }
    }

    /// Waits until people have answered, and runs what they approved.
    async fn follow(
        self: Arc<Self>,
        work: Work,
        mut hold: Hold,
        begun: oneshot::Sender<Begun>,
        delivery: oneshot::Receiver<()>,
    ) {
        let mut begun = Some(begun);
        let ending = wait(&work.task, &mut hold, &mut begun).await;
        let Work { task, question, upstream } = work;
        if let (Some(begun), Some(_)) = (begun.take(), &ending)
            && let Some(ending) = ending
        {
            let ended = Begun::Ended(Box::new((question, hold, ending)));
            if let Err(Begun::Ended(ended)) = begun.send(ended) {
                let (question, hold, _) = *ended;
                self.given_up(&question, &hold, task.cancelled().is_cancelled()).await;
            }
            return;
        }
        // Who does not have the id cannot fetch what would come of it.
        let ending = match ending {
            Some(ending) if delivery.await.is_ok() => Some(ending),
            _ => None,
        };
        let end = match ending {
            Some(Ending::Approved) => self.run_as_task(&task, question, hold, &*upstream).await,
            Some(ending) => End::Said(self.refused(&question, &hold, &ending)),
            None => {
                self.given_up(&question, &hold, task.cancelled().is_cancelled()).await;
                End::Cancelled
            }
        };
        task.ends(end);
        self.tasks.make_room();
    }

    async fn run_as_task(
        &self,
        task: &Task,
        question: Question,
        hold: Hold,
        upstream: &dyn Upstream,
    ) -> End {
        let towards = Towards::Task(task);
        let (mut using, outgoing) = match self.begin(&question, hold, towards, upstream).await {
            Ok(begun) => begun,
            Err(Stopped::Gone(hold)) => {
                self.given_up(&question, &hold, task.cancelled().is_cancelled()).await;
                return End::Cancelled;
            }
            Err(Stopped::NotNow(hold, said)) => {
                self.break_off(&question, &hold);
                return End::Said(said);
            }
            Err(Stopped::Said(said)) => return End::Said(said),
        };
        task.runs();
        let (told, detail, end) = match self
            .rounds_of(task, &question, &mut using, outgoing, upstream)
            .await
        {
            Ok(answered) => {
                using.answered(&answered);
                let (told, detail) = outcome(&answered);
                let end = match answered {
                    Ok(answer) => End::Answered(answer),
                    Err(error) => End::Said(no_answer(&error)),
                };
                (told, detail, end)
            }
            Err(Stays::Cancelled) => {
                let detail = "cancelled after the server asked for input";
                (Outcome::Unknown, detail.to_owned(), End::Cancelled)
            }
            Err(Stays::At(why)) => (Outcome::Unknown, why.clone(), End::Said(words::unknown(&why))),
        };
        self.report(using, told, detail).await;
        end
    }

    /// Sends the call, and again with the client's answers each time the server
    /// asks for something.
    async fn rounds_of(
        &self,
        task: &Task,
        question: &Question,
        using: &mut Using,
        mut outgoing: Outgoing,
        upstream: &dyn Upstream,
    ) -> Result<Result<ServerMessage, NoAnswer>, Stays> {
        let towards = Towards::Task(task);
        let mut questions = Questions::default();
        for _ in 0..ROUNDS {
            let answered = self.send(outgoing, towards, upstream).await;
            let Ok(answer) = &answered else { return Ok(answered) };
            match answer.ended() {
                Ended::InputRequired { .. } => {}
                Ended::Task => {
                    let why = "the server made a task of it, though nobody can follow that";
                    return Err(Stays::At(why.to_owned()));
                }
                _ => return Ok(answered),
            }
            let too_much = || Stays::At("the server asked for too much input".to_owned());
            let asked = questions.read(answer).ok_or_else(too_much)?;
            let pause = asked.is_empty().then_some(PAUSE);
            task.asks(asked);
            let asked = tokio::select! {
                biased;
                () = task.gone() => return Err(Stays::Cancelled),
                asked = task.answers() => asked,
                () = tokio::time::sleep(WITHIN) => {
                    let why = "the server asked for input and the client did not answer";
                    return Err(Stays::At(why.to_owned()));
                }
            };
            tokio::time::sleep(pause.unwrap_or_default()).await;
            match self.checked_again(question, upstream, Some(&using.takes)).await {
                Ok(_) => {}
                Err(Unfit::Changed(what)) => {
                    let why =
                        format!("the server asked for input, and since it was approved {what}");
                    return Err(Stays::At(why));
                }
                Err(Unfit::NotNow(why)) => return Err(Stays::At(why)),
            }
            let repeat = |id: &Id| asked.repeat(&question.call, id);
            let next = next_round(question, using, towards, repeat);
            outgoing = next.ok_or_else(|| {
                Stays::At("the server asked for input in a way that cannot be answered".to_owned())
            })?;
        }
        Err(Stays::At("the server asked for input again and again".to_owned()))
    }
}

/// Why a call stays where the server asked for something.
enum Stays {
    Cancelled,
    At(String),
}

/// Waits for people; `None` if nobody wants the task any more. Tells of the moment
/// from which the daemon has it.
async fn wait(
    task: &Task,
    hold: &mut Hold,
    begun: &mut Option<oneshot::Sender<Begun>>,
) -> Option<Ending> {
    let mut standing = hold.standing();
    let ending = hold.wait();
    tokio::pin!(ending);
    loop {
        tokio::select! {
            biased;
            () = task.gone() => return None,
            () = abandoned(begun) => return None,
            ending = &mut ending => return Some(ending),
            changed = standing.changed() => {
                let now = standing.borrow_and_update().clone();
                // It cannot end while the hold is there.
                if changed.is_ok() {
                    task.stands(now);
                    if let Some(begun) = begun.take() {
                        let _ = begun.send(Begun::Held);
                    }
                }
            }
        }
    }
}

/// Ends when nobody waits to hear how the task begins.
async fn abandoned(begun: &mut Option<oneshot::Sender<Begun>>) {
    match begun {
        Some(begun) => begun.closed().await,
        None => std::future::pending().await,
    }
}
