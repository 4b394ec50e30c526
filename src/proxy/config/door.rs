//! Where the proxy listens, and by which names clients and pages reach it.
//!
//! Must never: take an address that other machines can reach without TLS and
//! tokens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::document::Section;
use crate::config::names::{name_fault, shortened};
use crate::config::{TlsFiles, TlsVersion, printable};

use super::Reader;

/// The port that Holdpoint's proxy has by convention.
const DEFAULT: &str = "127.0.0.1:4655";

/// Where clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Through a Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether other machines can reach it.
    pub fn is_beyond_this_machine(&self) -> bool {
        match self {
            Listen::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Listen::Unix(_) => false,
        }
    }
}

/// As clients take it.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", printable(path)),
        }
    }
}

/// A name that may stand in `Host`: with a port, that port alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// In lower case; an IPv6 address in brackets.
    pub name: String,
    /// `None`: any.
    pub port: Option<u16>,
}

impl HostName {
    /// Reads `name`, `name:port`, `[::1]` or `[::1]:port`; `None` if it is none of them.
    pub fn parse(text: &str) -> Option<HostName> {
        let (name, port) = match text.rsplit_once(':') {
            // A colon within brackets belongs to the address.
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        };
        let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let well_formed = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
                !name.is_empty() && name.len() <= 253 && name.bytes().all(plain)
            }
        };
        let port = match port {
            None => None,
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Some(text.parse().ok()?)
            }
            Some(_) => return None,
        };
        well_formed.then(|| HostName { name: name.to_ascii_lowercase(), port })
    }
}

impl Reader<'_> {
    /// The address; beyond this machine only with TLS.
    pub(super) fn listen(&mut self, top: &Section<'_>, tls: bool) -> Listen {
        let default = || Listen::Tcp(DEFAULT.parse().expect("an address"));
        let Some((text, place)) = top.text("listen", self.problems) else { return default() };
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Listen::Unix(self.folder.join(path));
        }
        let Ok(address) = text.parse() else {
            let message = format!("`listen` is \"{}\", not an address", shortened(text));
            let remedy = format!(
                "write an IP address and a port, for example {DEFAULT} or [::]:4655, or unix:PATH"
            );
            self.problems.error(&place, message, remedy);
            return default();
        };
        let listen = Listen::Tcp(address);
        if listen.is_beyond_this_machine() && !tls {
            let message = format!(
                "`listen` is {address}, which other machines can reach, but tokens would travel \
                 unencrypted"
            );
            let remedy = "set `tls_cert_file` and `tls_key_file`, or listen on 127.0.0.1";
            self.problems.error(&place, message, remedy);
        }
        listen
    }

    /// The address for monitoring. It tells which servers there are and how many calls
    /// they get, so it may leave this machine; whoever opens it should know that.
    pub(super) fn metrics_listen(
        &mut self,
        top: &Section<'_>,
        listen: &Listen,
    ) -> Option<SocketAddr> {
        let (text, place) = top.text("metrics_listen", self.problems)?;
        let Ok(address) = text.parse::<SocketAddr>() else {
            let message = format!("`metrics_listen` is \"{}\", not an address", shortened(text));
            let remedy = "write an IP address and a port, for example 127.0.0.1:4657";
            self.problems.error(&place, message, remedy);
            return None;
        };
        if *listen == Listen::Tcp(address) && address.port() != 0 {
            let message = format!("`metrics_listen` and `listen` are both {address}");
            let remedy = "give metrics a port of their own, for example 4657";
            self.problems.error(&place, message, remedy);
        }
        if Listen::Tcp(address).is_beyond_this_machine() {
            let message = format!(
                "`metrics_listen` is {address}: other machines can read, without a token, which \
                 servers there are and how many calls they get (not which, nor by whom)"
            );
            let remedy = "let only your Prometheus reach it (a firewall, a network of its own), or \
                          listen on 127.0.0.1";
            self.problems.warning(&place, message, remedy);
        }
        Some(address)
    }

    /// Certificate and key: both or neither.
    pub(super) fn tls(&mut self, top: &Section<'_>) -> Option<TlsFiles> {
        let remedy = "name a PEM file that this user can read";
        let cert = self.path(top, "tls_cert_file", remedy);
        let key = self.path(top, "tls_key_file", remedy);
        for (name, other) in [("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")]
        {
            if let Some(item) = top.item(name)
                && top.item(other).is_none()
            {
                let message = format!("`{name}` is set, but `{other}` is not");
                let remedy = format!("set `{other}`, or take `{name}` away");
                self.problems.error(&item.place(), message, remedy);
            }
        }
        Some(TlsFiles {
            cert_file: cert?.0,
            key_file: key?.0,
            client_ca_file: None,
            min_version: TlsVersion::default(),
        })
    }

    pub(super) fn hosts(&mut self, top: &Section<'_>) -> Vec<HostName> {
        let mut hosts = Vec::new();
        for (text, place) in top.texts("hosts", self.problems) {
            match HostName::parse(text) {
                Some(host) => hosts.push(host),
                None => {
                    let message = format!("\"{}\" in `hosts` is no host name", shortened(text));
                    let remedy = "write a name as it stands in the URL, without https://, for \
                                  example mcp.example.org or mcp.example.org:8443";
                    self.problems.error(&place, message, remedy);
                }
            }
        }
        hosts
    }

    pub(super) fn origins(&mut self, top: &Section<'_>) -> Vec<String> {
        let mut origins = Vec::new();
        for (text, place) in top.texts("origins", self.problems) {
            let host = ["https://", "http://"].iter().find_map(|s| text.strip_prefix(s));
            match host.and_then(HostName::parse) {
                Some(_) if text == text.to_ascii_lowercase() => origins.push(text.to_owned()),
                _ => {
                    let message = format!("\"{}\" in `origins` is no origin", shortened(text));
                    let remedy = "write scheme, host and port as browsers do, in lower case and \
                                  without a path, for example https://inspector.example.org";
                    self.problems.error(&place, message, remedy);
                }
            }
        }
        origins
    }

    /// Only where nobody but this machine's own users gets in.
    pub(super) fn without_token(&mut self, top: &Section<'_>, listen: &Listen) -> Option<String> {
        let (name, place) = top.text("without_token", self.problems)?;
        if let Some(fault) = name_fault(name) {
            let message = format!("the name \"{}\" {fault}", shortened(name));
            self.problems.error(&place, message, "choose another, for example laptop");
            return None;
        }
        if listen.is_beyond_this_machine() {
            let message =
                format!("`without_token` lets in whoever reaches {listen}, and other machines can");
            let remedy = "take it away and give clients tokens, or listen on 127.0.0.1";
            self.problems.error(&place, message, remedy);
        }
        Some(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_with_or_without_a_port() {
        let of = |text| HostName::parse(text).map(|host| (host.name, host.port));
        let is = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(of("mcp.example.org"), is("mcp.example.org", None));
        assert_eq!(of("MCP.example.org:8443"), is("mcp.example.org", Some(8443)));
        assert_eq!(of("127.0.0.1:4655"), is("127.0.0.1", Some(4655)));
        assert_eq!(of("[::1]"), is("[::1]", None));
        assert_eq!(of("[::1]:4655"), is("[::1]", Some(4655)));
        for bad in [
            "", ":1", "a:", "a:+1", "a:65536", "a b", "a/b", "u@a", "[::1", "::1", "[x]:1",
            "[::1]1",
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
