//! `--progress`: how a command tells of what it does.

use crate::error::{Error, Result};

/// How a command tells of what it does, on standard error.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Telling {
    /// A line for each event.
    #[default]
    Lines,
    /// A line of JSON for each event.
    Json,
    /// Nothing.
    Quiet,
}

impl Telling {
    /// The kind of that name. There is no display that is painted anew, so `tty` is lines, too.
    ///
    /// Errors: there is no such kind, in docker compose's words.
    pub fn of(name: Option<&str>) -> Result<Telling> {
        match name.unwrap_or_default() {
            "" | "auto" | "tty" | "plain" => Ok(Telling::Lines),
            "json" => Ok(Telling::Json),
            "quiet" => Ok(Telling::Quiet),
            other => Err(Error::new(format!("unsupported --progress value {other:?}"))),
        }
    }
}
