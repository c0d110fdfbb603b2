//! What supervisor and init say to each other while a container is created.
//!
//! ```text
//! supervisor                                   init
//!     │ clone3 ──────────────────────────────▶ │ cgroup, session, namespaces
//!     │ id maps ── Go ───────────────────────▶ │ (only with a user namespace) the rest of them
//!     │ resource limits                        │
//!     │ ◀────────────────────── NetDevices(fd) │ (only if there are network devices to move)
//!     │ move them ── Go ─────────────────────▶ │
//!     │ ◀─────────────────────────── Mount(fd) │ (only for those that the supervisor builds, one by one)
//!     │ build it ── its fd ──────────────────▶ │ mounts, devices …
//!     │ ◀───────────────────────── Console(fd) │ (only with a terminal)
//!     │ ◀─────────────────────────────── Hooks │ (only if there are runtime hooks)
//!     │ run them ── Go ──────────────────────▶ │ new root, protections …
//!     │                                        │ user, capabilities …
//!     │ ◀──────────────────── Listener(number) │ (only if the filter will have a listener) installs the filter
//!     │ pidfd_getfd, agent ── Go ────────────▶ │
//!     │ ◀───────────────────────────── Created │
//!     │ rlimits, devices                       │
//!     │ console socket, record ── Go ────────▶ │ no longer dies with the supervisor
//!     │ ◀───────────────────────── Independent │ waits for `start`, unless `run` has said so before this Go
//!     │ pid file                               │
//! ```
//!
//! Where there is an intermediate process, it says what the preparation needs:
//!
//! ```text
//! supervisor                                   intermediate process
//!     │ …                                      │ … user, capabilities
//!     │ ◀──────────────────────────── Prepared │ (only for a new container with a cgroup of its own)
//!     │ resource limits, devices ── Go ──────▶ │
//!     │ ◀────────────────────────────── NoRoom │ (only if the limit of a running container has no room for both)
//!     │ make room ── Go ─────────────────────▶ │ forks init
//!     │ ◀────────────────────────── Forked(fd) │ ends; fd is init's pidfd
//!     │ …                                      init: Listener or Created, before Forked or after
//! ```
//!
//! At any point init may say `Failed` instead, and exits. If the supervisor is gone, init finds the channel closed and
//! exits; the kernel kills it as well, so it can't be left behind half-made.
//!
//! A message is one SEQPACKET datagram: JSON, and beside it the descriptor if there is one.
//!
//! A seccomp filter may be in force when init speaks. So init uses `write` and `read` wherever no descriptor comes with
//! a message, and its waits end by a timeout of the socket: profiles are written for runtimes that need no other call.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::build::Built;
use super::execution::{Image, SILENCE_TRUSTED, has_executed};
use crate::error::{Context, Errno, Error, Result};
use crate::plan::mount_options::AttrChange;
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::{file, poll, socket};

/// How long supervisor and init wait for each other: mounts of network filesystems can be slow, and so can hooks.
pub const PATIENCE: Duration = Duration::from_secs(600);

const MESSAGE_BYTES_MAX: usize = 16 << 10;
const WORD_BYTES_MAX: usize = 256;
/// JSON can take six bytes for one byte of an error's text (`\u0001`), and a hint has a quarter of this.
const TEXT_BYTES_MAX: usize = 2 << 10;

