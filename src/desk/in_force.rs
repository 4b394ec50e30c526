//! What is in force: the people, routes and settings of one configuration.
//!
//! Promises: they are exchanged as one, so nobody meets the people of one
//! configuration with the routes of another; what was looked at stays as it is.
//! Must never: be held locked while anything is waited for.

use std::sync::{Arc, PoisonError, RwLock};

use super::people::People;
use super::routes::Routes;
use super::settings::Settings;

/// One configuration, as far as the desk acts on it.
#[derive(Debug)]
pub struct InForce {
    /// Everybody.
    pub people: Arc<People>,
    /// Who decides what.
    pub routes: Routes,
    /// The rest.
    pub settings: Settings,
}

/// The place where it stands; clones are the same place.
#[derive(Debug, Clone)]
pub struct Current(Arc<RwLock<Arc<InForce>>>);

impl Current {
    /// Begins with this.
    pub fn new(first: InForce) -> Self {
        Current(Arc::new(RwLock::new(Arc::new(first))))
    }

    /// What is in force now.
    pub fn get(&self) -> Arc<InForce> {
        // What it guards is replaced as a whole, so a panic elsewhere leaves it whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this.
    pub fn put(&self, next: Arc<InForce>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }
}
