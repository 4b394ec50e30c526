//! Limits, counters and sessions: read, taken and given back.

use std::cell::RefCell;
use std::time::Duration;

use rusqlite::Connection;

use super::clocks::{Opened, begins_again, calendar, length, nanos};
use super::error::Why;
use super::sql::{self, Head, LONGEST_KEY, Limit, Places};
use super::{Clocks, State, StateError};
use crate::call::time::Time;
use crate::policy::{CounterKey, Counters, LimitKey, Recent, Take, Untold, Window};

/// How many limits and counters there can be in all, one for each client, session or
/// server that has one. More, and calls that need a new one are refused.
pub const MOST_KEYS: u32 = 100_000;

/// How many places can be taken in all. 40 bytes each.
pub const MOST_PLACES: u32 = 1_000_000;

/// How many places one limit can have. A policy can say no larger `max`.
const MOST_PLACES_OF_ONE: u32 = 10_000;

/// How many limits are taken away with each new one if they have run out: more than
/// come, so they never pile up. (Counters are as many as the policy names.)
const PRUNED: u32 = 4;

/// The same where there is no room: it is worth a call's wait of some milliseconds.
const PRUNED_WHEN_FULL: u32 = 1000;

/// Sessions that a client opened are counted for so long.
const SESSIONS_WITHIN: Duration = Duration::from_secs(3600);

/// A client's sessions are counted up to this.
const MOST_SESSIONS: u32 = 10_000;

/// What a call took: what can be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Taken {
    places: Vec<Place>,
    amounts: Vec<Amount>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    limit: i64,
    at: i64,
    n: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Amount {
    counter: i64,
    opened: Opened,
    amount: i64,
}

impl Taken {
    /// What calendar counters would get back; places in a sliding limit stay taken
    /// until their window has passed.
    pub fn amounts(self) -> Taken {
        Taken { places: Vec::new(), ..self }
    }
}

impl State {
    /// Judges a call by what was taken so far, and with `take` takes what the judge
    /// says: all of it, or nothing. No other call is judged in between, in no
    /// process. What was taken is returned, unless it is nothing.
    ///
    /// `judge` is called at most once, and only looks: what it takes time for, all
    /// others wait for.
    ///
    /// # Errors
    /// Nothing was taken: the call must not pass. Also where the judge has read
    /// something that could not be told, whatever it made of that.
    pub async fn count<R>(
        &self,
        clocks: Clocks,
        take: bool,
        judge: impl FnOnce(&dyn Counters) -> (R, Vec<Take>) + Send,
    ) -> Result<(R, Option<Taken>), StateError> {
        self.turn(|conn| {
            let tx = if take { sql::write(conn)? } else { sql::read(conn)? };
            let head = sql::head(conn)?;
            let view = View::new(conn, &head, &clocks);
            let (ruling, takes) = judge(&view);
            let (now, seen) = view.finish()?;
            if !take {
                return Ok((ruling, None));
            }
            let mut taking = Taking { conn, head, now, wall: clocks.wall, seen };
            let taken = taking.all(&takes)?;
            if taken.is_some() || head.anchor.must_move(&clocks) {
                sql::save_head(conn, &head.anchor.moved(&clocks), taking.head.next)?;
            }
            tx.commit()?;
            Ok((ruling, taken))
        })
        .await
    }

    /// Gives back what a call took that then came to nothing. A place is free again;
    /// an amount is taken off while its counter is in the same window.
    ///
    /// # Errors
    /// It stays taken.
    pub async fn give_back(&self, taken: Taken) -> Result<(), StateError> {
        self.turn(|conn| {
            let tx = sql::write(conn)?;
            for Place { limit, at, n } in taken.places {
                sql::remove_place(conn, limit, at, n)?;
            }
            for Amount { counter, opened, amount } in taken.amounts {
                if let Some(value) = sql::counter_in(conn, counter, opened)? {
                    let value = value.saturating_sub(amount);
                    sql::set_counter(conn, counter, opened, value)?;
                }
            }
            Ok(tx.commit()?)
        })
        .await
    }

