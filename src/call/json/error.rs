//! Why a document was refused: what is wrong, where, and what to do about it.
//!
//! Must never repeat what was sent: a value may be a secret, and an error may
//! end in a log. The one exception is a member name that cannot be one.

use std::fmt;

use super::number::MAX_EXPONENT;

/// Why a document was refused. Repeats nothing of it but, at most, a member
/// name that cannot be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Where, in bytes from the start.
    pub offset: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The document ends in the middle of a value, or is empty.
    UnexpectedEnd,
    /// Something else than what JSON allows here: the text says what was expected.
    Expected(&'static str),
    /// More follows after the document.
    TrailingBytes,
    /// The document starts with a byte order mark.
    ByteOrderMark,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A control character inside a string that is not escaped.
    ControlCharacter,
    /// A backslash followed by what JSON gives no meaning.
    InvalidEscape,
    /// Half of a surrogate pair, which is no character.
    LoneSurrogate,
    /// A member name that the same object already has. The name is here when
    /// it is short and looks like a name rather than a secret.
    DuplicateMember(Option<String>),
    /// Not a number as JSON writes them.
    InvalidNumber,
    /// A number beyond 10^±9999.
    ExponentOutOfRange,
    /// Arrays and objects nested deeper than is accepted.
    TooDeep(usize),
    /// More values than are accepted.
    TooMany(usize),
    /// Arguments that are not an object.
    NotAnObject,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use JsonErrorKind as K;
        match &self.kind {
            K::UnexpectedEnd => write!(f, "the JSON ends too early: send the whole document")?,
            K::Expected(what) => write!(f, "not valid JSON: expected {what}")?,
            K::TrailingBytes => write!(f, "more follows after the JSON: send one document only")?,
            K::ByteOrderMark => write!(f, "byte order mark: send UTF-8 without one")?,
            K::InvalidUtf8 => write!(f, "not valid UTF-8: send the JSON as UTF-8")?,
            K::ControlCharacter => {
                write!(f, "control character in a string: write it as an escape such as \\n")?;
            }
            K::InvalidEscape => write!(f, "unknown escape: write a literal backslash as \\\\")?,
            K::LoneSurrogate => {
                write!(f, "half a surrogate pair: send both halves, or the character itself")?;
            }
            K::DuplicateMember(Some(name)) => {
                write!(f, "duplicate member \"{name}\": send each member once")?;
            }
            K::DuplicateMember(None) => write!(f, "duplicate member: send each member once")?,
            K::InvalidNumber => write!(f, "not a JSON number: write it as 12, -1.5 or 2e6")?,
            K::ExponentOutOfRange => write!(
                f,
                "number beyond 10^{MAX_EXPONENT} or below 10^-{MAX_EXPONENT}: send it as a string"
            )?,
            K::TooDeep(max) => write!(f, "nested deeper than {max} levels: flatten it")?,
            K::TooMany(max) => write!(f, "more than {max} values: send them in parts")?,
            K::NotAnObject => {
                write!(f, "arguments must be a JSON object: send {{}} when there are none")?;
            }
        }
        write!(f, " (at byte {})", self.offset)
    }
}

impl std::error::Error for JsonError {}

impl JsonErrorKind {
    /// A second member called `name`, which is told only if it is short, plain,
    /// and without the digits that nearly every token has.
    pub(super) fn duplicate(name: &str) -> JsonErrorKind {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
        let digits = name.chars().filter(char::is_ascii_digit).count();
        let tellable =
            !name.is_empty() && name.len() <= 32 && digits <= 2 && name.chars().all(plain);
        JsonErrorKind::DuplicateMember(tellable.then(|| name.to_owned()))
    }
}
