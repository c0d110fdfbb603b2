//! The name of a container, which is also the name of its directory.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};

/// The name of a container: letters, digits and `_`, `+`, `-`, `.`, so that it is always one path component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerId(String);

/// `NAME_MAX` of Linux: the id is the name of a directory.
const LENGTH_MAX: usize = 255;

impl ContainerId {
    /// Checks `text`.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<ContainerId> {
        let text = text.as_ref();
        let refuse = |why: &str| Err(Error::invalid(format!("invalid container ID format: {text:?} {why}")));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        match text.to_str() {
            Some("") => Err(Error::invalid("container id cannot be empty")),
            Some("." | "..") => refuse("is not a name"),
            Some(id) if id.len() > LENGTH_MAX => refuse("is longer than 255 characters"),
            Some(id) if id.bytes().all(allowed) => Ok(ContainerId(id.to_owned())),
            _ => refuse("has other characters than letters, digits, '_', '+', '-' and '.'"),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<Path> for ContainerId {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn ids_that_engines_use_are_taken() {
        for id in ["c1", "a.b_c+d-e", "-x", ".hidden", "...", &"f".repeat(255)] {
            assert_eq!(ContainerId::parse(id).map(|id| id.to_string()).as_deref().ok(), Some(id));
        }
    }

    #[test]
    fn ids_that_are_no_path_component_are_refused() {
        for id in ["", ".", "..", "a/b", "../x", "a b", "a\n", "é", &"f".repeat(256)] {
            assert!(ContainerId::parse(id).is_err(), "{id:?}");
        }
        assert!(ContainerId::parse(OsStr::from_bytes(b"a\xff")).is_err());
    }
}
