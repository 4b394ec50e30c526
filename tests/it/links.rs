//! Decisions by the links of mails: what they may do, and everything that they may not.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdpoint::call::digest::Digest;
use holdpoint::call::hex::unhex;
use holdpoint::call::ids::RequestId;
use holdpoint::call::time::Time;
use holdpoint::desk::seal::Seal;
use holdpoint::proto::{self, Status};

use super::support::browser::Browser;
use super::support::clients::{self, kinds};
use super::support::daemon::{Daemon, identity};
use super::support::pages::Page;
use super::support::{Home, approve, call, get, submit, take_use, wait_for};

const PAGES: &str = "web_listen = \"127.0.0.1:0\"\n";
/// Two people have to agree to this tool.
const TWO: &str = "[[routes]]\nname = \"two\"\ntools = [\"transfer\"]\napprovals = 2\n";

/// A team with pages, and mails as files.
fn team(operators: &[&str], more: &str) -> Home {
    Home::with_config(&configuration(operators, more))
}

fn configuration(operators: &[&str], more: &str) -> String {
    let mut text = format!("{PAGES}{more}\n{}", identity("callers", "proxy", ""));
    operators.iter().for_each(|name| text += &identity("operators", name, ""));
    text + &identity("operators", "auditor", "roles = [\"auditor\", \"admin\"]")
}

/// A daemon with one request that waits.
struct Stage<'a> {
    home: &'a Home,
    daemon: Daemon<'a>,
    browser: Browser,
    asked: proto::ApprovalAnswer,
}

