//! What an operator reads.

use proptest::prelude::*;

use super::*;
use crate::call::hostile::HOSTILE;
use crate::call::json::tests::any_json;
use crate::call::json::{MAX_DEPTH, parse};
use crate::call::redact::mask;

const ROOMY: Limits = Limits { max_lines: 1000, max_value_columns: 1000, ..Limits::FULL };

fn json(text: &str) -> Json {
    parse(text.as_bytes()).expect(text)
}

fn lines(value: &Json, limits: &Limits) -> Vec<String> {
    arguments(value, limits).lines.iter().map(|line| line.to_string()).collect()
}

fn shown(text: &str) -> String {
    lines(&json(text), &ROOMY).join("\n")
}

fn told(text: &str) -> String {
    sentence("destructive", "high", "valkey", "valkey_write", &json(text)).to_string()
}

#[test]
fn arguments_read_as_an_indented_tree() {
    assert_eq!(
        shown(
            r#"{"command":"DEL","args":["user:1","2",3],"options":{"force":true,"rules":
            [{"match":"a b","then":{"do":[]}},[1,[2]],"x",{}],"none":null},"deep":{},"list":[]}"#
        ),
        concat!(
            "command: DEL\n",
            "args: [\"user:1\", \"2\", 3]\n",
            "options:\n",
            "  force: true\n",
            "  rules:\n",
            "    - match: a b\n",
            "      then:\n",
            "        do: []\n",
            "    -\n",
            "      - 1\n",
            "      - [2]\n",
            "    - x\n",
            "    - {}\n",
            "  none: null\n",
            "deep: {}\n",
            "list: []"
        )
    );
    assert_eq!(shown("{}"), "(no arguments)");
}

