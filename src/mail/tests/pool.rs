//! Connections that are used again, and those that turn out dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::server::{Answer, STEP, Server, patient, transport};
use super::{letter, request};
use crate::mail::transport::{Fault, Transport};

/// Delivers so many letters at once, and expects all to arrive.
async fn deliver(transport: &Transport, letters: usize) {
    let letter = Arc::new(letter(&request()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..letters {
        let (transport, letter) = (transport.clone(), letter.clone());
        tasks.spawn(async move { transport.deliver(&letter).await });
    }
    for result in tasks.join_all().await {
        result.expect("delivered");
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} within five seconds");
}

#[tokio::test]
async fn letters_one_after_the_other_share_a_connection() {
    let server = Server::start(|_| Answer::Usual).await;
    let transport = patient(server.smtp("me:pw@"), 8);
    for _ in 0..10 {
        deliver(&transport, 1).await;
    }
    assert_eq!((server.opened(), server.times("AUTH"), server.times("RSET")), (1, 1, 9));
    assert_eq!(server.letters().len(), 10);
}

#[tokio::test]
async fn a_storm_opens_no_more_connections_than_configured() {
    let server = Server::start(|_| Answer::Usual).await;
    let transport = patient(server.smtp(""), 3);
    deliver(&transport, 250).await;
    assert_eq!(server.letters().len(), 250);
    assert!(server.most_open() <= 3, "{}", server.most_open());
    // A hundred letters each, then the next.
    assert!((3..=5).contains(&server.opened()), "{}", server.opened());
}

#[tokio::test]
async fn a_connection_carries_a_hundred_letters_and_says_goodbye() {
    let server = Server::start(|_| Answer::Usual).await;
    let transport = patient(server.smtp(""), 1);
    for _ in 0..101 {
        deliver(&transport, 1).await;
    }
    assert_eq!((server.opened(), server.most_open(), server.times("QUIT")), (2, 1, 1));
}

#[tokio::test]
async fn idle_connections_are_closed_with_a_goodbye() {
    let server = Server::start(|_| Answer::Usual).await;
    let transport = transport(server.smtp(""), 4);
    deliver(&transport, 4).await;
    let opened = server.opened();
    until("all are closed", || server.open() == 0).await;
    assert_eq!(server.times("QUIT"), opened);
    // The next letter finds its way all the same, and what is closed is closed again.
    deliver(&transport, 1).await;
    until("all are closed again", || server.open() == 0).await;
    assert_eq!(server.times("QUIT"), opened + 1);
}

#[tokio::test]
async fn a_transport_that_is_closed_says_goodbye_at_once() {
    let server = Server::start(|_| Answer::Usual).await;
    let transport = patient(server.smtp(""), 8);
    deliver(&transport, 3).await;
    transport.close().await;
    assert_eq!(server.times("QUIT"), server.opened());
}

/// The server closes at leisure, as it may; the next letter must not pay for it.
#[tokio::test]
async fn a_connection_that_died_in_the_pool_costs_no_letter() {
    for (verb, answer) in [
        ("RSET", Answer::Close),
        ("RSET", Answer::Hang),
        ("RSET", Answer::Say("421 idle for too long")),
        ("MAIL", Answer::Close),
        ("MAIL", Answer::Say("421 idle for too long")),
    ] {
        let mails = AtomicUsize::new(0);
        let server = Server::start(move |seen| match seen {
            // The first letter and the third attempt pass.
            "MAIL" if verb == "MAIL" && mails.fetch_add(1, Ordering::SeqCst) == 1 => answer,
            "RSET" if verb == "RSET" => answer,
            _ => Answer::Usual,
        })
        .await;
        let transport = server.transport("");
        deliver(&transport, 1).await;
        deliver(&transport, 1).await;
        assert_eq!((server.opened(), server.letters().len()), (2, 2), "{verb}");
    }
}

#[tokio::test]
async fn a_server_that_closes_after_each_letter_gets_each_letter() {
    let server = Server::start(|verb| match verb {
        "." => Answer::UsualAndClose,
        _ => Answer::Usual,
    })
    .await;
    let transport = patient(server.smtp(""), 2);
    for _ in 0..5 {
        deliver(&transport, 2).await;
    }
    assert_eq!(server.letters().len(), 10);
}

/// A fresh connection is tried once, not for ever.
#[tokio::test]
async fn a_server_that_always_goes_away_at_mail_is_asked_twice_at_most() {
    let mails = Arc::new(AtomicUsize::new(0));
    let seen = mails.clone();
    let server = Server::start(move |verb| match verb {
        "MAIL" if seen.fetch_add(1, Ordering::SeqCst) > 0 => Answer::Close,
        _ => Answer::Usual,
    })
    .await;
    let transport = patient(server.smtp(""), 8);
    deliver(&transport, 1).await;
    let failure = transport.deliver(&letter(&request())).await.expect_err("it goes away");
    assert!(failure.fault == Fault::Passing && !failure.unknown_end, "{failure:?}");
    assert_eq!(mails.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_bounced_recipient_leaves_the_connection_usable() {
    let recipients = AtomicUsize::new(0);
    let server = Server::start(move |verb| match verb {
        "RCPT" if recipients.fetch_add(1, Ordering::SeqCst) == 0 => Answer::Say("550 no such user"),
        _ => Answer::Usual,
    })
    .await;
    let transport = patient(server.smtp(""), 8);
    let failure = transport.deliver(&letter(&request())).await.expect_err("bounced");
    assert_eq!(failure.fault, Fault::Letter);
    deliver(&transport, 1).await;
    assert_eq!((server.opened(), server.times("RSET")), (1, 1));
}

#[tokio::test]
async fn a_hundred_letters_do_not_try_a_wrong_password_a_hundred_times() {
    let server = Server::start(|verb| match verb {
        "AUTH" => Answer::Say("535 wrong"),
        _ => Answer::Usual,
    })
    .await;
    let transport = patient(server.smtp("me:pw@"), 4);
    for _ in 0..100 {
        let failure = transport.deliver(&letter(&request())).await.expect_err("refused");
        assert_eq!(failure.fault, Fault::SetUp);
        assert!(failure.text.contains("535 wrong"), "{}", failure.text);
        let first = server.times("AUTH") == 1 && failure.wait.is_none();
        assert!(first || failure.wait > Some(Duration::ZERO), "{failure:?}");
    }
    assert_eq!(server.times("AUTH"), 1);
    // A person who tries it out is not made to wait.
    let listener = Arc::new(|_| {});
    transport.try_out(&letter(&request()), listener).await.expect_err("refused");
    assert_eq!(server.times("AUTH"), 2);
}

#[tokio::test]
async fn a_hundred_letters_do_not_each_wait_for_a_server_that_hangs() {
    let server = Server::start(|_| Answer::Hang).await;
    let transport = transport(server.smtp(""), 4);
    let begun = std::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let transport = transport.clone();
        tasks.spawn(async move { transport.deliver(&letter(&request())).await });
    }
    for result in tasks.join_all().await {
        assert_eq!(result.expect_err("it hangs").fault, Fault::Passing);
    }
    assert!(server.opened() <= 8, "{}", server.opened());
    // A hundred by four at a time would take twenty-five.
    assert!(begun.elapsed() < 15 * STEP, "{:?}", begun.elapsed());
}

/// A delivery that is given up half way leaves nothing that another letter
/// could stumble over.
#[tokio::test]
async fn a_delivery_that_is_given_up_takes_its_connection_with_it() {
    let mails = AtomicUsize::new(0);
    let server = Server::start(move |verb| match verb {
        "RCPT" if mails.fetch_add(1, Ordering::SeqCst) == 0 => Answer::Hang,
        _ => Answer::Usual,
    })
    .await;
    let transport = transport(server.smtp(""), 1);
    let (hanging, given_up) = (transport.clone(), letter(&request()));
    let task = tokio::spawn(async move { hanging.deliver(&given_up).await });
    until("it hangs", || server.times("RCPT") == 1).await;
    task.abort();
    deliver(&transport, 1).await;
    assert_eq!((server.opened(), server.letters().len()), (2, 1));
}
