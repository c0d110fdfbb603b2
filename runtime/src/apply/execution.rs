//! Whether a process has executed its program.
//!
//! Its end of the channel or of the fifo closes then, and by that it is heard. But a process of the container that may
//! trace it can take a copy of such an end and keep it open. So a silence is not trusted for long: after a while the
//! file is looked at that the process executes, which was the runtime's own before.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::best_effort;
use crate::sys::file;

/// How long a silence is trusted.
pub const SILENCE_TRUSTED: Duration = Duration::from_secs(1);

/// The file that a process executes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Image {
    device: u64,
    inode: u64,
}

impl Image {
    /// The runtime's own.
    pub fn own() -> Option<Image> {
        Image::at("self".into())
    }

    /// The file that process `pid` executes; nothing if this process has no right to see it.
    pub fn of(pid: i32) -> Option<Image> {
        Image::at(pid.to_string())
    }

    fn at(process: String) -> Option<Image> {
        let stat = file::stat_following_links(&PathBuf::from(format!("/proc/{process}/exe")));
        best_effort(stat, "the process has ended, or isn't ours to look at")
            .map(|stat| Image { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// Whether process `pid`, which executed `before`, executes another file now.
pub fn has_executed(pid: i32, before: Option<Image>) -> bool {
    Image::of(pid).zip(before).is_some_and(|(now, before)| now != before)
}
