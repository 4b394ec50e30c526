//! Letters as a whole: what they look like, and what hostile text does to them.
//! `UPDATE_GOLDEN=1 cargo test mail` writes the golden files anew.

mod certificates;
mod first_screen;
mod folder;
mod hostile;
mod kinds;
mod links;
mod pool;
mod reading;
mod server;
mod storm;
mod transport;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::letter::{About, ComposeError, Letter, Matter, Recipient, compose, sender};
use crate::call::digest::Digest;
use crate::call::ids::RequestId;
use crate::call::model::{Agent, Call, Category, Outcome, Request, Risk, Status, Use};
use crate::call::requirement::{Clause, Requirement};
use crate::call::time::Time;
use crate::config::PublicUrl;
use crate::desk::links::Links;
use crate::desk::seal::Seal;
use reading::{Read, read, text_of};

const NOW: &str = "2026-11-22T13:50:00.040Z";

fn at(text: &str) -> Time {
    Time::parse(text).expect("a time")
}

fn id(last: u8) -> RequestId {
    let mut bytes = *b"\x01\x9a\xc5\xa2\x7d\x5c\x7c\xc3\x98\xa5\x3f\x1c\x2b\x4d\x5e\x6f";
    bytes[15] = last;
    RequestId::from_bytes(bytes)
}

/// A call that says everything a call can say.
pub(super) fn request() -> Request {
    let text = |s: &str| s.to_owned();
    let call = Call {
        caller: text("gateway-eu"),
        client: text("laptop-jane"),
        agent: Agent {
            name: text("claude-code"),
            version: text("2.1.0"),
            session: text("5f1c0a9e77b24c6d8e02"),
            on_behalf_of: text("jane@example.com"),
        },
        server: text("amazon-mq"),
        tool: text("delete_broker"),
        arguments: text(
            "{\"broker_id\":\"b-1234a5b6-78cd-901e-2fgh-3i45j6k17819\",\"force\":true,\
             \"auth\":{\"user\":\"admin\",\"password\":\"«hidden: text of 12 characters»\"},\
             \"tags\":[\"staging\",\"to-be-removed\"],\"note\":\"first line\\nsecond line\",\
             \"big\":9007199254740993}",
        ),
        hidden_values: 1,
        digest: Digest::from_bytes([0xa5; 32]),
        category: Category::Destructive,
        risk: Risk::Critical,
        rule: text("hold-destructive"),
        policy_revision: text("2026-11-20.3"),
        tool_definition_hash: String::new(),
        explanation: text(
            "The staging broker is no longer used.\n\nI checked: no queues are left.",
        ),
        labels: BTreeMap::from([(text("env"), text("staging"))]),
        not_covered: Vec::new(),
        evidence: vec![text("arguments say force: true"), text("name says delete")],
        definition_changed: String::new(),
    };
    let groups = BTreeSet::from([text("ops"), text("security")]);
    let clauses = vec![Clause { route: text("destructive"), groups, approvals: 2, sign_in: false }];
    let created = at("2026-11-22T13:50:00.000Z");
    let (requirement, timeout) = (Requirement { clauses }, Duration::from_secs(15 * 60));
    Request::pending(id(0x6f), text("call-1"), call, requirement, created, timeout)
}

/// A call that says next to nothing, with everything to be wary of.
fn bare() -> Request {
    let mut request = request();
    request.call.client = String::new();
    request.call.agent = Agent::default();
    request.call.tool = "dеlete".to_owned(); // with a Cyrillic е
    request.call.arguments = "{}".to_owned();
    request.call.hidden_values = 0;
    request.call.explanation = String::new();
    request.call.category = Category::Unspecified;
    request.call.risk = Risk::Unspecified;
    request.call.rule = String::new();
    request.call.policy_revision = String::new();
    request.call.labels = BTreeMap::new();
    request.call.not_covered = vec!["environment variables".to_owned(), "stdin".to_owned()];
    request.call.evidence = Vec::new();
    request.call.definition_changed =
        "the definition of this tool changed on 2026-11-22 14:05 UTC \
         and nobody accepted it: holdpoint policy accept --server kv --tool delete"
            .to_owned();
    request.identical_to = Some(id(0x70));
    request.may_have_run = vec![id(0x71), id(0x72)];
    request.deadline = at("2026-11-25T10:00:00.000Z");
    request.requirement.clauses[0] = Clause {
        route: "built-in".to_owned(),
        groups: BTreeSet::new(),
        approvals: 1,
        sign_in: false,
    };
    request
}

/// More than fits.
fn long() -> Request {
    let mut request = request();
    let rows: Vec<String> =
        (0..200).map(|n| format!("{{\"id\":{n},\"name\":\"customer number {n}\"}}")).collect();
    request.call.arguments = format!("{{\"table\":\"customers\",\"rows\":[{}]}}", rows.join(","));
    request.call.explanation = "Because. ".repeat(600);
    request
}

fn about() -> About {
    About {
        from: sender(Some("Holdpoint <holdpoint@example.com>"), "ignored").expect("an address"),
        reply_to: None,
        asked: vec!["Jörg Weiß".to_owned(), "sam".to_owned()],
        thread: None,
        now: at(NOW),
        command_prefix: "holdpoint".to_owned(),
        host: "mail.example.com".to_owned(),
        links: None,
    }
}

/// The same where there are pages.
fn with_pages() -> About {
    let url = PublicUrl::parse("https://approve.example.com").expect("an origin");
    About { links: Some(Links::new(Seal::new([7; 32]), url)), ..about() }
}

