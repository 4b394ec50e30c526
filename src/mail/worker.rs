//! The outbox worker: asks the store what waits, lets the schedule say what goes
//! next, composes, delivers, and writes down how it went.
//!
//! ```text
//!  store ── queues ──> schedule ── begin ──> compose ──> up to 8 deliveries ──> server or folder
//!    ^                                                        │
//!    └────────────────────────── result <─────────────────────┘
//! ```
//!
//! Promises: a letter counts as sent only once the store has recorded it, and
//! is not sent again while that is being tried; a server that hangs costs eight
//! letters' memory and nothing else, one that is away a letter now and then; one
//! operator's storm takes no other's turn; when the daemon is told to stop,
//! deliveries under way get a short while to end, and what is not recorded goes
//! out again after the restart under the same `Message-ID`.
//! Must never: hold up a decision.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::back_off;
use super::breaker::{Breaker, Change};
use super::notices::Notices;
pub use super::prepare::Sender;
use super::prepare::{Desk, Prepared};
use super::schedule;
use super::transport::{Delivered, Failure, Fault, Transport};
use crate::call::safe_text::SafeText;
use crate::desk::people::People;
use crate::metrics::MailResult as Counted;
use crate::store::mail::{self, Begin, DueMail, MailOutcome, MailResult, Queue};
use crate::store::{Store, StoreError};

/// Deliveries at the same time. Enough to clear a burst within seconds with a
/// server that takes a tenth of a second, few enough for any server's limits.
pub const AT_ONCE: usize = 8;

/// Deliveries to one operator at the same time, so that there is always room for
/// another operator's.
pub const EACH_AT_ONCE: usize = 4;

/// How often the outbox is looked at unasked: new letters announce themselves,
/// so this only finds those whose time has come.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long commits that may have queued mail are gathered into one look: a busy
/// daemon commits a thousand times a second, and mail takes longer than this.
pub const GATHER_FOR: Duration = Duration::from_millis(50);

/// How long deliveries under way may take once the daemon stops.
pub const GRACE: Duration = Duration::from_secs(5);

/// Works until `stop` ends. `wake` is notified whenever the store has recorded
/// new mail; `people` are those of the newest configuration; `per_minute` is how
/// many mails one operator gets in a minute.
pub async fn run(
    store: Store,
    transport: Transport,
    sender: Sender,
    per_minute: u32,
    people: impl Fn() -> Arc<People>,
    wake: &Notify,
    stop: impl Future<Output = ()>,
) {
    let worker = Worker { store, transport, sender, per_minute, people };
    let mut work = Work::default();
    tokio::pin!(stop);
    loop {
        if let Err(error) = worker.fill(&mut work).await {
            tracing::warn!(%error, "the outbox cannot be read or written; trying again");
        }
        let looked = Instant::now();
        let mut look_again = looked + LOOK_EVERY;
        // Until it is time to look again.
        loop {
            tokio::select! {
                () = &mut stop => return worker.stop(work).await,
                () = wake.notified() => look_again = looked + GATHER_FOR,
                () = tokio::time::sleep_until(look_again) => break,
                Some(ended) = work.deliveries.join_next_with_id() => {
                    work.landed(ended, &worker.store);
                    break;
                }
            }
        }
    }
}

/// What the worker works with.
struct Worker<P> {
    store: Store,
    transport: Transport,
    sender: Sender,
    per_minute: u32,
    people: P,
}

impl<P: Fn() -> Arc<People>> Worker<P> {
    /// Starts deliveries until enough are under way or nothing more is due.
    async fn fill(&self, work: &mut Work) -> Result<(), StoreError> {
        self.remind().await?;
        // What is not recorded is not forgotten, and nothing new begins before it is.
        while work.record(&self.store).await {
            let room = work.breaker.room(self.store.now(), AT_ONCE);
            let room = room.saturating_sub(work.underway.len());
            if room == 0 {
                break;
            }
            let wanted = self.next(work, room).await?;
            if wanted.is_empty() {
                break;
            }
            let begun = self.store.write(move |tx| mail::begin(tx, &wanted)).await?;
            if begun.is_empty() {
                break;
            }
            // What cannot be prepared for want of the store has begun on disk, and is
            // tried again.
            let mut ended = Ok(());
            for mail in begun {
                match self.prepare(&mail).await {
                    Ok(letter) => work.start(mail, letter, &self.transport),
                    Err(error) => ended = Err(error),
                }
            }
            ended?;
        }
        Ok(())
    }

