//! Holdpoint: a human-in-the-loop approval daemon for AI agents' tool calls.
//!
//! ```text
//! caller ── RequestApproval ──> grpc ──> desk ──> store      request + entry + mail: one transaction
//!   │ waits                                │         │
//!   │                          mail <──────┼─────────┤       outbox
//! operator ── Decide ─────────> grpc ──> desk ──> store      decision + entry: one transaction
//!   │                                      │ <─── event
//! caller <── approved ─────────────────────┘
//!   └── TakeUse ──> grpc ──> desk ──> store                  granted, once
//! ```
//!
//! Arrows of dependency point down this list only:
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | the commands |
//! | [`mod@bench`] | what a machine makes of daemon and proxy, against their parts bare |
//! | [`daemon`] | the daemon put together, started and stopped |
//! | [`grpc`], [`web`], [`mail`], [`monitor`] | its doors: tonic services; operators' pages; letters and the outbox worker; metrics and health |
//! | [`proxy`] | the MCP proxy: speaks to the daemon as any caller does |
//! | [`doors`] | taking connections in: who is connected, within limits, with or without TLS |
//! | [`desk`] | the service: who may ask and decide, who waits for what |
//! | [`store`] | the only place with SQL: transitions, audit chain, group commit |
//! | [`policy`] | pure: which calls pass, which do not, which wait |
//! | [`call`] | pure: calls, digests, canonical JSON, masking, safe text |
//! | [`config`], [`client`], [`trust`], [`telemetry`], [`metrics`] | what every part may use |
#![warn(missing_docs)]

pub mod bench;
pub mod call;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod desk;
pub mod doors;
mod faults;
pub mod grpc;
pub mod hold;
pub mod mail;
pub mod metrics;
pub mod monitor;
pub mod policy;
pub mod proxy;
pub mod store;
pub mod telemetry;
pub mod trust;
pub mod web;

/// The generated contract, `proto/holdpoint/v1`. Its comments are in the `.proto` files.
#[allow(clippy::all, missing_docs, rustdoc::all)]
pub mod proto {
    tonic::include_proto!("holdpoint.v1");

    /// The same contract as descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/holdpoint.bin"));
}
