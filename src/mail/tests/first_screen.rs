//! What a phone shows of a letter before anybody scrolls, and in which colours.

use super::reading::{read, text_of};
use super::*;

fn called(category: Category, risk: Risk, arguments: &str) -> Request {
    let mut request = request();
    request.call.category = category;
    request.call.risk = risk;
    request.call.arguments = arguments.to_owned();
    request.call.hidden_values = 0;
    request
}

fn html(request: &Request) -> String {
    let letter = compose(&Matter::Asked(request), &to(), &with_pages()).expect("a letter");
    read(&letter.bytes).html
}

#[test]
fn sentence_target_risk_what_is_hidden_and_how_many_stand_before_the_button() {
    let letter = compose(&Matter::Asked(&request()), &to(), &with_pages()).expect("a letter");
    let read = read(&letter.bytes);
    for text in [read.plain, text_of(&read.html)] {
        let (first, _) = text.split_once("Review").expect("the button");
        let first = first.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for words in [
            "run delete_broker on amazon-mq with broker_id b-1234a5b6-78cd-901e-2fgh-3i45j6k17819",
            "destructive",
            "critical risk",
            "for jane@example.com",
            "needs 2 people",
            "1 value is hidden (masked by a rule): what it is cannot be seen here",
        ] {
            assert!(first.contains(words), "{words} is not in {first}");
        }
    }
}

#[test]
fn the_bar_goes_by_danger_and_every_colour_has_its_word() {
    let bar = |category, risk, arguments: &str| {
        let html = html(&called(category, risk, arguments));
        let (_, bar) = html.split_once("border-left:").expect("a bar");
        bar.split(';').next().unwrap_or_default().to_owned()
    };
    let key = r#"{"key":"user:1"}"#;
    let of = [
        bar(Category::Read, Risk::Low, key),
        bar(Category::Write, Risk::Medium, key),
        bar(Category::Execute, Risk::Low, key),
        bar(Category::Destructive, Risk::Low, key),
        bar(Category::Read, Risk::Critical, key),
    ];
    let apart: BTreeSet<_> = of.iter().collect();
    assert_eq!(apart.len(), of.len(), "{of:?}");
    assert_eq!(bar(Category::Unspecified, Risk::Low, key), of[3]);
    // Nothing is soothing where the arguments say worse.
    assert_eq!(bar(Category::Read, Risk::Low, r#"{"query":"DROP TABLE orders"}"#), of[3]);
    assert_eq!(bar(Category::Read, Risk::Low, r#"{"target":"all"}"#), of[2]);
    let text = text_of(&html(&called(Category::Read, Risk::Low, r#"{"query":"DROP TABLE a"}"#)));
    let (first, _) = text.split_once("Review").expect("the button");
    for words in ["called read, looks destructive, low risk", "query: DROP TABLE a"] {
        assert!(first.contains(words), "{words} is not in {first}");
    }
}
