//! Tests.
use super::*;
use crate::call::json::parse;
#[test]
fn look() {
    let a = crate::call::redact::mask(&parse(br#"{"command":"DEL","args":["user:1"],"password":"hunter2","note":"two\nlines\n","deep":{"a":[{"x":1,"y":"2"},{"x":{"z":[]}}],"long":"0123456789012345678901234567890123456789012345678901234567890123456789 and Bearer abc.def123"}, "evil\n\u202ekey":"true", "card":4111111111111111}"#).unwrap().clone());
    println!("{}", a.value);
    let r = arguments(&a.value, &Limits::TERMINAL);
    for l in &r.lines {
        println!("{l}");
    }
    println!("{} hidden {}", r.cut, a.hidden);
    let r = arguments(
        &a.value,
        &Limits {
            max_lines: 11,
            max_value_columns: 20,
            max_depth: 2,
        },
    );
    for l in &r.lines {
        println!("{l}");
    }
    println!("{}", r.cut);
    println!(
        "{}",
        sentence("destructive", "high", "valkey", "valkey_write", &a.value)
    );
    println!(
        "{}",
        sentence(
            "destructive",
            "high",
            "valkey — read",
            "valkey_write\n",
            &a.value
        )
    );
}
