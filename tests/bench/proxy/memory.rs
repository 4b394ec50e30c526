//! What the proxy takes of memory: when nobody calls, and for each call that waits.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::http::{Running, client, proxy, request, server};
use super::place::{HOLD_ALL, Place, resident};
use super::{SETTINGS, Setting};

/// How long all calls may take to be held, or to be let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often they are held and let go.
const CYCLES: usize = 3;

/// Measures, and prints.
pub fn print(place: &Place, held: usize) {
    let (_server, url) = server();
    let setting = Setting { policy: HOLD_ALL, ..SETTINGS[0] };
    let (proxy, url) = proxy(place, &url, setting);
    let (idle, open) = (of(&proxy), files(&proxy));
    println!("\nmemory of the proxy, resident\n\nidle: {idle:.0} KiB");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for cycle in 1..=CYCLES {
        let before = of(&proxy);
        let client = client();
        let calls: Vec<_> = (0..held)
            .map(|id| {
                // Each its own call: another id and other arguments.
                let request = request(&client, &url, cycle * held + id);
                runtime.spawn(async move {
                    // Its answer is a stream of events, which is to stay open.
                    request.send().await.ok()?.bytes().await.ok()
                })
            })
            .collect();
        let held_now = || files(&proxy).saturating_sub(open);
        wait("calls are held", || held_now() >= held);
        // The daemon has answered that they wait: nothing moves any more.
        settle(&proxy);
        let with = of(&proxy);
        println!(
            "held calls, cycle {cycle}: {held} take {:.0} KiB, {:.1} KiB each",
            with - before,
            (with - before) / held as f64
        );
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        drop(client);
        wait("calls are let go", || held_now() < 16);
        settle(&proxy);
        println!("after they were let go: {:.0} KiB", of(&proxy));
    }
    assert!(TcpStream::connect(address(&url)).is_ok(), "it still serves");
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://").split('/').next().unwrap_or_default()
}

fn of(proxy: &Running) -> f64 {
    resident(&proxy.0).unwrap_or_default()
}

/// How many files the proxy has open: each held call has its connection.
fn files(proxy: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", proxy.0.id())).map_or(0, Iterator::count)
}

fn wait(what: &str, there: impl Fn() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "within a minute, {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Until its processor time stands still.
fn settle(proxy: &Running) {
    let spent = || super::place::cpu(&proxy.0).unwrap_or_default();
    let mut before = spent();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = spent();
        if now - before < Duration::from_millis(3) {
            return;
        }
        before = now;
    }
}
