//! Rlimits and the OOM score of init, set by the supervisor from outside or, without the right to it, by init itself.

use std::path::PathBuf;

use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::{OomScore, Rlimit};
use crate::sys::{file, process};

/// Sets the OOM score of a process.
pub fn adjust_oom_score(pid: i32, score: OomScore) -> Result<()> {
    adjust_oom_score_at(&format!("/proc/{pid}/oom_score_adj"), score)
}

/// Sets the OOM score of this process, by the procfs of its caller.
pub fn adjust_own_oom_score(score: OomScore) -> Result<()> {
    process::while_dumpable(|| adjust_oom_score_at("/proc/self/oom_score_adj", score))
}

fn adjust_oom_score_at(path: &str, OomScore { adjust, unless_lower }: OomScore) -> Result<()> {
    match file::write_following_links(&PathBuf::from(path), &adjust.to_string()) {
        Err(err) if err.is(Errno::EACCES) && unless_lower => Ok(()),
        // The usual text of EACCES makes engines believe that the program could not be executed (exit code 126).
        Err(err) if err.is(Errno::EACCES) => Err(Error::new(
            Kind::Denied,
            "lowering the score needs CAP_SYS_RESOURCE (write(oom_score_adj): EACCES)",
        )),
        result => result,
    }
}

/// Sets the rlimits of another process, by the right to do so.
pub fn set_rlimits(pid: i32, rlimits: &[Rlimit]) -> Result<()> {
    rlimits.iter().try_for_each(|rlimit| set(pid, rlimit))
}

/// Sets the rlimits of this process.
pub fn limit_itself(rlimits: &[Rlimit]) -> Result<()> {
    set_rlimits(ITSELF, rlimits)
}

/// The calling process, to prlimit(2).
const ITSELF: i32 = 0;

fn set(pid: i32, rlimit: &Rlimit) -> Result<()> {
    process::set_limit(pid, rlimit.resource, rlimit.soft, rlimit.hard)
        .map_err(|err| match err.errno() {
            Some(Errno::EPERM) => err.with_hint(hint(rlimit)),
            _ => err,
        })
        .doing_with(|| format!("set {} to {}:{}", rlimit.name, rlimit.soft, rlimit.hard))
}

/// Whoever sets a limit has the right to set it on this process. So it is the value that isn't allowed.
fn hint(rlimit: &Rlimit) -> &'static str {
    #[allow(clippy::unnecessary_cast, reason = "glibc's numbers are unsigned, musl's are signed")]
    let of_files = rlimit.resource == libc::RLIMIT_NOFILE as u32;
    if of_files {
        "raising a hard limit needs CAP_SYS_RESOURCE on the host, and none of open files may be above fs.nr_open"
    } else {
        "raising a hard limit needs CAP_SYS_RESOURCE on the host"
    }
}
