//! Where the daemon keeps its state, and where its clients find it.

use std::path::{Path, PathBuf};

use super::Overrides;
use super::environment::Environment;
use super::error::{ConfigError, Place, printable};

/// What a Unix socket's address holds on Linux, without the closing zero byte.
/// macOS holds four fewer and says so itself when it binds.
const SOCKET_PATH_MAX: usize = 107;

/// The files of a state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePaths {
    /// The state directory itself; absolute.
    pub dir: PathBuf,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// The lock against a second daemon.
    pub lock: PathBuf,
    /// Mails, one .eml file each, while no mail server is configured.
    pub mail: PathBuf,
    /// What links in mails and forms of pages are sealed with.
    pub seal: PathBuf,
    /// Local mode: the token of the local caller.
    pub caller_token: PathBuf,
    /// Local mode: the token of the local operator.
    pub operator_token: PathBuf,
}

impl StatePaths {
    /// The paths that a daemon or a client with these settings uses. Reads no
    /// configuration: a client need not be able to.
    pub fn find(overrides: &Overrides) -> Result<StatePaths, ConfigError> {
        StatePaths::of(&state_dir(overrides, &Environment::of_this_process())?)
    }

    /// The paths within a state directory.
    pub fn of(dir: &Path) -> Result<StatePaths, ConfigError> {
        let socket = dir.join("holdpoint.sock");
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_MAX {
            let shown = printable(&socket);
            return Err(ConfigError::one(
                Place::Path(dir.to_owned()),
                format!(
                    "the path of the Unix socket, {shown}, has {length} bytes, and at most \
                     {SOCKET_PATH_MAX} are possible"
                ),
                "choose a shorter state directory with --state-dir or HOLDPOINT_STATE_DIR",
            ));
        }
        Ok(StatePaths {
            socket,
            database: dir.join("holdpoint.db"),
            lock: dir.join("lock"),
            mail: dir.join("mail"),
            seal: dir.join("seal.key"),
            caller_token: dir.join("caller.token"),
            operator_token: dir.join("operator.token"),
            dir: dir.to_owned(),
        })
    }
}

/// `--state-dir`, `HOLDPOINT_STATE_DIR`, `$XDG_STATE_HOME/holdpoint`, or
/// `~/.local/state/holdpoint`, whichever is set first.
pub(super) fn state_dir(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<PathBuf, ConfigError> {
    let named = overrides.state_dir.clone().or_else(|| environment.path("HOLDPOINT_STATE_DIR"));
    // The XDG specification says to ignore a relative path here.
    let absolute = |path: &PathBuf| path.is_absolute();
    let xdg = || environment.path("XDG_STATE_HOME").filter(absolute);
    let home = || environment.path("HOME").filter(absolute).map(|h| h.join(".local/state"));
    let found = match named {
        Some(dir) => dir,
        None => match xdg().or_else(home) {
            Some(base) => base.join("holdpoint"),
            None => {
                return Err(ConfigError::one(
                    Place::Variable("HOME".to_owned()),
                    "there is no state directory: neither HOLDPOINT_STATE_DIR nor \
                     XDG_STATE_HOME nor HOME is set to an absolute path",
                    "name one with --state-dir DIR or HOLDPOINT_STATE_DIR",
                ));
            }
        },
    };
    std::path::absolute(&found).map_err(|error| {
        let shown = printable(&found);
        ConfigError::one(
            Place::Path(found.clone()),
            format!("the state directory {shown} cannot be found from here: {error}"),
            "name it with an absolute path",
        )
    })
}

/// Which configuration file is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its path.
    pub path: PathBuf,
    /// How somebody named it; `None` for the one in the state directory, which
    /// need not exist.
    pub named_by: Option<&'static str>,
}

impl ConfigFile {
    /// `--config`, `HOLDPOINT_CONFIG`, or `holdpoint.toml` in the state directory.
    pub fn find(
        overrides: &Overrides,
        environment: &Environment,
    ) -> Result<ConfigFile, ConfigError> {
        if let Some(path) = overrides.config.clone() {
            return Ok(ConfigFile { path, named_by: Some("--config") });
        }
        if let Some(path) = environment.path("HOLDPOINT_CONFIG") {
            return Ok(ConfigFile { path, named_by: Some("HOLDPOINT_CONFIG") });
        }
        let path = state_dir(overrides, environment)?.join("holdpoint.toml");
        Ok(ConfigFile { path, named_by: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(overrides: &Overrides, environment: Environment) -> PathBuf {
        state_dir(overrides, &environment).expect("a directory")
    }

    #[test]
    fn the_state_directory_is_the_nearest_that_is_set() {
        let none = Overrides::default();
        let home = ("HOME", "/home/a");
        let xdg = ("XDG_STATE_HOME", "/xdg");
        let named = ("HOLDPOINT_STATE_DIR", "/named");
        let at = |p: &str| PathBuf::from(p);
        assert_eq!(dir(&none, Environment::of([home])), at("/home/a/.local/state/holdpoint"));
        assert_eq!(dir(&none, Environment::of([home, xdg])), at("/xdg/holdpoint"));
        assert_eq!(dir(&none, Environment::of([home, xdg, named])), at("/named"));
        let flag = Overrides { state_dir: Some(at("/flag")), ..Overrides::default() };
        assert_eq!(dir(&flag, Environment::of([home, xdg, named])), at("/flag"));
        let relative = Environment::of([home, ("XDG_STATE_HOME", "x")]);
        assert_eq!(dir(&none, relative), at("/home/a/.local/state/holdpoint"));
        let empty = Environment::of([home, ("HOLDPOINT_STATE_DIR", "")]);
        assert_eq!(dir(&none, empty), at("/home/a/.local/state/holdpoint"));
    }

    #[test]
    fn without_a_home_the_error_says_what_to_set() {
        let error = state_dir(&Overrides::default(), &Environment::default());
        let text = error.expect_err("nothing is set").to_string();
        assert!(text.contains("--state-dir"), "{text}");
    }

    #[test]
    fn a_state_path_that_is_too_long_for_a_socket_says_how_to_mend_it() {
        // "/" + 91 + "/holdpoint.sock" is 107 bytes.
        let fits = PathBuf::from(format!("/{}", "d".repeat(91)));
        assert!(StatePaths::of(&fits).is_ok());
        let long = PathBuf::from(format!("/{}", "d".repeat(92)));
        let text = StatePaths::of(&long).expect_err("108 bytes").to_string();
        assert!(text.contains("108 bytes") && text.contains("--state-dir"), "{text}");
    }
}
