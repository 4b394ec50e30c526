//! The configuration changed while the daemon runs: who may ask and decide, and
//! what is asked of whom, is part of the history.

use super::audit::{Entry, Kind};
use super::error::StoreError;
use super::tx::Tx;
use crate::call::json::Json;

/// Names of one kind: what there is now and was not before, and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// There were none of these names before.
    pub added: Vec<String>,
    /// There are none of these names any more.
    pub removed: Vec<String>,
    /// There before and now, but not the same.
    pub changed: Vec<String>,
}

/// What is different after the configuration was read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Who may ask.
    pub callers: Names,
    /// Who may decide.
    pub operators: Names,
    /// Who decides what.
    pub routes: Names,
    /// Settings that hold from now on.
    pub settings: Vec<String>,
}

/// Records it. An entry is written even if nothing is different: that somebody
/// had it read again is worth knowing.
pub fn config_reloaded(tx: &mut Tx<'_>, change: &Change) -> Result<(), StoreError> {
    let mut entry = Entry::new(Kind::ConfigReloaded);
    for (what, names) in
        [("callers", &change.callers), ("operators", &change.operators), ("routes", &change.routes)]
    {
        list(&mut entry, &format!("{what}_added"), &names.added);
        list(&mut entry, &format!("{what}_removed"), &names.removed);
        list(&mut entry, &format!("{what}_changed"), &names.changed);
    }
    list(&mut entry, "settings", &change.settings);
    tx.record(entry)?;
    Ok(())
}

fn list(entry: &mut Entry, name: &str, words: &[String]) {
    if !words.is_empty() {
        let words = words.iter().map(|word| Json::from(word.as_str()));
        entry.member(name, &Json::Array(words.collect()));
    }
}
