//! Bytes of an agent, through all that reads and shows them.
#![no_main]

use holdpoint::call::digest::Covered;
use holdpoint::call::json::{Json, parse, parse_object};
use holdpoint::call::present::{Limits, arguments, sentence};
use holdpoint::call::redact::{mask, mask_text};
use holdpoint::call::safe_text::SafeText;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Free text takes the same ways as a value.
    let text = String::from_utf8_lossy(bytes);
    let (hidden, _) = mask_text(&text);
    let again = mask_text(&hidden).0;
    assert_eq!(mask_text(&again).0, again, "masking settles");
    assert!(!SafeText::line(&text).as_str().contains(char::is_control));
    let (cut, _) = SafeText::cut_line(&text, 20);
    assert!(cut.columns() <= 20);

    let value = match parse(bytes) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset <= bytes.len());
            return;
        }
    };
    let written = value.to_text();
    assert!(!written.contains(char::is_control));
    assert_eq!(parse(written.as_bytes()).as_ref(), Ok(&value));

    let canonical = value.canonical();
    let meaning = parse(canonical.as_bytes()).expect("the canonical form is JSON");
    assert_eq!(meaning.canonical(), canonical);

    if parse_object(bytes).is_ok() {
        let covered = |arguments| Covered {
            server: "server",
            tool: "tool",
            arguments,
            input_responses: None,
            request_state: None,
        };
        assert_eq!(covered(&value).digest(), covered(&meaning).digest());
    }

    let masked = mask(&value).value;
    let settled = mask(&masked).value;
    assert_eq!(mask(&settled).value, settled);
    assert_eq!(parse(masked.to_text().as_bytes()).as_ref(), Ok(&masked));
    for limits in [Limits::MAIL, Limits { max_lines: 3, max_value_columns: 7, max_depth: 2 }] {
        let lines = arguments(&masked, &limits).lines;
        assert!(lines.len() <= limits.max_lines);
        assert!(lines.iter().all(|line| !line.as_str().contains(char::is_control)));
    }
    let _ = sentence("write", "high", "server", &text, &masked);
    let _ = Json::array([masked]);
});