/// What init and the intermediate process say.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// Move the network devices into this network namespace.
    NetDevices(#[serde(skip)] Option<OwnedFd>),
    /// Build the next of the mounts that init can't, in this mount namespace.
    Mount(#[serde(skip)] Option<OwnedFd>),
    /// Here is the master of the terminal that was opened.
    Console(#[serde(skip)] Option<OwnedFd>),
    /// Everything is mounted: run the runtime hooks.
    Hooks,
    /// The intermediate process is in a new user namespace: write its id maps.
    InUserNamespace,
    /// The intermediate process has prepared everything: restrict what it forks.
    Prepared,
    /// The cgroup has no room for the intermediate process and init: take the intermediate process out of it.
    NoRoom,
    /// The listener of the filter that init installs next will be this descriptor of init.
    Listener(i32),
    /// The intermediate process has forked init, and this is init's pidfd.
    Forked(#[serde(skip)] Option<OwnedFd>),
    /// The container is complete.
    Created,
    /// Init no longer dies with the supervisor. Until then the supervisor must not end.
    Independent,
    /// A step failed.
    Failed(Error),
    /// Init is gone, or has become the program. Nobody says this: the channel has closed, or the process has ended.
    #[serde(skip)]
    Gone,
}

impl Message {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Message::NetDevices(fd) | Message::Mount(fd) | Message::Console(fd) | Message::Forked(fd) => {
                fd.as_ref().map(AsFd::as_fd)
            }
            Message::Hooks
            | Message::InUserNamespace
            | Message::Prepared
            | Message::NoRoom
            | Message::Listener(_)
            | Message::Created
            | Message::Independent
            | Message::Failed(_)
            | Message::Gone => None,
        }
    }

    fn with_descriptor(mut self, received: Option<OwnedFd>) -> Message {
        if let Message::NetDevices(fd) | Message::Mount(fd) | Message::Console(fd) | Message::Forked(fd) =
            &mut self
        {
            *fd = received;
        }
        self
    }
}

/// What the supervisor hears of an intermediate process.
pub enum OfIntermediate {
    /// It has forked init, of which this is the pidfd.
    Forked(OwnedFd),
    /// It can't fork init in its cgroup.
    NoRoom,
    /// It has ended without a word.
    Gone,
}

/// What the supervisor says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Word {
    /// Go on.
    Go,
    /// Here is the mount. Where it isn't complete, `Built::attach` sets its attributes.
    Mount { is_complete: bool },
}

/// One end of the channel.
pub struct Channel {
    socket: OwnedFd,
    /// What init said before the intermediate process said that it had forked init.
    early: VecDeque<Message>,
}

impl Channel {
    /// Both ends.
    pub fn pair() -> Result<(Channel, Channel)> {
        let (supervisor, init) = socket::message_pair().doing("make the channel to init")?;
        socket::set_receive_timeout(&init, PATIENCE)?;
        let channel = |socket| Channel { socket, early: VecDeque::new() };
        Ok((channel(supervisor), channel(init)))
    }

    /// Supervisor: lets init go on.
    pub fn go(&self) -> Result<()> {
        self.send(&Word::Go, None)
    }

    /// Supervisor: hands init a mount that was built for it.
    pub fn hand_over_mount(&self, built: &Built) -> Result<()> {
        self.send(&Word::Mount { is_complete: built.left.is_empty() }, Some(built.mount.as_fd()))
    }

    /// Init: waits for a mount that the supervisor builds. `attr` are its attributes, in case they are not set yet.
    ///
    /// Errors: Internal if the supervisor is gone or takes too long.
    pub fn await_mount(&self, attr: AttrChange) -> Result<Built> {
        let mut buffer = [0_u8; WORD_BYTES_MAX];
        let (length, mut fds) =
            socket::receive(self.socket.as_fd(), &mut buffer).map_err(silence_if_timed_out)?;
        match (word(&buffer[..length])?, fds.pop()) {
            (Word::Mount { is_complete: true }, Some(mount)) => {
                Ok(Built { mount, left: AttrChange::default() })
            }
            (Word::Mount { is_complete: false }, Some(mount)) => Ok(Built { mount, left: attr }),
            (word, _) => Err(Error::internal(format!("the supervisor said {word:?} in place of a mount"))),
        }
    }

    /// Init: waits until it may go on.
    ///
    /// Errors: Internal if the supervisor is gone or takes too long.
    pub fn await_go(&self) -> Result<()> {
        let mut buffer = [0_u8; WORD_BYTES_MAX];
        let length = file::read(&self.socket, &mut buffer).map_err(silence_if_timed_out)?;
        match word(&buffer[..length])? {
            Word::Go => Ok(()),
            word => Err(Error::internal(format!("the supervisor said {word:?} in place of Go"))),
        }
    }

    /// Init: makes sure that the supervisor is there.
    ///
    /// Errors: Internal if it is gone.
    pub fn check_open(&self) -> Result<()> {
        if poll::hung_up_by(&self.socket, Deadline::Now)? {
            Err(Error::internal("the supervisor is gone"))
        } else {
            Ok(())
        }
    }

