//! Invariant 7 in mail: text from an agent is only text.

use std::collections::BTreeMap;

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::reading::{Read, read, tags, text_of, value};
use super::{about, letter, request, to};
use crate::call::json::Json;
use crate::call::model::Request;
use crate::call::safe_text::is_hidden;
use crate::mail::letter::{Matter, compose};

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
];

/// One request for each text, which stands in every field that takes text.
pub fn requests() -> Vec<(&'static str, Request)> {
    CORPUS.iter().map(|(name, text)| (*name, with(text))).collect()
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
    let names = |bytes: &[u8]| -> Vec<String> {
        read(bytes).headers.into_iter().map(|(name, _)| name).collect()
    };
    let expected = names(&letter(&request()).bytes);
    for (name, request) in requests() {
        let letter = letter(&request);
        assert_eq!(names(&letter.bytes), expected, "{name}");
        assert_eq!(letter.envelope.to().len(), 1, "{name}");
        let read = read(&letter.bytes);
        let subject = value(&read.headers, "Subject");
        assert!(subject.len() < 900, "{name}: {subject}");
        for word in subject.split(' ').filter(|word| word.contains("=?")) {
            // Whatever is encoded was encoded here, from safe text.
            assert!(word.starts_with("=?utf-8?b?"), "{name}: {subject}");
        }
    }
}

#[test]
fn text_from_an_agent_is_only_text_in_html() {
    for (name, request) in requests() {
        let html = read(&letter(&request).bytes).html;
        for tag in tags(&html) {
            assert!(TAGS.contains(&tag.trim_start_matches('/')), "{name}: <{tag}");
        }
        // Attributes are ours: no text from outside stands within a tag.
        for tag in html.split('<').skip(1) {
            let inside = tag.split_once('>').expect("tags end").0;
            for word in ["evil", "href", "src", "onerror", "TO DECIDE", "url("] {
                assert!(!inside.contains(word), "{name}: <{inside}>");
            }
            assert_eq!(inside.matches('"').count() % 2, 0, "{name}: <{inside}>");
        }
        let hidden = html.chars().filter(|c| is_hidden(*c) && *c != '\n').count();
        assert_eq!(hidden, 0, "{name}");
    }
}

/// What begins in the first column is ours: the same lines whatever an agent
/// writes, but for the sentence and the lines that say how they begin.
#[test]
fn text_from_an_agent_cannot_pass_for_ours_in_the_plain_part() {
    let expected = ours(&harmless());
    assert_eq!(expected.iter().filter(|line| *line == "TO DECIDE").count(), 1);
    for (name, request) in requests() {
        assert_eq!(ours(&request), expected, "{name}");
        let plain = read(&letter(&request).bytes).plain;
        let hidden = plain.chars().filter(|c| is_hidden(*c) && *c != '\n').count();
        assert_eq!(hidden, 0, "{name}");
        let widest = plain.lines().map(|line| line.width()).max();
        assert!(widest <= Some(78), "{name}: {widest:?}");
    }
}

fn ours(request: &Request) -> Vec<String> {
    let plain = read(&letter(request).bytes).plain;
    // Long names and values are cut, and then there is more to say.
    let of_cuts = [
        "Complete;",
        "Not complete:",
        "All of them:",
        "Not shown above:",
        "Not all of it is shown above.",
        "To see all of it:",
        "holdpoint show ",
    ];
    let lines = plain.lines().skip(1);
    let lines = lines.filter(|line| !line.starts_with([' ', '>', '!']) && !line.is_empty());
    let lines = lines.filter(|line| !of_cuts.iter().any(|start| line.starts_with(start)));
    lines.map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What the corpus shows, for any text: the same headers, the same lines
    /// of ours, the same markup, nothing invisible.
    #[test]
    fn any_text_is_only_text(text in "[\\PC\\x00-\\x1f\u{200b}-\u{202e}]{1,60}") {
        let expected = read(&letter(&harmless()).bytes);
        let request = with(&text);
        let read = read(&letter(&request).bytes);
        let names = |read: &Read| -> Vec<String> {
            read.headers.iter().map(|(name, _)| name.clone()).collect()
        };
        prop_assert_eq!(names(&read), names(&expected));
        let quoted = |lines: Vec<String>| -> Vec<String> {
            // An agent that gives no words is said to give none.
            lines.into_iter().filter(|line| !line.contains("gave none") && !line.contains("prove")).collect()
        };
        prop_assert_eq!(quoted(ours(&request)), quoted(ours(&harmless())));
        prop_assert!(!read.html.contains(|c| is_hidden(c) && c != '\n'));
        prop_assert!(!read.plain.contains(|c| is_hidden(c) && c != '\n'));
        for tag in tags(&read.html) {
            prop_assert!(TAGS.contains(&tag.trim_start_matches('/')), "<{}", tag);
        }
    }
}

/// A value that goes on for lines never looks like a member or a warning.
#[test]
fn a_long_value_is_continued_behind_a_mark() {
    let mut request = request();
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
        assert_eq!(read.headers.len(), 10, "{name}");
        assert!(value(&read.headers, "Message-ID").ends_with("@localhost>"), "{name}");
        assert!(text_of(&read.html).contains("15 min left"), "{name}");
    }
}

/// Gmail hides what is beyond 102 KB, and the commands stand at the end.
#[test]
fn no_call_makes_a_letter_too_long() {
    for (name, text) in CORPUS {
        let mut request = with(&text.repeat(400));
        let members = (0..500).map(|n| (format!("{n}{text}"), Json::String(text.repeat(50))));
        request.call.arguments = Json::object(members).to_text();
        request.call.not_covered = vec![text.repeat(50); 50];
        request.call.labels = (0..50).map(|n| (format!("{n}{text}"), text.repeat(50))).collect();
        let letter = letter(&request);
        let html = read(&letter.bytes).html.len();
        assert!(html < 102_000, "{name}: {html}");
        assert!(letter.bytes.len() < 256 * 1024, "{name}: {}", letter.bytes.len());
    }
}
