//! What supervisor and init say to each other while a container is created.
//!
//! ```text
//! supervisor                                   init
//!     │ clone3 ──────────────────────────────▶ │ cgroup, session, namespaces
//!     │ id maps ── Go ───────────────────────▶ │ (only with a user namespace) the rest of them
//!     │ resource limits                        │
//!     │ ◀─────────────────────────── Mount(fd) │ (only for those that the supervisor builds, one by one)
//!     │ build it ── its fd ──────────────────▶ │ mounts, devices, console …
//!     │ ◀─────────────────────────────── Hooks │ (only if there are runtime hooks)
//!     │ run them ── Go ──────────────────────▶ │ new root, protections …
//!     │ ◀────────────────────────────── Limits │ (only if there are rlimits)
//!     │ prlimit ── Go ───────────────────────▶ │ user, capabilities …
//!     │ ◀─────────────────────── Listener(fd) │ (only if the filter has a listener)
//!     │ pidfd_getfd ── Go ───────────────────▶ │
//!     │ ◀───────────────────────────── Created │
//!     │ devices, record, pid file ── Go ─────▶ │ no longer dies with the supervisor
//!     │ ◀───────────────────────── Independent │ waits for `start`, unless `run` has said so before this Go
//! ```
//!
//! At any point init may say `Failed` instead, and exits. If the supervisor is gone, init finds the channel closed and
//! exits; the kernel kills it as well, so it can't be left behind half-made.
//!
//! A message is one SEQPACKET datagram: a tag byte and, for `Failed`, the error as JSON.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::build::Built;
use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::mount_options::AttrChange;
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::{poll, socket};

/// How long one side works before the other hears of it: mounts of slow network filesystems, and hooks.
pub const PATIENCE_MS: u64 = 600_000;

const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// JSON makes six bytes of one that is no text, and the rest of the message wants room too.
const TEXT_BYTES_MAX: usize = 2 << 10;

/// What init says.
#[derive(Debug)]
pub enum Message {
    /// Build the next of the mounts that init can't, in this mount namespace.
    Mount(OwnedFd),
    /// Everything is mounted: run the runtime hooks.
    Hooks,
    /// Set the rlimits.
    Limits,
    /// The filter's listener is this descriptor of init.
    Listener(i32),
    /// An intermediate process has forked init, and this is its handle.
    Forked(OwnedFd),
    /// The container is complete.
    Created,
    /// Init no longer dies with the supervisor. Until then the supervisor must not end.
    Independent,
    /// A step failed.
    Failed(Error),
    /// Init is gone, or has become the program.
    Gone,
}

impl Message {
    /// The word for errors.
    pub fn name(&self) -> &'static str {
        match self {
            Message::Mount(_) => "Mount",
            Message::Hooks => "Hooks",
            Message::Limits => "Limits",
            Message::Listener(_) => "Listener",
            Message::Forked(..) => "Forked",
            Message::Created => "Created",
            Message::Independent => "Independent",
            Message::Failed(_) => "Failed",
            Message::Gone => "Gone",
        }
    }
}

/// One end of the channel.
pub struct Channel {
    socket: OwnedFd,
    /// What init said before the intermediate process said that it had forked it.
    early: VecDeque<Message>,
}

/// An error on its way from init to the supervisor.
#[derive(Serialize, Deserialize)]
struct Failure {
    kind: u8,
    text: String,
    errno: Option<i32>,
    hint: Option<String>,
    verbatim: bool,
}

const KINDS: [Kind; 9] = [
    Kind::InvalidSpec,
    Kind::NotFound,
    Kind::AlreadyExists,
    Kind::WrongState,
    Kind::Unsupported,
    Kind::Denied,
    Kind::Kernel,
    Kind::Hook,
    Kind::Internal,
];

impl Channel {
    /// Both ends.
    pub fn pair() -> Result<(Channel, Channel)> {
        let (supervisor, init) = socket::message_pair().doing("make the channel to init")?;
        let channel = |socket| Channel { socket, early: VecDeque::new() };
        Ok((channel(supervisor), channel(init)))
    }

    /// Supervisor: lets init go on.
    pub fn go(&self) -> Result<()> {
        socket::send(self.socket.as_fd(), b"G", &[])
    }

    /// Supervisor: hands init a mount that was built for it.
    pub fn hand_over_mount(&self, built: &Built) -> Result<()> {
        self.send(if built.left.is_empty() { b"B" } else { b"b" }, &[built.mount.as_fd()])
    }

