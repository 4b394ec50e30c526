//! `holdpoint token`: make bearer tokens, and the hashes that stand for them.
//!
//! A token is printed once, to standard output and nowhere else, so that
//! `holdpoint token new NAME > file` holds the token alone; what to do with it
//! goes to standard error. Must never: take a token from the command line,
//! where every user of the machine can read it.

use std::io::{IsTerminal as _, Read as _};
use std::time::Duration;

use clap::Subcommand;

use super::errors::{Done, Failure};
use super::output::{Output, note};
use super::state::Globals;
use super::when;
use crate::call::time::Time;
use crate::config::names::{fold, name_fault, shortened};
use crate::config::token::{self, TokenHash};
use crate::config::{Config, ConfigFile, Environment, TokenConfig, duration, printable};

/// Make tokens for callers and operators.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token: prints it once, and the line for the configuration
    New {
        /// The caller or operator it is for
        name: String,
        /// For how long it is valid, for example 90d [default: for ever]
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        expires: Option<Duration>,
    },
    /// Read a token from standard input and print the hash that stands for it
    Hash,
}

/// Runs the command.
pub fn run(globals: &Globals, command: TokenCommand) -> Done {
    let mut out = Output::stdout();
    match command {
        TokenCommand::New { name, expires } => {
            new(globals, &name, expires, &mut out)?;
        }
        TokenCommand::Hash => {
            let token = read_token()?;
            if !token::looks_like_one(&token) {
                note("This is no token that `holdpoint token new` made. Is it long and random?");
            }
            out.line(&TokenHash::of(&token).to_string())?;
        }
    }
    out.flush()
}

fn new(globals: &Globals, name: &str, expires: Option<Duration>, out: &mut Output) -> Done {
    if let Some(fault) = name_fault(name) {
        let what = format!("the name \"{}\" {fault}", shortened(name));
        return Err(Failure::usage(what, "Choose another, for example alice or proxy-1."));
    }
    if expires == Some(Duration::ZERO) {
        let next = "Give a longer time, for example --expires 90d.";
        return Err(Failure::usage("a token that expires at once opens nothing", next));
    }
    let overrides = globals.overrides();
    let file = ConfigFile::find(&overrides, &Environment::of_this_process())?;
    // A file that cannot be read (yet) is no reason not to make a token.
    let config = Config::load(overrides).map(|(config, _)| config).ok();
    let token = token::generate().map_err(|error| Failure::new(error.to_string(), ""))?;
    let entry = entry(TokenHash::of(&token), expires.map(|time| when::now() + time));
    out.line(&token)?;
    out.flush()?;
    note("");
    note("This is the only time that the token is shown. Whoever uses it sets HOLDPOINT_TOKEN,");
    note("or HOLDPOINT_TOKEN_FILE to a file that nobody else can read.");
    note("");
    note(&instructions(config.as_ref(), &printable(&file.path), name, &entry));
    Ok(())
}

/// A token as the configuration lists it.
fn entry(hash: TokenHash, expires: Option<Time>) -> String {
    match expires {
        Some(at) => format!("{{ sha256 = \"{hash}\", expires = \"{}\" }}", at.rfc3339()),
        None => format!("{{ sha256 = \"{hash}\" }}"),
    }
}

/// What to paste where.
fn instructions(config: Option<&Config>, file: &str, name: &str, entry: &str) -> String {
    // What listens, and local mode itself, changes at a start only.
    let first = config.is_some_and(Config::local_mode);
    let after = match first {
        true => "Then run `holdpoint config check`, and start the daemon again.",
        false => "Then run `holdpoint config check`, and reload the daemon (SIGHUP).",
    };
    let wanted = fold(name);
    let known = config.and_then(|config| {
        let callers = config.callers.iter().map(|c| (&c.name, &c.tokens, &c.place));
        let operators = config.operators.iter().map(|o| (&o.name, &o.tokens, &o.place));
        callers.chain(operators).find(|(name, ..)| fold(name) == wanted)
    });
    match known {
        Some((name, tokens, place)) if tokens.len() < 2 => {
            let old = |token: &TokenConfig| self::entry(token.sha256, token.expires);
            let mut all: Vec<String> = tokens.iter().map(old).collect();
            all.push(entry.to_owned());
            format!(
                "The token that \"{name}\" has ({place}) stays valid beside the new one, if its \
                 line `tokens` becomes:\n\n\
                 tokens = [{}]\n\n\
                 Once the new one is in use, take the old one away. {after}",
                all.join(", ")
            )
        }
        Some((name, _, place)) => format!(
            "\"{name}\" has two tokens already ({place}). Put this in the place of the one that \
             is no longer used:\n\n{entry}\n\n{after}"
        ),
        None => {
            let local = match first {
                true => {
                    " With the first identities local mode ends, and with it the daemon's own \
                     local tokens: at least one operator and one caller are needed."
                }
                false => "",
            };
            format!(
                "For a person who decides, add this to {file}:\n\n\
                 [[operators]]\n\
                 name = \"{name}\"\n\
                 tokens = [{entry}]\n\n\
                 For a program that asks, this in its place:\n\n\
                 [[callers]]\n\
                 name = \"{name}\"\n\
                 tokens = [{entry}]\n\n\
                 {after}{local}\n\n\
                 For a client of `holdpoint proxy --config FILE`, this in the proxy's file instead; \
                 then restart the proxy:\n\n\
                 [[clients]]\n\
                 name = \"{name}\"\n\
                 tokens = [{entry}]"
            )
        }
    }
}

