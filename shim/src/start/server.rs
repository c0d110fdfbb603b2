//! The server's process, as `start` makes it.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use corten::error::{Context, Errno, Error, Result, best_effort};
use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getppid};

use super::cgroup;
use crate::args::Args;
use crate::socket::Claimed;

/// The descriptor on which the server finds its socket.
const LISTENER: i32 = 3;

/// The server, which runs in a process group of its own, in the same directory.
pub(super) struct Server {
    pid: Pid,
}

impl Server {
    /// Executes this file anew with the socket as descriptor 3. The standard streams lead nowhere: containerd waits
    /// until nobody has `start`'s output any more.
    pub(super) fn spawn(args: &Args, socket: &Claimed) -> Result<Server> {
        let call = |errno| Error::kernel("posix_spawn(the server)", errno);
        let mut files = PosixSpawnFileActions::init().map_err(call)?;
        for (number, how) in [(0, OFlag::O_RDONLY), (1, OFlag::O_WRONLY), (2, OFlag::O_WRONLY)] {
            files.add_open(number, "/dev/null", how, Mode::empty()).map_err(call)?;
        }
        files.add_dup2(socket.number(), LISTENER).map_err(call)?;
        let mut attributes = PosixSpawnAttr::init().map_err(call)?;
        attributes.set_pgroup(Pid::from_raw(0)).map_err(call)?;
        attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETPGROUP).map_err(call)?;
        let (argv, environment) = (arguments(args)?, environment()?);
        let pid = posix_spawn(&*executable(), &files, &attributes, &argv, &environment).map_err(call)?;
        Ok(Server { pid })
    }

    /// Moves the server to the cgroup that the option ShimCgroup names.
    pub(super) fn enter(&self, cgroup: Option<&str>) -> Result<()> {
        let Some(path) = cgroup else { return Ok(()) };
        cgroup::enter(path, self.pid.as_raw())
            .doing_with(|| format!("move the shim to cgroup {path} (ShimCgroup)"))
    }

    /// Lets the kernel prefer the server to containerd when it has to kill for want of memory.
    pub(super) fn be_killed_before_the_parent(&self) -> Result<()> {
        const SCORE_MAX: i32 = 1000;
        let score_of = |process: &str| {
            let text = fs::read_to_string(format!("/proc/{process}/oom_score_adj"));
            text.ok().and_then(|text| text.trim().parse::<i32>().ok())
        };
        // A parent in another pid namespace can't be looked at. Its score was this process's at the fork.
        let parent = score_of(&getppid().to_string()).or_else(|| score_of("self")).unwrap_or(0);
        let path = format!("/proc/{}/oom_score_adj", self.pid);
        let score = (parent + 1).min(SCORE_MAX).to_string();
        match fs::write(&path, &score).map_err(|err| Error::io(format!("write({path}, {score:?})"), &err)) {
            // To lower a score takes CAP_SYS_RESOURCE.
            Err(err) if err.is(Errno::EACCES) || err.is(Errno::EPERM) => Ok(()),
            result => result,
        }
    }

    /// Ends the server.
    pub(super) fn kill(&self) {
        let ended = kill(self.pid, Signal::SIGKILL).and_then(|()| waitpid(self.pid, None));
        let ended = ended.map_err(|errno| Error::kernel("kill(the server)", errno));
        best_effort(ended, "the error that led here is the one to be told");
    }
}

/// This file, by its path where it still has one: so a list of processes shows its name.
fn executable() -> PathBuf {
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    path.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

fn arguments(args: &Args) -> Result<Vec<CString>> {
    let program = std::env::args_os().next().unwrap_or_else(|| executable().into_os_string());
    let mut arguments = vec![c_string(&program)?];
    for (flag, value) in [("-namespace", &args.namespace), ("-id", &args.id), ("-address", &args.address)] {
        arguments.extend([c_string(flag.as_ref())?, c_string(value.as_ref())?]);
    }
    if args.debug {
        arguments.push(c_string("-debug".as_ref())?);
    }
    Ok(arguments)
}

fn environment() -> Result<Vec<CString>> {
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        c_string(&name)
    };
    std::env::vars_os().map(variable).collect()
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| Error::invalid(format!("{text:?} has a NUL byte inside")))
}
