//! Names: a table of our own, the same with other words for the same acts, and names
//! that would pass for something else.

use super::*;

/// Names that nobody's server has, to our knowledge.
const MADE_UP: &str = include_str!("made_up.csv");

fn made_up() -> Vec<(Category, &'static str)> {
    let row = |line: &'static str| {
        let (category, name) = line.split_once(',').expect("two columns");
        (Category::from_word(category).expect("a category"), name)
    };
    MADE_UP.lines().skip(1).map(row).collect()
}

/// Other words for the same act.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("get", &["fetch", "retrieve", "lookup", "read", "show", "view", "find"]),
    ("list", &["enumerate", "show", "browse", "find", "ls", "view"]),
    ("search", &["find", "query", "lookup", "browse", "scan_for"]),
    ("describe", &["show", "inspect", "explain", "examine"]),
    ("create", &["add", "make", "provision", "generate", "register", "insert", "new"]),
    ("add", &["create", "append", "insert", "attach", "register"]),
    ("update", &["modify", "edit", "change", "alter", "patch", "amend", "revise", "set"]),
    ("edit", &["update", "modify", "change", "rewrite"]),
    ("set", &["assign", "change", "put", "adjust"]),
    ("send", &["dispatch", "deliver", "publish", "post", "transmit", "emit"]),
    ("delete", &["remove", "erase", "purge", "destroy", "drop", "wipe", "discard", "nuke"]),
    ("remove", &["delete", "drop", "unlink", "strip", "erase"]),
    ("drop", &["delete", "destroy", "remove", "purge"]),
    ("purge", &["empty", "flush", "clear", "wipe"]),
    ("run", &["execute", "invoke", "launch", "start", "trigger", "exec"]),
    ("execute", &["run", "invoke", "eval", "perform", "launch"]),
    ("refund", &["reimburse", "repay"]),
    ("pay", &["settle", "remit", "charge"]),
    ("buy", &["purchase", "order"]),
];

/// Splitmix64: the same numbers on every machine.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("less than the sides")
    }
}

/// The name with another word for each act, written in some convention.
pub fn permuted(name: &str, dice: &mut Dice) -> String {
    let mut words = words::of(name);
    // The first of them is the verb; behind it they are mostly nouns.
    let others = |word: &str| SYNONYMS.iter().find(|(known, _)| *known == word);
    if let Some(word) = words.iter_mut().find(|word| others(word).is_some()) {
        let (_, others) = others(word).expect("just found");
        *word = others[dice.roll(others.len())].to_owned();
    }
    let capital = |word: &String| word[..1].to_ascii_uppercase() + &word[1..];
    let pascal: String = words.iter().map(capital).collect();
    match dice.roll(5) {
        0 => words.join("_"),
        1 => words.join("-"),
        2 => words.join("."),
        3 => pascal,
        _ => pascal[..1].to_ascii_lowercase() + &pascal[1..],
    }
}

#[test]
fn names_of_many_trades_are_judged_right() {
    let wrong: Vec<String> = made_up()
        .into_iter()
        .filter(|(category, name)| named(name).category != *category || !named(name).told)
        .map(|(category, name)| format!("{name} is {category}: {}", why(&named(name))))
        .collect();
    let (names, most) = (made_up().len(), 5);
    assert!(names >= 150, "{names}");
    assert!(wrong.len() <= most, "{} of {names}:\n{}", wrong.len(), wrong.join("\n"));
    for line in &wrong {
        println!("{line}");
    }
}

#[test]
fn other_words_for_the_same_acts_are_judged_the_same() {
    let mut dice = Dice(1);
    let (mut reads, mut passed, mut others, mut taken) = (0, 0, 0, Vec::new());
    for _ in 0..50 {
        for (category, name) in made_up() {
            let other = permuted(name, &mut dice);
            let passes = passes(&named(&other));
            if category == Category::Read {
                reads += 1;
                passed += usize::from(passes);
                if !passes {
                    println!("{name} as {other}: {}", why(&named(&other)));
                }
            } else {
                others += 1;
                if passes {
                    taken.push(format!("{name} as {other}: {}", why(&named(&other))));
                }
            }
        }
    }
    println!("{passed} of {reads} reads pass, {} of {others} others taken for reads", taken.len());
    assert!(passed * 10 >= reads * 9, "{passed} of {reads} reads pass");
    assert!(taken.len() * 100 <= others, "of {others}:\n{}", taken.join("\n"));
}

