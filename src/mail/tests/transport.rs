//! Letters on their way: a scripted server, and a folder.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::server::{Answer, Server};
use super::{letter, request};
use crate::config;
use crate::mail::transport::{BadMailConfig, Failure, Fault, MailConfig, STEP_TIMEOUT, Transport};

async fn failure_at(verb: &'static str, answer: Answer) -> Failure {
    let server = Server::start(move |v| if v == verb { answer } else { Answer::Usual }).await;
    let result = server.transport("me:hunter2@").deliver(&letter(&request())).await;
    result.expect_err("a failure")
}

#[tokio::test]
async fn a_server_takes_exactly_the_letter_and_its_answer_is_kept() {
    let server = Server::start(|_| Answer::Usual).await;
    let letter = letter(&request());
    let delivered = server.transport("").deliver(&letter).await.expect("delivered");
    assert_eq!(delivered.answer, "250 2.0.0 queued as 4711");
    assert_eq!(server.letters(), [String::from_utf8(letter.bytes).expect("ASCII")]);
    let said = server.said().join("\n");
    assert!(said.contains("MAIL FROM:<holdpoint@example.com>"), "{said}");
    assert!(said.contains("RCPT TO:<joerg@example.com>"), "{said}");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    for (verb, reply, transient) in [
        ("CONNECT", "421 too busy", true),
        ("CONNECT", "554 go away", false),
        ("EHLO", "451 later", true),
        ("AUTH", "454 later", true),
        ("AUTH", "535 wrong", false),
        ("MAIL", "451 later", true),
        ("RCPT", "450 greylisted", true),
        ("RCPT", "550 no such user", false),
        ("DATA", "452 full", true),
        (".", "451 later", true),
        (".", "554 spam", false),
        ("RCPT", "garbage", true),
        ("RCPT", "999 garbage", true),
    ] {
        let failure = failure_at(verb, Answer::Say(reply)).await;
        assert_eq!(failure.fault == Fault::Passing, transient, "{verb} {reply}: {}", failure.text);
        let words = reply.split_once(' ').map_or("", |(_, words)| words);
        assert!(failure.text.contains(words) || words == "garbage", "{}", failure.text);
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_goes_away_at_any_verb_is_tried_again() {
    for verb in ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."] {
        for answer in [Answer::Hang, Answer::Close] {
            let failure = failure_at(verb, answer).await;
            assert!(failure.fault == Fault::Passing, "{verb}: {}", failure.text);
        }
        let text = failure_at(verb, Answer::Hang).await.text;
        assert!(text.contains("no answer within 300ms"), "{text}");
    }
}

#[tokio::test]
async fn a_hang_at_the_goodbye_does_not_undo_a_delivery() {
    let server = Server::start(|verb| match verb {
        "QUIT" => Answer::Hang,
        _ => Answer::Usual,
    })
    .await;
    assert!(server.transport("").deliver(&letter(&request())).await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let server = Server::start(|_| Answer::Usual).await;
    let mut gone = server;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    gone.port = listener.local_addr().expect("bound").port();
    drop(listener);
    let failure = gone.transport("").deliver(&letter(&request())).await.expect_err("refused");
    assert!(
        failure.fault == Fault::Passing && failure.text.contains("at the connection"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn no_error_tells_the_password_even_if_the_server_does() {
    for reply in [
        "500 what is hunter2?",
        // base64 of \0me\0hunter2 and of hunter2
        "502 unknown: AUTH PLAIN AG1lAGh1bnRlcjI=",
        "535 wrong: aHVudGVyMg==",
    ] {
        let failure = failure_at("AUTH", Answer::Say(reply)).await;
        for secret in ["hunter2", "AG1lAGh1bnRlcjI", "aHVudGVyMg"] {
            assert!(!failure.text.contains(secret), "{}", failure.text);
        }
        assert!(failure.text.contains("«hidden»"), "{}", failure.text);
    }
    let server = Server::start(|_| Answer::Usual).await;
    let transport = server.transport("me:hunter2@");
    let shown = format!("{transport:?} {}", transport.describe());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_servers_words_are_one_bounded_line() {
    let server = Server::start(|verb| match verb {
        "." => Answer::Say("250-a\x1b[2J\tb\r\n250-c\r\n250 d"),
        _ => Answer::Usual,
    })
    .await;
    let delivered = server.transport("").deliver(&letter(&request())).await.expect("delivered");
    assert_eq!(delivered.answer, "250 a [2J b c d");
    let long: &'static str = Box::leak(format!("550 {}", "x".repeat(900)).into_boxed_str());
    let failure = failure_at("RCPT", Answer::Say(long)).await;
    assert_eq!(failure.text.chars().count(), 301);
}

#[test]
fn plain_smtp_stays_on_this_machine() {
    let new = |url: &str| {
        let server = Some(config::Smtp::parse(url).expect("a URL"));
        let (folder, step_timeout) = (PathBuf::new(), STEP_TIMEOUT);
        Transport::new(&MailConfig { server, tls_ca_file: None, folder, step_timeout })
    };
    for near in ["smtp://127.0.0.1", "smtp://LOCALHOST:2525", "smtp://[::1]"] {
        assert!(new(near).is_ok(), "{near}");
    }
    for far in ["smtp://mail.example.com", "smtp://10.0.0.1", "smtp://localhost.example.com"] {
        let error = new(far).expect_err(far);
        assert!(matches!(error, BadMailConfig::PlainBeyondLoopback { .. }), "{error}");
        assert!(error.to_string().contains("smtps://"), "{error}");
    }
    assert!(matches!(new("smtps://me@h"), Err(BadMailConfig::UserWithoutPassword)));
}

#[test]
fn a_certificate_file_that_holds_none_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "no certificate").expect("writable");
    for path in [path, folder.path().join("missing.pem")] {
        let server = Some(config::Smtp::parse("smtps://mail.example.com").expect("a URL"));
        let (tls_ca_file, folder) = (Some(path.clone()), PathBuf::new());
        let config = MailConfig { server, tls_ca_file, folder, step_timeout: STEP_TIMEOUT };
        let error = Transport::new(&config).expect_err("no certificate");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_folder_holds_one_whole_private_file_for_each_letter() {
    let outside = tempfile::tempdir().expect("a folder");
    let folder = outside.path().join("state/mail");
    let transport = Transport::Folder(folder.clone());
    let letter = letter(&request());
    // What an attempt that was killed left behind is in nobody's way.
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::remove_dir(&folder).expect("empty");
    for _ in 0..2 {
        let delivered = transport.deliver(&letter).await.expect("written");
        assert!(delivered.answer.contains(&letter.file_name), "{delivered:?}");
        std::fs::write(folder.join(format!(".{}.part", letter.file_name)), "half")
            .expect("writable");
    }
    transport.deliver(&letter).await.expect("written");
    let names: Vec<_> = std::fs::read_dir(&folder).expect("there").collect();
    assert_eq!(names.len(), 1);
    let path = folder.join(&letter.file_name);
    assert_eq!(std::fs::read(&path).expect("there"), letter.bytes);
    let mode = |path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_tried_again() {
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("file");
    std::fs::write(&file, "").expect("writable");
    let transport = Transport::Folder(file.join("mail"));
    let failure = transport.deliver(&letter(&request())).await.expect_err("not a folder");
    assert!(
        failure.fault == Fault::Passing && failure.text.contains("cannot write a mail into"),
        "{failure:?}"
    );
}

/// `tests/mail/real_server.py` runs this against servers with TLS and login.
/// Each line of the plan: a URL, a file of certificates or `-`, and what is
/// expected: `delivered`, `transient` or `permanent`, then words of the answer.
#[tokio::test]
#[ignore = "needs the servers of tests/mail/real_server.py"]
async fn real_servers_with_tls_and_login() {
    let plan = std::env::var("HOLDPOINT_TEST_SMTP").expect("run by tests/mail/real_server.py");
    for line in plan.lines() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().expect("four words");
        let (url, ca, expected, answer) = (word(), word(), word(), word());
        let server = Some(config::Smtp::parse(url).expect("a URL"));
        let tls_ca_file = (ca != "-").then(|| PathBuf::from(ca));
        let (folder, step_timeout) = (PathBuf::new(), std::time::Duration::from_secs(5));
        let config = MailConfig { server, tls_ca_file, folder, step_timeout };
        let transport = Transport::new(&config).expect("a transport");
        let result = transport.deliver(&letter(&request())).await;
        let (got, text) = match &result {
            Ok(delivered) => ("delivered", &delivered.answer),
            Err(Failure { fault: Fault::Passing, text, .. }) => ("transient", text),
            Err(Failure { text, .. }) => ("permanent", text),
        };
        println!("{}: {got}: {text}", transport.describe());
        assert_eq!(got, expected, "{text}");
        assert!(text.contains(answer), "{text}");
    }
}
