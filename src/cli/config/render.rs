//! A configuration as `holdpoint config` prints it. Secrets are hidden.

use std::collections::BTreeSet;

use crate::call::model::MailKind;
use crate::call::wants::Wants;
use crate::cli::text::count;
use crate::config::{Config, OperatorConfig, Place, TokenConfig, duration, printable, quoted};

/// Who may decide what, in a few lines.
pub(super) fn summary(config: &Config) -> String {
    let file = match &config.file {
        Some(path) => printable(path),
        None => "no file, defaults".to_owned(),
    };
    let mut lines = vec![format!("ok: {file}")];
    if config.local_mode() {
        lines.push("  local mode: no identities, so programs of this user ask and decide".into());
    } else {
        let callers = config.callers.iter().map(|caller| caller.name.clone());
        lines.push(format!("  may ask: {}", some_of(callers.collect())));
        let operators = config.operators.iter().map(in_words);
        lines.push(format!("  people: {}", some_of(operators.collect())));
    }
    for route in &config.routes {
        let timeout = route.timeout.unwrap_or(config.default_timeout);
        lines.push(format!(
            "  route {}: {}{} within {}",
            route.name,
            demand(config, &route.ask, route.approvals),
            if route.require_sign_in { ", signed in," } else { "" },
            duration::text(timeout)
        ));
    }
    lines.push(format!(
        "  {}: {} within {}",
        if config.routes.is_empty() { "all calls" } else { "all other calls" },
        demand(config, &BTreeSet::new(), 1),
        duration::text(config.default_timeout)
    ));
    lines.push(match (config.listen, &config.tls) {
        (None, _) => "  listens: on the Unix socket only".to_owned(),
        (Some(listen), None) => format!("  listens: on the Unix socket and {listen}, no TLS"),
        (Some(listen), Some(_)) => format!("  listens: on the Unix socket and {listen}, with TLS"),
    });
    lines.push(format!("  pages: {}", pages_in_words(config)));
    lines.extend(config.metrics_listen.map(|at| format!("  metrics: on http://{at}/metrics")));
    lines.push(match &config.smtp {
        Some(smtp) => format!("  mail: through {smtp}"),
        None => "  mail: .eml files in the state directory".to_owned(),
    });
    lines.join("\n") + "\n"
}

/// Where operators' browsers find the pages, if there are any.
pub(in crate::cli) fn pages_in_words(config: &Config) -> String {
    match (config.web_listen, &config.public_url) {
        (None, _) => "none (web_listen is not set), so mails hold commands and no links".to_owned(),
        (Some(listen), Some(url)) => format!("{url}/, which leads to {listen}"),
        (Some(listen), None) if listen.port() == 0 => format!("a free port of {}", listen.ip()),
        (Some(listen), None) => format!("{}/", config.pages_url(listen)),
    }
}

/// "2 of ops (alice, bob)", or who else has to approve.
fn demand(config: &Config, groups: &BTreeSet<String>, approvals: u32) -> String {
    let whom = match groups.is_empty() {
        true => "all operators".to_owned(),
        false => groups.iter().cloned().collect::<Vec<_>>().join(" or "),
    };
    let counts = |operator: &&OperatorConfig| {
        operator.roles.operator && (groups.is_empty() || !groups.is_disjoint(&operator.groups))
    };
    let names = config.operators.iter().filter(counts).map(|o| o.name.clone());
    let names = match config.local_mode() {
        true => "this user".to_owned(),
        false => some_of(names.collect()),
    };
    format!("{approvals} of {whom} ({names})")
}

fn in_words(operator: &OperatorConfig) -> String {
    format!("{} ({})", operator.name, operator.roles.words().join(", "))
}

/// The first few, and how many more.
fn some_of(names: Vec<String>) -> String {
    const SHOWN: usize = 8;
    let more = names.len().saturating_sub(SHOWN);
    let mut text = names.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    if text.is_empty() { "nobody".to_owned() } else { text }
}

