//! Who waits on which request: an index in memory over what the store holds.
//!
//! Who asks for a call waits; who looks on by its id waits for the same news, but is
//! in nobody's way: a request that is only looked at can be resumed.
//!
//! A ticket is registered before what it waits for is queued, and it moves to
//! another request only inside the store's transition, so between two looks at
//! the map there is no gap in which a decision could pass unnoticed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::error::DeskError;
use crate::call::ids::RequestId;
use crate::call::model::Request;
use crate::store::submit::Attach;

/// How many may wait on one request. A caller has one or two at a time, and some
/// more whose connections broke without a word. Were there no limit, one caller
/// with one request could take all places there are.
const ON_ONE: usize = 64;

type Wake = oneshot::Sender<Arc<Request>>;

/// One ticket, as the index has it.
#[derive(Debug)]
struct Waiter {
    number: u64,
    wake: Wake,
    /// Looks on, and does not keep others from resuming.
    looks_on: bool,
}

/// Everyone who waits.
#[derive(Debug)]
pub struct Waiters {
    // A std lock: held for a few map operations, by the writer thread too, and
    // never across an await.
    inner: Mutex<Inner>,
    most: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Tickets by request. Nearly always one.
    by_request: HashMap<RequestId, Vec<Waiter>>,
    next: u64,
    held: usize,
}

impl Inner {
    /// Sends the one who waited longest away if there are too many: its answer is
    /// how the request stands.
    fn add(&mut self, id: RequestId, waiter: Waiter) {
        let tickets = self.by_request.entry(id).or_default();
        if tickets.len() >= ON_ONE
            && let Some((at, _)) = tickets.iter().enumerate().min_by_key(|(_, w)| w.number)
        {
            tickets.remove(at);
        }
        tickets.push(waiter);
    }

    fn remove(&mut self, id: RequestId, number: u64) -> Option<Waiter> {
        let tickets = self.by_request.get_mut(&id)?;
        let at = tickets.iter().position(|waiter| waiter.number == number)?;
        let waiter = tickets.swap_remove(at);
        if tickets.is_empty() {
            self.by_request.remove(&id);
        }
        Some(waiter)
    }

    /// Whether anyone waits on it who would be in the way of a resume.
    fn is_held(&self, id: RequestId) -> bool {
        self.by_request.get(&id).is_some_and(|waiters| waiters.iter().any(|w| !w.looks_on))
    }
}

impl Waiters {
    /// At most this many at once.
    pub fn new(most: usize) -> Self {
        Waiters { inner: Mutex::new(Inner::default()), most: AtomicUsize::new(most) }
    }

    /// From now on at most this many; those who wait already stay.
    pub fn allow(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change below is whole before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ticket for a request that may not exist yet.
    pub fn register(self: &Arc<Self>, id: RequestId) -> Result<Ticket, DeskError> {
        self.ticket(id, false)
    }

    /// A ticket of one who only looks on.
    pub fn look_on(self: &Arc<Self>, id: RequestId) -> Result<Ticket, DeskError> {
        self.ticket(id, true)
    }

    fn ticket(self: &Arc<Self>, id: RequestId, looks_on: bool) -> Result<Ticket, DeskError> {
        let (wake, ended) = oneshot::channel();
        let most = self.most.load(Ordering::Relaxed);
        let mut inner = self.lock();
        if inner.held >= most {
            return Err(DeskError::TooManyHeld(most));
        }
        inner.held += 1;
        inner.next += 1;
        let number = inner.next;
        inner.add(id, Waiter { number, wake, looks_on });
        drop(inner);
        let place = Arc::new(Place { waiters: self.clone(), number, at: Mutex::new(Some(id)) });
        Ok(Ticket { place, ended })
    }

    /// A request has ended: everyone who waits on it hears how.
    pub fn wake(&self, request: &Arc<Request>) {
        let tickets = self.lock().by_request.remove(&request.id);
        for waiter in tickets.into_iter().flatten() {
            let _ = waiter.wake.send(request.clone());
        }
    }

    /// Whether anyone waits on it, or looks on.
    pub fn waits(&self, id: RequestId) -> bool {
        self.lock().by_request.contains_key(&id)
    }

    /// How many wait.
    pub fn held(&self) -> usize {
        self.lock().held
    }
}

/// Where a ticket is registered; `None` once its owner is gone.
#[derive(Debug)]
struct Place {
    waiters: Arc<Waiters>,
    number: u64,
    // Always taken before the map's lock.
    at: Mutex<Option<RequestId>>,
}

impl Place {
    fn at(&self) -> MutexGuard<'_, Option<RequestId>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits. Dropping it is leaving.
#[derive(Debug)]
pub struct Ticket {
    place: Arc<Place>,
    ended: oneshot::Receiver<Arc<Request>>,
}

impl Ticket {
    /// For the store's transition: moves this ticket to the request it belongs to.
    pub fn attach(&self) -> AttachTicket {
        AttachTicket { place: self.place.clone() }
    }

