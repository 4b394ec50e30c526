//! Each rule of meaning, the example's claims, and what holds for every policy.

use proptest::prelude::*;

use super::*;

fn judged(text: &str, server: &str, tool: &str, annotations: Annotations) -> Action {
    policy(text).verdict(server, tool, &annotations).action
}

#[test]
fn the_example_means_what_it_says() {
    let policy = policy(EXAMPLE);
    let says = |server: &str, tool: &str, annotations: Annotations| {
        let Verdict { action, rule } = policy.verdict(server, tool, &annotations);
        (action, rule)
    };
    let rule = |rule: &str| rule.to_owned();
    let flush = || denied("Nothing is flushed by an agent.");

    // The default of the document, and its timeout.
    assert_eq!(says("other", "x", SILENT), (minutes(15), rule("default (line 15)")));
    assert_eq!(says("other", "x", READS).0, minutes(15));
    // Trusted: what only reads passes where no line matches.
    assert_eq!(
        says("valkey", "valkey_info", READS),
        (Action::Allow, rule("valkey: trusted, read-only tool (line 29)"))
    );
    assert_eq!(says("valkey", "valkey_info", SILENT).0, minutes(15));
    assert_eq!(says("valkey", "valkey_info", BOTH).0, minutes(15));
    assert_eq!(says("valkey", "valkey_del_hints", READS).0, minutes(30));
    // Its lines.
    assert_eq!(
        says("valkey", "valkey_get", BOTH),
        (Action::Allow, rule("valkey: valkey_get (line 32)"))
    );
    assert_eq!(says("valkey", "valkey_set", SILENT).0, minutes(30));
    assert_eq!(
        says("valkey", "valkey_del", SILENT),
        (minutes(30), rule("valkey: valkey_del* (line 35)"))
    );
    // A default of deny, which nothing that a tool says passes over.
    for annotations in [SILENT, READS] {
        assert_eq!(
            says("amazon-mq", "reboot_broker", annotations),
            (
                denied("No rule of the policy allows this tool."),
                rule("amazon-mq: default (line 41)")
            )
        );
    }
    assert_eq!(says("amazon-mq", "list_brokers", SILENT).0, Action::Allow);
    assert_eq!(says("amazon-mq", "describe_broker", SILENT).0, Action::Allow);
    assert_eq!(says("amazon-mq", "create_broker", SILENT).0, minutes(15));
    assert_eq!(
        says("amazon-mq", "delete_broker", SILENT),
        (
            denied("Brokers are deleted by the platform team; open a ticket."),
            rule("amazon-mq: delete_broker (line 49)")
        )
    );
    // Every server.
    for server in ["valkey", "amazon-mq", "other", ""] {
        assert_eq!(says(server, "x_flush_all", READS), (flush(), rule("*: *_flush_all (line 58)")));
    }
    assert_eq!(
        says("amazon-mq", "describe_secrets", READS),
        (minutes(15), rule("*: *secret* (line 62)"))
    );
    // Names are matched whole, and case counts.
    for near in ["valkey_gets", "a_valkey_get", "Valkey_Get", "valkey_get\n", ""] {
        assert_eq!(says("valkey", near, SILENT).0, minutes(15), "{near:?}");
    }
    assert_eq!((policy.servers(), policy.rules()), (3, 7));
}

#[test]
fn the_strictest_line_stands_whatever_the_order() {
    let lines = [
        "      - {match: \"*_x\", action: allow}\n",
        "      - {match: \"a_*\", action: require_approval}\n",
        "      - {match: a_x, action: deny, reason: Never.}\n",
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let lines: String = order.iter().map(|n| lines[*n]).collect();
        let text = format!("servers:\n  s:\n    tools:\n{lines}");
        assert_eq!(judged(&text, "s", "a_x", READS), denied("Never."));
        assert_eq!(judged(&text, "s", "a_y", SILENT), HELD);
        assert_eq!(judged(&text, "s", "b_x", SILENT), Action::Allow);
    }
}

