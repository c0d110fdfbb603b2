//! What the hook and the keeper say to each other: the hook connects once the container's list of endpoints is on disk,
//! the keeper reads the list, opens the sockets, and answers in one line.

use std::io::Read;
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
    let Ok(mut stream) = UnixStream::connect(socket(running)) else { return Ok(None) };
    stream.set_read_timeout(Some(PATIENCE)).at("keeper")?;
    let mut line = Vec::new();
    stream.read_to_end(&mut line).at("keeper")?;
    match serde_json::from_slice(&line).at("keeper")? {
        Answer::Opened(opened) => Ok(Some(opened)),
        Answer::Refused(line) => Err(Error::new(line)),
    }
}
