//! The proxy's configuration from outside: texts in, settings or problems out.

use std::time::Duration;

use super::*;

const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000";

/// What is right in every text below unless it says otherwise.
const CLIENT: &str = "without_token = \"laptop\"\n";
const SERVER: &str = "[servers.files]\ncommand = [\"files\"]\n";

fn read_in(folder: &Path, text: &str) -> Result<(ProxyConfig, Vec<String>), ConfigError> {
    let now = Time::parse("2026-11-22T12:00:00Z").expect("valid");
    let environment = Environment::of([("CREDENTIALS_DIRECTORY", "/nowhere")]);
    ProxyConfig::read(&folder.join("proxy.toml"), text, &environment, now)
}

fn config(text: &str) -> ProxyConfig {
    read_in(Path::new("/etc/hp"), text).unwrap_or_else(|error| panic!("{error}")).0
}

/// Asserts that a text is refused, and that the refusal says all of this.
#[track_caller]
fn refused(text: &str, says: &[&str]) {
    let error = read_in(Path::new("/etc/hp"), text).expect_err("it must be refused").to_string();
    for words in says {
        assert!(error.contains(words), "{words:?} is not in:\n{error}");
    }
}

fn top(line: &str) -> String {
    format!("{line}\n{CLIENT}{SERVER}")
}

fn server(lines: &str) -> String {
    format!("{CLIENT}[servers.x]\n{lines}\n")
}

#[test]
fn the_example_loads_with_every_line_in_force_and_its_defaults_are_the_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["tls.crt", "tls.key", "ca.pem", "policy.yaml", "files.yaml", "tracker.auth"] {
        std::fs::write(folder.path().join(file), "x\n").expect("written");
    }
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
        text.push_str(&format!("{}\n", bare.replace("<64 hex digits>", &format!("{HASH}01"))));
    }
    let (all, warnings) = read_in(folder.path(), &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, Vec::<String>::new());
    for key in KEYS {
        assert!(text.contains(&format!("\n{key} =")) || text.contains(&format!("[{key}")), "{key}");
    }
    assert!(all.tls.is_some() && all.policy.is_some());
    assert_eq!((all.limits, all.on_cancel), (ProxyLimits::default(), OnCancel::default()));
    assert_eq!(all.record, Record::default());
    assert!(all.servers[0].policy.as_ref().is_some_and(|path| path.ends_with("files.yaml")));
    assert_eq!(all.clients[0].hold, Duration::from_secs(50));
    assert_eq!(all.clients[0].user.as_deref(), Some("alice"));
    let bare = config(&format!("{CLIENT}{SERVER}"));
    assert_eq!((bare.listen, bare.limits), (all.listen, all.limits));
    let [ServerConfig { kind: ServerKind::Child(_), .. }, tracker] = &all.servers[..] else {
        panic!("{:?}", all.servers)
    };
    let ServerKind::Url(tracker) = &tracker.kind else { panic!("{tracker:?}") };
    let headers: Vec<_> = tracker.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["x-team", "authorization"]);
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    refused(&top("listn = \"x\""), &["proxy.toml:1:1", "did you mean `listen`?"]);
    refused(&format!("{CLIENT}{SERVER}urll = \"x\""), &["unknown key `urll`"]);
    refused(&format!("{CLIENT}{SERVER}url = \"https://x\""), &["either `command` or `url`"]);
    refused(&format!("{CLIENT}[limits]\nchild = 3\n{SERVER}"), &["`children`"]);
    refused(&format!("{SERVER}[[clients]]\nname = \"a\"\ntoken = \"x\""), &["`tokens`"]);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = top("on_cancel = \"kept\"\nhosts = [\"https://x\"]\norigins = [\"x\"]");
    refused(&text, &["proxy.toml:1:", "\"keep\"", "proxy.toml:2:", "proxy.toml:3:"]);
}

#[test]
fn beyond_this_machine_it_needs_tls_and_tokens() {
    let tokens =
        format!("[[clients]]\nname = \"a\"\ntokens = [{{ sha256 = \"{HASH}01\" }}]\n{SERVER}");
    refused(&format!("listen = \"0.0.0.0:1\"\n{tokens}"), &["unencrypted", "tls_cert_file"]);
    refused(&top("listen = \"192.0.2.1:1\""), &["`without_token` lets in", "unencrypted"]);
    for near in ["127.0.0.2:1", "[::1]:1", "unix:proxy.sock"] {
        config(&top(&format!("listen = \"{near}\"")));
    }
    let socket = config(&top("listen = \"unix:proxy.sock\"")).listen;
    assert_eq!(socket, Listen::Unix("/etc/hp/proxy.sock".into()));
    refused(&top("listen = \"localhost:1\""), &["not an address", "unix:PATH"]);
    refused(&top("tls_key_file = \"/dev/null/x\""), &["`tls_cert_file` is not", "cannot be read"]);
}

#[test]
fn metrics_have_an_address_of_their_own() {
    let at = |address: &str| format!("metrics_listen = \"{address}\"");
    assert_eq!(config(&top("")).metrics_listen, None);
    let here = read_in(Path::new("/etc/hp"), &top(&at("127.0.0.1:4657"))).expect("right");
    assert_eq!((here.0.metrics_listen.map(|at| at.port()), here.1), (Some(4657), Vec::new()));
    let there = read_in(Path::new("/etc/hp"), &top(&at("0.0.0.0:4657"))).expect("right");
    assert!(there.1[0].contains("other machines can read"), "{:?}", there.1);
    refused(&top(&at("4657")), &["`metrics_listen` is \"4657\", not an address"]);
    refused(&top(&at("127.0.0.1:4655")), &["`metrics_listen` and `listen` are both", "4657"]);
}

