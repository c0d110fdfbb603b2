//! The containers that a container links.

use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::model::network_mode::DEFAULT_NETWORK;
use crate::observe::{self, Observed};
use crate::record::Record;

/// On the default network, whoever is linked runs before the container does.
///
/// Errors: WrongState, in Docker's words.
pub async fn check(engine: &Engine, record: &Record) -> Result<()> {
    let service = &record.service;
    if service.external_links.is_empty() || !service.networks.contains_key(DEFAULT_NETWORK) {
        return Ok(());
    }
    let containers = observe::containers(engine).await?;
    service.external_links.iter().try_for_each(|link| runs(&containers, &record.name, link))
}

fn runs(containers: &[Observed], name: &str, link: &str) -> Result<()> {
    let (linked, alias) = link.split_once(':').unwrap_or((link, link));
    match containers.iter().find(|one| one.name() == linked) {
        // One that is gone is no link any more.
        None => Ok(()),
        Some(one) if one.state.is_up() => Ok(()),
        Some(_) => {
            let line = format!("Cannot link to a non running container: /{linked} AS /{name}/{alias}");
            Err(Error::of_kind(Kind::WrongState, line))
        }
    }
}
