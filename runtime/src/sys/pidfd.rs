//! Processes by handle: a pidfd names one process for as long as it is open, however often its number is reused.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::clock::Deadline;
use super::process::Ended;
use super::{check, poll};
use crate::error::{Errno, Error, Result};

/// How long a killed process may take to end.
const DEATH_PATIENCE: Duration = Duration::from_secs(10);
/// How long a tracer may keep a child that has ended from its parent.
const REAPING_PATIENCE: Duration = Duration::from_secs(1);
/// How often a process is killed that doesn't end.
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// How often a child is looked at that its tracer keeps.
const LOOK_AT_TRACED: Duration = Duration::from_millis(10);

/// A handle on a process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// `pidfd_open(pid)`.
    ///
    /// Errors: ESRCH without such a process; EINVAL for a pid that isn't positive; ESRCH or EINVAL for a process that
    /// is being reaped; EINVAL, from 6.15 ENOENT, for the number of a thread. Kernel: 5.3. Source: pidfd_open(2).
    pub fn open(pid: i32) -> Result<PidFd> {
        // SAFETY: the kernel takes two integers and touches no memory of ours.
        let ret = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = check(ret, || format!("pidfd_open({pid})"))?;
        // SAFETY: the kernel has just made this descriptor, and nothing else knows its number.
        Ok(PidFd(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// The process's number in the caller's pid namespace, whoever has made the handle.
    ///
    /// Errors: ESRCH once the process is reaped, or if it isn't in the namespace. Source: pidfd_open(2),
    /// proc_pid_fdinfo(5).
    pub fn pid(&self) -> Result<i32> {
        let path = format!("/proc/self/fdinfo/{}", self.0.as_raw_fd());
        let text = std::fs::read_to_string(&path).map_err(|err| Error::io(format!("read({path})"), &err))?;
        let field = text.lines().find_map(|line| line.strip_prefix("Pid:"));
        match field.and_then(|pid| pid.trim().parse().ok()) {
            Some(pid) if pid > 0 => Ok(pid),
            _ => Err(Error::kernel(format!("read({path})"), Errno::ESRCH)),
        }
    }

    /// `pidfd_send_signal(signal)`; signal 0 only asks whether the process is there.
    ///
    /// Errors: ESRCH once the process is reaped (a zombie still takes signals); EPERM; EINVAL for a signal number
    /// out of range. Kernel: 5.1. Source: pidfd_send_signal(2).
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: with a null `info` the kernel fills in what kill(2) would; it reads no memory of ours.
        let ret =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, no_info, 0) };
        check(ret, || format!("pidfd_send_signal({signal})")).map(drop)
    }

    /// `pidfd_getfd(fd)`: a copy of one of the process's descriptors.
    ///
    /// Errors: EBADF where the process has no such descriptor; EPERM without the right to trace the process.
    /// Kernel: 5.6. Source: pidfd_getfd(2).
    pub fn fetch_fd(&self, fd: i32) -> Result<OwnedFd> {
        // SAFETY: the kernel takes three integers and touches no memory of ours.
        let ret = unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), fd, 0) };
        let fd = check(ret, || format!("pidfd_getfd({fd})"))?;
        // SAFETY: the kernel has just made this descriptor, and nothing else knows its number.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    /// Waits for the process to end, and says whether it did before the deadline. A zombie has ended.
    pub fn wait_for_exit(&self, deadline: Deadline) -> Result<bool> {
        poll::readable_by(self, deadline)
    }

    /// `waitid(P_PIDFD, WEXITED)`: reaps the process, a child of this one, and says how it ended. `None` if it hasn't
    /// ended by the deadline, or has, but another process traces it.
    ///
    /// The kernel keeps a child that has ended from its parent as long as another process traces it, so that waitpid(2)
    /// may wait for ever. Kernel: 5.4. Source: waitid(2), ptrace(2).
    pub fn reap_by(&self, deadline: Deadline) -> Result<Option<Ended>> {
        self.wait_for_exit(deadline)?;
        loop {
            match self.reap_now()? {
                None if !deadline.passed() => {}
                result => return Ok(result),
            }
            poll::wait(&[], deadline.min(Deadline::after(LOOK_AT_TRACED)))?;
        }
    }

    /// Reaps the process, a child of this one, if it has ended, and says how it did.
    ///
    /// Errors: ECHILD if it is no child of this process.
    pub fn reap_now(&self) -> Result<Option<Ended>> {
        self.ask(libc::WEXITED | libc::WNOHANG)
    }

    /// Whether the process is a child of this one that hasn't been reaped.
    pub fn is_child(&self) -> Result<bool> {
        match self.ask(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
            Err(err) if err.is(Errno::ECHILD) => Ok(false),
            result => result.map(|_| true),
        }
    }

    fn ask(&self, flags: i32) -> Result<Option<Ended>> {
        // SAFETY: an all-zero siginfo_t is valid: it holds integers only.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let (fd, flags) = (self.0.as_raw_fd() as libc::id_t, flags | libc::__WALL);
        // SAFETY: the kernel writes one siginfo_t into `info`, which outlives the call.
        let ret = unsafe { libc::waitid(libc::P_PIDFD, fd, &raw mut info, flags) };
        check(ret.into(), || "waitid(P_PIDFD)".into())?;
        // SAFETY: waitid fills in the fields of SIGCHLD, or leaves them zero if there is nothing to tell.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        let ended =
            if info.si_code == libc::CLD_EXITED { Ended::Exited(status) } else { Ended::Signaled(status) };
        Ok((pid != 0).then_some(ended))
    }

    /// Kills the process, a child of this one, and reaps it. `None` if it doesn't end within 10 s, or if another
    /// process traces it: whoever inherits the child then reaps it.
    pub fn end(&self) -> Result<Option<Ended>> {
        let deadline = Deadline::after(DEATH_PATIENCE);
        while !deadline.passed() {
            match self.send_signal(libc::SIGKILL) {
                Err(err) if err.is(Errno::ESRCH) => return Ok(None),
                result => result?,
            }
            // A tracer can stop the process once more on its way to the end. Another SIGKILL has it go on.
            if self.wait_for_exit(deadline.min(Deadline::after(KILL_AGAIN)))? {
                return self.reap_by(Deadline::after(REAPING_PATIENCE));
            }
        }
        Ok(None)
    }

    /// The handle of process `pid`, if the process runs and started at `start_ticks`.
    ///
    /// The handle is taken first, and the start time is read afterwards. A process that took the number in between
    /// can't have started at the same tick as its predecessor.
    pub fn open_same(pid: i32, start_ticks: u64) -> Result<Option<PidFd>> {
        let pidfd = match PidFd::open(pid) {
            // Before 6.15, EINVAL also says that the process was reaped while the kernel looked it up. If the number is
            // a thread's by now, the error is EINVAL, or ENOENT from 6.15 on.
            Err(err)
                if [Errno::ESRCH, Errno::EINVAL, Errno::ENOENT].into_iter().any(|errno| err.is(errno)) =>
            {
                return Ok(None);
            }
            result => result?,
        };
        let same =
            ProcessStat::read(pid)?.is_some_and(|stat| stat.start_ticks == start_ticks && stat.is_alive());
        Ok(same.then_some(pidfd))
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for PidFd {
    /// Takes over the handle that clone3(2) returned.
    fn from(fd: OwnedFd) -> PidFd {
        PidFd(fd)
    }
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// `R`, `S`, `D`, `Z`…
    pub state: u8,
    /// When the process started, in clock ticks since boot.
    pub start_ticks: u64,
}

impl ProcessStat {
    /// Reads `/proc/PID/stat`; nothing without such a process. Source: proc_pid_stat(5).
    pub fn read(pid: i32) -> Result<Option<ProcessStat>> {
        let path = format!("/proc/{pid}/stat");
        // All the fields that are read come well before this many bytes.
        let mut text = [0; 1024];
        let read = File::open(&path).and_then(|mut file| file.read(&mut text));
        match read.map_err(|err| Error::io(format!("read({path})"), &err)) {
            Ok(len) => match ProcessStat::parse(&text[..len]) {
                Some(stat) => Ok(Some(stat)),
                None => Err(Error::internal(format!("read({path}): not the text of a process"))),
            },
            // The process ended before the file was opened, or before it was read.
            Err(err) if err.is(Errno::ENOENT) || err.is(Errno::ESRCH) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Whether the process runs: it is neither a zombie nor about to vanish.
    pub fn is_alive(self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// The second field, the process's name, may hold anything, spaces and parentheses included. The last `)` ends it.
    fn parse(text: &[u8]) -> Option<ProcessStat> {
        let after_name = text.iter().rposition(|byte| *byte == b')')? + 2;
        let mut fields = text.get(after_name..)?.split(|byte| byte.is_ascii_whitespace());
        let state = *fields.next()?.first()?;
        // Field 22 of the file. The state, field 3, comes first here.
        let start_ticks = std::str::from_utf8(fields.nth(22 - 4)?).ok()?.parse().ok()?;
        Some(ProcessStat { state, start_ticks })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::sys::namespace::{Forked, clone3};
    use crate::sys::process::{self, SingleThreaded};

    #[test]
    fn stat_of_a_process_with_an_awkward_name() {
        let text = b"42 (a) R 1) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 8192 1 18446744073709551615\n";
        assert_eq!(ProcessStat::parse(text), Some(ProcessStat { state: b'S', start_ticks: 987_654 }));
        assert_eq!(ProcessStat::parse(b"42 (sh"), None);
        assert_eq!(ProcessStat::parse(b"42 (sh)"), None);
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().expect("spawn");
        let pid = child.id() as i32;
        let pidfd = PidFd::open(pid).expect("a handle");
        assert!(pidfd.wait_for_exit(Deadline::after(Duration::from_secs(10))).expect("poll"));
        let stat = ProcessStat::read(pid).expect("read").expect("a zombie has a stat");
        assert!(!stat.is_alive());
        assert!(PidFd::open_same(pid, stat.start_ticks).expect("open").is_none());
        assert_eq!(pidfd.pid().expect("a number"), pid);
        assert!(pidfd.is_child().expect("waitid"));
        assert!(!PidFd::open(std::process::id() as i32).and_then(|own| own.is_child()).expect("waitid"));
        child.wait().expect("wait");
        assert!(pidfd.pid().expect_err("reaped").is(Errno::ESRCH));
        assert!(pidfd.send_signal(0).expect_err("reaped").is(Errno::ESRCH));
    }

    /// Forks a child that does this.
    fn child(does: impl FnOnce() -> i32) -> PidFd {
        match clone3(&SingleThreaded::pretended(), 0, None, false).expect("fork") {
            Forked::Child(_) => process::exit_now(does()),
            Forked::Parent { pidfd, .. } => PidFd::from(pidfd),
        }
    }

    #[test]
    fn a_child_is_reaped_once_it_has_ended() -> Result<()> {
        let endless = child(|| crate::sys::signal::wait_for_the_end());
        assert_eq!(endless.reap_by(Deadline::after(Duration::from_millis(5)))?, None);
        assert_eq!(endless.end()?, Some(Ended::Signaled(libc::SIGKILL)));
        assert_eq!(endless.end()?, None);
        assert_eq!(child(|| 3).reap_by(Deadline::Never)?, Some(Ended::Exited(3)));
        Ok(())
    }

    #[test]
    fn another_start_time_is_another_process() -> Result<()> {
        let pid = std::process::id() as i32;
        let stat = ProcessStat::read(pid)?.expect("stat of this process");
        assert!(PidFd::open_same(pid, stat.start_ticks)?.is_some());
        assert!(PidFd::open_same(pid, stat.start_ticks + 1)?.is_none());
        Ok(())
    }

    #[test]
    fn a_number_that_has_become_a_threads_is_no_process() {
        let look = || {
            let thread = nix::unistd::gettid().as_raw();
            let stat = ProcessStat::read(thread).expect("read").expect("a thread has a stat");
            PidFd::open_same(thread, stat.start_ticks).expect("open")
        };
        // The first thread of a process has the number of the process.
        assert!(std::thread::spawn(look).join().expect("join").is_none());
    }

    #[test]
    fn wait_gives_up_at_the_deadline() -> Result<()> {
        let this = PidFd::open(std::process::id() as i32)?;
        assert!(!this.wait_for_exit(Deadline::after(Duration::from_millis(5)))?);
        Ok(())
    }
}
