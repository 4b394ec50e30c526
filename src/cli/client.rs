//! The connection to the daemon: where it is, who we are there, how we speak.
//!
//! Promises: a token leaves this machine only over TLS, and the tokens of local
//! mode only over the state directory's own socket. Must never: print a token.

use std::env;
use std::error::Error as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::errors::{Done, Failure};
use super::state::{Globals, token_file};
use super::text::safe;
pub use crate::client::brief;
use crate::client::{Authenticated, Bearer, header, reason_of};
use crate::config::StatePaths;
use crate::proto::caller_service_client::CallerServiceClient;
use crate::proto::history_service_client::HistoryServiceClient;
use crate::proto::operator_service_client::OperatorServiceClient;

/// Whose token local mode offers to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `request`, `exec`, `mine`, `withdraw`.
    Caller,
    /// Everything that looks at what others asked, or decides.
    Operator,
}

/// Where the daemon is and who we are there.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    channel: Channel,
    bearer: Bearer,
    /// The address, for messages.
    pub address: String,
}

/// Pings on the connection, so that one that died in silence is noticed.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// How long a ping may go unanswered.
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// A connection that is not made by then will not be.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The window of one stream: a call's arguments may have 256 KiB, and the
/// usual 64 KiB would cost round trips.
const WINDOW: u32 = 1 << 20;
/// The largest answer: a page of 50 requests with 256 KiB of arguments each,
/// which grow a little when they are masked.
const MAX_ANSWER: usize = 32 << 20;

impl Client {
    /// Reads flags and environment. Connects when the first call is made.
    pub fn new(globals: &Globals, role: Role) -> Done<Self> {
        let named = globals.connect.clone().or_else(|| variable("HOLDPOINT_SERVER"));
        // Who names another daemon does not need a state directory.
        let paths = match (globals.paths(), &named) {
            (Ok(paths), _) => Some(paths),
            (Err(_), Some(_)) => None,
            (Err(failure), None) => return Err(failure),
        };
        let address = match (named, &paths) {
            (Some(address), _) => address,
            (None, Some(paths)) => format!("unix:{}", utf8(&paths.socket)?),
            (None, None) => unreachable!("without an address the paths are there"),
        };
        let bearer = bearer(&address, paths.as_ref(), role)?;
        let endpoint = endpoint(&address, matches!(bearer, Bearer::Known(_)))?;
        let channel = endpoint.connect_lazy();
        Ok(Client { endpoint, channel, bearer, address: safe(&address) })
    }

    /// Connects now, or says why not.
    pub async fn connect(&self) -> Done {
        match self.endpoint.connect().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.unreachable(&root_cause(&error))),
        }
    }

    /// The service for programs that hold calls.
    pub fn caller(&self) -> CallerServiceClient<Authenticated> {
        CallerServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MAX_ANSWER)
    }

    /// What only this caller and the daemon know, if a token is sent.
    pub fn secret(&self) -> Option<Vec<u8>> {
        self.bearer.secret()
    }

    /// The service for people who decide.
    pub fn operator(&self) -> OperatorServiceClient<Authenticated> {
        OperatorServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MAX_ANSWER)
    }

    /// The history.
    pub fn history(&self) -> HistoryServiceClient<Authenticated> {
        HistoryServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MAX_ANSWER)
    }

    /// What an error of a call means; one that came from the transport names
    /// the address and the cause.
    pub fn failure(&self, status: Status) -> Failure {
        match (reason_of(&status), status.source()) {
            (None, Some(source)) => self.unreachable(&root_cause(source)),
            _ => Failure::from(status),
        }
    }

    fn unreachable(&self, cause: &str) -> Failure {
        let what = format!("no daemon answers at {}: {}", self.address, safe(cause));
        let (tls, plain) =
            (self.address.starts_with("https://"), self.address.starts_with("http://"));
        let silent = ["refused", "timed out", "deadline", "lookup", "resolve", "unreachable"]
            .iter()
            .any(|word| cause.contains(word));
        let port = usual_port(&self.address);
        let next = if let Some(port) = port {
            return Failure::unreachable(
                what,
                format!(
                    "The address names no port, so {port} was tried; the daemon's is 4653 by \
                     convention."
                ),
            );
        } else if plain && !silent {
            "It may speak TLS: try https://. Or it is the port of the operators' pages: the one of `listen` is wanted (4653 by convention)."
        } else if tls && (cause.contains("InvalidContentType") || cause.contains("corrupt message"))
        {
            "It may speak without TLS: try http:// (on this machine only)."
        } else if cause.contains("CaUsedAsEndEntity") {
            "The server's certificate is itself a CA: make one that is not, signed by the CA in HOLDPOINT_CA."
        } else if cause.contains("UnknownIssuer") {
            "Set HOLDPOINT_CA to the certificate (PEM) of the CA that signed the server's."
        } else if self.address.starts_with("unix:") {
            "Start it with `holdpoint serve`, or say where it is with HOLDPOINT_SERVER."
        } else {
            "Check HOLDPOINT_SERVER, and that the daemon runs."
        };
        Failure::unreachable(what, next)
    }
}

