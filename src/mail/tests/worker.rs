//! The worker with a real store and a real (scripted) server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::request;
use super::server::{Answer, Server};
use crate::call::ids::RequestId;
use crate::call::model::{Agent, Call, Notice, Request};
use crate::call::requirement::Requirement;
use crate::config::{OperatorConfig, Roles};
use crate::desk::people::People;
use crate::mail::folder::Folder;
use crate::mail::letter::sender;
use crate::mail::transport::Transport;
use crate::mail::worker::{AT_ONCE, EACH_AT_ONCE, Sender, run};
use crate::store::clock::SystemClock;
use crate::store::submit::{Attach, PendingLimits, Submit, submit};
use crate::store::tests::mail_to;
use crate::store::{Store, StoreOptions, ending, mail, read};

struct Nobody;

impl Attach for Nobody {
    fn claim(&self, _: RequestId) -> bool {
        true
    }
    fn join(&self, _: RequestId) {}
}

fn people(operators: &[(&str, Option<&str>)]) -> Arc<People> {
    members("ops", operators)
}

fn members(group: &str, operators: &[(&str, Option<&str>)]) -> Arc<People> {
    let operator = |(name, email): &(&str, Option<&str>)| OperatorConfig {
        name: (*name).to_owned(),
        email: email.map(str::to_owned),
        time_zone: None,
        aliases: Vec::new(),
        groups: BTreeSet::from([group.to_owned()]),
        roles: Roles { operator: true, auditor: false, admin: false },
        wants: Default::default(),
        quiet_hours: None,
        tokens: Vec::new(),
        certificate_names: Vec::new(),
        place: Default::default(),
    };
    let operators: Vec<_> = operators.iter().map(operator).collect();
    Arc::new(People::new(&[], &operators))
}

fn everyone() -> Arc<People> {
    people(&[("sam", Some("sam@example.com")), ("mute", None)])
}

/// Whether commits fail, and how many have.
#[derive(Default)]
struct Failing {
    now: AtomicBool,
    times: AtomicUsize,
}

/// A store in which no commit succeeds while that is wanted.
fn store(folder: &Path, failing: &Arc<Failing>) -> Store {
    let failing = failing.clone();
    Store::open(StoreOptions {
        path: folder.join("holdpoint.db"),
        clock: Arc::new(SystemClock),
        on_commit: Box::new(|_| {}),
        metrics: Arc::default(),
        before_commit: Some(Box::new(move |_| match failing.now.load(Ordering::SeqCst) {
            true => {
                failing.times.fetch_add(1, Ordering::SeqCst);
                Err(rusqlite::Error::InvalidQuery)
            }
            false => Ok(()),
        })),
    })
    .expect("a store")
}

async fn ask(store: &Store, operators: &[&str]) -> RequestId {
    let id = RequestId::new(store.now().0);
    let Request { call, requirement: Requirement { clauses }, .. } = request();
    // Each of a session of its own, so that none continues another.
    let agent = Agent { session: id.to_string(), ..call.agent };
    let call = Call { agent, ..call };
    let input = Submit {
        id,
        call_id: id.to_string(),
        handle: None,
        call,
        requirement: Requirement { clauses },
        mail_to: operators.iter().map(|name| mail_to(name)).collect(),
        timeout: Duration::from_secs(900),
        watch_reach: true,
        limits: PendingLimits { per_caller: 10_000, per_client: 10_000 },
    };
    store.write(move |tx| submit(tx, input, &Nobody)).await.expect("submitted");
    id
}

async fn notices(store: &Store, id: RequestId) -> Vec<Notice> {
    let request = store.read(move |conn| read::request(conn, id)).await.expect("readable");
    request.expect("there").notices
}

