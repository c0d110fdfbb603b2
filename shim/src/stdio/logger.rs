//! Programs that are given the process's output to read: they find it at descriptors 3 and 4, and tell at 5 that they
//! are ready.
//!
//! The shim keeps the ends to read from open, too. So a logger that dies is started again where it was, and the process
//! never writes to a broken pipe: meanwhile the pipe fills up, and the process waits.

use std::ffi::{CString, OsStr, OsString};
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use corten::container::{PidFd, give_limit_of_files};
use corten::error::best_effort;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::Owner;
use super::copy::{self, Sink, Watched};
use super::pipe::pipe;
use super::uri::{Program, ReadyBy};
use crate::refusal::Refusal;

/// How long a logger may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a logger may take to end once it is told to.
const END_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 12 });
/// How long a logger that has read everything may take to write it and end by itself.
const SETTLE_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked at whether a logger has read everything. The kernel tells only the reader.
const LOOK_AT_STREAMS: Duration = Duration::from_millis(5);

/// The processes of loggers, each with a permit.
static AT_WORK: Semaphore = Semaphore::const_new(LOGGERS_MAX as usize);
const LOGGERS_MAX: u32 = 1 << 20;

/// Waits until no logger is left. One that was told to end and doesn't is killed in the end.
pub async fn all_ended() {
    // The semaphore is never closed.
    drop(AT_WORK.acquire_many(LOGGERS_MAX).await);
}

/// A logger at work. Once dropped, it is told to end.
pub(super) struct Logger {
    streams: Arc<Streams>,
    attendant: JoinHandle<()>,
    _dismissal: oneshot::Sender<()>,
}

/// The ends to read from of stdout and stderr.
struct Streams([OwnedFd; 2]);

impl Logger {
    /// Starts the program and waits until it is ready. Returns the ends to write to as well.
    pub(super) async fn start(program: Program, owner: &Owner) -> Result<(Logger, [OwnedFd; 2]), Refusal> {
        let (stdout, stdout_end) = pipe()?;
        let (stderr, stderr_end) = pipe()?;
        let streams = Arc::new(Streams([stdout, stderr]));
        let command = Command::of(&program, owner)?;
        let process = command.start(&streams)?;
        if let Err(refusal) = process.becomes_ready(program.ready_by).await {
            tokio::spawn(process.end());
            return Err(refusal.at(&format!("logger {:?}", program.path)));
        }
        let (dismissal, dismissed) = oneshot::channel();
        let attendant = Attendant { command, streams: streams.clone(), dismissed };
        let attendant = tokio::spawn(attendant.attend(process));
        Ok((Logger { streams, attendant, _dismissal: dismissal }, [stdout_end, stderr_end]))
    }

    /// Waits until the logger has read everything, and has ended or had some time to.
    pub(super) async fn drained(&mut self) {
        while !self.attendant.is_finished() {
            if self.streams.have_ended() {
                drop(timeout(SETTLE_PATIENCE, &mut self.attendant).await);
                return;
            }
            sleep(LOOK_AT_STREAMS).await;
        }
    }
}

impl Streams {
    /// Whether nobody can write any more, and everything is read.
    fn have_ended(&self) -> bool {
        let mut fds = self.0.each_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
        let polled = poll(&mut fds, PollTimeout::ZERO);
        polled.is_ok() && fds.iter().all(|fd| fd.revents() == Some(PollFlags::POLLHUP))
    }

    /// Reads everything and forgets it.
    async fn discard(&self) {
        let mut copies = JoinSet::new();
        for stream in &self.0 {
            let Ok(source) =
                stream.try_clone().map_err(drop).and_then(|fd| copy::watch_unblocked(fd).map_err(drop))
            else {
                return;
            };
            copies.spawn(async move { copy::copy(&source, &Sink::Nowhere).await });
        }
        while copies.join_next().await.is_some() {}
    }
}

/// Starts a logger again that ends before its streams do.
struct Attendant {
    command: Command,
    streams: Arc<Streams>,
    dismissed: oneshot::Receiver<()>,
}

