//! Where mail goes: the `smtp_url` of the configuration, read strictly.
//!
//! Must never: put the URL or any part of its credentials into an error, since
//! errors are logged and shown.

use std::fmt;
use std::net::IpAddr;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// `smtp://`: not at all; only to this machine.
    None,
    /// `smtp+starttls://`: TLS after a plain greeting, or no mail.
    StartTls,
    /// `smtps://`: TLS from the first byte.
    Tls,
}

/// A checked `smtp_url`.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// TLS or none.
    pub protection: Protection,
    /// Name or address of the server, IPv6 without brackets.
    pub host: String,
    /// Its port; the scheme's own when the URL names none.
    pub port: u16,
    /// User name and password. A user without a password waits for
    /// `smtp_password`.
    pub login: Option<(String, String)>,
}

/// Without the password.
impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        f.debug_struct("SmtpUrl")
            .field("protection", &self.protection)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &user)
            .finish_non_exhaustive()
    }
}

/// Why an `smtp_url` is not usable. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSmtpUrl {
    /// Another scheme, or none.
    #[error(
        "smtp_url begins with none of smtps://, smtp+starttls:// and smtp://; write for example \
         smtps://user@mail.example.com"
    )]
    Scheme,
    /// No host, a path, a query, or characters that no host has.
    #[error(
        "smtp_url names no usable host; write SCHEME://[USER[:PASSWORD]@]HOST[:PORT] and nothing \
         after it"
    )]
    Host,
    /// Not a number from 1 to 65535.
    #[error("smtp_url has a port that is not a number from 1 to 65535")]
    Port,
    /// `%` without two hex digits, or not UTF-8.
    #[error(
        "smtp_url has a user name or password that cannot be decoded; write %25 for a percent \
         sign, %40 for @, %3A for a colon, %2F for a slash"
    )]
    Encoding,
    /// A password without a user to go with it.
    #[error("a password for the mail server needs a user name; write smtps://USER@HOST")]
    PasswordWithoutUser,
    /// A user without a password, in the URL or apart.
    #[error("smtp_url names a user but there is no password; set smtp_password")]
    UserWithoutPassword,
    /// Plain SMTP to another machine.
    #[error(
        "smtp:// sends mail unprotected and is only for this machine (localhost, 127.0.0.1, \
         [::1]); use smtp+starttls:// (port 587) or smtps:// (port 465) for any other server"
    )]
    PlainBeyondLoopback,
}

impl SmtpUrl {
    /// Reads a URL; `password`, given apart, comes before one in the URL.
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self, BadSmtpUrl> {
        let (scheme, rest) = url.split_once("://").ok_or(BadSmtpUrl::Scheme)?;
        let (protection, usual_port) = match scheme {
            "smtp" => (Protection::None, 25),
            "smtp+starttls" => (Protection::StartTls, 587),
            "smtps" => (Protection::Tls, 465),
            _ => return Err(BadSmtpUrl::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The last @, so that a user name that is an address needs no escape.
        let (userinfo, place) = match rest.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, rest),
        };
        let (host, port) = host_and_port(place, usual_port)?;
        if protection == Protection::None && !is_loopback(&host) {
            return Err(BadSmtpUrl::PlainBeyondLoopback);
        }
        let login = login(userinfo, password)?;
        Ok(SmtpUrl {
            protection,
            host,
            port,
            login,
        })
    }
}

fn host_and_port(place: &str, usual_port: u16) -> Result<(String, u16), BadSmtpUrl> {
    let (host, port) = if let Some(inner) = place.strip_prefix('[') {
        let (host, port) = inner.split_once(']').ok_or(BadSmtpUrl::Host)?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| BadSmtpUrl::Host)?;
        let port = match port {
            "" => None,
            _ => Some(port.strip_prefix(':').ok_or(BadSmtpUrl::Host)?),
        };
        (host, port)
    } else {
        match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    let of_a_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 253 || !host.chars().all(of_a_host) {
        return Err(BadSmtpUrl::Host);
    }
    let port = match port {
        None => usual_port,
        Some(digits) if digits.chars().all(|c| c.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or(BadSmtpUrl::Port)?,
        Some(_) => return Err(BadSmtpUrl::Port),
    };
    Ok((host.to_owned(), port))
}

fn login(
    userinfo: Option<&str>,
    apart: Option<&str>,
) -> Result<Option<(String, String)>, BadSmtpUrl> {
    let (user, inside) = match userinfo.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        Some((user, password)) => (percent_decoded(user)?, percent_decoded(password)?),
        None => (String::new(), String::new()),
    };
    let password = apart
        .filter(|text| !text.is_empty())
        .map_or(inside, str::to_owned);
    match (user.is_empty(), password.is_empty()) {
        (true, true) => Ok(None),
        (true, false) => Err(BadSmtpUrl::PasswordWithoutUser),
        (false, true) => Err(BadSmtpUrl::UserWithoutPassword),
        (false, false) => Ok(Some((user, password))),
    }
}

