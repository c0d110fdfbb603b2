//! The terminal of whoever typed the command.

use std::io::{IsTerminal, stdin};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use terminal_size::{Height, Width, terminal_size};

use crate::error::{Context, Result};

/// The terminal in raw mode: each key goes to the container. It is as it was when this is dropped.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Nothing, if standard input is no terminal.
    pub fn enter() -> Result<Option<Raw>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin()).at("the terminal")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw).at("the terminal")?;
        Ok(Some(Raw { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing any more.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Columns and rows of the terminal, if there is one.
pub fn size() -> Option<(u32, u32)> {
    terminal_size().map(|(Width(columns), Height(rows))| (columns.into(), rows.into()))
}
