//! What the definitions of a project come to.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Session;
use crate::apply::image::{self, Image, Shows, When};
use crate::apply::resolved;
use crate::error::{Kind, Result};
use crate::model::hash;
use crate::model::types::{Project, Service};
use crate::model::values::MountKind;
use crate::plan::wanted::Facts;

/// The hashes of a project's definitions, and the digests of its images, secrets and configs. An image that one of the
/// services mounts is pulled, if it isn't here.
pub async fn of(session: &Session, project: &Project, images: &BTreeMap<String, Image>) -> Result<Facts> {
    let mut facts = Facts::default();
    for (name, service) in &project.services {
        facts.services.insert(name.clone(), hash::service(service)?);
        let mut contents = resolved::contents(project, service);
        if images.contains_key(name) {
            contents.extend(mounted(session, project, service).await?);
        }
        facts.files.insert(name.clone(), hex(&contents));
    }
    for (name, network) in &project.networks {
        facts.networks.insert(name.clone(), hash::network(network)?);
    }
    for (name, volume) in &project.volumes {
        facts.volumes.insert(name.clone(), hash::volume(volume)?);
    }
    facts.images = images.iter().map(|(name, image)| (name.clone(), image.id.clone())).collect();
    Ok(facts)
}

/// The ids of the images that a service mounts.
async fn mounted(session: &Session, project: &Project, service: &Service) -> Result<Vec<u8>> {
    let mut service = service.clone();
    resolved::mounted_images(project, &mut service);
    let mut ids = Vec::new();
    for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Image) {
        let source = mount.source.as_deref().unwrap_or_default();
        let when = if session.dry_run { When::Never } else { When::Missing };
        let id = match image::ensure(&session.engine, source, when, None, Shows::Nothing).await {
            Ok(image) => image.id,
            // Nothing is pulled.
            Err(err) if session.dry_run && err.kind() == Kind::NotFound => String::new(),
            Err(err) => return Err(err),
        };
        ids.extend(format!("{}={id}\n", mount.target).into_bytes());
    }
    Ok(ids)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