#[test]
fn a_name_that_joins_two_acts_is_judged_by_the_more_dangerous() {
    for (name, category) in [
        ("get_or_create", Category::Write),
        ("list_and_delete", Category::Destructive),
        ("findOneAndUpdate", Category::Write),
        ("fetch_then_run", Category::Execute),
        ("get_and_call", Category::Execute),
        ("read_or_post", Category::Write),
        ("getset", Category::Write),
        ("check_and_fix", Category::Write),
        ("search_replace", Category::Write),
    ] {
        assert_eq!(named(name).category, category, "{name}: {}", why(&named(name)));
    }
}

#[test]
fn a_noun_that_looks_like_a_verb_does_nothing() {
    for name in [
        "get_post",
        "list_posts",
        "get_run",
        "get_run_details",
        "list_updates",
        "get_test_results",
        "list_builds",
        "get_call",
        "pull_request_read",
        "get_change_log",
        "list_result_sets",
        "get_created_by",
        "list_deploys",
        "build_status",
        "get_settings",
        "get_address",
        "list_imports",
        "find_orders",
        "get_stock_price",
        "logs",
        "list_setup_intents",
    ] {
        assert!(passes(&named(name)), "{name}: {}", why(&named(name)));
    }
}

#[test]
fn a_name_that_tells_nothing_is_held() {
    for name in
        ["", "_", "x", "frobnicate", "data2vec", "corrupt_data", "bump_version", "foo_status", "7"]
    {
        let judgement = named(name);
        assert!(!judgement.told, "{name}: {}", why(&judgement));
        assert_eq!((judgement.category, judgement.risk), (Category::Execute, Risk::High), "{name}");
        assert_eq!(judgement.evidence.last().map(|e| e.source), Some(Source::Doubt), "{name}");
    }
}

#[test]
fn a_name_that_only_looks_like_another_is_never_told_to_be_a_read() {
    for name in [
        "get_us\u{435}r",   // Cyrillic ie
        "\u{ff47}et_user",  // full-width g
        "get\u{200b}_user", // zero-width space
        "get_user\u{202e}", // right-to-left override
        "get user",
        "get_user\n",
        "get:user",
        "get_user\0",
        "g\u{0435}t_user",
    ] {
        let judgement = named(name);
        assert!(!passes(&judgement), "{name:?}: {}", why(&judgement));
        let definition = Json::object([
            ("name", Json::from(name)),
            ("annotations", Json::object([("readOnlyHint", Json::Bool(true))])),
        ]);
        let judgement = judge(name, Some(&Tool::of(&definition)), Word::default(), true, None);
        assert!(!passes(&judgement), "trusted {name:?}: {}", why(&judgement));
    }
}

#[test]
fn an_act_in_disguise_is_found() {
    for name in [
        "dELETE",
        "deLETE_user",
        "DeleteUser",
        "delete2",
        "2delete",
        "_delete_",
        "re-delete",
        "getDeleter_delete",
        "deletes_user",
        "deleting_user",
        "dropping_tables",
        "deleteuser",
        "userdelete",
        "rmfile",
        "get__delete",
        "get.delete",
        "get/delete",
        "list_delete_list",
        "force-remove",
        "autodelete",
    ] {
        let judgement = named(name);
        assert_eq!(judgement.category, Category::Destructive, "{name}: {}", why(&judgement));
    }
}

#[test]
fn credentials_are_created_reversibly() {
    let definition = r#"{"name":"identity_create_api_key_provider","description":"","inputSchema":{"type":"object"}}"#;
    let name = "identity_create_api_key_provider";
    for tool in [None, Some(tool(definition))] {
        let judgement = judge(name, tool.as_ref(), Word::default(), false, None);
        assert_eq!((judgement.category, judgement.risk), (Category::Write, Risk::Medium));
        assert!(judgement.told);
        assert_eq!(judgement.evidence[0].source, Source::Name);
        assert_eq!(judgement.evidence[0].found, "verb \"create\"");
    }
}

#[test]
fn risk_grows_with_what_is_touched() {
    for (name, risk) in [
        ("get_user", Risk::Low),
        ("get_secret_value", Risk::Medium),
        ("create_note", Risk::Medium),
        ("update_role", Risk::High),
        ("delete_note", Risk::High),
        ("delete_database", Risk::Critical),
        ("purge_all", Risk::Critical),
        ("create_invoice", Risk::High),
        ("transfer_funds", Risk::Critical),
        ("run_job", Risk::High),
    ] {
        assert_eq!(named(name).risk, risk, "{name}: {}", why(&named(name)));
    }
}
