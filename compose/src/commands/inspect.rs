//! `inspect`

use serde::Serialize;
use serde_json::Value;

use super::manage::{network, volume};
use super::{Ended, Session, complain, print};
use crate::apply::image::{self, Image};
use crate::apply::room;
use crate::error::{Error, Kind, Result};
use crate::net::network::Network;
use crate::observe::{self, Observed};
use crate::reference::familiar;
use crate::view;
use crate::view::template::Template;

/// All about what is named, of this kind if one is asked for, with the sizes of containers if `size`.
pub async fn inspect(
    session: &Session,
    names: &[String],
    (kind, size): (Option<&str>, bool),
    format: Option<&str>,
) -> Ended {
    let containers = session.containers().await?;
    let mut found = Vec::new();
    for name in names {
        found.push(about(session, &containers, name, (kind, size)).await);
    }
    tell(found, format)
}

/// Shows what was found, and complains of what was not.
pub(super) fn tell(all: impl IntoIterator<Item = Result<Value>>, format: Option<&str>) -> Ended {
    let mut found = Vec::new();
    let mut code = 0;
    for about in all {
        match about {
            Ok(about) => found.push(about),
            Err(err) => {
                complain(&err);
                code = 1;
            }
        }
    }
    print(&shown_in_full(&found, format)?)?;
    Ok(code)
}

/// What was found as `--format` asks for it: a list in JSON, or a template for each.
fn shown_in_full(found: &[Value], format: Option<&str>) -> Result<String> {
    match format {
        None | Some("" | "json") => pretty(found),
        Some(format) => {
            let template = Template::parse(format)?;
            found.iter().map(|about| template.render(about).map(|text| text + "\n")).collect()
        }
    }
}

async fn about(
    session: &Session,
    containers: &[Observed],
    name: &str,
    (kind, size): (Option<&str>, bool),
) -> Result<Value> {
    if kind.is_none_or(|kind| kind == "container") {
        match observe::find(containers, name) {
            Ok(one) => return container(session, one, size).await,
            Err(err) if kind == Some("container") || err.kind() != Kind::NotFound => return Err(err),
            Err(_) => {}
        }
    }
    let none = || Error::of_kind(Kind::NotFound, format!("No such object: {name}"));
    if kind.is_none_or(|kind| kind == "image") {
        match image::find(&session.engine, name, None).await {
            Ok(found) => return image(session, &found).await,
            Err(err) if kind == Some("image") || err.kind() != Kind::NotFound => return Err(err),
            Err(_) => {}
        }
    }
    if kind.is_none_or(|kind| kind == "network") {
        match network::about(session, containers, name) {
            Ok(found) => return Ok(found),
            Err(err) if kind == Some("network") || err.kind() != Kind::NotFound => return Err(err),
            Err(_) => {}
        }
    }
    match kind {
        None | Some("volume") => match volume::about(session, name) {
            Err(err) if kind.is_none() && err.kind() == Kind::NotFound => Err(none()),
            about => about,
        },
        Some(kind) => Err(Error::new(format!("\"{kind}\" is not a valid value for --type"))),
    }
}

async fn container(session: &Session, one: &Observed, size: bool) -> Result<Value> {
    // An image that is gone takes nothing from the container.
    let image = image::find(&session.engine, &one.container.image, None).await.ok();
    let networks = Network::list(&session.disk)?;
    let mut about =
        view::inspect::container(one, &session.disk.container(one.id()), image.as_ref(), &networks);
    if size {
        let images = image::all(&session.engine).await?;
        let (own, whole) = room::of_root(&session.engine, one, &images).await;
        (about["SizeRw"], about["SizeRootFs"]) = (own.into(), whole.into());
    }
    Ok(about)
}

async fn image(session: &Session, found: &Image) -> Result<Value> {
    let all = image::all(&session.engine).await?;
    let names = all.iter().filter(|other| other.id == found.id).map(|other| familiar(&other.name));
    Ok(view::inspect::image(found, &names.collect::<Vec<_>>()))
}

/// JSON with four spaces, as Docker's.
fn pretty(values: &[Value]) -> Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    values.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    Ok(String::from_utf8_lossy(&text).into_owned())
}
