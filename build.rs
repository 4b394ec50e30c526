//! Compiles the contract in `proto/` with protox, so that nobody has to install `protoc`,
//! and has the program linked small.

use std::process::Command;
use std::{env, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/holdpoint/v1/types.proto",
        "proto/holdpoint/v1/caller.proto",
        "proto/holdpoint/v1/operator.proto",
        "proto/holdpoint/v1/history.proto",
    ];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    // The same descriptors serve reflection at run time.
    let out = PathBuf::from(env::var("OUT_DIR")?).join("holdpoint.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // A method's future has room for its message for as long as it runs, and this
        // one runs for as long as a call is held.
        .boxed(".holdpoint.v1.RequestApprovalRequest.call")
        .compile_fds(descriptors)?;
    if packs_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// Whether addresses in the program that are put right at its start can be a packed
/// list: 1.5 MB less on disk, and in memory. glibc reads that since 2.36, and older
/// ones refuse such a program, so it is done only where the program is built for the
/// machine that builds it.
fn packs_relocations() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !native || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return false;
    }
    let version = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let text = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let number = |text: String| {
        let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    text.ok().and_then(number).is_some_and(|version| version >= (2, 36))
}
