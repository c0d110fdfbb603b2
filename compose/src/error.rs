//! What went wrong, as one line for the user.

use std::borrow::Cow;
use std::fmt;

/// What went wrong, as far as a caller branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No such object.
    NotFound,
    /// An object of that name is there already.
    AlreadyExists,
    /// The object is not in a state that allows the operation.
    WrongState,
    /// Who is asked can't be reached now.
    Unavailable,
    /// Who is asked knows no such operation.
    Unimplemented,
    /// What was typed can't be what its flag takes.
    Usage,
    /// Who has asked for it wants it no more, and the command ends with this exit code.
    Interrupted(u8),
    /// Anything else.
    Other,
}

/// A failure as its user reads it: one line, which names the object first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    line: String,
}

/// The result of whatever may fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure in these words.
    pub fn new(line: impl Into<String>) -> Error {
        Error::of_kind(Kind::Other, line)
    }

    /// A failure of that kind, in these words.
    pub fn of_kind(kind: Kind, line: impl Into<String>) -> Error {
        Error { kind, line: line.into() }
    }

    /// What a caller may branch on.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.line))
    }
}

/// A text as it is shown in a line: what would end the line, or change the terminal, is spelled out.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let spelled = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(spelled).collect::<String>().into()
}

/// Tells the user something in one line of standard error.
pub fn tell(line: impl fmt::Display) {
    tell_lines(shown(&line.to_string()));
}

/// Tells the user something that may have several lines. Work goes on, though nobody can be told: standard error may be
/// a full disk, or a pipe that nobody reads.
pub fn tell_lines(text: impl fmt::Display) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "{text}"));
}

impl std::error::Error for Error {}

/// What was to be removed, and wasn't there, is removed.
pub fn absent_is_fine(removed: Result<()>) -> Result<()> {
    match removed {
        Err(err) if err.kind() == Kind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Says of a failure what it happened to.
pub trait Context<T> {
    /// Puts the object, or what was done to it, before the line.
    fn at(self, object: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn at(self, object: impl fmt::Display) -> Result<T> {
        self.map_err(|err| {
            let Error { kind, line } = err.into();
            Error { kind, line: format!("{object}: {line}") }
        })
    }
}

impl From<std::io::Error> for Error {
    fn from(err: std::io::Error) -> Error {
        let kind = match err.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            std::io::ErrorKind::AlreadyExists => Kind::AlreadyExists,
            _ => Kind::Other,
        };
        Error::of_kind(kind, err.to_string())
    }
}

impl From<nix::errno::Errno> for Error {
    fn from(errno: nix::errno::Errno) -> Error {
        std::io::Error::from(errno).into()
    }
}

impl From<serde_json::Error> for Error {
    fn from(err: serde_json::Error) -> Error {
        Error::new(err.to_string())
    }
}