/// One line of standard input.
fn read_token() -> Done<String> {
    /// More than any token has; a wrong file should not be read to its end.
    const MOST: u64 = 4_096;
    let stdin = std::io::stdin();
    let mut text = String::new();
    let read = if stdin.is_terminal() {
        note("Paste the token, then press Enter:");
        stdin.read_line(&mut text)
    } else {
        stdin.lock().take(MOST).read_to_string(&mut text)
    };
    let next = "Pipe the token in: `holdpoint token hash < FILE`.";
    read.map_err(|error| Failure::new(format!("cannot read standard input: {error}"), next))?;
    token_in(&text)
        .ok_or_else(|| Failure::usage("standard input is not one line with a token", next))
}

/// The token in what was read: one word, with or without a line end.
fn token_in(text: &str) -> Option<String> {
    let token = text.trim();
    let word = !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || c.is_control());
    word.then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    const OLD: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    fn config(dir: &std::path::Path, text: &str) -> Config {
        let file = dir.join("holdpoint.toml");
        std::fs::write(&file, text).expect("written");
        let overrides = Overrides { config: Some(file), state_dir: Some("/s".into()) };
        let read = Config::load_with(&overrides, &Environment::default());
        read.unwrap_or_else(|error| panic!("{error}")).0
    }

    /// The lines of an answer that are meant to be pasted.
    fn to_paste(answer: &str) -> String {
        answer.split("\n\n").nth(1).expect("a block of its own").to_owned()
    }

    #[test]
    fn what_is_printed_for_a_new_name_is_a_configuration() {
        let dir = tempfile::tempdir().expect("a folder");
        let none = config(dir.path(), "");
        let entry = entry(TokenHash::of("hp_x"), Time::parse("2099-01-01T00:00:00Z"));
        let answer = instructions(Some(&none), "/etc/hp.toml", "Zoë O'Neill", &entry);
        assert!(answer.contains("add this to /etc/hp.toml"), "{answer}");
        assert!(answer.contains("local mode ends"), "{answer}");
        let read = config(dir.path(), &to_paste(&answer));
        assert_eq!(read.operators[0].name, "Zoë O'Neill");
        assert_eq!(read.operators[0].tokens[0].sha256, TokenHash::of("hp_x"));
        assert!(read.operators[0].tokens[0].expires.is_some());
    }

    #[test]
    fn a_second_token_stands_beside_the_first() {
        let dir = tempfile::tempdir().expect("a folder");
        let head = "[[operators]]\nname = \"alice\"\n";
        let one = config(dir.path(), &format!("{head}tokens = [{{ sha256 = \"{OLD}\" }}]"));
        let entry = entry(TokenHash::of("hp_x"), None);
        let answer = instructions(Some(&one), "f", "ALICE", &entry);
        let two = config(dir.path(), &format!("{head}{}", to_paste(&answer)));
        let hashes: Vec<String> =
            two.operators[0].tokens.iter().map(|t| t.sha256.to_string()).collect();
        assert_eq!(hashes, [OLD.to_owned(), TokenHash::of("hp_x").to_string()]);
        let third = instructions(Some(&two), "f", "alice", &entry);
        assert!(third.contains("two tokens already"), "{third}");
        assert_eq!(to_paste(&third), entry);
    }

    #[test]
    fn one_word_of_standard_input_is_the_token() {
        assert_eq!(token_in("hp_abc\n").as_deref(), Some("hp_abc"));
        assert_eq!(token_in("  hp_abc\r\n").as_deref(), Some("hp_abc"));
        for text in ["", "\n", "hp_a hp_b", "hp_a\nhp_b\n", "hp_\u{0}"] {
            assert_eq!(token_in(text), None, "{text:?}");
        }
    }
}
