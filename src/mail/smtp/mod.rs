//! Letters to an SMTP server.
//!
//! ```text
//! deliver ── pool: a slot, an idle session or a new one ── session: verbs ── line: bytes
//!    └────── trouble: what went wrong, whose fault it is, what to do
//! ```
//!
//! Promises: never more connections than configured; each step has its time and
//! so has the whole; certificates are checked; a password goes to the server
//! alone, and in clear never beyond this machine; a letter is handed over at
//! most once per call, and where it stays open whether the server took it, the
//! failure says so.

mod line;
mod pool;
mod session;
mod tls;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::Instant;

use super::letter::Letter;
use super::transport::{BadMailConfig, Delivered, Failure, Fault, MailConfig};
use crate::config::{self, SmtpSecurity};
use line::Reply;
pub use line::{Listener, Said};
use pool::{Pool, Slot};
use session::Session;
use trouble::{Broken, one_line};

/// How many time limits of a step everything before the end of a letter may
/// take together: connecting has ten steps, and a server that needs nearly 30 s
/// for each is not worth the wait.
const PREPARE_STEPS: u32 = 4;

/// How many time limits of a step the server may take to accept a letter: 3
/// minutes. Filters work while we wait there, and who gives up early gets the
/// letter delivered twice, for which RFC 5321 (4.5.3.2.6) wants 10 minutes; but
/// people have 15 to decide, and a server that hangs must leave time for another
/// attempt.
const END_STEPS: u32 = 6;

/// Which part of a step's time limit a connection that was used before has to
/// show that it lives: 5 s. Opening another takes less.
const REUSE_PART: u32 = 6;

/// How the connection is protected.
enum Protection {
    /// Not at all.
    None,
    /// TLS after a plain greeting, or no mail.
    StartTls(Arc<ClientConfig>),
    /// TLS from the first byte.
    Tls(Arc<ClientConfig>),
}

/// A mail server, and how to speak to it.
struct Server {
    smtp: config::Smtp,
    protection: Protection,
    step_limit: Duration,
}

/// A mail server with its connections. Clones share them.
#[derive(Clone)]
pub struct Smtp {
    server: Arc<Server>,
    pool: Arc<Pool>,
}

/// Without credentials.
impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Smtp").field(&self.describe()).finish()
    }
}

impl Smtp {
    pub(super) fn new(smtp: &config::Smtp, config: &MailConfig) -> Result<Self, BadMailConfig> {
        let host = &smtp.host;
        let tls = || tls::client(smtp.tls_ca_file.as_deref());
        let protection = match smtp.security {
            SmtpSecurity::Plain
                if smtp.is_plain_beyond_this_machine() && !smtp.allow_unencrypted =>
            {
                return Err(BadMailConfig::PlainBeyondLoopback { host: host.clone() });
            }
            SmtpSecurity::Plain => Protection::None,
            SmtpSecurity::StartTls => Protection::StartTls(tls()?),
            SmtpSecurity::Tls => Protection::Tls(tls()?),
        };
        if smtp.user.is_some() && smtp.password.is_none() && smtp.password_file.is_none() {
            return Err(BadMailConfig::UserWithoutPassword);
        }
        let step_limit = config.step_timeout;
        let server = Arc::new(Server { smtp: smtp.clone(), protection, step_limit });
        let pool = Arc::new(Pool::new(config.connections, step_limit));
        Ok(Smtp { server, pool })
    }

    pub(super) fn describe(&self) -> String {
        let how = match self.server.protection {
            Protection::None => "without TLS",
            Protection::StartTls(_) => "with STARTTLS",
            Protection::Tls(_) => "with TLS",
        };
        format!("{} port {}, {how}", self.server.smtp.host, self.server.smtp.port)
    }

    /// Hands a letter over, by a connection that is there already if one is.
    pub(super) async fn deliver(&self, letter: &Letter) -> Result<Delivered, Failure> {
        let slot = self.pool.slot().await;
        let deadline = self.deadline();
        if let Some(mut session) = self.pool.take() {
            session.set_deadline(deadline);
            if session.lives(self.server.step_limit / REUSE_PART).await {
                let ended = session.hand_over(letter, self.end_limit()).await;
                // It died before the letter began: no failure, there are others.
                if !ended.as_ref().is_err_and(Broken::is_stale) {
                    return self.ended(session, slot, ended);
                }
            }
        }
        if let Some(failure) = self.pool.rest() {
            return Err(failure);
        }
        let mut session = match Session::open(&self.server, deadline, None).await {
            Ok(session) => session,
            Err(broken) => {
                let failure = broken.failure(&self.server);
                self.pool.failed(&failure);
                return Err(self.pool.rest().unwrap_or(failure));
            }
        };
        let ended = session.hand_over(letter, self.end_limit()).await;
        self.ended(session, slot, ended)
    }

    /// Hands a letter over by a connection of its own, while somebody listens.
    pub(super) async fn try_out(
        &self,
        letter: &Letter,
        listener: Listener,
    ) -> Result<Delivered, Failure> {
        let opened = Session::open(&self.server, self.deadline(), Some(listener)).await;
        let mut session = opened.map_err(|broken| broken.failure(&self.server))?;
        let ended = session.hand_over(letter, self.end_limit()).await;
        if ended.as_ref().err().is_none_or(Broken::is_in_sync) {
            session.quit().await;
        }
        ended.map(delivered).map_err(|broken| broken.failure(&self.server))
    }

    /// Closes the connections that nobody uses.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    fn ended(
        &self,
        session: Session,
        slot: Slot,
        ended: Result<Reply, Broken>,
    ) -> Result<Delivered, Failure> {
        if ended.as_ref().err().is_none_or(Broken::is_in_sync) {
            self.pool.put(session, slot);
        }
        match ended {
            Ok(reply) => {
                self.pool.worked();
                Ok(delivered(reply))
            }
            Err(broken) => {
                let failure = broken.failure(&self.server);
                // Only then would the next letter be refused as this one is.
                if failure.fault == Fault::SetUp && failure.meets_all {
                    self.pool.failed(&failure);
                } else {
                    self.pool.worked();
                }
                Err(failure)
            }
        }
    }

    /// By when everything before the end of a letter has to be done.
    fn deadline(&self) -> Instant {
        Instant::now() + self.server.step_limit * PREPARE_STEPS
    }

    fn end_limit(&self) -> Duration {
        self.server.step_limit * END_STEPS
    }
}

fn delivered(reply: Reply) -> Delivered {
    Delivered { answer: one_line(&reply.text()) }
}