impl<'a> Stage<'a> {
    async fn of(home: &'a Home, tool: &str) -> Stage<'a> {
        let daemon = home.start().await;
        let browser = Browser::new(home).await;
        let mut caller = home.clients().caller_named("proxy");
        let asked = submit(&mut caller, "one", call(tool, r#"{"key":"a"}"#)).await;
        Stage { home, daemon, browser, asked }
    }

    /// The path of the link that this operator was mailed.
    async fn link(&self, operator: &str) -> String {
        link(self.home, &self.browser, operator, &self.asked.id).await
    }

    async fn request(&self) -> proto::Request {
        get(&mut self.home.clients().operator_named("auditor"), &self.asked.id).await
    }

    async fn kinds(&self) -> Vec<String> {
        kinds(&mut self.home.clients().history_named("auditor"), &self.asked.id).await
    }

    /// Decides by a link as the form of its page does.
    async fn decide(&self, link: &str, verdict: &str) -> Page {
        let page = self.browser.get(link).await;
        self.send(link, &page, verdict).await
    }

    /// Sends the form of a page that was opened before.
    async fn send(&self, link: &str, page: &Page, verdict: &str) -> Page {
        let fields = form(page, verdict);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        self.browser.post(link, &fields).await
    }

    /// A link of this operator's that decides until then, sealed as the daemon's are.
    fn link_until(&self, operator: &str, ends: Time) -> String {
        let key = fs::read_to_string(self.home.state.join("seal.key")).expect("the seal's key");
        let seal = Seal::new(unhex(key.trim()).expect("hex digits"));
        let id: RequestId = self.asked.id.parse().expect("an id");
        let digest: Digest = self.asked.digest.parse().expect("a digest");
        let mut bytes = vec![1];
        bytes.extend(id.as_bytes());
        bytes.extend(ends.0.to_be_bytes());
        bytes.extend(operator.as_bytes());
        // These have no address of their own.
        let made = seal.of("review link", &[&bytes, b"operator@localhost", digest.as_bytes()]);
        bytes.extend(made);
        format!("/l/{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// That nothing has happened to the request but that it was asked for and mailed.
    async fn is_untouched(&self) {
        let request = self.request().await;
        let (decisions, looked) = (request.decisions.len(), request.looked.len());
        assert_eq!((request.status(), decisions, looked), (Status::Pending, 0, 0), "{request:?}");
        let kinds: BTreeSet<String> = self.kinds().await.into_iter().collect();
        let usual = ["requested", "mail_sent"].map(str::to_owned).into();
        assert!(kinds.is_subset(&usual), "{kinds:?}");
    }
}

/// The path of the link that an operator was mailed about a request.
async fn link(home: &Home, browser: &Browser, operator: &str, id: &str) -> String {
    let start = format!("http://{}/l/", browser.address());
    let found = || async {
        letters(home).into_iter().find_map(|letter| {
            let about = letter.contains(&format!("X-Holdpoint-Request: {id}"));
            let to = letter.contains(&format!("To: {operator} <"));
            let line = letter.lines().find(|line| line.starts_with(&start))?;
            (about && to).then(|| line[start.len() - "/l/".len()..].trim_end().to_owned())
        })
    };
    wait_for("the mail with its link", found).await
}

/// All letters that became files, long lines in one.
fn letters(home: &Home) -> Vec<String> {
    let files = fs::read_dir(home.state.join("mail")).into_iter().flatten().flatten();
    let letters =
        files.map(|file| file.path()).filter(|p| p.extension().is_some_and(|e| e == "eml"));
    letters
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.replace("=\r\n", "").replace("\r\n", "\n"))
        .collect()
}

/// What the forms of a page would bring back by themselves.
fn hidden(page: &Page) -> Vec<(String, String)> {
    let names = ["form", "digest", "page", "proof"];
    let there = names.into_iter().filter(|name| page.body.contains(&format!("name=\"{name}\"")));
    there.map(|name| (name.to_owned(), page.field(name).to_owned())).collect()
}

/// What the approve or deny form of a page brings back, with what a person types.
fn form(page: &Page, verdict: &str) -> Vec<(String, String)> {
    let mut fields = hidden(page);
    let asked = page.body.split_once("<span class=\"word\">");
    let word = asked.and_then(|(_, word)| word.split('<').next()).unwrap_or_default();
    let typed = [("verdict", verdict), ("reason", "by the mail"), ("typed", word)];
    fields.extend(typed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    fields
}

#[tokio::test]
async fn the_link_of_a_mail_decides_and_the_caller_runs() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    page.says(200, &["write", "by the link of a mail to", "alice", "value=\"approve\""]);
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let decided = stage.send(&link, &page, "approve").await;
    assert_eq!(
        (decided.status, decided.header("location").unwrap_or_default()),
        (303, link.as_str()),
        "{}",
        decided.body
    );
    let request = stage.request().await;
    let [decision] = request.decisions.as_slice() else { panic!("{request:?}") };
    assert_eq!((decision.operator.as_str(), request.status()), ("alice", Status::Approved));
    assert_eq!(
        (decision.strength(), decision.reason.as_str()),
        (proto::Strength::Link, "by the mail")
    );
    let mut caller = home.clients().caller_named("proxy");
    take_use(&mut caller, &stage.asked.id, "one", &stage.asked.digest).await.expect("granted");
    let after = stage.browser.get(&link).await;
    after.says(200, &["approved"]);
    assert!(!after.body.contains("value=\"approve\""), "{}", after.body);
    // Whoever reads the log is nobody's operator.
    let (_, token) = link.rsplit_once('/').expect("a token");
    assert!(!home.log().contains(token), "a token is in the log");
}

#[tokio::test]
async fn a_link_opened_twice_is_the_same_page_and_changes_nothing() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    for _ in 0..2 {
        stage.browser.get(&link).await.says(200, &["value=\"approve\"", "value=\"deny\""]);
    }
    stage.is_untouched().await;
    // Two tabs: the second to decide hears that it is done.
    let (first, second) = (stage.browser.get(&link).await, stage.browser.get(&link).await);
    assert_eq!(stage.send(&link, &first, "approve").await.status, 303);
    let late = stage.send(&link, &second, "deny").await;
    late.says(409, &["not recorded", "approved"]);
    assert_eq!(stage.request().await.decisions.len(), 1);
}

#[tokio::test]
async fn scanners_and_previews_may_fetch_a_link_any_number_of_times() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let mut storm = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (browser, link) = (stage.browser.clone(), link.clone());
        storm.spawn(async move {
            let method = if n % 2 == 0 { "GET" } else { "HEAD" };
            let scanner = [("user-agent", "scanner"), ("sec-fetch-site", "cross-site")];
            let answer = browser.exchange(method, &link, &scanner, "").await;
            assert_eq!((answer.status, answer.body.is_empty()), (200, method == "HEAD"));
        });
    }
    while let Some(done) = storm.join_next().await {
        done.expect("answered");
    }
    stage.is_untouched().await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(stage.browser.exchange(method, &link, &[], "").await.status, 405, "{method}");
    }
    stage.is_untouched().await;
    assert_eq!(stage.decide(&link, "approve").await.status, 303, "it is not used up by that");
}

