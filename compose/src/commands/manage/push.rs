//! `push`

use super::{Ended, Session, say};
use crate::apply::image::{self, Image};
use crate::cli::manage::Push;
use crate::error::{Error, Kind, Result};
use crate::reference::Reference;

pub async fn push(session: &Session, asked: &Push) -> Ended {
    let typed = Reference::parse(&asked.image)?;
    if typed.digest().is_some() {
        return Err(Error::new("cannot push a digest reference"));
    }
    if asked.all_tags && asked.image.contains(':') && typed.tag() != Some("latest") {
        return Err(Error::new("tag can't be used with --all-tags/-a"));
    }
    let all = image::all(&session.engine).await?;
    let is_meant = |image: &&Image| {
        let own = Reference::parse(&image.name).ok();
        own.is_some_and(|own| {
            if asked.all_tags {
                own.repository() == typed.repository() && own.tag().is_some()
            } else {
                own == typed
            }
        })
    };
    let meant: Vec<&Image> = all.iter().filter(is_meant).collect();
    if meant.is_empty() {
        let line = format!("An image does not exist locally with the tag: {}", typed.repository());
        return Err(Error::of_kind(Kind::NotFound, line));
    }
    if !asked.quiet {
        say(format_args!("The push refers to repository [{}/{}]", typed.registry(), typed.path()));
    }
    for image in meant {
        push_one(session, image, asked).await?;
    }
    Ok(0)
}

async fn push_one(session: &Session, image: &Image, asked: &Push) -> Result<()> {
    let reference = Reference::parse(&image.name)?;
    // An index may name what was never pulled: of such an image this machine's part goes, as with Docker.
    let own = image.is_index.then(image::own_platform);
    let platform = asked.platform.clone().or(own);
    image::push(&session.engine, &reference, platform.as_deref()).await?;
    if asked.quiet {
        say(reference.full());
    } else {
        let (digest, size) = image::pushed(&session.engine, image, platform.is_some()).await?;
        say(format_args!("{}: digest: {digest} size: {size}", reference.tag().unwrap_or_default()));
    }
    Ok(())
}
