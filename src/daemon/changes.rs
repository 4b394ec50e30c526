//! What is different between two configurations, in words for the log and the
//! history.
//!
//! Must never: take a setting for changed because it stands on another line, or
//! show a value that may be secret. Names are all that is said.

use std::collections::BTreeMap;

use crate::config::{CallerConfig, Config, OperatorConfig, RouteConfig, TokenConfig};
use crate::store::change::{Change, Names};

/// Settings that a running daemon takes over. All others wait for the next start.
const TAKEN_OVER: [&str; 8] = [
    "default_timeout",
    "lapse_after",
    "lease",
    "retention",
    "limits.max_arguments_bytes",
    "limits.max_pending_per_caller",
    "limits.max_pending_per_client",
    "limits.max_held",
];

/// The same where there is TLS before and after: to begin or end it takes a start.
const TAKEN_OVER_WITH_TLS: [&str; 4] =
    ["tls_cert_file", "tls_key_file", "tls_min_version", "tls_client_ca_file"];

/// What a reload takes over: from the configuration that was in force to the next.
pub fn between(before: &Config, next: &Config) -> Change {
    Change {
        callers: names(&before.callers, &next.callers, |c| &c.name, same_caller),
        operators: names(&before.operators, &next.operators, |o| &o.name, same_operator),
        routes: names(&before.routes, &next.routes, |r| &r.name, same_route),
        settings: settings(before, next, true),
    }
}

/// Settings that differ from those that the daemon was started with, and wait for
/// the next start.
pub fn waiting(started: &Config, next: &Config) -> Vec<String> {
    let mut keys = settings(started, next, false);
    // A password is not shown, so it cannot be seen to differ by what is. One in
    // a file waits for nothing: it is read for each log-in.
    let server = |config: &Config| config.smtp.as_ref().map(ToString::to_string);
    let in_url = |config: &Config| {
        let smtp = config.smtp.clone().filter(|smtp| smtp.password_file.is_none());
        smtp.and_then(|smtp| smtp.password)
    };
    if in_url(started) != in_url(next) && server(started) == server(next) {
        keys.push("the password for smtp_url".to_owned());
    }
    keys
}

fn settings(before: &Config, next: &Config, taken_over: bool) -> Vec<String> {
    let pairs = before.settings().into_iter().zip(next.settings());
    let changed = pairs.filter(|(before, next)| before.value != next.value);
    let keys = changed.map(|(_, next)| next.key);
    let tls = before.tls.is_some() && next.tls.is_some();
    let can = |key: &str| TAKEN_OVER.contains(&key) || (tls && TAKEN_OVER_WITH_TLS.contains(&key));
    let wanted = |key: &&str| can(key) == taken_over;
    keys.filter(wanted).map(str::to_owned).collect()
}

fn names<T>(before: &[T], next: &[T], name: fn(&T) -> &String, same: fn(&T, &T) -> bool) -> Names {
    let by_name = |all| BTreeMap::from_iter(<[T]>::iter(all).map(|one| (name(one).clone(), one)));
    let (before, next) = (by_name(before), by_name(next));
    let mut names = Names::default();
    for (name, one) in &next {
        match before.get(name) {
            None => names.added.push(name.clone()),
            Some(old) if !same(old, one) => names.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    names.removed = before.into_keys().filter(|name| !next.contains_key(name)).collect();
    names
}

// Places do not count: they move with every line above them.

fn same_caller(a: &CallerConfig, b: &CallerConfig) -> bool {
    let (tokens, place) = (a.tokens.clone(), a.place.clone());
    same_tokens(&a.tokens, &b.tokens) && *a == CallerConfig { tokens, place, ..b.clone() }
}

fn same_operator(a: &OperatorConfig, b: &OperatorConfig) -> bool {
    let (tokens, place) = (a.tokens.clone(), a.place.clone());
    same_tokens(&a.tokens, &b.tokens) && *a == OperatorConfig { tokens, place, ..b.clone() }
}

fn same_tokens(a: &[TokenConfig], b: &[TokenConfig]) -> bool {
    let parts = |token: &TokenConfig| (token.sha256, token.expires);
    a.iter().map(parts).eq(b.iter().map(parts))
}

fn same_route(a: &RouteConfig, b: &RouteConfig) -> bool {
    *a == RouteConfig { place: a.place.clone(), ..b.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Overrides};

    fn token(n: u8) -> String {
        format!("tokens = [{{ sha256 = \"{n:064x}\" }}]\n")
    }

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("holdpoint.toml");
        std::fs::write(&file, text).expect("written");
        let overrides = Overrides { config: Some(file), state_dir: Some("/s".into()) };
        let read = Config::load_with(&overrides, &Environment::default());
        read.unwrap_or_else(|error| panic!("{error}")).0
    }

    fn team(more: &str) -> String {
        format!(
            "[[callers]]\nname = \"proxy\"\n{}[[operators]]\nname = \"alice\"\n{}{more}",
            token(1),
            token(2)
        )
    }

    #[test]
    fn what_only_moved_to_another_line_is_not_different() {
        let route = "[[routes]]\nname = \"deletes\"\ntools = [\"*delete*\"]\n";
        let (before, next) = (team(route), format!("\n# a comment\n\n{}", team(route)));
        assert_eq!(between(&config(&before), &config(&next)), Change::default());
        assert!(waiting(&config(&before), &config(&next)).is_empty());
    }

    #[test]
    fn each_difference_is_named_once() {
        let bob = format!("[[operators]]\nname = \"bob\"\ngroups = [\"ops\"]\n{}", token(3));
        let route = "[[routes]]\nname = \"deletes\"\n";
        let before = config(&team(&format!("{bob}{route}")));
        let eve = format!("[[operators]]\nname = \"eve\"\n{}", token(4));
        let next = team(&format!("{eve}{route}approvals = 2\n"));
        let next = next.replace(&token(2), &token(5));
        let next = config(&format!("lease = \"1m\"\nlisten = \"127.0.0.1:0\"\n{next}"));
        let change = between(&before, &next);
        assert_eq!(change.callers, Names::default());
        let only = |name: &str| vec![name.to_owned()];
        let operators = Names { added: only("eve"), removed: only("bob"), changed: only("alice") };
        assert_eq!(change.operators, operators);
        assert_eq!(change.routes, Names { changed: only("deletes"), ..Names::default() });
        assert_eq!(change.settings, only("lease"));
        assert_eq!(waiting(&before, &next), only("listen"));
    }

    #[test]
    fn a_password_that_changed_is_noticed_and_not_shown() {
        let mail = |password: &str| {
            let url = format!("smtp_url = \"smtps://u:{password}@mail\"");
            config(&format!("{url}\nfrom = \"h@example.com\"\n{}", team("")))
        };
        let said = waiting(&mail("one"), &mail("two"));
        assert_eq!(said, ["the password for smtp_url"]);
    }

    #[test]
    fn what_is_read_for_each_log_in_waits_for_no_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        let mail = |password: &str, more: &str| {
            std::fs::write(&file, password).expect("written");
            let keys = format!("smtp_password_file = \"{}\"\n{more}", file.display());
            let from = "from = \"h@example.com\"\nsmtp_url = \"smtps://u@mail\"\n";
            config(&format!("{from}{keys}\n{}", team("")))
        };
        let before = mail("one", "");
        assert_eq!(waiting(&before, &mail("two", "")), Vec::<String>::new());
        assert_eq!(waiting(&before, &mail("one", "smtp_auth = \"login\"")), ["smtp_auth"]);
    }
}
