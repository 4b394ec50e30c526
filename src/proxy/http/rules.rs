//! By which names, and from which web pages, the proxy may be reached.
//!
//! A page can make a browser send requests to this machine, and can make its own
//! name stand for 127.0.0.1 (DNS rebinding). Browsers cannot lie about two
//! headers: `Host`, the name they were told, and `Origin`, the page that asked.
//! Both are looked at before anything else of a request. Must never: trust a
//! request because of them; they only tell browsers apart.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};

use crate::proxy::config::{HostName, Listen};

/// This machine, as it calls itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What is let in.
#[derive(Debug)]
pub struct Rules {
    /// Names that are right.
    hosts: Vec<HostName>,
    /// Pages that may call.
    origins: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// It has no `Host`, or several.
    #[error("a request has exactly one Host header")]
    NoHost,
    /// It was sent to a name that is not ours.
    #[error(
        "this Host is not served here; if clients are to reach the proxy by this name, add it to `hosts`"
    )]
    Host,
    /// A page sent it that may not.
    #[error("pages of this Origin may not call; if they are to, add it to `origins`")]
    Origin,
}

impl Stranger {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Stranger::NoHost => StatusCode::BAD_REQUEST,
            Stranger::Host | Stranger::Origin => StatusCode::FORBIDDEN,
        }
    }
}

impl Rules {
    /// For a door that listens there, with TLS or without. The address is the one
    /// that was bound: its port may have been chosen by the system.
    pub fn new(listen: &Listen, tls: bool, hosts: &[HostName], origins: &[String]) -> Rules {
        let mut origins = origins.to_vec();
        let scheme = if tls { "https" } else { "http" };
        let own = |name: &str, port| HostName { name: name.to_owned(), port };
        let mut right = hosts.to_vec();
        match listen {
            Listen::Tcp(address) => {
                let port = Some(address.port());
                let ip = address.ip().to_canonical();
                let name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
                if !ip.is_unspecified() {
                    right.push(own(&name, port));
                }
                if ip.is_loopback() {
                    right.extend(LOOPBACK.map(|name| own(name, port)));
                    // A page of this origin would be one of ours, and we have none.
                    let port = address.port();
                    origins.extend(LOOPBACK.map(|name| format!("{scheme}://{name}:{port}")));
                }
            }
            // No browser connects to a socket; who stands before it passes names on.
            Listen::Unix(_) => right.push(own("localhost", None)),
        }
        Rules { hosts: right, origins }
    }

    /// Whether a request may come in; with the page that sent it, if one did.
    pub fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<HeaderValue>, Stranger> {
        let mut named = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return Err(Stranger::NoHost);
        };
        let host = host.to_str().map_err(|_| Stranger::Host)?;
        // A request may name its host twice; then both have to be right.
        let in_line = uri.authority().map(|authority| authority.as_str());
        if [Some(host), in_line].into_iter().flatten().any(|host| !self.is_right(host)) {
            return Err(Stranger::Host);
        }
        let mut pages = headers.get_all(header::ORIGIN).iter();
        match (pages.next(), pages.next()) {
            (None, _) => Ok(None),
            (Some(page), None) if self.origins.iter().any(|origin| page == origin.as_str()) => {
                Ok(Some(page.clone()))
            }
            _ => Err(Stranger::Origin),
        }
    }

    fn is_right(&self, host: &str) -> bool {
        let Some(host) = HostName::parse(host) else { return false };
        self.hosts
            .iter()
            .any(|right| right.name == host.name && right.port.is_none_or(|p| Some(p) == host.port))
    }
}

/// What a browser asks before it lets a page send a request.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The headers by which a browser lets the page read an answer.
pub fn for_page(page: &HeaderValue, answer: &mut HeaderMap) {
    let told = HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate");
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page.clone());
    answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, told);
    answer.append(header::VARY, HeaderValue::from_static("Origin"));
}

