//! The outbox worker: takes what is due from the store, composes, delivers, and
//! writes down how it went.
//!
//!     store ── due ──> run ── compose ──> up to 8 deliveries at once ──> server or folder
//!       ^                                          │
//!       └────────────── result <───────────────────┘
//!
//! Promises: a letter counts as sent only once the store has recorded it, and
//! is not sent again while that is being tried; a server that hangs costs eight
//! letters' memory and nothing else; when the daemon is told to stop, deliveries
//! under way get a short while to end, and what is not recorded goes out again
//! after the restart under the same `Message-ID`.
//! Must never: hold up a decision.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Display;
use std::time::Duration;

use lettre::message::Mailbox;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};

use super::back_off;
use super::letter::{About, Letter, Recipient, compose};
use super::transport::{Delivered, Failure, Transport};
use crate::call::ids::RequestId;
use crate::call::model::{Request, Status};
use crate::call::time::Time;

/// Deliveries at the same time. Enough to clear a burst within seconds with a
/// server that takes a tenth of a second, few enough for any server's limits.
pub const AT_ONCE: usize = 8;

/// How often the outbox is looked at unasked: new letters announce themselves,
/// so this only finds those whose back-off has passed.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long deliveries under way may take once the daemon stops.
pub const GRACE: Duration = Duration::from_secs(5);

/// One row of the outbox whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMail {
    /// Its row.
    pub id: i64,
    /// About which request.
    pub request: RequestId,
    /// The operator's configured name.
    pub operator: String,
    /// Attempts so far.
    pub attempts: u32,
}

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailResult {
    /// The row.
    pub id: i64,
    /// What became of it.
    pub outcome: MailOutcome,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailOutcome {
    /// Taken by the server, or on disk.
    Sent {
        /// The server's words.
        answer: String,
    },
    /// Not yet; try again.
    Retry {
        /// Why not.
        error: String,
        /// After how long.
        after: Duration,
    },
    /// Never.
    Failed {
        /// Why not.
        error: String,
    },
    /// The request ended before the letter went out.
    Pointless,
}

/// The three transitions of the store that the worker lives on.
#[derive(Debug)]
pub struct Outbox<Due, Ask, Done> {
    /// Rows due at a time, oldest first, at most so many.
    pub due: Due,
    /// The request with this id.
    pub request: Ask,
    /// Records a result; durable when it returns.
    pub done: Done,
}

/// Whom a letter goes to, as the configuration says at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    /// The operator; the reason why they cannot be written to otherwise.
    pub to: Result<Recipient, String>,
    /// Everyone who is asked to decide this request.
    pub asked: Vec<String>,
}

/// What stands in every letter.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The sender's address.
    pub from: Mailbox,
    /// How `holdpoint` is called where operators type.
    pub command_prefix: String,
    /// The right side of `Message-ID`s.
    pub host: String,
}

/// Works until `stop` ends. `wake` is notified whenever the store has recorded
/// new mail; `now` is the wall clock.
pub async fn run<Due, Ask, Done, E>(
    outbox: Outbox<Due, Ask, Done>,
    transport: Transport,
    sender: Sender,
    address: impl Fn(&Request, &str) -> Addressed,
    now: impl Fn() -> Time,
    wake: &Notify,
    stop: impl Future<Output = ()>,
) where
    Due: AsyncFn(Time, usize) -> Result<Vec<DueMail>, E>,
    Ask: AsyncFn(RequestId) -> Result<Option<Request>, E>,
    Done: AsyncFn(MailResult) -> Result<(), E>,
    E: Display,
{
    let mut work = Work::default();
    tokio::pin!(stop);
    loop {
        if let Err(error) = fill(&mut work, &outbox, &transport, &sender, &address, &now).await {
            tracing::warn!(%error, "the outbox cannot be read; trying again");
        }
        tokio::select! {
            () = &mut stop => break,
            () = wake.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            Some(ended) = work.deliveries.join_next_with_id() => work.landed(ended),
        }
    }
    let _ = tokio::time::timeout(GRACE, async {
        while let Some(ended) = work.deliveries.join_next_with_id().await {
            work.landed(ended);
        }
    })
    .await;
    work.record(&outbox.done).await;
}