#[test]
fn of_equal_lines_the_first_stands_over_all_entries() {
    let text = "servers:\n  \"*\":\n    tools:\n      - {match: \"*\", action: deny, reason: First.}\n  \
                s:\n    tools:\n      - {match: x, action: deny, reason: Second.}\n";
    let verdict = policy(text).verdict("s", "x", &SILENT);
    assert_eq!(verdict, Verdict { action: denied("First."), rule: "*: * (line 4)".to_owned() });
    let allows =
        text.replace("deny, reason: First.", "allow").replace("deny, reason: Second.", "allow");
    assert_eq!(policy(&allows).verdict("s", "x", &SILENT).rule, "*: * (line 4)");
    let within = "servers:\n  s:\n    tools:\n      - {match: \"?\", action: allow}\n      - {match: x, action: allow}\n";
    assert_eq!(policy(within).verdict("s", "x", &SILENT).rule, "s: ? (line 4)");
}

#[test]
fn of_several_that_hold_the_shortest_timeout_stands() {
    let lines = |timeouts: [&str; 2]| {
        let [one, two] =
            timeouts.map(|timeout| format!("match: \"*\", action: require_approval{timeout}"));
        format!("servers:\n  s:\n    tools:\n      - {{{one}}}\n      - {{{two}}}\n")
    };
    let none_given = lines(["", ", timeout: 30m"]);
    assert_eq!(judged(&none_given, "s", "x", SILENT), minutes(30));
    assert_eq!(judged(&lines([", timeout: 10m", ", timeout: 5m"]), "s", "x", SILENT), minutes(5));
    assert_eq!(judged(&lines([", timeout: 5m", ", timeout: 10m"]), "s", "x", SILENT), minutes(5));
    assert_eq!(judged(&format!("timeout: 20m\n{none_given}"), "s", "x", SILENT), minutes(20));
    assert_eq!(judged(&format!("timeout: 40m\n{none_given}"), "s", "x", SILENT), minutes(30));
    let equal = policy(&lines([", timeout: 5m", ", timeout: 5m"])).verdict("s", "x", &SILENT);
    assert_eq!(equal.rule, "s: * (line 4)");
}

#[test]
fn the_strictest_default_of_the_entries_that_match_holds_before_the_document_s() {
    let text = "default: allow\nservers:\n  \"s*\": {default: require_approval}\n  \"*t\": {default: deny}\n  \
                \"?\": {tools: []}\n";
    assert_eq!(judged(text, "st", "x", SILENT), denied("No rule of the policy allows this tool."));
    assert_eq!(judged(text, "sa", "x", SILENT), HELD);
    assert_eq!(judged(text, "s", "x", SILENT), HELD);
    assert_eq!(judged(text, "t", "x", SILENT), denied("No rule of the policy allows this tool."));
    assert_eq!(judged(text, "q", "x", SILENT), Action::Allow);
    // A default that is looser than the document's holds too: it was said of this server.
    let looser = "default: deny\nservers:\n  s: {default: allow}\n";
    assert_eq!(judged(looser, "s", "x", SILENT), Action::Allow);
    assert_eq!(judged(looser, "t", "x", READS), denied("No rule of the policy allows this tool."));
}

#[test]
fn one_entry_that_says_so_makes_a_server_untrusted() {
    let text = "servers:\n  \"*\": {trusted: true}\n  \"bad*\": {trusted: false}\n";
    let policy = policy(text).trusting("bad_one").trusting("new");
    assert_eq!(policy.verdict("good", "x", &READS).action, Action::Allow);
    assert_eq!(policy.verdict("bad_one", "x", &READS).action, HELD);
    assert!(policy.trusts("good") && !policy.trusts("bad_one"));
}

#[test]
fn trust_passes_over_no_line_and_over_no_deny() {
    let lines = "servers:\n  s:\n    trusted: true\n    tools:\n      - {match: held, action: require_approval}\n";
    assert_eq!(judged(lines, "s", "held", READS), HELD);
    assert_eq!(judged(lines, "s", "other", READS), Action::Allow);
    let deny = "default: deny\nservers:\n  s: {trusted: true}\n";
    assert_eq!(judged(deny, "s", "x", READS), denied("No rule of the policy allows this tool."));
}

#[test]
fn without_a_file_everything_is_held_but_reads_of_servers_that_are_trusted() {
    let none = Policy::without_file();
    assert_eq!(none.revision(), "none");
    let held = Verdict { action: HELD, rule: "no policy file".to_owned() };
    for annotations in [SILENT, READS, BOTH] {
        assert_eq!(none.verdict("s", "x", &annotations), held);
    }
    let trusting = none.trusting("s");
    assert_eq!(trusting.verdict("s", "x", &READS).action, Action::Allow);
    assert_eq!(trusting.verdict("s", "x", &READS).rule, TRUSTED_BY_CONFIGURATION);
    for (server, annotations) in [("s", SILENT), ("s", BOTH), ("S", READS), ("s2", READS)] {
        assert_eq!(trusting.verdict(server, "x", &annotations), held);
    }
}

