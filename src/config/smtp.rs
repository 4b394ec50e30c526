//! The mail server: `smtp_url` and what belongs to it, and the secret in it.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::file;
use crate::call::safe_text::SafeText;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of a text.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Not at all: only to this machine, unless `smtp_allow_unencrypted`.
    Plain,
    /// By STARTTLS, or not at all.
    StartTls,
    /// From the first byte.
    Tls,
}

/// How we log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpAuth {
    /// PLAIN or LOGIN, whichever the server offers.
    Auto,
    /// PLAIN.
    Plain,
    /// LOGIN, which old servers want.
    Login,
    /// XOAUTH2: the password file holds an access token.
    XOAuth2,
}

impl SmtpAuth {
    const WORDS: [(&'static str, SmtpAuth); 4] = [
        ("auto", SmtpAuth::Auto),
        ("plain", SmtpAuth::Plain),
        ("login", SmtpAuth::Login),
        ("xoauth2", SmtpAuth::XOAuth2),
    ];

    /// Reads the word of the configuration.
    pub fn parse(word: &str) -> Option<SmtpAuth> {
        SmtpAuth::WORDS.iter().find(|(known, _)| *known == word).map(|(_, auth)| *auth)
    }

    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        let found = SmtpAuth::WORDS.iter().find(|(_, auth)| *auth == self);
        found.expect("every way has a word").0
    }
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// How it is encrypted.
    pub security: SmtpSecurity,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User name, if the server wants one. With it always comes a password.
    pub user: Option<String>,
    /// Its password, from the URL or from `smtp_password_file`.
    pub password: Option<Secret>,
    /// `smtp_password_file`, read anew for each log-in: passwords are changed
    /// and tokens expire while the daemon runs.
    pub password_file: Option<PathBuf>,
    /// `smtp_auth`.
    pub auth: SmtpAuth,
    /// `smtp_tls_ca_file`: PEM certificates to trust beside the system's own.
    pub tls_ca_file: Option<PathBuf>,
    /// `smtp_allow_unencrypted`: whether letters may travel to another machine
    /// in clear. A password never does.
    pub allow_unencrypted: bool,
}

impl Smtp {
    /// Reads `smtp://`, `smtp+starttls://` and `smtps://`, then
    /// `[user[:password]@]host[:port]`. The error never quotes the text.
    pub fn parse(url: &str) -> Result<Smtp, String> {
        let (scheme, rest) = url.split_once("://").ok_or("it does not begin with smtp://")?;
        let (mut security, default_port) = match scheme {
            "smtp" => (SmtpSecurity::Plain, 25),
            "smtp+starttls" => (SmtpSecurity::StartTls, 587),
            "smtps" => (SmtpSecurity::Tls, 465),
            _ => return Err("its scheme is none of smtp, smtp+starttls, smtps".to_owned()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, rest),
        };
        let (host, port) = split_address(address)?;
        let (mut user, mut password) = (None, None);
        if let Some(credentials) = credentials {
            let (name, secret) = match credentials.split_once(':') {
                Some((name, secret)) => (name, Some(secret)),
                None => (credentials, None),
            };
            user = Some(decode(name)?).filter(|name| !name.is_empty());
            user.as_ref().ok_or("the user name before the @ is empty")?;
            password = secret.map(decode).transpose()?.map(Secret::new);
        }
        // A password never travels in clear because somebody on the way hid
        // the server's offer of STARTTLS.
        if user.is_some() && security == SmtpSecurity::Plain && !is_this_machine(&host) {
            security = SmtpSecurity::StartTls;
        }
        Ok(Smtp {
            security,
            host,
            port: port.unwrap_or(default_port),
            user,
            password,
            password_file: None,
            auth: SmtpAuth::Auto,
            tls_ca_file: None,
            allow_unencrypted: false,
        })
    }

    /// Whether letters would travel to another machine in clear.
    pub fn is_plain_beyond_this_machine(&self) -> bool {
        self.security == SmtpSecurity::Plain && !is_this_machine(&self.host)
    }
}

/// The longest password file that is read. An access token is a few kilobytes.
const LONGEST_PASSWORD: u64 = 64 * 1024;

/// The password in a file. The error says what is wrong with the file, as what
/// follows its name, and quotes nothing of it.
pub fn read_password(path: &Path) -> Result<Secret, String> {
    let text = file::read_text(path, LONGEST_PASSWORD)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err("is not one line of text".to_owned());
    }
    Ok(Secret::new(line.to_owned()))
}

/// The server without its password, for people.
impl fmt::Display for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            SmtpSecurity::Plain => "smtp",
            SmtpSecurity::StartTls => "smtp+starttls",
            SmtpSecurity::Tls => "smtps",
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            let hidden = if self.password.is_some() { ":(hidden)" } else { "" };
            write!(f, "{}{hidden}@", SafeText::line(user))?;
        }
        let brackets = self.host.contains(':');
        let host = if brackets { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{host}:{}", self.port)
    }
}

