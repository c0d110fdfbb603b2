//! What the definitions of a project come to.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::apply::image::Image;
use crate::apply::resolved;
use crate::error::Result;
use crate::model::hash;
use crate::model::types::Project;
use crate::plan::wanted::Facts;

/// The hashes of a project's definitions, and the digests of its images, secrets and configs.
pub fn of(project: &Project, images: &BTreeMap<String, Image>) -> Result<Facts> {
    let mut facts = Facts::default();
    for (name, service) in &project.services {
        facts.services.insert(name.clone(), hash::service(service)?);
        facts.files.insert(name.clone(), hex(&resolved::contents(project, service)));
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

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