#[test]
fn patterns_are_globs_over_whole_names() {
    let allowed = |pattern: &str, name: &str| {
        let text =
            format!("servers:\n  s:\n    tools:\n      - {{match: '{pattern}', action: allow}}\n");
        judged(&text, "s", name, SILENT) == Action::Allow
    };
    for (pattern, names) in [
        ("get_*", vec!["get_", "get_a", "get_a/b.c\nd", "get_é"]),
        ("*", vec!["", "a", "a/b", ".", "..", "a."]),
        ("*.", vec!["a.", ".", ".."]),
        ("*.read", vec![".read", "a.read", "a/.read"]),
        ("a?", vec!["ab", "a/", "a\n"]),
        ("[a-c]x", vec!["ax", "cx"]),
        ("[!a]x", vec!["bx", "/x"]),
        ("{get,list}{,_all}", vec!["get", "list", "get_all", "list_all"]),
        ("\\*", vec!["*"]),
        ("é*", vec!["é", "éa"]),
        ("caf??", vec!["café"]),
        ("a.b+(c)^$|", vec!["a.b+(c)^$|"]),
    ] {
        for name in names {
            assert!(allowed(pattern, name), "{pattern} {name:?}");
        }
    }
    for (pattern, names) in [
        ("get_*", vec!["get", "xget_a", "GET_a"]),
        ("*.", vec!["a", ".a"]),
        ("a?", vec!["a", "abc"]),
        ("[!a]x", vec!["ax"]),
        ("{get,list}{,_all}", vec!["get_", "_all", "getlist"]),
        ("\\*", vec!["\\", "a"]),
        ("a.b", vec!["axb"]),
        ("get", vec!["get\n", "\nget", "get ", ""]),
    ] {
        for name in names {
            assert!(!allowed(pattern, name), "{pattern} {name:?}");
        }
    }
}

#[test]
fn a_rule_is_short_safe_text() {
    let long = "ä⟨".repeat(70);
    let text = format!(
        "servers:\n  \"{long}*\":\n    trusted: true\n    default: deny\n    tools:\n      - \
         {{match: \"{long}*\", action: allow}}\n"
    );
    let policy = policy(&text);
    for tool in [long.as_str(), "x"] {
        let rule = policy.verdict(&long, tool, &SILENT).rule;
        assert!(rule.len() <= 200 && rule.contains('…') && rule.ends_with(')'), "{rule}");
        assert!(rule.contains("⟨U+27E8⟩"), "{rule}");
    }
}

#[test]
fn a_revision_tells_documents_apart() {
    let revision = |text: &str| policy(text).revision().to_owned();
    let allow = revision("default: allow");
    assert_eq!(allow, revision("default: allow"));
    assert_ne!(allow, revision("default: allow\n"));
    let digits = allow.strip_prefix("sha256:").expect("a prefix");
    assert!(digits.len() == 16 && digits.chars().all(|c| c.is_ascii_hexdigit()));
}

#[test]
fn yaml_s_other_spellings_mean_the_same() {
    let text = "default:\tdeny\nservers: {\n  'a': {\n    tools: [\n      {match: [\n        x,\n      ], \
                action: allow},\n    ]\n  }\n}\n...\n";
    assert_eq!(judged(text, "a", "x", SILENT), Action::Allow);
    let block = "---\nservers:\n  a:\n    tools:\n    - match: [\n        x,\n      ]\n      action: allow\n";
    assert_eq!(judged(block, "a", "x", SILENT), Action::Allow);
}

#[test]
fn a_reason_is_told_on_one_line() {
    let text = "servers:\n  s:\n    tools:\n      - match: x\n        action: deny\n        reason: |\n          \
                One,\n\n          two.\n";
    assert_eq!(judged(text, "s", "x", SILENT), denied("One, two."));
}

