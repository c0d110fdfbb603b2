//! `diff`, `export`: the filesystem of a container.

use std::fs::File;
use std::io::{IsTerminal, stdout};
use std::process::Stdio;

use super::{Ended, Session, print};
use crate::apply::diff as filesystem;
use crate::error::{Context, Error, Result};
use crate::observe;

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
    let one = observe::find(&containers, typed)?;
    filesystem::archive(&session.engine, &session.disk, one, target(output)?).await.at(one.name())?;
    Ok(0)
}

fn target(output: Option<&str>) -> Result<Stdio> {
    match output {
        Some(file) => File::create(file).at(file).map(Stdio::from),
        None if stdout().is_terminal() => {
            Err(Error::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"))
        }
        None => Ok(Stdio::inherit()),
    }
}