/// The configuration in force, in the shape of the file.
pub(super) fn shown(config: &Config) -> String {
    let mut lines = Vec::new();
    lines.push(match &config.file {
        Some(path) => format!("# {}", printable(path)),
        None => "# no file; these are the defaults and the environment".to_owned(),
    });
    lines.push(format!("# state directory: {}", printable(&config.state_dir)));
    let mut within = "";
    for setting in config.settings() {
        let (section, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if section != within {
            lines.push(format!("\n[{section}]"));
            within = section;
        }
        let line = match setting.value {
            Some(value) => format!("{key} = {value}"),
            None => format!("#{key} is not set"),
        };
        lines.push(match setting.place {
            Place::Default => line,
            place => format!("{line}   # {place}"),
        });
    }
    for caller in &config.callers {
        lines.push(format!("\n[[callers]]   # {}", caller.place));
        lines.push(format!("name = {}", quoted(&caller.name)));
        lines.extend(tokens(&caller.tokens));
        list("certificate_names", &caller.certificate_names, &mut lines);
        list("acts_for", &caller.acts_for, &mut lines);
    }
    for operator in &config.operators {
        lines.push(format!("\n[[operators]]   # {}", operator.place));
        lines.push(format!("name = {}", quoted(&operator.name)));
        lines.extend(operator.email.iter().map(|email| format!("email = {}", quoted(email))));
        let zone = operator.time_zone.map(|zone| format!("time_zone = {}", quoted(zone.name())));
        lines.extend(zone);
        lines.extend(mail_wishes(operator));
        list("aliases", &operator.aliases, &mut lines);
        list("groups", &operator.groups, &mut lines);
        list("roles", operator.roles.words(), &mut lines);
        lines.extend(tokens(&operator.tokens));
        list("certificate_names", &operator.certificate_names, &mut lines);
    }
    for route in &config.routes {
        lines.push(format!("\n[[routes]]   # {}", route.place));
        lines.push(format!("name = {}", quoted(&route.name)));
        list("servers", route.servers.iter().map(|glob| glob.glob()), &mut lines);
        list("tools", route.tools.iter().map(|glob| glob.glob()), &mut lines);
        list("categories", route.categories.iter().map(|c| c.word()), &mut lines);
        list("risks", route.risks.iter().map(|r| r.word()), &mut lines);
        let labels =
            route.labels.iter().map(|(k, v)| format!("{} = {}", quoted(k), quoted(v.glob())));
        let labels = labels.collect::<Vec<_>>().join(", ");
        lines.extend((!labels.is_empty()).then(|| format!("labels = {{ {labels} }}")));
        list("ask", &route.ask, &mut lines);
        lines.push(format!("approvals = {}", route.approvals));
        lines.extend(route.require_sign_in.then(|| "require_sign_in = true".to_owned()));
        let timeout = route.timeout.map(duration::text);
        lines.extend(timeout.map(|timeout| format!("timeout = {}", quoted(&timeout))));
    }
    lines.join("\n") + "\n"
}

/// Which mails an operator wants, where that is not the default.
fn mail_wishes(operator: &OperatorConfig) -> Vec<String> {
    let mut lines = Vec::new();
    let follow_ups = Wants::ALL.iter().filter(|kind| **kind != MailKind::Reminder);
    if !follow_ups.clone().all(|kind| operator.wants.has(*kind)) {
        let wanted = follow_ups.filter(|kind| operator.wants.has(**kind));
        let words: Vec<String> = wanted.map(|kind| quoted(kind.word())).collect();
        lines.push(format!("follow_ups = [{}]", words.join(", ")));
    }
    if !operator.wants.has(MailKind::Reminder) {
        lines.push("reminders = false".to_owned());
    }
    lines.extend(
        operator.quiet_hours.map(|hours| format!("quiet_hours = {}", quoted(&hours.to_string()))),
    );
    lines
}

/// A list as TOML writes it, unless it is empty.
fn list<T: AsRef<str>>(key: &str, words: impl IntoIterator<Item = T>, lines: &mut Vec<String>) {
    let words: Vec<String> = words.into_iter().map(|word| quoted(word.as_ref())).collect();
    if !words.is_empty() {
        lines.push(format!("{key} = [{}]", words.join(", ")));
    }
}

/// How many there are and until when: hashes help nobody who reads this.
fn tokens(tokens: &[TokenConfig]) -> Vec<String> {
    let expiry = |token: &TokenConfig| match token.expires {
        Some(at) => format!("expires {}", at.rfc3339()),
        None => "never expires".to_owned(),
    };
    let expiries: Vec<String> = tokens.iter().map(expiry).collect();
    if tokens.is_empty() {
        return vec!["# no token".to_owned()];
    }
    let number = count(tokens.len() as u64, "token", "tokens");
    vec![format!("# {number}: {}", expiries.join("; "))]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Overrides};

    const TEAM: &str = r#"
smtp_url = "smtps://u:hunter2@mail"
from = "Holdpoint <h@example.com>"
[[callers]]
name = "proxy-1"
tokens = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000001" }]
[[operators]]
name = "alice"
groups = ["ops"]
email = "a@example.com"
time_zone = "Europe/Berlin"
tokens = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000002" }]
[[operators]]
name = "eve"
email = "e@example.com"
follow_ups = ["expired", "denied"]
reminders = false
quiet_hours = "22:00-07:00"
roles = ["auditor"]
groups = ["ops"]
tokens = [{ sha256 = "0000000000000000000000000000000000000000000000000000000000000003" }]
[[routes]]
name = "deletes"
tools = ["*delete*", "a\"b"]
ask = ["ops"]
require_sign_in = true
timeout = "10m"
"#;

    fn team(dir: &Path) -> Config {
        let file = dir.join("holdpoint.toml");
        std::fs::write(&file, TEAM).expect("written");
        let overrides = Overrides { config: Some(file), state_dir: Some("/s".into()) };
        let read = Config::load_with(&overrides, &Environment::default());
        read.unwrap_or_else(|error| panic!("{error}")).0
    }

    #[test]
    fn the_summary_says_who_may_decide_what() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = summary(&team(dir.path()));
        for line in [
            "  may ask: proxy-1\n",
            "  people: alice (operator), eve (auditor)\n",
            "  route deletes: 1 of ops (alice), signed in, within 10m\n",
            "  all other calls: 1 of all operators (alice) within 15m\n",
            "  listens: on the Unix socket only\n",
            "  mail: through smtps://u:(hidden)@mail:465\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
    }

    #[test]
    fn what_is_shown_is_toml_with_its_sources_and_without_secrets() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = shown(&team(dir.path()));
        assert!(!text.contains("hunter2") && !text.contains("00000001"), "{text}");
        assert!(text.contains("smtp_url = \"smtps://u:(hidden)@mail:465\"   # "), "{text}");
        assert!(text.contains("holdpoint.toml:2:12\n"), "{text}");
        assert!(text.contains("default_timeout = \"15m\"\n"), "{text}");
        assert!(text.contains("time_zone = \"Europe/Berlin\"\n"), "{text}");
        let wishes = "follow_ups = [\"denied\", \"expired\"]\nreminders = false\n\
                      quiet_hours = \"22:00-07:00\"\n";
        assert!(text.contains(wishes), "{text}");
        text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}
