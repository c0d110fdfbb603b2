//! Texts that people hand in: files, pipes, standard input. None of them is read without end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, stdin};
use std::path::Path;

/// No text that somebody writes is as long.
const MIB_MAX: u64 = 64;

/// The text of a file, or of a pipe that ends.
///
/// Errors: what isn't UTF-8 (InvalidData); more than 64 MiB.
pub fn text(file: &Path) -> Result<String> {
    bounded(File::open(file)?).and_then(utf8)
}

/// The bytes of a file.
///
/// Errors: more than 64 MiB.
pub fn bytes(file: &Path) -> Result<Vec<u8>> {
    bounded(File::open(file)?)
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
}