    /// Init: waits for a mount that the supervisor builds, and that is to have `attr` of its own.
    ///
    /// Errors: Internal if the supervisor is gone or takes too long.
    pub fn await_mount(&self, attr: AttrChange) -> Result<Built> {
        self.await_readable()?;
        let mut byte = [0_u8; 1];
        let (_, mut fds) = socket::receive(self.socket.as_fd(), &mut byte)?;
        let mount = fds.pop().ok_or_else(|| Error::internal("the supervisor is gone"))?;
        let left = if byte == *b"B" { AttrChange::default() } else { attr };
        Ok(Built { mount, left })
    }

    /// Init: waits until it may go on.
    ///
    /// Errors: Internal if the supervisor is gone or takes too long.
    pub fn await_go(&self) -> Result<()> {
        self.await_readable()?;
        let mut byte = [0_u8; 1];
        match socket::receive(self.socket.as_fd(), &mut byte)? {
            (1, _) if byte[0] == b'G' => Ok(()),
            (0, _) => Err(Error::internal("the supervisor is gone")),
            _ => Err(Error::internal("the supervisor said something else than go")),
        }
    }

    /// Init: makes sure that the supervisor is there.
    ///
    /// Errors: Internal if it is gone.
    pub fn check_open(&self) -> Result<()> {
        match poll::hung_up_by(&self.socket, Deadline::Now)? {
            true => Err(Error::internal("the supervisor is gone")),
            false => Ok(()),
        }
    }

    /// Init: says something that needs no answer, or whose answer is awaited apart.
    pub fn say(&self, message: &Message) -> Result<()> {
        match message {
            Message::Mount(namespace) => self.send(b"M", &[namespace.as_fd()]),
            Message::Hooks => self.send(b"H", &[]),
            Message::Limits => self.send(b"L", &[]),
            Message::Listener(fd) => self.send(format!("N{fd}").as_bytes(), &[]),
            Message::Forked(pidfd) => self.send(b"F", &[pidfd.as_fd()]),
            Message::Created => self.send(b"C", &[]),
            Message::Independent => self.send(b"I", &[]),
            Message::Failed(err) => self.fail(err),
            Message::Gone => Ok(()),
        }
    }

    /// Init: says that it failed.
    pub fn fail(&self, err: &Error) -> Result<()> {
        self.send(&failure(err), &[])
    }

    /// Init: says something and waits until it may go on.
    pub fn ask(&self, message: &Message) -> Result<()> {
        self.say(message)?;
        self.await_go()
    }

    /// Supervisor: waits for what init says next.
    pub fn listen(&mut self) -> Result<Message> {
        match self.early.pop_front() {
            Some(message) => Ok(message),
            None => self.receive(),
        }
    }

    /// Supervisor: waits for the word of the intermediate process, and for no longer than that lives. Init runs at once and
    /// may speak first; that is kept.
    ///
    /// `None` if it is gone without a word. Init, if there is one, then finds the channel closed. Errors: what the
    /// intermediate process failed at.
    pub fn listen_for_forked(&mut self, intermediate: &PidFd) -> Result<Option<OwnedFd>> {
        loop {
            let deadline = Deadline::after(Duration::from_millis(PATIENCE_MS));
            let ends = [self.socket.as_fd(), intermediate.as_fd()];
            match poll::wait_readable(&ends, deadline)?[..] {
                [false, false] => return Err(silence()),
                // What it said before it ended would be there.
                [false, true] if !poll::readable_by(&self.socket, Deadline::Now)? => {
                    socket::shut_down(self.socket.as_fd())?;
                    return Ok(None);
                }
                _ => {}
            }
            match self.receive()? {
                Message::Forked(pidfd) => return Ok(Some(pidfd)),
                Message::Gone => {
                    return match self.early.pop_front() {
                        Some(Message::Failed(err)) => Err(err),
                        _ => Ok(None),
                    };
                }
                early => self.early.push_back(early),
            }
        }
    }

    fn receive(&self) -> Result<Message> {
        self.await_readable()?;
        let mut buffer = vec![0_u8; MESSAGE_BYTES_MAX];
        let (len, mut fds) = match socket::receive(self.socket.as_fd(), &mut buffer) {
            // Init has gone without reading our last word. The kernel tells that first, and then what init had said.
            Err(err) if err.is(Errno::ECONNRESET) => {
                socket::receive(self.socket.as_fd(), &mut buffer).unwrap_or_default()
            }
            result => result?,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let number =
            |bytes: &[u8]| text(bytes).parse::<i32>().map_err(|_| Error::internal("init said no number"));
        match &buffer[..len] {
            [] => Ok(Message::Gone),
            [b'M'] => match fds.pop() {
                Some(namespace) => Ok(Message::Mount(namespace)),
                None => Err(Error::internal("init's mount namespace is missing")),
            },
            [b'H'] => Ok(Message::Hooks),
            [b'L'] => Ok(Message::Limits),
            [b'C'] => Ok(Message::Created),
            [b'I'] => Ok(Message::Independent),
            [b'N', rest @ ..] => Ok(Message::Listener(number(rest)?)),
            [b'F'] => match fds.pop() {
                Some(pidfd) => Ok(Message::Forked(pidfd)),
                None => Err(Error::internal("init's pidfd is missing")),
            },
            [b'E', rest @ ..] => Ok(Message::Failed(error(rest))),
            other => Err(Error::internal(format!("init said {:?}", text(other)))),
        }
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd]) -> Result<()> {
        socket::send(self.socket.as_fd(), bytes, fds)
    }

