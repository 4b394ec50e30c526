//! Who is connected, and who has to go when there are too many.
//!
//! Promises: there are never more connections than the limits say; a flood of
//! connections that cannot authenticate displaces only itself, because the
//! oldest of them makes room for the newest, and one that has authenticated is
//! never displaced, as long as its credential is good; whoever says nothing is
//! sent away in time. Must never: wait.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::counts::DoorCounts;
use crate::desk::visitor::Visitor;

/// How long a connection may take until a call of its own got past the token
/// check, or asked for health or reflection. Clients call as soon as they are
/// connected; one that was cut makes a new connection with its next call.
const SILENT_FOR: Duration = Duration::from_secs(15);

/// How often those who are due are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// How far a connection has come. The lower ones go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Was known by a credential that is good no more. Calls of others may be
    /// under way on it, so it may stay; but it is the first to make room.
    Revoked,
    /// Made no call that needs nobody's token, and none with a valid one.
    Silent,
    /// Asked for health or reflection: may stay, and makes room when there is none.
    Greeted,
    /// Made a call as somebody who is known here.
    Known,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct CrowdLimits {
    /// Over all doors.
    pub connections: usize,
    /// From one address, over TCP.
    pub per_address: usize,
}

/// Everybody who is connected.
#[derive(Debug)]
pub struct Crowd {
    limits: CrowdLimits,
    counts: Arc<DoorCounts>,
    /// Held for a few map operations at a time, never across an await.
    inside: Mutex<Inside>,
    /// How often it was looked who is still known, counted from 1.
    reviews: AtomicU64,
}

#[derive(Debug, Default)]
struct Inside {
    /// The number of the next connection; numbers are in the order of arrival.
    next: u64,
    seats: HashMap<u64, Seat>,
    all: Line,
    /// One line for each address.
    addresses: HashMap<IpAddr, Line>,
    /// Ends of client certificates, in seconds since 1970.
    ends: BTreeSet<(u64, u64)>,
}

/// Those from everywhere, or those from one address.
#[derive(Debug, Default)]
struct Line {
    open: usize,
    /// Who has not authenticated, in the order in which they have to go.
    strangers: BTreeSet<(Standing, u64)>,
}

#[derive(Debug)]
struct Seat {
    standing: Standing,
    since: Instant,
    address: Option<IpAddr>,
    ends: Option<u64>,
    /// Who made it known: the first to call on it since the last review.
    who: Option<Visitor>,
    /// Ends the connection.
    cut: oneshot::Sender<()>,
}

/// A place in the crowd, given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    number: u64,
}

/// Why a connection is closed from this side.
#[derive(Debug, Clone, Copy)]
enum Why {
    Displaced,
    Silent,
    Refused,
    CertificateEnded,
}

