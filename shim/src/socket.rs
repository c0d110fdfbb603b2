//! The socket that a group's server listens on: its place, who may bind it, who takes it away.
//!
//! Several `start`s of a group may run at once, and a server may have died without removing its socket. Whoever looks
//! at a socket in order to bind or remove it holds the lock on the socket's directory.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use corten::error::{Context, Errno, Error, Result, best_effort};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};
use sha2::{Digest, Sha256};

/// Where containerd's own shims listen.
pub const DIRECTORY: &str = "/run/containerd/s";
/// The longest path that containerd takes for a socket.
const PATH_BYTES_MAX: usize = 106;
const PREFIX: &str = "unix://";
/// How long a killed server may take to close what it had open, and one that lives to answer.
const DYING_MS: u16 = 1000;
/// A request of ttrpc for nothing, which every server answers: the length of its message, the stream, the type of the
/// frame, no flags. Source: `PROTOCOL.md` of ttrpc.
const PING: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 1, 1, 0];

/// The directory of sockets, which [`claim`] makes if it isn't there.
///
/// A user who isn't root gets the first of several directories that can be made and is the user's own.
pub fn directory(wanted: Option<&str>) -> Result<PathBuf> {
    let uid = nix::unistd::geteuid();
    match wanted {
        Some(wanted) if !wanted.starts_with('/') => {
            Err(Error::invalid(format!("the directory for sockets, {wanted:?}, is not an absolute path")))
        }
        Some(wanted) => Ok(wanted.into()),
        None if uid.is_root() => Ok(DIRECTORY.into()),
        None => {
            let in_runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
            let in_runtime_dir = in_runtime_dir.map(|dir| PathBuf::from(dir).join("containerd/s"));
            let last = format!("/run/{uid}/containerd/s").into();
            let mut candidates = [DIRECTORY.into()].into_iter().chain(in_runtime_dir).chain([last]);
            let usable = candidates.find(|dir| {
                let owner = make(dir).ok().and_then(|()| fs::symlink_metadata(dir).ok());
                owner.is_some_and(|owner| owner.is_dir() && owner.uid() == uid.as_raw())
            });
            usable.ok_or_else(|| Error::unsupported(format!("no directory for sockets is user {uid}'s own")))
        }
    }
}

fn make(dir: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|err| Error::io(format!("mkdir({})", dir.display()), &err))
}

/// The path of a group's socket, which any shim finds by the same names.
///
/// Errors: InvalidSpec if it is too long.
pub fn path(dir: &Path, grpc_address: &str, namespace: &str, group: &str) -> Result<PathBuf> {
    let name = Sha256::digest(joined(&[grpc_address, namespace, group]));
    let path = dir.join(format!("{name:x}"));
    let length = path.as_os_str().len();
    if length > PATH_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the socket's path {} has {length} bytes, and {PATH_BYTES_MAX} are allowed: \
             the directory for sockets must be shorter",
            path.display()
        )));
    }
    Ok(path)
}

/// Joins paths as text, as Go's `path.Join` does.
fn joined(elements: &[&str]) -> String {
    let whole = elements.iter().filter(|element| !element.is_empty()).copied().collect::<Vec<_>>().join("/");
    let is_absolute = whole.starts_with('/');
    let mut clean: Vec<&str> = Vec::new();
    for component in whole.split('/') {
        match component {
            "" | "." => {}
            ".." if clean.last().is_some_and(|last| *last != "..") => drop(clean.pop()),
            ".." if is_absolute => {}
            name => clean.push(name),
        }
    }
    match (is_absolute, clean.is_empty()) {
        (true, _) => format!("/{}", clean.join("/")),
        (false, true) if whole.is_empty() => String::new(),
        (false, true) => ".".into(),
        (false, false) => clean.join("/"),
    }
}

/// How containerd is told of a path.
pub fn address(path: &Path) -> String {
    format!("{PREFIX}{}", path.display())
}

/// The path in an address; `None` for an address that is no file.
pub fn path_of(address: &str) -> Option<PathBuf> {
    address.strip_prefix(PREFIX).map(PathBuf::from)
}

/// What was found where a group's socket belongs.
pub enum Claim {
    /// A server listens there.
    Served,
    /// Nobody did, and now this process does.
    Free(Claimed),
}