/// The port that is tried for an address without one.
fn usual_port(address: &str) -> Option<u16> {
    let (rest, port) = match address.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (address.strip_prefix("http://")?, 80),
    };
    let host = rest.split('/').next().unwrap_or_default();
    // Colons within brackets are an IPv6 address's own.
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    (!after.contains(':')).then_some(port)
}

fn endpoint(address: &str, with_token: bool) -> Done<Endpoint> {
    let wrong = |why: &str| {
        Failure::usage(
            format!("the daemon's address {} {why}", safe(address)),
            "Write unix:PATH, http://HOST:PORT or https://HOST:PORT in HOLDPOINT_SERVER or --connect.",
        )
    };
    let known = ["unix:", "http://", "https://"].iter().any(|scheme| address.starts_with(scheme));
    if !known {
        return Err(wrong("has no scheme that is known here"));
    }
    let mut endpoint =
        Endpoint::from_shared(address.to_owned()).map_err(|_| wrong("cannot be read"))?;
    if !address.starts_with("unix:") {
        let uri = endpoint.uri().clone();
        let host = uri.host().unwrap_or_default();
        if host.is_empty() || uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(wrong("cannot be read"));
        }
        if uri.scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(tls()?).map_err(|error| wrong(&root_cause(&error)))?;
        } else if with_token && !is_loopback(host) {
            return Err(Failure::usage(
                format!("the token would travel to {} in clear text", safe(host)),
                "Use https:// (with HOLDPOINT_CA for a CA of your own), or a tunnel to a loopback address.",
            ));
        }
    }
    let agent = concat!("holdpoint/", env!("CARGO_PKG_VERSION"));
    let endpoint = endpoint.user_agent(agent).map_err(|_| wrong("cannot be used"))?;
    Ok(endpoint
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WITHIN)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW))
}

fn tls() -> Done<ClientTlsConfig> {
    let mut config = ClientTlsConfig::new();
    if let Some(identity) = certificate()? {
        config = config.identity(identity);
    }
    match variable("HOLDPOINT_CA") {
        None => Ok(config.with_native_roots()),
        Some(path) => {
            let pem = read(Path::new(&path), "HOLDPOINT_CA")?;
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                return Err(Failure::usage(
                    format!("HOLDPOINT_CA: {} holds no certificate in PEM", safe(&path)),
                    "Name the file with the CA's certificate (-----BEGIN CERTIFICATE-----).",
                ));
            }
            Ok(config.ca_certificate(Certificate::from_pem(pem)))
        }
    }
}