#[test]
fn a_string_that_could_be_something_else_is_quoted() {
    for (value, text) in [
        (r#""""#, "\"\""),
        (r#""1""#, "\"1\""),
        (r#""-1.5e3""#, "\"-1.5e3\""),
        (r#""true""#, "\"true\""),
        (r#""null""#, "\"null\""),
        (r#"" a""#, "\" a\""),
        (r#""a ""#, "\"a \""),
        (r#""[1]""#, "\"[1]\""),
        (r#""{}""#, "\"{}\""),
        (r#""- a""#, "\"- a\""),
        (r#""| a""#, "\"| a\""),
        (r#""(no arguments)""#, "\"(no arguments)\""),
        (r#""\"a\"""#, r#""\"a\"""#),
        (r#""a \"b\" \\""#, r#"a "b" \"#),
        ("\"a: b\"", "a: b"),
        ("1.50", "1.50"),
        ("null", "null"),
    ] {
        assert_eq!(shown(&format!("{{\"k\":{value}}}")), format!("k: {text}"));
    }
}

#[test]
fn a_name_that_could_be_something_else_is_quoted() {
    for (name, text) in [
        ("a_b-c.d/e", "a_b-c.d/e"),
        ("größe", "größe"),
        ("", "\"\""),
        ("a: b", "\"a: b\""),
        ("a:", "\"a:\""),
        ("- a", "\"- a\""),
        ("a\nb", "\"a⟨\\n⟩b\""),
        ("\u{202e}a", "\"⟨U+202E⟩a\""),
        ("a\"b", "\"a\\\"b\""),
        ("| a", "\"| a\""),
        ("«cut: 3 more members»", "\"«cut: 3 more members»\""),
    ] {
        assert_eq!(
            lines(&Json::object([(name, Json::from(true))]), &ROOMY),
            [format!("{text}: true")]
        );
    }
}

#[test]
fn text_of_several_lines_is_a_block_that_cannot_pass_for_members() {
    assert_eq!(
        shown(r#"{"script":"a\n\tb\n\namount: 1","n":1}"#),
        "script: (4 lines)\n  | a\n  |     b\n  |\n  | amount: 1\nn: 1"
    );
    // How the text ends, and with what, is said: it is not seen.
    assert_eq!(shown(r#"{"s":"a\nb\n"}"#), "s: (2 lines, the last one ended)\n  | a\n  | b");
    assert_eq!(shown(r#"{"s":"a\r\nb"}"#), "s: (2 lines, CRLF)\n  | a\n  | b");
    assert_eq!(shown(r#"{"s":"a\r\nb\nc"}"#), "s: (3 lines)\n  | a⟨\\r⟩\n  | b\n  | c");
    assert_eq!(shown(r#"{"s":"a\n"}"#), "s: \"a⟨\\n⟩\"");
}

#[test]
fn what_is_cut_is_said_and_counted() {
    let limits = Limits { max_lines: 6, max_value_columns: 10, max_depth: 2, ..Limits::MAIL };
    let args = json(
        r#"{"long":"0123456789abc","quoted":"\"123456\"89","block":"1\n2\n3\n4\n0123456789abc",
        "list":[{"a":1},{"b":2}],"x":1,"y":2,"z":{"a":[1,2]}}"#,
    );
    let rendered = arguments(&args, &limits);
    assert_eq!(
        lines(&args, &limits),
        [
            "long: 0123456789 «cut: 3 more characters»",
            "quoted: \"\\\"123456\\\"\" «cut: 2 more characters»",
            "block: 1⟨\\n⟩2⟨\\n⟩ «cut: 17 more characters»",
            "list: «cut: 2 items»",
            "x: 1",
            "«cut: 2 more members»",
        ]
    );
    assert_eq!(rendered.cut, 3 + 2 + 3);
    let tall = Limits { max_lines: 20, ..limits };
    assert_eq!(
        lines(&args, &tall)[2..14],
        [
            "block: (5 lines)",
            "  | 1",
            "  | 2",
            "  | 3",
            "  | 4",
            "  | 0123456789 «cut: 3 more characters»",
            "list:",
            "  - a: 1",
            "  - b: 2",
            "x: 1",
            "y: 2",
            "z:",
        ]
    );
    let block = json(r#"{"block":"1\n2\n3\n45\n6"}"#);
    let limits = Limits { max_lines: 4, ..limits };
    assert_eq!(
        lines(&block, &limits),
        ["block: (5 lines)", "  | 1", "  | 2", "  «cut: 3 more lines, 4 characters»"]
    );
    assert_eq!(arguments(&block, &limits).cut, 1);
}

#[test]
fn padding_does_not_push_out_what_follows() {
    let padding = Json::array((0..5000usize).map(|i| format!("padding {i}")));
    let block: String = (0..5000).map(|i| format!("padding {i}\n")).collect();
    let args = Json::object([
        ("a", padding.clone()),
        ("b", Json::object([("c", padding)])),
        ("d", Json::from(block)),
        ("amount", Json::from(1_000_000u64)),
    ]);
    let limits = Limits { max_lines: 20, ..ROOMY };
    let lines = lines(&args, &limits);
    assert_eq!(lines.len(), 20);
    assert_eq!(
        lines.last().map(String::as_str),
        Some("amount: 1000000 «1 000 000; no unit stated»")
    );
    assert!(
        lines[16].starts_with("  - «cut: 4984 more items»")
            || lines.iter().any(|l| l.contains("more items»"))
    );
}

#[test]
fn what_repeats_is_shown_once_and_counted_and_what_differs_never_is() {
    let keep = r#"{"keep":true,"name":"a b"}"#;
    let rows = |odd: &str| format!(r#"{{"rows":[{0},{0},{0},{0}{odd},{0},{0}]}}"#, keep);
    let row = "  - keep: true\n    name: a b";
    assert_eq!(shown(&rows("")), format!("rows:\n{row}\n    «and 5 more like it»"));
    let odd = r#",{"keep":false,"name":"a b"}"#;
    let told = format!(
        "rows:\n{row}\n    «and 3 more like it»\n  - keep: false\n    name: a b\n{row}\n{row}"
    );
    assert_eq!(shown(&rows(odd)), told);
    // The same value in other digits, or members in another order, is no repeat.
    for other in [r#",{"name":"a b","keep":true}"#, r#",{"keep":true,"name":"a  b"}"#] {
        assert!(shown(&rows(other)).contains("«and 3 more like it»"));
    }
    let text = format!(r#"{{"text":"first{}rm -rf /"}}"#, "\\n".repeat(40));
    assert_eq!(
        shown(&text),
        "text: (41 lines)\n  | first\n  |\n    «and 38 more like it»\n  | rm -rf /"
            .replace("    «", "  «")
    );
}

#[test]
fn what_is_hidden_alike_is_not_folded_and_a_fold_cannot_be_forged() {
    let users = (0..6).map(|n| format!(r#"{{"name":"x y","password":"secret-{n}"}}"#));
    let list = format!(r#"{{"users":[{}]}}"#, users.collect::<Vec<_>>().join(","));
    let masked = mask(&json(&list));
    assert_eq!(masked.hidden, 6);
    let shown = lines(&masked.value, &ROOMY).join("\n");
    assert!(!shown.contains("more like it") && shown.matches("«hidden").count() == 6, "{shown}");
    let forged = mask(&json(r#"{"a":["x y «and 46 more like it»","amount: 1 «no unit stated»"]}"#));
    let shown = lines(&forged.value, &ROOMY).join("\n");
    assert!(!shown.contains('«'), "{shown}");
}

#[test]
fn items_whose_names_are_hidden_alike_are_not_folded_however_deep_the_names_stand() {
    for (before, after) in [("", ""), (r#"{"map":"#, "}"), (r#"{"a":[["b c",{"map":"#, "}]]}")] {
        let items = ["A", "B", "C", "D", "E", "F"]
            .map(|letter| format!(r#"{before}{{"ghp_{}":"admin"}}{after}"#, letter.repeat(36)));
        let masked = mask(&json(&format!(r#"{{"grants":[{}]}}"#, items.join(","))));
        assert_eq!(masked.hidden, 6);
        let shown = lines(&masked.value, &ROOMY).join("\n");
        assert!(!shown.contains("more like it"), "{shown}");
        assert_eq!(shown.matches("«hidden").count(), 6, "{shown}");
    }
}

#[test]
fn what_is_folded_is_not_cut_and_what_is_cut_is_counted_whole() {
    let same = r#"{"a":[1,2,3],"b":"c d"}"#;
    let other = r#"{"a":[1,2,3],"b":"e f"}"#;
    let list = [vec![same; 500], vec![other; 3]].concat().join(",");
    let limits = Limits { max_lines: 8, ..ROOMY };
    let value = json(&format!("[{list}]"));
    assert_eq!(arguments(&value, &ROOMY).cut, 0);
    let few = lines(&value, &limits).join("\n");
    assert!(few.contains("«and 499 more like it»") && few.contains("1 more item»"), "{few}");
}

#[test]
fn a_sentence_says_what_will_happen() {
    for (args, sentence) in [
        (
            r#"{"args":["user:1"],"command":"DEL"}"#,
            "Run valkey_write on valkey with command DEL, args [\"user:1\"] — destructive, high risk",
        ),
        ("{}", "Run valkey_write on valkey with no arguments — destructive, high risk"),
        (
            r#"{"note":"n","queueName":"q","userId":7,"to":"a@b.c","amount":5.00}"#,
            "Run valkey_write on valkey with amount 5.00, to a@b.c, userId 7, note n, queueName q — destructive, high risk",
        ),
        (
            r#"{"params":{"queue":"orders","if_empty":true},"deep":{"a":{"b":1}}}"#,
            "Run valkey_write on valkey with params {queue: orders, if_empty: true}, deep (1 member) — destructive, high risk",
        ),
        (
            r#"{"sql":"DELETE FROM orders WHERE created_at < '2020-01-01' AND state = 'done'","n":"12"}"#,
            "Run valkey_write on valkey with sql \"DELETE FROM orders WHERE created_at < '2020-01-0\"…, n \"12\" — destructive, high risk",
        ),
        (
            r#"{"password":"«hidden: text of 7 characters»","name":"x"}"#,
            "Run valkey_write on valkey with name x, password «hidden: text of 7 characters» — destructive, high risk",
        ),
    ] {
        assert_eq!(told(args), sentence);
    }
}

#[test]
fn a_sentence_counts_what_it_has_no_room_for() {
    let args = Json::object((0..40usize).map(|i| (format!("member{i}"), Json::from("some value"))));
    let text = sentence("write", "low", "s", "t", &args);
    assert!(text.columns() <= 150, "{text}");
    assert!(text.as_str().ends_with(" and 36 more — write, low risk"), "{text}");
    let long = Json::object([("x".repeat(300), Json::from("y"))]);
    let text = sentence("write", "low", &"s".repeat(200), &"t".repeat(200), &long);
    assert!(text.columns() <= 150, "{text}");
    assert!(text.as_str().contains("\"…") && text.as_str().contains("with 1 argument —"), "{text}");
}

#[test]
fn hostile_names_change_nothing_but_text() {
    for (what, text) in HOSTILE {
        let plain = Json::object([("name", Json::from("value")), ("amount", Json::from(1u64))]);
        let count = lines(&plain, &ROOMY).len();
        let hostile = Json::object([(*text, Json::from("value")), ("amount", Json::from(1u64))]);
        let shown = lines(&hostile, &ROOMY);
        assert_eq!(shown.len(), count, "{what}: {shown:?}");
        assert_eq!(shown[1], "amount: 1 «no unit stated»");
        let hostile = Json::object([("name", Json::from(*text)), ("amount", Json::from(1u64))]);
        let shown = lines(&hostile, &ROOMY);
        let of_text = |line: &str| line.starts_with("  |") || line.starts_with("  «and ");
        let members = shown.iter().filter(|line| !of_text(line)).count();
        assert_eq!(members, count, "{what}: {shown:?}");
        assert_eq!(shown.last().map(String::as_str), Some("amount: 1 «no unit stated»"), "{what}");
        // A name stays within its quotes, so our own words stand where they stood.
        let told = sentence("write", "high", text, text, &plain).to_string();
        assert!(told.ends_with(" — write, high risk"), "{what}: {told}");
        let told = outside_quotes(&told);
        assert_eq!(told.matches(" — ").count(), 1, "{what}: {told}");
        assert!(!told.contains("low"), "{what}: {told}");
    }
}

/// The text without what stands in quotes.
fn outside_quotes(text: &str) -> String {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' if !escaped => inside = !inside,
            c if !inside => out.push(c),
            _ => (),
        }
        escaped = c == '\\' && inside && !escaped;
    }
    assert!(!inside, "{text}");
    out
}

proptest! {
    #[test]
    fn limits_hold_for_any_arguments(
        value in any_json(),
        max_lines in 1usize..30,
        max_value_columns in 0usize..40,
        max_depth in 0usize..6,
    ) {
        let limits = Limits { max_lines, max_value_columns, max_depth, ..Limits::MAIL };
        let masked = mask(&Json::object([("a", value.clone()), ("b", value)])).value;
        let rendered = arguments(&masked, &limits);
        prop_assert!(rendered.lines.len() <= max_lines, "{:?}", rendered.lines);
        prop_assert!(!rendered.lines.iter().any(|line| line.as_str().contains('\n')));
        let says = rendered.lines.iter().any(|line| line.as_str().contains("«cut: "));
        prop_assert_eq!(rendered.cut > 0, says, "{:?}", rendered.lines);
    }

    #[test]
    fn with_room_for_all_nothing_is_cut_and_all_is_shown(value in any_json(), other in any_json()) {
        let (a, b) = (mask(&value).value, mask(&other).value);
        let object = |value: &Json| Json::object([("v", value.clone())]);
        let (shown_a, shown_b) = (arguments(&object(&a), &ROOMY), arguments(&object(&b), &ROOMY));
        prop_assert_eq!(shown_a.cut, 0);
        prop_assert_eq!(a == b, shown_a.lines == shown_b.lines);
    }

    #[test]
    fn any_call_is_told_in_one_sentence(
        value in any_json(), server in any::<String>(), tool in any::<String>(), name in any::<String>(),
    ) {
        let text = sentence("read", "low", &server, &tool, &Json::object([(name, value)]));
        prop_assert!(text.as_str().ends_with(" — read, low risk"));
        prop_assert!(text.columns() <= 152, "{}", text);
        prop_assert_eq!(outside_quotes(text.as_str()).matches(" on ").count(), 1);
    }
}

#[test]
fn the_deepest_arguments_can_be_shown() {
    let mut value = Json::from("x");
    for _ in 0..MAX_DEPTH {
        value = Json::object([("a", value)]);
    }
    assert_eq!(lines(&value, &ROOMY).len(), MAX_DEPTH);
    let rendered = arguments(&value, &Limits::MAIL);
    assert_eq!(rendered.cut, 1);
    assert_eq!(rendered.lines.len(), 9);
}

proptest! {
    #[test]
    fn a_page_cuts_nothing(value in any_json()) {
        let masked = mask(&Json::object([("it", value)])).value;
        let (_, cut) = super::lines(&masked, &Limits::WHOLE);
        prop_assert_eq!(cut, 0);
    }
}