fn percent_decoded(text: &str) -> Result<String, BadSmtpUrl> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let (Some(high), Some(low)) = (high, low) else {
            return Err(BadSmtpUrl::Encoding);
        };
        bytes.push((high * 16 + low) as u8);
    }
    let text = String::from_utf8(bytes).map_err(|_| BadSmtpUrl::Encoding)?;
    // SASL separates its parts with NUL, and lines end an SMTP command.
    let harmless = !text.chars().any(char::is_control);
    harmless.then_some(text).ok_or(BadSmtpUrl::Encoding)
}

/// A name other than `localhost` may resolve to anything, so it does not count.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<SmtpUrl, BadSmtpUrl> {
        SmtpUrl::parse(url, None)
    }

    #[test]
    fn each_scheme_has_its_port_and_its_protection() {
        let port = |url| parse(url).map(|url| (url.protection, url.port));
        assert_eq!(port("smtps://mail.example.com"), Ok((Protection::Tls, 465)));
        assert_eq!(
            port("smtp+starttls://mail.example.com/"),
            Ok((Protection::StartTls, 587))
        );
        assert_eq!(port("smtp://localhost"), Ok((Protection::None, 25)));
        assert_eq!(port("smtp://[::1]:2525"), Ok((Protection::None, 2525)));
        assert_eq!(port("smtps://mail.example.com:0"), Err(BadSmtpUrl::Port));
        assert_eq!(
            port("smtps://mail.example.com:99999"),
            Err(BadSmtpUrl::Port)
        );
        assert_eq!(port("smtps://mail.example.com:+25"), Err(BadSmtpUrl::Port));
        assert_eq!(port("http://mail.example.com"), Err(BadSmtpUrl::Scheme));
        assert_eq!(port("mail.example.com"), Err(BadSmtpUrl::Scheme));
        for bad in [
            "smtps://",
            "smtps://a/b",
            "smtps://a?tls=none",
            "smtps://a b",
            "smtps://[a]",
        ] {
            assert_eq!(port(bad), Err(BadSmtpUrl::Host), "{bad}");
        }
    }

    #[test]
    fn plain_smtp_stays_on_this_machine() {
        for near in [
            "smtp://127.0.0.1",
            "smtp://127.9.9.9:25",
            "smtp://LOCALHOST",
            "smtp://[::1]",
        ] {
            assert!(parse(near).is_ok(), "{near}");
        }
        for far in [
            "smtp://mail.example.com",
            "smtp://10.0.0.1",
            "smtp://localhost.example.com",
        ] {
            assert_eq!(parse(far), Err(BadSmtpUrl::PlainBeyondLoopback), "{far}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_one_given_apart_comes_first() {
        let login = |url, apart| SmtpUrl::parse(url, apart).map(|url| url.login);
        let some = |user: &str, word: &str| Ok(Some((user.to_owned(), word.to_owned())));
        assert_eq!(
            login("smtps://a%40b.c:p%3A%2f@h", None),
            some("a@b.c", "p:/")
        );
        assert_eq!(login("smtps://me@b.c:x@h", None), some("me@b.c", "x"));
        assert_eq!(login("smtps://me:x@h", Some("y")), some("me", "y"));
        assert_eq!(login("smtps://h", None), Ok(None));
        assert_eq!(
            login("smtps://h", Some("y")),
            Err(BadSmtpUrl::PasswordWithoutUser)
        );
        assert_eq!(
            login("smtps://me@h", None),
            Err(BadSmtpUrl::UserWithoutPassword)
        );
        for bad in [
            "smtps://a%4:x@h",
            "smtps://a%zz:x@h",
            "smtps://a:%ff@h",
            "smtps://a:%0d@h",
        ] {
            assert_eq!(login(bad, None), Err(BadSmtpUrl::Encoding), "{bad}");
        }
    }

    #[test]
    fn no_error_and_no_debug_output_tells_the_password() {
        for url in [
            "smtps://me:hunter2@",
            "smtps://me:hunter2@h:x",
            "x://me:hunter2@h",
        ] {
            let error = parse(url).expect_err("bad");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
        let good = parse("smtps://me:hunter2@h").expect("good");
        assert!(!format!("{good:?}").contains("hunter2"));
    }
}
