//! What the shim has to say goes into containerd's log, by the fifo `log` of its bundle. It never waits for a reader.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

static LOG: Mutex<Option<File>> = Mutex::new(None);

/// How much a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something is not as somebody may expect.
    Warning,
    /// Something has failed that nobody else hears of.
    Error,
}

/// Opens the fifo of the bundle, if containerd has made one and reads it.
pub fn open(bundle: &Path) {
    let fifo = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(bundle.join("log")).ok();
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = fifo;
}

/// Says something, unless nobody reads, or the reader is too slow.
pub fn say(level: Level, text: &str) {
    let level = match level {
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let line = format!("level={level} msg=\"{text}\" runtime=io.containerd.corten.v2\n");
    if let Some(fifo) = LOG.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        // One write of a line is whole up to 4096 bytes. A full pipe, or one without a reader, loses it.
        drop(fifo.write(line.as_bytes()));
    }
}
