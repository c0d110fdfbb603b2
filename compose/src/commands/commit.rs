//! `commit`

use super::{Ended, Session, say};
use crate::apply::commit::{self, New};
use crate::apply::image::{self, Image};
use crate::cli::observe::Commit;
use crate::engine::announce::Done;
use crate::error::{Error, Kind, Result};
use crate::observe::{self, Observed};
use crate::reference::Reference;
use crate::spec::commit::Step;
use crate::time;

pub async fn commit(session: &Session, asked: &Commit) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, &asked.container)?;
    say(committed(session, (one, &containers), asked).await?);
    Ok(0)
}

/// Makes an image of one of the containers, and gives its id.
pub async fn committed(
    session: &Session,
    (one, containers): (&Observed, &[Observed]),
    asked: &Commit,
) -> Result<String> {
    let name = asked.name.as_deref().map(Reference::parse).transpose()?;
    if let Some(name) = name.as_ref().filter(|name| name.digest().is_some()) {
        return Err(Error::new(format!(
            "refusing to create a tag with a digest reference: {}",
            name.familiar()
        )));
    }
    let record = one.record()?;
    let images = image::all(&session.engine).await?;
    let base = images.iter().find(|image| image.id == record.image_id);
    let base = base.ok_or_else(|| {
        Error::of_kind(Kind::NotFound, format!("{}: its image {} is gone", one.name(), record.image))
    })?;
    let loses_its_name = name.as_ref().and_then(|name| losing(name, &images, containers));
    let now = time::now();
    let new = New {
        one,
        base,
        name,
        loses_its_name,
        changes: &asked.changes,
        step: Step {
            // Two images of one second are two images.
            created: time::rfc3339(now.as_secs() as i64, now.subsec_nanos()),
            author: asked.author.clone(),
            message: asked.message.clone(),
            command: record.command.clone(),
            diff_id: String::new(),
        },
        pause: asked.pause,
    };
    let id = commit::commit(&session.engine, new).await?;
    let done = Done::to(one.id(), "commit").with("imageID", &id);
    done.with("comment", asked.message.as_deref().unwrap_or_default()).announce(&session.engine).await;
    Ok(id)
}

/// The image that containers are of, and that has no name but this one.
pub fn losing<'a>(name: &Reference, images: &'a [Image], containers: &[Observed]) -> Option<&'a Image> {
    images.iter().find(|image| {
        let is_last = !images.iter().any(|other| other.id == image.id && other.name != image.name);
        let is_of = |one: &Observed| one.record.as_ref().is_some_and(|record| record.image_id == image.id);
        image.name == name.full() && is_last && containers.iter().any(is_of)
    })
}
