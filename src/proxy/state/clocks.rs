//! Time, as limits and counters see it: pure.
//!
//! A limit must neither open because somebody sets the clock, nor stay shut for
//! ever because somebody did. So the state file has a time of its own, in
//! nanoseconds. It never goes back, and all processes share it: the file says what
//! it was when it was last written ([`Anchor`]), and the clocks say how much has
//! passed since.
//!
//! | since the file was written | has passed |
//! |---|---|
//! | the machine was not started again | what the boot-time clock says, whatever the wall clock did; less than nothing counts as nothing |
//! | it was | what the wall clock says, and at least the time since that start |
//! | there is no way to tell (no boot id) | what the wall clock says; less than nothing counts as nothing |
//!
//! So the wall clock is believed over a restart of the machine only: put forward
//! there by an hour, it ends places that had less than an hour left.
//!
//! Places in a limit live on this time alone. Counters begin again with the
//! calendar, for which there is only the wall clock: see [`begins_again`].
//!
//! A state directory must not be shared by machines, nor by containers with a
//! boot-time clock of their own (a Linux time namespace): to those whose clock is
//! behind, time stands still.

use std::sync::OnceLock;
use std::time::Duration;

use uuid::Uuid;

use crate::call::time::Time;
use crate::client::boot;
use crate::policy::Window;

/// Two processes may read their clocks in one order and come to write in the other.
/// A wall clock that is behind by no more than this was not set back.
const RACE_MS: i64 = 1000;

const NANOS_PER_MS: i64 = 1_000_000;

/// What the clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Time since the machine was started, sleep included.
    pub boot: Duration,
    /// Which start that was; `None` where it cannot be told.
    pub boot_id: Option<Uuid>,
    /// The wall clock.
    pub wall: Time,
}

impl Clocks {
    /// What they say now.
    pub fn now() -> Clocks {
        static BOOT_ID: OnceLock<Option<Uuid>> = OnceLock::new();
        let boot_id = *BOOT_ID.get_or_init(|| {
            let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
            Uuid::parse_str(text.trim()).ok()
        });
        Clocks { boot: boot(), boot_id, wall: Time(chrono::Utc::now().timestamp_millis()) }
    }
}

/// A duration in nanoseconds; three centuries is the longest.
pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What the clocks said when the file was last written, and what its own time was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    pub boot_id: Option<Uuid>,
    /// Nanoseconds.
    pub boot: i64,
    pub wall: Time,
    /// The file's own time, in nanoseconds.
    pub now: i64,
}

impl Anchor {
    /// That of a file which begins now.
    pub fn first(clocks: &Clocks) -> Anchor {
        Anchor { boot_id: clocks.boot_id, boot: nanos(clocks.boot), wall: clocks.wall, now: 0 }
    }

    fn same_boot(&self, clocks: &Clocks) -> bool {
        self.boot_id.is_some() && self.boot_id == clocks.boot_id
    }

    /// The file's own time when the clocks say this.
    pub fn now(&self, clocks: &Clocks) -> i64 {
        let boot = nanos(clocks.boot);
        let wall = clocks.wall.0.saturating_sub(self.wall.0).saturating_mul(NANOS_PER_MS);
        let passed = if self.same_boot(clocks) {
            boot.saturating_sub(self.boot)
        } else if self.boot_id.is_some() && clocks.boot_id.is_some() {
            wall.max(boot)
        } else {
            wall
        };
        self.now.saturating_add(passed.max(0))
    }

    /// The one to write when the clocks say this. A clock that is behind because its
    /// reader was slow must not become the new beginning: what lies between would
    /// pass twice.
    pub fn moved(&self, clocks: &Clocks) -> Anchor {
        let (boot, back) = (nanos(clocks.boot), self.wall.0.saturating_sub(clocks.wall.0));
        Anchor {
            boot_id: clocks.boot_id,
            boot: if self.same_boot(clocks) { boot.max(self.boot) } else { boot },
            wall: if (0..=RACE_MS).contains(&back) { self.wall } else { clocks.wall },
            now: self.now(clocks),
        }
    }

    /// Whether it has to be written even if nothing else is: time would stand still
    /// until the wall clock has caught up.
    pub fn must_move(&self, clocks: &Clocks) -> bool {
        let set_back = self.wall.0.saturating_sub(clocks.wall.0) > RACE_MS;
        !self.same_boot(clocks) && (clocks.boot_id.is_some() || set_back)
    }
}

/// How long a window is.
pub(super) fn length(window: Window) -> Duration {
    Duration::from_secs(match window {
        Window::Minute => 60,
        Window::Hour => 3600,
        Window::Day => 86_400,
    })
}

/// Which of the calendar's windows, counted from 1970, a time lies in.
pub(super) fn calendar(window: Window, wall: Time) -> i64 {
    wall.0.div_euclid(nanos(length(window)) / NANOS_PER_MS)
}

/// One of the calendar's windows in which something was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    /// Which, counted from 1970.
    pub number: i64,
    /// When the first was counted, in the file's own time.
    pub at: i64,
}

/// Whether a counter that was opened so begins again at this moment.
///
/// It does when the calendar says that a later window has begun. A wall clock that
/// is put forward so ends a window early, once: put back, the counter goes on in the
/// window that now lies in the future, and nothing is counted twice or forgotten.
/// That window must end some day, and the calendar may be a year behind: it ends
/// when it was open for as long as a window can be, in the file's own time. The
/// window in which the wall clock stands is never ended but by the calendar.
pub(super) fn begins_again(window: Window, opened: Opened, wall: Time, now: i64) -> bool {
    let present = calendar(window, wall);
    let worn_out = now.saturating_sub(opened.at) >= nanos(length(window));
    present > opened.number || (present < opened.number && worn_out)
}
