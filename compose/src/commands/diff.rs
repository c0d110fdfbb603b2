//! `diff`, `export`: the filesystem of a container.

use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::process::Stdio;

use super::{Ended, Session, print};
use crate::apply::diff as filesystem;
use crate::error::{Context, Error, Result};
use crate::observe::{self, Observed};
use crate::output::Output;

pub async fn diff(session: &Session, typed: &str) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, typed)?;
    let changes = filesystem::paths(&session.engine, &session.disk, one).await.at(one.name())?;
    let lines: Vec<String> =
        changes.iter().map(|(kind, path)| format!("{} {path}\n", kind.letter())).collect();
    print(&lines.concat())?;
    Ok(0)
}

pub async fn export(session: &Session, typed: &str, output: Option<&str>) -> Ended {
    let containers = session.containers().await?;
    exported(session, observe::find(&containers, typed)?, output).await?;
    Ok(0)
}

/// Writes the filesystem of a container as an archive.
pub async fn exported(session: &Session, one: &Observed, output: Option<&str>) -> Result<()> {
    let output = output.map(|file| Output::beside(Path::new(file))).transpose()?;
    let target = match &output {
        Some(output) => output.create()?.into(),
        None if stdout().is_terminal() => {
            return Err(Error::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
        }
        None => Stdio::inherit(),
    };
    filesystem::archive(&session.engine, &session.disk, one, target).await.at(one.name())?;
    output.map_or(Ok(()), Output::finish)
}
