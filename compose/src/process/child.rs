//! Children that are of use to this process alone: they end with it, whoever ends it.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::error::{Context, Error, Result};

/// The verb of a child on its way to its program.
const VERB: &str = "child";

/// A command whose process gets SIGTERM once the thread that has started it is gone: a thread that doesn't wait for the
/// process must be the first one.
pub fn command(program: &str) -> Command {
    if !is_found(program, std::env::var_os("PATH").as_deref()) {
        // Its start tells that there is no such program.
        return Command::new(program);
    }
    // The kernel forgets at a fork what a process has asked of it, so the child has to ask.
    let mut command = Command::new("/proc/self/exe");
    command.arg(VERB).arg(std::process::id().to_string()).arg(program);
    command
}

fn is_found(program: &str, path: Option<&OsStr>) -> bool {
    let is_program = |file: &Path| {
        file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return is_program(Path::new(program));
    }
    path.is_some_and(|path| std::env::split_paths(path).any(|dir| is_program(&dir.join(program))))
}

/// Becomes the program of a child of the process with that pid.
///
/// Errors: the parent is gone, or the program can't be run.
pub fn become_program(parent: &str, words: &[OsString]) -> Result<()> {
    let Some((program, words)) = words.split_first() else { return Err(Error::new("no program")) };
    set_pdeathsig(Signal::SIGTERM).at("the end of the parent")?;
    // The parent may have ended before.
    if getppid().to_string() != parent {
        return Err(Error::new(format!("{parent}: its child was to end with it")));
    }
    Err(Command::new(program).args(words).exec()).at(program.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{command, is_found};

    #[test]
    fn a_program_is_looked_for_as_the_system_does() {
        let path = Some(OsStr::new("/nowhere:/bin:/usr/bin"));
        assert!(is_found("sh", path) && is_found("/bin/sh", None));
        assert!(!is_found("sh", None) && !is_found("no-such-program", path) && !is_found("/bin", path));
        let absent = command("no-such-program").spawn().expect_err("there is none");
        assert_eq!(absent.kind(), std::io::ErrorKind::NotFound);
    }
}