impl Crowd {
    /// Nobody yet. Sends away whoever is due, as long as it lives.
    pub fn new(limits: CrowdLimits, counts: Arc<DoorCounts>) -> Arc<Self> {
        let crowd = Arc::new(Crowd {
            limits,
            counts,
            inside: Mutex::default(),
            reviews: AtomicU64::new(1),
        });
        tokio::spawn(sweep(Arc::downgrade(&crowd)));
        crowd
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one more in, in somebody's place if need be. What is received from
    /// the second ends the connection. `None`: there is no room, and everybody
    /// who could be displaced is known.
    pub fn enter(self: &Arc<Self>, from: Option<IpAddr>) -> Option<(Place, oneshot::Receiver<()>)> {
        let from = from.map(neighbourhood);
        let mut inside = self.inside();
        let room = from.is_none_or(|address| {
            inside.addresses.get(&address).is_none_or(|line| line.open < self.limits.per_address)
                || self.displace(&mut inside, Some(address))
        });
        let room =
            room && (inside.all.open < self.limits.connections || self.displace(&mut inside, None));
        if !room {
            DoorCounts::add(&self.counts.refused);
            return None;
        }
        let number = inside.next;
        inside.next += 1;
        let (cut, is_cut) = oneshot::channel();
        let (standing, since) = (Standing::Silent, Instant::now());
        inside.lines(from, |line| {
            line.open += 1;
            line.strangers.insert((standing, number));
        });
        let seat = Seat { standing, since, address: from, ends: None, who: None, cut };
        inside.seats.insert(number, seat);
        DoorCounts::add(&self.counts.accepted);
        DoorCounts::add(&self.counts.open);
        Some((Place { crowd: self.clone(), number }, is_cut))
    }

    /// Sends the one away who has to go first, from everywhere or from one
    /// address. False if all of them are known.
    fn displace(&self, inside: &mut Inside, from: Option<IpAddr>) -> bool {
        let line = match from {
            Some(address) => inside.addresses.get(&address),
            None => Some(&inside.all),
        };
        let Some((_, number)) = line.and_then(|line| line.strangers.first().copied()) else {
            return false;
        };
        self.send_away(inside, number, Why::Displaced);
        true
    }

    /// Makes room where the system has none left.
    pub fn displace_one(&self) -> bool {
        self.displace(&mut self.inside(), None)
    }

    fn send_away(&self, inside: &mut Inside, number: u64, why: Why) {
        let Some(seat) = self.remove(inside, number) else { return };
        DoorCounts::add(match why {
            Why::Displaced => &self.counts.displaced,
            Why::Silent => &self.counts.silent,
            Why::Refused => &self.counts.given_up,
            Why::CertificateEnded => &self.counts.ended,
        });
        tracing::debug!(?why, address = ?seat.address, "a connection is closed");
        // One that is gone already is not an error.
        let _ = seat.cut.send(());
    }

    fn remove(&self, inside: &mut Inside, number: u64) -> Option<Seat> {
        let seat = inside.seats.remove(&number)?;
        inside.lines(seat.address, |line| {
            line.open -= 1;
            line.strangers.remove(&(seat.standing, number));
        });
        if let Some(address) = seat.address
            && inside.addresses.get(&address).is_some_and(|line| line.open == 0)
        {
            inside.addresses.remove(&address);
        }
        if let Some(ends) = seat.ends {
            inside.ends.remove(&(ends, number));
        }
        DoorCounts::take(&self.counts.open);
        if seat.standing == Standing::Known {
            DoorCounts::take(&self.counts.known);
        }
        Some(seat)
    }

    /// Takes those for strangers who were known by what is good no more.
    pub fn review(&self, still: impl Fn(&Visitor) -> bool) {
        let known: Vec<(u64, Visitor)> = {
            let inside = self.inside();
            let known = inside.seats.iter().filter(|(_, seat)| seat.standing == Standing::Known);
            known.filter_map(|(number, seat)| Some((*number, seat.who.clone()?))).collect()
        };
        // To judge takes longer than the lock may be held.
        let gone = known.into_iter().filter(|(_, who)| !still(who));
        let gone: Vec<u64> = gone.map(|(number, _)| number).collect();
        let mut inside = self.inside();
        for number in gone {
            inside.stand(number, Standing::Revoked, &self.counts);
        }
        // From now on the next good call on each connection counts again, also on
        // one that somebody else's call has made known meanwhile.
        self.reviews.fetch_add(1, Ordering::Release);
    }

    /// Sends away who was silent for too long, and whose certificate has ended.
    fn sweep(&self, now: Instant, wall: u64) {
        let mut inside = self.inside();
        let silent = (Standing::Silent, 0);
        while let Some((Standing::Silent, number)) =
            inside.all.strangers.range(silent..).next().copied()
            && inside.seats.get(&number).is_none_or(|seat| now >= seat.since + SILENT_FOR)
        {
            self.send_away(&mut inside, number, Why::Silent);
        }
        while let Some((ends, number)) = inside.ends.first().copied()
            // It is good for the whole of its last second.
            && ends < wall
        {
            self.send_away(&mut inside, number, Why::CertificateEnded);
        }
    }
}

impl Inside {
    /// Gives a connection another standing.
    fn stand(&mut self, number: u64, to: Standing, counts: &DoorCounts) {
        let Some(seat) = self.seats.get_mut(&number) else { return };
        let (from, address) = (std::mem::replace(&mut seat.standing, to), seat.address);
        self.lines(address, |line| {
            line.strangers.remove(&(from, number));
            if to < Standing::Known {
                line.strangers.insert((to, number));
            }
        });
        match (from == Standing::Known, to == Standing::Known) {
            (false, true) => DoorCounts::add(&counts.known),
            (true, false) => DoorCounts::take(&counts.known),
            _ => {}
        }
    }

    /// Does the same to the line of all and to that of an address.
    fn lines(&mut self, address: Option<IpAddr>, mut change: impl FnMut(&mut Line)) {
        change(&mut self.all);
        if let Some(address) = address {
            change(self.addresses.entry(address).or_default());
        }
    }
}

impl Place {
    /// It has come this far. Only a review takes it back.
    pub fn rise(&self, to: Standing) {
        let mut inside = self.crowd.inside();
        if inside.seats.get(&self.number).is_some_and(|seat| seat.standing < to) {
            inside.stand(self.number, to, &self.crowd.counts);
        }
    }

    /// Somebody who is known made a call on it.
    pub fn known(&self, who: &Visitor) {
        self.rise(Standing::Known);
        if let Some(seat) = self.crowd.inside().seats.get_mut(&self.number) {
            seat.who = Some(who.clone());
        }
    }

    /// Whether it has authenticated with what is still good.
    pub fn is_known(&self) -> bool {
        let inside = self.crowd.inside();
        inside.seats.get(&self.number).is_some_and(|seat| seat.standing == Standing::Known)
    }

    /// How often it was looked who is still known. Never 0.
    pub fn reviews(&self) -> u64 {
        self.crowd.reviews.load(Ordering::Acquire)
    }

    /// It was made with a certificate that ends then, in seconds since 1970.
    pub fn ends(&self, at: u64) {
        let mut inside = self.crowd.inside();
        if let Some(seat) = inside.seats.get_mut(&self.number) {
            seat.ends = Some(at);
            inside.ends.insert((at, self.number));
        }
    }

    /// Ends the connection: it was refused too often.
    pub fn give_up(&self) {
        self.crowd.send_away(&mut self.crowd.inside(), self.number, Why::Refused);
    }

    /// Gives it back. One that was sent away, or left before, is gone already.
    pub fn leave(&self) {
        let mut inside = self.crowd.inside();
        let seat = self.crowd.remove(&mut inside, self.number);
        // Waking whoever waits for it can be done without the lock.
        drop(inside);
        drop(seat);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What counts as one address: somebody who has one IPv6 address has a whole /64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

async fn sweep(crowd: Weak<Crowd>) {
    let mut often = tokio::time::interval(SWEEP_EVERY);
    loop {
        let now = often.tick().await;
        let Some(crowd) = crowd.upgrade() else { return };
        crowd.sweep(now, unix_seconds());
    }
}

/// The wall clock, in seconds since 1970: certificates end by it.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
