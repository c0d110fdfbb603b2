//! The way of a terminal from the container's process to the process that attends it.

use std::os::fd::OwnedFd;

use super::options::Console;
use crate::apply::foreground::OwnConsole;
use crate::error::{Context, Error, Result};
use crate::sys::socket;

/// Both ends of the way that a terminal takes.
#[derive(Default)]
pub(super) struct Connected {
    /// The end of the calling process, if it relays the terminal.
    pub own: Option<OwnConsole>,
    /// The end that the container's process sends its terminal to.
    pub process: Option<OwnedFd>,
}

/// Connects both ends, before anything is made.
///
/// Errors: InvalidSpec for a terminal that nobody takes, and for a console socket that no terminal will reach.
pub(super) fn connect(console: &Console, has_terminal: bool) -> Result<Connected> {
    match (has_terminal, console) {
        (true, Console::Relayed) => {
            let (own, process) = OwnConsole::pair()?;
            Ok(Connected { own: Some(own), process: Some(process) })
        }
        (true, Console::Socket(path)) => {
            let process = socket::connect(path).doing("--console-socket")?;
            Ok(Connected { own: None, process: Some(process) })
        }
        (true, Console::Nobody) => Err(Error::invalid(
            "process.terminal: needs --console-socket where nobody stays to attend the terminal",
        )),
        (false, Console::Socket(_)) => Err(Error::invalid(
            "--console-socket: is for a process with a terminal, and process.terminal is false",
        )),
        (false, Console::Nobody | Console::Relayed) => Ok(Connected::default()),
    }
}

pub(super) fn is_relayed(console: &Console) -> bool {
    *console == Console::Relayed
}