    /// What begins next: by turns of one, of those first who have least under way.
    async fn next(&self, work: &Work, room: usize) -> Result<Vec<Begin>, StoreError> {
        let (now, per_minute) = (self.store.now(), self.per_minute);
        let underway: BTreeSet<i64> = work.underway.keys().copied().collect();
        let look =
            move |conn: &_| mail::queues(conn, now, &underway, per_minute, schedule::LOOKED_AT);
        let queues = self.store.read(look).await?;
        let people = (self.people)();
        let plan = |queue: &Queue| {
            let operator = people.operator(&queue.operator);
            let quiet = operator.is_some_and(|operator| operator.quiet_until(now).is_some());
            let off = operator.is_some_and(|operator| {
                queue.summaries_off == Some(mail::address_hash(operator.address()))
            });
            let gathering = match (off, quiet) {
                (true, _) => schedule::Gathering::Off,
                (false, true) => schedule::Gathering::Quiet,
                (false, false) => schedule::Gathering::On,
            };
            schedule::plan(queue, now, per_minute, gathering)
        };
        let plans = queues.iter().map(|queue| {
            let theirs = |mail: &&DueMail| mail.operator == queue.operator;
            (work.underway.values().filter(theirs).count(), plan(queue))
        });
        Ok(by_turns(plans.collect(), room))
    }

    /// The letter, or what to write down instead.
    async fn prepare(&self, mail: &DueMail) -> Result<Result<Prepared, MailOutcome>, StoreError> {
        let people = (self.people)();
        let (store, sender, transport) = (&self.store, &self.sender, &self.transport);
        Desk { store, people: &people, sender, transport }.prepare(mail).await
    }

    /// Queues the reminders that are due.
    async fn remind(&self) -> Result<(), StoreError> {
        let now = self.store.now();
        if !self.store.read(move |conn| mail::any_reminder(conn, now)).await? {
            return Ok(());
        }
        loop {
            let people = (self.people)();
            let more = self.store.write(move |tx| {
                let now = tx.now;
                mail::remind(tx, &|operator| people.operator(operator)?.quiet_until(now))
            });
            if !more.await? {
                return Ok(());
            }
        }
    }

    async fn stop(&self, mut work: Work) {
        let _ = tokio::time::timeout(GRACE, async {
            while let Some(ended) = work.deliveries.join_next_with_id().await {
                work.landed(ended, &self.store);
            }
        })
        .await;
        work.record(&self.store).await;
        self.transport.close().await;
    }
}

/// Takes from the plans, each with how many of its operator's are under way, one
/// at a time from where least is, until there is no more room.
fn by_turns(plans: Vec<(usize, Vec<Begin>)>, room: usize) -> Vec<Begin> {
    let mut plans: Vec<_> =
        plans.into_iter().map(|(underway, plan)| (underway, plan.into_iter())).collect();
    let mut taken = Vec::new();
    while taken.len() < room {
        let open = plans
            .iter_mut()
            .filter(|(underway, plan)| *underway < EACH_AT_ONCE && !plan.as_slice().is_empty());
        let Some((underway, plan)) = open.min_by_key(|(underway, _)| *underway) else { break };
        *underway += 1;
        taken.extend(plan.next());
    }
    taken
}

/// What is under way. An entry leaves `underway` only when its result is
/// recorded, so a store that cannot write stops new letters by itself.
#[derive(Default)]
struct Work {
    /// By row. At most [`AT_ONCE`].
    underway: BTreeMap<i64, DueMail>,
    deliveries: JoinSet<Result<Delivered, Failure>>,
    /// Which delivery is which row's.
    letters: HashMap<Id, Underway>,
    /// At most one for each entry of `underway`.
    unrecorded: VecDeque<MailResult>,
    breaker: Breaker,
    notices: Notices,
}

/// A letter on its way.
struct Underway {
    row: i64,
    message_id: String,
    told: Vec<i64>,
    /// See [`Breaker::mark`].
    mark: u32,
}

impl Work {
    fn start(&mut self, mail: DueMail, letter: Result<Prepared, MailOutcome>, by: &Transport) {
        let row = mail.id;
        self.underway.insert(row, mail);
        match letter {
            Ok(Prepared { letter, told }) => {
                let (by, message_id) = (by.clone(), letter.message_id.clone());
                let delivery = self.deliveries.spawn(async move { by.deliver(&letter).await });
                let mark = self.breaker.mark();
                self.letters.insert(delivery.id(), Underway { row, message_id, told, mark });
            }
            Err(outcome) => {
                if let MailOutcome::Failed { error } = &outcome {
                    tracing::warn!(error, "a mail cannot be delivered");
                }
                let (message_id, told) = (String::new(), Vec::new());
                self.unrecorded.push_back(MailResult { id: row, outcome, message_id, told });
            }
        }
    }