/// Starts deliveries until enough are under way or nothing more is due.
async fn fill<Due, Ask, Done, E>(
    work: &mut Work,
    outbox: &Outbox<Due, Ask, Done>,
    transport: &Transport,
    sender: &Sender,
    address: &impl Fn(&Request, &str) -> Addressed,
    now: &impl Fn() -> Time,
) -> Result<(), E>
where
    Due: AsyncFn(Time, usize) -> Result<Vec<DueMail>, E>,
    Ask: AsyncFn(RequestId) -> Result<Option<Request>, E>,
    Done: AsyncFn(MailResult) -> Result<(), E>,
    E: Display,
{
    // What is not recorded is not forgotten, and nothing new begins before it is.
    while work.record(&outbox.done).await && work.underway.len() < AT_ONCE {
        // Rows under way are still due to the store, so that a crash forgets
        // none: look past them.
        let mut due = (outbox.due)(now(), work.underway.len() + AT_ONCE).await?;
        due.retain(|mail| !work.underway.contains_key(&mail.id));
        due.truncate(AT_ONCE - work.underway.len());
        if due.is_empty() {
            break;
        }
        for mail in due {
            let request = (outbox.request)(mail.request).await?;
            let letter = prepare(request, &mail, sender, address, now());
            work.start(mail, letter, transport);
        }
    }
    Ok(())
}

/// The letter, or what to write down instead.
fn prepare(
    request: Option<Request>,
    mail: &DueMail,
    sender: &Sender,
    address: &impl Fn(&Request, &str) -> Addressed,
    now: Time,
) -> Result<Letter, MailOutcome> {
    let Some(request) = request.filter(|r| r.status == Status::Pending && r.deadline > now) else {
        return Err(MailOutcome::Pointless);
    };
    let Addressed { to, asked } = address(&request, &mail.operator);
    let to = to.map_err(|error| MailOutcome::Failed { error })?;
    let about = About {
        from: sender.from.clone(),
        asked,
        now,
        command_prefix: sender.command_prefix.clone(),
        host: sender.host.clone(),
    };
    compose(&request, &to, &about).map_err(|e| MailOutcome::Failed {
        error: e.to_string(),
    })
}

/// What is under way. An entry leaves `underway` only when its result is
/// recorded, so a store that cannot write stops new letters by itself.
#[derive(Default)]
struct Work {
    /// By row. At most [`AT_ONCE`].
    underway: BTreeMap<i64, DueMail>,
    deliveries: JoinSet<Result<Delivered, Failure>>,
    /// Which delivery is which row's.
    rows: HashMap<Id, i64>,
    /// At most one for each entry of `underway`.
    unrecorded: VecDeque<MailResult>,
}

impl Work {
    fn start(&mut self, mail: DueMail, letter: Result<Letter, MailOutcome>, by: &Transport) {
        let row = mail.id;
        self.underway.insert(row, mail);
        match letter {
            Ok(letter) => {
                let by = by.clone();
                let delivery = self
                    .deliveries
                    .spawn(async move { by.deliver(&letter).await });
                self.rows.insert(delivery.id(), row);
            }
            Err(outcome) => self.unrecorded.push_back(MailResult { id: row, outcome }),
        }
    }

    fn landed(&mut self, ended: Result<(Id, Result<Delivered, Failure>), JoinError>) {
        let (task, result) = match ended {
            Ok((task, result)) => (task, result),
            Err(error) => {
                let text = "the delivery broke off, a defect of Holdpoint".to_owned();
                (
                    error.id(),
                    Err(Failure {
                        transient: true,
                        text,
                    }),
                )
            }
        };
        let Some(row) = self.rows.remove(&task) else {
            return;
        };
        let before = self.underway.get(&row).map_or(0, |mail| mail.attempts);
        let outcome = outcome(result, before.saturating_add(1));
        self.unrecorded.push_back(MailResult { id: row, outcome });
    }

    /// Writes results down, oldest first; says whether all are.
    async fn record<E: Display>(
        &mut self,
        done: &impl AsyncFn(MailResult) -> Result<(), E>,
    ) -> bool {
        while let Some(result) = self.unrecorded.front() {
            if let Err(error) = done(result.clone()).await {
                tracing::warn!(%error, "how a mail went cannot be recorded; trying again");
                return false;
            }
            self.underway.remove(&result.id);
            self.unrecorded.pop_front();
        }
        true
    }
}

fn outcome(result: Result<Delivered, Failure>, attempts: u32) -> MailOutcome {
    match result {
        Ok(Delivered { answer }) => MailOutcome::Sent { answer },
        Err(Failure {
            transient: false,
            text,
        }) => MailOutcome::Failed { error: text },
        Err(Failure {
            transient: true,
            text,
        }) => {
            let after = back_off::delay(attempts, getrandom::u32().unwrap_or_default());
            MailOutcome::Retry { error: text, after }
        }
    }
}