/// The headers that answer a preflight: whatever the page wants to send, it may.
/// What is sent is judged when it comes.
pub fn for_preflight(asked: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let methods = HeaderValue::from_static("GET, POST, DELETE");
    let mut answer = vec![
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        // Ten minutes: a page that was taken from `origins` is refused all the same.
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
    ];
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.push((header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(listen: &str, hosts: &[&str]) -> Rules {
        let hosts: Vec<_> =
            hosts.iter().map(|host| HostName::parse(host).expect("a host")).collect();
        let listen = match listen.parse() {
            Ok(address) => Listen::Tcp(address),
            Err(_) => Listen::Unix(listen.into()),
        };
        Rules::new(&listen, false, &hosts, &["https://inspector.example.org".to_owned()])
    }

    fn admit(rules: &Rules, headers: &[(HeaderName, &str)]) -> Result<bool, Stranger> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        rules.admit(&Uri::from_static("/a/mcp"), &map).map(|page| page.is_some())
    }

    #[test]
    fn on_loopback_only_this_machine_s_names_with_our_port_are_right() {
        let rules = rules("127.0.0.1:4655", &["mcp.example.org"]);
        let of = |host| admit(&rules, &[(header::HOST, host)]);
        for right in [
            "127.0.0.1:4655",
            "localhost:4655",
            "LOCALHOST:4655",
            "[::1]:4655",
            "mcp.example.org",
            "mcp.example.org:80",
        ] {
            assert_eq!(of(right), Ok(false), "{right}");
        }
        for wrong in [
            "evil.example:4655",
            "localhost",
            "localhost:80",
            "localhost.evil.example:4655",
            "127.0.0.1.evil.example:4655",
            "mcp.example.org.",
            "xmcp.example.org",
            "0.0.0.0:4655",
            "[::ffff:127.0.0.1]:4655",
            "u@localhost:4655",
            "",
        ] {
            assert_eq!(of(wrong), Err(Stranger::Host), "{wrong}");
        }
    }

    #[test]
    fn beyond_loopback_its_own_address_and_configured_names_are_right() {
        let one = rules("192.0.2.7:443", &["mcp.example.org:443"]);
        let of = |rules: &Rules, host| admit(rules, &[(header::HOST, host)]);
        assert_eq!(of(&one, "192.0.2.7:443"), Ok(false));
        assert_eq!(of(&one, "mcp.example.org:443"), Ok(false));
        assert_eq!(of(&one, "mcp.example.org:444"), Err(Stranger::Host));
        assert_eq!(of(&one, "localhost:443"), Err(Stranger::Host));
        let any = rules("0.0.0.0:443", &[]);
        assert_eq!(of(&any, "0.0.0.0:443"), Err(Stranger::Host));
        assert_eq!(of(&rules("proxy.sock", &[]), "localhost"), Ok(false));
        assert_eq!(of(&rules("proxy.sock", &[]), "evil.example"), Err(Stranger::Host));
    }

    #[test]
    fn a_name_in_the_request_s_line_has_to_be_right_too_and_two_hosts_are_none() {
        let rules = rules("127.0.0.1:4655", &[]);
        let mut headers = HeaderMap::new();
        assert_eq!(rules.admit(&Uri::from_static("/"), &headers), Err(Stranger::NoHost));
        headers.append(header::HOST, HeaderValue::from_static("localhost:4655"));
        let evil = Uri::from_static("http://evil.example:4655/a/mcp");
        assert_eq!(rules.admit(&evil, &headers), Err(Stranger::Host));
        let fine = Uri::from_static("http://127.0.0.1:4655/a/mcp");
        assert_eq!(rules.admit(&fine, &headers), Ok(None));
        headers.append(header::HOST, HeaderValue::from_static("localhost:4655"));
        assert_eq!(rules.admit(&fine, &headers), Err(Stranger::NoHost));
    }

    #[test]
    fn only_listed_pages_may_call() {
        let rules = rules("127.0.0.1:4655", &[]);
        let host = (header::HOST, "localhost:4655");
        let of = |page| admit(&rules, &[host.clone(), (header::ORIGIN, page)]);
        assert_eq!(of("https://inspector.example.org"), Ok(true));
        assert_eq!(of("http://localhost:4655"), Ok(true));
        for wrong in [
            "null",
            "",
            "http://inspector.example.org",
            "https://inspector.example.org:8443",
            "https://inspector.example.org.evil.example",
            "http://localhost:4656",
            "https://localhost:4655",
        ] {
            assert_eq!(of(wrong), Err(Stranger::Origin), "{wrong}");
        }
        let listed = (header::ORIGIN, "https://inspector.example.org");
        assert_eq!(admit(&rules, &[host, listed.clone(), listed]), Err(Stranger::Origin));
    }
}
