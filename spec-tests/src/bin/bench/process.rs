//! Runs a command to its end, with a deadline, and tells how long it took.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};

use crate::{Result, interrupt};

/// No command of a sound runtime takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a command from the start of its process to its end, which must be a good one.
///
/// Errors: interrupted; or what the command wrote to standard error, which goes to the file `errors`. It doesn't go to
/// a pipe, because a container in the background keeps the descriptors that it was created with.
pub fn time(mut command: Command, errors: &Path) -> Result<Duration> {
    interrupt::check()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(errors)?);
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let in_time = ends_in_time(Pid::from_child(&child))?;
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    let took = begun.elapsed();
    if status.success() && in_time { Ok(took) } else { Err(failed(&command, in_time, errors)) }
}

/// The CPU time that all children which have ended used, in user mode and in the kernel.
///
/// CPU time says more than the clock where other work takes its share of the processors.
pub fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let duration = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// Waits for a process that was orphaned and has become ours.
pub fn reap(pid: i32) -> Result<()> {
    let pid = Pid::from_raw(pid).ok_or("not a pid")?;
    if !ends_in_time(pid)? {
        return Err(format!("process {pid} has not ended").into());
    }
    waitpid(Some(pid), WaitOptions::empty())?;
    Ok(())
}

fn ends_in_time(pid: Pid) -> Result<bool> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = Timespec::try_from(PATIENCE)?;
    Ok(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout))? > 0)
}

fn failed(command: &Command, in_time: bool, errors: &Path) -> Box<dyn Error + Send + Sync> {
    let said = String::from_utf8_lossy(&fs::read(errors).unwrap_or_default()).into_owned();
    let what = if in_time { "failed" } else { "has not ended in time" };
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("{program} {what}: {}", said.trim().lines().last().unwrap_or("without a word")).into()
}
