//! Sign-ins of operators to the pages.
//!
//! Promises: what a browser shows is not kept, only its SHA-256, so whoever reads
//! the database is signed in as nobody; a sign-in ends after an hour without use
//! and twelve hours in all; each operator has a bounded number. Whether the token
//! that began it is still good is the desk's to ask, at each use.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::audit::{Entry, Kind};
use super::error::StoreError;
use super::tx::Tx;
use crate::call::model::Strength;
use crate::call::time::Time;

/// How long a sign-in lasts that is not used.
pub const IDLE: Duration = Duration::from_secs(3600);

/// How long a sign-in lasts at most: a working day.
pub const LASTS: Duration = Duration::from_secs(12 * 3600);

/// How exactly it is kept when a sign-in was used last: not each page is a write.
pub const USED_WITHIN: Duration = Duration::from_secs(60);

/// Sign-ins of one operator at once; the oldest ends when there are more.
const MOST: i64 = 20;

/// SHA-256 of what the browser shows.
pub type SignInId = [u8; 32];

/// One sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Who.
    pub operator: String,
    /// How they were known.
    pub strength: Strength,
    /// SHA-256 of the token that they showed.
    pub credential: [u8; 32],
    /// Since when.
    pub began: Time,
    /// When it was used last, to within [`USED_WITHIN`].
    pub used: Time,
}

impl SignIn {
    /// When it ends if it is not used again.
    pub fn ends(&self) -> Time {
        (self.used + IDLE).min(self.began + LASTS)
    }
}

/// Begins a sign-in, and ends the one that the same browser had before, whoever's it is.
pub fn begin(
    tx: &mut Tx<'_>,
    id: &SignInId,
    operator: &str,
    strength: Strength,
    credential: &[u8; 32],
    before: Option<&SignInId>,
) -> Result<(), StoreError> {
    let now = tx.now;
    tx.conn
        .prepare_cached("DELETE FROM sign_ins WHERE used < ? OR began < ?")?
        .execute(params![(now - IDLE).0, (now - LASTS).0])?;
    if let Some(before) = before {
        replace(tx, before)?;
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO sign_ins (id, operator, strength, credential, began, used)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![id, operator, strength.number(), credential, now.0])?;
    tx.conn
        .prepare_cached(
            "DELETE FROM sign_ins WHERE operator = ?1 AND n <=
               (SELECT n FROM sign_ins WHERE operator = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![operator, MOST])?;
    let mut entry = Entry::new(Kind::SignedIn);
    entry.operator = Some(operator.to_owned());
    entry.text("strength", strength.word());
    tx.record(entry)?;
    Ok(())
}

/// A browser that signs in again forgets what it kept, so nobody else may know it still.
fn replace(tx: &mut Tx<'_>, before: &SignInId) -> Result<(), StoreError> {
    let whose = tx
        .conn
        .prepare_cached("DELETE FROM sign_ins WHERE id = ? RETURNING operator")?
        .query_row([before], |row| row.get::<_, String>(0))
        .optional()?;
    if let Some(operator) = whose {
        signed_out(tx, &operator, "here")?;
    }
    Ok(())
}

fn signed_out(tx: &mut Tx<'_>, operator: &str, place: &str) -> Result<(), StoreError> {
    let mut entry = Entry::new(Kind::SignedOut);
    entry.operator = Some(operator.to_owned());
    entry.text("where", place);
    tx.record(entry)?;
    Ok(())
}

/// It was used. Nothing is recorded: this changes nothing but when it ends.
pub fn used(tx: &mut Tx<'_>, id: &SignInId) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("UPDATE sign_ins SET used = max(used, ?) WHERE id = ?")?
        .execute(params![tx.now.0, id])?;
    Ok(())
}

/// Ends one sign-in, or all of this operator; how many ended.
pub fn end(tx: &mut Tx<'_>, operator: &str, only: Option<&SignInId>) -> Result<usize, StoreError> {
    let ended = tx
        .conn
        .prepare_cached("DELETE FROM sign_ins WHERE operator = ?1 AND (?2 IS NULL OR id = ?2)")?
        .execute(params![operator, only])?;
    if ended > 0 {
        signed_out(tx, operator, if only.is_some() { "here" } else { "everywhere" })?;
    }
    Ok(ended)
}

/// A sign-in, if it has not ended.
pub fn find(conn: &Connection, id: &SignInId, now: Time) -> Result<Option<SignIn>, StoreError> {
    let found = conn
        .prepare_cached(
            "SELECT operator, strength, credential, began, used FROM sign_ins WHERE id = ?",
        )?
        .query_row([id], |row| {
            Ok((row.get(0)?, row.get::<_, i32>(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((operator, strength, credential, began, used)) = found else { return Ok(None) };
    let strength = Strength::from_number(strength)
        .ok_or_else(|| StoreError::Corrupt("sign_ins.strength".to_owned()))?;
    let found = SignIn { operator, strength, credential, began: Time(began), used: Time(used) };
    Ok(Some(found).filter(|sign_in| sign_in.ends() > now))
}
