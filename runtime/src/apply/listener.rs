//! Hands the listener of a seccomp filter to the agent that answers it.

use std::os::fd::{AsFd, OwnedFd};

use serde::Serialize;

use crate::error::{Context, Error, Kind, Result};
use crate::plan::seccomp::Listener;
use crate::state::{OciState, Record, Status};
use crate::sys::{seccomp, socket};

/// `ContainerProcessState` of the runtime spec: what comes with the descriptor.
#[derive(Serialize)]
struct ContainerProcessState<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: OciState<'a>,
}

/// Sends the listener to the agent. `pid` 0 means that the process is init.
///
/// Errors: Denied if it is another descriptor: a process of the container that traces init can name any in its place.
pub fn hand_over(listener: OwnedFd, to: &Listener, record: &Record, status: Status, pid: i32) -> Result<()> {
    if !seccomp::is_listener(&listener)? {
        return Err(Error::new(Kind::Denied, "init's descriptor is no listener of a seccomp filter"));
    }
    let message = ContainerProcessState {
        oci_version: &record.oci_version,
        fds: ["seccompFd"],
        pid: if pid == 0 { record.init_process_pid } else { pid },
        metadata: to.metadata.as_deref(),
        state: OciState::of(record, status),
    };
    let text = serde_json::to_vec(&message).map_err(|err| Error::internal(err.to_string()))?;
    let agent = socket::connect(&to.path).doing("failed to connect with seccomp agent")?;
    socket::send(agent.as_fd(), &text, &[listener.as_fd()]).doing("send the listener to the seccomp agent")
}
