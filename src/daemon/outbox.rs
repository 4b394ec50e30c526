//! The outbox worker, set up from the configuration.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::CannotStart;
use crate::config::{Config, Overrides, StatePaths};
use crate::desk::Desk;
use crate::desk::links::Links;
use crate::mail::letter;
use crate::mail::transport::{MailConfig, Transport};
use crate::mail::worker::{self, Sender};

/// Starts the worker. Also says where mails go, in words.
pub fn start(
    desk: &Arc<Desk>,
    config: &Config,
    paths: &StatePaths,
    links: Option<Links>,
) -> Result<(JoinHandle<()>, String), CannotStart> {
    let transport =
        Transport::new(&MailConfig::new(config, paths)).map_err(CannotStart::because)?;
    let goes = transport.describe();
    let mut sender = mail_sender(config).map_err(CannotStart::because)?;
    sender.links = links;
    let (desk, bell, per_minute) = (desk.clone(), desk.mail_bell(), config.mails_per_minute);
    let worker = tokio::spawn(async move {
        let mut closing = desk.closing();
        let stop = async move {
            let _ = closing.wait_for(|closing| *closing).await;
        };
        let people = || desk.people();
        worker::run(desk.store().clone(), transport, sender, per_minute, people, &bell, stop).await;
    });
    Ok((worker, goes))
}

/// What stands in every letter.
pub(crate) fn mail_sender(config: &Config) -> Result<Sender, letter::ComposeError> {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // What stands in `Message-ID` must stay over restarts, and a container has a
    // new name at each: the sender's domain stays.
    let (from, host) = match &config.from {
        Some(from) => (from.clone(), from.email.domain().to_owned()),
        None => (letter::sender(None, &machine)?, machine),
    };
    let reply_to = config.reply_to.clone();
    Ok(Sender { from, reply_to, command_prefix: command(config), links: None, host })
}

/// How `holdpoint` is called where operators type. In local mode they use this
/// machine, and a state directory that is not the usual one has to be named.
fn command(config: &Config) -> String {
    let usual = StatePaths::find(&Overrides::default()).map(|paths| paths.dir);
    let named = std::env::var_os("HOLDPOINT_STATE_DIR").is_some();
    if config.local_mode() && (named || usual.is_ok_and(|dir| dir != config.state_dir)) {
        return format!("HOLDPOINT_STATE_DIR={} holdpoint", quoted(&config.state_dir));
    }
    "holdpoint".to_owned()
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+:@,".contains(&b);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
