//! `[limits]`: how much the proxy takes on.

use std::time::Duration;

use crate::config::Place;
use crate::config::document::Section;
use crate::config::names::shortened;
use crate::config::scalars::span_within;

use super::Reader;

const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// How much the proxy takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyLimits {
    /// Sessions that one client may have open on servers that are children. 1 to 10,000.
    pub sessions_per_client: usize,
    /// Sessions that one client may open within an hour, on all servers.
    pub sessions_per_hour: usize,
    /// Children at the same time, over all clients and servers. 1 to 10,000.
    pub children: usize,
    /// One message, from a client or from a server, in bytes. 4 KiB to 256 MiB.
    pub message: usize,
    /// How long a server may take to answer a call that was approved, and be silent
    /// in any other answer. 1 s to 7 d. When it passes, the outcome is unknown, so
    /// it is long: a server that works for an hour is rare, one that never answers
    /// is not.
    pub answer: Duration,
    /// How long a session, or the child of a client without sessions, is kept
    /// when nobody uses it. 1 s to 7 d.
    pub idle: Duration,
}

impl Default for ProxyLimits {
    fn default() -> ProxyLimits {
        ProxyLimits {
            sessions_per_client: 32,
            sessions_per_hour: 500,
            children: 64,
            message: (16 * MIB) as usize,
            answer: Duration::from_secs(60 * MINUTE),
            idle: Duration::from_secs(30 * MINUTE),
        }
    }
}

impl Reader<'_> {
    pub(super) fn limits(&mut self, top: &Section<'_>) -> ProxyLimits {
        let mut limits = ProxyLimits::default();
        let Some(section) = top.section("limits", "[limits]", self.problems) else { return limits };
        let known =
            ["sessions_per_client", "sessions_per_hour", "children", "message", "answer", "idle"];
        section.only(&known, self.problems);
        let problems = &mut *self.problems;
        let mut count = |key: &str| {
            section.item(key).and_then(|item| item.number(1..=10_000, problems)).map(|n| n as usize)
        };
        limits.sessions_per_client =
            count("sessions_per_client").unwrap_or(limits.sessions_per_client);
        limits.sessions_per_hour = count("sessions_per_hour").unwrap_or(limits.sessions_per_hour);
        limits.children = count("children").unwrap_or(limits.children);
        let mut span = |key: &str| {
            let (text, place) = section.text(key, problems)?;
            span_within(key, text, &place, (1, 7 * DAY), problems)
        };
        limits.answer = span("answer").unwrap_or(limits.answer);
        limits.idle = span("idle").unwrap_or(limits.idle);
        if let Some((text, place)) = section.text("message", self.problems) {
            limits.message = self.size("message", text, &place).unwrap_or(limits.message);
        }
        limits
    }

    fn size(&mut self, key: &str, text: &str, place: &Place) -> Option<usize> {
        let found = bytes(text).filter(|bytes| (4 * KIB..=256 * MIB).contains(bytes));
        if found.is_none() {
            let message = format!("`{key}` is \"{}\", not a size in range", shortened(text));
            let remedy = "write a whole number of KiB or MiB, from 4KiB to 256MiB";
            self.problems.error(place, message, remedy);
        }
        found.and_then(|bytes| usize::try_from(bytes).ok())
    }
}

/// Reads `512KiB` or `16MiB`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "KiB" => KIB,
        "MiB" => MIB,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}