    /// Init: says something that needs no answer, or whose answer is awaited apart.
    pub fn say(&self, message: &Message) -> Result<()> {
        let bytes = to_bytes(message)?;
        match message.descriptor() {
            Some(fd) => socket::send(self.socket.as_fd(), &bytes, &[fd]),
            None => file::write_whole(self.socket.as_fd(), &bytes, "handshake"),
        }
    }

    /// Init: says that it failed.
    pub fn fail(&self, err: Error) -> Result<()> {
        self.say(&Message::Failed(err.shortened(TEXT_BYTES_MAX)))
    }

    /// Init: says something and waits until it may go on.
    pub fn ask(&self, message: &Message) -> Result<()> {
        self.say(message)?;
        self.await_go()
    }

    /// Supervisor: waits for what init says next. Its end is known by its pidfd too: a process of the container that
    /// traces init can hold a copy of init's end of the channel.
    pub fn listen(&mut self, init: &PidFd) -> Result<Message> {
        match self.early.pop_front() {
            Some(message) => Ok(message),
            None => self.receive_from(init),
        }
    }

    /// Supervisor: waits for the intermediate process to say that it has forked init, or to end. Init runs at once and
    /// may speak first: its messages are kept for [`listen`](Self::listen).
    ///
    /// If it is gone without a word, init, if there is one, finds the channel closed. Errors: what the intermediate
    /// process failed at.
    pub fn listen_to_intermediate(&mut self, intermediate: &PidFd) -> Result<OfIntermediate> {
        loop {
            match self.receive_from(intermediate)? {
                Message::Forked(Some(pidfd)) => return Ok(OfIntermediate::Forked(pidfd)),
                Message::NoRoom => return Ok(OfIntermediate::NoRoom),
                Message::Gone => {
                    socket::shut_down(self.socket.as_fd())?;
                    return match self.early.pop_front() {
                        Some(Message::Failed(err)) => Err(err),
                        _ => Ok(OfIntermediate::Gone),
                    };
                }
                early => self.early.push_back(early),
            }
        }
    }

    /// Supervisor: waits until init, which is process `pid`, has executed its program or has ended, which is `Gone`, or
    /// says something.
    pub fn await_execution(&mut self, init: &PidFd, pid: i32) -> Result<Message> {
        let deadline = Deadline::after(PATIENCE);
        while self.early.is_empty() {
            let ends = [self.socket.as_fd(), init.as_fd()];
            let ready = poll::wait_readable(&ends, deadline.min(Deadline::after(SILENCE_TRUSTED)))?;
            if ready.contains(&true) || deadline.passed() {
                break;
            }
            if has_executed(pid, Image::own()) {
                return Ok(Message::Gone);
            }
        }
        self.listen(init)
    }

    /// The next message. The end of `speaker`, if it is silent, is `Gone`.
    fn receive_from(&self, speaker: &PidFd) -> Result<Message> {
        let ends = [self.socket.as_fd(), speaker.as_fd()];
        match poll::wait_readable(&ends, Deadline::after(PATIENCE))?[..] {
            [false, false] => Err(silence()),
            // If the process had spoken before its end, its message could be read now.
            [false, true] if !poll::readable_by(&self.socket, Deadline::Now)? => Ok(Message::Gone),
            _ => match self.receive()? {
                Some((bytes, fd)) => Ok(read::<Message>(&bytes)?.with_descriptor(fd)),
                None => Ok(Message::Gone),
            },
        }
    }