fn to() -> Recipient {
    Recipient {
        name: "Jörg Weiß".to_owned(),
        email: "joerg@example.com".to_owned(),
        time_zone: None,
    }
}

fn letter(request: &Request) -> Letter {
    compose(&Matter::Asked(request), &to(), &about()).expect("a letter")
}

fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mail/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).expect("golden files are writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{name} differs; UPDATE_GOLDEN=1 writes it anew");
}

/// For readers other than ours: `tests/mail/parse_mail.py`, `tests/mail/render`, people.
#[test]
fn letters_are_written_for_other_readers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mail-samples");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("target is writable");
    for (name, letter) in kinds::letters().into_iter().chain(hostile::letters()) {
        std::fs::write(folder.join(format!("{name}.eml")), &letter.bytes).expect("writable");
        std::fs::write(folder.join(format!("{name}.html")), read(&letter.bytes).html)
            .expect("writable");
    }
}

#[test]
fn a_letter_says_things_in_the_order_in_which_they_are_read() {
    let Read { plain, html, .. } = read(&letter(&request()).bytes);
    for text in [plain, text_of(&html)] {
        let lower = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let mut from = 0;
        for next in [
            "run delete_broker on amazon-mq",
            "asked by agent claude-code 2.1.0 for jane@example.com",
            "gateway-eu",
            "1 value is hidden",
            "arguments",
            "nothing is cut. 1 value is hidden (masked by a rule)",
            "the agent's own words",
            "no longer used",
            "who asks",
            "jane@example.com",
            "what held it",
            "2 approvals by different people from ops or security",
            "15 min left, until 14:05 utc",
            "holdpoint approve 019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f",
            "holdpoint deny",
        ] {
            let at = lower[from..].find(next);
            from += at.unwrap_or_else(|| panic!("{next:?} is not where it belongs in\n{text}"));
        }
    }
}

#[test]
fn the_first_line_is_the_sentence_and_lines_are_short() {
    for request in [request(), bare(), long()] {
        let plain = read(&letter(&request).bytes).plain;
        assert!(plain.starts_with("Run "), "{plain}");
        for line in plain.lines() {
            assert!(line.trim_end().chars().count() <= 78, "{line}");
        }
    }
}

#[test]
fn commands_carry_the_full_id_and_the_full_digest() {
    let request = request();
    let read = read(&letter(&request).bytes);
    let (id, digest) = (request.id, request.call.digest);
    for text in [read.plain.replace(" \\\n  ", " "), text_of(&read.html)] {
        assert!(text.contains(&format!("\nholdpoint approve {id} --digest {digest}\n")), "{text}");
        let deny = format!("\nholdpoint deny {id} --reason \"...\" --digest {digest}\n");
        assert!(text.contains(&deny), "{text}");
        assert!(text.contains(&format!("\nholdpoint show {id}\n")), "{text}");
    }
}

#[test]
fn every_attempt_has_the_same_message_id_and_file_and_no_other_letter_has() {
    let (first, mut later) = (letter(&request()), about());
    later.now = at("2026-11-22T14:00:00.000Z");
    let again = compose(&Matter::Asked(&request()), &to(), &later).expect("a letter");
    assert_eq!((&first.message_id, &first.file_name), (&again.message_id, &again.file_name));
    assert_eq!(first.file_name, "20261122T135000Z-2b4d5e6f-JrgWei-85cbf494.eml");
    let other = |name: &str| {
        let to = Recipient { name: name.to_owned(), ..to() };
        let letter = compose(&Matter::Asked(&request()), &to, &about()).expect("a letter");
        (letter.message_id, letter.file_name)
    };
    let names = ["sam", "sam ", "s/am", "../sam", "SAM", "s\0am", "", "Jörg Weiß"];
    let ids: BTreeSet<_> = names.into_iter().map(other).collect();
    assert_eq!(ids.len(), names.len());
    assert!(ids.iter().all(|(_, file)| !file.contains(['/', '\0', ' ']) && !file.starts_with('.')));
}

#[test]
fn an_operator_without_a_usable_address_is_named() {
    for email in ["", "nobody", "a@b\r\nBcc: c@d", "a@b, c@d", "a b@c"] {
        let to = Recipient { name: "sam".to_owned(), email: email.to_owned(), ..to() };
        let error = compose(&Matter::Asked(&request()), &to, &about()).expect_err(email);
        assert!(matches!(&error, ComposeError::Address { name, .. } if name == "sam"), "{error}");
    }
}

#[test]
fn the_sender_is_this_host_unless_configured() {
    let from = |configured, host| sender(configured, host).map(|mailbox| mailbox.to_string());
    assert_eq!(
        from(None, "box.example.com").as_deref(),
        Ok("Holdpoint <holdpoint@box.example.com>")
    );
    assert_eq!(from(None, "my box\r\n").as_deref(), Ok("Holdpoint <holdpoint@localhost>"));
    assert_eq!(from(Some("gate@example.com"), "x").as_deref(), Ok("gate@example.com"));
    assert!(from(Some("gate"), "x").is_err());
}

#[test]
fn a_letter_is_bounded_and_says_how_to_see_the_rest() {
    let read = read(&letter(&long()).bytes);
    for text in [read.plain, text_of(&read.html)] {
        assert!(text.contains("Not complete: "), "{text}");
        assert!(text.contains(&format!("holdpoint show {} --args", id(0x6f))), "{text}");
        assert!(text.contains("characters are cut"), "{text}");
    }
}
