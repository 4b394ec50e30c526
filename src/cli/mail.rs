//! `holdpoint mail`: see for oneself that mail goes out; what waits stands in
//! [`mail_queue`].
//!
//! Promises: what is printed is what was said, but for secrets, and harmless to
//! a terminal; success means that a mail server has taken the mail.

use std::sync::Arc;

use clap::Subcommand;

use super::errors::{Done, Failure};
use super::mail_queue::{self, QueueArgs, RetryArgs};
use super::output::{Output, note};
use super::state::Globals;
use super::text::safe;
use crate::config::Config;
use crate::daemon::mail_sender;
use crate::mail::letter::{self, About, Recipient};
use crate::mail::transport::{Fault, MailConfig, Said, Transport};

/// Mail to the operators: try it out; what waits or failed
#[derive(Debug, Clone, Subcommand)]
pub enum MailCommand {
    /// Send a sample mail and print the conversation with the mail server
    ///
    /// Uses the configuration that the daemon would use, and needs no daemon.
    /// Exit code 0: the mail server has taken the mail.
    Test {
        /// Where the sample goes, name@example.com
        address: String,
    },
    Queue(QueueArgs),
    Retry(RetryArgs),
}

/// Runs the command.
pub async fn run(globals: &Globals, command: MailCommand) -> Done {
    match command {
        MailCommand::Queue(args) => mail_queue::queue(globals, args).await,
        MailCommand::Retry(args) => mail_queue::retry(globals, args).await,
        MailCommand::Test { address } => test(globals, &address).await,
    }
}

async fn test(globals: &Globals, address: &str) -> Done {
    let valid: Result<lettre::Address, _> = address.parse();
    if let Err(error) = valid {
        return Err(Failure::usage(
            format!("\"{}\" is not a mail address: {error}", safe(address)),
            "Write it as name@example.com.",
        ));
    }
    let (config, warnings) = Config::load(globals.overrides())?;
    for warning in warnings {
        note(&format!("warning: {warning}"));
    }
    let mend = "Mend the configuration; `holdpoint config check` looks at all of it.";
    let mail = MailConfig::new(&config, &config.paths()?);
    let transport = Transport::new(&mail).map_err(|e| Failure::new(safe(&e.to_string()), mend))?;
    let sender = mail_sender(&config).map_err(|error| Failure::new(error.to_string(), mend))?;
    let name = address.split('@').next().unwrap_or_default().to_owned();
    let known = config.operators.iter().find(|o| o.email.as_deref() == Some(address));
    let time_zone = known.and_then(|operator| operator.time_zone);
    let to = Recipient { name: name.clone(), email: address.to_owned(), time_zone };
    let about = About {
        from: sender.from,
        reply_to: sender.reply_to,
        asked: vec![name],
        thread: None,
        now: super::when::now(),
        command_prefix: sender.command_prefix,
        host: sender.host,
        links: sender.links,
    };
    let letter = letter::sample(&to, &about).map_err(|e| Failure::new(safe(&e.to_string()), ""))?;
    let message_id = letter.message_id.clone();
    let mut out = Output::stdout();
    out.line(&format!("to {} by {}", safe(address), safe(&transport.describe())))?;
    let to_a_folder = matches!(transport, Transport::Folder(_));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    // Said and printed at once: where a server hangs is seen by where it stops.
    let listener = Arc::new(move |said| drop(tell.send(said)));
    let trying = tokio::spawn(async move { transport.try_out(&letter, listener).await });
    while let Some(said) = told.recv().await {
        out.line(&line(&said))?;
        out.flush()?;
    }
    let result = trying.await.map_err(|_| Failure::new("the attempt broke off", ""))?;
    match result {
        Ok(delivered) if to_a_folder => Err(Failure::new(
            format!("no mail server is configured, so the sample is a file: {}", delivered.answer),
            "Set `smtp_url` and `from` to send mails (`holdpoint config init` explains them).",
        )),
        Ok(delivered) => {
            out.line(&format!("accepted: {}", safe(&delivered.answer)))?;
            out.line(&format!(
                "Look into the mailbox of {}, and among its spam. If nothing comes, the mail \
                 server's log knows it as {message_id}.",
                safe(address)
            ))?;
            out.flush()
        }
        Err(failure) => {
            let next = match failure.fault {
                Fault::Passing if failure.unknown_end => {
                    "The server may have taken the mail: look before you try again."
                }
                Fault::Passing => "This may pass: try again in a minute. The daemon would.",
                Fault::Letter => "Is the address right?",
                Fault::SetUp => "Mend that, then try again. The daemon would keep trying.",
            };
            Err(Failure::new(format!("not accepted: {}", safe(&failure.text)), next))
        }
    }
}

/// A line of the conversation, with who said it.
fn line(said: &Said) -> String {
    match said {
        Said::Client(line) => format!("> {}", safe(line)),
        Said::Server(line) => format!("< {}", safe(line)),
        Said::Note(line) => format!("* {}", safe(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_cannot_drive_the_terminal() {
        let said = Said::Server("250 \x1b[2J\u{202e}ok".to_owned());
        assert_eq!(line(&said), "< 250 ⟨U+001B⟩[2J⟨U+202E⟩ok");
    }
}
