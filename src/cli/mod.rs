//! The command line: one binary, `holdpoint`, for people, scripts and the daemon.
//!
//! What a command prints goes to standard output and is made for a person on a
//! terminal, as plain lines elsewhere, and as JSON with `--json` (see
//! [`records`]). What it says on the side, errors too, goes to standard error.
//! Exit codes are in [`errors::exit`].
//!
//! ```text
//!   gate     request exec           asking  hold  waiting  signals  program child
//!   decide   pending show approve   look  decide  amend  watch  listing  page
//!   history  audit                  audit  audit_file
//!   proxy    policy
//!   daemon   serve backup restore demo config mail token doctor whoami bench
//!   all of them                     client  state  errors  reasons  output  table  records
//!                                   text  words  when  zone  part
//! ```
//!
//! Promises: what comes from outside is printed as safe text; nothing is decided
//! that was not shown; nothing runs without a use that was taken. Must never:
//! panic on a closed pipe, print a token, or send one in clear text.

mod amend;
mod asking;
mod audit;
mod audit_file;
mod backup;
mod bench;
mod child;
mod client;
mod config;
mod decide;
mod demo;
mod demo_kv;
mod demo_stage;
mod doctor;
pub mod errors;
mod exec;
mod hold;
mod listing;
mod look;
mod mail;
mod mail_queue;
mod mail_text;
mod output;
mod page;
mod part;
mod policy;
mod program;
mod proxy;
mod reasons;
pub mod records;
mod request;
mod restore;
mod serve;
mod signals;
pub mod state;
mod table;
mod text;
mod token;
mod waiting;
mod watch;
mod when;
mod whoami;
mod words;
mod zone;

#[cfg(test)]
mod golden;

use clap::{Parser, Subcommand};

use crate::call::model::Verdict;
use errors::{Done, Failure};
use state::Globals;

/// The first page: every command, by what it is for. `{options}` would fill it
/// with what is needed once a year, so that stands under each command's --help.
const FIRST_PAGE: &str = "\
{about}

Usage: holdpoint COMMAND [OPTIONS]

Try it:
  demo       One held call from beginning to end, with nothing set up

Gate a call:
  request    Hold a call; exit code 0: it may run now, once
  exec       Hold a command, then run exactly it
  proxy      Stand between an MCP client and its server: allow, deny or hold
  mine       What this caller asked
  withdraw   Take a request back

Decide:
  pending    What waits for your decision
  show       One request: what will run, who asks, who has to agree
  approve    Let a call run, once
  deny       Say no, and why
  watch      What waits, and then every change
  lift       Forget a denial

Look back:
  audit      Who asked what, who decided, what ran; export and verify

Run:
  serve      Run the daemon
  backup     Copy the database, also while the daemon runs
  restore    Put a copy in its place, and say what that ends
  config     Write, check or show the configuration
  policy     Check a policy of the proxy; what it says of a tool
  mail       Send a sample mail; what waits or failed; try one again
  token      Make a token for a caller or an operator
  whoami     Who you are to the daemon, and what you may do
  doctor     What is reachable, writable and configured, and what to mend
  confirm-clock  As an admin: state that the daemon's wall clock is right

Environment: HOLDPOINT_SERVER, HOLDPOINT_TOKEN or HOLDPOINT_TOKEN_FILE,
HOLDPOINT_CA, HOLDPOINT_CERT and HOLDPOINT_KEY (a client certificate),
HOLDPOINT_STATE_DIR. `holdpoint COMMAND --help` says more.
";

