//! Compiles the contract in `proto/` with protox, so that nobody has to install `protoc`.

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
    Ok(())
}
