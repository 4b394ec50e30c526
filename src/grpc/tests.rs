//! What a held call keeps of the daemon's memory.

use std::mem::size_of_val;
use std::sync::Arc;
use std::time::Duration;

use tonic::Request;
use tonic::body::Body;
use tonic::codegen::{Service, http};

use super::auth::Door;
use super::caller::CallerDoor;
use crate::desk::people::People;
use crate::desk::routes::Routes;
use crate::desk::{Desk, Settings};
use crate::proto;
use crate::proto::caller_service_server::{CallerService, CallerServiceServer};
use crate::store::clock::SystemClock;
use crate::store::submit::PendingLimits;

fn door(folder: &std::path::Path) -> CallerDoor {
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
    let people = People::local("c", "o", "ann");
    let desk = Desk::open(folder.join("t.db"), Arc::new(SystemClock), people, routes, settings);
    CallerDoor(Door { desk: desk.expect("opened"), mail: "nowhere".into() })
}

#[test]
fn a_call_that_waits_keeps_little_beside_its_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let door = door(folder.path());
    let asked = door.request_approval(Request::new(proto::RequestApprovalRequest::default()));
    let method = size_of_val(&*asked);
    let mut service = CallerServiceServer::new(door.clone());
    let request = http::Request::builder()
        .uri("/holdpoint.v1.CallerService/RequestApproval")
        .body(Body::empty())
        .expect("a request");
    let served = size_of_val(&*service.call(request));
    // A call is held for as long as people need, and there may be 100,000.
    assert!(method <= 1500 && served <= 2000, "{method} and {served} bytes");
}
