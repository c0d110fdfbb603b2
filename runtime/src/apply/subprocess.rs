//! Runs a program of the host's, a hook or a helper: waits for its end, and keeps the end of what it prints.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::{file, poll, subprocess};
use crate::text;

/// How long a program that has ended may be kept from the runtime.
const REAPING_PATIENCE: Duration = Duration::from_secs(2);
/// How often a program is looked at that was killed.
const LOOK_AT_KILLED: Duration = Duration::from_millis(1);

/// How a program has run.
pub struct Ran {
    /// The program ended before the deadline. Otherwise it was killed.
    pub in_time: bool,
    status: Option<ExitStatus>,
    output: Outputs,
}

/// Runs a program to its end, or kills it at the deadline. What it prints is kept from the runtime's own output.
///
/// Errors: what keeps the program from being executed.
pub fn run(command: &mut Command, deadline: Deadline) -> Result<Ran> {
    subprocess::with_limit_of_files(command);
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|err| Error::io("exec", &err))?;
    let mut output = Outputs::of(&mut child)?;
    let ended = wait(&child, &mut output, deadline);
    if !matches!(ended, Ok(true)) {
        // The program is a child that is not reaped, so its pid is still its own.
        child.kill().map_err(|err| Error::io("kill", &err))?;
    }
    let status = reap(&mut child)?;
    Ok(Ran { in_time: ended?, status, output })
}

impl Ran {
    /// Whether the program ended with the code 0.
    pub fn succeeded(&self) -> bool {
        self.in_time && self.status.is_some_and(|status| status.success())
    }

    /// How the program ended.
    pub fn how(&self) -> String {
        let Some(status) = self.status else {
            return "it was killed, or is traced, and nobody says how it ended".into();
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(libc::SIGSYS)) => "killed by the seccomp filter: bad system call".into(),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => status.to_string(),
        }
    }

    /// What the program printed, as the end of an error.
    pub fn printed(&self) -> String {
        self.output.text()
    }
}

/// Waits for the program's end, reads its output meanwhile, and returns whether it ended before the deadline.
///
/// The end of the program counts, and not the end of its output: a process that the program left in the background may
/// keep the pipe open.
fn wait(child: &Child, output: &mut Outputs, deadline: Deadline) -> Result<bool> {
    let pidfd = PidFd::open(child.id() as i32)?;
    loop {
        let fds: Vec<BorrowedFd> = std::iter::once(pidfd.as_fd()).chain(output.fds()).collect();
        let ended = poll::wait_readable(&fds, deadline)?[0];
        output.take_up();
        if ended {
            return Ok(true);
        }
        if deadline.passed() {
            return Ok(false);
        }
        // A program that prints without end leaves no wait to interrupt.
        poll::heed_interrupt()?;
    }
}

/// Reaps a program that has ended or was killed, and says how it ended.
///
/// With a deadline: a process of the container may trace a program that runs there, and keep it from its parent.
fn reap(child: &mut Child) -> Result<Option<ExitStatus>> {
    let deadline = Deadline::after(REAPING_PATIENCE);
    loop {
        match child.try_wait().map_err(|err| Error::io("wait", &err))? {
            None if !deadline.passed() => poll::wait(&[], Deadline::after(LOOK_AT_KILLED)).map(drop)?,
            status => return Ok(status),
        }
    }
}

/// What a program prints.
struct Outputs {
    stdout: Output,
    stderr: Output,
}

impl Outputs {
    fn of(child: &mut Child) -> Result<Outputs> {
        let stdout = Output::of(child.stdout.take().map(OwnedFd::from))?;
        Ok(Outputs { stdout, stderr: Output::of(child.stderr.take().map(OwnedFd::from))? })
    }

    fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.stdout, &self.stderr].into_iter().filter_map(|output| output.pipe.as_ref().map(AsFd::as_fd))
    }

    fn take_up(&mut self) {
        self.stdout.take_up();
        self.stderr.take_up();
    }

    /// What was printed, as the end of an error.
    fn text(&self) -> String {
        let streams = [("stdout", self.stdout.text()), ("stderr", self.stderr.text())];
        let printed = streams.into_iter().filter(|(_, text)| !text.is_empty());
        printed.map(|(name, text)| format!(", {name}: {text}")).collect()
    }
}

/// What a program prints to one stream: the end is kept, where the reason of a failure stands.
struct Output {
    pipe: Option<OwnedFd>,
    end: Vec<u8>,
    /// More was printed before.
    is_cut: bool,
}

/// How many bytes of a stream are told.
pub(super) const OUTPUT_KEPT_MAX: usize = 3 << 10;

impl Output {
    fn of(pipe: Option<OwnedFd>) -> Result<Output> {
        pipe.as_ref().map_or(Ok(()), file::set_nonblocking)?;
        Ok(Output { pipe, end: Vec::new(), is_cut: false })
    }

    /// Reads what is there, without waiting for more. Of a program that prints without end, no more is read at a time
    /// than lets its end and its deadline be noticed.
    fn take_up(&mut self) {
        let mut chunk = [0; OUTPUT_KEPT_MAX];
        for _ in 0..READS_AT_ONCE_MAX {
            let Some(pipe) = &self.pipe else { return };
            match file::read(pipe, &mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(len) => {
                    self.end.extend_from_slice(&chunk[..len]);
                    let surplus = self.end.len().saturating_sub(OUTPUT_KEPT_MAX);
                    self.end.drain(..surplus);
                    self.is_cut |= surplus > 0;
                }
                // Nothing is there at the moment; any other fault only costs a part of an error's text.
                Err(_) => return,
            }
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.end);
        let text = text::harmless(text.trim_end());
        let told = text::end_of(&text, OUTPUT_KEPT_MAX);
        if self.is_cut && !told.starts_with('…') { format!("…{told}") } else { told.into_owned() }
    }
}

/// How often a stream is read before anything else is looked at.
const READS_AT_ONCE_MAX: usize = 64;
