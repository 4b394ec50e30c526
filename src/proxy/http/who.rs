//! Which client a request comes from: from its bearer token alone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderMap};

use crate::call::time::Time;
use crate::config::TokenConfig;
use crate::config::token::TokenHash;
use crate::proxy::config::{ClientConfig, DEFAULT_HOLD, ProxyConfig};

/// Longest token that is even hashed.
const LONGEST_TOKEN: usize = 512;

/// Somebody who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// As the configuration names them.
    pub name: Arc<str>,
    /// On whose behalf they call; empty: nobody's in particular.
    pub user: Arc<str>,
    /// How long one attempt is held when nothing keeps the client waiting.
    pub hold: Duration,
}

/// Everybody who may call.
pub struct Clients {
    /// Compared one by one, so that how long it takes tells nothing.
    known: Vec<(TokenConfig, Client)>,
    without_token: Option<Client>,
}

/// Nobody is known by what a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// It shows nothing.
    #[error("no token; send the header \"Authorization: Bearer TOKEN\"")]
    Nothing,
    /// It shows something that is no token.
    #[error("send exactly one header \"Authorization: Bearer TOKEN\"")]
    Malformed,
    /// It shows nobody's token.
    #[error("this token is not known here, or has expired; ask whoever runs the proxy for one")]
    Token,
}

/// Names only.
impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known.iter().map(|(_, client)| &client.name)).finish()
    }
}

impl Clients {
    /// Those of a configuration.
    pub fn new(config: &ProxyConfig) -> Clients {
        let client = |name: &str, configured: Option<&ClientConfig>| Client {
            name: Arc::from(name),
            user: configured.and_then(|one| one.user.as_deref()).unwrap_or_default().into(),
            hold: configured.map_or(DEFAULT_HOLD, |one| one.hold),
        };
        let mut known = Vec::new();
        for one in &config.clients {
            let client = client(&one.name, Some(one));
            known.extend(one.tokens.iter().map(|token| (token.clone(), client.clone())));
        }
        let without_token = config
            .without_token
            .as_deref()
            .map(|name| client(name, config.clients.iter().find(|one| one.name == name)));
        Clients { known, without_token }
    }

    /// Who sent a request with these headers.
    pub fn of(&self, headers: &HeaderMap, now: Time) -> Result<&Client, Unknown> {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let header = match (shown.next(), shown.next()) {
            (None, _) => return self.without_token.as_ref().ok_or(Unknown::Nothing),
            (Some(header), None) => header,
            (Some(_), Some(_)) => return Err(Unknown::Malformed),
        };
        let token = header.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let token = token.filter(|t| !t.is_empty() && t.len() <= LONGEST_TOKEN);
        let hash = TokenHash::of(token.ok_or(Unknown::Malformed)?);
        let mut found = None;
        for (token, client) in &self.known {
            if token.sha256 == hash && token.expires.is_none_or(|at| at > now) {
                found = Some(client);
            }
        }
        found.ok_or(Unknown::Token)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::config::Place;

    fn clients(without_token: Option<&str>) -> Clients {
        let token = |text: &str, expires| TokenConfig {
            sha256: TokenHash::of(text),
            expires,
            place: Place::Default,
        };
        let client = |name: &str| Client { name: name.into(), user: "".into(), hold: DEFAULT_HOLD };
        let known = vec![
            (token("hp_a", None), client("a")),
            (token("hp_b", Some(Time(1_000))), client("b")),
            (token("hp_b2", None), client("b")),
        ];
        Clients { known, without_token: without_token.map(client) }
    }

    fn of(clients: &Clients, shown: &[&str], now: i64) -> Result<String, Unknown> {
        let mut headers = HeaderMap::new();
        for value in shown {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).expect("a value"));
        }
        clients.of(&headers, Time(now)).map(|client| client.name.to_string())
    }

    #[test]
    fn a_client_is_known_by_any_of_its_tokens_until_it_expires() {
        let clients = clients(None);
        assert_eq!(of(&clients, &["Bearer hp_a"], 0), Ok("a".to_owned()));
        assert_eq!(of(&clients, &["bearer  hp_b"], 999), Ok("b".to_owned()));
        assert_eq!(of(&clients, &["Bearer hp_b"], 1_000), Err(Unknown::Token));
        assert_eq!(of(&clients, &["Bearer hp_b2"], 1_000), Ok("b".to_owned()));
        assert_eq!(of(&clients, &["Bearer hp_c"], 0), Err(Unknown::Token));
        for malformed in ["hp_a", "Basic hp_a", "Bearer ", "Bearer"] {
            assert_eq!(of(&clients, &[malformed], 0), Err(Unknown::Malformed), "{malformed}");
        }
        assert_eq!(of(&clients, &["Bearer hp_a", "Bearer hp_a"], 0), Err(Unknown::Malformed));
    }

    #[test]
    fn without_a_token_one_is_nobody_unless_the_configuration_says_who() {
        assert_eq!(of(&clients(None), &[], 0), Err(Unknown::Nothing));
        assert_eq!(of(&clients(Some("laptop")), &[], 0), Ok("laptop".to_owned()));
        // Who shows a token is whom it says, or nobody.
        assert_eq!(of(&clients(Some("laptop")), &["Bearer hp_x"], 0), Err(Unknown::Token));
    }
}
