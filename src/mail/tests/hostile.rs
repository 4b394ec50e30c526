//! Invariant 7 in mail: text from an agent is only text.

use std::collections::BTreeMap;

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::kinds::{FOLLOW_UPS, ended};
use super::reading::{Read, read, tags, text_of, value};
use super::{about, id, letter, request, to, with_pages};
use crate::call::digest::Digest;
use crate::call::json::Json;
use crate::call::model::Request;
use crate::call::safe_text::is_hidden;
use crate::mail::letter::{Item, Letter, Matter, Summary, What, compose};

/// What has worked against somebody's mails, terminals and pages.
const CORPUS: &[(&str, &str)] = &[
    ("crlf", "x\r\nBcc: evil@example.net\r\n\r\nbody"),
    ("lf", "x\nTO DECIDE\nholdpoint approve 00000000\n"),
    ("boundary", "x\r\n--=_holdpoint_019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f--\r\n"),
    ("encoded-word", "=?UTF-8?B?DQpCY2M6IGV2aWxAZXhhbXBsZS5uZXQ=?="),
    ("encoded-word-split", "=\u{200b}?UTF-8?Q?=0D=0ABcc:_a?= b"),
    ("tags", "</pre></td></table><script>alert(1)</script><img src=x onerror=alert(1)>"),
    ("attribute", "\"><a href=\"https://evil.example\" style='position:fixed'>Approve</a>"),
    ("entities", "&lt;b&gt; &amp;nbsp; &#x202e;"),
    ("comment", "<!-- --><style>*{display:none}</style><!--"),
    ("bidi", "safe\u{202e}elif_eteled\u{2066}\u{2069}"),
    ("zero-width", "dele\u{200b}te\u{feff}_\u{2060}all\u{ad}"),
    ("escapes", "\u{1b}[2J\u{1b}]8;;https://evil.example\u{7}click\u{9b}31m\u{7f}\0"),
    ("marks", "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{489}"),
    ("spaces", "x                                                                      TO DECIDE"),
    ("separators", "a\u{2028}TO DECIDE\u{2029}b\u{85}c\u{b}d\u{c}e"),
    ("our-words", "[00000000] TO DECIDE «hidden: text of 4 characters» ⟨U+202E⟩ «cut: 9 items»"),
    ("our-indent", "    force: false\n    | x\n> y\n! z\n--\n"),
    (
        "long-word",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
    (
        "soft-wrap",
        "fine                                  TO DECIDE holdpoint approve 1 and more and more of it",
    ),
    (
        "wide",
        "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
    ),
    ("dot", "\r\n.\r\nMAIL FROM:<evil@example.net>\r\n"),
    ("from", "\nFrom evil@example.net Sun Nov 22 13:50:00 2026\n"),
    ("formula", "=cmd|' /C calc'!A0"),
    ("quotes", "a\" b' c` d\\"),
];

/// All that a letter is made of.
const TAGS: &[&str] = &[
    "!doctype", "html", "head", "meta", "title", "body", "table", "tr", "td", "div", "br", "span",
    "b", "code", "a",
];

/// One request for each text, which stands in every field that takes text.
fn requests() -> Vec<(&'static str, Request)> {
    CORPUS.iter().map(|(name, text)| (*name, with(text))).collect()
}

/// A letter of every kind about each of them.
pub fn letters() -> Vec<(String, Letter)> {
    let mut letters = Vec::new();
    for (name, request) in requests() {
        for (kind, letter) in of_every_kind(&request) {
            letters.push((format!("hostile-{name}-{kind}"), letter));
        }
    }
    letters
}

/// The request in letters of every kind; whoever decided it wrote what its agent did.
fn of_every_kind(request: &Request) -> Vec<(&'static str, Letter)> {
    let reason = &request.call.explanation;
    let over = |how| {
        let mut request = Request { call: request.call.clone(), ..ended(how) };
        request.outcome_detail = reason.clone();
        for decision in &mut request.decisions {
            decision.reason = reason.clone();
        }
        request
    };
    let write = |matter: Matter<'_>| compose(&matter, &to(), &with_pages()).expect("a letter");
    let mut letters = vec![
        ("asked-without-pages", letter(request)),
        ("asked", write(Matter::Asked(request))),
        ("reminder", write(Matter::Reminder(request))),
    ];
    for how in FOLLOW_UPS {
        letters.push((how.word(), write(Matter::FollowUp(how, &over(how)))));
    }
    let item = |n, request: Request, what| Item { request: Request { id: id(n), ..request }, what };
    let mut items = vec![item(1, request.clone(), What::Reminder)];
    items.extend((2..8).map(|n| {
        let mut request = request.clone();
        request.call.digest = Digest::from_bytes([n % 4; 32]);
        item(n, request, What::Asked)
    }));
    items.extend(FOLLOW_UPS.map(|how| item(20, over(how), What::FollowUp(how))));
    letters.push(("summary", write(Matter::Summary(&Summary { id: 1, items, more: 3 }))));
    letters
}

fn with(text: &str) -> Request {
    let mut request = request();
    let call = &mut request.call;
    for field in [
        &mut call.caller,
        &mut call.client,
        &mut call.agent.name,
        &mut call.agent.version,
        &mut call.agent.session,
        &mut call.agent.on_behalf_of,
        &mut call.server,
        &mut call.tool,
        &mut call.rule,
        &mut call.policy_revision,
        &mut call.tool_definition_hash,
        &mut call.explanation,
    ] {
        *field = text.to_owned();
    }
    call.labels = BTreeMap::from([(text.to_owned(), text.to_owned())]);
    call.not_covered = vec![text.to_owned(); 2];
    call.evidence = vec![text.to_owned(); 2];
    call.definition_changed = text.to_owned();
    let string = || Json::String(text.to_owned());
    let nested = Json::object([(text, Json::array([string(), string()]))]);
    call.arguments = Json::object([(text, string()), ("in", nested), ("b", string())]).to_text();
    request.requirement.clauses[0].route = text.to_owned();
    request.requirement.clauses[0].groups = [text.to_owned()].into();
    request
}

/// The same shape with nothing hostile in it, to compare with.
fn harmless() -> Request {
    with("harmless")
}

#[test]
fn text_from_an_agent_is_only_text_in_headers() {
    for (name, request) in requests() {
        for ((kind, expected), (_, letter)) in
            of_every_kind(&harmless()).into_iter().zip(of_every_kind(&request))
        {
            assert_eq!(names(&letter), names(&expected), "{name}, {kind}");
            assert_eq!(letter.envelope.to().len(), 1, "{name}, {kind}");
            let headers = read(&letter.bytes).headers;
            for header in ["Subject", "Thread-Topic"] {
                let Some((_, value)) = headers.iter().find(|(name, _)| name == header) else {
                    assert_eq!((header, kind), ("Thread-Topic", "summary"));
                    continue;
                };
                assert!(value.len() < 900, "{name}, {kind}: {value}");
                for word in value.split(' ').filter(|word| word.contains("=?")) {
                    // Whatever is encoded was encoded here, from safe text.
                    assert!(word.starts_with("=?utf-8?b?"), "{name}, {kind}: {value}");
                }
            }
        }
    }
}

fn names(letter: &Letter) -> Vec<String> {
    read(&letter.bytes).headers.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn text_from_an_agent_is_only_text_in_html() {
    for (name, letter) in letters() {
        let html = read(&letter.bytes).html;
        only_our_markup(&html, &name);
        // Attributes are ours: no text from outside stands within a tag.
        for tag in html.split('<').skip(1) {
            let inside = tag.split_once('>').expect("tags end").0;
            let inside = without_our_link(inside);
            for word in ["evil", "href", "src", "onerror", "TO DECIDE", "url("] {
                assert!(!inside.contains(word), "{name}: <{inside}>");
            }
            assert_eq!(inside.matches('"').count() % 2, 0, "{name}: <{inside}>");
        }
    }
}

/// A tag, less the link if it is one of ours: to our pages, and made of nothing that
/// could come from elsewhere.
fn without_our_link(tag: &str) -> String {
    let Some(after) = tag.strip_prefix("a href=\"https://approve.example.com/") else {
        return tag.to_owned();
    };
    let (path, style) = after.split_once('"').expect("it ends");
    let kind = path.split('/').next().unwrap_or_default();
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b));
    assert!(plain && ["", "l", "u", "requests"].contains(&kind), "{tag}");
    style.to_owned()
}

