//! The service itself: who may ask, who may decide, and who waits for what.
//!
//! ```text
//!  caller ── request_approval ──> intake ─> routes ─> ticket ─> store (submit)
//!                 │ waits on its ticket                            │
//!  operator ── decide ──────────> people, at the transition ─> store (decide)
//!                                                                  │ committed
//!                 └── woken <── waiters <──────── events ──────────┘
//! ```
//!
//! Promises: a waiter is registered before what it waits for can happen, so no
//! decision is lost; a request outlives every connection; identity comes from a
//! credential only. Waiters are an index over what the store holds: losing them
//! all, in a crash, loses nothing.
//!
//! Must never: answer before the store has committed, or keep the unmasked
//! arguments of a call once it has been digested.

mod counting;
mod definitions;
pub mod entitlement;
pub mod error;
pub mod explained;
pub mod history;
pub mod in_force;
pub mod intake;
pub mod links;
pub mod people;
pub mod routes;
pub mod seal;
mod settings;
pub mod sign_ins;
pub mod unsubscribe;
pub mod visitor;
pub mod waiters;
pub mod watch;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, broadcast, watch as state};

use crate::call::digest::Digest;
use crate::call::handle::Handle;
use crate::call::ids::RequestId;
use crate::call::model::{Call, Outcome, Request, Status, Verdict};
use crate::call::redact::mask_text;
use crate::call::requirement::Requirement;
use crate::call::time::Time;
use crate::metrics::Metrics;
use crate::store::change::{self, Change};
use crate::store::clock::{self, Clock};
use crate::store::decide::{self, Decide, Entitled, Lift};
use crate::store::mail::{self, ListedMail};
use crate::store::read::PendingAfter;
use crate::store::record::{self, Recorded};
use crate::store::schema::OpenError;
use crate::store::submit::{self, Submit, Submitted, Taken};
use crate::store::uses::{self, ReportOutcome, TakeUse};
use crate::store::{
    Event, Refusal, Store, StoreError, StoreOptions, Tx, ending, find, reach, read,
};
use entitlement::Entitlement;
use error::DeskError;
use in_force::{Current, InForce};
use intake::{Incoming, Intake};
use people::{Caller, Operator, People};
use routes::{Facts, Routes};
pub use settings::Settings;
use waiters::{Ticket, Waiters};

/// Shortest and longest time that people can be given.
pub const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(7 * 24 * 3600);

/// How many committed events a watcher may be behind before it is sent
/// everything again. Some 5 MB if all of them are small requests.
const EVENTS_KEPT: usize = 4096;

/// Kilobytes of calls that may be on their way to the disk at once. Beyond, callers
/// are told to come back: no number of large calls takes all memory.
const UNDERWAY_KIB: usize = 256 * 1024;

/// How long transitions under way may take once the daemon stops. They take
/// milliseconds, unless the disk or somebody's lock holds them up.
const LAST_COMMITS: Duration = Duration::from_millis(700);

/// Pending requests that one list holds, and the bytes of their arguments: more than
/// a person looks through.
const PENDING_AT_MOST: usize = 1000;
const PENDING_BYTES: usize = 16 * 1024 * 1024;

/// Pending requests read at once for it.
const PENDING_READ: usize = 500;

/// What a caller asks.
#[derive(Debug)]
pub struct Question {
    /// Its idempotency key.
    pub call_id: String,
    /// Under which it wants to find the request again.
    pub handle: Option<Handle>,
    /// The call, unchecked.
    pub incoming: Incoming,
    /// How long people are to have.
    pub timeout: Option<Duration>,
}

/// What a caller is told.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The request as it stands.
    pub request: Arc<Request>,
    /// A remembered denial was told again.
    pub remembered: bool,
}

/// A call that was brought to the store.
enum TakenIn {
    /// The request that it belongs to has ended before.
    Ended(Answer),
    /// It waits on this request.
    Waits(RequestId, Ticket),
}

