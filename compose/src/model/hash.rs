//! The hash by which a container is known to be made of the service as it is now.

use super::types::Service;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};

/// The hash of what a container is made of: not how its image comes to be, how many there are, or who waits for whom.
///
/// In hexadecimal, as docker compose writes it into `com.docker.compose.config-hash`; the value is our own.
pub fn hash(service: &Service) -> Result<String> {
    let mut service = service.clone();
    service.build = None;
    service.develop = None;
    service.pull_policy = None;
    service.scale = None;
    service.depends_on.clear();
    service.profiles.clear();
    if let Some(deploy) = &mut service.deploy {
        deploy.replicas = None;
    }
    let text =
        serde_json::to_vec(&service).map_err(|error| Error::new(format!("hash of a service: {error}")))?;
    Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}
