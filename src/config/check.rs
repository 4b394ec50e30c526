//! What can only be seen with the whole configuration in view.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use crate::call::time::Time;

use super::Config;
use super::error::{Place, Problems};
use super::identities::{OperatorConfig, TokenConfig};
use super::names::{fold, meant};
use super::routing::RouteConfig;

/// What can be said even of a configuration with errors: names, tokens and
/// words for people mean one identity each, and the doors are shut.
pub(super) fn always(config: &Config, problems: &mut Problems) {
    doors(config, problems);
    monitoring(config, problems);
    pages(config, problems);
    unique_names(config, problems);
    unique_tokens(config, problems);
    certificate_names(config, problems);
    unique_words(&config.operators, problems);
    let mut routes = BTreeMap::new();
    for route in &config.routes {
        if let Some(first) = routes.insert(fold(&route.name), &route.place) {
            let message = format!("a second route has the name \"{}\"", route.name);
            problems.error(&route.place, message, format!("rename it; the first is at {first}"));
        }
    }
}

/// What needs every section to be there.
pub(super) fn whole(config: &Config, now: Time, problems: &mut Problems) {
    who_can_decide(config, problems);
    mail(config, problems);
    expired(config, now, problems);
    permissions(config, problems);
}

/// Callers and operators share one set of names: in the history, a name that
/// is both would leave open who did what.
fn unique_names(config: &Config, problems: &mut Problems) {
    let callers = config.callers.iter().map(|c| ("caller", &c.name, &c.place));
    let operators = config.operators.iter().map(|o| ("operator", &o.name, &o.place));
    let mut seen = BTreeMap::new();
    for (kind, name, place) in callers.chain(operators) {
        if let Some((other, first)) = seen.insert(fold(name), (kind, place)) {
            let message = format!("the {kind} \"{name}\" has the name of another {other}");
            let remedy = format!("rename one of them (case does not tell them apart); see {first}");
            problems.error(place, message, remedy);
        }
    }
}

/// A token that two identities share would not say who it was.
fn unique_tokens(config: &Config, problems: &mut Problems) {
    let callers = config.callers.iter().flat_map(|c| c.tokens.iter().map(|t| (&c.name, t)));
    let operators = config.operators.iter().flat_map(|o| o.tokens.iter().map(|t| (&o.name, t)));
    let mut seen: BTreeMap<[u8; 32], (&String, &Place)> = BTreeMap::new();
    for (name, token) in callers.chain(operators) {
        let TokenConfig { sha256, place, .. } = token;
        if let Some((other, first)) = seen.insert(*sha256.as_bytes(), (name, place)) {
            let message = format!("this token of \"{name}\" is also one of \"{other}\"");
            let remedy = format!(
                "give every identity tokens of its own: `holdpoint token new {name}` makes one; \
                 the other stands at {first}"
            );
            problems.error(place, message, remedy);
        }
    }
}

/// A certificate stands for one identity, and for none without somebody who
/// vouches for its names.
fn certificate_names(config: &Config, problems: &mut Problems) {
    let callers = config.callers.iter().map(|c| (&c.name, &c.certificate_names, &c.place));
    let operators = config.operators.iter().map(|o| (&o.name, &o.certificate_names, &o.place));
    let mut seen: BTreeMap<&str, &String> = BTreeMap::new();
    let vouched = config.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    for (name, certificate_names, place) in callers.chain(operators) {
        if !vouched && !certificate_names.is_empty() {
            let message = format!(
                "\"{name}\" has `certificate_names`, but `tls_client_ca_file` is not set, so no \
                 client certificate counts"
            );
            let remedy = "name the CA that signs client certificates with `tls_client_ca_file`";
            problems.error(place, message, remedy);
        }
        for certificate_name in certificate_names {
            let Some(other) = seen.insert(certificate_name, name) else { continue };
            let message = format!(
                "the certificate name \"{certificate_name}\" stands for \"{name}\" and for \"{other}\""
            );
            problems.error(place, message, "take it away from one of them");
        }
    }
}

/// "On behalf of" is compared with names, addresses and aliases, so one word
/// must not mean two people.
fn unique_words(operators: &[OperatorConfig], problems: &mut Problems) {
    let mut seen: BTreeMap<String, (&OperatorConfig, bool)> = BTreeMap::new();
    for operator in operators {
        let names = [&operator.name].into_iter().chain(&operator.aliases);
        let words = names.map(|word| (word, false)).chain(operator.email.iter().map(|e| (e, true)));
        for (word, email) in words {
            let Some((other, other_email)) = seen.insert(fold(word), (operator, email)) else {
                continue;
            };
            // Two operators of one name were reported as such.
            if fold(&other.name) == fold(&operator.name) {
                continue;
            }
            let (place, name, other) = (&operator.place, &operator.name, &other.name);
            let message = format!("\"{word}\" stands for \"{name}\" and for \"{other}\"");
            if email && other_email {
                let remedy = "if they are one person, that person could approve twice: remove one";
                problems.warning(place, message, remedy);
            } else {
                problems.error(place, message, "take the word away from one of them");
            }
        }
    }
}

