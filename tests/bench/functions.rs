//! The functions that every call passes through, by criterion.
//!
//!     cargo bench --bench functions             all
//!     cargo bench --bench functions -- digest   those whose name has this in it
//!     cargo bench --bench functions -- policy   with the ratio of 10,000 rules to one

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use holdpoint::bench::call;
use holdpoint::call::digest::Covered;
use holdpoint::call::json::parse_object;
use holdpoint::call::model::Strength;
use holdpoint::call::redact::mask;
use holdpoint::call::time::Time;
use holdpoint::config::{Place, RouteConfig};
use holdpoint::desk::intake::Intake;
use holdpoint::desk::people::Caller;
use holdpoint::desk::routes::{Facts, Routes};
use holdpoint::policy::judging::{self, Tool, Word};
use holdpoint::policy::{Call, Counters, Definition, Fresh, From, LimitKey, Policy, Take};
use holdpoint::proxy::state::{self, Clocks};
use holdpoint::store::audit::{Entry, Kind, body_hash, entry_hash};
use holdpoint::store::pending::PendingCounts;
use holdpoint::store::tx::{Head, State};
use holdpoint::store::{Tx, schema, text_index};

fn arguments(c: &mut Criterion) {
    let text = call::arguments(1);
    c.bench_function("parse 1 KiB of arguments", |b| {
        b.iter(|| parse_object(black_box(text.as_bytes())));
    });
    let parsed = parse_object(text.as_bytes()).expect("good arguments");
    let covered = Covered {
        server: "valkey-production",
        tool: "hash_set",
        arguments: &parsed,
        input_responses: None,
        request_state: None,
    };
    c.bench_function("digest of 1 KiB, parsed", |b| b.iter(|| black_box(&covered).digest()));
    c.bench_function("mask 1 KiB, parsed", |b| b.iter(|| mask(black_box(&parsed))));
    let intake = Intake { max_arguments: 1 << 18 };
    let caller =
        Caller { name: call::CALLER.to_owned(), acts_for: Vec::new(), strength: Strength::Token };
    let incoming = call::incoming(1);
    c.bench_function("intake: check, parse, digest, mask", |b| {
        b.iter(|| intake.take(&caller, black_box(&incoming).clone()));
    });
}

fn routes(c: &mut Criterion) {
    let glob = |text: String| globset::Glob::new(&text).expect("a pattern");
    let route = |n: usize| RouteConfig {
        name: format!("route-{n}"),
        servers: vec![glob(format!("server-{n}-*"))],
        tools: vec![glob("*delete*".to_owned()), glob("*flush*".to_owned())],
        categories: Vec::new(),
        risks: Vec::new(),
        labels: BTreeMap::new(),
        ask: ["ops".to_owned()].into(),
        require_sign_in: false,
        approvals: 2,
        timeout: None,
        place: Place::default(),
    };
    let call = call::submit(1).call;
    let labels = BTreeMap::new();
    let facts = Facts {
        server: &call.server,
        tool: &call.tool,
        category: call.category,
        risk: call.risk,
        labels: &labels,
        also: "",
    };
    for many in [10, 100] {
        let configured: Vec<RouteConfig> = (0..many).map(route).collect();
        let routes = Routes::new(&configured, Duration::from_secs(900));
        c.bench_function(&format!("match {many} routes, none applies"), |b| {
            b.iter(|| routes.requirement(black_box(&facts), None));
        });
    }
}

/// A policy of so many rules, each for one tool of one server; and a call that the
/// last of them is for.
fn policy(c: &mut Criterion) {
    let read = |rules: usize| {
        let rule = |n: usize| {
            format!(
                "  - {{server: s{}, tool: tool_{n}, when: args.n == 1, action: allow}}\n",
                n % 7
            )
        };
        let rules: String = (0..rules).map(|n| rule(9_999 - n)).rev().collect();
        Policy::read(format!("rules:\n{rules}").as_bytes()).expect("a policy")
    };
    let policies = [(1, read(1)), (10_000, read(10_000))];
    let arguments = parse_object(br#"{"n":1,"key":"prod:1"}"#).expect("arguments");
    let definition = Tool::default();
    let call = Call {
        server: "s3",
        tool: "tool_9999",
        definition: Definition::Is(&definition),
        arguments: &arguments,
        from: From::default(),
        at: Default::default(),
    };
    for (many, policy) in &policies {
        c.bench_function(&format!("policy: judge a call, {many} rules"), |b| {
            b.iter(|| policy.judge(black_box(&call), &Fresh));
        });
    }
    ratio(&policies, &call);
}

/// A tool as servers define theirs.
const DEFINITION: &str = r#"{
    "name": "valkey_hash_delete",
    "description": "Deletes fields of a hash. Fields that are not there are ignored.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "key": {"type": "string", "description": "The key of the hash"},
            "fields": {"type": "array", "items": {"type": "string"}},
            "amount": {"type": "integer"}
        },
        "required": ["key", "fields"]
    },
    "annotations": {"destructiveHint": true}
}"#;

