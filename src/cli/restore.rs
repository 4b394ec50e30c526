//! `holdpoint restore`: puts a copy in the database's place, and says what that means.
//!
//! Promises: the copy is checked before anything is moved; the database that was
//! there is kept; a crash leaves the one or the other. Must never: run beside a
//! daemon, or put something in place that could hold a usable approval unmarked.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;

use super::errors::{Done, Failure};
use super::output::Output;
use super::part::Part;
use super::state::Globals;
use super::text::{count, safe, shell_word};
use super::{backup, when};
use crate::call::hex::hex;
use crate::config::StatePaths;
use crate::daemon;
use crate::store::aside;
use crate::store::copy::{self, Checked, CopyError, Standing};
use crate::store::schema::DaemonLock;

/// Put a copy in the database's place, and say what that ends.
///
/// Stop the daemon first, and run it as the daemon's user. The copy is checked; the
/// database that was there is kept beside it under another name. At the first start
/// from a copy every pending request expires, every unused approval lapses, and
/// calls that were running have an unknown outcome: all of it may have gone on since
/// the copy was taken. Remembered denials stay.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// A file that `holdpoint backup` wrote
    file: PathBuf,
    /// Check the copy and say what would happen; changes nothing, and a daemon may run
    #[arg(long)]
    dry_run: bool,
    /// Take a database that `holdpoint backup` did not make, and mark it as a copy
    #[arg(long)]
    unmarked: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: RestoreArgs) -> Done {
    let paths = globals.paths()?;
    if same_file(&args.file, &paths.database) {
        return Err(Failure::usage(
            format!("{} is the daemon's own database", safe(&args.file.to_string_lossy())),
            "Name a file that `holdpoint backup` wrote.",
        ));
    }
    let mut out = Output::stdout();
    let told = if args.dry_run {
        let checked = checked(&args.file, args.unmarked)?;
        let present = Present::of(&paths.database, &checked.standing);
        Told { file: args.file, database: paths.database, checked, present, kept: None, dry: true }
    } else {
        restore(args, paths)?
    };
    out.text(&told.text())?;
    out.flush()
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn checked(file: &Path, unmarked: bool) -> Done<Checked> {
    let checked = copy::check(file).map_err(|error| backup::failure(&error))?;
    if checked.mark.is_none() && !unmarked {
        return Err(not_marked(file));
    }
    Ok(checked)
}

fn not_marked(file: &Path) -> Failure {
    Failure::usage(
        format!(
            "{} is not marked as a copy: `holdpoint backup` did not make it, or a daemon ran on \
             it, and approvals in it that look unused may have been used",
            safe(&file.to_string_lossy())
        ),
        "If it is the best there is, add --unmarked: it is marked then, and what is open in it ends.",
    )
}

fn restore(args: RestoreArgs, paths: StatePaths) -> Done<Told> {
    let failed = |what: String| Failure::new(safe(&what), "");
    // As the daemon does: everything for this user only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    daemon::state_dir(&paths.dir).map_err(|error| failed(error.to_string()))?;
    let _lock = DaemonLock::take(&paths.lock).map_err(failed)?;
    let (part, into) = Part::create(&paths.database)?;
    let checked = placed(&args, &part, into)?;
    let present = Present::of(&paths.database, &checked.standing);
    let kept = aside::keep(&paths.database, when::now()).map_err(|error| {
        let database = paths.database.display();
        failed(format!("cannot keep {database} under another name: {error}; nothing was replaced"))
    })?;
    part.finish()?;
    aside::drop_log(&paths.database).map_err(|error| {
        let log = copy::write_ahead_log(&paths.database);
        failed(format!(
            "the copy is in place, and the log {} of what was there cannot be removed: {error}; \
             it is kept under another name, remove it before the next start",
            log.display()
        ))
    })?;
    Ok(Told { file: args.file, database: paths.database, checked, present, kept, dry: false })
}

/// Brings the copy beside the database, and checks it there: what was checked is
/// what comes into place.
fn placed(args: &RestoreArgs, part: &Part, mut into: File) -> Done<Checked> {
    let told = |error: CopyError| backup::failure(&error);
    // Also says early and in its own name what is wrong with the file.
    let from = copy::open_still(&args.file).map_err(told)?;
    let standing = copy::standing(&from, &args.file).map_err(told)?;
    if copy::is_marked(&from) {
        let copied = File::open(&args.file).and_then(|mut f| std::io::copy(&mut f, &mut into));
        copied.map_err(|error| super::part::cannot_write(&part.temporary, &error))?;
    } else if args.unmarked {
        copy::take(&from, &args.file, &part.temporary, standing.at).map_err(told)?;
    } else {
        return Err(not_marked(&args.file));
    }
    copy::check(&part.temporary).map_err(|error| match error {
        CopyError::Damaged { what, .. } => {
            told(CopyError::Damaged { path: args.file.display().to_string(), what })
        }
        other => told(other),
    })
}

/// The database that is replaced.
#[derive(Debug)]
enum Present {
    Missing,
    Unreadable(String),
    OtherLog,
    /// Of the same log, but its history went another way.
    Apart,
    /// Of the same log, and this is its newest entry.
    Same(u64),
}

impl Present {
    fn of(database: &Path, wanted: &Standing) -> Present {
        let read = || {
            let conn = copy::open_live(database)?;
            let present = copy::standing(&conn, database)?;
            Ok(if present.log != wanted.log {
                Present::OtherLog
            } else if wanted.sequence > 0
                && copy::hash_at(&conn, wanted.sequence) != Some(wanted.head)
            {
                Present::Apart
            } else {
                Present::Same(present.sequence)
            })
        };
        match read() {
            Ok(present) => present,
            Err(CopyError::Missing(_)) => Present::Missing,
            Err(error) => Present::Unreadable(safe(&error.to_string())),
        }
    }
}

/// What is said of a restore.
#[derive(Debug)]
struct Told {
    file: PathBuf,
    database: PathBuf,
    checked: Checked,
    present: Present,
    /// Where the database is kept that was there.
    kept: Option<PathBuf>,
    dry: bool,
}

impl Told {
    fn text(&self) -> String {
        let Told { checked, .. } = self;
        let (file, database) = (shown(&self.file), shown(&self.database));
        let taken = match &checked.mark {
            Some(mark) => format!("a copy taken at {}", mark.at.rfc3339()),
            None => format!("no marked copy, newest entry at {}", checked.standing.at.rfc3339()),
        };
        let entries = count(checked.whole.entries, "entry", "entries");
        let mut text = format!(
            "{file}: {taken}; {entries}, head {}\n{}",
            hex(&checked.whole.head),
            self.lost()
        );
        text += &self.at_the_first_start();
        text += &match (self.dry, &self.kept) {
            (true, _) => format!("nothing was changed; without --dry-run it becomes {database}\n"),
            (false, Some(kept)) => {
                format!("restored: {database}; what was there is kept as {}\n", shown(kept))
            }
            (false, None) => format!("restored: {database}; nothing was there\n"),
        };
        text
    }

    /// What the present database has and the copy has not.
    fn lost(&self) -> String {
        let newest = self.checked.standing.sequence;
        match &self.present {
            Present::Missing => String::new(),
            Present::Unreadable(why) => {
                format!("not in the copy: unknown, the present database cannot be read ({why})\n")
            }
            Present::OtherLog => "not in the copy: everything of the present database, which \
                                  is of another log\n"
                .to_owned(),
            Present::Apart => "not in the copy: what the present database recorded since the \
                               two went apart, before the copy was taken\n"
                .to_owned(),
            Present::Same(last) if *last <= newest => {
                "not in the copy: nothing, the present database has no newer entry\n".to_owned()
            }
            Present::Same(last) => {
                let (first, export) = (newest + 1, shell_word(&format!("since-{newest}.jsonl")));
                let keep = match self.dry {
                    true => format!(
                        "  to keep them as a file too, while the daemon runs:\n  \
                         holdpoint audit export --first {first} {export}\n"
                    ),
                    false => String::new(),
                };
                format!(
                    "not in the copy: entries {first} to {last} of the present database\n{keep}"
                )
            }
        }
    }

    fn at_the_first_start(&self) -> String {
        let Checked { pending, unused, running, .. } = &self.checked;
        if pending + unused + running == 0 {
            return "at the first start: nothing is open in it, nothing has to end\n".to_owned();
        }
        format!(
            "at the first start, since all of it may have gone on after the copy:\n  \
             {} will expire\n  {} will lapse\n  {} will have an unknown outcome\n  \
             remembered denials stay\n",
            count(*pending, "pending request", "pending requests"),
            count(*unused, "unused approval", "unused approvals"),
            count(*running, "running call", "running calls"),
        )
    }
}

fn shown(path: &Path) -> String {
    safe(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::time::Time;
    use crate::cli::golden::same;
    use crate::store::copy::Mark;
    use crate::store::whole::Whole;

    fn told(present: Present, open: [u64; 3], kept: Option<&str>, dry: bool) -> String {
        let at = Time::parse("2026-11-22T12:52:30Z").expect("a time");
        let head = [0xab; 32];
        let [pending, unused, running] = open;
        let checked = Checked {
            mark: Some(Mark { at, sequence: 120, head, id: [1; 16] }),
            standing: Standing { log: [2; 16], sequence: 120, head, at },
            whole: Whole { entries: 120, head, erased: 0, unrecorded: 0 },
            pending,
            unused,
            running,
            bytes: 139_264,
        };
        let (file, database) =
            ("night\u{1b}[31m.db".into(), "/var/lib/holdpoint/holdpoint.db".into());
        Told { file, database, checked, present, kept: kept.map(PathBuf::from), dry }.text()
    }

    #[test]
    fn golden_restore() {
        let kept = Some("/var/lib/holdpoint/holdpoint.db.replaced-2026-11-22T131500Z");
        let texts = [
            told(Present::Same(150), [3, 1, 1], None, true),
            told(Present::Same(150), [3, 1, 1], kept, false),
            told(Present::Same(120), [0, 0, 0], kept, false),
            told(Present::Missing, [0, 2, 0], None, false),
            told(Present::OtherLog, [1, 0, 0], kept, false),
            told(Present::Apart, [1, 0, 0], kept, false),
            told(Present::Unreadable("file is not a database".to_owned()), [1, 0, 0], kept, false),
        ];
        same("restore.txt", &texts.join("\n"));
    }
}
