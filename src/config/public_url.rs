//! Where operators' browsers find the pages.

use std::fmt;

/// Scheme, host and perhaps a port: an origin, without a path, so that links are
/// made by appending to it and a browser's `Origin` can be compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// Longest host and port: what DNS allows, and a port.
const LONGEST: usize = 253 + 6;

impl PublicUrl {
    /// Reads one; in the form that browsers send as `Origin`: lower case, without
    /// the port that its scheme implies.
    pub fn parse(text: &str) -> Result<PublicUrl, String> {
        let lower = text.trim_end_matches('/').to_ascii_lowercase();
        let (scheme, rest, usual) = if let Some(rest) = lower.strip_prefix("https://") {
            ("https", rest, ":443")
        } else if let Some(rest) = lower.strip_prefix("http://") {
            ("http", rest, ":80")
        } else {
            return Err("it does not begin with https:// or http://".to_owned());
        };
        if rest.contains(['/', '?', '#']) {
            return Err("it has a path, and the pages need a host of their own".to_owned());
        }
        if rest.contains('@') {
            return Err("it has a user name".to_owned());
        }
        let authority = rest.strip_suffix(usual).unwrap_or(rest);
        let parsed: Result<axum::http::uri::Authority, _> = authority.parse();
        let good = parsed.is_ok_and(|a| !a.host().is_empty() && a.as_str().len() <= LONGEST);
        match good {
            true => Ok(PublicUrl(format!("{scheme}://{authority}"))),
            false => Err("it does not name a host".to_owned()),
        }
    }

    /// The pages of a listener that nobody gave a name.
    pub(crate) fn of_listener(secure: bool, address: std::net::SocketAddr) -> PublicUrl {
        let scheme = if secure { "https" } else { "http" };
        PublicUrl(format!("{scheme}://{address}"))
    }

    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers speak TLS with it.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Host and port, as browsers send them as `Host`.
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// Whether it is this very address of a listener on loopback.
    pub(crate) fn is_port_of(&self, listen: std::net::SocketAddr) -> bool {
        let usual = if self.is_secure() { 443 } else { 80 };
        let port = self.authority().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        self.is_loopback() && port.unwrap_or(usual) == listen.port()
    }

    /// Whether it names this machine by its loopback address.
    pub fn is_loopback(&self) -> bool {
        let authority = self.authority();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        host == "localhost" || address.is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_origin_that_a_browser_sends() {
        for (text, origin) in [
            ("https://Approve.Example.com/", "https://approve.example.com"),
            ("https://approve.example.com:443", "https://approve.example.com"),
            ("http://127.0.0.1:4654", "http://127.0.0.1:4654"),
            ("http://[::1]:4654", "http://[::1]:4654"),
        ] {
            assert_eq!(PublicUrl::parse(text).expect("an origin").as_str(), origin);
        }
    }

    #[test]
    fn what_is_not_an_origin_says_why() {
        for (text, why) in [
            ("approve.example.com", "begin with"),
            ("https://example.com/approve", "path"),
            ("https://me@example.com", "user name"),
            ("https://:443", "name a host"),
            ("https://exa mple.com", "name a host"),
        ] {
            let said = PublicUrl::parse(text).expect_err("refused");
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn loopback_is_told_from_names_that_look_like_it() {
        let loopback = |text| PublicUrl::parse(text).expect("an origin").is_loopback();
        assert!(loopback("http://localhost:4654") && loopback("http://[::1]:1"));
        assert!(loopback("http://127.0.0.1"));
        assert!(!loopback("http://127.0.0.1.example.com") && !loopback("http://localhost.evil"));
    }
}
