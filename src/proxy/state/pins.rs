//! Definitions of tools: what each was when it was first seen, so that one that
//! changes later is noticed, also over restarts.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::count::short_enough;
use super::error::Why;
use super::sql::{self, PinRow};
use super::{Clocks, State, StateError};
use crate::call::safe_text::SafeText;
use crate::call::time::Time;
use crate::proxy::locked;

/// How many tools are pinned in all. A tool beyond that is not: its calls are refused.
pub const MOST_PINS: u32 = 50_000;

/// How many of one server, so that one with ever new names leaves room for others.
/// What a proxy remembers of a server's list is half as many.
const MOST_PINS_OF_ONE: u32 = 10_000;

/// As much of a definition is kept to show: what was, beside what is. The hash is
/// over all of it.
const LONGEST_TEXT: usize = 16 << 10;

/// How long a tool that was as pinned is believed to be, without a look at the file.
/// Another process's acceptance of another definition is noticed after that.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// What a tool is, compared with what was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    /// It was never seen. It is pinned now.
    First,
    /// It is as pinned.
    Same,
    /// It is something else, and nobody has accepted that.
    Changed(Changed),
}

/// A tool that is not what was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The hash of the pinned definition.
    pub hash: String,
    /// The start of that definition: safe text, at most 16 KiB; empty if it was
    /// accepted before it was seen, or there was no room for it.
    pub before: String,
    /// When it was pinned.
    pub pinned: Time,
    /// Since when the tool is as it is now.
    pub since: Time,
}

/// A pinned tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its server.
    pub server: String,
    /// Its name.
    pub tool: String,
    /// The hash of the pinned definition.
    pub hash: String,
    /// When it was pinned.
    pub pinned: Time,
    /// What it is instead, as last seen, and since when.
    pub changed: Option<(String, Time)>,
}

/// Tools that were as pinned a moment ago, so that they cost no look at the file.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<(String, String), (String, Instant)>>);

impl Known {
    fn has(&self, server: &str, tool: &str, hash: &str) -> bool {
        let key = (server.to_owned(), tool.to_owned());
        let known = locked(&self.0);
        known.get(&key).is_some_and(|(same, seen)| same == hash && seen.elapsed() < KNOWN_FOR)
    }

    fn learn(&self, server: &str, tool: &str, hash: &str) {
        let mut known = locked(&self.0);
        if known.len() >= MOST_PINS as usize {
            known.clear();
        }
        let seen = (hash.to_owned(), Instant::now());
        known.insert((server.to_owned(), tool.to_owned()), seen);
    }

    fn forget(&self, server: &str, tool: &str) {
        locked(&self.0).remove(&(server.to_owned(), tool.to_owned()));
    }
}

impl State {
    /// Compares a tool's definition with what is pinned; pins it if the tool was
    /// never seen. `hash` is over the whole `definition`, which is its text.
    ///
    /// # Errors
    /// It cannot be told: the call must not pass.
    pub async fn pin(
        &self,
        server: &str,
        tool: &str,
        hash: &str,
        definition: &str,
        clocks: Clocks,
    ) -> Result<Pinned, StateError> {
        if self.shared.known.has(server, tool, hash) {
            return Ok(Pinned::Same);
        }
        let seen = Seen { server, tool, hash, definition, at: clocks.wall };
        let pinned = self.turn(|conn| seen.compare(conn)).await?;
        match pinned {
            Pinned::First | Pinned::Same => self.shared.known.learn(server, tool, hash),
            Pinned::Changed(_) => self.shared.known.forget(server, tool),
        }
        Ok(pinned)
    }

    /// Whether a tool was as pinned a moment ago, from memory.
    pub fn is_pinned(&self, server: &str, tool: &str, hash: &str) -> bool {
        self.shared.known.has(server, tool, hash)
    }