/// Waits for what is asked about, not for a time.
async fn until(store: &Store, id: RequestId, wanted: impl Fn(&[Notice]) -> bool) -> Vec<Notice> {
    let wait = async {
        loop {
            let notices = notices(store, id).await;
            if wanted(&notices) {
                return notices;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    match waited {
        Ok(notices) => notices,
        Err(_) => panic!("never came: {:?}", notices(store, id).await),
    }
}

struct Worker {
    wake: Arc<Notify>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Worker {
    fn start(store: &Store, transport: Transport, people: Arc<People>) -> Worker {
        Worker::paced(store, transport, people, 1000)
    }

    /// With so many mails a minute for each operator.
    fn paced(store: &Store, transport: Transport, people: Arc<People>, pace: u32) -> Worker {
        let (stop, stopped) = oneshot::channel::<()>();
        let (wake, store) = (Arc::new(Notify::new()), store.clone());
        let waker = wake.clone();
        let sender = Sender {
            links: None,
            from: sender(None, "example.com").expect("an address"),
            reply_to: None,
            command_prefix: "holdpoint".to_owned(),
            host: "example.com".to_owned(),
        };
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            run(store, transport, sender, pace, move || people.clone(), &waker, stopped).await;
        });
        Worker { wake, stop: Some(stop), task }
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        ended.expect("it stops in time").expect("it does not panic");
    }
}

#[tokio::test]
async fn mail_is_sent_once_and_the_servers_answer_is_kept() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let server = Server::start(|_| Answer::Usual).await;
    let worker = Worker::start(&store, server.transport(""), everyone());
    let mut ids = Vec::new();
    for _ in 0..3 * AT_ONCE {
        ids.push(ask(&store, &["sam"]).await);
        worker.wake.notify_one();
    }
    for id in ids {
        let notices = until(&store, id, |n| n[0].state == "sent").await;
        assert_eq!(
            (notices[0].attempts, notices[0].detail.as_str()),
            (1, "250 2.0.0 queued as 4711")
        );
    }
    worker.stop().await;
    assert_eq!(server.letters().len(), 3 * AT_ONCE);
    store.close().await;
}

#[tokio::test]
async fn who_cannot_be_written_to_is_said_with_the_reason() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let server = Server::start(|_| Answer::Usual).await;
    let worker = Worker::start(&store, server.transport(""), everyone());
    let id = ask(&store, &["mute", "removed", "sam"]).await;
    worker.wake.notify_one();
    let mut notices = until(&store, id, |n| n.iter().all(|n| n.state != "queued")).await;
    notices.sort_by(|a, b| a.operator.cmp(&b.operator));
    let states: Vec<_> = notices.iter().map(|n| (n.state.as_str(), n.detail.as_str())).collect();
    assert_eq!(
        states,
        [
            ("failed", "this operator has no `email` in the configuration"),
            ("failed", "this operator is no longer configured"),
            ("sent", "250 2.0.0 queued as 4711"),
        ]
    );
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn files_need_no_address() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let mails = folder.path().join("mail");
    let worker =
        Worker::start(&store, Transport::Folder(Folder::new(mails.clone(), 100)), everyone());
    let id = ask(&store, &["mute"]).await;
    worker.wake.notify_one();
    until(&store, id, |n| n[0].state == "sent").await;
    assert_eq!(std::fs::read_dir(&mails).expect("there").count(), 1);
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again_and_one_for_good_is_not() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let times = Arc::new(AtomicUsize::new(0));
    let seen = times.clone();
    let server = Server::start(move |verb| match verb {
        "RCPT" if seen.fetch_add(1, Ordering::SeqCst) == 0 => Answer::Say("450 greylisted"),
        _ => Answer::Usual,
    })
    .await;
    let worker = Worker::start(&store, server.transport(""), everyone());
    let id = ask(&store, &["sam"]).await;
    worker.wake.notify_one();
    let notices = until(&store, id, |n| !n[0].detail.is_empty()).await;
    assert_eq!((notices[0].state.as_str(), notices[0].attempts), ("deferred", 1));
    assert!(notices[0].detail.contains("greylisted"), "{notices:?}");
    let notices = until(&store, id, |n| n[0].state == "sent").await;
    assert_eq!(notices[0].attempts, 2);
    worker.stop().await;

    let refusing = Server::start(|verb| match verb {
        "RCPT" => Answer::Say("550 no such user"),
        _ => Answer::Usual,
    })
    .await;
    let worker = Worker::start(&store, refusing.transport(""), everyone());
    let id = ask(&store, &["sam"]).await;
    worker.wake.notify_one();
    let notices = until(&store, id, |n| n[0].state == "failed").await;
    assert!(notices[0].detail.contains("no such user"), "{notices:?}");
    worker.stop().await;
    store.close().await;
}

