//! The configuration from outside: texts and environments in, settings or
//! problems out.

use std::path::PathBuf;

mod identities;
mod settings;

use super::*;

const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000";

/// A team: two callers, three who may decide, two of them in `ops`.
fn team() -> String {
    format!(
        r#"
[[callers]]
name = "proxy-1"
tokens = [{{ sha256 = "{HASH}01" }}]
acts_for = ["alice@example.com"]
[[operators]]
name = "alice"
email = "alice@example.com"
aliases = ["a.liddell"]
groups = ["ops"]
roles = ["operator", "admin"]
tokens = [{{ sha256 = "{HASH}02" }}, {{ sha256 = "{HASH}03", expires = 2027-01-01T00:00:00Z }}]
[[operators]]
name = "bob"
groups = ["ops"]
tokens = [{{ sha256 = "{HASH}04" }}]
[[operators]]
name = "eve"
roles = ["auditor"]
groups = ["ops", "audit"]
tokens = [{{ sha256 = "{HASH}05" }}]
"#
    )
}

fn read_with(text: &str, environment: &Environment) -> Result<(Config, Vec<String>), ConfigError> {
    let now = Time::parse("2026-11-22T12:00:00Z").expect("valid");
    Config::read(Some("hp.toml".into()), text, PathBuf::from("/state"), environment, now)
}

fn read(text: &str) -> Result<(Config, Vec<String>), ConfigError> {
    read_with(text, &Environment::default())
}

fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}")).0
}

/// Asserts that a text is refused, and that the refusal says all of this.
#[track_caller]
fn refused(text: &str, says: &[&str]) {
    let error = read(text).expect_err("it must be refused").to_string();
    for words in says {
        assert!(error.contains(words), "{words:?} is not in:\n{error}");
    }
}

#[track_caller]
fn warned(text: &str, says: &[&str]) {
    let (_, warnings) = read(text).unwrap_or_else(|error| panic!("{error}"));
    let all = warnings.join("\n");
    for words in says {
        assert!(all.contains(words), "{words:?} is not in:\n{all}");
    }
}

#[test]
fn a_file_that_anyone_can_write_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("holdpoint.toml");
    std::fs::write(&file, "smtp_url = \"smtps://u:p@h\"\nfrom = \"a@b.c\"").expect("written");
    let overrides = Overrides { config: Some(file.clone()), state_dir: Some("/s".into()) };
    let warnings = |mode| {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("mode");
        Config::load_with(&overrides, &Environment::default()).expect("valid").1.join("\n")
    };
    assert_eq!(warnings(0o600), "");
    assert!(warnings(0o602).contains("can write this file"));
    assert!(warnings(0o604).contains("can read the password"));
}

#[test]
fn the_example_loads_unchanged() {
    let (config, warnings) = read(EXAMPLE).expect("valid");
    assert!(config.local_mode());
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn the_example_loads_with_every_line_in_force_and_names_every_setting() {
    let dir = tempfile::tempdir().expect("a folder");
    for file in ["tls.crt", "tls.key", "clients.crt", "smtp.password"] {
        std::fs::write(dir.path().join(file), "x").expect("written");
    }
    std::fs::write(dir.path().join("mail-ca.pem"), "-----BEGIN CERTIFICATE-----").expect("written");
    let mut text = String::new();
    for (number, line) in EXAMPLE.lines().enumerate() {
        let bare = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
        let hash = format!("{number:064x}");
        text.push_str(&format!("{}\n", bare.replace("<64 hex digits>", &hash)));
    }
    let file = dir.path().join("holdpoint.toml");
    let now = Time::parse("2026-11-22T12:00:00Z").expect("valid");
    let all = Config::read(Some(file), &text, "/s".into(), &Environment::default(), now);
    let (all, warnings) = all.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, Vec::<String>::new());
    for name in scalars::names("") {
        assert!(all.sources.contains_key(name), "{name} is not in the example");
    }
    let listed: Vec<String> = all.settings().iter().map(|s| s.key.to_owned()).collect();
    let known = scalars::names("limits").map(|name| format!("limits.{name}"));
    let known = scalars::names("").map(str::to_owned).chain(known);
    assert_eq!(listed, known.collect::<Vec<_>>());
    assert!(all.settings().iter().all(|s| s.value.is_some() && s.place != Place::Default));
    let defaults = config("");
    assert_eq!(all.sources.len(), scalars::variables().len());
    assert_eq!(all.limits, defaults.limits);
    assert_eq!(
        (all.default_timeout, all.lapse_after, all.lease),
        (defaults.default_timeout, defaults.lapse_after, defaults.lease)
    );
    assert_eq!((all.callers.len(), all.operators.len(), all.routes.len()), (1, 2, 1));
}