    /// Pins this definition, whether it was seen here or not: an operator has
    /// accepted it. Any other, the one pinned before too, is a change from now on.
    ///
    /// # Errors
    /// It is not pinned.
    pub async fn accept(
        &self,
        server: &str,
        tool: &str,
        hash: &str,
        clocks: Clocks,
    ) -> Result<(), StateError> {
        let accepted = self
            .turn(|conn| {
                let tx = sql::write(conn)?;
                match sql::pin(conn, server, tool)? {
                    Some(row) if row.hash == hash => sql::set_new(conn, row.id, None)?,
                    Some(row) => sql::replace_pin(conn, row.id, hash, clocks.wall)?,
                    None => {
                        let seen = Seen { server, tool, hash, definition: "", at: clocks.wall };
                        seen.add(conn)?;
                    }
                }
                Ok(tx.commit()?)
            })
            .await;
        self.shared.known.forget(server, tool);
        accepted
    }

    /// Whether a tool is pinned, whatever its definition.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn has_pin(&self, server: &str, tool: &str) -> Result<bool, StateError> {
        self.turn(|conn| {
            let _one_moment = sql::read(conn)?;
            Ok(sql::pin(conn, server, tool)?.is_some())
        })
        .await
    }

    /// All pinned tools, by server and name; at most [`MOST_PINS`].
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn pins(&self) -> Result<Vec<Pin>, StateError> {
        let read = |conn: &Connection| {
            let _one_moment = sql::read(conn)?;
            Ok(sql::pins(conn)?)
        };
        let rows = self.turn(read).await?;
        let pin = |PinRow { server, tool, hash, at, new, .. }| Pin {
            server,
            tool,
            hash,
            pinned: at,
            changed: new,
        };
        Ok(rows.into_iter().map(pin).collect())
    }
}

/// A definition as it is now.
struct Seen<'a> {
    server: &'a str,
    tool: &'a str,
    hash: &'a str,
    definition: &'a str,
    at: Time,
}

impl Seen<'_> {
    fn compare(&self, conn: &Connection) -> Result<Pinned, Why> {
        for name in [self.server, self.tool, self.hash] {
            short_enough(name)?;
        }
        // Almost always it is as pinned, and nobody has to wait for that.
        match sql::pin(conn, self.server, self.tool)? {
            Some(row) if row.hash == self.hash && row.new.is_none() => return Ok(Pinned::Same),
            _ => (),
        }
        let tx = sql::write(conn)?;
        let pinned = match sql::pin(conn, self.server, self.tool)? {
            None => {
                self.add(conn)?;
                Pinned::First
            }
            Some(row) if row.hash == self.hash => {
                sql::set_new(conn, row.id, None)?;
                Pinned::Same
            }
            Some(row) => Pinned::Changed(self.changed(conn, row)?),
        };
        tx.commit()?;
        Ok(pinned)
    }

    fn add(&self, conn: &Connection) -> Result<(), Why> {
        for name in [self.server, self.tool, self.hash] {
            short_enough(name)?;
        }
        let (all, here) = sql::count_pins(conn, self.server)?;
        if all >= MOST_PINS || here >= MOST_PINS_OF_ONE {
            let remedy = "a server that has so many, or ever new ones, is not to be trusted; \
                          to begin anew, stop the proxies and move the file aside";
            return Err(match here >= MOST_PINS_OF_ONE {
                true => Why::TooMany {
                    what: "pinned tools of this server",
                    most: MOST_PINS_OF_ONE,
                    remedy,
                },
                false => Why::TooMany { what: "pinned tools", most: MOST_PINS, remedy },
            });
        }
        let text = self.text(conn)?;
        sql::add_pin(conn, (self.server, self.tool), (self.hash, &text), self.at)?;
        Ok(())
    }

    fn changed(&self, conn: &Connection, row: PinRow) -> Result<Changed, Why> {
        let since = match row.new {
            Some((hash, since)) if hash == self.hash => since,
            _ => {
                let text = self.text(conn)?;
                sql::set_new(conn, row.id, Some((self.hash, &text, self.at)))?;
                self.at
            }
        };
        let before = sql::pinned_text(conn, row.id)?;
        Ok(Changed { hash: row.hash, before, pinned: row.at, since })
    }

    /// What is kept of the definition to show.
    fn text(&self, conn: &Connection) -> Result<String, Why> {
        if sql::half_full(conn)? {
            return Ok(String::new());
        }
        let safe = SafeText::line(start(self.definition));
        Ok(start(safe.as_str()).to_owned())
    }
}

/// As much of its start as is kept, in whole characters.
fn start(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
