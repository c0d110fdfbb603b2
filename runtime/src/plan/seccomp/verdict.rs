//! What a filter returns: an action in the high bits, its data in the low sixteen.

use std::fmt;

use oci_spec::runtime::LinuxSeccompAction as Action;

use crate::error::{Error, Result};

/// What a call gets by an architecture that the profile doesn't name.
pub const BAD_ARCHITECTURE: u32 = libc::SECCOMP_RET_KILL_THREAD;

/// What a call gets that is newer than the profile: the errno ENOSYS.
pub const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// The largest errno. The kernel takes any larger number as this.
const ERRNO_MAX: u32 = 4095;

/// The value that a filter returns for `action`; `errno_ret` comes from the profile's `field`.
pub fn of(action: Action, errno_ret: Option<u32>, field: &str) -> Result<u32> {
    let (value, data_max) = match action {
        Action::ScmpActKill | Action::ScmpActKillThread => (libc::SECCOMP_RET_KILL_THREAD, None),
        Action::ScmpActKillProcess => (libc::SECCOMP_RET_KILL_PROCESS, None),
        Action::ScmpActTrap => (libc::SECCOMP_RET_TRAP, None),
        Action::ScmpActErrno => (libc::SECCOMP_RET_ERRNO, Some(ERRNO_MAX)),
        Action::ScmpActNotify => (libc::SECCOMP_RET_USER_NOTIF, None),
        Action::ScmpActTrace => (libc::SECCOMP_RET_TRACE, Some(libc::SECCOMP_RET_DATA)),
        Action::ScmpActLog => (libc::SECCOMP_RET_LOG, None),
        Action::ScmpActAllow => (libc::SECCOMP_RET_ALLOW, None),
    };
    match (errno_ret, data_max) {
        (None, None) => Ok(value),
        (None, Some(_)) => Ok(value | libc::EPERM as u32),
        (Some(errno), Some(max)) if errno <= max => Ok(value | errno),
        (Some(errno), Some(max)) => Err(Error::invalid(format!("{field}: {errno} is more than {max}"))),
        (Some(_), None) => Err(Error::invalid(format!("{field}: {action} returns no errno"))),
    }
}

/// Whether a call that the kernel does not have is let through to it, which then says ENOSYS by itself.
///
/// A call that goes to a tracer counts as let through, because the tracer can answer as it likes.
pub fn lets_through(action: Action) -> bool {
    matches!(action, Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace)
}

/// Prints a verdict as `ERRNO(EPERM)`.
pub struct Named(pub u32);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.0 & libc::SECCOMP_RET_DATA;
        match self.0 & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_KILL_THREAD => f.write_str("KILL_THREAD"),
            libc::SECCOMP_RET_KILL_PROCESS => f.write_str("KILL_PROCESS"),
            libc::SECCOMP_RET_TRAP => f.write_str("TRAP"),
            libc::SECCOMP_RET_ERRNO => write!(f, "ERRNO({:?})", crate::error::Errno::from_raw(data as i32)),
            libc::SECCOMP_RET_USER_NOTIF => f.write_str("NOTIFY"),
            libc::SECCOMP_RET_TRACE => write!(f, "TRACE({data})"),
            libc::SECCOMP_RET_LOG => f.write_str("LOG"),
            libc::SECCOMP_RET_ALLOW => f.write_str("ALLOW"),
            action => write!(f, "{action:#x}({data})"),
        }
    }
}
