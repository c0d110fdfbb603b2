//! What went wrong, as one line for the user.

use std::fmt;

/// A failure as its user reads it: one line, which names the object first.
#[derive(Debug)]
pub struct Error {
    line: String,
}

/// The result of whatever may fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure in these words.
    pub fn new(line: impl Into<String>) -> Error {
        Error { line: line.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for Error {}
