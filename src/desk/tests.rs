//! The desk without its doors.

use super::*;
use crate::config::token::TokenHash;
use crate::store::clock::SystemClock;
use crate::store::submit::PendingLimits;

#[tokio::test]
async fn calls_on_their_way_to_the_disk_are_bounded_in_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, people) = (folder.path().join("t.db"), People::local("c", "o", "ann"));
    let settings = Settings {
        lapse_after: Duration::from_secs(900),
        lease: Duration::from_secs(600),
        retention: None,
        watch_reach: false,
        pending: PendingLimits { per_caller: 10, per_client: 10 },
        max_held: 10,
        max_arguments: 1024,
    };
    let routes = Routes::new(&[], Duration::from_secs(900));
    let desk = Desk::open(database, Arc::new(SystemClock), people, routes, settings);
    let desk = desk.expect("opened");
    let shown = visitor::Shown { token: Some(TokenHash::of("c")), names: None };
    let visitor = desk.visitor(shown).expect("known");
    let people::Identity::Caller(caller) = visitor.identity else { panic!("a caller") };
    let ask = async |id: &str| {
        let (server, tool) = ("s".to_owned(), "t".to_owned());
        let call = Incoming { server, tool, ..Incoming::default() };
        let wait = Some(Duration::from_millis(1));
        let call_id = id.to_owned();
        let question = Question { call_id, handle: None, incoming: call, timeout: None };
        desk.request_approval(&caller, Box::new(question), wait).await
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
