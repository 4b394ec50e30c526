//! What the environment says, read once.
//!
//! Every scalar key of the file has a variable: `HOLDPOINT_` and the key in
//! capitals, with `_` for a dot: `listen` is `HOLDPOINT_LISTEN`,
//! `limits.max_held` is `HOLDPOINT_LIMITS_MAX_HELD`. A variable wins over the
//! file. An empty variable counts as not set, as compose files write it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::error::{Place, Problems};
use super::names::{meant, shortened};

/// Variables that are read elsewhere: by clients, or before there is a file.
const ELSEWHERE: [&str; 10] = [
    "HOLDPOINT_CONFIG",
    "HOLDPOINT_STATE_DIR",
    "HOLDPOINT_SERVER",
    "HOLDPOINT_TOKEN",
    "HOLDPOINT_TOKEN_FILE",
    "HOLDPOINT_CA",
    "HOLDPOINT_CERT",
    "HOLDPOINT_KEY",
    "HOLDPOINT_LOG",
    "HOLDPOINT_LOG_FORMAT",
];

/// Kubernetes gives every container variables for each service of the
/// namespace. For one named `holdpoint` they begin with these.
const INJECTED: [&str; 2] = ["HOLDPOINT_PORT", "HOLDPOINT_SERVICE_"];

/// The environment variables of a process.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Those of this process.
    pub fn of_this_process() -> Environment {
        Environment(std::env::vars_os().collect())
    }

    /// These and no others.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Environment {
        Environment(variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// A variable that holds a path, unless it is empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.0.get(&OsString::from(name))?;
        (!value.is_empty()).then(|| value.into())
    }

    /// A variable's text, unless it is empty. Values are never quoted: some are secret.
    pub(super) fn text(&self, name: &str, problems: &mut Problems) -> Option<&str> {
        let value = self.0.get(&OsString::from(name)).filter(|value| !value.is_empty())?;
        let text = value.to_str();
        if text.is_none() {
            let place = Place::Variable(name.to_owned());
            problems.error(&place, "the value is not valid UTF-8", "set it to UTF-8 text");
        }
        text
    }

    /// Warns of every `HOLDPOINT_` variable that nothing reads.
    pub(super) fn warn_of_unknown(&self, scalars: &[String], problems: &mut Problems) {
        let known = || scalars.iter().map(String::as_str).chain(ELSEWHERE);
        for name in self.0.keys().map(|name| name.to_string_lossy()) {
            let ours = name.starts_with("HOLDPOINT_");
            if !ours || known().any(|k| k == name) || INJECTED.iter().any(|i| name.starts_with(i)) {
                continue;
            }
            // Without the common beginning, which would make every name look near.
            let tail = |name: &str| name.replacen("HOLDPOINT_", "", 1).to_lowercase();
            let tails: Vec<String> = known().map(tail).collect();
            let remedy = match meant(&tail(&name), tails.iter().map(String::as_str)) {
                Some(word) => format!("did you mean HOLDPOINT_{}?", word.to_uppercase()),
                None => "unset it, or rename it if it belongs to another program".to_owned(),
            };
            let place = Place::Variable(shortened(&name));
            problems.warning(&place, "nothing reads this environment variable", remedy);
        }
    }
}

/// Names only: values may be secret.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
