//! What the parser takes and refuses, and the canonical form of numbers.

use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> JsonErrorKind {
    parse(text.as_bytes()).expect_err(text).kind
}

/// Any JSON value, names and texts of all scripts and controls included.
pub(crate) fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any_number().prop_map(Json::Number),
        any_text().prop_map(Json::String),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::Array),
            prop::collection::vec((any_text(), inner), 0..8).prop_map(Json::object),
        ]
    })
}

pub(crate) fn any_number() -> impl Strategy<Value = Number> {
    "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?"
        .prop_map(|text| Number::new(&text).expect("a JSON number"))
}

pub(crate) fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,8}",
        prop::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
        Just("$serde_json::private::RawValue".to_owned()),
        Just("__proto__".to_owned()),
    ]
}

#[test]
fn the_grammar_of_rfc_8259_is_accepted() {
    for text in [
        "null",
        " true ",
        "\t\r\nfalse",
        "0",
        "-0",
        "1.50",
        "1E+2",
        "12e-003",
        "\"\"",
        "[]",
        "{}",
        "[ 1 , [ ] ]",
        "{ \"a\" : { } }",
        "\"\\u0041\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
        "\"\\ud83d\\ude00 \u{1F600}\u{FEFF}\u{7F}\"",
        "1e9999",
        "1e-9999",
        "0e-9999",
    ] {
        parse(text.as_bytes()).expect(text);
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "nul",
        "nulL",
        "True",
        "NaN",
        "Infinity",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "'a'",
        "\"",
        "\"a",
        "\"\\",
        "\"\\u12",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\x41\"",
        "\"\n\"",
        "\"\u{0}\"",
        "\"\u{1f}\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[1]]",
        "{}{}",
        "1 2",
        "null\0",
        "// x\n1",
        "1 /* */",
        "\u{a0}1",
        "\u{feff}1",
        "\u{2028}1",
        "\u{c}1",
        "]",
        "}",
        ",",
        ":",
    ] {
        refused(text);
    }
}

