//! What the supervisor sets on init from outside, with the rights of the host.

use std::path::PathBuf;

use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::Rlimit;
use crate::sys::{file, process};

/// Sets the OOM score of a process.
pub fn adjust_oom_score(pid: i32, score: i32) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
    file::write_following_links(&path, &score.to_string()).map_err(|err| match err.errno() {
        // The usual text of EACCES makes engines believe that the program could not be executed (exit code 126).
        Some(Errno::EACCES) => Error::new(
            Kind::Denied,
            "lowering the score needs CAP_SYS_RESOURCE (write(oom_score_adj): EACCES)",
        ),
        _ => err,
    })
}

/// Sets the rlimits of a process.
pub fn set_rlimits(pid: i32, rlimits: &[Rlimit]) -> Result<()> {
    for rlimit in rlimits {
        process::set_limit(pid, rlimit.resource, rlimit.soft, rlimit.hard)
            .map_err(|err| match err.errno() {
                Some(Errno::EPERM) => err.with_hint("raising a hard limit needs CAP_SYS_RESOURCE"),
                _ => err,
            })
            .doing_with(|| format!("set {} to {}:{}", rlimit.name, rlimit.soft, rlimit.hard))?;
    }
    Ok(())
}
