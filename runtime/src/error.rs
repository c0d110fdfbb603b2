//! The error type: few kinds to branch on, rich text to read.
//!
//! An error is one line, outermost context first: what we did, to what, from which config field, by which
//! call, and what the kernel said:
//! `create web1: mount proc on /proc (mounts[0]): fsmount(NOSUID|NODEV): operation not permitted (EPERM)`.
//! The errno stands both as its text, which callers of a runtime match, and as its name, which people search for.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use nix::errno::Errno;

/// What went wrong, as far as a caller may want to branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// config.json, process.json, a flag or an id says something that can't be carried out.
    InvalidSpec,
    /// No such container.
    NotFound,
    /// A container of that id is there already.
    AlreadyExists,
    /// The container is not in a state that allows the operation.
    WrongState,
    /// A valid request that this version or this kernel can't carry out.
    Unsupported,
    /// The caller, the kernel or an LSM forbids it.
    Denied,
    /// A system call failed.
    Kernel,
    /// A hook failed or ran out of time.
    Hook,
    /// A defect of ours, or a peer process that broke the protocol.
    Internal,
}

/// A failure, with the path that led to it.
///
/// Serialised, it goes from a process to its parent: init's errors reach the user as the supervisor's own.
#[derive(Serialize, Deserialize)]
pub struct Error(Box<Inner>);

#[derive(Serialize, Deserialize)]
struct Inner {
    kind: Kind,
    /// Innermost first: each caller pushes what it was doing.
    context: Vec<String>,
    cause: String,
    #[serde(with = "raw_errno")]
    errno: Option<Errno>,
    hint: Option<String>,
    /// The cause is the whole message: neither what the caller was doing nor the errno is added.
    verbatim: bool,
    /// Set once the context names the step of the plan that failed, or if no step is to blame. No step is added then.
    is_placed: bool,
}

/// An errno as its number.
mod raw_errno {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Errno;

    pub(super) fn serialize<S: Serializer>(errno: &Option<Errno>, to: S) -> Result<S::Ok, S::Error> {
        errno.map(|errno| errno as i32).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Errno>, D::Error> {
        Ok(Option::<i32>::deserialize(from)?.map(Errno::from_raw))
    }
}

/// `Result` with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind` whose innermost text is `cause`.
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            context: Vec::new(),
            cause: cause.into(),
            errno: None,
            hint: None,
            verbatim: false,
            is_placed: false,
        }))
    }

    /// A field of config.json (or of process.json) that can't be carried out as written.
    pub fn invalid(cause: impl Into<String>) -> Self {
        Error::new(Kind::InvalidSpec, cause)
    }

    /// A valid request that this version or this kernel can't carry out. `cause` names the field as config.json spells
    /// it.
    pub fn unsupported(cause: impl Into<String>) -> Self {
        Error::new(Kind::Unsupported, cause)
    }

    /// A defect of ours, or a broken protocol between our own processes.
    pub fn internal(cause: impl Into<String>) -> Self {
        Error::new(Kind::Internal, cause)
    }

    /// `call` failed with `errno`; `call` is written like strace writes it: `openat2(3, "etc", O_PATH)`.
    pub fn kernel(call: impl Into<String>, errno: Errno) -> Self {
        let kind = match errno {
            Errno::EPERM | Errno::EACCES => Kind::Denied,
            _ => Kind::Kernel,
        };
        let mut err = Error::new(kind, call);
        err.0.errno = Some(errno);
        err
    }

    /// The failure of an `std::io` operation; `what` is written like a call: `write(stdout)`.
    pub fn io(what: impl Into<String>, err: &std::io::Error) -> Self {
        match err.raw_os_error() {
            Some(raw) => Error::kernel(what, Errno::from_raw(raw)),
            None => Error::internal(format!("{}: {err}", what.into())),
        }
    }

    /// What to branch on.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The errno of the system call that failed, if a system call did.
    pub fn errno(&self) -> Option<Errno> {
        self.0.errno
    }

    /// Whether a system call failed with `errno`.
    pub fn is(&self, errno: Errno) -> bool {
        self.0.errno == Some(errno)
    }

    /// Adds `doing`, the step of the plan that failed, unless the error names a step already. The supervisor hears of
    /// init's error at a step of its own, and this step must not be added.
    pub fn at_step(self, doing: impl FnOnce() -> String) -> Self {
        if self.0.is_placed { self } else { self.context(doing()).without_step() }
    }

    /// Blames no step of the plan: [`Error::at_step`] adds none.
    pub fn without_step(mut self) -> Self {
        self.0.is_placed = true;
        self
    }

    /// This error with about `bytes_max` bytes of text at most. The middle of a longer text is cut out: the cause
    /// stands at its end.
    pub fn shortened(mut self, bytes_max: usize) -> Self {
        let inner = &mut *self.0;
        let length = inner.cause.len() + inner.context.iter().map(String::len).sum::<usize>();
        if length > bytes_max {
            let outermost_first: Vec<String> =
                inner.context.drain(..).rev().chain([inner.cause.clone()]).collect();
            inner.cause = without_middle(&outermost_first.join(": "), bytes_max);
        }
        inner.hint = inner.hint.take().map(|hint| without_middle(&hint, bytes_max / 4));
        self
    }

    /// Makes `text` the whole message, for the few messages that callers compare as a whole. Kind and errno stay.
    pub fn verbatim(mut self, text: impl Into<String>) -> Self {
        self.0.context.clear();
        self.0.cause = text.into();
        self.0.verbatim = true;
        self
    }

    /// Whether the text is the whole message, without a word of ours before it.
    pub fn is_verbatim(&self) -> bool {
        self.0.verbatim
    }

    /// Adds what the caller was doing, as a verb phrase: `mount proc on /proc (mounts[0])`.
    pub fn context(mut self, doing: impl Into<String>) -> Self {
        if !self.0.verbatim {
            self.0.context.push(doing.into());
        }
        self
    }

    /// Replaces the kind, where the caller knows more than the callee.
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Adds a hint at what to do, where the cause is known. An earlier hint stays: it was given closer to the cause.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// What to do about it, where the cause is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