/// The doors are safe to open.
fn doors(config: &Config, problems: &mut Problems) {
    let default = Place::Default;
    let place = |name| config.sources.get(name).unwrap_or(&default);
    let Some(listen) = config.listen else {
        if config.tls.is_some() {
            let message = "`tls_cert_file` is set, but `listen` is not, so only a socket passed by systemd would use it";
            problems.warning(place("tls_cert_file"), message, "set `listen`, or take it away");
        }
        return;
    };
    for (lack, remedy) in config.lacks_for(listen) {
        let message = format!("`listen` is {listen}, which other machines can reach, but {lack}");
        problems.error(place("listen"), message, remedy);
    }
}

impl Config {
    /// What has to be mended before an address may be listened on, with what to do.
    /// Beyond this machine nobody gets in without a token, and no token travels in clear.
    pub fn lacks_for(&self, address: SocketAddr) -> Vec<(&'static str, &'static str)> {
        let mut lacks = Vec::new();
        if address.ip().to_canonical().is_loopback() {
            return lacks;
        }
        if self.local_mode() {
            let remedy = "add [[callers]] and [[operators]] (`holdpoint token new NAME` prints \
                          what to paste), or listen on 127.0.0.1";
            lacks.push(("no callers and operators are configured", remedy));
        }
        if self.tls.is_none() {
            let remedy = "set `tls_cert_file` and `tls_key_file`, or listen on 127.0.0.1";
            lacks.push(("tokens would travel unencrypted", remedy));
        }
        lacks
    }
}

/// Metrics name nobody and nothing, so they may leave this machine; whoever opens
/// them should know that everyone there can read them.
fn monitoring(config: &Config, problems: &mut Problems) {
    let Some(listen) = config.metrics_listen else { return };
    let place = config.sources.get("metrics_listen").unwrap_or(&Place::Default);
    if config.listen == Some(listen) && listen.port() != 0 {
        let message = format!("`metrics_listen` and `listen` are both {listen}");
        problems.error(place, message, "give metrics a port of their own, for example 4656");
    }
    if !listen.ip().to_canonical().is_loopback() {
        let message = format!(
            "`metrics_listen` is {listen}: other machines can read, without a token, how much is \
             held and decided (not what, nor by whom)"
        );
        let remedy = "let only your Prometheus reach it (a firewall, a network of its own), or \
                      listen on 127.0.0.1";
        problems.warning(place, message, remedy);
    }
}

/// Tokens and links are typed and followed here: what holds for `listen` holds for the pages.
fn pages(config: &Config, problems: &mut Problems) {
    let default = Place::Default;
    let place = |name| config.sources.get(name).unwrap_or(&default);
    let Some(listen) = config.web_listen else {
        if config.public_url.is_some() {
            let message = "`public_url` is set, but `web_listen` is not, so there are no pages";
            problems.warning(place("public_url"), message, "set `web_listen`, or take it away");
        }
        return;
    };
    for (lack, remedy) in config.lacks_for(listen) {
        let message =
            format!("`web_listen` is {listen}, which other machines can reach, but {lack}");
        problems.error(place("web_listen"), message, remedy);
    }
    for (other, name) in [(config.listen, "listen"), (config.metrics_listen, "metrics_listen")] {
        if other == Some(listen) && listen.port() != 0 {
            let message = format!("`web_listen` and `{name}` are both {listen}");
            problems.error(
                place("web_listen"),
                message,
                "give the pages a port of their own, for example 4654",
            );
        }
    }
    match &config.public_url {
        Some(url) if !url.is_secure() && !url.is_loopback() => {
            let message = format!("`public_url` is {url}: sign-ins would travel unencrypted");
            let remedy = "use https://, by `tls_cert_file` or by a proxy in front of this one";
            problems.error(place("public_url"), message, remedy);
        }
        // Nobody stands between this address and the browser who could speak it.
        Some(url) if url.is_port_of(listen) && url.is_secure() != config.tls.is_some() => {
            let message = match config.tls {
                None => format!("`public_url` is {url}, and the pages at {listen} have no TLS"),
                Some(_) => format!("`public_url` is {url}, and the pages at {listen} have TLS"),
            };
            let remedy = match config.tls {
                None => "write http://, or set `tls_cert_file` and `tls_key_file`",
                Some(_) => "write https://",
            };
            problems.error(place("public_url"), message, remedy);
        }
        None if !listen.ip().to_canonical().is_loopback() => {
            let message = "`web_listen` can be reached by other machines, and `public_url` does not say by what name";
            let remedy = "set it to what operators type, for example https://approve.example.com";
            problems.error(place("web_listen"), message, remedy);
        }
        _ => {}
    }
}

