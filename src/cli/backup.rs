//! `holdpoint backup`: a copy of the database that was checked before it got its name.
//!
//! Works on the files, as the daemon's user, whether or not a daemon runs. Must
//! never: delay the daemon, leave half a copy, or one that is not marked as a copy.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::errors::{Done, Failure};
use super::output::Output;
use super::part::{self, Part};
use super::signals::Stop;
use super::state::Globals;
use super::text::{count, safe};
use super::when;
use crate::call::hex::hex;
use crate::call::json::Json;
use crate::store::copy::{self, Checked, CopyError};

/// Copy the database, also while the daemon runs.
///
/// Run it as the daemon's user. The copy holds everything that was acknowledged
/// before; it is checked, history included, before it gets its name. Configuration,
/// tokens and mails are files beside the database, and are not in it.
///
/// The copy is marked: whoever starts from it finds nothing pending and no approval
/// usable. Only `holdpoint restore` puts it in place safely.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The file; standard output (`-`) is not possible, since it is read again
    file: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: BackupArgs) -> Done {
    if args.file == Path::new("-") {
        return Err(Failure::usage(
            "a backup cannot be written to standard output, since it is read again to check it",
            "Name a file.",
        ));
    }
    if args.file.is_dir() {
        let shown = safe(&args.file.to_string_lossy());
        return Err(Failure::usage(format!("{shown} is a folder"), "Name a file in it."));
    }
    part::may_replace(&args.file, args.force)?;
    let database = globals.paths()?.database;
    refuse_the_database_itself(&args.file, &database)?;
    let began = Instant::now();
    let (part, _) = Part::create(&args.file)?;
    let (to, mut stop) = (part.temporary.clone(), Stop::listen()?);
    let copying = tokio::task::spawn_blocking(move || copied(&database, &to));
    let checked = tokio::select! {
        done = copying => done.map_err(|e| Failure::new(format!("the copy failed: {e}"), ""))?,
        // What was begun goes; its thread ends with this process.
        () = stop.asked() => return Err(Failure::new("stopped: there is no copy", "")),
    };
    let checked = checked.map_err(|error| failure(&error))?;
    part.finish()?;
    let mut out = Output::stdout();
    let told = Told { file: &args.file, checked: &checked, took: began.elapsed() };
    out.line(&if args.json { told.to_json().to_text() } else { told.line() })?;
    out.flush()
}

/// Over its own database it would be a restore, under a daemon perhaps.
fn refuse_the_database_itself(file: &Path, database: &Path) -> Done {
    let same = |a: &Path, b: &Path| match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    if same(file, database) || same(file, &copy::write_ahead_log(database)) {
        return Err(Failure::usage(
            format!("{} is the daemon's own database", safe(&file.to_string_lossy())),
            "Name another file, best on another disk.",
        ));
    }
    Ok(())
}

fn copied(database: &Path, to: &Path) -> Result<Checked, CopyError> {
    let from = copy::open_live(database)?;
    let before = copy::standing(&from, database)?;
    copy::take(&from, database, to, when::now())?;
    let checked = copy::check(to)?;
    let held = copy::hash_at(&copy::open_still(to)?, before.sequence);
    if before.sequence > 0 && held != Some(before.head) {
        return Err(CopyError::Damaged {
            path: to.display().to_string(),
            what: format!("entry {} of the database is not in it", before.sequence),
        });
    }
    Ok(checked)
}

/// What to do about a copy that there is not.
pub(super) fn failure(error: &CopyError) -> Failure {
    let next = match error {
        // Says itself what to do.
        CopyError::Open(_) => "",
        CopyError::Missing(_) => {
            "Name the state directory with --state-dir or HOLDPOINT_STATE_DIR."
        }
        CopyError::NoSpace { .. } => "Free some space, or name a file on another disk.",
        CopyError::Failed { .. } => "Nothing was written.",
        CopyError::Damaged { .. } => "Keep it as it is, and use an older copy.",
    };
    Failure::new(safe(&error.to_string()), next)
}

/// What is said of a copy.
struct Told<'a> {
    file: &'a Path,
    checked: &'a Checked,
    took: Duration,
}

impl Told<'_> {
    fn line(&self) -> String {
        let Told { file, checked, took } = self;
        format!(
            "backup {}: {}, head {}, {} bytes, {} ms",
            safe(&file.to_string_lossy()),
            count(checked.whole.entries, "entry", "entries"),
            hex(&checked.whole.head),
            checked.bytes,
            took.as_millis()
        )
    }

    fn to_json(&self) -> Json {
        let Told { file, checked, took } = self;
        let mark = checked.mark.as_ref();
        Json::object([
            ("file", Json::from(file.to_string_lossy().into_owned())),
            ("copy", Json::from(mark.map(|mark| hex(&mark.id)))),
            ("taken_at", Json::from(mark.map(|mark| mark.at.rfc3339()))),
            ("log", Json::from(hex(&checked.standing.log))),
            ("entries", Json::from(checked.whole.entries)),
            ("head", Json::from(hex(&checked.whole.head))),
            ("pending", Json::from(checked.pending)),
            ("unused", Json::from(checked.unused)),
            ("running", Json::from(checked.running)),
            ("bytes", Json::from(checked.bytes)),
            ("took_ms", Json::from(took.as_millis() as u64)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::time::Time;
    use crate::cli::golden::same;
    use crate::store::copy::{Mark, Standing};
    use crate::store::whole::Whole;

    #[test]
    fn golden_backup() {
        let (at, head) = (Time::parse("2026-11-22T12:52:30Z").expect("a time"), [0xab; 32]);
        let checked = Checked {
            mark: Some(Mark { at, sequence: 120, head, id: [1; 16] }),
            standing: Standing { log: [2; 16], sequence: 120, head, at },
            whole: Whole { entries: 120, head, erased: 7, unrecorded: 0 },
            pending: 3,
            unused: 1,
            running: 0,
            bytes: 139_264,
        };
        let told = Told {
            file: Path::new("night.db"),
            checked: &checked,
            took: Duration::from_millis(37),
        };
        same("backup.txt", &(told.line() + "\n"));
        same("backup.jsonl", &(told.to_json().to_text() + "\n"));
    }
}
