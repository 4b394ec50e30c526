//! TLS at the daemon's door: the server's certificate, which changes and ends
//! while calls are held, and clients' certificates, which say who they are.

use std::fs;
use std::time::Duration;

use holdpoint::proto::{self, Strength};
use rustix::process::{Signal, kill_process};
use rustls::version::{TLS12, TLS13};
use tonic::{Code, Status};

use super::support::certificates::{Ca, Pair};
use super::support::clients::{self, Clients, waited_on};
use super::support::daemon::{Daemon, cli_with, identity};
use super::support::tcp::{channel, handshake};
use super::support::{Home, approve, call, get, hold, reason_of, submit, wait_for};

const LONG: Duration = Duration::from_secs(30 * 86_400);

/// A team's daemon behind TLS, with a CA for itself and one for its clients.
struct Behind {
    home: Home,
    servers: Ca,
    clients: Ca,
}

impl Behind {
    /// `proxy` and `ana` have tokens and certificate names, `mute` and `cert` names alone.
    fn new(server: impl FnOnce(&Ca) -> Pair, more: &str) -> Self {
        let (servers, clients) = (Ca::new("servers"), Ca::new("clients"));
        let named = |names: &str| format!("certificate_names = [{names}]");
        let only = |kind: &str, name: &str, names: &str| {
            format!("[[{kind}]]\nname = \"{name}\"\n{}\n", named(names))
        };
        let text = [
            "listen = \"127.0.0.1:0\"\ntls_cert_file = \"server.crt\"\ntls_key_file = \"server.key\"\n",
            "tls_client_ca_file = \"clients.crt\"\n",
            more,
            "\n",
            &identity("callers", "proxy", &named("\"spiffe://corp/proxy\", \"proxy.example.com\"")),
            &identity("operators", "ana", &named("\"ana@example.com\"")),
            &only("callers", "mute", "\"mute.example.com\""),
            &only("operators", "cert", "\"cert@example.com\""),
        ];
        let home = Home::with_config(&text.concat());
        fs::write(home.state.join("clients.crt"), clients.pem()).expect("written");
        server(&servers).put(&home.state, "server");
        Behind { home, servers, clients }
    }

    fn usual() -> Self {
        Behind::new(|ca| ca.server("server", LONG), "")
    }

    async fn start(&self) -> Daemon<'_> {
        self.home.start_and_tell().await
    }

    /// A connection of its own, with a client certificate of these names, or without.
    fn with(&self, names: Option<&[&str]>) -> Clients {
        let pair = names.map(|names| self.clients.client(names, LONG));
        self.over(pair.as_ref())
    }

    fn over(&self, client: Option<&Pair>) -> Clients {
        Clients::over(channel(&self.home.tcp(), &self.servers, client), &self.home.state)
    }

    async fn shown(&self) -> Option<Vec<u8>> {
        handshake(&self.home.tcp(), &self.servers, &[&TLS13], "h2").await.ok()
    }
}

async fn who_am_i(operator: &mut clients::Operator) -> Result<proto::WhoAmIResponse, Status> {
    Ok(operator.who_am_i(proto::WhoAmIRequest {}).await?.into_inner())
}

fn refused_as_unknown(answer: Result<proto::WhoAmIResponse, Status>, says: &[&str]) {
    let refused = answer.expect_err("refused");
    assert_eq!((refused.code(), reason_of(&refused)), (Code::Unauthenticated, "BAD_TOKEN".into()));
    for words in says {
        assert!(refused.message().contains(words), "{words:?} is not in: {}", refused.message());
    }
}

