//! The program that `exec` is about to run: found, read, hashed, and opened in
//! such a way that what runs is what was hashed.
//!
//! On Linux a binary is run through the very file handle that was hashed
//! (`/proc/self/fd/N`), so that replacing the file at its path changes nothing.
//! Limits, said to the operator too: a script is opened once more by its
//! interpreter, from its path; and whoever may write to the file *in place* can
//! change it in the moment between the last check and the start. Interpreter,
//! shared libraries, environment and files that the arguments name are not
//! covered at all.

use crate::call::hex::hex;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::errors::{Done, Failure, exit};
use super::text::safe;

/// A program file that was opened and hashed.
#[derive(Debug)]
pub struct Program {
    /// Absolute, without symbolic links.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    file: File,
    /// It begins with `#!`: its interpreter opens it again.
    script: bool,
}

impl Program {
    /// Finds a program as a shell would: a name with a slash is a path, another
    /// is looked for in `PATH`.
    pub fn find(name: &str) -> Done<Self> {
        let not_found = || {
            Failure::usage(
                format!("{}: command not found", safe(name)),
                "Check its name and PATH; nothing was asked.",
            )
            .with_exit(exit::NOT_FOUND)
        };
        if name.is_empty() {
            return Err(not_found());
        }
        if name.contains('/') {
            return match Path::new(name).metadata() {
                Ok(_) => Program::open(Path::new(name)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found()),
                Err(error) => Err(cannot_run(Path::new(name), &error.to_string())),
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
        let mut existing = candidates.filter(|candidate| candidate.is_file()).peekable();
        let first = existing.peek().cloned();
        match existing.find(|candidate| is_executable(candidate)).or(first) {
            Some(found) => Program::open(&found),
            None => Err(not_found()),
        }
    }

    /// Opens and hashes the program at this path.
    pub fn open(path: &Path) -> Done<Self> {
        let failed = |error: io::Error| cannot_run(path, &error.to_string());
        let path = path.canonicalize().map_err(failed)?;
        let mut file = File::open(&path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(cannot_run(&path, "it is not a file"));
        }
        if !is_executable(&path) {
            return Err(cannot_run(&path, "permission denied: it is not executable"));
        }
        let (sha256, script) = hash(&mut file).map_err(failed)?;
        Ok(Program { path, sha256, file, script })
    }

    /// Opens the same path once more: what stands there now.
    pub fn again(&self) -> Done<Self> {
        Program::open(&self.path)
    }

    /// A command that runs what was hashed, under the name `argv0`.
    pub fn command(&self, argv0: &str) -> Command {
        let through_handle =
            cfg!(target_os = "linux") && !self.script && Path::new("/proc/self/fd").exists();
        let mut command = if through_handle {
            Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
        } else {
            Command::new(&self.path)
        };
        command.arg0(argv0);
        command
    }
}

/// SHA-256 of a file, and whether it begins with `#!`.
fn hash(file: &mut File) -> io::Result<(String, bool)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut script = None;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        script.get_or_insert(buffer[..read].starts_with(b"#!"));
        hasher.update(&buffer[..read]);
    }
    Ok((hex(&hasher.finalize()), script.unwrap_or(false)))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn cannot_run(path: &Path, why: &str) -> Failure {
    let path = safe(&path.to_string_lossy());
    Failure::new(
        format!("cannot run {path}: {why}"),
        "It has to be a file that can be read (to be hashed) and run; nothing was asked.",
    )
    .with_exit(exit::CANNOT_RUN)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_binary_that_is_replaced_after_it_was_hashed_is_not_what_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tool");
        let echo = Program::find("echo").expect("there is an echo");
        fs::copy(&echo.path, &path).expect("copied");
        let hashed = Program::open(&path).expect("opened");
        let other = folder.path().join("other");
        fs::copy(Program::find("false").expect("there is a false").path, &other).expect("copied");
        fs::rename(&other, &path).expect("replaced");
        let output = hashed.command("tool").arg("still me").output().expect("it runs");
        // Coreutils in one binary look at argv[0]; there, any answer will do.
        assert_eq!(output.status.success(), !output.stdout.is_empty());
        assert_ne!(hashed.again().expect("opened").sha256, hashed.sha256);
    }

    #[test]
    fn what_cannot_run_is_told_from_what_is_not_there_as_in_a_shell() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes.txt");
        fs::write(&path, "#!/bin/sh\n").expect("written");
        let exit_of = |name: &str| Program::find(name).expect_err(name).exit;
        assert_eq!(exit_of(path.to_str().expect("utf-8")), exit::CANNOT_RUN);
        assert_eq!(exit_of("/nowhere/at/all"), exit::NOT_FOUND);
        assert_eq!(exit_of("no-such-program-anywhere"), exit::NOT_FOUND);
    }
}
