//! Where a manager of units can be reached.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::plan::cgroup::host::SystemdManager;
use crate::sys::credentials;
use crate::sys::file;

/// A socket at which D-Bus is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The socket.
    pub path: PathBuf,
    /// A bus, which has to be greeted and passes messages on. Otherwise systemd itself.
    pub is_bus: bool,
}

/// systemd's own socket, for root: a bus in between takes time, and may not run.
const OF_SYSTEM: &str = "/run/systemd/private";

const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// Which manager makes units for the caller, if one runs: for root that of the system, for anybody else the user's own.
///
/// Root of a user namespace is root for the systemd of the same user namespace alone (in a system container). Elsewhere
/// (rootlesskit) the system's sockets belong to a user who has no number there.
pub fn runs() -> Option<SystemdManager> {
    let is_root = credentials::effective_uid() == 0;
    let belongs_to_root =
        |path: &&str| file::stat_following_links(Path::new(path)).is_ok_and(|stat| stat.st_uid == 0);
    let of_system = is_root && [OF_SYSTEM, SYSTEM_BUS].iter().any(belongs_to_root);
    let manager = if of_system { SystemdManager::System } else { SystemdManager::User };
    Address::find(manager).map(|_| manager)
}

impl Address {
    /// The first of the manager's sockets that is there. An address in the environment is taken as it is.
    pub fn find(manager: SystemdManager) -> Option<Address> {
        let (named, own, bus) = match manager {
            SystemdManager::System => {
                (std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS"), OF_SYSTEM.into(), SYSTEM_BUS.into())
            }
            SystemdManager::User => {
                let dir = runtime_directory();
                (std::env::var_os("DBUS_SESSION_BUS_ADDRESS"), dir.join("systemd/private"), dir.join("bus"))
            }
        };
        if let Some(path) = named.and_then(path_of).filter(|path| *path != bus) {
            return Some(Address { path, is_bus: true });
        }
        let candidates = [Address { path: own, is_bus: false }, Address { path: bus, is_bus: true }];
        candidates.into_iter().find(|address| file::stat_following_links(&address.path).is_ok())
    }
}

/// `$XDG_RUNTIME_DIR`, or where systemd makes it for the user: not every way to become a user sets the variable.
fn runtime_directory() -> PathBuf {
    let given = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    given.map_or_else(|| format!("/run/user/{}", credentials::effective_uid()).into(), PathBuf::from)
}

/// The path of a socket in an address as D-Bus has it: `unix:path=/run/user/1000/bus,guid=…`.
fn path_of(address: OsString) -> Option<PathBuf> {
    let address = address.into_string().ok()?;
    let first = address.split(';').find_map(|one| one.strip_prefix("unix:"))?;
    let path = first.split(',').find_map(|pair| pair.strip_prefix("path="))?;
    Some(unescaped(path)).filter(|path| !path.as_os_str().is_empty())
}

/// Bytes that an address can't hold stand in it as `%2F`.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => bytes.extend(format!("%{part}").into_bytes()),
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_an_address() {
        let path = |text: &str| path_of(text.into());
        assert_eq!(path("unix:path=/run/user/1000/bus"), Some("/run/user/1000/bus".into()));
        assert_eq!(path("tcp:host=x;unix:guid=1,path=/a%20b,x=y"), Some("/a b".into()));
        for none in ["", "unix:", "unix:abstract=/x", "unix:path=", "/run/bus"] {
            assert_eq!(path(none), None, "{none}");
        }
    }
}