fn only_our_markup(html: &str, name: &str) {
    for tag in tags(html) {
        assert!(TAGS.contains(&tag.trim_start_matches('/')), "{name}: <{tag}");
    }
    let hidden = html.chars().filter(|c| is_hidden(*c) && *c != '\n').count();
    assert_eq!(hidden, 0, "{name}");
}

/// What begins in the first column is ours: the same lines whatever an agent
/// writes, but for the sentence and the lines that say how they begin.
#[test]
fn text_from_an_agent_cannot_pass_for_ours_in_the_plain_part() {
    let expected: Vec<_> = of_every_kind(&harmless());
    assert_eq!(ours(&expected[0].1).iter().filter(|line| *line == "TO DECIDE").count(), 1);
    for (name, request) in requests() {
        for ((kind, harmless), (_, letter)) in expected.iter().zip(of_every_kind(&request)) {
            assert_eq!(ours(&letter), ours(harmless), "{name}, {kind}");
            let plain = read(&letter.bytes).plain;
            let hidden = plain.chars().filter(|c| is_hidden(*c) && *c != '\n').count();
            assert_eq!(hidden, 0, "{name}, {kind}");
            let lines = plain.lines().filter(|line| !line.starts_with("https://approve."));
            let widest = lines.map(|line| line.width()).max();
            assert!(widest <= Some(78), "{name}, {kind}: {widest:?}");
        }
    }
}

