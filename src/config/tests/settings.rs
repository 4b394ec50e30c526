//! The settings that are one value, and how the file and the environment are found.

use super::*;

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
    assert_eq!(config.paths().expect("short").socket, PathBuf::from("/state/holdpoint.sock"));
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
    refused("lease = \"10m\"\nlease = \"5m\"\n", &["hp.toml:2:", "not valid TOML"]);
    refused("listen = 127.0.0.1\n", &["hp.toml:1:", "not valid TOML"]);
    refused("[limits\n", &["hp.toml:1:"]);
    refused("[routes]\nname = \"x\"\n", &["`routes` must be a list, but is a table", "[[routes]]"]);
    refused("limits = 3\n", &["`limits` must be a table, but is an integer"]);
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
    assert_eq!(config.sources["lease"], Place::Variable("HOLDPOINT_LEASE".to_owned()));

    let wrong = Environment::of([("HOLDPOINT_LEASE", "soon"), ("HOLDPOINT_LISTEN", "4653")]);
    let error = read_with("", &wrong).expect_err("wrong").to_string();
    assert!(error.contains("HOLDPOINT_LEASE: `lease` is \"soon\", not a duration"), "{error}");
    assert!(error.contains("HOLDPOINT_LISTEN: `listen` is \"4653\""), "{error}");
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
    for text in
        ["max_arguments_bytes = 1_048_577", "max_held = -1", "max_held = 99999999999999999999"]
    {
        refused(&format!("[limits]\n{text}"), &["hp.toml:2:"]);
    }
    assert_eq!(config("[limits]\nmax_held = 0x10").limits.max_held, 16);
}

#[test]
fn beyond_this_machine_identities_and_tls_are_required() {
    for far in ["0.0.0.0:4653", "[::]:4653", "192.168.0.1:1", "[::ffff:10.0.0.1]:1"] {
        refused(
            &format!("listen = \"{far}\"\n"),
            &["hp.toml:1:10:", "no callers and operators", "unencrypted", "127.0.0.1"],
        );
    }
    refused(&format!("listen = \"0.0.0.0:1\"\n{}", team()), &["unencrypted"]);
    for near in ["127.0.0.1:4653", "127.1.2.3:0", "[::1]:4653", "[::ffff:127.0.0.1]:1"] {
        assert!(config(&format!("listen = \"{near}\"\n")).listen.is_some());
    }
    refused("listen = \"localhost:4653\"", &["not an address", "127.0.0.1:4653"]);
}

