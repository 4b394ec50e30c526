//! How many requests are pending: by caller, by client of a caller, and in all.
//! Counting rows would make a submit dearer with each request that waits.

use std::collections::HashMap;

use crate::call::model::Scope;

/// The counts. They follow every change of a status, and can be rebuilt from the
/// database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingCounts {
    /// By caller, and by caller and client. No zeros.
    by: HashMap<(String, Option<String>), u32>,
    all: u32,
}

impl PendingCounts {
    /// How many requests of this caller, and of this client of it, are pending.
    pub fn of(&self, scope: &Scope) -> (u32, u32) {
        let of = |key| self.by.get(&key).copied().unwrap_or(0);
        let caller = of((scope.caller.clone(), None));
        if scope.client.is_empty() {
            return (caller, 0);
        }
        (caller, of((scope.caller.clone(), Some(scope.client.clone()))))
    }

    /// How many there are.
    pub fn all(&self) -> u32 {
        self.all
    }

    /// So many more of this caller and client.
    pub fn add(&mut self, caller: &str, client: &str, more: u32) {
        self.all += more;
        for key in keys(caller, client) {
            *self.by.entry(key).or_insert(0) += more;
        }
    }

    /// One less of this caller and client.
    pub fn remove(&mut self, caller: &str, client: &str) {
        self.all = self.all.saturating_sub(1);
        for key in keys(caller, client) {
            let left = self.by.get(&key).copied().unwrap_or(0).saturating_sub(1);
            match left {
                0 => self.by.remove(&key),
                left => self.by.insert(key, left),
            };
        }
    }
}

fn keys(caller: &str, client: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let client = (!client.is_empty()).then(|| (caller.to_owned(), Some(client.to_owned())));
    [(caller.to_owned(), None)].into_iter().chain(client)
}
