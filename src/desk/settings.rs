//! What the configuration says to the desk.

use std::time::Duration;

use crate::config::Config;
use crate::store::submit::PendingLimits;

/// The settings that the desk acts on.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long an approval may stay unused.
    pub lapse_after: Duration,
    /// How long a use runs before it has to be renewed.
    pub lease: Duration,
    /// How long history and ended requests are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// Mails go to a server: then it is noticed when nobody can be reached.
    pub watch_reach: bool,
    /// How many may be pending.
    pub pending: PendingLimits,
    /// How many calls may wait at once.
    pub max_held: usize,
    /// Bytes of a call's arguments.
    pub max_arguments: usize,
}

impl Settings {
    /// As the configuration says.
    pub fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Settings {
            lapse_after: config.lapse_after,
            lease: config.lease,
            retention: config.retention,
            watch_reach: config.smtp.is_some(),
            pending: PendingLimits {
                per_caller: narrow(limits.max_pending_per_caller),
                per_client: narrow(limits.max_pending_per_client),
            },
            max_held: limits.max_held,
            max_arguments: limits.max_arguments_bytes,
        }
    }
}
