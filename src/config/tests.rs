//! The configuration from outside: texts and environments in, settings or
//! problems out.

use std::path::PathBuf;

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
    Config::read(
        Some("hp.toml".into()),
        text,
        PathBuf::from("/state"),
        environment,
        now,
    )
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
fn an_empty_file_is_local_mode_with_the_documented_defaults() {
    let (config, warnings) = read("").expect("valid");
    assert!(config.local_mode());
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.listen, None);
    assert_eq!(config.default_timeout, Duration::from_secs(900));
    assert_eq!(config.lapse_after, Duration::from_secs(900));
    assert_eq!(config.lease, Duration::from_secs(600));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.limits.max_arguments_bytes, 262_144);
    assert_eq!(config.limits.max_held, 150_000);
    assert_eq!(
        config.paths().expect("short").socket,
        PathBuf::from("/state/holdpoint.sock")
    );
}

#[test]
fn a_team_is_read() {
    let (config, warnings) = read(&team()).expect("valid");
    assert_eq!(warnings, Vec::<String>::new());
    assert!(!config.local_mode());
    assert_eq!(config.callers[0].acts_for, ["alice@example.com"]);
    let alice = &config.operators[0];
    assert_eq!(alice.tokens.len(), 2);
    assert_eq!(alice.tokens[1].expires, Time::parse("2027-01-01T00:00:00Z"));
    assert_eq!(alice.roles.words(), ["operator", "admin"]);
    assert_eq!(config.operators[1].roles.words(), ["operator"]);
    assert!(
        matches!(&alice.place, Place::File { line: 6, .. }),
        "{:?}",
        alice.place
    );
}

