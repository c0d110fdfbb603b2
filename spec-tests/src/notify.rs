//! A service manager for sd_notify to talk to, and a payload that talks.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use crate::bundle::Bundle;
use crate::patience;
use crate::subject::subject;

/// How many seconds a message may take to come.
const PATIENCE: u32 = 10;

/// How long the wait for a message is that must not come.
const SILENCE: Duration = Duration::from_millis(300);

/// The socket that NOTIFY_SOCKET leads to. The manager closes each descriptor that it gets, which confirms a barrier.
pub struct Manager {
    /// The value of NOTIFY_SOCKET.
    pub address: String,
    socket: UnixDatagram,
}

impl Manager {
    /// A manager with a socket at this path.
    pub fn at(path: impl AsRef<Path>) -> Manager {
        let address = path.as_ref().to_str().expect("a UTF-8 path").to_owned();
        Manager { socket: UnixDatagram::bind(&address).expect("bind a manager's socket"), address }
    }

    /// A manager with a socket that has an abstract name.
    pub fn abstractly(name: &str) -> Manager {
        let address = SocketAddr::from_abstract_name(name).expect("an abstract name");
        let socket = UnixDatagram::bind_addr(&address).expect("bind a manager's socket");
        Manager { address: format!("@{name}"), socket }
    }

    /// The next message, in full.
    #[track_caller]
    pub fn hears(&self) -> String {
        self.next(patience::seconds(PATIENCE)).expect("a message in time")
    }

    /// Hears that the container is ready, that its main process is `main_pid`, and no more. `main_pid` is asked for its
    /// number only when the container is ready.
    #[track_caller]
    pub fn hears_that_it_is_ready(&self, main_pid: impl FnOnce() -> u32) {
        assert_eq!(self.hears(), "READY=1\n");
        assert_eq!(self.hears(), format!("MAINPID={}\n", main_pid()));
        if !subject().is_runc_1_1() {
            assert_eq!(self.hears(), "BARRIER=1");
        }
        self.hears_nothing();
    }

    /// Fails the test if there is a message.
    #[track_caller]
    pub fn hears_nothing(&self) {
        assert_eq!(self.next(SILENCE), None);
    }

    fn next(&self, patience: Duration) -> Option<String> {
        let mut buffer = [0; 8192];
        self.socket.set_read_timeout(Some(patience)).expect("set a timeout");
        let len = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }
}

/// Gives the container a program `notify` that sends each of its arguments, as one message, to its NOTIFY_SOCKET.
pub fn install(bundle: &mut Bundle) {
    let rootfs = bundle.rootfs();
    for (link, target) in [("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        std::os::unix::fs::symlink(target, rootfs.join(link)).expect("link the libraries");
    }
    fs::create_dir(rootfs.join("usr")).expect("make /usr");
    let program = rootfs.join("bin/notify");
    fs::write(&program, PROGRAM).expect("write the program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod the program");
    bundle.mount("bind", "/usr", "/usr", &["bind", "ro"]);
}

/// Perl is on every Debian, with the module that this script needs.
const PROGRAM: &str = r#"#!/usr/bin/perl
use Socket;
for my $message (@ARGV) {
    socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
    send($socket, $message, 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die "send: $!\n";
}
"#;
