//! The daemon as a service of systemd: what it says to it, and sockets that it is given.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::{Signal, kill_process};
use tokio::net::UnixDatagram;
use tonic_health::pb::health_check_response::ServingStatus::NotServing;

use super::support::clients::{Clients, endpoint};
use super::support::daemon::{Daemon, identity};
use super::support::{Home, call, submit};

/// Where systemd would listen.
fn service_manager(home: &mut Home) -> UnixDatagram {
    let path = home.beside("notify");
    home.set("NOTIFY_SOCKET", path.to_str().expect("UTF-8"));
    UnixDatagram::bind(path).expect("bound")
}

async fn next(manager: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let received = tokio::time::timeout(Duration::from_secs(60), manager.recv(&mut message)).await;
    let length = received.expect("a message within a minute").expect("received");
    String::from_utf8(message[..length].to_vec()).expect("UTF-8")
}

/// The next message that is no sign of life.
async fn next_word(manager: &UnixDatagram) -> String {
    loop {
        let message = next(manager).await;
        if message != "WATCHDOG=1\n" {
            return message;
        }
    }
}

#[tokio::test]
async fn systemd_hears_ready_watchdog_reloading_and_stopping_in_their_order() {
    let mut home = Home::new();
    let manager = service_manager(&mut home);
    home.set("WATCHDOG_USEC", "400000");
    let daemon = home.spawn();
    let ready = next(&manager).await;
    assert!(ready.starts_with("READY=1\nSTATUS=serving on unix:/"), "{ready}");
    // The doors are open when that is said.
    endpoint(&home.state.join("holdpoint.sock")).connect().await.expect("connected");
    for _ in 0..3 {
        assert_eq!(next(&manager).await, "WATCHDOG=1\n");
    }
    kill_process(daemon.pid(), Signal::HUP).expect("signal sent");
    let reloading = next_word(&manager).await;
    let at = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(at.trim_end().parse::<u64>().expect("a number") > 0);
    let ready = next_word(&manager).await;
    assert!(ready.starts_with("READY=1\n") && ready.contains("reloaded"), "{ready}");
    fs::write(home.state.join("holdpoint.toml"), "leese = 1").expect("written");
    kill_process(daemon.pid(), Signal::HUP).expect("signal sent");
    assert!(next_word(&manager).await.starts_with("RELOADING=1\n"));
    let ready = next_word(&manager).await;
    assert!(ready.starts_with("READY=1\n") && ready.contains("not reloaded"), "{ready}");
    daemon.terminate();
    let stopping = next_word(&manager).await;
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    assert!(daemon.ended().await.success());
}

#[tokio::test]
async fn a_store_that_cannot_write_is_alive_to_the_watchdog() {
    let mut home = Home::new();
    let manager = service_manager(&mut home);
    home.set("WATCHDOG_USEC", "1000000");
    let daemon = home.spawn();
    assert!(next(&manager).await.starts_with("READY=1\n"));
    let other = Connection::open(home.database()).expect("opened");
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    // It looks by itself every few seconds whether it can write.
    home.becomes(NotServing).await;
    while manager.try_recv(&mut [0; 64]).is_ok() {}
    for _ in 0..6 {
        assert_eq!(next(&manager).await, "WATCHDOG=1\n");
    }
    other.execute_batch("ROLLBACK").expect("unlocked");
    daemon.stop().await;
}

#[tokio::test]
async fn nobody_who_listens_to_the_notifications_keeps_nothing_from_working() {
    let mut home = Home::new();
    home.set("NOTIFY_SOCKET", "/nonexistent/notify");
    home.set("WATCHDOG_USEC", "100000");
    let daemon = home.start().await;
    submit(&mut home.clients().caller(), "one", call("write", "{}")).await;
    daemon.stop().await;
    assert_eq!(home.log().matches("NOTIFY_SOCKET").count(), 1, "{}", home.log());
}

/// Starts the daemon with these sockets as systemd passes them: as descriptors from
/// 3 on, named by variables.
fn passed(home: &mut Home, first: impl Into<OwnedFd>, second: impl Into<OwnedFd>) -> Daemon<'_> {
    home.before("exec 3<&0 4>&1 0</dev/null 1>&2\nexport LISTEN_FDS=2 LISTEN_PID=$$");
    home.spawn_with(Stdio::from(first.into()), Some(Stdio::from(second.into())))
}

#[tokio::test]
async fn sockets_that_were_passed_are_used_and_stay_when_the_daemon_goes() {
    let mut home = Home::team(&["proxy"], &["alice"], "listen = \"127.0.0.1:1\"");
    let path = home.beside("passed.sock");
    let unix = UnixListener::bind(&path).expect("bound");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = tcp.local_addr().expect("an address");
    let keep = unix.try_clone().expect("as systemd keeps one");
    let own = home.state.join("holdpoint.sock");
    let clients = Clients::new(&path, &home.state);
    let daemon = passed(&mut home, unix, tcp);
    // Whoever connects before the daemon is there waits for it.
    submit(&mut clients.caller_named("proxy"), "one", call("write", "{}")).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    channel.expect("an address").connect().await.expect("connected");
    assert!(!own.exists(), "the daemon made a socket of its own");
    daemon.stop().await;
    assert!(path.exists(), "the daemon removed a socket that is not its own");
    let log = home.log();
    assert!(log.contains(&format!("unix:{} http://{address}", path.display())), "{log}");
    assert!(log.contains("`listen` is not used"), "{log}");
    drop(keep);
}

#[tokio::test]
async fn a_passed_tcp_socket_beyond_this_machine_obeys_the_rules_of_listen() {
    let refusal = |configuration: &str| {
        let mut home = Home::with_config(configuration);
        let unix = UnixListener::bind(home.beside("passed.sock")).expect("bound");
        let tcp = TcpListener::bind("0.0.0.0:0").expect("bound");
        let status = passed(&mut home, unix, tcp).exit();
        assert_eq!(status.code(), Some(1));
        home.log()
    };
    let said = refusal("");
    assert!(said.contains("no callers and operators are configured"), "{said}");
    let said = refusal(&(identity("callers", "p", "") + &identity("operators", "o", "")));
    assert!(said.contains("tokens would travel unencrypted"), "{said}");
}

#[tokio::test]
async fn a_passed_socket_of_no_use_is_named() {
    let mut home = Home::new();
    let datagrams = std::os::unix::net::UnixDatagram::bind(home.beside("d")).expect("bound");
    let unix = UnixListener::bind(home.beside("passed.sock")).expect("bound");
    let status = passed(&mut home, unix, datagrams).exit();
    assert_eq!(status.code(), Some(1));
    assert!(home.log().contains("socket 2 of those passed"), "{}", home.log());
}