#[test]
fn every_problem_is_reported_at_once_with_line_and_remedy() {
    refused(
        "listn = \"127.0.0.1:1\"\nlease = 5\n\n[limits]\nmax_held = 0\nmax_helt = 1\n\
         [[operators]]\nnam = \"x\"\n",
        &[
            "hp.toml:1:1: unknown key `listn`",
            "did you mean `listen`?",
            "hp.toml:2:9: `lease` must be a string, but is an integer",
            "hp.toml:5:12: `limits.max_held` is \"0\", out of range",
            "from 1 to 1000000",
            "hp.toml:6:1: unknown key `max_helt` in [limits]",
            "did you mean `max_held`?",
            "hp.toml:7:1: [[operators]] has no `name`",
            "hp.toml:8:1: unknown key `nam` in [[operators]]",
        ],
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    refused(
        "lease = \"10m\"\nlease = \"5m\"\n",
        &["hp.toml:2:", "not valid TOML"],
    );
    refused("listen = 127.0.0.1\n", &["hp.toml:1:", "not valid TOML"]);
    refused("[limits\n", &["hp.toml:1:"]);
    refused(
        "[routes]\nname = \"x\"\n",
        &["`routes` must be a list, but is a table", "[[routes]]"],
    );
    refused(
        "limits = 3\n",
        &["`limits` must be a table, but is an integer"],
    );
    refused("callers = [1]\n", &["`callers` must be a table"]);
}

#[test]
fn variables_win_over_the_file_and_pass_the_same_checks() {
    let environment = Environment::of([
        ("HOLDPOINT_LEASE", "1m"),
        ("HOLDPOINT_LIMITS_MAX_HELD", "7"),
        ("HOLDPOINT_LISTEN", ""),
    ]);
    let text = "lease = \"5m\"\nlisten = \"127.0.0.1:4653\"\n";
    let (config, _) = read_with(text, &environment).expect("valid");
    assert_eq!(config.lease, Duration::from_secs(60));
    assert_eq!(config.limits.max_held, 7);
    assert!(config.listen.is_some(), "an empty variable is not set");
    assert_eq!(
        config.sources["lease"],
        Place::Variable("HOLDPOINT_LEASE".to_owned())
    );

    let wrong = Environment::of([("HOLDPOINT_LEASE", "soon"), ("HOLDPOINT_LISTEN", "4653")]);
    let error = read_with("", &wrong).expect_err("wrong").to_string();
    assert!(
        error.contains("HOLDPOINT_LEASE: `lease` is \"soon\", not a duration"),
        "{error}"
    );
    assert!(
        error.contains("HOLDPOINT_LISTEN: `listen` is \"4653\""),
        "{error}"
    );
}

#[test]
fn unknown_variables_are_warnings_and_those_of_kubernetes_are_not() {
    let environment = Environment::of([
        ("HOLDPOINT_LISTN", "hunter2"),
        ("HOLDPOINT_BANANAS", "hunter2"),
        ("HOLDPOINT_TOKEN", "hunter2"),
        ("HOLDPOINT_PORT", "tcp://10.0.0.1:4653"),
        ("HOLDPOINT_PORT_4653_TCP_ADDR", "10.0.0.1"),
        ("HOLDPOINT_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ]);
    let (_, warnings) = read_with("", &environment).expect("valid");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("HOLDPOINT_BANANAS: "));
    assert!(warnings[1].contains("did you mean HOLDPOINT_LISTEN?"));
    assert!(!warnings.join("").contains("hunter2"));
}

#[test]
fn times_and_limits_have_ranges() {
    for (text, limit) in [
        ("default_timeout = \"4s\"", "5s to 7d"),
        ("default_timeout = \"8d\"", "5s to 7d"),
        ("lapse_after = \"0s\"", "1s to 7d"),
        ("lease = \"25h\"", "1s to 1d"),
        ("default_timeout = \"15\"", "90s, 15m, 2h"),
    ] {
        refused(text, &[limit]);
    }
    for text in [
        "max_arguments_bytes = 1_048_577",
        "max_held = -1",
        "max_held = 99999999999999999999",
    ] {
        refused(&format!("[limits]\n{text}"), &["hp.toml:2:"]);
    }
    assert_eq!(config("[limits]\nmax_held = 0x10").limits.max_held, 16);
}

#[test]
fn beyond_this_machine_identities_and_tls_are_required() {
    for far in [
        "0.0.0.0:4653",
        "[::]:4653",
        "192.168.0.1:1",
        "[::ffff:10.0.0.1]:1",
    ] {
        refused(
            &format!("listen = \"{far}\"\n"),
            &[
                "hp.toml:1:10:",
                "no callers and operators",
                "unencrypted",
                "127.0.0.1",
            ],
        );
    }
    refused(
        &format!("listen = \"0.0.0.0:1\"\n{}", team()),
        &["unencrypted"],
    );
    for near in [
        "127.0.0.1:4653",
        "127.1.2.3:0",
        "[::1]:4653",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert!(config(&format!("listen = \"{near}\"\n")).listen.is_some());
    }
    refused(
        "listen = \"localhost:4653\"",
        &["not an address", "127.0.0.1:4653"],
    );
}

#[test]
fn certificate_and_key_come_together_and_are_readable() {
    refused(
        "tls_cert_file = \"x\"",
        &["`tls_key_file` is not", "cannot be read"],
    );
    refused("tls_key_file = \"x\"", &["`tls_cert_file` is not"]);
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("c.pem"), "c").expect("written");
    let path = dir.path().join("c.pem").display().to_string();
    let text = format!(
        "listen = \"0.0.0.0:1\"\ntls_cert_file = \"{path}\"\ntls_key_file = \"{path}\"\n{}",
        team()
    );
    assert!(config(&text).tls.is_some());
}

#[test]
fn paths_in_a_file_are_relative_to_its_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("word"), "s3cret\n").expect("written");
    let file = dir.path().join("holdpoint.toml");
    let text = "smtp_url = \"smtps://me@h\"\nsmtp_password_file = \"word\"\nfrom = \"a@b.c\"\n";
    std::fs::write(&file, text).expect("written");
    let overrides = Overrides {
        config: Some(file),
        state_dir: Some("/s".into()),
    };
    let (config, _) = Config::load_with(&overrides, &Environment::default()).expect("valid");
    let login = config
        .smtp
        .as_ref()
        .and_then(|smtp| smtp.login.clone())
        .expect("a login");
    assert_eq!(login, ("me".to_owned(), "s3cret".to_owned()));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_named_file_that_is_absent_is_an_error_and_the_usual_one_may_be() {
    let dir = tempfile::tempdir().expect("a folder");
    let state_dir = Some(dir.path().to_owned());
    let usual = Overrides {
        config: None,
        state_dir: state_dir.clone(),
    };
    let (config, _) = Config::load_with(&usual, &Environment::default()).expect("valid");
    assert_eq!(config.file, None);

    let named = Overrides {
        config: Some(dir.path().join("none.toml")),
        state_dir,
    };
    let error = Config::load_with(&named, &Environment::default()).expect_err("absent");
    let error = error.to_string();
    assert!(
        error.contains("none.toml") && error.contains("--config"),
        "{error}"
    );
    let gone = dir.path().join("gone.toml").display().to_string();
    let environment = Environment::of([("HOLDPOINT_CONFIG", gone.as_str())]);
    let error = Config::load_with(&usual, &environment)
        .expect_err("absent")
        .to_string();
    assert!(error.contains("HOLDPOINT_CONFIG"), "{error}");
}

#[test]
fn mail_settings_belong_together() {
    refused("smtp_url = \"smtps://h\"", &["`from` is not", "add from ="]);
    refused("smtp_password_file = \"x\"", &["`smtp_url` is not"]);
    refused("from = \"nobody\"", &["not a mail address"]);
    refused("from = \"a\\r\\nBcc: b <a@b.c>\"", &["not a mail address"]);
    let from = "from = \"a@b.c\"\n";
    refused(
        &format!("{from}smtp_url = \"smtps://me@h\""),
        &["no password", "smtp_password_file"],
    );
    refused(
        &format!("{from}smtp_url = \"smtp://far\""),
        &["smtp+starttls://"],
    );
}

#[test]
fn no_secret_appears_in_an_error() {
    let token = format!("hp_{}", "a1".repeat(24));
    let texts = [
        "smtp_url = \"http://me:hunter2@h\"".to_owned(),
        "smtp_url = \"smtps://me:hunter2@h\nlease = 3".to_owned(),
        "smtp_url = [\"smtps://me:hunter2@h\"]".to_owned(),
        "smtp_url = \"smtps://me:hunter2@h\"\nsmtp_password_file = \"/none\"".to_owned(),
        "smtp_password = \"hunter2\"".to_owned(),
        format!("[[callers]]\nname = \"c\"\ntokens = [{{ sha256 = \"{token}\" }}]"),
        format!("[[callers]]\nname = \"c\"\ntokens = [\"{token}\"]"),
        format!("[[callers]]\nname = \"c\"\ntokens = [{{ token = \"{token}\" }}]"),
        format!("[[callers]]\nname = \"c\"\ntokens = \"{token}\""),
    ];
    for text in texts {
        let error = read(&text).expect_err(&text);
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("a1a1"),
            "{shown}"
        );
    }
    refused(
        &format!("[[callers]]\nname = \"c\"\ntokens = [{{ sha256 = \"{token}\" }}]"),
        &["this is a token (not shown)", "holdpoint token new"],
    );
}

