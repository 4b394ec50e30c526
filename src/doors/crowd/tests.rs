//! Who stays and who goes.

use std::sync::atomic::Ordering;

use super::*;

type Seated = (Place, oneshot::Receiver<()>);

fn crowd(connections: usize, per_address: usize) -> Arc<Crowd> {
    Crowd::new(CrowdLimits { connections, per_address }, Arc::default())
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

fn is_cut(seated: &mut Seated) -> bool {
    seated.1.try_recv().is_ok()
}

fn open(crowd: &Crowd) -> u64 {
    crowd.counts.open.load(Ordering::Relaxed)
}

#[tokio::test]
async fn the_oldest_stranger_makes_room_and_who_is_known_never_does() {
    let crowd = crowd(3, 3);
    let mut known = crowd.enter(None).expect("room");
    let mut greeted = crowd.enter(None).expect("room");
    let mut silent = crowd.enter(None).expect("room");
    known.0.rise(Standing::Greeted);
    known.0.rise(Standing::Known);
    greeted.0.rise(Standing::Greeted);
    let mut fourth = crowd.enter(None).expect("the silent one's place");
    assert!(is_cut(&mut silent) && !is_cut(&mut greeted));
    fourth.0.rise(Standing::Known);
    let fifth = crowd.enter(None).expect("the greeted one's place");
    assert!(is_cut(&mut greeted));
    fifth.0.rise(Standing::Known);
    assert!(crowd.enter(None).is_none(), "all of them are known");
    assert!(!is_cut(&mut known) && !is_cut(&mut fourth));
    assert_eq!((open(&crowd), crowd.counts.known.load(Ordering::Relaxed)), (3, 3));
    // One that was sent away leaves late, and takes nobody's place with it.
    drop((silent, greeted));
    assert_eq!(open(&crowd), 3);
    drop(known);
    assert_eq!((open(&crowd), crowd.counts.known.load(Ordering::Relaxed)), (2, 2));
    crowd.enter(None).expect("room again");
}

#[tokio::test]
async fn an_address_displaces_only_its_own() {
    let crowd = crowd(100, 2);
    let mut other = crowd.enter(address(1)).expect("room");
    let mut first = crowd.enter(address(2)).expect("room");
    let second = crowd.enter(address(2)).expect("room");
    let third = crowd.enter(address(2)).expect("its own oldest one's place");
    assert!(is_cut(&mut first) && !is_cut(&mut other));
    second.0.rise(Standing::Known);
    third.0.rise(Standing::Known);
    assert!(crowd.enter(address(2)).is_none());
    crowd.enter(address(3)).expect("another address");
    crowd.enter(None).expect("this machine has no address");
    drop((second, third));
    crowd.enter(address(2)).expect("room again");
}

#[tokio::test]
async fn nothing_is_kept_of_who_has_left() {
    let crowd = crowd(100, 100);
    let all: Vec<Seated> = (0..100).filter_map(|n| crowd.enter(address(n))).collect();
    all.iter().for_each(|(place, _)| place.ends(1));
    all.iter().step_by(2).for_each(|(place, _)| place.rise(Standing::Known));
    drop(all);
    let inside = crowd.inside();
    assert!(inside.seats.is_empty() && inside.addresses.is_empty() && inside.ends.is_empty());
    assert!(inside.all.open == 0 && inside.all.strangers.is_empty());
}

#[test]
fn a_64_and_a_mapped_address_count_as_one() {
    let of = |text: &str| neighbourhood(text.parse().expect("an address"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}

#[tokio::test]
async fn who_is_silent_is_sent_away_and_who_greets_stays() {
    let crowd = crowd(10, 10);
    let mut silent = crowd.enter(None).expect("room");
    let mut greeted = crowd.enter(None).expect("room");
    greeted.0.rise(Standing::Greeted);
    let now = Instant::now();
    crowd.sweep(now + SILENT_FOR - Duration::from_secs(1), 0);
    assert!(!is_cut(&mut silent));
    crowd.sweep(now + SILENT_FOR, 0);
    assert!(is_cut(&mut silent) && !is_cut(&mut greeted));
    assert_eq!(crowd.counts.silent.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connection_ends_with_the_certificate_it_was_made_with() {
    let crowd = crowd(10, 10);
    let mut soon = crowd.enter(None).expect("room");
    let mut later = crowd.enter(None).expect("room");
    for (seated, ends) in [(&soon, 1_000), (&later, 2_000)] {
        seated.0.ends(ends);
        seated.0.rise(Standing::Known);
    }
    crowd.sweep(Instant::now(), 1_000);
    assert!(!is_cut(&mut soon));
    crowd.sweep(Instant::now(), 1_001);
    assert!(is_cut(&mut soon) && !is_cut(&mut later));
    assert_eq!(crowd.counts.ended.load(Ordering::Relaxed), 1);
}
