//! What the environment says of the command's caller, if this is systemd or a program with systemd's habits.

use std::ffi::OsString;

/// How many sockets the caller hands to the container.
///
/// LISTEN_PID says which process they are for. An engine that was itself started by its socket hands its environment
/// on, but has other descriptors at these numbers.
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