    /// The next datagram, which is there, and its descriptor; `None` if no process has the far end open.
    fn receive(&self) -> Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        let mut buffer = vec![0_u8; MESSAGE_BYTES_MAX];
        let (length, mut fds) = match socket::receive(self.socket.as_fd(), &mut buffer) {
            // Init has gone without reading the supervisor's last word. The kernel reports that first; what init said
            // can be read after.
            Err(err) if err.is(Errno::ECONNRESET) => {
                socket::receive(self.socket.as_fd(), &mut buffer).unwrap_or_default()
            }
            result => result?,
        };
        // An empty datagram is no end.
        if length == 0 && poll::hung_up_by(&self.socket, Deadline::Now)? {
            return Ok(None);
        }
        buffer.truncate(length);
        Ok(Some((buffer, fds.pop())))
    }

    fn send(&self, said: &Word, fd: Option<BorrowedFd>) -> Result<()> {
        socket::send(self.socket.as_fd(), &to_bytes(said)?, fd.as_slice())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn silence() -> Error {
    Error::internal(format!("no word from the other side for {} s", PATIENCE.as_secs()))
}

fn silence_if_timed_out(err: Error) -> Error {
    if err.is(Errno::EAGAIN) { silence() } else { err }
}

/// What the supervisor said. No bytes mean that it is gone.
fn word(bytes: &[u8]) -> Result<Word> {
    if bytes.is_empty() { Err(Error::internal("the supervisor is gone")) } else { read(bytes) }
}

fn to_bytes(said: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(said).map_err(|err| Error::internal(format!("handshake: {err}")))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let text = || String::from_utf8_lossy(bytes);
    serde_json::from_slice(bytes).map_err(|_| Error::internal(format!("the other side said {:?}", text())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// A process that hasn't ended.
    fn own() -> PidFd {
        PidFd::open(std::process::id() as i32).unwrap()
    }

    #[test]
    fn an_error_of_init_arrives_whole() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        let err =
            Error::kernel("fsmount(0)", Errno::EPERM).context("mount proc on /proc").with_hint("unmask it");
        init.fail(err).unwrap();
        let Message::Failed(told) = supervisor.listen(&own()).unwrap() else { panic!("not a failure") };
        assert_eq!(told.to_string(), "mount proc on /proc: fsmount(0): operation not permitted (EPERM)");
        assert_eq!((told.kind(), told.hint()), (Kind::Denied, Some("unmask it")));
        assert!(told.is(Errno::EPERM));
    }

    #[test]
    fn a_closed_channel_is_gone_for_the_supervisor_and_an_error_for_init() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        drop(init);
        assert!(matches!(supervisor.listen(&own()).unwrap(), Message::Gone));
        let (supervisor, init) = Channel::pair().unwrap();
        drop(supervisor);
        assert!(init.ask(&Message::Created).is_err());
    }

    #[test]
    fn an_empty_datagram_is_no_end() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        socket::send(init.as_fd(), b"", &[]).unwrap();
        assert!(supervisor.listen(&own()).is_err());
        init.say(&Message::Hooks).unwrap();
        assert!(matches!(supervisor.listen(&own()).unwrap(), Message::Hooks));
    }

    #[test]
    fn the_end_of_init_is_heard_of_though_its_end_of_the_channel_is_open() {
        let (mut supervisor, held) = Channel::pair().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pidfd = PidFd::open(child.id() as i32).unwrap();
        child.wait().unwrap();
        held.say(&Message::Hooks).unwrap();
        assert!(matches!(supervisor.listen(&pidfd).unwrap(), Message::Hooks));
        assert!(matches!(supervisor.listen(&pidfd).unwrap(), Message::Gone));
        assert!(matches!(supervisor.await_execution(&pidfd, 0).unwrap(), Message::Gone));
    }

    #[test]
    fn a_very_long_error_still_fits() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        for text in ["x", "\u{1}", "…"] {
            let err = Error::kernel(text.repeat(100_000), Errno::EPERM).with_hint(text.repeat(10_000));
            init.fail(err).unwrap();
            let Message::Failed(told) = supervisor.listen(&own()).unwrap() else { panic!("not a failure") };
            assert!(told.to_string().ends_with("(EPERM)"), "the cause stands at the end");
        }
    }

    #[test]
    fn what_init_says_before_it_is_known_to_be_forked_is_not_lost() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        init.say(&Message::Hooks).unwrap();
        init.say(&Message::Forked(Some(std::fs::File::open("/dev/null").unwrap().into()))).unwrap();
        let alive = own();
        let said = supervisor.listen_to_intermediate(&alive).unwrap();
        assert!(matches!(said, OfIntermediate::Forked(_)));
        assert!(matches!(supervisor.listen(&own()).unwrap(), Message::Hooks));

        init.fail(Error::internal("no such namespace")).unwrap();
        drop(init);
        let Err(told) = supervisor.listen_to_intermediate(&alive) else { panic!("not a failure") };
        assert_eq!(told.to_string(), "no such namespace");
    }
}
