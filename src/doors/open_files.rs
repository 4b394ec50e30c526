//! How many files may be open, and so how many connections.

/// Files that are open besides connections: database, mail, logs, with room.
const OTHER_FILES: u64 = 256;

/// How many connections there may be: as many as are wanted, if as many files may
/// be open. Shells and systemd allow 1024 at first, and more to
/// who asks.
pub fn connections_allowed(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = wanted as u64 + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return wanted;
    }
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    let files = if set.is_ok() { raised } else { current.unwrap_or(raised) };
    if files >= needed {
        return wanted;
    }
    // At least half of them: a limit this low is somebody's experiment.
    let connections = files.saturating_sub(OTHER_FILES).max(files / 2);
    tracing::warn!(
        files,
        connections,
        "fewer files may be open than so many connections need, so there will be fewer connections; raise the limit (LimitNOFILE, ulimit -n)"
    );
    usize::try_from(connections).unwrap_or(wanted)
}