impl Attendant {
    async fn attend(mut self, mut process: Process) {
        let mut restarts = Restarts::default();
        loop {
            let started = Instant::now();
            if unless(&mut self.dismissed, process.ended()).await.is_none() {
                return process.end().await;
            }
            restarts.note(started.elapsed());
            process = match self.start_again(&mut restarts).await {
                Some(process) => process,
                None => return,
            };
        }
    }

    /// Returns nothing if there is nothing more to log, or nobody to log it.
    async fn start_again(&mut self, restarts: &mut Restarts) -> Option<Process> {
        loop {
            if self.streams.have_ended() {
                return None;
            }
            let Some(pause) = restarts.next() else {
                unless(&mut self.dismissed, self.streams.discard()).await;
                return None;
            };
            unless(&mut self.dismissed, sleep(pause)).await?;
            if self.streams.have_ended() {
                return None;
            }
            if let Ok(process) = self.command.start(&self.streams) {
                return Some(process);
            }
        }
    }
}

/// Awaits `future`, or returns nothing once the logger is dismissed.
async fn unless<T>(dismissed: &mut oneshot::Receiver<()>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match Pin::new(&mut *dismissed).poll(context) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(context).map(Some),
    })
    .await
}

/// When a logger is started again: after pauses that double, and so many times in a row. After that its output is
/// dropped, because a process that waits for a logger for ever is worse.
#[derive(Default)]
struct Restarts {
    in_a_row: u32,
}

impl Restarts {
    const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 50 });
    const PAUSE_MAX: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 10 });
    const IN_A_ROW_MAX: u32 = 12;
    /// A logger that has worked for so long was well.
    const WELL: Duration = Duration::from_secs(10);

    fn note(&mut self, lived: Duration) {
        if lived >= Restarts::WELL {
            self.in_a_row = 0;
        }
    }
}

impl Iterator for Restarts {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Restarts::FIRST_PAUSE * 2_u32.pow(self.in_a_row);
        self.in_a_row += 1;
        (self.in_a_row <= Restarts::IN_A_ROW_MAX).then_some(pause.min(Restarts::PAUSE_MAX))
    }
}

/// The first of the descriptors that a logger is given.
const FIRST_FD: RawFd = 3;

/// A program as the kernel takes it.
struct Command {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    fn of(program: &Program, owner: &Owner) -> Result<Command, Refusal> {
        let variable = |name: &OsStr, value: &OsStr| {
            let mut variable = OsString::from(name);
            variable.push("=");
            variable.push(value);
            variable
        };
        let owned = ["CONTAINER_ID", "CONTAINER_NAMESPACE"];
        let names = [owner.id.as_str(), owner.namespace.as_str()];
        let own = owned.iter().zip(names).map(|(name, value)| variable(OsStr::new(name), OsStr::new(value)));
        let asked = program.environment.iter().filter(|(name, _)| owned.iter().all(|owned| name != owned));
        let environment = own.chain(asked.map(|(name, value)| variable(name, value)));
        let arguments =
            [program.path.as_os_str().to_owned()].into_iter().chain(program.arguments.iter().cloned());
        Ok(Command {
            path: c_string(program.path.as_os_str())?,
            arguments: arguments.map(|argument| c_string(&argument)).collect::<Result<_, _>>()?,
            environment: environment.map(|variable| c_string(&variable)).collect::<Result<_, _>>()?,
        })
    }

    fn start(&self, streams: &Streams) -> Result<Process, Refusal> {
        let (ready, ready_end) = pipe()?;
        let pid = self.spawn([&streams.0[0], &streams.0[1], &ready_end]).map_err(|errno| {
            Refusal::unknown(format!("exec({:?}): {} ({errno:?})", self.path, errno.desc()))
        })?;
        best_effort(give_limit_of_files(pid), "it may have more descriptors than it should");
        // The number stays its own until it is waited for.
        let pidfd = PidFd::open(pid).map_err(|err| Refusal::unknown(err.to_string()))?;
        let copied = pidfd.as_fd().try_clone_to_owned();
        let end = copied.map_err(|err| Refusal::unknown(format!("fcntl(F_DUPFD_CLOEXEC): {err}")))?;
        let (end, ready) = (copy::watch(end)?, copy::watch_unblocked(ready)?);
        Ok(Process { pidfd, end, ready, _at_work: AT_WORK.try_acquire().ok() })
    }

