//! This program started again, as one of the parts of a benchmark: a baseline,
//! a server, or the least that can stand between a client and its server.
//!
//! A process of its own each, so that its memory and processor time are its own,
//! and so that whatever the environment does to the daemon (a slow disk, say)
//! meets the baselines too.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum as _;
use clap::builder::PossibleValue;

use super::bare::Rows;
use super::minimal;
use super::process;
use super::proxy::parts;
use super::trouble::Trouble;

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Bare tonic: echoes and holds, writes nothing.
    Tonic,
    /// Bare tonic and a bare writer with the fewest rows.
    Few,
    /// Bare tonic and a bare writer with the daemon's rows.
    Same,
    /// An MCP server on stdin and stdout.
    StdioServer,
    /// An MCP server over HTTP.
    HttpServer,
    /// Carries bytes between its stdin and stdout and the server that it starts.
    StdioRelay,
    /// Makes each request again at the URL that is its argument.
    HttpRelay,
}

/// What the command is called under which this program becomes a part.
pub const COMMAND: &str = "bench-part";

impl Part {
    /// This program, to be this part.
    pub fn command(self, program: &Path, argument: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = process::command(program);
        let name = self.to_possible_value();
        command.arg(COMMAND).args(name.iter().map(PossibleValue::get_name)).arg(argument);
        command
    }

    /// Is this part until it is ended.
    pub async fn play(self, argument: String) -> Result<(), Trouble> {
        let dir = PathBuf::from(&argument);
        match self {
            Part::Tonic => minimal::serve(&dir, None).await,
            Part::Few => minimal::serve(&dir, Some(Rows::Few)).await,
            Part::Same => minimal::serve(&dir, Some(Rows::Same)).await,
            Part::StdioServer => parts::stdio_server(),
            Part::StdioRelay => parts::stdio_relay(),
            Part::HttpServer => parts::http_server().await,
            Part::HttpRelay => parts::http_relay(argument).await,
        }
    }
}