#[tokio::test]
async fn a_link_whose_time_is_up_decides_nothing() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let good = stage.link("alice").await;
    let page = stage.browser.get(&good).await;
    let deadline = Time::parse(&stage.request().await.deadline).expect("a time");
    let late = stage.link_until("alice", deadline - Duration::from_secs(7 * 24 * 3600));
    for answer in [stage.browser.get(&late).await, stage.send(&late, &page, "approve").await] {
        answer.says(410, &["too old", "Sign in"]);
        let sign_in = format!("%2Frequests%2F{}", stage.asked.id);
        assert!(answer.body.contains(&sign_in), "{}", answer.body);
    }
    stage.is_untouched().await;
}

#[tokio::test]
async fn a_forwarded_link_shows_no_form_to_another_operator() {
    let home = team(&["alice", "bob"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    let bob = Stage { browser: Browser::signed_in(&home, "bob").await, ..stage };
    for answer in [bob.browser.get(&link).await, bob.send(&link, &page, "approve").await] {
        answer.says(403, &["somebody else's", "alice", "bob", "Nothing was decided"]);
        assert!(!answer.body.contains("<form"), "{}", answer.body);
    }
    bob.is_untouched().await;
}

#[tokio::test]
async fn who_is_signed_in_already_goes_on_to_the_request() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let alice = Browser::signed_in(&home, "alice").await;
    let answer = alice.get(&link).await;
    let page = format!("/requests/{}", stage.asked.id);
    assert_eq!(
        (answer.status, answer.header("location").unwrap_or_default()),
        (303, page.as_str())
    );
    stage.is_untouched().await;
}

#[tokio::test]
async fn after_somebody_else_decided_a_link_says_who_and_decides_nothing() {
    let home = team(&["alice", "bob"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    let mut bob = home.clients().operator_named("bob");
    approve(&mut bob, &stage.asked.id, &stage.asked.digest).await.expect("approved");
    let late = stage.send(&link, &page, "deny").await;
    late.says(409, &["too late", "bob"]);
    let after = stage.browser.get(&link).await;
    after.says(200, &["approved", "bob"]);
    assert!(!after.body.contains("value=\"deny\""), "{}", after.body);
    assert_eq!(stage.request().await.decisions.len(), 1);
}

#[tokio::test]
async fn the_first_of_two_who_approve_by_their_links_is_told_what_is_still_needed() {
    let home = team(&["alice", "bob"], TWO);
    let stage = Stage::of(&home, "transfer").await;
    let link = stage.link("alice").await;
    let first = stage.decide(&link, "approve").await;
    assert_eq!(first.status, 303, "{first:?}");
    let after = stage.browser.get(&link).await;
    let told =
        ["You have approved it", "It waits for others", "sign in and deny it", "nothing more"];
    after.says(200, &told);
    assert!(!after.body.contains("You cannot decide this"), "{}", after.body);
}

#[tokio::test]
async fn what_was_approved_just_now_is_on_its_way_and_not_waited_for_by_nobody() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    assert_eq!(stage.decide(&link, "approve").await.status, 303);
    let after = stage.browser.get(&link).await;
    after.says(200, &["Its caller is being told", "data-again"]);
    assert!(!after.body.contains("Nobody waits"), "{}", after.body);
}

#[tokio::test]
async fn the_link_of_an_operator_who_was_removed_opens_nothing() {
    let home = team(&["alice", "bob"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    stage.daemon.reload(&configuration(&["bob"], "")).await;
    for answer in [stage.browser.get(&link).await, stage.send(&link, &page, "approve").await] {
        answer.says(404, &["opens nothing"]);
        assert!(!answer.body.contains("write"), "{}", answer.body);
    }
    stage.is_untouched().await;
}

#[tokio::test]
async fn a_link_that_went_to_a_mailbox_of_another_opens_nothing() {
    let home = team(&["alice", "bob"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    let moved = identity("operators", "alice", "email = \"other@example.com\"");
    stage.daemon.reload(&configuration(&["bob"], &moved)).await;
    for answer in [stage.browser.get(&link).await, stage.send(&link, &page, "approve").await] {
        answer.says(404, &["opens nothing"]);
    }
    stage.is_untouched().await;
}

#[tokio::test]
async fn a_link_shows_nothing_of_earlier_calls_that_take_a_sign_in() {
    let strict = "[[routes]]\nname = \"strict\"\nrisks = [\"critical\"]\nrequire_sign_in = true\n";
    let home = team(&["alice"], strict);
    let _daemon = home.start().await;
    let browser = Browser::new(&home).await;
    let (mut caller, mut operator) =
        (home.clients().caller_named("proxy"), home.clients().operator_named("alice"));
    let of = |risk: proto::Risk, account: &str| proto::Call {
        category: proto::Category::Write.into(),
        risk: risk.into(),
        ..call("write", &format!(r#"{{"account":"{account}"}}"#))
    };
    let earlier = submit(&mut caller, "1", of(proto::Risk::Critical, "plan-77")).await;
    approve(&mut operator, &earlier.id, &earlier.digest).await.expect("approved");
    let asked = submit(&mut caller, "2", of(proto::Risk::Low, "other")).await;
    let by_link = browser.get(&link(&home, &browser, "alice", &asked.id).await).await;
    assert!(by_link.status == 200 && !by_link.body.contains("plan-77"), "{}", by_link.body);
    by_link
        .says(200, &["Left out here: 1 earlier call of this tool", "nothing that takes a sign-in"]);
    let signed_in = Browser::signed_in(&home, "alice").await;
    signed_in.get(&format!("/requests/{}", asked.id)).await.says(200, &["plan-77"]);
}

#[tokio::test]
async fn the_link_of_an_operator_who_was_moved_decides_nothing() {
    let routes = "[[routes]]\nname = \"ops\"\ntools = [\"write\"]\nask = [\"ops\"]\n";
    let with = |group: &str| {
        let group = format!("groups = [\"{group}\"]");
        let alice = identity("operators", "alice", &group);
        let bob = identity("operators", "bob", "groups = [\"ops\"]");
        configuration(&[], &format!("{routes}{alice}{bob}"))
    };
    let home = Home::with_config(&with("ops"));
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    stage.daemon.reload(&with("dev")).await;
    for answer in [stage.browser.get(&link).await, stage.send(&link, &page, "approve").await] {
        answer.says(404, &["opens nothing"]);
    }
    stage.is_untouched().await;
}

#[tokio::test]
async fn a_link_decides_once_even_if_it_is_meant_twice() {
    let home = team(&["alice", "bob"], TWO);
    let stage = Stage::of(&home, "transfer").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    let mut fields = form(&page, "approve");
    fields.iter_mut().filter(|(name, _)| name == "typed").for_each(|f| f.1 = "transfer".into());
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(stage.browser.post(&link, &fields).await.status, 303);
    let again = stage.browser.post(&link, &fields).await;
    again.says(409, &["Already approved"]);
    // Approved, and then regretted: by the link no more, and the page says what does.
    stage.send(&link, &page, "deny").await.says(403, &["has decided once", "sign in"]);
    let after = stage.browser.get(&link).await;
    after.says(200, &["has decided once", "sign in"]);
    assert!(!after.body.contains("value=\"deny\""), "{}", after.body);
    let request = stage.request().await;
    assert_eq!((request.status(), request.decisions.len()), (Status::Pending, 1));
    // Who signs in may.
    let alice = Browser::signed_in(&home, "alice").await;
    let path = format!("/requests/{}", stage.asked.id);
    let page = alice.get(&path).await;
    let fields = form(&page, "deny");
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(alice.post(&path, &fields).await.status, 303);
    assert_eq!(stage.request().await.status(), Status::Denied);
}

/// The same word as on the page of who is signed in, decided from the same call.
#[tokio::test]
async fn what_is_typed_by_a_link_is_what_hurts_and_a_wrong_word_is_refused() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let mut caller = home.clients().caller_named("proxy");
    let arguments = r#"{"broker_id":"b-prod-1","region":"eu-1"}"#;
    let id = submit(&mut caller, "two", call("delete_broker", arguments)).await.id;
    let link = link(&home, &stage.browser, "alice", &id).await;
    let page = stage.browser.get(&link).await;
    let word = "<span class=\"word\">b-prod-1</span>";
    page.says(200, &[word, "its broker_id"]);
    let signed_in = Browser::signed_in(&home, "alice").await;
    signed_in.get(&format!("/requests/{id}")).await.says(200, &[word]);
    for (typed, status) in [("delete_broker", 422), ("b-prod-2", 422), ("b-prod-1", 303)] {
        let mut fields = form(&page, "approve");
        fields.iter_mut().filter(|(n, _)| n == "typed").for_each(|f| f.1 = typed.to_owned());
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        let answer = stage.browser.post(&link, &fields).await;
        assert_eq!(answer.status, status, "{typed}: {}", answer.body);
    }
}

#[tokio::test]
async fn all_links_of_one_operator_for_one_request_are_one_authority() {
    let home = team(&["alice", "bob"], TWO);
    let stage = Stage::of(&home, "transfer").await;
    let asked = stage.link("alice").await;
    let deadline = Time::parse(&stage.request().await.deadline).expect("a time");
    let reminder = stage.link_until("alice", deadline - Duration::from_secs(1));
    assert_ne!(asked, reminder);
    let (first, second) = (stage.browser.get(&asked).await, stage.browser.get(&reminder).await);
    let both = [hidden(&first), hidden(&second)];
    assert_ne!(both[0], both[1], "a form belongs to its own link");
    let mut fields = form(&first, "approve");
    fields.iter_mut().filter(|(name, _)| name == "typed").for_each(|f| f.1 = "transfer".into());
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    stage.browser.post(&reminder, &fields).await.says(403, &["nothing was done"]);
    assert_eq!(stage.browser.post(&asked, &fields).await.status, 303);
    stage.send(&reminder, &second, "deny").await.says(403, &["has decided once"]);
    assert_eq!(stage.request().await.decisions.len(), 1);
}

#[tokio::test]
async fn where_a_route_demands_a_sign_in_a_link_decides_nothing() {
    let routes = "[[routes]]\nname = \"strict\"\ntools = [\"write\"]\nrequire_sign_in = true\n";
    let home = team(&["alice"], routes);
    let stage = Stage::of(&home, "write").await;
    // The mail itself has no such link.
    let page = format!("http://{}/requests/{}", stage.browser.address(), stage.asked.id);
    wait_for("the mail", || async {
        letters(&home).iter().any(|l| l.lines().any(|line| line == page)).then_some(())
    })
    .await;
    assert!(letters(&home).iter().all(|letter| !letter.contains("/l/")));
    // And one that somebody had all the same would be worth nothing.
    let deadline = Time::parse(&stage.request().await.deadline).expect("a time");
    let link = stage.link_until("alice", deadline);
    let page = stage.browser.get(&link).await;
    page.says(200, &["demands a sign-in"]);
    let token = hidden(&page);
    assert!(token.is_empty() && !page.body.contains("value=\"approve\""), "{}", page.body);
    assert_eq!(stage.decide(&link, "approve").await.status, 403);
    stage.is_untouched().await;
}

#[tokio::test]
async fn a_token_that_differs_in_any_byte_opens_nothing() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    let token = link.strip_prefix("/l/").expect("a token");
    let bytes = URL_SAFE_NO_PAD.decode(token).expect("base64url");
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        let other = format!("/l/{}", URL_SAFE_NO_PAD.encode(&other));
        assert_eq!(stage.browser.get(&other).await.status, 404, "byte {at}");
        assert_eq!(stage.send(&other, &page, "approve").await.status, 404, "byte {at}");
    }
    for other in ["", "x", &token[..token.len() - 1], &format!("{token}A"), &"A".repeat(10_000)] {
        assert_eq!(stage.browser.get(&format!("/l/{other}")).await.status, 404, "{other:.20}");
    }
    stage.is_untouched().await;
}

#[tokio::test]
async fn another_requests_token_does_not_decide_this_one() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let mine = stage.link("alice").await;
    let mut caller = home.clients().caller_named("proxy");
    let other = submit(&mut caller, "two", call("write", r#"{"key":"b"}"#)).await;
    let others = link(&home, &stage.browser, "alice", &other.id).await;
    let page = stage.browser.get(&mine).await;
    // The form of one sent to the other: not that link's form.
    stage.send(&others, &page, "approve").await.says(403, &["nothing was done"]);
    // That link's form with the other's digest and proof: not what it showed.
    let theirs = stage.browser.get(&others).await;
    let mut fields = form(&page, "approve");
    let token = hidden(&theirs).into_iter().find(|(name, _)| name == "form").expect("a token");
    fields.iter_mut().filter(|(name, _)| name == "form").for_each(|f| f.1.clone_from(&token.1));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(stage.browser.post(&others, &fields).await.status, 409);
    stage.is_untouched().await;
    let other = get(&mut home.clients().operator_named("auditor"), &other.id).await;
    assert_eq!((other.status(), other.decisions.len()), (Status::Pending, 0));
}

#[tokio::test]
async fn a_links_form_from_another_site_is_refused() {
    let home = team(&["alice"], "");
    let stage = Stage::of(&home, "write").await;
    let link = stage.link("alice").await;
    let page = stage.browser.get(&link).await;
    let fields = form(&page, "approve");
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    for from in [
        ("origin", "https://mail.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let answer = send_from(&stage.browser, &link, &fields, &[from]).await;
        answer.says(403, &["another site"]);
    }
    let without: Vec<_> = fields.iter().filter(|(name, _)| *name != "form").copied().collect();
    assert_eq!(stage.browser.post(&link, &without).await.status, 403);
    stage.is_untouched().await;
}

/// Sends a form from somewhere, as these headers say.
async fn send_from(
    browser: &Browser,
    path: &str,
    fields: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> Page {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    browser.exchange("POST", path, &[headers, &kind].concat(), &body).await
}

/// The path by which an operator leaves the summaries, from the header of one.
async fn summary_of_many(stage: &Stage<'_>) -> String {
    let caller = stage.home.clients().caller_named("proxy");
    let mut storm = tokio::task::JoinSet::new();
    for n in 0..60 {
        let mut caller = caller.clone();
        storm.spawn(async move {
            submit(&mut caller, &format!("n{n}"), call("write", &format!("{{\"n\":{n}}}"))).await
        });
    }
    while let Some(asked) = storm.join_next().await {
        asked.expect("asked");
    }
    let start = format!("List-Unsubscribe: <http://{}", stage.browser.address());
    wait_for("a summary", || async {
        let letters = letters(stage.home);
        let summary = letters.iter().find(|l| l.contains("X-Holdpoint-Kind: summary"))?;
        let path = summary.lines().find_map(|line| line.strip_prefix(&start))?;
        // By http there is no one click, since no mail program would use it.
        assert!(!summary.contains("List-Unsubscribe-Post"), "{summary}");
        Some(path.trim_end_matches('>').to_owned())
    })
    .await
}

#[tokio::test]
async fn summaries_are_left_by_one_post_without_cookie_or_origin_and_by_no_get() {
    let home = team(&["alice"], "mails_per_minute = 20\n");
    let stage = Stage::of(&home, "write").await;
    let leave = summary_of_many(&stage).await;
    let off = || async {
        let filter = proto::AuditFilter { operator: "alice".to_owned(), ..Default::default() };
        let mut history = home.clients().history_named("auditor");
        let entries = clients::entries(&mut history, filter, 0).await;
        let kinds = entries.into_iter().map(|entry| entry.kind);
        kinds.filter(|kind| kind.starts_with("summaries")).collect::<Vec<_>>()
    };
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(stage.browser.exchange(method, &leave, &[], "").await.status, 200);
    }
    assert_eq!(off().await, [""; 0]);
    // What a mail provider sends; RFC 8058, 3.2.
    let one_click = [("List-Unsubscribe", "One-Click")];
    let answer = send_from(&stage.browser, &leave, &one_click, &[]).await;
    answer.says(200, &["Summaries are off", "alice", "Sign in</a> to have them again"]);
    assert_eq!(off().await, ["summaries_off"]);
    assert!(home.log().contains("unsubscribed from summaries"), "{}", home.log());
    let admin = Browser::signed_in(&home, "auditor").await;
    admin.get("/people").await.says(200, &["no summaries"]);
    // On again by who is signed in, and off by a provider that says where it comes from.
    let alice = Browser::signed_in(&home, "alice").await;
    let page = alice.get(&leave).await;
    page.says(200, &["Send summaries again"]);
    let on = [("form", page.field("form")), ("summaries", "on")];
    alice.post(&leave, &on).await.says(200, &["Send me no summaries"]);
    let elsewhere = [("origin", "https://mail.example"), ("sec-fetch-site", "cross-site")];
    send_from(&stage.browser, &leave, &one_click, &elsewhere).await.says(200, &["are off"]);
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                     One-Click\r\n--x--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    stage.browser.exchange("POST", &leave, &kind, multipart).await.says(200, &["are off"]);
    assert_eq!(off().await, ["summaries_off", "summaries_on", "summaries_off"]);
    // By the link alone it turns in one direction, and turning there twice is nothing.
    let stranger = Browser::signed_in(&home, "auditor").await;
    for _ in 0..5 {
        stage.browser.post(&leave, &on).await.says(401, &["Nothing was changed", "sign in"]);
        stranger.post(&leave, &on).await.says(401, &["Nothing was changed"]);
        alice.post(&leave, &[("summaries", "on")]).await.says(403, &["nothing was done"]);
        send_from(&alice, &leave, &on[1..], &elsewhere).await.says(403, &["nothing was done"]);
        send_from(&stage.browser, &leave, &one_click, &[]).await.says(200, &["are off"]);
    }
    assert!(!stranger.get(&leave).await.body.contains("Send summaries again"));
    assert_eq!(off().await, ["summaries_off", "summaries_on", "summaries_off"]);
    // It is worth nothing else.
    stage.browser.post(&leave, &[("verdict", "approve")]).await.says(400, &["Nothing was changed"]);
    let token = leave.strip_prefix("/u/").expect("a token");
    assert_eq!(stage.browser.get(&format!("/l/{token}")).await.status, 404);
    let link = stage.link("alice").await;
    let by_link = link.replace("/l/", "/u/");
    assert_eq!(send_from(&stage.browser, &by_link, &one_click, &[]).await.status, 404);
    let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("base64url");
    bytes[2] ^= 1;
    let other = format!("/u/{}", URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(send_from(&stage.browser, &other, &one_click, &[]).await.status, 404);
    assert!(!home.log().contains(token), "a token is in the log");
    stage.is_untouched().await;
}

#[tokio::test]
async fn who_was_removed_or_has_another_address_cannot_be_unsubscribed_by_an_old_mail() {
    let home = team(&["alice"], "mails_per_minute = 20\n");
    let stage = Stage::of(&home, "write").await;
    let leave = summary_of_many(&stage).await;
    let one_click = [("List-Unsubscribe", "One-Click")];
    send_from(&stage.browser, &leave, &one_click, &[]).await.says(200, &["are off"]);
    let moved = identity("operators", "alice", "email = \"other@example.com\"");
    stage.daemon.reload(&configuration(&["bob"], &moved)).await;
    assert_eq!(stage.browser.get(&leave).await.status, 404);
    stage.daemon.reload(&configuration(&["bob"], "")).await;
    assert_eq!(send_from(&stage.browser, &leave, &one_click, &[]).await.status, 404);
}
