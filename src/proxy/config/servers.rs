//! `[servers.NAME]`: what stands behind the proxy, a child or a URL.
//!
//! Must never: hand a child what belongs to Holdpoint, its token above all; send
//! a configured header in clear beyond this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hyper::header::{HeaderName, HeaderValue};
use url::Url;

use crate::config::document::{Item, Section};
use crate::config::names::shortened;
use crate::config::{Place, Secret, read_password};

use super::Reader;

/// What every child gets of the proxy's own environment, if it is there.
const PASSED: [&str; 7] = ["PATH", "HOME", "LANG", "TMPDIR", "USER", "SHELL", "TERM"];

/// And everything that begins with this: the locale.
const PASSED_PREFIX: &str = "LC_";

/// What no child gets: it is how Holdpoint's own programs are told who they are.
const KEPT_PREFIX: &str = "HOLDPOINT_";

/// Headers that are the proxy's or the client's to set, and not an option's.
const NOT_CONFIGURED: [&str; 14] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// In its path, in policies, and for the daemon.
    pub name: String,
    /// Where it is.
    pub kind: ServerKind,
    /// Whether what it says of its tools is believed.
    pub trusted: bool,
    /// The policy document for its tools; `None`: that for all servers.
    pub policy: Option<PathBuf>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerKind {
    /// A process of ours, one for each session.
    Child(ChildConfig),
    /// Elsewhere.
    Url(UrlConfig),
}

/// How a child is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildConfig {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Variables that are set for it.
    pub env: Vec<(String, Secret)>,
    /// Variables of the proxy's own that it gets besides the usual ones.
    pub pass_env: Vec<String>,
}

impl ChildConfig {
    /// The child's whole environment, made from the proxy's own.
    pub fn environment(
        &self,
        own: impl Iterator<Item = (OsString, OsString)>,
    ) -> BTreeMap<OsString, OsString> {
        let passed = |name: &OsString| {
            let Some(name) = name.to_str() else { return false };
            PASSED.contains(&name)
                || name.starts_with(PASSED_PREFIX)
                || self.pass_env.iter().any(|passed| passed == name)
        };
        let mut all: BTreeMap<_, _> = own.filter(|(name, _)| passed(name)).collect();
        all.extend(self.env.iter().map(|(name, value)| (name.into(), value.expose().into())));
        all
    }
}

/// A server elsewhere.
#[derive(Clone, PartialEq)]
pub struct UrlConfig {
    /// Its MCP endpoint.
    pub url: Url,
    /// What is sent with every request; values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// PEM certificates to trust beside the system's own.
    pub tls_ca_file: Option<PathBuf>,
}

/// Neither path nor query: a key may stand in them.
impl fmt::Debug for UrlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlConfig")
            .field("origin", &self.url.origin().ascii_serialization())
            .field("headers", &self.headers)
            .field("tls_ca_file", &self.tls_ca_file)
            .finish()
    }
}

impl UrlConfig {
    /// Of a server that no file configures. Says what is wrong without its text, in
    /// which a key may stand.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn of(url: &str, headers: Vec<(HeaderName, HeaderValue)>) -> Result<UrlConfig, String> {
        let url = checked_url(url).map_err(|fault| format!("the URL {fault}"))?;
        if let Some((name, _)) = headers.iter().find(|(name, _)| is_not_configured(name)) {
            return Err(format!("the header {name} belongs to the connection or the message"));
        }
        if url.scheme() == "http" && !is_near(&url) && !headers.is_empty() {
            return Err("headers would travel to another machine unencrypted".to_owned());
        }
        Ok(UrlConfig { url, headers, tls_ca_file: None })
    }
}

fn is_not_configured(name: &HeaderName) -> bool {
    NOT_CONFIGURED.contains(&name.as_str())
}

/// A URL that a server may be behind, or what is wrong with it.
fn checked_url(text: &str) -> Result<Url, &'static str> {
    match Url::parse(text) {
        Err(_) => Err("is no URL"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Err("is neither http nor https"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("has a user name or password")
        }
        Ok(url) if url.fragment().is_some() => Err("has a fragment"),
        Ok(url) => Ok(url),
    }
}

