//! sd_notify: where the caller wants to hear that the container is ready (NOTIFY_SOCKET), the container has a socket.
//!
//! The socket is the container's own, never the caller's: the runtime reads what the container says, see
//! `apply/readiness.rs`.

use std::path::Path;

use super::{ForSupervisor, Request, Step};
use crate::error::{Error, Result};
use crate::spec::oci;

/// What asks for these steps: not a field, but a variable of the caller's environment.
pub(super) const ASKED_BY: &str = "NOTIFY_SOCKET";

/// Where the container sees the directory, which is where runc shows it.
const DIRECTORY: &str = "/run/notify";

/// The name of the socket in the directory.
pub const SOCKET_NAME: &str = "notify.sock";

/// The variable by which the container finds its socket. It stands after those of `process.env`, so that it counts even
/// if one of them has its name.
pub(super) fn variable() -> String {
    format!("NOTIFY_SOCKET={DIRECTORY}/{SOCKET_NAME}")
}

pub(super) fn steps(request: &Request) -> Vec<Step> {
    let mut actions = Vec::new();
    if request.notify_directory.is_some() {
        actions.push(ForSupervisor::MakeNotifyDirectory);
        if request.start_at_once {
            actions.push(ForSupervisor::BindNotifySocket);
        }
    }
    actions.into_iter().map(|action| Step::of(ASKED_BY, action)).collect()
}

/// The mount of the directory, as `mounts` would ask for it. The container has nothing to write there.
pub(super) fn mount(directory: &Path) -> Result<oci::Mount> {
    oci::MountBuilder::default()
        .destination(DIRECTORY)
        .source(directory)
        .options(["bind", "nosuid", "noexec", "nodev", "ro"].map(String::from))
        .build()
        .map_err(|err| Error::internal(format!("{ASKED_BY}: {err}")))
}
