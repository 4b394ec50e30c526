//! The outbox worker: takes what is due from the store, composes, delivers, and
//! writes down how it went.
//!
//! ```text
//! store ── due ──> run ── compose ──> up to 8 deliveries at once ──> server or folder
//!   ^                                          │
//!   └────────────── result <───────────────────┘
//! ```
//!
//! Promises: a letter counts as sent only once the store has recorded it, and
//! is not sent again while that is being tried; a server that hangs costs eight
//! letters' memory and nothing else; when the daemon is told to stop, deliveries
//! under way get a short while to end, and what is not recorded goes out again
//! after the restart under the same `Message-ID`.
//! Must never: hold up a decision.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};

use super::back_off;
use super::letter::{About, Letter, Matter, Recipient, compose};
use super::transport::{Delivered, Failure, Fault, Transport};
use crate::call::model::{Request, Status};
use crate::desk::people::People;
use crate::store::mail::{self, DueMail, MailOutcome, MailResult};
use crate::store::{Store, StoreError, read};

/// Deliveries at the same time. Enough to clear a burst within seconds with a
/// server that takes a tenth of a second, few enough for any server's limits.
pub const AT_ONCE: usize = 8;

/// How often the outbox is looked at unasked: new letters announce themselves,
/// so this only finds those whose back-off has passed.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long deliveries under way may take once the daemon stops.
pub const GRACE: Duration = Duration::from_secs(5);

/// What stands in every letter.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The sender's address.
    pub from: Mailbox,
    /// Where answers go; `None`: to the sender.
    pub reply_to: Option<Mailbox>,
    /// How `holdpoint` is called where operators type.
    pub command_prefix: String,
    /// The right side of `Message-ID`s.
    pub host: String,
}