/// Everything behind the doors.
pub struct Desk {
    store: Store,
    current: Current,
    waiters: Arc<Waiters>,
    events: broadcast::Sender<Event>,
    closing: state::Sender<bool>,
    /// See [`Desk::changes`].
    changes: state::Sender<()>,
    mail: Arc<tokio::sync::Notify>,
    underway: Semaphore,
    verified: history::LastVerified,
    verifying: history::Verifying,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Desk {
    /// Opens the store and takes up what is pending in it.
    pub fn open(
        database: std::path::PathBuf,
        clock: Arc<dyn Clock>,
        people: People,
        routes: Routes,
        settings: Settings,
    ) -> Result<Arc<Self>, OpenError> {
        let waiters = Arc::new(Waiters::new(settings.max_held));
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let mail = Arc::new(tokio::sync::Notify::new());
        let metrics = Arc::new(Metrics::new());
        let (wake, tell, ring) = (waiters.clone(), events.clone(), mail.clone());
        let counted = metrics.clone();
        let store = Store::open(StoreOptions {
            path: database,
            clock,
            on_commit: Box::new(move |committed| {
                for event in committed {
                    counting::count(&counted, &event);
                    if event.request.status != Status::Pending {
                        wake.wake(&event.request);
                    }
                    // Nobody watching is not an error.
                    let _ = tell.send(event);
                }
                ring.notify_one();
            }),
            before_commit: None,
            metrics,
        })?;
        store.keep_for(settings.retention);
        Ok(Arc::new(Desk {
            store,
            current: Current::new(InForce { people: Arc::new(people), routes, settings }),
            waiters,
            events,
            closing: state::Sender::new(false),
            changes: state::Sender::new(()),
            mail,
            underway: Semaphore::new(UNDERWAY_KIB),
            verified: history::LastVerified::default(),
            verifying: history::Verifying::default(),
        }))
    }

    /// The store, for questions.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.store.metrics()
    }

    /// Rings after commits that may have queued mail.
    pub fn mail_bell(&self) -> Arc<tokio::sync::Notify> {
        self.mail.clone()
    }

    /// Everybody, as they are configured now.
    pub fn people(&self) -> Arc<People> {
        self.current.get().people.clone()
    }

    /// The settings, as they are configured now.
    pub fn settings(&self) -> Settings {
        self.current.get().settings
    }