/// The beginning and the end of a text of more than `bytes_max` bytes.
pub(crate) fn without_middle(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut head = bytes_max / 2;
    let mut tail = text.len() - bytes_max / 2;
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}…{}", &text[..head], &text[tail..])
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for doing in self.0.context.iter().rev() {
            write!(f, "{doing}: ")?;
        }
        f.write_str(&self.0.cause)?;
        if let Some(errno) = self.0.errno.filter(|_| !self.0.verbatim) {
            let text = errno.desc();
            let mut chars = text.chars();
            let first = chars.next().map(|c| c.to_ascii_lowercase()).unwrap_or_default();
            write!(f, ": {first}{} ({errno:?})", chars.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

/// Adds context to the error side of a result.
pub trait Context<T> {
    /// Says what was being done: `.doing("write uid_map")`.
    fn doing(self, what: &str) -> Result<T>;
    /// As [`Context::doing`], for a text that has to be put together.
    fn doing_with(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|err| err.context(what))
    }

    fn doing_with(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|err| err.context(what()))
    }
}

/// Ignores a failure on purpose; `why` is for the reader of the source.
pub fn best_effort<T>(result: Result<T>, _why: &str) -> Option<T> {
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_runs_from_the_outermost_context_to_the_errno() {
        let err = Error::kernel("fsmount(NOSUID|NODEV)", Errno::EPERM)
            .context("mount proc on /proc (mounts[0])")
            .context("create web1");
        assert_eq!(
            err.to_string(),
            "create web1: mount proc on /proc (mounts[0]): fsmount(NOSUID|NODEV): operation not permitted (EPERM)"
        );
        assert_eq!(err.kind(), Kind::Denied);
    }

    #[test]
    fn errno_text_is_the_one_that_callers_match() {
        assert!(
            Error::kernel("x", Errno::ENOENT).to_string().ends_with("no such file or directory (ENOENT)")
        );
        assert!(Error::kernel("x", Errno::EACCES).to_string().ends_with("permission denied (EACCES)"));
        assert!(Error::kernel("x", Errno::ENOTDIR).to_string().ends_with("not a directory (ENOTDIR)"));
    }
}
