//! `save` and `load`.

use std::io::IsTerminal;
use std::path::Path;

use super::{Ended, Session, say};
use crate::apply::{archive, image};
use crate::cli::manage::Save;
use crate::error::Error;
use crate::reference::familiar;

pub async fn save(session: &Session, save: &Save) -> Ended {
    if save.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    let platform = save.platform.as_deref();
    let mut images = Vec::new();
    for name in &save.images {
        images.push(image::find(&session.engine, name, platform).await?);
    }
    archive::save(&session.engine, &images, save.output.as_deref().map(Path::new), platform).await?;
    Ok(0)
}

pub async fn load(session: &Session, input: Option<&str>, quiet: bool) -> Ended {
    if input.is_none() && std::io::stdin().is_terminal() {
        return Err(Error::new("requested load from stdin, but stdin is empty"));
    }
    let names = archive::load(&session.engine, input.map(Path::new)).await?;
    if names.is_empty() {
        return Err(Error::new("the archive has no image with a name"));
    }
    // Docker's `--quiet` is about progress, which isn't shown here.
    let _is_as_quiet = quiet;
    names.iter().for_each(|name| say(format_args!("Loaded image: {}", familiar(name))));
    Ok(0)
}
