//! `update`, `rename`.

use super::{Ended, Session};
use crate::apply::change;
use crate::error::{Context, Error};
use crate::observe;
use crate::spec::update::Change;

pub async fn update(session: &Session, typed: &[String], asked: &Change) -> Ended {
    if *asked == Change::default() {
        return Err(Error::new("you must provide one or more flags when using this command"));
    }
    session.each(typed, async |one| change::update(&session.engine, &session.disk, one, asked).await).await
}

pub async fn rename(session: &Session, typed: &str, name: &str) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, typed)?;
    change::rename(&session.engine, &session.disk, one, name).await.at(one.name())?;
    Ok(0)
}
