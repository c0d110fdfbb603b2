//! Where a stream goes, as containerd spells it: a path or a URI.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::refusal::{Code, Refusal};

/// Where a stream goes to, or comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// /dev/null.
    Nowhere,
    /// A fifo that somebody has made: a plain path, or `fifo://`.
    Fifo(PathBuf),
    /// A file that is appended to: `file://`.
    File(PathBuf),
    /// A program that is given the streams to read: `binary://` and `binary-v2://`.
    Logger(Program),
}

/// A program that logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Its absolute path.
    pub path: PathBuf,
    /// What follows its name: each key of the query and then its value.
    pub arguments: Vec<OsString>,
    /// Variables beside those that name the container: the keys that begin with `env.`.
    pub environment: Vec<(OsString, OsString)>,
    /// How it tells that it is ready.
    pub ready_by: ReadyBy,
}

/// How a logger tells that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadyBy {
    /// It closes the descriptor, by its end at the latest.
    Close,
    /// It writes a byte; whoever closes the descriptor without it has failed.
    Byte,
}

impl Place {
    /// Errors: InvalidArgument for a scheme that nobody knows, and for a path that isn't absolute.
    pub(super) fn parse(text: &str) -> Result<Place, Refusal> {
        if text.is_empty() {
            return Ok(Place::Nowhere);
        }
        if text.starts_with('/') {
            return Ok(Place::Fifo(text.into()));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refused(text, "neither an absolute path nor a URI"));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = PathBuf::from(decoded(path, Plus::Itself));
        if !path.is_absolute() {
            return Err(refused(text, "the path isn't absolute"));
        }
        match scheme {
            "fifo" => Ok(Place::Fifo(path)),
            "file" => Ok(Place::File(path)),
            "binary" => Ok(Place::Logger(Program::of(path, query, ReadyBy::Close))),
            "binary-v2" => Ok(Place::Logger(Program::of(path, query, ReadyBy::Byte))),
            _ => Err(refused(
                text,
                &format!("unknown scheme {scheme:?}; known are fifo, file, binary, binary-v2"),
            )),
        }
    }

    /// The place as a fifo, for a stream that can come from nothing else.
    pub(super) fn fifo(self, text: &str) -> Result<Option<PathBuf>, Refusal> {
        match self {
            Place::Nowhere => Ok(None),
            Place::Fifo(path) => Ok(Some(path)),
            Place::File(_) | Place::Logger(_) => Err(refused(text, "only a fifo can be read from")),
        }
    }
}

impl Program {
    /// A key without a value has an empty one, and of several values of a key the first counts.
    fn of(path: PathBuf, query: &str, ready_by: ReadyBy) -> Program {
        let mut program = Program { path, arguments: Vec::new(), environment: Vec::new(), ready_by };
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key, Plus::Space), decoded(value, Plus::Space));
            if seen.contains(&key) {
                continue;
            }
            seen.push(key.clone());
            match key.as_encoded_bytes().strip_prefix(b"env.") {
                Some(name) => program.environment.push((OsString::from_vec(name.to_vec()), value)),
                None => program.arguments.extend([key, value]),
            }
        }
        program
    }
}

/// What `+` stands for: in a query for a space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Itself,
    Space,
}

/// Replaces `%XX` by its byte. A `%` without two digits stays.
fn decoded(text: &str, plus: Plus) -> OsString {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => after.split_first_chunk::<2>().and_then(escaped).unwrap_or((b'%', after)),
            b'+' if plus == Plus::Space => (b' ', after),
            byte => (*byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    OsString::from_vec(decoded)
}

fn escaped<'text>((digits, after): (&[u8; 2], &'text [u8])) -> Option<(u8, &'text [u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = 16 * digit(digits[0])? + digit(digits[1])?;
    Some((u8::try_from(byte).ok()?, after))
}

fn refused(text: &str, why: &str) -> Refusal {
    Refusal::new(Code::InvalidArgument, format!("{text:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &str, arguments: &[&str], ready_by: ReadyBy) -> Place {
        let arguments = arguments.iter().map(OsString::from).collect();
        Place::Logger(Program { path: path.into(), arguments, environment: Vec::new(), ready_by })
    }

    #[test]
    fn places_by_their_spelling() {
        for (text, place) in [
            ("", Place::Nowhere),
            ("/run/a b%20c?d", Place::Fifo("/run/a b%20c?d".into())),
            ("fifo:///run/x", Place::Fifo("/run/x".into())),
            ("file:///var/log/a%20b.log", Place::File("/var/log/a b.log".into())),
            ("file:///100%", Place::File("/100%".into())),
            ("binary:///bin/log?a=b&c", program("/bin/log", &["a", "b", "c", ""], ReadyBy::Close)),
            ("binary-v2:///bin/log", program("/bin/log", &[], ReadyBy::Byte)),
            ("binary:///l?x%3D=1+2&x%3D=3", program("/l", &["x=", "1 2"], ReadyBy::Close)),
        ] {
            assert_eq!(Place::parse(text), Ok(place), "{text}");
        }
    }

    #[test]
    fn keys_that_begin_with_env_are_variables() {
        let Ok(Place::Logger(program)) = Place::parse("binary:///l?env.LANG=C&a=b") else { panic!() };
        assert_eq!(program.environment, [("LANG".into(), "C".into())]);
        assert_eq!(program.arguments, ["a", "b"]);
    }

    #[test]
    fn what_is_no_place_is_an_invalid_argument() {
        for (text, why) in [
            ("npipe:////./pipe/x", "unknown scheme \"npipe\""),
            ("file://relative", "isn't absolute"),
            ("relative", "neither"),
        ] {
            let refusal = Place::parse(text).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidArgument);
            assert!(refusal.text.contains(why), "{refusal:?}");
        }
    }
}
