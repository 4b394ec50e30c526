//! The TLS side of a door: certificate, key, and whose client certificates count.
//!
//! Promises: new files are taken into use while it runs, for the connections
//! that are made from then on, and only if they can be used: otherwise what was
//! in use stays, and the log says why. A certificate that ends soon is said
//! once a day; one that has ended is served on, loudly: clients refuse it, and
//! those who are connected stay. Must never: log a key.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::certificate::Certificate;
use super::counts::DoorCounts;
use super::crowd::unix_seconds;
use crate::call::time::Time;
use crate::config::{TlsFiles, TlsVersion, file};

/// HTTP/2, all that gRPC speaks.
pub const H2: &[u8] = b"h2";

/// HTTP/1.1.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// How often the files are looked at. Three calls of `stat`.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// From when on the end of the certificate is warned of.
const SOON: u64 = 14 * DAY;

/// How often.
const DAY: u64 = 86_400;

/// What connections are made with from now on.
pub struct Tls {
    counts: Arc<DoorCounts>,
    /// What is spoken within TLS, as ALPN calls it.
    protocol: &'static [u8],
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

/// What was last looked at.
struct Seen {
    files: TlsFiles,
    stamps: Vec<Option<Stamp>>,
    /// When the certificate in use ends, in seconds since 1970.
    ends: u64,
    /// When that was last warned of, and whether it had ended.
    warned: Option<(u64, bool)>,
}

/// What changes when a file does, or when another takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    /// Of the content and of the file's own record, which nobody can set back.
    changed: [(i64, i64); 2],
}

/// The files cannot be used. Says which, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read at all.
    #[error("cannot read `{key}` {path}: {error}; name a PEM file that the daemon's user can read")]
    Read {
        /// The setting.
        key: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It holds something else.
    #[error("`{key}` {path} {why}; {remedy}")]
    Content {
        /// The setting.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files, and looks after them as long as this lives.
    pub fn start(
        files: &TlsFiles,
        protocol: &'static [u8],
        counts: Arc<DoorCounts>,
    ) -> Result<Arc<Self>, TlsError> {
        let stamps = stamps(files);
        let (config, ends) = read(files, protocol)?;
        let tls = Arc::new(Tls {
            counts,
            protocol,
            current: RwLock::new(config),
            seen: Mutex::new(Seen { files: files.clone(), stamps, ends, warned: None }),
        });
        tls.counts.certificate_expires_at.store(seconds(ends), Ordering::Relaxed);
        tls.look();
        tokio::spawn(look_often(Arc::downgrade(&tls)));
        Ok(tls)
    }

    /// What the next handshake is made with.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads these files, the same as before or others, and looks after them from
    /// now on. If they cannot be used, what was in use stays, and the log says why.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.files = files.clone();
        let done = self.exchange(&mut seen);
        self.warn(&mut seen, unix_seconds());
        done
    }

    fn exchange(&self, seen: &mut Seen) -> Result<(), TlsError> {
        // Before reading: a file that changes in between is read again later.
        seen.stamps = stamps(&seen.files);
        match read(&seen.files, self.protocol) {
            Ok((config, ends)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                (seen.ends, seen.warned) = (ends, None);
                self.counts.certificate_expires_at.store(seconds(ends), Ordering::Relaxed);
                DoorCounts::add(&self.counts.certificate_reloads);
                tracing::info!(expires = date(ends), "the TLS certificate was read again");
                Ok(())
            }
            Err(error) => {
                DoorCounts::add(&self.counts.certificate_reload_failures);
                tracing::error!(%error, "the new TLS files cannot be used; the certificate before them is kept");
                Err(error)
            }
        }
    }

    /// Takes new files into use, and warns of the certificate's end.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps(&seen.files) != seen.stamps {
            // Said in the log; and tried again when they change again.
            let _ = self.exchange(&mut seen);
        }
        self.warn(&mut seen, unix_seconds());
    }

    fn warn(&self, seen: &mut Seen, now: u64) {
        let ended = seen.ends <= now;
        if !warning_is_due(seen.ends, now, seen.warned) {
            return;
        }
        seen.warned = Some((now, ended));
        let (file, expires) = (shown(&seen.files.cert_file), date(seen.ends));
        if ended {
            tracing::error!(
                file,
                expires,
                "the TLS certificate has expired: clients refuse it; put a new one in its place"
            );
        } else {
            let days = (seen.ends - now) / DAY;
            tracing::warn!(file, expires, days, "the TLS certificate expires soon");
        }
    }
}

