//! `kill`: a signal to a container.

use std::str::FromStr;

use nix::sys::signal::Signal;

use super::low::LowArgs;
use super::table::{self, flag, positional};
use super::{Args, Which};
use crate::error::{Error, Result};
use crate::state::ContainerId;

/// `kill`
#[derive(Debug)]
pub struct KillArgs {
    /// The container, or containers.
    pub which: Which,
    /// The signal's number; 0 asks whether the container runs.
    pub signal: i32,
    /// `--all`
    pub all: bool,
}

pub(super) fn table(table: clap::Command) -> clap::Command {
    table
        .about("Send a signal to the container's init process")
        .arg(
            flag("all").short('a').help(
                "Send it to all processes of the container; it is no error if the container has stopped",
            ),
        )
        .arg(table::regex())
        .arg(table::id("The name of the container"))
        .arg(positional("signal", "SIGNAL").help("A name or a number [default: SIGTERM]"))
}

impl Args for KillArgs {
    fn read(low: &mut LowArgs) -> Result<KillArgs> {
        let signal = match low.text("signal")?.as_deref() {
            None | Some("") => Signal::SIGTERM as i32,
            Some(text) => parse_signal(text)?,
        };
        Ok(KillArgs { which: Which::read(low)?, signal, all: low.flag("all") })
    }

    fn container(&self) -> Option<&ContainerId> {
        self.which.one()
    }
}

/// A signal by number, by name, or relative to the first or last realtime signal: `9`, `KILL`, `sigkill`, `RTMIN+3`.
fn parse_signal(text: &str) -> Result<i32> {
    const REALTIME_FIRST: i32 = 34;
    const REALTIME_LAST: i32 = 64;
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i32>().ok() };
    let number = if let Ok(number) = name.parse::<i32>() {
        Some(number)
    } else if let Some(after) = name.strip_prefix("RTMIN") {
        offset(after).map(|offset| REALTIME_FIRST + offset).filter(|number| *number >= REALTIME_FIRST)
    } else if let Some(after) = name.strip_prefix("RTMAX") {
        offset(after).map(|offset| REALTIME_LAST + offset).filter(|number| *number >= REALTIME_FIRST)
    } else {
        Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32)
    };
    number
        .filter(|number| (0..=REALTIME_LAST).contains(number))
        .ok_or_else(|| Error::invalid(format!("unknown signal {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::testing::{command, error};

    #[test]
    fn signals() {
        let signal = |text: &str| match command(&format!("kill c1 {text}")) {
            Command::Kill(kill) => kill.signal,
            _ => -1,
        };
        assert_eq!(signal(""), 15);
        for text in ["9", "KILL", "SIGKILL", "sigkill", "Kill"] {
            assert_eq!(signal(text), 9, "{text}");
        }
        assert_eq!(signal("SIGRTMIN+3"), 37);
        assert_eq!(signal("RTMAX-1"), 63);
        assert_eq!(signal("0"), 0);
        assert_eq!(error("kill c1 -9"), "kill: unknown flag: -9");
        assert_eq!(error("kill c1 -- -9"), "kill: unknown signal \"-9\"");
        for text in ["NOPE", "65", "RTMIN+31", "RTMIN-1", "SIG"] {
            assert_eq!(error(&format!("kill c1 {text}")), format!("kill: unknown signal {text:?}"));
        }
    }

    #[test]
    fn all_processes() {
        for words in ["kill --all c1 9", "kill c1 9 --all", "kill c1 -a 9"] {
            let Command::Kill(kill) = command(words) else { panic!("not kill") };
            assert_eq!((kill.signal, kill.all), (9, true), "{words}");
        }
        assert_eq!(error("kill a b c"), "kill: unexpected argument \"c\"");
    }
}