    /// Executes the program with `fds` as its descriptors 3, 4 and 5, and with no signal blocked or ignored.
    fn spawn(&self, fds: [&OwnedFd; 3]) -> Result<i32, Errno> {
        let mut actions = PosixSpawnFileActions::init()?;
        for standard in 0..3 {
            actions.add_open(standard, "/dev/null", OFlag::O_RDWR, Mode::empty())?;
        }
        // Each is first copied beyond all of them, so that none is in the way of another.
        let numbers = fds.map(AsRawFd::as_raw_fd);
        let beyond = numbers.into_iter().fold(FIRST_FD + 3, |beyond, number| beyond.max(number + 1));
        for (number, copy) in numbers.into_iter().zip(beyond..) {
            actions.add_dup2(number, copy)?;
        }
        for (copy, number) in (beyond..beyond + 3).zip(FIRST_FD..) {
            actions.add_dup2(copy, number)?;
            actions.add_close(copy)?;
        }
        let mut attributes = PosixSpawnAttr::init()?;
        attributes
            .set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
        attributes.set_sigmask(&SigSet::empty())?;
        attributes.set_sigdefault(&SigSet::all())?;
        let pid = posix_spawn(&*self.path, &actions, &attributes, &self.arguments, &self.environment)?;
        Ok(pid.as_raw())
    }
}

/// A logger's process.
struct Process {
    pidfd: PidFd,
    /// The same, which can be read once the process has ended.
    end: Watched,
    /// Open until its end: a logger that writes there is not to be killed by SIGPIPE.
    ready: Watched,
    _at_work: Option<SemaphorePermit<'static>>,
}

impl Process {
    async fn becomes_ready(&self, by: ReadyBy) -> Result<(), Refusal> {
        let Ok(told) = timeout(READY_PATIENCE, self.tells()).await else {
            return Err(Refusal::unknown("not ready within 30 s"));
        };
        match by {
            ReadyBy::Byte if !told => Err(Refusal::unknown("ended without telling that it is ready")),
            ReadyBy::Byte | ReadyBy::Close => Ok(()),
        }
    }

    /// Waits until it writes to the descriptor (true) or closes it (false).
    async fn tells(&self) -> bool {
        while let Ok(mut ready) = self.ready.readable().await {
            if let Ok(read) = ready.try_io(|fd| Ok(nix::unistd::read(fd.get_ref(), &mut [0])?)) {
                return read.is_ok_and(|len| len > 0);
            }
        }
        false
    }

    /// Waits for its end, and reaps it unless somebody else has.
    async fn ended(&self) {
        let _ended = self.end.readable().await;
        let _reaped = waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    }

    /// Tells it to end, and kills it if it doesn't.
    async fn end(self) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // The logger may have ended by itself.
            let _sent = self.pidfd.send_signal(signal as i32);
            if timeout(END_PATIENCE, self.ended()).await.is_ok() {
                return;
            }
        }
    }
}

fn c_string(text: &OsStr) -> Result<CString, Refusal> {
    CString::new(text.as_bytes()).map_err(|_| Refusal::unknown(format!("{text:?} has a NUL byte inside")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_that_worked_for_a_while_may_die_as_often_as_a_new_one() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.by_ref().count(), Restarts::IN_A_ROW_MAX as usize);
        restarts.note(Restarts::WELL / 2);
        assert_eq!(restarts.next(), None);
        restarts.note(Restarts::WELL);
        assert_eq!(restarts.next(), Some(Restarts::FIRST_PAUSE.min(Restarts::PAUSE_MAX)));
    }
}