#[test]
fn certificate_and_key_come_together_and_are_readable() {
    refused("tls_cert_file = \"x\"", &["`tls_key_file` is not", "cannot be read"]);
    refused("tls_key_file = \"x\"", &["`tls_cert_file` is not"]);
    refused("tls_client_ca_file = \"x\"", &["`tls_cert_file` is not", "cannot be read"]);
    refused("tls_min_version = \"1.1\"", &["`tls_min_version` is \"1.1\"", "\"1.2\" or \"1.3\""]);
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
    let overrides = Overrides { config: Some(file), state_dir: Some("/s".into()) };
    let (config, _) = Config::load_with(&overrides, &Environment::default()).expect("valid");
    let smtp = config.smtp.as_ref().expect("a server");
    assert_eq!(smtp.password.as_ref().map(|word| word.expose()), Some("s3cret"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_named_file_that_is_absent_is_an_error_and_the_usual_one_may_be() {
    let dir = tempfile::tempdir().expect("a folder");
    let state_dir = Some(dir.path().to_owned());
    let usual = Overrides { config: None, state_dir: state_dir.clone() };
    let (config, _) = Config::load_with(&usual, &Environment::default()).expect("valid");
    assert_eq!(config.file, None);

    let named = Overrides { config: Some(dir.path().join("none.toml")), state_dir };
    let error = Config::load_with(&named, &Environment::default()).expect_err("absent");
    let error = error.to_string();
    assert!(error.contains("none.toml") && error.contains("--config"), "{error}");
    let gone = dir.path().join("gone.toml").display().to_string();
    let environment = Environment::of([("HOLDPOINT_CONFIG", gone.as_str())]);
    let error = Config::load_with(&usual, &environment).expect_err("absent").to_string();
    assert!(error.contains("HOLDPOINT_CONFIG"), "{error}");
}

#[test]
fn mail_settings_belong_together() {
    refused("smtp_url = \"smtps://h\"", &["`from` is not", "add from ="]);
    refused("smtp_password_file = \"x\"", &["`smtp_url` is not"]);
    refused("from = \"nobody\"", &["not a mail address"]);
    refused("from = \"a\\r\\nBcc: b <a@b.c>\"", &["not a mail address"]);
    refused("reply_to = \"nobody\"", &["`reply_to` is", "not a mail address"]);
    let from = "from = \"a@b.c\"\n";
    refused(&format!("{from}smtp_url = \"smtps://me@h\""), &["no password", "smtp_password_file"]);
    refused(&format!("{from}smtp_url = \"smtp://far\""), &["smtp+starttls://"]);
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
        assert!(!shown.contains("hunter2") && !shown.contains("a1a1"), "{shown}");
    }
    refused(
        &format!("[[callers]]\nname = \"c\"\ntokens = [{{ sha256 = \"{token}\" }}]"),
        &["this is a token (not shown)", "holdpoint token new"],
    );
}

#[test]
fn metrics_may_leave_the_machine_but_that_is_said() {
    let at = |address: &str| format!("metrics_listen = \"{address}\"\n");
    let (inside, warnings) = read(&at("127.0.0.1:4656")).expect("valid");
    assert_eq!((inside.metrics_listen.map(|a| a.port()), warnings), (Some(4656), Vec::new()));
    warned(&at("0.0.0.0:4656"), &["hp.toml:1:18: ", "0.0.0.0:4656: other machines can read"]);
    refused(&at("4656"), &["`metrics_listen` is \"4656\", not an address", "127.0.0.1:4656"]);
    let both = at("127.0.0.1:4653") + "listen = \"127.0.0.1:4653\"\n";
    refused(&both, &["`metrics_listen` and `listen` are both 127.0.0.1:4653", "4656"]);
}

#[test]
fn pages_whose_links_nobody_could_open_are_refused() {
    let at = |url: &str| format!("web_listen = \"127.0.0.1:4654\"\npublic_url = \"{url}\"\n");
    refused(&at("https://127.0.0.1:4654"), &["hp.toml:2:14", "have no TLS", "write http://"]);
    refused(&at("https://localhost:4654"), &["have no TLS"]);
    let with_tls = "tls_cert_file = \"/c\"\ntls_key_file = \"/k\"\n";
    refused(&(at("http://localhost:4654") + with_tls), &["have TLS", "write https://"]);
    // Somebody else's port: a proxy in front of this one.
    for url in ["http://127.0.0.1:4654", "https://localhost", "https://approve.example.com:4654"] {
        assert!(read(&at(url)).is_ok(), "{url}");
    }
}

#[test]
fn a_file_may_be_a_credential_that_systemd_passed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    std::fs::write(folder.path().join("hp.smtp"), "s3cret\n").expect("written");
    std::fs::write(folder.path().join("key"), "a key").expect("written");
    let environment = Environment::of([
        ("CREDENTIALS_DIRECTORY", path),
        ("HOLDPOINT_TLS_KEY_FILE", "credential:key"),
    ]);
    let text = "smtp_url = \"smtps://u@mail\"\nfrom = \"h@example.com\"\n\
                smtp_password_file = \"credential:hp.smtp\"\ntls_cert_file = \"credential:key\"";
    let (config, _) = read_with(text, &environment).expect("valid");
    let password = config.smtp.and_then(|smtp| smtp.password).expect("a password");
    assert_eq!(password.expose(), "s3cret");
    let tls = config.tls.expect("a certificate");
    assert_eq!((&tls.cert_file, &tls.key_file), (&folder.path().join("key"), &tls.cert_file));
    refused(text, &["hp.toml:3:22", "CREDENTIALS_DIRECTORY is not set", "LoadCredential=hp.smtp"]);
    for name in ["", "..", "../../etc/passwd", "a/b", ".hidden", "a\\u0000"] {
        let text = format!("tls_cert_file = \"credential:{name}\"\n");
        let error = read_with(&text, &environment).expect_err(name).to_string();
        assert!(error.contains("make the name of one"), "{error}");
    }
}

#[test]
fn how_mail_is_sent_has_its_own_checks() {
    let with = |more: &str| format!("from = \"a@b.c\"\nsmtp_url = \"smtps://h\"\n{more}");
    let smtp = |more: &str| config(&with(more)).smtp.expect("a server");
    assert_eq!(smtp("").auth, SmtpAuth::Auto);
    assert_eq!(smtp("smtp_auth = \"xoauth2\"").auth, SmtpAuth::XOAuth2);
    refused(&with("smtp_auth = \"cram-md5\""), &["hp.toml:3:", "plain, login or xoauth2"]);
    refused(&with("smtp_connections = 33"), &["from 1 to 32"]);
    refused(&with("smtp_connections = 0"), &["from 1 to 32"]);
    refused("mail_folder_keep = 0", &["from 1 to 1000000"]);
    assert_eq!((config("").smtp_connections, config("").mail_folder_keep), (4, 10_000));
    refused(&with("smtp_tls_ca_file = \"none.pem\""), &["none.pem cannot be read", "PEM"]);
    refused(&with("smtp_allow_unencrypted = \"yes\""), &["must be true or false"]);
    for alone in ["smtp_auth = \"plain\"", "smtp_allow_unencrypted = true"] {
        refused(alone, &["is set, but `smtp_url` is not"]);
    }
    // A token in the URL could never be renewed.
    let in_url = "from = \"a@b.c\"\nsmtp_url = \"smtps://me:hunter2@h\"\nsmtp_auth = \"xoauth2\"";
    refused(in_url, &["the access token stands in `smtp_url`", "`smtp_password_file`"]);
}

#[test]
fn unencrypted_mail_to_another_machine_is_a_warning_only_where_it_is_allowed() {
    let plain = "from = \"a@b.c\"\nsmtp_url = \"smtp://far\"\n";
    refused(plain, &["unprotected", "`smtp_allow_unencrypted = true`"]);
    refused(&format!("{plain}smtp_allow_unencrypted = false"), &["unprotected"]);
    warned(&format!("{plain}smtp_allow_unencrypted = true"), &["hp.toml:2:12", "unencrypted"]);
    // With a user it is STARTTLS or nothing, whatever is allowed.
    let user = "from = \"a@b.c\"\nsmtp_url = \"smtp://me:pw@far\"\nsmtp_allow_unencrypted = true";
    let (config, warnings) = read(user).expect("valid");
    assert_eq!(config.smtp.expect("a server").security, SmtpSecurity::StartTls);
    assert_eq!(warnings, Vec::<String>::new());
}
