//! The configuration read again while the daemon serves (SIGHUP).
//!
//! Promises: people, routes and the settings that can change are exchanged as
//! one, recorded in the history, or not at all; a configuration that cannot be
//! used changes nothing, and the log says what is wrong with it, where, and what
//! to do. Must never: touch what is pending. Who lost the right to decide is told
//! so when they try, and whoever waits with a token that is gone is sent away.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::{Daemon, changes};
use crate::config::{Config, ConfigError};
use crate::desk::in_force::InForce;
use crate::desk::people::People;
use crate::desk::routes::Routes;
use crate::desk::{Desk, Settings};
use crate::store::StoreError;
use crate::store::change::{Change, Names};
use crate::store::read::{self, PendingAfter};

/// Names or ids that one line of the log lists; of the others, how many.
const LISTED: usize = 20;

/// Problems of one file that are logged one by one.
const PROBLEMS: usize = 50;

/// Pending requests that are looked at together.
const READ_AT_ONCE: usize = 500;

/// The configurations that a reload compares with.
#[derive(Debug)]
pub struct Reloads {
    /// What the daemon was started with: some settings hold until it ends.
    started: Config,
    /// What is in force.
    in_force: Config,
    /// Looks at what is pending, after the last reload.
    looking: Option<JoinHandle<()>>,
}

impl Reloads {
    /// A daemon begins with this.
    pub fn new(config: &Config) -> Self {
        Reloads { started: config.clone(), in_force: config.clone(), looking: None }
    }

    /// Nothing is looked at any more.
    pub fn stop(&mut self) {
        if let Some(looking) = self.looking.take() {
            looking.abort();
        }
    }
}

impl Daemon {
    /// Takes over a configuration that was read again. Says how it went in the
    /// log, and in a few words to the one who asked.
    pub async fn reload(
        &mut self,
        read: Result<(Config, Vec<String>), ConfigError>,
    ) -> Result<String, String> {
        let (next, warnings) = read.map_err(|error| refuse(&error))?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        if let Some(why) = self.needs_a_start(&next) {
            tracing::error!("the configuration was not reloaded, and nothing changed: {why}");
            return Err(why);
        }
        let change = changes::between(&self.reloads.in_force, &next);
        let people = match next.local_mode() {
            // The tokens of local mode are in files that only a start reads.
            true => self.desk.people(),
            false => Arc::new(People::new(&next.callers, &next.operators)),
        };
        let routes = Routes::new(&next.routes, next.default_timeout);
        let in_force = InForce { people, routes, settings: Settings::of(&next) };
        if let Err(error) = self.desk.exchange(in_force, change.clone()).await {
            let why = "the change could not be recorded, so nothing changed";
            tracing::error!(%error, "{why}; send SIGHUP again when the store can write");
            return Err(why.to_owned());
        }
        let all = [&self.tls, &self.pages_tls];
        for (tls, files) in all.into_iter().flatten().zip(next.tls.iter().cycle()) {
            // What cannot be used is said in the log, and what was in use stays:
            // people who were removed are out all the same.
            let _ = tls.reload(files);
        }
        // What else follows the file of a running daemon (mail) is called here,
        // and leaves `changes::waiting` then.
        say(&change);
        for setting in changes::waiting(&self.reloads.started, &next) {
            tracing::warn!("{setting} changed: takes effect at the next start");
        }
        self.reloads.stop();
        self.reloads.looking = Some(tokio::spawn(warn_of_stranded(self.desk.clone())));
        self.reloads.in_force = next;
        Ok("configuration reloaded".to_owned())
    }

    /// What no reload can do.
    fn needs_a_start(&self, next: &Config) -> Option<String> {
        match (self.reloads.started.local_mode(), next.local_mode()) {
            (true, false) => Some(
                "the first callers and operators end local mode, which takes a restart".to_owned(),
            ),
            (false, true) => Some(
                "without callers and operators this would become local mode, which takes a restart"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Names everything that is wrong, for the log.
fn refuse(error: &ConfigError) -> String {
    for problem in error.problems.iter().take(PROBLEMS) {
        let (place, remedy) = (problem.place.to_string(), problem.remedy.as_str());
        tracing::error!(place, remedy, "the configuration is not usable: {}", problem.message);
    }
    let count = error.problems.len();
    tracing::error!(
        problems = count,
        "the configuration was not reloaded, and nothing changed; `holdpoint config check` says what to mend"
    );
    format!("the configuration was not reloaded: {count} problems, see the log")
}

/// What a reload took over, one line for each kind of thing.
fn say(change: &Change) {
    for (what, names) in
        [("callers", &change.callers), ("operators", &change.operators), ("routes", &change.routes)]
    {
        let Names { added, removed, changed } = names;
        if *names != Names::default() {
            let (added, removed) = (some_of(added), some_of(removed));
            tracing::info!(added, removed, changed = some_of(changed), "{what} changed");
        }
    }
    if !change.settings.is_empty() {
        tracing::info!(settings = some_of(&change.settings), "settings changed");
    }
    let same = *change == Change::default();
    let what = if same { "; nothing that it can change is different" } else { "" };
    tracing::info!("the configuration was reloaded{what}");
}

fn some_of(names: &[String]) -> String {
    let mut text = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        text.push_str(&format!(" and {} more", names.len() - LISTED));
    }
    text
}

/// Warns of pending requests that the people there are now could never approve.
async fn warn_of_stranded(desk: Arc<Desk>) {
    match stranded(&desk).await {
        Ok((0, ..)) => {}
        Ok((count, ids, lack)) => {
            let requests = ids.join(", ");
            tracing::warn!(
                count,
                requests,
                lack,
                "pending requests that nobody can approve any more; they can be denied, withdrawn, or expire"
            );
        }
        Err(error) => tracing::warn!(%error, "what is pending could not be looked at"),
    }
}

/// How many there are, the first of them, and what the first one lacks.
async fn stranded(desk: &Desk) -> Result<(usize, Vec<String>, String), StoreError> {
    let people = desk.people();
    let (mut count, mut ids, mut first) = (0, Vec::new(), String::new());
    let mut after = PendingAfter::default();
    loop {
        let read = move |conn: &_| read::pending(conn, after, READ_AT_ONCE);
        let (page, more) = desk.store().read(read).await?;
        for (at, request) in page {
            after = at;
            let on_behalf_of = &request.call.agent.on_behalf_of;
            let Err(lack) = people.can_be_satisfied(&request.requirement, on_behalf_of) else {
                continue;
            };
            count += 1;
            if ids.len() < LISTED {
                ids.push(request.id.to_string());
            }
            if first.is_empty() {
                first = lack;
            }
        }
        if !more {
            return Ok((count, ids, first));
        }
    }
}