/// A socket that this process has bound and that nobody serves yet. It goes again unless it is handed over; no other
/// process looks at the directory before.
pub struct Claimed {
    listener: UnixListener,
    path: PathBuf,
    is_handed_over: bool,
    _lock: Flock<File>,
}

/// Binds the socket at `path`, unless a server listens there already.
pub fn claim(path: &Path) -> Result<Claim> {
    path.parent().map_or(Ok(()), make)?;
    let lock = lock_directory_of(path)?;
    let listener = match bind(path) {
        Err(err) if err.is(Errno::EADDRINUSE) => {
            if is_served(path)? {
                return Ok(Claim::Served);
            }
            unlink(path)?;
            bind(path)?
        }
        bound => bound?,
    };
    let claimed = Claimed { listener, path: path.to_owned(), is_handed_over: false, _lock: lock };
    let private = Permissions::from_mode(0o600);
    fs::set_permissions(path, private)
        .map_err(|err| Error::io(format!("chmod({}, 0600)", path.display()), &err))?;
    Ok(Claim::Free(claimed))
}

impl Claimed {
    /// The number of the descriptor on which connections come in.
    pub fn number(&self) -> i32 {
        self.listener.as_raw_fd()
    }

    /// A server has the socket now.
    pub fn hand_over(mut self) {
        self.is_handed_over = true;
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.is_handed_over {
            best_effort(unlink(&self.path), "the error that led here is the one to be told");
        }
    }
}

/// Removes a socket that its server has left. The socket of a living server stays: the server may have other containers
/// of the group.
///
/// The kernel closes what a killed server had open in no order: containerd may learn of the end, and run `delete`,
/// while the socket still takes connections. Such a connection ends with the server, and a living server answers.
pub fn remove_unless_served(path: &Path) -> Result<()> {
    if let Some(connection) = connection(path)? {
        wait_for_answer_or_end(&connection, DYING_MS)?;
    }
    let lock = match lock_directory_of(path) {
        Err(err) if err.is(Errno::ENOENT) => return Ok(()),
        lock => lock?,
    };
    if !is_served(path)? {
        unlink(path)?;
    }
    drop(lock);
    Ok(())
}

/// Returns whether one of them has come in time.
fn wait_for_answer_or_end(connection: &OwnedFd, patience_ms: u16) -> Result<bool> {
    let sent = send(connection.as_raw_fd(), &PING, MsgFlags::MSG_NOSIGNAL);
    best_effort(
        sent.map_err(|errno| Error::kernel("send(socket)", errno)),
        "the poll tells of a connection that has ended",
    );
    let mut answer = [PollFd::new(connection.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut answer, patience_ms).map_err(|errno| Error::kernel("poll(socket)", errno))?;
    Ok(ready > 0)
}

/// The socket that this process serves.
pub struct Served {
    path: PathBuf,
    /// So it listens as long as its file is there, whatever becomes of the server.
    _listening: OwnedFd,
}

impl Served {
    /// `None` for a socket that is no file.
    pub fn by(listener: &UnixListener) -> Result<Option<Served>> {
        let address = listener.local_addr().map_err(|err| Error::io("getsockname(socket)", &err))?;
        let Some(path) = address.as_pathname().map(PathBuf::from) else { return Ok(None) };
        let listening = listener.as_fd().try_clone_to_owned();
        let _listening = listening.map_err(|err| Error::io("fcntl(F_DUPFD)", &err))?;
        Ok(Some(Served { path, _listening }))
    }

    /// Removes its file. A `start` that comes at the same time finds either a server that listens or no socket, and
    /// whatever is bound there later is another server's.
    pub fn retire(self) -> Result<()> {
        let lock = lock_directory_of(&self.path)?;
        unlink(&self.path)?;
        drop(self);
        drop(lock);
        Ok(())
    }
}

fn lock_directory_of(path: &Path) -> Result<Flock<File>> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut file = File::open(dir)
        .map_err(|err| Error::io(format!("open({})", dir.display()), &err))
        .doing("lock sockets")?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => return Ok(lock),
            Err((same, Errno::EINTR)) => file = same,
            Err((_, errno)) => return Err(Error::kernel(format!("flock({})", dir.display()), errno)),
        }
    }
}

fn bind(path: &Path) -> Result<UnixListener> {
    UnixListener::bind(path).map_err(|err| Error::io(format!("bind({})", path.display()), &err))
}

