//! `holdpoint exec -- CMD ARGS`: hold a command, run exactly it on approval.
//!
//! What is asked is the call `program` on server `exec` with the arguments
//! `{"argv":[...],"cwd":"...","program":"/abs","program_sha256":"..."}`, so the
//! digest covers the command line, the folder, the program's file and what is
//! in that file. All of it is looked at again before the use is taken, and the
//! file once more after that: a command that has changed does not run.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::asking::{self, About};
use super::child::{self, Forward};
use super::client::{Client, Role};
use super::errors::{Done, Failure, exit};
use super::hold::{Ending, Hold};
use super::output::note;
use super::program::Program;
use super::signals::Stop;
use super::state::Globals;
use super::text::safe;
use crate::call::digest::{Covered, Digest};
use crate::call::json::Json;
use crate::proto;

/// Hold a command until people answer, then run exactly it.
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// The server's name in the request
    #[arg(long, value_name = "NAME", default_value = "exec")]
    server: String,
    /// The tool's name in the request [default: the program's file name]
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    #[command(flatten)]
    about: About,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<std::ffi::OsString>,
}

/// What the digest of an `exec` does not cover.
const NOT_COVERED: [&str; 3] = [
    "the environment and standard input of the command",
    "files that the command line names, and what the program reads",
    "the program's interpreter and shared libraries",
];
/// How long the daemon is told how the command ended, if it is away.
const REPORT_WITHIN: Duration = Duration::from_secs(30);

/// One command as it is asked, and as it has to be when it runs.
struct Planned {
    argv: Vec<String>,
    cwd: PathBuf,
    program: Program,
    server: String,
    tool: String,
}

impl Planned {
    fn arguments(&self, program: &Program) -> Done<Json> {
        let path = |path: &PathBuf| -> Done<String> {
            path.to_str().map(str::to_owned).ok_or_else(|| not_utf8(&path.to_string_lossy()))
        };
        Ok(Json::object([
            ("argv", Json::array(self.argv.iter().map(String::as_str))),
            ("cwd", path(&self.cwd)?.into()),
            ("program", path(&program.path)?.into()),
            ("program_sha256", program.sha256.as_str().into()),
        ]))
    }

    fn digest(&self, arguments: &Json) -> Digest {
        Covered {
            server: &self.server,
            tool: &self.tool,
            arguments,
            input_responses: None,
            request_state: None,
        }
        .digest()
    }

    /// The program as it stands there now, if it is still what was asked.
    fn unchanged(&self, approved: Digest) -> Done<Program> {
        let program = self.program.again().map_err(|failure| changed(&failure.what))?;
        let cwd = std::env::current_dir().map_err(|error| changed(&error.to_string()))?;
        if cwd != self.cwd || self.digest(&self.arguments(&program)?) != approved {
            return Err(changed("its file is not the one that was approved"));
        }
        Ok(program)
    }
}

/// Runs the command. `Ok` carries its exit code.
pub async fn run(globals: &Globals, args: ExecArgs) -> Done<u8> {
    let planned = plan(&args)?;
    let arguments = planned.arguments(&planned.program)?;
    let digest = planned.digest(&arguments);
    let client = Client::new(globals, Role::Caller)?;
    let mut stop = Stop::listen()?;
    let mut call =
        args.about.call(&planned.server, &planned.tool, arguments.to_text().into_bytes());
    call.not_covered = NOT_COVERED.iter().map(|line| (*line).to_owned()).collect();
    let mut hold = Hold::new(client, call, digest, args.about.timeout);

    let name = (planned.server.as_str(), planned.tool.as_str());
    let not_run = |hold: &Hold, ending| {
        Err(asking::not_granted(hold, ending, &args.about, name, exit::NOT_RUN))
    };
    match hold.wait(&mut stop).await {
        Ending::Approved => {}
        other => return not_run(&hold, other),
    }
    // Looked at before the use is taken: an approval that nobody can use any
    // more is given back rather than spent.
    if let Err(failure) = planned.unchanged(digest) {
        let _ = hold.withdraw("the command has changed since it was asked", &mut stop).await;
        return not_run(&hold, Ending::Refused(failure));
    }
    // From here on signals are the command's.
    let mut forward = Forward::listen()?;
    let lease = match hold.take(true, &mut stop).await {
        Ok(lease) => lease,
        Err(other) => return not_run(&hold, other),
    };
    drop(stop);
    note(&format!("holdpoint: {}; running", asking::approved_by(&hold)));
    let program = match planned.unchanged(digest) {
        Ok(program) => program,
        Err(failure) => {
            report(&hold, false, &format!("not run: {}", failure.what)).await;
            return not_run(&hold, Ending::Refused(failure));
        }
    };
    let mut command = program.command(&planned.argv[0]);
    command.args(&planned.argv[1..]);
    let mut child = match child::start(command) {
        Ok(child) => child,
        Err((why, code)) => {
            report(&hold, false, &format!("did not start: {why}")).await;
            return Err(Failure::new(
                format!("cannot run {}: {}", safe(&planned.argv[0]), safe(&why)),
                "The approval is used up; ask again when it can run.",
            )
            .with_exit(code)
            .about(hold.id().unwrap_or_default()));
        }
    };
    let status = tokio::select! {
        status = forward.until_ended(&mut child) => status,
        () = hold.keep_lease(lease) => unreachable!("a lease is kept until the command ends"),
    };
    let (succeeded, detail, code) = match status {
        Ok(status) => child::ended(status),
        Err(error) => (false, format!("cannot tell how it ended: {error}"), exit::OTHER),
    };
    report(&hold, succeeded, &detail).await;
    Ok(code)
}

fn plan(args: &ExecArgs) -> Done<Planned> {
    let mut argv = Vec::new();
    for word in &args.command {
        argv.push(word.to_str().ok_or_else(|| not_utf8(&word.to_string_lossy()))?.to_owned());
    }
    let program = Program::find(argv.first().map_or("", String::as_str))?;
    let cwd = std::env::current_dir().map_err(|error| {
        Failure::usage(
            format!("cannot tell the working directory: {error}"),
            "Change to one that exists.",
        )
    })?;
    let file_name = || {
        let name = program.path.file_name().unwrap_or_default();
        name.to_str().map(str::to_owned).ok_or_else(|| not_utf8(&name.to_string_lossy()))
    };
    let tool = args.tool.clone().map_or_else(file_name, Ok)?;
    Ok(Planned { argv, cwd, program, server: args.server.clone(), tool })
}

async fn report(hold: &Hold, succeeded: bool, detail: &str) {
    let outcome = if succeeded { proto::Outcome::Succeeded } else { proto::Outcome::Failed };
    if let Err(failure) = hold.report(outcome, detail, REPORT_WITHIN).await {
        let failure = failure.about(hold.id().unwrap_or_default());
        note(&format!("holdpoint: how it ended ({detail}) could not be recorded: {failure}"));
    }
}

fn changed(why: &str) -> Failure {
    Failure::unreachable(
        format!("the command is not what was approved: {}", why.trim_end_matches('.')),
        "It was not run. Ask again, so that people see what it is now.",
    )
}

fn not_utf8(shown: &str) -> Failure {
    Failure::usage(
        format!("{} is not UTF-8, and what cannot be shown cannot be approved", safe(shown)),
        "Rename the file, or put the command in a script.",
    )
}