/// What a tool is judged from when its list comes, and calls that were written to be
/// as costly as a call may be.
fn costly(c: &mut Criterion) {
    let definition = parse_object(DEFINITION.as_bytes()).expect("a definition");
    let small = parse_object(br#"{"key":"prod:1","fields":["a"]}"#).expect("arguments");
    c.bench_function("policy: judge a tool from scratch", |b| {
        b.iter(|| {
            let tool = Tool::of(black_box(&definition));
            judging::judge("valkey_hash_delete", Some(&tool), Word::default(), false, Some(&small))
        });
    });
    let numbers: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let long = "ab".repeat(32 * 1024);
    // As long as the largest pattern may look at.
    let fitting = "ab".repeat(2450);
    let arguments =
        format!(r#"{{"list":[{}],"long":"{long}","fitting":"{fitting}"}}"#, numbers.join(","));
    let arguments = parse_object(arguments.as_bytes()).expect("arguments");
    let tool = Tool::default();
    let call = Call {
        server: "s",
        tool: "t",
        definition: Definition::Is(&tool),
        arguments: &arguments,
        from: From::default(),
        at: Default::default(),
    };
    let when = |source: &str| format!("rules:\n  - {{when: '{source}', action: allow}}\n");
    let regex = |path: &str| {
        format!(
            "version: \"1\"\ntools:\n  t:\n    rules:\n      - conditions: \
             [{{path: args.{path}, op: regex, value: \"[ab]*a[ab]{{1000}}c\"}}]\n        name: r\n"
        )
    };
    for (name, text) in [
        ("a list within a list", when("args.list.all(x, args.list.all(y, x + y >= 0))")),
        ("a pattern", when("args.fitting.matches(\"(?:a|b)*a(?:a|b){100}c\")")),
        ("an Intercept pattern", regex("fitting")),
        ("an Intercept pattern beyond it", regex("long")),
    ] {
        let policy = Policy::read(text.as_bytes()).expect("a policy");
        c.bench_function(&format!("policy: a hostile call at its budget: {name}"), |b| {
            b.iter(|| policy.judge(black_box(&call), &Fresh));
        });
    }
}

/// Interleaved, so that what else the machine does counts for both.
fn ratio(policies: &[(usize, Policy); 2], call: &Call<'_>) {
    const ROUNDS: usize = 2_001;
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((_, policy), taken) in policies.iter().zip(&mut taken) {
            let start = Instant::now();
            black_box(policy.judge(black_box(call), &Fresh));
            taken.push(start.elapsed());
        }
    }
    let [one, many] = taken.map(|mut taken| {
        taken.sort_unstable();
        taken[ROUNDS / 2]
    });
    let ratio = many.as_secs_f64() / one.as_secs_f64();
    println!("policy: p50 with one rule {one:?}, with 10,000 {many:?}: {ratio:.2} x");
}

fn audit(c: &mut Criterion) {
    let payload = call::arguments(1);
    c.bench_function("both hashes of an audit entry of 1 KiB", |b| {
        b.iter(|| {
            let body = body_hash(&[7; 16], black_box(&payload));
            entry_hash(&[1; 16], 1, &[2; 32], Time(3), "requested", &body)
        });
    });
    let dir = tempfile::tempdir().expect("a temporary directory");
    let conn = schema::open_writer(&dir.path().join("holdpoint.db")).expect("a database");
    let fresh = || State {
        log_id: [1; 16],
        head: Head { sequence: 0, hash: [0; 32], at: Time(0), high: Time(0) },
        pending: PendingCounts::default(),
        offset_ms: 0,
        clock_doubt: None,
    };
    let mut state = fresh();
    let held = call::submit(1).call;
    let mut append = || {
        Tx::run(&conn, Time(1), &mut state, &mut Vec::new(), |tx| {
            let mut entry = Entry::about_call(Kind::CallAllowed, &held);
            entry.whole_call(&held, true);
            tx.record(entry)
        })
        .expect("appended")
    };
    conn.execute_batch("BEGIN").expect("a transaction");
    c.bench_function("append an audit entry of a call, without its commit", |b| {
        b.iter(&mut append);
    });
    c.bench_function("index the words of an entry", |b| {
        b.iter_custom(|times| {
            // Always whole steps; what is too much is taken off at the end.
            let (step, mut taken) = (text_index::STEP as u64, Duration::ZERO);
            let steps = times.div_ceil(step);
            for _ in 0..steps {
                for _ in 0..step {
                    append();
                }
                let start = Instant::now();
                Tx::run(&conn, Time(1), &mut fresh(), &mut Vec::new(), text_index::catch_up)
                    .expect("indexed");
                taken += start.elapsed();
            }
            taken.mul_f64(times as f64 / (steps * step) as f64)
        });
    });
}

/// A call that takes a place of a limit, as the gate does it: by a task of a runtime.
async fn take(state: state::State, key: String, times: u64) {
    const MAX: u32 = 1000;
    // Short, so that each sweeps one that is free again.
    const WINDOW: Duration = Duration::from_millis(2);
    let key = LimitKey(key);
    for _ in 0..times {
        let judge = |counters: &dyn Counters| {
            let recent = counters.recent(&key, MAX, WINDOW).expect("told");
            assert!(recent.free_in.is_zero());
            ((), vec![Take::Sliding { key: key.clone(), max: MAX, window: WINDOW }])
        };
        let taken = state.count(Clocks::now(), true, judge).await.expect("counted").1;
        assert!(black_box(taken).is_some());
    }
}

fn limits(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = state::State::open(dir.path()).expect("a state file");
    for tasks in [1, 8] {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(tasks as usize).enable_time().build();
        let runtime = runtime.expect("a runtime");
        let name = format!("take a place of a limit, {tasks} at once: time of each");
        c.bench_function(&name, |b| {
            b.iter_custom(|times| {
                let start = Instant::now();
                let task = |n| runtime.spawn(take(state.clone(), format!("session {n}"), times));
                let tasks: Vec<_> = (0..tasks).map(task).collect();
                for task in tasks {
                    runtime.block_on(task).expect("no panic");
                }
                start.elapsed()
            });
        });
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let pin = || runtime.block_on(state.pin("s", "t", "hash", "{}", Clocks::now()));
    c.bench_function("a tool that is as pinned", |b| b.iter(pin));
}

criterion_group! {
    name = functions;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .without_plots();
    targets = arguments, routes, policy, costly, audit, limits
}
criterion_main!(functions);
