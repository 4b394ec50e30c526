//! `holdpoint mail test`: the sample, the conversation, and what to do next.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Output;
use std::thread::JoinHandle;

use crate::support::{Home, cli};

/// A mail server for one conversation, which answers a verb as told. Returns
/// the letter when it is over.
fn server(verb: &'static str, reply: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut out = stream.try_clone().expect("the same socket");
        let mut letter = String::new();
        let mut say = |text: &str| write!(out, "{text}\r\n").expect("the client listens");
        say("220 test ESMTP");
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        while let Some(line) = lines.next() {
            let word = line.split(' ').next().unwrap_or_default();
            match word {
                _ if word == verb => say(reply),
                "EHLO" => say("250-test\r\n250 AUTH PLAIN"),
                "AUTH" => say("235 welcome"),
                "DATA" => {
                    say("354 go on");
                    for line in lines.by_ref().take_while(|line| line != ".") {
                        letter.push_str(&line);
                        letter.push('\n');
                    }
                    say("250 queued as 4711");
                }
                "QUIT" => {
                    say("221 bye");
                    break;
                }
                _ => say("250 fine"),
            }
        }
        letter
    });
    (port, served)
}

fn home(port: u16) -> Home {
    let home = Home::with_config(&format!(
        "smtp_url = \"smtp://me@127.0.0.1:{port}\"\nsmtp_password_file = \"password\"\n\
         from = \"Holdpoint <h@example.com>\"\n"
    ));
    std::fs::write(home.state.join("password"), "hunter2\n").expect("written");
    home
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn mail_test_prints_the_whole_conversation_without_the_password() {
    let (port, served) = server("none", "");
    let output = cli(&home(port), &["mail", "test", "ops@example.com"]);
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    let mut rest = out.as_str();
    for line in [
        &format!("to ops@example.com by 127.0.0.1 port {port}, without TLS\n") as &str,
        "* connected to 127.0.0.1:",
        "< 220 test ESMTP\n",
        "> EHLO ",
        "< 250 AUTH PLAIN\n> AUTH PLAIN (hidden)\n< 235 welcome\n",
        "> MAIL FROM:<h@example.com>\n< 250 fine\n> RCPT TO:<ops@example.com>\n< 250 fine\n",
        "> DATA\n< 354 go on\n> (the letter, ",
        "> .\n< 250 queued as 4711\n> QUIT\n< 221 bye\n",
        "accepted: 250 queued as 4711\n",
        "Look into the mailbox of ops@example.com",
    ] {
        let at =
            rest.find(line).unwrap_or_else(|| panic!("{line:?} is not in its place in:\n{out}"));
        rest = &rest[at + line.len()..];
    }
    assert!(!out.contains("hunter2"), "{out}");
    let letter = served.join().expect("served");
    assert!(letter.contains("Subject: Test: mail from Holdpoint reaches you"), "{letter}");
    assert!(letter.contains("This is a test: mail from Holdpoint reaches you"), "{letter}");
}

#[test]
fn mail_test_says_what_a_refusal_means() {
    for (verb, reply, words) in [
        ("AUTH", "535 5.7.8 \u{1b}[2Jno", "refuses the log-in of \"me\""),
        ("MAIL", "550 5.7.1 no", "it does not let us send as `from`"),
        ("RCPT", "550 5.1.1 no", "Is the address right?"),
        ("RCPT", "450 later", "This may pass"),
    ] {
        let (port, served) = server(verb, reply);
        let output = cli(&home(port), &["mail", "test", "ops@example.com"]);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        assert!(err.contains("holdpoint: not accepted: ") && err.contains(words), "{err}");
        assert!(!out.contains('\u{1b}') && out.contains(&reply[..3]), "{out}");
        served.join().expect("served");
    }
}

#[test]
fn mail_test_without_a_server_writes_a_file_and_says_that_nobody_is_told() {
    let home = Home::new();
    let output = cli(&home, &["mail", "test", "ops@example.com"]);
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("no mail server is configured") && err.contains("smtp_url"), "{err}");
    let files = std::fs::read_dir(home.state.join("mail")).expect("the folder").count();
    assert_eq!(files, 1);
}

#[test]
fn mail_test_takes_only_an_address() {
    for address in ["nobody", "a@b\r\nBcc: c@d", "a@b, c@d", "Sam <sam@example.com>", ""] {
        let output = cli(&Home::new(), &["mail", "test", address]);
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains("is not a mail address") && err.contains("name@example.com"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}