    /// A client opened a session. How many it opened within the last hour, this one
    /// included, up to ten thousand: a limit per session is worth no more than this
    /// number says.
    ///
    /// # Errors
    /// It was not counted.
    pub async fn session_opened(&self, client: &str, clocks: Clocks) -> Result<u32, StateError> {
        let key = session_key(client);
        self.turn(|conn| {
            let key = key?;
            let tx = sql::write(conn)?;
            let head = sql::head(conn)?;
            let now = head.anchor.now(&clocks);
            let asked = Asked { key, max: MOST_SESSIONS, window: SESSIONS_WITHIN };
            let seen = Seen::now(conn, now, &asked)?;
            let before = seen.recent.count;
            let seen = vec![(asked.clone(), seen)];
            let mut taking = Taking { conn, head, now, wall: clocks.wall, seen };
            if before < MOST_SESSIONS {
                taking.place(&asked)?;
                sql::save_head(conn, &head.anchor.moved(&clocks), taking.head.next)?;
            }
            tx.commit()?;
            Ok(before.saturating_add(1).min(MOST_SESSIONS))
        })
        .await
    }
}

/// How much longer than for its window a place, and its limit, may be kept: so that what
/// is old is taken away many at a time.
fn lateness(window: i64) -> i64 {
    const MOST: i64 = 60 * 1_000_000_000;
    (window / 8).min(MOST)
}

/// Limits of the policy and sessions of clients never have the same key.
fn limit_key(key: &LimitKey) -> Result<String, Why> {
    short_enough(&key.0)?;
    Ok(format!("limit {}", key.0))
}

fn session_key(client: &str) -> Result<String, Why> {
    short_enough(client)?;
    Ok(format!("sessions {client}"))
}

/// Keys hold names from outside; none of the names that we take is longer.
pub(super) fn short_enough(key: &str) -> Result<(), Why> {
    let bytes = key.len();
    if bytes <= LONGEST_KEY { Ok(()) } else { Err(Why::TooLong { bytes }) }
}

/// A limit that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    key: String,
    max: u32,
    window: Duration,
}

/// How full a limit is, and its row.
#[derive(Debug, Clone, Copy)]
struct Seen {
    limit: Option<Limit>,
    recent: Recent,
    /// When the first of the places that are kept was taken.
    oldest: Option<i64>,
}

impl Seen {
    fn now(conn: &Connection, now: i64, asked: &Asked) -> Result<Seen, Why> {
        if asked.max == 0 {
            let recent = Recent { count: 0, free_in: Duration::MAX };
            return Ok(Seen { limit: sql::limit(conn, &asked.key)?, recent, oldest: None });
        }
        let Some(limit) = sql::limit(conn, &asked.key)? else {
            return Ok(Seen { limit: None, recent: Recent::default(), oldest: None });
        };
        let window = nanos(asked.window);
        let since = now.saturating_sub(window);
        let Places { count, first, oldest } = sql::newest_places(conn, limit.id, since, asked.max)?;
        // Once the first of the newest `max` is free, fewer are taken.
        let free_in = match first.filter(|_| count >= asked.max) {
            Some(at) => at.saturating_add(window).saturating_sub(now).max(1).unsigned_abs(),
            None => 0,
        };
        let recent = Recent { count, free_in: Duration::from_nanos(free_in) };
        Ok(Seen { limit: Some(limit), recent, oldest })
    }
}

/// What a counter has reached, and the row and window in which it did.
fn reached(
    conn: &Connection,
    now: i64,
    wall: Time,
    key: &CounterKey,
) -> Result<(Option<i64>, Opened, i64), Why> {
    let fresh = Opened { number: calendar(key.window, wall), at: now };
    Ok(match sql::counter(conn, key)? {
        None => (None, fresh, 0),
        Some(row) if begins_again(key.window, row.opened, wall, now) => (Some(row.id), fresh, 0),
        Some(row) => (Some(row.id), row.opened, row.value),
    })
}

