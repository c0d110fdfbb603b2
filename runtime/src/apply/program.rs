//! Finds the program and becomes it.
//!
//! Engines match the texts of these errors, and make exit codes 126 and 127 of them.

use std::ffi::{CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::error::{Errno, Error, Kind, Result, best_effort};
use crate::plan::Program;
use crate::sys::{c_string, credentials, file, passwd, process, signal};

const PASSWD_BYTES_MAX: usize = 4 << 20;

/// A program that was found.
pub struct Found {
    path: CString,
    /// Its environment, with the HOME that the container gives its user if the config names none.
    pub env: Vec<CString>,
}

/// Finds the program, and the home of its user. Before a filter that comes last: it needn't allow what this calls.
pub fn find(program: &Program) -> Result<Found> {
    Ok(Found { path: path_of(program)?, env: environment(program)? })
}

/// As a shell does: a name without a slash is looked for along PATH.
fn path_of(program: &Program) -> Result<CString> {
    let name = Path::new(OsStr::from_bytes(program.args[0].to_bytes()));
    if name.as_os_str().as_bytes().contains(&b'/') {
        return match check(name) {
            Ok(()) => c_string(name),
            // Old engines look for "is a directory", new ones for "permission denied".
            Err(Errno::EISDIR) => Err(refused(name, "is a directory: permission denied")),
            Err(Errno::ENOENT) => {
                Err(refused(name, &format!("stat {}: no such file or directory", name.display())))
            }
            Err(errno) => Err(refused(name, &text(errno))),
        };
    }
    // As Go's LookPath: a file that may not be executed is passed over.
    for directory in program.search_path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate: PathBuf = Path::new(directory).join(name);
        if check(&candidate).is_ok() {
            return c_string(&candidate);
        }
    }
    Err(refused(name, "executable file not found in $PATH"))
}

fn check(path: &Path) -> Result<(), Errno> {
    let errno = |err: Error| err.errno().unwrap_or(Errno::EACCES);
    if file::is_directory(&file::stat_following_links(path).map_err(errno)?) {
        return Err(Errno::EISDIR);
    }
    process::may_execute(path).map_err(errno)
}

fn refused(name: &Path, why: &str) -> Error {
    Error::new(Kind::InvalidSpec, format!("exec: \"{}\": {why}", name.display()))
}

fn text(errno: Errno) -> String {
    errno.desc().to_lowercase()
}

/// Becomes the program; returns only an error.
pub fn execute(program: &Program, found: &Found) -> Result<std::convert::Infallible> {
    let Found { path, env } = found;
    signal::reset_all()?;
    process::execute(path, &program.args, env).map_err(|err| {
        let why = err.errno().map_or_else(String::new, text);
        err.verbatim(format!("exec {}: {why}", path.to_string_lossy()))
    })
}

fn environment(program: &Program) -> Result<Vec<CString>> {
    let mut env = program.env.clone();
    if program.needs_home {
        env.push(c_string(format!("HOME={}", home_of(credentials::effective_uid())))?);
    }
    Ok(env)
}

/// The home directory that the container's /etc/passwd gives a user; `/` if it gives none.
fn home_of(uid: u32) -> String {
    let passwd = file::open_following_links(Path::new("/etc/passwd"), OFlag::O_RDONLY | OFlag::O_NONBLOCK)
        .and_then(|file| file::read_limited(file.as_fd(), PASSWD_BYTES_MAX));
    let passwd = best_effort(passwd, "an image without users has no homes").unwrap_or_default();
    home_in(&String::from_utf8_lossy(&passwd), uid).unwrap_or("/").to_string()
}

fn home_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd::entries(passwd).filter(|user| user.uid == uid).find_map(|user| user.home)
}

#[cfg(test)]
mod tests {
    use super::home_in;

    #[test]
    fn home_is_found_by_number_and_never_by_a_name_that_looks_like_one() {
        let passwd = "1000:x:0:0::/evil:/bin/sh\nweb:x:1000:1000:,,,:/home/web:/bin/sh\nshort:x:5\n";
        assert_eq!(home_in(passwd, 1000), Some("/home/web"));
        assert_eq!(home_in(passwd, 0), Some("/evil"));
        assert_eq!(home_in(passwd, 5), None);
    }
}
