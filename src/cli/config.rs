//! `holdpoint config`: write, check and show the daemon's configuration.
//!
//! Must never: print a secret, or overwrite a file that nobody gave up.

pub(super) mod render;

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::errors::{Done, Failure, exit};
use super::output::{Output, note};
use super::state::Globals;
use super::text::{count, shell_word};
use crate::config::{Config, ConfigError, ConfigFile, EXAMPLE, Environment, Overrides, printable};

const SERVICE_UNIT: &str = include_str!("../../packaging/systemd/holdpoint.service");
const SOCKET_UNIT: &str = include_str!("../../packaging/systemd/holdpoint.socket");

/// Write, check and show the daemon's configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Write a file in which every key is explained; it changes nothing yet
    Init {
        /// Replace the file if there is one
        #[arg(long)]
        force: bool,
        /// Where to [default: where the daemon looks]
        file: Option<PathBuf>,
    },
    /// Say what is wrong, all of it, or who may decide what
    Check {
        /// The file to check [default: the one the daemon reads]
        file: Option<PathBuf>,
    },
    /// Print a unit for systemd: how to install it is written in it
    Systemd {
        /// The socket unit, which goes with the service and need not
        #[arg(long)]
        socket: bool,
    },
    /// Show what is in force and where it was set; secrets are hidden
    Show {
        /// The file to show [default: the one the daemon reads]
        file: Option<PathBuf>,
    },
}

/// Runs the command.
pub fn run(globals: &Globals, command: ConfigCommand) -> Done {
    let mut out = Output::stdout();
    let overrides = |file: Option<PathBuf>| Overrides {
        config: file.or(globals.config.clone()),
        ..globals.overrides()
    };
    match command {
        ConfigCommand::Init { force, file } => {
            let environment = Environment::of_this_process();
            let usual = ConfigFile::find(&globals.overrides(), &environment)?;
            let chosen = file.as_ref().unwrap_or(&usual.path);
            init(chosen, force)?;
            out.text(&what_next(chosen, *chosen == usual.path))?;
        }
        ConfigCommand::Check { file } => {
            let (config, warnings) = check(overrides(file)).map_err(|error| all_of(&error))?;
            warn(&warnings);
            out.text(&render::summary(&config))?;
        }
        ConfigCommand::Systemd { socket } => {
            out.text(if socket { SOCKET_UNIT } else { SERVICE_UNIT })?;
        }
        ConfigCommand::Show { file } => {
            let (config, warnings) = Config::load(overrides(file))?;
            warn(&warnings);
            out.text(&render::shown(&config))?;
        }
    }
    out.flush()
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        note(&format!("warning: {warning}"));
    }
}

/// The configuration; that the socket's path fits is part of being right.
fn check(overrides: Overrides) -> Result<(Config, Vec<String>), ConfigError> {
    let (config, warnings) = Config::load(overrides)?;
    config.paths()?;
    Ok((config, warnings))
}

/// Prints every problem by itself; nothing is left to say after that.
fn all_of(error: &ConfigError) -> Failure {
    for problem in &error.problems {
        note(&format!("error: {problem}"));
    }
    note(&count(error.problems.len() as u64, "error", "errors"));
    Failure::quiet(exit::USAGE)
}

/// Writes the example, readable by its owner alone.
fn init(path: &Path, force: bool) -> Done {
    let shown = printable(path);
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(
            format!("{shown} exists, and nothing was written"),
            "Give another file name, or --force to replace it.",
        ),
        _ => Failure::new(
            format!("cannot write {shown}: {error}"),
            "Name a file in a folder that you can write.",
        ),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // As the daemon makes its state directory.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).create_new(!force).create(force).truncate(force);
    let mut file = options.open(path).map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(EXAMPLE.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn what_next(path: &Path, usual: bool) -> String {
    let shown = printable(path);
    let word = shell_word(&shown);
    let (with, found) = match usual {
        true => (String::new(), "The daemon finds it there.".to_owned()),
        false => (
            format!(" --config {word}"),
            format!("The daemon reads it with --config {word} or HOLDPOINT_CONFIG."),
        ),
    };
    format!(
        "Wrote {shown}. {found}\n\
         It changes nothing yet: every line is a comment. Next:\n\
         \x20 holdpoint token new NAME{with}   for each person and program; paste what it prints\n\
         \x20 holdpoint config check{with}     after each change\n\
         \x20 holdpoint serve{with}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_systemd_agree_with_the_program() {
        let allowed = |key: &str| {
            let line = SERVICE_UNIT.lines().find_map(|line| line.strip_prefix(key)).expect(key);
            let seconds = line.trim_end_matches('s').parse().expect("seconds");
            std::time::Duration::from_secs(seconds)
        };
        assert!(allowed("TimeoutStopSec=") > crate::daemon::STOP_WITHIN);
        assert!(
            SERVICE_UNIT.contains(&format!("within {} s", crate::daemon::STOP_WITHIN.as_secs()))
        );
        assert!(allowed("WatchdogSec=") >= crate::store::STUCK);
        assert!(SERVICE_UNIT.contains(&format!("RestartPreventExitStatus={}\n", exit::USAGE)));
        for name in ["smtp_password", "tls_cert", "tls_key"] {
            let line = format!("{name}_file = \"credential:holdpoint.{name}\"");
            assert!(SERVICE_UNIT.contains(&line) && EXAMPLE.contains(&line), "{line}");
            assert!(SERVICE_UNIT.contains(&format!("\nLoadCredential=holdpoint.{name}\n")));
        }
    }

    #[test]
    fn a_file_is_written_for_its_owner_alone_and_never_replaced_unasked() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("new/holdpoint.toml");
        init(&file, false).expect("written");
        let mode =
            |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&dir.path().join("new"))), (0o600, 0o700));
        assert_eq!(std::fs::read_to_string(&file).expect("readable"), EXAMPLE);

        std::fs::write(&file, "mine").expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("mode");
        let refused = init(&file, false).expect_err("it exists").to_string();
        assert!(refused.contains("exists") && refused.contains("--force"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).expect("readable"), "mine");
        init(&file, true).expect("replaced");
        assert_eq!(std::fs::read_to_string(&file).expect("readable"), EXAMPLE);
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("file"), "").expect("written");
        let error = init(&dir.path().join("file/x.toml"), false).expect_err("no folder");
        assert!(error.to_string().contains("file/x.toml"), "{error}");
    }
}