    /// Exchanges people, routes and settings at once, and records that. The
    /// exchange takes its place among the transitions: what the history has
    /// behind the entry was judged by the new people. If it cannot be recorded,
    /// nothing changes. Not for two at once.
    pub async fn exchange(&self, next: InForce, change: Change) -> Result<(), DeskError> {
        let (before, current) = (self.current.get(), self.current.clone());
        let Settings { max_held: most, retention, .. } = next.settings;
        let next = Arc::new(next);
        let exchange = move |tx: &mut Tx<'_>| {
            change::config_reloaded(tx, &change)?;
            current.put(next);
            Ok(())
        };
        if let Err(error) = self.store.write(exchange).await {
            self.current.put(before);
            return Err(error.into());
        }
        self.waiters.allow(most);
        self.store.keep_for(retention);
        self.changes.send_replace(());
        Ok(())
    }

    fn entitlement(&self) -> Entitlement {
        Entitlement::new(self.current.clone())
    }

    /// Holds a call until it is decided, its time is up, or `max_wait` passes.
    pub async fn request_approval(
        &self,
        caller: &Caller,
        question: Box<Question>,
        max_wait: Option<Duration>,
    ) -> Result<Answer, DeskError> {
        // What waits is small: an id and a ticket. The call itself is on disk, and
        // what it took to bring it there is in a box that is gone by then.
        match Box::pin(self.take_in(caller, question)).await? {
            TakenIn::Ended(answer) => Ok(answer),
            TakenIn::Waits(id, ticket) => self.wait(id, ticket, max_wait).await,
        }
    }

    async fn take_in(
        &self,
        caller: &Caller,
        question: Box<Question>,
    ) -> Result<TakenIn, DeskError> {
        self.refuse_if_closing()?;
        let (submit, room) = self.prepare(caller, *question)?;
        let ticket = self.waiters.register(submit.id)?;
        let attach = ticket.attach();
        // A handle may be refused when the call is written already.
        let checked = submit.handle.is_none();
        let transition = move |tx: &mut Tx<'_>| submit::submit(tx, *submit, &attach);
        let Submitted { request, taken } = match checked {
            true => self.write_checked(transition).await?,
            false => self.write(transition).await?,
        };
        drop(room);
        if request.status == Status::Pending {
            return Ok(TakenIn::Waits(request.id, ticket));
        }
        let remembered = taken == Taken::Remembered;
        Ok(TakenIn::Ended(Answer { request, remembered }))
    }

    /// Who has to agree to a call, by what is in force at this moment, and room
    /// for it on its way to the disk.
    fn prepare(
        &self,
        caller: &Caller,
        question: Question,
    ) -> Result<(Box<Submit>, SemaphorePermit<'_>), DeskError> {
        let Question { call_id, handle, incoming, timeout } = question;
        let in_force = self.current.get();
        let InForce { people, routes, settings } = &*in_force;
        let also = incoming.also_route.clone();
        let call = Intake { max_arguments: settings.max_arguments }.take(caller, incoming)?;
        let facts = Facts {
            server: &call.server,
            tool: &call.tool,
            category: call.category,
            risk: call.risk,
            labels: &call.labels,
            also: &also,
        };
        let (requirement, timeout) = routes.requirement(&facts, timeout)?;
        let room = self.room([&call])?;
        let on_behalf_of = call.agent.on_behalf_of.as_str();
        people
            .can_be_satisfied(&requirement, on_behalf_of)
            .map_err(DeskError::NotEnoughOperators)?;
        let asked = people.asked(&requirement, on_behalf_of);
        let submit = Submit {
            id: RequestId::new(self.store.now().0),
            call_id,
            handle,
            call,
            requirement,
            mail_to: asked.iter().map(|operator| operator.mail_to()).collect(),
            timeout: timeout.clamp(*TIMEOUT.start(), *TIMEOUT.end()),
            watch_reach: settings.watch_reach,
            limits: settings.pending,
        };
        Ok((Box::new(submit), room))
    }

    /// Looks on until a request ends, by its id. Holds nothing: the request can be
    /// resumed meanwhile.
    pub async fn await_approval(
        &self,
        caller: &Caller,
        id: RequestId,
        max_wait: Option<Duration>,
    ) -> Result<Answer, DeskError> {
        self.refuse_if_closing()?;
        // Nobody waits, however briefly, on what is not theirs.
        self.own(caller, id).await?;
        // Registered first, looked at second: a decision in between is not missed.
        let ticket = self.waiters.look_on(id)?;
        let request = self.own(caller, id).await?;
        if request.status != Status::Pending {
            return Ok(Answer { request: Arc::new(request), remembered: false });
        }
        drop(request);
        self.wait(id, ticket, max_wait).await
    }

    async fn wait(
        &self,
        id: RequestId,
        mut ticket: Ticket,
        max_wait: Option<Duration>,
    ) -> Result<Answer, DeskError> {
        let mut closing = self.closing.subscribe();
        let patience = async {
            match max_wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What is decided is told even if something else happens as well.
            biased;
            ended = ticket.ended() => {
                if let Some(request) = ended {
                    return Ok(Answer { request, remembered: false });
                }
            }
            _ = closing.wait_for(|closing| *closing) => return Err(DeskError::ShuttingDown),
            () = patience => {}
        }
        // Few come here, and nobody who waits keeps room for it.
        let request = Box::pin(self.store.read(move |conn| read::request(conn, id))).await?;
        let request = Arc::new(request.ok_or(DeskError::not_found())?);
        Ok(Answer { request, remembered: false })
    }

    /// Runs a transition.
    async fn write<T, F>(&self, transition: F) -> Result<T, DeskError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.unless_stopped(self.store.write(transition)).await
    }

    /// Runs a transition that refuses before it writes.
    async fn write_checked<T, F>(&self, transition: F) -> Result<T, DeskError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.unless_stopped(self.store.write_checked(transition)).await
    }

    /// A transition that gets nowhere while the daemon stops is not waited for until
    /// the connection is cut: whoever asked is told to ask again.
    async fn unless_stopped<T>(
        &self,
        written: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, DeskError> {
        let mut closing = self.closing.subscribe();
        let late = async {
            let _ = closing.wait_for(|closing| *closing).await;
            tokio::time::sleep(LAST_COMMITS).await;
        };
        tokio::select! {
            biased;
            done = written => Ok(done?),
            () = late => Err(DeskError::ShuttingDown),
        }
    }

    fn refuse_if_closing(&self) -> Result<(), DeskError> {
        if *self.closing.borrow() { Err(DeskError::ShuttingDown) } else { Ok(()) }
    }

    /// A caller's own request.
    pub async fn own(&self, caller: &Caller, id: RequestId) -> Result<Request, DeskError> {
        let found = self.store.read(move |conn| read::request(conn, id)).await?;
        found.filter(|request| request.call.caller == caller.name).ok_or(DeskError::not_found())
    }

    /// A caller's own request by a handle that it was given with this client, as it
    /// stands, and since when it has the handle.
    pub async fn find(
        &self,
        caller: &Caller,
        client: String,
        handle: Handle,
    ) -> Result<(Answer, Time), DeskError> {
        let name = caller.name.clone();
        let found =
            self.store.read(move |conn| find::by_handle(conn, &name, &client, handle)).await?;
        let (request, since) = found.ok_or(DeskError::not_found())?;
        Ok((Answer { request: Arc::new(request), remembered: false }, since))
    }

    /// Hands over the one use. `Ok` is the permission to run the call.
    pub async fn take_use(
        &self,
        caller: &Caller,
        id: RequestId,
        call_id: String,
        digest: Digest,
        expect_outcome: bool,
    ) -> Result<Request, DeskError> {
        let lease = expect_outcome.then_some(self.settings().lease);
        let input = TakeUse { caller: caller.name.clone(), id, call_id, digest, lease };
        self.write_checked(move |tx| uses::take_use(tx, &input)).await
    }

    /// The call still runs.
    pub async fn renew_use(
        &self,
        caller: &Caller,
        id: RequestId,
        call_id: String,
    ) -> Result<Duration, DeskError> {
        let (caller, lease) = (caller.name.clone(), self.settings().lease);
        self.write(move |tx| uses::renew_use(tx, &caller, id, &call_id, lease)).await?;
        Ok(lease)
    }

    /// How the call ended.
    pub async fn report_outcome(
        &self,
        caller: &Caller,
        id: RequestId,
        call_id: String,
        outcome: Outcome,
        detail: &str,
    ) -> Result<(), DeskError> {
        let detail = mask_text(detail).0;
        let input = ReportOutcome { caller: caller.name.clone(), id, call_id, outcome, detail };
        self.write(move |tx| uses::report_outcome(tx, &input)).await?;
        Ok(())
    }

    /// The caller takes a request back.
    pub async fn withdraw(
        &self,
        caller: &Caller,
        id: RequestId,
        reason: &str,
    ) -> Result<Request, DeskError> {
        let (caller, reason) = (caller.name.clone(), mask_text(reason).0);
        self.write(move |tx| ending::withdraw(tx, &caller, id, &reason)).await
    }

    /// Puts calls that were not held into the history.
    pub async fn record_calls(&self, calls: Vec<Recorded>) -> Result<(), DeskError> {
        let _room = self.room(calls.iter().map(|recorded| &recorded.call))?;
        let verdicts: Vec<_> = calls.iter().map(|recorded| recorded.verdict.word()).collect();
        self.write(move |tx| record::record_calls(tx, &calls)).await?;
        verdicts.into_iter().for_each(|verdict| self.metrics().call(verdict));
        Ok(())
    }

    /// Room for these calls on their way to the disk.
    fn room<'a>(
        &self,
        calls: impl IntoIterator<Item = &'a Call>,
    ) -> Result<SemaphorePermit<'_>, DeskError> {
        let kib = calls.into_iter().map(|call| 1 + call.arguments.len() / 1024).sum::<usize>();
        let kib = u32::try_from(kib.min(UNDERWAY_KIB)).unwrap_or(u32::MAX);
        self.underway.try_acquire_many(kib).map_err(|_| StoreError::Overloaded.into())
    }

    /// An operator approves or denies what had been on their screen for so long,
    /// where the door knows.
    pub async fn decide(
        &self,
        operator: &Operator,
        id: RequestId,
        verdict: Verdict,
        reason: &str,
        shown: String,
        on_screen: Option<Duration>,
    ) -> Result<Arc<Request>, DeskError> {
        let input = Decide {
            id,
            operator: operator.name.clone(),
            strength: operator.strength,
            verdict,
            reason: mask_text(reason).0,
            shown,
            lapse_after: self.settings().lapse_after,
            on_screen,
        };
        let entitled = self.entitlement();
        self.write_checked(move |tx| decide::decide(tx, &input, &entitled)).await
    }

    /// An operator forgets a denial.
    pub async fn lift_denial(
        &self,
        operator: &Operator,
        id: RequestId,
        reason: &str,
    ) -> Result<Request, DeskError> {
        let input = Lift { id, operator: operator.name.clone(), reason: mask_text(reason).0 };
        let entitled = self.entitlement();
        self.write(move |tx| decide::lift_denial(tx, &input, &entitled)).await
    }

    /// A request, if this person may see it; otherwise it does not exist for them.
    pub async fn visible(&self, operator: &Operator, id: RequestId) -> Result<Request, DeskError> {
        let found = self.store.read(move |conn| read::request(conn, id)).await?;
        found.filter(|request| sees(operator, request)).ok_or(DeskError::not_found())
    }

    /// What waits for this person's decision (or, with `all`, what they may see), most
    /// urgent first, and whether there is more than that.
    pub async fn pending_for(
        &self,
        operator: &Operator,
        all: bool,
    ) -> Result<(Vec<Request>, bool), DeskError> {
        let (mut found, mut after, mut bytes) = (Vec::new(), PendingAfter::default(), 0);
        loop {
            let (page, more) =
                self.store.read(move |conn| read::pending(conn, after, PENDING_READ)).await?;
            let people = self.people();
            for (at, request) in page {
                after = at;
                let on_behalf_of = &request.call.agent.on_behalf_of;
                let theirs = match all {
                    true => sees(operator, &request),
                    false => people
                        .entitled(&operator.name, &request.requirement, on_behalf_of)
                        .is_ok_and(|()| !has_approved(operator, &request)),
                };
                if !theirs {
                    continue;
                }
                if found.len() == PENDING_AT_MOST || bytes >= PENDING_BYTES {
                    return Ok((found, true));
                }
                bytes += request.call.arguments.len();
                found.push(request);
            }
            if !more {
                return Ok((found, false));
            }
        }
    }

    /// Notes that somebody who may decide this pending request has read it, whole.
    /// Nobody waits for it: what cannot be written down now (a full disk, say) is
    /// when they look again.
    pub fn looked(&self, operator: &Operator, request: &Request) {
        let (name, id) = (operator.name.clone(), request.id);
        let entitled = self.entitlement();
        let known = request.looked.iter().any(|look| look.operator == name);
        if known || request.status != Status::Pending || entitled.counts(&name, request).is_err() {
            return;
        }
        self.store.post(move |tx| reach::look(tx, id, &name, &entitled));
    }

    /// An admin wants a mail to be tried again now; it as it stands then.
    pub async fn retry_mail(&self, admin: &Operator, id: i64) -> Result<ListedMail, DeskError> {
        let name = admin.name.clone();
        self.write(move |tx| mail::retry(tx, id, &name)).await?;
        // No event of a request rings for it.
        self.mail.notify_one();
        let found = self.store.read(move |conn| mail::one(conn, id)).await?;
        found.ok_or_else(|| StoreError::from(Refusal::NoSuchMail(id)).into())
    }

    /// An admin vouches for the clock.
    pub async fn confirm_clock(&self, admin: &Operator) -> Result<Time, DeskError> {
        let name = admin.name.clone();
        self.write(move |tx| clock::confirm(tx, &name)).await
    }

    /// Whether anyone waits on a request right now.
    pub fn waited_on(&self, id: RequestId) -> bool {
        self.waiters.waits(id)
    }

    /// How many calls wait right now.
    pub fn held(&self) -> usize {
        self.waiters.held()
    }

    /// Committed events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Becomes true when the daemon stops.
    pub fn closing(&self) -> state::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Sends everyone who waits away, in a way that they resume on. Their
    /// requests stay.
    pub fn start_closing(&self) {
        self.closing.send_replace(true);
    }

    /// Finishes what is queued and closes the store.
    pub async fn close(&self) {
        self.start_closing();
        self.store.close().await;
    }
}

/// Whether this person's approval is counted already, and others' are waited for.
fn has_approved(operator: &Operator, request: &Request) -> bool {
    request.decisions.iter().any(|decision| decision.operator == operator.name)
}

/// Whether a request is this person's business.
pub fn sees(operator: &Operator, request: &Request) -> bool {
    operator.sees_all() || asks(operator, &request.requirement)
}

/// Whether a request with this requirement is one that they may decide.
fn asks(operator: &Operator, requirement: &Requirement) -> bool {
    operator.can_decide() && requirement.asks(&operator.groups)
}
