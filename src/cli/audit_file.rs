//! `audit export` and `audit verify`: the history as a file that anyone can
//! check, without the daemon and without trust in it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::client::{Client, Role};
use super::errors::{Done, Failure, exit};
use super::output::{Output, note};
use super::part::{self, Part, cannot_write};
use super::state::Globals;
use super::text::{count, safe};
use crate::call::digest::Digest;
use crate::proto;
use crate::store::export;

/// Write the history to a file that can be verified offline.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The file; `-` is standard output
    file: PathBuf,
    /// The first entry, by its sequence number [default: the first there is]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    first: u64,
    /// The last entry [default: the last]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    last: u64,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

/// Recompute the hash chain.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// An exported file, checked offline; without it, the daemon checks itself
    file: Option<PathBuf>,
    /// A head that was noted earlier: the chain has to contain it
    #[arg(long, value_name = "HASH")]
    head: Option<Digest>,
}

/// `holdpoint audit export`
pub async fn export(globals: &Globals, args: ExportArgs) -> Done {
    let to_stdout = args.file == Path::new("-");
    if !to_stdout {
        part::may_replace(&args.file, args.force)?;
    }
    let client = Client::new(globals, Role::Operator)?;
    let message = proto::ExportAuditRequest { first: args.first, last: args.last };
    let stream = client.history().export_audit(message).await;
    let mut stream = stream.map_err(|status| client.failure(status))?.into_inner();
    let failed = |status| {
        let failure = client.failure(status);
        Failure { what: format!("the export broke off: {}", failure.what), ..failure }
    };
    if to_stdout {
        let mut out = Output::stdout();
        while let Some(chunk) = stream.message().await.map_err(failed)? {
            out.bytes(&chunk.data)?;
        }
        return out.flush();
    }
    let (part, file) = Part::create(&args.file)?;
    let mut writer = BufWriter::new(file);
    let mut bytes = 0_u64;
    while let Some(chunk) = stream.message().await.map_err(failed)? {
        bytes += chunk.data.len() as u64;
        writer.write_all(&chunk.data).map_err(|error| cannot_write(&args.file, &error))?;
    }
    writer.flush().map_err(|error| cannot_write(&args.file, &error))?;
    part.finish()?;
    let shown = safe(&args.file.to_string_lossy());
    note(&format!(
        "exported to {shown} ({bytes} bytes); check it with: holdpoint audit verify {shown}"
    ));
    Ok(())
}

/// `holdpoint audit verify`
pub async fn verify(globals: &Globals, args: VerifyArgs) -> Done {
    let Some(path) = args.file else {
        return verify_daemon(globals, args.head).await;
    };
    let shown = safe(&path.to_string_lossy());
    let file = File::open(&path).map_err(|error| {
        Failure::usage(
            format!("cannot read {shown}: {error}"),
            "Name a file that `holdpoint audit export` wrote.",
        )
    })?;
    let head = args.head.map(|head| *head.as_bytes());
    let checked = export::verify_export(BufReader::new(file), head).map_err(|error| {
        Failure::new(format!("cannot read {shown}: {error}"), "Nothing was verified.")
    })?;
    match checked {
        Ok(checked) => {
            if checked.unrecorded > 0 {
                note(&format!(
                    "of {} erased entries this file does not say that they were: it ends before \
                     that was recorded, or somebody took them out",
                    checked.unrecorded
                ));
            }
            let head = Digest::from_bytes(checked.head).to_string();
            whole(checked.entries, checked.erased, &head, args.head.is_some())
        }
        Err(problem) => {
            if is_no_export(&path) {
                return Err(Failure::new(
                    format!("{shown}: not an export of holdpoint (no header line)"),
                    "Name a file that `holdpoint audit export` wrote.",
                ));
            }
            // The problem names the line of the file, or the entry.
            Err(broken(&format!("{shown}: {}", safe(&problem.what))))
        }
    }
}

/// Whether the file has nothing of a header of ours, rather than a broken one:
/// a damaged export has to be told from one that is none.
fn is_no_export(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut start));
    let start = String::from_utf8_lossy(&start);
    read.is_ok() && !start.contains("holdpoint_audit_export") && !start.contains("\"previous\":\"")
}

async fn verify_daemon(globals: &Globals, head: Option<Digest>) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let noted = head.is_some();
    let head = head.map(|head| head.to_string()).unwrap_or_default();
    // No time limit: a long history takes its time.
    let answer = client.history().verify_audit(proto::VerifyAuditRequest { head }).await;
    let answer = answer.map_err(|status| client.failure(status))?.into_inner();
    if !answer.whole {
        return Err(broken(&safe(&answer.problem)));
    }
    whole(answer.entries, answer.erased, &safe(&answer.head), noted)
}

fn whole(entries: u64, erased: u64, head: &str, noted: bool) -> Done {
    let mut out = Output::stdout();
    let erased = match erased {
        0 => String::new(),
        n => format!(", {n} of them erased by age"),
    };
    let entries = count(entries, "entry", "entries");
    out.line(&format!("the history is whole: {entries}{erased}, head {head}"))?;
    if noted {
        out.line("it contains the head that you gave: what was before is as it was")?;
    }
    out.flush()
}

fn broken(problem: &str) -> Failure {
    Failure::new(
        format!("the history does not verify: {problem}"),
        "Keep a copy of database and export as they are, and compare with an earlier export.",
    )
    .with_exit(exit::OTHER)
}
