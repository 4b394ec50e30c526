//! Arguments and names that mean harm: refused where they mean more than one
//! thing, kept exactly where they are only ugly, and never more than text.

use std::fs;

use holdpoint::proto;
use tonic::Code;

use super::support::{Ask, Home, approve, call, cli, deny, get, reason_of, submit};

fn nested(depth: usize) -> String {
    format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn arguments_that_do_not_mean_exactly_one_thing_are_refused() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut caller = home.clients().caller();
    let refused: [(&str, Vec<u8>); 12] = [
        ("duplicate keys", br#"{"a":1,"a":2}"#.to_vec()),
        ("duplicate keys, one escaped", br#"{"a":1,"\u0061":2}"#.to_vec()),
        ("duplicate keys, deep", br#"{"x":[{"a":1,"a":2}]}"#.to_vec()),
        ("a huge exponent", br#"{"a":1e999999999}"#.to_vec()),
        ("a tiny exponent", br#"{"a":1e-999999999}"#.to_vec()),
        ("a lone high surrogate", br#"{"a":"\ud800"}"#.to_vec()),
        ("a lone low surrogate", br#"{"\udc00":1}"#.to_vec()),
        ("invalid UTF-8", b"{\"a\":\"\xff\"}".to_vec()),
        ("trailing bytes", br#"{"a":1} {"#.to_vec()),
        ("depth 10,000", nested(10_000).into_bytes()),
        ("an array", b"[1]".to_vec()),
        ("NaN", br#"{"a":NaN}"#.to_vec()),
    ];
    for (what, arguments) in refused {
        let mut bad = call("write", "");
        bad.arguments = arguments;
        let answer = Ask::new(what, bad).briefly().send(&mut caller).await;
        let status = answer.expect_err(what);
        let expected = (Code::InvalidArgument, "INVALID_ARGUMENTS".to_owned());
        assert_eq!((status.code(), reason_of(&status)), expected, "{what}: {status:?}");
        assert!(status.message().len() > 20, "{what}: {status:?}");
    }
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(300 * 1024));
    let answer = Ask::new("long", call("write", &long)).briefly().send(&mut caller).await;
    let status = answer.expect_err("300 KiB");
    assert_eq!(reason_of(&status), "INVALID_FIELD");
    assert!(status.message().contains("262144"), "{status:?}");
    // As deep and as long as the limits say.
    submit(&mut caller, "deep", call("write", &nested(63))).await;
    let most = format!(r#"{{"a":"{}"}}"#, "x".repeat(256 * 1024 - 8));
    submit(&mut caller, "most", call("write", &most)).await;
    daemon.stop().await;
}

#[tokio::test]
async fn arguments_are_kept_as_they_were_sent() {
    let home = Home::new();
    let _daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let exact = [
        r#"{"n":9007199254740993}"#,
        r#"{"n":123456789012345678901234567890}"#,
        r#"{"n":333333333.33333329}"#,
        r#"{"n":0.1000}"#,
        r#"{"n":1E400}"#,
        r#"{"n":-0}"#,
        r#"{"b":1,"a":2}"#,
        r#"{"$serde_json::private::RawValue":"[1,2]"}"#,
        r#"{"$serde_json::private::Number":"12"}"#,
        r#"{"x":{"$serde_json::private::RawValue":"{}","y":1}}"#,
        r#"{"":{"":[]}}"#,
        r#"{"__proto__":{"admin":true}}"#,
    ];
    let mut digests = std::collections::HashSet::new();
    for arguments in exact {
        let asked = submit(&mut caller, arguments, call("write", arguments)).await;
        assert_eq!(get(&mut operator, &asked.id).await.arguments, arguments);
        let shown = cli(&home, &["show", &asked.id, "--json"]);
        let shown = String::from_utf8(shown.stdout).expect("UTF-8");
        assert!(shown.contains(&format!("\"arguments\":{arguments}")), "{shown}");
        assert!(digests.insert(asked.digest), "{arguments}: the digest of another call");
    }
    // Nor do numbers that a double cannot tell apart share a digest.
    let near = submit(&mut caller, "near", call("write", r#"{"n":9007199254740992}"#)).await;
    assert!(digests.insert(near.digest));
    // The marker means nothing: what it would be read as is another call.
    let read_as = submit(&mut caller, "read as", call("write", "[1,2]").arguments_as("{}")).await;
    assert!(digests.insert(read_as.digest));
}

trait With {
    fn arguments_as(self, arguments: &str) -> Self;
}

impl With for proto::Call {
    fn arguments_as(mut self, arguments: &str) -> Self {
        self.arguments = arguments.as_bytes().to_vec();
        self
    }
}

/// Everything at once that a terminal, a log, a mail or a page could fall for.
const HARM: &str = "a\r\nBcc: x@example.com\x1b[2J\x1b]0;t\x07<img src=x onerror=1>\u{202e}txt\u{200b}\u{2066}\u{9b}31m\u{feff}\u{7f}\u{2028}=1+1";

/// What must reach nobody's screen.
const RAW: [char; 10] = [
    '\r', '\x1b', '\x07', '\u{202e}', '\u{200b}', '\u{2066}', '\u{9b}', '\u{feff}', '\u{7f}',
    '\u{2028}',
];

fn hostile_call() -> proto::Call {
    let text = HARM.to_owned();
    let mut labels = std::collections::HashMap::new();
    labels.insert("k\r\n\x1b[1m".to_owned(), text.clone());
    proto::Call {
        server: text.clone(),
        tool: text.clone(),
        arguments: harmful_arguments().into_bytes(),
        rule: text.clone(),
        policy_revision: text.clone(),
        client: text.clone(),
        agent: Some(proto::Agent {
            name: text.clone(),
            version: text.clone(),
            session: text.clone(),
            on_behalf_of: text.clone(),
        }),
        tool_definition_hash: text.clone(),
        explanation: text.clone(),
        labels,
        not_covered: vec![text],
        ..proto::Call::default()
    }
}

/// Raw where JSON allows it, escaped where it does not.
fn harmful_arguments() -> String {
    let inside: String = HARM
        .chars()
        .map(|c| if c < ' ' { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() })
        .collect();
    format!(r#"{{"{inside}":"{inside}"}}"#)
}

fn harmless(what: &str, bytes: &[u8]) {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    for raw in RAW {
        let line = text.lines().find(|line| line.contains(raw)).unwrap_or(&text);
        assert!(!text.contains(raw), "{what} holds a raw {raw:?} in {line:?}");
    }
    let injected = text.lines().find(|line| line.trim_start().starts_with("Bcc:"));
    assert_eq!(injected, None, "{what}: a line of its own");
}

#[tokio::test]
async fn hostile_names_are_stored_exactly_and_are_only_text_everywhere() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let mut sent = hostile_call();
    let asked = submit(&mut caller, HARM, sent.clone()).await;
    let kept = get(&mut operator, &asked.id).await;
    let agent = sent.agent.take().expect("an agent");
    assert_eq!((kept.server, kept.tool), (sent.server, sent.tool));
    assert_eq!((kept.client, kept.explanation), (sent.client, sent.explanation));
    assert_eq!((kept.agent, kept.labels), (Some(agent), sent.labels));
    assert_eq!((kept.rule, kept.not_covered), (sent.rule, sent.not_covered));

    // A pending one, a denied one with a hostile reason, and a refusal that names it.
    let mut second = hostile_call();
    second.arguments = b"{}".to_vec();
    let denied = submit(&mut caller, "two", second).await;
    let decision = proto::DecideRequest {
        id: denied.id.clone(),
        verdict: proto::Verdict::Deny.into(),
        reason: HARM.to_owned(),
        digest: denied.digest.clone(),
    };
    operator.decide(decision).await.expect("denied");
    let late = approve(&mut operator, &denied.id, &denied.digest).await.expect_err("ended");
    harmless("a refusal", late.message().as_bytes());

    let (one, two) = (asked.id.as_str(), denied.id.as_str());
    let commands: [&[&str]; 12] = [
        &["pending"],
        &["pending", "--json"],
        &["show", one],
        &["show", one, "--args"],
        &["show", one, "--json"],
        &["show", two],
        &["mine"],
        &["mine", "--json"],
        &["audit"],
        &["audit", "--json"],
        &["approve", two, "--digest", &denied.digest],
        &["withdraw", two],
    ];
    for command in commands {
        let output = cli(&home, command);
        assert!(output.stdout.len() + output.stderr.len() > 20, "{command:?} said nothing");
        harmless(&format!("{command:?}"), &output.stdout);
        harmless(&format!("{command:?}, on stderr"), &output.stderr);
    }
    deny(&mut operator, one, &asked.digest).await.expect("denied");
    daemon.stop().await;
    harmless("the log", home.log().as_bytes());
}

#[tokio::test]
async fn hostile_names_change_nothing_but_text_in_the_mails() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut caller, operator) = (home.clients().caller(), home.clients().operator());
    let asked = submit(&mut caller, "one", hostile_call()).await;
    super::support::wait_for("the mail", || async {
        let notices = get(&mut operator.clone(), &asked.id).await.notices;
        notices.iter().any(|notice| notice.state == "sent").then_some(())
    })
    .await;
    let folder = fs::read_dir(home.state.join("mail")).expect("the mails");
    let mails: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
    assert_eq!(mails.len(), 1);
    let mail = fs::read(&mails[0]).expect("read");
    // Lines of a mail end in CR LF; beside that, bytes are ASCII and printable.
    let text = String::from_utf8(mail).expect("UTF-8").replace("\r\n", "\n");
    harmless("the mail", text.as_bytes());
    let headers = text.split("\n\n").next().expect("headers");
    assert!(!headers.to_lowercase().lines().any(|line| line.starts_with("bcc")), "{headers}");
    // In plain text it is plain text; in HTML it would be an image.
    let html = text.split("Content-Type: text/html").nth(1).expect("an HTML part");
    assert!(!html.replace("=\n", "").contains("<img"), "{html}");
    daemon.stop().await;
}

#[tokio::test]
async fn secrets_reach_neither_disk_nor_log() {
    let home = Home::new();
    let daemon = home.start().await;
    let (mut caller, mut operator) = (home.clients().caller(), home.clients().operator());
    let secret = "correct-horse-battery-staple";
    let mut with = call("login", &format!(r#"{{"user":"ann","password":"{secret}"}}"#));
    with.explanation = format!("I use password={secret} here");
    let asked = submit(&mut caller, "one", with).await;
    let kept = get(&mut operator, &asked.id).await;
    assert!(kept.hidden_values >= 2 && kept.arguments.contains("ann"), "{kept:?}");
    deny(&mut operator, &asked.id, &asked.digest).await.expect("denied");
    daemon.stop().await;
    let mut files = vec![home.beside("log")];
    let folder = |path| fs::read_dir(path).expect("a folder").map(|f| f.expect("a file").path());
    files.extend(folder(home.state.clone()).filter(|path| path.is_file()));
    files.extend(folder(home.state.join("mail")));
    assert!(files.len() > 4, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).expect("read");
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{} holds the secret", file.display());
    }
}
