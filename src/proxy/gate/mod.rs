//! The gate: what happens to one call of a tool. It knows no transport.
//!
//! ```text
//!   judge ──┬── forward                         the door sends it on
//!           ├── answer                          a refusal, at once
//!           └── hold ── wait ── check again ── take the use ── forward ── report
//! ```
//!
//! Promises: a held call reaches the server only after its use was taken, with
//! the digest that was approved, while its answer can still be delivered, and
//! once. Just before that the policy and the tool's definition are looked at
//! again, and what is stricter wins.
//!
//! Must never: tell a time-out as a person's no, or give an approval back after
//! bytes were sent.

mod definitions;
mod judge;
mod party;
mod policies;
mod record;
mod reply;
mod run;
mod wait;

use std::sync::Arc;
use std::time::Duration;

pub use definitions::{Definition, Definitions};
pub use judge::{Judged, Question};
pub use party::{Party, Server};
pub use policies::{NoPolicy, Policies};
pub use reply::Reply;

use crate::hold::Service;
use record::Recorder;

/// What happens to the request when a client cancels the call that waits on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCancel {
    /// It stays pending until its deadline: the same call continues it.
    #[default]
    Keep,
    /// It is taken back.
    Withdraw,
}

/// How the gate was set up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Hold nothing; record what would have been held.
    pub dry_run: bool,
    /// What a cancelled wait means.
    pub on_cancel: OnCancel,
    /// How long a server may take to answer an approved call; none: for ever.
    pub answer_within: Option<Duration>,
}

/// What every call of a tool passes through.
#[derive(Debug)]
pub struct Gate {
    service: Service,
    policies: Policies,
    recorder: Recorder,
    settings: Settings,
}

impl Gate {
    /// A gate that asks this daemon. Within a tokio runtime.
    pub fn new(service: Service, policies: Policies, settings: Settings) -> Arc<Gate> {
        let recorder = Recorder::start(service.clone());
        Arc::new(Gate { service, policies, recorder, settings })
    }

    /// Tells the history what is still to be told, for a moment.
    pub async fn finish(&self) {
        self.recorder.finish().await;
    }
}
