//! What every program of ours that speaks to the daemon shares: who it is, sent
//! with each call, and what an error means for asking again.
//!
//! Must never: print a token.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// For calls that do not wait for people.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A channel that sends who we are with every call.
pub type Authenticated = InterceptedService<Channel, Bearer>;

/// A message for a call that does not wait for people.
pub fn brief<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER_WITHIN);
    request
}

/// The header with a token; `None` if it holds characters that no token has.
pub fn header(token: &str) -> Option<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.trim()).parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Adds `authorization: Bearer` to every call.
#[derive(Clone)]
pub enum Bearer {
    /// No token is sent.
    None,
    /// This one.
    Known(MetadataValue<Ascii>),
    /// Local mode's, from this file, once the daemon has made it.
    Awaited(PathBuf),
}

impl Bearer {
    /// What only this caller and the daemon know; `None` if no token is sent, or
    /// there is none yet.
    pub fn secret(&self) -> Option<Vec<u8>> {
        match self {
            Bearer::None => None,
            Bearer::Known(value) => Some(value.as_bytes().to_vec()),
            Bearer::Awaited(path) => {
                let token = std::fs::read_to_string(path).ok()?;
                header(&token).map(|value| value.as_bytes().to_vec())
            }
        }
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bearer::None => "Bearer(none)",
            Bearer::Known(_) => "Bearer(hidden)",
            Bearer::Awaited(_) => "Bearer(awaited)",
        })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Bearer::Awaited(path) = self
            && let Some(token) = std::fs::read_to_string(path).ok()
            && let Some(value) = header(&token)
        {
            *self = Bearer::Known(value);
        }
        if let Bearer::Known(value) = self {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Whether asking the same thing again, with the same call id, may help: the
/// daemon is away or said so itself.
pub fn worth_retrying(status: &Status) -> bool {
    match reason_of(status).as_deref() {
        Some("STORE_UNAVAILABLE" | "UNKNOWN_COMMIT" | "SHUTTING_DOWN" | "OVERLOADED") => true,
        Some(_) => false,
        // Without a reason it is the transport that speaks: a connection that
        // broke shows as any of these, depending on where it broke.
        None => matches!(
            status.code(),
            tonic::Code::Unavailable
                | tonic::Code::Unknown
                | tonic::Code::Cancelled
                | tonic::Code::DeadlineExceeded
                | tonic::Code::Internal
        ),
    }
}

/// Whether it is certain that nothing was done, so that asking again cannot
/// meet what an earlier attempt left behind.
pub fn certainly_not_done(status: &Status) -> bool {
    !matches!(reason_of(status).as_deref(), None | Some("UNKNOWN_COMMIT" | "SHUTTING_DOWN"))
}

/// The machine-readable reason, if the daemon gave one.
pub fn reason_of(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == "holdpoint").then_some(info.reason)
}

/// A clock that neither jumps with the wall clock nor stands still while the
/// machine sleeps: deadlines count down on it.
pub fn boot() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let at = rustix::time::clock_gettime(CLOCK);
    Duration::new(at.tv_sec.max(0) as u64, at.tv_nsec as u32)
}