fn ours(letter: &Letter) -> Vec<String> {
    let plain = read(&letter.bytes).plain;
    // Long names, values and reasons are cut or stand below, and then there is
    // more to say.
    let of_cuts = [
        "Nothing is cut",
        "Not complete:",
        "All of them:",
        "Not shown above:",
        "Not all of it is shown above.",
        "To see all of it:",
        "holdpoint show ",
        "REASON",
        "By ",
        "WHAT IS KNOWN",
    ];
    let lines = plain.lines().skip(1);
    let lines = lines.filter(|line| !line.starts_with([' ', '>', '!']) && !line.is_empty());
    let lines = lines.filter(|line| !of_cuts.iter().any(|start| line.starts_with(start)));
    lines.map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What the corpus shows, for any text: the same headers, the same lines
    /// of ours, the same markup, nothing invisible.
    #[test]
    fn any_text_is_only_text(text in "[\\PC\\x00-\\x1f\u{200b}-\u{202e}]{1,60}") {
        let quoted = |lines: Vec<String>| -> Vec<String> {
            // An agent that gives no words is said to give none.
            lines.into_iter().filter(|line| !line.contains("gave none") && !line.contains("prove")).collect()
        };
        let expected = of_every_kind(&harmless());
        for ((kind, harmless), (_, letter)) in expected.iter().zip(of_every_kind(&with(&text))) {
            prop_assert_eq!(names(&letter), names(harmless), "{}", kind);
            prop_assert_eq!(quoted(ours(&letter)), quoted(ours(harmless)), "{}", kind);
            let Read { plain, html, .. } = read(&letter.bytes);
            only_our_markup(&html, kind);
            prop_assert!(!plain.contains(|c| is_hidden(c) && c != '\n'), "{}", kind);
        }
    }
}

/// A value that goes on for lines never looks like a member or a warning.
#[test]
fn a_long_value_is_continued_behind_a_mark() {
    let mut request = request();
    request.call.hidden_values = 0;
    let value = format!("fine{}force: false", " ".repeat(39)).repeat(4);
    request.call.arguments = Json::object([("a", Json::String(value))]).to_text();
    let plain = read(&letter(&request).bytes).plain;
    let (_, from) = plain.split_once("ARGUMENTS\n").expect("the section");
    let lines = from.lines().skip(1).take_while(|line| !line.is_empty());
    for line in lines.skip(1) {
        assert!(line.starts_with("    ↳ "), "{line}");
    }
}

#[test]
fn hostile_operators_and_hosts_change_nothing() {
    for (name, text) in CORPUS {
        let mut about = about();
        about.host = (*text).to_owned();
        about.asked = vec![(*text).to_owned()];
        about.command_prefix = format!("/opt/{text}/holdpoint");
        let mut to = to();
        to.name = (*text).to_owned();
        let letter = compose(&Matter::Asked(&request()), &to, &about).expect("a letter");
        let read = read(&letter.bytes);
        assert_eq!(read.headers.len(), 14, "{name}");
        assert!(value(&read.headers, "Message-ID").ends_with("@localhost>"), "{name}");
        assert!(text_of(&read.html).contains("15 min left"), "{name}");
    }
}

/// Gmail hides what is beyond 102 KB, and the commands stand at the end.
#[test]
fn no_call_makes_a_letter_too_long() {
    for (name, text) in CORPUS {
        let mut request = with(&text.repeat(400));
        let members = (0..100).map(|n| (format!("{n}{text}"), Json::String(text.repeat(20))));
        request.call.arguments = Json::object(members).to_text();
        request.call.not_covered = vec![text.repeat(50); 50];
        request.call.evidence = vec![text.repeat(50); 50];
        request.call.definition_changed = text.repeat(50);
        request.call.labels = (0..50).map(|n| (format!("{n}{text}"), text.repeat(50))).collect();
        for (kind, letter) in of_every_kind(&request) {
            let html = read(&letter.bytes).html.len();
            assert!(html < 102_000, "{name}, {kind}: {html}");
            assert!(letter.bytes.len() < 256 * 1024, "{name}, {kind}: {}", letter.bytes.len());
        }
    }
}
