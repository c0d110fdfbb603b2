//! Pseudo-terminals.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::termios::{self, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices, Termios};

use super::clock::Deadline;
use super::poll::{self, PollFlags};
use super::{Named, check};
use crate::error::Result;

const TIOCGPTPEER: libc::c_ulong = 0x5441;

/// `ioctl(TIOCSPTLCK, 0)`: lets the peer of a terminal's master be opened.
pub fn unlock(master: impl AsFd) -> Result<()> {
    let unlocked: libc::c_int = 0;
    // SAFETY: the kernel reads one int during the call.
    let ret = unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlocked) };
    check(ret.into(), || "ioctl(TIOCSPTLCK)".into()).map(drop)
}

/// `ioctl(TIOCGPTPEER)`: opens the peer of a terminal's master, without any path that could have been replaced.
///
/// Kernel: 4.13. Source: ioctl_tty(2).
pub fn open_peer(master: impl AsFd) -> Result<OwnedFd> {
    let flags = (OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).bits();
    // SAFETY: takes an integer only.
    let ret = unsafe { libc::ioctl(master.as_fd().as_raw_fd(), TIOCGPTPEER as _, flags) };
    let fd = check(ret.into(), || "ioctl(TIOCGPTPEER)".into())?;
    // SAFETY: the successful call has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `tcsetattr` without ONLCR: a line end that is written to the terminal is read from its master as it is.
pub fn keep_line_ends(terminal: impl AsFd) -> Result<()> {
    let Settings(mut settings) = settings(&terminal)?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    set(terminal, &Settings(settings))
}

/// How a terminal treats what is typed and shown.
pub struct Settings(Termios);

/// `cfmakeraw`, but keeps OPOST: input is read as it is typed, and the terminal still translates line ends in its
/// output. Returns the settings before.
pub fn make_raw(terminal: impl AsFd) -> Result<Settings> {
    let before = settings(&terminal)?;
    let mut raw = before.0.clone();
    termios::cfmakeraw(&mut raw);
    raw.output_flags.insert(OutputFlags::OPOST);
    set(terminal, &Settings(raw)).map(|()| before)
}

/// `tcgetattr`.
fn settings(terminal: impl AsFd) -> Result<Settings> {
    termios::tcgetattr(terminal).named(|| "tcgetattr()".into()).map(Settings)
}

/// How a terminal is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// By lines, as opposed to byte by byte (ICANON).
    pub by_lines: bool,
    /// The character that stands for the end of input (VEOF), if any does.
    pub end: Option<u8>,
}

/// `tcgetattr` of either end.
pub fn reading(terminal: impl AsFd) -> Result<Reading> {
    const DISABLED: u8 = 0;
    let Settings(settings) = settings(terminal)?;
    let end = settings.control_chars[SpecialCharacterIndices::VEOF as usize];
    let by_lines = settings.local_flags.contains(LocalFlags::ICANON);
    Ok(Reading { by_lines, end: Some(end).filter(|end| *end != DISABLED) })
}

/// Whether something that was typed is still to be read, the end of input included. Opens the master's peer to ask.
pub fn has_unread_input(master: impl AsFd) -> Result<bool> {
    let peer = open_peer(master)?;
    let ready = poll::wait(&[(peer.as_fd(), PollFlags::POLLIN)], Deadline::Now)?;
    Ok(ready.iter().any(|events| events.contains(PollFlags::POLLIN)))
}

/// `tcsetattr`.
pub fn set(terminal: impl AsFd, settings: &Settings) -> Result<()> {
    termios::tcsetattr(terminal, SetArg::TCSANOW, &settings.0).named(|| "tcsetattr()".into())
}

/// `ioctl(TIOCSWINSZ)`.
pub fn set_size(terminal: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads the structure during the call.
    let ret = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) };
    check(ret.into(), || format!("ioctl(TIOCSWINSZ, {rows}x{columns})")).map(drop)
}

/// `ioctl(TIOCGWINSZ)`: rows and columns.
pub fn size(terminal: impl AsFd) -> Result<(u16, u16)> {
    // SAFETY: an all-zero winsize is valid; the kernel fills it during the call.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let ret = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size) };
    check(ret.into(), || "ioctl(TIOCGWINSZ)".into())?;
    Ok((size.ws_row, size.ws_col))
}

/// `ioctl(TIOCSCTTY)`: makes `terminal` the controlling terminal of the session.
pub fn make_controlling(terminal: impl AsFd) -> Result<()> {
    // SAFETY: takes an integer only.
    let ret = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY as _, 0) };
    check(ret.into(), || "ioctl(TIOCSCTTY)".into()).map(drop)
}
