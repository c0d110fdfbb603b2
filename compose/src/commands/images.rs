//! `images`, `pull`, `rmi`, `tag`.

use super::{Ended, Session, complain, print, say};
use crate::apply::image::{self, Image, Shows};
use crate::cli::docker::Images;
use crate::error::{Context, Error, Kind, Result};
use crate::reference::{Reference, familiar};
use crate::view::{self, table};
use crate::{id, time};

pub async fn list(session: &Session, images: &Images) -> Ended {
    let wanted = images.reference.as_deref();
    let fits = |image: &Image| wanted.is_none_or(|wanted| is_called(image, wanted));
    let mut shown: Vec<Image> = image::all(&session.engine).await?.into_iter().filter(fits).collect();
    shown.sort_by(|one, other| other.document.created.cmp(&one.document.created));
    if images.quiet {
        let mut ids: Vec<&str> = shown.iter().map(|image| image.id.as_str()).collect();
        ids.dedup();
        let short = |id: &str| id::short(id.trim_start_matches("sha256:")).to_owned();
        ids.iter().for_each(|id| say(if images.no_trunc { (*id).to_owned() } else { short(id) }));
        return Ok(0);
    }
    let now = time::now();
    let rows: Vec<_> = shown.iter().map(|image| view::images::row(image, now, images.no_trunc)).collect();
    let all = &view::images::COLUMNS_WITH_DIGESTS;
    let columns: &[_] = if images.digests { all } else { &view::images::COLUMNS };
    print(&table::list(&rows, columns, all, images.format.as_deref())?)?;
    Ok(0)
}

/// Whether an image has that name, or that repository, if the name has no tag.
fn is_called(image: &Image, wanted: &str) -> bool {
    let Ok(own) = Reference::parse(&image.name) else { return false };
    own.familiar() == familiar(wanted) || own.repository() == wanted
}

pub async fn pull(session: &Session, typed: &str, platform: Option<&str>, quiet: bool) -> Ended {
    let engine = &session.engine;
    let reference = Reference::parse(typed)?;
    let before = image::find(engine, typed, platform).await.ok().map(|image| image.target);
    if !quiet {
        if !typed.contains('@') && reference.familiar() != typed && reference.tag() == Some("latest") {
            say("Using default tag: latest");
        }
        let of = reference.tag().or(reference.digest()).unwrap_or_default();
        say(format_args!("{of}: Pulling from {}", reference.path()));
    }
    image::pull(engine, &reference, platform, if quiet { Shows::Nothing } else { Shows::Progress }).await?;
    if !quiet {
        let image = image::find(engine, typed, platform).await?;
        say(format_args!("Digest: {}", image.target));
        let is_new = before != Some(image.target);
        let status = if is_new { "Downloaded newer image" } else { "Image is up to date" };
        say(format_args!("Status: {status} for {}", reference.familiar()));
    }
    say(reference.full());
    Ok(0)
}

pub async fn tag(session: &Session, source: &str, target: &str) -> Ended {
    let image = image::find(&session.engine, source, None).await?;
    image::tag(&session.engine, &image, &Reference::parse(target)?).await?;
    Ok(0)
}

pub async fn remove(session: &Session, typed: &[String], force: bool) -> Ended {
    let mut code = 0;
    for name in typed {
        if let Err(err) = remove_one(session, name, force).await {
            complain(&err);
            code = 1;
        }
    }
    Ok(code)
}

/// By its name, an image loses that name; by its id, all of them.
async fn remove_one(session: &Session, typed: &str, force: bool) -> Result<()> {
    let engine = &session.engine;
    let found = image::find(engine, typed, None).await?;
    let all = image::all(engine).await?;
    let named = |image: &&Image| image.id == found.id;
    let is_name = Reference::parse(typed).is_ok_and(|reference| reference.full() == found.name);
    let names: Vec<&Image> =
        all.iter().filter(named).filter(|image| !is_name || image.name == found.name).collect();
    let is_last = names.len() == all.iter().filter(named).count();
    if is_last && !force {
        refuse_used(session, &found, typed).await?;
    }
    for image in names {
        image::remove(engine, &image.name).await?;
        say(format_args!("Untagged: {}", familiar(&image.name)));
    }
    if is_last {
        say(format_args!("Deleted: {}", found.id));
    }
    Ok(())
}

async fn refuse_used(session: &Session, image: &Image, typed: &str) -> Result<()> {
    let containers = session.containers().await?;
    let uses = |record: &crate::record::Record| record.image_id == image.id;
    match containers.iter().find(|one| one.record.as_ref().is_some_and(uses)) {
        None => Ok(()),
        Some(user) => Err(Error::of_kind(
            Kind::WrongState,
            format!(
                "unable to remove repository reference \"{typed}\" (must force) - container {} is using its referenced \
                 image {}",
                id::short(user.id()),
                id::short(image.id.trim_start_matches("sha256:"))
            ),
        ))
        .at("conflict"),
    }
}
