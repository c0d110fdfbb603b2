//! What `up` does while it stays: whose output it shows, and when it stops all.

use clap::{Arg, Command};

use super::typed::{Typed, flag, value, values};
use crate::error::{Error, Result};

/// What the flags of `up` say of the time after all has started.
#[derive(Clone, Debug, Default)]
pub struct Attended {
    pub on_exit: OnExit,
    /// The service whose exit code is ours.
    pub exit_code_from: Option<String>,
    /// The services whose output is shown; none: all that are named, unless they say otherwise themselves.
    pub attach: Vec<String>,
    pub no_attach: Vec<String>,
    /// Whether the output of what they depend on is shown, too.
    pub attach_dependencies: bool,
    pub no_prefix: bool,
    pub timestamps: bool,
}

/// What is done at the end of a container.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnExit {
    #[default]
    Ignore,
    /// All is stopped.
    Stop,
    /// All is stopped, if it has failed.
    StopIfFailed,
}

/// The flags.
pub fn flags(command: Command) -> Command {
    command.args(ends()).args(shows()).after_help("Example: up --exit-code-from tests")
}

fn ends() -> [Arg; 3] {
    [
        flag("abort-on-container-exit", "Stop all as soon as a container ends"),
        flag("abort-on-container-failure", "Stop all as soon as a container fails"),
        value(
            "exit-code-from",
            "SERVICE",
            "End with the exit code of this service; stop all as soon as one ends",
        ),
    ]
}

fn shows() -> [Arg; 7] {
    [
        values("attach", "SERVICE", "Show the output of this service only"),
        values("no-attach", "SERVICE", "Don't show the output of this service"),
        flag("attach-dependencies", "Show the output of what services depend on, too"),
        flag("no-log-prefix", "Show lines without their container's name"),
        flag("no-color", "No colours, as always"),
        flag("timestamps", "Show when each line came"),
        value("menu", "BOOL", "No menu, as always without a terminal")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
    ]
}

/// What is meant by the flags, of a command that comes back at once if `detach`, and that waits first if `wait`.
///
/// Errors: flags that exclude each other, in docker compose's words.
pub fn attended(typed: &Typed, detach: bool, wait: bool) -> Result<Attended> {
    let exit_code_from = typed.text("exit-code-from").filter(|service| !service.is_empty());
    let fails = typed.flag("abort-on-container-failure");
    let stops = typed.flag("abort-on-container-exit") || exit_code_from.is_some() && !fails;
    let attach = typed.texts("attach");
    let attach_dependencies = typed.flag("attach-dependencies");
    let refused = |what: &str| Err(Error::new(what));
    if stops && fails {
        return refused("--abort-on-container-failure cannot be combined with --abort-on-container-exit");
    }
    let stays = attach_dependencies || stops || !attach.is_empty();
    if wait && stays {
        return refused(
            "--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies",
        );
    }
    if (detach || wait) && (stays || fails) {
        return refused(
            "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, \
             --attach-dependencies or --watch",
        );
    }
    if !attach.is_empty() && attach_dependencies {
        return refused("cannot combine --attach and --attach-dependencies");
    }
    // A menu would only say by which keys other commands can be had.
    typed.read::<bool>("menu")?;
    Ok(Attended {
        on_exit: match (stops, fails) {
            (true, _) => OnExit::Stop,
            (_, true) => OnExit::StopIfFailed,
            _ => OnExit::Ignore,
        },
        exit_code_from,
        attach,
        no_attach: typed.texts("no-attach"),
        attach_dependencies,
        no_prefix: typed.flag("no-log-prefix"),
        timestamps: typed.flag("timestamps"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::compose::{Verb, asked, command};

    fn meant(line: &str) -> Result<Attended> {
        let matches =
            command().try_get_matches_from(["corten-compose", "up"].into_iter().chain(line.split(' ')));
        let matches = matches.map_err(|err| Error::new(err.to_string()))?;
        match asked(&matches, "/".into(), std::iter::empty())?.verb {
            Verb::Up(up) => Ok(up.attended),
            verb => Err(Error::new(format!("{verb:?}"))),
        }
    }

    #[test]
    fn who_comes_back_at_once_attends_to_nothing() {
        for (line, why) in [
            ("-d --abort-on-container-exit", "--detach cannot be combined with"),
            ("-d --abort-on-container-failure", "--detach cannot be combined with"),
            ("-d --exit-code-from web", "--detach cannot be combined with"),
            ("-d --attach web", "--detach cannot be combined with"),
            ("--wait --exit-code-from web", "--wait cannot be combined with"),
            ("--wait --abort-on-container-failure", "--detach cannot be combined with"),
            ("--abort-on-container-exit --abort-on-container-failure", "cannot be combined with"),
            ("--attach web --attach-dependencies", "cannot combine --attach"),
            ("--no-recreate -V", "--no-recreate and --renew-anon-volumes are incompatible"),
            (
                "--no-recreate --always-recreate-deps",
                "--always-recreate-deps and --no-recreate are incompatible",
            ),
            ("--menu=maybe", "menu"),
            ("--wait --wait-timeout never", "wait-timeout"),
            ("--wait --wait-timeout -1", "invalid argument \"-1\" for \"--wait-timeout\": it is negative"),
        ] {
            let err = meant(line).expect_err(line).to_string();
            assert!(err.contains(why), "{line}: {err}");
        }
        let fails = meant("--exit-code-from web --abort-on-container-failure --menu --no-color").unwrap();
        assert_eq!(fails.on_exit, OnExit::StopIfFailed);
        assert_eq!(meant("--exit-code-from web").unwrap().on_exit, OnExit::Stop);
    }
}
