//! Where the parts of a JSON object lie in its bytes, so that one part can be
//! read or replaced and all others stay the bytes they were.
//!
//! Promises: linear time, no recursion, nothing copied but member names. It finds
//! its way through strings and brackets only: what a client sends is read
//! strictly first (`call::json`), and what a server sends is passed on as it is,
//! whatever a stricter reader would think of it.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::call::json::{Json, parse};

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name, unescaped.
    pub name: Cow<'a, str>,
    /// Its value's bytes.
    pub value: Range<usize>,
    /// From its name's first quote to its value's end.
    pub whole: Range<usize>,
}

/// The members of the object that `bytes[within]` is, spaces around it aside.
/// `None` if it is no object, or not whole.
pub fn members(bytes: &[u8], within: Range<usize>) -> Option<Vec<Member<'_>>> {
    let text = bytes.get(within.clone())?;
    let mut at = Cursor { bytes: text, at: 0 };
    at.space();
    at.eat(b'{')?;
    let mut found = Vec::new();
    at.space();
    if at.eat(b'}').is_some() {
        at.space();
        return (at.at == text.len()).then_some(found);
    }
    loop {
        at.space();
        let begun = at.at;
        at.string()?;
        let name = unescaped(&text[begun..at.at])?;
        at.space();
        at.eat(b':')?;
        at.space();
        let value = at.at;
        at.value()?;
        let place = |n: usize| n + within.start;
        found.push(Member {
            name,
            value: place(value)..place(at.at),
            whole: place(begun)..place(at.at),
        });
        at.space();
        if at.eat(b'}').is_some() {
            at.space();
            return (at.at == text.len()).then_some(found);
        }
        at.eat(b',')?;
    }
}

/// The items of the array that `bytes[within]` is, at most `most` of them.
/// `None` if it is no array, not whole, or has more.
pub fn items(bytes: &[u8], within: Range<usize>, most: usize) -> Option<Vec<Range<usize>>> {
    let text = bytes.get(within.clone())?;
    let mut at = Cursor { bytes: text, at: 0 };
    at.space();
    at.eat(b'[')?;
    let mut found = Vec::new();
    at.space();
    if at.eat(b']').is_some() {
        at.space();
        return (at.at == text.len()).then_some(found);
    }
    loop {
        at.space();
        let begun = at.at;
        at.value()?;
        if found.len() == most {
            return None;
        }
        found.push(begun + within.start..at.at + within.start);
        at.space();
        if at.eat(b']').is_some() {
            at.space();
            return (at.at == text.len()).then_some(found);
        }
        at.eat(b',')?;
    }
}

/// The value at the end of this path of member names; where a name comes twice,
/// the last one, as most readers have it.
pub fn find(bytes: &[u8], path: &[&str]) -> Option<Range<usize>> {
    let mut place = 0..bytes.len();
    for name in path {
        let inside = members(bytes, place)?;
        place = inside.into_iter().rev().find(|m| m.name == *name)?.value;
    }
    Some(place)
}

/// Where the id lies in how a message begins, if it is among the members that are
/// there whole.
pub fn head_id(head: &[u8]) -> Option<Range<usize>> {
    let mut at = Cursor { bytes: head, at: 0 };
    at.space();
    at.eat(b'{')?;
    loop {
        at.space();
        let begun = at.at;
        at.string()?;
        let name = unescaped(&head[begun..at.at])?;
        at.space();
        at.eat(b':')?;
        at.space();
        let value = at.at;
        at.value()?;
        // A number at the very end may go on.
        at.space();
        at.eat(b',')?;
        if name == "id" {
            let end = head[..at.at - 1].trim_ascii_end().len();
            return Some(value..end);
        }
    }
}

/// The bytes with these parts replaced. The parts are in order and apart.
pub fn replaced(bytes: &[u8], parts: &[(Range<usize>, &[u8])]) -> Bytes {
    let grown: usize = parts.iter().map(|(_, with)| with.len()).sum();
    let mut out = Vec::with_capacity(bytes.len() + grown);
    let mut from = 0;
    for (place, with) in parts {
        out.extend_from_slice(&bytes[from..place.start]);
        out.extend_from_slice(with);
        from = place.end;
    }
    out.extend_from_slice(&bytes[from..]);
    out.into()
}

/// The bytes without this member of the object at `object`, its comma included.
pub fn without(bytes: &[u8], object: Range<usize>, name: &str) -> Option<Bytes> {
    let inside = members(bytes, object)?;
    let n = inside.iter().position(|m| m.name == name)?;
    let cut = match (n.checked_sub(1), inside.get(n + 1)) {
        (_, Some(next)) => inside[n].whole.start..next.whole.start,
        (Some(before), None) => inside[before].whole.end..inside[n].whole.end,
        (None, None) => inside[n].whole.clone(),
    };
    Some(replaced(bytes, &[(cut, b"")]))
}

/// The bytes with this member added at the front of the object at `object`.
pub fn with_member(bytes: &[u8], object: Range<usize>, name: &str, value: &str) -> Option<Bytes> {
    let empty = members(bytes, object.clone())?.is_empty();
    let brace = object.start + bytes[object].iter().position(|&b| b == b'{')? + 1;
    let name = Json::String(name.to_owned()).to_text();
    let comma = if empty { "" } else { "," };
    let member = format!("{name}:{value}{comma}");
    Some(replaced(bytes, &[(brace..brace, member.as_bytes())]))
}