#[test]
fn hostile_names_are_refused_and_quoted_harmlessly() {
    for name in [
        "a\\r\\nBcc: x@y.z",
        "a\\u001b[2Jb",
        "a\\u202eb",
        "al\\u200bice",
        "<script>",
        "",
    ] {
        let text = format!("[[operators]]\nname = \"{name}\"\ntokens = []");
        let error = read(&text).expect_err(name).to_string();
        assert!(error.contains("hp.toml:2:8: the name"), "{error}");
        let harmless = |c: char| c == '\n' || !crate::call::safe_text::is_hidden(c);
        assert!(error.chars().all(harmless), "{error:?}");
    }
    let long = "a".repeat(100_000);
    let error = read(&format!("[[routes]]\nname = \"{long}\""))
        .expect_err("long")
        .to_string();
    assert!(error.len() < 1_000);
}

#[test]
fn one_name_one_token_and_one_word_mean_one_identity() {
    let caller = |name: &str, hash: &str| {
        format!("[[callers]]\nname = \"{name}\"\ntokens = [{{ sha256 = \"{HASH}{hash}\" }}]\n")
    };
    let operator = |head: &str, hash: &str| {
        format!("[[operators]]\n{head}\ntokens = [{{ sha256 = \"{HASH}{hash}\" }}]\n")
    };
    let with = |more: String| format!("{}{more}", team());
    refused(
        &with(caller("Alice", "aa")),
        &["name of another caller", "rename one"],
    );
    refused(
        &with(operator("name = \"PROXY-1\"", "aa")),
        &["name of another caller"],
    );
    refused(
        &with(caller("proxy-2", "02")),
        &["is also one of \"proxy-2\"", "token new"],
    );
    refused(
        &with(operator("name = \"carol\"", "04")),
        &["is also one of \"bob\""],
    );
    refused(
        &with(operator("name = \"A.Liddell\"", "aa")),
        &["stands for"],
    );
    refused(
        &with(operator(
            "name = \"c\"\naliases = [\"ALICE@example.com\"]",
            "aa",
        )),
        &["stands for"],
    );
    let same_mail = with(operator(
        "name = \"c\"\nemail = \"Alice@Example.com\"",
        "aa",
    ));
    warned(&same_mail, &["that person could approve twice"]);
    let same_hash = operator(
        &format!("name = \"c\"\ngroups = []\nroles = [\"operator\"]\nemail = \"c@d.e\"\n# {HASH}"),
        "05",
    );
    refused(&with(same_hash), &["is also one of \"eve\""]);
}