    fn await_readable(&self) -> Result<()> {
        let deadline = Deadline::after(Duration::from_millis(PATIENCE_MS));
        if poll::readable_by(&self.socket, deadline)? { Ok(()) } else { Err(silence()) }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn silence() -> Error {
    Error::internal(format!("no word from the other side for {} s", PATIENCE_MS / 1000))
}

fn failure(err: &Error) -> Vec<u8> {
    let mut text = err.to_string();
    // The message must fit; the end of an error is its cause, so the middle is what can go.
    if text.len() > TEXT_BYTES_MAX {
        let quarter =
            |chars: &mut dyn Iterator<Item = char>| chars.take(TEXT_BYTES_MAX / 4).collect::<Vec<char>>();
        let (beginning, end) = (quarter(&mut text.chars()), quarter(&mut text.chars().rev()));
        text = beginning.into_iter().chain(['…']).chain(end.into_iter().rev()).collect();
    }
    let failure = Failure {
        kind: KINDS.iter().position(|kind| *kind == err.kind()).unwrap_or(KINDS.len() - 1) as u8,
        text,
        errno: err.errno().map(|errno| errno as i32),
        hint: err.hint().map(|hint| hint.chars().take(512).collect()),
        verbatim: err.is_verbatim(),
    };
    let mut bytes = vec![b'E'];
    bytes.extend(serde_json::to_vec(&failure).unwrap_or_default());
    bytes
}

fn error(bytes: &[u8]) -> Error {
    let Ok(failure) = serde_json::from_slice::<Failure>(bytes) else {
        return Error::internal("init failed and said why in a way that can't be read");
    };
    let kind = KINDS.get(usize::from(failure.kind)).copied().unwrap_or(Kind::Internal);
    let mut err = Error::told(kind, failure.text, failure.errno.map(Errno::from_raw));
    if failure.verbatim {
        err = err.verbatim();
    }
    match failure.hint {
        Some(hint) => err.with_hint(hint),
        None => err,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_init_arrives_whole() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        let err =
            Error::kernel("fsmount(0)", Errno::EPERM).context("mount proc on /proc").with_hint("unmask it");
        init.say(&Message::Failed(err)).unwrap();
        let Message::Failed(told) = supervisor.listen().unwrap() else { panic!("not a failure") };
        assert_eq!(told.to_string(), "mount proc on /proc: fsmount(0): operation not permitted (EPERM)");
        assert_eq!((told.kind(), told.hint()), (Kind::Denied, Some("unmask it")));
        assert!(told.is(Errno::EPERM));
    }

    #[test]
    fn a_closed_channel_is_gone_for_the_supervisor_and_an_error_for_init() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        drop(init);
        assert!(matches!(supervisor.listen().unwrap(), Message::Gone));
        let (supervisor, init) = Channel::pair().unwrap();
        drop(supervisor);
        assert!(init.ask(&Message::Created).is_err());
    }

    #[test]
    fn a_very_long_error_still_fits() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        for text in ["x", "\u{1}", "…"] {
            let err = Error::kernel(text.repeat(100_000), Errno::EPERM).with_hint(text.repeat(10_000));
            init.say(&Message::Failed(err)).unwrap();
            let Message::Failed(told) = supervisor.listen().unwrap() else { panic!("not a failure") };
            assert!(told.to_string().ends_with("(EPERM)"), "the cause stands at the end");
        }
    }

    #[test]
    fn what_init_says_before_it_is_known_to_be_forked_is_not_lost() {
        let (mut supervisor, init) = Channel::pair().unwrap();
        init.say(&Message::Limits).unwrap();
        init.say(&Message::Forked(std::fs::File::open("/dev/null").unwrap().into())).unwrap();
        let alive = PidFd::open(std::process::id() as i32).unwrap();
        assert!(supervisor.listen_for_forked(&alive).unwrap().is_some());
        assert!(matches!(supervisor.listen().unwrap(), Message::Limits));

        init.fail(&Error::internal("no such namespace")).unwrap();
        drop(init);
        assert_eq!(supervisor.listen_for_forked(&alive).unwrap_err().to_string(), "no such namespace");
    }
}
