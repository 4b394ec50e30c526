//! Connections that are many, silent, hostile or dead, and an honest caller
//! who is served all the while.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdpoint::config::{Config, Environment, Overrides};
use holdpoint::daemon::Daemon as InProcess;
use holdpoint::daemon::systemd::Sockets;
use holdpoint::proto;
use holdpoint::telemetry::Dropped;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use super::support::certificates::Ca;
use super::support::clients::{Clients, waited_on};
use super::support::tcp::{ByHand, Relay, closed, endpoint, socket_address};
use super::support::{Ask, Home, approve, call, get, hold, reason_of, submit, wait_for};

/// What anybody who is served well gets an answer within, on a busy machine.
const SERVED: Duration = Duration::from_secs(5);

const TLS: &str = "listen = \"127.0.0.1:0\"\n\
                   tls_cert_file = \"server.crt\"\ntls_key_file = \"server.key\"\n";

const PLAIN: &str = "listen = \"127.0.0.1:0\"\n";

fn home(listen: &str, limits: &str) -> (Home, Ca) {
    let home = Home::with_config(&format!("{listen}[limits]\n{limits}\n"));
    let ca = Ca::new("servers");
    ca.server("server", Duration::from_secs(86_400 * 30)).put(&home.state, "server");
    (home, ca)
}

fn plain(address: impl std::fmt::Display) -> Endpoint {
    let address = format!("http://{address}");
    Endpoint::from_shared(address).expect("an address").connect_timeout(SERVED)
}

/// Connects so often and says nothing. Those that the daemon does not take in
/// at once wait in the kernel's queue, as real ones would.
async fn silent(address: SocketAddr, how_many: usize) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(how_many);
    for _ in 0..how_many {
        all.push(TcpStream::connect(address).await.expect("connected"));
    }
    all
}

/// This process needs files for both ends of what it opens.
fn enough_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Some(maximum.map_or(20_000, |maximum| maximum.min(20_000)));
    setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }).expect("more files");
    assert!(wanted >= Some(8_000), "too few files may be open here: {wanted:?}");
}

