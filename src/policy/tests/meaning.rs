//! Each rule of meaning, and the example's claims.

use super::*;
use crate::policy::call::{LimitKey, Take};

#[test]
fn the_example_means_what_it_says() {
    let policy = policy(EXAMPLE);
    let says = |call: Asked<'_>| {
        let ruling = call.of(&policy);
        (ruling.action, ruling.rule)
    };
    let rule = |action, rule: &str| (action, rule.to_owned());
    // The default, its timeout, and what trust is worth.
    assert_eq!(says(asked("other", "x")).0, minutes(15));
    assert_eq!(says(asked("other", "x")).1, "default: judge (line 9)");
    let said = asked("valkey", "valkey_info").says(READS);
    assert_eq!(says(said), rule(Action::Allow, "rules[4] (line 76)"));
    // The operator's word: destructive, so a person is asked.
    let asks = Action::Hold(Hold {
        timeout: Some(Duration::from_secs(1800)),
        told: Some("A person looks at what cannot be undone.".to_owned()),
        labels: vec![("team".to_owned(), "platform".to_owned())],
        route: Some("second-pair-of-eyes".to_owned()),
    });
    let deletes = || asked("valkey", "valkey_del");
    assert_eq!(says(deletes().with(r#"{"key":"dev:1"}"#)), rule(asks, "rules[3] (line 64)"));
    let never = denied("Keys of production are deleted by the platform team; open a ticket.");
    let named = "rules[2] \"no deletes in production\" (line 52)";
    assert_eq!(says(deletes().with(r#"{"key":"prod:1"}"#)), rule(never.clone(), named));
    // It cannot be evaluated: it matches.
    assert_eq!(says(deletes()), rule(never, named));
    // Its word on a tool makes it read.
    assert_eq!(says(asked("valkey", "valkey_ping")).0, Action::Allow);
    // Hidden.
    let hidden = rule(denied("Tool \"create_user\" is hidden by policy"), "rules[1] (line 48)");
    assert_eq!(says(asked("amazon-mq", "create_user")), hidden);
    assert!(policy.hides("amazon-mq", "create_user", None));
    assert!(!policy.hides("valkey", "create_user", None));
    // Each takes of the first limit; a deployment of its own too, if it is time.
    let takes = |call: Asked<'_>| call.of(&policy).takes.len();
    assert_eq!((takes(asked("other", "x")), takes(asked("other", "deploy_preview"))), (1, 1));
    assert_eq!(takes(deletes()), 0);
    assert_eq!((policy.servers(), policy.rules()), (1, 6));
}

#[test]
fn the_first_rule_that_matches_and_has_an_action_decides() {
    let allow = "  - {tool: \"*_x\", action: allow}\n";
    let hold = "  - {tool: \"a_*\", action: require_approval}\n";
    let deny = "  - {tool: a_x, action: deny, reason: Never.}\n";
    let first = |rules: [&str; 3]| judged(&format!("rules:\n{}", rules.concat()), "s", "a_x");
    assert_eq!(first([allow, hold, deny]), Action::Allow);
    assert_eq!(first([hold, allow, deny]), HELD);
    assert_eq!(first([deny, hold, allow]), denied("Never."));
}

#[test]
fn every_name_of_a_rule_must_match_and_what_is_left_out_matches_all() {
    let text = "default: allow\nrules:\n  - {server: [a, \"b*\"], tool: [x, \"y*\"], action: require_approval}\n  \
                - {server: only, action: require_approval}\n";
    for (server, tool, held) in [
        ("a", "x", true),
        ("a", "yy", true),
        ("bb", "x", true),
        ("bb", "yy", true),
        ("c", "x", false),
        ("a", "z", false),
        ("only", "z", true),
        ("A", "x", false),
    ] {
        assert_eq!(judged(text, server, tool) == HELD, held, "{server} {tool}");
    }
}

#[test]
fn a_tool_that_an_intercept_file_does_not_list_is_denied_in_its_words() {
    let text = "version: \"1\"\ndefault: deny\ntools:\n  x:\n";
    let ruling = asked("s", "y").of(&policy(text));
    assert_eq!(ruling.action, denied("Tool \"y\" is not permitted by policy"));
    assert_eq!(ruling.rule, "default (line 2)");
    assert_eq!(judged(text, "s", "x"), Action::Allow);
}

#[test]
fn what_no_rule_is_meant_for_gets_the_default() {
    let deny = denied("No rule of the policy allows this tool.");
    for (default, silent) in
        [("allow", Action::Allow), ("deny", deny), ("require_approval", HELD), ("judge", HELD)]
    {
        let text = format!("default: {default}\nrules:\n  - {{tool: z, action: allow}}\n");
        assert_eq!(judged(&text, "s", "x"), silent, "{default}");
        assert_eq!(judged(&text, "s", "z"), Action::Allow, "{default}");
    }
    let left_out = asked("s", "x").of(&policy("rules:\n  - {tool: z, action: allow}\n"));
    assert_eq!(
        (left_out.action, left_out.rule.as_str()),
        (HELD, "default: judge (not in the document)")
    );
}

#[test]
fn judge_lets_pass_what_is_known_to_read_and_holds_the_rest() {
    let trusting = policy("default: judge\ntimeout: 5m\nservers:\n  s: {trusted: true}\n");
    assert_eq!(asked("s", "x").says(READS).of(&trusting).action, Action::Allow);
    for definition in [SILENT, DESTROYS] {
        assert_eq!(asked("s", "x").says(definition).of(&trusting).action, minutes(5));
    }
    assert_eq!(asked("t", "x").says(READS).of(&trusting).action, minutes(5));
}

#[test]
fn without_a_file_reads_pass_and_everything_else_is_held() {
    let none = Policy::without_file().trusting("s");
    assert_eq!(none.revision(), "none");
    assert_eq!(asked("s", "x").says(READS).of(&none).action, Action::Allow);
    for call in [asked("s", "x"), asked("s", "x").says(DESTROYS), asked("t", "x").says(READS)] {
        let ruling = call.of(&none);
        assert_eq!(
            (ruling.action, ruling.rule.as_str()),
            (HELD, "default: judge (no policy file)")
        );
    }
}

#[test]
fn one_entry_that_says_so_makes_a_server_untrusted() {
    let text = "servers:\n  \"*\": {trusted: true}\n  \"bad*\": {trusted: false}\n";
    let policy = policy(text).trusting("bad_one").trusting("new");
    assert!(policy.trusts("good") && policy.trusts("new") && !policy.trusts("bad_one"));
    assert!(Policy::without_file().trusting("new").trusts("new"));
}

#[test]
fn the_operator_s_word_for_the_exact_name_stands_before_patterns_and_then_the_first() {
    let text = "rules:\n  - {category: financial, action: deny, reason: Money.}\n  \
                - {category: read, risk: low, action: allow}\nservers:\n  \"*\":\n    tools:\n      \
                \"pay_*\": {category: financial}\n      \"*_list\": {category: read, risk: low}\n  \
                shop:\n    tools:\n      pay_list: {category: read}\n";
    assert_eq!(judged(text, "other", "pay_list"), denied("Money."));
    assert_eq!(judged(text, "shop", "pay_list"), Action::Allow);
    assert_eq!(judged(text, "shop", "pay_now"), denied("Money."));
    assert_eq!(judged(text, "shop", "a_list"), Action::Allow);
    assert_eq!(judged(text, "shop", "a"), HELD);
}

#[test]
fn rules_match_by_category_and_risk() {
    let text = "default: allow\nservers:\n  \"*\":\n    tools:\n      a: {category: write, risk: low}\n      \
                b: {category: write, risk: high}\n      c: {category: financial, risk: high}\n\
                rules:\n  - {category: [write, read], risk: high, action: require_approval}\n";
    let held: Vec<bool> = ["a", "b", "c"].map(|tool| judged(text, "s", tool) == HELD).into();
    assert_eq!(held, [false, true, false]);
}

#[test]
fn what_a_tool_says_of_itself_allows_on_a_trusted_server_only_and_tightens_everywhere() {
    let allow = "rules:\n  - {annotation: {readOnlyHint: true}, action: allow}\nservers: {s: {trusted: true}}\ndefault: deny\n";
    assert_eq!(asked("s", "x").says(READS).of(&policy(allow)).action, Action::Allow);
    for call in [asked("t", "x").says(READS), asked("s", "x"), asked("s", "x").says(DESTROYS)] {
        assert!(matches!(call.of(&policy(allow)).action, Action::Deny { .. }), "{call:?}");
    }
    let deny = "default: allow\nrules:\n  - {annotation: {destructiveHint: true}, action: deny, reason: No.}\n";
    assert_eq!(asked("t", "x").says(DESTROYS).of(&policy(deny)).action, denied("No."));
    assert_eq!(asked("t", "x").says(READS).of(&policy(deny)).action, Action::Allow);
    // Whose definition is not known cannot be told.
    let arguments = json("{}");
    let unknown = Call {
        server: "s",
        tool: "x",
        definition: Definition::Unknown,
        arguments: &arguments,
        from: From::default(),
        at: now(),
    };
    assert_eq!(policy(deny).judge(&unknown, &Fresh).action, denied("No."));
    assert!(matches!(policy(allow).judge(&unknown, &Fresh).action, Action::Deny { .. }));
}

/// The word for what happens to a call of a tool of which only this is known.
fn of_unknown(text: &str, tool: &str, definition: Definition<'_>) -> &'static str {
    let (arguments, from) = (json("{}"), From::default());
    let call = Call { server: "s", tool, definition, arguments: &arguments, from, at: now() };
    policy(text).judge(&call, &Fresh).action.word()
}

#[test]
fn what_a_tool_does_is_in_doubt_where_its_server_does_not_say_what_it_is() {
    use Definition::{NotListed, Unknown};
    let (allow, deny, hold) = ("allow", "deny", "require_approval");
    let word = "servers: {s: {tools: {get_x: {category: read}}}}\n";
    let deny_by =
        |what: &str| format!("default: allow\nrules:\n  - {{{what}, action: deny, reason: No.}}\n");
    let category = deny_by("category: destructive");
    let risk = deny_by("risk: critical");
    let hint = deny_by("annotation: {destructiveHint: true}");
    let when = deny_by("when: 'call.category == \"destructive\"'");
    let reads = "default: deny\nrules:\n  - {category: read, action: allow}\n".to_owned();
    let judge = "default: judge\n".to_owned();
    for (text, tool, not_listed, unknown) in [
        // A name that tells: by the name where the server lists others only.
        (&category, "get_x", allow, deny),
        (&risk, "get_x", allow, deny),
        (&when, "get_x", allow, deny),
        (&reads, "get_x", allow, deny),
        (&judge, "get_x", allow, hold),
        (&category, "drop_table", deny, deny),
        // One that tells nothing.
        (&category, "frobnicate", deny, deny),
        (&risk, "frobnicate", deny, deny),
        (&when, "frobnicate", deny, deny),
        (&reads, "frobnicate", deny, deny),
        (&judge, "frobnicate", hold, hold),
        // What it states of itself is never known.
        (&hint, "get_x", deny, deny),
        // The operator's word is not in doubt.
        (&format!("{word}{category}"), "get_x", allow, allow),
        (&format!("{word}{risk}"), "get_x", allow, allow),
        (&format!("{word}{reads}"), "get_x", allow, allow),
        (&format!("{word}{judge}"), "get_x", allow, allow),
        // Rules by name are not, either.
        (&deny_by("tool: get_x"), "get_x", deny, deny),
        (&deny_by("tool: get_y"), "get_x", allow, allow),
    ] {
        assert_eq!(of_unknown(text, tool, NotListed), not_listed, "not listed: {tool} {text}");
        assert_eq!(of_unknown(text, tool, Unknown), unknown, "unknown: {tool} {text}");
    }
    // What is known to tell nothing is not in doubt: it is judged the more dangerous.
    assert_eq!(judged(&category, "s", "frobnicate").word(), allow);
}

#[test]
fn a_condition_that_cannot_be_evaluated_matches_unless_the_rule_allows() {
    let rule =
        |action: &str| format!("default: judge\nrules:\n  - {{when: args.n > 1, {action}}}\n");
    for (action, yes, doubt) in [
        ("action: allow", Action::Allow, HELD),
        ("action: deny, reason: No.", denied("No."), denied("No.")),
        ("action: require_approval, timeout: 1m", minutes(1), minutes(1)),
    ] {
        let policy = policy(&rule(action));
        assert_eq!(asked("s", "x").with(r#"{"n":2}"#).of(&policy).action, yes, "{action}");
        assert_eq!(asked("s", "x").with(r#"{"n":1}"#).of(&policy).action, HELD, "{action}");
        for arguments in ["{}", r#"{"n":"2"}"#, r#"{"n":null}"#, r#"{"n":9223372036854775808}"#] {
            let found = asked("s", "x").with(arguments).of(&policy).action;
            assert_eq!(found, doubt, "{action} {arguments}");
        }
    }
    let limits = policy(&rule("rate_limit: {max: 1, window: 60}"));
    assert_eq!(asked("s", "x").of(&limits).takes.len(), 1);
    assert_eq!(asked("s", "x").with(r#"{"n":1}"#).of(&limits).takes.len(), 0);
}

#[test]
fn arguments_that_are_no_object_are_refused() {
    for arguments in ["[]", "null", "\"{}\"", "7"] {
        let ruling = asked("s", "x").with(arguments).of(&policy("default: allow\n"));
        assert_eq!(ruling.action, denied("The arguments must be an object."), "{arguments}");
        assert_eq!(ruling.takes, []);
    }
}

#[test]
fn a_hidden_tool_cannot_be_called_by_its_name() {
    let text = "default: allow\nrules:\n  - {tool: x, action: allow}\n  - {tool: [x, \"y*\"], action: hide}\n";
    for tool in ["x", "yy"] {
        let reason = format!("Tool \"{tool}\" is hidden by policy");
        assert_eq!(judged(text, "s", tool), denied(&reason));
        assert!(policy(text).hides("s", tool, None), "{tool}");
    }
    assert!(!policy(text).hides("s", "z", None));
    // By what it says of itself; of one that says nothing, nobody knows.
    let says = policy("rules:\n  - {annotation: {destructiveHint: true}, action: hide}\n");
    let tool = |text: &str| Tool::of(&json(text));
    assert!(says.hides("s", "x", Some(&tool(DESTROYS))) && says.hides("s", "x", None));
    assert!(!says.hides("s", "x", Some(&tool(READS))));
}

#[test]
fn a_name_that_may_look_like_another_never_passes_unseen() {
    let text = "default: allow\nrules:\n  - {tool: \"get*\", action: allow}\n";
    for tool in ["gеt_user", "get_user\u{200b}", "get user", "get_usеr", "ｇet", "get\n", ""] {
        assert_eq!(judged(text, "s", tool), HELD, "{tool:?}");
    }
    for tool in ["get_user", "get-user", "get.user/2", "G"] {
        assert_eq!(judged(text, "s", tool), Action::Allow, "{tool:?}");
    }
}

/// Counters that say the same of everything.
struct Count(u32, Duration);

impl Counters for Count {
    fn recent(&self, _: &LimitKey, _: u32, _: Duration) -> Result<Recent, Untold> {
        Ok(Recent { count: self.0, free_in: self.1 })
    }

    fn value(&self, _: &CounterKey) -> Result<i64, Untold> {
        Ok(0)
    }
}

/// Counters that cannot be read.
struct Broken;

impl Counters for Broken {
    fn recent(&self, _: &LimitKey, _: u32, _: Duration) -> Result<Recent, Untold> {
        Err(Untold)
    }

    fn value(&self, _: &CounterKey) -> Result<i64, Untold> {
        Err(Untold)
    }
}

#[test]
fn a_limit_that_is_used_up_says_when_to_try_again() {
    let limits = |more: &str| {
        format!(
            "default: allow\nrules:\n  - {{tool: x, rate_limit: {{max: 10, window: 60}}{more}}}\n"
        )
    };
    let limited = |text: &str| {
        let ruling =
            asked("s", "x").counted(&policy(text), &Count(10, Duration::from_millis(11_200)));
        assert_eq!(ruling.takes, []);
        match ruling.action {
            Action::Limited { reason, again_in } => {
                assert_eq!(again_in, Some(Duration::from_millis(11_200)));
                reason
            }
            other => panic!("{other:?}"),
        }
    };
    let ours = "At most 10 calls in 60 s are allowed by";
    assert_eq!(limited(&limits("")), format!("{ours} rules[0] (line 3)."));
    assert_eq!(limited(&limits(", name: slow")), format!("{ours} the rule \"slow\"."));
    let said = limited(&limits(", reason: Slower., name: slow"));
    assert_eq!(said, format!("Slower. {ours} the rule \"slow\"."));
    // With room, one that only limits is passed over, and one that has an action decides.
    let room = |text: &str| asked("s", "x").counted(&policy(text), &Count(9, Duration::ZERO));
    assert_eq!(room(&limits("")).action, Action::Allow);
    let held = room(&limits(", action: require_approval"));
    assert_eq!((held.action, held.takes.len()), (HELD, 1));
    let broken = asked("s", "x").counted(&policy(&limits("")), &Broken);
    assert!(matches!(broken.action, Action::Limited { again_in: None, .. }), "{broken:?}");
}

#[test]
fn a_call_that_is_refused_takes_nothing() {
    let text =
        "rules:\n  - {rate_limit: {max: 2, window: 9}}\n  - {tool: x, action: deny, reason: No.}\n";
    assert_eq!(asked("s", "x").of(&policy(text)).takes, []);
    assert_eq!(asked("s", "z").of(&policy(text)).takes.len(), 1);
    assert!(
        policy(text).counts("s", "z")
            && !policy("rules:\n  - {tool: z, action: allow}\n").counts("s", "z")
    );
}

fn key(text: &str, from: From<'_>) -> String {
    let ruling = Asked { from, ..asked("srv", "x") }.of(&policy(text));
    match ruling.takes.as_slice() {
        [Take::Sliding { key, .. }] => key.0.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_limit_is_never_nobody_s() {
    let of = |per: &str| {
        format!("rules:\n  - {{name: slow, rate_limit: {{max: 1, window: 1, per: {per}}}}}\n")
    };
    let all = From { client: "ci", session: "s1", user: "ada", ..From::default() };
    let client = From { client: "ci", ..From::default() };
    let nobody = From::default();
    for (per, from, whose) in [
        ("session", all, "session \"s1\" of client \"ci\""),
        ("session", client, "client \"ci\""),
        ("session", nobody, "server \"srv\""),
        ("client", all, "client \"ci\""),
        ("client", nobody, "server \"srv\""),
        ("user", all, "user \"ada\""),
        ("user", client, "client \"ci\""),
        ("user", nobody, "server \"srv\""),
        ("server", all, "server \"srv\""),
        ("all", all, "all"),
    ] {
        assert_eq!(key(&of(per), from), format!("rule \"slow\" {whose}"), "{per}");
    }
    let long = "x".repeat(5000);
    assert!(key(&of("client"), From { client: &long, ..nobody }).len() < 1024);
    // Quotes in a name do not make it another's.
    let tricky = From { client: "a\" of", session: "s", ..nobody };
    assert_ne!(
        key(&of("session"), tricky),
        key(&of("session"), From { client: "a", session: "s\" of client \"", ..nobody })
    );
}

#[test]
fn a_rule_that_moves_or_is_read_again_keeps_its_count() {
    let limit = "  - {tool: x, when: \"true || args.n\", rate_limit: {max: 1, window: 1}}\n";
    let other = "  - {tool: z, action: allow}\n";
    let all = From { client: "ci", session: "s1", ..From::default() };
    let first = key(&format!("rules:\n{limit}{other}"), all);
    assert_eq!(first, key(&format!("rules:\n{other}\n\n{limit}"), all));
    assert_eq!(first, key(&format!("rules:\n{}", limit.replace("max: 1", "max: 2")), all));
    assert_ne!(first, key(&format!("rules:\n{}", limit.replace("args.n", "args.m")), all));
    let twice = refused(&format!("rules:\n{limit}{limit}"));
    assert!(twice.contains("would count together with the one in line 2"), "{twice}");
}

#[test]
fn the_clock_of_conditions_hangs_in_the_time_zone() {
    let at_seven = |zone: &str| {
        let text =
            format!("default: deny\n{zone}rules:\n  - {{when: time.hour == 19, action: allow}}\n");
        judged(&text, "s", "x") == Action::Allow
    };
    assert!(at_seven("time_zone: Europe/Berlin\n") && !at_seven(""));
}

#[test]
fn patterns_are_globs_over_whole_names() {
    let allowed = |pattern: &str, name: &str| {
        let text = format!("default: deny\nrules:\n  - {{server: '{pattern}', action: allow}}\n");
        judged(&text, name, "x") == Action::Allow
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
    let name = "ä⟨".repeat(20);
    let text = format!("rules:\n  - {{name: \"{name}\", action: allow}}\n");
    let rule = asked("s", "x").of(&policy(&text)).rule;
    assert!(rule.len() <= 200 && rule.contains('…') && rule.ends_with("(line 2)"), "{rule}");
    assert!(rule.contains("⟨U+27E8⟩"), "{rule}");
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
    let text = "default:\tdeny\nrules: [\n  {'tool': [\n    x,\n  ], action: allow},\n]\n...\n";
    assert_eq!(judged(text, "a", "x"), Action::Allow);
    let block = "---\nrules:\n- tool: [\n    x,\n  ]\n  action: allow\n";
    assert_eq!(judged(block, "a", "x"), Action::Allow);
}

#[test]
fn a_reason_is_told_on_one_line() {
    let text = "rules:\n  - tool: x\n    action: deny\n    reason: |\n      One,\n\n      two.\n";
    assert_eq!(judged(text, "s", "x"), denied("One, two."));
}
