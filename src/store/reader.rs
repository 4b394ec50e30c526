//! What somebody who does not see everything is told of the records: the one rule, for
//! the history and for the list of mails.
//!
//! | about | is told to |
//! |---|---|
//! | a request: its entries, and the mails about it, whoever they went to | who may see that request |
//! | a mail | who it went to, besides |
//! | anything else | who sees everything |
//!
//! Promises: it is asked for each row of each page, so no place at which a page begins
//! leads around it. Must never: know who somebody is; that comes in as a function.

use std::collections::HashMap;
use std::fmt;

use rusqlite::Connection;

use super::error::StoreError;
use super::row;
use crate::call::ids::RequestId;
use crate::call::requirement::Requirement;

/// Somebody who asks for a page of the records.
pub struct Reader<'a> {
    name: &'a str,
    sees: &'a dyn Fn(&Requirement) -> bool,
    /// Of requirements that were met on this page, as they are stored: there are few,
    /// and many requests, of which nothing else need be read.
    met: HashMap<String, bool>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// The person of this name, who may see requests that ask so much.
    pub fn new(name: &'a str, sees: &'a dyn Fn(&Requirement) -> bool) -> Self {
        Reader { name, sees, met: HashMap::new() }
    }

    /// Whether they are told of something about this request, or of a mail to somebody.
    pub(super) fn is_told(
        &mut self,
        conn: &Connection,
        about: Option<RequestId>,
        to: Option<&str>,
    ) -> Result<bool, StoreError> {
        if to == Some(self.name) {
            return Ok(true);
        }
        let Some(id) = about else { return Ok(false) };
        let Some(text) = row::requirement_as_stored(conn, id)? else { return Ok(false) };
        if let Some(known) = self.met.get(&text) {
            return Ok(*known);
        }
        let may = (self.sees)(&row::requirement_of(&text)?);
        self.met.insert(text, may);
        Ok(may)
    }
}
