//! What the doors count, for metrics and tests.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Plain numbers over all doors since the start. Each may be read at any time;
/// together they are no snapshot.
#[derive(Debug, Default)]
pub struct DoorCounts {
    /// Connections that are open now, those in a TLS handshake included.
    pub open: AtomicU64,
    /// Of those, how many have authenticated.
    pub known: AtomicU64,
    /// Connections taken in since the start.
    pub accepted: AtomicU64,
    /// Closed at once, because a limit was reached and nobody could be displaced.
    pub refused: AtomicU64,
    /// Closed without having authenticated, to make room for a newer one.
    pub displaced: AtomicU64,
    /// Closed because no call of theirs got past the token check in time.
    pub silent: AtomicU64,
    /// Closed because a hundred of their calls were refused for want of a token
    /// or a certificate that is known, and none was not.
    pub given_up: AtomicU64,
    /// Closed because the client certificate they were made with has ended.
    pub ended: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: AtomicU64,
    /// Connections that the system could not hand over, for want of file
    /// descriptors for example.
    pub accept_errors: AtomicU64,
    /// When the server's certificate ends, in seconds since 1970; 0 without TLS.
    pub certificate_expires_at: AtomicI64,
    /// How often a new certificate was taken into use after the start.
    pub certificate_reloads: AtomicU64,
    /// How often new files could not be used, and the certificate before them was kept.
    pub certificate_reload_failures: AtomicU64,
}

impl DoorCounts {
    /// One more.
    pub(super) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// One fewer.
    pub(super) fn take(count: &AtomicU64) {
        count.fetch_sub(1, Ordering::Relaxed);
    }
}
