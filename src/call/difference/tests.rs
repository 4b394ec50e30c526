use proptest::prelude::*;

use super::*;
use crate::call::json::parse;
use crate::call::json::tests::any_json;
use crate::call::redact::mask;

fn json(text: &str) -> Json {
    parse(text.as_bytes()).expect(text)
}

fn told(before: &str, now: &str) -> Vec<String> {
    let side = |side: &Option<Side>| match side {
        Some(Side { head, part, tail }) => format!("{head}[{part}]{tail}"),
        None => "-".to_owned(),
    };
    let found = difference(&json(before), &json(now)).expect("little");
    let changes = found.changes.iter();
    changes.map(|c| format!("{}: {} > {}", c.path, side(&c.before), side(&c.now))).collect()
}

#[test]
fn what_differs_is_told_with_its_place() {
    assert_eq!(told(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1.0,2],"a":1e0}"#), [""; 0]);
    assert_eq!(
        told(
            r#"{"key":"user:1","n":{"max":1,"old":null},"list":["a","c"]}"#,
            r#"{"key":"user:2","n":{"max":"1"},"list":["a","b","c"],"force":true}"#
        ),
        [
            "key: user:[1] > user:[2]",
            "n › max: [1] > [\"1\"]",
            "n › old: [null] > -",
            "list › item 2: - > [\"b\"]",
            "force: - > [true]",
        ]
    );
    assert_eq!(told(r#"{"a":""}"#, r#"{"a":"x"}"#), ["a: [\"\"] > [x]"]);
}

#[test]
fn a_small_change_in_a_long_text_is_shown_with_what_is_around_it() {
    let long =
        |middle: &str| format!(r#"{{"sql":"{}{middle}{}"}}"#, "a".repeat(500), "b".repeat(500));
    let told = told(&long("x"), &long("y; drop"));
    let (a, b) = ("a".repeat(AROUND), "b".repeat(AROUND));
    assert_eq!(told, [format!("sql: …{a}[x]{b}… > …{a}[y; drop]{b}…")]);
}

#[test]
fn what_is_large_and_nested_deeply_is_given_up_on() {
    let of = |last: u32, depth: usize, items: usize| {
        let inner = format!("[{}{last}]", "1,".repeat(items));
        json(&format!(r#"{{"a":{}{inner}{}}}"#, "[".repeat(depth), "]".repeat(depth)))
    };
    let found = difference(&of(2, 1, 20_000), &of(3, 1, 20_000)).expect("one level");
    assert_eq!(found.changes.len(), 1);
    assert_eq!(difference(&of(2, 50, 20_000), &of(3, 50, 20_000)), None);
    // However long one value is.
    let long = |end: &str| json(&format!(r#"{{"a":"{}{end}"}}"#, "a".repeat(1 << 20)));
    assert!(difference(&long("x"), &long("y")).is_some());
}

#[test]
fn what_is_hidden_on_both_sides_is_not_called_the_same() {
    let masked = |text: &str| mask(&json(text)).value;
    let before = masked(r#"{"password":"correct","list":[{"token":"abcdefgh"}],"a":1}"#);
    let now = masked(r#"{"password":"another","list":[{"token":"hgfedcba"}],"a":1}"#);
    let found = difference(&before, &now).expect("little");
    assert_eq!((found.changes.len(), found.hidden), (0, 2));
    assert_eq!(places(&found), ["password", "list › item 1 › token"]);
}

fn places(found: &Difference) -> Vec<&str> {
    found.hidden_at.iter().map(SafeText::as_str).collect()
}

#[test]
fn names_hidden_on_both_sides_are_not_called_the_same_and_their_places_are_told() {
    let of = |a: &str, value: &str| {
        let key = format!("ghp_{}", a.repeat(36));
        let text = format!(r#"{{"map":{{"{key}":"{value}"}},"list":[1,[{{"{key}":2}}],3]}}"#);
        mask(&json(&text)).value
    };
    let (map, item) = (
        "map › «hidden: text of 40 characters»",
        "list › item 2 › item 1 › «hidden: text of 40 characters»",
    );
    let found = difference(&of("A", "admin"), &of("B", "admin")).expect("little");
    assert_eq!((found.changes.len(), found.hidden), (0, 2));
    assert_eq!(places(&found), [map, item]);
    // One place is told once, whatever of it is hidden.
    let both = mask(&json(&format!(r#"{{"ghp_{0}":"ghp_{0}"}}"#, "A".repeat(36)))).value;
    assert_eq!(difference(&both, &both).expect("little").hidden, 1);
    // What stands under them is compared, which says no more of the names.
    let found = difference(&of("A", "admin"), &of("B", "guest")).expect("little");
    assert_eq!((found.changes.len(), found.hidden), (1, 2));
    assert_eq!(found.changes[0].path.as_str(), map);
}

#[test]
fn a_name_hidden_on_one_side_alone_is_a_difference() {
    let of = |length: usize| mask(&json(&format!(r#"{{"ghp_{}":1}}"#, "A".repeat(length)))).value;
    let found = difference(&of(36), &of(40)).expect("little");
    assert_eq!((found.changes.len(), found.hidden), (2, 0));
}

#[test]
fn of_much_that_is_hidden_the_first_places_are_told_and_all_are_counted() {
    let all = (0..1000).map(|n| format!(r#"{{"password":"{n} correct"}}"#));
    let all = format!("[{}]", all.collect::<Vec<_>>().join(","));
    let masked = mask(&json(&all)).value;
    let found = difference(&masked, &masked).expect("little");
    assert_eq!((found.hidden, found.hidden_at.len()), (1000, HIDDEN_TOLD));
}

#[test]
fn more_changes_than_anybody_reads_are_counted() {
    let of = |value: &str| {
        let members = (0..1000).map(|n| (n.to_string(), Json::from(value)));
        Json::object(members)
    };
    let found = difference(&of("a"), &of("b")).expect("little");
    assert_eq!((found.changes.len(), found.more), (TOLD, 1000 - TOLD));
}

proptest! {
    #[test]
    fn nothing_differs_exactly_where_both_mean_the_same(a in any_json(), b in any_json()) {
        let same = a.canonical() == b.canonical();
        prop_assert_eq!(difference(&a, &b).expect("little").changes.is_empty(), same);
        prop_assert!(difference(&a, &a).expect("little").changes.is_empty());
    }
}