fn split_address(address: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("its IPv6 address has no closing ]")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "in [] stands no IPv6 address")?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return Err("after ] only :PORT may stand".to_owned()),
        }
    } else {
        let (host, port) = match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err("its host has characters other than letters, digits, . - and _ \
                        (a path or query has no place there; special characters in a user \
                        name or password are written %40)"
                .to_owned());
        }
        (host, port)
    };
    let port = match port {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(number) if number > 0 && !text.starts_with('+') => Some(number),
            _ => return Err("its port is not a number from 1 to 65535".to_owned()),
        },
    };
    Ok((host.to_owned(), port))
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>().map(|ip| ip.to_canonical().is_loopback());
    host.eq_ignore_ascii_case("localhost") || address.unwrap_or(false)
}

/// Undoes `%40` and its like; refuses control characters.
fn decode(text: &str) -> Result<String, String> {
    let wrong = "a % in its user name or password is not followed by two hex digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digit = |b: &u8| char::from(*b).to_digit(16);
            let [high, low, after @ ..] = rest else {
                return Err(wrong.to_owned());
            };
            let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                return Err(wrong.to_owned());
            };
            bytes.push((high * 16 + low) as u8);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "its user name or password is not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("its user name or password has control characters".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Smtp {
        Smtp::parse(url).expect(url)
    }

    #[test]
    fn each_scheme_says_how_the_connection_is_encrypted() {
        let of = |url| (parse(url).security, parse(url).port);
        assert_eq!(of("smtp://mail"), (SmtpSecurity::Plain, 25));
        assert_eq!(of("smtp+starttls://mail"), (SmtpSecurity::StartTls, 587));
        assert_eq!(of("smtps://mail"), (SmtpSecurity::Tls, 465));
        assert_eq!(of("smtps://mail:1465/"), (SmtpSecurity::Tls, 1465));
    }

    #[test]
    fn a_password_never_travels_in_clear_beyond_this_machine() {
        assert_eq!(parse("smtp://u@mail:587").security, SmtpSecurity::StartTls);
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let security = parse(&format!("smtp://u:p@{host}:25")).security;
            assert_eq!(security, SmtpSecurity::Plain, "{host}");
        }
    }

    #[test]
    fn plain_smtp_stays_on_this_machine() {
        for near in ["smtp://127.9.9.9:25", "smtp://LOCALHOST", "smtp://[::1]", "smtps://mail"] {
            assert!(!parse(near).is_plain_beyond_this_machine(), "{near}");
        }
        for far in ["smtp://mail", "smtp://10.0.0.1", "smtp://localhost.example.com"] {
            assert!(parse(far).is_plain_beyond_this_machine(), "{far}");
        }
    }

    #[test]
    fn user_and_password_may_hold_anything_when_escaped() {
        let smtp = parse("smtps://a%40b:p%3Aq%40r@mail.example.com");
        assert_eq!(smtp.user.as_deref(), Some("a@b"));
        assert_eq!(smtp.password.map(|p| p.expose().to_owned()).as_deref(), Some("p:q@r"));
        assert_eq!(smtp.host, "mail.example.com");
    }

    #[test]
    fn a_password_file_that_nobody_writes_to_or_that_is_too_long_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("a pipe");
        let refused = read_password(&path).expect_err("a pipe");
        assert_eq!(refused, "cannot be read: it is not a regular file");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, vec![b'x'; 64 * 1024 + 1]).expect("written");
        let refused = read_password(&path).expect_err("too long");
        assert_eq!(refused, "cannot be read: it is longer than 64 KiB");
    }

    #[test]
    fn the_password_appears_in_no_message() {
        let smtp = parse("smtps://u:s3cret@mail");
        assert!(!format!("{smtp:?} {smtp}").contains("s3cret"));
        assert_eq!(smtp.to_string(), "smtps://u:(hidden)@mail:465");
        for url in [
            "http://u:s3cret@mail",
            "smtps://u:s3cret@",
            "smtps://u:s3cret@mail:0",
            "smtps://u:s3cret@mail/path",
            "u:s3cret@mail",
            "smtps://u:s3cret%zz@mail",
            "smtps://u:s3cret%0d%0a@mail",
            "smtps://:s3cret@mail",
            "smtps://u:s3cret@[::1",
            "smtps://u:s3cret%+1@mail",
            "smtps://u:s3cret@ma il",
            "smtps://u:s3cret@mail:s3cret",
        ] {
            let error = Smtp::parse(url).expect_err(url);
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
