//! Letters on their way to a scripted server, and each kind of trouble there.

use std::sync::{Arc, Mutex};

use super::server::{Answer, STEP, Server, transport};
use super::{letter, request};
use crate::config::{self, SmtpAuth};
use crate::mail::transport::{
    BadMailConfig, Failure, Fault, MailConfig, STEP_TIMEOUT, Said, Transport,
};

async fn failure_at(verb: &'static str, answer: Answer) -> Failure {
    let server = Server::start(move |v| if v == verb { answer } else { Answer::Usual }).await;
    let result = server.transport("me:hunter2@").deliver(&letter(&request())).await;
    result.expect_err("a failure")
}

const VERBS: [&str; 7] = ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."];

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
async fn each_refusal_is_blamed_on_who_can_mend_it() {
    for (verb, reply, fault) in [
        ("CONNECT", "421 too busy", Fault::Passing),
        ("CONNECT", "554 go away", Fault::SetUp),
        ("EHLO", "451 later", Fault::Passing),
        ("EHLO", "504 that is no domain", Fault::SetUp),
        ("AUTH", "454 later", Fault::Passing),
        ("AUTH", "535 wrong", Fault::SetUp),
        ("MAIL", "451 later", Fault::Passing),
        ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", Fault::SetUp),
        ("MAIL", "550 5.7.1 not from here", Fault::SetUp),
        ("RCPT", "450 greylisted", Fault::Passing),
        ("RCPT", "550 5.1.1 no such user", Fault::Letter),
        ("RCPT", "554 5.7.1 Relay access denied", Fault::SetUp),
        ("RCPT", "553 5.7.1 Sender address rejected: not logged in", Fault::SetUp),
        ("RCPT", "530 5.7.0 Authentication required", Fault::SetUp),
        ("DATA", "452 full", Fault::Passing),
        ("DATA", "554 no valid recipients", Fault::Letter),
        (".", "451 later", Fault::Passing),
        (".", "554 spam", Fault::Letter),
        (".", "552 too large", Fault::Letter),
    ] {
        let failure = failure_at(verb, Answer::Say(reply)).await;
        assert_eq!(failure.fault, fault, "{verb} {reply}: {}", failure.text);
        assert!(failure.text.contains(reply), "{}", failure.text);
        assert!(!failure.unknown_end, "{}", failure.text);
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_goes_away_at_any_verb_is_tried_again() {
    for verb in VERBS {
        for answer in [Answer::Hang, Answer::Close] {
            let failure = failure_at(verb, answer).await;
            assert_eq!(failure.fault, Fault::Passing, "{verb}: {}", failure.text);
            assert_eq!(failure.unknown_end, verb == ".", "{verb}: {}", failure.text);
        }
    }
    for (verb, words) in [
        ("CONNECT", "no answer within 300ms at its greeting; if it speaks TLS"),
        ("EHLO", "no answer within 300ms at EHLO"),
        ("AUTH", "no answer within 300ms at the log-in (AUTH)"),
        ("MAIL", "no answer within 300ms at the sender's address (MAIL FROM)"),
        ("RCPT", "no answer within 300ms at the recipient's address (RCPT TO)"),
        ("DATA", "no answer within 300ms at DATA"),
        (".", "no answer within 1.8s at the end of the letter; it may have taken"),
    ] {
        let text = failure_at(verb, Answer::Hang).await.text;
        assert!(text.contains(words), "{text}");
    }
}

/// Each step is in time, all of them together are not.
#[tokio::test]
async fn a_server_that_is_slow_at_every_verb_has_a_bound_over_all() {
    let server = Server::start(|_| Answer::After(STEP * 5 / 6)).await;
    let failure = server.transport("me:p@").deliver(&letter(&request())).await;
    // Six steps before the letter take five times as long as one may; four are allowed.
    let failure = failure.expect_err("too slow");
    assert_eq!((failure.fault, failure.unknown_end), (Fault::Passing, false), "{failure:?}");
    assert!(failure.text.contains("no answer"), "{failure:?}");
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn garbage_at_any_verb_is_tried_again_and_shown() {
    for verb in VERBS {
        for reply in ["garbage", "999 garbage", "25", "250ok", "350 what"] {
            let failure = failure_at(verb, Answer::Say(reply)).await;
            assert_eq!(failure.fault, Fault::Passing, "{verb}: {}", failure.text);
            assert_eq!(failure.unknown_end, verb == ".", "{verb}: {}", failure.text);
            assert!(failure.text.contains("is not SMTP") && failure.text.contains(reply));
        }
    }
    let failure = failure_at("MAIL", Answer::Say("250-a\r\n550 b")).await;
    assert!(failure.text.contains("250 and 550 in one answer"), "{}", failure.text);
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    for (answer, words) in [
        (Answer::EndlessLine, "a line of more than 4096 bytes"),
        (Answer::EndlessLines, "more than 32768 bytes of answer"),
    ] {
        for verb in VERBS {
            let failure = failure_at(verb, answer).await;
            assert!(failure.text.contains(words), "{verb}: {}", failure.text);
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_no_answer() {
    let server = Server::start(|verb| match verb {
        // The second would be taken for the answer to RCPT, and so on.
        "MAIL" => Answer::Say("250 fine\r\n250 fine\r\n250 fine\r\n354 go on\r\n250 taken"),
        "RCPT" => Answer::Say("550 no such user"),
        _ => Answer::Usual,
    })
    .await;
    let result = server.transport("").deliver(&letter(&request())).await;
    let failure = result.expect_err("it was not delivered");
    assert!(failure.text.contains("nobody asked for"), "{}", failure.text);
}

#[tokio::test]
async fn tls_on_a_plain_port_is_recognised() {
    // An alert, as servers send to who speaks no TLS to them.
    let failure = failure_at("CONNECT", Answer::Bytes(b"\x15\x03\x01\x00\x02\x02\x46")).await;
    assert_eq!(failure.fault, Fault::SetUp);
    assert!(failure.text.contains("speaks TLS") && failure.text.contains("smtps://"));
}

#[tokio::test]
async fn a_connection_that_dies_after_the_letter_leaves_its_end_unknown() {
    let server = Server::start(|verb| match verb {
        "." => Answer::Close,
        _ => Answer::Usual,
    })
    .await;
    let transport = server.transport("");
    let failure = transport.deliver(&letter(&request())).await.expect_err("no answer");
    assert!(failure.unknown_end && failure.fault == Fault::Passing, "{failure:?}");
    // Not tried again by itself, which could be a duplicate: that is counted by who calls.
    assert_eq!(server.letters().len(), 1);
}

#[tokio::test]
async fn a_server_that_wants_it_slower_gets_it_slower() {
    let minute = Some(std::time::Duration::from_secs(60));
    for (verb, reply, wait) in [
        ("RCPT", "450 greylisted", None),
        ("RCPT", "450 4.7.1 rate limited", minute),
        ("MAIL", "452 4.5.3 too many letters", minute),
        ("MAIL", "451 Sending limit exceeded for user", minute),
        (".", "432 4.3.2 Concurrent connections limit exceeded", minute),
        (".", "451 later", None),
        ("RCPT", "550 too many letters", None),
    ] {
        assert_eq!(failure_at(verb, Answer::Say(reply)).await.wait, wait, "{reply}");
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
    assert_eq!(failure.fault, Fault::Passing);
    assert!(failure.text.contains("refuses the connection; is the server up"), "{failure:?}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_to_be_mended() {
    let smtp = config::Smtp::parse("smtps://no-such-host.invalid").expect("a URL");
    let failure = transport(smtp, 1).deliver(&letter(&request())).await.expect_err("no host");
    assert!(failure.text.contains("no-such-host.invalid port 465"), "{failure:?}");
    // Where the machine's DNS is silent, that is another trouble.
    assert!(failure.text.contains("cannot be looked up") || failure.text.contains("no answer"));
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
        assert!(failure.text.contains("(hidden)"), "{}", failure.text);
    }
    let server = Server::start(|_| Answer::Usual).await;
    let transport = server.transport("me:hunter2@");
    let shown = format!("{transport:?} {}", transport.describe());
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// Whole, cut, and quoted, for each way to log in.
#[tokio::test]
async fn a_server_that_repeats_the_log_in_betrays_nothing_of_it() {
    const TOKEN: &str = "S3cretToken-ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let repeated = [
        Answer::Echo("535 5.7.8 bad command: ", 0),
        Answer::Echo("535 5.7.8 \"", 3),
        Answer::Echo("535-", 17),
        Answer::Say("535-5.7.8 S3cretToken-ABCDEFGH\r\n535 5.7.8 IJKLMNOPQRSTUVWXYZ"),
        Answer::Say(
            "who is this with S3cretToken-ABCDEFGHIJKLMNOPQRSTUVWXYZ at its end of the line?",
        ),
    ];
    for auth in [SmtpAuth::XOAuth2, SmtpAuth::Plain] {
        for answer in repeated {
            let server = Server::start(move |v| match v {
                "AUTH" => answer,
                _ => Answer::Usual,
            });
            let server = server.await;
            let mut smtp = server.smtp(&format!("me:{TOKEN}@"));
            smtp.auth = auth;
            let heard = Arc::new(Mutex::new(String::new()));
            let ears = heard.clone();
            let listener = Arc::new(move |said| {
                ears.lock().expect("held for this only").push_str(&format!("{said:?}\n"));
            });
            let result = transport(smtp, 1).try_out(&letter(&request()), listener).await;
            let failure = result.expect_err("refused");
            let sent = server.said().into_iter().find(|line| line.starts_with("AUTH "));
            let sent = sent.expect("a log-in");
            let sent = sent.split(' ').nth(2).expect("with what it needs");
            let shown = format!("{}\n{}", failure.text, heard.lock().expect("held for this only"));
            assert!(shown.matches("(hidden)").count() >= 2, "{shown}");
            for secret in [sent, TOKEN] {
                for run in secret.as_bytes().windows(8) {
                    let run = std::str::from_utf8(run).expect("ASCII");
                    assert!(!shown.contains(run), "{run} in {shown}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refused_log_in_names_the_user_and_where_the_password_stands() {
    let failure = failure_at("AUTH", Answer::Say("535 5.7.8 bad credentials")).await;
    for words in ["refuses the log-in of \"me\"", "535 5.7.8 bad", "in `smtp_url`"] {
        assert!(failure.text.contains(words), "{}", failure.text);
    }
    let server = Server::start(|verb| match verb {
        "EHLO" => Answer::Say("250-test\r\n250 AUTH CRAM-MD5"),
        _ => Answer::Usual,
    })
    .await;
    let failure = server.transport("me:x@").deliver(&letter(&request())).await.expect_err("none");
    assert_eq!(failure.fault, Fault::SetUp);
    assert!(failure.text.contains("by PLAIN or LOGIN, but CRAM-MD5"), "{}", failure.text);
    assert_eq!(server.times("AUTH"), 0);
}

#[tokio::test]
async fn the_password_file_is_read_anew_for_each_log_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "old\n").expect("written");
    // base64 of \0me\0new
    let good = "AUTH PLAIN AG1lAG5ldw==";
    let seen = Arc::new(Mutex::new(0));
    let times = seen.clone();
    let server = Server::start(move |verb| match verb {
        "AUTH" => {
            let mut times = times.lock().expect("held for this only");
            *times += 1;
            if *times == 1 { Answer::Say("535 wrong") } else { Answer::Usual }
        }
        _ => Answer::Usual,
    })
    .await;
    let mut smtp = server.smtp("me@");
    smtp.password = Some(config::Secret::new("old".to_owned()));
    smtp.password_file = Some(file.clone());
    let failure = transport(smtp.clone(), 1).deliver(&letter(&request())).await;
    let failure = failure.expect_err("the old one");
    assert!(failure.text.contains(&file.display().to_string()), "{}", failure.text);
    std::fs::write(&file, "new\n").expect("written");
    let transport = transport(smtp, 1);
    transport.deliver(&letter(&request())).await.expect("the new one");
    assert!(server.said().contains(&good.to_owned()), "{:?}", server.said());
}

#[tokio::test]
async fn each_way_to_log_in_says_what_its_specification_wants() {
    let with = async |auth: SmtpAuth, replies: &'static [&'static str]| {
        let at = Arc::new(Mutex::new(replies.iter()));
        let server = Server::start(move |verb| match verb {
            "AUTH" => {
                let next = at.lock().expect("held for this only").next();
                next.map_or(Answer::Usual, |reply| Answer::Say(reply))
            }
            _ => Answer::Usual,
        })
        .await;
        let mut smtp = server.smtp("me:pw@");
        smtp.auth = auth;
        let result = transport(smtp, 1).deliver(&letter(&request())).await;
        let said = server.said().into_iter().skip(1).take(3).collect::<Vec<_>>();
        (result, said)
    };
    let (result, said) =
        with(SmtpAuth::Login, &["334 VXNlcm5hbWU6", "334 Passwort?", "235 ok"]).await;
    result.expect("delivered");
    assert_eq!(said, ["AUTH LOGIN", "bWU=", "cHc="]);
    let (result, said) = with(SmtpAuth::Plain, &["235 ok"]).await;
    result.expect("delivered");
    assert_eq!(said[0], "AUTH PLAIN AG1lAHB3");
    let (result, said) = with(SmtpAuth::XOAuth2, &["235 ok"]).await;
    result.expect("delivered");
    // user=me ^A auth=Bearer pw ^A ^A
    assert_eq!(said[0], "AUTH XOAUTH2 dXNlcj1tZQFhdXRoPUJlYXJlciBwdwEB");
    let (result, said) =
        with(SmtpAuth::XOAuth2, &["334 eyJzdGF0dXMiOiI0MDAifQ==", "535 5.7.8 no"]).await;
    let failure = result.expect_err("refused");
    assert_eq!((said[1].as_str(), failure.fault), ("", Fault::SetUp));
    assert!(failure.text.contains("535 5.7.8 no"), "{}", failure.text);
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
    assert!(failure.text.chars().count() < 420, "{}", failure.text);
}

#[tokio::test]
async fn who_listens_hears_everything_but_secrets() {
    let server = Server::start(|verb| match verb {
        "AUTH" => Answer::Say("235 welcome, hunter2"),
        _ => Answer::Usual,
    })
    .await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    let listener = Arc::new(move |said| ears.lock().expect("held for this only").push(said));
    let delivered = server.transport("me:hunter2@").try_out(&letter(&request()), listener).await;
    assert_eq!(delivered.expect("delivered").answer, "250 2.0.0 queued as 4711");
    let heard = heard.lock().expect("held for this only");
    let lines: Vec<String> = heard
        .iter()
        .map(|said| match said {
            Said::Client(line) => format!("> {line}"),
            Said::Server(line) => format!("< {line}"),
            Said::Note(line) => format!("* {line}"),
        })
        .collect();
    let size = letter(&request()).bytes.len();
    assert!(lines[2].starts_with("> EHLO "), "{}", lines[2]);
    let expected = [
        "< 250-test",
        "< 250 AUTH PLAIN LOGIN XOAUTH2",
        "> AUTH PLAIN (hidden)",
        "< 235 welcome, (hidden)",
        "> MAIL FROM:<holdpoint@example.com>",
        "< 250 fine",
        "> RCPT TO:<joerg@example.com>",
        "< 250 fine",
        "> DATA",
        "< 354 go on",
        &format!("> (the letter, {size} bytes)"),
        "> .",
        "< 250 2.0.0 queued as 4711",
        "> QUIT",
        "< 221 bye",
    ];
    assert_eq!(
        lines[..2],
        [format!("* connected to 127.0.0.1:{}", server.port), "< 220 test ESMTP".to_owned()]
    );
    assert_eq!(lines[3..], expected);
}

fn configured(smtp: config::Smtp) -> Result<Transport, BadMailConfig> {
    Transport::new(&MailConfig {
        server: Some(smtp),
        connections: 1,
        folder: std::path::PathBuf::new(),
        folder_keep: 1,
        step_timeout: STEP_TIMEOUT,
    })
}

#[test]
fn plain_smtp_stays_on_this_machine_unless_allowed() {
    let parse = |url: &str| config::Smtp::parse(url).expect("a URL");
    for near in ["smtp://127.0.0.1", "smtp://LOCALHOST:2525", "smtp://[::1]"] {
        assert!(configured(parse(near)).is_ok(), "{near}");
    }
    for far in ["smtp://mail.example.com", "smtp://10.0.0.1", "smtp://localhost.example.com"] {
        let error = configured(parse(far)).expect_err(far);
        assert!(matches!(error, BadMailConfig::PlainBeyondLoopback { .. }), "{error}");
        assert!(error.to_string().contains("smtps://"), "{error}");
        let allowed = config::Smtp { allow_unencrypted: true, ..parse(far) };
        assert!(configured(allowed).is_ok(), "{far}");
    }
    // Where there is a password, nothing allows it.
    let with_user = config::Smtp { allow_unencrypted: true, ..parse("smtp://me:pw@10.0.0.1") };
    let transport = configured(with_user).expect("a transport");
    assert_eq!(transport.describe(), "10.0.0.1 port 25, with STARTTLS");
    assert!(matches!(configured(parse("smtps://me@h")), Err(BadMailConfig::UserWithoutPassword)));
}

#[test]
fn a_certificate_file_that_holds_none_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "no certificate").expect("writable");
    for path in [path, folder.path().join("missing.pem")] {
        let smtp = config::Smtp::parse("smtps://mail.example.com").expect("a URL");
        let smtp = config::Smtp { tls_ca_file: Some(path.clone()), ..smtp };
        let error = configured(smtp).expect_err("no certificate");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

/// `tests/mail/real_server.py` runs this against servers with TLS and login.
/// Each line of the plan: a URL, a way to log in, a file of certificates or `-`,
/// and what is expected: `delivered`, `passing`, `letter` or `setup`, then words
/// of the answer.
#[tokio::test]
#[ignore = "needs the servers of tests/mail/real_server.py"]
async fn real_servers_with_tls_and_login() {
    let plan = std::env::var("HOLDPOINT_TEST_SMTP").expect("run by tests/mail/real_server.py");
    for line in plan.lines() {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().expect("five words");
        let (url, auth, ca, expected, answer) = (word(), word(), word(), word(), word());
        let smtp = config::Smtp::parse(url).expect("a URL");
        let smtp = config::Smtp {
            auth: SmtpAuth::parse(auth).expect("a way"),
            tls_ca_file: (ca != "-").then(|| ca.into()),
            ..smtp
        };
        let transport = configured(smtp).expect("a transport");
        let result = transport.deliver(&letter(&request())).await;
        transport.close().await;
        let (got, text) = match &result {
            Ok(delivered) => ("delivered", &delivered.answer),
            Err(Failure { fault: Fault::Passing, text, .. }) => ("passing", text),
            Err(Failure { fault: Fault::Letter, text, .. }) => ("letter", text),
            Err(Failure { fault: Fault::SetUp, text, .. }) => ("setup", text),
        };
        println!("{}: {got}: {text}", transport.describe());
        assert_eq!(got, expected, "{text}");
        assert!(text.contains(answer), "{text}");
    }
}
