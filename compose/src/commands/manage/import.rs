//! `import`

use std::fs::File;
use std::io::{IsTerminal, Read};

use super::{Ended, Session, say};
use crate::apply::image;
use crate::apply::import::{self, New};
use crate::cli::manage::Import;
use crate::commands::commit::losing;
use crate::error::{Context, Error};
use crate::reference::Reference;
use crate::spec::commit::Step;
use crate::time;

pub async fn import(session: &Session, asked: &Import) -> Ended {
    let name = asked.name.as_deref().map(Reference::parse).transpose()?;
    if let Some(name) = name.as_ref().filter(|name| name.digest().is_some()) {
        return Err(Error::new(format!("cannot import digest reference: {}", name.familiar())));
    }
    if name.as_ref().is_some_and(|name| name.familiar().split([':', '@']).next() == Some("sha256")) {
        return Err(Error::new("refusing to create an ambiguous tag using digest algorithm as name"));
    }
    let source = asked.source.as_str();
    let archive: Box<dyn Read + Send> = match source {
        "-" if std::io::stdin().is_terminal() => {
            return Err(Error::new("cowardly refusing to import from a terminal: redirect an archive"));
        }
        "-" => Box::new(std::io::stdin()),
        url if url.starts_with("http://") || url.starts_with("https://") => import::fetch(url)?,
        file => Box::new(File::open(file).at(file)?),
    };
    let containers = session.containers().await?;
    let images = image::all(&session.engine).await?;
    let now = time::now();
    let message = asked.message.clone().unwrap_or_else(|| format!("Imported from {source}"));
    let new = New {
        archive,
        loses_its_name: name.as_ref().and_then(|name| losing(name, &images, &containers)),
        name,
        changes: &asked.changes,
        platform: asked.platform.as_deref(),
        step: Step {
            created: time::rfc3339(now.as_secs() as i64, now.subsec_nanos()),
            message: Some(message),
            ..Step::default()
        },
    };
    say(import::import(&session.engine, new).await.at(source)?);
    Ok(0)
}
