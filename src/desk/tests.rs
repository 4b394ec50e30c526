//! The desk without its doors.

use std::sync::mpsc::channel;
use std::task::Poll;

use super::history::{ExportEnded, Right};
use super::people::tests::operator;
use super::sign_ins::SignedIn;
use super::*;
use crate::config::token::TokenHash;
use crate::store::Walk;
use crate::store::clock::SystemClock;
use crate::store::submit::PendingLimits;

fn settings() -> Settings {
    Settings {
        lapse_after: Duration::from_secs(900),
        lease: Duration::from_secs(600),
        retention: None,
        watch_reach: false,
        pending: PendingLimits { per_caller: 10, per_client: 10 },
        max_held: 10,
        max_arguments: 1024,
    }
}

/// A desk, and the folder in which it keeps everything.
fn open(people: People) -> (tempfile::TempDir, Arc<Desk>) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("t.db");
    let routes = Routes::new(&[], Duration::from_secs(900));
    let desk = Desk::open(database, Arc::new(SystemClock), people, routes, settings());
    (folder, desk.expect("opened"))
}

#[tokio::test]
async fn calls_on_their_way_to_the_disk_are_bounded_in_bytes() {
    let (_folder, desk) = open(People::local("c", "o", "ann"));
    let shown = visitor::Shown { token: Some(TokenHash::of("c")), names: None };
    let visitor = desk.visitor(shown).expect("known");
    let people::Identity::Caller(caller) = visitor.identity else { panic!("a caller") };
    let ask = async |id: &str| {
        let (server, tool) = ("s".to_owned(), "t".to_owned());
        let call = Incoming { server, tool, ..Incoming::default() };
        let wait = Some(Duration::from_millis(1));
        let call_id = id.to_owned();
        let question = Question { call_id, handle: None, incoming: call, timeout: None };
        desk.request_approval(&caller, question, wait).await
    };
    let all = desk.underway.try_acquire_many(UNDERWAY_KIB as u32).expect("room");
    let refused = ask("c1").await;
    assert!(matches!(refused, Err(DeskError::Store(StoreError::Overloaded))), "{refused:?}");
    assert_eq!(desk.held(), 0);
    drop(all);
    ask("c1").await.expect("held");
    assert_eq!(desk.underway.available_permits(), UNDERWAY_KIB);
    desk.close().await;
}

#[tokio::test]
async fn who_asks_whether_the_chain_is_whole_joins_who_waits_for_it_and_charts_wait_for_neither() {
    let (_folder, desk) = open(People::local("c", "o", "ann"));
    // Somebody's walk takes long.
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (end, is_ended) = channel::<()>();
    let store = desk.store().clone();
    let long = tokio::spawn(async move {
        let wait = move |_: &_| {
            begun.send(()).expect("awaited");
            is_ended.recv().expect("told");
            Ok(())
        };
        store.walk(Walk::Chain, wait).await
    });
    has_begun.await.expect("it begins");
    let asks: Vec<_> = (0..50).map(|_| Box::pin(desk.verify(None))).collect();
    let other = Box::pin(desk.verify(Some([7; 32])));
    let mut asks: Vec<_> = asks.into_iter().chain([other]).collect();
    for ask in &mut asks {
        assert!(matches!(poll_once(ask), Poll::Pending));
    }
    assert_eq!(desk.verifying.count(), 2, "one for each question");
    // The first of them goes away; the others hear all the same.
    drop(asks.remove(0));
    desk.store().walk(Walk::Charts, |_| Ok(())).await.expect("charts have a turn of their own");
    end.send(()).expect("it waits");
    long.await.expect("no panic").expect("walked");
    let last = asks.pop().expect("another head");
    assert!(last.await.expect("an answer").is_err(), "no such head");
    for ask in asks {
        assert!(ask.await.expect("an answer").is_ok());
    }
    assert_eq!(desk.verifying.count(), 0);
    assert!(desk.last_verified().is_some_and(|verified| verified.found.is_ok()));
    desk.close().await;
}

/// Polls once.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

/// An auditor who is signed in, and a history of many pieces.
async fn with_an_auditor() -> (tempfile::TempDir, Arc<Desk>, SignedIn) {
    let (folder, desk) = open(People::new(&[], &[operator("eve", &[], &["auditor"])]));
    for _ in 0..2000 {
        let long = "x".repeat(500);
        let change = Change { settings: vec![long], ..Change::default() };
        desk.write(move |tx| change::config_reloaded(tx, &change)).await.expect("recorded");
    }
    let (secret, _) = desk.sign_in("hp_eve", None).await.expect("known");
    let who = desk.signed_in(&secret).await.expect("read").expect("signed in");
    (folder, desk, who)
}

/// Begins an export, has something happen once it is under way, and reads on: how many
/// pieces came, and why it broke off.
async fn broken_off(
    desk: &Arc<Desk>,
    right: Right,
    happens: impl Future<Output = ()>,
) -> (usize, Option<ExportEnded>) {
    let mut pieces = desk.export(right, 0, 0).await.expect("begun").pieces;
    pieces.recv().await.expect("a piece").expect("read");
    happens.await;
    let mut came = 1;
    while let Some(piece) = pieces.recv().await {
        match piece {
            Ok(_) => came += 1,
            Err(why) => return (came, Some(why)),
        }
    }
    (came, None)
}

#[tokio::test]
async fn an_export_ends_with_the_sign_in_that_asked_for_it() {
    let (_folder, desk, who) = with_an_auditor().await;
    let right = || Right::SignIn(who.clone());
    let (all, why) = broken_off(&desk, right(), async {}).await;
    assert!(why.is_none() && all > 8, "{all} pieces, {why:?}");
    // Another's sign-out ends nothing.
    let (secret, _) = desk.sign_in("hp_eve", None).await.expect("known");
    let other = desk.signed_in(&secret).await.expect("read").expect("signed in");
    let out = async { desk.sign_out(&other, false).await.expect("signed out") };
    assert!(broken_off(&desk, right(), out).await.1.is_none());
    let out = async { desk.sign_out(&who, false).await.expect("signed out") };
    let (came, why) = broken_off(&desk, right(), out).await;
    assert!(matches!(why, Some(ExportEnded::SignedOut)) && came < 6, "{came} of {all}: {why:?}");
    let refused = desk.export(right(), 0, 0).await;
    assert!(matches!(refused, Err(ExportEnded::SignedOut)));
    desk.close().await;
}

#[tokio::test]
async fn an_export_ends_when_the_role_is_taken_away() {
    for sign_in in [true, false] {
        let (_folder, desk, who) = with_an_auditor().await;
        let right = match sign_in {
            true => Right::SignIn(who.clone()),
            false => Right::Visitor(who.visitor.clone()),
        };
        let people = Arc::new(People::new(&[], &[operator("eve", &[], &["operator"])]));
        let routes = Routes::new(&[], Duration::from_secs(900));
        let next = InForce { people, routes, settings: settings() };
        let exchange = async { desk.exchange(next, Change::default()).await.expect("exchanged") };
        let (came, why) = broken_off(&desk, right, exchange).await;
        assert!(matches!(why, Some(ExportEnded::NotAnAuditor)) && came < 6, "{came}: {why:?}");
        desk.close().await;
    }
}