fn unlink(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|err| Error::io(format!("unlink({})", path.display()), &err)),
    }
}

/// Whether somebody listens.
fn is_served(path: &Path) -> Result<bool> {
    Ok(connection(path)?.is_some())
}

/// A connection to whoever listens. A server whose queue is full listens too; the call doesn't wait for room, and the
/// descriptor is then connected to nobody.
fn connection(path: &Path) -> Result<Option<OwnedFd>> {
    let call = |errno| Error::kernel(format!("connect({})", path.display()), errno);
    let to = UnixAddr::new(path).map_err(call)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(call)?;
    match connect(probe.as_raw_fd(), &to) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(Some(probe)),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(None),
        Err(errno) => Err(call(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_path_is_the_sha256_of_what_go_joins() {
        // As containerd-shim-runc-v2 of containerd 1.6.20 answers.
        let found = path(Path::new(DIRECTORY), "/run/x/containerd.sock", "ns", "group").expect("short");
        let name = format!("{:x}", Sha256::digest("/run/x/containerd.sock/ns/group"));
        assert_eq!(found, Path::new(DIRECTORY).join(name));
        for (elements, expected) in [
            (["/a/b", "ns", "c"], "/a/b/ns/c"),
            (["/a//b/", "ns", "c/../d"], "/a/b/ns/d"),
            (["/a", "..", "../c"], "/c"),
            (["", "ns", "c"], "ns/c"),
            (["a", "../..", "c"], "../c"),
            (["", "", ""], ""),
            (["a", "..", ""], "."),
        ] {
            assert_eq!(joined(&elements), expected);
        }
    }

    #[test]
    fn a_path_has_106_bytes_at_most() {
        let dir = |length: usize| PathBuf::from(format!("/{}", "d".repeat(length - 1)));
        let longest = path(&dir(41), "/a", "ns", "c1").expect("it fits");
        assert_eq!(longest.as_os_str().len(), 106);
        let refused = path(&dir(42), "/a", "ns", "c1").expect_err("too long").to_string();
        assert!(refused.contains("107 bytes"), "{refused}");
    }

    #[test]
    fn the_socket_of_a_server_that_is_dying_is_removed() {
        let (dir, path) = place("dying");
        let listener = UnixListener::bind(&path).expect("bind");
        let removal = std::thread::spawn({
            let path = path.clone();
            move || remove_unless_served(&path)
        });
        // The removal has come to the server that listens.
        let (connection, _) = listener.accept().expect("a connection");
        drop((listener, connection));
        removal.join().expect("no panic").expect("removed");
        assert!(!path.exists());
        fs::remove_dir(dir).expect("nothing else in it");
    }

    #[test]
    fn a_server_that_answers_is_waited_for_no_longer() {
        let (dir, path) = place("answering");
        let listener = UnixListener::bind(&path).expect("bind");
        let probe = connection(&path).expect("a socket").expect("a connection");
        let (mut server, _) = listener.accept().expect("a connection");
        let answers = std::thread::spawn(move || {
            let mut ping = PING;
            server.read_exact(&mut ping).and_then(|()| server.write_all(b"x")).expect("an answer");
            server
        });
        assert!(wait_for_answer_or_end(&probe, 60_000).expect("a poll"));
        drop(answers.join().expect("no panic"));
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn the_socket_of_a_living_server_stays() {
        let (dir, path) = place("living");
        let _listener = UnixListener::bind(&path).expect("bind");
        remove_unless_served(&path).expect("left alone");
        assert!(path.exists());
        fs::remove_dir_all(dir).expect("removed");
    }

    /// A new directory, and the path of a socket in it.
    fn place(name: &str) -> (PathBuf, PathBuf) {
        let dir = std::env::temp_dir().join(format!("corten-shim-socket-{name}-{}", std::process::id()));
        fs::create_dir(&dir).expect("a new directory");
        let path = dir.join("socket");
        (dir, path)
    }

    #[test]
    fn only_files_have_a_path() {
        assert_eq!(path_of(&address(Path::new("/run/s/x"))), Some("/run/s/x".into()));
        assert_eq!(path_of("\0abstract"), None);
    }

    #[test]
    fn directories_are_absolute() {
        assert!(directory(Some("s")).is_err());
    }
}
