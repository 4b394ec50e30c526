//! Where the daemon listens: on sockets that were passed to it, or else on its own.
//!
//! Must never: listen on an address that other machines can reach without
//! identities and TLS, whoever opened it.

use std::path::Path;
use std::{io, net, os::unix::net as unix_net};

use tokio::net::{TcpListener, UnixListener};

use super::CannotStart;
use crate::config::{Config, PublicUrl};
use crate::grpc::server;

/// The Unix sockets that were passed, or the one at this path.
pub fn unix(
    own: &Path,
    passed: Vec<unix_net::UnixListener>,
) -> Result<Vec<UnixListener>, CannotStart> {
    if passed.is_empty() {
        return Ok(vec![server::bind_socket(own).map_err(CannotStart::because)?]);
    }
    let ready = |socket: unix_net::UnixListener| {
        socket.set_nonblocking(true)?;
        UnixListener::from_std(socket)
    };
    passed.into_iter().map(ready).collect::<io::Result<_>>().map_err(CannotStart::because)
}

/// The TCP sockets that were passed, or the one that is configured.
pub async fn tcp(
    config: &Config,
    passed: Vec<net::TcpListener>,
) -> Result<Vec<TcpListener>, CannotStart> {
    match config.listen {
        Some(address) if passed.is_empty() => {
            Ok(vec![server::bind_tcp("listen", address).await.map_err(CannotStart::because)?])
        }
        _ => passed.into_iter().map(|socket| checked(config, socket)).collect(),
    }
}

/// The socket for the operators' pages, and where their browsers find it.
pub async fn pages(config: &Config) -> Result<Option<(TcpListener, PublicUrl)>, CannotStart> {
    let Some(address) = config.web_listen else { return Ok(None) };
    let listener = server::bind_tcp("web_listen", address).await.map_err(CannotStart::because)?;
    let listening = listener.local_addr().map_err(CannotStart::because)?;
    Ok(Some((listener, config.pages_url(listening))))
}

/// A socket that was passed, if it obeys the rules for `listen`.
fn checked(config: &Config, socket: net::TcpListener) -> Result<TcpListener, CannotStart> {
    let address = socket.local_addr().map_err(CannotStart::because)?;
    if let Some((lack, remedy)) = config.lacks_for(address).first() {
        return Err(CannotStart::because(format!(
            "the socket that was passed listens on {address}, which other machines can reach, but {lack}; {remedy}"
        )));
    }
    if config.listen.is_some_and(|listen| listen != address) {
        tracing::warn!(%address, "`listen` is not used: a socket was passed in its place");
    }
    socket.set_nonblocking(true).map_err(CannotStart::because)?;
    TcpListener::from_std(socket).map_err(CannotStart::because)
}

/// An address in the form that clients take.
pub fn unix_address(socket: &UnixListener) -> String {
    let address = socket.local_addr().ok();
    match address.as_ref().and_then(|address| address.as_pathname()) {
        Some(path) => format!("unix:{}", path.display()),
        None => "unix:(without a path)".to_owned(),
    }
}
