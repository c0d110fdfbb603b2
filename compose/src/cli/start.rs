//! `start` of a project: its flags, and what is meant by them.

use std::time::Duration;

use clap::{Arg, Command};

use super::typed::{Typed, flag, value};
use crate::error::{Error, Kind, Result};

/// `start`
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub services: Vec<String>,
    /// Whether the command waits until all are ready.
    pub wait: bool,
    /// How long it waits for a container at most; none: as long as it takes.
    pub wait_timeout: Option<Duration>,
}

/// The command, but for its operands.
pub fn command() -> Command {
    Command::new("start")
        .about("Start containers that are there")
        .after_help("Example: start --wait --wait-timeout 30 web")
        .arg(flag("wait", "Come back as soon as all run and are healthy"))
        .arg(wait_timeout_flag())
}

/// How long `--wait` waits, of `up` too.
pub fn wait_timeout_flag() -> Arg {
    value("wait-timeout", "SECONDS", "How long --wait waits at most; 0: as long as it takes")
        .allow_hyphen_values(true)
}

/// What is meant by it.
///
/// Errors: what is no number of seconds.
pub fn wait_timeout(typed: &Typed) -> Result<Option<Duration>> {
    let seconds = typed.read::<i64>("wait-timeout")?.map(|seconds| {
        u64::try_from(seconds).map_err(|_| {
            let line = format!("invalid argument \"{seconds}\" for \"--wait-timeout\": it is negative");
            Error::of_kind(Kind::Usage, line)
        })
    });
    Ok(seconds.transpose()?.filter(|seconds| *seconds > 0).map(Duration::from_secs))
}

/// What is meant by the command.
pub fn start(typed: &Typed) -> Result<Start> {
    Ok(Start {
        services: typed.texts("service"),
        wait: typed.flag("wait"),
        wait_timeout: wait_timeout(typed)?,
    })
}