/// The client certificate in `HOLDPOINT_CERT`, with the key in `HOLDPOINT_KEY`.
fn certificate() -> Done<Option<Identity>> {
    let pem = |name: &str, path: &str, label: &str| {
        let pem = read(Path::new(path), name)?;
        match pem.contains("-----BEGIN ") && pem.contains(label) {
            true => Ok(pem),
            false => Err(Failure::usage(
                format!("{name}: {} holds no {} in PEM", safe(path), label.to_lowercase()),
                format!("Name the file with the client's {}.", label.to_lowercase()),
            )),
        }
    };
    match (variable("HOLDPOINT_CERT"), variable("HOLDPOINT_KEY")) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => {
            let cert = pem("HOLDPOINT_CERT", &cert, "CERTIFICATE")?;
            let key = pem("HOLDPOINT_KEY", &key, "PRIVATE KEY")?;
            Ok(Some(Identity::from_pem(cert, key)))
        }
        (cert, _) => {
            let (set, other) = match cert {
                Some(_) => ("HOLDPOINT_CERT", "HOLDPOINT_KEY"),
                None => ("HOLDPOINT_KEY", "HOLDPOINT_CERT"),
            };
            Err(Failure::usage(
                format!("{set} is set, but {other} is not"),
                "A client certificate takes both: the certificate's file and the file of its key, PEM.",
            ))
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Who we are: `HOLDPOINT_TOKEN`, else the file in `HOLDPOINT_TOKEN_FILE`, else
/// local mode's token, if it is local mode's own socket that we speak to.
fn bearer(address: &str, paths: Option<&StatePaths>, role: Role) -> Done<Bearer> {
    let is_own = |paths: &&StatePaths| {
        address.strip_prefix("unix:").is_some_and(|path| Path::new(path) == paths.socket)
    };
    let token = if let Some(token) = variable("HOLDPOINT_TOKEN") {
        Some((token, "HOLDPOINT_TOKEN".to_owned()))
    } else if let Some(path) = variable("HOLDPOINT_TOKEN_FILE") {
        Some((read(Path::new(&path), "HOLDPOINT_TOKEN_FILE")?, path))
    } else if let Some(paths) = paths.filter(is_own) {
        let path = token_file(paths, role);
        match std::fs::read_to_string(path) {
            Ok(token) => Some((token, path.display().to_string())),
            // Not local mode, or nothing was started here yet: then the token
            // comes with the daemon, and is looked for again before each call.
            Err(_) => return Ok(Bearer::Awaited(path.clone())),
        }
    } else {
        None
    };
    let Some((token, source)) = token else {
        return Ok(Bearer::None);
    };
    let value = header(&token).ok_or_else(|| {
        Failure::usage(
            format!("the token in {} holds characters that no token has", safe(&source)),
            "Copy it again, whole and on one line.",
        )
    })?;
    Ok(Bearer::Known(value))
}

/// The innermost cause: "connection refused" rather than "transport error".
pub fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether no connection was made at all, so that nothing was sent.
pub fn no_connection(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{ConnectionRefused, NotFound};
            return matches!(error.kind(), ConnectionRefused | NotFound);
        }
        cause = error.source();
    }
    false
}

/// A variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn read(path: &Path, variable: &str) -> Done<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(
            format!("{variable}: cannot read {}: {error}", safe(&path.to_string_lossy())),
            "Check the path and its permissions.",
        )
    })
}

fn utf8(path: &Path) -> Done<&str> {
    path.to_str().ok_or_else(|| {
        Failure::usage(
            format!("the path {} is not UTF-8", safe(&path.to_string_lossy())),
            "Set HOLDPOINT_STATE_DIR to a path that is.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_travels_in_clear_text_beyond_this_machine() {
        let refused = endpoint("http://holdpoint.example:4653", true).expect_err("refused");
        assert!(refused.what.contains("clear text"), "{refused}");
        assert!(endpoint("http://127.0.0.1:4653", true).is_ok());
        assert!(endpoint("http://[::1]:4653", true).is_ok());
        assert!(endpoint("http://localhost:4653", true).is_ok());
        assert!(endpoint("http://127.0.0.1.evil.example:4653", true).is_err());
        assert!(endpoint("http://localhost@evil.example:4653", true).is_err());
        assert!(endpoint("http://holdpoint.example:4653", false).is_ok());
    }

    #[test]
    fn an_address_without_a_port_is_noticed() {
        assert_eq!(usual_port("https://hold.example"), Some(443));
        assert_eq!(usual_port("http://[::1]/"), Some(80));
        for address in ["https://hold.example:4653", "http://[::1]:4653", "unix:/run/x"] {
            assert_eq!(usual_port(address), None, "{address}");
        }
    }

    #[test]
    fn an_address_without_a_known_scheme_is_a_usage_error() {
        for address in ["127.0.0.1:4653", "ftp://x", "", "http://"] {
            assert_eq!(
                endpoint(address, false).expect_err(address).exit,
                crate::cli::errors::exit::USAGE
            );
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let value = header("secret").expect("ascii");
        assert_eq!(format!("{:?}", Bearer::Known(value)), "Bearer(hidden)");
    }
}