/// How long one call takes that needs an answer of the store.
async fn asks(clients: &Clients, call_id: &str) -> Duration {
    let began = Instant::now();
    let arguments = format!(r#"{{"id":"{call_id}"}}"#);
    let mut caller = clients.caller();
    let ask = submit(&mut caller, call_id, call("write", &arguments));
    tokio::time::timeout(SERVED, ask).await.expect("served in time");
    began.elapsed()
}

/// The same where the daemon has few descriptors: told that nothing was recorded, it
/// asks again, as it is told to.
async fn asks_until_recorded(clients: &Clients, call_id: &str) {
    let arguments = format!(r#"{{"id":"{call_id}"}}"#);
    let caller = clients.caller();
    let recorded = wait_for("it to be recorded", || async {
        let ask = Ask::new(call_id, call("write", &arguments)).briefly();
        match ask.send(&mut caller.clone()).await {
            Ok(answer) => Some(answer),
            Err(refused) if reason_of(&refused) == "STORE_UNAVAILABLE" => None,
            Err(refused) => panic!("{refused}"),
        }
    });
    assert_eq!(recorded.await.status(), proto::Status::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_silent_connections_keep_nobody_out_and_do_not_stay() {
    enough_files();
    let (home, ca) = home(TLS, "max_connections = 3500\nmax_connections_per_address = 3500");
    let daemon = home.start_and_tell().await;
    let address = home.tcp();
    let clients = || async {
        Clients::over(endpoint(&address, &ca, None).connect().await.expect("made"), &home.state)
    };
    let before = clients().await;
    let (caller, mut operator) = (before.caller(), before.operator());
    let (id, waiting) = hold(&caller, &mut operator, "held", call("write", "{}")).await;
    let memory = daemon.memory_kib();
    let began = Instant::now();
    let crowd = silent(socket_address(&address), 3_000).await;
    // Whoever was there before, and whoever comes now, is served.
    let mut worst = asks(&before, "before").await;
    for n in 0..20 {
        worst = worst.max(asks(&clients().await, &format!("{n}")).await);
    }
    let with_crowd = daemon.memory_kib();
    for mut stream in crowd {
        tokio::time::timeout(Duration::from_secs(30), closed(&mut stream)).await.expect("closed");
    }
    let gone = began.elapsed();
    eprintln!(
        "worst answer {worst:?}; all were gone after {gone:?}; memory {memory} to {with_crowd} KiB"
    );
    let digest = get(&mut operator, &id).await.digest;
    approve(&mut operator, &id, &digest).await.expect("approved");
    assert_eq!(waiting.await.expect("the task").expect("an answer").id, id);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_a_stranger_makes_room_and_who_is_known_stays() {
    enough_files();
    for listen in [TLS, PLAIN] {
        let (home, ca) = home(listen, "max_connections = 32\nmax_connections_per_address = 32");
        let daemon = home.start_and_tell().await;
        let address = home.tcp();
        let connect = || async {
            let endpoint = match listen {
                TLS => endpoint(&address, &ca, None),
                _ => plain(socket_address(&address)),
            };
            Clients::over(endpoint.connect().await.expect("made"), &home.state)
        };
        let known = connect().await;
        let (id, _waiting) =
            hold(&known.caller(), &mut known.operator(), "held", call("write", "{}")).await;
        let crowd = silent(socket_address(&address), 1_000).await;
        asks(&connect().await, "new").await;
        let more = silent(socket_address(&address), 100).await;
        asks(&known, "known").await;
        assert!(get(&mut known.operator(), &id).await.waited_on, "held on the oldest connection");
        drop((crowd, more));
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_known_one_more_is_refused_and_room_is_room_again() {
    let (home, _) = home(PLAIN, "max_connections = 16");
    let daemon = home.start_and_tell().await;
    let address = socket_address(&home.tcp());
    let mut known = Vec::new();
    for n in 0..16 {
        let channel = plain(address).connect().await.expect("made");
        let clients = Clients::over(channel, &home.state);
        asks(&clients, &format!("{n}")).await;
        known.push(clients);
    }
    let mut one_more = TcpStream::connect(address).await.expect("the kernel takes it");
    tokio::time::timeout(SERVED, closed(&mut one_more)).await.expect("closed at once");
    known.pop();
    let clients = wait_for("room", || async {
        let channel = plain(address).connect().await.ok()?;
        let clients = Clients::over(channel, &home.state);
        clients.operator().who_am_i(proto::WhoAmIRequest {}).await.is_ok().then_some(clients)
    });
    asks(&clients.await, "in again").await;
    daemon.stop().await;
}

/// Calls that are taken back as soon as they are made ("rapid reset").
#[tokio::test(flavor = "multi_thread")]
async fn calls_taken_back_at_once_cost_the_daemon_little_and_others_nothing() {
    let (home, _) = home(PLAIN, "");
    let daemon = home.start_and_tell().await;
    let address = socket_address(&home.tcp());
    let honest = Clients::over(plain(address).connect().await.expect("made"), &home.state);
    asks(&honest, "first").await;
    let memory = daemon.memory_kib();
    let paths = ["/holdpoint.v1.CallerService/RequestApproval", "/grpc.health.v1.Health/Watch"];
    let flood = |path: &'static str| async move {
        let (began, mut sent, mut connections) = (Instant::now(), 0u32, 0);
        while began.elapsed() < Duration::from_secs(4) {
            connections += 1;
            let Ok(mut hand) = ByHand::connect(address).await else { continue };
            // What the daemon says is read and forgotten, or it would not go on.
            while began.elapsed() < Duration::from_secs(4)
                && hand.begin_and_reset(path, 500).await.is_ok()
                && hand.forget().is_ok()
            {
                sent += 500;
            }
        }
        (sent, connections)
    };
    let floods: Vec<_> = (0..4).map(|n| tokio::spawn(flood(paths[n % 2]))).collect();
    let mut worst = Duration::ZERO;
    for n in 0..50 {
        worst = worst.max(asks(&honest, &format!("{n}")).await);
    }
    let (mut sent, mut connections) = (0, 0);
    for flood in floods {
        let (calls, over) = flood.await.expect("the flood");
        (sent, connections) = (sent + calls, connections + over);
    }
    let after = daemon.memory_kib();
    eprintln!(
        "{sent} calls over {connections} connections; worst answer {worst:?}; memory {memory} to {after} KiB"
    );
    assert!(sent > 10_000, "{sent} calls are no flood");
    assert!(after < memory + 64 * 1024, "from {memory} to {after} KiB");
    daemon.stop().await;
}

#[tokio::test]
async fn headers_and_messages_that_are_too_large_are_refused_and_the_connection_stays() {
    let (home, _) = home(PLAIN, "");
    let daemon = home.start_and_tell().await;
    let address = socket_address(&home.tcp());
    let clients = Clients::over(plain(address).connect().await.expect("made"), &home.state);
    let (caller, mut operator) = (clients.caller(), clients.operator());
    let (id, _waiting) = hold(&caller, &mut operator, "held", call("write", "{}")).await;
    let mut request = Request::new(proto::WhoAmIRequest {});
    for n in 0..3 {
        let name = format!("x-{n}").parse::<tonic::metadata::MetadataKey<_>>().expect("a name");
        request.metadata_mut().insert(name, "v".repeat(8 * 1024).parse().expect("a value"));
    }
    operator.who_am_i(request).await.expect_err("headers of 24 KiB");
    let large = call("write", &format!(r#"{{"text":"{}"}}"#, "x".repeat(9 << 20)));
    let refused = Ask::new("large", large).briefly().send(&mut caller.clone()).await;
    let refused = refused.expect_err("a message of 9 MiB");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    // Who need not say who they are gets less.
    let mut health = tonic_health::pb::health_client::HealthClient::new(
        plain(address).connect().await.expect("made"),
    );
    let service = "s".repeat(5 * 1024);
    let refused = health.check(tonic_health::pb::HealthCheckRequest { service }).await;
    assert_eq!(refused.expect_err("5 KiB").code(), Code::OutOfRange);
    assert!(get(&mut operator, &id).await.waited_on, "the same connection holds the call");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_few_files_may_be_open_there_are_fewer_connections() {
    let (mut home, _) = home(PLAIN, "");
    home.before("ulimit -n 64");
    let daemon = home.start_and_tell().await;
    let log = home.log();
    assert!(log.contains("fewer files may be open than so many connections need"), "{log}");
    let address = socket_address(&home.tcp());
    let known = Clients::over(plain(address).connect().await.expect("made"), &home.state);
    asks(&known, "before").await;
    let crowd = silent(address, 300).await;
    asks(&known, "among them").await;
    asks(&Clients::over(plain(address).connect().await.expect("made"), &home.state), "new").await;
    drop(crowd);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_it_says_so_once_and_strangers_make_room() {
    let (home, _) = home(PLAIN, "");
    let daemon = home.start_and_tell().await;
    let address = socket_address(&home.tcp());
    let known = Clients::over(plain(address).connect().await.expect("made"), &home.state);
    asks(&known, "before").await;
    let few = Rlimit { current: Some(64), maximum: Some(64) };
    prlimit(Some(daemon.pid()), Resource::Nofile, few).expect("it may open fewer now");
    let crowd = silent(address, 300).await;
    let said = || home.log().matches("the system cannot hand over connections").count();
    wait_for("it to be said", || async { (said() == 1).then_some(()) }).await;
    asks_until_recorded(&known, "among them").await;
    let newcomer = Clients::over(plain(address).connect_lazy(), &home.state);
    wait_for("the newcomer to be served", || async {
        newcomer.operator().who_am_i(proto::WhoAmIRequest {}).await.is_ok().then_some(())
    })
    .await;
    asks_until_recorded(&newcomer, "new").await;
    assert_eq!(said(), 1);
    drop(crowd);
    daemon.stop().await;
}

/// A daemon within this process, so that what its doors count can be read.
async fn in_process(home: &Home) -> (InProcess, SocketAddr) {
    let state_dir = Some(home.state.clone());
    let overrides = Overrides { state_dir, ..Overrides::default() };
    let (config, _) = Config::load_with(&overrides, &Environment::default()).expect("valid");
    let daemon =
        InProcess::start(&config, Sockets::default(), Dropped::default()).await.expect("started");
    let address = daemon.addresses.iter().find(|a| a.starts_with("http")).expect("TCP");
    let address = socket_address(address);
    (daemon, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_dead_is_noticed_within_twenty_seconds() {
    let (home, _) = home(PLAIN, "");
    let (daemon, address) = in_process(&home).await;
    let relay = Relay::to(address).await;
    let behind = Clients::over(plain(relay.address).connect().await.expect("made"), &home.state);
    let mut operator = home.clients().operator();
    let (id, _waiting) = hold(&behind.caller(), &mut operator, "held", call("write", "{}")).await;
    relay.silence();
    let began = Instant::now();
    waited_on(&mut operator, &id, false).await;
    let noticed = began.elapsed();
    eprintln!("noticed after {noticed:?}");
    assert!(noticed < Duration::from_secs(20), "{noticed:?}");
    daemon.stop().await;
}

/// Worse than silence: there is much to tell somebody who takes none of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_reads_nothing_is_cut_off_though_much_waits_to_be_sent() {
    let (home, _) = home(PLAIN, "max_pending_per_client = 20000");
    let (daemon, address) = in_process(&home).await;
    let relay = Relay::to(address).await;
    // It allows the daemon to send a lot, so what it does not take fills every
    // buffer on the way.
    let endpoint = plain(relay.address)
        .initial_connection_window_size(64 << 20)
        .initial_stream_window_size(64 << 20);
    let behind = Clients::over(endpoint.connect().await.expect("made"), &home.state);
    let mut watcher = behind.operator();
    let watch = watcher.watch_requests(proto::WatchRequestsRequest::default()).await;
    let mut events = watch.expect("watching").into_inner();
    events.message().await.expect("an event").expect("the first");
    let here = home.clients();
    asks(&here, "first").await;
    let open = || daemon.door_counts().open.load(Ordering::Relaxed);
    assert_eq!(open(), 2);
    relay.silence();
    let began = Instant::now();
    let mut much = here.caller();
    let telling = tokio::spawn(async move {
        let text = "x".repeat(60_000);
        for n in 0.. {
            let arguments = format!(r#"{{"n":{n},"text":"{text}"}}"#);
            submit(&mut much, &format!("many {n}"), call("write", &arguments)).await;
        }
    });
    wait_for("the watcher to be cut off", || async { (open() == 1).then_some(()) }).await;
    let noticed = began.elapsed();
    telling.abort();
    eprintln!("cut off after {noticed:?}");
    assert!(noticed < Duration::from_secs(35), "{noticed:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_greets_may_stay_and_who_says_nothing_may_not() {
    let (home, _) = home(PLAIN, "");
    let (daemon, address) = in_process(&home).await;
    let counts = daemon.door_counts().clone();
    let open = || counts.open.load(Ordering::Relaxed);
    let channel = plain(address).connect().await.expect("made");
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let asked = || tonic_health::pb::HealthCheckRequest::default();
    health.check(asked()).await.expect("health");
    let mut silent = silent(address, 1).await;
    // A call that is refused is no greeting.
    let stranger = Clients::over(plain(address).connect().await.expect("made"), &home.state);
    let refused = stranger.operator_without_token().who_am_i(proto::WhoAmIRequest {}).await;
    assert_eq!(reason_of(&refused.expect_err("no token")), "NO_TOKEN");
    wait_for("three connections", || async { (open() == 3).then_some(()) }).await;
    closed(&mut silent[0]).await;
    wait_for("the stranger to be gone", || async { (open() == 1).then_some(()) }).await;
    assert_eq!(counts.silent.load(Ordering::Relaxed), 2);
    health.check(asked()).await.expect("the same connection");
    assert_eq!(counts.accepted.load(Ordering::Relaxed), 3);
    fs::metadata(home.database()).expect("the daemon still has its state");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_tokens_has_to_connect_anew_for_each_hundred() {
    let (home, _) = home(PLAIN, "");
    let (daemon, address) = in_process(&home).await;
    let given_up = || daemon.door_counts().given_up.load(Ordering::Relaxed);
    let open = || daemon.door_counts().open.load(Ordering::Relaxed);
    let tries = async |clients: &Clients, so_often: u32| {
        for _ in 0..so_often {
            let tried = clients.operator_named("guess").who_am_i(proto::WhoAmIRequest {}).await;
            tried.expect_err("a guess");
        }
    };
    let clients = Clients::over(plain(address).connect().await.expect("made"), &home.state);
    tries(&clients, 99).await;
    assert_eq!((given_up(), open()), (0, 1));
    tries(&clients, 1).await;
    wait_for("the connection to be closed", || async { (open() == 0).then_some(()) }).await;
    assert_eq!(given_up(), 1);
    // Who is known, a gateway with a wrong setting perhaps, is only refused.
    let clients = Clients::over(plain(address).connect().await.expect("made"), &home.state);
    asks(&clients, "known").await;
    tries(&clients, 200).await;
    assert_eq!((given_up(), open()), (1, 1));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_need_not_say_who_they_are_has_few_calls_open() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let (home, _) = home(PLAIN, "");
    let (daemon, address) = in_process(&home).await;
    let mut health = HealthClient::new(plain(address).connect().await.expect("made"));
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(health.watch(HealthCheckRequest::default()).await.expect("watching"));
    }
    let refused = health.watch(HealthCheckRequest::default()).await.expect_err("one too many");
    let expected = (Code::ResourceExhausted, "OVERLOADED".to_owned());
    assert_eq!((refused.code(), reason_of(&refused)), expected);
    open.pop();
    wait_for("room", || async { health.clone().check(HealthCheckRequest::default()).await.ok() })
        .await;
    // What is answered is not open any more.
    for _ in 0..50 {
        health.check(HealthCheckRequest::default()).await.expect("one at a time");
    }
    daemon.stop().await;
}