/// Works until `stop` ends. `wake` is notified whenever the store has recorded
/// new mail; `people` are those of the newest configuration.
pub async fn run(
    store: Store,
    transport: Transport,
    sender: Sender,
    people: impl Fn() -> Arc<People>,
    wake: &Notify,
    stop: impl Future<Output = ()>,
) {
    let desk = Desk { store, transport, sender, people };
    let mut work = Work::default();
    tokio::pin!(stop);
    loop {
        if let Err(error) = desk.fill(&mut work).await {
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
    work.record(&desk.store).await;
}

/// What the worker works with.
struct Desk<P> {
    store: Store,
    transport: Transport,
    sender: Sender,
    people: P,
}

impl<P: Fn() -> Arc<People>> Desk<P> {
    /// Starts deliveries until enough are under way or nothing more is due.
    async fn fill(&self, work: &mut Work) -> Result<(), StoreError> {
        // What is not recorded is not forgotten, and nothing new begins before it is.
        while work.record(&self.store).await && work.underway.len() < AT_ONCE {
            // Rows under way are still due to the store, so that a crash
            // forgets none: look past them.
            let (now, most) = (self.store.now(), work.underway.len() + AT_ONCE);
            let mut due = self.store.read(move |conn| mail::due(conn, now, most)).await?;
            due.retain(|mail| !work.underway.contains_key(&mail.id));
            due.truncate(AT_ONCE - work.underway.len());
            if due.is_empty() {
                break;
            }
            for mail in due {
                let id = mail.request;
                let request = self.store.read(move |conn| read::request(conn, id)).await?;
                let letter = self.letter(request, &mail.operator);
                work.start(mail, letter, &self.transport);
            }
        }
        Ok(())
    }

    /// The letter, or what to write down instead.
    fn letter(&self, request: Option<Request>, operator: &str) -> Result<Letter, MailOutcome> {
        let now = self.store.now();
        let waits = |r: &Request| r.status == Status::Pending && r.deadline > now;
        let Some(request) = request.filter(waits) else {
            return Err(MailOutcome::Pointless);
        };
        let people = (self.people)();
        let failed = |error: String| MailOutcome::Failed { error };
        let to = recipient(&people, operator, &self.transport).map_err(failed)?;
        let asked = people.asked(&request.requirement, &request.call.agent.on_behalf_of);
        let about = About {
            from: self.sender.from.clone(),
            reply_to: self.sender.reply_to.clone(),
            asked: asked.iter().map(|operator| operator.name.clone()).collect(),
            looked: Vec::new(),
            thread: None,
            now,
            command_prefix: self.sender.command_prefix.clone(),
            host: self.sender.host.clone(),
        };
        compose(&Matter::Asked(&request), &to, &about).map_err(|error| failed(error.to_string()))
    }
}

/// Where an operator's letters go, or why they go nowhere.
fn recipient(people: &People, operator: &str, by: &Transport) -> Result<Recipient, String> {
    let Some(operator) = people.operator(operator) else {
        return Err("this operator is no longer configured".to_owned());
    };
    let email = match (&operator.email, by) {
        (Some(email), _) => email.clone(),
        // A file needs no address, but its header does.
        (None, Transport::Folder(_)) => "operator@localhost".to_owned(),
        (None, Transport::Smtp(_)) => {
            return Err("this operator has no `email` in the configuration".to_owned());
        }
    };
    Ok(Recipient { name: operator.name.clone(), email, time_zone: operator.time_zone })
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
    /// Whether the newest letter was put off.
    failing: bool,
}

impl Work {
    fn start(&mut self, mail: DueMail, letter: Result<Letter, MailOutcome>, by: &Transport) {
        let row = mail.id;
        self.underway.insert(row, mail);
        match letter {
            Ok(letter) => {
                let by = by.clone();
                let delivery = self.deliveries.spawn(async move { by.deliver(&letter).await });
                self.rows.insert(delivery.id(), row);
            }
            Err(outcome) => self.unrecorded.push_back(MailResult { id: row, outcome }),
        }
    }

    fn landed(&mut self, ended: Result<(Id, Result<Delivered, Failure>), JoinError>) {
        let (task, result) = match ended {
            Ok((task, result)) => (task, result),
            Err(error) => {
                let text = "the delivery broke off, a defect of Holdpoint";
                (error.id(), Err(Failure::passing(text)))
            }
        };
        let Some(row) = self.rows.remove(&task) else {
            return;
        };
        let before = self.underway.get(&row).map_or(0, |mail| mail.attempts);
        let outcome = outcome(result, before.saturating_add(1));
        self.say(&outcome);
        self.unrecorded.push_back(MailResult { id: row, outcome });
    }

    /// Logs that mail stopped or goes again: each change once, not each letter.
    fn say(&mut self, outcome: &MailOutcome) {
        match outcome {
            MailOutcome::Retry { error, .. } if !self.failing => {
                self.failing = true;
                tracing::warn!(error, "mail does not go out; it is tried again until it does");
            }
            MailOutcome::Failed { error } => tracing::warn!(error, "a mail cannot be delivered"),
            MailOutcome::Sent { .. } if self.failing => {
                self.failing = false;
                tracing::info!("mail goes out again");
            }
            _ => {}
        }
    }

    /// Writes results down, oldest first; says whether all are.
    async fn record(&mut self, store: &Store) -> bool {
        while let Some(result) = self.unrecorded.front() {
            let (id, write) = (result.id, result.clone());
            if let Err(error) = store.write(move |tx| mail::result(tx, &write)).await {
                tracing::warn!(%error, "how a mail went cannot be recorded; trying again");
                return false;
            }
            self.underway.remove(&id);
            self.unrecorded.pop_front();
        }
        true
    }
}

fn outcome(result: Result<Delivered, Failure>, attempts: u32) -> MailOutcome {
    match result {
        Ok(Delivered { answer }) => MailOutcome::Sent { answer },
        Err(Failure { fault: Fault::Letter, text, .. }) => MailOutcome::Failed { error: text },
        Err(Failure { text, wait, .. }) => {
            let after = back_off::delay(attempts, getrandom::u32().unwrap_or_default());
            MailOutcome::Retry { error: text, after: wait.map_or(after, |wait| wait.max(after)) }
        }
    }
}
