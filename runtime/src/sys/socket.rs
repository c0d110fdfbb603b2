//! Unix sockets: the pair between supervisor and init, and descriptors handed over to callers.

use std::ffi::OsStr;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
};
use nix::sys::time::TimeVal;

use super::{Named, shown};
use crate::error::{Errno, Error, Result};

/// A connected pair that keeps message boundaries.
pub fn message_pair() -> Result<(OwnedFd, OwnedFd)> {
    socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .named(|| "socketpair(SEQPACKET)".into())
}

/// How long a peer may take to accept a connection, and then to take what is sent.
const PEER_PATIENCE_S: i64 = 10;

/// `setsockopt(SO_RCVTIMEO)`: a read that waits longer ends with EAGAIN.
pub fn set_receive_timeout(socket: impl AsFd, timeout: Duration) -> Result<()> {
    let timeout = TimeVal::new(timeout.as_secs() as i64, 0);
    socket::setsockopt(&socket, socket::sockopt::ReceiveTimeout, &timeout)
        .named(|| "setsockopt(SO_RCVTIMEO)".into())
}

/// Connects to the listening stream socket at `path`, which may be longer than a socket address holds.
///
/// Errors: EAGAIN if the listener has accepted no connection for 10 s and no more may queue up.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .named(|| "socket(AF_UNIX)".into())?;
    // For connect(2) too, which has no other deadline.
    socket::setsockopt(&socket, socket::sockopt::SendTimeout, &TimeVal::new(PEER_PATIENCE_S, 0))
        .named(|| "setsockopt(SO_SNDTIMEO)".into())?;
    connect_to(socket, path).map_err(|err| match err.errno() {
        Some(Errno::EAGAIN) => err.with_hint("whoever listens there accepts no connections"),
        _ => err,
    })
}

/// Connects to the datagram socket at `address`: a path, or after `@` an abstract name. A send never waits.
pub fn connect_datagram(address: &OsStr) -> Result<OwnedFd> {
    let socket = datagram_socket()?;
    let Some(name) = address.as_bytes().strip_prefix(b"@") else {
        return connect_to(socket, Path::new(address));
    };
    let call = || format!("connect({address:?})");
    let name = UnixAddr::new_abstract(name).named(call)?;
    socket::connect(socket.as_raw_fd(), &name).named(call)?;
    Ok(socket)
}

/// Makes a datagram socket that is called `name` in `dir`. Its mode is what the umask leaves of 0777.
///
/// Errors: EADDRINUSE if there is anything of that name. A link counts too, because it isn't followed.
pub fn bind_datagram_at(dir: BorrowedFd, name: &str) -> Result<OwnedFd> {
    let socket = datagram_socket()?;
    let call = || format!("bind({name:?})");
    // There is no bindat(2), so the address leads through the open directory's name below /proc/self/fd.
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    let address = UnixAddr::new(Path::new(&path)).named(call)?;
    socket::bind(socket.as_raw_fd(), &address).named(call)?;
    Ok(socket)
}

fn datagram_socket() -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None)
        .named(|| "socket(AF_UNIX, DGRAM)".into())
}

fn connect_to(socket: OwnedFd, path: &Path) -> Result<OwnedFd> {
    // A socket's address holds 107 bytes, so a long path is opened, and the address is the descriptor's short name.
    let handle;
    let short;
    let address = if path.as_os_str().len() < 108 {
        path
    } else {
        handle = super::file::open_following_links(path, nix::fcntl::OFlag::O_PATH)?;
        short = format!("/proc/self/fd/{}", handle.as_raw_fd());
        Path::new(&short)
    };
    let address = UnixAddr::new(address).named(|| format!("connect({})", shown(path)))?;
    socket::connect(socket.as_raw_fd(), &address).named(|| format!("connect({})", shown(path)))?;
    Ok(socket)
}

/// `sendmsg`: one message, with descriptors beside it. A broken pipe is EPIPE, never a signal.
///
/// Errors: EAGAIN if the peer of a socket that was [connected](connect) takes nothing for 10 s.
pub fn send(socket: BorrowedFd, bytes: &[u8], fds: &[BorrowedFd]) -> Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    loop {
        let sent = socket::sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Ok(sent) if sent == bytes.len() => return Ok(()),
            // The peer has taken a part and then nothing until the deadline.
            Ok(_) => return Err(Error::kernel("sendmsg()", Errno::EAGAIN)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::kernel("sendmsg()", errno)),
        }
    }
}

/// `send(MSG_DONTWAIT)`: how many of `bytes` were taken. A broken pipe is EPIPE, never a signal.
pub fn send_now(socket: BorrowedFd, bytes: &[u8]) -> Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    loop {
        match socket::send(socket.as_raw_fd(), bytes, flags) {
            Err(Errno::EINTR) => {}
            result => return result.named(|| format!("send(…, {})", bytes.len())),
        }
    }
}

/// `recvmsg`: one message and the descriptors that came with it, at most `FDS_MAX`; no bytes means the peer is gone.
pub fn receive(socket: BorrowedFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    const FDS_MAX: usize = 4;
    let mut control = nix::cmsg_space!([RawFd; FDS_MAX]);
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match socket::recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Ok(message) => {
                let mut fds = Vec::new();
                for part in message.cmsgs().named(|| "recvmsg(SCM_RIGHTS)".into())? {
                    if let ControlMessageOwned::ScmRights(raw) = part {
                        // SAFETY: the kernel has just made these descriptors for us, and nothing else holds them.
                        fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                    }
                }
                return Ok((message.bytes, fds));
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::kernel("recvmsg()", errno)),
        }
    }
}

/// `recv`: one datagram, as much of it as the buffer holds; `None` if there is none. The kernel closes descriptors that
/// came with it.
pub fn receive_datagram(socket: BorrowedFd, buffer: &mut [u8]) -> Result<Option<usize>> {
    loop {
        match socket::recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(len) => return Ok(Some(len)),
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::kernel("recv()", errno)),
        }
    }
}

/// `pipe2`: the end to read from, which doesn't wait, and the end to write to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    use nix::fcntl::OFlag;
    nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).named(|| "pipe2()".into())
}

/// `shutdown(SHUT_RDWR)`: the peer finds the socket closed.
pub fn shut_down(socket: BorrowedFd) -> Result<()> {
    socket::shutdown(socket.as_raw_fd(), socket::Shutdown::Both).named(|| "shutdown(SHUT_RDWR)".into())
}
