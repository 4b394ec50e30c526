//! The plain text of a mail file, as far as our own mails need it: the first
//! part of a multipart message, in quoted-printable.

/// Subject and first lines of the text, at most `lines` of them.
pub fn beginning(eml: &[u8], lines: usize) -> Vec<String> {
    let eml = String::from_utf8_lossy(eml).replace("\r\n", "\n");
    let subject = eml.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
    let mut shown = vec![format!("Subject: {subject}"), String::new()];
    let text = plain_part(&eml).map(quoted_printable).unwrap_or_default();
    shown.extend(text.lines().take(lines).map(str::to_owned));
    while shown.last().is_some_and(String::is_empty) {
        shown.pop();
    }
    if text.lines().count() > lines {
        shown.push("...".to_owned());
    }
    shown
}

/// What stands between the headers of the text/plain part and its end.
fn plain_part(eml: &str) -> Option<&str> {
    let boundary = eml.split_once("boundary=\"")?.1.split_once('"')?.0;
    let delimiter = format!("\n--{boundary}");
    let mut parts = eml.split(delimiter.as_str()).skip(1);
    let plain = parts.find(|part| part.contains("Content-Type: text/plain"))?;
    Some(plain.split_once("\n\n")?.1)
}

fn quoted_printable(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
        rest = match (first, after.first(), digit(0), digit(1)) {
            (b'=', Some(b'\n'), ..) => &after[1..],
            (b'=', _, Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                &after[2..]
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_mail_is_read_as_it_was_written() {
        let eml = "Subject: Approve? set on kv\r\nContent-Type: multipart/alternative; boundary=\"=_x\"\r\n\r\n\
            --=_x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            Run set =E2=80=94 wri=\r\nte\r\na=3Db\r\n\r\nlast\r\n--=_x\r\nContent-Type: text/html\r\n\r\n<p>\r\n--=_x--\r\n";
        let shown = beginning(eml.as_bytes(), 2);
        assert_eq!(
            shown,
            ["Subject: Approve? set on kv", "", "Run set \u{2014} write", "a=b", "..."]
        );
    }
}
