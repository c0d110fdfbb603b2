//! Texts that people hand in: files, pipes, standard input. None of them is read without end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, stdin};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

/// No text that somebody writes is as long.
const MIB_MAX: u64 = 64;
/// How long somebody who reads a fifo waits for somebody who writes to it.
const WRITER_AWAITED: Duration = Duration::from_secs(10);

/// The text of a file, or of a pipe that ends.
///
/// Errors: what isn't UTF-8 (InvalidData); more than 64 MiB.
pub fn text(file: &Path) -> Result<String> {
    bytes(file).and_then(utf8)
}

/// The bytes of a file, or of a pipe that ends.
///
/// Errors: more than 64 MiB.
pub fn bytes(file: &Path) -> Result<Vec<u8>> {
    bounded(open(file, WRITER_AWAITED)?)
}

/// Opens a file. A fifo opens once somebody writes to it.
///
/// Errors: a fifo to which nobody writes (TimedOut).
fn open(file: &Path, patience: Duration) -> Result<File> {
    if !std::fs::metadata(file)?.file_type().is_fifo() {
        return File::open(file);
    }
    let (opened, waiting) = std::sync::mpsc::channel();
    let path = file.to_owned();
    // The thread of a fifo to which nobody writes ends with the process.
    std::thread::spawn(move || opened.send(File::open(path)));
    let nobody = || Error::new(ErrorKind::TimedOut, "a fifo to which nobody writes");
    waiting.recv_timeout(patience).unwrap_or_else(|_| Err(nobody()))
}

/// The text of standard input.
///
/// Errors: what isn't UTF-8 (InvalidData); more than 64 MiB.
pub fn text_of_stdin() -> Result<String> {
    bounded(stdin().lock()).and_then(utf8)
}

/// All bytes that come.
///
/// Errors: more than 64 MiB.
pub fn bounded(from: impl Read) -> Result<Vec<u8>> {
    let bytes_max = MIB_MAX << 20;
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::other(format!("more than {MIB_MAX} MiB")));
    }
    Ok(bytes)
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|err| Error::new(ErrorKind::InvalidData, err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_refused_and_a_pipe_that_ends_is_read() {
        let err = text(Path::new("/dev/zero")).expect_err("no end").to_string();
        assert_eq!(err, "more than 64 MiB");
        assert_eq!(text(Path::new("/dev/null")).expect("empty"), "");
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        std::io::Write::write_all(&mut writer, b"name: x").expect("room");
        drop(writer);
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert_eq!(text(Path::new(&path)).expect("a text"), "name: x");
    }

    #[test]
    fn a_fifo_waits_for_who_writes_and_not_for_ever() {
        let fifo = |name: &str| {
            let path = std::env::temp_dir().join(format!("corten-compose-{name}-{}", std::process::id()));
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
            path
        };
        let (silent, spoken) = (fifo("silent"), fifo("spoken"));
        let err = open(&silent, Duration::from_millis(20)).expect_err("nobody").to_string();
        assert_eq!(err, "a fifo to which nobody writes");
        let to = spoken.clone();
        let writer = std::thread::spawn(move || std::fs::write(to, "name: x"));
        assert_eq!(text(&spoken).expect("a text"), "name: x");
        writer.join().expect("no panic").expect("written");
        [silent, spoken].iter().for_each(|path| std::fs::remove_file(path).expect("a fifo"));
    }
}
