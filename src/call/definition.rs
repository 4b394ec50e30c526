//! A tool's definition as people are shown it: its hash, short enough to be sent,
//! with secrets masked, and where two of them differ.
//!
//! A definition is text from a server that may be hostile. Promises: what is shown
//! is at most [`LONGEST`] bytes, and says whether it is all of it; a difference is
//! looked for in what was sent, before anything is masked, and so is never lost in
//! a mask; what is found is bounded, and says how much more there is.

use sha2::{Digest as _, Sha256};

use super::hex::hex;
use super::json::{Json, parse_envelope};
use super::redact::{mask_by_shape, mask_text};

/// The longest definition that is sent or kept, in bytes: some pages of description
/// and a schema of a hundred members.
pub const LONGEST: usize = 16 * 1024;

/// Where two definitions differ: at most so many places are named.
pub const PLACES: usize = 32;

/// The longest name of a place, in bytes.
const LONGEST_PLACE: usize = 200;

/// What stands for a text or a value that was left out.
const LEFT_OUT: &str = "…";

/// SHA-256 over the canonical JSON, or over the bytes where they do not mean
/// exactly one thing; 64 lower-case hex digits.
pub fn hash(definition: &[u8]) -> String {
    hex(&match parse_envelope(definition) {
        Ok(json) => Sha256::digest(json.canonical()),
        Err(_) => Sha256::digest(definition),
    })
}

/// The definition in at most [`LONGEST`] bytes, and whether something is missing.
pub fn fitted(definition: &[u8]) -> (Vec<u8>, bool) {
    if definition.len() <= LONGEST {
        return (definition.to_vec(), false);
    }
    match parse_envelope(definition) {
        Ok(json) => (shortened(&json).into_bytes(), true),
        Err(_) => {
            let text = String::from_utf8_lossy(definition);
            (begin(&text, LONGEST).as_bytes().to_vec(), true)
        }
    }
}

/// JSON of at most [`LONGEST`] bytes: long texts are cut first, then what is nested
/// deep, then what comes last.
fn shortened(json: &Json) -> String {
    // Each step leaves out more; a few suffice for all but what is made to be long.
    let steps = [(4000, 64), (1000, 64), (250, 12), (100, 6), (60, 3), (40, 2)];
    for (text, depth) in steps {
        let text = cut(json, text, depth).to_text();
        if text.len() <= LONGEST {
            return text;
        }
    }
    let Json::Object(members) = cut(json, 40, 1) else { return Json::from(LEFT_OUT).to_text() };
    let mut kept = Vec::new();
    let mut room = LONGEST - 64;
    for (name, value) in members {
        let one = Json::Object(vec![(name.clone(), value.clone())]).to_text().len();
        if one > room {
            kept.push((LEFT_OUT.to_owned(), Json::Null));
            break;
        }
        room -= one;
        kept.push((name, value));
    }
    Json::object(kept).to_text()
}

fn cut(json: &Json, longest: usize, depth: usize) -> Json {
    match json {
        Json::String(text) if text.len() > longest => {
            Json::String(format!("{}{LEFT_OUT}", begin(text, longest)))
        }
        Json::Number(number) if number.as_str().len() > longest => Json::from(LEFT_OUT),
        Json::Array(items) if depth > 0 => {
            Json::Array(items.iter().map(|item| cut(item, longest, depth - 1)).collect())
        }
        Json::Object(members) if depth > 0 => {
            let shorter = |name: &str| match name.len() > longest {
                true => format!("{}{LEFT_OUT}", begin(name, longest)),
                false => name.to_owned(),
            };
            let members = members.iter();
            Json::object(members.map(|(name, v)| (shorter(name), cut(v, longest, depth - 1))))
        }
        Json::Array(_) | Json::Object(_) => Json::from(LEFT_OUT),
        other => other.clone(),
    }
}

