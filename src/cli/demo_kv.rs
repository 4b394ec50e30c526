//! The demo's own key-value store: one JSON file. It is there so that one sees
//! whether the agent's write ran.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::errors::{Done, Failure};
use super::output::Output;
use super::text::safe;
use crate::call::json::{self, Json};

/// The demo's key-value store.
#[derive(Debug, Clone, Args)]
pub struct KvArgs {
    #[command(subcommand)]
    command: KvCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum KvCommand {
    /// Write a value
    Set {
        key: String,
        value: String,
        #[arg(long)]
        file: PathBuf,
    },
    /// Print a value
    Get {
        key: String,
        #[arg(long)]
        file: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: KvArgs) -> Done {
    match args.command {
        KvCommand::Set { key, value, file } => set(&file, &key, &value),
        KvCommand::Get { key, file } => {
            let missing = || Failure::new(format!("there is no {}", safe(&key)), "");
            let value = get(&file, &key)?.ok_or_else(missing)?;
            let mut out = Output::stdout();
            out.line(&safe(&value))?;
            out.flush()
        }
    }
}

fn set(file: &Path, key: &str, value: &str) -> Done {
    let mut members = read(file)?;
    members.retain(|(name, _)| name != key);
    members.push((key.to_owned(), value.into()));
    let temporary = file.with_extension("new");
    let written = fs::write(&temporary, Json::Object(members).to_text());
    let written = written.and_then(|()| fs::rename(&temporary, file));
    written.map_err(|error| failed(file, &error.to_string()))
}

/// The value of a key, if it was ever written.
pub fn get(file: &Path, key: &str) -> Done<Option<String>> {
    let members = read(file)?;
    let found = members.into_iter().find(|(name, _)| name == key);
    Ok(found.and_then(|(_, value)| value.as_str().map(str::to_owned)))
}

fn read(file: &Path) -> Done<Vec<(String, Json)>> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(file, &error.to_string())),
    };
    match json::parse_object(&bytes) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(failed(file, &error.to_string())),
    }
}

fn failed(file: &Path, why: &str) -> Failure {
    Failure::new(format!("the store {}: {why}", safe(&file.to_string_lossy())), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_was_not_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("store.json");
        assert_eq!(get(&file, "a"), Ok(None));
        set(&file, "a", "1").expect("written");
        set(&file, "b", "2").expect("written");
        set(&file, "a", "3").expect("written");
        assert_eq!(get(&file, "a"), Ok(Some("3".to_owned())));
        assert_eq!(get(&file, "b"), Ok(Some("2".to_owned())));
    }
}
