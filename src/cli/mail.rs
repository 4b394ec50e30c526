//! `holdpoint mail`: for whoever looks after the daemon's mail.

use clap::Subcommand;

use super::errors::Done;
use super::mail_queue::{self, QueueArgs, RetryArgs};
use super::state::Globals;

/// The mails to the operators: what waits, what failed; have one tried again.
#[derive(Debug, Clone, Subcommand)]
pub enum MailCommand {
    Queue(QueueArgs),
    Retry(RetryArgs),
}

/// Runs the command.
pub async fn run(globals: &Globals, command: MailCommand) -> Done {
    match command {
        MailCommand::Queue(args) => mail_queue::queue(globals, args).await,
        MailCommand::Retry(args) => mail_queue::retry(globals, args).await,
    }
}
