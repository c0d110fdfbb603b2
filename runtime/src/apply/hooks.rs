//! Hooks: programs that run at six moments of a container's life, with its state on their standard input.
//!
//! Runs in the supervisor and, for `createContainer` and `startContainer`, in the container's own process.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oci_spec::runtime::Hook;

use super::subprocess;
use crate::error::{Context, Error, Kind, Result};
use crate::sys::clock::Deadline;
use crate::sys::memfd;

/// The environment of a hook whose `env` is empty.
#[derive(Clone, Copy, Debug)]
pub enum DefaultEnv<'a> {
    /// No variable: the environment of the runtime's caller isn't meant for hooks. (runc hands it on.)
    Empty,
    /// These variables: `startContainer` hooks get those of the container's process.
    Of(&'a [String]),
}

/// What the hooks of one moment find.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The container's state, on standard input.
    pub state: &'a [u8],
    /// The environment of a hook without one of its own.
    pub env: DefaultEnv<'a>,
    /// The working directory, if it isn't the caller's: the bundle, as long as it is there.
    pub directory: Option<&'a Path>,
}

/// Runs the hooks of `kind` one after the other.
///
/// What they print is kept from the runtime's own output, and told if they fail.
///
/// Errors: Hook, for the first hook that fails or runs past its timeout. The hooks after it don't run.
pub fn run_hooks(kind: &str, hooks: &[Hook], surroundings: Surroundings) -> Result<()> {
    for (index, hook) in hooks.iter().enumerate() {
        run_hook(kind, index, hook, surroundings)?;
    }
    Ok(())
}

/// Runs one hook, which is the `index`th of its `kind`.
pub fn run_hook(kind: &str, index: usize, hook: &Hook, surroundings: Surroundings) -> Result<()> {
    run(hook, surroundings)
        .doing_with(|| format!("error running {kind} hook #{index}: {}", hook.path().display()))
        .map_err(|err| err.with_kind(Kind::Hook))
}

fn run(hook: &Hook, surroundings: Surroundings) -> Result<()> {
    let timeout = timeout_of(hook)?;
    let mut command = command(hook, surroundings)?;
    command.stdin(file_with(surroundings.state)?);
    let ran = subprocess::run(&mut command, timeout.map_or(Deadline::Never, Deadline::after))?;
    match timeout {
        Some(timeout) if !ran.in_time => {
            let how = format!("hook ran past specified timeout of {}s", timeout.as_secs());
            Err(Error::new(Kind::Hook, how + &ran.printed()))
        }
        _ if ran.succeeded() => Ok(()),
        _ => Err(Error::new(Kind::Hook, ran.how() + &ran.printed())),
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

fn command(hook: &Hook, surroundings: Surroundings) -> Result<Command> {
    if !hook.path().is_absolute() {
        return Err(Error::invalid("path must be absolute"));
    }
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(args);
    }
    let own_env = hook.env().as_deref().unwrap_or_default();
    let env = match surroundings.env {
        DefaultEnv::Of(env) if own_env.is_empty() => env,
        _ => own_env,
    };
    command.env_clear().envs(env.iter().filter_map(|variable| variable.split_once('=')));
    // A bundle may be gone when `delete` comes, and what its hooks clean up is there all the same.
    if let Some(directory) = surroundings.directory.filter(|directory| directory.is_dir()) {
        command.current_dir(directory);
    }
    Ok(command)
}

/// A file rather than a pipe: a state of any size fits, whether or not the hook reads it, and no process has
/// to write it piece by piece.
fn file_with(state: &[u8]) -> Result<File> {
    let mut file = File::from(memfd::create("state")?);
    file.write_all(state).and_then(|()| file.rewind()).map_err(|err| Error::io("write(state)", &err))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use oci_spec::runtime::HookBuilder;

    use super::super::subprocess::OUTPUT_KEPT_MAX;
    use super::*;

    fn shell(script: &str) -> Hook {
        HookBuilder::default()
            .path("/bin/sh")
            .args(["sh".to_string(), "-c".into(), script.into()])
            .build()
            .expect("a hook")
    }

    const FOUND: Surroundings =
        Surroundings { state: b"{\"id\":\"c1\"}", env: DefaultEnv::Empty, directory: None };

    fn run_all(hooks: &[Hook]) -> Result<()> {
        run_hooks("createRuntime", hooks, FOUND)
    }

    #[test]
    fn hook_reads_the_state() -> Result<()> {
        run_all(&[shell("test \"$(cat)\" = '{\"id\":\"c1\"}'")])
    }

    #[test]
    fn error_names_kind_place_path_status_and_all_that_was_printed() {
        let script = "echo out; echo why >&2; printf 'more \\033[31m\n' >&2; exit 3";
        let hooks = [shell("exit 0"), shell(script), shell("exit 4")];
        let err = run_all(&hooks).expect_err("the second fails");
        assert_eq!(err.kind(), Kind::Hook);
        assert_eq!(
            err.to_string(),
            "error running createRuntime hook #1: /bin/sh: exit status 3, stdout: out, stderr: why\nmore \\u{1b}[31m"
        );
    }

    #[test]
    fn the_end_of_a_long_output_is_told() {
        let script = "head -c 1000000 /dev/zero | tr '\\0' x; echo the reason; exit 3";
        let text = run_all(&[shell(script)]).expect_err("fails").to_string();
        assert!(text.contains("stdout: …xxx") && text.ends_with("xthe reason"), "{text}");
        assert!(text.len() < 2 * OUTPUT_KEPT_MAX);
    }

    #[test]
    fn a_hook_that_prints_without_end_runs_out_of_time() {
        let mut hook = shell("while :; do echo y; done");
        hook.set_timeout(Some(1));
        let text = run_all(&[hook]).expect_err("too slow").to_string();
        assert!(text.contains("hook ran past specified timeout of 1s, stdout: …"), "{text}");
    }

    #[test]
    fn hooks_run_in_the_directory_if_it_is_there() -> Result<()> {
        let at = |directory| Surroundings { directory: Some(Path::new(directory)), ..FOUND };
        run_hooks("poststop", &[shell("test $(pwd) = /usr")], at("/usr"))?;
        run_hooks("poststop", &[shell("test $(pwd) != /")], at("/nonexistent"))
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
        run_hooks("poststop", &[hook], Surroundings { state: &state, ..FOUND })
    }

    #[test]
    fn environment_is_the_hooks_own_or_the_default() -> Result<()> {
        let default = ["A=1".to_string(), "B=x=y".to_string()];
        let mut hook = shell("test \"$A$B\" = 1x=y && test -z \"$HOME\"");
        let found = Surroundings { env: DefaultEnv::Of(&default), ..FOUND };
        run_hooks("startContainer", std::slice::from_ref(&hook), found)?;
        hook = shell("test \"$A$C\" = 2");
        hook.set_env(Some(vec!["C=2".into()]));
        run_hooks("startContainer", std::slice::from_ref(&hook), found)
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