#[test]
fn deny_is_stricter_than_hold_and_hold_than_allow_and_nothing_than_itself() {
    let verdict = |action: Action| Verdict { action, rule: String::new() };
    let order =
        [vec![Action::Allow], vec![HELD, minutes(5), minutes(60)], vec![denied("a"), denied("b")]];
    for (i, looser) in order.iter().enumerate() {
        for (j, stricter) in order.iter().enumerate() {
            for (a, b) in looser.iter().flat_map(|a| stricter.iter().map(move |b| (a, b))) {
                let answer = verdict(b.clone()).action.is_stricter_than(&verdict(a.clone()).action);
                assert_eq!(answer, j > i, "{b:?} {a:?}");
            }
        }
    }
}

/// A document of few names, so that its lines meet.
fn documents() -> impl Strategy<Value = Vec<(String, String, Vec<String>)>> {
    let pattern =
        || prop::sample::select(vec!["a", "b", "ab", "*", "a*", "*b", "?", "{a,b}", "[!a]*"]);
    let head = prop::sample::select(vec![
        "trusted: true",
        "trusted: false",
        "default: allow",
        "default: deny",
        "default: require_approval",
        "trusted: true, default: allow",
        "trusted: true, default: deny",
    ]);
    let action = prop::sample::select(vec![
        "allow",
        "require_approval",
        "require_approval, timeout: 5s",
        "deny, reason: Never.",
    ]);
    let line = (pattern(), action).prop_map(|(p, a)| format!("{{match: \"{p}\", action: {a}}}"));
    let server = (pattern(), head, prop::collection::vec(line, 0..5))
        .prop_map(|(name, head, lines)| (name.to_owned(), head.to_owned(), lines));
    prop::collection::vec(server, 0..4).prop_map(|mut servers| {
        let mut seen = std::collections::HashSet::new();
        servers.retain(|(name, ..)| seen.insert(name.clone()));
        servers
    })
}

fn written(default: &str, servers: &[(String, String, Vec<String>)]) -> String {
    let server = |(name, head, lines): &(String, String, Vec<String>)| {
        format!("  \"{name}\": {{{head}, tools: [{}]}}\n", lines.join(", "))
    };
    let servers: String = servers.iter().map(server).collect();
    let servers = if servers.is_empty() { String::new() } else { format!("servers:\n{servers}") };
    format!("default: {default}\n{servers}")
}

const DEFAULTS: [&str; 3] = ["allow", "deny", "require_approval"];

proptest! {
    #[test]
    fn adding_a_deny_line_never_loosens_anything(
        mut servers in documents(),
        default in prop::sample::select(DEFAULTS.to_vec()),
        entry in 0..4_usize,
        at in 0..5_usize,
        pattern in prop::sample::select(vec!["a", "*", "?b", "{a,ab}"]),
    ) {
        let before = policy(&written(default, &servers));
        prop_assume!(!servers.is_empty());
        let entry = entry % servers.len();
        let lines = &mut servers[entry].2;
        lines.insert(at.min(lines.len()), format!("{{match: \"{pattern}\", action: deny, reason: Added.}}"));
        let after = policy(&written(default, &servers));
        for server in ["", "a", "b", "ab", "ba", "c"] {
            for tool in ["", "a", "b", "ab", "ba", "c"] {
                for annotations in [SILENT, READS, BOTH] {
                    let (before, after) =
                        (before.verdict(server, tool, &annotations), after.verdict(server, tool, &annotations));
                    prop_assert!(!before.action.is_stricter_than(&after.action), "{server} {tool} {before:?} {after:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_that_a_tool_says_of_itself_makes_an_untrusted_server_s_call_looser(
        servers in documents(),
        default in prop::sample::select(DEFAULTS.to_vec()),
        server in "[abc]{0,2}",
        tool in "[abc]{0,2}",
    ) {
        let policy = policy(&written(default, &servers));
        let silent = policy.verdict(&server, &tool, &SILENT);
        for annotations in [READS, BOTH] {
            let said = policy.verdict(&server, &tool, &annotations);
            prop_assert!(said == silent || (policy.trusts(&server) && annotations == READS));
            prop_assert!(!silent.action.is_stricter_than(&said.action) || silent.action == HELD);
        }
    }

    #[test]
    fn judging_never_panics_and_a_rule_stays_short(server in "\\PC{0,300}", tool in any::<String>()) {
        let policy = policy(EXAMPLE).trusting(&server);
        for annotations in [SILENT, READS, BOTH] {
            prop_assert!(policy.verdict(&server, &tool, &annotations).rule.len() <= 200);
        }
    }
}
