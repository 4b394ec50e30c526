//! What the terminal shows, kept as files under `tests/golden/cli`: one per
//! scenario, for fixed requests, a fixed time and several widths.
//! `UPDATE_GOLDEN=1 cargo test golden` writes them anew.

use std::fs;
use std::path::Path;

use unicode_width::UnicodeWidthStr;

use super::output::View;
use super::page::{Wanted, page};
use super::zone::Zone;
use super::{audit, listing, mail_queue, records};
use crate::call::time::Time;
use crate::proto::{
    Agent, AuditEntry, Clause, Decision, GetRequestResponse, Look, Mail, Notice, Request,
};

pub(super) fn view(width: usize, terminal: bool, colour: bool) -> View {
    let now = Time::parse("2026-11-22T12:53:00Z").expect("valid");
    View { now, zone: Zone::fixed(3600, "CET"), terminal, width, colour }
}

pub(super) fn same(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("has a parent")).expect("made");
        fs::write(&path, text).expect("written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name} differs; UPDATE_GOLDEN=1 writes it anew");
}

/// A request as an operator meets it most days.
fn usual() -> Request {
    let agent = Agent {
        name: "claude-code".to_owned(),
        version: "2.1".to_owned(),
        session: "s-7f".to_owned(),
        on_behalf_of: "bea@example.com".to_owned(),
    };
    let clause = |groups: &[&str], approvals, approved| Clause {
        route: "databases".to_owned(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        approvals,
        approved,
        sign_in: false,
    };
    Request {
        id: "019ac5a2-7d5c-7cc3-98a5-3f1c2b4d5e6f".to_owned(),
        status: 1,
        digest: "6c1f".repeat(16),
        caller: "gateway".to_owned(),
        agent: Some(agent),
        server: "valkey".to_owned(),
        tool: "valkey_write".to_owned(),
        arguments: r#"{"command":"DEL","args":["user:1","user:2"],"timeout":9007199254740993,"password":"«hidden: text of 12 characters»","note":"first line\nsecond line"}"#.to_owned(),
        hidden_values: 1,
        category: 4,
        risk: 3,
        rule: "writes-need-ops".to_owned(),
        evidence: vec!["arguments say DEL".to_owned(), "name says write".to_owned()],
        policy_revision: "r12".to_owned(),
        explanation: "The user asked me to clean up.\nIt is safe.".to_owned(),
        labels: [("team".to_owned(), "core".to_owned()), ("env".to_owned(), "prod".to_owned())].into(),
        created_at: "2026-11-22T12:50:00.000Z".to_owned(),
        deadline: "2026-11-22T13:05:00.000Z".to_owned(),
        time_left_ms: 720_000,
        clauses: vec![clause(&["ops", "dba"], 2, 1)],
        asked: vec!["ana".to_owned(), "carl".to_owned(), "dora".to_owned()],
        decisions: vec![Decision {
            operator: "ana".to_owned(),
            verdict: 1,
            reason: "looked at both keys".to_owned(),
            decided_at: "2026-11-22T12:52:00.000Z".to_owned(),
            digest: "6c1f".repeat(16),
            strength: 2,
            own_call: false,
            on_screen_ms: None,
        }],
        waited_on: true,
        notices: notices(),
        looked: vec![
            Look { operator: "carl".to_owned(), at: "2026-11-22T12:51:00.000Z".to_owned() },
            Look { operator: "ana".to_owned(), at: "2026-11-22T12:51:30.000Z".to_owned() },
        ],
        ..Request::default()
    }
}

/// Mails as they go on an ordinary day.
fn notices() -> Vec<Notice> {
    let notice = |operator: &str, state: &str, detail: &str| Notice {
        operator: operator.to_owned(),
        kind: "asked".to_owned(),
        state: state.to_owned(),
        detail: detail.to_owned(),
        attempts: 1,
        at: "2026-11-22T12:50:02.000Z".to_owned(),
        ..Notice::default()
    };
    vec![
        notice("ana", "sent", "250 2.0.0 Ok: queued as 4bXk2Q"),
        Notice {
            next_attempt_at: "2026-11-22T12:54:10.000Z".to_owned(),
            attempts: 3,
            ..notice("carl", "deferred", "450 4.2.0 greylisted, try again later")
        },
        notice("dora", "failed", "550 5.1.1 no such user"),
    ]
}

/// One whose every text wants to be something else.
fn hostile() -> Request {
    let nasty = "\u{1b}[2J\u{202e}evil\r\nholdpoint: approved";
    Request {
        id: "019ac5a2-7d5c-7cc3-98a5-3f1c00000001".to_owned(),
        status: 1,
        digest: "00ff".repeat(16),
        caller: nasty.to_owned(),
        client: nasty.to_owned(),
        agent: Some(Agent {
            name: nasty.to_owned(),
            on_behalf_of: nasty.to_owned(),
            ..Agent::default()
        }),
        server: "fs\u{200b}".to_owned(),
        tool: "réad_file\t".to_owned(),
        arguments: format!(
            r#"{{"path":"\u001b]0;owned\u0007/etc/passwd","id: 5":"x","padding":"{}"}}"#,
            "amount: 5 ".repeat(30)
        ),
        explanation: nasty.to_owned(),
        not_covered: vec![nasty.to_owned()],
        evidence: vec![nasty.to_owned(), "x".to_owned()],
        definition_changed: format!("the definition changed: {nasty}"),
        may_have_run: vec!["019ac5a2-7d5c-7cc3-98a5-3f1c0000beef".to_owned()],
        identical_to: "019ac5a2-7d5c-7cc3-98a5-3f1c0000cafe".to_owned(),
        asked_again: 2,
        deadline: "2026-11-25T13:05:00.000Z".to_owned(),
        time_left_ms: 259_920_000,
        asked: vec!["local".to_owned()],
        unreached_at: "2026-11-22T12:51:00.000Z".to_owned(),
        unreached_why: format!("550 {nasty}"),
        clauses: vec![Clause { route: "built-in".to_owned(), approvals: 1, ..Clause::default() }],
        notices: vec![Notice {
            operator: "local".to_owned(),
            state: "failed".to_owned(),
            detail: nasty.to_owned(),
            ..Notice::default()
        }],
        ..Request::default()
    }
}

/// One that ran.
fn ended() -> Request {
    let mut r = usual();
    r.id = "019ac5a2-7d5c-7cc3-98a5-3f1c0badf00d".to_owned();
    (r.status, r.r#use, r.outcome, r.time_left_ms) = (2, 2, 2, 0);
    (r.category, r.risk) = (2, 1);
    r.ended_at = "2026-11-22T12:52:30.000Z".to_owned();
    r.used_at = "2026-11-22T12:52:31.000Z".to_owned();
    r.outcome_at = "2026-11-22T12:52:40.000Z".to_owned();
    r.outcome_detail = "exit code 3".to_owned();
    r.outcome_expected = true;
    r
}

fn shown(request: Request, may_decide: bool) -> GetRequestResponse {
    let because = if may_decide { "" } else { "it was asked on your behalf" };
    GetRequestResponse {
        request: Some(request),
        may_decide,
        may_not_decide_because: because.to_owned(),
    }
}

const WHOLE: Wanted = Wanted { all_arguments: false, commands: true };

#[test]
fn golden_show() {
    same("show_80.txt", &page(&shown(usual(), true), WHOLE, &view(80, true, false)));
    same("show_120_colour.txt", &page(&shown(usual(), true), WHOLE, &view(120, true, true)));
    same("show_plain.txt", &page(&shown(usual(), false), WHOLE, &view(80, false, false)));
    same("show_hostile_80.txt", &page(&shown(hostile(), true), WHOLE, &view(80, true, false)));
    same("show_ended_80.txt", &page(&shown(ended(), true), WHOLE, &view(80, true, false)));
}

#[test]
fn what_is_cut_is_said_with_how_to_see_it() {
    let long: Vec<String> = (0..200).map(|n| format!("{{\"row\":{n},\"b\":[[1]]}}")).collect();
    let cut = Request { arguments: format!("{{\"rows\":[{}]}}", long.join(",")), ..usual() };
    let all = format!("holdpoint show {} --args\n", cut.id);
    for (request, may_decide) in [(cut.clone(), true), (cut.clone(), false)] {
        let text = page(&shown(request, may_decide), WHOLE, &view(80, true, false));
        assert!(text.contains(&all), "{text}");
    }
    let over = Request { status: 2, ..cut.clone() };
    assert!(page(&shown(over, true), WHOLE, &view(80, true, false)).ends_with(&all));
    let whole = Wanted { all_arguments: true, ..WHOLE };
    assert!(!page(&shown(cut, true), whole, &view(80, true, false)).contains("--args"));
}

#[test]
fn golden_lists() {
    let all = [usual(), hostile(), ended()];
    for width in [40, 60, 80, 140] {
        same(
            &format!("pending_{width}.txt"),
            &listing::pending(&all, "ana", &view(width, true, false)),
        );
    }
    same("mine_80.txt", &listing::mine(&all, &view(80, true, false)));
    same("pending_plain.txt", &listing::pending(&all, "ana", &view(80, false, false)));
    let lines: String = all.iter().map(|r| records::request(r).to_text() + "\n").collect();
    same("pending.jsonl", &lines);
}

#[test]
fn golden_mail_queue() {
    let mail = |id, notice: Notice| Mail {
        id,
        notice: Some(notice),
        request_id: usual().id,
        ..Mail::default()
    };
    let mut mails: Vec<Mail> = (101..).zip(notices()).map(|(id, n)| mail(id, n)).collect();
    let nasty = Notice { attempts: 0, at: String::new(), ..hostile().notices.remove(0) };
    let state = "queued".to_owned();
    mails.push(mail(104, Notice { kind: "reminder".to_owned(), state, ..nasty }));
    let summary = Notice {
        operator: "ana".to_owned(),
        kind: "summary".to_owned(),
        state: "queued".to_owned(),
        ..Notice::default()
    };
    mails.push(Mail { id: 105, notice: Some(summary), gathers: 12, ..Mail::default() });
    for width in [60, 100] {
        let text = mail_queue::render(&mails, &view(width, true, false));
        assert!(text.lines().all(|line| line.width() <= width), "{text}");
        same(&format!("mail_queue_{width}.txt"), &text);
    }
    same("mail_queue_plain.txt", &mail_queue::render(&mails, &view(80, false, false)));
    let lines: String = mails.iter().map(|m| records::mail(m).to_text() + "\n").collect();
    same("mail_queue.jsonl", &lines);
}

#[test]
fn golden_audit() {
    let entry = |sequence, kind: &str, payload: &str| AuditEntry {
        sequence,
        at: "2026-11-22T12:52:30.000Z".to_owned(),
        kind: kind.to_owned(),
        request_id: usual().id,
        caller: "gateway".to_owned(),
        agent: "claude-code".to_owned(),
        server: "valkey".to_owned(),
        tool: "valkey_write".to_owned(),
        operator: if kind == "denied" { "ana".to_owned() } else { String::new() },
        payload: payload.to_owned(),
        ..AuditEntry::default()
    };
    let entries = [
        entry(3, "denied", r#"{"reason":"not on a Friday\u001b[31m"}"#),
        entry(2, "requested", "{}"),
        AuditEntry { sequence: 1, kind: "daemon_started".to_owned(), ..AuditEntry::default() },
    ];
    for width in [60, 100] {
        same(&format!("audit_{width}.txt"), &audit::render(&entries, &view(width, true, false)));
    }
    let lines: String = entries.iter().map(|e| records::entry(e).to_text() + "\n").collect();
    same("audit.jsonl", &lines);
}

#[test]
fn nothing_that_is_shown_is_wider_than_the_terminal_or_drives_it() {
    for width in 44..130 {
        let view = view(width, true, false);
        for request in [usual(), hostile(), ended()] {
            // The commands are there to be copied, and are not wrapped.
            let wanted = Wanted { all_arguments: true, commands: false };
            let text = page(&shown(request.clone(), true), wanted, &view);
            let table = listing::pending(&[request], "ana", &view);
            for line in text.lines().chain(table.lines()) {
                assert!(line.width() <= width, "{width}: {line}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
