//! A strict little mail reader, so that tests see what a reader sees and not
//! what the composer meant.

/// A letter taken apart.
pub struct Read {
    /// In order, unfolded, still encoded.
    pub headers: Vec<(String, String)>,
    pub plain: String,
    pub html: String,
}

pub fn read(bytes: &[u8]) -> Read {
    let text = std::str::from_utf8(bytes).expect("ASCII");
    assert!(text.is_ascii(), "a letter is ASCII");
    for line in text.split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
    }
    let (headers, body) = headers(text);
    let kind = value(&headers, "Content-Type");
    let boundary = kind.split_once("boundary=\"").expect("a boundary").1.trim_end_matches('"');
    assert!(boundary.len() <= 70, "{boundary}");
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "two parts between three boundaries");
    assert_eq!((parts[0], parts[3].trim_end()), ("", "--"));
    let part = |part: &str, kind: &str| {
        let (headers, body) = self::headers(part.strip_prefix("\r\n").expect("a line end"));
        assert_eq!(value(&headers, "Content-Type"), kind);
        assert_eq!(value(&headers, "Content-Transfer-Encoding"), "quoted-printable");
        assert_eq!(headers.len(), 2);
        decoded(body.strip_suffix("\r\n").expect("a line end"))
    };
    let plain = part(parts[1], "text/plain; charset=utf-8");
    let html = part(parts[2], "text/html; charset=utf-8");
    Read { headers, plain, html }
}

fn headers(text: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_owned(), value.to_owned())
    };
    (head.split("\r\n").map(pair).collect(), body)
}

pub fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    let mut values = headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let value = values.next().unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(values.next(), None, "one {name}");
    value
}

/// Quoted-printable, with LF line ends.
fn decoded(text: &str) -> String {
    let (mut bytes, text) = (Vec::new(), text.replace("=\r\n", ""));
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = match (first, more) {
            (b'=', [high, low, more @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16).expect("a hex digit") as u8;
                bytes.push(digit(high) * 16 + digit(low));
                more
            }
            _ => {
                bytes.push(*first);
                more
            }
        };
    }
    String::from_utf8(bytes).expect("UTF-8").replace("\r\n", "\n")
}

/// The names of all tags, in order.
pub fn tags(html: &str) -> Vec<&str> {
    let after = html.split('<').skip(1);
    after.map(|tag| tag.split([' ', '>', '\n']).next().unwrap_or_default()).collect()
}

/// What a reader without styles shows: one line per row, cell or line.
pub fn text_of(html: &str) -> String {
    let body = html.split_once("<body").expect("a body").1;
    let mut text = String::new();
    for piece in format!("<body{body}").split('<').skip(1) {
        let (tag, words) = piece.split_once('>').expect("tags end");
        if matches!(tag.split(' ').next(), Some("td" | "div" | "br")) {
            text.push('\n');
        }
        text.push_str(words.trim_matches('\n'));
    }
    let unescaped = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    let unescaped = unescaped.replace("&#39;", "'").replace("&#160;", " ").replace("&amp;", "&");
    let lines = unescaped.lines().filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}