impl Reader<'_> {
    pub(super) fn servers(&mut self, top: &Section<'_>) -> Vec<ServerConfig> {
        let Some(section) = top.section("servers", "[servers.NAME]", self.problems) else {
            let remedy = "add for example [servers.files] with `command` or `url`";
            self.problems.error(&Place::Default, "there are no servers", remedy);
            return Vec::new();
        };
        section.entries().filter_map(|item| self.server(&item)).collect()
    }

    fn server(&mut self, item: &Item<'_>) -> Option<ServerConfig> {
        let name = item.key();
        let Some(section) = item.section("[servers.NAME]") else {
            item.wrong("a table", "write it as [servers.NAME]", self.problems);
            return None;
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty()
            || name.len() > 64
            || !name.bytes().all(plain)
            || name.starts_with(['.', '-'])
        {
            let message =
                format!("the server's name \"{}\" cannot stand in a path", shortened(name));
            let remedy = "use up to 64 letters, digits, - . and _, a letter or digit first";
            self.problems.error(&section.place, message, remedy);
            return None;
        }
        let trusted = section.item("trusted").and_then(|item| item.switch(self.problems));
        let policy = self.path(&section, "policy", "name a policy, a YAML file");
        let kind = match (section.item("command"), section.item("url")) {
            (Some(command), None) => self.child(&section, &command).map(ServerKind::Child),
            (None, Some(url)) => self.url(&section, &url).map(ServerKind::Url),
            _ => {
                let message = format!("the server \"{name}\" needs either `command` or `url`");
                let remedy = "write command = [\"PROGRAM\", \"ARGUMENT\"] or url = \"https://...\"";
                self.problems.error(&section.place, message, remedy);
                None
            }
        };
        let (name, trusted) = (name.to_owned(), trusted == Some("true"));
        Some(ServerConfig { name, kind: kind?, trusted, policy: policy.map(|(path, _)| path) })
    }

    fn child(&mut self, section: &Section<'_>, command: &Item<'_>) -> Option<ChildConfig> {
        section.only(&["command", "env", "pass_env", "trusted", "policy"], self.problems);
        let words = command.texts(self.problems);
        let nul = words.iter().any(|(word, _)| word.contains('\0'));
        if words.first().is_none_or(|(program, _)| program.is_empty()) || nul {
            let remedy = "write the program first: command = [\"uvx\", \"some-mcp-server\"]";
            self.problems.error(&command.place(), "`command` names no program", remedy);
            return None;
        }
        let mut env = Vec::new();
        if let Some(table) = section.section("env", "env", self.problems) {
            for item in table.entries() {
                let Some(value) = item.text(self.problems) else { continue };
                if self.variable(item.key(), value, &item.place()) {
                    env.push((item.key().to_owned(), Secret::new(value.to_owned())));
                }
            }
        }
        let mut pass_env = section.texts("pass_env", self.problems);
        pass_env.retain(|(name, place)| self.variable(name, "", place));
        Some(ChildConfig {
            command: words.into_iter().map(|(word, _)| word.to_owned()).collect(),
            env,
            pass_env: pass_env.into_iter().map(|(name, _)| name.to_owned()).collect(),
        })
    }

    /// Whether a child may have a variable of this name.
    fn variable(&mut self, name: &str, value: &str, place: &Place) -> bool {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let message = format!("\"{}\" is no environment variable", shortened(name));
            self.problems.error(place, message, "write letters, digits and _");
            return false;
        }
        if name.starts_with(KEPT_PREFIX) {
            let message = format!("{} is Holdpoint's own", shortened(name));
            let remedy = "take it away: a server must not act as the proxy";
            self.problems.error(place, message, remedy);
            return false;
        }
        true
    }

    fn url(&mut self, section: &Section<'_>, item: &Item<'_>) -> Option<UrlConfig> {
        section.only(
            &["url", "headers", "headers_file", "tls_ca_file", "trusted", "policy"],
            self.problems,
        );
        let mut headers = self.headers(section, "headers", |_, text, _| Some(text.to_owned()));
        headers.extend(self.headers(section, "headers_file", |reader, text, place| {
            let path = reader.file("headers_file", text, place)?;
            reader.secret(&path, place)
        }));
        let remedy = "name a PEM file that this user can read";
        let tls_ca_file = self.path(section, "tls_ca_file", remedy).map(|(path, _)| path);
        let text = item.text(self.problems)?;
        let url = self.parse_url(text, &item.place())?;
        if url.scheme() == "http" && !is_near(&url) {
            let remedy = "write https://, or reach it through a tunnel that ends on this machine";
            if headers.is_empty() {
                let message = "calls would travel to another machine unencrypted";
                self.problems.warning(&item.place(), message, remedy);
            } else {
                let message = "`headers` would travel to another machine unencrypted";
                self.problems.error(&item.place(), message, remedy);
            }
        }
        Some(UrlConfig { url, headers, tls_ca_file })
    }

    /// Never quotes the text: a key may stand in it.
    fn parse_url(&mut self, text: &str, place: &Place) -> Option<Url> {
        let fault = match checked_url(text) {
            Ok(url) => return Some(url),
            Err(fault) => fault,
        };
        let remedy = "write for example url = \"https://mcp.example.org/mcp\"; what shows who \
                      we are belongs in `headers_file`";
        self.problems.error(place, format!("`url` (not shown) {fault}"), remedy);
        None
    }

    /// The headers of a table, whose texts say the values in some way.
    fn headers(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        value: impl Fn(&mut Self, &str, &Place) -> Option<String>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let Some(table) = section.section(key, key, self.problems) else { return Vec::new() };
        let mut headers = Vec::new();
        for item in table.entries() {
            let Some(text) = item.text(self.problems) else { continue };
            let place = item.place();
            let Ok(name) = item.key().parse::<HeaderName>() else {
                let message = format!("\"{}\" is no header's name", shortened(item.key()));
                self.problems.error(&place, message, "write for example Authorization");
                continue;
            };
            if is_not_configured(&name) {
                let message = format!("the header {name} belongs to the connection or the message");
                self.problems.error(&place, message, "take it away: the proxy sets it");
                continue;
            }
            let Some(text) = value(self, text, &place) else { continue };
            match HeaderValue::from_str(&text) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    headers.push((name, value));
                }
                Err(_) => {
                    let message = format!("the value of the header {name} (not shown) is not text");
                    self.problems.error(&place, message, "write one line of visible ASCII");
                }
            }
        }
        headers
    }

    fn secret(&mut self, path: &Path, place: &Place) -> Option<String> {
        match read_password(path) {
            Ok(secret) => Some(secret.expose().to_owned()),
            Err(error) => {
                let shown = crate::config::printable(path);
                let remedy = "name a file that this user can read, with the header's value as its \
                              only line";
                self.problems.error(place, format!("`headers_file` {shown} {error}"), remedy);
                None
            }
        }
    }
}

/// Whether a URL leads to this machine.
fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
}
