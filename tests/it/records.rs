//! History, charts, people and mail as pages: who may see what, and that what an agent
//! wrote stays text there too.

use holdpoint::proto::{self, Category};
use holdpoint::store::export::verify_export;
use holdpoint::store::query::Question;

use super::corpus;
use super::support::browser::Browser;
use super::support::clients::verify;
use super::support::daemon::{cli_as, identity};
use super::support::pages::Page;
use super::support::{Home, approve, call, deny, get, submit, wait_for};

/// Ops decide; ana is of them, sec is not; both only decide. The auditor only looks.
fn team() -> Home {
    let mut text = "web_listen = \"127.0.0.1:0\"\n".to_owned();
    text += &identity("callers", "proxy", "");
    text += &identity("operators", "ana", "groups = [\"ops\"]\nemail = \"ana@example.com\"");
    text += &identity("operators", "sec", "groups = [\"security\"]");
    text += &identity("operators", "auditor", "roles = [\"auditor\"]");
    text += &identity("operators", "admin", "roles = [\"operator\", \"admin\"]");
    text += "[[routes]]\nname = \"kv\"\nservers = [\"kv\"]\nask = [\"ops\"]\n";
    Home::with_config(&text)
}

/// What a chunked answer carries.
fn whole(page: &Page) -> String {
    assert_eq!(page.header("transfer-encoding"), Some("chunked"), "{}", page.head);
    let (mut rest, mut body) = (page.body.as_str(), String::new());
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a number");
        if size == 0 {
            return body;
        }
        body += &after[..size];
        rest = after[size..].strip_prefix("\r\n").expect("an end");
    }
}