#[tokio::test]
async fn a_certificate_is_exchanged_while_a_call_is_held() {
    let (servers, first, second) = {
        let ca = Ca::new("servers");
        let (first, second) = (ca.server("first", LONG), ca.server("second", LONG));
        (ca, first, second)
    };
    let mut behind = Behind::new(|_| first.clone(), "");
    behind.servers = servers;
    let home = &behind.home;
    let daemon = behind.start().await;
    let connection = behind.with(None);
    let (caller, mut operator) =
        (connection.caller_named("proxy"), connection.operator_named("ana"));
    let (id, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    assert_eq!(behind.shown().await.as_ref(), Some(&first.der));
    second.put(&home.state, "server");
    wait_for("the new certificate", || async {
        (behind.shown().await.as_ref() == Some(&second.der)).then_some(())
    })
    .await;
    // What cannot be used changes nothing, and is said with its file.
    fs::write(home.state.join("server.crt"), "rubbish").expect("written");
    wait_for("the log to say so", || async {
        home.log().contains("the certificate before them is kept").then_some(())
    })
    .await;
    assert!(home.log().contains("server.crt holds no certificate"), "{}", home.log());
    assert_eq!(behind.shown().await.as_ref(), Some(&second.der));
    // The old connection was there all the time, and so was the call on it.
    let digest = get(&mut operator, &id).await.digest;
    approve(&mut operator, &id, &digest).await.expect("approved");
    let answer = waiting.await.expect("the task").expect("an answer on the old connection");
    assert_eq!(answer.status(), proto::Status::Approved);
    daemon.stop().await;
}

#[tokio::test]
async fn a_certificate_that_expires_while_running_is_said_and_holds_nobody_up() {
    let behind = Behind::new(|ca| ca.server("short", Duration::from_secs(8)), "");
    let home = &behind.home;
    let daemon = behind.start().await;
    assert!(home.log().contains("the TLS certificate expires soon"), "{}", home.log());
    let connection = behind.with(None);
    let (caller, mut operator) =
        (connection.caller_named("proxy"), connection.operator_named("ana"));
    let (id, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    wait_for("the log to say so", || async {
        home.log().contains("the TLS certificate has expired").then_some(())
    })
    .await;
    let refused = handshake(&home.tcp(), &behind.servers, &[&TLS13], "h2").await;
    let refused = refused.expect_err("expired").to_string();
    assert!(refused.contains("Expired") || refused.contains("expired"), "{refused}");
    // Who is connected goes on, and a new certificate lets everybody in again.
    let digest = get(&mut operator, &id).await.digest;
    approve(&mut operator, &id, &digest).await.expect("approved");
    assert_eq!(waiting.await.expect("the task").expect("approved").id, id);
    behind.servers.server("next", LONG).put(&home.state, "server");
    wait_for("the new certificate", || behind.shown()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_certificate_is_an_identity_without_a_token() {
    let behind = Behind::usual();
    let _daemon = behind.start().await;
    let proxy = behind.with(Some(&["proxy.internal", "spiffe://corp/proxy"]));
    let cert = behind.with(Some(&["cert@example.com"]));
    let (mut caller, mut operator) = (proxy.caller_without_token(), cert.operator_certified());
    let me = who_am_i(&mut operator).await.expect("known");
    assert_eq!((me.name.as_str(), me.strength()), ("cert", Strength::Certificate));
    let me = who_am_i(&mut proxy.operator_certified()).await.expect("known");
    assert_eq!((me.name.as_str(), me.strength()), ("proxy", Strength::Certificate));
    let asked = submit(&mut caller, "one", call("write", "{}")).await;
    let decided = approve(&mut operator, &asked.id, &asked.digest).await.expect("approved");
    assert_eq!(decided.decisions[0].strength(), Strength::Certificate);
    // With a token of the same identity beside it, it is the same; without the
    // certificate, the token is enough, and is recorded as what it is.
    let ana = behind.with(Some(&["ana@example.com"]));
    let me = who_am_i(&mut ana.operator_named("ana")).await.expect("known");
    assert_eq!((me.name.as_str(), me.strength()), ("ana", Strength::Certificate));
    let me = who_am_i(&mut behind.with(None).operator_named("ana")).await.expect("known");
    assert_eq!((me.name.as_str(), me.strength()), ("ana", Strength::Token));
    // A caller's certificate decides as little as its token does.
    let refused = approve(&mut proxy.operator_certified(), &asked.id, &asked.digest).await;
    assert_eq!(reason_of(&refused.expect_err("a caller")), "WRONG_ROLE");
}

#[tokio::test]
async fn a_certificate_that_is_nobody_s_or_not_the_token_s_is_refused() {
    let behind = Behind::usual();
    let _daemon = behind.start().await;
    let with = |names: &[&str]| behind.with(Some(names));
    let stranger = with(&["stranger.example.com"]);
    let says = ["stranger.example.com", "certificate_names"];
    refused_as_unknown(who_am_i(&mut stranger.operator_certified()).await, &says);
    refused_as_unknown(who_am_i(&mut stranger.operator_named("ana")).await, &says);
    let nameless = with(&[]);
    refused_as_unknown(who_am_i(&mut nameless.operator_certified()).await, &["no DNS name"]);
    let ana = with(&["ana@example.com"]);
    let says = ["the token is \"proxy\"", "the client certificate is \"ana\""];
    refused_as_unknown(who_am_i(&mut ana.operator_named("proxy")).await, &says);
    refused_as_unknown(who_am_i(&mut ana.operator_named("nobody")).await, &["not known here"]);
    let two = with(&["ana@example.com", "mute.example.com"]);
    let says = ["\"ana\"", "\"mute\"", "one identity"];
    refused_as_unknown(who_am_i(&mut two.operator_certified()).await, &says);
    let nothing = who_am_i(&mut behind.with(None).operator_certified()).await;
    assert_eq!(reason_of(&nothing.expect_err("nobody")), "NO_TOKEN");
}

#[tokio::test]
async fn a_client_certificate_that_is_not_valid_fails_the_handshake() {
    let behind = Behind::usual();
    let _daemon = behind.start().await;
    let other = Ca::new("clients").client(&["ana@example.com"], LONG);
    let expired = behind.clients.expired_client("proxy.example.com");
    // A server's certificate, even one of the right CA, is not for clients.
    let server = behind.clients.server("localhost", LONG);
    for (what, pair) in [("another CA's", other), ("expired", expired), ("a server's", server)] {
        let mut operator = behind.over(Some(&pair)).operator_named("ana");
        // With TLS 1.3 the client hears of it with its first call.
        let refused = who_am_i(&mut operator).await.expect_err(what);
        assert!(reason_of(&refused).starts_with('?'), "{what}: {refused:?}");
    }
    who_am_i(&mut behind.with(None).operator_named("ana")).await.expect("without it");
}

#[tokio::test]
async fn a_connection_ends_with_its_client_certificate_and_the_call_stays() {
    let behind = Behind::usual();
    let _daemon = behind.start().await;
    let short = behind.clients.client(&["proxy.example.com"], Duration::from_secs(5));
    let caller = behind.over(Some(&short)).caller_without_token();
    let mut operator = behind.with(None).operator_named("ana");
    let (id, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    waited_on(&mut operator, &id, false).await;
    waiting.await.expect("the task").expect_err("the connection ended");
    // With its next certificate it takes the call up again.
    let mut again = behind.with(Some(&["proxy.example.com"])).caller_without_token();
    assert_eq!(submit(&mut again, "one", call("write", "{}")).await.id, id);
}

#[tokio::test]
async fn the_oldest_version_that_is_spoken_is_what_the_configuration_says() {
    for (more, old_is_served) in [("", true), ("tls_min_version = \"1.3\"", false)] {
        let behind = Behind::new(|ca| ca.server("server", LONG), more);
        let _daemon = behind.start().await;
        let address = behind.home.tcp();
        let old = handshake(&address, &behind.servers, &[&TLS12], "h2").await;
        assert_eq!(old.is_ok(), old_is_served, "{more:?}: {old:?}");
        handshake(&address, &behind.servers, &[&TLS13], "h2").await.expect("TLS 1.3");
        let other = handshake(&address, &behind.servers, &[&TLS13], "http/1.1").await;
        other.expect_err("only HTTP/2 is spoken");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_away_is_nobody_s_on_connections_that_are_open() {
    let behind = Behind::usual();
    let daemon = behind.start().await;
    let home = &behind.home;
    let mute = behind.with(Some(&["mute.example.com"]));
    let mut operator = behind.with(None).operator_named("ana");
    let caller = mute.caller_without_token();
    let (_, waiting) = hold(&caller, &mut operator, "one", call("write", "{}")).await;
    let file = home.state.join("holdpoint.toml");
    let text = fs::read_to_string(&file).expect("read");
    let text = text.replace("mute.example.com", "other.example.com");
    home.configure(&format!("tls_min_version = \"1.3\"\n{text}"));
    kill_process(daemon.pid(), Signal::HUP).expect("signal sent");
    let gone = waiting.await.expect("the task").expect_err("nobody's call");
    assert_eq!((gone.code(), reason_of(&gone)), (Code::Unauthenticated, "BAD_TOKEN".to_owned()));
    let answer = who_am_i(&mut mute.operator_certified()).await;
    refused_as_unknown(answer, &["mute.example.com", "certificate_names"]);
    let other = behind.with(Some(&["other.example.com"]));
    assert_eq!(who_am_i(&mut other.operator_certified()).await.expect("known").name, "mute");
    // What a reload changes of TLS holds for new connections.
    wait_for("TLS 1.2 to be refused", || async {
        handshake(&home.tcp(), &behind.servers, &[&TLS12], "h2").await.err()
    })
    .await;
    who_am_i(&mut operator).await.expect("who is connected stays");
    daemon.stop().await;
}

#[tokio::test]
async fn the_command_line_shows_a_client_certificate() {
    let behind = Behind::usual();
    let _daemon = behind.start().await;
    let home = &behind.home;
    let (cert, key) = behind.clients.client(&["cert@example.com"], LONG).put(&home.state, "me");
    let ca = home.state.join("servers.crt");
    fs::write(&ca, behind.servers.pem()).expect("written");
    let address = home.tcp();
    let text = |path: &std::path::Path| path.display().to_string();
    let variables = [
        ("HOLDPOINT_SERVER", address.as_str()),
        ("HOLDPOINT_CA", &text(&ca)),
        ("HOLDPOINT_CERT", &text(&cert)),
        ("HOLDPOINT_KEY", &text(&key)),
    ];
    let done = cli_with(home, &variables, &["whoami"]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("cert") && said.contains("by a client certificate"), "{done:?}");
    let done = cli_with(home, &variables[..3], &["whoami"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("HOLDPOINT_KEY is not"), "{done:?}");
}
