//! Flows of UDP that the kernel remembers. They would lead to the container that had the port before, for as long as
//! somebody sends; connections of TCP end by themselves.

use std::process::{Command, Stdio};

use super::request::{Port, Protocol};

/// A hook may have no PATH.
const PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Has the kernel forget the flows to these ports, where `conntrack` is installed.
pub fn forget<'a>(ports: impl Iterator<Item = &'a Port>) {
    for port in ports.filter(|port| port.protocol == Protocol::Udp) {
        let number = port.host_port.to_string();
        let mut command = Command::new("conntrack");
        command.env("PATH", PATH).args(["-D", "-p", "udp", "--orig-port-dst", &number]);
        // It fails where there are none.
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}