#[tokio::test]
async fn each_role_sees_of_the_records_what_is_its_own() {
    let home = team();
    let _daemon = home.start().await;
    let clients = home.clients();
    let asked = submit(&mut clients.caller_named("proxy"), "one", call("set", r#"{"n":1}"#)).await;
    let ana = &mut clients.operator_named("ana");
    deny(ana, &asked.id, &asked.digest).await.expect("denied");

    let nobody = Browser::new(&home).await;
    let paths =
        ["/history", "/history/charts", "/history/export", "/people", "/mail", "/mail?list=all"];
    for path in paths {
        assert_eq!(nobody.get(path).await.status, 303, "{path}: to the sign-in");
    }
    assert_eq!(nobody.post("/history/verify", &[]).await.status, 401);
    let statuses = async |name: &str| {
        let browser = Browser::signed_in(&home, name).await;
        let mut all = Vec::new();
        for path in paths {
            all.push(browser.get(path).await.status);
        }
        all
    };
    assert_eq!(statuses("ana").await, [200, 403, 403, 403, 200, 200]);
    assert_eq!(statuses("sec").await, [200, 403, 403, 403, 200, 200]);
    assert_eq!(statuses("auditor").await, [200, 200, 200, 403, 200, 200]);
    assert_eq!(statuses("admin").await, [200, 200, 200, 200, 200, 200]);

    let history = |name: &'static str| {
        let home = &home;
        async move { Browser::signed_in(home, name).await.get("/history").await.body }
    };
    let (ana, sec, auditor) =
        (history("ana").await, history("sec").await, history("auditor").await);
    let said = format!("<a href=\"/requests/{}\">ana denies", asked.id);
    assert!(ana.contains(&said) && auditor.contains(&said), "{ana}");
    assert!(!sec.contains("denies") && sec.contains("No entry fits"), "{sec}");
    assert!(!ana.contains("The daemon starts") && auditor.contains("The daemon starts"));
    for own in [&ana, &sec] {
        assert!(!own.contains("The chain") && !own.contains("href=\"/people\""), "{own}");
    }
    assert!(auditor.contains("The chain") && !auditor.contains("href=\"/people\""));

    let mails = async |name| Browser::signed_in(&home, name).await.get("/mail?list=all").await.body;
    assert!(mails("ana").await.contains("asked") && !mails("sec").await.contains("asked"));
    assert!(!mails("auditor").await.contains("Try again"));
}

#[tokio::test]
async fn an_export_of_the_pages_is_that_of_the_command_line() {
    let home = team();
    let _daemon = home.start().await;
    let caller = &mut home.clients().caller_named("proxy");
    for n in 0..40 {
        // More than one piece.
        let arguments = format!(r#"{{"n":{n},"text":"{}"}}"#, "ä".repeat(2000));
        submit(caller, &format!("call-{n}"), call("set", &arguments)).await;
    }
    let browser = Browser::signed_in(&home, "auditor").await;
    // Up to an entry that both have: signing in is an entry too.
    let page = browser.get("/history/export?first=3&last=42").await;
    page.says(200, &[]);
    let disposition = page.header("content-disposition").expect("a file name");
    assert_eq!(disposition, "attachment; filename=\"holdpoint-audit-3-42.jsonl\"");
    let file = home.beside("export.jsonl");
    let path = file.to_str().expect("a path");
    let arguments = ["audit", "export", path, "--first", "3", "--last", "42"];
    let done = cli_as(&home, "auditor", &arguments).output();
    let done = done.expect("it runs");
    assert!(done.status.success(), "{done:?}");
    let exported = std::fs::read_to_string(&file).expect("an export");
    assert!(exported.len() > 128 * 1024 && exported == whole(&page));

    let all = whole(&browser.get("/history/export").await);
    let checked = verify_export(all.as_bytes(), None).expect("readable").expect("whole");
    assert!(checked.entries > 42);
    browser.get("/history/export?first=9&last=3").await.says(422, &["before the first"]);
    browser.get("/history/export?first=x").await.says(422, &["whole numbers"]);
}

#[tokio::test]
async fn an_auditor_verifies_the_chain_with_a_form_of_their_own() {
    let home = team();
    let _daemon = home.start().await;
    let (auditor, ana) =
        (Browser::signed_in(&home, "auditor").await, Browser::signed_in(&home, "ana").await);
    let page = auditor.get("/history").await;
    page.says(200, &["It has not been verified"]);
    let (form, others) = (page.field("form"), ana.get("/history").await);
    assert_eq!(
        auditor.post("/history/verify", &[("form", others.field("form"))]).await.status,
        403
    );
    assert_eq!(ana.post("/history/verify", &[("form", others.field("form"))]).await.status, 403);
    auditor.get("/history").await.says(200, &["It has not been verified"]);
    assert_eq!(auditor.post("/history/verify", &[("form", form)]).await.status, 303);
    let head = verify(&mut home.clients().history_named("auditor")).await.head;
    auditor.get("/history").await.says(200, &["<strong>Whole</strong>, as verified at", &head]);
}

#[tokio::test]
async fn filters_and_pages_of_the_history_stand_in_its_address() {
    let home = team();
    let _daemon = home.start().await;
    let caller = &mut home.clients().caller_named("proxy");
    for n in 0..60 {
        let tool = if n % 6 == 0 { "rare" } else { "set" };
        submit(caller, &format!("call-{n}"), call(tool, &format!(r#"{{"n":{n}}}"#))).await;
    }
    let browser = Browser::signed_in(&home, "auditor").await;
    let entries = |page: &Page| page.body.matches("class=\"entry\"").count();
    let rare = browser.get("/history?tool=rare&kind=requested").await;
    assert_eq!(entries(&rare), 10);
    let first = browser.get("/history?kind=requested&since=1h&order=oldest").await;
    assert_eq!(entries(&first), 50);
    let next = browser.get(&first.link("Newer")).await;
    assert_eq!(entries(&next), 10, "{}", next.body);
    assert!(!next.body.contains("rel=\"next\"") && next.body.contains("First page"));
    let wrong = first.link("Newer").replace("kind=requested", "kind=denied");
    browser.get(&wrong).await.says(422, &["another question"]);
    // Beyond all calendars, on a clock that is behind.
    for day in ["%2B262142-12-31%2023:59", "-262143-01-01", "9999999999d"] {
        assert!(browser.get(&format!("/history?since={day}")).await.status < 500, "{day}");
    }
    browser.get("/history?kind=nonsense").await.says(422, &["no such kind"]);
    browser.get("/history?tool=never").await.says(200, &["No entry fits"]);
    browser.get("/history/charts?period=24h").await.says(200, &["60 still pending"]);
}

#[tokio::test]
async fn an_admin_is_told_who_would_be_asked_and_why_others_are_not() {
    let home = team();
    let _daemon = home.start().await;
    let admin = Browser::signed_in(&home, "admin").await;
    let asked = admin.get("/people?ask=1&server=kv&tool=set").await;
    asked.says(
        200,
        &[
            "1 person asked",
            "<strong>ana</strong>",
            "in none of the groups",
            "may look, but not decide",
        ],
    );
    let own = admin.get("/people?ask=1&server=kv&tool=set&for=ANA%40example.com").await;
    own.says(200, &["refused at once", "0 people asked", "nobody decides their own call"]);
    let other = admin.get("/people?ask=1&server=other&tool=set").await;
    other.says(200, &["does not match by its server", "3 people asked"]);
    admin.get("/people?ask=1&route=nothing").await.says(200, &["nothing"]);
}

#[tokio::test]
async fn only_an_admin_has_a_mail_tried_again() {
    let home = team();
    // A file where the folder of mails would be: they cannot go out.
    std::fs::write(home.state.join("mail"), "").expect("a file");
    let _daemon = home.start().await;
    submit(&mut home.clients().caller_named("proxy"), "one", call("set", "{}")).await;
    let admin = Browser::signed_in(&home, "admin").await;
    let page = super::support::wait_for("a mail that waits", || async {
        let page = admin.get("/mail").await;
        page.body.contains("deferred").then_some(page)
    });
    let page = page.await;
    let from = page.body.find("/mail/").expect("a form") + "/mail/".len();
    let id = page.body[from..].split('/').next().expect("a number");
    let path = format!("/mail/{id}/retry");
    let auditor = Browser::signed_in(&home, "auditor").await;
    let form = auditor.get("/mail").await.field("form").to_owned();
    auditor.post(&path, &[("form", &form)]).await.says(403, &["Only an admin"]);
    admin.post(&path, &[]).await.says(403, &[]);
    let done = admin.post(&path, &[("form", page.field("form"))]).await;
    assert_eq!((done.status, done.header("location")), (303, Some(&*format!("/mail?again={id}"))));
    admin.post("/mail/99999/retry", &[("form", page.field("form"))]).await.says(409, &["99999"]);
}

#[tokio::test]
async fn hostile_text_is_only_text_on_every_page_of_the_records() {
    let home = team();
    let _daemon = home.start().await;
    let clients = home.clients();
    let (caller, ana) = (&mut clients.caller_named("proxy"), &mut clients.operator_named("ana"));
    for (n, (_, text)) in corpus::HOSTILE.iter().enumerate() {
        // Names have no control characters: what a door refuses is not in the history.
        let plain = proto::Call {
            explanation: (*text).to_owned(),
            category: Category::Destructive.into(),
            labels: [("label".to_owned(), (*text).to_owned())].into(),
            ..call("set", &format!(r#"{{"n":{n}}}"#))
        };
        let asked = submit(caller, &format!("call-{n}"), plain).await;
        let request = get(ana, &asked.id).await;
        assert_eq!(request.status(), proto::Status::Pending);
        deny(ana, &asked.id, &asked.digest).await.expect("denied");
    }
    let admin = Browser::signed_in(&home, "admin").await;
    let mut paths = vec!["/history/charts".to_owned(), "/mail?list=all".to_owned()];
    let mut next = Some("/history".to_owned());
    while let Some(path) = next {
        let page = admin.get(&path).await;
        next = page.body.contains("rel=\"next\"").then(|| page.link("Older"));
        paths.push(path);
    }
    for (_, text) in corpus::HOSTILE {
        let field = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        paths.push(format!("/history?tool={field}&since={field}&text={field}"));
        paths
            .push(format!("/people?ask=1&server={field}&labels={field}&for={field}&route={field}"));
        paths.push(format!("/mail?again={field}&list={field}&page={field}"));
    }
    for path in paths {
        let page = admin.get(&path).await;
        for (tag, attributes) in page.tags() {
            let known = !matches!(tag.as_str(), "img" | "iframe" | "b" | "style");
            assert!(known, "<{tag}> in {path}");
            let outside = |(name, value): &(String, String)| match name.as_str() {
                "href" | "src" | "action" => !value.starts_with('/') && !value.starts_with('#'),
                name => name.starts_with("on") || name == "style",
            };
            assert!(!attributes.iter().any(outside), "<{tag} {attributes:?}> in {path}");
        }
        let hidden = |c: char| c.is_control() && c != '\n';
        assert!(!page.body.contains(hidden) && !page.body.contains('\u{202e}'), "{path}");
    }
}

/// Two of ops, one of security, with letters as files.
fn two_groups(quinns: &str) -> String {
    let mut text = "web_listen = \"127.0.0.1:0\"\n".to_owned();
    text += &identity("callers", "proxy", "");
    text += &identity("operators", "quinn", &format!("groups = [\"{quinns}\"]"));
    text += &identity("operators", "zelda", "groups = [\"ops\"]");
    text += &identity("operators", "sec", "groups = [\"security\"]");
    text += &identity("operators", "auditor", "roles = [\"auditor\"]");
    text + "[[routes]]\nname = \"kv\"\nservers = [\"kv\"]\nask = [\"ops\"]\n"
}

#[tokio::test]
async fn who_sees_which_mails_is_one_rule_for_the_history_and_for_the_list() {
    let home = Home::with_config(&two_groups("ops"));
    let daemon = home.start().await;
    let asked = submit(&mut home.clients().caller_named("proxy"), "1", call("set", "{}")).await;
    let auditor = Browser::signed_in(&home, "auditor").await;
    let history = "/history?kind=mail_sent";
    wait_for("both letters", async || {
        (auditor.get(history).await.body.matches("is sent").count() == 2).then_some(())
    })
    .await;
    // To whom the mails went that somebody is told of, by the history and by the list.
    let told = async |name: &str| {
        let browser = Browser::signed_in(&home, name).await;
        let (history, list) =
            (browser.get(history).await.body, browser.get("/mail?list=all&whose=all").await.body);
        let own = browser.get("/mail?list=all").await.body;
        let count = |whose: &str| {
            let entries = history.matches(&format!("” to {whose} ")).count();
            let cell = format!("data-label=\"to\"><span>{whose}</span>");
            let rows = list.matches(&cell).count();
            assert_eq!(entries, rows, "{name} of {whose}: {history} {list}");
            assert!(name == "auditor" || whose == name || !own.contains(&cell), "{own}");
            rows
        };
        ["quinn", "zelda"].map(count)
    };
    assert_eq!(told("auditor").await, [1, 1]);
    assert_eq!(told("quinn").await, [1, 1], "about a request that they may see");
    assert_eq!(told("sec").await, [0, 0]);
    // Who is moved keeps what went to them, and is told of no other any more.
    daemon.reload(&two_groups("security")).await;
    assert_eq!(told("quinn").await, [1, 0]);
    assert_eq!(told("zelda").await, [1, 1]);
    let quinn = Browser::signed_in(&home, "quinn").await;
    assert_eq!(quinn.get(&format!("/requests/{}", asked.id)).await.status, 404);
}

#[tokio::test]
async fn no_place_that_somebody_makes_up_shows_what_is_not_theirs() {
    let home = Home::with_config(&two_groups("ops"));
    let _daemon = home.start().await;
    let clients = home.clients();
    let asked = submit(&mut clients.caller_named("proxy"), "1", call("set", "{}")).await;
    let (auditor, sec) =
        (Browser::signed_in(&home, "auditor").await, Browser::signed_in(&home, "sec").await);
    wait_for("the letters", async || {
        let body = auditor.get("/history?kind=mail_sent").await.body;
        (body.matches("is sent").count() >= 2).then_some(())
    })
    .await;
    let quinn = &mut clients.operator_named("quinn");
    approve(quinn, &asked.id, &asked.digest).await.expect("approved");
    let theirs = ["quinn", "zelda", asked.id.as_str(), "The daemon starts"];
    let everything = auditor.get("/history").await.body;
    assert!(theirs.iter().all(|words| everything.contains(words)), "{everything}");
    let shows_nothing = async |path: &str| {
        let page = sec.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        for words in theirs {
            assert!(!page.body.contains(words), "{words} by {path}: {}", page.body);
        }
    };
    for n in (0..20).chain([1 << 40, i64::MAX as u64]) {
        for ascending in [false, true] {
            let question = Question { ascending, ..Question::default() };
            let order = if ascending { "oldest" } else { "" };
            shows_nothing(&format!("/history?order={order}&page={}", question.token(n))).await;
        }
        for (list, name) in
            [("all", ""), ("waiting", "quinm"), ("waiting", "zeldb"), ("failed", "")]
        {
            for at in [i64::MIN, 0, i64::MAX] {
                let place = format!("{at}.{n}.{name}");
                shows_nothing(&format!("/mail?list={list}&whose=all&page={place}")).await;
                shows_nothing(&format!("/mail?list={list}&page={place}")).await;
            }
        }
    }
}