#[test]
fn an_identity_has_one_token_or_two() {
    let with = |tokens: &str| format!("[[operators]]\nname = \"a\"\n{tokens}");
    refused(&with(""), &["has no `tokens`", "holdpoint token new"]);
    refused(&with("tokens = []"), &["has 0 entries"]);
    let one = |n: u8| format!("{{ sha256 = \"{HASH}0{n}\" }}");
    let three = format!("tokens = [{}, {}, {}]", one(1), one(2), one(3));
    refused(&with(&three), &["has 3 entries"]);
    refused(
        &with(&format!("tokens = [{}, {}]", one(1), one(1))),
        &["is also one of"],
    );
    refused(
        &with("tokens = [{ sha256 = \"abc\" }]"),
        &["not 64 hex digits", "token hash"],
    );
    refused(
        &with("tokens = [{ expires = 2027-01-01 }]"),
        &["no `sha256`", "with a zone"],
    );
}

#[test]
fn expired_tokens_are_warned_of() {
    let text = format!(
        "{}[[callers]]\nname = \"old\"\ntokens = [{{ sha256 = \"{HASH}aa\", expires = \
         \"2026-11-22T13:00:00+01:00\" }}]\n",
        team()
    );
    warned(
        &text,
        &["no token of \"old\" is valid any more", "token new old"],
    );
}

#[test]
fn roles_and_emails_are_checked() {
    let with = |line: &str| format!("{}[[operators]]\nname = \"z\"\n{line}\n", team());
    refused(
        &with("roles = [\"Operator\"]"),
        &["unknown role \"Operator\"", "did you mean \"operator\"?"],
    );
    refused(
        &with("roles = [\"root\"]"),
        &["known: operator, auditor, admin"],
    );
    refused(&with("roles = []"), &["`roles` lists nothing"]);
    for email in [
        "",
        "a",
        "a@b@c",
        "a@b c",
        "A <a@b.c>",
        "a@b.c\\r\\nBcc: d@e.f",
        "\\\"a\\nb\\\"@c.d",
    ] {
        refused(
            &with(&format!("email = \"{email}\"")),
            &["not a mail address"],
        );
    }
    let silent = "smtp_url = \"smtps://h\"\nfrom = \"a@b.c\"\n";
    warned(
        &format!("{silent}{}", team()),
        &["\"bob\" may decide but has no `email`"],
    );
}

#[test]
fn a_route_that_can_never_be_satisfied_is_an_error() {
    let with = |route: &str| format!("{}[[routes]]\nname = \"r\"\n{route}\n", team());
    // eve is in ops but may not decide.
    refused(
        &with("ask = [\"ops\"]\napprovals = 3"),
        &[
            "\"r\" can never be satisfied",
            "needs 3 approvals of ops",
            "only 2 operators",
        ],
    );
    refused(
        &with("ask = [\"opps\"]"),
        &[
            "no operator could give one",
            "did you mean the group \"ops\"?",
        ],
    );
    refused(&with("ask = [\"audit\"]"), &["no operator could give one"]);
    warned(
        &with("ask = [\"ops\", \"security\"]"),
        &["asks security, where no operator may decide"],
    );
    refused(
        "[[routes]]\nname = \"r\"\nask = [\"ops\"]",
        &["there is one person, in no group"],
    );
    refused(
        "[[routes]]\nname = \"r\"\napprovals = 2",
        &["there is one person"],
    );
    assert_eq!(
        config("[[routes]]\nname = \"r\"\ntools = [\"*\"]")
            .routes
            .len(),
        1
    );
}