/// What was taken, as the judge sees it.
struct View<'c> {
    conn: &'c Connection,
    now: i64,
    wall: Time,
    /// What it showed of limits: who then takes a place need not look again.
    seen: RefCell<Vec<(Asked, Seen)>>,
    /// What could not be told, first of all: the judge only hears that it could not.
    failed: RefCell<Option<Why>>,
}

impl<'c> View<'c> {
    fn new(conn: &'c Connection, head: &Head, clocks: &Clocks) -> Self {
        let now = head.anchor.now(clocks);
        let (seen, failed) = (RefCell::default(), RefCell::default());
        View { conn, now, wall: clocks.wall, seen, failed }
    }

    /// The time and the limits that it showed; or what went wrong meanwhile.
    fn finish(self) -> Result<(i64, Vec<(Asked, Seen)>), Why> {
        let shown = (self.now, self.seen.into_inner());
        self.failed.into_inner().map_or(Ok(shown), Err)
    }

    fn told<T>(&self, result: Result<T, Why>) -> Result<T, Untold> {
        result.map_err(|why| {
            self.failed.borrow_mut().get_or_insert(why);
            Untold
        })
    }
}

impl Counters for View<'_> {
    fn recent(&self, key: &LimitKey, max: u32, window: Duration) -> Result<Recent, Untold> {
        let recent = || {
            let asked = Asked { key: limit_key(key)?, max, window };
            let seen = Seen::now(self.conn, self.now, &asked)?;
            self.seen.borrow_mut().push((asked, seen));
            Ok(seen.recent)
        };
        self.told(recent())
    }

    fn value(&self, key: &CounterKey) -> Result<i64, Untold> {
        self.told(reached(self.conn, self.now, self.wall, key).map(|(_, _, value)| value))
    }
}

/// Taking, within one transaction.
struct Taking<'c> {
    conn: &'c Connection,
    head: Head,
    now: i64,
    wall: Time,
    /// How full limits are, of those that were looked at and are as they were then.
    seen: Vec<(Asked, Seen)>,
}