/// A person between an AI agent and what it does: calls are held until someone
/// answers, and exactly what that person saw is what runs, once.
#[derive(Debug, Parser)]
#[command(name = "holdpoint", version, help_template = FIRST_PAGE)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Request(request::RequestArgs),
    Exec(exec::ExecArgs),
    Proxy(proxy::ProxyArgs),
    Mine(look::MineArgs),
    Withdraw(look::WithdrawArgs),
    Pending(look::PendingArgs),
    Show(look::ShowArgs),
    /// Let a call run, once
    Approve(decide::DecideArgs),
    /// Say no, and why
    #[command(mut_arg("reason", |arg| arg.help("Why, which is needed to deny; the agent is told")))]
    Deny(decide::DecideArgs),
    Watch(watch::WatchArgs),
    Lift(amend::LiftArgs),
    Audit(audit::AuditArgs),
    Whoami(whoami::WhoamiArgs),
    Serve(serve::ServeArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    /// What is reachable, writable and configured, and what to mend
    Doctor,
    Demo(demo::DemoArgs),
    /// The demo's key-value store
    #[command(hide = true)]
    DemoKv(demo_kv::KvArgs),
    #[command(hide = true)]
    Bench(bench::BenchArgs),
    #[command(hide = true, name = crate::bench::part::COMMAND)]
    BenchPart(bench::PartArgs),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    #[command(subcommand)]
    Mail(mail::MailCommand),
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// As an admin: state that the daemon's wall clock is right
    ConfirmClock,
}

/// Runs what the command line says. `Ok` carries the exit code.
pub async fn run(cli: Cli) -> Done<u8> {
    let globals = &cli.globals;
    match cli.command {
        Command::Request(args) => request::run(globals, args).await?,
        Command::Exec(args) => return exec::run(globals, args).await,
        Command::Proxy(args) => return proxy::run(globals, args).await,
        Command::Mine(args) => look::mine(globals, args).await?,
        Command::Withdraw(args) => look::withdraw(globals, args).await?,
        Command::Pending(args) => look::pending(globals, args).await?,
        Command::Show(args) => look::show(globals, args).await?,
        Command::Approve(args) => decide::run(globals, Verdict::Approve, args).await?,
        Command::Deny(args) => decide::run(globals, Verdict::Deny, args).await?,
        Command::Watch(args) => watch::run(globals, args).await?,
        Command::Lift(args) => amend::lift(globals, args).await?,
        Command::Audit(args) => audit::run(globals, args).await?,
        Command::Whoami(args) => whoami::run(globals, args).await?,
        Command::Serve(args) => serve::run(globals, args).await?,
        Command::Backup(args) => backup::run(globals, args).await?,
        Command::Restore(args) => restore::run(globals, args)?,
        Command::Doctor => doctor::run(globals).await?,
        Command::Demo(args) => demo::run(args).await?,
        Command::DemoKv(args) => demo_kv::run(args)?,
        Command::Bench(args) => bench::run(globals, args).await?,
        Command::BenchPart(args) => bench::part(args).await?,
        Command::Config(command) => config::run(globals, command)?,
        Command::Policy(command) => policy::run(globals, command).await?,
        Command::Mail(command) => mail::run(globals, command).await?,
        Command::Token(command) => token::run(globals, command)?,
        Command::ConfirmClock => amend::confirm_clock(globals).await?,
    }
    Ok(errors::exit::OK)
}

/// Says what was not understood, and ends. The parser quotes words as they were
/// given, and a script may have them from an agent: they are shown as safe text.
pub fn misunderstood(mut error: clap::Error) -> ! {
    use clap::error::ContextValue;
    let quoted: Vec<_> = (error.context())
        .filter_map(|(kind, value)| match value {
            ContextValue::String(word) => Some((kind, ContextValue::String(text::safe(word)))),
            ContextValue::Strings(words) => {
                let words = words.iter().map(|word| text::safe(word)).collect();
                Some((kind, ContextValue::Strings(words)))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
    error.exit()
}

/// The whole program but for its arguments: a runtime, the command, the exit code.
pub fn main(cli: Cli) -> u8 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run(cli));
            // A thread may still wait for a line from the terminal.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::new(format!("cannot start: {error}"), "")),
    };
    match ended {
        Ok(code) => code,
        Err(failure) => {
            if !failure.what.is_empty() {
                output::note(&format!("holdpoint: {failure}"));
            }
            failure.exit
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_on_the_first_page() {
        let named = |name: &str| FIRST_PAGE.contains(&format!("\n  {name:<10} "));
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(named(command.get_name()), "{} is missing", command.get_name());
        }
    }
}
