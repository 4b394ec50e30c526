//! `credential:NAME`: a file that systemd passed to its service.

use super::environment::Environment;
use super::error::{Place, Problems};
use super::names::shortened;

/// How a setting names a file that systemd passed (`LoadCredential=`).
pub(crate) const CREDENTIAL: &str = "credential:";

/// The path of the file that the text of a setting names in this form; `None` if
/// it names none, or none that there could be, which is reported.
pub(crate) fn file(
    key: &str,
    text: &str,
    place: &Place,
    environment: &Environment,
    problems: &mut Problems,
) -> Option<String> {
    let name = text.strip_prefix(CREDENTIAL)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        let message = format!("`{key}` names the credential \"{}\"", shortened(name));
        let remedy = "letters, digits, _, - and . (not first) make the name of one";
        problems.error(place, message, remedy);
        return None;
    }
    let folder = environment.path("CREDENTIALS_DIRECTORY").filter(|path| path.is_absolute());
    let file = folder.and_then(|folder| folder.join(name).to_str().map(str::to_owned));
    if file.is_none() {
        problems.error(
            place,
            format!("`{key}` names a credential, and CREDENTIALS_DIRECTORY is not set"),
            format!(
                "start this by a unit with LoadCredential={name}, or set \
                 CREDENTIALS_DIRECTORY to the absolute path of a folder with the file {name}"
            ),
        );
    }
    file
}
