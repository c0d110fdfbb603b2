//! A standard stream of the caller's, written without ever waiting for its reader.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::sys::stat::SFlag;

use super::{Named, file, socket};
use crate::error::{Error, Result};

/// What a pipe with any room takes at once (`PIPE_BUF`).
const PIECE_BYTES_MAX: usize = 4096;

/// A stream to write to.
pub struct Output {
    fd: OwnedFd,
    is_socket: bool,
}

impl Output {
    /// Opens a pipe or a terminal anew, so that its writes don't wait: O_NONBLOCK on the caller's own open file would
    /// hold for the caller too. Any other file is shared, because a regular file has its position there.
    pub fn of(stream: impl AsFd) -> Result<Output> {
        let stream = stream.as_fd();
        let stat = file::stat_of(stream)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        // The master of a terminal can't be opened anew: its file makes another terminal.
        let is_terminal =
            nix::unistd::isatty(stream).unwrap_or(false) && stat.st_rdev != file::device_number(5, 2);
        let anew = (kind == SFlag::S_IFIFO || is_terminal).then(|| opened_anew(stream));
        let fd = match anew {
            Some(Ok(fd)) => fd,
            // There is no /proc, or the owner forbids it. A piece that is written once there is room waits for no
            // reader, unless another process writes there too.
            Some(Err(_)) | None => stream
                .try_clone_to_owned()
                .map_err(|err| Error::io(format!("fcntl({}, F_DUPFD_CLOEXEC)", stream.as_raw_fd()), &err))?,
        };
        Ok(Output { fd, is_socket: kind == SFlag::S_IFSOCK })
    }

    /// Writes the beginning of `bytes`, and returns how much it was.
    ///
    /// Errors: EAGAIN while there is no room; EPIPE when nobody reads any more.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES_MAX)];
        if self.is_socket { socket::send_now(self.fd.as_fd(), piece) } else { file::write(&self.fd, piece) }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn opened_anew(stream: BorrowedFd) -> Result<OwnedFd> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", stream.as_raw_fd()));
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    nix::fcntl::open(&path, flags, nix::sys::stat::Mode::empty()).named(|| format!("open({path:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Errno;

    #[test]
    fn a_full_pipe_and_a_full_socket_hold_nobody_up_and_stay_as_they_are() {
        let (_read, write) = nix::unistd::pipe().unwrap();
        let (_left, right) = std::os::unix::net::UnixStream::pair().unwrap();
        for stream in [write, OwnedFd::from(right)] {
            let output = Output::of(&stream).unwrap();
            let full =
                (0..10_000).find_map(|_| output.write(&[b'x'; 10_000]).err()).expect("room without end");
            assert!(full.is(Errno::EAGAIN), "{full}");
            let flags = nix::fcntl::fcntl(&stream, nix::fcntl::FcntlArg::F_GETFL).unwrap();
            assert!(!OFlag::from_bits_truncate(flags).contains(OFlag::O_NONBLOCK));
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_told() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let output = Output::of(&write).unwrap();
        drop(read);
        assert!(output.write(b"x").expect_err("nobody reads").is(Errno::EPIPE));
    }

    #[test]
    fn a_file_is_written_where_the_caller_stands() {
        use std::io::{Read, Seek, Write};
        let mut file = std::fs::File::from(crate::sys::memfd::create("x").unwrap());
        file.write_all(b"before ").unwrap();
        assert_eq!(Output::of(&file).unwrap().write(b"after").unwrap(), 5);
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before after");
    }
}