/// A string's own text; `None` if it is none (half a surrogate, say).
pub fn text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    unescaped(bytes.trim_ascii())
}

fn unescaped(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inside = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inside.contains(&b'\\') {
        return std::str::from_utf8(inside).ok().map(Cow::Borrowed);
    }
    match parse(quoted) {
        Ok(Json::String(text)) => Some(Cow::Owned(text)),
        _ => None,
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// Past the string that begins here.
    fn string(&mut self) -> Option<()> {
        self.eat(b'"')?;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// Past the value that begins here.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth > 0 => self.at += 1,
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => return None,
                _ => self.word(),
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Past a number or a word.
    fn word(&mut self) {
        while let Some(byte) = self.bytes.get(self.at)
            && !matches!(byte, b',' | b':' | b'}' | b']' | b'{' | b'[' | b'"')
            // The same that are spaces to `value`: what neither takes, nobody passes.
            && !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
        {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::call::json::tests::any_json;

    fn named(bytes: &[u8], within: Range<usize>) -> Vec<(String, &str)> {
        let inside = members(bytes, within).expect("an object");
        let text = |r: Range<usize>| std::str::from_utf8(&bytes[r]).expect("text");
        inside.into_iter().map(|m| (m.name.into_owned(), text(m.value))).collect()
    }

    #[test]
    fn members_are_found_where_they_lie() {
        let bytes = br#" {"id" : 1,"p\u0061rams":{"a":[1,"}"]} , "x":"\"," } "#;
        let found = named(bytes, 0..bytes.len());
        let expected = [("id", "1"), ("params", r#"{"a":[1,"}"]}"#), ("x", r#""\",""#)];
        assert_eq!(found, expected.map(|(n, v)| (n.to_owned(), v)));
        assert_eq!(find(bytes, &["params", "a"]).map(|r| &bytes[r]), Some(&br#"[1,"}"]"#[..]));
    }

    #[test]
    fn what_is_no_whole_object_has_no_members() {
        for bytes in [
            &b""[..],
            b"{",
            b"[1]",
            b"{\"a\"}",
            b"{\"a\":1,}",
            b"{\"a\":1}x",
            b"{\"a",
            b"{\"a\":\"\\",
            b"{\"a\":,}",
        ] {
            assert_eq!(members(bytes, 0..bytes.len()), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_id_is_found_in_how_a_long_message_begins() {
        let id = |head: &'static [u8]| head_id(head).map(|place| &head[place]);
        assert_eq!(id(br#"{"jsonrpc":"2.0","id": 12 ,"result":{"x":"yyy"#), Some(&b"12"[..]));
        for none in [&br#"{"result":{"id":1,"x":"#[..], br#"{"id":12"#, b"[", b"", br#"{"id":"#] {
            assert_eq!(head_id(none), None);
        }
    }

    #[test]
    fn a_member_goes_with_its_comma_and_comes_with_one() {
        let all = br#"{"a":1, "b":{"x":2},"c":3}"#;
        let cut = |name| without(all, 0..all.len(), name).expect("there");
        assert_eq!(&cut("a")[..], br#"{"b":{"x":2},"c":3}"#);
        assert_eq!(&cut("b")[..], br#"{"a":1, "c":3}"#);
        assert_eq!(&cut("c")[..], br#"{"a":1, "b":{"x":2}}"#);
        let one = br#"{ "x":2 }"#;
        assert_eq!(&without(one, 0..one.len(), "x").expect("there")[..], b"{  }");
        let added = with_member(b"{}", 0..2, "e", "{}").expect("an object");
        assert_eq!(&added[..], br#"{"e":{}}"#);
        let added = with_member(all, 0..all.len(), "e", "{}").expect("an object");
        assert_eq!(&added[..], br#"{"e":{},"a":1, "b":{"x":2},"c":3}"#);
    }

    #[test]
    fn every_byte_is_passed_wherever_it_stands() {
        // A form feed is white space to Rust, and none to JSON.
        for byte in 0..=u8::MAX {
            for (before, after) in [("{\"a\":[", "]}"), ("{\"a\":", "}"), ("[", "]"), ("{", "}")] {
                let bytes = [before.as_bytes(), &[byte], after.as_bytes()].concat();
                let _ = (find(&bytes, &["a", "b"]), items(&bytes, 0..bytes.len(), 8));
                let _ = head_id(&bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn every_object_is_found_as_the_strict_parser_has_it(json in any_json()) {
            let text = json.to_text();
            let found = members(text.as_bytes(), 0..text.len());
            match json.as_object() {
                None => prop_assert_eq!(found, None),
                Some(members) => {
                    let found = found.expect("an object");
                    prop_assert_eq!(found.len(), members.len());
                    for (found, (name, value)) in found.iter().zip(members) {
                        prop_assert_eq!(&found.name, name);
                        prop_assert_eq!(&text[found.value.clone()], value.to_text());
                    }
                }
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = members(&bytes, 0..bytes.len());
            let _ = items(&bytes, 0..bytes.len(), 8);
            let _ = find(&bytes, &["a", "b"]);
        }
    }
}