impl Taking<'_> {
    fn all(&mut self, takes: &[Take]) -> Result<Option<Taken>, Why> {
        if takes.is_empty() {
            return Ok(None);
        }
        let mut taken = Taken { places: Vec::new(), amounts: Vec::new() };
        for take in takes {
            match take {
                Take::Sliding { key, max, window } => {
                    let asked = Asked { key: limit_key(key)?, max: *max, window: *window };
                    taken.places.push(self.place(&asked)?);
                }
                Take::Counter { key, amount, limit } => {
                    taken.amounts.push(self.amount(key, *amount, *limit)?);
                }
            }
        }
        Ok(Some(taken))
    }

    fn place(&mut self, asked: &Asked) -> Result<Place, Why> {
        let Asked { key, max, window } = asked;
        if *max > MOST_PLACES_OF_ONE {
            let remedy = "give the limit a lower `max`";
            let what = "places of one limit";
            return Err(Why::TooMany { what, most: MOST_PLACES_OF_ONE, remedy });
        }
        self.room_for_a_place()?;
        let seen = match self.seen.iter().position(|(seen, _)| seen == asked) {
            Some(at) => self.seen.swap_remove(at).1,
            None => Seen::now(self.conn, self.now, asked)?,
        };
        // What follows changes this limit, whatever was asked of it.
        self.seen.retain(|(seen, _)| seen.key != *key);
        if !seen.recent.free_in.is_zero() {
            return Err(Why::DoesNotFit);
        }
        let mut limit = match seen.limit {
            Some(limit) => limit,
            None => {
                self.room_for_a_key()?;
                sql::add_limit(self.conn, key)?
            }
        };
        self.renew(&mut limit, nanos(*window))?;
        let kept_since = self.now.saturating_sub(limit.window);
        let late = kept_since.saturating_sub(lateness(limit.window));
        if seen.oldest.is_some_and(|at| at <= late) {
            sql::sweep(self.conn, limit.id, kept_since)?;
        }
        let place = Place { limit: limit.id, at: self.now, n: self.head.next };
        sql::add_place(self.conn, limit.id, (place.at, place.n))?;
        self.head.next += 1;
        Ok(place)
    }

    /// Keeps the places of a limit for this window. That is written for a while ahead:
    /// most calls write their place, and nothing of its limit.
    fn renew(&self, limit: &mut Limit, window: i64) -> Result<(), Why> {
        let (before, free_at) = (*limit, self.now.saturating_add(window));
        // Another proxy may have another version of the policy for a while, with a
        // longer window, and asks for older places. Once none of them counts there
        // either, this window is the one to keep places for.
        let is_ours = window >= limit.window || limit.used.saturating_add(limit.window) <= self.now;
        if is_ours && (window != limit.window || limit.used < self.now) {
            limit.window = window;
            limit.used = self.now.saturating_add(lateness(window));
        }
        if limit.free_at < free_at {
            limit.free_at = free_at.saturating_add(lateness(window));
        }
        if *limit != before {
            sql::renew_limit(self.conn, *limit)?;
        }
        Ok(())
    }

    fn amount(&mut self, key: &CounterKey, amount: i64, limit: Option<i64>) -> Result<Amount, Why> {
        for name in [&key.server, &key.scope, &key.name] {
            short_enough(name)?;
        }
        let (row, opened, before) = reached(self.conn, self.now, self.wall, key)?;
        let value = before.checked_add(amount);
        let value = value.ok_or_else(|| Why::Overflow(format!("{}.{}", key.scope, key.name)))?;
        if limit.is_some_and(|limit| value > limit) {
            return Err(Why::DoesNotFit);
        }
        let counter = match row {
            Some(id) => {
                sql::set_counter(self.conn, id, opened, value)?;
                id
            }
            None => {
                self.room_for_a_key()?;
                sql::add_counter(self.conn, key, opened, value)?
            }
        };
        Ok(Amount { counter, opened, amount })
    }

    fn prune(&mut self, most: u32) -> Result<(), Why> {
        // Among those that go may be one that was looked at.
        self.seen.clear();
        sql::prune_limits(self.conn, self.now, most)?;
        // Counters only where there is no room: a clock that is put back to their window
        // finds them as they were.
        let full = most == PRUNED_WHEN_FULL;
        for window in [Window::Minute, Window::Hour, Window::Day].into_iter().filter(|_| full) {
            let until = self.now.saturating_sub(nanos(length(window)));
            let present = calendar(window, self.wall);
            sql::prune_counters(self.conn, window, (until, present), most)?;
        }
        let Head { keys, places, .. } = sql::head(self.conn)?;
        (self.head.keys, self.head.places) = (keys, places);
        Ok(())
    }

    fn room_for_a_key(&mut self) -> Result<(), Why> {
        self.prune(PRUNED)?;
        if self.head.keys >= MOST_KEYS {
            self.prune(PRUNED_WHEN_FULL)?;
        }
        if self.head.keys >= MOST_KEYS {
            let remedy =
                "wait until some have run out, or limit `per: client` rather than per session";
            return Err(Why::TooMany { what: "limits and counters", most: MOST_KEYS, remedy });
        }
        Ok(())
    }

    fn room_for_a_place(&mut self) -> Result<(), Why> {
        if self.head.places >= MOST_PLACES {
            self.prune(PRUNED_WHEN_FULL)?;
        }
        if self.head.places >= MOST_PLACES {
            let remedy = "wait until some are free, or choose shorter windows or a lower `max`";
            return Err(Why::TooMany { what: "taken places", most: MOST_PLACES, remedy });
        }
        self.head.places += 1;
        Ok(())
    }
}
