//! The MCP proxy: stands between MCP clients and servers, and holds calls.
//!
//! | module | what it is |
//! |---|---|
//! | [`config`] | the proxy's TOML file |

pub mod config;
