//! Hooks: programs that run at six moments of a container's life, with its state on their standard input.
//!
//! Runs in the supervisor and, for `createContainer` and `startContainer`, in the container's own process.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use oci_spec::runtime::Hook;

use crate::error::{Context, Error, Kind, Result};
use crate::sys::clock::Deadline;
use crate::sys::pidfd::PidFd;
use crate::sys::{file, memfd, poll};

/// The environment of a hook whose `env` is empty.
#[derive(Clone, Copy, Debug)]
pub enum DefaultEnv<'a> {
    /// No variable: the environment of the runtime's caller isn't meant for hooks. (runc hands it on.)
    Empty,
    /// These variables: `startContainer` hooks get those of the container's process.
    Of(&'a [String]),
}

/// Runs the hooks of `kind` one after the other, with `state` on their standard input.
///
/// Their standard output is discarded, so that it can't mix with the runtime's. The error of a hook that fails has the
/// first line of its standard error.
///
/// Errors: Hook, for the first hook that fails or runs past its timeout. The hooks after it don't run.
pub fn run_hooks(kind: &str, hooks: &[Hook], state: &[u8], env: DefaultEnv) -> Result<()> {
    for (index, hook) in hooks.iter().enumerate() {
        run_hook(kind, index, hook, state, env)?;
    }
    Ok(())
}

/// Runs one hook, which is the `index`th of its `kind`.
pub fn run_hook(kind: &str, index: usize, hook: &Hook, state: &[u8], env: DefaultEnv) -> Result<()> {
    run(hook, state, env)
        .doing_with(|| format!("error running {kind} hook #{index}: {}", hook.path().display()))
        .map_err(|err| err.with_kind(Kind::Hook))
}

fn run(hook: &Hook, state: &[u8], env: DefaultEnv) -> Result<()> {
    let timeout = timeout_of(hook)?;
    let mut child = command(hook, env)?
        .stdin(file_with(state)?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|err| Error::io("exec", &err))?;
    let mut stderr = Output::of(&mut child)?;
    let ended = wait(&child, &mut stderr, timeout.map_or(Deadline::Never, Deadline::after));
    if !matches!(ended, Ok(true)) {
        // The hook is a child that is not reaped, so its pid is still its own.
        child.kill().map_err(|err| Error::io("kill", &err))?;
    }
    let status = child.wait().map_err(|err| Error::io("wait", &err))?;
    match (ended?, timeout) {
        (false, Some(timeout)) => {
            Err(Error::new(Kind::Hook, format!("hook ran past specified timeout of {}s", timeout.as_secs())))
        }
        _ if status.success() => Ok(()),
        _ => Err(Error::new(Kind::Hook, failure(status, &stderr))),
    }
}

fn timeout_of(hook: &Hook) -> Result<Option<Duration>> {
    match hook.timeout() {
        None => Ok(None),
        Some(seconds) => match u64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(Error::invalid(format!("timeout is {seconds}, but must be greater than zero"))),
        },
    }
}

fn command(hook: &Hook, default_env: DefaultEnv) -> Result<Command> {
    if !hook.path().is_absolute() {
        return Err(Error::invalid("path must be absolute"));
    }
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(args);
    }
    let own_env = hook.env().as_deref().unwrap_or_default();
    let env = match default_env {
        DefaultEnv::Of(env) if own_env.is_empty() => env,
        _ => own_env,
    };
    command.env_clear().envs(env.iter().filter_map(|variable| variable.split_once('=')));
    Ok(command)
}

/// A file rather than a pipe: a state of any size fits, whether or not the hook reads it, and no process has
/// to write it piece by piece.
fn file_with(state: &[u8]) -> Result<File> {
    let mut file = File::from(memfd::create("state")?);
    file.write_all(state).and_then(|()| file.rewind()).map_err(|err| Error::io("write(state)", &err))?;
    Ok(file)
}

/// Waits for the hook's end, reads its output meanwhile, and returns whether it ended before the deadline.
///
/// The end of the hook counts, and not the end of its output: a process that the hook left in the background may keep
/// the pipe open.
fn wait(child: &Child, output: &mut Output, deadline: Deadline) -> Result<bool> {
    let pidfd = PidFd::open(child.id() as i32)?;
    loop {
        let fds: Vec<BorrowedFd> = std::iter::once(pidfd.as_fd()).chain(output.fd()).collect();
        let ended = poll::wait_readable(&fds, deadline)?[0];
        output.take_up();
        if ended {
            return Ok(true);
        }
        if deadline.passed() {
            return Ok(false);
        }
    }
}

