//! The gate: what happens to one call of a tool. It knows no transport.
//!
//! ```text
//!   judge ──┬── forward                         the door sends it on
//!           ├── answer                          a refusal, at once
//!           └── hold ── wait ── check again ── take the use ── forward ── report
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | `judge` | what the policy says of a call, also just before it runs |
//! | `run`, `wait` | a held call from its question to its outcome, while its client waits |
//! | `send`, `using` | one use: taken, sent, its lease kept, its outcome told |
//! | `tasks` | a held call that its client follows by an id |
//! | `rounds` | a call that goes on once its client has answered the server's questions |
//! | `admitted` | the same for a call that nobody had to approve |
//! | `broken` | waits that ended on our side before their requests did |
//! | `taking` | limits and counters: what a call takes, and gives back |
//! | `changed` | tools that are not defined any more as they were first seen |
//! | `told` | what clients were told of tools, beside what we were told |
//! | `hidden` | tools that no client sees |
//! | `record` | calls that were not held, for the history |
//!
//! Promises: a held call reaches the server only after its use was taken, with
//! the digest that was approved, while its answer can still be delivered, and
//! once. Just before that the policy and the tool's definition are looked at
//! again, and what is stricter wins.
//!
//! Must never: tell a time-out as a person's no, or give an approval back after
//! bytes were sent.

mod admitted;
mod broken;
mod changed;
mod definitions;
mod hidden;
mod judge;
mod party;
mod policies;
mod record;
mod reply;
mod rounds;
mod run;
mod send;
mod taking;
mod tasks;
mod told;
mod using;
mod wait;

use std::sync::Arc;
use std::time::Duration;

pub use definitions::{Definition, Definitions};
pub use judge::{Judged, Passed, Question, Unjudged};
pub use party::{Party, Server};
pub use policies::{NoPolicy, Policies};
pub use reply::Reply;
pub use taking::Ticket;
pub use tasks::TaskRequest;

use tokio_util::task::TaskTracker;

use crate::hold::Service;
use crate::metrics::proxy::ProxyMetrics;
use crate::proxy::state::State;
use admitted::Admissions;
use broken::Broken;
use record::Recorder;
use rounds::Rounds;
use tasks::Tasks;

/// How long the last outcomes may take to be told when the proxy ends.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// What happens to the request when a client cancels the call that waits on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCancel {
    /// It stays pending until its deadline: the same call continues it.
    #[default]
    Keep,
    /// It is taken back.
    Withdraw,
}

/// What the history says of calls that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    /// Nothing.
    Off,
    /// That they were made, with the digest of their arguments; told beside the call.
    #[default]
    Hash,
    /// All of them, masked, before they run: what cannot be recorded does not run.
    Full,
}

/// How the gate was set up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Hold nothing; record what would have been held.
    pub dry_run: bool,
    /// What the history says of calls that are allowed.
    pub record: Record,
    /// How many sessions one client may open within an hour; none: any number.
    pub sessions_per_hour: Option<u32>,
    /// What a cancelled wait means.
    pub on_cancel: OnCancel,
    /// How long a server may take to answer an approved call; none: for ever.
    pub answer_within: Option<Duration>,
    /// Where calls are counted.
    pub metrics: Arc<ProxyMetrics>,
}

/// What every call of a tool passes through.
#[derive(Debug)]
pub struct Gate {
    service: Service,
    policies: Policies,
    state: State,
    recorder: Recorder,
    settings: Settings,
    tasks: Tasks,
    rounds: Rounds,
    admissions: Arc<Admissions>,
    broken: Broken,
    /// Outcomes that are being told.
    telling: TaskTracker,
}

impl Gate {
    /// A gate that asks this daemon. Within a tokio runtime.
    pub fn new(
        service: Service,
        policies: Policies,
        state: State,
        settings: Settings,
    ) -> Arc<Gate> {
        let recorder = Recorder::start(service.clone());
        Arc::new(Gate {
            service,
            policies,
            state,
            recorder,
            settings,
            tasks: Tasks::default(),
            rounds: Rounds::default(),
            admissions: Arc::default(),
            broken: Broken::default(),
            telling: TaskTracker::new(),
        })
    }

    /// Whether calls may become tasks, so that a modern server's answer to
    /// `server/discover` is to say so: see [`answer::tasks::announced`].
    ///
    /// [`answer::tasks::announced`]: crate::proxy::answer::tasks::announced
    pub fn offers_tasks(&self) -> bool {
        !self.settings.dry_run
    }

    /// Tells the daemon what is still to be told, for a moment.
    pub async fn finish(&self) {
        let last = async {
            self.close_rounds(true).await;
            self.telling.close();
            self.telling.wait().await;
        };
        let _ = tokio::join!(tokio::time::timeout(LAST_WITHIN, last), self.recorder.finish());
    }
}
