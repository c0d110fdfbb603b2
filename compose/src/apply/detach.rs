//! The keys by which a user leaves a process alone that streams are tied to.

use crate::error::{Error, Result};

/// Docker's own: ctrl-p, ctrl-q.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// A sequence of keys, and how much of it was typed last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keys {
    sequence: Vec<u8>,
    typed: usize,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys { sequence: DEFAULT.to_vec(), typed: 0 }
    }
}

impl Keys {
    /// No key detaches.
    pub fn none() -> Keys {
        Keys { sequence: Vec::new(), typed: 0 }
    }

    /// `ctrl-p,ctrl-q`, `a`, `ctrl-@,x`.
    ///
    /// Errors: what is no key, in Docker's words.
    pub fn read(text: &str) -> Result<Keys> {
        let key = |key: &str| key_of(key).ok_or_else(|| Error::new(format!("Unknown character: '{key}'")));
        let read: Result<Vec<u8>> = text.split(',').map(key).collect();
        let wrong = |err| Error::new(format!("invalid detach keys ({text}) provided: {err}"));
        Ok(Keys { sequence: read.map_err(wrong)?, typed: 0 })
    }

    /// What of the chunk goes on to the process, and whether the keys end there. Keys that may be the beginning of the
    /// sequence are kept back until more is typed.
    pub fn take(&mut self, chunk: &[u8]) -> (Vec<u8>, bool) {
        let mut goes_on = Vec::with_capacity(chunk.len());
        for &byte in chunk {
            if self.sequence.get(self.typed) != Some(&byte) {
                goes_on.extend(&self.sequence[..std::mem::take(&mut self.typed)]);
            }
            if self.sequence.get(self.typed) == Some(&byte) {
                self.typed += 1;
                if self.typed == self.sequence.len() {
                    self.typed = 0;
                    return (goes_on, true);
                }
            } else {
                goes_on.push(byte);
            }
        }
        (goes_on, false)
    }
}

fn key_of(text: &str) -> Option<u8> {
    match (text.strip_prefix("ctrl-"), text.as_bytes()) {
        (None, [byte]) => Some(*byte),
        (Some(letter), _) => match letter.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [b'@'] => Some(0),
            [sign @ b'['..=b'_'] => Some(sign - b'[' + 27),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn keys_are_read_as_docker_reads_them() {
        assert_eq!(Keys::read("ctrl-p,ctrl-q").unwrap(), Keys::default());
        assert_eq!(Keys::read("a,ctrl-@,ctrl-[,ctrl-_").unwrap().sequence, [b'a', 0, 27, 31]);
        for wrong in ["", "ctrl-", "ctrl-A", "ab", "a,,b", "ctrl-é"] {
            assert!(Keys::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_that_is_typed_is_lost_but_the_sequence() {
        let mut keys = Keys::default();
        assert_eq!(keys.take(b"ls\x10"), (b"ls".to_vec(), false));
        assert_eq!(keys.take(b"\x10x"), (b"\x10\x10x".to_vec(), false));
        assert_eq!(keys.take(b"y\x10"), (b"y".to_vec(), false));
        assert_eq!(keys.take(b"\x11z"), (Vec::new(), true));
        assert_eq!(Keys::none().take(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
    }
}