#[test]
fn somebody_can_call_and_a_token_is_one_client_s() {
    refused(SERVER, &["nobody could call", "without_token"]);
    let client = |name: &str| {
        format!("[[clients]]\nname = \"{name}\"\ntokens = [{{ sha256 = \"{HASH}01\" }}]\n")
    };
    refused(&format!("{}{}{SERVER}", client("a"), client("b")), &["have the same token"]);
    refused(&format!("{}{}{SERVER}", client("a"), client("A")), &["a second client"]);
    refused(&format!("[[clients]]\nname = \"a\"\n{SERVER}"), &["has no `tokens`"]);
    let secret = "hp_0123456789";
    let text =
        format!("[[clients]]\nname = \"a\"\ntokens = [{{ sha256 = \"{secret}\" }}]\n{SERVER}");
    let error = read_in(Path::new("/"), &text).expect_err("a token").to_string();
    assert!(error.contains("this is a token") && !error.contains(secret), "{error}");
    // Who comes without a token may have a `hold` all the same.
    let laptop =
        config(&format!("{CLIENT}[[clients]]\nname = \"laptop\"\nhold = \"5s\"\n{SERVER}"));
    assert_eq!(laptop.clients[0].hold, Duration::from_secs(5));
}

#[test]
fn a_child_gets_the_usual_variables_and_what_is_named_and_nothing_of_holdpoint_s() {
    let text = server("command = [\"a\"]\nenv = { KEY = \"set\" }\npass_env = [\"MINE\"]");
    let ServerKind::Child(child) = &config(&text).servers[0].kind else { panic!("a child") };
    let own = ["PATH", "LC_ALL", "MINE", "KEY", "AWS_SECRET", "HOLDPOINT_TOKEN", "LD_PRELOAD"];
    let own = own.map(|name| (name.into(), "own".into())).into_iter();
    let all = child.environment(own);
    let all: Vec<_> = all.iter().map(|(name, value)| (name.to_str(), value.to_str())).collect();
    let is = |name, value| (Some(name), Some(value));
    assert_eq!(all, [is("KEY", "set"), is("LC_ALL", "own"), is("MINE", "own"), is("PATH", "own")]);
    refused(&server("command = [\"a\"]\nenv = { HOLDPOINT_TOKEN = \"x\" }"), &["Holdpoint's own"]);
    refused(&server("command = [\"a\"]\npass_env = [\"HOLDPOINT_TOKEN\"]"), &["Holdpoint's own"]);
    refused(&server("command = []"), &["names no program"]);
}

#[test]
fn secrets_for_a_server_stay_hidden_and_never_travel_in_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("auth"), "Bearer s3cret\n").expect("written");
    let text = server(
        "url = \"https://h/mcp?key=s3cret\"\nheaders = { X-A = \"s3cret\" }\n\
         headers_file = { Authorization = \"auth\" }",
    );
    let (config, _) = read_in(folder.path(), &text).expect("valid");
    assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
    let ServerKind::Url(url) = &config.servers[0].kind else { panic!("a URL") };
    assert_eq!(url.headers[1].1, "Bearer s3cret");
    refused(&server("url = \"http://h/\"\nheaders = { X-A = \"x\" }"), &["unencrypted"]);
    for bad in ["s3cret", "ftp://s3cret/", "https://u:s3cret@h/", "https://h/#s3cret"] {
        let error = read_in(folder.path(), &server(&format!("url = \"{bad}\"")));
        let error = error.expect_err(bad).to_string();
        assert!(error.contains("not shown") && !error.contains("s3cret"), "{error}");
    }
    refused(
        &server("url = \"http://127.0.0.1/\"\nheaders = { Host = \"x\" }"),
        &["belongs to the connection"],
    );
    refused(&server("url = \"https://h/\"\nheaders = { \"a b\" = \"x\" }"), &["no header's name"]);
    let missing = "url = \"https://h/\"\nheaders_file = { A = \"credential:x\" }";
    refused(&server(missing), &["/nowhere/x", "cannot be read"]);
}

#[test]
fn plain_http_beyond_this_machine_is_warned_of() {
    let warnings = |url: &str| {
        let text = server(&format!("url = \"{url}\""));
        read_in(Path::new("/"), &text).expect("valid").1.join("\n")
    };
    assert!(warnings("http://mcp.internal/mcp").contains("unencrypted"));
    for fine in ["http://localhost:3000/mcp", "http://127.0.0.1/", "http://[::1]/", "https://h/"] {
        assert_eq!(warnings(fine), "", "{fine}");
    }
}

#[test]
fn a_server_s_name_can_stand_in_a_path() {
    for name in ["\"a/b\"", "\"..\"", "\"\"", "\"a b\"", "\"é\""] {
        let text = format!("{CLIENT}[servers.{name}]\ncommand = [\"a\"]");
        refused(&text, &["cannot stand in a path"]);
    }
    refused(CLIENT, &["there are no servers"]);
}

#[test]
fn limits_have_ranges_and_units() {
    let limits = |lines: &str| format!("{CLIENT}[limits]\n{lines}\n{SERVER}");
    let set = config(&limits("children = 3\nmessage = \"512KiB\"\nidle = \"1m\"")).limits;
    assert_eq!((set.children, set.message, set.idle.as_secs()), (3, 512 * 1024, 60));
    for bad in ["children = 0", "message = \"1MB\"", "message = \"1KiB\"", "idle = \"5\""] {
        refused(&limits(bad), &["proxy.toml:3:"]);
    }
}