/// Once a day when the end is near, and at once when it has come. `warned`: when
/// that was last done, and whether it had come then.
fn warning_is_due(ends: u64, now: u64, warned: Option<(u64, bool)>) -> bool {
    let news = warned.is_none_or(|(at, had_ended)| now >= at + DAY || (ends <= now && !had_ended));
    ends <= now + SOON && news
}

async fn look_often(tls: Weak<Tls>) {
    let mut often = tokio::time::interval(LOOK_EVERY);
    loop {
        often.tick().await;
        let Some(tls) = tls.upgrade() else { return };
        // A file system may take its time; the calls that are held must not wait for it.
        let looked = tokio::task::spawn_blocking(move || tls.look());
        if looked.await.is_err() {
            return;
        }
    }
}

fn all(files: &TlsFiles) -> impl Iterator<Item = &PathBuf> {
    [&files.cert_file, &files.key_file].into_iter().chain(&files.client_ca_file)
}

fn stamps(files: &TlsFiles) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some(Stamp {
            file: (found.dev(), found.ino()),
            size: found.size(),
            changed: [(found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec())],
        })
    };
    all(files).map(stamp).collect()
}

/// What the files say, and when the certificate ends.
fn read(files: &TlsFiles, protocol: &'static [u8]) -> Result<(Arc<ServerConfig>, u64), TlsError> {
    let chain = certificates("tls_cert_file", &files.cert_file)?;
    let key = private_key("tls_key_file", &files.key_file)?;
    let wrong = |why: String| TlsError::Content {
        key: "tls_cert_file",
        path: shown(&files.cert_file),
        why,
        remedy: "it takes the server's certificate first, then those that signed it, and \
                 `tls_key_file` the key of the first",
    };
    let leaf = chain.first().map(|leaf| Certificate::read(leaf));
    let ends = match leaf {
        Some(Ok(certificate)) => certificate.ends,
        Some(Err(error)) => return Err(wrong(error.to_string())),
        None => return Err(wrong("is empty".to_owned())),
    };
    let versions: &[&SupportedProtocolVersion] = match files.min_version {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|error| wrong(format!("cannot be used: {error}")))?;
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                // Tokens count as well.
                .allow_unauthenticated()
                .build()
                .map_err(|error| wrong_ca(path, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| wrong(format!("does not fit `tls_key_file`: {error}")))?;
    config.alpn_protocols = vec![protocol.to_vec()];
    // Every connection shows its certificate, and every certificate is verified,
    // anew. Connections last for hours here, so there is little to resume.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), ends))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls_client_ca_file", path)? {
        roots.add(certificate).map_err(|error| wrong_ca(path, error.to_string()))?;
    }
    Ok(roots)
}

fn wrong_ca(path: &Path, why: String) -> TlsError {
    TlsError::Content {
        key: "tls_client_ca_file",
        path: shown(path),
        why: format!("cannot be used: {why}"),
        remedy: "name a PEM file with the certificates of the CAs that sign client certificates",
    }
}

fn bytes(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    file::read(path, file::LONGEST).map_err(|error| TlsError::Read {
        key,
        path: shown(path),
        error,
    })
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = bytes(key, path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let wrong = |why: &str| TlsError::Content {
        key,
        path: shown(path),
        why: why.to_owned(),
        remedy: "it takes certificates in PEM (-----BEGIN CERTIFICATE-----)",
    };
    match found {
        Ok(found) if found.is_empty() => Err(wrong("holds no certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(&format!("is not PEM: {error}"))),
    }
}

fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = bytes(key, path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let why = match error {
            pem::Error::NoItemsFound => "holds no private key",
            // What the error says may quote the file.
            _ => "is not PEM",
        };
        TlsError::Content {
            key,
            path: shown(path),
            why: why.to_owned(),
            remedy: "it takes one private key in PEM, without a passphrase \
                     (-----BEGIN PRIVATE KEY-----)",
        }
    })
}

fn shown(path: &Path) -> String {
    crate::config::printable(path)
}

fn seconds(ends: u64) -> i64 {
    i64::try_from(ends).unwrap_or(i64::MAX)
}

fn date(ends: u64) -> String {
    Time(seconds(ends).saturating_mul(1_000)).rfc3339()
}

#[cfg(test)]
mod tests;