/// A route that nobody could ever satisfy holds calls until they expire.
fn who_can_decide(config: &Config, problems: &mut Problems) {
    let deciders: Vec<_> = config.operators.iter().filter(|o| o.roles.operator).collect();
    let in_local_mode = config.local_mode();
    if !in_local_mode && deciders.is_empty() {
        let place = config.operators.first().map(|o| &o.place);
        let place = place.or(config.callers.first().map(|c| &c.place)).unwrap_or(&Place::Default);
        let message = "nobody may decide: there is no operator with the role operator";
        let remedy = "add [[operators]]; `holdpoint token new NAME` prints what to paste";
        problems.error(place, message, remedy);
        return;
    }
    if !in_local_mode && config.callers.is_empty() {
        let place = config.operators.first().map_or(&Place::Default, |o| &o.place);
        let message = "nobody may ask: there are operators but no callers";
        problems.warning(place, message, "add [[callers]], or nothing will ever be held");
    }
    let known: BTreeSet<&str> =
        deciders.iter().flat_map(|o| o.groups.iter().map(String::as_str)).collect();
    for route in &config.routes {
        let in_groups =
            |o: &&&OperatorConfig| route.ask.is_empty() || !route.ask.is_disjoint(&o.groups);
        // Local mode has one person, who is in no group.
        let count = match in_local_mode {
            true => usize::from(route.ask.is_empty()),
            false => deciders.iter().filter(in_groups).count(),
        };
        one_route(route, count, in_local_mode, &known, problems);
    }
}

fn one_route(
    route: &RouteConfig,
    count: usize,
    in_local_mode: bool,
    known: &BTreeSet<&str>,
    problems: &mut Problems,
) {
    let RouteConfig { name, ask, approvals, place, .. } = route;
    let groups = ask.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
    let strangers: Vec<&str> =
        ask.iter().map(String::as_str).filter(|group| !known.contains(group)).collect();
    let near = strangers.iter().find_map(|group| meant(group, known.iter().copied()));
    let near = near.map(|word| format!("; did you mean the group \"{word}\"?")).unwrap_or_default();
    if count < *approvals as usize {
        let of = if ask.is_empty() { String::new() } else { format!(" of {groups}") };
        let could = match (in_local_mode, count) {
            (true, _) => "without [[operators]] there is one person, in no group".to_owned(),
            (false, 0) => "no operator could give one".to_owned(),
            (false, 1) => "only 1 operator could give one".to_owned(),
            (false, count) => format!("only {count} operators could give one"),
        };
        let plural = if *approvals == 1 { "" } else { "s" };
        let message = format!(
            "the route \"{name}\" can never be satisfied: it needs {approvals} \
             approval{plural}{of}, and {could}"
        );
        let remedy = format!("add operators (role operator) to the group, or ask others{near}");
        problems.error(place, message, remedy);
    } else if !strangers.is_empty() {
        let strangers = strangers.join(", ");
        let message =
            format!("the route \"{name}\" asks {strangers}, where no operator may decide");
        problems.warning(place, message, format!("add operators there, or take it away{near}"));
    }
}

/// A gate that nobody is told of holds calls until they expire.
fn mail(config: &Config, problems: &mut Problems) {
    if config.smtp.is_none() {
        return;
    }
    for operator in config.operators.iter().filter(|o| o.roles.operator && o.email.is_none()) {
        let message = format!("\"{}\" may decide but has no `email`", operator.name);
        problems.warning(&operator.place, message, "add one, or this person gets no mail");
    }
}

fn expired(config: &Config, now: Time, problems: &mut Problems) {
    let callers = config.callers.iter().map(|c| (&c.name, &c.tokens, &c.place));
    let operators = config.operators.iter().map(|o| (&o.name, &o.tokens, &o.place));
    for (name, tokens, place) in callers.chain(operators) {
        let past = |token: &&TokenConfig| token.expires.is_some_and(|at| at <= now);
        let message = match tokens.iter().filter(past).count() {
            0 => continue,
            n if n == tokens.len() => format!("no token of \"{name}\" is valid any more"),
            _ => format!("a token of \"{name}\" has expired"),
        };
        let remedy = format!("remove it; `holdpoint token new {name}` makes another");
        problems.warning(place, message, remedy);
    }
}

/// Who can write the file can make themselves an operator.
fn permissions(config: &Config, problems: &mut Problems) {
    let Some(file) = &config.file else { return };
    // What cannot be looked at was readable a moment ago; there is no more to say.
    let Ok(metadata) = std::fs::metadata(file) else {
        return;
    };
    let mode = metadata.permissions().mode();
    let place = Place::Path(file.clone());
    let in_file = matches!(config.sources.get("smtp_url"), Some(Place::File { .. }));
    let holds_password = in_file
        && !config.sources.contains_key("smtp_password_file")
        && config.smtp.as_ref().is_some_and(|smtp| smtp.password.is_some());
    if mode & 0o002 != 0 {
        let message = "every user of this machine can write this file, and so decide";
        problems.warning(&place, message, "chmod o-w it");
    }
    if mode & 0o004 != 0 && holds_password {
        let message = "every user of this machine can read the password in `smtp_url`";
        problems.warning(&place, message, "chmod 0600 it, or use `smtp_password_file`");
    }
}