/// A server that does not relay to one operator's domain, or hangs up on it, holds up
/// nobody else's mail.
#[tokio::test]
async fn one_refused_address_stops_nobody_elses_mail() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let server = Server::start(|verb| match verb {
        "RCPT" => Answer::SayTo("ana@", "554 5.7.1 <ana@example.com>: Relay access denied"),
        _ => Answer::Usual,
    })
    .await;
    let all = ["ana", "ben", "eve"];
    let staff = people(&[
        ("ana", Some("ana@example.com")),
        ("ben", Some("ben@example.com")),
        ("eve", Some("eve@example.com")),
    ]);
    let worker = Worker::start(&store, server.transport(""), staff);
    let first = ask(&store, &["ana"]).await;
    worker.wake.notify_one();
    let refused = until(&store, first, |n| !n[0].detail.is_empty()).await;
    assert_eq!((refused[0].state.as_str(), refused[0].attempts), ("deferred", 1));
    let second = ask(&store, &all).await;
    worker.wake.notify_one();
    let of = |n: &[Notice], name: &str| n.iter().find(|n| n.operator == name).cloned();
    let sent = |n: &[Notice], name| of(n, name).is_some_and(|n| n.state == "sent");
    let notices = until(&store, second, |n| sent(n, "ben") && sent(n, "eve")).await;
    assert!(!sent(&notices, "ana"), "{notices:?}");
    // The first was not tried a second time meanwhile: they had not to wait for it.
    assert_eq!(self::notices(&store, first).await[0].attempts, 1);
    let again = until(&store, first, |n| n[0].attempts >= 2).await;
    assert_ne!(again[0].state, "failed", "it is good once somebody has mended the server");
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn mail_about_a_request_that_has_ended_is_not_sent() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let id = ask(&store, &["sam"]).await;
    store
        .write(move |tx| ending::withdraw(tx, "gateway-eu", id, "").map(drop))
        .await
        .expect("withdrawn");
    let server = Server::start(|_| Answer::Usual).await;
    let worker = Worker::start(&store, server.transport(""), everyone());
    let other = ask(&store, &["sam"]).await;
    worker.wake.notify_one();
    until(&store, other, |n| n[0].state == "sent").await;
    assert_eq!(notices(&store, id).await[0].state, "pointless");
    assert_eq!(server.letters().len(), 1);
    worker.stop().await;
    store.close().await;
}

