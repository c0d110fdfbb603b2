//! What the hook and the keeper say to each other: the hook connects once the container's list of endpoints is on disk,
//! the keeper reads the list, opens the sockets, and answers in one line.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::Port;
use crate::error::{Context, Error, Result};

/// How long the keeper may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the keeper has opened.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Opened {
    /// Where it answers names inside, by UDP and by TCP.
    pub names_at: Option<(u16, u16)>,
    /// The published ports, each with the number that it has on the host.
    pub ports: Vec<Port>,
}

/// The keeper's answer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is ready.
    Opened(Opened),
    /// It can't, and why.
    Refused(String),
}

/// The keeper's socket in the container's directory below /run.
pub fn socket(running: &Path) -> PathBuf {
    running.join("keeper.sock")
}

/// Has the keeper open its sockets. Nothing if there is no keeper, because somebody else logs this container.
pub fn ask(running: &Path) -> Result<Option<Opened>> {
    let Ok(stream) = UnixStream::connect(socket(running)) else { return Ok(None) };
    match answered(stream, PATIENCE)? {
        Answer::Opened(opened) => Ok(Some(opened)),
        Answer::Refused(line) => Err(Error::new(line)),
    }
}

/// Reads the answer, whose next byte may take that long.
fn answered(mut stream: UnixStream, patience: Duration) -> Result<Answer> {
    stream.set_read_timeout(Some(patience)).at("keeper")?;
    let mut line = Vec::new();
    match stream.read_to_end(&mut line) {
        // The kernel's word for it is EAGAIN.
        Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            let seconds = patience.as_secs_f64();
            Err(Error::new(format!("the container's keeper did not answer within {seconds} s")))
        }
        Ok(0) => Err(Error::new("the container's keeper has ended without an answer")),
        read => read.at("keeper").and_then(|_| serde_json::from_slice(&line).at("keeper")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_keeper_that_is_silent_is_told_of_in_plain_words() {
        let said = |stream| answered(stream, Duration::from_millis(100)).map_err(|err| err.to_string());
        let (silent, _open) = UnixStream::pair().unwrap();
        assert_eq!(said(silent), Err("the container's keeper did not answer within 0.1 s".to_owned()));
        let (closed, _) = UnixStream::pair().unwrap();
        assert_eq!(said(closed), Err("the container's keeper has ended without an answer".to_owned()));
        let (answering, mut keeper) = UnixStream::pair().unwrap();
        keeper.write_all(br#"{"refused": "no"}"#).unwrap();
        drop(keeper);
        assert_eq!(said(answering), Ok(Answer::Refused("no".to_owned())));
    }
}