#[test]
fn duplicate_members_are_refused_after_unescaping() {
    let name = JsonErrorKind::DuplicateMember(Some("ab".into()));
    assert_eq!(refused(r#"{"ab":1,"c":2,"\u0061b":1}"#), name);
    assert_eq!(refused(r#"[{"x":{"ab":1,"ab":1}}]"#), name);
    let error = parse(br#"{"ab":1,"c":2,"ab":1}"#).unwrap_err();
    assert_eq!(error.offset, 14);
    assert_eq!(error.to_string(), "duplicate member \"ab\": send each member once (at byte 14)");
}

#[test]
fn errors_repeat_no_value_and_no_name_that_could_be_a_secret() {
    for text in [
        r#"{"a":"hunter2"x}"#,
        r#"{"hunter2000":1,"hunter2000":1}"#,
        r#"{"hunter 2":1,"hunter 2":1}"#,
        "[hunter2]",
        "\"hunter2\n\"",
        "{} hunter2",
        "{\"hunter2\u{202e}\":1,\"hunter2\u{202e}\":1}",
    ] {
        let error = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains("hunter"), "{error}");
    }
}

#[test]
fn many_members_take_no_quadratic_time() {
    // 256 KiB of members, all names with one long beginning in common.
    let start = std::time::Instant::now();
    let members: Vec<String> = (0..6000).map(|i| format!("\"{:0>36}\":0", i)).collect();
    let text = format!("{{{}}}", members.join(","));
    parse(text.as_bytes()).expect("distinct names");
    let members: Vec<String> = (0..40_000).map(|i| format!("\"{i:x}\":0")).collect();
    let text = format!("{{{}}}", members.join(","));
    parse(text.as_bytes()).expect("distinct names");
    // Milliseconds; the bound leaves room for a slow machine, not for n².
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800x""#,
        r#""\ud800\n""#,
        r#""\ud800\ud800""#,
        r#""\udc00\ud800""#,
        r#"{"\ud800":1}"#,
        r#""\ud83d\u0041""#,
    ] {
        assert_eq!(refused(text), JsonErrorKind::LoneSurrogate, "{text}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_where_they_stand() {
    let cases: [(&[u8], usize); 6] = [
        (b"\"\xff\"", 1),
        (b"\"\xc0\xaf\"", 1),
        (b"\"a\xed\xa0\x80\"", 2),
        (b"\"\xf5\x80\x80\x80\"", 1),
        (b"\"\xe2\x82\"", 1),
        (b"{}\x80", 2),
    ];
    for (bytes, offset) in cases {
        let error = parse(bytes).unwrap_err();
        assert_eq!(error, JsonError { offset, kind: JsonErrorKind::InvalidUtf8 });
    }
    assert_eq!(parse(b"\xef\xbb\xbf{}").unwrap_err().kind, JsonErrorKind::ByteOrderMark);
}

#[test]
fn nesting_ends_at_64() {
    let nested = |open: &str, close: &str, n| [open.repeat(n), close.repeat(n)].concat();
    parse(nested("[", "]", 64).as_bytes()).expect("64 levels");
    assert_eq!(refused(&nested("[", "]", 65)), JsonErrorKind::TooDeep(64));
    let objects = |n: usize| format!("{}0{}", "{\"a\":".repeat(n), "}".repeat(n));
    parse(objects(64).as_bytes()).expect("64 levels");
    assert_eq!(refused(&objects(65)), JsonErrorKind::TooDeep(64));
    parse_envelope(nested("[", "]", 80).as_bytes()).expect("an envelope has 16 more");
    assert!(parse_envelope(nested("[", "]", 81).as_bytes()).is_err());
}

#[test]
fn ten_million_brackets_do_not_overflow_the_stack() {
    for text in ["[", "{\"a\":", "[{\"a\":"] {
        assert_eq!(refused(&text.repeat(10_000_000)), JsonErrorKind::TooDeep(64));
    }
}

#[test]
fn exponents_end_at_9999_as_written_and_as_normalised() {
    for text in ["1e9999", "-1.5E-9999", "0e9999", "10e9998", "0.1e-9998", "1e+0009999"] {
        parse(text.as_bytes()).expect(text);
    }
    let digits = "1".repeat(10_001);
    let zeros = format!("0.{}1", "0".repeat(9999));
    for text in [
        "1e10000",
        "1e-10000",
        "0e10000",
        "0.1e10000",
        "10e9999",
        "0.1e-9999",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "10e-10000",
        &digits,
        &zeros,
    ] {
        assert_eq!(refused(text), JsonErrorKind::ExponentOutOfRange, "{text}");
    }
    parse(&digits.as_bytes()[1..]).expect("10,000 digits are 1.1…e9999");
}

#[test]
fn arguments_are_an_object_and_nothing_counts_as_an_empty_one() {
    assert_eq!(parse_object(b"").unwrap(), Json::Object(vec![]));
    assert_eq!(parse_object(b" {} ").unwrap(), Json::Object(vec![]));
    for text in ["null", "[]", "1", "\"{}\""] {
        assert_eq!(parse_object(text.as_bytes()).unwrap_err().kind, JsonErrorKind::NotAnObject);
    }
    assert_eq!(parse_object(b" ").unwrap_err().kind, JsonErrorKind::UnexpectedEnd);
}

#[test]
fn order_and_numbers_are_kept_as_sent() {
    let text = r#"{"z":1.00,"a":[1E5,-0,9007199254740993],"":{"b":null}}"#;
    assert_eq!(parse(text.as_bytes()).unwrap().to_text(), text);
}

#[test]
fn names_with_a_meaning_elsewhere_are_ordinary_members() {
    let text = r#"{"$serde_json::private::RawValue":"[1]","$serde_json::private::Number":"1","__proto__":{"a":1}}"#;
    let value = parse(text.as_bytes()).unwrap();
    assert_eq!(value.to_text(), text);
    assert_eq!(value.get("$serde_json::private::RawValue"), Some(&Json::from("[1]")));
}

#[test]
fn written_text_holds_nothing_that_a_terminal_or_a_log_acts_on() {
    let value =
        Json::object([("a\u{202e}\n", Json::from("\u{1b}[2J\u{9b}31m\u{7f}\u{2028}\u{e0041}é"))]);
    let text = value.to_text();
    assert_eq!(text, r#"{"a\u202e\n":"\u001b[2J\u009b31m\u007f\u2028\udb40\udc41é"}"#);
    assert_eq!(parse(text.as_bytes()).unwrap(), value);
}

#[test]
fn whole_numbers_are_read_exactly_or_not_at_all() {
    let number = |text: &str| Json::Number(Number::new(text).expect(text));
    assert_eq!(number("18446744073709551615").as_u64(), Some(u64::MAX));
    assert_eq!(number("18446744073709551616").as_u64(), None);
    assert_eq!(number("-9223372036854775808").as_i64(), Some(i64::MIN));
    assert_eq!(number("1.50e1").as_u64(), Some(15));
    assert_eq!(number("-0.0").as_u64(), Some(0));
    assert_eq!(number("1.5").as_i64(), None);
    assert_eq!(number("1e400").as_f64(), None);
    assert_eq!(Json::from(i64::MIN).to_text(), "-9223372036854775808");
    for text in ["", "1 ", " 1", "0x1", "1e", "--1", "1e10000", "١"] {
        assert_eq!(Number::new(text), None, "{text}");
    }
}

#[test]
fn a_built_object_has_each_name_once() {
    let value = Json::object([("a", Json::from(1u64)), ("a", Json::from(2u64))]);
    assert_eq!(value.to_text(), r#"{"a":1}"#);
    assert_eq!(Json::array(["x", "y"]).to_text(), r#"["x","y"]"#);
    assert_eq!(Json::from(None::<u64>), Json::Null);
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same(value in any_json()) {
        prop_assert_eq!(parse(value.to_text().as_bytes()).unwrap(), value);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(error.offset <= bytes.len());
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn bytes_that_look_like_json_never_panic(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\utrn fals\u{e9}]{0,60}") {
        if let Ok(value) = parse(text.as_bytes()) {
            prop_assert_eq!(parse(value.to_text().as_bytes()).unwrap(), value);
        }
    }
}
