//! Documents that were written to do harm, and documents that are only large.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

/// Generous: a debug build on a busy machine. What is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_bomb_is_refused_before_it_grows() {
    let mut bomb = "a: &a [x, x]\n".to_owned();
    for (name, of) in ('b'..='z').zip('a'..) {
        bomb.push_str(&format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}]\n"));
    }
    let said = refused(&bomb);
    assert!(said.contains("is a YAML anchor") && said.contains("alias"), "{said}");
    assert!(said.lines().count() <= 201 && said.contains("and "), "{said}");
}

#[test]
fn large_and_hostile_texts_are_refused_soon() {
    let fill = |text: &str| text.repeat(LONGEST / text.len());
    let quoted = format!("reason: \"{}", fill("x"));
    let texts = [
        fill("["),
        fill("{"),
        fill("- "),
        fill("? "),
        fill("[]"),
        fill("a: "),
        fill("&a "),
        fill("*a "),
        fill("!a "),
        fill("\""),
        fill("'"),
        fill("|\n"),
        fill(","),
        fill(":"),
        fill("#"),
        fill("\n"),
        fill("%"),
        fill("---\n"),
        fill("- a\n"),
        fill("a:\n- "),
        fill(" "),
        fill("\t"),
        fill("\r\n"),
        fill("[a, "),
        fill("{a: "),
        fill("a,"),
        fill("x"),
        fill("\\"),
        fill("- - - -\n"),
        fill("?\n"),
        fill("é"),
        fill(" -\n"),
        fill("\"\\u0041\" "),
        quoted.get(..LONGEST).unwrap_or_default().to_owned(),
        format!("a: [{}]", fill("a,").get(10..).unwrap_or_default()),
        format!("a: {{{}}}", fill("a,").get(10..).unwrap_or_default()),
        (0..100_000).map(|n| format!("k{n}: 1\n")).collect(),
        (0..9_000).map(|n| format!("{}k{n}:\n", " ".repeat(n % 90))).collect(),
        (0..1_000).map(|n| format!("{}k{n}:\n", " ".repeat(n))).collect(),
    ];
    for text in texts {
        let began = Instant::now();
        let said = refused(&text);
        let start: String = text.chars().take(12).collect();
        assert!(began.elapsed() < SOON, "{start:?} took {:?}", began.elapsed());
        assert!(said.lines().count() <= 201, "{start:?}");
        assert!(said.lines().all(|line| line.len() < 600), "{start:?}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let padded = format!("default: deny\n#{}", "x".repeat(LONGEST));
    let longest = padded.get(..LONGEST).expect("ASCII");
    assert!(Policy::read(longest.as_bytes()).is_ok());
    let longer = padded.get(..=LONGEST).expect("ASCII");
    assert!(refused(longer).starts_with("1:1: the document is longer than 1024 KiB"));
}

#[test]
fn what_is_not_text_is_refused_where_it_stands() {
    let said = Policy::read(b"default: deny\n# \xc3\xa9\xff").expect_err("not UTF-8").to_string();
    assert!(said.starts_with("2:4: this is not UTF-8"), "{said}");
}

#[test]
fn what_cannot_be_seen_hides_nothing() {
    // The end for some parsers, a line end for others, and text in another order.
    for (hidden, code) in [
        ("\0", "0000"),
        ("\r", "000D"),
        ("\u{202e}", "202E"),
        ("\u{2028}", "2028"),
        ("\u{85}", "0085"),
        ("\u{a0}", "00A0"),
    ] {
        let said = refused(&format!("default: deny\n# {hidden}x\ndefault: allow\n"));
        assert!(
            said.starts_with(&format!(
                "2:3: there is a character here that cannot be seen: U+{code}"
            )),
            "{said}"
        );
    }
    policy("\u{feff}default: deny\r\n");
    assert!(refused("default: deny\u{feff}\n").contains("U+FEFF"));
    let escaped = "rules:\n  - {tool: \"a\\u200b\", action: allow}\n";
    assert!(refused(escaped).contains("cannot be seen"));
}

#[test]
fn the_number_of_problems_that_are_listed_is_bounded() {
    let text: String = (0..1_000).map(|n| format!("k{n}: 1\n")).collect();
    let error = Policy::read(text.as_bytes()).expect_err("unknown keys");
    assert_eq!((error.problems.len(), error.more), (100, 900));
    assert!(error.to_string().ends_with("\nand 900 more"));
}

/// As many rules as a document of the largest size has room for, by a pattern.
fn many(pattern: impl Fn(usize) -> String) -> String {
    let rule = |n| format!("  - {{server: s, tool: \"{}\", action: allow}}\n", pattern(n));
    "rules:\n".to_owned() + &(0..10_000).map(rule).collect::<String>()
}

#[test]
fn ten_thousand_rules_are_read_and_judged_soon() {
    let rules = |rule: &dyn Fn(usize) -> String| {
        let rules = (0..10_000).map(|n| format!("  - {{{}, action: allow}}\n", rule(n)));
        "rules:\n".to_owned() + &rules.collect::<String>()
    };
    let servers = rules(&|n| format!("server: \"s{n}*\", tool: \"get{n}*\""));
    let whens =
        rules(&|n| format!("tool: t{n}, when: \"args.n == {n} && args.m.exists(x, x > 1)\""));
    let words = (0..10_000).map(|n| format!("  s{n}: {{tools: {{t: {{category: read}}}}}}\n"));
    let words = "default: allow\nservers:\n".to_owned() + &words.collect::<String>();
    let documents = [
        ("names", many(|n| format!("tool_{n}")), "s", "tool_9999"),
        ("globs", many(|n| format!("*a{n}_?x*")), "s", "bba9999_yxx"),
        ("the same", many(|_| "get_*".to_owned()), "s", "get_x"),
        ("stars", many(|n| format!("*a*b*c*{n}")), "s", "xaxbxc9999"),
        ("anything", many(|n| format!("{}{n}", "?".repeat(20))), "s", "xxxxxxxxxxxxxxxxxxxx9999"),
        ("servers", servers, "s9999", "get9999"),
        ("conditions", whens, "s", "t9999"),
        ("words", words, "s9999", "t"),
    ];
    for (name, text, server, tool) in documents {
        let began = Instant::now();
        let policy = policy(&text);
        let read = began.elapsed();
        let began = Instant::now();
        let call = asked(server, tool).with(r#"{"n":9999,"m":[2]}"#);
        for _ in 0..100 {
            assert_eq!(call.of(&policy).action, Action::Allow, "{name}");
            assert!(name == "words" || asked(server, "no_such_tool").of(&policy).action == HELD);
        }
        let judged = began.elapsed() / 200;
        println!("{name}: read in {read:?}, judged in {judged:?}");
        assert!(read < SOON, "{name}: read in {read:?}");
        assert!(judged < Duration::from_millis(100), "{name}: judged in {judged:?}");
    }
}

#[test]
fn patterns_that_would_take_too_much_memory_are_refused() {
    let said = refused(&many(|n| format!("{}{n}", "?*".repeat(25))));
    assert!(said.starts_with("2:23: the patterns from here on"), "{said}");
}

/// Each of many rules is as costly as one may be; the call is to cost no more.
#[test]
fn the_conditions_on_one_call_share_its_budget() {
    let numbers: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let list = format!(r#"{{"list":[{}]}}"#, numbers.join(","));
    let rule = |n: usize| {
        format!("  - {{when: 'args.list.all(x, x >= -{n})', rate_limit: {{max: 1, window: 60}}}}\n")
    };
    let rules: String = (0..300).map(rule).collect();
    let deny = "  - {tool: t, when: 'args.list.exists(x, x < 0)', action: deny, reason: No.}\n";
    let ours = policy(&format!("default: allow\nrules:\n{rules}{deny}"));
    let rule = |n: usize| {
        let test = r#"path: args.text, op: regex, value: "[ab]*a[ab]{1000}c""#;
        format!("      - {{name: r{n}, action: require_approval, conditions: [{{{test}}}]}}\n")
    };
    let rules: String = (0..300).map(rule).collect();
    let never = r#"      - {name: never, conditions: [{path: args.text, op: regex, value: "b"}]}"#;
    let theirs = policy(&format!("version: \"1\"\ntools:\n  t:\n    rules:\n{rules}{never}\n"));
    let text = format!(r#"{{"text":"{}"}}"#, "ab".repeat(32_000));
    for (policy, arguments, said) in
        [(ours, list, denied("No.")), (theirs, text, denied("Denied by rule \"never\""))]
    {
        let arguments = json(&arguments);
        let definition = Tool::default();
        let (server, tool, from) = ("s", "t", From::default());
        let definition = Definition::Is(&definition);
        let call = Call { server, tool, definition, arguments: &arguments, from, at: now() };
        let began = Instant::now();
        let action = policy.judge(&call, &Fresh).action;
        let took = began.elapsed();
        println!("{took:?}");
        assert!(took < Duration::from_millis(500), "{took:?}");
        // What comes after the end of the budget cannot be evaluated.
        assert_eq!(action, said);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ \\-:\\[\\]{}*&!|>'\"%#?,\n\taé0trueservtooldfaulmchinw_.]{0,200}") {
        let _ = Policy::read(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Policy::read(&bytes);
    }

    #[test]
    fn no_damage_to_a_document_makes_the_reader_panic(
        at in 0..EXAMPLE.len(), len in 0..40_usize, with in "[ \\-:\\[\\]{}*&!|>'\"\n\ta]{0,5}",
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Ok(policy) = Policy::read(&bytes) {
            asked("valkey", "valkey_get").of(&policy);
        }
    }
}
