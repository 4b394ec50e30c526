//! Who is connected, and who has to go when there are too many.
//!
//! Promises: there are never more connections than the limits say; a flood of
//! connections that cannot authenticate displaces only itself, because the
//! oldest of them makes room for the newest, and one that has authenticated is
//! never displaced; whoever says nothing is sent away in time. Must never: wait.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::counts::DoorCounts;

/// How long a connection may take until a call of its own got past the token
/// check, or asked for health or reflection. Clients call as soon as they are
/// connected; one that was cut makes a new connection with its next call.
const SILENT_FOR: Duration = Duration::from_secs(15);

/// How often those who are due are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// How far a connection has come. The lower ones go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
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
        let crowd = Arc::new(Crowd { limits, counts, inside: Mutex::default() });
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
        inside.seats.insert(number, Seat { standing, since, address: from, ends: None, cut });
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

    /// Sends away who was silent for too long, and whose certificate has ended.
    fn sweep(&self, now: Instant, wall: u64) {
        let mut inside = self.inside();
        while let Some((Standing::Silent, number)) = inside.all.strangers.first().copied()
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
    /// Does the same to the line of all and to that of an address.
    fn lines(&mut self, address: Option<IpAddr>, mut change: impl FnMut(&mut Line)) {
        change(&mut self.all);
        if let Some(address) = address {
            change(self.addresses.entry(address).or_default());
        }
    }
}

impl Place {
    /// It has come this far; never goes back.
    pub fn rise(&self, to: Standing) {
        let mut inside = self.crowd.inside();
        let Some(seat) = inside.seats.get_mut(&self.number) else { return };
        let (from, address) = (seat.standing, seat.address);
        if from >= to {
            return;
        }
        seat.standing = to;
        inside.lines(address, |line| {
            line.strangers.remove(&(from, self.number));
            if to < Standing::Known {
                line.strangers.insert((to, self.number));
            }
        });
        if to == Standing::Known {
            DoorCounts::add(&self.crowd.counts.known);
        }
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
