//! The `holdpoint` program. What it does is in [`holdpoint::cli`].

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = holdpoint::cli::Cli::try_parse()
        .unwrap_or_else(|error| holdpoint::cli::misunderstood(error));
    // One TLS implementation for all that speaks TLS, chosen before anything
    // does; that another was chosen before this line is not possible.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ExitCode::from(holdpoint::cli::main(cli))
}
