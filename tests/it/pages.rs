//! The operators' pages, by a browser without a script: who may decide what was shown
//! to them, and what is refused.

use std::time::{Duration, Instant};

use holdpoint::proto::{self, Category, Risk, Status};
use tokio::io::AsyncWriteExt as _;

use super::corpus;
use super::support::browser::{Browser, Headers, until};
use super::support::clients::{self, Caller, report};
use super::support::daemon::token;
use super::support::pages::Page;
use super::support::{Ask, Home, approve, call, deny, get, hold, submit, take_use, wait_for};

const PAGES: &str = "web_listen = \"127.0.0.1:0\"\n";

/// Three pages of arguments.
fn long() -> String {
    let lines = (0..300).map(|n| format!("line {n}\\n"));
    format!(r#"{{"path":"/etc/app","content":"{}"}}"#, lines.collect::<String>())
}

/// A call that is approved by a button alone.
fn write(arguments: &str) -> proto::Call {
    proto::Call {
        category: Category::Write.into(),
        risk: Risk::Low.into(),
        ..call("write", arguments)
    }
}

fn path_of(id: &str) -> String {
    format!("/requests/{id}")
}

/// Sends the form of a page with this verdict, and what is typed besides.
async fn decide(
    browser: &Browser,
    id: &str,
    page: &Page,
    verdict: &str,
    more: &[(&str, &str)],
) -> Page {
    let mut fields = vec![("verdict", verdict)];
    fields.extend(["form", "digest", "proof"].map(|name| (name, page.field(name))));
    fields.extend(more);
    browser.post(&path_of(id), &fields).await
}

async fn is_pending(home: &Home, id: &str) {
    let request = get(&mut home.clients().operator_named("alice"), id).await;
    assert_eq!((request.status(), request.decisions.len()), (Status::Pending, 0));
}

#[tokio::test]
async fn a_call_is_read_and_approved_on_its_page_and_its_caller_runs_it() {
    let home = Home::team(&["proxy"], &["alice", "bob"], PAGES);
    let _daemon = home.start().await;
    let clients = home.clients();
    let (mut caller, mut bob) = (clients.caller_named("proxy"), clients.operator_named("bob"));
    let nobody = Browser::new(&home).await;
    assert_eq!(nobody.get("/").await.status, 303, "to the sign-in");
    let browser = Browser::signed_in(&home, "alice").await;
    assert!(browser.get("/").await.body.contains("Nothing waits"));

    let (id, waiting) = hold(&caller, &mut bob, "one", write(r#"{"key":"user:1"}"#)).await;
    let queue = browser.get("/").await;
    assert!(queue.body.contains("<title>(1) Queue") && queue.body.contains(&path_of(&id)));
    let page = browser.get(&path_of(&id)).await;
    for words in [
        "Run write on kv with key user:1",
        "The first time",
        "Nothing is hidden; this is all that was sent",
    ] {
        assert!(page.body.contains(words), "{words} is not in {}", page.body);
    }
    assert!(page.offers("approve") && page.offers("deny"));
    let done = decide(&browser, &id, &page, "approve", &[("reason", "go on")]).await;
    assert_eq!(done.status, 303, "{done:?}");
    let answer = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), Status::Approved);
    take_use(&mut caller, &id, "one", &answer.digest).await.expect("granted");
    report(&mut caller, &id, "one", proto::Outcome::Succeeded).await.expect("reported");

    let request = get(&mut bob, &id).await;
    let decision = &request.decisions[0];
    assert_eq!((decision.operator.as_str(), decision.reason.as_str()), ("alice", "go on"));
    assert!(decision.on_screen_ms.is_some_and(|ms| ms < 60_000), "{decision:?}");
    assert!(request.looked.iter().any(|look| look.operator == "alice"), "{request:?}");
    let after = browser.get(&path_of(&id)).await;
    for words in ["Approved by alice", "go on", "on their screen for", "It succeeded"] {
        assert!(after.body.contains(words), "{words} is not in {}", after.body);
    }
    assert!(!after.offers("approve") && !after.offers("deny"));
}

#[tokio::test]
async fn approving_needs_every_page_and_a_proof_is_nobody_elses() {
    let home = Home::team(&["proxy"], &["alice", "bob"], PAGES);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let id = submit(&mut caller, "one", write(&long())).await.id;
    let (alice, bob) =
        (Browser::signed_in(&home, "alice").await, Browser::signed_in(&home, "bob").await);
    let first = alice.get(&path_of(&id)).await;
    assert!(!first.offers("approve") && first.offers("deny"));
    assert!(first.body.contains("1 of 3 pages") && !first.body.contains("line 299"));
    let looked = get(&mut home.clients().operator_named("bob"), &id).await.looked;
    assert!(!looked.iter().any(|look| look.operator == "alice"), "a third is not the whole");
    // The last page by the first one's proof, and by none.
    let skipped = alice.get(&first.link("Page 2").replace("page=2", "page=3")).await;
    let bare = alice.get(&format!("{}?page=3", path_of(&id))).await;
    for page in [&first, &skipped, &bare] {
        assert!(!page.offers("approve"));
        let refused = decide(&alice, &id, page, "approve", &[]).await;
        assert_eq!(refused.status, 409, "{refused:?}");
        assert!(refused.body.contains("not all of its arguments were shown to you"));
    }
    // Another's reading is not one's own.
    let mut read = bob.get(&path_of(&id)).await;
    for page in ["Page 2", "Page 3"] {
        assert!(!read.offers("approve"));
        read = bob.get(&read.link(page)).await;
    }
    assert!(read.offers("approve") && read.body.contains("line 299"));
    let fields = [
        ("form", first.field("form")),
        ("digest", read.field("digest")),
        ("proof", read.field("proof")),
        ("verdict", "approve"),
    ];
    let stolen = alice.post(&path_of(&id), &fields).await;
    assert_eq!(stolen.status, 409);
    // Nor is it one's own at another sign-in, or for another call.
    let again = Browser::signed_in(&home, "bob").await;
    let elsewhere = again.get(&path_of(&id)).await;
    let fields =
        [("form", elsewhere.field("form")), fields[1], ("proof", read.field("proof")), fields[3]];
    assert_eq!(again.post(&path_of(&id), &fields).await.status, 409);
    let other = submit(&mut caller, "two", write(&long().replace("app", "other"))).await.id;
    let of_other = bob.get(&path_of(&other)).await;
    let fields = [
        ("form", read.field("form")),
        ("digest", of_other.field("digest")),
        ("proof", read.field("proof")),
        ("verdict", "approve"),
    ];
    assert_eq!(bob.post(&path_of(&other), &fields).await.status, 409);
    is_pending(&home, &id).await;
    is_pending(&home, &other).await;
    assert_eq!(decide(&bob, &id, &read, "approve", &[]).await.status, 303);
    // Who denies need not have read all of it.
    let page = alice.get(&path_of(&other)).await;
    let done = decide(&alice, &other, &page, "deny", &[("reason", "no")]).await;
    assert_eq!(done.status, 303);
}

#[tokio::test]
async fn what_destroys_is_approved_by_typing_what_it_destroys_and_nothing_typed_is_lost() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let mut grave = call("delete_key", r#"{"key":"user:1","password":"correct-horse"}"#);
    grave.category = Category::Destructive.into();
    let id = submit(&mut caller, "one", grave).await.id;
    let browser = Browser::signed_in(&home, "alice").await;
    let page = browser.get(&path_of(&id)).await;
    assert!(page.body.contains("1 value hidden") && page.body.contains("<mark>«hidden: "));
    for typed in ["", "user:", "USER:1", "delete_key"] {
        let fields = [("typed", typed), ("reason", "they asked & I <agree>")];
        let refused = decide(&browser, &id, &page, "approve", &fields).await;
        assert_eq!(refused.status, 422, "{typed:?}");
        assert!(
            refused.body.contains("they asked &amp; I &lt;agree&gt;</textarea>"),
            "{refused:?}"
        );
        assert!(refused.offers("approve"), "the proof is kept");
        // In the field that was wrong, which says so; and not where the agent would be told.
        refused.says(422, &["type &quot;user:1&quot; exactly", "autofocus aria-invalid=\"true\""]);
        assert_eq!(refused.body.matches("they asked").count(), 1, "{}", refused.body);
    }
    let empty = decide(&browser, &id, &page, "deny", &[("reason", " \r\n")]).await;
    assert!(empty.status == 422 && empty.body.contains("A denial needs a reason"), "{empty:?}");
    is_pending(&home, &id).await;
    let done = decide(&browser, &id, &page, "approve", &[("typed", " user:1 ")]).await;
    assert_eq!(done.status, 303, "{done:?}");
}

#[tokio::test]
async fn high_risk_and_arguments_that_take_in_everything_need_a_word_typed() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let browser = Browser::signed_in(&home, "alice").await;
    let long = "x".repeat(40);
    let hidden = r#"{"key":"ghp_abcdefghijklmnop1234"}"#.to_owned();
    for (n, (risk, arguments, word)) in [
        (Risk::High, r#"{"key":"user:1"}"#.to_owned(), "user:1"),
        (Risk::Critical, r#"{"host":"db-1","queue":"q-1"}"#.to_owned(), "write"),
        (Risk::Low, r#"{"target":"all"}"#.to_owned(), "all"),
        (Risk::Medium, r#"{"filter":{},"note":"1"}"#.to_owned(), "write"),
        (Risk::Low, r#"{"keys":["a","*"]}"#.to_owned(), "write"),
        // What is hidden, or cannot be typed, is not asked for.
        (Risk::High, hidden, "write"),
        (Risk::High, format!(r#"{{"key":"{long}"}}"#), "write"),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = proto::Call { risk: risk.into(), ..write(&arguments) };
        let id = submit(&mut caller, &format!("c{n}"), asked).await.id;
        let page = browser.get(&path_of(&id)).await;
        let told = format!("<span class=\"word\">{word}</span>");
        assert!(page.body.contains(&told), "{arguments}: {}", page.body);
        for wrong in ["", "x", "Write", "*"] {
            let refused = decide(&browser, &id, &page, "approve", &[("typed", wrong)]).await;
            assert_eq!(refused.status, 422, "{arguments}: {wrong:?}");
        }
        is_pending(&home, &id).await;
        let done = decide(&browser, &id, &page, "approve", &[("typed", word)]).await;
        assert_eq!(done.status, 303, "{arguments}: {}", done.body);
    }
    let id = submit(&mut caller, "plain", write(r#"{"key":"user:2"}"#)).await.id;
    assert!(!browser.get(&path_of(&id)).await.body.contains("class=\"word\""));
}

#[tokio::test]
async fn forms_and_pages_from_elsewhere_are_refused() {
    let home = Home::team(&["proxy"], &["alice", "bob"], PAGES);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let id = submit(&mut caller, "one", write("{}")).await.id;
    let browser = Browser::signed_in(&home, "alice").await;
    let page = browser.get(&path_of(&id)).await;
    let others = Browser::signed_in(&home, "bob").await.get(&path_of(&id)).await;
    for token in ["", "x", others.field("form")] {
        let fields = [
            ("form", token),
            ("digest", page.field("digest")),
            ("proof", page.field("proof")),
            ("verdict", "approve"),
        ];
        assert_eq!(browser.post(&path_of(&id), &fields).await.status, 403, "token {token:?}");
    }
    let fields = ["form", "digest", "proof"].map(|name| (name, page.field(name)));
    let fields = [&fields[..], &[("verdict", "approve")]].concat();
    let ours = browser.headers();
    let port = ours.host.rsplit(':').next().expect("a port").to_owned();
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let headers = Headers { origin: origin.to_owned(), ..ours.clone() };
        let refused = browser.post_with(&path_of(&id), &fields, &headers).await;
        assert_eq!(refused.status, 403, "{origin}");
    }
    for host in ["evil.example", "", &format!("evil.example:{port}")] {
        let headers = Headers { host: host.to_owned(), ..ours.clone() };
        let refused = browser.post_with(&path_of(&id), &fields, &headers).await;
        assert!([400, 421].contains(&refused.status), "{host}: {refused:?}");
    }
    let digest = "0".repeat(64);
    let wrong = [fields[0], ("digest", &digest), fields[2], fields[3]];
    let refused = browser.post(&path_of(&id), &wrong).await;
    assert!(refused.status == 409 && refused.body.contains("is not what is shown here"));
    is_pending(&home, &id).await;
}

#[tokio::test]
async fn two_tabs_and_a_stale_page_are_told_what_happened() {
    let home = Home::team(&["proxy"], &["alice", "bob"], PAGES);
    let _daemon = home.start().await;
    let clients = home.clients();
    let mut caller = clients.caller_named("proxy");
    let browser = Browser::signed_in(&home, "alice").await;
    let one = submit(&mut caller, "one", write("{}")).await;
    let (tab, other_tab) =
        (browser.get(&path_of(&one.id)).await, browser.get(&path_of(&one.id)).await);
    assert_eq!(decide(&browser, &one.id, &tab, "approve", &[]).await.status, 303);
    let twice = decide(&browser, &one.id, &other_tab, "approve", &[]).await;
    assert!(twice.status == 409 && twice.body.contains("Already approved so by you"), "{twice:?}");
    assert!(twice.body.contains("Approved by alice"), "its present state");

    let two = submit(&mut caller, "two", write(r#"{"n":2}"#)).await;
    let stale = browser.get(&path_of(&two.id)).await;
    deny(&mut clients.operator_named("bob"), &two.id, &two.digest).await.expect("denied");
    let late = decide(&browser, &two.id, &stale, "approve", &[("reason", "I looked it up")]).await;
    assert_eq!(late.status, 409);
    for words in ["came too late", "denied by bob", "I looked it up", "status-denied"] {
        assert!(late.body.contains(words), "{words} is not in {}", late.body);
    }
    let request = get(&mut clients.operator_named("bob"), &two.id).await;
    assert_eq!((request.status(), request.decisions.len()), (Status::Denied, 1));

    // The denial can be lifted there, once.
    let page = browser.get(&path_of(&two.id)).await;
    let lift = format!("{}/lift", path_of(&two.id));
    let fields = [("form", page.field("form")), ("reason", "a mistake")];
    assert_eq!(browser.post(&lift, &fields).await.status, 303);
    assert!(browser.get(&path_of(&two.id)).await.body.contains("The denial was lifted"));
    assert_eq!(browser.post(&lift, &fields).await.status, 409);
}

#[tokio::test]
async fn who_may_look_but_not_decide_is_told_why() {
    let route = "[[routes]]\nname = \"ops\"\nask = [\"ops\"]\n";
    let text = format!(
        "{PAGES}{route}{}",
        super::support::daemon::identity("operators", "olga", "groups = [\"ops\"]")
    );
    let home = Home::team(&["proxy"], &["alice"], &text);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let id = submit(&mut caller, "one", write("{}")).await.id;
    let auditor = Browser::signed_in(&home, "auditor").await;
    let page = auditor.get(&path_of(&id)).await;
    assert!(page.body.contains("You cannot decide this") && page.body.contains("role operator"));
    assert!(!page.offers("approve") && !page.offers("deny"));
    let fields = [("form", page.field("form")), ("verdict", "deny"), ("reason", "no")];
    assert_eq!(auditor.post(&path_of(&id), &fields).await.status, 403);
    // Who is not asked, and may not see it, learns nothing of it.
    let alice = Browser::signed_in(&home, "alice").await;
    assert_eq!(alice.get(&path_of(&id)).await.status, 404);
    let fields =
        [("form", alice.get("/").await.field("form").to_owned()), ("verdict", "deny".to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(alice.post(&path_of(&id), &fields).await.status, 404);
    let request = get(&mut home.clients().operator_named("olga"), &id).await;
    assert_eq!(request.status(), Status::Pending);
}

#[tokio::test]
async fn what_is_unlike_the_last_approved_call_is_shown_beside_it() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let (mut caller, mut alice) =
        (home.clients().caller_named("proxy"), home.clients().operator_named("alice"));
    let browser = Browser::signed_in(&home, "alice").await;
    let first = submit(&mut caller, "one", write(r#"{"key":"user:1","ttl":60}"#)).await;
    approve(&mut alice, &first.id, &first.digest).await.expect("approved");
    let next = submit(&mut caller, "two", write(r#"{"key":"user:2","ttl":60}"#)).await;
    let page = browser.get(&path_of(&next.id)).await.body;
    assert!(page.contains("1 difference") && page.contains("user:<b>1</b>"), "{page}");
    assert!(page.contains("user:<b>2</b>") && !page.contains("The first time"), "{page}");
    deny(&mut alice, &next.id, &next.digest).await.expect("denied");
    // The same from another session: the denial is not remembered there.
    let mut elsewhere = write(r#"{"key":"user:2","ttl":60}"#);
    elsewhere.agent.as_mut().expect("an agent").session = "another".to_owned();
    let again = submit(&mut caller, "three", elsewhere).await;
    let page = browser.get(&path_of(&again.id)).await.body;
    assert!(
        page.contains("Asked again after a denial") && page.contains("denied by alice"),
        "{page}"
    );
}

/// Nothing but our own tags, no scripts but ours, no link that leaves.
fn harmless(what: &str, page: &Page) {
    for (tag, attributes) in page.tags() {
        for (name, value) in &attributes {
            assert!(!name.starts_with("on") && name != "style", "{what}: <{tag} {name}={value}>");
            if ["href", "src", "action"].contains(&name.as_str()) {
                let ours = value.starts_with('/') && !value.starts_with("//");
                assert!(ours || value.starts_with('#'), "{what}: <{tag} {name}={value}>");
            }
        }
        let bad = ["img", "iframe", "object", "svg", "base", "style", "b-", "i"];
        assert!(!bad.contains(&tag.as_str()), "{what}: <{tag}>");
    }
    for raw in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}', '\u{9b}', '\u{7}', '\u{feff}', '\0'] {
        assert!(!page.body.contains(raw), "{what}: a raw {raw:?}");
    }
    let quotes = page.body.matches("<blockquote>").count();
    assert_eq!(quotes, page.body.matches("</blockquote>").count(), "{what}");
}

#[tokio::test]
async fn hostile_text_in_every_field_is_only_text_on_the_pages() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let browser = Browser::signed_in(&home, "alice").await;
    let mut decided = Vec::new();
    for (n, (what, text)) in corpus::HOSTILE.iter().enumerate() {
        let id = hostile(&mut caller, n, text).await;
        let path = path_of(&id);
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200, "{what}");
        harmless(what, &page);
        harmless(what, &browser.get(&format!("/?name={}", text_in_query(text))).await);
        if n % 6 == 0 {
            let done = decide(&browser, &id, &page, "deny", &[("reason", text)]).await;
            assert_eq!(done.status, 303, "{what}: {}", done.body);
            decided.push((what, path));
        } else {
            let fields = [("reason", *text), ("typed", "not its name")];
            let again = decide(&browser, &id, &page, "approve", &fields).await;
            assert_eq!(again.status, 422, "{what}");
            harmless(what, &again);
        }
    }
    harmless("the queue", &browser.get("/").await);
    for (what, path) in decided {
        harmless(what, &browser.get(&path).await);
    }
}

fn text_in_query(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn hostile(caller: &mut Caller, n: usize, text: &str) -> String {
    let json: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let text = || text.to_owned();
    let hostile = proto::Call {
        server: text(),
        tool: text(),
        arguments: format!(r#"{{"{json}":["{json}",{{"{json}":"{json}\n{json}"}}]}}"#).into_bytes(),
        rule: text(),
        policy_revision: text(),
        client: text(),
        agent: Some(proto::Agent {
            name: text(),
            version: text(),
            session: format!("{n}"),
            on_behalf_of: text(),
        }),
        explanation: text(),
        labels: [("label".to_owned(), text())].into(),
        not_covered: vec![text()],
        evidence: vec![text()],
        definition_changed: text(),
        ..proto::Call::default()
    };
    let answer = Ask::new(&format!("h{n}"), hostile).briefly().send(caller).await;
    answer.unwrap_or_else(|status| panic!("{}: {status:?}", text())).id
}

/// Prints how long it takes; what is asserted is only what is shown.
#[tokio::test]
async fn a_thousand_that_wait_are_counted_and_shown_in_pages() {
    let limits = "[limits]\nmax_pending_per_caller = 2000\nmax_pending_per_client = 2000\n";
    let home = Home::team(&["proxy"], &["alice"], &format!("{PAGES}{limits}"));
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    for n in 0..1000 {
        submit(&mut caller, &format!("{n}"), write(&format!(r#"{{"key":"user:{n}","n":{n}}}"#)))
            .await;
    }
    let browser = Browser::signed_in(&home, "alice").await;
    let mut took = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let queue = browser.get("/").await;
        took.push(began.elapsed());
        assert!(queue.body.contains("<title>(1000) Queue") && queue.body.contains("100 of 1000"));
    }
    println!("the queue with a thousand pending: {took:?}");
    let last = browser.get("/?page=10").await;
    assert!(last.body.contains("1000 of 1000"));
}

#[tokio::test]
async fn what_is_open_ends_with_its_sign_in() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let (browser, other) =
        (Browser::signed_in(&home, "alice").await, Browser::signed_in(&home, "alice").await);
    let follow = |browser: &Browser| {
        let browser = browser.clone();
        tokio::spawn(async move { browser.get("/live").await })
    };
    let (mine, theirs) = (follow(&browser), follow(&other));
    let form = browser.get("/").await.field("form").to_owned();
    let out = browser.post("/sign-out", &[("form", &form), ("where", "everywhere")]).await;
    assert_eq!(out.status, 303);
    for stream in [mine, theirs] {
        let stream = stream.await.expect("it ends");
        assert!(stream.status == 200 || stream.status == 204, "{stream:?}");
    }
    submit(&mut home.clients().caller_named("proxy"), "1", call("write", "{}")).await;
    assert_eq!(browser.get("/live").await.status, 204);
}

/// The end of an answer in pieces.
const LAST_CHUNK: &str = "0\r\n\r\n";

/// How many streams one person has.
const STREAMS: usize = 24;

#[tokio::test]
async fn one_person_does_not_take_the_streams_of_others_and_keeps_the_newest() {
    let home = Home::team(&["proxy"], &["alice", "bob"], PAGES);
    let _daemon = home.start().await;
    let (alice, bob) =
        (Browser::signed_in(&home, "alice").await, Browser::signed_in(&home, "bob").await);
    let (mut oldest, mut bobs) = (alice.follow().await, bob.follow().await);
    let mut others = Vec::new();
    for _ in 0..STREAMS {
        others.push(alice.follow().await);
    }
    let told = until(&mut oldest, LAST_CHUNK).await;
    assert!(told.contains("event: elsewhere"), "told, and then it ends: {told}");
    let asked = submit(&mut home.clients().caller_named("proxy"), "1", call("write", "{}")).await;
    for stream in others.iter_mut().chain([&mut bobs]) {
        let told = until(stream, &asked.id).await;
        assert!(told.contains("event: changed") && !told.contains("elsewhere"), "{told}");
    }
}

#[tokio::test]
async fn what_comes_in_too_slowly_is_not_waited_for() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let browser = Browser::signed_in(&home, "alice").await;
    let host = format!("host: {}", browser.address());
    // Known on this connection: a form of which a byte comes every half second.
    let body = async {
        let kind = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 1000";
        let mut stream = browser.raw(&format!("POST /sign-out HTTP/1.1\r\n{host}\r\n{kind}")).await;
        drip(&mut stream).await
    };
    // And the head of a request behind one that was answered.
    let head = async {
        let mut stream = browser.raw(&format!("HEAD / HTTP/1.1\r\n{host}")).await;
        assert!(until(&mut stream, "\r\n\r\n").await.contains(" 200 "));
        stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.expect("sent");
        drip(&mut stream).await
    };
    let ((body, after), (_, head_after)) = tokio::join!(body, head);
    assert!(body.contains(" 408 ") && body.contains("<h1>Too slow</h1>"), "{body}");
    assert!(after < Duration::from_secs(15), "{after:?}");
    assert!(head_after < Duration::from_secs(40), "{head_after:?}");
    let page = browser.get("/").await;
    assert_eq!(page.status, 200, "nobody was signed out");
}

/// Sends a byte every half second until the other side has had enough: what it says then,
/// and after how long.
async fn drip(stream: &mut tokio::net::TcpStream) -> (String, Duration) {
    let began = Instant::now();
    let (mut reads, mut writes) = stream.split();
    let mut said = String::new();
    let slow = async {
        let mut pause = tokio::time::interval(Duration::from_millis(500));
        loop {
            pause.tick().await;
            if writes.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let end = async {
        let read = tokio::io::AsyncReadExt::read_to_string(&mut reads, &mut said);
        // A reset is an end too: it was still being sent to.
        let _ = tokio::time::timeout(Duration::from_secs(60), read).await.expect("an end");
    };
    tokio::select! { () = slow => {}, () = end => {} }
    (said, began.elapsed())
}

#[tokio::test]
async fn a_request_that_names_another_host_or_two_is_refused_before_anything_else() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let browser = Browser::signed_in(&home, "alice").await;
    let ours = browser.address().to_owned();
    let port: u16 = ours.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
    let fine = [
        format!("GET / HTTP/1.1\r\nhost: {ours}"),
        format!("GET / HTTP/1.1\r\nhost: LOCALHOST:{port}"),
        format!("GET http://{ours}/ HTTP/1.1\r\nhost: {ours}"),
    ];
    let other = port ^ 1;
    let refused = [
        format!("GET / HTTP/1.1\r\nhost: {ours}\r\nhost: {ours}"),
        format!("GET / HTTP/1.1\r\nhost: {ours}\r\nhost: evil.example"),
        format!("GET / HTTP/1.1\r\nhost: evil.example\r\nhost: {ours}"),
        format!("GET http://evil.example/ HTTP/1.1\r\nhost: {ours}"),
        format!("GET http://{ours}/ HTTP/1.1\r\nhost: evil.example"),
        format!("GET http://evil.example@{ours}/ HTTP/1.1\r\nhost: {ours}"),
        format!("GET / HTTP/1.1\r\nhost: 127.0.0.1:{other}"),
        format!("GET http://127.0.0.1:{other}/ HTTP/1.1\r\nhost: {ours}"),
        "GET / HTTP/1.1\r\nhost: 127.0.0.1".to_owned(),
        "GET / HTTP/1.1\r\nhost:".to_owned(),
        "GET / HTTP/1.1\r\nx-none: 1".to_owned(),
        format!("GET /assets/none HTTP/1.1\r\nhost: evil.example:{port}"),
    ];
    let send = async |head: &str| {
        let mut stream = browser.raw(&format!("{head}\r\nconnection: close")).await;
        until(&mut stream, "").await
    };
    for head in fine {
        assert!(send(&head).await.contains("Nothing waits"), "{head}");
    }
    for head in refused {
        let said = send(&head).await;
        assert!(said.contains(" 421 ") || said.contains(" 400 "), "{head}: {said}");
        assert!(!said.contains("Nothing waits") && said.contains("content-security-policy"));
    }
}

#[tokio::test]
async fn whoever_signs_in_ends_what_the_same_browser_was_signed_in_as() {
    let home = Home::team(&["proxy"], &["alice", "bob"], PAGES);
    let _daemon = home.start().await;
    for next in ["alice", "bob"] {
        let mut browser = Browser::signed_in(&home, "alice").await;
        let (before, elsewhere) = (browser.clone(), Browser::signed_in(&home, "alice").await);
        let mut stream = before.follow().await;
        browser.sign_in(next).await;
        assert_eq!(before.get("/").await.status, 303, "what it kept is void");
        assert!(until(&mut stream, LAST_CHUNK).await.ends_with(LAST_CHUNK), "its stream ends");
        assert!(browser.get("/").await.body.contains(&format!("<strong>{next}</strong>")));
        assert_eq!(elsewhere.get("/").await.status, 200, "another browser's is not touched");
    }
    // A sign-in that fails ends nothing.
    let browser = Browser::signed_in(&home, "alice").await;
    assert_eq!(browser.post("/sign-in", &[("token", "hp_none")]).await.status, 401);
    assert_eq!(browser.get("/").await.status, 200);
    let mut history = home.clients().history_named("auditor");
    let filter = proto::AuditFilter { kind: "signed_out".to_owned(), ..Default::default() };
    let entries = clients::entries(&mut history, filter, 0).await;
    let whose: Vec<&str> = entries.iter().map(|entry| entry.operator.as_str()).collect();
    assert_eq!(whose, ["alice", "alice"]);
}

/// Method, path, headers, body; and the status of the answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);

#[tokio::test]
async fn every_refusal_is_a_page_of_ours() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let browser = Browser::signed_in(&home, "alice").await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let (long, large) = ("x".repeat(20_000), "a=".to_owned() + &"x".repeat(70_000));
    let too_long = format!("/history?text={long}");
    let token = format!("/l/{}", "A".repeat(5000));
    let cases: [Case<'_>; 21] = [
        ("GET", "/requests/%ff", &[], "", 400),
        ("GET", "/requests/nonsense", &[], "", 404),
        ("GET", "/requests/../../etc/passwd", &[], "", 404),
        ("GET", "/l/%ff", &[], "", 400),
        ("GET", &token, &[], "", 404),
        ("GET", "/u/%ff", &[], "", 400),
        ("GET", "/u/none", &[], "", 404),
        ("GET", "/assets/%ff", &[], "", 400),
        ("GET", "/assets/none.js", &[], "", 404),
        ("GET", "/none", &[], "", 404),
        ("GET", "//evil.example/", &[], "", 404),
        ("GET", &too_long, &[], "", 414),
        ("GET", "/history?first=%ff&kind=%ff", &[], "", 422),
        ("GET", "/mail/%ff/retry", &[], "", 405),
        ("POST", "/mail/%ff/retry", &[form], "a=b", 400),
        ("POST", "/history", &[form], "a=b", 405),
        ("DELETE", "/", &[], "", 405),
        ("OPTIONS", "*", &[], "", 405),
        ("POST", "/sign-in", &[form], &large, 413),
        ("POST", "/sign-in", &[("content-type", "application/json")], "{}", 415),
        ("GET", "/", &[("sec-purpose", "prefetch;prerender")], "", 503),
    ];
    for (method, path, headers, body, status) in cases {
        let page = browser.exchange(method, path, headers, body).await;
        let what = format!("{method} {}: {}", &path[..path.len().min(60)], page.head);
        assert_eq!(page.status, status, "{what}");
        let kind = page.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{what}");
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{what}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
        assert!(page.body.contains("<h1>") && page.body.contains("Holdpoint</title>"), "{what}");
        harmless(&what, &page);
    }
    // What cannot be read in a query is left out of it.
    for path in
        ["/?%ff", "/history?%ff", "/history?page", "/mail?page=%ff&list=%ff", "/sign-in?%ff"]
    {
        let page = browser.get(path).await;
        assert!([200, 303].contains(&page.status), "{path}: {}", page.head);
    }
}

#[tokio::test]
async fn only_who_opens_a_page_has_looked() {
    let home = Home::team(&["proxy"], &["alice", "bob"], PAGES);
    let _daemon = home.start().await;
    let clients = home.clients();
    let id = submit(&mut clients.caller_named("proxy"), "1", write("{}")).await.id;
    let browser = Browser::signed_in(&home, "alice").await;
    let path = path_of(&id);
    // Who only looks on does not count as one who looked.
    let looked = async || get(&mut clients.operator_named("auditor"), &id).await.looked.len();
    let head = browser.exchange("HEAD", &path, &[], "").await;
    assert!(head.status == 200 && head.body.is_empty(), "{head:?}");
    let fetched = browser.exchange("GET", &path, &[("x-holdpoint-live", "1")], "").await;
    assert!(fetched.status == 200 && fetched.offers("approve"), "{}", fetched.head);
    let ahead = browser.exchange("GET", &path, &[("sec-purpose", "prefetch")], "").await;
    assert!(ahead.status == 503 && !ahead.body.contains("proof"), "{}", ahead.head);
    // What is written behind those stands in the history when this does.
    Browser::signed_in(&home, "bob").await;
    assert_eq!(looked().await, 0);
    assert_eq!(browser.get(&path).await.status, 200);
    wait_for("the look", async || (looked().await == 1).then_some(())).await;
}

#[tokio::test]
async fn approvals_of_who_may_not_decide_any_more_are_not_told_as_counted() {
    let route = "[[routes]]\nname = \"two\"\napprovals = 2\n";
    let home = Home::team(&["proxy"], &["alice", "bob", "carl"], &format!("{PAGES}{route}"));
    let daemon = home.start().await;
    let clients = home.clients();
    let asked = submit(&mut clients.caller_named("proxy"), "1", write("{}")).await;
    approve(&mut clients.operator_named("alice"), &asked.id, &asked.digest).await.expect("one");
    let bob = Browser::signed_in(&home, "bob").await;
    let said = |so_far: u32| format!("needs 2 people, {so_far} so far");
    bob.get(&path_of(&asked.id)).await.says(200, &[&said(1), "1 of 2 approvals"]);
    let text = std::fs::read_to_string(home.state.join("holdpoint.toml")).expect("read");
    let looks_only = "name = \"alice\"\nroles = [\"auditor\"]";
    daemon.reload(&text.replace("name = \"alice\"", looks_only)).await;
    bob.get(&path_of(&asked.id)).await.says(200, &[&said(0), "0 of 2 approvals"]);
}

#[tokio::test]
async fn earlier_calls_of_others_are_counted_and_not_told() {
    let route = "[[routes]]\nname = \"grave\"\nrisks = [\"critical\"]\nask = [\"ops\"]\n";
    let olga = super::support::daemon::identity("operators", "olga", "groups = [\"ops\"]");
    let home = Home::team(&["proxy"], &["alice"], &format!("{PAGES}{route}{olga}"));
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let mut operator = home.clients().operator_named("olga");
    let grave = proto::Call { risk: Risk::Critical.into(), ..write(r#"{"account":"plan-77"}"#) };
    let earlier = submit(&mut caller, "1", grave).await;
    approve(&mut operator, &earlier.id, &earlier.digest).await.expect("approved");
    let asked = submit(&mut caller, "2", write(r#"{"account":"other"}"#)).await;
    let page = Browser::signed_in(&home, "alice").await.get(&path_of(&asked.id)).await;
    page.says(200, &["Left out here: 1 earlier call of this tool", "not yours to see"]);
    for of_it in ["plan-77", &earlier.id, "approved by olga"] {
        assert!(!page.body.contains(of_it), "{of_it} in {}", page.body);
    }
    let page = Browser::signed_in(&home, "olga").await.get(&path_of(&asked.id)).await;
    assert!(page.body.contains("plan-77") && !page.body.contains("Left out here"));
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookie_is_told_so() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let browser = Browser::new(&home).await;
    let fields = [("token", &*token("alice")), ("next", "/requests/1")];
    let sent_on = browser.post("/sign-in", &fields).await;
    assert_eq!(sent_on.status, 303, "{sent_on:?}");
    let next = sent_on.head.lines().find_map(|line| line.strip_prefix("location: "));
    let next = next.expect("somewhere to go on").to_owned();
    // `browser` takes nothing up of what it was given.
    browser.get(&next).await.says(200, &["did not keep the sign-in", "value=\"/requests/1\""]);
    let keeps = Browser::signed_in(&home, "alice").await;
    assert!(keeps.get(&next).await.head.contains("location: /requests/1"));
}

#[tokio::test]
async fn who_opens_the_pages_by_another_scheme_is_told_which_is_theirs() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let browser = Browser::new(&home).await;
    let mut headers = browser.headers();
    headers.origin = headers.origin.replace("http://", "https://");
    let fields = [("token", &*token("alice"))];
    let refused = browser.post_with("/sign-in", &fields, &headers).await;
    refused.says(403, &["you opened them by https://", "`public_url`"]);
    assert!(!refused.body.contains("another site"), "{}", refused.body);
}

#[tokio::test]
async fn long_arguments_say_on_their_first_page_what_is_on_the_others() {
    let home = Home::team(&["proxy"], &["alice"], PAGES);
    let _daemon = home.start().await;
    let mut caller = home.clients().caller_named("proxy");
    let long = format!(r#"{{"body":"{}","tail":"rm -rf /"}}"#, "x ".repeat(20_000));
    let id = submit(&mut caller, "one", call("write", &long)).await.id;
    let page = Browser::signed_in(&home, "alice").await.get(&path_of(&id)).await;
    page.says(200, &["<span class=\"mono\">body</span> on page 1"]);
    let last = page.body.split(" pages of arguments").next().and_then(|p| p.rsplit('>').next());
    let last = last.expect("how many").to_owned();
    page.says(200, &[&*format!("<span class=\"mono\">tail</span> on page {last}")]);
}
