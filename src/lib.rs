//! Holdpoint: a human-in-the-loop approval daemon for AI agents' tool calls.
#![warn(missing_docs)]

pub mod call;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod desk;
pub mod grpc;
pub mod mail;
pub mod store;
pub mod telemetry;

/// The generated contract, `proto/holdpoint/v1`. Its comments are in the `.proto` files.
#[allow(clippy::all, missing_docs, rustdoc::all)]
pub mod proto {
    tonic::include_proto!("holdpoint.v1");

    /// The same contract as descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/holdpoint.bin"));
}
