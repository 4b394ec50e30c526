//! What every command takes, and where clients find the state directory.

use std::path::PathBuf;

use clap::Args;

use super::client::Role;
use super::errors::{Done, Failure, exit};
use crate::config::{ConfigError, Overrides, StatePaths};

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// Where the daemon is: unix:PATH, http://HOST:PORT or https://HOST:PORT
    /// [env: HOLDPOINT_SERVER] [default: the socket in the state directory]
    #[arg(long, global = true, value_name = "ADDRESS", help_heading = "Everywhere")]
    pub connect: Option<String>,
    /// The state directory [env: HOLDPOINT_STATE_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub state_dir: Option<PathBuf>,
    /// The configuration file [env: HOLDPOINT_CONFIG] [default: holdpoint.toml
    /// in the state directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
}

impl Globals {
    /// What they say about where things are.
    pub fn overrides(&self) -> Overrides {
        Overrides { config: self.config.clone(), state_dir: self.state_dir.clone() }
    }

    /// The files of the state directory.
    pub fn paths(&self) -> Done<StatePaths> {
        StatePaths::find(&self.overrides()).map_err(Failure::from)
    }
}

/// The token that local mode made for this role.
pub fn token_file(paths: &StatePaths, role: Role) -> &PathBuf {
    match role {
        Role::Caller => &paths.caller_token,
        Role::Operator => &paths.operator_token,
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let several = error.problems.len() > 1;
        match &error.problems[..] {
            [one] => {
                Failure::usage(format!("{}: {}", one.place, one.message), sentence(&one.remedy))
            }
            _ => Failure {
                what: error.to_string(),
                next: if several { "Mend these.".to_owned() } else { String::new() },
                exit: exit::USAGE,
                reason: String::new(),
            },
        }
    }
}

/// A remedy as a sentence: "choose a shorter one" becomes "Choose a shorter one."
fn sentence(remedy: &str) -> String {
    let mut letters = remedy.trim_end_matches('.').chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}