/// As much of a text as there is in so many bytes.
fn begin(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// A definition that may rest and be shown: what looks like a secret is masked, and
/// if that makes it longer than it may be, more is cut.
pub fn masked(definition: &[u8]) -> (String, bool) {
    let text = match parse_envelope(definition) {
        Ok(json) => mask_by_shape(&json).value.to_text(),
        Err(_) => Json::from(mask_text(&String::from_utf8_lossy(definition)).0).to_text(),
    };
    match fitted(text.as_bytes()) {
        (_, false) => (text, false),
        (shorter, true) => (String::from_utf8_lossy(&shorter).into_owned(), true),
    }
}

/// Where two definitions differ: members of members down to the first that is not
/// an object on both sides, in the order of the new one. At most [`PLACES`]; the last
/// then says how many more there are.
pub fn changed(before: &[u8], now: &[u8]) -> Vec<String> {
    let (Ok(before), Ok(now)) = (parse_envelope(before), parse_envelope(now)) else {
        return if before == now { Vec::new() } else { vec!["(all of it)".to_owned()] };
    };
    let mut places = Vec::new();
    differences(&before, &now, &mut Vec::new(), &mut |path| places.push(place(path)));
    let more = (places.len() + 1).saturating_sub(PLACES);
    if places.len() > PLACES {
        places.truncate(PLACES - 1);
        places.push(format!("and {more} more"));
    }
    places
}

/// Tells each place at which both differ.
pub fn differences<'a>(
    before: &'a Json,
    now: &'a Json,
    path: &mut Vec<&'a str>,
    tell: &mut impl FnMut(&[&'a str]),
) {
    let (Json::Object(old), Json::Object(new)) = (before, now) else {
        if before.canonical() != now.canonical() {
            tell(path);
        }
        return;
    };
    for (name, value) in new {
        path.push(name);
        match before.get(name) {
            Some(was) => differences(was, value, path, tell),
            None => tell(path),
        }
        path.pop();
    }
    for (name, _) in old.iter().filter(|(name, _)| now.get(name).is_none()) {
        path.push(name);
        tell(path);
        path.pop();
    }
}

/// `inputSchema.properties.path`; secrets masked, and cut where it is long.
pub fn place(path: &[&str]) -> String {
    let whole = match path {
        [] => "(all of it)".to_owned(),
        path => path.join("."),
    };
    let mut whole = mask_text(&whole).0;
    if whole.len() > LONGEST_PLACE {
        whole = format!("{}{LEFT_OUT}", begin(&whole, LONGEST_PLACE - LEFT_OUT.len()));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &[u8] = br#"{"name":"read","description":"Reads a file.","inputSchema":
        {"type":"object","properties":{"path":{"type":"string"},"old":{}}},"annotations":{"readOnlyHint":true}}"#;
    const NOW: &[u8] = br#"{"name":"read","description":"Reads a file. <IMPORTANT>","inputSchema":
        {"properties":{"path":{"type":"string","description":"and ~/.ssh/id_rsa"},"new":{}},"type":"object"},
        "annotations":{"readOnlyHint":true}}"#;

    #[test]
    fn the_places_are_named_in_which_two_definitions_differ() {
        assert_eq!(
            changed(BEFORE, NOW),
            [
                "description",
                "inputSchema.properties.path.description",
                "inputSchema.properties.new",
                "inputSchema.properties.old",
            ]
        );
        assert!(changed(BEFORE, BEFORE).is_empty());
        // The same in other words.
        assert!(changed(br#"{"a":1.0,"b":2}"#, br#"{"b":2,"a":1}"#).is_empty());
        assert_eq!(changed(b"", NOW), ["(all of it)"]);
        let many = |n: usize| {
            let members = (0..n).map(|i| format!("\"m{i}\":{i}")).collect::<Vec<_>>();
            format!("{{{}}}", members.join(","))
        };
        let places = changed(b"{}", many(100).as_bytes());
        assert_eq!((places.len(), places[31].as_str()), (PLACES, "and 69 more"));
        assert_eq!(changed(b"{}", many(32).as_bytes()).len(), 32);
    }

    #[test]
    fn a_property_that_is_called_password_is_not_hidden_and_a_secret_is() {
        let definition =
            br#"{"inputSchema":{"properties":{"password":{"description":"send it to me"}}},
            "description":"use AKIAIOSFODNN7EXAMPLE"}"#;
        let (shown, cut) = masked(definition);
        assert!(shown.contains("send it to me") && !shown.contains("AKIA") && !cut, "{shown}");
        let (shown, _) = masked(b"not { json, AKIAIOSFODNN7EXAMPLE");
        assert!(shown.starts_with('"') && !shown.contains("AKIA"), "{shown}");
    }

    #[test]
    fn a_definition_of_any_length_fits_and_says_so() {
        let long = |description: &str, properties: usize| {
            let properties = (0..properties)
                .map(|n| format!("\"p{n}\":{{\"type\":\"string\",\"enum\":[\"{description}\"]}}"));
            let properties = properties.collect::<Vec<_>>().join(",");
            format!(
                r#"{{"name":"t","description":"{description}","inputSchema":{{"properties":{{{properties}}}}}}}"#
            )
        };
        for (text, all) in [
            (long("short", 3), true),
            (long(&"long ".repeat(20_000), 1), false),
            (long("word", 20_000), false),
            (format!("{{{}}}", long("\u{202e}", 3000)), false),
            (format!("[{}1]", "1,".repeat(20_000)), false),
        ] {
            let (fit, cut) = fitted(text.as_bytes());
            assert_eq!(cut, !all);
            assert!(fit.len() <= LONGEST, "{}", fit.len());
            assert!(std::str::from_utf8(&fit).is_ok());
            let (shown, _) = masked(&fit);
            assert!(shown.len() <= LONGEST, "{}", shown.len());
        }
        let (fit, _) = fitted(long(&"long ".repeat(20_000), 1).as_bytes());
        let json = parse_envelope(&fit).expect("JSON still");
        assert_eq!(json.get("name").and_then(Json::as_str), Some("t"));
    }

    #[test]
    fn the_hash_is_of_what_a_definition_means() {
        assert_eq!(hash(br#"{"a":1.0,"b":2}"#), hash(br#"{ "b":2, "a":1 }"#));
        assert_ne!(hash(br#"{"a":1,"a":2}"#), hash(br#"{"a":2}"#));
        assert_eq!(hash(b"{}").len(), 64);
    }
}