/// A hung server holds a few letters, not more, and not the daemon's stop.
#[tokio::test]
async fn a_server_that_hangs_bounds_what_is_under_way() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let open = Arc::new(AtomicUsize::new(0));
    let seen = open.clone();
    let server = Server::start(move |verb| match verb {
        "CONNECT" => {
            seen.fetch_add(1, Ordering::SeqCst);
            Answer::Hang
        }
        _ => Answer::Usual,
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..4 * AT_ONCE {
        ids.push(ask(&store, &["sam"]).await);
    }
    let worker = Worker::start(&store, server.transport(""), everyone());
    let tried = until(&store, ids[0], |n| !n[0].detail.is_empty()).await;
    assert_eq!(tried[0].state, "deferred");
    // The others wait until one of these finds that the server lives.
    assert_eq!(open.load(Ordering::SeqCst), EACH_AT_ONCE);
    assert_eq!(notices(&store, ids[EACH_AT_ONCE]).await[0].attempts, 0);
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn who_was_moved_and_may_not_know_of_it_any_more_gets_no_mail() {
    let (folder, failing) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &failing);
    let server = Server::start(|_| Answer::Usual).await;
    let moved = members("desk", &[("sam", Some("sam@example.com"))]);
    let worker = Worker::start(&store, server.transport(""), moved);
    let id = ask(&store, &["sam"]).await;
    worker.wake.notify_one();
    until(&store, id, |n| n[0].state == "pointless").await;
    assert!(server.letters().is_empty());
    worker.stop().await;
}

/// The store cannot write while the server takes the letter: the letter is not
/// sent a second time, and is recorded once the store can write again.
#[tokio::test]
async fn a_letter_that_could_not_be_recorded_is_not_sent_again() {
    let (folder, failing) = (tempfile::tempdir().expect("a folder"), Arc::new(Failing::default()));
    let store = store(folder.path(), &failing);
    let broken = failing.clone();
    let server = Server::start(move |verb| {
        if verb == "." {
            broken.now.store(true, Ordering::SeqCst);
        }
        Answer::Usual
    })
    .await;
    let worker = Worker::start(&store, server.transport(""), everyone());
    let id = ask(&store, &["sam"]).await;
    worker.wake.notify_one();
    while server.letters().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Several attempts to record it, none of which may lead to another sending.
    while failing.times.load(Ordering::SeqCst) < 4 {
        worker.wake.notify_one();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(notices(&store, id).await[0].state, "queued");
    failing.now.store(false, Ordering::SeqCst);
    until(&store, id, |n| n[0].state == "sent").await;
    assert_eq!(server.letters().len(), 1);
    worker.stop().await;
    store.close().await;
}

/// Every `Message-ID` among the letters, in order.
fn message_ids(letters: &[String]) -> Vec<&str> {
    let of = |letter: &String| letter.find("\nMessage-ID: ").map(|at| at + 13);
    letters.iter().map(|l| l[of(l).expect("an id")..].lines().next().expect("a line")).collect()
}

#[tokio::test]
async fn a_storm_is_gathered_and_everything_in_it_is_recorded_as_sent() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let server = Server::start(|_| Answer::Usual).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(ask(&store, &["sam"]).await);
    }
    let worker = Worker::paced(&store, server.transport(""), everyone(), 5);
    for (n, id) in ids.iter().enumerate() {
        let sent = until(&store, *id, |n| n[0].state == "sent").await;
        assert_eq!(sent[0].in_summary, n >= 4, "the most urgent four go alone");
    }
    let letters = server.letters();
    let distinct: BTreeSet<&str> = message_ids(&letters).into_iter().collect();
    assert_eq!((letters.len(), distinct.len()), (5, 5));
    // Another storm waits for the minute to be over; another's mail does not.
    for _ in 0..40 {
        ids.push(ask(&store, &["sam"]).await);
    }
    worker.wake.notify_one();
    let other = ask(&store, &["sam", "mute"]).await;
    worker.wake.notify_one();
    until(&store, other, |n| n[1].state == "failed").await;
    assert_eq!(server.letters().len(), 5);
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn who_wants_no_summaries_gets_a_storm_one_by_one() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let server = Server::start(|_| Answer::Usual).await;
    let off = store.write(|tx| mail::turn_summaries(tx, "sam", "sam@example.com", false));
    assert!(off.await.expect("turned off"));
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(ask(&store, &["sam"]).await);
    }
    let worker = Worker::paced(&store, server.transport(""), everyone(), 5);
    for id in &ids[..5] {
        let sent = until(&store, *id, |n| n[0].state == "sent").await;
        assert!(!sent[0].in_summary);
    }
    // Nothing is dropped: the others wait for their turn.
    for id in &ids[5..] {
        let notices = notices(&store, *id).await;
        assert_eq!((notices[0].state.as_str(), notices[0].in_summary), ("queued", false));
    }
    assert_eq!(server.letters().len(), 5);
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn a_server_that_is_away_costs_a_few_attempts_and_then_gets_everything() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let (away, tries) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (gone, tried) = (away.clone(), tries.clone());
    let server = Server::start(move |verb| match verb {
        "CONNECT" if gone.load(Ordering::SeqCst) => {
            tried.fetch_add(1, Ordering::SeqCst);
            Answer::Close
        }
        _ => Answer::Usual,
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..150 {
        ids.push(ask(&store, &["sam"]).await);
    }
    let worker = Worker::start(&store, server.transport(""), everyone());
    until(&store, ids[0], |n| !n[0].detail.is_empty()).await;
    away.store(false, Ordering::SeqCst);
    for id in &ids {
        until(&store, *id, |n| n[0].state == "sent").await;
    }
    assert!(tries.load(Ordering::SeqCst) <= AT_ONCE, "{tries:?}");
    let letters = server.letters();
    let distinct: BTreeSet<&str> = message_ids(&letters).into_iter().collect();
    assert_eq!((letters.len(), distinct.len()), (150, 150));
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn a_server_that_takes_a_letter_without_a_word_gets_it_twice_at_most() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let server = Server::start(|verb| match verb {
        "." => Answer::Close,
        _ => Answer::Usual,
    })
    .await;
    let worker = Worker::start(&store, server.transport(""), everyone());
    let id = ask(&store, &["sam"]).await;
    worker.wake.notify_one();
    let sent = until(&store, id, |n| n[0].state == "sent").await;
    assert!(sent[0].detail.starts_with("perhaps: "), "{sent:?}");
    worker.stop().await;
    let letters = server.letters();
    let ids = message_ids(&letters);
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "whoever gets both sees one");
    store.close().await;
}

#[tokio::test]
async fn who_was_mailed_hears_how_it_ended_in_the_same_thread() {
    let (folder, fine) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let store = store(folder.path(), &fine);
    let server = Server::start(|_| Answer::Usual).await;
    let worker = Worker::start(&store, server.transport(""), everyone());
    let id = ask(&store, &["sam"]).await;
    worker.wake.notify_one();
    until(&store, id, |n| n[0].state == "sent").await;
    store
        .write(move |tx| ending::withdraw(tx, "gateway-eu", id, "").map(drop))
        .await
        .expect("withdrawn");
    worker.wake.notify_one();
    let notices = until(&store, id, |n| n.len() == 2 && n[1].state == "sent").await;
    assert_eq!(notices[1].kind.word(), "withdrawn");
    let letters = server.letters();
    let asked = message_ids(&letters)[0];
    assert!(letters[1].contains(&format!("In-Reply-To: {asked}")), "{}", letters[1]);
    worker.stop().await;
    store.close().await;
}