    /// The request, once it has ended; `None` if that will not be told.
    pub async fn ended(&mut self) -> Option<Arc<Request>> {
        (&mut self.ended).await.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut at = self.place.at();
        let mut inner = self.place.waiters.lock();
        inner.held -= 1;
        if let Some(id) = at.take() {
            inner.remove(id, self.place.number);
        }
    }
}

/// Moves a ticket, on the writer thread.
#[derive(Debug)]
pub struct AttachTicket {
    place: Arc<Place>,
}

impl AttachTicket {
    fn attach(&self, id: RequestId, alone: bool) -> bool {
        let mut at = self.place.at();
        let mut inner = self.place.waiters.lock();
        if alone && inner.is_held(id) {
            return false;
        }
        // Its owner may have left meanwhile. Then the request is taken over all
        // the same, and nobody waits on it: whoever asks next resumes it.
        if let Some(before) = at.as_mut()
            && let Some(waiter) = inner.remove(*before, self.place.number)
        {
            *before = id;
            inner.add(id, waiter);
        }
        true
    }
}

impl Attach for AttachTicket {
    fn claim(&self, id: RequestId) -> bool {
        self.attach(id, true)
    }

    fn join(&self, id: RequestId) {
        self.attach(id, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> RequestId {
        RequestId::from_bytes([n; 16])
    }

    #[test]
    fn a_request_is_claimed_only_while_nobody_waits_on_it() {
        let waiters = Arc::new(Waiters::new(10));
        let first = waiters.register(id(1)).expect("room");
        let second = waiters.register(id(2)).expect("room");
        assert!(!second.attach().claim(id(1)));
        drop(first);
        assert!(second.attach().claim(id(1)));
        assert!(waiters.waits(id(1)) && !waiters.waits(id(2)));
        drop(second);
        assert!(!waiters.waits(id(1)));
        assert_eq!(waiters.held(), 0);
    }

    #[test]
    fn who_looks_on_is_in_nobodys_way() {
        let waiters = Arc::new(Waiters::new(10));
        let _looks = waiters.look_on(id(1)).expect("room");
        let second = waiters.register(id(2)).expect("room");
        assert!(second.attach().claim(id(1)));
        let third = waiters.register(id(3)).expect("room");
        assert!(!third.attach().claim(id(1)), "now somebody waits");
        drop(second);
        assert!(waiters.waits(id(1)) && third.attach().claim(id(1)));
    }

    #[test]
    fn one_who_left_takes_over_without_waiting() {
        let waiters = Arc::new(Waiters::new(10));
        let ticket = waiters.register(id(1)).expect("room");
        let attach = ticket.attach();
        drop(ticket);
        assert!(attach.claim(id(2)));
        assert!(!waiters.waits(id(2)));
    }

    #[tokio::test]
    async fn one_request_cannot_take_all_places() {
        let waiters = Arc::new(Waiters::new(1000));
        let mut first = waiters.register(id(1)).expect("room");
        let others: Vec<Ticket> =
            (0..ON_ONE).map(|_| waiters.register(id(2)).expect("room")).collect();
        for other in &others {
            other.attach().join(id(1));
        }
        assert!(first.ended().await.is_none(), "sent away");
        drop(first);
        assert_eq!(waiters.held(), ON_ONE);
        assert!(waiters.waits(id(1)));
        drop(others);
        assert!(!waiters.waits(id(1)) && !waiters.waits(id(2)));
    }

    #[test]
    fn no_more_wait_than_may() {
        let waiters = Arc::new(Waiters::new(1));
        let _one = waiters.register(id(1)).expect("room");
        assert!(matches!(waiters.register(id(2)), Err(DeskError::TooManyHeld(1))));
    }
}
