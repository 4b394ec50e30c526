//! The state directory as clients see it: where the socket is, and the tokens
//! of local mode.

use std::env;
use std::path::PathBuf;

use super::client::Role;
use super::errors::{Done, Failure};

/// `HOLDPOINT_STATE_DIR`, else `holdpoint` in the XDG state directory.
pub fn directory() -> Done<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = set("HOLDPOINT_STATE_DIR") {
        return Ok(directory);
    }
    let absolute = |path: &PathBuf| path.is_absolute();
    let xdg = set("XDG_STATE_HOME").filter(absolute);
    let home = || set("HOME").map(|home| home.join(".local/state"));
    xdg.or_else(home).map(|base| base.join("holdpoint")).ok_or_else(|| {
        Failure::usage(
            "neither HOME nor HOLDPOINT_STATE_DIR is set",
            "Set HOLDPOINT_STATE_DIR to a folder of your own.",
        )
    })
}

/// The socket of the daemon that works in the state directory.
pub fn socket() -> Done<PathBuf> {
    Ok(directory()?.join("holdpoint.sock"))
}

/// The token that local mode made for this role.
pub fn token_file(role: Role) -> Done<PathBuf> {
    let name = match role {
        Role::Caller => "caller.token",
        Role::Operator => "operator.token",
    };
    Ok(directory()?.join(name))
}