    fn landed(
        &mut self,
        ended: Result<(Id, Result<Delivered, Failure>), JoinError>,
        store: &Store,
    ) {
        let (task, result) = match ended {
            Ok((task, result)) => (task, result),
            Err(error) => {
                let text = "the delivery broke off, a defect of Holdpoint";
                let failure = Failure { meets_all: false, ..Failure::passing(text) };
                (error.id(), Err(failure))
            }
        };
        let Some(Underway { row, message_id, told, mark }) = self.letters.remove(&task) else {
            return;
        };
        let roll = getrandom::u32().unwrap_or_default();
        self.notice(&result, mark, store, roll);
        let attempts = self.underway.get(&row).map_or(1, |mail| mail.attempts);
        let outcome = outcome(result, attempts, roll);
        self.unrecorded.push_back(MailResult { id: row, outcome, message_id, told });
    }

    /// Keeps the breaker, and logs that mail stopped or goes again: each change
    /// once, not each letter, and not each minute's hundred.
    fn notice(&mut self, result: &Result<Delivered, Failure>, mark: u32, store: &Store, roll: u32) {
        let change = match result {
            Err(failure) if failure.meets_all => {
                self.breaker.failed(mark, store.now(), failure.wait, roll)
            }
            _ => self.breaker.worked(),
        };
        let now = Instant::now();
        match (self.notices.changed(change, now), result) {
            (Some(Change::Broke), Err(Failure { fault: Fault::SetUp, text, .. })) => {
                tracing::error!(error = text, "mail does not go out until somebody mends this");
            }
            (Some(Change::Broke), Err(Failure { text, .. })) => {
                tracing::warn!(error = text, "mail does not go out; it is tried until it does");
            }
            (Some(Change::Mended), _) => tracing::info!("mail goes out again"),
            _ => {}
        }
        match result {
            Err(Failure { fault: Fault::Letter, text, .. }) => {
                tracing::warn!(error = text, "a mail cannot be delivered");
            }
            Err(Failure { fault: Fault::SetUp, meets_all: false, text, .. })
                if self.notices.one(now) =>
            {
                tracing::warn!(error = text, "a mail does not go out until somebody mends this");
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
            let mail = self.underway.remove(&id);
            if let Some(MailResult { outcome, .. }) = self.unrecorded.pop_front() {
                store.metrics().mail(counted(&outcome));
                if let (Some(mail), MailOutcome::Sent { .. }) = (mail, outcome) {
                    let to = SafeText::line(&mail.operator);
                    // A summary is about several.
                    let request = mail.request.map(tracing::field::display);
                    tracing::info!(request, %to, "mail sent");
                }
            }
        }
        true
    }
}

fn counted(outcome: &MailOutcome) -> Counted {
    match outcome {
        MailOutcome::Sent { .. } => Counted::Sent,
        MailOutcome::Retry { .. } | MailOutcome::Unknown { .. } => Counted::Deferred,
        MailOutcome::Failed { .. } => Counted::Failed,
        MailOutcome::Pointless => Counted::Pointless,
    }
}

fn outcome(result: Result<Delivered, Failure>, attempts: u32, roll: u32) -> MailOutcome {
    let failure = match result {
        Ok(Delivered { answer }) => return MailOutcome::Sent { answer },
        Err(failure) => failure,
    };
    let wait = failure.wait.unwrap_or_default();
    // Also when it met what meets all, so that it is another that is tried next: what
    // looks like the server's fault may be one letter's.
    let (error, after) = (failure.text, back_off::delay(attempts, roll).max(wait));
    match failure.fault {
        _ if failure.unknown_end => MailOutcome::Unknown { error, after },
        Fault::Letter => MailOutcome::Failed { error },
        Fault::Passing | Fault::SetUp => MailOutcome::Retry { error, after },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ones(ids: std::ops::Range<i64>) -> Vec<Begin> {
        ids.map(Begin::One).collect()
    }

    #[test]
    fn one_operators_storm_takes_no_others_turn() {
        let storm = || ones(0..100);
        let taken = by_turns(vec![(0, storm()), (0, ones(100..102)), (0, ones(200..201))], AT_ONCE);
        let ids: Vec<i64> =
            taken.iter().map(|b| if let Begin::One(id) = b { *id } else { -1 }).collect();
        assert_eq!(ids, [0, 100, 200, 1, 101, 2, 3]);
        // However many of theirs are due, there is room for somebody else's.
        assert_eq!(by_turns(vec![(0, storm())], AT_ONCE).len(), EACH_AT_ONCE);
        assert!(by_turns(vec![(EACH_AT_ONCE, storm())], AT_ONCE).is_empty());
        let others = by_turns(vec![(EACH_AT_ONCE, storm()), (0, ones(7..9))], 4);
        assert_eq!(others, ones(7..9));
    }
}
