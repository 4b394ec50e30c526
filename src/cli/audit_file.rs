//! `audit export` and `audit verify`: the history as a file that anyone can
//! check, without the daemon and without trust in it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::client::{Client, Role};
use super::errors::{Done, Failure, exit};
use super::output::{Output, note};
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
    /// The first entry, by its sequence number
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// The last entry
    #[arg(long, value_name = "N", default_value_t = 0)]
    last: u64,
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
    let client = Client::new(globals, Role::Operator)?;
    let message = proto::ExportAuditRequest { first: args.first, last: args.last };
    let stream = client.history().export_audit(message).await;
    let mut stream = stream.map_err(|status| client.failure(status))?.into_inner();
    let failed = |status| {
        let failure = client.failure(status);
        Failure { what: format!("the export broke off: {}", failure.what), ..failure }
    };
    if args.file == Path::new("-") {
        let mut out = Output::stdout();
        while let Some(chunk) = stream.message().await.map_err(failed)? {
            out.bytes(&chunk.data)?;
        }
        return out.flush();
    }
    let mut partial = Partial::create(&args.file)?;
    let mut bytes = 0_u64;
    while let Some(chunk) = stream.message().await.map_err(failed)? {
        bytes += chunk.data.len() as u64;
        partial.write(&chunk.data)?;
    }
    partial.finish()?;
    let shown = safe(&args.file.to_string_lossy());
    note(&format!(
        "exported to {shown} ({bytes} bytes); check it with: holdpoint audit verify {shown}"
    ));
    Ok(())
}

/// A file that takes its name only when it is whole, and goes if it never is.
struct Partial {
    writer: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Partial {
    fn create(path: &Path) -> Done<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(name);
        // The history says who did what: for its owner alone.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| cannot_write(path, &error))?;
        Ok(Partial { writer: Some(BufWriter::new(file)), temporary, path: path.to_owned() })
    }

    fn write(&mut self, data: &[u8]) -> Done {
        let written = self.writer.as_mut().map_or(Ok(()), |writer| writer.write_all(data));
        written.map_err(|error| cannot_write(&self.path, &error))
    }

    fn finish(mut self) -> Done {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let finished = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
        let finished = finished.and_then(|file| file.sync_all());
        let finished = finished.and_then(|()| fs::rename(&self.temporary, &self.path));
        finished.map_err(|error| cannot_write(&self.path, &error))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is nothing of that name.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cannot write {}: {error}", safe(&path.to_string_lossy())),
        "Choose a folder that can be written, with room.",
    )
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
        Ok(checked) => whole(checked.entries, &Digest::from_bytes(checked.head).to_string()),
        Err(problem) => {
            // The problem names the line of the file, or the entry.
            Err(broken(&format!("{shown}: {}", safe(&problem.what))))
        }
    }
}

async fn verify_daemon(globals: &Globals, head: Option<Digest>) -> Done {
    let client = Client::new(globals, Role::Operator)?;
    let head = head.map(|head| head.to_string()).unwrap_or_default();
    // No time limit: a long history takes its time.
    let answer = client.history().verify_audit(proto::VerifyAuditRequest { head }).await;
    let answer = answer.map_err(|status| client.failure(status))?.into_inner();
    if !answer.whole {
        return Err(broken(&safe(&answer.problem)));
    }
    whole(answer.entries, &safe(&answer.head))
}

fn whole(entries: u64, head: &str) -> Done {
    let mut out = Output::stdout();
    out.line(&format!(
        "the history is whole: {}, head {head}",
        count(entries, "entry", "entries")
    ))?;
    out.flush()
}

fn broken(problem: &str) -> Failure {
    Failure::new(
        format!("the history does not verify: {problem}"),
        "Keep a copy of database and export as they are, and compare with an earlier export.",
    )
    .with_exit(exit::OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_that_breaks_off_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let mut partial = Partial::create(&path).expect("created");
        partial.write(b"half").expect("written");
        drop(partial);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
        let mut partial = Partial::create(&path).expect("created");
        partial.write(b"whole").expect("written");
        partial.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
