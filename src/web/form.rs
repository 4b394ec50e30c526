//! What a form brings back.
//!
//! Promises: a form counts only with the token that was put into it for this very
//! sign-in, so no other site can send one; a field that stands in it twice does
//! not count at all. Browsers send line ends as CRLF; here they are LF.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::StatusCode;
use subtle::ConstantTimeEq as _;

use super::answer::Trouble;
use super::who::Who;

/// The field that every form of somebody who is signed in has.
pub const TOKEN: &str = "form";

/// Fields of one form.
const MOST: usize = 64;

/// The fields of a form.
#[derive(Debug, Default)]
pub struct Form(BTreeMap<String, Option<String>>);

impl Form {
    /// Reads a form that anybody may send, or the query of an address.
    pub fn read(body: &[u8]) -> Form {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body).take(MOST) {
            let value = value.replace("\r\n", "\n");
            fields
                .entry(name.into_owned())
                .and_modify(|twice| *twice = None)
                .or_insert(Some(value));
        }
        Form(fields)
    }

    /// Reads a form that only this sign-in can have sent.
    pub fn of(who: &Who, body: &Bytes) -> Result<Form, Trouble> {
        Form::sealed(&who.form_token, body)
    }

    /// Reads a form that brings this token back.
    pub fn sealed(expected: &str, body: &Bytes) -> Result<Form, Trouble> {
        let form = Form::read(body);
        let token = form.text(TOKEN).as_bytes();
        if token.ct_eq(expected.as_bytes()).into() {
            return Ok(form);
        }
        let words = "This form is not from your present sign-in, so nothing was done. Open the \
                     request again and decide there.";
        Err(Trouble::new(StatusCode::FORBIDDEN, "Open it again", words))
    }

    /// A field; empty if it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Option::as_deref).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_stands_twice_does_not_count() {
        let form = Form::read(b"a=1&b=x+y%0D%0Az&a=2&c=");
        assert_eq!((form.text("a"), form.text("b"), form.text("c")), ("", "x y\nz", ""));
        assert_eq!(form.text("nothing"), "");
    }
}
