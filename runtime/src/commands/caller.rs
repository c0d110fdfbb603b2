//! What the environment says of the command's caller, if it is systemd or another program that does as systemd does.

use std::ffi::OsString;

/// How many sockets the caller hands to the container.
///
/// LISTEN_PID says which process they are for: an engine that was itself started by its socket hands its environment
/// on, and what stands at these numbers then is no socket for a container.
pub(super) fn listen_fds() -> u32 {
    let number = |text: String| text.parse::<u32>().ok();
    match std::env::var("LISTEN_PID").ok().and_then(number) {
        Some(pid) if pid == std::process::id() => {
            std::env::var("LISTEN_FDS").ok().and_then(number).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Where the caller wants to hear that the container is ready.
pub(super) fn notify_socket() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
}
