//! `holdpoint request`: hold a call, and end with 0 when it may run now, once.
//!
//! `holdpoint request --server db --tool drop_table --args '{"table":"t"}' && ...`
//! hands the permission on to what follows in the script, so no outcome is
//! expected.

use std::io::Read;
use std::path::Path;

use clap::Args;

use super::asking::{self, About};
use super::client::{Client, Role};
use super::errors::{Done, Failure};
use super::hold::{Ending, Hold};
use super::output::note;
use super::signals::Stop;
use super::state::Globals;
use super::text::safe;
use crate::call::digest::Covered;
use crate::call::json;

/// Hold a call until people answer; exit code 0: it may run now, once.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_CODES)]
pub struct RequestArgs {
    /// The server that has the tool
    #[arg(long, value_name = "NAME")]
    server: String,
    /// The tool that is to be called
    #[arg(long, value_name = "NAME")]
    tool: String,
    /// The arguments, a JSON object: as text, in a file, or from standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    args: String,
    #[command(flatten)]
    about: About,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   it may run now, once
  2   wrong usage; nothing was asked
  10  denied
  11  expired: nobody answered in time
  12  withdrawn
  13  the daemon cannot be reached, or it refused the call";

/// What the daemon takes, and a byte more, so that what is longer is noticed.
const MAX_ARGUMENTS: u64 = 256 * 1024;

/// Runs the command.
pub async fn run(globals: &Globals, args: RequestArgs) -> Done {
    let bytes = arguments(&args.args)?;
    let tree = json::parse_object(&bytes).map_err(|error| {
        Failure::usage(
            format!("--args: {error}"),
            "Give a JSON object that means exactly one thing, for example '{\"path\":\"a.txt\"}'.",
        )
    })?;
    let covered = Covered {
        server: &args.server,
        tool: &args.tool,
        arguments: &tree,
        input_responses: None,
        request_state: None,
    };
    let digest = covered.digest();
    let client = Client::new(globals, Role::Caller)?;
    let mut stop = Stop::listen()?;
    let call = args.about.call("holdpoint request", &args.server, &args.tool, bytes);
    let mut hold = Hold::new(client, call, digest, args.about.timeout);

    let mut ending = hold.wait(&mut stop).await;
    if matches!(ending, Ending::Approved) {
        match hold.take(false, &mut stop).await {
            Ok(_) => {
                note(&format!("holdpoint: {}", asking::approved_by(&hold)));
                if args.about.json {
                    asking::granted(&hold, (&args.server, &args.tool));
                }
                return Ok(());
            }
            Err(other) => ending = other,
        }
    }
    Err(asking::not_granted(&hold, ending, &args.about, (&args.server, &args.tool), 0))
}

/// The arguments' bytes, exactly as they were given.
pub(super) fn arguments(given: &str) -> Done<Vec<u8>> {
    let source: Box<dyn Read> = if given == "-" {
        Box::new(std::io::stdin())
    } else if let Some(path) = given.strip_prefix('@') {
        Box::new(std::fs::File::open(Path::new(path)).map_err(|error| {
            Failure::usage(
                format!("--args: cannot read {}: {error}", safe(path)),
                "Check the path.",
            )
        })?)
    } else {
        return Ok(given.as_bytes().to_vec());
    };
    let mut bytes = Vec::new();
    source.take(MAX_ARGUMENTS + 1).read_to_end(&mut bytes).map_err(|error| {
        Failure::usage(format!("--args: cannot read {}: {error}", safe(given)), "Check the path.")
    })?;
    if bytes.len() as u64 > MAX_ARGUMENTS {
        return Err(Failure::usage(
            "--args: the arguments are larger than 256 KiB",
            "Put what is large in a file and its hash and path in the arguments.",
        ));
    }
    Ok(bytes)
}
