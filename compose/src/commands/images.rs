//! `images`, `pull`, `rmi`, `tag`.

use std::collections::BTreeMap;

use super::filters::{check, has_label, is_called, is_refused, passes, truth, until};
use super::{Ended, Session, complain, print, say};
use crate::apply::image::{self, Image, Shows};
use crate::cli::docker::Images;
use crate::error::{Context, Error, Kind, Result};
use crate::reference::{Reference, familiar};
use crate::view::{self, table};
use crate::{id, time};

pub async fn list(session: &Session, images: &Images) -> Ended {
    check(&images.filters, &["before", "dangling", "label", "reference", "since", "until"])?;
    let all = image::all(&session.engine).await?;
    let mut times = BTreeMap::new();
    for (key, value) in images.filters.iter().filter(|(key, _)| key == "before" || key == "since") {
        times.insert(
            (key.as_str(), value.as_str()),
            created(&image::find(&session.engine, value, None).await?),
        );
    }
    let wanted = images.reference.as_deref();
    let mut shown = Vec::new();
    for image in &all {
        let fits = |key: &str, value: &str| {
            let at = |found: Option<&Option<i64>>| found.copied().flatten();
            Ok(match key {
                "reference" => is_called(&image.name, value),
                "label" => has_label(image.document.config.labels.iter(), value),
                "dangling" => truth(key, value)? == is_dangling(image, &all),
                "until" => created(image) < Some(until(value)?),
                "before" => created(image) < at(times.get(&(key, value))),
                "since" => created(image) > at(times.get(&(key, value))),
                _ => return Err(is_refused(key)),
            })
        };
        if wanted.is_none_or(|wanted| is_called(&image.name, wanted)) && passes(&images.filters, fits)? {
            shown.push(image.clone());
        }
    }
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

/// When an image was made, in seconds since 1970.
fn created(image: &Image) -> Option<i64> {
    image.document.created.as_deref().and_then(time::parse_rfc3339).map(|(seconds, _)| seconds)
}

/// Whether an image has lost its last name that people gave.
fn is_dangling(image: &Image, all: &[Image]) -> bool {
    !all.iter().any(|other| other.id == image.id && Reference::parse(&other.name).is_ok())
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