#[test]
fn without_deciders_nothing_starts_and_without_callers_it_warns() {
    let caller = format!("[[callers]]\nname = \"c\"\ntokens = [{{ sha256 = \"{HASH}01\" }}]\n");
    refused(&caller, &["nobody may decide"]);
    let auditor = format!(
        "{caller}[[operators]]\nname = \"o\"\nroles = [\"auditor\"]\ntokens = [{{ sha256 = \"{HASH}02\" }}]\n"
    );
    refused(&auditor, &["nobody may decide"]);
    let alone = format!("[[operators]]\nname = \"o\"\ntokens = [{{ sha256 = \"{HASH}02\" }}]\n");
    warned(&alone, &["nobody may ask"]);
}

#[test]
fn routes_are_checked_where_they_stand() {
    let with = |line: &str| format!("[[routes]]\nname = \"r\"\n{line}\n");
    refused(
        &with("tools = [\"ok*\", \"[a\"]"),
        &["hp.toml:3:17: the pattern \"[a\"", "unclosed"],
    );
    refused(&with("tools = [\"\"]"), &["is empty or too long"]);
    refused(
        &with("tools = []"),
        &["`tools` lists nothing", "take `tools` away"],
    );
    refused(
        &with("categories = [\"destructiv\"]"),
        &["did you mean \"destructive\"?"],
    );
    refused(
        &with("categories = [\"unspecified\"]"),
        &["unknown category"],
    );
    refused(
        &with("risks = [\"severe\"]"),
        &["known: low, medium, high, critical"],
    );
    refused(
        &with("approvals = 0"),
        &["`approvals` is 0", "from 1 to 100"],
    );
    refused(&with("timeout = \"1s\""), &["5s to 7d"]);
    refused(
        "[[routes]]\nname = \"Built-In\"",
        &["belongs to the route for all other calls"],
    );
    refused(
        "[[routes]]\nname = \"a\"\n[[routes]]\nname = \"A\"",
        &["a second route"],
    );
}

#[test]
fn a_file_that_anyone_can_write_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("holdpoint.toml");
    std::fs::write(&file, "smtp_url = \"smtps://u:p@h\"\nfrom = \"a@b.c\"").expect("written");
    let overrides = Overrides {
        config: Some(file.clone()),
        state_dir: Some("/s".into()),
    };
    let warnings = |mode| {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("mode");
        Config::load_with(&overrides, &Environment::default())
            .expect("valid")
            .1
            .join("\n")
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
    for file in ["tls.crt", "tls.key", "smtp.password"] {
        std::fs::write(dir.path().join(file), "x").expect("written");
    }
    let mut text = String::new();
    for (number, line) in EXAMPLE.lines().enumerate() {
        let bare = line
            .strip_prefix('#')
            .filter(|rest| !rest.starts_with(' '))
            .unwrap_or(line);
        let hash = format!("{number:064x}");
        text.push_str(&format!("{}\n", bare.replace("<64 hex digits>", &hash)));
    }
    let file = dir.path().join("holdpoint.toml");
    let now = Time::parse("2026-11-22T12:00:00Z").expect("valid");
    let all = Config::read(Some(file), &text, "/s".into(), &Environment::default(), now);
    let (all, warnings) = all.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, Vec::<String>::new());
    for name in scalars::names("") {
        assert!(
            all.sources.contains_key(name),
            "{name} is not in the example"
        );
    }
    let defaults = config("");
    assert_eq!(all.sources.len(), scalars::variables().len());
    assert_eq!(all.limits, defaults.limits);
    assert_eq!(
        (all.default_timeout, all.lapse_after, all.lease),
        (
            defaults.default_timeout,
            defaults.lapse_after,
            defaults.lease
        )
    );
    assert_eq!(
        (all.callers.len(), all.operators.len(), all.routes.len()),
        (1, 2, 1)
    );
}
