//! What the supervisor sets on init from outside, with the rights of the host.

use std::path::PathBuf;

use crate::error::{Context, Errno, Result};
use crate::plan::Rlimit;
use crate::sys::{file, process};

/// Sets the OOM score of a process.
pub fn adjust_oom_score(pid: i32, score: i32) -> Result<()> {
    let path = PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
    file::write_following_links(&path, &score.to_string()).map_err(|err| match err.errno() {
        Some(Errno::EACCES) => err.with_hint("lowering the score needs CAP_SYS_RESOURCE"),
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