fn failure(status: ExitStatus, stderr: &Output) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(libc::SIGSYS)) => "killed by the seccomp filter: bad system call".into(),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    };
    match stderr.first_line() {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

/// What a hook prints: the beginning is kept, the rest is read and forgotten.
struct Output {
    pipe: Option<std::process::ChildStderr>,
    beginning: Vec<u8>,
}

/// How many bytes of the output are kept.
const OUTPUT_KEPT_MAX: usize = 4096;

impl Output {
    fn of(child: &mut Child) -> Result<Output> {
        let pipe = child.stderr.take();
        if let Some(pipe) = &pipe {
            file::set_nonblocking(pipe)?;
        }
        Ok(Output { pipe, beginning: Vec::new() })
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there, without waiting for more.
    fn take_up(&mut self) {
        let mut chunk = [0; OUTPUT_KEPT_MAX];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(len) => {
                    let room = OUTPUT_KEPT_MAX - self.beginning.len();
                    self.beginning.extend_from_slice(&chunk[..len.min(room)]);
                }
                // Nothing is there at the moment; any other fault only costs a line of an error's text.
                Err(_) => return,
            }
        }
    }

    fn first_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.beginning);
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use oci_spec::runtime::HookBuilder;

    use super::*;

    fn shell(script: &str) -> Hook {
        HookBuilder::default()
            .path("/bin/sh")
            .args(["sh".to_string(), "-c".into(), script.into()])
            .build()
            .expect("a hook")
    }

    fn run_all(hooks: &[Hook]) -> Result<()> {
        run_hooks("createRuntime", hooks, b"{\"id\":\"c1\"}", DefaultEnv::Empty)
    }

    #[test]
    fn hook_reads_the_state() -> Result<()> {
        run_all(&[shell("test \"$(cat)\" = '{\"id\":\"c1\"}'")])
    }

    #[test]
    fn error_names_kind_place_path_status_and_first_line() {
        let hooks =
            [shell("exit 0"), shell("echo out; echo why >&2; echo more >&2; exit 3"), shell("exit 4")];
        let err = run_all(&hooks).expect_err("the second fails");
        assert_eq!(err.kind(), Kind::Hook);
        assert_eq!(err.to_string(), "error running createRuntime hook #1: /bin/sh: exit status 3: why");
    }

    #[test]
    fn killed_hook_and_missing_hook_say_so() {
        let err = run_all(&[shell("kill -9 $$")]).expect_err("killed");
        assert_eq!(err.to_string(), "error running createRuntime hook #0: /bin/sh: killed by signal 9");
        let missing = HookBuilder::default().path("/nonexistent").build().expect("a hook");
        let err = run_all(&[missing]).expect_err("missing");
        assert_eq!(
            err.to_string(),
            "error running createRuntime hook #0: /nonexistent: exec: no such file or directory (ENOENT)"
        );
        assert_eq!(err.kind(), Kind::Hook);
    }

    #[test]
    fn relative_path_is_refused() {
        let hook = HookBuilder::default().path("sh").build().expect("a hook");
        assert!(run_all(&[hook]).expect_err("relative").to_string().ends_with("path must be absolute"));
    }

    #[test]
    fn timeout_kills() {
        let mut hook = shell("exec sleep 60");
        hook.set_timeout(Some(1));
        let start = Instant::now();
        let err = run_all(&[hook]).expect_err("too slow");
        assert!(err.to_string().ends_with("hook ran past specified timeout of 1s"), "{err}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn timeout_of_zero_is_refused() {
        let mut hook = shell("exit 0");
        hook.set_timeout(Some(0));
        assert!(run_all(&[hook]).is_err());
    }

    #[test]
    fn process_left_in_the_background_holds_nobody_up() -> Result<()> {
        let start = Instant::now();
        run_all(&[shell("sleep 5 & exit 0")])?;
        assert!(start.elapsed() < Duration::from_secs(4));
        Ok(())
    }

    #[test]
    fn state_that_nobody_reads_and_output_without_end_hold_nobody_up() -> Result<()> {
        let state = vec![b' '; 1 << 20];
        let hook = shell("head -c 1000000 /dev/zero >&2");
        run_hooks("poststop", &[hook], &state, DefaultEnv::Empty)
    }

    #[test]
    fn environment_is_the_hooks_own_or_the_default() -> Result<()> {
        let default = ["A=1".to_string(), "B=x=y".to_string()];
        let mut hook = shell("test \"$A$B\" = 1x=y && test -z \"$HOME\"");
        run_hooks("startContainer", std::slice::from_ref(&hook), b"", DefaultEnv::Of(&default))?;
        hook = shell("test \"$A$C\" = 2");
        hook.set_env(Some(vec!["C=2".into()]));
        run_hooks("startContainer", std::slice::from_ref(&hook), b"", DefaultEnv::Of(&default))
    }

    #[test]
    fn name_of_the_program_is_as_given() -> Result<()> {
        let hook = HookBuilder::default()
            .path("/bin/sh")
            .args(["other-name".to_string(), "-c".into(), "test $0 = other-name".into()])
            .build()
            .expect("a hook");
        run_all(&[hook])
    }
}
